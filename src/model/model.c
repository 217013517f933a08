/* Opening a model directory: config, family, weights, sentence-transformers files, tokenizer. Inspecting is the same walk without
 * loading weights, where each refusal becomes a line of the report instead of the end. */
#include "model/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool lt_model_note(lt_ctx *cx, lt_model *m, const char *format, ...)
{
    char text[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char **grown = lt_resize(cx, m->unsupported, m->info.n_unsupported + 1, sizeof *grown);
    if (!grown) return false;
    m->unsupported = grown;
    m->info.unsupported = (const char *const *)grown;
    char *copy = lt_strdup(cx, text);
    if (!copy) return false;
    grown[m->info.n_unsupported++] = copy;
    return true;
}

/* ---- config ---- */

static const lt_family *read_family(lt_ctx *cx, lt_model *m)
{
    lt_config *c = &m->config;
    const char *type = lt_config_text(c, "model_type", NULL);
    if (!type) return lt_fail(cx, LT_ERR_INPUT, "%s: model_type: a family's name is expected", c->file);
    m->info.family = type;
    const lt_family *f = lt_family_named(type);
    if (f) return f;
    char known[512] = "";
    int n;
    const lt_kind *const *kinds = lt_families(&n);
    for (int i = 0; i < n; i++) snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", kinds[i]->name);
    return lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: model_type: \"%s\" is not known (known: %s)", c->file, type, known);
}

static bool read_architecture(lt_ctx *cx, lt_model *m, const lt_family *f, const lt_architecture **found)
{
    const lt_json *list = lt_json_get(m->config.root, "architectures");
    const char *name = lt_json_text(lt_json_at(list, 0), NULL);
    *found = &f->architectures[0];
    if (lt_json_is(list) == LT_JSON_NULL || (lt_json_is(list) == LT_JSON_ARRAY && lt_json_size(list) == 0)) {
        m->info.architecture = (*found)->name;
        return true;
    }
    if (!name) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: architectures: an array of one name is expected", m->config.file);
    m->info.architecture = name;
    for (int i = 0; i < f->n_architectures; i++)
        if (strcmp(f->architectures[i].name, name) == 0) {
            *found = &f->architectures[i];
            m->info.head = (*found)->head;
            return true;
        }
    return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: architectures: \"%s\" is not known for model_type \"%s\"", m->config.file, name, f->is.name);
}

/* The family's architecture that has the head that was asked for. */
static bool choose_head(lt_ctx *cx, lt_model *m, const lt_family *f, const char *head, const lt_architecture **found)
{
    if (*found && strcmp((*found)->head, head) == 0) return true;
    for (int i = 0; i < f->n_architectures; i++)
        if (strcmp(f->architectures[i].head, head) == 0) {
            *found = &f->architectures[i];
            m->info.architecture = (*found)->name;
            m->info.head = head;
            m->reshaped = true;
            return true;
        }
    return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: model_type \"%s\" has no head \"%s\"", m->config.file, f->is.name, head);
}

static bool give_labels(lt_ctx *cx, lt_model *m, const lt_model_options *o)
{
    if (!o->labels) return true;
    m->reshaped |= o->labels != m->encoder.labels;
    m->encoder.labels = o->labels;
    if (!o->label) return true;
    m->info.problem = o->problem;
    m->label = lt_new(cx, o->labels + 1, sizeof *m->label);
    for (int i = 0; m->label && i < o->labels; i++) m->label[i] = lt_strdup(cx, o->label[i]);
    return m->label && lt_ok(cx);
}

static bool read_labels(lt_ctx *cx, lt_model *m)
{
    const lt_json *names = lt_json_get(m->config.root, "id2label");
    if (lt_json_is(names) != LT_JSON_OBJECT && lt_json_is(names) != LT_JSON_NULL)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: id2label: an object of label names is expected", m->config.file);
    if (lt_json_size(names) > 0) m->encoder.labels = (int)lt_json_size(names);
    else m->encoder.labels = lt_config_int(&m->config, "num_labels", 1, 1 << 20, 2);
    return lt_ok(cx);
}

static bool name_unknown_keys(lt_ctx *cx, lt_model *m)
{
    const lt_json *pruned = lt_json_get(m->config.root, "pruned_heads");
    if (lt_json_size(pruned) > 0) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: pruned_heads: heads that were cut out are not supported", m->config.file);
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    while (lt_json_each(m->config.root, &iter, &key, &value)) {
        if (lt_config_was_asked(&m->config, key) || strcmp(key, "pruned_heads") == 0) continue;
        if (!lt_model_note(cx, m, "%s: %s: not known, ignored", m->config.file, key)) return false;
    }
    return true;
}

static bool read_config(lt_ctx *cx, lt_model *m, const lt_model_options *o, const lt_family **f, const lt_architecture **arch)
{
    if (!(*f = read_family(cx, m))) return false;
    lt_encoder *e = &m->encoder;
    bool done = (*f)->configure(&m->config, e) && lt_quantized_read(&m->config, &m->quantized);
    m->info.layers = e->layers;
    m->info.hidden = e->hidden;
    m->info.inner = e->inner;
    m->info.heads = e->heads;
    m->info.vocab = e->vocab;
    m->info.max_tokens = e->limit;
    m->info.embedding = e->hidden;
    m->info.problem = lt_config_text(&m->config, "problem_type", NULL);
    m->info.quantized = m->quantized.precision != LT_PRECISION_F32;
    m->info.threshold = m->quantized.precision == LT_PRECISION_INT8 ? (double)m->quantized.threshold : 0;
    m->init_range = lt_config_num(&m->config, "initializer_range", 0, 1e3, 0.02);
    return done && read_architecture(cx, m, *f, arch) && (!o->head || choose_head(cx, m, *f, o->head, arch)) && read_labels(cx, m) && give_labels(cx, m, o) &&
           name_unknown_keys(cx, m);
}

/* ---- weights, tokenizer ---- */

static void name_dtype(lt_model *m)
{
    if (m->info.quantized) {
        m->info.dtype = lt_precision_name(m->quantized.precision);
        return;
    }
    for (int i = 0; i < lt_weights_count(m->weights); i++) {
        const lt_stored *s = lt_weights_at(m->weights, i);
        if (s->dtype != LT_F32 && s->dtype != LT_F16 && s->dtype != LT_BF16 && s->dtype != LT_F64) continue; /* buffers */
        const char *dtype = lt_dtype_name(s->dtype);
        m->info.dtype = !m->info.dtype || strcmp(m->info.dtype, dtype) == 0 ? dtype : "mixed";
    }
}

static bool read_weights(lt_ctx *cx, lt_model *m, const lt_family *f, const lt_architecture *arch, const lt_model_options *o, bool load)
{
    m->weights = m->random ? NULL : lt_weights_open(cx, m->root);
    if (!m->weights && !m->random) return false;
    m->info.bytes = m->random ? 0 : (int64_t)lt_weights_bytes(m->weights);
    bool bound = lt_encoder_build(cx, m, f, arch) && lt_encoder_bind(cx, m, f);
    if (m->weights) name_dtype(m);
    return bound && (!load || (lt_precision_settle(cx, m, o) && lt_encoder_load(cx, m)));
}

static bool read_tokenizer(lt_ctx *cx, lt_model *m)
{
    static const char *const files[] = {"tokenizer.json", "vocab.txt", "vocab.json"};
    bool any = false;
    for (int i = 0; i < 3; i++) any |= lt_is_file(lt_path_join(cx, m->root, files[i]));
    if (!any) return true;
    m->tokenizer = lt_tokenizer_open(cx, m->root);
    if (!m->tokenizer) return false;
    const lt_tokenizer_info *t = lt_tokenizer_about(m->tokenizer);
    m->info.tokenizer = t->kind;
    if (t->vocab > m->encoder.vocab)
        return lt_model_note(cx, m, "%s: %d tokens, the model's vocabulary has %d: some texts will be refused", t->file, t->vocab, m->encoder.vocab);
    return true;
}

/* ---- open ---- */

/* Runs one step; when inspecting, its error becomes a note and the walk goes on. */
static bool settle(lt_ctx *cx, lt_model *m, bool done, bool inspect)
{
    if (done || !inspect || lt_ctx_status(cx) == LT_ERR_MEMORY) return done;
    char message[1024];
    snprintf(message, sizeof message, "%s", lt_ctx_error(cx));
    lt_ctx_clear(cx);
    return lt_model_note(cx, m, "%s", message);
}

static void name_poolings(lt_model *m)
{
    const lt_sentence *s = &m->sentence;
    m->info.pooling = "none";
    for (int i = 0; s->present && i < s->n_pooling; i++) {
        size_t used = strlen(m->pooling_name);
        snprintf(m->pooling_name + used, sizeof m->pooling_name - used, "%s%s", i ? "+" : "", lt_pooling_name(s->pooling[i]));
        m->info.pooling = m->pooling_name;
    }
}

static bool open_parts(lt_ctx *cx, lt_model *m, const char *path, const lt_model_options *o, bool inspect)
{
    const lt_family *f = NULL;
    const lt_architecture *arch = NULL;
    const char *root = lt_sentence_root(cx, path);
    if (!root || !(m->root = lt_strdup(cx, root)) || !lt_config_open(cx, &m->config, root)) return false;
    bool known = read_config(cx, m, o, &f, &arch);
    m->architecture = arch;
    if (!settle(cx, m, known, inspect)) return false;
    if (known && !settle(cx, m, read_weights(cx, m, f, arch, o, !inspect), inspect)) return false;
    if (!settle(cx, m, lt_sentence_open(cx, m, path, inspect), inspect)) return false;
    if (!o->no_tokenizer && !settle(cx, m, read_tokenizer(cx, m), inspect)) return false;
    const lt_sentence *s = &m->sentence;
    int said = s->max_tokens ? s->max_tokens : m->tokenizer && s->present ? lt_tokenizer_about(m->tokenizer)->model_max_length : 0;
    if (said > 0 && said < m->info.max_tokens) m->info.max_tokens = said;
    name_poolings(m);
    m->info.embedding = lt_embedding_width(m, NULL);
    m->info.normalize = s->normalize;
    m->info.similarity = s->similarity ? s->similarity : "cosine";
    return true;
}

static lt_model *open_model(lt_ctx *cx, const char *path, const lt_model_options *options, bool inspect)
{
    static const lt_model_options defaults;
    const lt_model_options *o = options ? options : &defaults;
    lt_model *m = lt_new(cx, 1, sizeof *m);
    if (!m) return NULL;
    m->compute = o->compute;
    m->unpacked = o->unpacked || o->trainable;
    m->convert = o->convert;
    m->convert_arg = o->convert_arg;
    m->trainable = o->trainable;
    m->random = o->trainable && o->random;
    m->seed = o->seed;
    m->all_dropout = o->drops ? o->dropout : -1;
    m->info = (lt_model_info){.family = "unknown", .architecture = "unknown", .head = "none", .pooling = "none", .tokenizer = "none"};
    lt_scope scope = lt_open(cx, NULL);
    char *copy = lt_strdup(cx, path);
    m->info.path = copy;
    bool done = copy && open_parts(cx, m, path, o, inspect);
    lt_end(cx, scope);
    if (!m->info.dtype) m->info.dtype = "unknown";
    if (done) return m;
    lt_model_close(m);
    return NULL;
}

lt_model *lt_model_open(lt_ctx *cx, const char *path, const lt_model_options *options)
{
    if (options && options->compute != LT_F32 && options->compute != LT_F64)
        return lt_fail(cx, LT_ERR_UNSUPPORTED, "models compute in f32 or f64, not %s", lt_dtype_name(options->compute));
    return lt_ok(cx) ? open_model(cx, path, options, false) : NULL;
}

void lt_model_close(lt_model *m)
{
    if (!m) return;
    lt_stack_free(&m->stack);
    lt_head_free(&m->pooler);
    lt_head_free(&m->head);
    lt_head_free(&m->also);
    lt_weights_close(m->weights);
    lt_free(m->spare);
    lt_tokenizer_free(m->tokenizer);
    lt_sentence_close(&m->sentence);
    lt_config_close(&m->config);
    for (int i = 0; i < m->info.n_unsupported; i++) lt_free(m->unsupported[i]);
    lt_free(m->unsupported);
    for (int i = 0; m->label && m->label[i]; i++) lt_free(m->label[i]);
    lt_free(m->label);
    lt_free(m->root);
    lt_free((char *)m->info.path);
    lt_free(m);
}

const lt_model_info *lt_model_about(const lt_model *m) { return &m->info; }

const char *lt_model_label(const lt_model *m, int i)
{
    char key[16];
    if (m->label) return i >= 0 && i < m->encoder.labels ? m->label[i] : NULL;
    snprintf(key, sizeof key, "%d", i);
    return lt_json_text(lt_json_get(lt_json_get(m->config.root, "id2label"), key), NULL);
}

const lt_tokenizer *lt_model_tokenizer(const lt_model *m) { return m->tokenizer; }

const char *lt_model_prompt(const lt_model *m, const char *name)
{
    return lt_json_text(lt_json_get(lt_json_get(m->sentence.settings, "prompts"), name), NULL);
}

/* ---- inspect ---- */

static const char *keep(lt_ctx *cx, const char *s) { return s ? lt_sprintf(cx, "%s", s) : NULL; }

const lt_model_info *lt_model_inspect(lt_ctx *cx, const char *path)
{
    lt_model *m = open_model(cx, path, NULL, true);
    lt_model_info *info = m ? lt_alloc(cx, sizeof *info) : NULL;
    if (info) {
        *info = m->info;
        const char **text[] = {&info->path, &info->family, &info->architecture, &info->dtype, &info->head, &info->pooling, &info->tokenizer, &info->similarity, &info->problem};
        for (size_t i = 0; i < sizeof text / sizeof *text; i++) *text[i] = keep(cx, *text[i]);
        const char **notes = lt_alloc_array(cx, info->n_unsupported, sizeof *notes);
        for (int i = 0; notes && i < info->n_unsupported; i++) notes[i] = keep(cx, m->unsupported[i]);
        info->unsupported = notes;
        info->labels = m->encoder.labels;
        const char **label = lt_model_label(m, 0) ? lt_alloc_array(cx, info->labels, sizeof *label) : NULL;
        for (int i = 0; label && i < info->labels; i++) label[i] = keep(cx, lt_model_label(m, i) ? lt_model_label(m, i) : "");
        info->label = label;
    }
    lt_model_close(m);
    return lt_ok(cx) ? info : NULL;
}
