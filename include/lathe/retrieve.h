/* Search: an index in one SQLite file (documents, FTS5 keyword index, vectors), keyword, dense and hybrid ranking over it,
 * and the evaluation of rankings as trec_eval does it. */
#ifndef LATHE_RETRIEVE_H
#define LATHE_RETRIEVE_H

#include "lathe/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- documents ------------------------------------------------------------------------------------------------- */

/* Reads documents from text files (a document a line), .jsonl (id or _id or docid, title, text or contents), .csv/.tsv columns, BEIR
 * folders (corpus.jsonl), TREC SGML (<DOC><DOCNO>…</DOC>), or a folder of files (a document a file; id is the relative
 * path); .gz and .zst too. Documents without an id get their number, from 1. */
typedef struct lt_document {
    const char *id, *title, *text; /* title "" when there is none */
    size_t title_size, text_size;
} lt_document;
typedef struct lt_documents lt_documents;
lt_documents *lt_documents_open(lt_ctx *cx, const char *const *paths, int n, const lt_rows_options *options);
bool lt_documents_next(lt_ctx *cx, lt_documents *d, lt_document *doc); /* false at the end or on error */
void lt_documents_close(lt_documents *d);
int64_t lt_documents_bytes_total(const lt_documents *d);
int64_t lt_documents_bytes_done(const lt_documents *d);

/* ---- the index ------------------------------------------------------------------------------------------------- */

typedef struct lt_index lt_index;
typedef enum { LT_INDEX_READ, LT_INDEX_ADD, LT_INDEX_CREATE } lt_index_mode; /* CREATE: a new file that replaces path when whole */

typedef struct lt_index_options {
    const char *model_path;  /* stored; search opens it again. NULL: keyword index only */
    const char *analyzer;    /* "plain" ([a-z0-9]+ of the lower-cased text), "unicode" (letters and digits of any script, accents
                                folded), "english" (unicode + Porter stemming; default), "code" (camelCase and _ split) */
    double k1, b;            /* BM25's, */
    bool use_k1, use_b;      /* … where these are set; else 0.9 and 0.4 */
} lt_index_options;
lt_index *lt_index_open(lt_ctx *cx, const char *path, lt_index_mode mode, const lt_index_options *options);
bool lt_index_close(lt_ctx *cx, lt_index *x); /* CREATE: commits the new file if no error occurred; NULL is fine */
/* Adds documents (an id that exists is replaced), embedding them with `m` (NULL: keyword only), in transactions of bounded size:
 * a crash leaves the last committed state. counts are added to *added, *replaced. */
bool lt_index_add(lt_ctx *cx, lt_index *x, const lt_model *m, lt_documents *docs, const lt_run_options *run, int64_t *added, int64_t *replaced);
bool lt_index_delete(lt_ctx *cx, lt_index *x, const char *const *ids, int n, int64_t *deleted);
bool lt_index_check(lt_ctx *cx, lt_index *x); /* SQLite's own check, plus: keyword index and vectors match the documents */

typedef struct lt_index_info {
    int64_t documents, bytes;
    const char *model, *analyzer;
    int dim; /* 0: no vectors */
    double k1, b;
} lt_index_info;
const lt_index_info *lt_index_about(lt_index *x);

typedef enum { LT_SEARCH_BM25, LT_SEARCH_DENSE, LT_SEARCH_HYBRID } lt_search_mode;
typedef struct lt_search_options {
    lt_search_mode mode;
    int k;               /* hits wanted; 0: 10 */
    int depth;           /* of the lists that are fused; 0: max(1000, k) */
    double rrf_k;        /* reciprocal-rank fusion (Cormack et al. 2009): Σ 1 / (rrf_k + rank); 0: 60 */
    double k1, b;        /* BM25's, */
    bool use_k1, use_b;  /* … where these are set; else the index's own */
    const char *exclude; /* a document id left out of the ranking (ArguAna's protocol); NULL: none */
    const lt_run_options *run; /* for the query's embedding (prompt …) */
    bool ids_only;       /* hits have no title, text and snippet: much faster where there are many (runs) */
} lt_search_options;
typedef struct lt_hit { /* scoped memory */
    const char *id, *title, *text;
    double score;        /* BM25, dot product of the (normalised) vectors, or the fused score */
    const char *snippet; /* the best passage of the text, matches between \x01 and \x02; NULL for dense hits without a match */
} lt_hit;
/* Best first; ties by id, descending, as trec_eval breaks them. m may be NULL for bm25. */
lt_hit *lt_search(lt_ctx *cx, lt_index *x, const lt_model *m, const char *query, const lt_search_options *options, int *n);

/* ---- evaluation ------------------------------------------------------------------------------------------------ */

/* trec_eval's measures from a run ("qid Q0 docid rank score tag") and judgements ("qid 0 docid relevance", or BEIR's TSV with a
 * header, or qid<TAB>docid<TAB>relevance). Means are over the queries that both have, or with `complete` over all judged ones. */
lt_metric *lt_eval_run(lt_ctx *cx, const char *run, const char *qrels, bool complete, int *n); /* scoped; trec_eval's names and order */
/* nDCG@k, recall@k, MAP, reciprocal rank … of one ranking: what lt_eval_run averages. */
const lt_kind *lt_retrieve_kinds(int *n); /* analyzers, search modes, metrics, document formats: for `lathe list` */

#ifdef __cplusplus
}
#endif
#endif
