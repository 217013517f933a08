#!/usr/bin/env bash
# Protects: what README.md shows. Its C program compiles and runs against the built library, its commands run in their order.
real=${LATHE_MODEL:-}
. "$(dirname "$0")/../tap.sh"
model=$(realpath "${real:-$MODELS/bert-tiny}")

# The code of the first block in LANGUAGE under HEADING.
block() {
    awk -v language="\`\`\`$1" -v heading="## $2" '
        /^## / { here = $0 == heading }
        here && $0 == "```" && inside { exit }
        inside { print }
        here && $0 == language { inside = 1 }' README.md
}

block c "The library" >"$T/cosine.c"
block sh "The command" >"$T/commands"

program_compiles() {
    [ "$(wc -l <"$T/cosine.c")" -ge 15 ] &&
        ${CC:-cc} -std=c11 -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -o "$T/cosine" "$T/cosine.c" "$BUILD/liblathe.a" \
            $(pkg-config --libs libutf8proc libpcre2-8 sqlite3 zlib libzstd) -lm -pthread
}
program_runs() {
    "$T/cosine" "$model" >"$T/out" && grep -qE '^-?[01]\.[0-9]{4}$' "$T/out"
}
program_tells_errors() { ! "$T/cosine" "$T/none" 2>"$T/err" && grep -q "$T/none" "$T/err"; }
commands_run() {
    ln -s "$LATHE" "$T/lathe"
    sed 's,^model=.*,model=$1,' "$T/commands" >"$T/commands.sh"
    grep -q 'lathe search' "$T/commands.sh" && (cd "$T" && bash -eu commands.sh "$model") >"$T/out" || return
    [ -s "$T/vectors.npy" ] && grep -q 'a red bicycle' "$T/out" || return
    # With the real model the answers are right ones too: both end with the bicycle first.
    [ -z "$real" ] || [ "$(grep -E 'score|bicycle|car' "$T/out" | tail -n 1 | grep -c 'a red bicycle')" = 1 ]
}

check "the C program compiles without a warning" program_compiles
check "the C program prints a cosine" program_runs
check "the C program tells what was wrong" program_tells_errors
check "the commands run" commands_run
done_testing
