#!/usr/bin/env bash
# Distils a small BERT, pre-trained on masked words of sentences and articles, into one of half its depth and width: by the attention of the last
# blocks alone, and by that and the relations between values, which is MiniLM. Beside them students that see the teacher through an assistant of
# its depth and the student's width, the second version's relations (queries, keys and values, cut into parts), a student that learns masked
# words itself for as many steps, and one that learns nothing before its task. Then all are tuned alike: on masked words, briefly, and on the
# sentiment of a thousand phrases. What is measured on was in nobody's text to learn from. Vocabularies of 4000 (quick: 2000), not 8000: with
# the latter, embeddings alone keep a student of half the width from being four times smaller. The quick version is held to what shows in
# minutes: the loss, and what it is made of on other text; the full one to the order of all figures, to size and to speed, too. It leaves out
# the second version and masked words, and has one assistant, not one a seed, as it tunes its teacher once.
#
# summary: MiniLM: the last block's attention and value relations, against attention alone and against none, in a student of half the size
# source: Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers", arXiv 2002.10957
. "$(dirname "$0")/lib.sh"

layers=$(pick 2 6) width=128 heads=4 vocab=$(pick 2000 4000)
small_layers=$((layers / 2)) small_width=$((width / 2))
longest=$(pick 64 128)
teacher_steps=$(pick 400 1500) teacher_tokens=$(pick 1024 4096) # a step
steps=$(pick 160 1500) sentences=$(pick 32 64)
tune_steps=$(pick 60 200) epochs=$(pick 5 8)
fall=$(pick 0.3 0.6) # of the loss, at least
tab=$(printf '\t')

# ---- data ----

words=$((longest * 5 / 8))
{
    cut -f1 "$(data sst2/train.tsv)"
    grep '[a-z]' "$(data wikitext-2/valid.txt)" | sed 's/<unk>/ /g' | tr 'A-Z' 'a-z' |
        awk -v most=$words '{ for (i = 1; i <= NF; i++) printf "%s%s", $i, i == NF || i % most == 0 ? "\n" : " " }'
} | grep . >"$WORK/text.txt"
cut -f1 "$(data sst2/dev.tsv)" | grep . >"$WORK/held.txt"
head -n 1 "$WORK/held.txt" >"$WORK/line.txt"
head -n 200 "$WORK/held.txt" >"$WORK/speed.txt"
labelled() { awk -F'\t' 'BEGIN { print "text\tlabel" } NF >= 2 && $1 ~ /[a-z]/ { print $1 "\t" $2 }' "$@"; }
tail -n +2 "$(data sst2/glue-train-20k.tsv)" | awk 'NR % 20 == 0' | labelled | head -n 1001 >"$WORK/phrases.tsv"
labelled "$(data sst2/dev.tsv)" "$(data sst2/test.tsv)" >"$WORK/test.tsv"

wordpieces "$vocab" <"$WORK/text.txt" >"$WORK/vocab.txt"
bert $layers $width $heads "$longest" "$WORK/vocab.txt" "$WORK/teacher-config"
bert $layers $small_width $heads "$longest" "$WORK/vocab.txt" "$WORK/assistant-config"
bert $small_layers $small_width $heads "$longest" "$WORK/vocab.txt" "$WORK/student-config"

# ---- the teacher and its students ----

masked() { # OUT SEED MODEL OPTION…: learns masked words
    local out=$1 seed=$2 model=$3
    shift 3
    train "$out" "$seed" "$model" --objective mlm --data "$WORK/text.txt" --valid "$WORK/held.txt" --max-tokens "$longest" --schedule linear --dropout 0 \
        --precision auto "$@"
}
distil() { # OUT SEED TEACHER STUDENT LOSSES OPTION…
    local out=$1 seed=$2 from=$3 to=$4 losses=$5
    shift 5
    say "distil $out"
    "$LATHE" distill "$WORK/$from" "$WORK/$to" --losses "$losses" --max-tokens "$longest" --seed "$seed" --log "$WORK/$out.jsonl" -o "$WORK/$out" "$@" >/dev/null
}
student() { # OUT SEED TEACHER CONFIG LOSSES OPTION…
    distil "$@" --init random --data "$WORK/text.txt" --batch "$sentences" --steps "$steps" --lr 2e-3 --warmup $((steps / 10)) --schedule linear
}
# What a student's relations are away from the teacher's on other text: a step of no length, then a validation.
away() { distil "$1-$3-$2" "$2" teacher "$1-$2" "$3" --data "$WORK/line.txt" --valid "$WORK/held.txt" --steps 1 --lr 0 --weight-decay 0 --dropout 0; }
tune() { # ARM SEED MODEL OPTION…: on masked words and, from the same start, on sentiment
    local arm=$1 seed=$2 model=$3
    shift 3
    masked "$arm-masked-$seed" "$seed" "$model" --batch-tokens 2048 --steps "$tune_steps" --lr 1e-3 --warmup 10 "$@"
    train "$arm-sst2-$seed" "$seed" "$model" --objective classify --data "$WORK/phrases.tsv" --valid "$WORK/test.tsv" --max-tokens "$longest" \
        --batch 32 --epochs "$epochs" --lr 2e-3 --warmup 20 --schedule linear "$@"
}

masked teacher "$FIRST_SEED" "$WORK/teacher-config" --init random --batch-tokens "$teacher_tokens" --steps "$teacher_steps" --lr 1e-3 --warmup $((teacher_steps / 10))
distil self "$FIRST_SEED" teacher teacher attention,values --data "$WORK/text.txt" --steps 1 --dropout 0
all_seeds=$(seeds 2 5)
for seed in $all_seeds; do
    arms="none attention both"
    if ! quick || [ "$seed" = "$FIRST_SEED" ]; then arms="$arms assistant"; fi
    if ! quick; then arms="$arms second masked"; fi
    for arm in $arms; do
        case $arm in
        none) distil "none-$seed" "$seed" teacher student-config attention --init random --data "$WORK/line.txt" --steps 1 --lr 0 --weight-decay 0 ;;
        attention) student "attention-$seed" "$seed" teacher student-config attention ;;
        both) student "both-$seed" "$seed" teacher student-config attention,values ;;
        assistant)
            student "helper-$seed" "$seed" teacher assistant-config attention,values
            student "assistant-$seed" "$seed" "helper-$seed" student-config attention,values
            ;;
        second) student "second-$seed" "$seed" teacher student-config queries=0.3333,keys=0.3333,values=0.3333 --relation-heads 8 ;;
        masked) masked "masked-$seed" "$seed" "$WORK/student-config" --init random --batch "$sentences" --steps "$steps" --lr 2e-3 --warmup $((steps / 10)) ;;
        esac
        away "$arm" "$seed" attention
        away "$arm" "$seed" values
        tune "$arm" "$seed" "$WORK/$arm-$seed"
    done
    if ! quick || [ "$seed" = "$FIRST_SEED" ]; then tune teacher "$seed" "$WORK/teacher" --lr 1e-3; fi # twice as wide: at 2e-3 some fall apart
done

# ---- size and speed ----

parameters() { "$LATHE" info "$1" --json | sed 's/.*"parameters":\([0-9]*\).*/\1/'; }
speed() { "$LATHE" bench "$1" "$WORK/speed.txt" --json | sed 's/.*"tokens_per_s":\([0-9.e+]*\),"inputs_per_s.*/\1/'; }
for round in 1 2 3; do # one after another in each round, and the best of all: whatever else the machine does can only slow one down
    say "speed, round $round"
    for model in teacher "both-$FIRST_SEED"; do speed "$WORK/$model" >>"$WORK/$model.speed"; done
done
fastest() { sort -g "$WORK/$1.speed" | tail -n 1; }

# ---- what came out ----

has() { for seed in $all_seeds; do if [ -e "$WORK/$1-$seed.jsonl" ]; then echo "$seed"; fi; done; } # its seeds
of_seeds() { for seed in $(has "$1"); do last "$1-$seed" "$2"; done; }
first_loss() { for seed in $(has "$1"); do awk -F'[:,]' 'NR == 1 { print $4 }' "$WORK/$1-$seed.jsonl"; done | mean; }
last_loss() { for seed in $(has "$1"); do tail -n 20 "$WORK/$1-$seed.jsonl" | awk -F'[:,]' '{ print $4 }' | mean; done | mean; }
fell() { awk -v a="$(first_loss "$1")" -v b="$(last_loss "$1")" 'BEGIN { printf "%.3f\n", 1 - b / a }'; }
attention() { of_seeds "$1-attention" loss | mean; }
values() { of_seeds "$1-values" loss | mean; }
distance() { awk -v a="$(attention "$1")" -v b="$(values "$1")" 'BEGIN { print a + b }'; }
masked_loss() { of_seeds "$1-masked" loss | mean; }
accuracy() { of_seeds "$1-sst2" accuracy | mean; }
times() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a / b }'; }
row() { # NAME ARM PARAMETERS SPEED
    local loss="" relations="$tab"
    case $2 in attention | both | assistant | second) loss="$(printf '%.3f -> %.3f' "$(first_loss "$2")" "$(last_loss "$2")")" ;; esac
    if [ "$2" != teacher ]; then relations="$(of_seeds "$2-attention" loss | mean_sd 3)$tab$(of_seeds "$2-values" loss | mean_sd 3)"; fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$loss" "$relations" "$(of_seeds "$2-masked" loss | mean_sd 3)" "$(of_seeds "$2-sst2" accuracy | mean_sd 3)" "$3" "$4"
}
large=$(parameters "$WORK/teacher") small=$(parameters "$WORK/both-$FIRST_SEED")
smaller=$(times "$large" "$small")
faster=$(times "$(fastest "both-$FIRST_SEED")" "$(fastest teacher)")
{
    printf 'what it learned from\tloss\theld out: attention\tvalues\tmasked loss, tuned\tSST-2 accuracy\tparameters\tspeed\n'
    row "the teacher: masked words" teacher "$large" 1.00
    row "nothing" none "$small" "$faster"
    row "attention" attention "$small" "$faster"
    row "attention, values" both "$small" "$faster"
    row "attention, values, by an assistant" assistant "$small" "$faster"
    if ! quick; then
        row "queries, keys, values in 8 parts" second "$small" "$faster"
        row "masked words itself" masked "$small" "$faster"
    fi
    printf 'always the same answer\t\t\t\t\t%s\t\t\n' "$(awk -F'\t' 'NR > 1 { n[$2]++ } END { for (l in n) if (n[l] > most) most = n[l]; printf "%.3f\n", most / (NR - 1) }' "$WORK/test.tsv")"
} | table
echo

order() { is "$($1 none) $2 $($1 attention) && $($1 attention) $2 $($1 both)"; } # of the three arms that the claim is about
if ! grep -q '"loss":0,.*"grad_norm":0,' "$WORK/self.jsonl"; then
    say "a teacher that teaches itself has a loss or a gradient"
    verdict "broken"
elif ! is "$(fell both) > 0 && $(last teacher loss) < log($vocab) - 1"; then
    say "nothing was learned"
    verdict "broken"
else
    if quick; then say "not counted in the quick version: masked losses, accuracies, size, speed"; fi
    missed=""
    is "$(fell both) >= $fall" || missed="$missed; the loss falls by $(fell both)"
    order distance ">" || missed="$missed; relations on other text are not in order"
    if ! quick; then
        order accuracy "<=" || missed="$missed; accuracies are not in order"
        order masked_loss ">" || missed="$missed; masked losses are not in order"
        is "$smaller >= 4" || missed="$missed; $smaller times smaller"
        is "$faster >= 2" || missed="$missed; $faster times faster"
    fi
    [ -z "$missed" ] || say "what does not show: ${missed#; }"
    verdict "$([ -z "$missed" ] && echo holds || echo does not show here)"
fi
