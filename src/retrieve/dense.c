/* Dense search, exact: dot products of the query's vector with every document's, by the engine's own matrix product. Vectors
 * are packed for it in blocks, which are threads' work too; they stay in memory when they fit, else they are read block by
 * block each time. A score's bits depend on neither. */
#include "retrieve/index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 256 << 10 }; /* vectors of one block */

struct scoring {
    const lt_kernels *kn;
    const float *query;
    float *const *block;    /* packed */
    int64_t rows, first, n; /* of a block; the first document of block[0]; all documents */
    int dim;
    double *score;
};

void lt_vectors_free(struct lt_vectors *v)
{
    for (int64_t i = 0; v->block && i < v->blocks; i++) lt_free(v->block[i]);
    lt_free(v->block);
    *v = (struct lt_vectors){0};
}

static void score_block(void *arg, lt_ctx *cx, int64_t i)
{
    const struct scoring *s = arg;
    int64_t from = s->first + i * s->rows, n = s->n - from < s->rows ? s->n - from : s->rows;
    lt_scope scope = lt_open(cx, NULL);
    float *out = lt_alloc_array(cx, n, sizeof *out);
    if (out) s->kn->gemm(1, n, s->dim, s->query, s->dim, s->block[i], out, n, NULL);
    for (int64_t k = 0; out && k < n; k++) s->score[from + k] = isfinite(out[k]) ? out[k] : NAN;
    lt_end(cx, scope);
}

/* Reads the next n vectors, which must be those of documents from … from+n-1, and packs them. */
static float *read_block(lt_ctx *cx, lt_index *x, sqlite3_stmt *s, const lt_kernels *kn, int64_t from, int64_t n)
{
    int dim = x->info.dim;
    lt_scope scope = lt_open(cx, NULL);
    float *rows = lt_alloc_array(cx, n * dim, sizeof *rows), *packed = lt_new(cx, lt_panels(kn, n) * kn->nr * dim, sizeof *packed);
    bool good = rows && packed;
    for (int64_t i = 0; i < n && good; i++) {
        int rc = lt_sql_step(cx, x, s);
        const void *blob = rc == SQLITE_ROW ? sqlite3_column_blob(s, 1) : NULL;
        good =
            blob && sqlite3_column_int64(s, 0) == x->roster.id[from + i] && sqlite3_column_bytes(s, 1) == dim * (int)sizeof *rows;
        if (good)
            memcpy(rows + i * dim, blob, (size_t)dim * sizeof *rows);
        else if (lt_ok(cx))
            lt_fail(cx, LT_ERR_INPUT, "%s: the index is damaged: document %lld has no vector of %d numbers", x->path,
                    (long long)x->roster.id[from + i], dim);
    }
    if (good) kn->pack(n, dim, rows, dim, 1, packed);
    lt_end(cx, scope);
    if (good) return packed;
    lt_free(packed);
    return NULL;
}

/* Reads blocks and scores them: all at once, to keep them, or slab by slab. */
static bool read_and_score(lt_ctx *cx, lt_index *x, struct scoring *s, int64_t blocks, bool keep)
{
    int64_t slab = keep || blocks < x->vector_slab ? blocks : x->vector_slab;
    struct lt_vectors v = {.block = lt_new(cx, slab, sizeof *v.block)};
    sqlite3_stmt *st = lt_sql(cx, x, LT_SQL_VECTORS);
    bool good = v.block && st;
    for (int64_t done = 0; done < blocks && good; done += v.blocks) {
        for (int64_t i = 0; i < v.blocks; i++) lt_free(v.block[i]);
        memset(v.block, 0, (size_t)slab * sizeof *v.block);
        s->first = done * s->rows;
        v.blocks = blocks - done < slab ? blocks - done : slab;
        for (int64_t i = 0; i < v.blocks && good; i++) {
            int64_t from = s->first + i * s->rows;
            v.block[i] = read_block(cx, x, st, s->kn, from, s->n - from < s->rows ? s->n - from : s->rows);
            good = v.block[i] && lt_ok(cx);
        }
        s->block = v.block;
        good = good && lt_parallel(cx, v.blocks, score_block, s);
    }
    if (st) sqlite3_reset(st);
    if (good && keep) {
        x->vectors = v;
        x->vectors.loaded = true;
        return true;
    }
    lt_vectors_free(&v);
    return good;
}

lt_ranked *lt_dense_rank(lt_ctx *cx, lt_index *x, const float *query, int32_t exclude, int k, int *hits)
{
    const struct lt_roster *r = &x->roster;
    *hits = 0;
    lt_scope scope = lt_open(cx, "dense");
    struct scoring s = {.kn = lt_kernels_of(cx, LT_F32), .query = query, .n = r->n, .dim = x->info.dim};
    s.score = lt_alloc_array(cx, r->n, sizeof *s.score);
    if (!s.kn || !s.score) {
        lt_end(cx, scope);
        return NULL;
    }
    s.rows = BLOCK_BYTES / ((int64_t)s.dim * (int64_t)sizeof(float)) / s.kn->nr * s.kn->nr;
    if (s.rows < s.kn->nr) s.rows = s.kn->nr;
    int64_t blocks = (s.n + s.rows - 1) / s.rows;
    bool fits = (size_t)s.n * (size_t)s.dim * sizeof(float) <= x->vector_limit, good;
    s.block = x->vectors.block;
    if (x->vectors.loaded)
        good = lt_parallel(cx, blocks, score_block, &s);
    else
        good = read_and_score(cx, x, &s, blocks, fits);
    lt_ranked *best = good ? lt_top(cx, x, s.score, r->n, exclude, k, hits) : NULL;
    return lt_end_keep(cx, scope, best, best ? (size_t)*hits * sizeof *best : 0);
}
