/* Checking an index: SQLite's own examination of the file, FTS5's of the keyword index against the documents, and ours, that
 * lengths and vectors belong to the documents one to one. */
#include "retrieve/index.h"

#include <math.h>
#include <string.h>

static bool integrity(lt_ctx *cx, lt_index *x)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(x->db, "PRAGMA integrity_check(1)", -1, &s, NULL);
    if (!rc) rc = sqlite3_step(s);
    bool good = rc == SQLITE_ROW || lt_sql_fail(cx, x, "cannot check the index", rc);
    if (good) {
        size_t size;
        const char *word = lt_sql_column(s, 0, &size);
        good = lt_fail_if(cx, strcmp(word, "ok") != 0, LT_ERR_INPUT, "%s: the index is damaged: %.200s", x->path, word);
    }
    sqlite3_finalize(s);
    return good;
}

/* FTS5 is asked by an INSERT, which changes nothing but wants a file that can be written; where it cannot, a copy is asked. */
static bool keyword_index(lt_ctx *cx, lt_index *x)
{
    sqlite3 *db = x->db, *copy = NULL;
    int rc = SQLITE_OK;
    if (sqlite3_db_readonly(x->db, "main") == 1) {
        rc = sqlite3_open_v2("", &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
        sqlite3_backup *b = rc ? NULL : sqlite3_backup_init(copy, "main", x->db, "main");
        if (b) rc = sqlite3_backup_step(b, -1) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
        if (b && sqlite3_backup_finish(b) != SQLITE_OK) rc = sqlite3_errcode(copy);
        if (!rc && (!b || !lt_analyzers_register(cx, copy, NULL))) rc = SQLITE_NOMEM;
        db = copy;
    } else {
        rc = sqlite3_exec(db, "PRAGMA query_only = OFF", NULL, NULL, NULL);
    }
    if (!rc) rc = sqlite3_exec(db, "INSERT INTO keyword(keyword, rank) VALUES('integrity-check', 1)", NULL, NULL, NULL);
    if (!copy && x->mode == LT_INDEX_READ) sqlite3_exec(db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    sqlite3_close(copy);
    if ((rc & 0xFF) == SQLITE_CORRUPT)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the index is damaged: the keyword index does not match the documents",
                          x->path);
    return !rc || lt_sql_fail(cx, x, "cannot check the keyword index", rc);
}

/* A question whose answer must be 0. */
static bool none(lt_ctx *cx, lt_index *x, const char *sql, const char *what)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(x->db, sql, -1, &s, NULL);
    if (!rc) {
        sqlite3_bind_int64(s, 1, (int64_t)x->info.dim * (int64_t)sizeof(float));
        rc = sqlite3_step(s);
    }
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (rc != SQLITE_ROW) return lt_sql_fail(cx, x, "cannot check the index", rc);
    return lt_fail_if(cx, n > 0, LT_ERR_INPUT, "%s: the index is damaged: %lld %s", x->path, (long long)n, what);
}

static int count_term(void *arg, int flags, const char *term, int size, int start, int end)
{
    ++*(int64_t *)arg;
    return SQLITE_OK;
}

/* Every length is the number of terms of its document. */
static bool lengths(lt_ctx *cx, lt_index *x)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(x->db, "SELECT d.docid, d.title, d.text, l.terms FROM documents d JOIN lengths l USING (id)", -1,
                                &s, NULL);
    bool good = true;
    while (!rc && good && lt_ok(cx) && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        size_t id_size, title_size, text_size;
        int64_t n = 0;
        const char *id = lt_sql_column(s, 0, &id_size), *title = lt_sql_column(s, 1, &title_size),
                   *text = lt_sql_column(s, 2, &text_size);
        rc = lt_analyze(x->analyzer, title, title_size, count_term, &n);
        if (!rc) rc = lt_analyze(x->analyzer, text, text_size, count_term, &n);
        good = lt_fail_if(cx, !rc && n != sqlite3_column_int64(s, 3), LT_ERR_INPUT,
                          "%s: the index is damaged: document %s has %lld terms, not %lld", x->path, id, (long long)n,
                          (long long)sqlite3_column_int64(s, 3));
    }
    if (good && rc != SQLITE_DONE && lt_ok(cx)) lt_sql_fail(cx, x, "cannot check the index", rc);
    sqlite3_finalize(s);
    return lt_ok(cx);
}

bool lt_index_check(lt_ctx *cx, lt_index *x)
{
    if (!x || !lt_ok(cx)) return false;
    bool good = integrity(cx, x) && keyword_index(cx, x) && lt_begin(cx, x, false);
    good = good &&
           none(cx, x, "SELECT count(*) FROM documents WHERE id NOT IN (SELECT id FROM lengths)", "documents have no length") &&
           none(cx, x, "SELECT count(*) FROM lengths WHERE id NOT IN (SELECT id FROM documents)", "lengths have no document") &&
           none(cx, x, "SELECT count(*) FROM vectors WHERE id NOT IN (SELECT id FROM documents)", "vectors have no document") &&
           none(cx, x, "SELECT count(*) FROM documents WHERE ?1 > 0 AND id NOT IN (SELECT id FROM vectors)",
                "documents have no vector") &&
           none(cx, x, "SELECT count(*) FROM vectors WHERE typeof(vector) <> 'blob' OR length(vector) <> ?1",
                "vectors are of the wrong size") &&
           lengths(cx, x);
    lt_rollback(x); /* nothing was changed */
    return good;
}
