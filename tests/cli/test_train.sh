#!/bin/bash
# Protects: train: what a run leaves behind, that every verb takes it, logs and weights of runs that were killed and resumed, threads, labels,
# frozen parameters; and that bad data, bad options and numbers that are not finite leave nothing behind.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
labelled_rows >"$T/rows.tsv"
train() { lathe train "$M" --objective classify --data "$T/rows.tsv" --batch 8 --lr 3e-3 --quiet "$@"; }

run train --steps 25 --save-every 10 --log "$T/log" -o "$T/out" --json
is "$rc:$err" "0:" "train"
like "$out" '^\{"steps":25,"examples":120,"skipped":0,"loss":[0-9.e-]+\}$' "its result"
is "$(ls "$T/out" | grep -E 'checkpoint|^model|^config|state' | tr '\n' ' ')" "checkpoint-10 checkpoint-20 config.json model.safetensors trainer_state.json " "what it leaves"
is "$(wc -l <"$T/log") $(grep -cE '^\{"step":[0-9]+,"loss":[0-9.e-]+,"lr":0.003,"grad_norm":[0-9.e-]+,"tokens":[0-9]+,"tokens_per_s":[0-9.e+]+\}$' "$T/log")" "25 25" "the log: a line a step"
check "the loss falls" awk -F'[:,]' 'NR == 1 { a = $4 } END { exit !($4 < a * 0.8) }' "$T/log"
is "$(grep -o '"id2label": {[^}]*}' "$T/out/config.json")" '"id2label": {"0": "bad", "1": "good", "2": "middling"}' "labels have their names, sorted"
like "$(lathe info "$T/out" --json)" '"head":"classify".*"unsupported":\[\]' "info takes it for a classifier"
check "forward runs it" lathe forward "$T/out" "$T/rows.tsv" --output logits -o "$T/logits.npy"
check "a checkpoint is a model too" lathe embed "$T/out/checkpoint-10" "$T/rows.tsv" -o "$T/x.npy"

for t in 2 3; do
    train --steps 25 --threads $t --log "$T/log$t" -o "$T/out$t" >/dev/null
    is "$(weights "$T/out$t")" "$(weights "$T/out")" "$t threads: the same weights"
    is "$(no_speed "$T/log$t")" "$(no_speed "$T/log")" "$t threads: the same log"
done
train --steps 25 --activation-checkpointing --log "$T/logc" -o "$T/outc" >/dev/null
is "$(weights "$T/outc")" "$(weights "$T/out")" "blocks that are computed again: the same weights"
is "$(no_speed "$T/logc")" "$(no_speed "$T/log")" "blocks that are computed again: the same log"
for how in "--optimizer schedule_free" "--ema 0.9" "--precision bf16" ""; do # what is packed once a step is packed anew after it
    train --steps 6 --accumulate 3 $how --valid "$T/rows.tsv" --every 2 --log "$T/loga" -o "$T/outa" >/dev/null 2>&1
    train --steps 6 --accumulate 3 $how --valid "$T/rows.tsv" --every 2 --activation-checkpointing --log "$T/logb" -o "$T/outb" >/dev/null 2>&1
    is "$(weights "$T/outb") $(no_speed "$T/logb")" "$(weights "$T/outa") $(no_speed "$T/loga")" "several batches a step, computed again${how:+, $how}: the same"
done
train --steps 25 --precision bf16 --log "$T/log16" -o "$T/out16" >"$T/said16" 2>&1
check "bf16: losses within two hundredths" awk -F'[:,]' 'NR == FNR { a[NR] = $4; next } $4 > a[FNR] + 0.02 || $4 < a[FNR] - 0.02 { exit 1 }' "$T/log" "$T/log16"
train --steps 25 --precision bf16 --threads 3 -o "$T/out16b" >/dev/null 2>&1
is "$(weights "$T/out16b")" "$(weights "$T/out16")" "bf16, 3 threads: the same weights"
check "bf16 or a remark that there is none" [ "$(weights "$T/out16")" != "$(weights "$T/out")" -o -n "$(grep bf16 "$T/said16")" ]
run train --steps 1 --precision int8 -o "$T/int8"
like "$rc $err" "^2 .*--precision int8" "no training in int8"
train --steps 25 --seed 1 -o "$T/seed" >/dev/null
check "another seed: other weights" [ "$(weights "$T/seed")" != "$(weights "$T/out")" ]

# Killed at some moment, again and again, until it has ended.
rounds=0
while [ $rounds -lt 40 ]; do
    rounds=$((rounds + 1))
    # the program itself in the background: killing a shell around it would leave it running
    "$LATHE" train "$M" --objective classify --data "$T/rows.tsv" --batch 8 --lr 3e-3 --quiet --steps 25 --save-every 2 --log "$T/cut.log" -o "$T/cut" \
        --resume >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf 0.%03d $((RANDOM % 14 + 3)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -f "$T/cut/model.safetensors" ] && break
done
train --steps 25 --save-every 2 --log "$T/cut.log" -o "$T/cut" --resume >/dev/null
is "$(weights "$T/cut")" "$(weights "$T/out")" "killed and resumed: the same weights ($rounds rounds)"
is "$(no_speed "$T/cut.log")" "$(no_speed "$T/log")" "killed and resumed: the same log"
before=$(stat -c %Y.%i "$T/cut/model.safetensors")
run train --steps 25 --save-every 2 --log "$T/cut.log" -o "$T/cut" --resume
is "$rc $(stat -c %Y.%i "$T/cut/model.safetensors")" "0 $before" "a finished run stays as it is"

train --steps 10 --freeze 'embeddings|encoder' -o "$T/frozen" >/dev/null
lathe embed "$M" "$T/rows.tsv" --pooling mean -o "$T/a.npy" --quiet
lathe embed "$T/frozen" "$T/rows.tsv" --pooling mean -o "$T/b.npy" --quiet
check "what is frozen stays as it was" cmp "$T/a.npy" "$T/b.npy"
run train --steps 3 --freeze . -o "$T/none"
like "$rc $err" "^2 .*leaves no parameter" "nothing to train"

train --steps 4 --valid "$T/rows.tsv" --every 2 --log "$T/valid.log" -o "$T/valid" >/dev/null
is "$(grep -c '"valid":{"loss":[0-9.e-]*,"accuracy":[0-9.]*,"f1_macro":[0-9.]*,"mcc":-\?[0-9.]*}' "$T/valid.log")" 2 "validations are in the log"

for i in $(seq 12); do echo '{"ids": [2, 5, 6, 7, 3], "labels": [-100, 8, -100, 9, -100]}'; done >"$T/labels.jsonl"
run lathe train "$M" --init random --objective labels --data "$T/labels.jsonl" --steps 3 --no-shuffle --dropout 0 -o "$T/labelled" --quiet
is "$rc:$err" "0:" "labels, from random weights"

for i in $(seq 20); do
    echo '{"words": ["a", "good", "line"], "tags": ["O", "B-X", "I-X"]}'
    echo '{"words": ["bad", "lines"], "tags": ["O", "O"]}'
done >"$T/tags.jsonl"
run lathe train "$M" --objective tag --data "$T/tags.jsonl" --valid "$T/tags.jsonl" --steps 30 --batch 8 --lr 1e-2 --dropout 0 --log "$T/tag.log" -o "$T/tagger" --quiet
is "$rc:$err" "0:" "tag"
check "it learns them" awk -F'"accuracy":' '/valid/ { exit !($2 + 0 > 0.99) }' "$T/tag.log"
like "$(grep -o '"id2label": {[^}]*}' "$T/tagger/config.json")" 'B-X.*I-X.*O' "the tags have their names"
run lathe train "$M" --objective regress --data "$T/rows.tsv" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*rows\.tsv:2: label: a number is expected, not \"good\"" "regress takes numbers"
sed 's/good$/1.5/;s/bad$/-1/;s/middling$/0.25/' "$T/rows.tsv" >"$T/numbers.tsv"
for o in adamw sgd lion lamb; do
    for s in constant linear cosine inverse_sqrt wsd; do
        rm -rf "$T/r"
        lathe train "$M" --objective regress --data "$T/numbers.tsv" --batch 120 --dropout 0 --steps 12 --warmup 2 --lr 1e-3 --optimizer $o --schedule $s --log "$T/r.log" -o "$T/r" --quiet ||
            echo "# $o $s failed"
        [ $s = constant ] && check "$o: the loss falls" awk -F'[:,]' 'NR == 1 { a = $4 } END { exit !($4 < a) }' "$T/r.log"
    done
    is "$(wc -l <"$T/r.log")" 12 "$o with every schedule"
done
is "$(sed -n 's/.*"lr":\([^,]*\),.*/\1/p' "$T/r.log" | tr '\n' ' ')" "0 0.0005 0.001 0.001 0.001 0.001 0.001 0.001 0.001 0.001 0.001 0.0005 " "wsd: up, along, down"

# Refusals.
printf 'text\tlabel\nx\tgood\ny\tunheard\n' >"$T/other.tsv"
run lathe train "$T/out" --objective classify --data "$T/other.tsv" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*other\.tsv:3: label: \"unheard\" is none of the labels \(bad, good, middling\)" "a label that is not in the set"
echo '{"ids": [2, 3], "labels": [1]}' >"$T/short.jsonl"
run lathe train "$M" --objective labels --data "$T/short.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*short\.jsonl:1: labels: an array of 2 numbers" "labels of another length"
echo '{"ids": [2, 99999999], "labels": [1, 1]}' >"$T/big.jsonl"
run lathe train "$M" --objective labels --data "$T/big.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*big\.jsonl:1: id 99999999" "an id beyond the vocabulary"
: >"$T/empty.tsv"
run train --data "$T/empty.tsv" --steps 1 -o "$T/none"
like "$rc $err" "^1 .*empty\.tsv" "no row at all"
run train --steps 30 --lr 1e6 --clip 0 --optimizer sgd -o "$T/none"
like "$rc $err" "^1 .*step [0-9]+: .*finite" "a rate that blows up is told, with the step"
check "no model is left of it" [ ! -e "$T/none/model.safetensors" ]
run lathe train "$M" --objective clasify --data "$T/rows.tsv" -o "$T/none2"
like "$rc $err" "^2 .*did you mean classify" "a misspelt objective"
run lathe train "$M" --objective classify -o "$T/none2"
like "$rc $err" "^2 .*--data" "no data"
run train --steps 1
like "$rc $err" "^2 .*-o OUT" "no output"
run train --steps 1 --epochs 1 -o "$T/none2"
like "$rc $err" "^2 .*--steps and --epochs" "steps and epochs"
mkdir "$T/mine" && echo mine >"$T/mine/notes.txt"
run train --steps 1 -o "$T/mine"
like "$rc $err" "^[12] .*mine.*not overwritten" "a folder that is no model"
is "$(ls "$T/mine")" notes.txt "… is as it was"
check "nothing is left of what was refused" [ ! -e "$T/none2" ]
done_testing
