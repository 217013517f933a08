#!/bin/bash
# Protects: classify: its JSON, labels and probabilities, pairs, several labels, ids, what the config says of the problem; the same with any number of
# threads and any batch, line by line through a pipe; what is refused.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
{
    printf 'text\tlabel\n'
    for i in $(seq 30); do printf 'a good line %s\tgood\nthis is bad %s\tbad\nso so %s\tso "so"\n' "$i" "$i" "$i"; done
} >"$T/rows.tsv"
lathe train "$M" --objective classify --data "$T/rows.tsv" --batch 8 --lr 1e-2 --steps 30 --dropout 0 -o "$T/c" --quiet >/dev/null || skip_all "train does not work"

number='[0-9.e-]+'
run lathe classify "$T/c" --json <<<"x"
printf '%s\n' "this is bad" "a good line" "so so" "" >"$T/lines"
run lathe classify "$T/c" "$T/lines"
is "$rc:$err" "0:" "classify"
is "$(wc -l <<<"$out")" 4 "a line an input, the empty one too"
like "$(sed -n 3p <<<"$out")" "^\{\"label\":\"so \\\\\"so\\\\\"\",\"score\":$number,\"scores\":\{\"bad\":$number,\"good\":$number,\"so \\\\\"so\\\\\"\":$number\}\}$" "its JSON"
is "$(head -n 3 <<<"$out" | grep -o '^{"label":"[a-z]*' | tr '\n' ' ')" '{"label":"bad {"label":"good {"label":"so ' "it has learned its labels"
check "probabilities sum to 1" awk -F'[:,}]' '{ s = $7 + $9 + $11; if ((s - 1) ^ 2 > 1e-12) bad = 1 } END { exit bad }' <<<"$out"
check "the score is the label's" awk -F'[:,}]' '{ m = $7 > $9 ? $7 : $9; m = m > $11 ? m : $11; if ($4 != m) bad = 1 } END { exit bad }' <<<"$out"
for i in $(seq 200); do head -c $((i * 7 % 300)) "$T/rows.tsv" | tr '\n\t' '  '; echo; done >"$T/many"
lathe classify "$T/c" "$T/many" >"$T/one" --threads 1
for o in "--threads 2" "--threads 3" "--batch-tokens 40" "--threads 2 --batch-tokens 100"; do
    lathe classify "$T/c" "$T/many" $o >"$T/two"
    check "the same with $o" cmp "$T/one" "$T/two"
done
lathe classify "$T/c" <"$T/many" >"$T/two"
check "the same through a pipe" cmp "$T/one" "$T/two"
lathe classify "$T/c" "$T/many" -o "$T/two"
check "the same with -o" cmp "$T/one" "$T/two"

printf 'text\ttext_pair\na good\tline\n' >"$T/pair.tsv"
printf 'a good\tline\n' >"$T/tab"
run lathe classify "$T/c" "$T/pair.tsv"
pair=$out
is "$(lathe classify "$T/c" "$T/tab" --pair)" "$pair" "a pair: two columns, or a tab with --pair"
check "… is not the one text" [ "$(lathe classify "$T/c" <<<"a good line")" != "$pair" ]
ids=$(lathe tokenize "$M" --json <<<"a good line" | sed 's/.*"ids":\(\[[^]]*\]\).*/\1/')
is "$(lathe classify "$T/c" --ids <<<"$ids")" "$(lathe classify "$T/c" <<<"a good line")" "--ids"

run lathe classify "$T/c" "$T/lines" --multi-label
like "$(sed -n 2p <<<"$out")" "^\{\"labels\":\[[^]]*\"good\"[^]]*\],\"scores\":\{" "several labels"
is "$(lathe classify "$T/c" "$T/lines" --multi-label --threshold 1 | grep -c '^{"labels":\[\],')" 4 "above 1 there is none"
is "$(lathe classify "$T/c" "$T/lines" --multi-label --threshold 0 | grep -c '^{"labels":\["bad","good","so \\"so\\""\],')" 4 "above 0 there are all"
cp -r "$T/c" "$T/multi"
sed -i 's/^{/{"problem_type": "multi_label_classification",/' "$T/multi/config.json"
is "$(lathe classify "$T/multi" "$T/lines")" "$out" "problem_type says so too"
sed 's/good$/1.5/;s/bad$/-1/;s/so "so"$/0.25/' "$T/rows.tsv" >"$T/numbers.tsv"
lathe train "$M" --objective regress --data "$T/numbers.tsv" --batch 8 --lr 3e-3 --steps 10 -o "$T/r" --quiet >/dev/null
run lathe classify "$T/r" "$T/lines"
like "$out" "^\{\"label\":\"LABEL_0\",\"score\":0\.[0-9]+,\"scores\":\{\"LABEL_0\":0\.[0-9]+\}\}" "one output: the logistic function"
plain=$(lathe classify "$T/r" "$T/lines" --function none)
sed -i 's/^{/{"problem_type": "regression",/' "$T/r/config.json"
is "$(lathe classify "$T/r" "$T/lines")" "$plain" "a regression: the output itself"
is "$(lathe forward "$T/r" "$T/lines" --output logits | sed 's/[^-0-9.e]//g' | head -n 1 | cut -c 1-6)" "$(sed 's/.*"score":\([^,]*\),.*/\1/' <<<"$plain" | head -n 1 | cut -c 1-6)" "… which is forward's"

run lathe classify "$M" "$T/lines"
like "$rc $err" "^2 .*no classifying head \(its head: none\)" "a model without a head"
run lathe classify "$T/none" "$T/lines"
like "$rc $err" "^1 .*none" "no model"
run lathe classify "$T/c" "$T/lines" --threshold 2
like "$rc $err" "^2 .*--threshold" "a threshold beyond 1"
printf 'a\0b\xff\n\xf0\x9f\x98\x80\n' >"$T/odd"
head -c 300000 /dev/zero | tr '\0' 'g' >>"$T/odd"
run lathe classify "$T/c" "$T/odd"
is "$rc $(wc -l <<<"$out")" "0 3" "bytes that are no text, and a long line"
printf '{"text": 3}\n{"text": null}\n' >"$T/bad.jsonl"
run lathe classify "$T/c" "$T/bad.jsonl"
like "$rc $err" "^1 .*bad\.jsonl:2" "a row without text is named"
done_testing
