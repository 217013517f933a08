/* The sentence-transformers files beside a checkpoint: modules.json with Pooling, Dense and Normalize modules, prompts, and the
 * length that inputs are cut to (Reimers & Gurevych 2019, arXiv 1908.10084). */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

static const struct {
    lt_kind is;      /* its name is what options and info say */
    const char *key; /* what 1_Pooling/config.json says */
    lt_pooling how;
} poolings[LT_POOLS] = { /* in the order in which several are joined */
    {{"pooling", "cls", "the first row of a sequence", "Reimers & Gurevych 2019"}, "pooling_mode_cls_token", LT_POOL_CLS},
    {{"pooling", "max", "the maximum of each column", "Reimers & Gurevych 2019"}, "pooling_mode_max_tokens", LT_POOL_MAX},
    {{"pooling", "mean", "the mean of its rows", "Reimers & Gurevych 2019"}, "pooling_mode_mean_tokens", LT_POOL_MEAN},
    {{"pooling", "mean_sqrt", "the sum of its rows by the root of their number", "sentence-transformers"}, "pooling_mode_mean_sqrt_len_tokens",
     LT_POOL_MEAN_SQRT},
    {{"pooling", "weightedmean", "rows weighted by their position", "Muennighoff 2022"}, "pooling_mode_weightedmean_tokens",
     LT_POOL_WEIGHTED_MEAN},
    {{"pooling", "last", "the last row", "sentence-transformers"}, "pooling_mode_lasttoken", LT_POOL_LAST},
};

const lt_kind *lt_pooling_kind(int i) { return i >= 0 && i < LT_POOLS ? &poolings[i].is : NULL; }

const char *lt_pooling_name(lt_pooling p)
{
    for (int i = 0; i < LT_POOLS; i++)
        if (poolings[i].how == p) return poolings[i].is.name;
    return "none";
}

int lt_poolings_named(const char *text, lt_pooling *out)
{
    int n = 0;
    while (*text) {
        size_t len = strcspn(text, "+");
        int i = 0;
        while (i < LT_POOLS && (strlen(poolings[i].is.name) != len || strncmp(poolings[i].is.name, text, len) != 0)) i++;
        if (i == LT_POOLS || n == LT_POOLS) return 0;
        out[n++] = poolings[i].how;
        text += len;
        if (*text && !*++text) return 0;
    }
    return n;
}

static lt_json *load_object(lt_ctx *cx, const char *file)
{
    lt_json *c = file ? lt_json_load(cx, file) : NULL;
    if (!c || lt_json_is(c) == LT_JSON_OBJECT) return c;
    lt_json_free(c);
    return lt_fail(cx, LT_ERR_INPUT, "%s: an object is expected", file);
}

/* ---- modules.json ---- */

typedef struct module {
    const char *type; /* last part of the class name: "Pooling" */
    const char *path; /* folder inside the model's, "" for itself */
} module;

/* A module's folder may not lead out of the model's. */
static bool read_module(lt_ctx *cx, const lt_json *entry, const char *file, module *m)
{
    const char *type = lt_json_want_text(cx, entry, file, "type", NULL);
    m->path = lt_json_want_text(cx, entry, file, "path", "");
    if (!lt_ok(cx)) return false;
    if (!type || strstr(m->path, "..") || *m->path == '/')
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: a module with a type and a path inside the folder is expected, found path \"%s\"", file, m->path);
    const char *dot = strrchr(type, '.');
    m->type = dot ? dot + 1 : type;
    return true;
}

/* NULL without error: there is no modules.json. */
static lt_json *open_modules(lt_ctx *cx, const char *dir, char **file)
{
    *file = lt_path_join(cx, dir, "modules.json");
    if (!*file || !lt_is_file(*file)) return NULL;
    lt_json *list = lt_json_load(cx, *file);
    if (list && lt_json_is(list) != LT_JSON_ARRAY) {
        lt_json_free(list);
        return lt_fail(cx, LT_ERR_INPUT, "%s: an array of modules is expected", *file);
    }
    return list;
}

char *lt_sentence_root(lt_ctx *cx, const char *dir)
{
    char *file, *root = NULL;
    lt_json *list = open_modules(cx, dir, &file);
    module first = {.path = ""};
    if (list && lt_json_size(list) > 0 && read_module(cx, lt_json_at(list, 0), file, &first) && strcmp(first.type, "Transformer") == 0 && *first.path)
        root = lt_path_join(cx, dir, first.path);
    else if (lt_ok(cx))
        root = lt_sprintf(cx, "%s", dir);
    lt_json_free(list);
    return root;
}

bool lt_sentence_names(lt_ctx *cx, const char *dir, const char *folder)
{
    char *file;
    bool named = false;
    lt_json *list = open_modules(cx, dir, &file);
    for (int64_t i = 0; i < lt_json_size(list); i++) {
        module m;
        if (!read_module(cx, lt_json_at(list, i), file, &m)) break;
        named |= strcspn(m.path, "/") == strlen(folder) && strncmp(m.path, folder, strlen(folder)) == 0;
    }
    lt_json_free(list);
    return named;
}

/* ---- the modules ---- */

static bool read_pooling(lt_ctx *cx, lt_model *m, const char *dir)
{
    lt_sentence *s = &m->sentence;
    const char *file = lt_path_join(cx, dir, "config.json");
    lt_json *c = load_object(cx, file);
    if (!c) return false;
    int64_t width = lt_json_want_int(cx, c, file, "word_embedding_dimension", 1, 1 << 20, m->encoder.hidden);
    lt_fail_if(cx, m->encoder.hidden && width != m->encoder.hidden, LT_ERR_INPUT, "%s: word_embedding_dimension: %d, the model's hidden size is %d", file,
               (int)width, m->encoder.hidden);
    const char *mode = lt_json_want_text(cx, c, file, "pooling_mode", NULL); /* the newer, shorter form */
    if (mode) {
        s->n_pooling = lt_poolings_named(strcmp(mode, "lasttoken") == 0 ? "last" : strcmp(mode, "mean_sqrt_len_tokens") == 0 ? "mean_sqrt" : mode, s->pooling);
        lt_fail_if(cx, !s->n_pooling, LT_ERR_UNSUPPORTED, "%s: pooling_mode: \"%s\" is not known", file, mode);
    } else
        for (int i = 0; i < LT_POOLS; i++)
            if (lt_json_want_bool(cx, c, file, poolings[i].key, false)) s->pooling[s->n_pooling++] = poolings[i].how;
    s->skip_prompt = !lt_json_want_bool(cx, c, file, "include_prompt", true);
    lt_fail_if(cx, lt_ok(cx) && !s->n_pooling, LT_ERR_INPUT, "%s: no pooling mode is set", file);
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    while (lt_ok(cx) && lt_json_each(c, &iter, &key, &value)) {
        bool known = strncmp(key, "pooling_mode", 12) != 0 || strcmp(key, "pooling_mode") == 0;
        for (int i = 0; !known && i < LT_POOLS; i++) known = strcmp(key, poolings[i].key) == 0;
        lt_fail_if(cx, !known && lt_json_bool(value, false), LT_ERR_UNSUPPORTED, "%s: %s is not known", file, key);
    }
    lt_json_free(c);
    return lt_ok(cx);
}

static bool dense_activation(lt_ctx *cx, const char *file, const char *name, lt_act *act)
{
    static const struct {
        const char *name;
        lt_act act;
    } known[] = {{"Identity", LT_ACT_NONE}, {"Tanh", LT_ACT_TANH}, {"ReLU", LT_ACT_RELU}, {"GELU", LT_ACT_GELU}, {"Sigmoid", LT_ACT_SIGMOID}, {"SiLU", LT_ACT_SILU}};
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, last) == 0) {
            *act = known[i].act;
            return true;
        }
    return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: activation_function: \"%s\" is not known", file, name);
}

static bool read_dense(lt_ctx *cx, lt_model *m, const char *dir, bool inspect)
{
    lt_sentence *s = &m->sentence;
    if (s->n_dense == LT_DENSES) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: more than %d Dense modules", dir, LT_DENSES);
    const char *file = lt_path_join(cx, dir, "config.json");
    lt_json *c = load_object(cx, file);
    if (!c) return false;
    lt_linear *l = &s->dense[s->n_dense];
    *l = (lt_linear){.kind = &lt_linear_dense, .dtype = m->compute, .name = lt_strdup(cx, "linear")};
    l->in = lt_json_want_int(cx, c, file, "in_features", 1, 1 << 20, 0);
    l->out = lt_json_want_int(cx, c, file, "out_features", 1, 1 << 20, 0);
    l->has_bias = lt_json_want_bool(cx, c, file, "bias", true);
    const char *act = lt_json_want_text(cx, c, file, "activation_function", "torch.nn.modules.activation.Tanh");
    int64_t expected = s->n_dense ? s->dense[s->n_dense - 1].out : (int64_t)s->n_pooling * m->encoder.hidden;
    bool done = lt_ok(cx) && act && dense_activation(cx, file, act, &s->dense_act[s->n_dense]) &&
                lt_fail_if(cx, !l->in || !l->out, LT_ERR_INPUT, "%s: in_features and out_features are expected", file) &&
                lt_fail_if(cx, l->in != expected, LT_ERR_INPUT, "%s: in_features: %d, the module before gives %d", file, (int)l->in, (int)expected);
    lt_json_free(c);
    s->n_dense++; /* from here on closing frees it */
    lt_weights *w = done ? s->dense_weights[s->n_dense - 1] = lt_weights_open(cx, dir) : NULL;
    if (!w) return false;
    return lt_linear_load(cx, w, l, m->unpacked, inspect);
}

static bool read_module_list(lt_ctx *cx, lt_model *m, const char *dir, const lt_json *list, const char *file, bool inspect)
{
    lt_sentence *s = &m->sentence;
    for (int64_t i = 0; i < lt_json_size(list); i++) {
        module mod;
        if (!read_module(cx, lt_json_at(list, i), file, &mod)) return false;
        const char *folder = lt_path_join(cx, dir, mod.path);
        bool first = strcmp(mod.type, "Transformer") == 0, pooling = strcmp(mod.type, "Pooling") == 0, dense = strcmp(mod.type, "Dense") == 0;
        bool normalize = strcmp(mod.type, "Normalize") == 0, in_order = first ? i == 0 : pooling ? i == 1 : dense ? s->n_pooling && !s->normalize : s->n_pooling;
        if (!(first || pooling || dense || normalize || strcmp(mod.type, "Dropout") == 0))
            return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: module type \"%s\" is not known (known: Transformer, Pooling, Dense, Normalize)", file, mod.type);
        if (!in_order) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: module %d, %s: the order Transformer, Pooling, Dense, Normalize is expected", file, (int)i, mod.type);
        if (pooling && !read_pooling(cx, m, folder)) return false;
        if (dense && !read_dense(cx, m, folder, inspect)) return false;
        s->normalize |= normalize;
    }
    return lt_fail_if(cx, !s->n_pooling, LT_ERR_UNSUPPORTED, "%s: there is no Pooling module", file);
}

/* ---- the rest ---- */

static const char *const similarities[] = {"cosine", "dot", "euclidean", "manhattan"};

static bool read_prompts(lt_ctx *cx, const lt_json *prompts, const char *file)
{
    void *iter = NULL;
    const char *name;
    const lt_json *text;
    if (lt_json_is(prompts) != LT_JSON_OBJECT && lt_json_is(prompts) != LT_JSON_NULL)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: prompts: an object of names and texts is expected", file);
    while (lt_json_each(prompts, &iter, &name, &text))
        if (lt_json_is(text) != LT_JSON_STRING) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: prompts: %s: a text is expected", file, name);
    return true;
}

static bool read_settings(lt_ctx *cx, lt_model *m, const char *dir)
{
    lt_sentence *s = &m->sentence;
    const char *file = lt_path_join(cx, dir, "config_sentence_transformers.json");
    if (!file || !lt_is_file(file)) return lt_ok(cx);
    s->settings = load_object(cx, file);
    if (!s->settings) return false;
    if (!read_prompts(cx, lt_json_get(s->settings, "prompts"), file)) return false;
    s->similarity = lt_json_want_text(cx, s->settings, file, "similarity_fn_name", NULL);
    bool known = !s->similarity;
    for (size_t i = 0; i < sizeof similarities / sizeof *similarities; i++) known |= s->similarity && strcmp(s->similarity, similarities[i]) == 0;
    if (!known)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: similarity_fn_name: \"%s\" is not known (known: cosine, dot, euclidean, manhattan)", file,
                          s->similarity);
    const char *name = lt_json_want_text(cx, s->settings, file, "default_prompt_name", NULL);
    s->default_prompt = name ? lt_model_prompt(m, name) : NULL;
    return lt_fail_if(cx, name && !s->default_prompt, LT_ERR_INPUT, "%s: default_prompt_name: \"%s\" is not among the prompts", file, name);
}

static bool read_length(lt_ctx *cx, lt_model *m)
{
    const char *file = lt_path_join(cx, m->root, "sentence_bert_config.json");
    if (!file || !lt_is_file(file)) return lt_ok(cx);
    lt_json *c = load_object(cx, file);
    if (!c) return false;
    m->sentence.max_tokens = (int)lt_json_want_int(cx, c, file, "max_seq_length", 1, INT32_MAX, 0);
    m->sentence.lower = lt_json_want_bool(cx, c, file, "do_lower_case", false);
    lt_json_free(c);
    return lt_ok(cx);
}

bool lt_sentence_open(lt_ctx *cx, lt_model *m, const char *dir, bool inspect)
{
    char *file;
    lt_json *list = open_modules(cx, dir, &file);
    if (!list) return lt_ok(cx);
    m->sentence.present = true;
    bool done = read_module_list(cx, m, dir, list, file, inspect) && read_length(cx, m) && read_settings(cx, m, dir);
    lt_json_free(list);
    return done;
}

void lt_sentence_close(lt_sentence *s)
{
    for (int i = 0; i < s->n_dense; i++) {
        lt_linear_free(&s->dense[i]);
        lt_weights_close(s->dense_weights[i]);
    }
    lt_json_free(s->settings);
    *s = (lt_sentence){0};
}
