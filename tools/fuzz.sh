#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz, built by clang with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, each for
# so many seconds from its seeds. Prints TAP: one test a target. What broke one is kept in $BUILD/fuzz/found.
#
#   tools/fuzz.sh SECONDS [TARGET...]        JOBS: how many at once (1)
set -u
seconds=$1
shift
build=${BUILD:-build}/fuzz
found=$build/found
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
mkdir -p "$found"
rm -f "$build/failed"
tests/fuzz/seeds.sh "$build/seeds"
echo "1..$#"

one() { # TARGET NUMBER
    local log=$build/$1.log
    mkdir -p "$build/corpus/$1" "$build/seeds/$1"
    # Memory is bounded well above what a parser of small inputs may take; a single input must end within 10 s.
    if "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="$found/$1-" "$build/corpus/$1" "$build/seeds/$1" >"$log" 2>&1; then
        echo "ok $2 - fuzz $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
    else
        touch "$build/failed"
        echo "not ok $2 - fuzz $1 (the input is in $found)"
        grep -E 'ERROR|runtime error|SUMMARY|Test unit written|^    #[0-9] ' "$log" | head -n 20 | sed 's/^/# /'
    fi
}
n=0
for target in "$@"; do
    while [ "$(jobs -pr | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
    n=$((n + 1))
    one "$target" $n &
done
wait
[ ! -e "$build/failed" ]
