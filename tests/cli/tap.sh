# The Test Anything Protocol for shell tests: source this, call ok, is, like …, end with done_testing. LATHE is the binary under
# test. Each test has a scratch folder, $T, which is removed at the end.
LATHE=$(readlink -f "${LATHE:-./lathe}")
[ -x "$LATHE" ] || { echo "Bail out! no binary to test: ${LATHE:-./lathe} (make builds it)"; exit 1; }
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
MODELS=$ROOT/tests/fixtures/models
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
count=0 failed=0
unset "${!LATHE_@}" COLUMNS 2>/dev/null || true
export LC_ALL=C.UTF-8

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
