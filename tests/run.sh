#!/usr/bin/env bash
# Runs test programs that print TAP (Test Anything Protocol, version 12 as cmocka and our scripts write it) and counts their
# test points. One line a program, then only what failed; a crash, a time-out, a missing plan or a plan that was not kept is a
# failure of its own. The last line is `N passed, M failed`, with `, K skipped` where tests were skipped.
#
#   tests/run.sh [-j JOBS] [-t SECONDS] [-l LABEL] [-a TALLY] PROGRAM...   -a: add the counts to a file, no last line
#   tests/run.sh -s TALLY                                                  the last line of such a file
set -u
jobs=1 limit=300 label='' tally=''
total() {
    awk '{ p += $1; f += $2; s += $3 }
         END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 || p == 0 }' "$1"
}
while getopts j:t:l:a:s: option; do
    case $option in
    j) jobs=$OPTARG ;;
    t) limit=$OPTARG ;;
    l) label="$OPTARG " ;;
    a) tally=$OPTARG ;;
    s) total "$OPTARG" && exit 0 || exit 1 ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

scratch=$(mktemp -d)
chmod 711 "$scratch" # tests that drop root's rights must still reach their folder in it
trap 'rm -rf "$scratch"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
: >"$scratch/tally"

# Runs one program with a temporary folder and a home of its own, and writes "passed failed skipped" to the tally.
run() {
    local program=$1 out=$scratch/$2.out home=$scratch/$2.home begin end status
    mkdir "$home"
    begin=$(date +%s%N)
    {
        TMPDIR=$home HOME=$home XDG_CACHE_HOME='' timeout -k 5 "$limit" "$program" >"$out" 2>&1 </dev/null
        status=$?
    } 2>/dev/null # the shell's own word on a crash
    end=$(date +%s%N)
    rm -rf "$home"
    awk -v status=$status -v limit="$limit" -v ms=$(((end - begin) / 1000000)) -v name="$label${program#./}" -v tally="$scratch/tally" '
        { line[NR] = $0 }
        /^1\.\.[0-9]+/ { plan += substr($1, 4); plans++ }
        /^1\.\.0.*# *[Ss][Kk][Ii][Pp]/ { skips[++skipped] = "ok - all of it " $0 }
        /^(not )?ok([ \t]|$)/ {
            points++
            failing = 0
            if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) skips[++skipped] = $0
            else if ($1 == "ok") passed++
            else { failed++; failing = 1 }
        }
        failing { report = report "    " $0 "\n" }
        END {
            why = ""
            if (status == 124 || status == 137) why = "stopped after " limit " s, or killed"
            else if (status > 128) why = "ended by signal " status - 128
            else if (status != 0 && !failed) why = "exit status " status
            else if (!plans) why = "printed no plan (1..N)"
            else if (points != plan) why = "planned " plan " tests, ran " points + 0
            if (why != "") {
                failed++
                report = report "    not ok - " why "; its last lines:\n"
                for (i = NR > 40 ? NR - 39 : 1; i <= NR; i++) report = report "      | " line[i] "\n"
            }
            printf "%s%-46s %4d passed", failed ? "FAIL  " : "ok    ", name, passed
            if (failed) printf ", %d failed", failed
            if (skipped) printf ", %d skipped", skipped
            printf "  %.1f s\n%s", ms / 1000, report
            for (i = 1; i <= skipped; i++) {
                reason = skips[i]
                sub(/^(not )?ok[ \t]*[0-9]*[ \t]*-?[ \t]*/, "", reason)
                print "      skipped: " reason
            }
            printf "%d %d %d\n", passed, failed, skipped >> tally
        }' "$out"
}

n=0
for program in "$@"; do
    while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n; done
    n=$((n + 1))
    run "$program" $n &
done
wait
if [ -n "$tally" ]; then
    cat "$scratch/tally" >>"$tally"
    total "$scratch/tally" >/dev/null
else
    total "$scratch/tally"
fi
