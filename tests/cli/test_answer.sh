#!/bin/bash
# Protects: answer and fill: their JSON, places in code points, long contexts and texts in windows, the empty answer, ways to give rows; the same with
# any number of threads and any batch; what is refused. tests/oracle/compare_tasks.py compares them with Hugging Face's pipelines.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
for i in $(seq 20); do
    echo '{"words": ["a", "good", "line"], "tags": ["E", "S", "E"]}'
    echo '{"words": ["bad", "lines", "good"], "tags": ["E", "E", "S"]}'
done >"$T/tags.jsonl"
# A span head is a tagging head of two outputs by another name, which happens to be as long.
lathe train "$M" --objective tag --data "$T/tags.jsonl" --steps 10 --batch 8 --lr 1e-2 --dropout 0 -o "$T/q" --quiet >/dev/null || skip_all "train does not work"
sed -i 's/BertForTokenClassification/BertForQuestionAnswering/' "$T/q/config.json"
sed -i 's/classifier/qa_outputs/g' "$T/q/model.safetensors"
like "$(lathe info "$T/q" --json)" '"head":"span"' "a model with a span head"

number='[0-9.e-]+'
printf 'question\tcontext\nwhat is good\té a good line\nwhat\t\n\ta bad line\n' >"$T/q.tsv"
run lathe answer "$T/q" "$T/q.tsv"
is "$rc:$err" "0:" "answer"
like "$(sed -n 1p <<<"$out")" "^\{\"answer\":\"[^\"]+\",\"score\":$number,\"start\":[0-9]+,\"end\":[0-9]+\}$" "its JSON"
is "$(sed -n 2p <<<"$out")" '{"answer":"","score":0,"start":0,"end":0}' "nothing to answer from"
like "$(sed -n 3p <<<"$out")" "^\{\"answer\":\"[^\"]+\"" "no question"
printf 'what is good\té a good line\n' >"$T/tab"
echo '{"context": "é a good line", "question": "what is good"}' >"$T/object"
is "$(lathe answer "$T/q" "$T/tab")" "$(sed -n 1p <<<"$out")" "a line with a tab"
is "$(lathe answer "$T/q" <"$T/object")" "$(sed -n 1p <<<"$out")" "a line of JSON through a pipe"
run lathe answer "$T/q" "$T/tab" -k 3
like "$out" "^\{\"answers\":\[(\{\"answer\":\"[^\"]+\",\"score\":$number,\"start\":[0-9]+,\"end\":[0-9]+\},?){3}\]\}$" "-k: a list"
check "… best first" awk -F'"score":' '{ for (i = 2; i < NF; i++) if ($i + 0 < $(i + 1) + 0) exit 1 }' <<<"$out"
check "… and each is where it says" python3 -c '
import json, sys
assert all("é a good line"[a["start"]:a["end"]] == a["answer"] for a in json.loads(sys.argv[1])["answers"])' "$out"
run lathe answer "$T/q" "$T/tab" -k 100 --no-answer
like "$out" "\{\"answer\":\"\",\"score\":$number,\"start\":0,\"end\":0\}" "--no-answer: the empty one is among them"
is "$(lathe answer "$T/q" "$T/tab" -k 100 --longest 1 | grep -o '"answer":' | wc -l)" "$(lathe tokenize "$M" --no-special --json <<<"é a good line" | grep -o '\[[0-9]*,[0-9]*\]' | wc -l)" "--longest 1: an answer a token"

for i in $(seq 40); do
    printf '{"question": "what %s", "context": "' "$i"
    for k in $(seq $((i * i % 90))); do printf 'a good line %s, bad. ' "$k"; done
    echo 'lines"}'
done >"$T/long.jsonl"
lathe answer "$T/q" "$T/long.jsonl" -k 4 --threads 1 >"$T/one"
is "$(wc -l <"$T/one")" 40 "long contexts"
for o in "--threads 3" "--batch-tokens 70" "--threads 2 --batch-tokens 500"; do
    lathe answer "$T/q" "$T/long.jsonl" -k 4 $o >"$T/two"
    check "the same with $o" cmp "$T/one" "$T/two"
done
lathe answer "$T/q" "$T/long.jsonl" -k 4 --stride 3 >"$T/two"
check "another stride: other windows" [ "$(cat "$T/one")" != "$(cat "$T/two")" ]
{
    printf '{"question": "'
    for k in $(seq 3000); do printf 'what '; done
    echo '", "context": "a good line"}'
} >"$T/question.jsonl"
run lathe answer "$T/q" "$T/question.jsonl" --stride 500
like "$rc $out" '^0 \{"answer":"' "a question longer than the model reads"
run lathe answer "$T/q" "$T/q.tsv" --max-tokens 3
like "$rc $err" "^2 .*leave no room" "no room for a token of the context"
run lathe answer "$T/q" <(printf 'what is\tgood\nno tab\n')
like "$rc $err" "^1 .* line 2: expected a question and a context" "a line that is neither"
run lathe answer "$T/q" <(printf '{"question": "x"}\n')
like "$rc $err" "^1 .* line 1: expected a question and a context" "an object without a context"
run lathe answer "$M" "$T/q.tsv"
like "$rc $err" "^2 .*head \"span\" is expected, found \"none\"" "a model without a head"
run lathe answer "$T/q" "$T/q.tsv" --ids
like "$rc $err" "^2 .*--ids: answer reads texts" "--ids"
run lathe answer "$T/q" "$T/q.tsv" -k 0
like "$rc $err" "^2 .*-k|^2 .*--k" "-k 0"

# ---- fill ----

cut -d'"' -f4,6,8 "$T/tags.jsonl" | tr '"' ' ' >"$T/texts"
lathe train "$M" --objective mlm --data "$T/texts" --steps 5 --lr 1e-2 -o "$T/m" --quiet >/dev/null
printf '%s\n' "a [MASK] line" "no mask" "[MASK] [MASK]" "" >"$T/masks"
run lathe fill "$T/m" "$T/masks" -k 2
is "$rc:$err" "0:" "fill"
guess="\{\"token\":\"[^\"]+\",\"id\":[0-9]+,\"score\":$number\}"
like "$(sed -n 1p <<<"$out")" "^\{\"masks\":\[\[$guess,$guess\]\]\}$" "its JSON"
is "$(sed -n 2p <<<"$out")$(sed -n 4p <<<"$out")" '{"masks":[]}{"masks":[]}' "no mask, no list"
like "$(sed -n 3p <<<"$out")" "^\{\"masks\":\[\[$guess,$guess\],\[$guess,$guess\]\]\}$" "a list for each mask"
is "$(lathe fill "$T/m" "$T/masks" | head -n 1 | grep -o '"id"' | wc -l)" 5 "five unless told otherwise"
is "$(lathe fill "$T/m" "$T/masks" -k 9999 | head -n 1 | grep -o '"id":[0-9]*' | sort -u | wc -l)" 200 "no more than the vocabulary has, none twice"
check "all of a mask's sum to 1" awk -F'"score":' '{ for (i = 2; i <= NF; i++) s += $i } END { exit !((s - 1) ^ 2 < 1e-10) }' <(lathe fill "$T/m" <(echo "a [MASK]") -k 200)
for i in $(seq 30); do for k in $(seq $((i * i % 50))); do printf 'good [MASK] lines %s ' "$k"; done; echo; done >"$T/many"
lathe fill "$T/m" "$T/many" -k 3 --threads 1 >"$T/one"
lathe fill "$T/m" "$T/many" -k 3 --threads 3 --batch-tokens 100 >"$T/two"
check "the same with other threads and batches" cmp "$T/one" "$T/two"
check "texts longer than the model: a list for each mask" python3 -c '
import json, sys
texts, results = (open(p).read().splitlines() for p in sys.argv[1:])
assert len(texts) == len(results)
assert all(t.count("[MASK]") == len(json.loads(r)["masks"]) for t, r in zip(texts, results))' "$T/many" "$T/one"
run lathe fill "$M" "$T/masks"
like "$rc $err" "^2 .*head \"mlm\" is expected, found \"none\"" "a model without a head"
done_testing
