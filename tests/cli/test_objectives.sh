#!/bin/bash
# Protects: train's objectives span, contrastive and classify with several labels: what they read, what they leave, that threads and kills change nothing, that
# cached gradients need less memory; and that rows which cannot be are refused with their place.
. "$(dirname "$0")/../tap.sh"
. "$ROOT/tests/cli/training.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
falls() { awk -F'[:,]' -v by="$2" '/"lr"/ { if (!n++) a = $4; b = $4 } END { exit !(b < a * by) }' "$1"; }

# the_same NAME ARGS…: 1, 2 and 3 threads, and a run that is killed again and again, end with the same weights and log
the_same() {
    local name=$1 rounds=0 pid out=$T/same-$1
    shift
    for t in 1 2 3; do lathe train "$M" "$@" --threads $t --log "$out$t.log" -o "$out$t" --quiet >/dev/null; done
    is "$(weights "${out}2") $(weights "${out}3")" "$(weights "${out}1") $(weights "${out}1")" "$name: any number of threads, the same weights"
    is "$(no_speed "${out}3.log")" "$(no_speed "${out}1.log")" "$name: the same log"
    while [ $rounds -lt 12 ] && ! [ -f "$out/model.safetensors" ]; do
        rounds=$((rounds + 1))
        "$LATHE" train "$M" "$@" --quiet --save-every 2 --log "$out.log" -o "$out" --resume >/dev/null 2>&1 &
        pid=$!
        sleep "$(printf 0.%03d $((RANDOM % 25 + 5)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    lathe train "$M" "$@" --quiet --save-every 2 --log "$out.log" -o "$out" --resume >/dev/null
    is "$(weights "$out") $(no_speed "$out.log")" "$(weights "${out}1") $(no_speed "${out}1.log")" "$name: killed and resumed ($rounds rounds)"
}

# refused OBJECTIVE ROW REGEX NAME
refused() {
    printf '%s\n' "$2" >"$T/bad.jsonl"
    run lathe train "$M" --objective "$1" --data "$T/bad.jsonl" --steps 1 -o "$T/none" --quiet
    like "$rc $err" "^1 .*bad\.jsonl:1: .*$3" "$4"
}

# ---- spans ----

for i in $(seq 12); do
    echo '{"question": "what turns?", "context": "the small lathe turns wood", "answers": {"text": ["lathe"], "answer_start": [10]}}'
    echo '{"question": "where?", "context": "Übergröße: dans le jardin", "answers": ["le jardin", "jardin"]}'
    echo '{"question": "who?", "context": "nobody had expected that", "answers": []}'
done >"$T/flat.jsonl"
run lathe train "$M" --objective span --data "$T/flat.jsonl" --valid "$T/flat.jsonl" --steps 60 --batch 12 --lr 1e-2 --dropout 0 --log "$T/span.log" -o "$T/spans" --json --quiet
like "$rc $err$out" '^0 \{"steps":60,"examples":36,"skipped":0,' "span"
check "… is learned" awk -F'"accuracy":' '/valid/ { exit !($2 + 0 > 0.99) }' "$T/span.log"
like "$(lathe info "$T/spans" --json)" '"head":"span"' "info takes it for a span head"
check "forward runs it" lathe forward "$T/spans" "$T/flat.jsonl" --columns text=question,text_pair=context --output logits -o "$T/logits.npy" --quiet
the_same spans --objective span --data "$T/flat.jsonl" --batch 7 --steps 14

words=$(printf 'wood lathe %.0s' $(seq 100))
cat >"$T/squad.json" <<END
{"version": "x", "data": [{"title": "t", "paragraphs": [
  {"context": "the lathe turns", "qas": [{"id": "a", "question": "what?", "answers": [{"text": "lathe", "answer_start": 4}]},
                                         {"id": "b", "question": "why?", "is_impossible": true, "answers": []}]},
  {"context": "$words", "qas": [{"id": "c", "question": "what?", "answers": [{"text": "wood", "answer_start": 0}]}]},
  {"context": "", "qas": [{"id": "d", "question": "what?", "answers": []}]}]}]}
END
run lathe train "$M" --objective span --data "$T/squad.json" --max-tokens 40 --steps 1 -o "$T/squad" --json --quiet
n=$(sed -n 's/.*"examples":\([0-9]*\).*/\1/p' <<<"$out")
check "SQuAD's files, and windows of long contexts ($n)" [ "$n" -gt 10 ]
like "$out" '"skipped":1,' "an empty context without an answer is left out"
printf 'question\tcontext\tanswers\nwhat?\tthe lathe\tlathe\nwhat?\tthe lathe\t\n' >"$T/flat.tsv"
run lathe train "$M" --objective span --data "$T/flat.tsv" --steps 1 -o "$T/tsv" --json --quiet
like "$rc $out" '^0 .*"examples":2' "columns"

q='"question": "what?", "context": "the lathe turns"'
refused span "{$q, \"answers\": \"wood\"}" 'answers: the first one is not in the context' "an answer that is not in the context"
refused span "{$q, \"answers\": {\"text\": [\"lathe\"], \"answer_start\": [5]}}" 'does not stand at its answer_start' "an offset that is wrong"
refused span "{$q, \"answers\": {\"text\": [\"lathe\"], \"answer_start\": [999999999999]}}" 'does not stand at its answer_start' "an offset out of range"
refused span "{$q, \"answers\": {\"text\": [\"lathe\"], \"answer_start\": [-1]}}" 'less than 0' "an offset below 0"
refused span "{$q, \"answers\": {\"text\": [\"lathe\"], \"answer_start\": [\"4\"]}}" 'text and answer_start are expected' "an offset that is a text"
refused span "{$q, \"answers\": [7]}" 'text and answer_start are expected' "an answer that is a number"
refused span "{$q}" 'no column "answers"' "no answers"
refused span '{"question": "what?", "context": "", "answers": "lathe"}' 'not in the context' "an empty context with an answer"
refused span '{"data": [{"paragraphs": [{"context": "x", "qas": 1}]}]}' 'a paragraph of context and qas' "a paragraph without questions"
refused span '{"data": [7]}' 'an array of paragraphs' "an article that is none"
refused span '{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q1", "question": "w", "answers": [{"text": "y", "answer_start": 0}]}]}]}]}' 'question "q1": answers' "the question is named"
run lathe train "$M" --objective span --data "$T/flat.jsonl" --max-tokens 6 --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*no row to learn from \(36 left out' "questions that leave no room"

# ---- contrast ----

for i in $(seq 8); do
    echo "{\"anchor\": \"small model $i\", \"positive\": \"model so small $i\"}"
    echo "{\"text\": \"turns wood $i\", \"text_pair\": \"wood is turned $i\", \"negative\": \"prices rose\"}"
    echo "{\"anchor\": \"le jardin $i\", \"positive\": \"dans le jardin $i\", \"negatives\": [\"la tour\", \"the tower $i\"]}"
done >"$T/pairs.jsonl"
run lathe train "$M" --objective contrastive --data "$T/pairs.jsonl" --valid "$T/pairs.jsonl" --steps 40 --batch 8 --lr 3e-3 --log "$T/pairs.log" -o "$T/embed" --json --quiet
like "$rc $err$out" '^0 \{"steps":40,"examples":24,"skipped":0,.*"valid_loss"' "contrastive"
check "its loss falls" falls "$T/pairs.log" 0.7
the_same contrast --objective contrastive --data "$T/pairs.jsonl" --batch 9 --steps 14 --cache-batch 5
lathe train "$M" --objective contrastive --data "$T/pairs.jsonl" --batch 9 --steps 14 --log "$T/whole.log" -o "$T/whole" --quiet >/dev/null
check "cached gradients give the losses of whole batches" awk -F'[:,]' 'NR == FNR { a[$2] = $4; next } { d = ($4 - a[$2]) / a[$2]; if (d > 1e-5 || d < -1e-5) bad = 1 } END { exit bad || !FNR }' \
    "$T/whole.log" "$T/same-contrast1.log"

S=$MODELS/../sentence/pool-cls
if [ -f "$S/modules.json" ]; then
    lathe train "$S" --objective contrastive --data "$T/pairs.jsonl" --steps 2 -o "$T/sentence" --quiet >/dev/null
    is "$(cat "$T/sentence/modules.json" "$T/sentence/1_Pooling/config.json")" "$(cat "$S/modules.json" "$S/1_Pooling/config.json")" "OUT has the sentence-transformers files of MODEL"
    like "$(lathe info "$T/sentence" --json)" '"pooling":"cls"' "… and its pooling"
fi

# A batch of long texts needs a fraction of the memory in parts.
long=$(printf 'wood %.0s' $(seq 50))
for i in $(seq 200); do echo "{\"anchor\": \"$long\", \"positive\": \"$long $i\"}"; done >"$T/long.jsonl"
memory() { /usr/bin/env python3 -c 'import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"; }
if command -v python3 >/dev/null; then
    whole=$(memory "$LATHE" train "$M" --objective contrastive --data "$T/long.jsonl" --batch 200 --steps 2 --threads 2 -o "$T/m1" --quiet)
    parts=$(memory "$LATHE" train "$M" --objective contrastive --data "$T/long.jsonl" --batch 200 --cache-batch 8 --steps 2 --threads 2 -o "$T/m2" --quiet)
    check "400 texts in ${whole} kB, 8 at a time in ${parts}" [ $((parts * 3)) -lt "$whole" ]
fi

refused contrastive '{"anchor": "a"}' 'no column "positive"' "no positive"
refused contrastive '{"positive": "a"}' 'no column "anchor"' "no anchor"
refused contrastive '{"anchor": "a", "positive": "b", "negatives": [1]}' 'negatives: a list of texts' "a negative that is a number"
echo '{"anchor": "a", "positive": "b"}' >"$T/one.jsonl"
run lathe train "$M" --objective contrastive --data "$T/one.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*one\.jsonl: contrastive: one row' "one row has nothing to differ from"
head -1 "$T/pairs.jsonl" >"$T/two.jsonl"
head -1 "$T/pairs.jsonl" >>"$T/two.jsonl"
run lathe train "$M" --objective contrastive --data "$T/two.jsonl" --batch 1 --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*batches of one row' "neither has a batch of one"
run lathe train "$M" --objective contrastive --data "$T/pairs.jsonl" --batch 1 --steps 24 -o "$T/single" --quiet
is "$rc:$err" "0:" "… unless rows have negatives"
echo '{"anchor": " ", "positive": "b"}' >>"$T/two.jsonl"
run lathe train "$M" --objective contrastive --data "$T/two.jsonl" --steps 1 -o "$T/blank" --json --quiet
like "$rc $out" '^0 .*"examples":2,"skipped":1' "a row with an empty text is left out"
run lathe train "$M" --objective classify --data "$T/pairs.jsonl" --cache-batch 4 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*--cache-batch: is of --objective contrastive' "cached gradients of another objective"
run lathe train "$M" --objective classify --data "$T/pairs.jsonl" --scale 4 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*--scale: is of --objective contrastive' "a scale of another objective"
run lathe train "$M" --objective contrastive --data "$T/pairs.jsonl" --scale 0 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*--scale' "a scale of 0"
run lathe distill "$M" "$M" --losses hidden --objective contrastive --cache-batch 4 --data "$T/pairs.jsonl" --steps 1 -o "$T/none"
like "$rc $err" '^2 .*cache-batch' "cached gradients with a teacher"

# ---- several labels ----

for i in $(seq 15); do
    echo "{\"text\": \"wood and water $i\", \"label\": [\"wood\", \"water\"]}"
    echo "{\"text\": \"wood alone $i\", \"label\": [\"wood\"]}"
    echo "{\"text\": \"nothing $i\", \"label\": []}"
done >"$T/several.jsonl"
run lathe train "$M" --objective classify --data "$T/several.jsonl" --valid "$T/several.jsonl" --steps 80 --batch 15 --lr 1e-2 --dropout 0 --log "$T/several.log" -o "$T/several" --json --quiet
like "$rc $err$out" '^0 \{"steps":80,"examples":45,"skipped":0,' "several labels"
check "… are learned" awk -F'"accuracy":' '/valid/ { exit !($2 + 0 > 0.99) }' "$T/several.log"
like "$(lathe info "$T/several" --json)" '"head":"classify","problem_type":"multi_label_classification".*"unsupported":\[\]' "info says so"
like "$(lathe info "$T/several")" 'problem[[:space:]]+multi_label_classification' "… in words too"
is "$(grep -o '"id2label": {[^}]*}' "$T/several/config.json")" '"id2label": {"0": "water", "1": "wood"}' "the names, sorted"
the_same several --objective classify --data "$T/several.jsonl" --batch 7 --steps 14
printf '%s\n' '__label__wood __label__water wood and water' '__label__wood wood' 'text only' >"$T/fast.txt"
run lathe train "$M" --objective classify --data "$T/fast.txt" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*fast\.txt:3: no column "label"' "a line without a label"
sed -i 3d "$T/fast.txt"
run lathe train "$M" --objective classify --data "$T/fast.txt" --steps 1 -o "$T/fast" --json --quiet
like "$rc $out$(lathe info "$T/fast" --json)" '^0 .*"examples":2,.*multi_label' "fastText's lines"
printf '%s\n' '__label__a wood' '__label__b water' >"$T/fast1.txt"
run lathe train "$M" --objective classify --data "$T/fast1.txt" --steps 1 -o "$T/fast1" --quiet
check "… of one label each: one label" eval '! grep -q multi_label "$T/fast1/config.json"'
run lathe train "$T/several" --objective classify --data "$T/fast.txt" --steps 1 -o "$T/again" --quiet
is "$rc:$(grep -c multi_label "$T/again/config.json"):$(grep -o '"id2label": {[^}]*}' "$T/again/config.json")" '0:1:"id2label": {"0": "water", "1": "wood"}' "a classifier of several labels learns on"
printf '%s\n' '__label__ wood' >"$T/nameless.txt"
run lathe train "$M" --objective classify --data "$T/nameless.txt" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*nameless\.txt:1: a name is expected behind __label__' "a label without a name"
printf 'text\tlabel\nplain wood\twood\n' >"$T/single.tsv"
run lathe train "$T/several" --objective classify --data "$T/single.tsv" --steps 1 -o "$T/again1" --quiet
is "$rc:$(grep -c multi_label "$T/again1/config.json")" "0:1" "… from rows of one label too"

printf '%s\n' '{"text": "a", "label": ["wood", "stone"]}' >"$T/unheard.jsonl"
run lathe train "$M" --objective classify --data "$T/several.jsonl" --valid "$T/unheard.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*unheard\.jsonl:1: label: "stone" is none of the labels \(water, wood\)' "an unknown label in validation"
run lathe train "$M" --objective classify --data "$T/fast1.txt" --valid "$T/several.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*several\.jsonl:1: label: a list, where the rows to learn from have one' "a list in validation alone"
refused classify '{"text": "a", "label": [1.5]}' 'a list of names' "a label that is no name"
refused classify '{"text": "a", "label": {"x": 1}}' 'label' "a label that is an object"
echo '{"text": "a", "label": []}' >"$T/bad.jsonl"
run lathe train "$M" --objective classify --data "$T/bad.jsonl" --steps 1 -o "$T/none" --quiet
like "$rc $err" '^1 .*no row has a label' "empty lists alone"

# ---- smoothed and weighed labels ----

printf 'text\tlabel\nwood\ta\nmore wood\ta\nold wood\ta\nwater\tb\n' >"$T/rare.tsv"
for o in "" "--class-weights balanced" "--label-smoothing 0.3"; do
    run lathe train "$M" --objective classify --data "$T/rare.tsv" --valid "$T/rare.tsv" --dropout 0 --steps 2 --no-shuffle --log "$T/rare.log" -o "$T/rare" --quiet $o
    is "$rc:$err" "0:" "classify ${o:-plain}"
    sed -n 's/^{"step":1,"loss":\([^,]*\),.*/\1/p' "$T/rare.log" >>"$T/losses"
done
is "$(sort -u "$T/losses" | wc -l)" 3 "three different losses"
run lathe train "$M" --objective classify --data "$T/several.jsonl" --label-smoothing 0.1 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*label-smoothing and class-weights are for rows of one label' "smoothing of several labels"
run lathe train "$M" --objective span --data "$T/flat.jsonl" --label-smoothing 0.1 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*label-smoothing: objective "span"' "smoothing of spans"
run lathe train "$M" --objective mlm --data "$T/flat.jsonl" --class-weights balanced --steps 1 -o "$T/none"
like "$rc $err" '^2 .*class-weights' "weights of words"
run lathe train "$M" --objective classify --data "$T/rare.tsv" --label-smoothing 1 --steps 1 -o "$T/none"
like "$rc $err" '^2 .*--label-smoothing' "all is smoothed away"
check "nothing is left of what was refused" [ ! -e "$T/none/model.safetensors" ]
done_testing
