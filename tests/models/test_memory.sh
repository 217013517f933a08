#!/usr/bin/env bash
# Protects: `lathe embed` and `lathe forward` under a limit of their addresses that is raised step by step until they succeed:
# every failure before that is exit status 1 with one message about memory and no output file; never a crash, never a wrong
# result. Below some limit the C library cannot even load the program; its own message is accepted there.
. "$(dirname "$0")/../tap.sh"
model=tests/fixtures/models/bert-tiny

for i in $(seq 200); do echo "the lathe number $i turns a block of wood, tokens, Tokens and TOKENS"; done >"$T/lines"

# One run under a limit of $1 KiB; prints what was wrong, sets `done` where it succeeded.
attempt() { # KIB COMMAND...
    local limit=$1 status
    shift
    rm -f "$T/out.npy"
    (ulimit -v "$limit" && exec "$@" -o "$T/out.npy") >"$T/stdout" 2>"$T/stderr"
    status=$?
    done=''
    case $status in
    0) done=yes ;;
    127) # the dynamic loader's own failure
        grep -q 'error while loading shared libraries\|^cannot allocate TLS' "$T/stderr" || { echo "at $limit KiB: status 127: $(cat "$T/stderr")" && return 1; }
        ;;
    1)
        grep -qiE 'memory|thread' "$T/stderr" || { echo "at $limit KiB: the message does not speak of memory: $(cat "$T/stderr")" && return 1; }
        [ "$(wc -l <"$T/stderr")" -le 2 ] || { echo "at $limit KiB: more than a message: $(cat "$T/stderr")" && return 1; }
        [ ! -e "$T/out.npy" ] || { echo "at $limit KiB: an output was left behind" && return 1; }
        [ -z "$(find "$T" -name '*.npy*')" ] || { echo "at $limit KiB: a part of an output was left behind" && return 1; }
        refusals=$((refusals + 1))
        ;;
    *)
        # Before main() the loader may be killed outright where not even its stack fits.
        [ $status = 139 ] || [ $status = 137 ] && [ "$limit" -lt "$floor" ] && return 0
        echo "at $limit KiB: status $status: $(head -c 500 "$T/stderr")"
        return 1
        ;;
    esac
}

# Raises the limit from below what the program itself needs until it succeeds, and a few steps more.
raise() { # COMMAND...
    "$@" -o "$T/want.npy" 2>"$T/stderr" || { cat "$T/stderr" && return 1; }
    mv "$T/want.npy" "$T/want"
    local limit=2000 more=0 tries=0
    floor=12000 refusals=0
    while [ $more -lt 5 ]; do
        attempt $limit "$@" || return 1
        if [ $done ]; then
            cmp "$T/out.npy" "$T/want" || { echo "at $limit KiB: another result" && return 1; }
            more=$((more + 1))
        fi
        limit=$((limit + limit / 40 + 64))
        tries=$((tries + 1))
        [ $limit -lt 16000000 ] || { echo "did not succeed with 16 GB" && return 1; }
    done
    echo "$tries limits, $refusals of them refused by lathe, the last success at $limit KiB"
    [ $refusals -gt 0 ] || { echo "no limit was refused by lathe itself: nothing was tested" && return 1; }
}

if ! (ulimit -v 4000000) 2>/dev/null; then
    skip "memory limits" "this shell cannot limit addresses"
elif nm -D "$LATHE" 2>/dev/null | grep -q '__asan_init\|__tsan_init'; then
    skip "memory limits" "sanitizers need terabytes of addresses"
else
    check "embed, one thread" raise "$LATHE" embed $model "$T/lines" --pooling mean --threads 1
    check "embed, three threads" raise "$LATHE" embed $model "$T/lines" --pooling mean --threads 3
    check "forward, small passes" raise "$LATHE" forward $model "$T/lines" --output hidden --batch-tokens 300 --threads 2
fi
done_testing
