/* Talking to SQLite: prepared statements that are kept, transactions, and SQLite's result codes as this library's errors. */
#include "retrieve/index.h"

#include <string.h>

static const char *const text_of[LT_SQL_STATEMENTS] = {
    [LT_SQL_FIND] = "SELECT id, title, text FROM documents WHERE docid = ?1",
    [LT_SQL_INSERT] = "INSERT INTO documents(docid, title, text) VALUES(?1, ?2, ?3)",
    [LT_SQL_UPDATE] = "UPDATE documents SET title = ?2, text = ?3 WHERE id = ?1",
    [LT_SQL_DELETE] = "DELETE FROM documents WHERE id = ?1",
    [LT_SQL_KEYWORD_ADD] = "INSERT INTO keyword(rowid, title, text) VALUES(?1, ?2, ?3)",
    [LT_SQL_KEYWORD_DELETE] = "INSERT INTO keyword(keyword, rowid, title, text) VALUES('delete', ?1, ?2, ?3)",
    [LT_SQL_LENGTH_SET] = "INSERT OR REPLACE INTO lengths(id, terms) VALUES(?1, ?2)",
    [LT_SQL_LENGTH_DELETE] = "DELETE FROM lengths WHERE id = ?1",
    [LT_SQL_VECTOR_SET] = "INSERT OR REPLACE INTO vectors(id, vector) VALUES(?1, ?2)",
    [LT_SQL_VECTOR_DELETE] = "DELETE FROM vectors WHERE id = ?1",
    [LT_SQL_META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [LT_SQL_META_SET] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
    [LT_SQL_DATA_VERSION] = "PRAGMA data_version",
    [LT_SQL_ROSTER] = "SELECT id, terms FROM lengths ORDER BY id",
    [LT_SQL_POSTINGS] = "SELECT doc FROM temp.postings WHERE term = ?1",
    [LT_SQL_VECTORS] = "SELECT id, vector FROM vectors ORDER BY id",
    [LT_SQL_DOCID] = "SELECT docid FROM documents WHERE id = ?1",
    [LT_SQL_DOCUMENT] = "SELECT title, text FROM documents WHERE id = ?1",
    [LT_SQL_COUNT] = "SELECT count(*) FROM lengths",
};

bool lt_sql_fail(lt_ctx *cx, lt_index *x, const char *doing, int rc)
{
    const char *p = x->path;
    switch (rc & 0xFF) {
    case SQLITE_NOMEM:
        return lt_fail_if(cx, true, LT_ERR_MEMORY, "%s: %s: no memory", p, doing);
    case SQLITE_FULL:
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s: the disk is full", p, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s: another process is using the index (waited %d s)", p, doing,
                          LT_BUSY_MS / 1000);
    case SQLITE_NOTADB:
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: not an index made by lathe (no SQLite file)", p);
    case SQLITE_CORRUPT:
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s: the index is damaged (%s); make it anew", p, doing,
                          sqlite3_errmsg(x->db));
    case SQLITE_TOOBIG:
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s: a document is too large", p, doing);
    case SQLITE_READONLY:
        if (rc == SQLITE_READONLY_DBMOVED)
            return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s: another process has replaced the index meanwhile", p, doing);
        if (rc == SQLITE_READONLY_ROLLBACK || rc == SQLITE_READONLY_RECOVERY)
            return lt_fail_if(
                cx, true, LT_ERR_IO,
                "%s: a writer was interrupted; open the index once where it can be written, to take back the unfinished change", p);
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s: the index cannot be written", p, doing);
    case SQLITE_ERROR:
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s: %s", p, doing, sqlite3_errmsg(x->db));
    default:
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s: %s", p, doing, sqlite3_errstr(rc));
    }
}

sqlite3_stmt *lt_sql(lt_ctx *cx, lt_index *x, enum lt_sql which)
{
    sqlite3_stmt **s = &x->statement[which];
    if (!*s) {
        int rc = sqlite3_prepare_v3(x->db, text_of[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
        if (rc != SQLITE_OK) {
            lt_sql_fail(cx, x, "cannot use the index", rc);
            return NULL;
        }
    }
    sqlite3_reset(*s);
    sqlite3_clear_bindings(*s);
    return *s;
}

bool lt_sql_exec(lt_ctx *cx, lt_index *x, const char *sql)
{
    int rc = sqlite3_exec(x->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || lt_sql_fail(cx, x, "cannot use the index", rc);
}

int lt_sql_step(lt_ctx *cx, lt_index *x, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        lt_sql_fail(cx, x, sqlite3_stmt_readonly(s) ? "cannot read the index" : "cannot change the index", rc);
    return rc;
}

bool lt_sql_run(lt_ctx *cx, lt_index *x, sqlite3_stmt *s)
{
    int rc;
    if (!s) return false;
    while ((rc = lt_sql_step(cx, x, s)) == SQLITE_ROW) continue;
    sqlite3_reset(s);
    return rc == SQLITE_DONE;
}

bool lt_begin(lt_ctx *cx, lt_index *x, bool write)
{
    int rc = sqlite3_exec(x->db, write ? "BEGIN IMMEDIATE" : "BEGIN", NULL, NULL, NULL);
    return rc == SQLITE_OK || lt_sql_fail(cx, x, write ? "cannot change the index" : "cannot read the index", rc);
}

bool lt_commit(lt_ctx *cx, lt_index *x)
{
    int rc = sqlite3_exec(x->db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK) return true;
    lt_sql_fail(cx, x, "cannot change the index", rc);
    lt_rollback(x);
    return false;
}

void lt_rollback(lt_index *x)
{
    for (int i = 0; i < LT_SQL_STATEMENTS; i++) sqlite3_reset(x->statement[i]);
    if (!sqlite3_get_autocommit(x->db)) sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL);
}

void lt_sql_bind_text(sqlite3_stmt *s, int i, const char *text, size_t size)
{
    sqlite3_bind_text64(s, i, text, size, SQLITE_STATIC, SQLITE_UTF8);
}

const char *lt_sql_column(sqlite3_stmt *s, int i, size_t *size)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    *size = text ? (size_t)sqlite3_column_bytes(s, i) : 0;
    return text ? text : "";
}
