/* Analysers: from text to the terms that the keyword index counts. Each is an SQLite FTS5 tokenizer, so the index, the
 * queries and the highlighting of matches all see the same terms. */
#ifndef LT_RETRIEVE_ANALYZE_H
#define LT_RETRIEVE_ANALYZE_H

#include <sqlite3.h>

#include "lathe/base.h"

typedef struct lt_analyzer lt_analyzer;

/* Called once for each term: its bytes, and where it stands in the text. Not SQLITE_OK: stop. (FTS5's signature.) */
typedef int lt_term_fn(void *arg, int flags, const char *term, int size, int start, int end);

/* Makes the tokenizer "lathe" known to a connection; without it no index can be opened. `counted` (or NULL) grows by one for
 * each term that FTS5 takes from a document. */
bool lt_analyzers_register(lt_ctx *cx, sqlite3 *db, int64_t *counted);
/* How an analyser is written in FTS5's tokenize option; NULL: there is no such analyser. */
const char *lt_analyzer_sql(const char *name);
/* The names there are, ended by NULL. */
const char *const *lt_analyzer_names(void);

lt_analyzer *lt_analyzer_open(lt_ctx *cx, sqlite3 *db, const char *name);
void lt_analyzer_close(lt_analyzer *a);
/* At most 2^30 bytes are looked at. Returns SQLITE_OK or what `fn` returned, or SQLite's own failure. */
int lt_analyze(const lt_analyzer *a, const char *text, size_t size, lt_term_fn *fn, void *arg);

#endif
