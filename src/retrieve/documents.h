/* Where documents come from: each kind of source is one table of functions. */
#ifndef LT_RETRIEVE_DOCUMENTS_H
#define LT_RETRIEVE_DOCUMENTS_H

#include "lathe/retrieve.h"

/* ---- folder.c: all files under a folder, sorted by path */
typedef struct lt_folder lt_folder;
lt_folder *lt_folder_open(lt_ctx *cx, const char *path);
void lt_folder_close(lt_folder *f);
int64_t lt_folder_bytes(const lt_folder *f); /* of all its files */
int64_t lt_folder_done(const lt_folder *f);
/* The next text file: id is its path below the folder. Valid until the next call. */
bool lt_folder_next(lt_ctx *cx, lt_folder *f, lt_document *doc);

/* ---- sgml.c: TREC's <DOC> … </DOC> */
typedef struct lt_sgml {
    lt_str buffer;       /* lines; what lies before `at` is done with */
    size_t at, searched; /* where the current document begins; its end is not before `searched` */
    bool inside;
    int64_t line;           /* where it began */
    lt_str id, title, text; /* of the one taken apart last */
} lt_sgml;
bool lt_sgml_begins(const char *line, size_t size); /* a file that begins with this line is TREC SGML */
typedef enum { LT_SGML_MORE, LT_SGML_DOCUMENT, LT_SGML_ERROR } lt_sgml_state;
/* Takes one line. LT_SGML_DOCUMENT: a document is whole; call again with line NULL for what follows it on the same line. */
lt_sgml_state lt_sgml_line(lt_ctx *cx, lt_sgml *s, const char *line, size_t size, const char *file, int64_t number);
void lt_sgml_free(lt_sgml *s);

/* Whether a text is blanks and control characters alone. */
static inline bool lt_is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] > ' ') return false;
    return true;
}

#endif
