#!/bin/bash
# Protects: train --config: options from a file mean what they mean on the command line, which wins; what is not an option is refused with file and key;
# the record that a run leaves makes the same run again.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
{ printf 'text\tlabel\n'; for i in $(seq 20); do printf 'a good line %s\tgood\nthis is bad %s\tbad\n' "$i" "$i"; done; } >"$T/rows.tsv"
config() { printf '%s\n' "$1" >"$T/run.json"; }

lathe train "$M" --objective classify --data "$T/rows.tsv" --lr 3e-3 --steps 6 --batch 4 --no-shuffle --log "$T/plain.log" -o "$T/plain" --quiet >/dev/null
config "{\"objective\": \"classify\", \"data\": \"$T/rows.tsv\", \"lr\": 3e-3, \"steps\": 6, \"batch\": \"4\", \"no-shuffle\": true, \"quiet\": true, \"warmup\": null}"
run lathe train "$M" --config "$T/run.json" --log "$T/filed.log" -o "$T/filed"
is "$rc:$err" "0:" "options from a file"
is "$(no_speed "$T/filed.log")" "$(no_speed "$T/plain.log")" "… do what those of the command line do"
check "… with the same weights" cmp "$T/filed/model.safetensors" "$T/plain/model.safetensors"
lathe train "$M" --config "$T/run.json" --steps 2 --log "$T/short.log" -o "$T/short" >/dev/null
is "$(wc -l <"$T/short.log")" 2 "the command line wins"
is "$(LATHE_SEED=5 lathe train "$M" --config "$T/run.json" --steps 1 -o "$T/seed" --json >/dev/null; grep -o '"seed": [0-9]*' "$T/seed/training.json")" '"seed": 5' "the environment where neither says it"
config "{\"seed\": 7, \"objective\": \"classify\", \"steps\": 1, \"operands\": [\"$M\", \"$T/rows.tsv\"]}"
LATHE_SEED=5 lathe train --config "$T/run.json" -o "$T/seed" --quiet >/dev/null
like "$(<"$T/seed/training.json")" '"seed": 7' "the file before the environment; operands from it"

config "{\"seed\": 0, \"objective\": \"classify\", \"steps\": 1, \"operands\": [\"$M\", \"$T/rows.tsv\"]}"
LATHE_SEED=5 lathe train --config "$T/run.json" -o "$T/seed" --quiet >/dev/null
like "$(<"$T/seed/training.json")" '"seed": 0' "… also where it says what the default is"

# The record.
like "$(tr -d '\n' <"$T/filed/training.json")" '"operands": \["[^"]*bert-tiny"\].*"no-shuffle": true.*"lr": 0.003' "what a run was told is kept"
run lathe train --config "$T/filed/training.json" --json --log "$T/again.log" -o "$T/again"
is "$rc:$err:$(no_speed "$T/again.log")" "0::$(no_speed "$T/plain.log")" "… and makes the same run again"
check "… with the same weights" cmp "$T/again/model.safetensors" "$T/plain/model.safetensors"
lathe train --config "$T/run.json" --steps 2 --save-every 1 -o "$T/kept" --quiet >/dev/null
check "checkpoints keep it too" [ -s "$T/kept/checkpoint-1/training.json" ]

# Refusals; none leaves anything.
refused() { # JSON MESSAGE NAME
    config "$1"
    run lathe train "$M" --objective classify --data "$T/rows.tsv" --steps 1 --config "$T/run.json" -o "$T/none" --quiet
    like "$rc $err" "^2 .*run\.json:$2" "$3"
}
refused '{"learning-rate": 1}' ' learning-rate: unknown option' "no such option"
refused '{"batchs": 1}' ' batchs: unknown option; did you mean batch\?' "… with the nearest one"
refused '{"config": "x"}' ' config: unknown option' "a file of options names no other"
refused '{"lr": "fast"}' " lr: expected a number from 0 to 1e\+06, found 'fast'" "no number"
refused '{"lr": -1}' " lr: expected a number" "a number out of range"
refused '{"batch": 1.5}' " batch: expected a whole number" "no whole number"
refused '{"batch": {"a": 1}}' " batch: a number or a text is expected" "an object for a number"
refused '{"no-shuffle": "maybe"}' " no-shuffle: true or false is expected" "no truth value"
refused '{"dist": "x"}' " dist: 'x' is not one of none, mpi" "no such choice"
refused '{"operands": "x"}' " operands: an array of texts is expected" "operands that are none"
refused '[1]' " line 1: an object" "no object"
refused '{"lr": 1,}' '1:10: expected a key' "no JSON"
refused '{"lr": 1, "lr": 2}' '1:11: expected each key once' "the same key twice"
refused "{\"freeze\": \"a\\u0000b\"}" ' freeze: a text without a NUL' "a NUL"
run lathe train "$M" --config "$T/absent.json" -o "$T/none"
like "$rc $err" "^2 .*absent\.json" "no such file"
check "nothing is left of what was refused" [ ! -e "$T/none" ]
done_testing
