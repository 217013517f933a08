/* Inside an index: one SQLite file, and what an open one keeps in memory between searches.
 *
 *   documents(id, docid, title, text)   the documents, well-formed UTF-8 without NUL
 *   keyword                             FTS5 over documents.title and .text (external content), by tokenizer "lathe"
 *   lengths(id, terms)                  how many terms each document has, for BM25
 *   vectors(id, vector)                 little-endian f32 [dim]; the same ids, or none at all
 *   meta(key, value)                    analyzer, k1, b, model, dim, similarity
 *
 * PRAGMA application_id is "lath", user_version the version of this layout. The file uses a rollback journal, so it is one file
 * at rest; every change is a transaction. */
#ifndef LT_RETRIEVE_INDEX_H
#define LT_RETRIEVE_INDEX_H

#include <sqlite3.h>

#include "lathe/retrieve.h"
#include "retrieve/analyze.h"

enum {
    LT_INDEX_APPLICATION = 0x6C617468, /* "lath" */
    LT_INDEX_VERSION = 1,
    LT_BUSY_MS = 10000 /* how long to wait for another process */
};

/* Prepared statements, kept. Their text stands in sql.c in this order. */
enum lt_sql {
    LT_SQL_FIND,
    LT_SQL_INSERT,
    LT_SQL_UPDATE,
    LT_SQL_DELETE,
    LT_SQL_KEYWORD_ADD,
    LT_SQL_KEYWORD_DELETE,
    LT_SQL_LENGTH_SET,
    LT_SQL_LENGTH_DELETE,
    LT_SQL_VECTOR_SET,
    LT_SQL_VECTOR_DELETE,
    LT_SQL_META_GET,
    LT_SQL_META_SET,
    LT_SQL_DATA_VERSION,
    LT_SQL_ROSTER,
    LT_SQL_POSTINGS,
    LT_SQL_VECTORS,
    LT_SQL_DOCID,
    LT_SQL_DOCUMENT,
    LT_SQL_COUNT,
    LT_SQL_STATEMENTS
};

/* All documents, by id ascending; a document is known below by its place here. */
struct lt_roster {
    bool loaded;
    int64_t version; /* SQLite's data_version when it was read: another process's commit changes it */
    int32_t n;
    int64_t *id;    /* [n] */
    int32_t *terms; /* [n] */
    char **docid;   /* [n], owned; NULL until asked for */
    double mean;    /* of terms */
};

typedef struct lt_posting {
    int32_t doc, count;
} lt_posting;
typedef struct lt_postings { /* of one term */
    char *term;              /* owned; NULL: a free place of the table */
    int32_t term_size, n;
    lt_posting *list; /* [n], documents ascending */
} lt_postings;
struct lt_postings_cache { /* open addressing, a power of two of places */
    lt_postings **place;
    int64_t places, used;
    size_t bytes;
};

struct lt_vectors { /* all vectors in memory, packed for the kernels in blocks of `rows`; nothing where they exceed the limit */
    bool loaded;
    int64_t blocks;
    float **block;
};

struct lt_index {
    sqlite3 *db;
    char *path;   /* as given, for messages */
    char *file;   /* what is open: path, or a temporary file beside it (CREATE) */
    char *target; /* CREATE: what `file` will replace, links followed */
    lt_index_mode mode;
    bool failed;        /* CREATE: not to be committed */
    bool dot;           /* vectors are stored as the model gives them; else normalised */
    lt_index_info info; /* its strings are owned */
    lt_analyzer *analyzer;
    int64_t counted; /* terms that FTS5 took, see lt_analyzers_register */
    sqlite3_stmt *statement[LT_SQL_STATEMENTS];
    struct lt_roster roster;
    struct lt_postings_cache postings;
    struct lt_vectors vectors;
    size_t vector_limit, postings_limit; /* bytes of memory for the two caches */
    int64_t vector_slab;                 /* blocks of vectors in memory at once, where not all are */
};

/* ---- sql.c */
sqlite3_stmt *lt_sql(lt_ctx *cx, lt_index *x, enum lt_sql which); /* reset, nothing bound; NULL + error */
bool lt_sql_exec(lt_ctx *cx, lt_index *x, const char *sql);
/* Steps once: SQLITE_ROW, SQLITE_DONE or, with an error, something else. */
int lt_sql_step(lt_ctx *cx, lt_index *x, sqlite3_stmt *s);
bool lt_sql_run(lt_ctx *cx, lt_index *x, sqlite3_stmt *s); /* steps to the end and resets */
/* Always false, with SQLite's last complaint as the error; `doing`: "cannot add documents". */
bool lt_sql_fail(lt_ctx *cx, lt_index *x, const char *doing, int rc);
bool lt_begin(lt_ctx *cx, lt_index *x, bool write);
bool lt_commit(lt_ctx *cx, lt_index *x);
void lt_rollback(lt_index *x);                                                /* fine when no transaction is open */
void lt_sql_bind_text(sqlite3_stmt *s, int i, const char *text, size_t size); /* the text must live until the next reset */
const char *lt_sql_column(sqlite3_stmt *s, int i, size_t *size);              /* never NULL */

/* ---- index.c */
bool lt_meta_set(lt_ctx *cx, lt_index *x, const char *key, const char *value);
void lt_index_forget(lt_index *x); /* drops what is cached: the file has changed */

/* ---- roster.c */
bool lt_roster_load(lt_ctx *cx, lt_index *x); /* inside a transaction; reloads what another process has changed */
int32_t lt_roster_find(const struct lt_roster *r, int64_t id, int32_t from); /* place of an id at or after `from`; -1 */
const char *lt_roster_docid(lt_ctx *cx, lt_index *x, int32_t doc);
void lt_roster_free(struct lt_roster *r);

/* ---- write.c */
/* Documents that wait to be written in one transaction, with their vectors. */
typedef struct lt_pending {
    lt_str text; /* id, title and text of all, cleaned, each ended by a NUL */
    struct lt_pending_document {
        size_t id, title, text, end;
    } * doc; /* where they begin in it, and what comes after */
    int32_t n, capacity;
    float *vectors; /* [n, dim]; NULL: none */
} lt_pending;
bool lt_pending_add(lt_ctx *cx, lt_pending *p, const lt_document *doc); /* without its vector */
bool lt_pending_vector(lt_ctx *cx, lt_pending *p, int32_t i, const float *v, int dim, bool normalize);
bool lt_pending_full(const lt_pending *p);
void lt_pending_clear(lt_pending *p);
void lt_pending_free(lt_pending *p);
/* One transaction; empties p. */
bool lt_index_write(lt_ctx *cx, lt_index *x, lt_pending *p, int64_t *added, int64_t *replaced);
/* Makes an index that has no vectors yet one of `dim` numbers; or checks that it is. */
bool lt_index_set_dim(lt_ctx *cx, lt_index *x, int dim, bool dot);
void lt_unit_vector(const float *v, int dim, float *out); /* a vector of zeros stays so */

/* ---- keyword.c */
typedef struct lt_query_term {
    const char *text;    /* in the query's memory */
    int32_t size, count; /* bytes; how often the query has it */
    double idf;
    const lt_postings *postings;
} lt_query_term;
typedef struct lt_query { /* scoped */
    lt_query_term *term;
    int n;
    int32_t *place; /* hash table of the terms' places: a power of two, never full; -1: free */
    int places;
} lt_query;
int lt_query_find(const lt_query *q, const char *term, int size);    /* the place of a term; -1: not in the query */
lt_query *lt_query_parse(lt_ctx *cx, lt_index *x, const char *text); /* its distinct terms, in order */
/* The terms' postings and weights; before this they have none. They stay as long as the roster does. */
bool lt_query_load(lt_ctx *cx, lt_index *x, lt_query *q);
void lt_postings_free(struct lt_postings_cache *c);

typedef struct lt_ranked {
    int32_t doc;
    double score;
    const char *docid;
} lt_ranked;
bool lt_bm25_check(lt_ctx *cx, double k1, double b); /* that they can be */
lt_ranked *lt_keyword_rank(lt_ctx *cx, lt_index *x, const lt_query *q, double k1, double b, int32_t exclude, int k, int *hits);

/* ---- dense.c */
lt_ranked *lt_dense_rank(lt_ctx *cx, lt_index *x, const float *query, int32_t exclude, int k, int *hits);
void lt_vectors_free(struct lt_vectors *v);

/* ---- fuse.c */
/* The k best, best first, ties by docid descending; scoped. score[i] is document i's; NAN: no hit. `exclude` -1: none. */
lt_ranked *lt_top(lt_ctx *cx, lt_index *x, const double *score, int32_t n, int32_t exclude, int k, int *hits);
/* Scoped; n + m < 2^31. */
lt_ranked *lt_fuse(lt_ctx *cx, const lt_ranked *a, int n, const lt_ranked *b, int m, double rrf_k, int k, int *hits);
void lt_rank_sort(lt_ranked *r, int64_t n); /* by score, then docid, descending */

/* ---- snippet.c */
/* The best passage of `text` for a query, scoped; NULL where no term matches and `always` is false. */
char *lt_snippet(lt_ctx *cx, const lt_index *x, const lt_query *q, const char *text, size_t size, bool always);

/* ---- search.c */
/* lt_search with the query's vector already made (NULL: none). */
lt_hit *lt_search_with(lt_ctx *cx, lt_index *x, const char *query, const float *vector, const lt_search_options *options, int *n);

#endif
