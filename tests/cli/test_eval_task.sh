#!/bin/bash
# Protects: eval --task: metrics of predictions in every form that is promised, those of a model being the same as of what its verb wrote; rows and
# predictions that do not match are refused by name. tests/oracle/compare_metrics.py compares values with the field's own packages.
. "$(dirname "$0")/../tap.sh"

# judge TASK DATA PREDICTIONS [OPTIONS]: rows and predictions as text with \n
judge() {
    printf '%b\n' "$2" >"$T/d.jsonl"
    printf '%b\n' "$3" >"$T/p"
    run lathe eval --predictions "$T/p" --data "$T/d.jsonl" --task "$1" --json "${@:4}"
}

gold='{"label":"a"}\n{"label":"b"}\n{"label":"b"}\n{"label":"c"}'
judge classify "$gold" '"a"\n"b"\n"a"\n"d"'
is "$rc:$out" '0:{"accuracy":0.5,"f1_macro":0.3333333333333333,"f1_micro":0.5,"mcc":0.4}' "labels"
one=$out
judge classify "$gold" '{"label":"a","score":1}\n{"label":"b"}\n"a"\n{"label":"d"}'
is "$out" "$one" "lines of classify"
judge classify '{"label":1}\n{"label":"2"}\n{"label":true}\n{"label":0.5}' '"1"\n2\n"true"\n0.5'
is "$rc:$out" '0:{"accuracy":1,"f1_macro":1,"f1_micro":1,"mcc":1}' "labels are compared as text"
judge classify '{"label":"a"}\n{"label":"a"}' '"a"\n"a"'
is "$out" '{"accuracy":1,"f1_macro":1,"f1_micro":1,"mcc":0}' "a single label"
judge classify '{"label":["a","b"]}\n{"label":[]}' '["b","a"]\n{"labels":["a"]}'
is "$rc:$out" '0:{"accuracy":0.5,"f1_macro":0.8333333333333333,"f1_micro":0.8}' "sets of labels"
judge classify "$gold" '"a"\n"b"\n"a"\n"d"' --per-label
like "$out" '"per_label":\{"a":\{"precision":0.5,"recall":1,"f1":0.6666666666666666,"support":1\},' "--per-label"
printf 'text,label\nx,a\ny,b\n' >"$T/d.csv"
printf '"a"\n"b"\n' >"$T/p"
like "$(lathe eval --predictions "$T/p" --data "$T/d.csv" --task classify)" '^\{"accuracy":1,' "labels of a table"
gzip -k "$T/p" "$T/d.csv"
like "$(lathe eval --predictions "$T/p.gz" --data "$T/d.csv.gz" --task classify)" '^\{"accuracy":1,' "compressed"

tags='{"words":["x","y","z"],"tags":["B-A","I-A","O"]}\n{"words":["x"],"tags":["I-B"]}'
judge tag "$tags" '["B-A","I-A","O"]\n["O"]'
is "$rc:$out" '0:{"precision":1,"recall":0.5,"f1":0.6666666666666666,"accuracy":0.75}' "tags"
judge tag "$tags" '{"tags":["B-A","O","O"]}\n{"tags":["B-B"]}' --per-label
is "$out" '{"precision":0.5,"recall":0.5,"f1":0.5,"accuracy":0.5,"per_label":{"A":{"precision":0,"recall":0,"f1":0,"support":1},"B":{"precision":1,"recall":1,"f1":1,"support":1}}}' "lines of tag; types"

answers='{"answers":["The cat","a dog"]}\n{"answers":{"text":["x y"],"answer_start":[3]}}\n{"answers":[]}'
judge answer "$answers" '"cat!"\n"y z"\n""'
is "$rc:$out" '0:{"exact_match":66.66666666666667,"f1":83.33333333333333}' "answers"
judge answer "$answers" '{"answer":"Cat","score":1}\n{"answers":[{"answer":"x y"},{"answer":"no"}]}\n"x"'
is "$out" '{"exact_match":66.66666666666667,"f1":66.66666666666667}' "lines of answer"

judge regress '{"label":1}\n{"label":"2"}\n{"label":4}' '3\n{"label":"LABEL_0","score":2}\n1'
like "$rc:$out" '^0:\{"pearson":-0\.9[0-9]*,"spearman":-1\}$' "numbers"
judge regress '{"score":1}\n{"score":1}' '3\n4'
is "$out" '{"pearson":null,"spearman":null}' "a correlation that is not defined; the score column"
judge lm '{"text":"ab"}\n{"text":"é"}' '{"ids":[1,2],"logprobs":[null,-1]}\n[-2,-3]'
like "$out" '^\{"perplexity":7\.38905609893065,"bits_per_byte":2\.16404256133344[0-9]*\}$' "log probabilities"

# Refusals: the row, or the line of the file, is named.
judge classify "$gold" '"a"\n"b"\n"a"'
like "$rc $err" "^1 .*$T/p: expected 4 predictions, one for each row of $T/d.jsonl, found 3: row 4 is without its prediction" "too few"
judge classify "$gold" '"a"\n"b"\n"a"\n"a"\n"a"'
like "$rc $err" "^1 .*expected 4 predictions.*found 5: row 5 is without its data" "too many"
judge classify "$gold" '"a"\n["b"]\n"a"\n"a"'
like "$rc $err" "^1 .*row 2: expected one label, as $T/d.jsonl line 2 has, found a list" "a list for one label"
judge classify '{"label":["a"]}' '"a"'
like "$rc $err" "^1 .*row 1: expected a list of labels.*found one label" "one label for a list"
judge classify '{"label":["a"]}\n{"label":"a"}' '["a"]\n["a"]'
like "$rc $err" "^1 .*row 2: expected a list of labels, as the rows before" "rows of two kinds"
judge classify "$gold" '"a"\n{"score":1}\n"a"\n"a"'
like "$rc $err" "^1 .*$T/p line 2: expected a label" "an object without a label"
judge classify "$gold" '"a"\nnull\n"a"\n"a"'
like "$rc $err" "^1 .*$T/p line 2: expected a label" "null"
judge classify "$gold" '"a"\nb\n"a"\n"a"'
like "$rc $err" "^1 .*$T/p:2" "a line that is not JSON"
judge classify '{"label":"a"}\n{"text":"x"}' '"a"\n"a"'
like "$rc $err" "^1 .*d.jsonl:2: no column \"label\"" "a row without a label"
judge classify '' ''
like "$rc $err" "^1 " "no row"
judge tag "$tags" '["B-A","I-A"]\n["O"]'
like "$rc $err" "^1 .*row 1: expected 3 tags, as $T/d.jsonl line 1 has, found 2" "another number of tags"
judge tag "$tags" '["B-A","I-A","O"]\n[""]'
like "$rc $err" "^1 .*row 2: expected tags.*found an empty one" "an empty tag"
judge tag "$tags" '["B-A","I-A",3]\n["O"]'
like "$rc $err" "^1 .*$T/p line 1: expected a list of tags" "a tag that is a number"
judge tag "$tags" '{"entities":[]}\n["O"]'
like "$rc $err" "^1 .*$T/p line 1: expected a list of tags" "entities have no places in words"
judge tag '{"words":["x"],"tags":["O","O"]}' '["O","O"]'
like "$rc $err" "^1 .*d.jsonl line 1: 1 words and 2 tags" "a row that does not match itself"
judge answer "$answers" '"a"\n3\n"x"'
like "$rc $err" "^1 .*$T/p line 2: expected an answer" "an answer that is a number"
judge answer '{"answers":[{"text":"x"}]}' '"a"'
like "$rc $err" "^1 .*d.jsonl line 1: answers: expected a list of texts" "right answers that are none"
judge regress '{"label":"x"}' '3'
like "$rc $err" "^1 .*d.jsonl line 1: label: expected a number, found 'x'" "a number that is none"
judge lm '{"text":"ab"}' '[0.5]'
like "$rc $err" "^1 .*$T/p line 1: log probability 0: expected a number up to 0" "a probability above 1"
run lathe eval m --predictions "$T/p" --data "$T/d.jsonl" --task tag
like "$rc $err" "^2 .*made already" "a model beside predictions"
run lathe eval --data "$T/d.jsonl" --task tag
like "$rc $err" "^2 .*expected a MODEL" "neither of both"

# Models: the verb's lines, judged, are the model, judged.
M=$MODELS/bert-tiny
{
    printf 'text\tlabel\n'
    for i in $(seq 20); do printf 'a good line %s\t0\nthis is bad %s\t1\n' "$i" "$i"; done
} >"$T/rows.tsv"
for i in $(seq 20); do
    echo '{"words": ["a", "good", "line"], "tags": ["O", "B-X", "I-X"]}'
    echo '{"words": ["bad", "lines"], "tags": ["O", "O"]}'
done >"$T/tags.jsonl"
lathe train "$M" --objective classify --data "$T/rows.tsv" --steps 4 --lr 1e-2 -o "$T/c" --quiet >/dev/null
lathe train "$M" --objective tag --data "$T/tags.jsonl" --steps 4 --lr 1e-2 -o "$T/t" --quiet >/dev/null
lathe classify "$T/c" "$T/rows.tsv" >"$T/p"
own=$(lathe eval "$T/c" --data "$T/rows.tsv" --task classify --json)
is "$own" "$(lathe eval --predictions "$T/p" --data "$T/rows.tsv" --task classify --json)" "a classifier"
like "$own" '^\{"accuracy":(1|0\.[0-9]*),"f1_macro":' "… has its metrics"
is "$(lathe eval "$T/c" --data "$T/rows.tsv" --task classify --json --threads 3 --batch-tokens 50)" "$own" "… the same with other threads and batches"
cp -r "$T/c" "$T/nameless"
sed -i 's/"id2label": {"0": "0", "1": "1"}/"id2label": {"0": "LABEL_0", "1": "LABEL_1"}/' "$T/nameless/config.json"
is "$(lathe eval "$T/nameless" --data "$T/rows.tsv" --task classify --json)" "$own" "labels without names are counted"
lathe tag "$T/t" "$T/tags.jsonl" --words >"$T/p"
own=$(lathe eval "$T/t" --data "$T/tags.jsonl" --task tag --json)
is "$own" "$(lathe eval --predictions "$T/p" --data "$T/tags.jsonl" --task tag --json)" "a tagger"
like "$own" '"precision":[0-9.]+,"recall":[0-9.]+,"f1":[0-9.]+' "… has its metrics"
for i in $(seq 20); do printf 'a O\ngood B-X\nline I-X\n\nbad O\nlines O\n\n'; done >"$T/tags.conll"
is "$(lathe eval "$T/t" --data "$T/tags.conll" --task tag --json)" "$own" "… the same rows as CoNLL"
cut -f1 "$T/rows.tsv" | head -5 >"$T/texts"
lathe train "$M" --objective mlm --data "$T/texts" --steps 2 -o "$T/m" --quiet >/dev/null
run lathe eval "$T/m" --data "$T/texts" --task lm --json
like "$rc $out" '^0 \{"perplexity":[0-9.]+,"bits_per_byte":[0-9.]+\}$' "a masked language model"
run lathe eval "$T/c" --data "$T/tags.jsonl" --task tag
like "$rc $err" '^2 .*head "tag" is expected, found "classify"' "a model for another task"
run lathe eval "$T/t" --data "$T/rows.tsv" --task classify
like "$rc $err" '^2 .*no classifying head \(its head: tag\)' "… and the other way"
run lathe eval "$T/c" --data "$T/rows.tsv" --task regress
like "$rc $err" '^[12] .*one output is expected, found 2' "two outputs are no number"
run lathe eval "$T/c" --data "$T/rows.tsv" --task answer
like "$rc $err" '^2 .*head "span" is expected' "no span head"
done_testing
