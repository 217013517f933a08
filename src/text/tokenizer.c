/* Opening tokenizers: from a tokenizer.json, from older layouts (rewritten as the tokenizer.json that they stand for), or from a
 * directory that holds either. What is read is checked here and in the parts; once open, nothing of a tokenizer changes. */
#include "text/tokenizer.h"

#include <inttypes.h>

#include "text/kinds.h"

/* ---- memory that lives as long as the tokenizer ---- */

struct lt_owned {
    struct lt_owned *next;
    void (*destroy)(void *);
    _Alignas(16) uint8_t block[];
};

void *lt_keep(lt_ctx *cx, lt_tokenizer *t, size_t bytes, void (*destroy)(void *))
{
    struct lt_owned *o = lt_new(cx, 1, sizeof *o + bytes);
    if (!o) return NULL;
    o->next = t->owned;
    o->destroy = destroy;
    t->owned = o;
    return o->block;
}

void lt_tokenizer_free(lt_tokenizer *t)
{
    if (!t) return;
    for (struct lt_owned *o = t->owned, *next; o; o = next) {
        next = o->next;
        if (o->destroy) o->destroy(o->block);
        lt_free(o);
    }
    lt_vocab_free(&t->vocab);
    lt_vocab_free(&t->added_vocab);
    lt_free(t->file);
    lt_free(t);
}

/* ---- reading ---- */

static bool check_version(lt_ctx *cx, const lt_tokenizer *t, const lt_json *root)
{
    if (lt_json_is(root) != LT_JSON_OBJECT)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected an object, as in a tokenizer.json", t->file);
    const char *version = lt_json_want_text(cx, root, t->file, "version", "1.0");
    if (!lt_ok(cx)) return false;
    return lt_fail_if(cx, strcmp(version, "1.0") != 0, LT_ERR_UNSUPPORTED, "%s: version: \"%s\" is not known (known: 1.0)", t->file,
                      version);
}

/* The model goes first: other parts look tokens up. Truncation and padding are the caller's business, not the file's. */
static bool read_parts(lt_ctx *cx, lt_tokenizer *t, const lt_json *root)
{
    static const char *const keys[LT_SLOTS] = {"normalizer", "pre_tokenizer", "model", "post_processor", "decoder"};
    lt_part unused;
    lt_part *const part[LT_SLOTS] = {&t->normalizer, &t->pre_tokenizer, &t->model, &unused, &t->decoder};
    static const int order[LT_SLOTS] = {LT_SLOT_MODEL, LT_SLOT_NORMALIZER, LT_SLOT_PRE_TOKENIZER, LT_SLOT_POST_PROCESSOR,
                                        LT_SLOT_DECODER};
    for (int i = 0; i < LT_SLOTS; i++) {
        int slot = order[i];
        if (!lt_part_parse(cx, t, slot, lt_json_get(root, keys[slot]), keys[slot], part[slot])) return false;
    }
    return lt_fail_if(cx, !t->model.kind, LT_ERR_INPUT, "%s: model: expected an object", t->file);
}

lt_tokenizer *lt_tokenizer_parse(lt_ctx *cx, const char *json, size_t size, const char *name)
{
    lt_json *root = lt_json_parse(cx, json, size, name);
    lt_tokenizer *t = root ? lt_new(cx, 1, sizeof *t) : NULL;
    bool ok = t && (t->file = lt_strdup(cx, name)) && check_version(cx, t, root) && read_parts(cx, t, root) &&
              lt_added_parse(cx, t, lt_json_get(root, "added_tokens")) && lt_tokenizer_name_special(cx, t, NULL) && lt_ok(cx);
    lt_json_free(root);
    if (ok) return t;
    lt_tokenizer_free(t);
    return NULL;
}

static lt_tokenizer *parse_file(lt_ctx *cx, const char *path)
{
    lt_map map;
    if (!lt_map_open(cx, &map, path)) return NULL;
    lt_tokenizer *t = lt_tokenizer_parse(cx, (const char *)map.data, map.size, path);
    lt_map_close(&map);
    return t;
}

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && !strcmp(path + n - m, end);
}

/* `dir` NULL: there are no files beside it. */
static lt_tokenizer *open_file(lt_ctx *cx, const char *dir, const char *path)
{
    lt_str json = {0};
    bool txt = ends_with(path, ".txt");
    if (!txt && !ends_with(path, "vocab.json")) return parse_file(cx, path);
    const char *merges = txt ? NULL : lt_path_join(cx, dir, "merges.txt");
    bool ok =
        txt ? lt_tokenizer_from_vocab_txt(cx, dir, path, &json) : merges && lt_tokenizer_from_merges(cx, dir, path, merges, &json);
    ok = lt_fail_if(cx, ok && json.failed, LT_ERR_MEMORY, "%s: no memory to read it", path) && ok;
    lt_tokenizer *t = ok ? lt_tokenizer_parse(cx, json.data, json.size, path) : NULL;
    lt_str_free(&json);
    return t;
}

static lt_tokenizer *open_directory(lt_ctx *cx, const char *dir)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "vocab.json"};
    for (int i = 0; i < 3; i++) {
        const char *path = lt_path_join(cx, dir, names[i]);
        if (!path) return NULL;
        if (lt_is_file(path)) return open_file(cx, dir, path);
    }
    return lt_fail(cx, LT_ERR_INPUT, "%s: no tokenizer here: expected tokenizer.json, vocab.txt, or vocab.json and merges.txt",
                   dir);
}

lt_tokenizer *lt_tokenizer_open(lt_ctx *cx, const char *path)
{
    if (!path) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    const char *slash = strrchr(path, '/');
    const char *dir = lt_is_dir(path) ? path : slash ? lt_sprintf(cx, "%.*s", (int)(slash - path + 1), path) : ".";
    lt_tokenizer *t = !dir ? NULL : dir == path ? open_directory(cx, path) : open_file(cx, dir, path);
    if (t && !lt_tokenizer_name_special(cx, t, dir)) {
        lt_tokenizer_free(t);
        t = NULL;
    }
    lt_end(cx, scope);
    return t;
}

/* ---- asking ---- */

const lt_tokenizer_info *lt_tokenizer_about(const lt_tokenizer *t) { return &t->about; }

const char *lt_tokenizer_text(const lt_tokenizer *t, int32_t id, size_t *size)
{
    if (id < 0 || id >= t->ids) return NULL;
    if (t->added_of_id[id] >= 0) {
        const lt_added_token *a = &t->added[t->added_of_id[id]];
        *size = a->size;
        return a->text;
    }
    int32_t e = id < t->vocab.ids ? t->vocab.by_id[id] : -1;
    if (e < 0) return NULL;
    *size = t->vocab.entry[e].size;
    return t->vocab.text + t->vocab.entry[e].offset;
}

const char *lt_token_text(const lt_tokenizer *t, int32_t id)
{
    size_t size;
    return lt_tokenizer_text(t, id, &size);
}

int32_t lt_token_id(const lt_tokenizer *t, const char *token)
{
    size_t size = strlen(token);
    int32_t added = lt_vocab_find(&t->added_vocab, token, size);
    return added >= 0 ? t->added[added].id : lt_vocab_find(&t->vocab, token, size);
}
