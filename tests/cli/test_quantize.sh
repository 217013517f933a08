#!/bin/bash
# Protects: quantize and --precision: what is written runs alone and gives the bits of --precision, is smaller, is compared, and
# replaces nothing but a model; damaged scales and unknown schemes are refused by name.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
printf '%s\n' 'a first line' 'b' '' 'the last one, a little longer than the others' 'the first' >"$T/lines.txt"
lathe embed "$M" "$T/lines.txt" -o "$T/f32.npy"

for p in bf16 int8 int4; do
    run lathe quantize "$M" "$T/$p" --precision $p --quiet
    is "$rc:$err" "0:" "quantize --precision $p"
    mv "$T/$p" "$T/moved-$p" # away from whatever it might still read
    lathe embed "$T/moved-$p" "$T/lines.txt" -o "$T/a.npy" --quiet
    lathe embed "$M" "$T/lines.txt" --precision $p -o "$T/b.npy" --quiet
    check "$p: the bits of --precision $p" cmp "$T/a.npy" "$T/b.npy"
    check "$p: not those of f32" sh -c "! cmp -s '$T/a.npy' '$T/f32.npy'"
    lathe embed "$T/moved-$p" "$T/lines.txt" --threads 3 --batch-tokens 9 -o "$T/c.npy" --quiet
    check "$p: whatever the threads and the batch" cmp "$T/a.npy" "$T/c.npy"
    like "$(lathe info "$T/moved-$p" --json)" "\"dtype\":\"$p\".*\"unsupported\":\[\]" "$p: info names it"
    check "$p: a smaller file" [ "$(stat -c %s "$T/moved-$p/model.safetensors")" -lt "$(stat -c %s "$M/model.safetensors")" ]
    is "$(lathe tokenize "$T/moved-$p" "$T/lines.txt")" "$(lathe tokenize "$M" "$T/lines.txt")" "$p: the tokenizer went along"
done

run lathe quantize "$M" "$T/compared" --precision int8 --compare "$T/lines.txt" --json --quiet
is "$(grep -oE '"[a-z_0-9]+":' <<<"$out" | tr -d '":\n')" "cosine_mincosine_meanbytes_beforebytes_aftertokens_per_s_beforetokens_per_s_after" "--compare --json: its keys"
cosine=$(grep -oE '"cosine_min":[0-9.]+' <<<"$out" | cut -d: -f2)
check "--compare: int8 is near f32" awk "BEGIN { exit !($cosine > 0.99 && $cosine < 1.0000001) }"

for p in int8 int4; do
    run lathe quantize "$M" "$T/by-texts-$p" --precision $p --calibrate "$T/lines.txt" --threads 1 --quiet
    is "$rc:$err" "0:" "quantize --precision $p --calibrate"
    lathe quantize "$M" "$T/again-$p" --precision $p --calibrate "$T/lines.txt" --threads 3 --quiet
    check "$p: the same file whatever the threads" cmp "$T/by-texts-$p/model.safetensors" "$T/again-$p/model.safetensors"
    check "$p: not the one that no texts gave" sh -c "! cmp -s '$T/by-texts-$p/model.safetensors' '$T/moved-$p/model.safetensors'"
    check "$p: it runs" lathe embed "$T/by-texts-$p" "$T/lines.txt" -o "$T/x.npy" --quiet
    rm "$T/x.npy"
done
like "$(grep '"format"' "$T/by-texts-int8/config.json")" '"int-quantized-smoothed"' "smoothed inputs are a format that others refuse"
sed 's/int-quantized-smoothed/int-quantized/; s/"lathe": {/&"smoothed": true, /' "$T/by-texts-int8/config.json" >"$T/again-int8/config.json"
lathe embed "$T/by-texts-int8" "$T/lines.txt" -o "$T/a.npy" --quiet
lathe embed "$T/again-int8" "$T/lines.txt" -o "$T/b.npy" --quiet
check "… and the key of before is read" cmp "$T/a.npy" "$T/b.npy"
lathe quantize "$M" "$T/half" --precision int8 --calibrate "$T/lines.txt" --smooth 0.5 --quiet
check "--smooth is 0.5 unless said" cmp "$T/by-texts-int8/model.safetensors" "$T/half/model.safetensors"
run lathe quantize "$M" "$T/none" --precision int8 --smooth 0.5
like "$rc $err" "^2 .*--calibrate" "--smooth without texts"
run lathe quantize "$M" "$T/none" --precision bf16 --calibrate "$T/lines.txt"
like "$rc $err" "^2 .*bf16" "bf16 has nothing to choose"
run lathe quantize "$M" "$T/none" --precision int8 --calibrate "$T/nowhere.txt"
like "$rc $err" "^1 .*nowhere.txt" "texts that are not there"
: >"$T/empty.txt"
run lathe quantize "$M" "$T/none" --precision int8 --calibrate "$T/empty.txt"
like "$rc $err" "^1 .*no inputs" "no texts"
run lathe quantize "$T/moved-int8" "$T/none" --precision int8 --calibrate "$T/lines.txt"
like "$rc $err" "^1 .*quantised already" "a model that is quantised is not calibrated"

mkdir "$T/other" && echo mine >"$T/other/notes.txt"
run lathe quantize "$M" "$T/other" --precision int8
like "$rc $err" "^[12] .*other" "a folder that is no model is not replaced"
is "$(cat "$T/other/notes.txt")" mine "… and is as it was"
run lathe quantize "$T/moved-int8" "$T/twice" --precision int4
like "$rc $err" "^[12] .*int8" "what is int8 does not become int4"
run lathe quantize "$M" "$T/none" --precision f23
like "$rc $err" "^2 .*f23" "an unknown precision"
run lathe quantize "$M/nowhere" "$T/none" --precision int8
like "$rc $err" "^1 .*nowhere" "a model that is not there"
check "nothing is left of what failed" sh -c "! ls -A '$T' | grep -E 'none|twice|tmp'"

cp -r "$T/moved-int8" "$T/strange"
sed -i 's/"compressed-tensors"/"some-other-scheme"/' "$T/strange/config.json"
run lathe embed "$T/strange" "$T/lines.txt" -o "$T/x.npy"
like "$rc $err" "^1 .*some-other-scheme" "an unknown scheme is refused by name"
cp -r "$T/moved-int8" "$T/cut"
truncate -s -100 "$T/cut/model.safetensors"
run lathe embed "$T/cut" "$T/lines.txt" -o "$T/x.npy"
like "$rc $err" "^1 .*model\.safetensors" "a file cut short"
check "no output of either" [ ! -e "$T/x.npy" ]
done_testing
