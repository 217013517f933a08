# TAP for the scripts of this folder: `check NAME COMMAND...` is one test point, failed with the command's output where its
# status is not 0; `skip NAME REASON`; `plan` at the end. Sourced from the root of the tree, with a scratch folder in $scratch.
set -u
cd "$(dirname "${BASH_SOURCE[1]}")/../.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
BUILD=${BUILD:-build}
points=0 failures=0
check() {
    points=$((points + 1))
    local name=$1
    shift
    if "$@" >"$scratch/check.log" 2>&1; then
        echo "ok $points - $name"
    else
        failures=$((failures + 1))
        echo "not ok $points - $name"
        tail -n 20 "$scratch/check.log" | sed 's/^/# /'
    fi
}
skip() {
    points=$((points + 1))
    echo "ok $points - $1 # SKIP $2"
}
plan() {
    echo "1..$points"
    [ $failures = 0 ]
}
