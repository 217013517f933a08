#!/usr/bin/env bash
# Protects: the walks of CONTRIBUTING.md. Each is made in a copy of the tree, to the letter: files are written, lines put after the
# lines that are named, the commands run.
. "$(dirname "$0")/../tap.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS BUILD # the copy has its own
copy=$T/tree
mkdir "$copy"
cp -r Makefile include src "$copy"
mkdir -p "$copy/tests/fixtures/models"
cp -r tests/kernels tests/*.h "$copy/tests"
cp -r tests/fixtures/models/bert-tiny "$copy/tests/fixtures/models"
export CFLAGS=-O0 WERROR=1 # quick to build; what is asked here is whether it works

# Writes the steps of a section into files 1, 2, … of a folder: a line "new FILE", "after FILE TEXT" or "run", then the block.
steps() { # HEADING FOLDER
    awk -v heading="## $1" -v folder="$2" '
        /^## / { here = $0 == heading }
        !here { next }
        /^New file `/ { split($0, part, "`"); todo = "new\t" part[2] }
        /^In `/ { split($0, part, "`"); todo = "after\t" part[2] "\t" part[4] }
        /^```$/ && inside { close(file); inside = 0; next }
        inside { print > file; next }
        /^```sh$/ { todo = "run" }
        /^```(c|sh)$/ {
            if (todo == "") { print "a block that no line above says what to do with: " NR; exit 1 }
            file = folder "/" ++n
            print todo > file
            todo = ""
            inside = 1
        }
        END { if (!n) { print "no such section"; exit 1 } }' CONTRIBUTING.md
}
make_step() { # FILE
    local what where text block=$T/block
    IFS=$'\t' read -r what where text <"$1"
    tail -n +2 "$1" >"$block"
    case $what in
    new)
        [ ! -e "$copy/$where" ] || { echo "$where is there already" && return 1; }
        cp "$block" "$copy/$where"
        ;;
    after)
        [ "$(grep -cF -- "$text" "$copy/$where")" = 1 ] || { echo "$where: not exactly one line has: $text" && return 1; }
        sed -i "$(grep -nF -- "$text" "$copy/$where" | cut -d: -f1)r $block" "$copy/$where"
        ;;
    run) (cd "$copy" && bash -eu -o pipefail -x "$block") ;;
    esac
}
walk() { # HEADING
    local folder=$T/${1// /-} i
    mkdir "$folder"
    steps "$1" "$folder" || return
    for ((i = 1; ; i++)); do
        [ -f "$folder/$i" ] || break
        make_step "$folder/$i" || return
    done
}

check "a filling" walk "Add a filling"
check "a family" walk "Add a family"
check "a verb" walk "Add a verb"
check "a kernel" walk "Add a kernel"
done_testing
