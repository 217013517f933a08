#!/bin/bash
# Protects: train's optimizers, groups and details: runs of each that are killed and resumed, or run by one, two and three threads, leave the same bits; a
# checkpoint of another optimizer or of other shapes is refused; averaged weights are the ones validated and saved; frozen parameters wake; bad words.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

mkdir "$T/model"
cat >"$T/model/config.json" <<'END'
{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 1200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
 "intermediate_size": 1056, "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
 "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0}
END
for i in $(seq 40); do
    echo "{\"ids\": [2, $((i + 5)), $((i * 7 % 900 + 6)), $((i * 31 % 900 + 6)), 3], \"labels\": [-100, $((i * 13 % 900 + 6)), -100, $((i + 9)), -100]}"
done >"$T/rows.jsonl"
train() { lathe train "$T/model" --init random --objective labels --data "$T/rows.jsonl" --valid "$T/rows.jsonl" --every 4 --batch 8 --quiet "$@" >/dev/null; }

# "name|options"; matrices of 1200 x 32 and 1056 x 32 are cut into pieces.
cases='adafactor|--optimizer adafactor:beta1=0.9
muon|--optimizer muon --lr 0.02 --layer-decay 0.8
schedule_free|--optimizer schedule_free --lr 3e-3 --warmup 5
lamb|--optimizer lamb:correct=no --lr 1e-2 --clip-by tensor --clip 0.1 --loss-mean sequence --accumulate 2
anchor|--anchor 0.1 --lr 3e-3 --weight-decay 0
ema|--ema 0.9 --lr 3e-3 --group embeddings:lr=0.5,frozen=5 --decay-all
groups, schedule_free|--optimizer schedule_free --lr 3e-3 --group layer.1:frozen=6,decay=0'
while IFS='|' read -r name options; do
    rm -rf "$T"/out* "$T"/log*
    for t in 1 2 3; do train $options --steps 12 --threads $t --log "$T/log$t" -o "$T/out$t"; done
    is "$(weights "$T/out2") $(weights "$T/out3")" "$(weights "$T/out1") $(weights "$T/out1")" "$name: 1, 2 and 3 threads, the same weights"
    is "$(no_speed "$T/log2")" "$(no_speed "$T/log3")" "$name: … and the same log"
    check "$name: the loss falls" awk -F'[:,}]' '/valid/ { if (!n++) a = $5; b = $5 } END { exit !(b < a) }' "$T/log1"
    for rounds in $(seq 8); do
        "$LATHE" train "$T/model" --init random --objective labels --data "$T/rows.jsonl" --valid "$T/rows.jsonl" --every 4 --batch 8 --quiet $options --steps 12 \
            --save-every 3 --log "$T/cut.log" -o "$T/outcut" --resume >/dev/null 2>&1 &
        pid=$!
        sleep "$(printf 0.%03d $((RANDOM % 90 + 30)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ -f "$T/outcut/model.safetensors" ] && break
    done
    train $options --steps 12 --save-every 3 --log "$T/cut.log" -o "$T/outcut" --resume
    is "$(weights "$T/outcut")" "$(weights "$T/out1")" "$name: killed and resumed, the same weights ($rounds rounds)"
    is "$(no_speed "$T/cut.log")" "$(no_speed "$T/log1")" "$name: … and the same log"
    rm -rf "$T/outcut"/checkpoint-9 "$T/outcut"/checkpoint-12 "$T/outcut"/model.safetensors "$T/outcut"/trainer_state.json
    train $options --steps 12 --save-every 3 --log "$T/cut.log" -o "$T/outcut" --resume
    is "$(weights "$T/outcut") $(no_speed "$T/cut.log")" "$(weights "$T/out1") $(no_speed "$T/log1")" "$name: from its sixth step on, the same weights and log"
    rm -f "$T/cut.log"
done <<<"$cases"

# Averages: what is saved is what was validated, and not what was trained.
valid() { sed -n 's/.*"valid":{"loss":\([^,}]*\).*/\1/p' "$1" | tail -1; }
for options in "--ema 0.9" "--optimizer schedule_free"; do
    rm -rf "$T"/out*
    train --steps 12 --lr 3e-3 --dropout 0 --log "$T/log" -o "$T/out" $options
    lathe train "$T/out" --objective labels --data "$T/rows.jsonl" --valid "$T/rows.jsonl" --batch 8 --dropout 0 --steps 1 --lr 0 --log "$T/again" -o "$T/out2" --quiet >/dev/null
    is "$(valid "$T/again")" "$(valid "$T/log")" "$options: the saved weights are those that were validated"
done
train --steps 12 --lr 3e-3 --dropout 0 --log "$T/plain" -o "$T/out3"
check "the average is another model" [ "$(valid "$T/plain")" != "$(valid "$T/log")" ]

# An anchor holds, and the more the heavier it is.
distance() { lathe info "$T/$1" --distance "$T/first" --json | sed 's/.*"distance":\([^,}]*\).*/\1/'; }
train --steps 1 --lr 0 -o "$T/first"
for x in 0 0.01 1; do train --steps 12 --lr 3e-3 --weight-decay 0 --anchor $x --log "$T/anchor.log" -o "$T/anchor-$x"; done
check "anchors hold: $(distance anchor-0), $(distance anchor-0.01), $(distance anchor-1)" \
    awk "BEGIN { exit !($(distance anchor-1) < $(distance anchor-0.01) && $(distance anchor-0.01) < $(distance anchor-0)) }"
train --steps 12 --lr 3e-3 --weight-decay 0 -o "$T/loose"
is "$(weights "$T/anchor-0")" "$(weights "$T/loose")" "an anchor of no weight is none"

# What is learned beside the model (a projection between widths) is averaged and kept too.
mkdir "$T/small"
sed 's/"hidden_size": 32/"hidden_size": 16/' "$T/model/config.json" >"$T/small/config.json"
sed 's/.*"ids": \(\[[^]]*\]\).*/\1/' "$T/rows.jsonl" >"$T/ids.txt"
distill() { lathe distill "$T/out3" "$T/small" --init random --ids --data "$T/ids.txt" --losses hidden --batch 8 --steps 9 --lr 1e-2 --save-every 3 --quiet "$@" >/dev/null; }
for options in "--ema 0.9" "--optimizer schedule_free" "--optimizer muon"; do
    rm -rf "$T/taught"
    distill $options -o "$T/taught"
    once=$(weights "$T/taught")
    rm -rf "$T/taught"/checkpoint-[69] "$T/taught"/trainer_state.json "$T/taught"/model.safetensors
    distill $options -o "$T/taught" --resume
    is "$(weights "$T/taught")" "$once" "distill $options: resumed, the same weights"
done

# A checkpoint is for what made it.
rm -rf "$T"/out*
train --steps 4 --save-every 2 -o "$T/out" && rm -rf "$T/out/model.safetensors" "$T/out/trainer_state.json"
again() { run lathe train "$T/model" --init random --objective labels --data "$T/rows.jsonl" --steps 6 --batch 8 --quiet -o "$T/out" --resume "$@"; }
again --optimizer lion
like "$rc $err" "^2 .*checkpoint-4.*begun with optimizer adamw, not lion" "resumed with another optimizer"
again --ema 0.9
like "$rc $err" "^2 .*begun without ema" "resumed with an average that was not kept"
again --anchor 0.1
like "$rc $err" '^1 .*tensor "start\..* is absent' "resumed with an anchor that was not kept"
again --freeze layer.0
like "$rc $err" "^1 .*optimizer.safetensors: .* tensors, .* are expected" "resumed with fewer parameters"
sed -i 's/"optimizer":"adamw"/"optimizer":"muon"/' "$T"/out/checkpoint-4/trainer_state.json
again --optimizer muon --lr 0.02
like "$rc $err" '^1 .*tensor "momentum.* is absent' "a state that says more than it has"
is "$(ls "$T/out" | grep -c checkpoint)" 2 "… and nothing is lost"

# Words.
bad() { # why, expected message, options
    local why=$1 message=$2
    shift 2
    run lathe train "$T/model" --init random --objective labels --data "$T/rows.jsonl" --steps 1 -o "$T/none" "$@"
    like "$rc $err" "^2 .*$message" "$why"
}
bad "an optimizer that is none" "did you mean adamw" --optimizer adamv
bad "a setting that is none" 'optimizer adamw: "nesterov" is none of its settings \(correct=yes\|no, ' --optimizer adamw:nesterov=yes
bad "a setting's value" "correct=perhaps: one of no\|yes" --optimizer adamw:correct=perhaps
bad "a rate for who has its own" "adafactor makes its own rate" --optimizer adafactor --lr 1
bad "a schedule for who has none" 'schedule_free takes no schedule but constant, not "linear"' --optimizer schedule_free --schedule linear
bad "an anchor that pushes" "--anchor: expected a number from 0" --anchor -1
bad "two averages" "schedule_free averages weights itself" --optimizer schedule_free --ema 0.9
bad "clipping by workers" "clip-by worker: this run has no workers" --clip-by worker
bad "a group without settings" "group: x: no settings" --group x
bad "a group of unknown settings" "group: .:rate=1: a key is not known" --group .:rate=1
bad "a group without numbers" "group: .:lr=x: a number" --group .:lr=x
bad "a negative factor" "group: .:lr=-1: a number from 0" --group .:lr=-1
bad "a group's comma" "last comma" --group .:lr=1,
bad "half a step" "frozen takes a whole number" --group .:frozen=1.5
bad "a group's regular expression" "group: \(:lr=1: " --group '(:lr=1'
bad "a group of none" "no parameter that is trained has such a name" --group nowhere:lr=1
bad "all frozen" "no parameter is trained at the first step" --group .:frozen=1
bad "an average of itself" "--ema: expected a number from 0 to" --ema 1
bad "a layer decay above 1" "--layer-decay: expected" --layer-decay 1.5
bad "a mean over what is none" "'words' is not one of step, batch, sequence, none" --loss-mean words
check "nothing is left of what was refused" [ ! -e "$T/none" ]
done_testing
