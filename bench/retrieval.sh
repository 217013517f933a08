#!/usr/bin/env bash
# Retrieval quality of keyword, dense and hybrid search on three BEIR sets, all by the lathe command: one table.
#
#   LATHE_DATA=… bench/retrieval.sh MODEL [SET…]      sets: scifact nfcorpus arguana; LATHE: the binary (./lathe)
#
# "plain" is BM25 without stemming, the figures that are published for these files; "bm25" is the default analyser (english). Means are over all
# judged queries (--complete). ArguAna's queries are documents themselves: each is left out of its own ranking.
set -eu
lathe=$(readlink -f "${LATHE:-./lathe}")
here=$(cd "$(dirname "$0")/.." && pwd)
model=${1:?a model directory is needed}
shift
[ $# -gt 0 ] || set -- scifact nfcorpus arguana
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
printf '%-10s %-8s %10s %10s %10s %12s %10s\n' set ranking nDCG@10 recall@100 MAP queries/s index,s
for set in "$@"; do
    python3 "$here/tests/retrieve/collections.py" "$set" "${LATHE_DATA:?}" "$T"
    for kind in plain english; do
        begin=$(now)
        if [ $kind = plain ]; then "$lathe" index "$T/$kind.idx" --keyword --analyzer plain "$T/corpus.jsonl" >/dev/null
        else "$lathe" index "$T/$kind.idx" "$model" "$T/corpus.jsonl" >/dev/null; fi
        took=$(since "$begin") modes='bm25 dense hybrid'
        [ $kind = plain ] && modes=plain
        for mode in $modes; do
            begin=$(now)
            "$lathe" search "$T/$kind.idx" --run "$T/queries.tsv" --mode "${mode/plain/bm25}" $([ "$set" = arguana ] && echo --exclude-self) -o "$T/run"
            seconds=$(since "$begin")
            "$lathe" eval --run "$T/run" --qrels "$T/qrels.tsv" --complete --json | tr ',' '\n' | tr -d '{}"' |
                awk -F: -v set="$set" -v mode="$mode" -v s="$seconds" -v q="$(wc -l <"$T/queries.tsv")" -v took="$took" '{ m[$1] = $2 }
                    END { printf "%-10s %-8s %10.4f %10.4f %10.4f %12.1f %10s\n", set, mode, m["ndcg_cut_10"], m["recall_100"], m["map"], q / s, took }'
        done
    done
done
