#!/usr/bin/env bash
# Protects: an index survives SIGKILL at any instant of adding and deleting. A few rounds here; crash.sh 200 for many.
export LATHE=${LATHE:-./lathe}
echo 1..1
if out=$("$(dirname "$0")/crash.sh" 6 2>&1); then
    echo "ok 1 - $out"
else
    echo "not ok 1 - an index survives being killed"
    printf '%s\n' "$out" | sed 's/^/# /'
    exit 1
fi
