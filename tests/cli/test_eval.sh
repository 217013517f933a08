#!/bin/bash
# Protects: eval on files: rankings with trec_eval's names, correlations of predictions, and what is refused.
. "$(dirname "$0")/../tap.sh"

printf '%s\n' '1 Q0 a 1 3.0 x' '1 Q0 b 2 2.0 x' '1 Q0 c 3 1.0 x' '2 Q0 a 1 2.0 x' '2 Q0 c 2 1.0 x' >"$T/run"
printf '%s\n' '1 0 b 1' '1 0 c 0' '2 0 a 1' >"$T/qrels"
run lathe eval --run "$T/run" --qrels "$T/qrels" --json
is "$rc:$err" "0:" "eval --run"
like "$out" '"map":0\.75[,}]' "map: (1/2 + 1) / 2"
like "$out" '"recip_rank":0\.75[,}]' "recip_rank: the same here"
like "$out" '"ndcg_cut_10":0\.8154[0-9]*[,}]' "ndcg_cut_10: (1 / log2 3 + 1) / 2"
like "$out" '"recall_100":1(\.0)?[,}]' "recall_100"
is "$(lathe eval --run "$T/run" --qrels "$T/qrels")" "$out" "a pipe gets JSON too"
echo '1 Q0 a' >"$T/short"
run lathe eval --run "$T/short" --qrels "$T/qrels"
like "$rc $err" "^1 .*$T/short.*1" "a broken run: file and line are named"

printf 'text\ttext_pair\tscore\na\tb\t1\nc\td\t2\ne\tf\t4\n' >"$T/data.tsv"
printf '%s\n' 10 20 40 >"$T/p"
sts() { lathe eval --predictions "$1" --data "$T/data.tsv" --task sts "${@:2}"; }
run sts "$T/p"
like "$out" '^\{"pearson":(1|0\.99999999)[^,]*,"spearman":1[^,]*\}$' "predictions that fit"
printf '%s\n' '{"score":4}' '{"score":2}' '{"score":1}' >"$T/p"
run sts "$T/p"
like "$out" '"spearman":-1' "objects with a score"
printf '%s\n' 5 5 5 >"$T/p"
run sts "$T/p"
is "$rc:$out" '0:{"pearson":null,"spearman":null}' "a correlation that is not defined is null"
printf '%s\n' 5 5 >"$T/p"
run sts "$T/p"
like "$rc $err" "^1 .*expected 3 predictions.*found 2" "another number of predictions is refused"
printf '%s\n' 5 '"x"' 5 >"$T/p"
run sts "$T/p"
like "$rc $err" "^1 .*$T/p.* 2.*expected a number" "a prediction that is no number: the line is named"
printf '%s\n' 1 2 3 >"$T/p"
printf 'text,text_pair,score\na,b,high\n' >"$T/bad.csv"
run lathe eval --predictions "$T/p" --data "$T/bad.csv" --task sts
like "$rc $err" "^1 .*bad\.csv.* 2.*found 'high'" "a gold score that is no number: file and line are named"
printf 's1,s2,gold\na,b,1\nc,d,2\ne,f,3\n' >"$T/named.csv"
run lathe eval --predictions "$T/p" --data "$T/named.csv" --task sts --columns score=gold
like "$rc $out" '^0 .*"spearman":1' "--columns renames"
run lathe eval --predictions "$T/p" --data "$T/named.csv" --task sts
like "$rc $err" "^1 .*score.*gold" "a column that is not there: those that there are"
done_testing
