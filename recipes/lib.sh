# What recipes share; they source this. A recipe opens with a comment that has a line "# summary: …" and a line "# source: …", tells how it
# goes on standard error (say), and prints on standard output one table and, last, one verdict. `lathe recipe run` sets
#   LATHE  the binary        LATHE_WORK  a folder to work in        LATHE_QUICK  1: the small version
#   LATHE_DATA  where the data lie        LATHE_SEED, LATHE_SEEDS  the first seed, how many
# and all of them have a value here too when a recipe is run by itself.
set -euo pipefail
export LC_ALL=C # awk then counts bytes, whichever awk it is; characters are counted by their first bytes

RECIPES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LATHE=${LATHE:-$RECIPES/../lathe}
FIRST_SEED=${LATHE_SEED:-0}
export LATHE_QUIET=1
unset LATHE_SEED # each run is given its own
if [ -n "${LATHE_WORK:-}" ]; then
    WORK=$LATHE_WORK
else
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi

say() { echo "$*" >&2; }
die() {
    say "$(basename "$0"): $*"
    exit 1
}
quick() { [ -n "${LATHE_QUICK:-}" ]; }
# pick QUICK FULL: one of them
pick() { if quick; then echo "$1"; else echo "$2"; fi; }
# seeds QUICK FULL: the seeds, so many unless LATHE_SEEDS says how many
seeds() { seq "$FIRST_SEED" $((FIRST_SEED + ${LATHE_SEEDS:-$(pick "$1" "$2")} - 1)); }
# data PATH: where it is below LATHE_DATA
data() {
    [ -n "${LATHE_DATA:-}" ] || die "LATHE_DATA is not set; expected a folder with $1"
    [ -e "$LATHE_DATA/$1" ] || die "$LATHE_DATA/$1: no such file or folder"
    echo "$LATHE_DATA/$1"
}

# train OUT SEED MODEL OPTION…: a model at $WORK/OUT and its log at $WORK/OUT.jsonl
train() {
    local out=$1 seed=$2
    shift 2
    say "train $out"
    "$LATHE" train "$@" --seed "$seed" --log "$WORK/$out.jsonl" -o "$WORK/$out" >/dev/null
}
# last OUT KEY: the last value of a key in a training log ("loss" finds that of validations where these come last)
last() {
    awk -v key="\"$2\":" '{ at = index($0, key); if (at) { value = substr($0, at + length(key)); sub(/[,}].*/, "", value) } } END { print value }' "$WORK/$1.jsonl"
}
# mean_sd DECIMALS < numbers, one a line: "0.812 ± 0.010", the sample's standard deviation; one number stands alone
mean_sd() {
    awk -v d="$1" '{ n++; sum += $1; squares += $1 * $1 }
        END {
            if (!n) exit 1
            mean = sum / n
            var = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0
            if (n > 1) printf "%.*f ± %.*f\n", d, mean, d, sqrt(var > 0 ? var : 0)
            else printf "%.*f\n", d, mean
        }'
}
mean() { awk '{ sum += $1 } END { if (!NR) exit 1; printf "%.6g\n", sum / NR }'; }
# is EXPRESSION: whether it is true of numbers, as awk writes them
is() { awk "BEGIN { exit !($1) }"; }

# table < lines of cells with tabs between, the first names the columns
table() {
    awk -F'\t' '
        function width(s) { return gsub(/[^\200-\277]/, "", s) }
        { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (width($i) > wide[i]) wide[i] = width($i) } if (NF > cols) cols = NF }
        END {
            for (r = 1; r <= NR; r++) {
                for (i = 1; i <= cols; i++) printf "| %s%*s ", cell[r, i], wide[i] - width(cell[r, i]), ""
                print "|"
                if (r > 1) continue
                for (i = 1; i <= cols; i++) { rule = sprintf("%*s", wide[i] + 2, ""); gsub(/ /, "-", rule); printf "|%s", rule }
                print "|"
            }
        }'
}
# verdict WORDS: the last line: holds, does not show here, broken
verdict() { echo "verdict: $1"; }

# texts WORDS < lines: cut into lines of so many words at most, so that no text is longer than the model
texts() { awk -v most="$1" '{ for (i = 1; i <= NF; i++) printf "%s%s", $i, i == NF || i % most == 0 ? "\n" : " " }'; }

# bert_config LAYERS HIDDEN HEADS POSITIONS VOCAB DIR: the config of a BERT that has no weights
bert_config() {
    cat >"$6/config.json" <<END
{
  "model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": $5, "hidden_size": $2, "num_hidden_layers": $1,
  "num_attention_heads": $3, "intermediate_size": $((4 * $2)), "max_position_embeddings": $4, "type_vocab_size": 2, "hidden_act": "gelu",
  "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0
}
END
}
# bert LAYERS HIDDEN HEADS POSITIONS VOCAB_FILE DIR: that, and a tokenizer over such a vocabulary
bert() {
    mkdir -p "$6"
    cp "$5" "$6/vocab.txt"
    bert_config "$1" "$2" "$3" "$4" "$(wc -l <"$5")" "$6"
    echo '{"tokenizer_class": "BertTokenizer", "do_lower_case": false, "strip_accents": false}' >"$6/tokenizer_config.json"
}

# wordpieces N < text: a WordPiece vocabulary of at most N entries, one a line: special ones, all characters, alone and inside a word, and then
# the most frequent words and ends of words, with the gain in pieces as their weight
wordpieces() {
    awk '
        function cut(w,   i, n, c) { # into characters
            n = 0
            for (i = 1; i <= length(w); i++) {
                c = substr(w, i, 1)
                if (c ~ /[\200-\277]/ && n) char[n] = char[n] c
                else char[++n] = c
            }
            return n
        }
        {
            gsub(/[[:punct:]]/, " & ")
            for (i = 1; i <= NF; i++) count[$i]++
        }
        END {
            for (w in count) {
                n = cut(w)
                if (n > 40) continue
                begin = ""
                for (i = 1; i <= n; i++) {
                    seen[char[i]] += count[w]
                    begin = begin char[i]
                    if (i < 2 || count[w] < 2) continue
                    weight[begin] += count[w] * (i == n ? i : i / 4)
                    if (i < n) weight["##" substr(w, length(begin) + 1)] += (count[w] < 3 ? count[w] : 3) * (n - i) # what many words end in, not what one frequent word does
                }
            }
            print "00\t[PAD]\n01\t[UNK]\n02\t[CLS]\n03\t[SEP]\n04\t[MASK]"
            for (c in seen) if (seen[c] > 1) printf "1 %015.0f\t%s\n2 %015.0f\t##%s\n", 1e12 - seen[c], c, 1e12 - seen[c], c
            for (w in weight) if (weight[w] > 3) printf "3 %015.0f\t%s\n", 1e12 - weight[w] * 4, w
        }' | LC_ALL=C sort -t"$(printf '\t')" -k1,1 -k2,2 | cut -f2 | awk -v most="$1" '!seen[$0]++ && n++ < most'
}
