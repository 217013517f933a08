/* From a family's numbers and names to slots, and from weight files to parameters: the trunk that all encoder families share. */
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- building ---- */

typedef struct builder {
    lt_ctx *cx;
    lt_dtype dtype;
    const char *prefix;
    const lt_model *m;
    bool ok;
} builder;

static char *name(builder *b, const char *format, ...) LT_PRINTF(2, 3);
static char *name(builder *b, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = lt_strdup(b->cx, text);
    if (!copy) b->ok = false;
    return copy;
}

static lt_coding coding(const lt_model *m) { return (lt_coding){.threshold = m->quantized.threshold, .symmetric = m->quantized.symmetric}; }

/* Of a quantised checkpoint those linears have codes that have scales. */
static bool has_codes(builder *b, const char *linear_name)
{
    char scale[256];
    snprintf(scale, sizeof scale, "%s.weight_scale", linear_name ? linear_name : "");
    return lt_weights_find(b->m->weights, scale) != NULL;
}

static lt_linear linear(builder *b, char *owned_name, int64_t in, int64_t out, bool bias)
{
    lt_linear l = {.kind = &lt_linear_dense, .name = owned_name, .in = in, .out = out, .has_bias = bias, .dtype = b->dtype};
    const lt_precision p = b->m->quantized.precision;
    if (!b->m->random && (p == LT_PRECISION_INT8 || p == LT_PRECISION_INT4) && has_codes(b, owned_name)) {
        l.kind = lt_precision_kind(p);
        l.smoothed = p == LT_PRECISION_INT8 && b->m->quantized.smoothed;
    }
    return l;
}

static lt_norm_slot norm(builder *b, char *owned_name, int64_t dim, double eps)
{
    return (lt_norm_slot){.kind = &lt_norm_layer, .name = owned_name, .dim = dim, .eps = eps};
}

static void build_embed(builder *b, lt_embed_slot *s, const lt_encoder *e, const lt_names *n)
{
    s->kind = &lt_embed_sum;
    s->word = linear(b, name(b, "%s%s", b->prefix, n->word), e->hidden, e->vocab, false);
    if (e->absolute) s->position = linear(b, name(b, "%s%s", b->prefix, n->position), e->hidden, e->positions, false);
    if (n->type) s->type = linear(b, name(b, "%s%s", b->prefix, n->type), e->hidden, e->types, false);
    s->norm = norm(b, name(b, "%s%s", b->prefix, n->embed_norm), e->hidden, e->eps);
    s->dropout = e->dropout.embed;
    s->position_offset = e->position_offset;
    s->pad = e->pad;
}

static void build_block(builder *b, lt_block *block, const lt_encoder *e, const lt_names *n, int i)
{
    char layer[256];
    snprintf(layer, sizeof layer, "%s%s.%d", b->prefix, n->layer, i);
    block->name = name(b, "layer%d", i);
    lt_mixer *m = &block->mixer;
    m->kind = &lt_mixer_attention;
    m->heads = m->kv_heads = e->heads;
    m->dim = e->hidden / e->heads;
    m->scale = 1 / __builtin_sqrt(m->dim);
    m->q = linear(b, name(b, "%s.%s", layer, n->q), e->hidden, e->hidden, true);
    m->k = linear(b, name(b, "%s.%s", layer, n->k), e->hidden, e->hidden, true);
    m->v = linear(b, name(b, "%s.%s", layer, n->v), e->hidden, e->hidden, true);
    m->o = linear(b, name(b, "%s.%s", layer, n->o), e->hidden, e->hidden, true);
    if (e->relative)
        m->position = (lt_position){.kind = e->relative, .name = name(b, "%s.%s", layer, n->distance), .max = e->positions, .dim = m->dim, .dtype = b->dtype};
    block->r1.kind = block->r2.kind = &lt_residual_add;
    block->r1.post = norm(b, name(b, "%s.%s", layer, n->mixer_norm), e->hidden, e->eps);
    m->dropout = e->dropout.attention;
    block->r1.dropout = e->dropout.mixer;
    block->r2.dropout = e->dropout.ffn;
    block->ffn.kind = &lt_ffn_mlp;
    block->ffn.act = e->act;
    block->ffn.up = linear(b, name(b, "%s.%s", layer, n->up), e->hidden, e->inner, true);
    block->ffn.down = linear(b, name(b, "%s.%s", layer, n->down), e->inner, e->hidden, true);
    block->r2.post = norm(b, name(b, "%s.%s", layer, n->ffn_norm), e->hidden, e->eps);
}

static void build_head(builder *b, lt_model *m, const lt_architecture *a)
{
    const lt_encoder *e = &m->encoder;
    lt_head_slot *h = &m->head;
    h->kind = a->kind;
    h->act = a->act == LT_ACT_COUNT ? e->act : a->act;
    if (a->on_pooler) h->before = &m->pooler;
    h->dropout = !a->dropout ? 0 : strcmp(a->head, "span") == 0 ? e->dropout.span : e->dropout.head;
    h->dropout_in = a->dropout_in ? e->dropout.head : 0;
    if (a->dense) h->dense = linear(b, name(b, "%s", a->dense), e->hidden, e->hidden, true);
    if (a->norm) h->norm = norm(b, name(b, "%s", a->norm), e->hidden, e->eps);
    int out = a->width == LT_WIDTH_VOCAB ? e->vocab : a->width == LT_WIDTH_TWO ? 2 : e->labels;
    if (a->width == LT_WIDTH_VOCAB && e->tied) {
        h->tied = &m->stack.embed.word;
        h->out = (lt_linear){.name = name(b, "%s", a->bias)};
    } else
        h->out = linear(b, name(b, "%s", a->out), e->hidden, out, true);
    if (a->also && m->trainable) m->also = (lt_head_slot){.kind = &lt_head_first, .before = &m->pooler, .out = linear(b, name(b, "%s", a->also), e->hidden, 2, true)};
}

/* Where the encoder's weights stand in the file: behind the family's prefix, or bare. */
static const char *find_prefix(lt_ctx *cx, const lt_model *m, const lt_family *f)
{
    const char *prefix[] = {f->prefix, ""};
    for (int i = 0; i < 2; i++) {
        char word[256];
        snprintf(word, sizeof word, "%s%s.weight", prefix[i], f->names->word);
        if (lt_weights_find(m->weights, word)) return prefix[i];
    }
    return lt_fail(cx, LT_ERR_INPUT, "%s: there is no tensor \"%s.weight\", with or without \"%s\" before it", lt_weights_path(m->weights), f->names->word,
                   f->prefix);
}

bool lt_encoder_build(lt_ctx *cx, lt_model *m, const lt_family *f, const lt_architecture *arch)
{
    lt_encoder *e = &m->encoder;
    struct lt_dropouts *d = &e->dropout;
    if (!m->trainable) *d = (struct lt_dropouts){0};
    else if (m->all_dropout >= 0) *d = (struct lt_dropouts){m->all_dropout, d->mixer < 0 ? -1 : m->all_dropout, m->all_dropout, m->all_dropout, m->all_dropout, m->all_dropout};
    m->prefix = arch && arch->kind ? f->prefix : "";
    m->file_prefix = m->random ? m->prefix : find_prefix(cx, m, f);
    if (!m->file_prefix) return false;
    if (!m->trainable) m->prefix = m->file_prefix;
    const char *prefix = m->prefix;
    if (e->hidden % e->heads)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: hidden size %d is not a multiple of %d heads", m->config.file, e->hidden, e->heads);
    builder b = {cx, m->compute, prefix, m, true};
    build_embed(&b, &m->stack.embed, e, f->names);
    m->stack.block = lt_new(cx, e->layers, sizeof *m->stack.block);
    if (!m->stack.block) return false;
    m->stack.layers = e->layers;
    for (int i = 0; i < e->layers; i++) build_block(&b, &m->stack.block[i], e, f->names, i);
    char pooler[256];
    snprintf(pooler, sizeof pooler, "%s%s", prefix, f->names->pooler ? f->names->pooler : "");
    const char *stored = lt_sprintf(cx, "%s%s.weight", m->file_prefix, f->names->pooler ? f->names->pooler : "");
    const bool on_pooler = arch && (arch->on_pooler || (arch->also && m->trainable)), found = !m->random && stored && lt_weights_find(m->weights, stored);
    m->has_pooler = f->names->pooler && (on_pooler || (m->reshaped ? false : found) || (m->random && !arch->kind));
    if (m->has_pooler)
        m->pooler = (lt_head_slot){.kind = &lt_head_first, .act = LT_ACT_TANH, .dense = linear(&b, name(&b, "%s", pooler), e->hidden, e->hidden, true)};
    if (arch && arch->kind) build_head(&b, m, arch);
    return b.ok;
}

/* ---- binding ---- */

/* Checkpoints written by TensorFlow-era tools say gamma and beta; a tied decoder's bias stands under its parent. */
static const char *const aliases[][2] = {
    {".weight", ".gamma"}, {".bias", ".beta"}, {".decoder.bias", ".bias"}, {"cls.predictions.bias", "cls.predictions.decoder.bias"},
    {"lm_head.bias", "lm_head.decoder.bias"},
};

static const lt_stored *find_stored(const lt_weights *w, const char *wanted)
{
    const lt_stored *s = lt_weights_find(w, wanted);
    for (size_t i = 0; !s && i < sizeof aliases / sizeof *aliases; i++) {
        size_t n = strlen(wanted), tail = strlen(aliases[i][0]);
        char other[512];
        if (n < tail || strcmp(wanted + n - tail, aliases[i][0]) != 0) continue;
        snprintf(other, sizeof other, "%.*s%s", (int)(n - tail), wanted, aliases[i][1]);
        s = lt_weights_find(w, other);
    }
    return s;
}

static bool bind_to(lt_ctx *cx, const lt_weights *w, lt_param *p, const lt_stored *s)
{
    if (!s) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tensor \"%s\"", lt_weights_path(w), p->name);
    bool fits = s->rank == p->value.rank;
    for (int i = 0; fits && i < s->rank; i++) fits = s->shape[i] == p->value.shape[i];
    if (!fits) {
        lt_tensor found = {.rank = s->rank < LT_MAX_RANK ? s->rank : LT_MAX_RANK};
        for (int i = 0; i < found.rank; i++) found.shape[i] = s->shape[i];
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor \"%s\": shape %s, expected %s by config.json", s->file, s->name, lt_shape(cx, &found),
                          lt_shape(cx, &p->value));
    }
    const bool floats = p->as == LT_F32 || p->as == LT_BF16;
    const bool is_float = s->dtype == LT_F32 || s->dtype == LT_F16 || s->dtype == LT_BF16 || s->dtype == LT_F64;
    if (floats ? !is_float : s->dtype != p->as)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: tensor \"%s\": elements of type %s, expected %s", s->file, s->name, s->type,
                          floats ? "f32, f16, bf16 or f64" : lt_dtype_name(p->as));
    p->stored = s;
    return true;
}

static bool bind_param(lt_ctx *cx, const lt_weights *w, lt_param *p) { return bind_to(cx, w, p, find_stored(w, p->name)); }

/* A checkpoint without a head has bare names, one with a head the family's prefix before them. */
static const lt_stored *find_by_prefix(const lt_model *m, const char *wanted)
{
    const size_t n = strlen(m->prefix);
    char name[512];
    if (strncmp(wanted, m->prefix, n) != 0) return find_stored(m->weights, wanted);
    snprintf(name, sizeof name, "%s%s", m->file_prefix, wanted + n);
    return find_stored(m->weights, name);
}

static bool is_of_head(const lt_model *m, const char *wanted)
{
    const lt_head_slot *h = &m->head, *p = &m->pooler;
    const char *const own[] = {h->dense.name, h->norm.name, h->out.name, p->dense.name, m->also.out.name};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] && strncmp(wanted, own[i], strlen(own[i])) == 0) return true;
    return false;
}

/* A label's row is no one else's: a classifier of another size begins anew. */
static bool fits_rows(const lt_param *p, const lt_stored *s) { return s && s->rank == p->value.rank && s->shape[0] == p->value.shape[0]; }

static bool bind_one(lt_decl *d, lt_param *p)
{
    lt_model *m = d->arg;
    const lt_stored *s = m->random ? NULL : find_by_prefix(m, p->name);
    const bool fresh = m->random || (m->trainable && is_of_head(m, p->name) && (!s || (m->reshaped && !fits_rows(p, s))));
    if (!fresh && !bind_to(d->cx, m->weights, p, s)) return false;
    if (fresh && !m->random && !lt_model_note(d->cx, m, "%s: new, made at random", p->name)) return false;
    int64_t count = p->init != LT_INIT_NONE;
    for (int i = 0; i < p->value.rank; i++) count *= p->value.shape[i];
    m->info.parameters += count;
    return true;
}

/* Packed codes count as what they stand for. */
static bool count_packed(lt_ctx *cx, lt_linear *l, void *arg)
{
    if (l->weight.init == LT_INIT_NONE) ((lt_model *)arg)->info.parameters += l->in * l->out;
    return true;
}

static bool each_linear(lt_ctx *cx, lt_model *m, lt_linear_fn *in_stack, lt_linear_fn *in_heads)
{
    return lt_stack_linears(cx, &m->stack, in_stack, m) && lt_head_linears(cx, &m->pooler, in_heads, m) && lt_head_linears(cx, &m->head, in_heads, m) &&
           lt_head_linears(cx, &m->also, in_heads, m);
}

bool lt_encoder_walk(lt_ctx *cx, lt_model *m, bool (*visit)(lt_decl *, lt_param *), void *arg)
{
    lt_decl d = {.cx = cx, .visit = visit, .arg = arg};
    return lt_stack_declare(&m->stack, &d) && lt_head_declare(&m->pooler, &d) && lt_head_declare(&m->head, &d) && lt_head_declare(&m->also, &d);
}

struct used {
    const lt_weights *weights;
    uint8_t *flag;
};

static bool note_used(lt_decl *d, lt_param *p)
{
    struct used *u = d->arg;
    for (int i = 0; i < lt_weights_count(u->weights); i++)
        if (lt_weights_at(u->weights, i) == p->stored) u->flag[i] = 1;
    return true;
}

/* Buffers and second names of tied weights that checkpoints carry along; leaving them out changes nothing. */
static bool is_harmless(const char *tensor)
{
    static const char *const endings[] = {"embeddings.position_ids", "embeddings.token_type_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias",
                                          "cls.predictions.bias", "lm_head.decoder.weight", "lm_head.decoder.bias", "lm_head.bias", "vocab_projector.weight"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(tensor), e = strlen(endings[i]);
        if (n >= e && strcmp(tensor + n - e, endings[i]) == 0) return true;
    }
    return false;
}

bool lt_encoder_bind(lt_ctx *cx, lt_model *m, const lt_family *f)
{
    if (!lt_encoder_walk(cx, m, bind_one, m) || !each_linear(cx, m, count_packed, count_packed)) return false;
    if (m->random) return true;
    struct used u = {.weights = m->weights, .flag = lt_alloc_array(cx, lt_weights_count(m->weights), 1)};
    m->spare = lt_new(cx, lt_weights_count(m->weights) + 1, sizeof *m->spare);
    if (!u.flag || !m->spare) return false;
    memset(u.flag, 0, (size_t)lt_weights_count(m->weights));
    if (!lt_encoder_walk(cx, m, note_used, &u)) return false;
    for (int i = 0; i < lt_weights_count(m->weights); i++) {
        const char *tensor = lt_weights_at(m->weights, i)->name;
        if (u.flag[i] || is_harmless(tensor)) continue;
        m->spare[m->n_spare++] = lt_weights_at(m->weights, i);
        if (!lt_model_note(cx, m, "%s: tensor \"%s\" is not used", lt_weights_at(m->weights, i)->file, tensor)) return false;
    }
    return true;
}

/* ---- loading ---- */

/* Codes that are not to be packed wait where they are until they are asked for. */
static bool linear_ready(lt_ctx *cx, lt_linear *l, bool unpacked)
{
    if (l->kind == &lt_linear_dense && unpacked) return lt_param_load(cx, &l->weight, l->dtype);
    return unpacked || l->kind->prepare(cx, l);
}

/* Tables are looked up, not multiplied; bf16 ones stay so in memory. */
static bool load_table(lt_ctx *cx, const lt_model *m, lt_linear *l)
{
    const bool narrow = l->weight.stored->dtype == LT_BF16 && m->compute == LT_F32;
    return lt_param_load(cx, &l->weight, narrow ? LT_BF16 : l->dtype);
}

static bool load_outer(lt_ctx *cx, lt_linear *l, void *arg)
{
    lt_model *m = arg;
    if (l->kind == &lt_linear_int8) l->coding = coding(m);
    return (!m->expand || l->kind == &lt_linear_dense || lt_linear_expand(cx, l)) && linear_ready(cx, l, m->unpacked);
}

static bool become_few(lt_ctx *cx, lt_linear *l, lt_model *m)
{
    if (!lt_param_load(cx, &l->weight, LT_F32)) return false;
    if (m->convert && m->few != &lt_linear_bf16) {
        if (!m->convert(m->convert_arg, cx, l)) return false;
        m->quantized.smoothed = l->smoothed;
        return lt_fail_if(cx, l->kind != m->few, LT_ERR_USAGE, "%s: was made \"%s\", not \"%s\"", l->name, l->kind->is.name, m->few->is.name);
    }
    l->kind = m->few;
    return l->kind->convert(cx, l);
}

/* What stands in blocks takes the precision that was asked for. */
static bool load_inner(lt_ctx *cx, lt_linear *l, lt_model *m)
{
    if (m->expand && l->kind != &lt_linear_dense && !lt_linear_expand(cx, l)) return false;
    if (m->few && l->kind == &lt_linear_dense && !become_few(cx, l, m)) return false;
    if (l->kind == &lt_linear_int8) l->coding = coding(m);
    return linear_ready(cx, l, m->unpacked);
}

static bool load_linear(lt_ctx *cx, lt_linear *l, void *arg)
{
    lt_model *m = arg;
    lt_embed_slot *e = &m->stack.embed;
    const bool table = l == &e->word || l == &e->position || l == &e->type;
    if (!table) return load_inner(cx, l, m);
    l->rounded = m->few != NULL;
    return l == &e->word && m->head.tied ? linear_ready(cx, l, m->unpacked) : load_table(cx, m, l);
}

/* All but the big matrices: those are packed one by one, each given back before the next is read. */
static bool load_small(lt_decl *d, lt_param *p)
{
    lt_model *m = d->arg;
    return p->value.rank != 1 || p->as != LT_F32 || lt_param_load(d->cx, p, m->compute);
}

static bool own_param(lt_decl *d, lt_param *p)
{
    const lt_model *m = d->arg;
    int64_t count = 1;
    for (int i = 0; i < p->value.rank; i++) count *= p->value.shape[i];
    if (p->value.data && p->owned) return true; /* declared twice */
    lt_param own = *p;
    own.owned = NULL;
    own.value.data = NULL;
    own.stored = NULL;
    if ((p->stored && !lt_param_load(d->cx, p, m->compute)) || !lt_param_make(d->cx, &own, m->compute)) return false;
    if (p->stored) memcpy(own.value.data, p->value.data, (size_t)count * lt_dtype_size(m->compute));
    else if (p->init == LT_INIT_NORMAL) lt_param_normal(&own, m->seed, m->init_range);
    for (int64_t i = 0; !p->stored && p->init == LT_INIT_ONE && i < count; i++) {
        if (m->compute == LT_F64) ((double *)own.value.data)[i] = 1;
        else ((float *)own.value.data)[i] = 1;
    }
    lt_param_drop(p);
    *p = own;
    p->value.param = p;
    return true;
}

static bool count_sparse(lt_ctx *cx, lt_linear *l, void *arg)
{
    ((lt_model *)arg)->info.sparse += l->kind == &lt_linear_sparse || l->kind == &lt_linear_sparse_int8;
    return true;
}

bool lt_encoder_load(lt_ctx *cx, lt_model *m)
{
    if (m->trainable) return lt_encoder_walk(cx, m, own_param, m);
    if (!lt_encoder_walk(cx, m, load_small, m) || !each_linear(cx, m, load_linear, load_outer) || !each_linear(cx, m, count_sparse, count_sparse)) return false;
    for (int i = 0; i < m->stack.layers; i++) {
        lt_position *p = &m->stack.block[i].mixer.position;
        if (p->kind && !p->kind->prepare(cx, p)) return false;
    }
    return true;
}

static bool bind_from(lt_decl *d, lt_param *p) { return bind_param(d->cx, d->arg, p); }

bool lt_linear_load(lt_ctx *cx, const lt_weights *w, lt_linear *l, bool unpacked, bool inspect)
{
    lt_decl d = {.cx = cx, .visit = bind_from, .arg = (void *)w};
    return l->kind->declare(l, &d) && (inspect || (lt_param_load(cx, &l->bias, l->dtype) && linear_ready(cx, l, unpacked)));
}
