#!/bin/bash
# Protects: validation in training: each objective's metrics are in the log and are those that eval computes; --metric decides for --patience and
# --keep-best; OUT then holds the best validation's weights, also where the run was killed and resumed.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
{
    printf 'text\tlabel\n'
    for i in $(seq 30); do printf 'a good line %s\tgood\nthis is bad %s\tbad\nso so %s\tmiddling\n' "$i" "$i" "$i"; done
} >"$T/rows.tsv"
{
    printf 'text\tlabel\n'
    for i in $(seq 40 52); do printf 'good %s\tgood\nso bad %s line\tbad\nso %s so a bad line\tmiddling\n' "$i" "$i" "$i"; done
} >"$T/valid.tsv"
train() { lathe train "$M" --objective classify --data "$T/rows.tsv" --valid "$T/valid.tsv" --batch 8 --lr 8e-3 --every 2 --quiet "$@"; }
# at STEP NAME: a metric of the log
at() { sed -n "s/^{\"step\":$1,\"valid\":.*\"$2\":\([^,}]*\).*/\1/p" "$T/log"; }

run train --steps 24 --save-every 2 --log "$T/log" -o "$T/plain"
is "$rc:$err" "0:" "train with validation"
is "$(grep -c '"valid"' "$T/log")" 12 "a validation every two steps"
same=0
for step in 4 12 24; do
    f=$T/plain
    [ $step = 24 ] || f=$T/plain/checkpoint-$step
    metrics=$(lathe eval "$f" --data "$T/valid.tsv" --task classify --json)
    for name in accuracy f1_macro mcc; do
        grep -qF "\"$name\":$(at $step $name)" <<<"$metrics" && same=$((same + 1)) || echo "# step $step $name: $(at $step $name) in the log, $metrics"
    done
done
is "$same" 9 "the log's metrics are those of eval"

# best NAME SIGN: the step of the best validation, the first of equals
best() { for s in $(seq 2 2 24); do echo "$(at "$s" "$1") $s"; done | awk -v sign="$2" 'NR == 1 || sign * $1 > sign * b { b = $1; s = $2 } END { print s }'; }
for pair in "loss -1" "accuracy 1" "mcc 1"; do
    set -- $pair
    step=$(best "$1" "$2")
    run train --steps 24 --keep-best --metric "$1" --log "$T/log2" -o "$T/best-$1" --json
    like "$rc $out" "^0 .*\"best_step\":$step\}" "$1: the best validation is told"
    from=$T/plain/checkpoint-$step
    [ "$step" = 24 ] && from=$T/plain
    is "$(weights "$T/best-$1")" "$(weights "$from")" "$1: its weights are what is kept (step $step)"
done
check "the last weights are others" [ "$(weights "$T/best-loss")" != "$(weights "$T/plain")" ]
sed 's/,"tokens_per_s":[0-9.e+]*//' "$T/log" >"$T/a"
sed 's/,"tokens_per_s":[0-9.e+]*//' "$T/log2" >"$T/b"
check "keeping changes nothing of the run" cmp "$T/a" "$T/b"
check "what was kept meanwhile is gone" [ ! -e "$T/best-loss/best" ]
is "$(lathe info "$T/best-loss" --json | grep -o '"head":"classify"')" '"head":"classify"' "OUT is a model"

# Killed again and again.
rounds=0
while [ $rounds -lt 40 ]; do
    rounds=$((rounds + 1))
    "$LATHE" train "$M" --objective classify --data "$T/rows.tsv" --valid "$T/valid.tsv" --batch 8 --lr 8e-3 --every 2 --quiet --steps 24 --save-every 3 --keep-best \
        --log "$T/cut.log" -o "$T/cut" --resume >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf 0.%03d $((RANDOM % 25 + 5)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -f "$T/cut/model.safetensors" ] && break
done
run train --steps 24 --save-every 3 --keep-best --log "$T/cut.log" -o "$T/cut" --resume
is "$rc $(weights "$T/cut")" "0 $(weights "$T/best-loss")" "killed and resumed: the same best weights ($rounds rounds)"
sed 's/,"tokens_per_s":[0-9.e+]*//' "$T/cut.log" >"$T/b"
check "killed and resumed: the same log" cmp "$T/a" "$T/b"

# Averages of weights are what is validated, so they are what is kept.
run train --steps 24 --ema 0.8 --save-every 2 --log "$T/log5" -o "$T/ema"
run train --steps 24 --ema 0.8 --keep-best -o "$T/best-ema" --json
step=$(sed 's/.*"best_step":\([0-9]*\).*/\1/' <<<"$out")
from=$T/ema/checkpoint-$step
[ "$step" = 24 ] && from=$T/ema
is "$(weights "$T/best-ema")" "$(weights "$from")" "averaged weights (step $step)"

# Patience by a metric; a run that is resumed from where patience ended stays there.
run train --steps 24 --patience 2 --metric accuracy --save-every 2 --log "$T/log3" -o "$T/patient"
steps=$(grep -c '"tokens"' "$T/log3")
check "patience ends the run" [ "$steps" -lt 24 ]
cp -r "$T/patient" "$T/again"
rm "$T/again/trainer_state.json" "$T/again/model.safetensors"
cp "$T/log3" "$T/log4"
run train --steps 24 --patience 2 --metric accuracy --save-every 2 --log "$T/log4" -o "$T/again" --resume
is "$rc $(grep -c '"tokens"' "$T/log4") $(weights "$T/again")" "0 $steps $(weights "$T/patient")" "resumed where patience had ended: no step more"

# A model of the best validation that is not there is an error, not another model.
cp -r "$T/plain" "$T/lost"
rm -r "$T/lost/trainer_state.json" "$T/lost/model.safetensors" "$T/lost"/checkpoint-1? "$T/lost"/checkpoint-2?
run train --steps 9 --every 1000 --keep-best --lr 1 -o "$T/lost" --resume
like "$rc $err" "^1 .*lost/best: the model of the best validation, after step [0-9]+, is not there" "no best model: told"

# Other objectives' metrics.
for i in $(seq 20); do
    echo '{"words": ["a", "good", "line"], "tags": ["O", "B-X", "I-X"]}'
    echo '{"words": ["bad", "lines"], "tags": ["O", "O"]}'
done >"$T/tags.jsonl"
run lathe train "$M" --objective tag --data "$T/tags.jsonl" --valid "$T/tags.jsonl" --steps 20 --batch 8 --lr 1e-2 --dropout 0 --log "$T/log" -o "$T/tagger" --quiet --keep-best --metric f1
is "$rc:$err" "0:" "tag"
like "$(grep valid "$T/log")" '^\{"step":20,"valid":\{"loss":[0-9.e-]+,"precision":1,"recall":1,"f1":1,"accuracy":1\}\}$' "tags: seqeval's"
is "$(lathe eval "$T/tagger" --data "$T/tags.jsonl" --task tag --json)" '{"precision":1,"recall":1,"f1":1,"accuracy":1}' "eval says the same"
sed 's/good$/1.5/;s/bad$/-1/;s/middling$/0.25/' "$T/rows.tsv" >"$T/numbers.tsv"
run lathe train "$M" --objective regress --data "$T/numbers.tsv" --valid "$T/numbers.tsv" --steps 12 --lr 3e-3 --log "$T/log" -o "$T/number" --quiet
correlations=$(grep -o '"pearson":[^}]*' "$T/log")
like "$correlations" '^"pearson":0\.[0-9]+,"spearman":0\.[0-9]+$' "numbers: correlations"
is "$(lathe eval "$T/number" --data "$T/numbers.tsv" --task regress --json)" "{$correlations}" "eval says the same"
sed 's/[-0-9.]*$/2/;1s/.*/text\tlabel/' "$T/numbers.tsv" >"$T/constant.tsv"
run lathe train "$M" --objective regress --data "$T/numbers.tsv" --valid "$T/constant.tsv" --steps 4 --every 2 --metric pearson --patience 9 --keep-best --log "$T/log" -o "$T/number2" --quiet
is "$rc $(grep -c '"pearson":null,"spearman":null' "$T/log")" "0 2" "undefined correlations are null, and none is the best"
cut -f1 "$T/rows.tsv" | tail -n +2 >"$T/texts"
run lathe train "$M" --objective mlm --data "$T/texts" --valid "$T/texts" --steps 3 --log "$T/log" -o "$T/mlm" --quiet
like "$(grep valid "$T/log")" '"loss":([0-9.]+),"perplexity":([0-9.]+),"accuracy":[0-9.]+\}\}$' "masked tokens: perplexity and accuracy"
check "perplexity is e to the loss" awk "BEGIN { exit !((exp(${BASH_REMATCH[1]:-9}) / ${BASH_REMATCH[2]:-1} - 1) ^ 2 < 1e-8) }"

for i in $(seq 12); do
    echo '{"text": "a good line", "label": ["good", "line"]}'
    echo '{"text": "bad", "label": ["bad"]}'
    echo '{"text": "so", "label": []}'
done >"$T/sets.jsonl"
run lathe train "$M" --objective classify --data "$T/sets.jsonl" --valid "$T/sets.jsonl" --steps 8 --lr 1e-2 --metric f1_micro --keep-best --log "$T/log" -o "$T/sets" --quiet
sets=$(sed -n 's/.*"valid":{"loss":[^,]*,/{/p' "$T/log" | sed 's/}}/}/')
like "$sets" '^\{"accuracy":[0-9.]+,"f1_macro":[0-9.]+,"f1_micro":[0-9.]+\}$' "sets of labels: no mcc"
is "$(lathe eval "$T/sets" --data "$T/sets.jsonl" --task classify --json)" "$sets" "eval says the same"
run lathe train "$M" --objective classify --data "$T/sets.jsonl" --valid "$T/sets.jsonl" --steps 2 --metric mcc -o "$T/none" --quiet
like "$rc $err" "^2 .*metric: 'mcc' is not one of loss, accuracy, f1_macro, f1_micro" "… so it cannot decide"
for i in $(seq 20); do echo '{"question": "what is good", "context": "a good line", "answers": {"text": ["good line"], "answer_start": [2]}}'; done >"$T/span.jsonl"
run lathe train "$M" --objective span --data "$T/span.jsonl" --valid "$T/span.jsonl" --steps 30 --batch 10 --lr 1e-2 --dropout 0 --metric accuracy --keep-best --log "$T/log" -o "$T/span" --quiet
like "$(grep valid "$T/log")" '"loss":[0-9.e-]+,"accuracy":1\}\}$' "spans: how many are found"
is "$(lathe eval "$T/span" --data "$T/span.jsonl" --task answer --json)" '{"exact_match":100,"f1":100}' "and answers are right"

run train --steps 2 --metric f2 -o "$T/none"
like "$rc $err" "^2 .*metric: 'f2' is not one of loss, accuracy, f1_macro, mcc, which objective classify has" "a metric that there is not"
run lathe train "$M" --objective classify --data "$T/rows.tsv" --steps 2 --keep-best -o "$T/none"
like "$rc $err" "^2 .*--keep-best needs rows to validate with" "keep-best without validation"
check "nothing is left of what was refused" [ ! -e "$T/none" ]
done_testing
