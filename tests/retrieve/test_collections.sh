#!/usr/bin/env bash
# Protects: BM25 with the plain analyser gives the known figures of eight test collections, nDCG@10, MAP and recall@100, for two
# pairs of parameters, within 0.001: they are given in three digits, computed by an independent program over the same files.
data=${LATHE_DATA:-}
. "$(dirname "$0")/../tap.sh"
[ -n "$data" ] || skip_all "LATHE_DATA is not set"
command -v python3 >/dev/null || skip_all "no python3 to read the collections with"

# The metrics on standard input as "nDCG@10 MAP recall@100".
three() {
    tr -d '{}"' | tr ',' '\n' | awk -F: '{ m[$1] = $2 } END { printf "%.4f %.4f %.4f", m["ndcg_cut_10"], m["map"], m["recall_100"] }'
}
near() { # "A B C" "A B C"
    awk -v got="$1" -v want="$2" 'BEGIN {
        split(got, g, " ")
        split(want, w, " ")
        for (i = 1; i <= 3; i++) if (g[i] - w[i] > 0.001 || w[i] - g[i] > 0.001) exit 1
    }'
}
figures() { # SET K1 B NDCG MAP RECALL
    local exclude=() got
    [ "$1" = arguana ] && exclude=(--exclude-self)
    lathe search "$T/$1.idx" --run "$T/$1/queries.tsv" "${exclude[@]}" --k1 "$2" --b "$3" -o "$T/run" 2>"$T/err" &&
        lathe eval --run "$T/run" --qrels "$T/$1/qrels.tsv" --complete --json >"$T/metrics" 2>>"$T/err"
    got=$(three <"$T/metrics")
    near "$got" "$4 $5 $6"
    ok $? "$1, k1 = $2, b = $3: $got" || echo "#   wanted $4 $5 $6; $(cat "$T/err")"
    : >"$T/metrics"
}

last=
while read -r set k1 b ndcg map recall; do
    if [ "$set" != "$last" ]; then
        last=$set found=yes
        [ -d "$data/$set" ] && python3 "$ROOT/tests/retrieve/collections.py" "$set" "$data" "$T/$set" || found=
        [ -z "$found" ] || lathe index "$T/$set.idx" --keyword --analyzer plain "$T/$set/corpus.jsonl" >/dev/null
    fi
    if [ -n "$found" ]; then
        figures "$set" "$k1" "$b" "$ndcg" "$map" "$recall"
    else
        skip "$set $k1 $b" "$data/$set is not there"
    fi
done <<'END'
cranfield 0.9 0.4 .333 .254 .676
cranfield 1.2 0.75 .349 .269 .696
med 0.9 0.4 .650 .484 .753
med 1.2 0.75 .672 .498 .766
cisi 0.9 0.4 .318 .174 .393
cisi 1.2 0.75 .350 .187 .408
cacm 0.9 0.4 .437 .302 .614
cacm 1.2 0.75 .448 .315 .627
vaswani 0.9 0.4 .370 .221 .473
vaswani 1.2 0.75 .356 .211 .462
scifact 0.9 0.4 .661 .624 .885
scifact 1.2 0.75 .661 .623 .883
nfcorpus 0.9 0.4 .310 .146 .238
nfcorpus 1.2 0.75 .310 .146 .240
arguana 0.9 0.4 .384 .314 .907
arguana 1.2 0.75 .459 .382 .947
END
done_testing
