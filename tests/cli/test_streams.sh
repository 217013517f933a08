#!/bin/bash
# Protects: manners of the streams: a full disk, a closed pipe, signals, files that are not there, no half-written output.
. "$(dirname "$0")/tap.sh"

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
done_testing
