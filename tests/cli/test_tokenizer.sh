#!/bin/bash
# Protects: tokenizer train: exactly N entries, the same bytes with any number of threads, texts that come back, what its options change,
# what files it reads and leaves alone; and that an error, a full disk or a signal says what it is and leaves nothing behind.
. "$(dirname "$0")/../tap.sh"

# Words of some letters, common and rare ones; lines of twelve.
awk 'BEGIN {
    x = 42
    split("a e i o u r s t n l ch st ä é ж и 中 文 😀 ,", part, " ")
    for (w = 1; w <= 5000; w++)
        for (n = 1 + w % 6; n >= 0; n--) { x = x * 16807 % 2147483647; word[w] = word[w] part[1 + int(sqrt(x % 400))] }
    for (i = 1; i <= 20000; i++) {
        line = i % 3 ? "The" : "a"
        for (k = 0; k < 12; k++) { x = x * 16807 % 2147483647; u = x / 2147483647; line = line " " word[1 + int(5000 * u * u * u)] }
        print line "."
    }
}' >"$T/text.txt" </dev/null
head -n 2000 "$T/text.txt" >"$T/short.txt"

train() { lathe tokenizer train "$@" --quiet; }
vocab() { sed -n '/^    "vocab": {/,/^    }/p' "$1/tokenizer.json" | sed '1d;$d'; } # a line an entry
merges() { sed -n '/^    "merges": \[/,/^    \]/p' "$1/tokenizer.json" | sed '1d;$d'; }
tokens() { vocab "$1" | sed 's/^ *//;s/,$//'; }
left() { find "$T" -name '*.tmp*' | head; } # what should not be there

# ---- what comes out ----

for kind in bpe wordpiece; do
    for n in 600 2000; do
        run train --kind $kind --vocab-size $n "$T/text.txt" -o "$T/$kind-$n" --json
        is "$rc:$err" "0:" "$kind, $n entries"
        like "$out" '^\{"kind":"'$kind'","vocab":'$n',"special":[15],"alphabet":[0-9]+,"merged":[0-9]+,"rows":20000,"words":[0-9]+\}$' "… its result"
        is "$(vocab "$T/$kind-$n" | sed 's/.*: \([0-9]*\),*$/\1/' | tr '\n' ' ')" "$(seq -s ' ' 0 $((n - 1))) " "… ids 0 to N - 1, each once"
        is "$(vocab "$T/$kind-$n" | sed 's/: [0-9]*,*$//' | sort -u | wc -l)" $n "… no token twice"
    done
    is "$(tokens "$T/$kind-600")" "$(tokens "$T/$kind-2000" | head -n 600)" "$kind: a larger vocabulary begins like a smaller one"
    for threads in 1 2 3; do
        train --kind $kind --vocab-size 600 "$T/text.txt" -o "$T/$kind-$threads-threads" --threads $threads >/dev/null
        check "$kind, $threads threads: the same bytes" diff -r "$T/$kind-600" "$T/$kind-$threads-threads"
    done
    is "$(ls "$T/$kind-600" | tr '\n' ' ')" "tokenizer.json tokenizer_config.json " "$kind: the files"
done
is "$(tokens "$T/bpe-600" | sed -n '1p;2p;257p;258p' | tr '\n' ' ')" "$(printf '"<|endoftext|>": 0 "!": 1 "Ń": 256 ')$(tokens "$T/bpe-600" | sed -n 258p) " "bpe: the special token, then the bytes"
is "$(merges "$T/bpe-600" | wc -l)" 343 "bpe: a merge for each other token"
is "$(tokens "$T/wordpiece-600" | head -n 5 | tr '\n' ' ')" '"[PAD]": 0 "[UNK]": 1 "[CLS]": 2 "[SEP]": 3 "[MASK]": 4 ' "wordpiece: the special tokens"

# Counted by hand: "ca" stands four times, then "cab" thrice; "ab" and "cad" stand once each, and the one with the smaller ids goes first.
printf 'ab cab\ncab cab\ncad\n' >"$T/hand.txt"
train --kind wordpiece --vocab-size 16 "$T/hand.txt" -o "$T/hand" >/dev/null
is "$(tokens "$T/hand" | tail -n 11 | sed 's/: .*//' | tr -d '"' | tr '\n' ' ')" "a b c d ##a ##b ##d ca cab ab cad " "wordpiece, by hand"

# ---- texts that come back ----

for i in 257 600 2000; do
    [ $i = 257 ] && train --kind bpe --vocab-size 257 "$T/text.txt" -o "$T/bpe-257" >/dev/null
    { sed -n '1,400p' "$T/text.txt"; printf ' two  blanks \there, Ω ﬁ e\xcc\x81 \xe2\x80\x8d 👩‍🚀 <|endoftext|> x\n   \n\xef\xbb\xbfmark\n'; } >"$T/again.txt"
    lathe tokenize "$T/bpe-$i" "$T/again.txt" --json | sed 's/^{"ids":\(\[[^]]*\]\).*/\1/' >"$T/ids.txt"
    check "bpe, vocabulary $i: texts come back" cmp <(lathe tokenize "$T/bpe-$i" "$T/ids.txt" --decode) "$T/again.txt"
done
is "$(lathe tokenize "$T/wordpiece-2000" "$T/short.txt" --json | grep -c '"ids":\[2,.*,3\]')" 2000 "wordpiece: [CLS] … [SEP]"
is "$(lathe tokenize "$T/wordpiece-2000" "$T/short.txt" --json | grep -c '\[UNK\]')" 0 "wordpiece: its own texts have no unknown words"
like "$(printf 'THE a\xcc\x88 Ж zebra\n' | lathe tokenize "$T/wordpiece-600" --json)" '"tokens":\["\[CLS\]","the","a","ж","\[UNK\]","\[SEP\]"\]' "wordpiece: lower case, no accents; letters it has not seen"
M=$MODELS/bert-tiny
if [ -f "$M/config.json" ]; then
    mkdir "$T/model"
    cp "$M/config.json" "$T/model/config.json"
    run train --kind wordpiece --vocab-size 300 "$T/short.txt" -o "$T/model"
    is "$rc $(ls "$T/model" | tr '\n' ' ')" "0 config.json tokenizer.json tokenizer_config.json " "into a folder with a configuration"
    check "… which stays" cmp "$M/config.json" "$T/model/config.json"
    sed -i 's/"vocab_size": [0-9]*/"vocab_size": 300/' "$T/model/config.json"
    run lathe train "$T/model" --init random --objective mlm --data "$T/short.txt" --steps 2 --batch 4 -o "$T/trained" --quiet
    is "$rc:$err" "0:" "… and train begins a model there"
fi

# ---- options ----

train --kind wordpiece --vocab-size 600 "$T/text.txt" --cased -o "$T/cased" >/dev/null
like "$(printf 'The \xc3\xa9\n' | lathe tokenize "$T/cased" --json)" '"The","é"' "--cased keeps upper case and accents"
like "$(<"$T/cased/tokenizer_config.json")" '"do_lower_case": false' "… and says so"
for kind in bpe wordpiece; do
    usual=$([ $kind = bpe ] && echo 1 || echo 5)
    run train --kind $kind --vocab-size 600 "$T/short.txt" --special '<a "b">' --special '[PAD]' --special 'ж' --special '<|endoftext|>' -o "$T/special"
    is "$rc:$(tokens "$T/special" | sed -n "$((usual + 1)),$((usual + 2))p" | tr '\n' ' ')" \
        "0:$([ $kind = bpe ] && echo '"<a \"b\">": 1 "[PAD]": 2 ' || echo '"<a \"b\">": 5 "ж": 6 ')" "$kind: --special, behind the usual ones, none twice"
    is "$(vocab "$T/special" | wc -l)" 600 "… and N entries still"
    like "$(echo 'aж<a "b">e' | lathe tokenize "$T/special" --no-special --json)" '"tokens":\["a","ж","<a \\"b\\">","e"\]' "… never cut, never merged"
    like "$(<"$T/special/tokenizer_config.json")" '"additional_special_tokens": \["<a \\"b\\">", ' "… and are in the configuration"
    rm -r "$T/special"
done
printf 'aa bb bb cc cc cc\n%.0s' 1 >"$T/few.txt"
run train --kind wordpiece --vocab-size 13 --min-frequency 2 "$T/few.txt" -o "$T/frequent"
is "$rc:$(tokens "$T/frequent" | tail -n 2 | tr '\n' ' ')" '0:"cc": 11 "bb": 12 ' "--min-frequency: what is as frequent is merged"
run train --kind wordpiece --vocab-size 14 --min-frequency 2 "$T/few.txt" -o "$T/none"
like "$rc $err" "^1 .*a vocabulary of 14 entries: these texts, 3 different words, give only 13, with no pair left that occurs 2 times" "… and nothing else"
run train --kind wordpiece --vocab-size 14 "$T/few.txt" -o "$T/all"
is "$rc" 0 "… without it, all is"
run train --kind wordpiece --vocab-size 40 --limit-alphabet 4 "$T/short.txt" -o "$T/limited"
is "$rc:$(tokens "$T/limited" | grep -c '^".":')" "0:4" "--limit-alphabet: four letters"
run train --kind wordpiece --vocab-size 30 "$T/text.txt" -o "$T/small"
is "$rc:$(vocab "$T/small" | wc -l)" "0:30" "an alphabet that does not fit is limited to half of the vocabulary"
run train --kind wordpiece --vocab-size 30 --limit-alphabet 20 "$T/text.txt" -o "$T/none"
like "$rc $err" "^1 .*a vocabulary of 30 entries: .*do not fit; limit the alphabet" "… unless it was said how many"

# ---- files ----

gzip -c "$T/short.txt" >"$T/packed.txt.gz"
sed 's/"/\\"/g;s/.*/{"n": 1, "body": "&"}/' "$T/short.txt" >"$T/rows.jsonl"
gzip -c "$T/rows.jsonl" >"$T/rows.jsonl.gz"
{ echo body; sed 's/.*/"&"/' "$T/short.txt"; } >"$T/rows.csv"
sed 's/$/\r/' "$T/short.txt" >"$T/crlf.txt"
head -c -1 "$T/short.txt" >"$T/open.txt"
for kind in bpe wordpiece; do
    train --kind $kind --vocab-size 500 "$T/short.txt" -o "$T/plain-$kind" >/dev/null
    for file in packed.txt.gz crlf.txt open.txt rows.jsonl rows.jsonl.gz rows.csv; do
        columns=''
        [[ $file = rows* ]] && columns="--columns text=body"
        train --kind $kind --vocab-size 500 $columns "$T/$file" -o "$T/same" >/dev/null
        check "$kind from $file: the same" diff -r "$T/plain-$kind" "$T/same"
        rm -rf "$T/same"
    done
    split -n l/3 "$T/short.txt" "$T/part-"
    train --kind $kind --vocab-size 500 "$T"/part-* -o "$T/same" >/dev/null
    check "$kind from three files: the same" diff -r "$T/plain-$kind" "$T/same"
    for from in '' -; do
        rm -rf "$T/same"
        lathe tokenizer train --kind $kind --vocab-size 500 $from -o "$T/same" --quiet <"$T/short.txt" >/dev/null
        check "$kind from standard input ($from): the same" diff -r "$T/plain-$kind" "$T/same"
    done
    train --kind $kind --vocab-size 500 "$T/text.txt" -o "$T/same" >/dev/null
    check "$kind: a folder with a tokenizer gets the new one" bash -c '! cmp -s "$1/tokenizer.json" "$2/tokenizer.json"' - "$T/plain-$kind" "$T/same"
    train --kind $kind --vocab-size 500 "$T/short.txt" -o "$T/same" >/dev/null
    check "… and again" diff -r "$T/plain-$kind" "$T/same"
    rm -rf "$T/same"
done

# ---- hostile texts ----

head -c 1000000 /dev/zero | tr '\0' x >"$T/million.txt"
{ cat "$T/million.txt"; echo; tr x ' ' <"$T/million.txt"; echo; cat "$T/short.txt"; } >"$T/long.txt"
head -c 1000000 /dev/zero | openssl enc -aes-128-ctr -K 0 -iv 0 2>/dev/null >"$T/noise.txt"
[ -s "$T/noise.txt" ] || head -c 1000000 /dev/urandom >"$T/noise.txt"
for kind in bpe wordpiece; do
    run timeout 20 "$LATHE" tokenizer train --kind $kind --vocab-size 500 "$T/long.txt" -o "$T/$kind-long" --quiet
    is "$rc:$err:$(vocab "$T/$kind-long" | wc -l)" "0::500" "$kind: rows of a million letters and of a million blanks"
    run timeout 20 "$LATHE" tokenizer train --kind $kind --vocab-size 2500 "$T/noise.txt" -o "$T/$kind-noise" --quiet
    is "$rc:$err:$(vocab "$T/$kind-noise" | wc -l)" "0::2500" "$kind: noise, hardly any of it UTF-8"
    is "$(lathe tokenize "$T/$kind-noise" "$T/noise.txt" --json | wc -l)" "$(awk 'END { print NR }' "$T/noise.txt")" "… and what was learnt reads it"
    printf 'a\x00b a\x00b\nfl\xc3\xa4che \xff\xfe\n' >"$T/zero.txt"
    few=$([ $kind = bpe ] && echo 260 || echo 18)
    run train --kind $kind --vocab-size "$few" "$T/zero.txt" -o "$T/$kind-zero"
    is "$rc:$err" "0:" "$kind: zero bytes and bytes that are no UTF-8"
done
: >"$T/empty.txt"
printf '\n\n  \n' >"$T/blank.txt"
for kind in bpe wordpiece; do
    least=$([ $kind = bpe ] && echo 257 || echo 5)
    run train --kind $kind --vocab-size $least "$T/empty.txt" -o "$T/$kind-none"
    is "$rc:$err:$(vocab "$T/$kind-none" | wc -l)" "0::$least" "$kind: no text makes the special tokens and the alphabet"
    rm -r "$T/$kind-none"
    for text in empty blank; do
        run train --kind $kind --vocab-size 1000 "$T/$text.txt" -o "$T/none"
        like "$rc $err" "^1 .*a vocabulary of 1000 entries: these texts, [0-9] different words, give only (5|257|258|259)," "$kind: $text texts are too few"
    done
    run train --kind $kind --vocab-size $((least - 1)) "$T/text.txt" -o "$T/none"
    like "$rc $err" "^2 .*a vocabulary of $((least - 1)) entries: .*are $least already" "$kind: less than that is no vocabulary"
    run train --kind $kind --vocab-size 200000000 "$T/short.txt" -o "$T/none"
    like "$rc $err" "^1 .*a vocabulary of 200000000 entries: these texts, [0-9]+ different words, give only [0-9]+, with no pair left that occurs 1 times" "$kind: too few texts"
done

# ---- errors ----

refused() { # WANTED NAME ARGUMENT…
    local wanted=$1 name=$2
    shift 2
    run lathe tokenizer "$@"
    like "$rc $err" "$wanted" "$name" && [ -z "$out" ] && [ ! -e "$T/none" ] && [ -z "$(left)" ]
    ok $? "… and nothing is written"
}
S=$T/short.txt
refused "^2 .*expected train, found 'trian'" "another word" trian --kind bpe --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*expected train" "no word"
refused "^2 .*--kind wordpiece or --kind bpe is expected" "no kind" train --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*--kind: .*bpe.*'bpee'|^2 .*--kind.*bpee" "another kind" train --kind bpee --vocab-size 300 "$S" -o "$T/none"
refused "^1 .*\"unigram\" are not trained by this version, only wordpiece and bpe" "unigram" train --kind unigram --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*--vocab-size N is expected" "no size" train --kind bpe "$S" -o "$T/none"
for n in 0 -3 x 1e4 99999999999999999999; do
    refused "^2 .*--vocab-size: expected a whole number from 1 to [0-9]+, found '$n'" "a size of $n" train --kind bpe --vocab-size=$n "$S" -o "$T/none"
done
refused "^2 .*-o DIR is expected" "no folder" train --kind bpe --vocab-size 300 "$S"
refused "^2 .*--ids: a tokenizer is made from texts" "ids" train --kind bpe --vocab-size 300 --ids "$S" -o "$T/none"
refused "^2 .*letter case and a limit of the alphabet are wordpiece's" "bpe has no case" train --kind bpe --cased --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*letter case and a limit of the alphabet are wordpiece's" "bpe has no limit" train --kind bpe --limit-alphabet 9 --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*--min-frequency: expected a whole number" "a negative frequency" train --kind bpe --min-frequency=-1 --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*a special token is expected to be a text in UTF-8, and not empty" "an empty special token" train --kind bpe --special '' --vocab-size 300 "$S" -o "$T/none"
refused "^2 .*a special token is expected to be a text in UTF-8" "a special token of odd bytes" train --kind bpe --special $'\xff' --vocab-size 300 "$S" -o "$T/none"
refused "^1 .*$T/nothing.txt: No such file" "a file that is not there" train --kind bpe --vocab-size 300 "$S" "$T/nothing.txt" -o "$T/none"
refused "^1 .*$T/rows.jsonl:1: .*\"?text\"?.*body" "a column that is not there" train --kind bpe --vocab-size 300 "$T/rows.jsonl" -o "$T/none"
{ head -n 99 "$T/rows.jsonl"; echo '{"body": '; } >"$T/broken.jsonl"
refused "^1 .*$T/broken.jsonl:100:" "a broken row" train --kind bpe --vocab-size 300 --columns text=body "$T/broken.jsonl" -o "$T/none"
head -c 2000 "$T/packed.txt.gz" >"$T/broken.txt.gz"
refused "^1 .*$T/broken.txt.gz" "a broken file" train --kind bpe --vocab-size 300 "$T/broken.txt.gz" -o "$T/none"
refused "^1 .*$T/short.txt: exists and is no folder" "a file for a folder" train --kind bpe --vocab-size 300 "$S" -o "$S"
refused "^1 .*$T/no/folder: No such file" "a folder in none" train --kind bpe --vocab-size 300 "$S" -o "$T/no/folder"
for other in vocab.txt vocab.json merges.txt special_tokens_map.json added_tokens.json tokenizer.model spiece.model; do
    mkdir -p "$T/other"
    echo kept >"$T/other/$other"
    refused "^1 .*$T/other/$other: belongs to another tokenizer; nothing written beside it" "a folder with a $other" \
        train --kind bpe --vocab-size 300 "$S" -o "$T/other"
    is "$(ls "$T/other"):$(<"$T/other/$other")" "$other:kept" "… which is left as it was"
    rm -r "$T/other"
done

# ---- no room, no time ----

full() { # a shell with a limit of 4 kB a file: a full disk's nearest kin that anyone may have
    (trap '' XFSZ; ulimit -f 4; exec "$LATHE" tokenizer train --kind bpe --vocab-size 1000 "$S" -o "$1" --quiet)
}
cp -r "$T/plain-bpe" "$T/old"
for folder in none old; do
    run full "$T/$folder"
    like "$rc $err" "^1 .*tokenizer.json: File too large" "no room, $folder folder: said"
    is "$(left)$(ls "$T/none" 2>/dev/null)" "" "… and nothing is left"
done
check "… the old tokenizer stays" diff -r "$T/plain-bpe" "$T/old"
if [ "$(id -u)" = 0 ] && mkdir "$T/disk" && mount -t tmpfs -o size=16k none "$T/disk" 2>/dev/null; then
    run train --kind bpe --vocab-size 1000 "$S" -o "$T/disk/none"
    like "$rc $err" "^1 .*No space left" "a full disk: said"
    is "$(ls -A "$T/disk")" "" "… and nothing is left"
    umount "$T/disk"
else
    skip "a full disk" "no right to mount one"
fi

mkfifo "$T/fifo"
for signal in INT:130 TERM:143; do
    "$LATHE" tokenizer train --kind bpe --vocab-size 300 "$T/fifo" -o "$T/none" --quiet 2>"$T/err" &
    pid=$!
    exec 3>"$T/fifo"
    head -n 100 "$S" >&3
    sleep 0.2
    kill -${signal%:*} $pid
    rc=0; wait $pid || rc=$?
    exec 3>&-
    is "$rc:$(<"$T/err")" "${signal#*:}:" "SIG${signal%:*} while it waits for text: status ${signal#*:}, no message"
    [ ! -e "$T/none" ] && [ -z "$(left)" ]
    ok $? "… and nothing is left"
done
wrong="" stopped=0
for i in $(seq 12); do
    rm -rf "$T/none"
    kind=$([ $((i % 2)) = 0 ] && echo bpe || echo wordpiece)
    "$LATHE" tokenizer train --kind "$kind" --vocab-size 2000 "$T/text.txt" -o "$T/none" --quiet >/dev/null 2>"$T/err" &
    pid=$!
    sleep "$(printf 0.%03d $((i * 12)))"
    kill -INT $pid 2>/dev/null
    rc=0; wait $pid || rc=$?
    case $rc in
    130) stopped=$((stopped + 1)); [ ! -e "$T/none" ] || wrong+="stopped, and the folder is there; " ;;
    0) [ "$(vocab "$T/none" | wc -l)" = 2000 ] || wrong+="done, and not whole; " ;;
    *) wrong+="status $rc $(<"$T/err"); " ;;
    esac
    wrong+=$(left)
done
is "$wrong" "" "Ctrl-C at any moment leaves all or nothing ($stopped of 12 stopped)"
rm -rf "$T/none"
done_testing
