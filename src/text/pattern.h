/* Patterns of tokenizer files: a literal text or a regular expression, compiled once, matched from left to right. See pattern.c. */
#ifndef LT_TEXT_PATTERN_H
#define LT_TEXT_PATTERN_H

#include "text/tokenizer.h"

typedef struct lt_pattern lt_pattern;
/* Reads {"String": "…"} or {"Regex": "…"} under `key`. */
const lt_pattern *lt_pattern_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, const char *key);
/* Finds all matches in p's text, left to right, as Oniguruma's find_iter does; empty ones too, but never where the last match
 * ended. Calls `found` for each; stops when that returns false. */
typedef bool lt_found(void *arg, uint32_t start, uint32_t end);
bool lt_pattern_find(lt_ctx *cx, const lt_pattern *x, const char *text, uint32_t size, lt_found *found, void *arg);

/* pattern_syntax.c: the same regular expression in PCRE2's syntax and the reference's Unicode. False: `out` says what is not
 * supported. */
bool lt_pattern_translate(const char *regex, size_t size, lt_str *out);

/* replace.c: {"pattern", "content"}, for the normalizer and for the decoder. */
const void *lt_replacement_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where);
bool lt_replace_all(lt_ctx *cx, const void *self, lt_piece *p);

#endif
