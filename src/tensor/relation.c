/* Relations between the rows of a sequence: softmax(q kᵀ / √d) of one model held against another's, as MiniLM distils attention (Wang et al. 2020).
 * Both are [rows, rows] whatever the widths of the models. They are computed a block of rows at a time, forward and again backward, so that no matrix of
 * scores outlives its block: with G = (P - P_teacher) / (√d · heads · rows), dq = G k and dk = Gᵀ q. */
#include "tensor/attend.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct relation {
    const lt_kernels *kn;
    const lt_seqs *seqs;
    const lt_tensor *q, *k, *tq, *tk;
    int heads;
    double factor;
    double *part;       /* [sequences · heads], forward */
    lt_tensor *dq, *dk; /* backward; NULL: not wanted */
    double by;          /* what gradients are multiplied by */
} relation;

enum { BLOCK_MOST = 128, BLOCK_SCORES = 1 << 15 };

typedef struct side { /* one model's scores and probabilities of a block of rows */
    const lt_tensor *q, *k;
    int64_t dim;
    char *keys, *score, *p;
} side;

static bool take_side(lt_ctx *cx, const lt_kernels *kn, side *s, const lt_tensor *q, const lt_tensor *k, int heads, int64_t rows, int64_t block)
{
    s->q = q;
    s->k = k;
    s->dim = q->shape[1] / heads;
    return (s->keys = lt_alloc(cx, lt_packed_bytes(kn, rows, s->dim))) && (s->score = lt_alloc(cx, (size_t)(block * rows) * kn->elem)) &&
           (s->p = lt_alloc(cx, (size_t)(block * rows) * kn->elem));
}

static void score_block(const lt_kernels *kn, const side *s, int64_t row, int64_t n, int64_t rows, int head)
{
    kn->gemm(n, rows, s->dim, lt_attend_at(s->q, row, head * s->dim), s->q->stride[0], s->keys, s->score, rows, NULL);
    kn->scale(n * rows, 1 / sqrt((double)s->dim), s->score, s->score);
    kn->softmax(n, rows, s->score, s->p);
}

/* log Σ exp of a row's scores: the largest has the largest probability, and that is not small. */
static double log_sum(const lt_kernels *kn, const side *s, int64_t at, int64_t n)
{
    int64_t most = at;
    for (int64_t j = at; j < at + n; j++)
        if (lt_read(kn, s->score, j) > lt_read(kn, s->score, most)) most = j;
    return lt_read(kn, s->score, most) - log(lt_read(kn, s->p, most));
}

static double divergence(const lt_kernels *kn, const side *student, const side *teacher, int64_t at, int64_t n)
{
    double sum = log_sum(kn, student, at, n) - log_sum(kn, teacher, at, n);
    for (int64_t j = at; j < at + n; j++) sum += lt_read(kn, teacher->p, j) * (lt_read(kn, teacher->score, j) - lt_read(kn, student->score, j));
    return sum > 0 || isnan(sum) ? sum : 0; /* it is no less, but for rounding */
}

static void one_head(void *arg, lt_ctx *cx, int64_t i)
{
    const relation *r = arg;
    const lt_kernels *kn = r->kn;
    const int32_t seq = (int32_t)(i / r->heads);
    const int head = (int)(i % r->heads);
    const int64_t first = r->seqs->offset[seq], rows = r->seqs->offset[seq + 1] - first;
    int64_t block = BLOCK_SCORES / (rows + 1) + 16;
    if (block > BLOCK_MOST) block = BLOCK_MOST;
    side s, t;
    if (r->part) r->part[i] = 0;
    if (rows == 0 || !take_side(cx, kn, &s, r->q, r->k, r->heads, rows, block) || !take_side(cx, kn, &t, r->tq, r->tk, r->heads, rows, block)) return;
    kn->pack(rows, s.dim, lt_attend_at(s.k, first, head * s.dim), s.k->stride[0], 1, s.keys);
    kn->pack(rows, t.dim, lt_attend_at(t.k, first, head * t.dim), t.k->stride[0], 1, t.keys);
    char *by_row = r->dq ? lt_alloc(cx, lt_packed_bytes(kn, s.dim, rows)) : NULL, *packed = r->dk ? lt_alloc(cx, lt_packed_bytes(kn, s.dim, block)) : NULL;
    if ((r->dq && !by_row) || (r->dk && !packed)) return;
    if (by_row) kn->pack(s.dim, rows, lt_attend_at(s.k, first, head * s.dim), 1, s.k->stride[0], by_row);
    for (int64_t row = 0, n; row < rows; row += n) {
        n = rows - row < block ? rows - row : block;
        score_block(kn, &s, first + row, n, rows, head);
        score_block(kn, &t, first + row, n, rows, head);
        for (int64_t k = 0; r->part && k < n; k++) r->part[i] += divergence(kn, &s, &t, k * rows, rows) / ((double)r->heads * (double)rows);
        if (r->part) continue;
        const double by = r->by / (sqrt((double)s.dim) * (double)r->heads * (double)rows);
        kn->axpy(n * rows, -1, t.p, s.p); /* first, so that equals give zero */
        kn->scale(n * rows, by, s.p, s.p);
        if (r->dq) kn->gemm(n, s.dim, rows, s.p, rows, by_row, lt_attend_at(r->dq, first + row, head * s.dim), r->dq->stride[0], NULL);
        if (r->dk)
            lt_add_turned(kn, rows, s.dim, s.p, n, lt_attend_at(s.q, first + row, head * s.dim), s.q->stride[0], s.score, packed,
                          lt_attend_at(r->dk, first, head * s.dim), r->dk->stride[0]);
    }
}

static bool back_relation(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    relation r = *(const relation *)node->attributes;
    for (int i = 0; i < 2; i++)
        if (lt_wants(node, i) && !(dx[i] = i ? lt_gradient_zero(cx, node, i) : lt_gradient(cx, node, i))) return false;
    r.dq = dx[0];
    r.dk = dx[1];
    r.by = r.factor * lt_read(r.kn, dy->data, 0);
    r.part = NULL;
    return lt_parallel(cx, (int64_t)r.seqs->n * r.heads, one_head, &r);
}

static const lt_op op_relation = {"relation", back_relation};

lt_tensor *lt_relation(lt_ctx *cx, lt_tensor *q, lt_tensor *k, lt_tensor *tq, lt_tensor *tk, const lt_seqs *s, int heads, double factor)
{
    if (!q || !k || !tq || !tk) return NULL;
    const int64_t rows = lt_seqs_rows(s);
    lt_tensor *const all[] = {q, k, tq, tk};
    for (int i = 0; i < 4; i++)
        if (all[i]->rank != 2 || all[i]->shape[0] != rows || all[i]->dtype != q->dtype || heads < 1 || all[i]->shape[1] % heads || all[i]->shape[1] != all[i & 2]->shape[1] || all[i]->stride[1] != 1)
            return lt_fail(cx, LT_ERR_USAGE, "relation: %s, with %" PRId64 " rows and %d heads", lt_shape(cx, all[i]), rows, heads);
    relation r = {.kn = lt_kernels_of(cx, q->dtype), .seqs = s, .q = q, .k = k, .tq = tq, .tk = tk, .heads = heads, .factor = factor};
    lt_tensor *out = lt_tensor_new(cx, q->dtype, 1, (int64_t[]){1});
    r.part = lt_alloc_array(cx, (int64_t)s->n * heads, sizeof *r.part);
    if (!r.kn || !out || !r.part || !lt_parallel(cx, (int64_t)s->n * heads, one_head, &r)) return NULL;
    double sum = 0;
    for (int64_t i = 0; i < (int64_t)s->n * heads; i++) sum += r.part[i];
    if (out->dtype == LT_F64) *(double *)out->data = sum * factor;
    else *(float *)out->data = (float)(sum * factor);
    return lt_record(cx, &op_relation, out, 2, (lt_tensor *const[]){q, k}, &r, sizeof r);
}
