#!/usr/bin/env bash
# First inputs for the fuzz targets, cut from the fixtures of the other tests: a folder per target. Small files are enough, the
# fuzzer finds the rest.
#
#   tests/fuzz/seeds.sh FOLDER
set -eu
cd "$(dirname "$0")/../.."
out=$1
limit=32768
rm -rf "$out"

# copy TARGET FILE...: files that are small enough, under names that do not meet
copy() {
    local to=$out/$1 file
    mkdir -p "$to"
    shift
    for file in "$@"; do
        [ -f "$file" ] && [ "$(wc -c <"$file")" -le $limit ] && cp "$file" "$to/$(tr '/ ' '__' <<<"$file")"
    done
    return 0
}
model=tests/fixtures/models
copy json "$model"/bert-tiny/*.json "$model"/bert-sharded/*.json tests/fixtures/sentence/roberta-prompt/*.json
copy safetensors tests/format/data/*.safetensors tests/fixtures/sentence/*/2_Dense/model.safetensors "$model"/*/model.safetensors
copy npy tests/format/data/*.npy tests/fixtures/sentence/truncate/*.npy

# Logs: the first byte says how they are drawn.
mkdir -p "$out/plot"
for how in 0 1 2 3 4 5; do
    printf '%s{"step":1,"loss":2.5,"lr":1e-5,"tokens":10,"tokens_per_s":5}\n{"step":1,"valid":{"loss":3,"accuracy":null}}\n{"step":7,"loss":-1e9}' $how >"$out/plot/$how"
done

# Rows: the first byte names the reader, in the order of the list in fuzz_rows.c.
mkdir -p "$out/rows"
texts=(
    'one line\nanother\r\n\nthe last, without an end'
    '{"id": 1, "text": "a é", "ids": [1, 2]}\n{"text": null, "a": {"b": [1.5e3, true]}}\n'
    '[{"text": "a"}, {"text": "b", "a": [1]}]'
    'id,text,a\n1,"two\nlines, a ""quote""",x\n2,,\n'
    'id\ttext\ta\n1\t"quoted"\tx\n2\tb " c\t\n'
    '[101, 2023, 102]\n[]\n[7]\n'
)
for i in "${!texts[@]}"; do
    for flags in 0 64; do
        # the byte in octal, so that printf writes it
        { printf "\\$(printf %o $((flags + i)))"; printf '%b' "${texts[i]}"; } >"$out/rows/$i-$flags"
    done
done
{ printf '\006'; printf '%b' "${texts[0]}" | gzip -n; } >"$out/rows/gz"
{ printf '\007'; printf '%b' "${texts[3]}" | gzip -n; } >"$out/rows/csv-gz"
{ printf '\012'; printf '# a comment\nEU\tB-ORG\n#\tO\n\t\n-DOCSTART- -X- O\n\nword O\n'; } >"$out/rows/conll"
{ printf '\013'; printf '# text = a\n1-2\tab\t_\tX\n1\ta\t_\tDET\n'; } >"$out/rows/conllu"
{ printf '\204'; printf '1\ta\tb\n2\tc\n'; } >"$out/rows/numbered"
if command -v zstd >/dev/null; then
    { printf '\010'; printf '%b' "${texts[0]}" | zstd -q; } >"$out/rows/zst"
    { printf '\011'; printf '%b' "${texts[1]}" | zstd -q; } >"$out/rows/jsonl-zst"
fi

# Stored examples: a header and tokens, of which the target makes the sums right, then a table of two and the names of labels.
mkdir -p "$out/store"
rest='\377\377\377\377'$(printf '\\000%.0s' {1..12})'\002\001\000\000' # no label, the number 0, no sum, widths
{
    head -c 48 /dev/zero; printf '\002'; head -c 159 /dev/zero
    printf '\220'; head -c 7 /dev/zero; printf '\005'; head -c 3 /dev/zero; printf '%b' "$rest"
    printf '\240'; head -c 11 /dev/zero; printf '%b' "$rest"
    printf 'one\0two\0'
} >"$out/store/two"

# Tokenizers: a tokenizer.json, a NUL, a text, a NUL, the second text of a pair.
mkdir -p "$out/tokenizer"
quoted() { # NAME JSON, in which ' stands for "
    { printf '%s' "${2//\'/\"}"; printf '\0 The caf\303\251 [X]  aab\377 12\0b a'; } >"$out/tokenizer/$1"
}
wordpiece="'model':{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##','max_input_chars_per_word':100,'vocab':{'[UNK]':0,'a':1,'##b':2,'the':3}}"
bpe="'model':{'type':'BPE','unk_token':'u','fuse_unk':true,'byte_fallback':true,'ignore_merges':false,'vocab':{'u':0,'a':1,'b':2,'ab':3,'<0xC3>':4,'##b':5},'merges':['a b'"
quoted bert "{'added_tokens':[{'id':9,'content':'[X]','single_word':true,'lstrip':true,'rstrip':true,'normalized':true,'special':true}],'normalizer':{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,'strip_accents':null,'lowercase':true},'pre_tokenizer':{'type':'BertPreTokenizer'},'post_processor':{'type':'BertProcessing','sep':['s',1],'cls':['c',2]},'decoder':{'type':'WordPiece','prefix':'##','cleanup':true},$wordpiece}"
quoted template "{'normalizer':{'type':'Sequence','normalizers':[{'type':'NFKD'},{'type':'StripAccents'},{'type':'Strip','strip_left':true,'strip_right':true},{'type':'Prepend','prepend':'_'},{'type':'Lowercase'},{'type':'NFC'}]},'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Whitespace'},{'type':'Digits','individual_digits':true},{'type':'Punctuation','behavior':'Contiguous'}]},'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'c','type_id':0}},{'Sequence':{'id':'A','type_id':0}}],'pair':[{'Sequence':{'id':'A','type_id':0}},{'Sequence':{'id':'B','type_id':1}}],'special_tokens':{'c':{'ids':[1,2]}}},$wordpiece}"
quoted byte "{'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true,'use_regex':true},'post_processor':{'type':'RobertaProcessing','sep':['s',1],'cls':['c',2],'trim_offsets':true,'add_prefix_space':true},'decoder':{'type':'ByteLevel'},$bpe]}}"
quoted pattern "{'normalizer':{'type':'Replace','pattern':{'Regex':'[\\\\w-]|\\\\p{L}{1,2}+'},'content':'a'},'pre_tokenizer':{'type':'Split','pattern':{'Regex':'\\\\s+(?!\\\\S)|\\\\b'},'behavior':'MergedWithNext','invert':true},'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'a'},'content':'b'},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ','start':1,'stop':1},{'type':'BPEDecoder','suffix':'b'}]},$bpe]}}"
quoted suffix "{${bpe/a b/a ##b}],'continuing_subword_prefix':'##','end_of_word_suffix':'</w>'}}"

# Documents: the first byte names the kind of source, in the order of the list in fuzz_documents.c.
mkdir -p "$out/documents"
trec='<DOC>\n<DOCNO> a-1 </DOCNO>\n<TITLE>one</TITLE>\n<TEXT>\nwords &amp; < more\n</TEXT>\n</DOC>\n<doc><docno>2</docno>rest</doc>\n'
{ printf '\000'; printf '%b' "$trec"; } >"$out/documents/trec"
{ printf '\004'; printf '%b' "$trec" | gzip -n; } >"$out/documents/trec-gz"
{ printf '\000'; printf 'a line\nand another\n'; } >"$out/documents/lines"
{ printf '\001'; printf '{"_id": "x", "title": "t", "contents": "c"}\n{"docid": 7, "text": "d"}\n'; } >"$out/documents/jsonl"
{ printf '\002'; printf 'id,title,text\n1,t,"a ""b"""\n'; } >"$out/documents/csv"
{ printf '\003'; printf 'id\ttext\n1\ta\n'; } >"$out/documents/tsv"
{ printf '\005'; printf '{"_id": "x", "title": "", "text": "beir"}\n'; } >"$out/documents/beir"
{ printf '\006'; printf 'a file of a folder\n'; } >"$out/documents/folder"

# Rankings: the first byte says how many 255ths of the rest are the run, what follows are judgements.
mkdir -p "$out/eval"
run='q1 Q0 d1 1 2.5 me\nq1 Q0 d2 2 1e0 me\nq2 Q0 d1 1 -1 me\n'
for qrels in 'q1 0 d1 1\nq1 0 d3 2\nq2 0 d2 0\n' 'query-id\tcorpus-id\tscore\nq1\td1\t1\n' 'q1\td2\t1\n'; do
    one=$(printf '%b' "$run" | wc -c) both=$(printf '%b' "$run$qrels" | wc -c)
    { printf "\\$(printf %o $((one * 255 / both + 1)))"; printf '%b' "$run$qrels"; } >"$out/eval/$both"
done

# Tokenizers: a tokenizer.json, a NUL, a text, a NUL, the second of a pair. Those of the fixtures stand in strings of JSON.
mkdir -p "$out/tokenizer"
n=0
{
    for file in "$model"/*-tiny/tokenizer.json; do tr -d '\n' <"$file"; echo; done
    sed -n 's/^{"name":"[^"]*","tokenizer":"\(\([^"\\]\|\\.\)*\)".*/\1/p' tests/fixtures/text/*.jsonl | sed 's/\\\(["\\\/]\)/\1/g'
} | while IFS= read -r json; do
    n=$((n + 1))
    [ ${#json} -gt $limit ] || printf '%s\0%b\0%s' "$json" "A text's worth: naïve CAFÉ, 3.14\t你好 👩‍🚀 [MASK]" 'and a pair' >"$out/tokenizer/$n"
done

# Texts to learn from: a byte for kind and options, one for the size.
mkdir -p "$out/tokenizer_train"
for how in '\000\050' '\001\040' '\002\100' '\101\020' '\134\030'; do
    { printf '%b' "$how"; head -c 3000 tests/fixtures/text/trained.txt; } >"$out/tokenizer_train/${how//\\/}"
done

# Models: config.json and the sentence-transformers files, with NULs between them.
mkdir -p "$out/model"
for folder in "$model"/*/ tests/fixtures/sentence/*/; do
    for file in config.json modules.json 1_Pooling/config.json sentence_bert_config.json config_sentence_transformers.json; do
        [ ! -f "$folder/$file" ] || cat "$folder/$file"
        printf '\0'
    done >"$out/model/$(basename "$folder")"
done

# Checkpoints: config.json, a NUL, model.safetensors, in each precision that the command can make of a small one.
lathe=${BUILD:-build}/lathe
if [ -x "$lathe" ]; then
    mkdir -p "$out/quantized"
    made=$(mktemp -d)
    for p in bf16 int8 int4; do
        "$lathe" quantize "$model/bert-tiny" "$made/$p" --precision $p --quiet >/dev/null
        { cat "$made/$p/config.json"; printf '\0'; cat "$made/$p/model.safetensors"; } >"$out/quantized/$p"
    done
    rm -rf "$made"
fi
