#!/bin/bash
# Protects: the twins in the environment of common options.
. "$(dirname "$0")/../tap.sh"

bad() { # VARIABLE VALUE
    run env "$1=$2" "$LATHE" info nothing-here
    like "$rc $err" "^2 lathe info: $1: " "$1=$2: exit 2, and the variable is named"
}
good() {
    run env "$1=$2" "$LATHE" info nothing-here
    like "$rc $err" "^1 .*nothing-here" "$1='$2' is taken"
}
bad LATHE_THREADS many
bad LATHE_THREADS -1
bad LATHE_THREADS 1.5
bad LATHE_PRECISION f23
bad LATHE_MAX_TOKENS 12x
bad LATHE_BATCH_TOKENS 0
bad LATHE_SEED 1e3
bad LATHE_QUIET perhaps
good LATHE_THREADS 2
good LATHE_THREADS ""
good LATHE_PRECISION f64
good LATHE_QUIET 1
good LATHE_QUIET no
good LATHE_PRECISION int8
run env LATHE_ISA=abacus "$LATHE" info nothing-here
like "$rc $err" "^2 .*abacus: not on this machine, which has ref" "LATHE_ISA: the instruction sets that there are"
run env LATHE_THREADS=x "$LATHE" info nothing-here --threads 2
like "$rc" "^1$" "the command line wins"
run env LATHE_THREADS=x "$LATHE" info --help
is "$rc" 0 "--help works whatever the environment says"
for verb in $(verbs); do
    missing=
    for v in $(lathe man | grep -oE '^\.B LATHE_[A-Z_]+' | sed 's/^\.B //'); do
        lathe man "$verb" | grep -q "^\.B $v\$" || missing+=" $v"
    done
    is "$missing" "" "$verb: its manual page names the twins"
done
done_testing
