/* Opening, making and closing an index: one SQLite file (https://sqlite.org/fileformat2.html) of a fixed schema. A file from
 * elsewhere is data to distrust: its schema must be exactly ours, and SQLite's own defences are on. A new index is built
 * under a temporary name beside its target and renamed when whole. */
#include "retrieve/index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retrieve/replace.h"

static const struct {
    const char *name, *sql;
} tables[] = {
    {"documents",
     "CREATE TABLE documents(id INTEGER PRIMARY KEY, docid TEXT NOT NULL UNIQUE, title TEXT NOT NULL, text TEXT NOT NULL)"},
    {"lengths", "CREATE TABLE lengths(id INTEGER PRIMARY KEY, terms INTEGER NOT NULL)"},
    {"vectors", "CREATE TABLE vectors(id INTEGER PRIMARY KEY, vector BLOB NOT NULL)"},
    {"meta", "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)"},
};
enum { TABLES = sizeof tables / sizeof *tables };
static const char KEYWORD[] =
    "CREATE VIRTUAL TABLE keyword USING fts5(title, text, content='documents', content_rowid='id', tokenize='%s')";

/* ---- meta -------------------------------------------------------------------------------------------------------- */

bool lt_meta_set(lt_ctx *cx, lt_index *x, const char *key, const char *value)
{
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_META_SET);
    if (!s) return false;
    lt_sql_bind_text(s, 1, key, strlen(key));
    lt_sql_bind_text(s, 2, value, strlen(value));
    return lt_sql_run(cx, x, s);
}

/* Owned; NULL without error where the key is absent. */
static char *meta_get(lt_ctx *cx, lt_index *x, const char *key)
{
    sqlite3_stmt *s = lt_sql(cx, x, LT_SQL_META_GET);
    char *value = NULL;
    size_t size;
    if (!s) return NULL;
    lt_sql_bind_text(s, 1, key, strlen(key));
    if (lt_sql_step(cx, x, s) == SQLITE_ROW) value = lt_strdup(cx, lt_sql_column(s, 0, &size));
    sqlite3_reset(s);
    return value;
}

static double meta_number(lt_ctx *cx, lt_index *x, const char *key, double min, double max)
{
    char *value = meta_get(cx, x, key), *end = value;
    double number = value ? strtod(value, &end) : 0;
    if (lt_ctx_status(cx) == LT_OK && (end == value || *end || !(number >= min && number <= max)))
        lt_fail(cx, LT_ERR_INPUT, "%s: meta %s: expected a number from %g to %g, found '%s'", x->path, key, min, max,
                value ? value : "nothing");
    lt_free(value);
    return number;
}

static bool meta_read(lt_ctx *cx, lt_index *x)
{
    x->info.k1 = meta_number(cx, x, "k1", 0, 1e6);
    x->info.b = meta_number(cx, x, "b", 0, 1);
    x->info.dim = (int)meta_number(cx, x, "dim", 0, 1 << 20);
    x->info.model = meta_get(cx, x, "model");
    char *similarity = meta_get(cx, x, "similarity");
    x->dot = similarity && !strcmp(similarity, "dot");
    lt_free(similarity);
    return lt_ctx_status(cx) == LT_OK;
}

static bool meta_write(lt_ctx *cx, lt_index *x)
{
    char k1[40], b[40];
    snprintf(k1, sizeof k1, "%.17g", x->info.k1);
    snprintf(b, sizeof b, "%.17g", x->info.b);
    return lt_meta_set(cx, x, "analyzer", x->info.analyzer) && lt_meta_set(cx, x, "k1", k1) && lt_meta_set(cx, x, "b", b) &&
           lt_meta_set(cx, x, "dim", "0") && (!x->info.model || lt_meta_set(cx, x, "model", x->info.model));
}

/* ---- the schema -------------------------------------------------------------------------------------------------- */

static int64_t pragma(lt_ctx *cx, lt_index *x, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t value = -1;
    int rc = sqlite3_prepare_v2(x->db, sql, -1, &s, NULL);
    if (!rc && (rc = sqlite3_step(s)) == SQLITE_ROW) value = sqlite3_column_int64(s, 0);
    if (rc != SQLITE_ROW) lt_sql_fail(cx, x, "cannot open the index", rc);
    sqlite3_finalize(s);
    return value;
}

/* Whether an object of the file's schema is one that we make; sets *analyzer at the keyword table. */
static bool is_ours(const char *type, const char *name, const char *sql, const char **analyzer)
{
    static const char *const shadow[] = {"keyword_data", "keyword_idx", "keyword_docsize", "keyword_config"};
    if (!strcmp(type, "index")) return !*sql && !strncmp(name, "sqlite_autoindex_", 17);
    if (strcmp(type, "table") != 0) return false;
    for (int i = 0; i < TABLES; i++)
        if (!strcmp(name, tables[i].name)) return !strcmp(sql, tables[i].sql);
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, shadow[i])) return !strncmp(sql, "CREATE TABLE 'keyword_", 22);
    if (strcmp(name, "keyword") != 0) return false;
    for (const char *const *a = lt_analyzer_names(); *a; a++) {
        char want[300];
        snprintf(want, sizeof want, KEYWORD, lt_analyzer_sql(*a));
        if (!strcmp(sql, want)) *analyzer = *a;
    }
    return *analyzer != NULL;
}

/* The schema must be ours to the letter: triggers, views or other tables behind these names could do what their author wants. */
static bool schema_check(lt_ctx *cx, lt_index *x)
{
    sqlite3_stmt *s = NULL;
    const char *analyzer = NULL;
    int n = 0, rc = sqlite3_prepare_v2(x->db, "SELECT type, name, coalesce(sql, '') FROM sqlite_schema", -1, &s, NULL);
    bool good = true;
    while (!rc && good && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        size_t size;
        const char *type = lt_sql_column(s, 0, &size), *name = lt_sql_column(s, 1, &size), *sql = lt_sql_column(s, 2, &size);
        good = is_ours(type, name, sql, &analyzer);
        if (!good) lt_fail(cx, LT_ERR_INPUT, "%s: not an index made by lathe: found %.20s %.60s", x->path, type, name);
        n += !strcmp(type, "table");
        rc = SQLITE_OK;
    }
    if (good && rc != SQLITE_DONE) good = lt_sql_fail(cx, x, "cannot open the index", rc);
    sqlite3_finalize(s);
    if (good && (n != TABLES + 5 || !analyzer))
        good = lt_fail_if(cx, true, LT_ERR_INPUT, "%s: not an index made by lathe: a table is missing", x->path);
    if (good) x->info.analyzer = lt_strdup(cx, analyzer);
    return good && x->info.analyzer;
}

static bool schema_make(lt_ctx *cx, lt_index *x)
{
    char sql[400];
    bool good = lt_begin(cx, x, true);
    for (int i = 0; i < TABLES && good; i++) good = lt_sql_exec(cx, x, tables[i].sql);
    snprintf(sql, sizeof sql, KEYWORD, lt_analyzer_sql(x->info.analyzer));
    good = good && lt_sql_exec(cx, x, sql);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", LT_INDEX_APPLICATION, LT_INDEX_VERSION);
    return good && lt_sql_exec(cx, x, sql) && meta_write(cx, x) && lt_commit(cx, x);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Opens x->file. For reading too it is opened for writing where it may be: a writer that was killed leaves a journal, and whoever
 * comes next must take back the unfinished change. */
static bool connect(lt_ctx *cx, lt_index *x)
{
    char *name = NULL; /* never ":memory:" or a URI */
    lt_str s = {0};
    lt_str_printf(&s, "%s%s", x->file[0] == '/' ? "" : "./", x->file);
    name = s.failed ? NULL : s.data;
    int rc = name ? sqlite3_open_v2(name, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL)
                  : SQLITE_NOMEM;
    lt_str_free(&s);
    if (rc != SQLITE_OK) return lt_sql_fail(cx, x, "cannot open the index", rc);
    sqlite3_busy_timeout(x->db, LT_BUSY_MS);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return lt_sql_exec(
               cx, x,
               "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cache_size = -16384") &&
           lt_analyzers_register(cx, x->db, &x->counted);
}

static bool open_existing(lt_ctx *cx, lt_index *x)
{
    struct stat st;
    if (stat(x->path, &st) != 0) return lt_fail_if(cx, true, LT_ERR_IO, "%s: no such index", x->path);
    if (!S_ISREG(st.st_mode)) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected an index, which is a file", x->path);
    x->file = lt_strdup(cx, x->path);
    if (!x->file || !connect(cx, x)) return false;
    int64_t application = pragma(cx, x, "PRAGMA application_id"), version = pragma(cx, x, "PRAGMA user_version");
    if (lt_ctx_status(cx) != LT_OK) return false;
    if (application != LT_INDEX_APPLICATION) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: not an index made by lathe", x->path);
    if (version != LT_INDEX_VERSION)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: index of version %lld; this lathe knows version %d", x->path,
                          (long long)version, LT_INDEX_VERSION);
    if (x->mode == LT_INDEX_ADD && sqlite3_db_readonly(x->db, "main") == 1)
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: cannot be written", x->path);
    return lt_sql_exec(cx, x, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA") && schema_check(cx, x) &&
           meta_read(cx, x);
}

static bool open_new(lt_ctx *cx, lt_index *x, const lt_index_options *o)
{
    const char *analyzer = o && o->analyzer ? o->analyzer : "english";
    x->info.k1 = o && o->use_k1 ? o->k1 : 0.9;
    x->info.b = o && o->use_b ? o->b : 0.4;
    if (!lt_analyzer_sql(analyzer)) {
        const char *near = lt_nearest(analyzer, lt_analyzer_names(), 4);
        return lt_fail_if(cx, true, LT_ERR_USAGE, "analyzer '%s': expected plain, unicode, english or code%s%s", analyzer,
                          near ? "; nearest: " : "", near ? near : "");
    }
    if (!lt_bm25_check(cx, x->info.k1, x->info.b)) return false;
    x->info.analyzer = lt_strdup(cx, analyzer);
    if (o && o->model_path) x->info.model = lt_strdup(cx, o->model_path);
    if (!lt_ok(cx) || !lt_replace_begin(cx, x->path, &x->target, &x->file)) return false;
    /* Nobody else sees the file before it is whole, and then it is synced: no journal, no waiting for the disk. */
    return connect(cx, x) &&
           lt_sql_exec(cx, x, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE") &&
           schema_make(cx, x);
}

static void disconnect(lt_index *x)
{
    lt_index_forget(x);
    lt_analyzer_close(x->analyzer);
    x->analyzer = NULL;
    for (int i = 0; i < LT_SQL_STATEMENTS; i++) {
        sqlite3_finalize(x->statement[i]);
        x->statement[i] = NULL;
    }
    sqlite3_close(x->db);
    x->db = NULL;
}

static void index_free(lt_index *x)
{
    disconnect(x);
    if (x->target && x->file) unlink(x->file);
    lt_free(x->path);
    lt_free(x->file);
    lt_free(x->target);
    lt_free((char *)x->info.model);
    lt_free((char *)x->info.analyzer);
    lt_free(x);
}

lt_index *lt_index_open(lt_ctx *cx, const char *path, lt_index_mode mode, const lt_index_options *options)
{
    if (!lt_ok(cx)) return NULL;
    lt_index *x = lt_new(cx, 1, sizeof *x);
    if (!x) return NULL;
    x->mode = mode;
    x->vector_limit = (size_t)1 << 30;
    x->postings_limit = (size_t)256 << 20;
    x->vector_slab = 64;
    x->path = lt_strdup(cx, path);
    bool good = x->path && (mode == LT_INDEX_CREATE ? open_new(cx, x, options) : open_existing(cx, x));
    /* The posting lists are read through FTS5's own view of them. */
    good = good && lt_sql_exec(cx, x, "CREATE VIRTUAL TABLE temp.postings USING fts5vocab(main, keyword, instance)");
    if (good && mode == LT_INDEX_READ) good = lt_sql_exec(cx, x, "PRAGMA query_only = ON");
    x->analyzer = good ? lt_analyzer_open(cx, x->db, x->info.analyzer) : NULL;
    if (x->analyzer) return x;
    index_free(x);
    return NULL;
}

bool lt_index_close(lt_ctx *cx, lt_index *x)
{
    if (!x) return true;
    bool good = true;
    if (x->mode == LT_INDEX_CREATE) {
        good = lt_ok(cx) && !x->failed;
        disconnect(x);
        good = good && lt_replace_commit(cx, x->path, x->file, x->target);
        if (good) { /* the temporary name is gone */
            lt_free(x->file);
            x->file = NULL;
        }
    }
    index_free(x);
    return good;
}

void lt_index_forget(lt_index *x)
{
    lt_roster_free(&x->roster);
    lt_postings_free(&x->postings);
    lt_vectors_free(&x->vectors);
}

const lt_index_info *lt_index_about(lt_index *x)
{
    sqlite3_stmt *s = NULL;
    struct stat st;
    if (sqlite3_prepare_v2(x->db, "SELECT count(*) FROM lengths", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        x->info.documents = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    x->info.bytes = stat(x->file, &st) == 0 ? st.st_size : 0;
    return &x->info;
}
