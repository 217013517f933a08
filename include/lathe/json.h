/* JSON (RFC 8259): reading with errors that name file, line and place; writing with numbers that round-trip.
 * Reading is strict: UTF-8, no duplicate keys, no trailing text, at most 2048 levels. */
#ifndef LATHE_JSON_H
#define LATHE_JSON_H

#include "lathe/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lt_json lt_json; /* a value inside a document; lives as long as its document */
typedef enum { LT_JSON_NULL, LT_JSON_BOOL, LT_JSON_INT, LT_JSON_REAL, LT_JSON_STRING, LT_JSON_ARRAY, LT_JSON_OBJECT } lt_json_type;

/* `name` stands in messages ("dir/config.json", "input line 12"). The returned root owns the document. */
lt_json *lt_json_parse(lt_ctx *cx, const char *text, size_t size, const char *name);
/* The same for text that begins at that line and column (from 1) of the file named: messages count from there. */
lt_json *lt_json_parse_at(lt_ctx *cx, const char *text, size_t size, const char *name, size_t line, size_t column);
lt_json *lt_json_load(lt_ctx *cx, const char *path);
void lt_json_free(lt_json *root); /* NULL is fine */

lt_json_type lt_json_is(const lt_json *v); /* NULL counts as LT_JSON_NULL */
const lt_json *lt_json_get(const lt_json *object, const char *key); /* NULL when absent or not an object */
const lt_json *lt_json_at(const lt_json *array, int64_t i);
int64_t lt_json_size(const lt_json *v);                             /* of an array or object, else 0 */
/* Walks an object in file order: *iter starts NULL; false at the end. */
bool lt_json_each(const lt_json *object, void **iter, const char **key, const lt_json **value);
const char *lt_json_text(const lt_json *string, size_t *size); /* NULL when not a string; may hold NUL bytes */
int64_t lt_json_int(const lt_json *v, int64_t otherwise);       /* `otherwise` when not an integer */
double lt_json_num(const lt_json *v, double otherwise);         /* integers too */
bool lt_json_bool(const lt_json *v, bool otherwise);

/* Typed access with complaint: absent or null gives the default, a wrong type or a value out of range is an error that
 * names the file and the key ("config.json: hidden_size: expected an integer from 1 to 65536, found \"x\""). */
int64_t lt_json_want_int(lt_ctx *cx, const lt_json *o, const char *file, const char *key, int64_t min, int64_t max, int64_t otherwise);
double lt_json_want_num(lt_ctx *cx, const lt_json *o, const char *file, const char *key, double min, double max, double otherwise);
bool lt_json_want_bool(lt_ctx *cx, const lt_json *o, const char *file, const char *key, bool otherwise);
const char *lt_json_want_text(lt_ctx *cx, const lt_json *o, const char *file, const char *key, const char *otherwise);

/* Writing: append to a string. */
void lt_json_put_text(lt_str *s, const char *text, size_t size); /* quoted; ill-formed UTF-8 becomes U+FFFD */
void lt_json_put_float(lt_str *s, float x);   /* shortest form that reads back as the same float; null when not finite */
void lt_json_put_double(lt_str *s, double x);
/* A value with all that is in it, in file order, two blanks deeper on each level; the first line begins where s ends. */
void lt_json_put(lt_str *s, const lt_json *v, int depth);

#ifdef __cplusplus
}
#endif
#endif
