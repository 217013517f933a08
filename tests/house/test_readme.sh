#!/usr/bin/env bash
# Protects: what README.md shows. Its C program compiles and runs against the built library, its commands run in their order.
. "$(dirname "$0")/tap.sh"
LATHE=${LATHE:-$BUILD/lathe}
model=$(realpath "${LATHE_MODEL:-tests/fixtures/models/bert-tiny}")

# The code of the first block in LANGUAGE under HEADING.
block() {
    awk -v language="\`\`\`$1" -v heading="## $2" '
        /^## / { here = $0 == heading }
        here && $0 == "```" && inside { exit }
        inside { print }
        here && $0 == language { inside = 1 }' README.md
}

block c "The library" >"$scratch/cosine.c"
block sh "The command" >"$scratch/commands"

program_compiles() {
    [ "$(wc -l <"$scratch/cosine.c")" -ge 15 ] &&
        ${CC:-cc} -std=c11 -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -o "$scratch/cosine" "$scratch/cosine.c" "$BUILD/liblathe.a" \
            $(pkg-config --libs jansson libutf8proc libpcre2-8 sqlite3 zlib libzstd) -lm -pthread
}
program_runs() {
    "$scratch/cosine" "$model" >"$scratch/out" && grep -qE '^-?[01]\.[0-9]{4}$' "$scratch/out"
}
program_tells_errors() { ! "$scratch/cosine" "$scratch/none" 2>"$scratch/err" && grep -q "$scratch/none" "$scratch/err"; }
commands_run() {
    ln -s "$(realpath "$LATHE")" "$scratch/lathe"
    sed 's,^model=.*,model=$1,' "$scratch/commands" >"$scratch/commands.sh"
    grep -q 'lathe search' "$scratch/commands.sh" && (cd "$scratch" && bash -eu commands.sh "$model") >"$scratch/out" || return
    [ -s "$scratch/vectors.npy" ] && grep -q 'a red bicycle' "$scratch/out" || return
    # With the real model the answers are right ones too: both end with the bicycle first.
    [ -z "${LATHE_MODEL:-}" ] || [ "$(grep -E 'score|bicycle|car' "$scratch/out" | tail -n 1 | grep -c 'a red bicycle')" = 1 ]
}

check "the C program compiles without a warning" program_compiles
check "the C program prints a cosine" program_runs
check "the C program tells what was wrong" program_tells_errors
check "the commands run" commands_run
plan
