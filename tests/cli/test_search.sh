#!/bin/bash
# Protects: index and search as commands: what they print, adding, replacing, deleting, checking, runs, and clean failures.
. "$(dirname "$0")/../tap.sh"

M=$MODELS/bert-tiny
[ -f "$M/config.json" ] || skip_all "no tests/fixtures/models/bert-tiny"
X=$T/x.idx
printf '%s\n' '{"id":"d1","title":"Fruit","text":"a red apple falls from the tree"}' '{"id":"d2","title":"Cars","text":"the red car is fast"}' \
    '{"id":"d3","title":"","text":"an apple a day"}' >"$T/docs.jsonl"
printf '%s\n' '{"id":"d2","title":"Cars","text":"a green car"}' '{"id":"d4","title":"Sea","text":"the blue sea"}' >"$T/more.jsonl"
printf 'q1\tapple\nq2\tred car\n' >"$T/queries.tsv"
ids() { sed 's/.*"id":"\([^"]*\)".*/\1/' <<<"$out" | tr '\n' ' '; }

for kind in "$M" --keyword; do
    name=${kind##*/}
    run lathe index "$X" "$kind" "$T/docs.jsonl"
    like "$rc:$err $out" '^0: \{"documents":3,"added":3,"replaced":0,"deleted":0,"analyzer":"english",' "index $name"
    run lathe search "$X" apple --mode bm25
    is "$rc:$err:$(ids)" "0::d3 d1 " "$name: bm25"
    like "$(head -1 <<<"$out")" '^\{"id":"d3","score":[0-9.]+,"title":"","text":"an apple a day"\}$' "$name: keys"
    is "$(lathe search "$X" apple --mode bm25 -k 1 | wc -l)" 1 "$name: -k 1"
    is "$(lathe search "$X" red car --mode bm25)" "$(lathe search "$X" 'red car' --mode bm25)" "$name: words are one query"
    run lathe search "$X" zebra --mode bm25
    is "$rc:$out:$err" "0::" "$name: nothing found, nothing printed"
    run lathe index "$X" --add "$T/more.jsonl"
    like "$rc:$err $out" '^0: \{"documents":4,"added":1,"replaced":1,' "$name: --add replaces by id"
    run lathe search "$X" red --mode bm25
    is "$(ids)" "d1 " "$name: the old text is gone"
    run lathe index "$X" --delete d1 d9
    like "$rc $out" '^0 \{"documents":3,"added":0,"replaced":0,"deleted":1,' "$name: --delete"
    run lathe index "$X" --check
    like "$rc $out" '^0 \{"documents":3,' "$name: --check"
    run lathe search "$X" --run "$T/queries.tsv" --mode bm25
    like "$rc $out" $'^0 q1 Q0 d3 1 [0-9.]+ lathe\nq2 Q0 d2 1 [0-9.]+ lathe$' "$name: --run prints a TREC run"
    run lathe search "$X" --run "$T/queries.tsv" --mode bm25 -o "$T/run"
    is "$rc:$out:$(wc -l <"$T/run")" "0::2" "$name: --run -o"
    rm -f "$X"
done

lathe index "$X" "$M" "$T/docs.jsonl" >/dev/null
run lathe search "$X" apple
is "$rc:$(wc -l <<<"$out")" "0:3" "hybrid is the default and ranks all documents"
hybrid=$out
is "$(lathe search "$X" apple --mode hybrid)" "$hybrid" "… the same when asked for"
run lathe search "$X" 'the red car is fast' --mode dense -k 1
is "$rc:$(ids)" "0:d2 " "dense"
is "$(lathe search "$X" --model "$M" apple)" "$hybrid" "--model"
printf 'apple\n\nred car\n' >"$T/queries.txt"
out=$(lathe search "$X" --mode bm25 <"$T/queries.txt")
like "$out" '^\{"query":"apple","id":"d3",.*"query":"red car","id":"d2"' "queries from standard input, each hit with its query"
printf 'd1\tapple tree\n' >"$T/self.tsv"
run lathe search "$X" --run "$T/self.tsv" --mode bm25 --exclude-self
like "$rc $out" '^0 d1 Q0 d3 1 ' "--exclude-self"
printf '%s\n' '{"id":"q1","text":"apple"}' >"$T/queries.jsonl"
run lathe search "$X" --run "$T/queries.jsonl" --mode bm25 --json
like "$rc $out" '^0 \{"query":"q1","id":"d3",' "--run of JSON lines, as JSON"
printf 'apple\n' >"$T/bad.tsv"
run lathe search "$X" --run "$T/bad.tsv"
like "$rc $err" "^1 .*bad\.tsv line 1: expected id<TAB>query" "--run: a line without an id"
printf 'text,id\nx,a b\n' >"$T/blank.csv"
lathe index "$T/blank.idx" --keyword "$T/blank.csv" >/dev/null
run lathe search "$T/blank.idx" --run <(printf 'q\tx\n') --mode bm25
printf 'q\tx\n' >"$T/one.tsv"
run lathe search "$T/blank.idx" --run "$T/one.tsv"
like "$rc $err" "^1 .*'a b'.*blanks" "a run cannot hold ids with blanks"
run lathe search "$T/blank.idx" x --mode dense
like "$rc $err" "^2 .*no vectors" "dense without vectors is refused"
printf '%s\n' 'q1 0 d3 1' 'q2 0 d2 1' >"$T/qrels"
lathe search "$X" --run "$T/queries.tsv" -o "$T/run"
like "$(lathe eval --run "$T/run" --qrels "$T/qrels")" '"ndcg_cut_10":[01]' "a run goes into eval"

before=$(cksum <"$X")
printf '{"id": 1, "text": "x"}\nnot json\n' >"$T/broken.jsonl"
run lathe index "$X" "$M" "$T/broken.jsonl"
like "$rc $err" "^1 .*broken\.jsonl.*2" "a broken file: file and line"
is "$(cksum <"$X")" "$before" "… and the old index stays as it was"
run lathe index "$X" "$T/nothing" "$T/docs.jsonl"
is "$rc:$(cksum <"$X")" "1:$before" "a model that is not there: the same"
run lathe index "$T/docs.jsonl" --check
like "$rc $err" "^1 .*docs\.jsonl" "a file that is no index"
run lathe index "$T/absent.idx" --add "$T/docs.jsonl"
like "$rc $err" "^1 .*absent\.idx" "adding to an index that is not there"
[ ! -e "$T/absent.idx" ]
ok $? "… does not make it"
run lathe index "$X" --add --k1 2 "$T/docs.jsonl"
like "$rc $err" "^2 .*settled when an index is made" "BM25's parameters are settled"
for k1b in "0 0" "0 0.5" "2 0"; do
    lathe index "$T/zero.idx" --keyword --k1 ${k1b% *} --b ${k1b#* } "$T/docs.jsonl" >/dev/null
    is "$(lathe search "$T/zero.idx" apple red)" "$(lathe search "$X" apple red --mode bm25 --k1 ${k1b% *} --b ${k1b#* })" \
        "index --k1 --b $k1b: as search with the same"
done
like "$(lathe search "$X" apple --mode bm25 --k1 0 --b 0)" '"score":([0-9.]*).*"score":\1[,}]' "search --k1 0 --b 0: zero is zero"
mkdir "$T/folder" && echo "some words" >"$T/folder/a.txt" && echo "other words" >"$T/folder/b.md"
run lathe index "$T/folder.idx" --keyword "$T/folder"
like "$rc $out" '^0 \{"documents":2,' "a folder: a document a file"
run lathe search "$T/folder.idx" other
is "$(ids)" "b.md " "… by its path"

# Stopped while a reading thread waits for more documents.
mkfifo "$T/fifo"
"$LATHE" index "$X" "$M" "$T/fifo" --batch-tokens 64 --threads 2 2>"$T/err" &
pid=$!
exec 3>"$T/fifo"
seq 20000 >&3
sleep 0.3
kill -TERM $pid
rc=0; wait $pid || rc=$?
exec 3>&-
is "$rc:$(<"$T/err")" "143:" "index: SIGTERM while it waits for input"
is "$(cksum <"$X")$(find "$T" -name '.x.idx*')" "$before" "… the old index stays, and nothing else"

if command -v script >/dev/null; then
    run script -qec "TERM=xterm '$LATHE' search '$X' apple --mode bm25" /dev/null
    like "$out" $'Fruit.*\033\\[1mapple\033\\[0m' "on a terminal: the match in bold"
    run script -qec "NO_COLOR=1 TERM=xterm '$LATHE' search '$X' apple --mode bm25" /dev/null
    like "$out" 'a red apple' "NO_COLOR: no marks are left"
    is "$(tr -cd '\001\002\033' <<<"$out")" "" "… at all"
else
    skip "on a terminal: the match in bold" "no script(1)"
    skip "NO_COLOR: no marks are left" "no script(1)"
    skip "… at all" "no script(1)"
fi
done_testing
