/* BM25 (Robertson & Zaragoza 2009) in the form Lucene and Anserini use: Σ over the query's terms, each as often as it is
 * there, of ln(1 + (N − df + ½) / (df + ½)) · tf / (tf + k1 (1 − b + b · length / mean length)). Posting lists come from FTS5
 * through its vocabulary table and are kept, decoded, between queries; scores add up document by document in the order of the
 * query's terms. */
#include "base/hash.h"
#include "retrieve/index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the query --------------------------------------------------------------------------------------------------- */

enum { MOST_QUERY = 1 << 20, MOST_TERMS = 4096 }; /* bytes, distinct terms; what comes after is left out */

struct parse {
    lt_ctx *cx;
    lt_query *q;
};

static bool same(const char *a, int n, const char *b, int m) { return n == m && !memcmp(a, b, (size_t)n); }

/* Where a term's place stands in the table, or would. */
static int32_t *place_in_query(const lt_query *q, const char *term, int size)
{
    int at = (int)(lt_hash(term, (size_t)size) & (uint32_t)(q->places - 1));
    for (; q->place[at] >= 0; at = (at + 1) & (q->places - 1)) {
        const lt_query_term *t = &q->term[q->place[at]];
        if (same(t->text, t->size, term, size)) break;
    }
    return &q->place[at];
}

int lt_query_find(const lt_query *q, const char *term, int size) { return *place_in_query(q, term, size); }

static int take_term(void *arg, int flags, const char *text, int size, int start, int end)
{
    struct parse *p = arg;
    lt_query *q = p->q;
    int32_t *place = place_in_query(q, text, size);
    if (*place >= 0) {
        q->term[*place].count++;
        return SQLITE_OK;
    }
    if (q->n == MOST_TERMS) return SQLITE_OK;
    char *copy = lt_alloc(p->cx, (size_t)size + 1);
    if (!copy) return SQLITE_NOMEM;
    memcpy(copy, text, (size_t)size);
    copy[size] = 0;
    *place = q->n;
    q->term[q->n++] = (lt_query_term){.text = copy, .size = size, .count = 1};
    return SQLITE_OK;
}

lt_query *lt_query_parse(lt_ctx *cx, lt_index *x, const char *text)
{
    size_t size = strnlen(text, MOST_QUERY);
    /* An analyser gives at most two terms a byte. */
    int most = size < MOST_TERMS / 2 ? 2 * (int)size : MOST_TERMS;
    lt_query *q = lt_alloc(cx, sizeof *q);
    if (!q) return NULL;
    *q = (lt_query){.term = lt_alloc_array(cx, most, sizeof *q->term), .places = 16};
    while (q->places < 2 * most) q->places *= 2;
    q->place = lt_alloc_array(cx, q->places, sizeof *q->place);
    if (!q->term || !q->place) return NULL;
    for (int i = 0; i < q->places; i++) q->place[i] = -1;
    struct parse p = {cx, q};
    int rc = lt_analyze(x->analyzer, text, size, take_term, &p);
    if (rc && lt_ok(cx)) lt_sql_fail(cx, x, "cannot analyse the query", rc);
    return rc ? NULL : q;
}

/* ---- posting lists ----------------------------------------------------------------------------------------------- */

static void list_free(lt_postings *l)
{
    if (!l) return;
    lt_free(l->term);
    lt_free(l->list);
    lt_free(l);
}

void lt_postings_free(struct lt_postings_cache *c)
{
    for (int64_t i = 0; i < c->places; i++) list_free(c->place[i]);
    lt_free(c->place);
    *c = (struct lt_postings_cache){0};
}

/* Where a term is, or would go. */
static lt_postings **place_of(const struct lt_postings_cache *c, const char *term, int size)
{
    uint64_t at = lt_hash(term, (size_t)size) & (uint64_t)(c->places - 1);
    while (c->place[at] && !same(c->place[at]->term, c->place[at]->term_size, term, size))
        at = (at + 1) & (uint64_t)(c->places - 1);
    return &c->place[at];
}

static bool make_room(lt_ctx *cx, struct lt_postings_cache *c)
{
    if (c->places && c->used < c->places / 2) return true;
    struct lt_postings_cache wide = {.places = c->places ? 2 * c->places : 1024, .used = c->used, .bytes = c->bytes};
    wide.place = lt_new(cx, wide.places, sizeof *wide.place);
    if (!wide.place) return false;
    for (int64_t i = 0; i < c->places; i++)
        if (c->place[i]) *place_of(&wide, c->place[i]->term, c->place[i]->term_size) = c->place[i];
    lt_free(c->place);
    *c = wide;
    return true;
}

/* FTS5 gives one row for each occurrence, documents ascending. */
static bool read_list(lt_ctx *cx, lt_index *x, lt_postings *l)
{
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_POSTINGS);
    int32_t capacity = 0, at = 0;
    int64_t last = 0;
    int rc;
    if (!s) return false;
    lt_sql_bind_text(s, 1, l->term, (size_t)l->term_size);
    while ((rc = lt_sql_step(cx, x, s)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        if (l->n && id == last) {
            l->list[l->n - 1].count++;
            continue;
        }
        int32_t doc = lt_roster_find(&x->roster, id, at);
        if (doc < 0)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the index is damaged: the keyword index names document %lld", x->path,
                              (long long)id);
        if (l->n == capacity) {
            capacity = capacity ? capacity > INT32_MAX / 2 ? INT32_MAX : 2 * capacity : 4;
            void *wide = lt_resize(cx, l->list, capacity, sizeof *l->list);
            if (!wide) return false;
            l->list = wide;
            if (!lt_ok(cx)) return false;
        }
        l->list[l->n++] = (lt_posting){doc, 1};
        at = doc + 1;
        last = id;
    }
    sqlite3_reset(s);
    if (rc == SQLITE_DONE && l->n && l->n < capacity) {
        void *fit = realloc(l->list, (size_t)l->n * sizeof *l->list);
        if (fit) l->list = fit;
    }
    return rc == SQLITE_DONE;
}

static const lt_postings *postings_of(lt_ctx *cx, lt_index *x, const char *term, int size)
{
    if (!make_room(cx, &x->postings)) return NULL;
    lt_postings **place = place_of(&x->postings, term, size);
    if (*place) return *place;
    lt_postings *l = lt_new(cx, 1, sizeof *l);
    if (!l) return NULL;
    l->term = lt_new(cx, size + 1, 1);
    l->term_size = size;
    if (l->term) memcpy(l->term, term, (size_t)size);
    if (!l->term || !read_list(cx, x, l)) {
        list_free(l);
        return NULL;
    }
    *place = l;
    x->postings.used++;
    x->postings.bytes += sizeof *l + (size_t)size + (size_t)l->n * sizeof *l->list;
    return l;
}

bool lt_query_load(lt_ctx *cx, lt_index *x, lt_query *q)
{
    /* Emptied between queries only: the lists of one query must all be there at once. */
    if (x->postings.bytes > x->postings_limit) lt_postings_free(&x->postings);
    for (int i = 0; i < q->n; i++) {
        lt_query_term *t = &q->term[i];
        t->postings = postings_of(cx, x, t->text, t->size);
        if (!t->postings) return false;
        double df = t->postings->n;
        t->idf = log(1 + (x->roster.n - df + 0.5) / (df + 0.5));
    }
    return true;
}

/* ---- ranking ----------------------------------------------------------------------------------------------------- */

bool lt_bm25_check(lt_ctx *cx, double k1, double b)
{
    bool good = k1 >= 0 && k1 <= 1e6 && b >= 0 && b <= 1; /* NaN is not */
    return lt_fail_if(cx, !good, LT_ERR_USAGE, "BM25: expected k1 >= 0 and b from 0 to 1, found %g and %g", k1, b);
}

lt_ranked *lt_keyword_rank(lt_ctx *cx, lt_index *x, const lt_query *q, double k1, double b, int32_t exclude, int k, int *hits)
{
    const struct lt_roster *r = &x->roster;
    lt_scope scope = lt_open(cx, "bm25");
    double *score = lt_alloc_array(cx, r->n, sizeof *score), *norm = lt_alloc_array(cx, r->n, sizeof *norm);
    *hits = 0;
    if (!score || !norm) {
        lt_end(cx, scope);
        return NULL;
    }
    for (int32_t i = 0; i < r->n; i++) {
        score[i] = NAN; /* no hit until a term of the query is found there */
        norm[i] = k1 * (1 - b + b * (r->mean > 0 ? r->terms[i] / r->mean : 0));
    }
    for (int i = 0; i < q->n; i++) {
        const lt_postings *l = q->term[i].postings;
        double weight = q->term[i].idf * q->term[i].count;
        for (int32_t p = 0; p < l->n; p++) {
            double tf = l->list[p].count, *s = &score[l->list[p].doc];
            double part = weight * tf / (tf + norm[l->list[p].doc]);
            *s = isnan(*s) ? part : *s + part;
        }
    }
    lt_ranked *best = lt_top(cx, x, score, r->n, exclude, k, hits);
    return lt_end_keep(cx, scope, best, best ? (size_t)*hits * sizeof *best : 0);
}
