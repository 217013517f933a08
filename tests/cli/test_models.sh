#!/bin/bash
# Protects: info, tokenize, forward, embed, rank and bench on a tiny model: keys, shapes, order, options, and clean failures.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
printf '%s\n' 'a first line' 'b' '' 'the last one, a little longer than the others' >"$T/lines.txt"

# The n-th number of a .npy file, as od prints it; its header's dictionary.
npy_values() { od -An -v -w4 -t "${2:-f4}" -j 128 "$1" | tr -d ' '; }
npy_head() { head -c 128 "$1" | tr -d '\0' | grep -ao "{.*}"; }

# ---- info ----
run lathe info "$M" --json
is "$rc:$err" "0:" "info --json"
is "$(grep -oE '"[a-z_]+":' <<<"$out" | tr -d '":\n')" \
    "familyparametersbytesdtypelayershiddenheadsvocabmax_tokensheadpoolingtokenizerunsupported" "info: its keys, in this order"
like "$out" '"family":"bert".*"dtype":"f32","layers":2,"hidden":32,"heads":4,"vocab":200,"max_tokens":64,"head":"none"' "info: values"
like "$(lathe info "$M" | tr '\t' ' ')" "hidden 32" "info: in a pipe tabs, not JSON"
is "$(lathe info "$M" --distance "$M" --json | grep -oE '"(distance|compared)":[^,}]*')" '"distance":0
"compared":26720' "info --distance: none from itself"
run lathe info "$M" --distance "$ROOT/tests/fixtures/models/distilbert-tiny"
like "$rc $err" "^1 .*no tensor has the name" "info --distance: nothing to compare"
run lathe info "$M" --distance "$T/nowhere"
like "$rc $err" "^1 .*nowhere" "info --distance: no such model"

# ---- tokenize ----
run lathe tokenize "$M" "$T/lines.txt"
is "$rc:$err" "0:" "tokenize"
is "$(wc -l <<<"$out")" 4 "tokenize: an object for each line"
is "$(grep -cE '^\{"ids":\[[0-9,]+\],"tokens":\[.*\],"offsets":\[.*\]\}$' <<<"$out")" 4 "tokenize: keys"
is "$(lathe tokenize "$M/tokenizer.json" "$T/lines.txt")" "$out" "tokenize: tokenizer.json serves as MODEL"
is "$(lathe tokenize "$M" - <"$T/lines.txt")" "$out" "tokenize: - is standard input"
is "$(lathe tokenize "$M" "$T/lines.txt" --threads 3)" "$out" "tokenize: the same with any number of threads"
like "$(lathe tokenize "$M" "$T/lines.txt" --no-special | head -1)" '"offsets":\[\[0,1\]' "--no-special: the first offset is of the text"
like "$(printf 'é a\n' | lathe tokenize "$M" --no-special)" '\[2,3\]\]\}$' "offsets count code points"
like "$(printf 'é a\n' | lathe tokenize "$M" --no-special --bytes)" '\[3,4\]\]\}$' "--bytes: offsets count bytes"
is "$(lathe tokenize "$M" "$T/lines.txt" --max-tokens 3 | tail -1 | grep -oE '"ids":\[[^]]*\]' | tr -cd , | wc -c)" 2 "--max-tokens 3: three ids"
printf 'a\tb\n' >"$T/pair.txt"
printf '{"text":"a","text_pair":"b"}\n' >"$T/pair.jsonl"
printf 'text,text_pair\na,b\n' >"$T/pair.csv"
is "$(lathe tokenize "$M" --pair "$T/pair.txt")" "$(lathe tokenize "$M" --pair "$T/pair.jsonl")" "--pair: a tab, or the column text_pair"
is "$(lathe tokenize "$M" --pair "$T/pair.csv")" "$(lathe tokenize "$M" --pair "$T/pair.jsonl")" "--pair: CSV columns"
run lathe tokenize "$M" --pair "$T/lines.txt"
like "$rc $err" "^1 .*lines\.txt line 1: expected a pair" "--pair: a line without one"
is "$(lathe tokenize "$M" "$T/pair.txt" | lathe tokenize "$M" --decode --skip-special)" "a b" "--decode undoes it"
like "$(printf '[2, 3]\n' | lathe tokenize "$M" --decode --json)" '^\{"text":".*"\}$' "--decode --json"
run lathe tokenize "$M" --decode <<<'[1, "x"]'
printf '[1]\n[1, "x"]\n' >"$T/ids.txt"
run lathe tokenize "$M" --decode "$T/ids.txt"
like "$rc $err" "^1 .*ids\.txt line 2: item 1 is not a token id" "--decode: file, line and place of what is wrong"
printf '[1]\n[100000]\n' >"$T/ids.txt"
run lathe tokenize "$M" --decode "$T/ids.txt"
like "$rc $err" "^1 .*ids\.txt line 2: .*100000" "--decode: an id that is not there"
run lathe tokenize "$M" "$T/lines.txt" --columns text
like "$rc" "^[12]$" "--columns that make no sense"
for i in $(seq 3000); do echo "line $i of many"; done >"$T/many.txt"
is "$(lathe tokenize "$M" "$T/many.txt" | lathe tokenize "$M" --decode --threads 1 | wc -l)" 3000 "tokenize: many lines"

# ---- embed ----
run lathe embed "$M" "$T/lines.txt" --json
is "$rc:$err" "0:" "embed --json"
json=$out
is "$(grep -cE '^\{"embedding":\[[-0-9.e,]+\]\}$' <<<"$json")" 4 "embed: a vector for each line, the empty one too"
is "$(lathe embed "$M" "$T/lines.txt")" "$json" "embed: in a pipe the same"
run lathe embed "$M" "$T/lines.txt" -o "$T/x.npy"
is "$rc:$out:$err" "0::" "embed -o"
like "$(npy_head "$T/x.npy")" "'descr': '<f4', 'fortran_order': False, 'shape': \(4, 32\)" "embed -o: the array's header"
is "$(npy_values "$T/x.npy" | awk '{ printf "%.4f\n", $1 }')" "$(tr -cd '0-9.e,\n-' <<<"$(sed 's/.*\[//; s/\].*//' <<<"$json")" | tr , '\n' |
    awk '{ printf "%.4f\n", $1 }')" "embed: array and JSON hold the same numbers"
for options in "--threads 1" "--threads 3" "--batch-tokens 8"; do
    lathe embed "$M" "$T/lines.txt" -o "$T/y.npy" $options
    cmp -s "$T/x.npy" "$T/y.npy"
    ok $? "embed $options: the same bits"
done
LATHE_THREADS=2 LATHE_BATCH_TOKENS=10 lathe embed "$M" "$T/lines.txt" -o "$T/y.npy"
cmp -s "$T/x.npy" "$T/y.npy"
ok $? "embed with twins in the environment: the same bits"
lathe tokenize "$M" "$T/lines.txt" | sed 's/.*"ids":\(\[[^]]*\]\).*/\1/' >"$T/ids.txt"
lathe embed "$M" --ids "$T/ids.txt" -o "$T/y.npy"
cmp -s "$T/x.npy" "$T/y.npy"
ok $? "embed --ids: the same bits as from text"
cp -r "$M" "$T/no-tokenizer" && rm -f "$T"/no-tokenizer/{tokenizer.json,vocab.txt}
lathe embed "$T/no-tokenizer" --ids "$T/ids.txt" -o "$T/y.npy"
cmp -s "$T/x.npy" "$T/y.npy"
ok $? "embed --ids: no tokenizer is needed"
run lathe embed "$T/no-tokenizer" "$T/lines.txt"
like "$rc $err" "^1 .*tokenizer" "embed: texts need one"
is "$(lathe embed "$M" "$T/lines.txt" --normalize yes | head -1 | tr -cd '0-9.e,-' | sed 's/^e*//' | tr , '\n' | awk '{ s += $1 * $1 } END { printf "%.5f", s }')" \
    1.00000 "--normalize yes: vectors of length 1"
lathe embed "$M" "$T/lines.txt" --truncate-dim 8 -o "$T/y.npy"
like "$(npy_head "$T/y.npy")" "\(4, 8\)" "--truncate-dim 8"
run lathe embed "$M" "$T/lines.txt" --pooling median
like "$rc $err" "^2 .*median" "--pooling: an unknown one is named"
lathe embed "$M" "$T/lines.txt" --pooling cls+max -o "$T/y.npy"
like "$(npy_head "$T/y.npy")" "\(4, 64\)" "--pooling cls+max: twice as wide"
is "$(lathe embed "$M" --prompt 'a ' <<<'first line')" "$(head -1 <<<"$json")" "--prompt: text in front of the input"
lathe embed "$M" "$T/lines.txt" --output-dtype ubinary -o "$T/y.npy"
like "$(npy_head "$T/y.npy")" "'\|u1'.*\(4, 4\)" "ubinary: eight dimensions a byte"
is "$(od -An -v -t u1 -j 128 -N 1 "$T/y.npy" | tr -d ' ')" \
    "$(npy_values "$T/x.npy" | head -8 | awk '{ b = 2 * b + ($1 > 0) } END { print b }')" "ubinary: the first dimension in the highest bit"
lathe embed "$M" "$T/lines.txt" --output-dtype int8 -o "$T/y.npy"
like "$(npy_head "$T/y.npy")" "'\|i1'.*\(4, 32\)" "int8: its header"
is "$(od -An -v -w32 -t d1 -j 128 "$T/y.npy" | awk '{ for (i = 1; i <= 32; i++) { if ($i == -128) lo[i] = 1; if ($i >= 126) hi[i] = 1 } }
    END { for (i = 1; i <= 32; i++) n += lo[i] && hi[i]; print n }')" 32 "int8: each dimension fills its range"
lathe embed "$M" "$T/lines.txt" --precision f64 -o "$T/y.npy"
like "$(npy_head "$T/y.npy")" "'<f8'" "--precision f64"
run lathe embed "$M" /dev/null
is "$rc:$out:$err" "0::" "embed: no input, no output"
run lathe embed "$M" /dev/null -o "$T/y.npy"
like "$rc:$err $(npy_head "$T/y.npy")" "^0: .*\(0, 32\)" "embed: no input, an array without rows"
like "$(lathe embed "$M" "$T/lines.txt" -o "$T/y.npy" --json)" '^\{"rows":4,"tokens":[0-9]+,"truncated":0,"seconds":[0-9.e-]+\}$' "embed -o --json: a summary"
printf 'text\tother\nx\ty\n' >"$T/table.tsv"
run lathe embed "$M" "$T/table.tsv" --columns text=missing
like "$rc $err" "^1 .*table\.tsv.*missing.*" "a column that is not there"
printf '[1, 2]\n[5, 100000]\n' >"$T/ids.txt"
run lathe embed "$M" --ids "$T/ids.txt"
like "$rc $err" "^1 .*100000" "an id out of range"
printf '[1, 2]\nnot json\n' >"$T/ids.txt"
run lathe embed "$M" --ids "$T/ids.txt"
like "$rc $err" "^1 .*ids\.txt.*2" "a line that is no array: file and line"
run lathe embed "$M" "$T/lines.txt" --memory-limit 1000
like "$rc $err" "^1 lathe embed: .*memory" "too little memory: a clean error"
run lathe embed "$M" "$T/lines.txt" "$T/absent.txt" -o "$T/kept.npy"
like "$rc $err" "^1 .*absent\.txt: No such file" "a file that is not there"
[ ! -e "$T/kept.npy" ]
ok $? "… and no array is left"
if [ "$(id -u)" != 0 ]; then
    : >"$T/secret" && chmod 000 "$T/secret"
    run lathe embed "$M" "$T/secret"
    like "$rc $err" "^1 .*secret: Permission denied" "a file that may not be read"
else
    skip "a file that may not be read" "root may read all"
fi
run lathe embed "$M" "$T"
like "$rc $err" "^1 .*$T.*[Dd]irectory" "a folder is no file of lines"
for i in $(seq 40); do cat "$T/many.txt"; done >"$T/more.txt"
{ rc=0; lathe embed "$M" "$T/more.txt" --json 2>"$T/err" || rc=$?; echo $rc >"$T/rc"; } | head -1 >/dev/null
is "$(<"$T/rc"):$(<"$T/err")" "0:" "embed | head: ends quietly"
if [ -w /dev/full ]; then
    rc=0; lathe embed "$M" "$T/more.txt" --json >/dev/full 2>"$T/err" || rc=$?
    like "$rc $(<"$T/err")" "^1 lathe embed: standard output: No space left" "embed on a full disk"
else
    skip "embed on a full disk" "no /dev/full"
fi

# Stopped while the reading thread waits for more: no array, no temporary file.
mkfifo "$T/fifo"
for signal in INT:130 TERM:143; do
    "$LATHE" embed "$M" "$T/fifo" -o "$T/stopped.npy" --batch-tokens 64 --threads 2 2>"$T/err" &
    pid=$!
    exec 3>"$T/fifo"
    cat "$T/many.txt" >&3
    sleep 0.3
    kill -${signal%:*} $pid
    rc=0; wait $pid || rc=$?
    exec 3>&-
    is "$rc:$(<"$T/err")" "${signal#*:}:" "embed: SIG${signal%:*} while it waits for input"
done
is "$(find "$T" -name 'stopped*' -o -name '.*.tmp' -o -name '.lathe-*')" "" "… nothing half-written"

# ---- forward ----
run lathe forward "$M" "$T/lines.txt" --json
is "$rc:$(grep -cE '^\{"hidden":\[\[.*\]\]\}$' <<<"$out")" "0:4" "forward: hidden states"
run lathe forward "$M" "$T/lines.txt" --output pooled --json
is "$rc:$(grep -cE '^\{"pooled":\[[^[]*\]\}$' <<<"$out")" "0:4" "forward --output pooled"
lathe forward "$M" "$T/lines.txt" -o "$T/y.npy"
tokens=$(lathe embed "$M" "$T/lines.txt" -o "$T/x.npy" --json | sed 's/.*"tokens":\([0-9]*\).*/\1/')
like "$(npy_head "$T/y.npy")" "\($tokens, 32\)" "forward -o: a row for each token"
run lathe forward "$M" "$T/lines.txt" --output logits
like "$rc $err" "^[12] .*head" "forward: no head, no logits"
run lathe forward "$MODELS/bert-classify" --ids --output logits <<<'[1, 2, 3]'
printf '[1, 2, 3]\n' >"$T/ids.txt"
run lathe forward "$MODELS/bert-classify" --ids --output logits "$T/ids.txt"
like "$rc $out" '^0 \{"logits":\[-?[0-9][^[]*\]\}$' "forward: logits of an input are one row"
run lathe forward "$MODELS/bert-tag" --ids --output logits "$T/ids.txt"
like "$rc $out" '^0 \{"logits":\[\[.*\],\[.*\],\[.*\]\]\}$' "forward: logits of tokens are rows"

# ---- rank ----
run lathe rank "$M" --query 'a first line' "$T/lines.txt" --json
is "$rc:$err:$(wc -l <<<"$out")" "0::4" "rank"
like "$(head -1 <<<"$out")" '^\{"index":0,"score":(1|1\.0[0-9]*|0\.99999[0-9]*),"text":"a first line"\}$' "rank: the text itself is best"
is "$(sed 's/.*"score":\([^,]*\),.*/\1/' <<<"$out" | sort -gr)" "$(sed 's/.*"score":\([^,]*\),.*/\1/' <<<"$out")" "rank: best first"
is "$(lathe rank "$M" --query 'a first line' "$T/lines.txt" -k 2)" "$(head -2 <<<"$out")" "rank -k 2"
printf '%s\n' same same other same >"$T/ties.txt"
is "$(lathe rank "$M" --query same "$T/ties.txt" | sed 's/.*"index":\([0-9]*\).*/\1/' | tr -d '\n')" 0132 "rank: ties in input order"
is "$(lathe rank "$M" --query 'line 7 of many' "$T/many.txt" -k 3 --threads 3)" "$(lathe rank "$M" --query 'line 7 of many' "$T/many.txt" --threads 1 | head -3)" \
    "rank: -k and threads change nothing"
run lathe rank "$M" --query '[2, 3]' --ids "$T/ids.txt"
like "$rc $out" '^0 \{"index":0,"score":[^,]*,"text":null\}$' "rank --ids"
for mode in cross late; do
    run lathe rank "$M" --query q --mode $mode "$T/lines.txt"
    like "$rc $err" "^2 .*--mode $mode: this model has no" "rank --mode $mode is refused by name"
done
run lathe rank "$M" --query q /dev/null
is "$rc:$out:$err" "0::" "rank: nothing to rank"

# ---- bench ----
run lathe bench "$M" "$T/lines.txt" --repeat 1
is "$rc:$err" "0:" "bench"
for key in inputs tokens seconds tokens_per_s inputs_per_s latency_p50_ms latency_p99_ms peak_memory_bytes load_seconds; do
    like "$out" "\"$key\":[0-9.e+-]+[,}]" "bench: $key"
done
for how in padded sorted ragged; do
    run lathe bench "$M" "$T/lines.txt" --prefill $how --batch 2 --repeat 1
    like "$rc $out" '^0 \{"prefill":"'$how'","rows":4,"tokens":'$tokens',"computed_tokens":[0-9]+,"seconds":[0-9.e-]+\}$' "bench --prefill $how"
    eval "$how=$(sed 's/.*"computed_tokens":\([0-9]*\).*/\1/' <<<"$out")"
done
[ "$ragged" = "$tokens" ] && [ "$sorted" -gt "$ragged" ] && [ "$padded" -ge "$sorted" ]
ok $? "bench --prefill: padding costs ($padded padded, $sorted sorted, $ragged ragged)"
run lathe bench "$M" "$T/lines.txt" --prefill padded-attention --slices equal --repeat 1
like "$rc $out" '^0 \{"prefill":"padded-attention","rows":4,"tokens":'$tokens',"computed_tokens":'$tokens',"seconds":[0-9.e-]+\}$' "bench --prefill padded-attention: layers see no pads"
run lathe bench "$M" "$T/lines.txt" --prefill ragged --slices none
like "$rc $err" "^2 .*slices" "bench: an unknown way to cut a pass"
run lathe bench "$M" /dev/null
like "$rc $err" "^1 .*no inputs" "bench: nothing to time"

# ---- eval ----
printf 's1,s2,gold\na,a,5\na,b,1\na b,a b,5\nthe,one,0\n' >"$T/sts.csv"
run lathe eval "$M" --data "$T/sts.csv" --task sts --columns text=s1,text_pair=s2,score=gold
like "$rc $out" '^0 \{"pearson":-?[0-9.e-]+,"spearman":-?[0-9.e-]+\}$' "eval --task sts"
run lathe eval "$M" --data "$T/sts.csv" --task sts --columns text=s1,text_pair=nothing,score=gold
like "$rc $err" "^1 .*sts\.csv.*nothing" "eval: a column that is not there"
done_testing
