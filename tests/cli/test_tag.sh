#!/bin/bash
# Protects: tag: entities with places in code points, the strategies of aggregation, tags of words over any length, ids; the same with any number of
# threads and any batch; what is refused. tests/oracle/compare_tasks.py compares it with Hugging Face's pipeline.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
for i in $(seq 20); do
    echo '{"words": ["a", "good", "line"], "tags": ["O", "B-X", "I-X"]}'
    echo '{"words": ["bad", "lines", "good"], "tags": ["O", "O", "B-X"]}'
done >"$T/tags.jsonl"
lathe train "$M" --objective tag --data "$T/tags.jsonl" --steps 40 --batch 8 --lr 1e-2 --dropout 0 -o "$T/t" --quiet >/dev/null || skip_all "train does not work"

number='[0-9.e-]+'
run lathe tag "$T/t" --words "$T/tags.jsonl"
is "$rc:$err" "0:" "tag --words"
is "$(sort -u <<<"$out" | tr '\n' ' ')" '{"tags":["O","B-X","I-X"]} {"tags":["O","O","B-X"]} ' "it has learned its tags"
is "$(echo '["a","good","line"]' | lathe tag "$T/t" --words)" '{"tags":["O","B-X","I-X"]}' "a line may be an array of words"
is "$(echo '{"words":["a","good","line"]}' | lathe tag "$T/t" --words)" '{"tags":["O","B-X","I-X"]}' "… or an object"
is "$(printf '[]\n["a"]\n[]\n' | lathe tag "$T/t" --words | tr '\n' ' ')" '{"tags":[]} {"tags":["O"]} {"tags":[]} ' "rows without words"
is "$(echo '["","good"," "]' | lathe tag "$T/t" --words | grep -o ',' | wc -l)" 2 "words without tokens have a tag too"

run lathe tag "$T/t" --aggregation simple <<<"x"
run lathe tag "$T/t" <(echo "é  a good line") --aggregation first
like "$out" "^\{\"entities\":\[\{\"entity\":\"X\",\"score\":$number,\"start\":5,\"end\":14,\"text\":\"good line\"\}\]\}$" "an entity, in code points"
run lathe tag "$T/t" <(echo "a good line")
like "$out" "^\{\"entities\":\[\{\"entity\":\"B-X\",\"score\":$number,\"start\":2,.*\{\"entity\":\"I-X\",.*\"text\":\"[a-z]*\"\}\]\}$" "none: token by token, with the label itself"
is "$(lathe tag "$T/t" <(echo "bad lines") --aggregation max)" '{"entities":[]}' "no entity"
is "$(lathe tag "$T/t" <(echo) --aggregation max)" '{"entities":[]}' "an empty text"

for i in $(seq 150); do head -c $((i * 11 % 400)) "$T/tags.jsonl" | tr -d '\n"{}[]:,'; echo; done >"$T/many"
for i in $(seq 60); do printf '{"words": ['; for k in $(seq $((i * 3))); do printf '"good", "lines%s", ' "$k"; done; echo '"a"]}'; done >"$T/words.jsonl"
for how in none average; do
    lathe tag "$T/t" "$T/many" --aggregation $how --threads 1 --batch-tokens 30 >"$T/one"
    lathe tag "$T/t" "$T/many" --aggregation $how --threads 3 >"$T/two"
    check "$how: the same with other threads and batches" cmp "$T/one" "$T/two"
done
lathe tag "$T/t" "$T/words.jsonl" --words --threads 1 >"$T/one"
lathe tag "$T/t" "$T/words.jsonl" --words --threads 2 --batch-tokens 64 >"$T/two"
check "words: the same with other threads and batches" cmp "$T/one" "$T/two"
is "$(tr -cd ',\n' <"$T/one" | awk '{ printf "%d ", length($0) - (NR * 6) }' | tr -d '0 ')" "" "rows longer than the model: a tag for each word"
run lathe tag "$T/t" --ids <(echo '[5, 6, 7]')
like "$out" '^\{"tags":\["[^"]*","[^"]*","[^"]*"\]\}$' "--ids: a tag for each"

run lathe tag "$M" "$T/many"
like "$rc $err" "^2 .*head \"tag\" is expected, found \"none\"" "a model without a head"
run lathe tag "$T/t" "$T/many" --aggregation mean
like "$rc $err" "^2 .*--aggregation" "an unknown strategy"
run lathe tag "$T/t" --words <(printf '["a"]\n["a", 3]\n')
like "$rc $err" "^1 .* line 2: expected words that are strings" "a word that is none: the line is named"
run lathe tag "$T/t" --words <(printf 'just text\n')
like "$rc $err" "^1 .* line 1: expected words, an array of strings" "a text in place of words"
run lathe tag "$T/t" --ids <(echo '[5, 99999]')
like "$rc $err" "^1 .*99999" "an id beyond the vocabulary"
long=$(head -c 200000 /dev/zero | tr '\0' 'g')
run lathe tag "$T/t" --words <(printf '["%s", "good"]\n' "$long")
like "$rc $out" '^0 \{"tags":\["[^"]*","[^"]*"\]\}$' "a word longer than the model reads"
done_testing
