#!/usr/bin/env bash
# Trains a small BERT on texts of very different lengths: filled up to the longest of their batch, filled up after sorting, packed into full
# rows, and ragged, as lathe always does; what a second of each is worth in tokens of text. Then the paper's exchange of samples between
# workers: that it changes no loss, and how even it makes their loads (its figures are those of lengths drawn or read, without training).
#
# summary: training on ragged batches against padded, sorted and packed ones, and the load of workers with exchanged samples
# source: Zeng et al. 2022, "Boosting Distributed Training Performance of the Unpadded BERT Model", arXiv 2208.08124
. "$(dirname "$0")/lib.sh"

longest=$(pick 256 512)
steps=$(pick 8 16)
batch=32
text=$WORK/text.txt
grep -h '[a-z]' "$(data wikitext-2/valid.txt)" "$(data wikitext-2/test.txt)" | sed 's/^ //; s/<unk>/[UNK]/g' >"$text"
wordpieces 8000 <"$text" >"$WORK/vocab.txt"
bert 4 256 4 "$longest" "$WORK/vocab.txt" "$WORK/config"
"$LATHE" tokenize "$WORK/config" "$text" --max-tokens "$longest" --json | sed 's/^{"ids":\[\([0-9,]*\)\].*/\1/' >"$WORK/ids.txt"

# rows ORDER < ids, one text a line: rows for `train --objective labels` with one token of seven masked, the same whatever the order and form.
#   file      as they come
#   padded    to the longest of the batch   sorted    the same after sorting all
#   packed    one text behind another, in rows of the longest
cat >"$WORK/rows.awk" <<'END'
function flush_batch(   i) {
    for (i = 1; i <= rows; i++) put(i, form == "padded" || form == "sorted" ? most : 0)
    rows = most = 0
}
function put(i, to,   k, a, b) {
    a = ids[i]; b = labels[i]
    for (k = size[i]; k < to; k++) { a = a ",0"; b = b ",-100" }
    print "{\"ids\":[" a "],\"labels\":[" b "]}"
}
{
    n = split($0, id, ",")
    a = b = ""
    for (i = 1; i <= n; i++) {
        masked = i > 1 && i < n && (id[i] * 31 + i * 17 + n) % 7 == 0
        a = a (i > 1 ? "," : "") (masked ? 4 : id[i])
        b = b (i > 1 ? "," : "") (masked ? id[i] : -100)
    }
    if (form == "packed" && rows && size[1] + n <= longest) {
        ids[1] = ids[1] "," a; labels[1] = labels[1] "," b; size[1] += n
        next
    }
    if (form == "packed" && rows) flush_batch()
    rows++
    ids[rows] = a; labels[rows] = b; size[rows] = n
    if (n > most) most = n
    if (form != "packed" && rows == batch) flush_batch()
}
END { if (rows && form == "packed") flush_batch() }
END
some=$WORK/some.txt # as many as the steps take, spread over the texts
awk -v want=$((steps * batch)) 'NR == FNR { all++; next } int(FNR * want / all) > int((FNR - 1) * want / all)' "$WORK/ids.txt" "$WORK/ids.txt" >"$some"
for form in file padded packed; do awk -v form=$form -v batch=$batch -v longest="$longest" -f "$WORK/rows.awk" "$some" >"$WORK/$form.jsonl"; done
awk '{ print gsub(/,/, ",") "\t" $0 }' "$some" | sort -s -n -k1,1 | cut -f2 | awk -v form=sorted -v batch=$batch -f "$WORK/rows.awk" >"$WORK/sorted.jsonl"
tokens=$(awk -F, '{ n += NF } END { print n }' "$some")

run() { # NAME SEED ROWS OPTION…
    local name=$1 seed=$2 rows=$3
    shift 3
    train "$name" "$seed" "$WORK/config" --init random --objective labels --data "$WORK/$rows.jsonl" --no-shuffle --epochs 1 --lr 5e-4 "$@"
}
# Tokens of text a second: all of them over all seconds but the first step's, which warms up; of all rounds the best, since whatever else this
# machine does can only slow one down.
speed() {
    for seed in $rounds; do
        awk -F'[:,]' -v text="$tokens" '{ n = $10; all += n; if (NR > 1) { counted += n; seconds += n / $12 } } END { printf "%.0f\n", text * counted / all / seconds }' \
            "$WORK/$1-$seed.jsonl"
    done | awk '$1 > best { best = $1 } END { print best }'
}
rounds=$(seeds 2 3)
for seed in $rounds; do # one after another in each round, so that a slow minute hits all of them
    run "padded-$seed" "$seed" padded --batch $batch
    run "sorted-$seed" "$seed" sorted --batch $batch
    run "packed-$seed" "$seed" packed --batch-tokens $((tokens / steps))
    run "ragged-$seed" "$seed" file --batch $batch
done
run equal-file "$FIRST_SEED" file --batch $batch --dropout 0
for how in none tokens cost; do # two workers' batches of a step, as they come and exchanged
    run equal-$how "$FIRST_SEED" file --batch $((batch / 2)) --accumulate 2 --exchange $how --dropout 0
done

# The largest difference between the losses of two runs, relative.
apart() {
    paste "$WORK/$1.jsonl" "$WORK/$2.jsonl" | awk -F'"loss":' '{ d = ($2 - $3) / $2; if (d < 0) d = -d; if (d > most) most = d } END { printf "%.1e\n", most }'
}
# uneven NAME KEY: how much more the fuller of two batches has than the mean, in all steps
uneven() { awk -F"\"imbalance_$2\":" '{ split($2, a, /[,}]/); sum += a[1] } END { printf "%.3f\n", sum / NR }' "$WORK/$1.jsonl"; }
# load WORKERS SAMPLES ROUNDS < lengths: largest over mean load of a worker, without the exchange and with it, in tokens and in their squares, which
# attention costs
load() {
    awk -v W="$1" -v b="$2" -v rounds="$3" '
        function random() { state = (state * 16807) % 2147483647; return state / 2147483647 }
        function over(load,   w, sum, most) {
            for (w = 0; w < W; w++) { sum += load[w]; if (load[w] > most) most = load[w] }
            return most * W / sum
        }
        { length_of[n++] = $1 }
        END {
            state = 38
            for (r = 0; r < rounds; r++) {
                split("", plain); split("", dealt); split("", plain2); split("", dealt2)
                for (i = 0; i < W * b; i++) {
                    x = length_of[int(random() * n)]
                    plain[int(i / b)] += x; plain2[int(i / b)] += x * x
                    for (k = i; k > 0 && s[k - 1] < x; k--) s[k] = s[k - 1]
                    s[k] = x
                }
                for (i = 0; i < W * b; i++) { dealt[i % W] += s[i]; dealt2[i % W] += s[i] * s[i] }
                before += over(plain); after += over(dealt); before2 += over(plain2); after2 += over(dealt2)
            }
            printf "%.3f %.3f %.3f %.3f\n", before / rounds, after / rounds, before2 / rounds, after2 / rounds
        }'
}
awk -F, '{ print NF }' "$WORK/ids.txt" >"$WORK/lengths.txt"
say "loads of workers"
read -r uniform2 uniform2x _ < <(seq 102 512 | load 2 16 400)
read -r uniform8 uniform8x _ < <(seq 102 512 | load 8 56 40)
read -r text2 text2x squares2 squares2x < <(load 2 16 400 <"$WORK/lengths.txt")
read -r text8 text8x squares8 squares8x < <(load 8 56 40 <"$WORK/lengths.txt")

fill() { awk -v text="$tokens" -F'"labels"' '{ n += gsub(/,/, ",", $1) } END { printf "%.2f\n", text / n }' "$WORK/$1.jsonl"; }
filled=$(fill padded)
padded=$(speed padded)
ragged=$(speed ragged)
row() { printf '%s\t%s\t%s\t%s\n' "$@"; }
times() { awk -v a="$1" -v b="$padded" 'BEGIN { printf "%.2f\n", a / b }'; }
exchange=$(apart equal-file equal-tokens)
workers=$(apart equal-file equal-cost)
{
    row "what" "measured" "against padded" "expected"
    row "padded: tokens of text / s" "$padded" "1.00" "part of rows that is text: $filled"
    row "padded, sorted first" "$(speed sorted)" "$(times "$(speed sorted)")" "part that is text: $(fill sorted)"
    row "packed into rows of $longest" "$(speed packed)" "$(times "$(speed packed)")" "attention across texts: less than ragged"
    row "ragged" "$ragged" "$(times "$ragged")" "at least $(awk -v f="$filled" 'BEGIN { printf "%.2f", 0.9 / f }')"
    row "losses, two workers' batches" "$(apart equal-file equal-none)" "" "at most 1e-4"
    row "losses, exchanged in turn" "$exchange" "" "at most 1e-4"
    row "losses, exchanged by cost" "$workers" "" "at most 1e-4"
    row "in training, 2 x $((batch / 2)): tokens in turn" "$(uneven equal-none tokens) -> $(uneven equal-tokens tokens)" "" "falls"
    row "in training, 2 x $((batch / 2)): cost by cost" "$(uneven equal-none cost) -> $(uneven equal-cost cost)" "" "falls to 1.00"
    row "load, lengths 102 to 512, 2 x 16" "$uniform2 -> $uniform2x" "" "1.055 -> 1.020"
    row "load, lengths 102 to 512, 8 x 56" "$uniform8 -> $uniform8x" "" "1.070 -> 1.010"
    row "load, these texts, 2 x 16" "$text2 -> $text2x" "" "1.141 -> 1.059 (texts up to 512)"
    row "load, these texts, 8 x 56" "$text8 -> $text8x" "" "1.184 -> 1.041 (texts up to 512)"
    row "squares, these texts, 2 x 16" "$squares2 -> $squares2x" "" "1.226 -> 1.123 (texts up to 512)"
    row "squares, these texts, 8 x 56" "$squares8 -> $squares8x" "" "1.327 -> 1.115 (texts up to 512)"
} | table
echo
if ! is "$exchange <= 1e-4 && $workers <= 1e-4"; then
    verdict "broken"
elif is "$ragged / $padded >= 0.9 / $filled && $uniform2x < $uniform2 && $uniform8x < $uniform8 && $text2x < $text2 && $text8x < $text8 && $(uneven equal-tokens tokens) < $(uneven equal-none tokens) && $(uneven equal-cost cost) < $(uneven equal-none cost)"; then
    verdict "holds"
else
    verdict "does not show here"
fi
