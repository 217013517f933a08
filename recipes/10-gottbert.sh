#!/usr/bin/env bash
# Pre-trains a small BERT from random weights on German text by the recipe of RoBERTa and GottBERT (masking anew in every epoch, no task on
# pairs of sentences, cased, a vocabulary of the language's own), then fine-tunes it on three German tasks, beside the same model pre-trained
# as long on German and English mixed, with a vocabulary of that mixture, and beside the same model without pre-training. Half a million words
# are what the data hold, not 145 GB: the order of the three is what can show. What is scored was in nobody's text to learn from.
#
# summary: a small BERT pre-trained on German alone, against German and English mixed and against none, on three German tasks
# source: Scheible et al. 2020, "GottBERT: a pure German language model", arXiv 2012.02110
. "$(dirname "$0")/lib.sh"

longest=$(pick 64 128)
steps=$(pick 1000 3000) # a loss of 6 is what neighbours tell; the quick version gets no further
step_tokens=$(pick 2048 8192)
layers=$(pick 2 4)
vocab=$(pick 4000 8000)
epochs=$(pick 3 4)
tab=$(printf '\t')

# ---- data ----

gnad=$(data gnad10/test.csv)
hate=$(data germeval18)
ner=$(data germeval14)
english=$(data wikitext-2)
# label;text or label;'text' with '' for '; every fifth article or so is to be scored on
tr -d '\r' <"$gnad" | sed "s/$tab/ /g; s/;/$tab/; /$tab'/{ s/$tab'/$tab/; s/'\$//; s/''/'/g; }" >"$WORK/gnad.all"
echo "label${tab}text" | tee "$WORK/gnad.train.tsv" "$WORK/gnad.test.tsv" "$WORK/hate.train.tsv" >"$WORK/hate.test.tsv"
awk -v test=228 -v all="$(wc -l <"$WORK/gnad.all")" -v dir="$WORK" '
    { held = int(NR * test / all) > int((NR - 1) * test / all); print >> (dir "/gnad." (held ? "test" : "train") ".tsv") }' "$WORK/gnad.all"
labelled() { awk -F'\t' 'NF >= 2 && $1 != "" { print $2 "\t" $1 }' "$1"; }
labelled "$hate/germeval2018.training.txt" >>"$WORK/hate.train.tsv"
labelled "$hate/germeval2018.test.txt" >>"$WORK/hate.test.tsv"
# number, word, outer tag, inner tag (of which the outer counts, parts and derivations of names as names); a line with # and one without anything stand between sentences
tagged() {
    awk -F'\t' '
        function quoted(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/[\001-\037]/, " ", s); return "\"" s "\"" }
        function end() { if (n) print "{\"words\":[" words "],\"tags\":[" tags "]}"; n = 0; words = tags = "" }
        /^#/ || NF < 3 { end(); next }
        { words = words (n ? "," : "") quoted($2); sub(/(deriv|part)$/, "", $3); tags = tags (n++ ? "," : "") quoted($3) }
        END { end() }' "$1"
}
tagged "$ner/NER-de-test.tsv" >"$WORK/ner.train.jsonl"
tagged "$ner/NER-de-dev.tsv" >"$WORK/ner.test.jsonl"

words=$((longest * 5 / 8))
{
    tail -n +2 "$WORK/gnad.train.tsv" | cut -f2
    tail -n +2 "$WORK/hate.train.tsv" | cut -f2
    awk -F'\t' '!/^#/ && NF >= 3 { printf "%s ", $2; next } { print "" }' "$ner/NER-de-test.tsv"
} | texts $words | grep . >"$WORK/german.txt"
grep -h '[a-z]' "$english/valid.txt" "$english/test.txt" | sed 's/<unk>/ /g' | texts $words >"$WORK/english.txt"
# as many lines as there are of German ones, two to one in favour of the other language, as a model of many languages has them
awk -v want="$(wc -l <"$WORK/german.txt")" '
    FNR == 1 { file++ }
    file == 1 && FNR % 3 == 0 || file == 2 && FNR <= want * 2 / 3' "$WORK/german.txt" "$WORK/english.txt" >"$WORK/mixed.txt"
tail -n +2 "$WORK/gnad.test.tsv" | cut -f2 | texts $words >"$WORK/held.txt"

# ---- vocabularies and pre-training ----

pieces() { # per word of the held-out text
    "$LATHE" tokenize "$WORK/$1" "$WORK/held.txt" --no-special --json |
        awk -v words="$(wc -w <"$WORK/held.txt")" '{ sub(/\].*/, ""); n += gsub(/,/, ",") + 1 } END { printf "%.2f\n", n / words }'
}
for kind in german mixed; do
    wordpieces $vocab <"$WORK/$kind.txt" >"$WORK/$kind.vocab"
    bert $layers 128 4 "$longest" "$WORK/$kind.vocab" "$WORK/$kind"
done
for seed in $(seeds 1 3); do
    for kind in german mixed; do
        train "$kind-$seed" "$seed" "$WORK/$kind" --init random --objective mlm --data "$WORK/$kind.txt" --max-tokens "$longest" --batch-tokens "$step_tokens" \
            --steps "$steps" --lr 1e-3 --beta2 0.98 --eps 1e-6 --warmup $((steps / 10)) --schedule linear --dropout 0 --valid "$WORK/held.txt"
    done
done

# ---- the tasks ----

tune() { # NAME SEED MODEL OPTION…: on all three
    local name=$1 seed=$2 model=$3 task file objective times
    shift 3
    for task in hate gnad ner; do
        file=tsv objective=classify times=$epochs
        if [ $task = ner ]; then file=jsonl objective=tag; fi
        if [ $task = gnad ]; then times=$((3 * epochs)); fi # few articles
        train "$name-$task-$seed" "$seed" "$model" --objective $objective --data "$WORK/$task.train.$file" --valid "$WORK/$task.test.$file" --max-tokens "$longest" \
            --batch 32 --epochs $times --lr 5e-4 --warmup 20 --schedule linear "$@"
    done
}
for seed in $(seeds 1 3); do
    tune german "$seed" "$WORK/german-$seed"
    tune mixed "$seed" "$WORK/mixed-$seed"
    tune none "$seed" "$WORK/german" --init random
done

scores() { for seed in $(seeds 1 3); do last "$1-$2-$seed" accuracy; done; }
all_tasks() { for task in hate gnad ner; do scores "$1" $task | mean; done | mean; }
masked() { for seed in $(seeds 1 3); do last "$1-$seed" loss; done | mean_sd 2; }
row() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%.3f\n' "$1" "$2" "$3" "$(scores "$4" hate | mean_sd 3)" "$(scores "$4" gnad | mean_sd 3)" "$(scores "$4" ner | mean_sd 3)" "$(all_tasks "$4")"
}
share() { awk -F'\t' 'NR > 1 { n[$1]++; all++ } END { for (l in n) if (n[l] > most) most = n[l]; printf "%.3f\n", most / all }' "$1"; }
german=$(all_tasks german) mixed=$(all_tasks mixed) none=$(all_tasks none)
{
    printf 'pre-trained on\tpieces a word\tmasked loss, held out\tGermEval18 accuracy\t10kGNAD accuracy\tGermEval14 word accuracy\tmean\n'
    row "German" "$(pieces german)" "$(masked german)" german
    row "German and English" "$(pieces mixed)" "$(masked mixed)" mixed
    row "nothing" "$(pieces german)" "" none
    printf 'always the same answer\t\t\t%s\t%s\t%s\t\n' "$(share "$WORK/hate.test.tsv")" "$(share "$WORK/gnad.test.tsv")" \
        "$(awk -F'\t' '!/^#/ && NF >= 3 { n++; o += $3 == "O" } END { printf "%.3f\n", o / n }' "$ner/NER-de-dev.tsv")"
} | table
echo

# At first every piece is as likely as any other: ln of their number, or something is wrong with the head.
first=$(awk -F'[:,]' 'NR == 1 { print $4 }' "$WORK/german-$FIRST_SEED.jsonl")
if ! is "$first > 0.9 * log($vocab) && $first < 1.15 * log($vocab) && $(last "german-$FIRST_SEED" loss) < $first - 1"; then
    verdict "broken"
elif is "$german > $mixed && $mixed > $none"; then
    verdict "holds"
else
    verdict "does not show here"
fi
