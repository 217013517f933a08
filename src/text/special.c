/* Which tokens are the special ones: what special_tokens_map.json and tokenizer_config.json say, else the contents that are usual
 * among added tokens and in vocabularies. Also how long a model's texts may be. */
#include "text/kinds.h"

enum { ROLES = 7 };
static const struct {
    const char *key;
    const char *usual[5];
} role[ROLES] = {
    {"cls_token", {"[CLS]", "<s>", "<cls>"}},
    {"sep_token", {"[SEP]", "</s>", "<sep>"}},
    {"mask_token", {"[MASK]", "<mask>"}},
    {"pad_token", {"[PAD]", "<pad>"}},
    {"unk_token", {"[UNK]", "<unk>"}},
    {"bos_token", {"<s>", "<|begin_of_text|>", "<|endoftext|>", "<bos>"}},
    {"eos_token", {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>"}},
};

/* A token is a string, or an object whose content is one. */
static const char *token_text(const lt_json *o, const char *key)
{
    const lt_json *v = lt_json_get(o, key);
    return lt_json_text(lt_json_is(v) == LT_JSON_OBJECT ? lt_json_get(v, "content") : v, NULL);
}

static void name_usual(lt_tokenizer *t, int32_t *id[ROLES])
{
    for (int i = 0; i < ROLES; i++) {
        *id[i] = -1;
        for (int k = 0; k < 5 && role[i].usual[k] && *id[i] < 0; k++) *id[i] = lt_token_id(t, role[i].usual[k]);
    }
}

/* Reads one of the two files beside the tokenizer, where it is there. */
static bool name_from(lt_ctx *cx, lt_tokenizer *t, const char *dir, const char *file, int32_t *id[ROLES])
{
    const char *path = lt_path_join(cx, dir, file);
    if (!path || !lt_is_file(path)) return path != NULL;
    lt_json *o = lt_json_load(cx, path);
    for (int i = 0; o && i < ROLES; i++) {
        const char *text = token_text(o, role[i].key);
        if (text) *id[i] = lt_token_id(t, text);
    }
    double most = lt_json_num(lt_json_get(o, "model_max_length"), 0); /* 1e30 stands for "not said" */
    if (most >= 1 && most <= INT32_MAX) t->about.model_max_length = (int32_t)most;
    lt_json_free(o);
    return o != NULL;
}

bool lt_tokenizer_name_special(lt_ctx *cx, lt_tokenizer *t, const char *dir)
{
    lt_tokenizer_info *a = &t->about;
    int32_t *id[ROLES] = {&a->cls, &a->sep, &a->mask, &a->pad, &a->unk, &a->bos, &a->eos};
    if (dir) return name_from(cx, t, dir, "special_tokens_map.json", id) && name_from(cx, t, dir, "tokenizer_config.json", id);
    name_usual(t, id);
    size_t size = strlen(t->model.kind->is.name);
    char *kind = lt_keep(cx, t, size + 1, NULL);
    if (!kind) return false;
    for (size_t i = 0; i < size; i++) {
        char c = t->model.kind->is.name[i];
        kind[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    a->kind = kind;
    a->file = t->file;
    a->vocab = t->vocab.n;
    for (int32_t i = 0; i < t->added_count; i++) a->vocab += lt_vocab_find(&t->vocab, t->added[i].text, t->added[i].size) < 0;
    return true;
}
