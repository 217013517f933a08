/* Searching: a query becomes terms and, where vectors are wanted, a vector; one ranking or two fused ones become hits. All
 * that a search reads it reads in one transaction, so it sees one state of the file whatever other processes do. */
#include "retrieve/index.h"

#include <math.h>
#include <string.h>

/* The query's vector, as the documents' are: scoped. */
static float *embed(lt_ctx *cx, lt_index *x, const lt_model *m, const char *query, const lt_run_options *run)
{
    size_t size = strlen(query);
    lt_tensor *t = lt_embed(cx, m, &query, &size, 1, run);
    if (!t || !(t = lt_cast(cx, lt_contiguous(cx, t), LT_F32))) return NULL;
    int64_t dim = t->shape[1];
    if (dim != x->info.dim)
        return lt_fail(cx, LT_ERR_USAGE, "%s: the index has vectors of %d numbers (model %s); this model gives %lld", x->path,
                       x->info.dim, x->info.model ? x->info.model : "not named", (long long)dim);
    float *v = lt_alloc_array(cx, dim, sizeof *v);
    if (!v) return NULL;
    if (x->dot)
        memcpy(v, t->data, (size_t)dim * sizeof *v);
    else
        lt_unit_vector(t->data, (int)dim, v);
    return v;
}

/* The place of the document to leave out; -1: none. */
static bool find_excluded(lt_ctx *cx, lt_index *x, const char *docid, int32_t *place)
{
    *place = -1;
    if (!docid) return true;
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_FIND);
    if (!s) return false;
    lt_sql_bind_text(s, 1, docid, strlen(docid));
    int rc = lt_sql_step(cx, x, s);
    if (rc == SQLITE_ROW) *place = lt_roster_find(&x->roster, sqlite3_column_int64(s, 0), 0);
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* The best k of the mode's ranking; scoped. */
static lt_ranked *rank(lt_ctx *cx, lt_index *x, const lt_query *q, const float *vector, const lt_search_options *o, int k, int *n)
{
    double k1 = o->use_k1 ? o->k1 : x->info.k1, b = o->use_b ? o->b : x->info.b;
    int depth = o->depth > 0 ? o->depth : k > 1000 ? k : 1000, n_keyword, n_dense;
    int32_t exclude;
    if (!lt_bm25_check(cx, k1, b) || !find_excluded(cx, x, o->exclude, &exclude)) return NULL;
    if (o->mode == LT_SEARCH_BM25) return lt_keyword_rank(cx, x, q, k1, b, exclude, k, n);
    if (o->mode == LT_SEARCH_DENSE) return lt_dense_rank(cx, x, vector, exclude, k, n);
    lt_ranked *keyword = lt_keyword_rank(cx, x, q, k1, b, exclude, depth, &n_keyword);
    lt_ranked *dense = keyword ? lt_dense_rank(cx, x, vector, exclude, depth, &n_dense) : NULL;
    return dense ? lt_fuse(cx, keyword, n_keyword, dense, n_dense, o->rrf_k > 0 ? o->rrf_k : 60, k, n) : NULL;
}

static bool fill_hit(lt_ctx *cx, lt_index *x, const lt_query *q, const lt_search_options *o, const lt_ranked *r, lt_hit *hit)
{
    *hit = (lt_hit){.id = lt_sprintf(cx, "%s", r->docid), .title = "", .text = "", .score = r->score};
    if (o->ids_only) return hit->id;
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_DOCUMENT);
    if (!s) return false;
    sqlite3_bind_int64(s, 1, x->roster.id[r->doc]);
    int rc = lt_sql_step(cx, x, s);
    if (rc == SQLITE_ROW) {
        size_t title_size, text_size;
        const char *title = lt_sql_column(s, 0, &title_size), *text = lt_sql_column(s, 1, &text_size);
        hit->title = lt_sprintf(cx, "%s", title);
        hit->snippet = lt_snippet(cx, x, q, text, text_size, o->mode == LT_SEARCH_BM25);
        hit->text = lt_sprintf(cx, "%s", text);
    } else if (rc == SQLITE_DONE) {
        lt_fail(cx, LT_ERR_INPUT, "%s: the index is damaged: document %s is missing", x->path, r->docid);
    }
    sqlite3_reset(s);
    return lt_ok(cx);
}

static lt_hit *search(lt_ctx *cx, lt_index *x, const char *query, const float *vector, const lt_search_options *o, int *n)
{
    int k = o->k > 0 ? o->k : 10, found = 0;
    if (!lt_roster_load(cx, x)) return NULL;
    if (k > x->roster.n) k = x->roster.n;
    if (!k) return lt_alloc(cx, sizeof(lt_hit));
    if (!vector && o->mode != LT_SEARCH_BM25)
        return lt_fail(cx, LT_ERR_USAGE, "%s: %s", x->path,
                       x->info.dim ? "searching by vectors needs the model" : "the index has no vectors; bm25 it can do");
    lt_query *q = lt_query_parse(cx, x, query);
    bool wanted = o->mode != LT_SEARCH_DENSE || !o->ids_only; /* terms are also what snippets mark */
    if (!q || (wanted && !lt_query_load(cx, x, q))) return NULL;
    lt_ranked *r = rank(cx, x, q, vector, o, k, &found);
    lt_hit *hits = r ? lt_alloc_array(cx, found, sizeof *hits) : NULL;
    for (int i = 0; hits && i < found; i++)
        if (!fill_hit(cx, x, q, o, &r[i], &hits[i])) return NULL;
    if (hits) *n = found;
    return hits;
}

lt_hit *lt_search_with(lt_ctx *cx, lt_index *x, const char *query, const float *vector, const lt_search_options *options, int *n)
{
    static const lt_search_options none = {0};
    *n = 0;
    if (!x || !lt_ok(cx) || !lt_begin(cx, x, false)) return NULL;
    lt_hit *hits = search(cx, x, query, vector, options ? options : &none, n);
    lt_rollback(x); /* nothing was changed */
    return hits;
}

lt_hit *lt_search(lt_ctx *cx, lt_index *x, const lt_model *m, const char *query, const lt_search_options *options, int *n)
{
    *n = 0;
    if (!x || !lt_ok(cx)) return NULL;
    bool dense = options && options->mode != LT_SEARCH_BM25 && x->info.dim && m;
    float *vector = dense ? embed(cx, x, m, query, options->run) : NULL;
    if (dense && !vector) return NULL;
    return lt_search_with(cx, x, query, vector, options, n);
}
