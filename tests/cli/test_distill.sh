#!/bin/bash
# Protects: distill: a student that is its teacher has nothing to learn, losses fall, threads and kills change no bit (projections included), what the
# student becomes; that losses on clean inputs leave the objective's pass as it is; and that models which do not fit, or losses that are not known, are refused.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
for i in $(seq 60); do printf 'a good line %s\nthis is bad %s and longer\nso so\n' "$i" "$i"; done >"$T/rows.txt"
distill() { lathe distill "$M" "$S" --data "$T/rows.txt" --batch 8 --lr 3e-3 --quiet "$@"; }
losses_fall() { awk -F'[:,]' 'NR == 1 { a = $4 } END { exit !($4 < a * 0.8) }' "$1"; }

# A student of half the width and one layer.
S=$T/student
mkdir "$S"
cp "$M"/*.json "$M"/vocab.txt "$S" 2>/dev/null
width=$(grep -o '"hidden_size": *[0-9]*' "$M/config.json" | grep -o '[0-9]*$')
sed -i -E "s/(\"hidden_size\": *)[0-9]+/\1$((width / 2))/; s/(\"num_hidden_layers\": *)[0-9]+/\11/" "$S/config.json"
rm -f "$S"/model.safetensors*

run lathe distill "$M" "$M" --data "$T/rows.txt" --losses attention,values,queries,keys,hidden,cls --dropout 0 --weight-decay 0 --steps 2 --batch 8 --log "$T/self.log" -o "$T/self" --quiet
is "$rc:$err" "0:" "a model taught by itself"
is "$(grep -o '"loss":[^,]*' "$T/self.log" | sort -u)" '"loss":0' "has no loss at all"
is "$(grep -o '"grad_norm":[^,]*' "$T/self.log" | head -1)" '"grad_norm":0' "and no gradient"

for l in attention values queries keys hidden cls attention,values hidden=0.5,values cls,hidden; do
    run distill --init random --losses $l --steps 40 --log "$T/log" -o "$T/out"
    is "$rc:$err" "0:" "$l"
    check "$l: the loss falls" losses_fall "$T/log"
done
like "$(lathe info "$T/out" --json)" "\"layers\":1,\"hidden\":$((width / 2))" "the student is of its own size"
check "and runs" lathe embed "$T/out" "$T/rows.txt" --pooling mean -o "$T/x.npy" --quiet
check "the projection is no part of it" sh -c "! grep -q projection '$T/out/model.safetensors'"

# Threads and kills change no bit of what a command makes, which is given without -o.
unbroken() { # NAME OPTION…
    local name=$1 rounds=0 pid t
    shift
    lathe distill "$@" --log "$T/a.log" -o "$T/a" >/dev/null
    for t in 1 3; do
        lathe distill "$@" --threads $t -o "$T/a$t" >/dev/null
        is "$(weights "$T/a$t")" "$(weights "$T/a")" "$name: $t threads: the same weights"
    done
    while [ $rounds -lt 40 ] && [ ! -f "$T/cut/model.safetensors" ]; do
        rounds=$((rounds + 1))
        "$LATHE" distill "$@" --log "$T/cut.log" -o "$T/cut" --resume >/dev/null 2>&1 &
        pid=$!
        sleep "$(printf 0.%03d $((RANDOM % 20 + 5)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    lathe distill "$@" --log "$T/cut.log" -o "$T/cut" --resume >/dev/null
    is "$(weights "$T/cut")" "$(weights "$T/a")" "$name: killed and resumed: the same weights ($rounds rounds)"
    is "$(no_speed "$T/cut.log")" "$(no_speed "$T/a.log")" "$name: killed and resumed: the same log"
    rm -rf "$T/cut" "$T/a" "$T/cut.log"
}
unbroken "projected" "$M" "$S" --data "$T/rows.txt" --batch 8 --lr 3e-3 --quiet --init random --losses hidden,attention=0.5 --steps 12 --save-every 3
unbroken "clean" "$M" "$M" --data "$T/rows.txt" --batch 8 --lr 3e-3 --quiet --init random --losses cls,values --objective mlm --accumulate 2 --dropout 0.1 --steps 12 --save-every 3

# Beside an objective that masks: clean inputs have a pass of their own, and the objective's stays what it is.
before=$(weights "$M")
common=(--objective mlm --data "$T/rows.txt" --batch 8 --accumulate 2 --lr 3e-3 --steps 5 --quiet)
lathe train "$M" "${common[@]}" --dropout 0.1 --log "$T/plain.log" -o "$T/plain" >/dev/null
lathe train "$M" "${common[@]}" --dropout 0 --log "$T/dry.log" -o "$T/dry" >/dev/null
for l in cls=0 "attention=0 --clean-inputs"; do
    lathe distill "$M" "$M" "${common[@]}" --dropout 0.1 --losses $l --log "$T/log" -o "$T/out" >/dev/null
    is "$(weights "$T/out")" "$(weights "$T/plain")" "$l: the weights are those of no teacher"
    is "$(no_speed "$T/log")" "$(no_speed "$T/plain.log")" "$l: so is the log"
done
for l in cls "cls,attention,hidden --clean-inputs"; do
    lathe distill "$M" "$M" "${common[@]}" --dropout 0 --losses $l --log "$T/log" -o "$T/out" >/dev/null
    is "$(no_speed "$T/log" | head -1)" "$(no_speed "$T/dry.log" | head -1)" "$l: nothing to tell apart at the start"
    check "$l: but later" [ "$(weights "$T/out")" != "$(weights "$T/dry")" ]
done
is "$(weights "$M")" "$before" "the teacher stays as it is"
lathe distill "$M" "$M" "${common[@]}" --dropout 0.1 --losses cls -o "$T/kept" >/dev/null
lathe distill "$M" "$M" "${common[@]}" --dropout 0.1 --losses cls --activation-checkpointing -o "$T/again" >/dev/null
is "$(weights "$T/again")" "$(weights "$T/kept")" "blocks that are computed again, in both passes: the same weights"
like "$(lathe info "$T/dry" --distance "$M" --json)" '"distance":0*[.0]*[1-9].*"compared":2[0-9]{4}\}' "a distance is measured past the head that one has"
first_loss() { lathe distill "$M" "$T/dry" --data "$T/rows.txt" --dropout 0 --steps 1 --quiet --log "$T/log" -o "$T/out" "$@" >/dev/null && grep -o '"loss":[^,]*' "$T/log"; }
masked=$(first_loss --losses values,objective=0 --objective mlm)
clean=$(first_loss --losses values,objective=0 --objective mlm --clean-inputs)
is "$clean" "$(first_loss --losses values)" "clean inputs are those without an objective"
check "and others than what it masked" [ "$masked" != "$clean" ]
lathe distill "$M" "$S" --init random --data "$T/rows.txt" --valid "$T/rows.txt" --losses cls --dropout 0 --lr 0 --batch 180 --steps 1 --quiet --log "$T/log" -o "$T/out" >/dev/null
check "validation has them too" awk -F'"loss":' '{ split($2, x, /[,}]/); loss[NR] = x[1] } END { d = loss[1] - loss[2]; exit !(NR == 2 && loss[1] > 0 && d * d < 1e-10 * loss[1] * loss[1]) }' "$T/log"

# Logits: a teacher that classifies makes its student one, labels and all.
for i in $(seq 20); do printf '{"text":"a good line","label":"up"}\n{"text":"this is bad","label":"down"}\n'; done >"$T/labelled.jsonl"
lathe train "$M" --objective classify --data "$T/labelled.jsonl" --steps 20 --lr 1e-2 -o "$T/teacher" --quiet >/dev/null
run lathe distill "$T/teacher" "$S" --init random --losses logits --temperature 2 --data "$T/labelled.jsonl" --steps 20 --lr 1e-2 --log "$T/log" -o "$T/copy" --quiet
is "$rc:$err" "0:" "logits"
check "logits: the loss falls" losses_fall "$T/log"
like "$(grep -o '"id2label": {[^}]*}' "$T/copy/config.json")" '"0": "down", "1": "up"' "the student has the teacher's labels"
for clean in "" --clean-inputs; do
    lathe distill "$T/teacher" "$S" --init random --losses logits --objective classify $clean --data "$T/labelled.jsonl" --dropout 0 --steps 1 --log "$T/log$clean" -o "$T/copy" --quiet >/dev/null
done
check "an objective that masks nothing: clean inputs are the same" awk -F'[:,]' '{ x[NR] = $4 } END { d = x[1] - x[2]; exit !(NR == 2 && d * d < 1e-12) }' "$T/log" "$T/log--clean-inputs"
run lathe distill "$T/teacher" "$S" --init random --losses logits=0.9,objective=0.1 --objective classify --data "$T/labelled.jsonl" --valid "$T/labelled.jsonl" --steps 4 --log "$T/log" -o "$T/both" --quiet
is "$rc:$err" "0:" "logits beside labels"
like "$(tail -1 "$T/log")" '"valid":\{"loss":[0-9.e-]+,"accuracy":' "with validation"

run distill --losses attention,wisdom --steps 1 -o "$T/none"
like "$rc $err" "^2 .*wisdom.*known: logits" "a loss that is not known"
run distill --losses attention=x --steps 1 -o "$T/none"
like "$rc $err" "^2 .*attention=x.*weight" "a weight that is none"
run lathe distill "$M" "$S" --data "$T/rows.txt" -o "$T/none"
like "$rc $err" "^2 .*--losses" "no loss"
sed -i -E 's/("num_attention_heads": *)[0-9]+/\11/' "$S/config.json"
run distill --init random --losses attention --steps 1 -o "$T/none"
like "$rc $err" "^1 .*1 attention heads, the teacher has" "heads that do not match"
run distill --init random --losses values --relation-heads 4 --steps 1 -o "$T/heads"
is "$rc:$err" "0:" "unless relations are cut alike"
run distill --init random --losses values --relation-heads 7 --steps 1 -o "$T/none"
like "$rc $err" "^2 .*7 does not divide" "a number of parts that does not fit"
sed -i -E 's/("vocab_size": *)[0-9]+/\150/' "$S/config.json"
run distill --init random --losses values --steps 1 -o "$T/none"
like "$rc $err" "^1 .*vocabulary of 50, the teacher's" "another vocabulary"
check "refusals leave nothing" [ ! -e "$T/none/model.safetensors" ]
done_testing
