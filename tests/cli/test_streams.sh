#!/bin/bash
# Protects: manners of the streams: a full disk, a closed pipe, signals, files that are not there, no half-written output.
. "$(dirname "$0")/../tap.sh"

if [ -w /dev/full ]; then
    rc=0; lathe man embed >/dev/full 2>"$T/err" || rc=$?
    like "$rc $(<"$T/err")" "^1 lathe man: standard output: No space left" "a full disk: exit 1 and the reason"
    rc=0; lathe embed --help >/dev/full 2>"$T/err" || rc=$?
    like "$rc $(<"$T/err")" "^1 .*No space left" "a full disk: --help too"
else
    skip "a full disk: exit 1 and the reason" "no /dev/full"
    skip "a full disk: --help too" "no /dev/full"
fi

{ sleep 0.2; rc=0; lathe man embed 2>"$T/err" || rc=$?; echo $rc >"$T/rc"; } | true
is "$(<"$T/rc"):$(<"$T/err")" "0:" "a closed pipe: quiet, exit 0"
{ sleep 0.2; rc=0; lathe help 2>"$T/err" || rc=$?; echo $rc >"$T/rc"; } | true
is "$(<"$T/rc"):$(<"$T/err")" "0:" "a closed pipe: help too"

run lathe list -o "$T/list"
is "$rc:$out:$err" "0::" "-o: nothing on standard output"
is "$(<"$T/list")" "$(lathe list)" "-o: the same text"
run lathe list -o "$T/no/such/folder/list"
like "$rc $err" "^1 .*$T/no/such/folder/list: No such file" "-o into a folder that is not there"
echo old >"$T/kept"
run lathe list no-such-slot -o "$T/kept"
is "$rc:$(<"$T/kept")" "2:old" "-o: an old file stays when the work fails"
is "$(find "$T" -name '*.tmp')" "" "-o: nothing is left behind"

# Names of outputs that no file can have: refused before the work, by name, and nothing is left behind.
M=$MODELS/bert-tiny
long=$(printf 'x%.0s' {1..300})
mkdir -p "$T/odd/folder" "$T/odd/array.npy"
echo text >"$T/text"
refused() { # NAME COMMAND…
    local name=${1:-\'\'}
    shift
    cd "$T/odd" || return
    run "$LATHE" "$@"
    cd - >/dev/null || return
    [ "$rc" = 1 ] || [ "$rc" = 2 ]
    ok $? "$* is refused" || echo "#   status $rc"
    is "$out:$(find "$T/odd" -mindepth 1 | sort | tr '\n' ' ')" ":$T/odd/array.npy $T/odd/folder " "… and leaves nothing"
    [[ $err == *"$name"* ]]
    ok $? "… by name" || echo "#   $err"
}
for name in . .. / folder folder/ folder/.. none/ none/. "" "$long"; do
    refused "$name" list -o "$name"
    refused "$name" index "$name" --keyword "$T/text"
done
for name in array.npy array.npy/ none.npy/ folder/none/x.npy "$long.npy"; do
    for how in f32 int8; do refused "$name" embed "$M" "$T/text" --pooling mean --output-dtype $how -o "$name"; done
done

run lathe info "$T/nothing"
like "$rc $err" "^1 lathe info: .*$T/nothing" "a model that is not there: exit 1, named"
for verb in tokenize forward embed bench; do
    run lathe $verb "$T/nothing" --json
    like "$rc $err" "^1 lathe $verb: .*$T/nothing" "$verb: a model that is not there"
done
run lathe rank "$T/nothing" --query q
like "$rc $err" "^1 .*$T/nothing" "rank: a model that is not there"
run lathe search "$T/nothing" q
like "$rc $err" "^1 .*$T/nothing" "search: an index that is not there"
[ ! -e "$T/nothing" ]
ok $? "… and is not made by asking"
run lathe eval --run "$T/nothing" --qrels "$T/nothing"
like "$rc $err" "^1 .*$T/nothing" "eval: a run that is not there"

# A verb that waits for input: predictions are read first, then the data from a pipe in which nothing comes.
printf '1\n2\n' >"$T/predictions"
mkfifo "$T/fifo"
for signal in INT:130 TERM:143; do
    "$LATHE" eval --predictions "$T/predictions" --data "$T/fifo" --task sts -o "$T/metrics" 2>"$T/err" &
    pid=$!
    exec 3>"$T/fifo"
    sleep 0.3
    kill -${signal%:*} $pid
    rc=0; wait $pid || rc=$?
    exec 3>&-
    is "$rc:$(<"$T/err")" "${signal#*:}:" "SIG${signal%:*}: stops at once, status ${signal#*:}, no message"
done
[ ! -e "$T/metrics" ] && [ -z "$(find "$T" -name '*.tmp')" ]
ok $? "… and nothing is half-written"

# Input that comes a little at a time: what is there is answered before more comes, in a pipe too.
printf 'one text\nanother, longer text\na third\n' >"$T/lines"
"$LATHE" embed "$M" "$T/lines" --pooling mean >"$T/want"
for threads in 1 2; do
    rm -f "$T/in" "$T/answers"
    mkfifo "$T/in" "$T/answers"
    exec 4<>"$T/answers" # both ends, so that opening it waits for nobody
    "$LATHE" embed "$M" "$T/in" --pooling mean --threads $threads >"$T/answers" 2>"$T/err" &
    pid=$!
    exec 3>"$T/in"
    got=
    while read -r line <&5; do
        echo "$line" >&3
        read -r -t 20 answer <&4 || break
        got+=$answer$'\n'
    done 5<"$T/lines"
    is "${got%$'\n'}" "$(<"$T/want")" "embed, $threads threads: each line is answered before the next comes"
    kill -INT $pid
    rc=0; wait $pid || rc=$?
    exec 3>&- 4<&-
    is "$rc:$(<"$T/err")" "130:" "… and Ctrl-C ends it while it waits for more"
done
done_testing
