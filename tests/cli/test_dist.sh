#!/bin/bash
# Protects: train --dist mpi: several processes compute what one does, whatever is learned, with dropout; they share costs evenly; only the first one
# writes; runs that were killed go on; an error or the death of one process ends all, with one message.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
{
    printf 'text\tlabel\n'
    for i in $(seq 30); do
        long=$(printf 'word %.0s' $(seq $((i % 7 * 4 + 1))))
        printf 'a good line %s\tgood\nthis is bad %s %s\tbad\nso so %s %s\tmiddling\n' "$i" "$i" "$long" "$i" "$long$long"
    done
} >"$T/rows.tsv"
for i in $(seq 8); do
    echo '{"words": ["a", "good", "line"], "tags": ["O", "B-X", "I-X"]}'
    echo '{"words": ["bad"], "tags": ["O"]}'
    echo '{"words": ["bad", "lines", "of", "many", "words"], "tags": ["O", "O", "O", "B-X", "O"]}'
done >"$T/tags.jsonl"

# Without what carries the sums.
cp "$LATHE" "$T/lathe"
if LD_LIBRARY_PATH= ldconfig -p 2>/dev/null | grep -q liblathe-mpi; then
    skip "a build without MPI" "liblathe-mpi.so is installed"
else
    run "$T/lathe" train "$M" --objective classify --data "$T/rows.tsv" --dist mpi -o "$T/none"
    like "$rc $err" "^1 .*without MPI.*libopenmpi-dev.*make" "a build without MPI says how to get it"
fi
run lathe train "$M" --objective classify --data "$T/rows.tsv" --dist mpy -o "$T/none"
like "$rc $err" "^2 .*--dist: 'mpy' is not one of none, mpi" "a misspelt --dist"
if ! command -v mpirun >/dev/null || [ ! -f "$(dirname "$LATHE")/liblathe-mpi.so" ]; then
    skip "several processes" "no mpirun, or lathe was built without MPI"
    done_testing
fi

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl=self,vader LATHE_THREADS=1
# workers N ARGUMENTS…: not killed together with this script's own group, ended after a while whatever happens
workers() { timeout -k 1 60 mpirun --oversubscribe -n "$1" "$LATHE" train "$M" --dist mpi --quiet "${@:2}"; }
alone() { lathe train "$M" --quiet "$@"; }
# near A B LIMIT: the largest difference of any number on two logs' or outputs' lines, speeds and balance left out
near() {
    paste -d '\n' <(sed -E 's/,"(tokens_per_s|balance)":[^,}]*//g' "$1") <(sed -E 's/,"(tokens_per_s|balance)":[^,}]*//g' "$2") | awk -v most="$3" '
        { n = split($0, part, /[^-+.0-9e]+/) }
        NR % 2 { for (i = 1; i <= n; i++) was[i] = part[i]; before = n; next }
        { if (n != before) exit bad = 1; for (i = 1; i <= n; i++) if ((d = part[i] - was[i]) > most || -d > most) { print "line " NR / 2 ": " was[i] " " part[i]; exit bad = 1 } }
        END { exit bad || NR < 2 || NR % 2 }'
}

same=(--objective classify --data "$T/rows.tsv" --valid "$T/rows.tsv" --every 8 --batch 8 --accumulate 2 --lr 1e-3 --dropout 0.1 --steps 16)
alone "${same[@]}" --log "$T/log1" -o "$T/out1" >/dev/null
for n in 2 3; do
    run workers $n "${same[@]}" --log "$T/log$n" -o "$T/out$n" --json
    like "$rc:$err:$out" '^0::\{"steps":16,"examples":90,[^}]*\}$' "$n processes: one result, no message"
    check "$n processes: losses, norms and validations of one" near "$T/log1" "$T/log$n" 1e-5
    lathe forward "$T/out1" "$T/rows.tsv" --output logits --json >"$T/a" && lathe forward "$T/out$n" "$T/rows.tsv" --output logits --json >"$T/b"
    check "$n processes: the weights do what one's do" near "$T/a" "$T/b" 1e-4
    check "$n processes: none has much more to do" awk -F'"balance":' '/balance/ { sum += $2; n++ } END { exit !(n == 16 && sum / n >= 1 && sum / n < 1.2) }' "$T/log$n"
done
workers 2 "${same[@]}" --log "$T/again" -o "$T/out-again" >/dev/null
is "$(no_speed "$T/again")" "$(no_speed "$T/log2")" "2 processes again: the same log, bit for bit"
check "… and weights" cmp "$T/out2/model.safetensors" "$T/out-again/model.safetensors"

for o in mlm tag; do
    data=$T/rows.tsv
    again=--activation-checkpointing # changes nothing but when gradients come
    mean=sequence
    [ $o = tag ] && data=$T/tags.jsonl again='' mean=batch
    alone --objective $o --data "$data" --batch-tokens 60 --loss-mean $mean --ema 0.9 --dropout 0.2 --lr 1e-3 --steps 6 --log "$T/$o.1" -o "$T/$o-1" >/dev/null
    workers 2 --objective $o --data "$data" --batch-tokens 60 --loss-mean $mean --ema 0.9 --dropout 0.2 --lr 1e-3 --steps 6 --log "$T/$o.2" -o "$T/$o-2" $again >/dev/null
    check "$o: 2 processes have the losses of one" near "$T/$o.1" "$T/$o.2" 1e-5
done
alone --objective classify --data "$T/rows.tsv" --batch 2 --steps 4 --log "$T/few.1" -o "$T/few-1" >/dev/null
workers 3 --objective classify --data "$T/rows.tsv" --batch 2 --steps 4 --log "$T/few.3" -o "$T/few-3" >/dev/null
check "fewer sequences than processes" near "$T/few.1" "$T/few.3" 1e-5

few=(--objective classify --data "$T/rows.tsv" --batch 8 --steps 4 --lr 1e-3 --clip 0.1)
alone "${few[@]}" --log "$T/clip.1" -o "$T/clip-1" >/dev/null
workers 1 "${few[@]}" --clip-by worker --log "$T/clip.w" -o "$T/clip-w" >/dev/null
check "clipping of one worker's own gradient is that of all" near "$T/clip.1" "$T/clip.w" 1e-5
workers 2 "${few[@]}" --clip-by worker --log "$T/clip.2" -o "$T/clip-2" >/dev/null
check "… of two each its own" awk -F'"grad_norm":' '{ if ($2 + 0 < 0.5) bad = 1 } END { exit bad || NR != 4 }' "$T/clip.2"

# Killed, all of them or one, and resumed.
long=(--objective classify --data "$T/rows.tsv" --batch 8 --lr 1e-3 --steps 120 --save-every 20)
touch "$T/cut.log"
workers 2 "${long[@]}" --log "$T/whole.log" -o "$T/whole" >/dev/null
one_of() { pgrep -f -- "-o $T/cut( |\$)" | while read -r p; do [ "$(cat "/proc/$p/comm")" = lathe ] && echo "$p"; done | tail -n 1; }
for round in 1 2; do
    workers 2 "${long[@]}" --log "$T/cut.log" -o "$T/cut" --resume >"$T/killed" 2>&1 &
    pid=$!
    for i in $(seq 200); do
        [ "$(wc -l <"$T/cut.log")" -gt $((round * 30)) ] && break
        sleep 0.05
    done
    kill -9 "$(one_of)" 2>/dev/null
    wait $pid
    ok $(($? == 0)) "one process is killed: all end, round $round"
done
like "$(ls "$T/cut")" "checkpoint-" "checkpoints are kept"
workers 2 "${long[@]}" --log "$T/cut.log" -o "$T/cut" --resume >/dev/null
is "$(no_speed "$T/cut.log")" "$(no_speed "$T/whole.log")" "killed and resumed: the same log"
check "… and weights" cmp "$T/cut/model.safetensors" "$T/whole/model.safetensors"
run workers 2 "${long[@]}" --log "$T/cut.log" -o "$T/cut" --resume
is "$rc:$out" "0:" "a finished run stays as it is"

# Errors: one message of lathe's, and an end.
{ cat "$T/rows.tsv" && printf 'no label\n'; } >"$T/bad.tsv"
run workers 3 --objective classify --data "$T/bad.tsv" --steps 2 -o "$T/none"
is "$((rc != 0)) $(grep -c 'lathe train:' <<<"$err")" "1 1" "a bad row: all end, one message"
like "$err" "bad\.tsv:92" "… that names it"
echo '{"anchor": "a line", "positive": "a word"}' >"$T/pairs.jsonl"
run workers 2 --objective contrastive --data "$T/pairs.jsonl" --steps 1 -o "$T/none"
is "$((rc != 0)) $(grep -c 'lathe train: .*compares the rows of a batch' <<<"$err")" "1 1" "what compares all rows of a batch is refused"
run workers 2 --objective classify --data "$T/rows.tsv" --steps 2 --log /dev/full -o "$T/none"
is "$((rc != 0)) $(grep -c 'lathe train: .*/dev/full' <<<"$err")" "1 1" "only the first process fails: all end, one message"
run workers 2 --objective classify --data "$T/rows.tsv" --steps 30 --lr 1e6 --clip 0 --optimizer sgd -o "$T/none"
is "$((rc != 0)) $(grep -c 'lathe train: .*step [0-9]*: .*finite' <<<"$err")" "1 1" "a loss that is not finite: one message"
check "no model is left" [ ! -e "$T/none/model.safetensors" ]
# shellcheck disable=SC2016
run timeout 60 mpirun --oversubscribe -n 2 sh -c 'test $OMPI_COMM_WORLD_RANK = 0 || set -- "$@" --memory-limit 400000; exec "$@"' sh \
    "$LATHE" train "$M" --dist mpi --quiet --objective classify --data "$T/rows.tsv" --steps 5 -o "$T/none"
is "$((rc != 0)) $(grep -c 'lathe train: worker 1: .*memory' <<<"$err")" "1 1" "only the second process fails: all end, the first one says why"
workers 2 "${long[@]}" --steps 100000 -o "$T/stopped" >"$T/stop" 2>&1 &
pid=$!
for i in $(seq 100); do
    [ -e "$T/stopped/checkpoint-20" ] && break
    sleep 0.05
done
kill -TERM "$(pgrep -f -- "-o $T/stopped( |\$)" | while read -r p; do [ "$(cat "/proc/$p/comm")" = lathe ] && echo "$p"; done | tail -n 1)"
wait $pid
ok $(($? == 0)) "one process is told to stop: all do"
is "$(find "$T" -name '*.tmp' | wc -l)" 0 "nothing half-written is left"
done_testing
