#!/bin/bash
# Protects: the completion scripts are valid for their shells and complete verbs, options, choices and files.
. "$(dirname "$0")/../tap.sh"

for shell in bash zsh fish; do
    run lathe completion $shell
    is "$rc:$err" "0:" "completion $shell"
    printf '%s\n' "$out" >"$T/$shell"
    if command -v $shell >/dev/null; then
        run $shell -n "$T/$shell"
        is "$rc:$err" "0:" "$shell -n takes it"
    else
        skip "$shell -n takes it" "no $shell here"
    fi
done

# words WORD… : what bash offers for the last of them
words() {
    bash -c '. "$1"; shift; compopt() { echo "files"; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lathe; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$T/bash" "$@" | sed '/^$/d' | tr '\n' ' '
}
like "$(words lathe '')" "^info list tokenize .*version " "bash: verbs"
is "$(words lathe em)" "embed " "bash: a verb"
is "$(words lathe embed --pool)" "--pooling " "bash: an option"
is "$(words lathe embed --output-dtype '')" "f32 int8 ubinary " "bash: a choice"
is "$(words lathe embed m -o '')" "files " "bash: a file for -o"
is "$(words lathe embed '')" "files " "bash: files for operands"
is "$(words lathe help sea)" "search " "bash: verbs behind help"
is "$(words lathe completion z)" "zsh " "bash: shells behind completion"
missing=
for verb in $(verbs); do
    for option in $(words lathe "$verb" --); do
        grep -q -- "$option" "$T/zsh" || missing+=" zsh:$option"
        grep -qE -- "seen_subcommand_from $verb' -l ${option#--}( |\$)" "$T/fish" || missing+=" fish:$verb:$option"
    done
done
is "$missing" "" "zsh and fish have the options that bash has"

if command -v fish >/dev/null; then
    run env HOME="$T" fish -c "source $T/fish; complete -C 'lathe embed --output-dtype '"
    like "$out" "int8" "fish: a choice"
    run env HOME="$T" fish -c "source $T/fish; complete -C 'lathe tok'"
    like "$out" "^tokenize" "fish: a verb"
else
    skip "fish: a choice" "no fish here"
    skip "fish: a verb" "no fish here"
fi
if command -v zsh >/dev/null; then
    run env HOME="$T" zsh -fc "autoload -U compinit && compinit -D -u && source $T/zsh && print \$_comps[lathe]"
    is "$err:$out" ":_lathe" "zsh: sourcing it registers it"
else
    skip "zsh: sourcing it registers it" "no zsh here"
fi
done_testing
