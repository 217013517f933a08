#!/usr/bin/env bash
# Protects: recipe: which there are, what a script is told, that what it prints comes through, that a table and a verdict must end it, that
# signals end all it started; and what the shared shell functions compute.
. "$(dirname "$0")/../tap.sh"

R=$T/recipes
mkdir "$R"
export LATHE_RECIPES=$R TMPDIR=$T
recipe() { # NAME: a script, from standard input
    { printf '#!/usr/bin/env bash\n# Shows something.\n# summary: all of %s\n# source: Somebody 2020, "A title"\n' "$1"; cat; } >"$R/$1.sh"
}
recipe 05-good <<'END'
echo "work" >&2
touch "$LATHE_WORK/made"
echo "quick ${LATHE_QUICK:-no}, seeds ${LATHE_SEEDS:-none}, seed $LATHE_SEED, threads ${LATHE_THREADS:-all}, data ${LATHE_DATA:-none}"
"$LATHE" version | head -c 6
printf '\n\n| arm | x |\n|---|---|\n| a\\b | 1 |\n| c | 2 |\n\nverdict: holds\n'
END
recipe 6-broken <<<'printf "| a |\n|---|\n| 1 |\nverdict: broken\n"'
recipe 7-silent <<<'echo hello'
recipe 8-fails <<<'printf "| a |\n|---|\n| 1 |\nverdict: holds\n"; exit 3'
recipe 9-word <<<'printf "| a |\n|---|\n| 1 |\nverdict: perhaps\n"'
recipe 11-behind <<<'printf "| a |\n|---|\n| 1 |\nverdict: holds\nbye\n"'
recipe 12-tables <<<'printf "| a |\n|---|\n| 1 |\n\n| a |\n|---|\n| 1 |\nverdict: holds\n"'
recipe 13-bare <<<'printf "verdict: does not show here\n"'
recipe 14-not <<<'printf "| a |\n|---|\n| 1 |\n\nverdict: does not show here"'
echo 'no recipe' >"$R/lib.sh"

is "$(lathe recipe list | cut -f1 | tr '\n' ' ')" "05-good 11-behind 12-tables 13-bare 14-not 6-broken 7-silent 8-fails 9-word " "list"
is "$(lathe recipe list --json | head -n 1)" \
    "{\"slot\":\"recipe\",\"name\":\"05-good\",\"summary\":\"all of 05-good\",\"source\":\"Somebody 2020, \\\"A title\\\"\",\"file\":\"$R/05-good.sh\"}" "list --json"
is "$(lathe list recipe | wc -l)" 9 "lathe list knows them"

run lathe recipe run 5
is "$rc $(tail -n 1 <<<"$out")" "0 verdict: holds" "run"
is "$err" "work" "what it tells comes through"
like "$out" "^quick no, seeds none, seed 0, threads all, data none" "what it is told"
like "$out" $'\nlathe ' "it can call this binary"
is "$(find "$T" -name 'lathe-recipe*')" "" "its folder is gone"
out=$(LATHE_DATA=/d lathe recipe run 05-good --quick --seeds 3 --seed 4 --threads 2 -o "$T/work" 2>/dev/null)
like "$out" "^quick 1, seeds 3, seed 4, threads 2, data /d" "what it is told with options"
check "the folder of -o stays" [ -f "$T/work/made" ]
is "$(lathe recipe run 05 --json 2>/dev/null)" '{"recipe":"05-good","verdict":"holds","table":[{"arm":"a\\b","x":"1"},{"arm":"c","x":"2"}]}' "run --json"
run lathe recipe run 14
is "$rc:$err" "0:" "what does not show here is no failure"

refused() { # NN STATUS MESSAGE
    run lathe recipe run "$1"
    like "$rc $err" "^$2 .*$3" "recipe $1: $3"
}
refused 6 1 'broken'
refused 7 1 'no verdict'
refused 8 1 'status 3'
refused 9 1 'expected one line'
refused 11 1 'nothing behind it'
refused 12 1 '2 tables'
refused 13 1 '0 tables'
refused 99 2 "no recipe '99'; there are 05-good"
refused 05-god 2 "did you mean"
run lathe recipe run
like "$rc $err" "^2 .*number of a recipe" "no number"
run lathe recipe rum 5
like "$rc $err" "^2 .*list or run" "another word"
run env LATHE_RECIPES="$T/none" "$LATHE" recipe list
like "$rc $err" "^1 .*no such folder" "no such folder"

recipe 20-slow <<'END'
sleep 600 & echo $! >"$LATHE_WORK/pid"
touch "$LATHE_WORK/started"
wait
END
ended() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; } # or waits to be reaped
for signal in INT TERM; do
    rm -rf "$T/slow"
    bash -c 'set -m; "$LATHE" recipe run 20 -o "$1" & echo $! >"$1.pid"; wait $!; echo $? >"$1.rc"' - "$T/slow" 2>/dev/null &
    for _ in $(seq 100); do [ -e "$T/slow/started" ] && break || sleep 0.05; done
    kill -$signal "$(cat "$T/slow.pid")"
    wait $!
    is "$(cat "$T/slow.rc")" "$([ $signal = INT ] && echo 130 || echo 143)" "$signal: its status"
    check "$signal ends what it started" ended "$(cat "$T/slow/pid")"
done

unset LATHE_RECIPES
check "without LATHE_RECIPES: those of the tree" grep -q "^$(basename "$(find recipes -name '[0-9]*.sh' | head -n 1)" .sh)" <(lathe recipe list)
mkdir -p "$T/usr/bin" "$T/usr/share/lathe/recipes" && cp "$LATHE" "$T/usr/bin/" && cp "$R/05-good.sh" "$T/usr/share/lathe/recipes/"
is "$("$T/usr/bin/lathe" recipe list | cut -f1)" "05-good" "… or those installed beside the binary"
for f in recipes/[0-9]*.sh; do
    like "$(head -n 20 "$f")" $'\n# summary: [^\n]+\n# source: [^\n]+' "$f says what it is"
    check "$f is a script" bash -n "$f"
done

lib() { (. recipes/lib.sh && "$@"); }
is "$(printf '1\n2\n3\n' | lib mean_sd 2)" "2.00 ± 1.00" "mean and deviation"
is "$(echo 4 | lib mean_sd 1)" "4.0" "of one number"
is "$(printf 'ä\tb\nxyz\t± 1\n' | lib table)" $'| ä   | b   |\n|-----|-----|\n| xyz | ± 1 |' "a table, by characters"
is "$(LATHE_QUICK=1 lib seeds 2 5 | tr '\n' ' ')$(LATHE_SEED=7 lib seeds 2 3 | tr '\n' ' ')$(LATHE_SEEDS=1 lib seeds 2 3)" "0 1 7 8 9 0" "seeds"
is "$(for i in $(seq 9); do echo 'Größe Größen der die Größe!'; done | lib wordpieces 60 >"$T/vocab"; head -n 5 "$T/vocab" | tr '\n' ' ')" "[PAD] [UNK] [CLS] [SEP] [MASK] " "a vocabulary"
check "… of whole characters" iconv -f utf8 -t utf8 "$T/vocab" -o /dev/null
check "… with the words" grep -qx 'Größe' "$T/vocab"
check "… each once" [ -z "$(sort "$T/vocab" | uniq -d)" ]
done_testing
