#!/bin/bash
# Protects: analyze gives a line for each input of each layer and one of outlier dimensions, whatever the threads; a threshold at which all
# or nothing is an outlier says so; quantised models are looked at as the floats they mean; every rule of eight bits is tried, on a model with
# outliers put in too.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
printf '%s\n' 'a first line' 'b' '' 'the last one, a little longer than the others' 'the first' >"$T/lines.txt"
layers=$(lathe info "$M" --json | sed 's/.*"layers":\([0-9]*\).*/\1/')
hidden=$(lathe info "$M" --json | sed 's/.*"hidden":\([0-9]*\).*/\1/')

run lathe analyze "$M" "$T/lines.txt" --json --threads 1 --quiet
is "$rc:$err" "0:" "analyze"
is "$(grep -c '"kurtosis"' <<<"$out")" $((4 * layers)) "a line for each input"
is "$(head -n 1 <<<"$out" | grep -oE '"[a-z_]+":' | tr -d '":\n')" "layerinputlinearinf_normkurtosisfeaturespositions" "its keys"
like "$(tail -n 1 <<<"$out")" '^."threshold":6,"tokens":[1-9][0-9]*,"outlier_dimensions":\[' "the last line"
is "$(lathe analyze "$M" "$T/lines.txt" --json --threads 3 --quiet)" "$out" "the same with three threads"
is "$(lathe analyze "$M" "$T/lines.txt" --json --threshold 1e-6 --quiet | tail -n 1 | grep -o '"feature"' | wc -l)" "$hidden" "near zero, every dimension is one"
like "$(lathe analyze "$M" "$T/lines.txt" --json --threshold 1e9 --quiet | tail -n 1)" '"outlier_dimensions":\[\]' "at a billion, none is"
lathe quantize "$M" "$T/int8" --precision int8 --quiet >/dev/null
run lathe analyze "$T/int8" "$T/lines.txt" --json --quiet
is "$rc:$(wc -l <<<"$out")" "0:$((4 * layers + 1))" "a quantised model"
printf '[2, 5, 3]\n[7]\n' >"$T/ids.txt"
like "$(lathe analyze "$M" "$T/ids.txt" --ids --json --quiet | tail -n 1)" '"tokens":4,' "ids"

run lathe analyze "$M" "$T/lines.txt" --quantizers --json --threads 1 --quiet
is "$rc:$err" "0:" "--quantizers"
is "$(grep -o '"quantizer":"[a-z0-9.-]*"' <<<"$out" | cut -d'"' -f4 | tail -n +2)" "$(lathe list quantizer --json | grep measured\\\|--precision | sed 's/.*"name":"\([^"]*\)".*/\1/')" "a line for each rule that list knows"
is "$(head -n 1 <<<"$out" | grep -oE '"[a-z_]+":' | tr -d '":\n')" "quantizererrorcolumnscosine_mincosine_mean" "its keys"
like "$(head -n 1 <<<"$out")" '"quantizer":"f32","error":0,"columns":0,"cosine_min":1' "f32 is itself"
is "$(lathe analyze "$M" "$T/lines.txt" --quantizers --json --threads 3 --quiet)" "$out" "the same with three threads"
more=$(lathe analyze "$M" "$T/lines.txt" --quantizers --inject 40 --json --quiet)
error() { grep "\"$2\"" <<<"$1" | sed 's/.*"error":\([^,]*\),.*/\1/'; }
check "outliers put in: f32 is the same model" awk "BEGIN { exit !($(error "$more" f32) < 1e-6) }"
check "… one scale is worse than many, and those than outliers apart" \
    awk "BEGIN { exit !($(error "$more" absmax) > $(error "$more" absmax-vector) && $(error "$more" absmax-vector) > 2 * $(error "$more" llm.int8)) }"
check "other features with another seed" [ "$(lathe analyze "$M" "$T/lines.txt" --quantizers --inject 40 --json --seed 7 --quiet)" != "$more" ]
run lathe analyze "$T/int8" "$T/lines.txt" --quantizers --json --quiet
is "$rc:$(wc -l <<<"$out")" "0:$(wc -l <<<"$more")" "--quantizers on a quantised model"
is "$(lathe analyze "$M" "$T/ids.txt" --ids --quantizers --json --quiet | wc -l)" "$(wc -l <<<"$more")" "--quantizers on ids"
lathe train "$M" --init random --objective mlm --data "$T/lines.txt" --steps 1 -o "$T/mlm" --quiet >/dev/null 2>&1
run lathe analyze "$T/mlm" "$T/lines.txt" --quantizers --json --quiet
is "$rc:$err:$(grep -c '"loss":[0-9]' <<<"$out")" "0::$(wc -l <<<"$more")" "a loss where masked tokens are predicted"
loss() { grep "\"$2\"" <<<"$1" | sed 's/.*"loss":\([^}]*\)}/\1/'; }
more=$(lathe analyze "$T/mlm" "$T/lines.txt" --quantizers --inject 60 --json --quiet)
check "outliers put in do not change it in f32" awk "BEGIN { d = $(loss "$out" f32) - $(loss "$more" f32); exit !(d < 1e-5 && d > -1e-5) }"

run lathe analyze "$M" "$T/lines.txt" --inject 40
like "$rc $err" "^2 .*--quantizers" "--inject alone"
run lathe analyze "$M" "$T/lines.txt" --quantizers --inject 0.5
like "$rc $err" "^2 .*inject" "--inject less than one"

run lathe analyze "$M" "$T/nowhere.txt" --json
like "$rc $err" "^1 .*nowhere" "a file that is not there"
run lathe analyze "$M" "$T/lines.txt" --threshold 0
like "$rc $err" "^2 .*threshold" "a threshold of zero"
printf '[2, 99999999]\n' >"$T/bad.txt"
run lathe analyze "$M" "$T/bad.txt" --ids --json
like "$rc $err" "^1 .*99999999" "an id that is none"
done_testing
