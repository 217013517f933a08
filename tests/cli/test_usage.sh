#!/bin/bash
# Protects: exit statuses and messages of wrong command lines, and that --help tells all that the option tables have.
. "$(dirname "$0")/../tap.sh"

run lathe
is "$rc" 2 "no verb: exit 2"
like "$err" "usage: lathe VERB" "no verb: usage on standard error"
is "$out" "" "no verb: nothing on standard output"

run lathe embd
is "$rc" 2 "unknown verb: exit 2"
like "$err" "unknown verb 'embd'; did you mean embed\?" "unknown verb: the nearest one"
run lathe --threads 2 embed
is "$rc" 2 "options before the verb: exit 2"

run lathe --version
is "$rc:$out" "0:lathe $(sed -n 's/^#define LT_VERSION "\(.*\)"/\1/p' "$ROOT/include/lathe/base.h")" "--version"
run lathe --help
like "$rc $out" "^0 usage: lathe VERB MODEL" "--help"

for verb in $(verbs); do
    run lathe "$verb" --help
    is "$rc:$err" "0:" "$verb --help: exit 0"
    help=$out
    run lathe help "$verb"
    is "$out" "$help" "help $verb says the same"
    like "$help" "Examples:"$'\n'"  [^ ]*" "$verb: examples"
    like "$help" "lathe $verb" "$verb: examples use it"
    like "$help" "Exit status: 0" "$verb: exit statuses"
    missing=
    for option in $(lathe completion bash | sed -n "/^    $verb)\$/,/;;/s/.*options='\(.*\)'.*/\1/p"); do
        grep -qE -- "(^|[ ,])$option([ ,]|\$)" <<<"$help" || missing+=" $option"
    done
    is "$missing" "" "$verb --help: mentions every option"
    [ "$(widest "$(sed '/^Examples/,$d' <<<"$help")")" -le 80 ]
    ok $? "$verb --help: wrapped"

    run lathe "$verb" --no-such-option
    is "$rc" 2 "$verb: unknown option: exit 2"
    like "$err" "lathe $verb: unknown option --no-such-option.*lathe $verb --help" "$verb: unknown option: named, with a hint"
    run lathe "$verb" --thread=2
    like "$rc $err" "^2 .*unknown option --thread; did you mean --threads\?" "$verb: the nearest option"
    run lathe "$verb" --threads
    like "$rc $err" "^2 .*--threads needs a value" "$verb: a value that is missing"
    run lathe "$verb" --threads two
    like "$rc $err" "^2 .*--threads: expected a whole number from 0 to 1024, found 'two'" "$verb: a value that is wrong"
    run lathe "$verb" --json=yes
    like "$rc $err" "^2 .*--json takes no value" "$verb: a value that is too much"
    run lathe "$verb" --isa abacus x y
    like "$rc" "^2$" "$verb: an instruction set that is not there"
done

# A verb asks only for options that its tables have: each name in the source stands in the manual page of a verb that lives there.
for verb in $(verbs); do
    source=$(grep -lE "lt_verb_$verb = " "$ROOT"/src/cli/*.c)
    page=$(sed -nE 's/.*lt_verb_([a-z]+) = .*/\1/p' "$source" | while read -r each; do lathe man "$each"; done | sed 's/\\-/-/g')
    missing=
    for name in $(grep -oE 'lt_arg_(given|flag|text|int|num)\([^,]*, "[a-z0-9-]+"\)|lt_cli_prompt\([^)]*"[a-z-]+"\)' "$source" |
        sed 's/.*"\(.*\)".*/\1/' | sort -u); do
        grep -q -- "^\\\\fB.*--$name\\\\fR" <<<"$page" || missing+=" $name"
    done
    is "$missing" "" "$verb: asks for options of its tables only"
done

for verb in info tokenize forward embed rank index search bench completion; do
    run lathe "$verb"
    like "$rc $err" "^2 lathe $verb: expected [A-Z]" "$verb: operands missing: exit 2"
done
run lathe info a b
like "$rc $err" "^2 .*one operand too many: 'b'" "one operand too many"
run lathe info -- --strange
like "$rc $err" "^1 .*--strange" "-- ends options"
run lathe info -qt2 nothing-here
like "$rc $err" "^1 .*nothing-here" "clusters of short options, with a value"
run lathe info nothing-here -z
like "$rc $err" "^2 .*unknown option -z" "an unknown letter, behind an operand"

run lathe embed m --precision f23
like "$rc $err" "^2 .*'f23' is not one of .*did you mean f32\?" "a choice with its nearest word"

run lathe list no-such-slot
like "$rc $err" "^2 .*no slot 'no-such-slot'; there are .*family" "list: an unknown slot: those that there are"
run lathe list familly
like "$rc $err" "^2 .*did you mean family\?" "list: the nearest slot"
run lathe help embd
like "$rc $err" "^2 .*did you mean embed\?" "help: the nearest verb"
run lathe completion tcsh
like "$rc $err" "^2 .*bash, zsh and fish" "completion: a shell it does not know"
run lathe rank m
like "$rc $err" "^2 .*--query is missing" "rank: no query"
run lathe index o --add --delete
like "$rc $err" "^2 .*choose one" "index: two tasks"
run lathe index o
like "$rc $err" "^2 .*expected OUT MODEL" "index: no model"
run lathe index o --delete
like "$rc $err" "^2 .*--delete needs the ids" "index: nothing to delete"
run lathe search o q --run f
like "$rc $err" "^2 .*--run has the queries" "search: a query too many"
run lathe search o q --exclude-self
like "$rc $err" "^2 .*--exclude-self needs" "search: --exclude-self without ids"
run lathe eval
like "$rc $err" "^2 .*expected --run RUN" "eval: nothing to do"
run lathe eval --run x
like "$rc $err" "^2 .*--qrels is missing" "eval: half of a pair"
run lathe eval m --data x --task anser
like "$rc $err" "^2 .*--task.*anser.*did you mean answer" "eval: a task that is not there is refused by name"
run lathe eval --data x --task sts
like "$rc $err" "^2 .*expected a MODEL" "eval: no model"
run lathe bench m f --prefill packed
like "$rc $err" "^2 .*--prefill packed: an encoder" "bench: packed is refused for encoders"
run lathe tokenize m --ids
like "$rc $err" "^2 .*--decode" "tokenize: ids without --decode"
done_testing
