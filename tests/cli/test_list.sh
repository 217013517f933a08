#!/bin/bash
# Protects: list tells every filling of every slot, each once, with the keys that scripts rely on; and version.
. "$(dirname "$0")/../tap.sh"

run lathe list --json
is "$rc:$err" "0:" "list --json"
is "$(grep -vcE '^\{"slot":"[a-z-]+","name":"[^"]+","summary":"[^"].*","source":".*"\}$' <<<"$out")" 0 "list: keys of every line"
is "$(sed 's/,"summary.*//' <<<"$out" | sort | uniq -d)" "" "list: each filling once"
for slot in family linear mixer position norm ffn residual embed head activation pooling model normalizer pre-tokenizer \
    quantizer post-processor decoder trainer analyzer search documents metric output isa verb; do
    run lathe list $slot --json
    is "$rc:$(grep -c "^{\"slot\":\"$slot\"," <<<"$out"):$(wc -l <<<"$out")" "0:$(wc -l <<<"$out"):$(wc -l <<<"$out")" "list $slot: that slot alone"
done
is "$(lathe list | wc -l)" "$(lathe list --json | wc -l)" "list: a line each in a pipe"
is "$(lathe list verb | cut -f 2)" "$(verbs)" "list verb: the verbs of help"
for family in bert roberta distilbert; do
    like "$(lathe list family)" "family"$'\t'"$family"$'\t' "list family: $family"
done
like "$(lathe version --json)" '^\{"version":"[0-9.]+","isa":\["ref",' "version --json"
done_testing
