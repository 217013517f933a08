#!/usr/bin/env bash
# `make demo`: from a fresh clone to a search engine over this machine's own package descriptions. Installs what is missing,
# builds lathe, fetches a model, writes the descriptions as JSONL, indexes them and answers a few questions three ways. All that
# it makes outside the tree lies in ${XDG_CACHE_HOME:-~/.cache}/lathe; a second run finds it there.
set -eu
cd "$(dirname "$0")/.."
unset MAKEFLAGS MAKELEVEL MFLAGS
cache=${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/lathe
corpus=$cache/packages.jsonl
index=$cache/packages.lathe
if ! command -v apt-cache >/dev/null; then
    echo "demo: needs apt-cache, whose package descriptions are the corpus; README.md shows lathe on texts of your own" >&2
    exit 1
fi
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "1. Build"
tools/setup.sh demo
mkdir -p "$cache"
if ! "${MAKE:-make}" --no-print-directory -j"$(nproc)" lathe >"$cache/build.log" 2>&1; then
    tail -n 30 "$cache/build.log" >&2
    exit 1
fi
./lathe --version

say "2. Model"
model=$(tools/model.sh)
./lathe info "$model"

say "3. Corpus: descriptions of Debian packages"
if [ ! -s "$corpus" ]; then
    # English descriptions, which many installations leave out, into a folder of our own: the machine's lists stay as they are.
    lists=$cache/apt
    mkdir -p "$lists/partial"
    apt=(-o Dir::State::Lists="$lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=en
        -o APT::Sandbox::User=root)
    if ! apt-get -qq "${apt[@]}" update >"$cache/apt.log" 2>&1; then
        cat "$cache/apt.log" >&2
        exit 1
    fi
    apt-cache "${apt[@]}" dumpavail | awk '
        BEGIN { RS = ""; FS = "\n" }
        /\nSection: (editors|education|graphics|mail|math|sound|text|utils|vcs|video|web)\n/ { print substr($1, 10) }' |
        grep -vE '^(lib|fonts-|golang-|python3?-|ruby-|node-)|-(dev|docs?|data|common|dbg|locales?|lang|tests?)$|-l10n|-doc-' |
        sort -u | xargs apt-cache "${apt[@]}" show | awk '
        function flush() {
            if (id != "" && title !~ /transitional|dummy|metapackage/ && !(title in seen) && !(id in seen)) {
                seen[title]
                seen[id]
                printf "{\"id\": \"%s\", \"title\": \"%s\", \"text\": \"%s\"}\n", id, title, text
            }
            id = title = text = ""
        }
        { gsub(/\\/, "\\\\\\\\"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " ") }
        /^Package: / { flush(); id = $2 }
        /^[^ ]/ { inside = 0 }
        /^Description(-en)?: / { title = $0; sub(/^[^:]*: */, "", title); inside = 1 }
        inside && /^ \.$/ { text = text "\\n"; next }
        inside && /^ / { line = $0; sub(/^ +/, "", line); text = text (text == "" ? "" : " ") line }
        END { flush() }' >"$corpus.part"
    mv "$corpus.part" "$corpus"
    rm -rf "$lists"
fi
echo "$(wc -l <"$corpus") packages in $corpus, one of them:"
grep -m1 '"id": "gimp"' "$corpus" | cut -c1-160 || head -n 1 "$corpus" | cut -c1-160

say "4. Index: keywords and one vector a document, in one file"
if [ "$corpus" -nt "$index" ]; then
    ./lathe index "$index" "$model" "$corpus"
fi
echo "$(du -h "$index" | cut -f 1) in $index"

say "5. Questions: keyword, dense and hybrid side by side"
screen=120
[ ! -t 1 ] || screen=$(tput cols 2>/dev/null) || screen=120
width=$(((screen > 160 ? 160 : screen < 80 ? 80 : screen) / 3 - 3))
hits() { # MODE QUESTION: "name: title" a line, cut to a column
    ./lathe search "$index" "$2" -k 4 --mode "$1" --json |
        sed 's/.*"id": *"\([^"]*\)".*"title": *"\(\([^"\\]\|\\.\)*\)".*/\1: \2/; s/\\"/"/g' | cut -c1-$width
}
while read -r question; do
    printf '\n  %s\n' "$question"
    paste -d '\t' <(echo "-- bm25"; hits bm25 "$question") <(echo "-- dense"; hits dense "$question") \
        <(echo "-- hybrid"; hits hybrid "$question") |
        awk -F '\t' -v w="$width" '{ printf "    %-*s  %-*s  %s\n", w, $1, w, $2, $3 }'
done <<'END'
find files that are there twice
turn scanned pages into text that I can edit
remove hiss from an old recording
learn to type faster
tesseract
END

say "Next"
cat <<END
  ./lathe search $(printf %q "$index") draw a family tree
  printf 'a red bicycle\na blue car\n' | ./lathe rank $(printf %q "$model") --query 'two wheels'
  ./lathe embed $(printf %q "$model") README.md -o vectors.npy
  ./lathe help
END
