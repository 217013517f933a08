#!/usr/bin/env bash
# Protects: recipe 64: which runs it makes of which models, what it reads from their logs, and that its verdict follows from them. A program that
# writes logs stands for lathe, which would take minutes.
. "$(dirname "$0")/../tap.sh"

D=$T/data
mkdir -p "$D/sst2" "$D/wikitext-2"
for f in train dev test; do for i in 1 2 3 4; do printf 'a %s film of number %s\t%s\n' "$f" $i $((i % 2)); done >"$D/sst2/$f.tsv"; done
{ echo "sentence	label"; for i in $(seq 60); do printf 'a phrase %s \t%s\n' "$i" $((i % 2)); done; } >"$D/sst2/glue-train-20k.tsv"
for i in 1 2 3; do echo " The <unk> of an Article $i "; done >"$D/wikitext-2/valid.txt"

# Figures of each arm: set by the test as NAME=number where they are not these.
cat >"$T/lathe" <<'END'
#!/usr/bin/env bash
echo "$*" >>"$CALLS"
verb=$1 model=$2
for arg; do
    case ${last-} in --log) log=$arg ;; -o) out=$arg ;; esac
    last=$arg
done
show() { printf '{"step":1,"loss":%s,"lr":0.1,"grad_norm":%s,"tokens":9,"tokens_per_s":9}\n' "$1" "$2"; }
valid() { printf '{"step":2,"valid":{"loss":%s%s}}\n' "$1" "${2:+,\"accuracy\":$2}"; }
name=$(basename "${out:-$model}")
case $verb in
info) if [ "$name" = teacher ]; then n=1000; else n=${SIZE:-240}; fi; printf '{"family":"bert","parameters":%s,"bytes":1}\n' $n; exit ;;
bench) if [ "$name" = teacher ]; then n=1e3; else n=${SPEED:-2500.5}; fi; printf '{"inputs":1,"tokens":9,"seconds":1,"tokens_per_s":%s,"inputs_per_s":1}\n' $n; exit ;;
esac
mkdir -p "$out"
case $name in
self) show "${SELF:-0}" 0 ;;
teacher) show 8 1; valid "${TEACHER:-3}" ;;
none-attention-*) show 1 1; valid 0.5 ;;
none-values-*) show 1 1; valid 0.6 ;;
attention-attention-*) show 1 1; valid 0.1 ;;
attention-values-*) show 1 1; valid "${VALUES:-0.5}" ;;
*-attention-* | *-values-*) show 1 1; valid 0.1 ;;
none-masked-*) show 1 1; valid 5 ;;
attention-masked-*) show 1 1; valid "${MASKED:-4.5}" ;;
*-masked-*) show 1 1; valid 4 ;;
none-sst2-*) show 1 1; valid 1 0.6 ;;
attention-sst2-*) show 1 1; valid 1 "${ACCURACY:-0.65}" ;;
*-sst2-*) show 1 1; valid 1 0.7 ;;
*) show 1 1; for i in $(seq 20); do show "${LOSS:-0.2}" 1; done ;;
esac >"$log"
END
chmod +x "$T/lathe"
minilm() { # SETTINGS…: what comes out is $out
    rm -rf "$T/work"
    mkdir "$T/work"
    : >"$T/calls"
    run env "$@" CALLS="$T/calls" LATHE="$T/lathe" LATHE_WORK="$T/work" LATHE_DATA="$D" LATHE_SEEDS=${SEEDS:-1} bash recipes/64-minilm.sh
}
ends() { # VERDICT WHY SETTINGS…
    local verdict=$1 why=$2
    shift 2
    minilm "$@"
    is "$rc $(tail -n 1 <<<"$out")" "0 verdict: $verdict" "${*:-the full one}: $verdict"
    like "$err" "$why" "${*:-the full one}: it says why"
}

check "lathe knows it" grep -q '^64-minilm	' <(lathe recipe list)
ends holds "speed"
is "$(grep -c '^|' <<<"$out")" 10 "one table"
like "$out" '\| attention, values +\| 1.000 -> 0.200 +\| 0.100 +\| 0.100 +\| 4.000 +\| 0.700 +\| 240 +\| 2.50 ' "with what the logs say"
like "$out" '\| always the same answer .*\| 0.500 ' "and what is due to chance"
is "$(grep -c '^distill .*/teacher .*--losses attention,values .*--steps 1500' "$T/calls")" 2 "student and assistant learn from the teacher"
is "$(grep -c '^distill .*/helper-0 .*--losses attention,values .*--steps 1500' "$T/calls")" 1 "a student from the assistant"
is "$(grep '^distill' "$T/calls" | grep -c 'relation-heads 8')" 1 "the second version"
is "$(grep -c 'objective classify' "$T/calls")" 7 "all are tuned"
is "$(for d in teacher assistant student; do sed -n 's/.*"hidden_size": \([0-9]*\), "num_hidden_layers": \([0-9]*\),.*/\2 x \1/p' "$T/work/$d-config/config.json"; done | tr '\n' ' ')" "6 x 128 6 x 64 3 x 64 " "of the sizes that are meant"
ends "does not show here" "loss falls by 0.500; relations .*; accuracies .*; masked losses .*; 3.33 times smaller; 1.50 times faster" \
    LOSS=0.5 VALUES=1.1 ACCURACY=0.71 MASKED=3 SIZE=300 SPEED=1500
export LATHE_QUICK=1 # in which only loss and relations count
SEEDS=2 ends holds "speed" LOSS=0.5 ACCURACY=0.71 MASKED=3
like "$out" '\| attention, values +\| 1.000 -> 0.500 +\| 0.100 ± 0.000' "several seeds"
ends "does not show here" "loss falls by 0.200" LOSS=0.8
ends broken "teaches itself" SELF=0.1
ends broken "nothing was learned" LOSS=1.5
ends broken "nothing was learned" TEACHER=8.2
done_testing
