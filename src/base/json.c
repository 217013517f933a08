/* JSON documents as the rest of the library sees them: asking for values, and saying in plain words which was expected. Reading
 * and writing them: json_read.c, json_write.c. */
#include "base/hash.h"
#include "base/json_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- documents ---- */

lt_json *lt_json_parse(lt_ctx *cx, const char *text, size_t size, const char *name)
{
    return lt_json_parse_at(cx, text, size, name, 1, 1);
}

lt_json *lt_json_load(lt_ctx *cx, const char *path)
{
    lt_map map;
    if (!lt_map_open(cx, &map, path)) return NULL;
    lt_json *root = lt_json_parse(cx, (const char *)map.data, map.size, path);
    lt_map_close(&map);
    return root;
}

/* ---- values ---- */

lt_json_type lt_json_is(const lt_json *v) { return v ? v->type : LT_JSON_NULL; }

const lt_json_member *lt_json_find(const lt_json_object *o, uint32_t n, const char *key, size_t size)
{
    const uint32_t hash = lt_hash_from(o->seed, key, size);
    for (uint32_t i = o->mask ? hash & o->mask : 0;; i = o->mask ? (i + 1) & o->mask : i + 1) {
        if (o->mask ? !o->slot[i] : i == n) return NULL;
        const lt_json_member *m = &o->member[o->mask ? o->slot[i] - 1 : i];
        if (m->hash == hash && m->key_size == size && !memcmp(m->key, key, size)) return m;
    }
}

const lt_json *lt_json_get(const lt_json *object, const char *key)
{
    if (lt_json_is(object) != LT_JSON_OBJECT) return NULL;
    const lt_json_member *m = lt_json_find(object->object, object->size, key, strlen(key));
    return m ? &m->value : NULL;
}

const lt_json *lt_json_at(const lt_json *array, int64_t i)
{
    return lt_json_is(array) == LT_JSON_ARRAY && i >= 0 && i < array->size ? &array->item[i] : NULL;
}

int64_t lt_json_size(const lt_json *v)
{
    lt_json_type type = lt_json_is(v);
    return type == LT_JSON_ARRAY || type == LT_JSON_OBJECT ? v->size : 0;
}

bool lt_json_each(const lt_json *object, void **iter, const char **key, const lt_json **value)
{
    if (lt_json_is(object) != LT_JSON_OBJECT) return false;
    const lt_json_member *all = object->object->member, *m = *iter ? (const lt_json_member *)*iter + 1 : all;
    if (m == all + object->size) return false;
    *iter = (void *)(uintptr_t)m;
    *key = m->key;
    *value = &m->value;
    return true;
}

const char *lt_json_text(const lt_json *string, size_t *size)
{
    bool is = lt_json_is(string) == LT_JSON_STRING;
    if (size) *size = is ? string->size : 0;
    return is ? string->text : NULL;
}

int64_t lt_json_int(const lt_json *v, int64_t otherwise) { return lt_json_is(v) == LT_JSON_INT ? v->integer : otherwise; }

double lt_json_num(const lt_json *v, double otherwise)
{
    lt_json_type type = lt_json_is(v);
    return type == LT_JSON_INT ? (double)v->integer : type == LT_JSON_REAL ? v->real : otherwise;
}

bool lt_json_bool(const lt_json *v, bool otherwise) { return lt_json_is(v) == LT_JSON_BOOL ? v->truth : otherwise; }

/* ---- typed access with complaint ---- */

static void describe(const lt_json *v, char *out, size_t size)
{
    lt_str s = {0};
    size_t n;
    const char *text = lt_json_text(v, &n);
    switch (lt_json_is(v)) {
    case LT_JSON_NULL:
        lt_str_puts(&s, "null");
        break;
    case LT_JSON_BOOL:
        lt_str_puts(&s, lt_json_bool(v, false) ? "true" : "false");
        break;
    case LT_JSON_INT:
        lt_str_printf(&s, "%" PRId64, lt_json_int(v, 0));
        break;
    case LT_JSON_REAL:
        lt_json_put_double(&s, lt_json_num(v, 0));
        break;
    case LT_JSON_STRING:
        if (n <= 40)
            lt_json_put_text(&s, text, n);
        else
            lt_str_printf(&s, "a string of %zu bytes", n);
        break;
    case LT_JSON_ARRAY:
        lt_str_puts(&s, "an array");
        break;
    case LT_JSON_OBJECT:
        lt_str_puts(&s, "an object");
        break;
    }
    snprintf(out, size, "%s", s.data && !s.failed ? s.data : "something else");
    lt_str_free(&s);
}

/* Records "FILE: KEY: expected WHAT, found …". */
static void complain(lt_ctx *cx, const char *file, const char *key, const char *what, const lt_json *found)
{
    char text[300];
    describe(found, text, sizeof text);
    lt_fail(cx, LT_ERR_INPUT, "%s: %s: expected %s, found %s", file, key, what, text);
}

int64_t lt_json_want_int(lt_ctx *cx, const lt_json *o, const char *file, const char *key, int64_t min, int64_t max,
                         int64_t otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    int64_t x = lt_json_int(v, 0);
    if (lt_json_is(v) == LT_JSON_INT && x >= min && x <= max) return x;
    char what[96];
    if (min == INT64_MIN && max == INT64_MAX)
        snprintf(what, sizeof what, "an integer");
    else if (max == INT64_MAX)
        snprintf(what, sizeof what, "an integer of at least %" PRId64, min);
    else if (min == INT64_MIN)
        snprintf(what, sizeof what, "an integer of at most %" PRId64, max);
    else
        snprintf(what, sizeof what, "an integer from %" PRId64 " to %" PRId64, min, max);
    complain(cx, file, key, what, v);
    return otherwise;
}

double lt_json_want_num(lt_ctx *cx, const lt_json *o, const char *file, const char *key, double min, double max, double otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    lt_json_type type = lt_json_is(v);
    double x = lt_json_num(v, 0);
    if ((type == LT_JSON_INT || type == LT_JSON_REAL) && x >= min && x <= max) return x;
    lt_str what = {0};
    bool below = min > -1.7e308, above = max < 1.7e308; /* infinities and ±DBL_MAX: not bounded on that side */
    lt_str_puts(&what, !below && !above ? "a number"
                       : !above         ? "a number of at least "
                       : !below         ? "a number of at most "
                                        : "a number from ");
    if (below) lt_json_put_double(&what, min);
    if (below && above) lt_str_puts(&what, " to ");
    if (above) lt_json_put_double(&what, max);
    complain(cx, file, key, what.failed ? "another number" : what.data, v);
    lt_str_free(&what);
    return otherwise;
}

bool lt_json_want_bool(lt_ctx *cx, const lt_json *o, const char *file, const char *key, bool otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    if (lt_json_is(v) != LT_JSON_BOOL) complain(cx, file, key, "true or false", v);
    return lt_json_bool(v, otherwise);
}

const char *lt_json_want_text(lt_ctx *cx, const lt_json *o, const char *file, const char *key, const char *otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    size_t size;
    const char *text = lt_json_text(v, &size);
    if (text && strlen(text) == size) return text;
    complain(cx, file, key, text ? "a string without NUL bytes" : "a string", v);
    return otherwise;
}
