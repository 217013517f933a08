#!/bin/bash
# Protects: what people see on a terminal, and that nothing of it goes into a pipe.
. "$(dirname "$0")/../tap.sh"

command -v script >/dev/null || skip_all "no script(1) to make a terminal"
tty() { # ARGUMENTS: lathe's, quoted for a shell
    run script -qec "stty cols ${cols:-80} 2>/dev/null; '$LATHE' $1" /dev/null
    out=${out//$'\r'/}
}
bold=$'\033[1m'
TERM=xterm tty "list pooling"
like "$out" "^${bold//[/\\[}slot +name" "list: a heading, in bold"
NO_COLOR=1 TERM=xterm tty "list pooling"
like "$out" "^slot +name +source +summary" "NO_COLOR: no bold"
TERM=dumb tty "list pooling"
like "$out" "^slot +name" "a dumb terminal: no bold"
is "$(lathe list pooling | head -1 | tr '\t' '|')" "pooling|cls|Reimers & Gurevych 2019|the first row of a sequence" "a pipe: tabs, no heading"
cols=60 TERM=dumb tty "list activation"
[ "$(widest "$out")" -le 60 ]
ok $? "tables are cut to the terminal's width"
cols=50 TERM=dumb tty "list pooling"
[ "$(widest "$out")" -le 50 ]
ok $? "… also where the last column alone is not enough"
like "$out" $'^slot +name +source +summary\n.*  cls  .*\n.*…  .*…' "… and then the widest columns share what is short"
cols=200 TERM=dumb tty "list pooling"
is "$(grep -c … <<<"$out")" 0 "nothing is cut where all fits"
cols=60 tty "embed --help"
[ "$(widest "$(sed '/^Examples/,$d' <<<"$out")")" -le 60 ]
ok $? "help is wrapped to the terminal's width"
tty "embed model"
like "$out" "arrays are not for the screen: -o FILE\.npy" "embed: explains that arrays are not for the screen"
tty "forward model"
like "$out" "arrays are not for the screen" "forward: the same"
cols=120 tty "train tests/fixtures/models/bert-tiny --objective mlm --data README.md --batch 2 --steps 4000 -o '$T/out'"
like "$out" "training +[0-9]+ %  [0-9]+ steps  loss [0-9.]+  [0-9.]+ k?( )?tokens/s  [0-9]+ % of peak  [0-9:]+ (left|so far)" "train: loss, speed, share of the peak, time to go"
like "$out" "4000 steps over [0-9]+ examples; loss [0-9.]+, [0-9]+ tokens/s" "train: the speed in the end"
done_testing
