/* The roster: ids and lengths of all documents, read once and kept while the file stays as it is. SQLite's data_version tells
 * when another process has committed; our own writes forget it. */
#include "retrieve/index.h"

#include <limits.h>
#include <stdlib.h>

void lt_roster_free(struct lt_roster *r)
{
    for (int32_t i = 0; r->docid && i < r->n; i++) lt_free(r->docid[i]);
    lt_free(r->id);
    lt_free(r->terms);
    lt_free(r->docid);
    *r = (struct lt_roster){0};
}

static bool data_version(lt_ctx *cx, lt_index *x, int64_t *version)
{
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_DATA_VERSION);
    if (!s || lt_sql_step(cx, x, s) != SQLITE_ROW) return false;
    *version = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return true;
}

static bool grow(lt_ctx *cx, struct lt_roster *r, int32_t *capacity)
{
    int32_t want = *capacity ? *capacity > INT32_MAX / 2 ? INT32_MAX : *capacity * 2 : 1024;
    int64_t *id = lt_resize(cx, r->id, want, sizeof *id);
    if (id) r->id = id;
    int32_t *terms = id ? lt_resize(cx, r->terms, want, sizeof *terms) : NULL;
    if (terms) r->terms = terms;
    if (terms) *capacity = want;
    return terms != NULL;
}

static bool read_rows(lt_ctx *cx, lt_index *x, struct lt_roster *r)
{
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_ROSTER);
    int32_t capacity = 0;
    int64_t sum = 0;
    int rc = SQLITE_DONE;
    if (!s) return false;
    while (lt_ok(cx) && (rc = lt_sql_step(cx, x, s)) == SQLITE_ROW) {
        if (r->n == INT32_MAX) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: more than %d documents", x->path, INT32_MAX);
        if (r->n == capacity && !grow(cx, r, &capacity)) return false;
        int64_t terms = sqlite3_column_int64(s, 1);
        if (terms < 0 || terms > INT32_MAX)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the index is damaged: a document of %lld terms", x->path,
                              (long long)terms);
        r->id[r->n] = sqlite3_column_int64(s, 0);
        r->terms[r->n++] = (int32_t)terms;
        sum += terms;
    }
    sqlite3_reset(s);
    r->mean = r->n ? (double)sum / r->n : 0;
    r->docid = lt_ok(cx) ? lt_new(cx, r->n, sizeof *r->docid) : NULL;
    return rc == SQLITE_DONE && r->docid;
}

bool lt_roster_load(lt_ctx *cx, lt_index *x)
{
    int64_t version;
    /* A transaction sees what was committed when it first reads, so this comes before the question whether that is news. */
    sqlite3_stmt *touch = lt_sql(cx, x, LT_SQL_COUNT);
    if (!touch || lt_sql_step(cx, x, touch) != SQLITE_ROW) return false;
    sqlite3_reset(touch);
    if (!data_version(cx, x, &version)) return false;
    if (x->roster.loaded && x->roster.version == version) return true;
    lt_index_forget(x);
    x->roster.loaded = read_rows(cx, x, &x->roster);
    x->roster.version = version;
    if (!x->roster.loaded) lt_roster_free(&x->roster);
    return x->roster.loaded;
}

int32_t lt_roster_find(const struct lt_roster *r, int64_t id, int32_t from)
{
    if (from < r->n && r->id[from] == id) return from;
    for (int32_t low = from, high = r->n; low < high;) {
        int32_t middle = low + (high - low) / 2;
        if (r->id[middle] == id) return middle;
        if (r->id[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *lt_roster_docid(lt_ctx *cx, lt_index *x, int32_t doc)
{
    char **place = &x->roster.docid[doc];
    if (*place) return *place;
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_DOCID);
    size_t size;
    if (!s) return NULL;
    sqlite3_bind_int64(s, 1, x->roster.id[doc]);
    int rc = lt_sql_step(cx, x, s);
    if (rc == SQLITE_ROW)
        *place = lt_strdup(cx, lt_sql_column(s, 0, &size));
    else if (rc == SQLITE_DONE)
        lt_fail(cx, LT_ERR_INPUT, "%s: the index is damaged: document %lld is missing", x->path, (long long)x->roster.id[doc]);
    sqlite3_reset(s);
    return *place;
}
