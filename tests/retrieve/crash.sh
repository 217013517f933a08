#!/usr/bin/env bash
# Kills `lathe index --add` and `--delete` with SIGKILL at random instants, ROUNDS times, and looks each time whether the index
# opens, passes its own check, and holds what was committed: all documents of before, of an interrupted addition whole
# transactions from its beginning, and of an interrupted deletion whole transactions too. Prints one line; status 1 and the
# reason where it does not.
#
#   LATHE=build/lathe tests/retrieve/crash.sh ROUNDS [SEED]
set -u
export LC_ALL=C
rounds=${1:-200}
RANDOM=${2:-$(($$ % 32768))}
seed=${2:-$(($$ % 32768))}
lathe=$(readlink -f "${LATHE:-./lathe}")
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
X=$T/x.idx batch=2500 whole=1000 # documents of one addition; of one transaction

die() {
    echo "crash: round $round (seed $seed): $1"
    exit 1
}
# Documents NAME-1 … NAME-$batch, all with the word "common".
documents() {
    awk -v name="$1" -v n=$batch 'BEGIN {
        for (i = 1; i <= n; i++)
            printf "{\"id\":\"%s-%04d\",\"title\":\"title %d\",\"text\":\"common words of %s, number %d, and %d more\"}\n",
                name, i, i % 17, name, i, i * 7919 % 1000
    }'
}
# id and text of every document, sorted
contents() { "$lathe" search "$X" common --mode bm25 -k 10000000 --json | sed 's/"score":[^,]*,//' | sort; }
now() { date +%s%N; }

documents base >"$T/base.jsonl"
round=0
"$lathe" index "$X" --keyword "$T/base.jsonl" >/dev/null || die "could not make an index"
begin=$(now)
documents warm >"$T/warm.jsonl"
"$lathe" index "$X" --add "$T/warm.jsonl" >/dev/null || die "could not add"
took=$((($(now) - begin) / 1000)) # microseconds
contents >"$T/before"
killed=0 partly=0 journals=0 last=warm
for ((round = 1; round <= rounds; round++)); do
    if ((round % 3)); then
        task=add name=r$round
        documents $name >"$T/batch.jsonl"
        "$lathe" index "$X" --add "$T/batch.jsonl" >/dev/null 2>"$T/err" &
    else
        task=delete name=$last
        "$lathe" index "$X" --delete $(seq -f "$name-%04g" $batch) >/dev/null 2>"$T/err" &
    fi
    pid=$!
    # From the start to a little after the usual end.
    sleep "$(awk -v r=$((RANDOM * 32768 + RANDOM)) -v t=$took 'BEGIN { printf "%.6f", r / 1073741824 * t * 1.1 / 1e6 }')"
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
    status=$?
    [ $status = 0 ] || [ $status = 137 ] || die "$task ended with status $status: $(cat "$T/err")"
    [ -e "$X-journal" ] && journals=$((journals + 1))
    "$lathe" index "$X" --check >"$T/check" 2>&1 || die "the check after $task failed: $(cat "$T/check")"
    contents >"$T/after" || die "could not search"
    gone=$(comm -23 "$T/before" "$T/after" | wc -l)
    new=$(comm -13 "$T/before" "$T/after" | wc -l)
    if [ $task = add ]; then
        last=$name
        [ "$gone" = 0 ] || die "$gone committed documents are gone"
        [ $((new % whole)) = 0 ] || [ "$new" = $batch ] || die "$new of $batch documents were added: no whole transactions"
        [ "$new" = "$(comm -13 "$T/before" "$T/after" | grep -c "\"id\":\"$name-")" ] || die "documents from nowhere"
        [ "$(documents $name | head -n "$new" | sort | cksum)" = "$(comm -13 "$T/before" "$T/after" | cksum)" ] ||
            die "the documents added are not the first ones, as they are"
        full=$batch got=$new
    else
        full=$(grep -c "\"id\":\"$name-" "$T/before") got=$gone
        [ "$new" = 0 ] || die "deleting added documents"
        [ "$gone" = "$(comm -23 "$T/before" "$T/after" | grep -c "\"id\":\"$name-")" ] ||
            die "documents were deleted that were not named"
        [ $((gone % whole)) = 0 ] || [ "$gone" = "$full" ] || die "$gone of $full documents were deleted: no whole transactions"
    fi
    [ $status != 0 ] || [ "$got" = "$full" ] || die "$task said that it was done, and did $got of $full"
    [ "$got" != 0 ] && [ "$got" != "$full" ] && partly=$((partly + 1))
    mv "$T/after" "$T/before"
done
[ $killed -gt 0 ] || die "nothing was killed in time"
# A journal may lie there still, of a writer that died before it wrote anything; the next one will use it.
[ -z "$(ls -A "$T" | grep '^\.\|^x' | grep -vx 'x\.idx\(-journal\)\?')" ] || die "files are left over: $(ls -A "$T")"
echo "crash: $rounds rounds (seed $seed): $killed killed, $partly between two transactions, $journals in the midst of one;" \
    "$(wc -l <"$T/before") documents, all as committed"
