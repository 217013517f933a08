#!/bin/bash
# Protects: what train does with its rows: the same run from memory or a file, with any number of threads and of batches made ahead, from text, JSONL, CSV and
# compressed files, when it is killed and resumed; blocks, pairs, budgets and the exchange; and hostile rows, a damaged file of tokens, a full disk.
data=${LATHE_DATA:-}
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
for i in $(seq 60); do
    for k in $(seq $((i % 7 + 1))); do echo "sentence $k of document $i says $((i * k % 97)) and some more of it"; done
    echo
done >"$T/docs.txt"
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$1" | tr '\n' ' '; }
train() { lathe train "$M" --batch 8 --lr 3e-3 --max-tokens 32 --quiet "$@"; }
cached() { stat -c %i.%Y "$T"/cache/tokens-*; }

# mlm, from memory and from a file.
train --objective mlm --data "$T/docs.txt" --steps 12 --log "$T/log" -o "$T/out" >/dev/null
run train --objective mlm --data "$T/docs.txt" --steps 12 --log "$T/log1" -o "$T/out1" --cache "$T/cache"
is "$rc $err" "0 " "from a file of tokens"
is "$(weights "$T/out1")" "$(weights "$T/out")" "… the same weights"
is "$(no_speed "$T/log1")" "$(no_speed "$T/log")" "… the same log"
before=$(cached)
for t in 1 2 3; do
    for p in 0 1 5; do
        rm -rf "$T/out1"
        train --objective mlm --data "$T/docs.txt" --steps 12 --log "$T/log1" -o "$T/out1" --cache "$T/cache" --threads $t --prefetch $p >/dev/null
        is "$(weights "$T/out1") $(no_speed "$T/log1" | sha256sum)" "$(weights "$T/out") $(no_speed "$T/log" | sha256sum)" "$t threads, $p made ahead: the same"
    done
done
is "$(cached)" "$before" "the file was read again, not written"
train --objective mlm --data "$T/docs.txt" --steps 1 -o "$T/out1" --cache "$T/cache" --max-tokens 16 >/dev/null
is "$(find "$T/cache" -type f | wc -l)" 2 "other options: another file"
cp -r "$M" "$T/other" && sed -i 's/"lowercase": *true/"lowercase": false/' "$T/other/tokenizer.json"
lathe train "$T/other" --objective mlm --data "$T/docs.txt" --steps 1 -o "$T/out1" --cache "$T/cache" --max-tokens 32 --quiet >/dev/null
is "$(find "$T/cache" -type f | wc -l)" 3 "another tokenizer: another file"
echo more >>"$T/docs.txt"
train --objective mlm --data "$T/docs.txt" --steps 1 -o "$T/out1" --cache "$T/cache" >/dev/null
is "$(find "$T/cache" -type f | wc -l)" 4 "other rows: another file"
sed -i '$d' "$T/docs.txt"

# A damaged file of tokens.
again() { rm -rf "$T/out1" && run train --objective mlm --data "$T/docs.txt" --steps 12 --log "$T/log1" -o "$T/out1" --cache "$T/one"; }
again
file=$(echo "$T"/one/tokens-*)
size=$(stat -c %s "$file")
for at in 3 20 100 $((size - 3)); do
    printf '\377' | dd of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null
    again
    is "$rc $(weights "$T/out1") $(stat -c %s "$file")" "0 $(weights "$T/out") $size" "damaged at byte $at: made anew"
done
truncate -s $((size / 2)) "$file"
again
is "$rc $(weights "$T/out1") $(stat -c %s "$file")" "0 $(weights "$T/out") $size" "cut off: made anew"
printf '\377\377\377\377\377\377\377\377' | dd of="$file" bs=1 seek=300 conv=notrunc 2>/dev/null
rm -rf "$T/out1" && run train --objective mlm --data "$T/docs.txt" --epochs 1 -o "$T/out1" --cache "$T/one"
like "$rc $err" "^1 .*tokens-[0-9a-f]*\.cache: damaged at example" "damaged tokens are found when they are read"
check "… and no model is made of them" [ ! -e "$T/out1/model.safetensors" ]

# Whatever rows are stored as.
gzip -nk "$T/docs.txt"
command -v zstd >/dev/null && zstd -qk "$T/docs.txt"
sed '/^$/d;s/.*/{"text": "&"}/' "$T/docs.txt" >"$T/docs.jsonl"
{ echo text && sed '/^$/d;s/.*/"&"/' "$T/docs.txt"; } >"$T/docs.csv"
{ echo text && sed '/^$/d' "$T/docs.txt"; } >"$T/docs.tsv"
for f in docs.txt.gz docs.txt.zst; do
    [ -f "$T/$f" ] || continue
    train --objective mlm --data "$T/$f" --steps 12 --log "$T/log1" -o "$T/out1" >/dev/null
    is "$(losses "$T/log1")" "$(losses "$T/log")" "$f: the same losses"
done
for f in docs.jsonl docs.csv docs.tsv; do
    train --objective mlm --data "$T/$f" --steps 12 --log "$T/log1" -o "$T/out1" >/dev/null
    is "$(losses "$T/log1")" "$(losses "$T/log")" "$f: the same losses"
done
rm -rf "$T/out1"
"$LATHE" train "$M" --batch 8 --lr 3e-3 --max-tokens 32 --quiet --objective mlm --data - --steps 12 --log "$T/log1" -o "$T/out1" <"$T/docs.txt" >/dev/null
is "$(losses "$T/log1")" "$(losses "$T/log")" "standard input: the same losses"
rm -rf "$T/out1"
cat "$T/docs.txt" | "$LATHE" train "$M" --batch 8 --lr 3e-3 --max-tokens 32 --quiet --objective mlm --data - --steps 12 --log "$T/log1" -o "$T/out1" >/dev/null
is "$(losses "$T/log1")" "$(losses "$T/log")" "a pipe, by a file without a name: the same losses"
is "$(ls "$T/out1" | grep -c cache)" 0 "… of which nothing is left"

# Every kind of batch and example, killed and resumed, is the run that was not.
kill_and_resume() { # NAME OPTION…
    local name=$1 rounds=0 pid
    shift
    rm -rf "$T/whole" "$T/cut" "$T/cut.log"
    train --data "$T/docs.txt" --steps 14 --log "$T/whole.log" -o "$T/whole" "$@" >/dev/null
    while [ $rounds -lt 5 ] && [ ! -f "$T/cut/model.safetensors" ]; do
        rounds=$((rounds + 1))
        "$LATHE" train "$M" --batch 8 --lr 3e-3 --max-tokens 32 --quiet --data "$T/docs.txt" --steps 14 --save-every 5 --log "$T/cut.log" -o "$T/cut" --resume "$@" >/dev/null 2>&1 &
        pid=$!
        sleep "$(printf 0.%03d $((RANDOM % 20 + 3)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    train --data "$T/docs.txt" --steps 14 --save-every 5 --log "$T/cut.log" -o "$T/cut" --resume "$@" >/dev/null
    is "$(weights "$T/cut") $(no_speed "$T/cut.log" | sha256sum)" "$(weights "$T/whole") $(no_speed "$T/whole.log" | sha256sum)" "$name: killed and resumed ($rounds rounds)"
}
{
    kill_and_resume "whole words" --objective mlm --mask-unit word --mask-count floor
    kill_and_resume "spans" --objective mlm --mask-unit span --mask-fixed 2
    kill_and_resume "exchange" --objective mlm --accumulate 3 --exchange cost --prefetch 3
    kill_and_resume "packed" --objective mlm --break-mode complete-doc --pack --accumulate 2
    kill_and_resume "grouped" --objective mlm --bucket 4 --break-mode none
    kill_and_resume "mlm+nsp, from a file" --objective mlm+nsp --pair-copies 3 --cache "$T/pairs"
    kill_and_resume "sop, by cost" --objective sop --pair-copies 3
} 2>/dev/null
run train --objective mlm --data "$T/docs.txt" --steps 3 --accumulate 2 --exchange tokens --log "$T/log1" -o "$T/out1"
is "$(grep -cE '"imbalance_tokens":1(\.[0-9]+)?,"imbalance_cost":1(\.[0-9]+)?\}$' "$T/log1")" 3 "the log says how even the batches are"
run lathe train "$M" --objective mlm --data "$T/docs.txt" --batch-cost 300 --steps 3 --quiet -o "$T/out1" --json
is "$rc" 0 "a budget by cost"
run train --objective mlm --break-mode complete --max-tokens 8 --data "$T/docs.txt" --steps 3 -o "$T/out1" --json
like "$out" '"skipped":0,"cut":238,' "sentences that are longer than a block are cut up and counted"

# BERT's two heads come out, with their names.
run lathe train "$M" --objective mlm+nsp --init random --data "$T/docs.txt" --steps 2 --max-tokens 48 --quiet -o "$T/pre"
is "$(grep -aoE '"(cls.predictions.transform.dense|cls.seq_relationship|bert.pooler.dense).weight"' "$T/pre/model.safetensors" | sort | tr '\n' ' ')" \
    '"bert.pooler.dense.weight" "cls.predictions.transform.dense.weight" "cls.seq_relationship.weight" ' "both heads are saved"
like "$(cat "$T/pre/config.json")" '"architectures": \["BertForPreTraining"\]' "as BertForPreTraining"
run lathe train "$T/pre" --objective mlm+nsp --data "$T/docs.txt" --steps 2 --max-tokens 48 --quiet -o "$T/pre2"
is "$rc $err" "0 " "it is trained on"
run lathe train "$T/pre" --objective nsp --data "$T/docs.txt" --valid "$T/docs.txt" --steps 80 --lr 5e-3 --max-tokens 24 --dropout 0 --quiet -o "$T/nsp" --log "$T/nsp.log"
check "nsp is learned" awk -F'[:,]' '{ if (NR <= 10) a += $4; if (NR > 70 && NR <= 80) b += $4 } END { exit !(b < 0.9 * a) }' "$T/nsp.log"

# Hostile rows.
head -c 1000000 /dev/zero | tr '\0' x >"$T/long.txt"
{ echo && for i in $(seq 100000); do printf 'a word '; done && echo && echo short; } >>"$T/long.txt"
run train --objective mlm --data "$T/long.txt" --steps 2 -o "$T/out1" --json
like "$rc $out" '^0 .*"examples":3' "a line of a million characters"
run train --objective mlm --break-mode complete --data "$T/long.txt" --steps 2 -o "$T/out1" --json
like "$rc $out" '^0 .*"cut":1' "… in blocks"
printf 'with a \0 in it\n\377\376 no text\n\0\0\0\n' >"$T/nul.txt"
run train --objective mlm --data "$T/nul.txt" --steps 2 -o "$T/out1" --json
like "$rc $out" '^0 .*"steps":2' "NULs and bytes that are no text"
head -c 400 "$T/docs.txt.gz" >"$T/cut.txt.gz"
run train --objective mlm --data "$T/cut.txt.gz" --steps 2 -o "$T/none" --cache "$T/cache2"
like "$rc $err" '^1 .*cut\.txt\.gz' "a cut gzip file"
is "$(find "$T/cache2" -type f | wc -l)" 0 "… leaves no file of tokens"
: >"$T/empty.txt"
run train --objective mlm --data "$T/empty.txt" --steps 2 -o "$T/none" --cache "$T/cache2"
like "$rc $err" '^1 .*empty\.txt: no row to learn from' "no row"
for i in $(seq 20000); do echo "line $i"; done >"$T/many.txt"
run bash -c "trap '' XFSZ; ulimit -f 40; exec '$LATHE' train '$M' --objective mlm --data '$T/many.txt' --steps 2 -o '$T/none' --cache '$T/cache3' --quiet"
like "$rc $err" '^1 .*cache3/tokens-' "a full disk"
is "$(find "$T/cache3" -type f | wc -l)" 0 "… leaves no file of tokens"
printf 'text\tlabel\nx\ta\ny\n' >"$T/bad.tsv"
for i in $(seq 100); do echo "{\"words\": [\"a\"], \"tags\": [\"O\", \"X\"]}"; done >"$T/bad.jsonl"
sed -i '1,40s/, "X"//' "$T/bad.jsonl"
run train --objective tag --data "$T/bad.jsonl" --steps 1 -o "$T/none" --threads 3
like "$rc $err" '^1 .*bad\.jsonl:41: ' "of several bad rows the first is named, with any number of threads"

# More rows than memory is to hold.
for i in 1 2 3 4 5 6; do cat "$T/many.txt" "$T/many.txt" "$T/many.txt"; done | awk '{ print $0, "of many lines that do not fit", NR }' >"$T/large.txt"
"$LATHE" train "$M" --objective mlm --data "$T/large.txt" --steps 2 -o "$T/big" --cache "$T/cache4" --quiet >/dev/null &
pid=$! most=0
while kill -0 $pid 2>/dev/null; do
    now=$(awk '/^RssAnon/ { print $2 }' /proc/$pid/status 2>/dev/null)
    [ "${now:-0}" -gt $most ] && most=$now
    sleep 0.01
done
wait $pid
tokens=$(stat -c %s "$T"/cache4/tokens-*)
check "memory stays small: $most kB, with $((tokens / 1024)) kB of tokens" [ $most -lt $((tokens / 1024 / 2)) ]

# Interrupted.
"$LATHE" train "$M" --objective mlm --data "$T/docs.txt" --steps 1000000 --quiet -o "$T/int" --prefetch 4 --cache "$T/cache" >/dev/null 2>"$T/int.err" &
pid=$!
sleep 0.3
kill -INT $pid
wait $pid
is "$? $(ls "$T/int" | tr '\n' ' ')" "130 train.json " "Ctrl-C ends it"

# Command lines.
for bad in "--mask-rate 0" "--mask-rate 2" "--mask-unit letter" "--mask-keep 0.9 --mask-random 0.9" "--mask-count bernoulli --mask-unit span" "--mask-most 5" \
    "--pack --batch-tokens 100" "--pack --bucket 3" "--batch-cost 100 --batch-tokens 100" "--exchange all" "--prefetch 1000" "--break-mode words" "--format xml"; do
    # shellcheck disable=SC2086
    run lathe train "$M" --objective mlm --data "$T/docs.txt" --steps 1 -o "$T/no" $bad
    name=${bad%% *}
    like "$rc $err" "^2 .*(${name#--}|${bad##*--})" "$bad"
done
run lathe train "$M" --objective classify --data "$T/docs.txt" --steps 1 -o "$T/no" --break-mode complete
like "$rc $err" '^2 .*break-mode' "rows with labels are not joined"
run lathe train "$M" --objective nsp --data "$T/docs.txt" --steps 1 -o "$T/no" --break-mode complete
like "$rc $err" '^2 .*break-mode' "pairs are made in their own way"
check "nothing is left of what was refused" [ ! -e "$T/no" ]

# Readers that have no header: real rows of several sets.
if [ -n "$data" ] && [ -d "$data/wnut17" ]; then
    real() { # ROWS OPTION…
        rm -rf "$T/real"
        local rows=$1
        shift
        run lathe train "$M" --steps 1 -o "$T/real" --quiet --json "$@"
        like "$rc $out" "^0 .*\"examples\":$rows,\"skipped\":0" "${*: -1}: $rows rows"
    }
    D=$data
    real 3394 --objective tag --data "$D/wnut17/wnut17train.conll"
    real 5424 --objective tag --format conll --data "$D/ncbi-disease/train.tsv"
    real 1672 --objective tag --format conll --data "$D/nergrit/train.txt"
    real 2200 --objective tag --format conll --columns words=2,tags=3 --data "$D/germeval14/NER-de-dev.tsv"
    real 433 --objective tag --data "$D/ud-maltese/mt_mudt-ud-dev.conllu"
    real 6920 --objective classify --columns text=1,label=2 --data "$D/sst2/train.tsv"
    real 4076 --objective classify --columns "text=#1 String,text_pair=#2 String,label=Quality" --format tsv --data "$D/mrpc/msr_paraphrase_train.txt"
    real 7250 --objective classify --columns text=4,label=2 --data "$D/glue/CoLA/train.tsv"
    real 5749 --objective regress --columns text=6,text_pair=7,label=5 --format tsv --data "$D/stsb/sts-train.csv"
else
    skip "rows of real sets" "LATHE_DATA is not set"
fi
done_testing
