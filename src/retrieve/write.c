/* Writing: documents gather in memory, with their vectors, and go into the index in transactions of bounded size, so a crash at
 * any instant leaves whole documents, and another process waits for us no longer than one transaction. */
#include "retrieve/index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DOCUMENTS = 1000, MOST_BYTES = 8 << 20 }; /* of one transaction; a single larger document is one by itself */

/* ---- what waits -------------------------------------------------------------------------------------------------- */

/* Ill-formed bytes and NULs become U+FFFD: SQLite, and C strings, would end a text at a NUL. */
static void put_clean(lt_str *s, const char *text, size_t size)
{
    const char *end = text + size, *good = text;
    for (const char *p = text; p < end;) {
        uint32_t c;
        int n = lt_utf8_next(p, end, &c);
        bool bad = c == 0 || (c == 0xFFFD && !(n == 3 && !memcmp(p, "\xEF\xBF\xBD", 3)));
        if (bad) {
            lt_str_add(s, good, (size_t)(p - good));
            lt_str_puts(s, "\xEF\xBF\xBD");
            good = p + n;
        }
        p += n;
    }
    lt_str_add(s, good, (size_t)(end - good));
    lt_str_add(s, "", 1);
}

bool lt_pending_add(lt_ctx *cx, lt_pending *p, const lt_document *doc)
{
    if (!doc->id || !*doc->id) return lt_fail_if(cx, true, LT_ERR_INPUT, "a document without id");
    if (p->n == p->capacity) {
        int32_t want = p->capacity ? 2 * p->capacity : 64;
        void *wide = lt_resize(cx, p->doc, want, sizeof *p->doc);
        if (!wide) return false;
        p->doc = wide;
        p->capacity = want;
    }
    struct lt_pending_document *d = &p->doc[p->n];
    d->id = p->text.size;
    put_clean(&p->text, doc->id, strlen(doc->id));
    d->title = p->text.size;
    put_clean(&p->text, doc->title ? doc->title : "", doc->title ? doc->title_size : 0);
    d->text = p->text.size;
    put_clean(&p->text, doc->text ? doc->text : "", doc->text ? doc->text_size : 0);
    d->end = p->text.size;
    if (p->text.failed)
        return lt_fail_if(cx, true, LT_ERR_MEMORY, "document %s: no memory for its %zu bytes", doc->id, doc->text_size);
    p->n++;
    return true;
}

void lt_unit_vector(const float *v, int dim, float *out)
{
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)v[i] * v[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int i = 0; i < dim; i++) out[i] = (float)(v[i] * scale);
}

bool lt_pending_vector(lt_ctx *cx, lt_pending *p, int32_t i, const float *v, int dim, bool normalize)
{
    /* Room for as many vectors as documents: both grow alike. */
    if (i == 0 || (i & (i - 1)) == 0) {
        float *wide = lt_resize(cx, p->vectors, (int64_t)(i ? 2 * i : 1) * dim, sizeof *wide);
        if (!wide) return false;
        p->vectors = wide;
    }
    float *out = p->vectors + (int64_t)i * dim;
    for (int k = 0; k < dim; k++)
        if (!isfinite(v[k]))
            return lt_fail_if(cx, true, LT_ERR_INPUT, "document %s: the model's vector is not finite", p->text.data + p->doc[i].id);
    if (normalize)
        lt_unit_vector(v, dim, out);
    else
        memcpy(out, v, (size_t)dim * sizeof *v);
    return true;
}

bool lt_pending_full(const lt_pending *p) { return p->n >= MOST_DOCUMENTS || p->text.size >= MOST_BYTES; }

void lt_pending_clear(lt_pending *p)
{
    p->n = 0;
    lt_str_clear(&p->text);
}

void lt_pending_free(lt_pending *p)
{
    lt_str_free(&p->text);
    lt_free(p->doc);
    lt_free(p->vectors);
    *p = (lt_pending){0};
}

/* ---- one document ------------------------------------------------------------------------------------------------ */

/* Its id in the file, 0: not there. `old` is left at the row: its title and text must be told to FTS5 to be forgotten. */
static bool find(lt_ctx *cx, lt_index *x, const char *docid, int64_t *id, sqlite3_stmt **old)
{
    *old = lt_sql(cx, x, LT_SQL_FIND);
    if (!*old) return false;
    lt_sql_bind_text(*old, 1, docid, strlen(docid));
    int rc = lt_sql_step(cx, x, *old);
    *id = rc == SQLITE_ROW ? sqlite3_column_int64(*old, 0) : 0;
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool keyword(lt_ctx *cx, lt_index *x, enum lt_sql which, int64_t id, const char *title, size_t title_size, const char *text,
                    size_t text_size)
{
    sqlite3_stmt *s = lt_sql(cx, x, which);
    if (!s) return false;
    sqlite3_bind_int64(s, 1, id);
    lt_sql_bind_text(s, 2, title, title_size);
    lt_sql_bind_text(s, 3, text, text_size);
    return lt_sql_run(cx, x, s);
}

static bool forget_keywords(lt_ctx *cx, lt_index *x, int64_t id, sqlite3_stmt *old)
{
    size_t title_size, text_size;
    const char *title = lt_sql_column(old, 1, &title_size), *text = lt_sql_column(old, 2, &text_size);
    bool good = keyword(cx, x, LT_SQL_KEYWORD_DELETE, id, title, title_size, text, text_size);
    sqlite3_reset(old);
    return good;
}

static bool set_by_id(lt_ctx *cx, lt_index *x, enum lt_sql which, int64_t id, int64_t number, const float *vector)
{
    sqlite3_stmt *s = lt_sql(cx, x, which);
    if (!s) return false;
    sqlite3_bind_int64(s, 1, id);
    if (which == LT_SQL_LENGTH_SET) sqlite3_bind_int64(s, 2, number);
    if (vector) sqlite3_bind_blob64(s, 2, vector, (uint64_t)x->info.dim * sizeof *vector, SQLITE_STATIC);
    return lt_sql_run(cx, x, s);
}

static bool put(lt_ctx *cx, lt_index *x, const lt_pending *p, int32_t i, int64_t *added, int64_t *replaced)
{
    const struct lt_pending_document *d = &p->doc[i];
    const char *base = p->text.data, *docid = base + d->id, *title = base + d->title, *text = base + d->text;
    size_t title_size = d->text - d->title - 1, text_size = d->end - d->text - 1;
    int64_t id;
    sqlite3_stmt *old;
    if (!find(cx, x, docid, &id, &old)) return false;
    bool is_new = id == 0;
    if (!is_new && !forget_keywords(cx, x, id, old)) return false;
    sqlite3_stmt *s = lt_sql(cx, x, is_new ? LT_SQL_INSERT : LT_SQL_UPDATE);
    if (!s) return false;
    if (is_new)
        lt_sql_bind_text(s, 1, docid, d->title - d->id - 1);
    else
        sqlite3_bind_int64(s, 1, id);
    lt_sql_bind_text(s, 2, title, title_size);
    lt_sql_bind_text(s, 3, text, text_size);
    if (!lt_sql_run(cx, x, s)) return false;
    if (is_new) id = sqlite3_last_insert_rowid(x->db);
    x->counted = 0;
    if (!keyword(cx, x, LT_SQL_KEYWORD_ADD, id, title, title_size, text, text_size)) return false;
    if (!set_by_id(cx, x, LT_SQL_LENGTH_SET, id, x->counted, NULL)) return false;
    if (x->info.dim && !set_by_id(cx, x, LT_SQL_VECTOR_SET, id, 0, p->vectors + (int64_t)i * x->info.dim)) return false;
    *(is_new ? added : replaced) += 1;
    return true;
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

static bool settle(lt_ctx *cx, lt_index *x, bool good)
{
    if (good)
        good = lt_commit(cx, x);
    else
        lt_rollback(x);
    x->failed |= !good;
    lt_index_forget(x);
    return good;
}

bool lt_index_write(lt_ctx *cx, lt_index *x, lt_pending *p, int64_t *added, int64_t *replaced)
{
    int64_t fresh = 0, again = 0;
    bool good = lt_begin(cx, x, true);
    for (int32_t i = 0; i < p->n && good; i++) good = put(cx, x, p, i, &fresh, &again) && lt_ok(cx);
    good = settle(cx, x, good);
    lt_pending_clear(p);
    if (good && added) *added += fresh;
    if (good && replaced) *replaced += again;
    return good;
}

bool lt_index_set_dim(lt_ctx *cx, lt_index *x, int dim, bool dot)
{
    char number[20];
    if (x->info.dim == dim) return true;
    if (x->info.dim)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the index has vectors of %d numbers (model %s); this model gives %d",
                          x->path, x->info.dim, x->info.model ? x->info.model : "not named", dim);
    if (lt_index_about(x)->documents)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the index was made without vectors; add to it without a model", x->path);
    snprintf(number, sizeof number, "%d", dim);
    bool good =
        lt_begin(cx, x, true) && lt_meta_set(cx, x, "dim", number) && lt_meta_set(cx, x, "similarity", dot ? "dot" : "cosine");
    if (!settle(cx, x, good)) return false;
    x->info.dim = dim;
    x->dot = dot;
    return true;
}

static bool drop(lt_ctx *cx, lt_index *x, const char *docid, int64_t *deleted)
{
    int64_t id;
    sqlite3_stmt *old;
    if (!find(cx, x, docid, &id, &old)) return false;
    if (!id) return true;
    *deleted += 1;
    return forget_keywords(cx, x, id, old) && set_by_id(cx, x, LT_SQL_DELETE, id, 0, NULL) &&
           set_by_id(cx, x, LT_SQL_LENGTH_DELETE, id, 0, NULL) && set_by_id(cx, x, LT_SQL_VECTOR_DELETE, id, 0, NULL);
}

bool lt_index_delete(lt_ctx *cx, lt_index *x, const char *const *ids, int n, int64_t *deleted)
{
    for (int i = 0; i < n;) {
        int64_t gone = 0;
        bool good = lt_ok(cx) && lt_begin(cx, x, true);
        for (int end = n - i > MOST_DOCUMENTS ? i + MOST_DOCUMENTS : n; i < end && good; i++)
            good = drop(cx, x, ids[i], &gone) && lt_ok(cx);
        if (!settle(cx, x, good)) return false;
        if (deleted) *deleted += gone;
    }
    return true;
}
