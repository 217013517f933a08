#!/usr/bin/env bash
# `make check`: builds everything with warnings as errors, runs every test, then the C tests again under AddressSanitizer and
# UndefinedBehaviorSanitizer, the threaded ones under ThreadSanitizer, and each fuzz target for a few seconds. The last line
# is `N passed, M failed`; a build that fails counts as one failed test.
set -u
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
unset MAKEFLAGS MAKELEVEL MFLAGS
tools/setup.sh check || exit 1
tools/setup.sh mpi || echo "check: without Open MPI: tests of --dist mpi skip"
mkdir -p build
tally=build/tally
: >"$tally"

say() { printf '\n== %s\n' "$*"; }
build() { # NAME MAKE-ARGUMENTS...
    local name=$1 log=build/$1.log
    shift
    say "building: $name"
    local begin=$SECONDS
    if "${MAKE:-make}" -j"$jobs" "$@" >"$log" 2>&1; then
        echo "built in $((SECONDS - begin)) s"
        return 0
    fi
    grep -nE 'error|warning|undefined reference|\*\*\*' "$log" | head -n 40
    echo "the build failed; all of it: $log"
    echo "0 1 0" >>"$tally"
    return 1
}
binaries() { find tests -name 'test_*.c' | sort | sed "s,^,$1/,; s,\.c\$,,"; }
scripts() { find tests -name 'test_*.sh' | sort; }

# The real checkpoint that some tests read, where it can be had; they skip where not.
if [ -z "${LATHE_MODEL:-}" ] && model=$(tools/model.sh); then export LATHE_MODEL=$model; fi

if build check WERROR=1 tests build/liblathe.a shared; then
    say "tests"
    BUILD=build LATHE=$PWD/build/lathe tests/run.sh -j "$jobs" -a "$tally" $(binaries build) $(scripts)
fi
if build asan BUILD=build/asan SAN=address,undefined CFLAGS='-O1 -g' tests; then
    say "tests under AddressSanitizer and UndefinedBehaviorSanitizer"
    tests/run.sh -j "$jobs" -a "$tally" -l asan: $(binaries build/asan)
fi
threaded=$(grep -l ThreadSanitizer $(find tests -name 'test_*.c' | sort))
if build tsan BUILD=build/tsan SAN=thread CFLAGS='-O1 -g' $(printf 'build/tsan/%s ' ${threaded//.c/}); then
    say "tests under ThreadSanitizer"
    tests/run.sh -a "$tally" -l tsan: $(printf 'build/tsan/%s ' ${threaded//.c/})
fi
if build fuzz fuzzers; then
    say "fuzzing, ${FUZZ_SECONDS:=4} s a target"
    printf '#!/bin/sh\nJOBS=%s exec tools/fuzz.sh %s\n' "$jobs" "$FUZZ_SECONDS" >build/fuzzers
    chmod +x build/fuzzers
    tests/run.sh -t 900 -a "$tally" build/fuzzers
fi
echo
exec tests/run.sh -s "$tally"
