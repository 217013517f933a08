/* Protects: hostile tokenizer files are refused with the file, the place and the reason, and never crash, hang or take memory
 * beyond a small multiple of their size; unknown parts are refused by name; older layouts (vocab.txt, vocab.json + merges.txt)
 * give the tokenizers that transformers makes of them; special ids; byte offsets; one long line takes linear time. */
#include "text/tokenizers.h"

#include <sys/stat.h>

static lt_ctx *cx;

static int open_context(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    return cx ? 0 : -1;
}

static int close_context(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

/* ---- refusals ---- */

#define MODEL "'model':{'type':'WordPiece','unk_token':'[UNK]','vocab':{'[UNK]':0,'a':1,'##b':2}}"
#define BPE "'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2},'merges':['a b']"

static const struct {
    const char *json, *message;
    lt_status status;
} refused[] = {
    {"", "t.json:1:1: expected a value", LT_ERR_INPUT},
    {"[]", "t.json: expected an object", LT_ERR_INPUT},
    {"{}", "t.json: model: expected an object", LT_ERR_INPUT},
    {"{'version':'2.0'," MODEL "}", "t.json: version: \"2.0\" is not known (known: 1.0)", LT_ERR_UNSUPPORTED},
    {"{'model':{'type':'Unigram','vocab':[]}}", "t.json: model.type: \"Unigram\" is not known (known: WordPiece, BPE)",
     LT_ERR_UNSUPPORTED},
    {"{'model':{}}", "t.json: model.type: expected a string that names a kind", LT_ERR_INPUT},
    {"{'model':'x'}", "t.json: model.type", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece'}}", "t.json: model.vocab: expected an object", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{'a':-1}}}", "t.json: model.vocab: \"a\": expected an id from 0 to", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{'a':4000000000}}}", "t.json: model.vocab: \"a\": expected an id", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{'a':'1'}}}", "t.json: model.vocab: \"a\": expected an id", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{'a':1,'b':1}}}", "the id 1 stands for \"a\" and for \"b\"", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{'a':1,'a':2}}}", "t.json:1:", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{},'unk_token':5}}", "t.json: model.unk_token: expected a string", LT_ERR_INPUT},
    {"{'model':{'type':'WordPiece','vocab':{},'max_input_chars_per_word':-1}}", "t.json: model.max_input_chars_per_word: expected",
     LT_ERR_INPUT},
    {"{" BPE ",'dropout':0.1}}", "t.json: model.dropout: random merges are not supported", LT_ERR_UNSUPPORTED},
    {"{'model':{'type':'BPE','vocab':{'a':0}}}", "t.json: model.merges: expected an array", LT_ERR_INPUT},
    {"{'model':{'type':'BPE','vocab':{'a':0},'merges':['a c']}}", "t.json: model.merges[0]: \"c\" is not in the vocabulary",
     LT_ERR_INPUT},
    {"{'model':{'type':'BPE','vocab':{'a':0},'merges':['a a']}}", "t.json: model.merges[0]: \"aa\" is not in the vocabulary",
     LT_ERR_INPUT},
    {"{'model':{'type':'BPE','vocab':{'a':0},'merges':['a']}}", "t.json: model.merges[0]: expected", LT_ERR_INPUT},
    {"{'model':{'type':'BPE','vocab':{'a':0},'merges':[['a',1]]}}", "t.json: model.merges[0]: expected", LT_ERR_INPUT},
    {"{'model':{'type':'BPE','vocab':{'a':0,'b':1},'merges':['a b'],'continuing_subword_prefix':'##'}}",
     "model.merges[0]: \"b\" does not begin", LT_ERR_INPUT},
    {"{'normalizer':{'type':'Precompiled'}," MODEL "}",
     "t.json: normalizer.type: \"Precompiled\" is not known (known: BertNormalizer, ", LT_ERR_UNSUPPORTED},
    {"{'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'X'}]}," MODEL "}",
     "t.json: normalizer.normalizers[1].type: \"X\"", LT_ERR_UNSUPPORTED},
    {"{'normalizer':{'type':'Sequence','normalizers':[null]}," MODEL "}", "t.json: normalizer.normalizers[0]: expected an object",
     LT_ERR_INPUT},
    {"{'normalizer':{'type':'Sequence'}," MODEL "}", "t.json: normalizer.normalizers: expected an array", LT_ERR_INPUT},
    {"{'normalizer':{'type':'BertNormalizer','lowercase':1}," MODEL "}", "t.json: normalizer.lowercase: expected true or false",
     LT_ERR_INPUT},
    {"{'normalizer':{'type':'Replace','pattern':{'Regex':'('},'content':''}," MODEL "}",
     "t.json: normalizer: the regular expression does not compile", LT_ERR_INPUT},
    {"{'normalizer':{'type':'Replace','pattern':{'Regex':'[a&&b]'},'content':''}," MODEL "}",
     "in the regular expression, \"&\" is not supported", LT_ERR_UNSUPPORTED},
    {"{'normalizer':{'type':'Replace','pattern':{'Regex':'\\\\p{Klingon}'},'content':''}," MODEL "}",
     "\"\\p{Klingon}\" is not supported", LT_ERR_UNSUPPORTED},
    {"{'normalizer':{'type':'Replace','pattern':'x','content':''}," MODEL "}", "t.json: normalizer.pattern: expected",
     LT_ERR_INPUT},
    {"{'pre_tokenizer':{'type':'Metaspace'}," MODEL "}", "t.json: pre_tokenizer.type: \"Metaspace\" is not known",
     LT_ERR_UNSUPPORTED},
    {"{'pre_tokenizer':{'type':'Split','pattern':{'String':' '},'behavior':'Keep'}," MODEL "}",
     "t.json: pre_tokenizer.behavior: expected Removed", LT_ERR_INPUT},
    {"{'post_processor':{'type':'BertProcessing','sep':['[SEP]']}," MODEL "}",
     "t.json: post_processor.cls: expected a token and its id", LT_ERR_INPUT},
    {"{'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'X','type_id':0}}],'pair':[],'special_tokens':"
     "{}}," MODEL "}",
     "t.json: post_processor.special_tokens: no ids for \"X\"", LT_ERR_INPUT},
    {"{'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B','type_id':0}}],'pair':[],'special_tokens':{}}"
     "," MODEL "}",
     "t.json: post_processor.single: there is no sequence B", LT_ERR_INPUT},
    {"{'decoder':{'type':'CTC'}," MODEL "}", "t.json: decoder.type: \"CTC\" is not known", LT_ERR_UNSUPPORTED},
    {"{'decoder':{'type':'Strip','content':'ab'}," MODEL "}", "t.json: decoder.content: expected one character", LT_ERR_INPUT},
    {"{'added_tokens':{}," MODEL "}", "t.json: added_tokens: expected an array", LT_ERR_INPUT},
    {"{'added_tokens':[{'content':7}]," MODEL "}", "t.json: added_tokens[0].content: expected a string", LT_ERR_INPUT},
    {"{'added_tokens':[3]," MODEL "}", "t.json: added_tokens[0]: expected an object", LT_ERR_INPUT},
    {"{'added_tokens':[{'content':' ','normalized':true}],'normalizer':{'type':'Strip'}," MODEL "}",
     "nothing is left of \" \" once normalised", LT_ERR_UNSUPPORTED},
};

static void wrong_files_are_refused_with_file_and_place(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        lt_tokenizer *t = open_quoted(cx, refused[i].json);
        if (t || !strstr(lt_ctx_error(cx), refused[i].message) || lt_ctx_status(cx) != refused[i].status)
            fail_msg("%s\n  said: %s (%d)\n  expected: %s (%d)", refused[i].json, t ? "opened" : lt_ctx_error(cx),
                     lt_ctx_status(cx), refused[i].message, refused[i].status);
        lt_ctx_clear(cx);
    }
}

/* Every beginning of a whole file is refused, too. */
static void truncated_files_are_refused(void **state)
{
    static const char json[] = "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\",\"special\":true}],"
                               "\"normalizer\":{\"type\":\"NFC\"},"
                               "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"\xC3\xA9\":1}}}";
    for (size_t n = 0; n < sizeof json; n++) {
        lt_tokenizer *t = lt_tokenizer_parse(cx, json, n, "t.json");
        assert_int_equal(t != NULL, n == sizeof json - 1);
        assert_int_equal(lt_ctx_status(cx), t ? LT_OK : LT_ERR_INPUT);
        lt_tokenizer_free(t);
        lt_ctx_clear(cx);
    }
    char bad[sizeof json];
    memcpy(bad, json, sizeof json);
    *strstr(bad, "\xC3") = 'x'; /* no UTF-8 any more */
    assert_null(lt_tokenizer_parse(cx, bad, sizeof bad - 1, "t.json"));
    lt_ctx_clear(cx);
}

/* ---- what fails only when it is needed ---- */

static void a_missing_unknown_token_fails_when_needed(void **state)
{
    lt_tokenizer *t = open_quoted(cx, "{'model':{'type':'WordPiece','unk_token':'[UNK]','vocab':{'a':0}}}");
    assert_non_null(t);
    assert_non_null(encode_plainly(cx, t, "a"));
    assert_null(encode_plainly(cx, t, "b"));
    assert_string_equal(lt_ctx_error(cx), "t.json: model.unk_token: \"[UNK]\" is not in the vocabulary, and \"b\" needs it");
    lt_ctx_clear(cx);
    lt_tokenizer_free(t);
    t = open_quoted(cx, "{'model':{'type':'BPE','vocab':{},'merges':[]}}"); /* nothing to find, nothing to fail */
    assert_non_null(t);
    lt_encoding *e = encode_plainly(cx, t, "abc");
    assert_non_null(e);
    assert_int_equal(e->n, 0);
    int32_t id = 0;
    lt_str s = {0};
    assert_false(lt_decode(cx, t, &id, 1, false, &s));
    assert_string_equal(lt_ctx_error(cx), "t.json: no token has the id 0");
    lt_ctx_clear(cx);
    lt_str_free(&s);
    lt_tokenizer_free(t);
}

/* Files whose texts would grow a thousandfold at every step. */
static void texts_do_not_grow_without_bounds(void **state)
{
    lt_str json = {0};
    lt_str_puts(&json, "{'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'}");
    for (int i = 0; i < 12; i++)
        lt_str_puts(&json, ",{'type':'Replace','pattern':{'String':'a'},'content':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}");
    lt_str_puts(&json, "]},'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'}");
    for (int i = 0; i < 20; i++)
        lt_str_puts(&json,
                    ",{'type':'BPEDecoder','suffix':''},{'type':'Fuse'},{'type':'Replace','pattern':{'Regex':''},'content':'aa'}");
    lt_str_puts(&json, "]}," MODEL "}");
    lt_tokenizer *t = open_quoted(cx, json.data);
    lt_str_free(&json);
    if (!t) fail_msg("%s", lt_ctx_error(cx));
    assert_null(encode_plainly(cx, t, "a"));
    assert_non_null(strstr(lt_ctx_error(cx), "beyond all measure"));
    assert_in_range(lt_memory_peak(cx), 0, 8 << 20);
    lt_ctx_clear(cx);
    int32_t ids[] = {1, 1};
    assert_false(lt_decode(cx, t, ids, 2, false, &json));
    assert_non_null(strstr(lt_ctx_error(cx), "beyond all measure"));
    lt_ctx_clear(cx);
    lt_str_free(&json);
    lt_tokenizer_free(t);
}

static void repeat(lt_str *s, const char *text, int n)
{
    while (n--) lt_str_puts(s, text);
}

static void deep_and_wide_files_are_refused(void **state)
{
    lt_str json = {0};
    lt_str_puts(&json, "{'normalizer':");
    repeat(&json, "{'type':'Sequence','normalizers':[", 100);
    repeat(&json, "]}", 100);
    lt_str_puts(&json, "," MODEL "}");
    assert_null(open_quoted(cx, json.data));
    assert_non_null(strstr(lt_ctx_error(cx), "sequences nest too deep"));
    lt_ctx_clear(cx);
    lt_str_clear(&json);
    lt_str_puts(&json, "{'post_processor':{'type':'TemplateProcessing','special_tokens':{'x':{'ids':[0");
    repeat(&json, ",0", 999);
    lt_str_puts(&json, "]}},'pair':[],'single':[{'Sequence':{'id':'A','type_id':0}}");
    repeat(&json, ",{'SpecialToken':{'id':'x','type_id':0}}", 999);
    lt_str_puts(&json, "]}," MODEL "}");
    assert_null(open_quoted(cx, json.data));
    assert_non_null(strstr(lt_ctx_error(cx), "a template of more than 4096 tokens"));
    lt_ctx_clear(cx);
    lt_str_free(&json);
}

/* Patterns that backtrack without end, or try again at every byte, end with an error. */
static void slow_patterns_are_given_up(void **state)
{
    static const char *const patterns[] = {"(a+a+)+[bc]", "(?:a|aa)+[bc]", "(?<!b)a*?[xy]"};
    size_t size = 100000;
    char *text = malloc(size);
    memset(text, 'a', size);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char json[256];
        snprintf(json, sizeof json, "{'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':{'Regex':'%s'}}," MODEL "}",
                 patterns[i]);
        lt_tokenizer *t = open_quoted(cx, json);
        assert_non_null(t);
        double start = lt_now();
        assert_null(lt_encode(cx, t, text, size, NULL, 0, NULL));
        assert_non_null(strstr(lt_ctx_error(cx), "takes too long"));
        assert_true(lt_now() - start < 60); /* the limit is about 1.2 s of this thread's time */
        lt_ctx_clear(cx);
        lt_tokenizer_free(t);
    }
    free(text);
}

/* Twice the text takes about twice the time, so ten times the smaller time is ample for eight times the text: quadratic work
 * would take 64 times as long. The floor keeps small times, which noise governs, out of the comparison. */
static double seconds_for(const lt_tokenizer *t, const char *unit, size_t bytes)
{
    size_t n = strlen(unit), size = bytes / n * n;
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i += n) memcpy(text + i, unit, n);
    double best = 1e9;
    for (int k = 0; k < 2; k++) {
        lt_scope scope = lt_open(cx, NULL);
        double start = lt_now();
        assert_non_null(lt_encode(cx, t, text, size, NULL, 0, NULL));
        double took = lt_now() - start;
        if (took < best) best = took;
        lt_end(cx, scope);
    }
    free(text);
    return best;
}

static void one_long_line_takes_linear_time(void **state)
{
    static const char *const tokenizers[] = {
        "{'normalizer':{'type':'BertNormalizer'},'pre_tokenizer':{'type':'BertPreTokenizer'}," MODEL "}",
        "{'normalizer':{'type':'NFC'},'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':true}," BPE ",'unk_token':'a'}}",
        "{'added_tokens':[{'content':'aaaaaaab','lstrip':true,'rstrip':true},{'content':' aab'}],'normalizer':{'type':'NFKD'}," BPE
        ",'unk_token':'a'}}",
        "{'pre_tokenizer':{'type':'Split','behavior':'MergedWithNext','pattern':{'Regex':'\\\\s+(?!\\\\S)|\\\\p{L}+|\\\\s+'}}," BPE
        ",'unk_token':'a'}}",
    };
    static const char *const units[] = {
        "a", "ab", " ", "\xCC\x81\xCC\xA3", "\xE4\xB8\xAD", "\xFF", "!", "\xF0\x9F\x91\xA8\xE2\x80\x8D"};
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
        lt_tokenizer *t = open_quoted(cx, tokenizers[i]);
        assert_non_null(t);
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
            double small = seconds_for(t, units[k], 1 << 14), large = seconds_for(t, units[k], 1 << 17);
            if (large > 0.2 + 40 * small)
                fail_msg("tokenizer %zu, unit %zu: %.4f s for 16 KiB, %.4f s for 128 KiB", i, k, small, large);
        }
        lt_tokenizer_free(t);
    }
}

/* ---- ids, offsets, truncation ---- */

#define BERT                                                                                                                       \
    "{'added_tokens':[{'content':'[CLS]','special':true},{'content':'[SEP]','special':true},{'content':'[NEW]'}],"                 \
    "'normalizer':{'type':'BertNormalizer'},'pre_tokenizer':{'type':'BertPreTokenizer'},'decoder':{'type':'WordPiece'},"           \
    "'post_processor':{'type':'BertProcessing','cls':['[CLS]',1],'sep':['[SEP]',2]},"                                              \
    "'model':{'type':'WordPiece','vocab':{'[UNK]':0,'[CLS]':1,'[SEP]':2,'a':3,'##b':4,'e':5,'[PAD]':6}}}"

static void tokens_have_names_and_ids(void **state)
{
    lt_tokenizer *t = open_quoted(cx, BERT);
    assert_non_null(t);
    const lt_tokenizer_info *about = lt_tokenizer_about(t);
    assert_string_equal(about->kind, "wordpiece");
    assert_string_equal(about->file, "t.json");
    assert_int_equal(about->vocab, 8);
    assert_int_equal(about->cls, 1);
    assert_int_equal(about->sep, 2);
    assert_int_equal(about->pad, 6);
    assert_int_equal(about->unk, 0);
    assert_int_equal(about->mask, -1);
    assert_int_equal(about->model_max_length, 0);
    assert_string_equal(lt_token_text(t, 7), "[NEW]");
    assert_string_equal(lt_token_text(t, 4), "##b");
    assert_null(lt_token_text(t, 8));
    assert_null(lt_token_text(t, -1));
    assert_int_equal(lt_token_id(t, "[NEW]"), 7);
    assert_int_equal(lt_token_id(t, "b"), -1);
    lt_tokenizer_free(t);
    lt_tokenizer_free(NULL);
}

static void offsets_count_code_points_or_bytes(void **state)
{
    lt_tokenizer *t = open_quoted(cx, BERT);
    static const char text[] = "\xC3\xA9 \xFF\xE2\x82 [NEW]AB"; /* é, one bad byte, one bad start of three */
    static const int32_t ids[] = {1, 5, 7, 3, 4, 2}, chars[][2] = {{0, 0}, {0, 1}, {5, 10}, {10, 11}, {11, 12}, {0, 0}},
                         bytes[][2] = {{0, 0}, {0, 2}, {7, 12}, {12, 13}, {13, 14}, {0, 0}};
    for (int k = 0; k < 2; k++) {
        lt_encode_options o = {.byte_offsets = k};
        lt_encoding *e = lt_encode(cx, t, text, sizeof text - 1, NULL, 0, &o);
        assert_non_null(e);
        assert_int_equal(e->n, 6);
        assert_memory_equal(e->ids, ids, sizeof ids);
        assert_memory_equal(e->offsets, k ? bytes : chars, sizeof chars);
        assert_int_equal(e->special_count, 2);
        assert_true(e->special[0] && !e->special[1] && e->special[5]);
    }
    lt_tokenizer_free(t);
}

static void truncation_leaves_room_for_special_tokens(void **state)
{
    lt_tokenizer *t = open_quoted(cx, BERT);
    lt_encode_options o = {.max_tokens = 5};
    lt_encoding *e = lt_encode(cx, t, "a a a a", 7, NULL, 0, &o);
    assert_int_equal(e->n, 5);
    assert_int_equal(e->left_out, 1);
    e = lt_encode(cx, t, "a a a a", 7, "e", 1, &o);
    assert_int_equal(e->n, 5);
    assert_int_equal(e->left_out, 3);
    assert_int_equal(e->ids[3], 5);
    assert_int_equal(e->types[3], 1);
    o.max_tokens = 2;
    e = lt_encode(cx, t, "a", 1, NULL, 0, &o);
    assert_int_equal(e->n, 2);
    o.max_tokens = 1;
    assert_null(lt_encode(cx, t, "a", 1, NULL, 0, &o));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
    o.no_special = true;
    assert_int_equal(lt_encode(cx, t, "a a", 3, NULL, 0, &o)->n, 1);
    lt_tokenizer_free(t);
}

/* An encoding is all that an encode leaves in the scope, however long the text. */
static void work_is_freed(void **state)
{
    lt_tokenizer *t = open_quoted(cx, BERT);
    char text[20000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "ab \xC3"[i % 4];
    lt_scope scope = lt_open(cx, NULL);
    size_t before = lt_memory_used(cx);
    lt_encode_options o = {.max_tokens = 10};
    assert_non_null(lt_encode(cx, t, text, sizeof text, NULL, 0, &o));
    assert_in_range(lt_memory_used(cx) - before, 1, 1024);
    lt_end(cx, scope);
    lt_tokenizer_free(t);
}

/* Limits raised step by step until a text is encoded: each failure before is a clean one. */
static void too_little_memory_is_an_error(void **state)
{
    lt_tokenizer *t = open_quoted(cx, BERT);
    size_t size = 300000, n = 0;
    char *text = malloc(size);
    for (size_t i = 0; i < size; i++) text[i] = "ab, \xC3\xA9"[i % 6];
    bool done = false;
    for (size_t limit = 4096; !done && n < 200; limit += limit / 4, n++) {
        lt_ctx *small = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = limit});
        assert_non_null(small);
        done = lt_encode(small, t, text, size, NULL, 0, NULL) != NULL;
        assert_int_equal(lt_ctx_status(small), done ? LT_OK : LT_ERR_MEMORY);
        lt_ctx_free(small);
    }
    assert_true(done && n > 5);
    free(text);
    lt_tokenizer_free(t);
}

/* ---- older layouts ---- */

static char folder[] = "/tmp/lathe-tokenizer-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!text) {
        unlink(path);
        return;
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (const char *s = text; *s; s++) fputc(*s == '\'' ? '"' : *s, f);
    assert_int_equal(fclose(f), 0);
}

static const char *const files[] = {
    "vocab.txt",  "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "tokenizer.json"};

static void empty_folder(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) write_file(files[i], NULL);
}

static void check_ids(const char *text, int n, const int32_t *want)
{
    lt_tokenizer *t = lt_tokenizer_open(cx, folder);
    if (!t) fail_msg("%s", lt_ctx_error(cx));
    lt_encoding *e = encode_plainly(cx, t, text);
    if (!e) fail_msg("%s", lt_ctx_error(cx));
    for (int i = 0; i < e->n && i < n; i++)
        if (e->ids[i] != want[i]) fail_msg("\"%s\": id %d is %d, expected %d", text, i, e->ids[i], want[i]);
    assert_int_equal(e->n, n);
    lt_tokenizer_free(t);
}
#define CHECK_IDS(text, ...) check_ids(text, sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t), (int32_t[]){__VA_ARGS__})

/* The ids were taken from BertTokenizerFast.from_pretrained on the same files (transformers 4.48.3). */
static void vocab_txt_is_berts(void **state)
{
    empty_folder();
    write_file("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nwor\n##ld\r\nhello\n!\nHello");
    CHECK_IDS("Hello world! [MASK]", 2, 8, 6, 7, 9, 4, 3); /* of two lines "hello" the last counts */
    write_file("tokenizer_config.json", "{'do_lower_case':false,'tokenizer_class':'BertTokenizer','model_max_length':77}");
    CHECK_IDS("Hello hello HELLO", 2, 10, 8, 1, 3);
    write_file("added_tokens.json", "{'[Y]':12,'[X]':11}");
    write_file("special_tokens_map.json", "{'mask_token':{'content':'[MASK]','lstrip':true},'additional_special_tokens':['[Z]']}");
    CHECK_IDS("[Y][X] [Z]", 2, 11, 10, 12, 3); /* the next free ids, in the order of the file's */
    lt_tokenizer *t = lt_tokenizer_open(cx, folder);
    assert_int_equal(lt_tokenizer_about(t)->model_max_length, 77);
    assert_int_equal(lt_tokenizer_about(t)->mask, 4);
    lt_tokenizer_free(t);
    write_file("tokenizer_config.json", "{'tokenizer_class':'MPNetTokenizer'}");
    assert_null(lt_tokenizer_open(cx, folder));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_UNSUPPORTED);
    lt_ctx_clear(cx);
    empty_folder();
    write_file("vocab.txt", "a\n\xFF\n");
    assert_null(lt_tokenizer_open(cx, folder));
    assert_non_null(strstr(lt_ctx_error(cx), "vocab.txt:2: expected UTF-8"));
    lt_ctx_clear(cx);
}

/* The ids were taken from RobertaTokenizerFast and GPT2TokenizerFast on the same files. U+0120 stands for the blank. */
static void merges_txt_is_gpt2s_or_robertas(void **state)
{
    empty_folder();
    write_file("vocab.json", "{'<s>':0,'<pad>':1,'</s>':2,'a':3,'b':4,'\xC4\xA0':5,'ab':6,'\xC4\xA0"
                             "ab':7,'<mask>':8}");
    write_file("merges.txt", "#version: 0.2\na b\n\xC4\xA0 ab\na b\n");
    CHECK_IDS("ab ab <mask>", 0, 6, 7, 8, 2);
    write_file("tokenizer_config.json", "{'tokenizer_class':'RobertaTokenizer','add_prefix_space':true}");
    CHECK_IDS("ab ab", 0, 7, 7, 2);
    write_file("tokenizer_config.json",
               "{'tokenizer_class':'GPT2Tokenizer','unk_token':'<s>','bos_token':'<s>','eos_token':'</s>'}");
    CHECK_IDS("ab ab</s>", 6, 7, 2);
    write_file("tokenizer_config.json", "{'tokenizer_class':'GPT2Tokenizer','add_bos_token':true,'bos_token':'<s>'}");
    CHECK_IDS("ab<|endoftext|>", 0, 6, 9);
    write_file("tokenizer_config.json", "{'tokenizer_class':'CLIPTokenizer'}");
    assert_null(lt_tokenizer_open(cx, folder));
    assert_non_null(strstr(lt_ctx_error(cx), "tokenizer_class \"CLIPTokenizer\""));
    lt_ctx_clear(cx);
    write_file("tokenizer_config.json", NULL);
    write_file("merges.txt", "#version: 0.2\na b\na\n");
    assert_null(lt_tokenizer_open(cx, folder));
    assert_non_null(strstr(lt_ctx_error(cx), "merges.txt:3: expected two tokens"));
    lt_ctx_clear(cx);
    write_file("merges.txt", NULL);
    assert_null(lt_tokenizer_open(cx, folder));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    lt_ctx_clear(cx);
    empty_folder();
    assert_null(lt_tokenizer_open(cx, folder));
    assert_non_null(strstr(lt_ctx_error(cx), "no tokenizer here"));
    lt_ctx_clear(cx);
}

static int make_folder(void **state) { return mkdtemp(folder) ? open_context(state) : -1; }

static int remove_folder(void **state)
{
    empty_folder();
    rmdir(folder);
    return close_context(state);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused_with_file_and_place),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(a_missing_unknown_token_fails_when_needed),
        cmocka_unit_test(texts_do_not_grow_without_bounds),
        cmocka_unit_test(deep_and_wide_files_are_refused),
        cmocka_unit_test(slow_patterns_are_given_up),
        cmocka_unit_test(one_long_line_takes_linear_time),
        cmocka_unit_test(tokens_have_names_and_ids),
        cmocka_unit_test(offsets_count_code_points_or_bytes),
        cmocka_unit_test(truncation_leaves_room_for_special_tokens),
        cmocka_unit_test(work_is_freed),
        cmocka_unit_test(too_little_memory_is_an_error),
        cmocka_unit_test(vocab_txt_is_berts),
        cmocka_unit_test(merges_txt_is_gpt2s_or_robertas),
    };
    return cmocka_run_group_tests_name("tokenizer files", tests, make_folder, remove_folder);
}
