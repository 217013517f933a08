#!/bin/bash
# Protects: training on hostile data and in a hostile world: a clear error or a counted skip, nothing half-written, earlier checkpoints kept; the log and
# weights of runs that were killed at any instant (TRAIN_KILLS of them, 6) are those of an unbroken one.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
labelled_rows >"$T/rows.tsv"
train() { lathe train "$M" --objective classify --data "$T/rows.tsv" --batch 8 --lr 1e-3 --quiet "$@"; }
leftovers() { find "$1" -name '*.tmp*' -o -name '.lathe.lock' | wc -l; }
is_whole() { lathe forward "$1" "$T/rows.tsv" --output logits -o "$T/whole.npy" --quiet && [ -s "$1/optimizer.safetensors" ] && [ -s "$1/trainer_state.json" ]; }
all_whole() { for c in "$1"/checkpoint-*; do is_whole "$c" || return 1; done; }

# Data.
{ cat "$T/rows.tsv" && head -c 1000000 /dev/zero | tr '\0' x && printf '\tgood\n' && yes word | head -n 200000 | tr '\n' ' ' && printf '\tbad\n'; } >"$T/long.tsv"
run lathe train "$M" --objective classify --data "$T/long.tsv" --batch 122 --steps 1 -o "$T/long" --quiet --json
like "$rc:$err:$out" '^0::\{"steps":1,"examples":122,"skipped":0' "lines of a million characters are cut"
{ echo '{"ids": [2, 5, 3], "labels": [1, 1, 1]}' && printf '{"ids": [2' && yes ', 5' | head -n 300000 | tr -d '\n' && printf '], "labels": []}\n'; } >"$T/long.jsonl"
run lathe train "$M" --objective labels --data "$T/long.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*long\.jsonl:2: 300001 ids: the model takes" "300,001 ids: refused, with the place"
for text in '' '\n\n\n' 'text\tlabel\n' 'text\tlabel\n\tgood\n   \tbad\n'; do
    printf "$text" >"$T/empty.tsv"
    run lathe train "$M" --objective classify --data "$T/empty.tsv" --steps 1 -o "$T/none" --quiet
    like "$rc $err" "^1 .*empty\.tsv" "nothing to learn from: ${text:-an empty file}"
done
{ cat "$T/rows.tsv" && printf '  \tbad\n \tgood\n'; } >"$T/blank.tsv"
run lathe train "$M" --objective classify --data "$T/blank.tsv" --steps 1 -o "$T/blank" --quiet --json
like "$rc $out" '^0 .*"examples":120,"skipped":2' "empty texts are left out and counted"
printf 'text\tlabel\nx\tgood\ny\tunheard\n' >"$T/other.tsv"
run train --valid "$T/other.tsv" --steps 1 -o "$T/none"
like "$rc $err" "^1 .*other\.tsv:3: label: \"unheard\" is none of the labels" "a label of --valid that is not in the set"
printf 'text\tlabel\n\xff\xfe\x80 bytes\tgood\nx\tbad\n' >"$T/bytes.tsv"
run lathe train "$M" --objective classify --data "$T/bytes.tsv" --steps 2 -o "$T/bytes" --quiet
like "$rc" "^[01]$" "bytes that are no text do no harm ($rc${err:+: $err})"
printf '{"text": "x", "label": "a"}\n{"text": "x", "label"' >"$T/cut.jsonl"
run lathe train "$M" --objective classify --data "$T/cut.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" "^1 .*cut\.jsonl:2" "a line that is cut off"

# A weight that is no number, in a row that no text reads: the last one of the embeddings.
cp -r "$M" "$T/nan" && chmod -R u+w "$T/nan"
header=$(od -An -tu8 -N8 "$T/nan/model.safetensors" | tr -d ' ')
end=$(head -c $((header + 8)) "$T/nan/model.safetensors" | grep -ao '"embeddings.word_embeddings.weight":{[^}]*}' | sed 's/.*,\([0-9]*\)\].*/\1/')
printf '\0\0\300\177' | dd of="$T/nan/model.safetensors" bs=1 seek=$((header + 8 + end - 4)) conv=notrunc 2>/dev/null
run lathe train "$T/nan" --objective mlm --data "$T/rows.tsv" --steps 3 -o "$T/none" --quiet
like "$rc $err" "^1 .*nan/.*word_embeddings.weight\": element 6399 is not a finite number" "a weight of MODEL that is NaN is named"
check "nothing has come of all these" [ ! -e "$T/none" ]

# A loss that leaps, and one that is not finite: step, rows, parameter; the checkpoints before it stay.
{ cat "$T/rows.tsv"; for i in $(seq 8); do printf 'a good line %s\tmiddling\n' "$i"; done; } >"$T/leap.tsv"
run lathe train "$M" --objective classify --data "$T/leap.tsv" --no-shuffle --epochs 40 --batch 8 --lr 1e-3 --dropout 0 --spike 3 --save-every 15 -o "$T/leap" --quiet
like "$rc $err" "^1 .*step [0-9]+: the loss of [0-9.]+ is more than 3 times [0-9.e-]+, the median of the last [0-9]+ steps; the largest gradient: of [a-z_.A-Z0-9]+ .*; the batch: [^ ]*leap\.tsv:122,123,124,125,126,127,128,129 \(8 rows\)" "a loss that leaps: its rows are named"
check "… the last good checkpoint is kept, whole" all_whole "$T/leap"
run lathe train "$M" --objective classify --data "$T/leap.tsv" --no-shuffle --epochs 40 --batch 8 --lr 1e-3 --dropout 0 --spike 3 --save-every 15 -o "$T/leap" --quiet --resume
like "$rc $err" "^1 .*the median of the last [0-9]+ steps" "… and resuming comes to the same place"
run train --steps 30 --lr 1e6 --clip 0 --optimizer sgd --save-every 1 -o "$T/burst"
like "$rc $err" "^1 .*step [0-9]+: .*not a? ?finite.*; the batch: [^ ]*rows\.tsv:[0-9,]+ \([0-9]+ rows\)" "a loss that is not finite: its rows are named"

# Places that cannot be written.
run train --steps 1 -o "$T/rows.tsv"
like "$rc $err" "^[12] .*rows\.tsv" "OUT is a file"
run train --steps 1 -o "$T/rows.tsv/out"
like "$rc $err" "^[12] .*rows\.tsv/out" "OUT below a file"
run train --steps 1 -o /proc/lathe-out
like "$rc $err" "^1 .*/proc/lathe-out" "OUT where nothing can be made"
run train --steps 5 --log /dev/full --save-every 2 -o "$T/full"
like "$rc $err" "^1 .*/dev/full: No space" "the log's disk is full"
run train --steps 1 --log "$T/absent/log" -o "$T/full"
like "$rc $err" "^1 .*absent/log: No such" "the log's folder is absent"
is "$(leftovers "$T/full") $([ -e "$T/full/model.safetensors" ]; echo $?)" "0 1" "nothing half-written is left"

# A full disk: a small one of its own where this process may mount one, else a limit on the size of files.
train --steps 30 --save-every 3 --log "$T/unbroken.log" -o "$T/unbroken" >/dev/null
mkdir "$T/disk"
kb=$(du -sk "$T/unbroken/checkpoint-3" | cut -f 1)
if mount -t tmpfs -o size=$((kb * 3 + kb / 2))k none "$T/disk" 2>/dev/null; then
    trap 'umount "$T/disk"; rm -rf "$T"' EXIT
    run train --steps 30 --save-every 3 --log "$T/disk.log" -o "$T/disk/out"
    like "$rc $err" "^1 .*disk/out.*: No space" "a full disk: an error that names the file"
    check "… checkpoints before it are whole" all_whole "$T/disk/out"
    like "$(ls "$T/disk/out")" "checkpoint-6" "… and there"
    is "$(leftovers "$T/disk")" 0 "… nothing half-written is left"
    mount -o remount,size=$((kb * 20))k "$T/disk"
    run train --steps 30 --save-every 3 --log "$T/disk.log" -o "$T/disk/out" --resume
    is "$rc:$err" "0:" "… with room again it goes on"
    is "$(no_speed "$T/disk.log")" "$(no_speed "$T/unbroken.log")" "… to the log of an unbroken run"
    check "… and its weights" cmp "$T/disk/out/model.safetensors" "$T/unbroken/model.safetensors"
else
    skip "a full disk" "this process may not mount one"
fi
run bash -c 'trap "" XFSZ; ulimit -f 20; exec "$@"' - "$LATHE" train "$M" --objective classify --data "$T/rows.tsv" --steps 3 --save-every 1 -o "$T/limit" --quiet
like "$rc $err" "^1 .*limit.*: File too large" "a file that grows too large"
is "$(leftovers "$T/limit") $(find "$T/limit" -name 'checkpoint-*' | wc -l)" "0 0" "… leaves nothing half-written"

# Two runs in one place.
"$LATHE" train "$M" --objective classify --data "$T/rows.tsv" --steps 100000 --save-every 50 -o "$T/both" --quiet >/dev/null 2>&1 &
pid=$!
for i in $(seq 100); do [ -e "$T/both/checkpoint-50" ] && break || sleep 0.05; done
for resume in "" --resume; do
    run train --steps 5 -o "$T/both" $resume
    like "$rc $err" "^1 .*both: another run is under way there \(process $pid\)" "a second run in the same OUT is refused ${resume:-from the start}"
done
kill -INT $pid
wait $pid
is "$? $(leftovers "$T/both")" "130 0" "SIGINT: status 130, nothing half-written"
check "… checkpoints are whole" all_whole "$T/both"
run train --steps 5 -o "$T/both"
is "$rc:$err" "0:" "… and the place is free again"

# Killed at random instants.
kills=${TRAIN_KILLS:-6} done=0 seed=$RANDOM$RANDOM runs=0
RANDOM=$seed
echo "# instants from seed $seed"
began=$(date +%s%N)
train --steps 120 --save-every 7 --log "$T/a.log" -o "$T/a" >/dev/null
took=$((($(date +%s%N) - began) / 1000000)) # an unbroken run's milliseconds: instants are spread over them
compare() { # what a run that was killed and resumed has come to
    runs=$((runs + 1))
    [ "$(no_speed "$T/b.log")" = "$(no_speed "$T/a.log")" ] && cmp -s "$T/a/model.safetensors" "$T/b/model.safetensors" || wrong=$((wrong + 1))
    rm -rf "$T/b" "$T/b.log"
}
wrong=0
go() { exec "$LATHE" train "$M" --objective classify --data "$T/rows.tsv" --batch 8 --lr 1e-3 --quiet --steps 120 --save-every 7 --log "$T/b.log" -o "$T/b" --resume; }
while [ $done -lt "$kills" ]; do
    go >/dev/null 2>"$T/b.err" &
    pid=$!
    at=$((RANDOM % took + 2))
    sleep "$((at / 1000)).$(printf %03d $((at % 1000)))"
    kill -9 $pid 2>/dev/null && done=$((done + 1))
    wait $pid 2>/dev/null
    [ -e "$T/b/model.safetensors" ] && compare
done
(go) >/dev/null 2>&1
compare
is "$wrong" 0 "$kills kills at random instants: logs and weights of $runs runs are those of an unbroken one"
done_testing
