/* Keys and values of one layer, a growing array a sequence. Rows may come in any number at a time (a prompt, a step, a draft) and for
 * any of the sequences; attention then runs over the rows of the slots that the batch continues. */
#include "nn/mixer/kv.h"

#include <inttypes.h>
#include <string.h>

typedef struct kv_slot {
    char *k, *v; /* [room, width] */
    int64_t rows, room;
} kv_slot;

typedef struct kv {
    lt_memory base;
    lt_dtype dtype;
    int64_t width;   /* kv_heads · dim */
    size_t row;      /* bytes */
    int n;
    kv_slot slot[];
} kv;

static bool reserve(lt_ctx *cx, const kv *m, kv_slot *s, int64_t rows)
{
    if (rows <= s->room) return true;
    int64_t room = rows > 2 * s->room ? rows : 2 * s->room;
    char *k = lt_resize(cx, s->k, room, m->row);
    if (k) s->k = k;
    char *v = k ? lt_resize(cx, s->v, room, m->row) : NULL;
    if (!v) return false;
    s->v = v;
    s->room = room;
    return true;
}

static void close_memory(lt_memory *mem)
{
    kv *m = (kv *)mem;
    for (int i = 0; m && i < m->n; i++) {
        lt_free(m->slot[i].k);
        lt_free(m->slot[i].v);
    }
    lt_free(m);
}

static lt_memory *open_memory(lt_ctx *cx, const lt_mixer *mixer, int n, int64_t rows)
{
    kv *m = lt_new(cx, 1, sizeof *m + (size_t)n * sizeof *m->slot);
    if (!m) return NULL;
    m->base.kind = &lt_memory_kv;
    m->dtype = mixer->k.dtype;
    m->width = (int64_t)mixer->kv_heads * mixer->dim;
    m->row = (size_t)m->width * lt_dtype_size(m->dtype);
    m->n = n;
    for (int i = 0; i < n; i++)
        if (!reserve(cx, m, &m->slot[i], rows)) {
            close_memory(&m->base);
            return NULL;
        }
    return &m->base;
}

static bool is_slot(const kv *m, int i) { return i >= 0 && i < m->n; }

static bool cut(lt_memory *mem, int seq, int64_t rows)
{
    kv *m = (kv *)mem;
    if (!is_slot(m, seq) || rows < 0 || rows > m->slot[seq].rows) return false;
    m->slot[seq].rows = rows;
    return true;
}

static bool copy(lt_ctx *cx, lt_memory *mem, int from, int to)
{
    kv *m = (kv *)mem;
    if (!is_slot(m, from) || !is_slot(m, to)) return lt_fail_if(cx, true, LT_ERR_USAGE, "slots %d and %d of a memory of %d", from, to, m->n);
    const kv_slot *a = &m->slot[from];
    if (from == to) return true;
    if (!reserve(cx, m, &m->slot[to], a->rows)) return false;
    if (a->rows) {
        memcpy(m->slot[to].k, a->k, (size_t)a->rows * m->row);
        memcpy(m->slot[to].v, a->v, (size_t)a->rows * m->row);
    }
    m->slot[to].rows = a->rows;
    return true;
}

/* rows, width, element size as int64, then keys, then values. */
static bool save(lt_ctx *cx, const lt_memory *mem, int seq, lt_out *out)
{
    const kv *m = (const kv *)mem;
    if (!is_slot(m, seq)) return lt_fail_if(cx, true, LT_ERR_USAGE, "slot %d of a memory of %d", seq, m->n);
    const kv_slot *s = &m->slot[seq];
    int64_t head[3] = {s->rows, m->width, (int64_t)lt_dtype_size(m->dtype)};
    return lt_out_write(out, head, sizeof head) && lt_out_write(out, s->k, (size_t)s->rows * m->row) && lt_out_write(out, s->v, (size_t)s->rows * m->row);
}

static bool load(lt_ctx *cx, lt_memory *mem, int seq, const lt_map *in)
{
    kv *m = (kv *)mem;
    int64_t head[3];
    if (!is_slot(m, seq)) return lt_fail_if(cx, true, LT_ERR_USAGE, "slot %d of a memory of %d", seq, m->n);
    if (in->size < sizeof head) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %zu bytes, a header of %zu is expected", in->path, in->size, sizeof head);
    memcpy(head, in->data, sizeof head);
    if (head[1] != m->width || head[2] != (int64_t)lt_dtype_size(m->dtype))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: rows of %" PRId64 " elements of %" PRId64 " bytes, expected %" PRId64 " of %zu", in->path, head[1], head[2],
                          m->width, lt_dtype_size(m->dtype));
    if (head[0] < 0 || (uint64_t)head[0] > in->size / m->row || in->size - sizeof head != 2 * (size_t)head[0] * m->row)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %zu bytes do not hold %" PRId64 " rows of keys and values", in->path, in->size, head[0]);
    kv_slot *s = &m->slot[seq];
    if (!reserve(cx, m, s, head[0])) return false;
    if (head[0]) {
        memcpy(s->k, in->data + sizeof head, (size_t)head[0] * m->row);
        memcpy(s->v, in->data + sizeof head + (size_t)head[0] * m->row, (size_t)head[0] * m->row);
    }
    s->rows = head[0];
    return true;
}

const lt_memory_kind lt_memory_kv = {
    .is = {"memory", "kv", "keys and values of all rows, a growing array a sequence", "Vaswani et al. 2017, arXiv 1706.03762"},
    .open = open_memory,
    .cut = cut,
    .copy = copy,
    .save = save,
    .load = load,
    .close = close_memory,
};

/* ---- in attention ---- */

static bool append(lt_ctx *cx, kv *m, kv_slot *s, const lt_tensor *k, const lt_tensor *v, int64_t begin, int64_t n)
{
    if (!reserve(cx, m, s, s->rows + n)) return false;
    size_t elem = lt_dtype_size(m->dtype);
    for (int64_t r = 0; r < n; r++, s->rows++) {
        memcpy(s->k + (size_t)s->rows * m->row, (char *)k->data + (size_t)((begin + r) * k->stride[0]) * elem, m->row);
        memcpy(s->v + (size_t)s->rows * m->row, (char *)v->data + (size_t)((begin + r) * v->stride[0]) * elem, m->row);
    }
    return true;
}

bool lt_kv_extend(lt_ctx *cx, lt_memory *mem, const lt_seqs *s, lt_tensor **k, lt_tensor **v, lt_seqs **all)
{
    kv *m = (kv *)mem;
    if (mem->kind != &lt_memory_kv || (*k)->dtype != m->dtype || (*k)->shape[1] != m->width)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "this memory was not opened for this attention");
    int32_t *len = lt_alloc_array(cx, s->n, sizeof *len);
    for (int32_t i = 0; len && i < s->n; i++) {
        int32_t slot = s->slot ? s->slot[i] : i;
        if (!is_slot(m, slot)) return lt_fail_if(cx, true, LT_ERR_USAGE, "sequence %d continues slot %d of a memory of %d", i, slot, m->n);
        if (!append(cx, m, &m->slot[slot], *k, *v, s->offset[i], s->offset[i + 1] - s->offset[i])) return false;
        len[i] = (int32_t)m->slot[slot].rows;
    }
    *all = len ? lt_seqs_new(cx, s->n, len) : NULL;
    *k = *all ? lt_tensor_2d(cx, m->dtype, lt_seqs_rows(*all), m->width) : NULL;
    *v = *k ? lt_tensor_2d(cx, m->dtype, lt_seqs_rows(*all), m->width) : NULL;
    for (int32_t i = 0; *v && i < s->n; i++) {
        const kv_slot *from = &m->slot[s->slot ? s->slot[i] : i];
        if (!from->rows) continue;
        memcpy((char *)(*k)->data + (size_t)(*all)->offset[i] * m->row, from->k, (size_t)from->rows * m->row);
        memcpy((char *)(*v)->data + (size_t)(*all)->offset[i] * m->row, from->v, (size_t)from->rows * m->row);
    }
    return *v != NULL;
}
