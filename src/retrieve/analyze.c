/* Analysers, as FTS5 tokenizers. "plain" and "code" know [a-z0-9] alone; "unicode" takes letters and digits of any script,
 * folds case, width and accents (Unicode NFKD and case folding, by utf8proc), and cuts scripts that are written without
 * blanks into single characters and overlapping pairs (as Lucene's CJK analyser does). "english" is unicode and Porter's
 * stemmer (Porter 1980), FTS5's own. */
#include "retrieve/analyze.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    MOST_TERM = 256, /* bytes; a longer word is cut there, far above any real one and far below FTS5's own limit */
    MOST_UNIT = 64   /* bytes of one character of a script without blanks, its marks included */
};

typedef enum { PLAIN, CODE, UNICODE } style;

/* What FTS5 hands back to each call: one per use of the tokenizer. */
struct tokenizer {
    style style;
    int64_t *counted;
};

struct lt_analyzer {
    fts5_tokenizer methods;
    Fts5Tokenizer *self;
};

/* The term that is being gathered, and whom to give it to. */
struct gather {
    lt_term_fn *fn;
    void *arg;
    int64_t *counted;
    int size, start, end; /* bytes so far; its place in the text */
    char term[MOST_TERM];
    int before_size, before_start; /* the character before, in a run of a script without blanks; 0: none */
    char before[MOST_UNIT];
};

static int give(struct gather *g, const char *term, int size, int start, int end)
{
    if (g->counted) ++*g->counted;
    return g->fn(g->arg, 0, term, size, start, end);
}

static int end_word(struct gather *g)
{
    int size = g->size;
    g->size = 0;
    return size ? give(g, g->term, size, g->start, g->end) : SQLITE_OK;
}

static void add(struct gather *g, const char *bytes, int n, int start, int end)
{
    if (!g->size) g->start = start;
    g->end = end;
    if (g->size + n > MOST_TERM) return;
    memcpy(g->term + g->size, bytes, (size_t)n);
    g->size += n;
}

/* ---- plain and code ---------------------------------------------------------------------------------------------- */

/* The lower-case ASCII letter or digit that a code point stands for; 0: none. Beyond ASCII, KELVIN SIGN and I WITH DOT do. */
static char ascii_of(uint32_t c)
{
    if (c >= 'A' && c <= 'Z') return (char)(c + 32);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return (char)c;
    return c == 0x212A ? 'k' : c == 0x130 ? 'i' : 0;
}

static int ascii_words(struct gather *g, bool camel, const char *text, int size)
{
    bool low = false; /* the character before was one of [a-z0-9] */
    for (int i = 0; i < size;) {
        uint32_t c;
        int n = lt_utf8_next(text + i, text + size, &c);
        char a = ascii_of(c);
        bool up = c >= 'A' && c <= 'Z';
        int rc = !a || (camel && low && up) ? end_word(g) : SQLITE_OK;
        if (rc) return rc;
        if (a) add(g, &a, 1, i, i + n);
        low = a && !up;
        i += n;
    }
    return end_word(g);
}

/* ---- unicode ----------------------------------------------------------------------------------------------------- */

/* Marks that readers leave out at will: Latin, Greek and Cyrillic accents, Hebrew points, Arabic vowel signs. Those of others
 * (Devanagari vowels, Japanese voicing …) make different words. */
static bool is_accent(int32_t c)
{
    return (c >= 0x300 && c <= 0x36F) || (c >= 0x591 && c <= 0x5BD) || c == 0x5BF || c == 0x5C1 || c == 0x5C2 || c == 0x5C4 ||
           c == 0x5C5 || c == 0x5C7 || (c >= 0x610 && c <= 0x61A) || (c >= 0x64B && c <= 0x65F) || c == 0x670 || c == 0x640 ||
           (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x1DC0 && c <= 0x1DFF) || (c >= 0x20D0 && c <= 0x20FF) ||
           (c >= 0xFE20 && c <= 0xFE2F);
}

/* Thai, Lao, Myanmar, Khmer, Kana and Han. */
static bool without_blanks(uint32_t c)
{
    return (c >= 0xE00 && c <= 0xEFF) || (c >= 0x1000 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF) ||
           (c >= 0x2E80 && c <= 0x2FDF) || (c >= 0x3005 && c <= 0x3007) || (c >= 0x3021 && c <= 0x3029) ||
           (c >= 0x3041 && c <= 0x30FF) || (c >= 0x31F0 && c <= 0x31FF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF66 && c <= 0xFF9F) ||
           (c >= 0x20000 && c <= 0x3FFFF);
}

typedef enum { BREAK, WORD, MARK, IGNORED } class;

static class class_of(uint32_t c)
{
    if (c == 0xAD || c == 0x200C || c == 0x200D || c == 0x2060 || c == 0xFEFF) return IGNORED; /* invisible, inside words */
    if (c == 0xFF9E || c == 0xFF9F) return MARK;                                               /* voicing of half-width Kana */
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return WORD;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return MARK;
    default:
        return BREAK;
    }
}

/* A code point folded, as UTF-8; 0 bytes for an accent. */
static int fold(uint32_t c, char out[MOST_UNIT])
{
    utf8proc_int32_t parts[18]; /* the longest decomposition there is */
    int boundary = 0, n = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 18,
                                                     UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD, &boundary);
    if (count < 0 || count > 18) return 0;
    for (utf8proc_ssize_t i = 0; i < count && n + 4 <= MOST_UNIT; i++)
        if (!is_accent(parts[i]) && class_of((uint32_t)parts[i]) != BREAK) n += lt_utf8_put((uint32_t)parts[i], out + n);
    return n;
}

/* The run of characters goes on with the one in `g->term`: it is a term, and so is the pair with the one before. */
static int end_unit(struct gather *g)
{
    if (!g->size) return SQLITE_OK;
    int size = g->size < MOST_UNIT ? g->size : MOST_UNIT, rc = SQLITE_OK;
    if (g->before_size) {
        char pair[2 * MOST_UNIT];
        memcpy(pair, g->before, (size_t)g->before_size);
        memcpy(pair + g->before_size, g->term, (size_t)size);
        rc = give(g, pair, g->before_size + size, g->before_start, g->end);
    }
    if (!rc) rc = give(g, g->term, size, g->start, g->end);
    memcpy(g->before, g->term, (size_t)size);
    g->before_size = size;
    g->before_start = g->start;
    g->size = 0;
    return rc;
}

static int unicode_words(struct gather *g, const char *text, int size)
{
    bool run = false; /* in a run of a script without blanks */
    for (int i = 0; i < size;) {
        uint32_t c;
        int n = lt_utf8_next(text + i, text + size, &c), rc = SQLITE_OK;
        class is = c < 0x80 ? (ascii_of(c) ? WORD : BREAK) : class_of(c);
        if (is == MARK && !g->size) is = IGNORED;
        if (is == WORD && c >= 0x80 && without_blanks(c)) {
            rc = run ? end_unit(g) : end_word(g);
            run = true;
        } else if (is == BREAK || (is == WORD && run)) {
            rc = run ? end_unit(g) : end_word(g);
            run = false;
            g->before_size = 0;
        }
        if (rc) return rc;
        if (is == WORD || is == MARK) {
            char folded[MOST_UNIT] = {c < 0x80 ? ascii_of(c) : 0};
            int m = c < 0x80 ? 1 : fold(c, folded);
            if (m || g->size) add(g, folded, run && g->size + m > MOST_UNIT ? 0 : m, i, i + n);
        }
        i += n;
    }
    return run ? end_unit(g) : end_word(g);
}

/* ---- FTS5 -------------------------------------------------------------------------------------------------------- */

static int create(void *context, const char **arg, int n, Fts5Tokenizer **out)
{
    *out = NULL;
    style s = n != 1                       ? UNICODE + 1
              : !strcmp(arg[0], "plain")   ? PLAIN
              : !strcmp(arg[0], "code")    ? CODE
              : !strcmp(arg[0], "unicode") ? UNICODE
                                           : UNICODE + 1;
    if (s > UNICODE) return SQLITE_ERROR;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) return SQLITE_NOMEM;
    t->style = s;
    t->counted = context;
    *out = (Fts5Tokenizer *)t;
    return SQLITE_OK;
}

static void destroy(Fts5Tokenizer *t) { free(t); }

static int tokenize(Fts5Tokenizer *self, void *arg, int flags, const char *text, int size, lt_term_fn *fn)
{
    const struct tokenizer *t = (const struct tokenizer *)self;
    struct gather g = {.fn = fn, .arg = arg, .counted = flags & FTS5_TOKENIZE_DOCUMENT ? t->counted : NULL};
    if (!text || size <= 0) return SQLITE_OK;
    return t->style == UNICODE ? unicode_words(&g, text, size) : ascii_words(&g, t->style == CODE, text, size);
}

/* FTS5's functions for extensions, as its documentation says to ask for them. */
static fts5_api *api_of(sqlite3 *db)
{
    fts5_api *api = NULL;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &s, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(s, 1, &api, "fts5_api_ptr", NULL);
        sqlite3_step(s);
    }
    sqlite3_finalize(s);
    return api;
}

bool lt_analyzers_register(lt_ctx *cx, sqlite3 *db, int64_t *counted)
{
    static const fts5_tokenizer methods = {create, destroy, tokenize};
    fts5_api *api = api_of(db);
    if (!api) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "this SQLite (%s) was built without FTS5", sqlite3_libversion());
    int rc = api->xCreateTokenizer(api, "lathe", counted, (fts5_tokenizer *)&methods, NULL);
    return lt_fail_if(cx, rc != SQLITE_OK, LT_ERR_MEMORY, "cannot register the analysers: %s", sqlite3_errstr(rc));
}

static const struct {
    const char *name, *sql, *arg[3];
} analyzers[] = {
    {"plain", "lathe plain", {"lathe", "plain"}},
    {"unicode", "lathe unicode", {"lathe", "unicode"}},
    {"english", "porter lathe unicode", {"porter", "lathe", "unicode"}},
    {"code", "lathe code", {"lathe", "code"}},
};
enum { ANALYZERS = sizeof analyzers / sizeof *analyzers };

static int find(const char *name)
{
    for (int i = 0; i < ANALYZERS; i++)
        if (!strcmp(name, analyzers[i].name)) return i;
    return -1;
}

const char *lt_analyzer_sql(const char *name)
{
    int i = find(name);
    return i < 0 ? NULL : analyzers[i].sql;
}

const char *const *lt_analyzer_names(void)
{
    static const char *const names[] = {"plain", "unicode", "english", "code", NULL};
    return names;
}

lt_analyzer *lt_analyzer_open(lt_ctx *cx, sqlite3 *db, const char *name)
{
    int i = find(name);
    fts5_api *api = api_of(db);
    if (i < 0 || !api) return lt_fail(cx, LT_ERR_USAGE, "analyzer %s: not known", name);
    lt_analyzer *a = lt_new(cx, 1, sizeof *a);
    if (!a) return NULL;
    void *context = NULL;
    int n = analyzers[i].arg[2] ? 2 : 1;
    int rc = api->xFindTokenizer(api, analyzers[i].arg[0], &context, &a->methods);
    if (!rc) rc = a->methods.xCreate(context, (const char **)analyzers[i].arg + 1, n, &a->self);
    if (rc) {
        lt_free(a);
        return lt_fail(cx, LT_ERR_MEMORY, "analyzer %s: %s", name, sqlite3_errstr(rc));
    }
    return a;
}

void lt_analyzer_close(lt_analyzer *a)
{
    if (!a) return;
    a->methods.xDelete(a->self);
    lt_free(a);
}

int lt_analyze(const lt_analyzer *a, const char *text, size_t size, lt_term_fn *fn, void *arg)
{
    return a->methods.xTokenize(a->self, arg, FTS5_TOKENIZE_QUERY, text, size > 1 << 30 ? 1 << 30 : (int)size, fn);
}
