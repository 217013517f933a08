/* Writing a model directory: the declared parameters as safetensors, config.json with what is different now, and every other file of
 * the directory as it was. Whatever wrote the parameters (quantising, training, merging), this is how they get out. */
#include "model/model.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

/* ---- tensors ---- */

typedef struct tensors {
    lt_stored *list; /* owned */
    int n, room;
} tensors;

static bool add(lt_ctx *cx, tensors *t, const lt_stored *s)
{
    if (t->n == t->room) {
        lt_stored *more = lt_resize(cx, t->list, 2 * t->room + 64, sizeof *more);
        if (!more) return false;
        t->list = more;
        t->room = 2 * t->room + 64;
    }
    t->list[t->n++] = *s;
    return true;
}

/* The value in the type it is written in, scoped or the parameter's own. */
static const void *value_as_written(lt_ctx *cx, lt_param *p, int64_t count)
{
    const bool narrow = p->as == LT_BF16 && !(p->stored && p->stored->dtype == LT_BF16);
    if (!p->value.data && !lt_param_load(cx, p, narrow ? LT_F32 : p->as)) return NULL;
    if (p->value.dtype == p->as) return p->value.data;
    void *to = p->as == LT_F32 || p->as == LT_BF16 ? lt_alloc_array(cx, count, lt_dtype_size(p->as)) : NULL;
    if (p->as == LT_BF16 && p->value.dtype == LT_F32 && to) lt_f32_to_bf16(count, p->value.data, to);
    else if (p->as == LT_F32 && p->value.dtype == LT_BF16 && to) lt_bf16_to_f32(count, p->value.data, to);
    else if (lt_ok(cx)) lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: cannot be written as %s, being of %s", p->name, lt_dtype_name(p->as), lt_dtype_name(p->value.dtype));
    return lt_ok(cx) ? to : NULL;
}

static bool add_param(lt_decl *d, lt_param *p)
{
    lt_stored s = {.name = p->name, .dtype = p->as, .rank = p->value.rank};
    int64_t count = 1;
    for (int i = 0; i < s.rank; i++) count *= s.shape[i] = p->value.shape[i];
    s.bytes = (size_t)count * lt_dtype_size(p->as);
    s.data = value_as_written(d->cx, p, count);
    return s.data && add(d->cx, d->arg, &s);
}

/* With the tensors of the checkpoint that its architecture has no use for. */
static bool write_weights(lt_ctx *cx, lt_model *m, const char *folder)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    tensors t = {0};
    char *path = lt_path_join(cx, folder, "model.safetensors");
    bool good = path && lt_encoder_walk(cx, m, add_param, &t);
    for (int i = 0; good && i < m->n_spare; i++) good = add(cx, &t, m->spare[i]);
    good = good && lt_safetensors_write(cx, path, t.list, t.n, metadata);
    lt_free(t.list);
    return good;
}

/* ---- config.json ---- */

typedef struct ignored { /* names of linears that are not quantised */
    const char *name[64];
    int n;
} ignored;

static bool note_dense(lt_ctx *cx, lt_linear *l, void *arg)
{
    ignored *g = arg;
    if ((l->kind == &lt_linear_dense || l->kind == &lt_linear_sparse) && g->n < 64) g->name[g->n++] = l->name;
    return true;
}

static void find_ignored(lt_ctx *cx, lt_model *m, ignored *g)
{
    for (int i = 0; i < m->stack.layers; i++) {
        lt_mixer *x = &m->stack.block[i].mixer;
        lt_ffn_slot *f = &m->stack.block[i].ffn;
        lt_linear *const inner[] = {&x->q, &x->k, &x->v, &x->o, &f->up, &f->down};
        for (size_t j = 0; j < sizeof inner / sizeof *inner; j++) note_dense(cx, inner[j], g);
    }
    lt_head_linears(cx, &m->pooler, note_dense, g);
    if (m->head.dense.out) note_dense(cx, &m->head.dense, g);
    if (m->head.kind && g->n < 64) g->name[g->n++] = m->architecture->out;
}

static bool is_one_of(const char *const *keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

/* What is written anew: always, or with another head. */
static bool is_rewritten(const lt_model *m, const char *key)
{
    static const char *const always[] = {"torch_dtype", "dtype", "quantization_config", "compression_config", "lathe"};
    static const char *const head[] = {"architectures", "id2label", "label2id", "num_labels", "problem_type", "_num_labels"};
    return is_one_of(always, sizeof always / sizeof *always, key) ||
           ((m->reshaped || m->label) && is_one_of(head, m->label ? sizeof head / sizeof *head : 1, key));
}

static void put_head(const lt_model *m, lt_str *s)
{
    if (!m->reshaped && !m->label) return;
    lt_str_printf(s, ",\n  \"architectures\": [\"%s\"]", m->architecture->name);
    if (m->label && m->info.problem) lt_str_printf(s, ",\n  \"problem_type\": \"%s\"", m->info.problem);
    for (int way = 0; m->label && way < 2; way++) {
        lt_str_puts(s, way ? ",\n  \"label2id\": {" : ",\n  \"id2label\": {");
        for (int i = 0; i < m->encoder.labels; i++) {
            lt_str_puts(s, i ? ", " : "");
            if (!way) lt_str_printf(s, "\"%d\": ", i);
            lt_json_put_text(s, m->label[i], strlen(m->label[i]));
            if (way) lt_str_printf(s, ": %d", i);
        }
        lt_str_puts(s, "}");
    }
}

static void put_config(lt_ctx *cx, lt_model *m, lt_str *s)
{
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    ignored g = {.n = 0};
    lt_str_printf(s, "{\n  \"torch_dtype\": \"%s\"", m->quantized.precision == LT_PRECISION_BF16 ? "bfloat16" : "float32");
    while (lt_json_each(m->config.root, &iter, &key, &value)) {
        if (is_rewritten(m, key)) continue;
        lt_str_puts(s, ",\n  ");
        lt_json_put_text(s, key, strlen(key));
        lt_str_puts(s, ": ");
        lt_json_put(s, value, 1);
    }
    put_head(m, s);
    find_ignored(cx, m, &g);
    lt_quantized_put(s, &m->quantized, g.name, g.n);
    lt_str_puts(s, "\n}\n");
}

static bool write_config(lt_ctx *cx, lt_model *m, const char *folder)
{
    lt_str s = {0};
    char *path = lt_path_join(cx, folder, "config.json");
    put_config(cx, m, &s);
    lt_out *out = path && lt_fail_if(cx, s.failed, LT_ERR_MEMORY, "%s: no memory", path) ? lt_out_open(cx, path) : NULL;
    bool good = out && lt_out_write(out, s.data, s.size);
    lt_str_free(&s);
    return good ? lt_out_commit(out) : (lt_out_abort(out), false);
}

/* ---- the other files ---- */

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), e = strlen(ending);
    return n >= e && strcmp(name + n - e, ending) == 0;
}

/* Weights of the transformer, in any format: they would be those of before. */
static bool is_weights(const char *name)
{
    static const char *const endings[] = {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".h5",   ".msgpack",
                                          ".ot",          ".onnx",                   ".pt",  ".pth",            ".gguf", ".ckpt"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i])) return true;
    return false;
}

typedef struct saving {
    lt_model *m;
    bool written; /* config.json and the weights: in the folder where the transformer's are */
} saving;

static bool is_same(const char *path, const char *other)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool copy_folder(lt_ctx *cx, saving *s, const char *from, const char *to, int depth);

/* Of folders in the model's only those that modules.json names. */
static bool copy_entry(lt_ctx *cx, saving *s, const char *from, const char *to, const char *name, int depth)
{
    enum { DEEPEST = 8 };
    const char *source = lt_path_join(cx, from, name), *target = lt_path_join(cx, to, name);
    if (!source || !target) return false;
    if (lt_is_dir(source)) {
        if (depth > DEEPEST || (depth == 0 && !lt_sentence_names(cx, from, name))) return lt_ok(cx);
        return mkdir(target, 0777) == 0 ? copy_folder(cx, s, source, target, depth + 1) : lt_fail_if(cx, true, LT_ERR_IO, "%s: cannot be made", target);
    }
    return !lt_is_file(source) || lt_file_copy(cx, source, target);
}

static bool copy_folder(lt_ctx *cx, saving *s, const char *from, const char *to, int depth)
{
    struct dirent *e;
    DIR *d = opendir(from);
    const bool transformer = is_same(from, s->m->root);
    bool good = lt_fail_if(cx, !d, LT_ERR_IO, "%s: cannot be read", from);
    while (good && (e = readdir(d))) {
        if (e->d_name[0] == '.' || (transformer && (is_weights(e->d_name) || strcmp(e->d_name, "config.json") == 0))) continue;
        lt_scope scope = lt_open(cx, NULL);
        good = lt_ok(cx) && copy_entry(cx, s, from, to, e->d_name, depth);
        lt_end(cx, scope);
    }
    if (d) closedir(d);
    if (!good || !transformer) return good;
    s->written = true;
    return write_config(cx, s->m, to) && write_weights(cx, s->m, to);
}

bool lt_model_save(lt_ctx *cx, lt_model *m, const char *path) { return lt_model_save_with(cx, m, path, NULL, NULL); }

bool lt_model_save_with(lt_ctx *cx, lt_model *m, const char *path, lt_fill_fn *fill, void *arg)
{
    if (!m || !lt_ok(cx)) return false;
    if (is_same(path, m->info.path)) return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: is the model itself: another folder is expected", path);
    lt_scope scope = lt_open(cx, NULL);
    saving s = {.m = m};
    static const char *const proofs[] = {"config.json", "modules.json", LT_RUN_MARK};
    const char *proof = proofs[0];
    for (int i = 1; i < 3; i++)
        if (lt_is_file(lt_path_join(cx, path, proofs[i]))) proof = proofs[i];
    lt_outdir *out = lt_ok(cx) ? lt_outdir_open(cx, path, proof) : NULL;
    bool good = out && copy_folder(cx, &s, m->info.path, lt_outdir_path(out), 0) &&
                lt_fail_if(cx, !s.written, LT_ERR_UNSUPPORTED, "%s: the transformer's folder is not one that can be written: %s", m->info.path, m->root) &&
                (!fill || fill(arg, cx, lt_outdir_path(out)));
    lt_end(cx, scope);
    return good ? lt_outdir_commit(out) : (lt_outdir_abort(out), false);
}
