#!/bin/bash
# Protects: distill: a student that is its teacher has nothing to learn, losses fall, threads and kills change no bit (projections included), what the
# student becomes; and that models which do not fit, or losses that are not known, are refused.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
for i in $(seq 60); do printf 'a good line %s\nthis is bad %s and longer\nso so\n' "$i" "$i"; done >"$T/rows.txt"
weights() { sha256sum <"$1/model.safetensors"; }
no_speed() { sed 's/,"tokens_per_s":[0-9.e+]*//' "$1"; }
distill() { lathe distill "$M" "$S" --data "$T/rows.txt" --batch 8 --lr 3e-3 --quiet "$@"; }
losses_fall() { awk -F'[:,]' 'NR == 1 { a = $4 } END { exit !($4 < a * 0.8) }' "$1"; }

# A student of half the width and one layer.
S=$T/student
mkdir "$S"
cp "$M"/*.json "$M"/vocab.txt "$S" 2>/dev/null
width=$(grep -o '"hidden_size": *[0-9]*' "$M/config.json" | grep -o '[0-9]*$')
sed -i -E "s/(\"hidden_size\": *)[0-9]+/\1$((width / 2))/; s/(\"num_hidden_layers\": *)[0-9]+/\11/" "$S/config.json"
rm -f "$S"/model.safetensors*

run lathe distill "$M" "$M" --data "$T/rows.txt" --losses attention,values,queries,keys,hidden --dropout 0 --weight-decay 0 --steps 2 --batch 8 --log "$T/self.log" -o "$T/self" --quiet
is "$rc:$err" "0:" "a model taught by itself"
is "$(grep -o '"loss":[^,]*' "$T/self.log" | sort -u)" '"loss":0' "has no loss at all"
is "$(grep -o '"grad_norm":[^,]*' "$T/self.log" | head -1)" '"grad_norm":0' "and no gradient"

for l in attention values queries keys hidden attention,values hidden=0.5,values; do
    run distill --init random --losses $l --steps 40 --log "$T/log" -o "$T/out"
    is "$rc:$err" "0:" "$l"
    check "$l: the loss falls" losses_fall "$T/log"
done
like "$(lathe info "$T/out" --json)" "\"layers\":1,\"hidden\":$((width / 2))" "the student is of its own size"
check "and runs" lathe embed "$T/out" "$T/rows.txt" --pooling mean -o "$T/x.npy" --quiet
check "the projection is no part of it" sh -c "! grep -q projection '$T/out/model.safetensors'"

whole() { distill --init random --losses hidden,attention=0.5 --steps 12 --save-every 3 "$@"; }
whole --log "$T/a.log" -o "$T/a" >/dev/null
for t in 1 3; do
    whole --threads $t -o "$T/a$t" >/dev/null
    is "$(weights "$T/a$t")" "$(weights "$T/a")" "$t threads: the same weights"
done
rounds=0
while [ $rounds -lt 40 ] && [ ! -f "$T/cut/model.safetensors" ]; do
    rounds=$((rounds + 1))
    "$LATHE" distill "$M" "$S" --data "$T/rows.txt" --batch 8 --lr 3e-3 --quiet --init random --losses hidden,attention=0.5 --steps 12 --save-every 3 \
        --log "$T/cut.log" -o "$T/cut" --resume >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf 0.%03d $((RANDOM % 20 + 5)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
whole --log "$T/cut.log" -o "$T/cut" --resume >/dev/null
is "$(weights "$T/cut")" "$(weights "$T/a")" "killed and resumed: the same weights ($rounds rounds)"
is "$(no_speed "$T/cut.log")" "$(no_speed "$T/a.log")" "killed and resumed: the same log"

# Logits: a teacher that classifies makes its student one, labels and all.
for i in $(seq 20); do printf '{"text":"a good line","label":"up"}\n{"text":"this is bad","label":"down"}\n'; done >"$T/labelled.jsonl"
lathe train "$M" --objective classify --data "$T/labelled.jsonl" --steps 20 --lr 1e-2 -o "$T/teacher" --quiet >/dev/null
run lathe distill "$T/teacher" "$S" --init random --losses logits --temperature 2 --data "$T/labelled.jsonl" --steps 20 --lr 1e-2 --log "$T/log" -o "$T/copy" --quiet
is "$rc:$err" "0:" "logits"
check "logits: the loss falls" losses_fall "$T/log"
like "$(grep -o '"id2label": {[^}]*}' "$T/copy/config.json")" '"0": "down", "1": "up"' "the student has the teacher's labels"
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
