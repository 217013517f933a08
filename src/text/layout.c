/* Older layouts, rewritten as the tokenizer.json that transformers' fast tokenizers make of them: vocab.txt (BERT) and vocab.json
 * with merges.txt (GPT-2, RoBERTa), with what tokenizer_config.json, special_tokens_map.json and added_tokens.json say beside
 * them. One reader then reads all. */
#include <inttypes.h>
#include <stdlib.h>

#include "text/kinds.h"

/* ---- families ---- */

enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, ROLES }; /* in the order in which they are added */
static const char *const role_key[ROLES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};

typedef struct {
    const char *classes[12];      /* tokenizer_class, without Tokenizer or TokenizerFast */
    const char *usual[ROLES];     /* special tokens unless the files say otherwise */
    bool normalized, mask_lstrip; /* how tokens are added whose options are not said */
} family;
static const family bert = {{"Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "Lxmert", "LayoutLM", "RetriBert",
                             "SqueezeBert", "Realm", "DPRQuestionEncoder"},
                            {[UNK] = "[UNK]", [SEP] = "[SEP]", [PAD] = "[PAD]", [CLS] = "[CLS]", [MASK] = "[MASK]"},
                            false,
                            false};
static const family roberta = {
    {"Roberta", "Bart", "Longformer", "LED", "Mvp"}, {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}, true, true};
static const family gpt2 = {{"GPT2"}, {[BOS] = "<|endoftext|>", [EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>"}, true, false};

/* ---- what stands beside the vocabulary ---- */

typedef struct {
    const char *text; /* NULL: none */
    bool single_word, lstrip, rstrip, normalized, special;
    int64_t place;
} token;
typedef struct {
    lt_json *config, *map, *added;
    const char *file; /* the vocabulary's, for messages */
    const family *family;
    token role[ROLES];
    token *list; /* to be added, in this order */
    int64_t n, capacity;
} layout;

enum { MOST_ADDED = 10000 };

static bool load_beside(lt_ctx *cx, const char *dir, const char *name, lt_json **out)
{
    const char *path = lt_path_join(cx, dir, name);
    if (!path || !lt_is_file(path)) return path != NULL;
    *out = lt_json_load(cx, path);
    return *out && lt_fail_if(cx, lt_json_is(*out) != LT_JSON_OBJECT, LT_ERR_INPUT, "%s: expected an object", path);
}

static void close_layout(layout *l)
{
    lt_json_free(l->config);
    lt_json_free(l->map);
    lt_json_free(l->added);
}

static bool is_of(const family *f, const char *class)
{
    size_t n = strlen(class);
    if (n > 4 && !strcmp(class + n - 4, "Fast")) n -= 4;
    if (n > 9 && !strncmp(class + n - 9, "Tokenizer", 9)) n -= 9;
    for (int i = 0; i < 12 && f->classes[i]; i++)
        if (strlen(f->classes[i]) == n && !strncmp(f->classes[i], class, n)) return true;
    return false;
}

static token read_token(const lt_json *v, bool normalized)
{
    if (lt_json_text(v, NULL)) return (token){.text = lt_json_text(v, NULL), .normalized = normalized, .special = true};
    return (token){lt_json_text(lt_json_get(v, "content"), NULL),
                   lt_json_bool(lt_json_get(v, "single_word"), false),
                   lt_json_bool(lt_json_get(v, "lstrip"), false),
                   lt_json_bool(lt_json_get(v, "rstrip"), false),
                   lt_json_bool(lt_json_get(v, "normalized"), true),
                   lt_json_bool(lt_json_get(v, "special"), false),
                   0};
}

/* A role's token: the map's (older files), else the configuration's, else the usual one. */
static void read_roles(layout *l)
{
    bool map_counts = !lt_json_get(l->config, "added_tokens_decoder");
    for (int i = 0; i < ROLES; i++) {
        const lt_json *v = map_counts ? lt_json_get(l->map, role_key[i]) : NULL;
        if (!v) v = lt_json_get(l->config, role_key[i]);
        bool plain = !v || lt_json_text(v, NULL);
        l->role[i] =
            v ? read_token(v, l->family->normalized) : (token){.text = l->family->usual[i], .normalized = l->family->normalized};
        if (plain && i == MASK && l->family->mask_lstrip) {
            l->role[i].lstrip = true;
            l->role[i].normalized = false;
        }
        l->role[i].special = true;
    }
}

static bool add(lt_ctx *cx, layout *l, token t)
{
    if (!t.text || !t.text[0]) return true;
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->list[i].text, t.text)) return true;
    if (l->n == MOST_ADDED)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: more than %d added tokens beside it", l->file, MOST_ADDED);
    l->list = lt_scope_grow(cx, l->list, l->n, 1, &l->capacity, sizeof *l->list);
    if (l->list) l->list[l->n++] = t;
    return l->list != NULL;
}

static bool is_special(const layout *l, const char *text)
{
    for (int i = 0; i < ROLES; i++)
        if (l->role[i].text && !strcmp(l->role[i].text, text)) return true;
    bool map_counts = !lt_json_get(l->config, "added_tokens_decoder");
    for (int k = !map_counts; k < 2; k++) {
        const lt_json *more = lt_json_get(k ? l->config : l->map, "additional_special_tokens");
        for (int64_t i = 0; i < lt_json_size(more); i++) {
            token t = read_token(lt_json_at(more, i), false);
            if (t.text && !strcmp(t.text, text)) return true;
        }
    }
    return false;
}

static int by_place(const void *a, const void *b)
{
    int64_t x = ((const token *)a)->place, y = ((const token *)b)->place;
    return (x > y) - (x < y);
}

/* Tokens with ids of their own come first, by id; then the roles; then further special ones. */
static bool list_added(lt_ctx *cx, layout *l)
{
    const lt_json *decoder = lt_json_get(l->config, "added_tokens_decoder"), *v;
    const lt_json *from = decoder ? decoder : l->added;
    void *iter = NULL;
    for (const char *key; lt_json_each(from, &iter, &key, &v);) {
        token t = decoder ? read_token(v, true) : (token){.text = key};
        t.place = decoder ? strtoll(key, NULL, 10) : lt_json_int(v, 0);
        bool special = t.text && is_special(l, t.text);
        if (!decoder) t.normalized = !special;
        t.special |= special;
        if (!add(cx, l, t)) return false;
    }
    if (l->n) qsort(l->list, (size_t)l->n, sizeof *l->list, by_place);
    for (int i = 0; i < ROLES; i++)
        if (!add(cx, l, l->role[i])) return false;
    const lt_json *more = decoder ? NULL : lt_json_get(l->map, "additional_special_tokens");
    if (!more) more = lt_json_get(l->config, "additional_special_tokens");
    for (int64_t i = 0; i < lt_json_size(more); i++) {
        token t = read_token(lt_json_at(more, i), false);
        t.special = true;
        if (!add(cx, l, t)) return false;
    }
    return true;
}

static bool open_layout(lt_ctx *cx, const char *dir, layout *l)
{
    return load_beside(cx, dir, "tokenizer_config.json", &l->config) && load_beside(cx, dir, "special_tokens_map.json", &l->map) &&
           load_beside(cx, dir, "added_tokens.json", &l->added);
}

static const char *class_of(const layout *l) { return lt_json_text(lt_json_get(l->config, "tokenizer_class"), NULL); }

static bool refuse_class(lt_ctx *cx, const layout *l)
{
    return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED,
                      "%s: tokenizer_class \"%s\" in tokenizer_config.json is not known for this file", l->file, class_of(l));
}

/* ---- writing ---- */

static void put_text(lt_str *out, const char *text) { lt_json_put_text(out, text, strlen(text)); }
static const char *yes(bool b) { return b ? "true" : "false"; }

static void put_added(lt_str *out, const layout *l)
{
    lt_str_puts(out, ",\"added_tokens\":[");
    for (int64_t i = 0; i < l->n; i++) {
        const token *t = &l->list[i];
        lt_str_printf(out, "%s{\"content\":", i ? "," : "");
        put_text(out, t->text);
        lt_str_printf(out, ",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,\"special\":%s}", yes(t->single_word),
                      yes(t->lstrip), yes(t->rstrip), yes(t->normalized), yes(t->special));
    }
    lt_str_puts(out, "]");
}

/* The id that a token will have: the vocabulary's, else the next free one in the order of adding. */
typedef int64_t lookup(const void *vocab, const char *text);
static int64_t id_of(const layout *l, lookup *find, const void *vocab, int64_t size, const char *text)
{
    int64_t next = size, id = find(vocab, text);
    for (int64_t i = 0; id < 0 && i < l->n; i++) {
        if (!strcmp(l->list[i].text, text)) id = next;
        next += find(vocab, l->list[i].text) < 0;
    }
    return id;
}

static bool need_roles(lt_ctx *cx, const layout *l, int a, int b)
{
    int missing = !l->role[a].text ? a : !l->role[b].text ? b : ROLES;
    return lt_fail_if(cx, missing < ROLES, LT_ERR_INPUT, "%s: no %s beside it", l->file, missing < ROLES ? role_key[missing] : "");
}

static void put_bool_or_null(lt_str *out, const lt_json *v)
{
    lt_str_puts(out, lt_json_is(v) == LT_JSON_BOOL ? yes(lt_json_bool(v, false)) : "null");
}

/* ---- vocab.txt ---- */

static int64_t find_line(const void *vocab, const char *text) { return lt_vocab_find(vocab, text, strlen(text)); }

/* A token a line, its id the line's number. Of equal lines the last counts. */
static bool read_lines(lt_ctx *cx, const layout *l, const lt_map *map, lt_vocab *v)
{
    const char *s = (const char *)map->data, *end = s + map->size;
    for (int32_t line = 0; s < end; line++) {
        const char *stop = s;
        for (uint32_t c; stop < end && *stop != '\n' && *stop != '\r';) {
            int n = lt_utf8_next(stop, end, &c);
            if (c == 0xFFFD && memcmp(stop, "\xEF\xBF\xBD", n < 3 ? (size_t)n : 3))
                return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId32 ": expected UTF-8", l->file, line + 1);
            stop += n;
        }
        size_t size = (size_t)(stop - s);
        int32_t entry = v->n ? lt_index_find(v, &v->whole, s, size, lt_hash(s, size)) : -1;
        if (entry >= 0)
            v->entry[entry].id = line;
        else if (!lt_vocab_add(cx, v, s, size, line))
            return false;
        s = stop + (stop < end) + (stop + 1 < end && stop[0] == '\r' && stop[1] == '\n');
    }
    return true;
}

static bool put_bert(lt_ctx *cx, const layout *l, const lt_vocab *v, lt_str *out)
{
    if (!need_roles(cx, l, CLS, SEP) || !need_roles(cx, l, UNK, UNK)) return false;
    lt_str_puts(out, "{\"version\":\"1.0\",\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true");
    lt_str_printf(out, ",\"handle_chinese_chars\":%s",
                  yes(lt_json_want_bool(cx, l->config, "tokenizer_config.json", "tokenize_chinese_chars", true)));
    lt_str_printf(out, ",\"lowercase\":%s,\"strip_accents\":",
                  yes(lt_json_want_bool(cx, l->config, "tokenizer_config.json", "do_lower_case", true)));
    put_bool_or_null(out, lt_json_get(l->config, "strip_accents"));
    lt_str_puts(out, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\","
                     "\"cleanup\":true}");
    lt_str_puts(out, ",\"post_processor\":{\"type\":\"BertProcessing\"");
    for (int k = 0; k < 2; k++) {
        const char *text = l->role[k ? SEP : CLS].text;
        lt_str_puts(out, k ? ",\"sep\":[" : ",\"cls\":[");
        put_text(out, text);
        lt_str_printf(out, ",%" PRId64 "]", id_of(l, find_line, v, v->n, text));
    }
    lt_str_puts(out, "}");
    put_added(out, l);
    lt_str_puts(
        out,
        ",\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"unk_token\":");
    put_text(out, l->role[UNK].text);
    lt_str_puts(out, ",\"vocab\":{");
    for (int32_t i = 0; i < v->n; i++) {
        lt_str_puts(out, i ? "," : "");
        lt_json_put_text(out, v->text + v->entry[i].offset, v->entry[i].size);
        lt_str_printf(out, ":%" PRId32, v->entry[i].id);
    }
    lt_str_puts(out, "}}}");
    return lt_ok(cx);
}

bool lt_tokenizer_from_vocab_txt(lt_ctx *cx, const char *dir, const char *file, lt_str *json)
{
    layout l = {.file = file, .family = &bert};
    lt_vocab v = {0};
    lt_map map = {0};
    bool ok = open_layout(cx, dir, &l) && (!class_of(&l) || is_of(&bert, class_of(&l)) || refuse_class(cx, &l));
    if (ok) read_roles(&l);
    ok = ok && list_added(cx, &l) && lt_map_open(cx, &map, file) && read_lines(cx, &l, &map, &v) && put_bert(cx, &l, &v, json);
    lt_map_close(&map);
    lt_vocab_free(&v);
    close_layout(&l);
    return ok;
}

/* ---- vocab.json and merges.txt ---- */

static int64_t find_key(const void *vocab, const char *text) { return lt_json_int(lt_json_get(vocab, text), -1); }

/* The first line is a version; of equal lines the first counts. */
static bool put_merges(lt_ctx *cx, const char *file, const lt_map *map, lt_str *out)
{
    lt_vocab seen = {0};
    const char *s = (const char *)map->data, *end = s + map->size;
    bool ok = true, first = true;
    for (int32_t line = 1; ok && s < end; line++) {
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        if (!stop) stop = end;
        size_t size = (size_t)(stop - s);
        if (size && s[size - 1] == '\r') size--;
        const char *blank = memchr(s, ' ', size);
        bool pair = blank && blank > s && blank + 1 < s + size && !memchr(blank + 1, ' ', size - (size_t)(blank + 1 - s));
        if (line > 1 && !pair) {
            ok = lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId32 ": expected two tokens with a blank between", file, line);
        } else if (line > 1 && lt_vocab_find(&seen, s, size) < 0) {
            lt_str_puts(out, first ? "" : ",");
            lt_json_put_text(out, s, size);
            first = false;
            ok = lt_vocab_add(cx, &seen, s, size, line);
        }
        s = stop + 1;
    }
    lt_vocab_free(&seen);
    return ok;
}

static bool put_byte_level(lt_ctx *cx, const layout *l, const lt_json *vocab, lt_str *out)
{
    bool prefix = lt_json_want_bool(cx, l->config, "tokenizer_config.json", "add_prefix_space", false);
    bool bos = lt_json_want_bool(cx, l->config, "tokenizer_config.json", "add_bos_token", false) && l->family == &gpt2;
    int64_t n = lt_json_size(vocab);
    lt_str_printf(out,
                  "{\"version\":\"1.0\",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true}",
                  yes(prefix));
    lt_str_puts(out, ",\"decoder\":{\"type\":\"ByteLevel\"},\"post_processor\":");
    if (l->family == &roberta) {
        if (!need_roles(cx, l, CLS, SEP)) return false;
        bool trim = lt_json_want_bool(cx, l->config, "tokenizer_config.json", "trim_offsets", true);
        lt_str_printf(out, "{\"type\":\"RobertaProcessing\",\"trim_offsets\":%s,\"add_prefix_space\":%s", yes(trim), yes(prefix));
        for (int k = 0; k < 2; k++)
            lt_str_printf(out, ",\"%s\":[\"\",%" PRId64 "]", k ? "sep" : "cls",
                          id_of(l, find_key, vocab, n, l->role[k ? SEP : CLS].text));
        lt_str_puts(out, "}");
    } else if (bos) {
        if (!need_roles(cx, l, BOS, BOS)) return false;
        static const char first[] = "{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}";
        lt_str_printf(out,
                      "{\"type\":\"TemplateProcessing\",\"single\":[%s],\"pair\":[%s,{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}]",
                      first, first);
        lt_str_printf(out, ",\"special_tokens\":{\"bos\":{\"ids\":[%" PRId64 "]}}}",
                      id_of(l, find_key, vocab, n, l->role[BOS].text));
    } else {
        lt_str_puts(out, "{\"type\":\"ByteLevel\",\"trim_offsets\":false}");
    }
    put_added(out, l);
    return lt_ok(cx);
}

/* The class is named, or else two tokens tell. */
static bool choose_family(lt_ctx *cx, layout *l, const lt_json *vocab)
{
    const char *class = class_of(l);
    bool like_roberta = class ? is_of(&roberta, class) : lt_json_get(vocab, "<s>") && lt_json_get(vocab, "</s>");
    l->family = like_roberta ? &roberta : &gpt2;
    return like_roberta || !class || is_of(&gpt2, class) || refuse_class(cx, l);
}

bool lt_tokenizer_from_merges(lt_ctx *cx, const char *dir, const char *vocab_file, const char *merges_file, lt_str *json)
{
    layout l = {.file = vocab_file};
    lt_map vocab_map = {0}, merges_map = {0};
    lt_json *vocab = NULL;
    bool ok = open_layout(cx, dir, &l) && lt_map_open(cx, &vocab_map, vocab_file) && lt_map_open(cx, &merges_map, merges_file);
    if (ok) vocab = lt_json_parse(cx, (const char *)vocab_map.data, vocab_map.size, vocab_file);
    ok = ok && vocab && choose_family(cx, &l, vocab);
    if (ok) read_roles(&l);
    ok = ok && list_added(cx, &l) && put_byte_level(cx, &l, vocab, json);
    if (ok) {
        bool mark = vocab_map.size >= 3 && !memcmp(vocab_map.data, "\xEF\xBB\xBF", 3); /* a byte order mark */
        lt_str_puts(json, ",\"model\":{\"type\":\"BPE\",\"vocab\":");
        lt_str_add(json, (const char *)vocab_map.data + 3 * mark, vocab_map.size - 3 * (size_t)mark);
        lt_str_puts(json, ",\"merges\":[");
        ok = put_merges(cx, merges_file, &merges_map, json);
        lt_str_puts(json, "]}}");
    }
    lt_json_free(vocab);
    lt_map_close(&vocab_map);
    lt_map_close(&merges_map);
    close_layout(&l);
    return ok;
}
