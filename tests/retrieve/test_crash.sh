#!/usr/bin/env bash
# Protects: an index survives SIGKILL at any instant of adding and deleting. A few rounds here; crash.sh 200 for many.
. "$(dirname "$0")/../tap.sh"
run tests/retrieve/crash.sh 6
ok $rc "${out:-an index survives being killed}" || echo "#   $err"
done_testing
