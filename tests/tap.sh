# The Test Anything Protocol for shell tests: source this, call check, ok, is, like …, end with done_testing. Tests run from the
# root of the tree, whose path is $ROOT. $LATHE is the binary under test; $T a scratch folder of the test, removed at its end.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-build}
LATHE=$(readlink -f "${LATHE:-$ROOT/$BUILD/lathe}")
cd "$ROOT" || exit 1
[ -x "$LATHE" ] || { echo "Bail out! no binary to test: $LATHE (make builds it)"; exit 1; }
MODELS=$ROOT/tests/fixtures/models
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
count=0 failed=0
unset "${!LATHE_@}" COLUMNS 2>/dev/null || true
export LATHE LC_ALL=C.UTF-8

# ok STATUS NAME: passes if STATUS is 0
ok() {
    count=$((count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $count - $2"
    else
        failed=$((failed + 1))
        echo "not ok $count - $2"
        return 1
    fi
}

# is GOT WANTED NAME
is() {
    [ "$1" = "$2" ]
    ok $? "$3" || printf '%s\n' "$1" "-- wanted --" "$2" | head -c 2000 | awk '{ print "#   " $0 }'
}

# like TEXT REGEX NAME (extended, as in [[ =~ ]])
like() {
    [[ $1 =~ $2 ]]
    ok $? "$3" || printf '%s\n' "$1" "-- wanted a match of --" "$2" | head -c 2000 | awk '{ print "#   " $0 }'
}

# check NAME COMMAND…: passes if the command does; the end of its output is told where it does not
check() {
    local name=$1
    shift
    "$@" >"$T/.check" 2>&1
    ok $? "$name" || tail -n 20 "$T/.check" | sed 's/^/#   /'
}

# run COMMAND…: its output in $out, its messages in $err, its exit status in $rc
run() {
    rc=0
    "$@" >"$T/.out" 2>"$T/.err" </dev/null || rc=$?
    out=$(<"$T/.out") err=$(<"$T/.err")
}

lathe() { "$LATHE" "$@"; }

# widest TEXT: the columns of its longest line
widest() { wc -L <<<"$1"; }

skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

# skip_all REASON: instead of the whole test
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$count"
    exit $((failed > 0))
}

verbs() { lathe help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }
