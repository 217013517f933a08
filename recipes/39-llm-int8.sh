#!/usr/bin/env bash
# Eight bits by each rule that LLM.int8() is compared with, on a masked language model trained here, as it is and with outliers put in: six features
# of what attention and feed-forward layers read are multiplied by m, and their weights divided, so that f32 computes the same. Errors of products,
# cosines of texts' mean hidden states to those of f32 and the loss of masked tokens tell what the paper's perplexities tell of models with outliers of
# their own; a model that was trained for minutes has a loss that hardly depends on its products. Where all-MiniLM-L6-v2 lies in its place
# (tools/model.sh) or at LATHE_MINILM, its embeddings are measured too: it has outliers that nobody put in.
#
# summary: int8 by one scale, by vectors, with zero points and with outliers apart, without outliers and with them
# source: Dettmers et al. 2022, "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", arXiv 2208.07339
. "$(dirname "$0")/lib.sh"

width=$(pick 128 256)
steps=$(pick 300 2000)
text=$WORK/text.txt held=$WORK/held.txt
lines() { grep -h '[a-z]' "$1" | sed 's/^ //; s/<unk>/[UNK]/g'; } # of 60 words at most
cut_lines() { awk '{ for (i = 1; i <= NF; i++) printf "%s%s", $i, i == NF || i % 60 == 0 ? "\n" : " " }'; }
lines "$(data wikitext-2/valid.txt)" | cut_lines >"$text"
lines "$(data wikitext-2/test.txt)" | cut_lines | awk -v want="$(pick 60 300)" 'NR % 13 == 0 && n++ < want' >"$held"
wordpieces "$(pick 2000 8000)" <"$text" >"$WORK/vocab.txt"
bert 4 "$width" 4 128 "$WORK/vocab.txt" "$WORK/config"

factors="1 20 60"
trials() { # MODEL TEXTS FACTOR SEED: tab-separated quantizer, loss or -, error, columns, smallest and mean cosine
    "$LATHE" analyze "$1" "$2" --quantizers --inject "$3" --seed "$4" --json |
        awk '{
            gsub(/[{}"]/, "")
            split("", v)
            for (n = split($0, part, ","); n; n--) { split(part[n], pair, ":"); v[pair[1]] = pair[2] }
            printf "%s\t%s\t%s\t%s\t%s\t%s\n", v["quantizer"], "loss" in v ? v["loss"] : "-", v["error"], v["columns"], v["cosine_min"], v["cosine_mean"]
        }'
}
all=$WORK/trials.tsv # arm, seed, factor and what trials prints
: >"$all"
for seed in $(seeds 1 3); do
    train "bert-$seed" "$seed" "$WORK/config" --init random --objective mlm --data "$text" --steps "$steps" --batch 32 --lr 1e-3 --schedule linear --warmup $((steps / 10))
    for m in $factors; do
        say "quantizers, m $m"
        trials "$WORK/bert-$seed" "$held" "$m" "$seed" | sed "s/^/bert\t$seed\t$m\t/" >>"$all"
    done
done
minilm=${LATHE_MINILM:-${XDG_CACHE_HOME:-$HOME/.cache}/lathe/models/all-MiniLM-L6-v2}
if [ -f "$minilm/model.safetensors" ]; then
    for m in $factors; do
        say "quantizers, all-MiniLM-L6-v2, m $m"
        trials "$minilm" "$held" "$m" "$FIRST_SEED" | sed "s/^/minilm\t$FIRST_SEED\t$m\t/" >>"$all"
    done
else
    say "all-MiniLM-L6-v2 is not at $minilm: without it"
fi

# of ARM QUANTIZER FACTOR COLUMN: its values, one a line
of() { awk -F'\t' -v arm="$1" -v q="$2" -v m="$3" -v c="$4" '$1 == arm && $4 == q && $3 == m { print $c }' "$all"; }
cell() { of "$1" "$2" "$3" "$4" | mean_sd "$5" 2>/dev/null || echo "-"; }
mean_of() { of "$@" | mean; }
{
    printf 'quantizer'
    for m in $factors; do printf '\tloss, m %s' "$m"; done
    for m in $factors; do printf '\terror, m %s' "$m"; done
    printf '\tcosine, m 20\tm 60\tcolumns, m 20'
    for m in $factors; do printf '\tMiniLM cosine, m %s' "$m"; done
    printf '\n'
    for q in $(awk -F'\t' '!seen[$4]++ { print $4 }' "$all"); do
        printf '%s' "$q"
        for m in $factors; do printf '\t%s' "$(cell bert "$q" "$m" 5 4)"; done
        for m in $factors; do printf '\t%s' "$(cell bert "$q" "$m" 6 4)"; done
        printf '\t%s\t%s\t%s' "$(cell bert "$q" 20 9 5)" "$(cell bert "$q" 60 9 5)" "$(cell bert "$q" 20 7 1)"
        for m in $factors; do printf '\t%s' "$(cell minilm "$q" "$m" 9 4)"; done
        printf '\n'
    done
} | table
echo

# Whether one scale is worse than vectors, and those than outliers apart, by what COLUMN of ARM says at factor M; cosines are smaller where they are worse.
ordered() { # ARM M COLUMN SIGN
    local absmax vector llm
    absmax=$(mean_of "$1" absmax "$2" "$3") vector=$(mean_of "$1" absmax-vector "$2" "$3") llm=$(mean_of "$1" llm.int8 "$2" "$3")
    is "$4 ($absmax) > $4 ($vector) && $4 ($vector) > $4 ($llm)"
}
f32=$(mean_of bert f32 1 5)
holds=yes
for m in 20 60; do
    same=$(mean_of bert f32 "$m" 5)
    is "($same - $f32) / $f32 < 1e-5 && ($f32 - $same) / $f32 < 1e-5" || holds=broken
done
plain=$(mean_of bert llm.int8 1 6)
if [ $holds = yes ]; then
    for m in 20 60; do
        ordered bert $m 6 + && ordered bert $m 9 - || holds=no
        is "($(mean_of bert llm.int8 $m 5) - $f32) / $f32 < 0.005 && $(mean_of bert llm.int8 $m 6) < 1.25 * $plain" || holds=no # as if there were no outliers
        [ -z "$(of minilm f32 $m 9)" ] || { ordered minilm $m 6 + && ordered minilm $m 9 -; } || holds=no
    done
    is "$(mean_of bert absmax 60 5) > $(mean_of bert llm.int8 60 5)" || holds=no
fi
case $holds in
broken) verdict "broken" ;;
yes) verdict "holds" ;;
*) verdict "does not show here" ;;
esac
