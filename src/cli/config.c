/* Options from a file: one JSON object whose keys are the options' long names. What is on the command line wins over the file, the file over the
 * environment. The same form records what a run was told, so that the record of one is the file of another. */
#include "cli/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lathe/json.h"

static bool wrong(lt_str *error, const char *file, const char *key, const char *what)
{
    lt_str_printf(error, "%s: %s: %s", file, key, what);
    return false;
}

/* A copy that lives as long as a; NULL: no memory. */
static const char *keep(lt_args *a, const char *text, size_t size, lt_str *error)
{
    char **more = realloc(a->owned, (size_t)(a->n_owned + 1) * sizeof *more), *copy = more ? malloc(size + 1) : NULL;
    if (more) a->owned = more;
    if (!copy) {
        lt_str_puts(error, "no memory");
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    return a->owned[a->n_owned++] = copy;
}

/* A scalar as it would be written on the command line; NULL: it is none, or an error. */
static const char *as_text(lt_args *a, const char *file, const char *key, const lt_json *v, lt_str *error)
{
    size_t size = 0;
    lt_str s = {0};
    const char *text = lt_json_text(v, &size);
    if (text && strlen(text) != size) return wrong(error, file, key, "a text without a NUL is expected"), NULL;
    if (!text && lt_json_is(v) == LT_JSON_INT) lt_str_printf(&s, "%lld", (long long)lt_json_int(v, 0));
    if (!text && lt_json_is(v) == LT_JSON_REAL) lt_json_put_double(&s, lt_json_num(v, 0));
    if (!text && (!s.data || s.failed)) wrong(error, file, key, s.failed ? "no memory" : "a number or a text is expected");
    const char *kept = text || s.data ? keep(a, text ? text : s.data, text ? size : s.size, error) : NULL;
    lt_str_free(&s);
    return kept;
}

static bool set_option(lt_args *a, const char *file, const char *key, const lt_json *v, lt_str *error)
{
    const lt_opt *o = lt_arg_find(a, key);
    char from[300];
    snprintf(from, sizeof from, "%s: %s", file, key);
    if (!o || !strcmp(key, "config") || !strcmp(key, "help")) return lt_arg_unknown(a, from, key, error);
    if (lt_arg_given(a, key) || lt_json_is(v) == LT_JSON_NULL) return true;
    if (o->type == LT_OPT_FLAG)
        return lt_json_is(v) == LT_JSON_BOOL ? lt_arg_give(a, o, from, lt_json_bool(v, false) ? "yes" : "no", error) : wrong(error, file, key, "true or false is expected");
    const int64_t n = lt_json_is(v) == LT_JSON_ARRAY ? lt_json_size(v) : 1;
    for (int64_t i = 0; i < n; i++) {
        const char *text = as_text(a, file, key, lt_json_is(v) == LT_JSON_ARRAY ? lt_json_at(v, i) : v, error);
        if (!text || !lt_arg_give(a, o, from, text, error)) return false;
    }
    return true;
}

static bool set_operands(lt_args *a, const char *file, const lt_json *v, lt_str *error)
{
    const int64_t n = lt_json_size(v);
    if (lt_json_is(v) != LT_JSON_ARRAY) return wrong(error, file, "operands", "an array of texts is expected");
    if (a->operands) return true;
    const char **list = realloc(a->operand, (size_t)(n + 1) * sizeof *list);
    if (!list) return lt_str_puts(error, "no memory"), false;
    a->operand = list;
    for (int64_t i = 0; i < n; i++) {
        const char *text = as_text(a, file, "operands", lt_json_at(v, i), error);
        if (!text) return false;
        a->operand[a->operands++] = text;
    }
    return true;
}

bool lt_args_config(lt_args *a, const char *path, lt_str *error)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    lt_json *root = cx ? lt_json_load(cx, path) : NULL;
    bool good = root != NULL;
    if (!root) lt_str_puts(error, cx ? lt_ctx_error(cx) : "no memory");
    if (root && lt_json_is(root) != LT_JSON_OBJECT) good = wrong(error, path, "line 1", "an object of options by their long names is expected");
    void *at = NULL;
    const char *key;
    const lt_json *v;
    while (good && lt_json_each(root, &at, &key, &v))
        good = !strcmp(key, "operands") ? set_operands(a, path, v, error) : set_option(a, path, key, v, error);
    lt_json_free(root);
    lt_ctx_free(cx);
    return good;
}

/* ---- the record ---- */

static void put_value(lt_str *s, const lt_arg *arg, const char *text)
{
    if (arg->opt->type == LT_OPT_FLAG) lt_str_puts(s, arg->flag ? "true" : "false");
    else if (arg->opt->type == LT_OPT_INT) lt_str_printf(s, "%lld", (long long)arg->number);
    else if (arg->opt->type == LT_OPT_NUM) lt_json_put_double(s, arg->real);
    else lt_json_put_text(s, text, strlen(text));
}

void lt_args_record(const lt_args *a, lt_str *s, const char *unused)
{
    lt_str_puts(s, "{\n  \"operands\": [");
    for (int i = 0; i < a->operands; i++) {
        lt_str_puts(s, i ? ", " : "");
        lt_json_put_text(s, a->operand[i], strlen(a->operand[i]));
    }
    lt_str_puts(s, "]");
    for (int i = 0; i < a->n; i++) {
        const lt_arg *arg = &a->arg[i];
        const char *name = arg->opt->name;
        if (arg->opt->hidden || !strcmp(name, "help") || !strcmp(name, "config") || !strcmp(name, unused)) continue;
        if (arg->opt->type == LT_OPT_FLAG ? !arg->given : !arg->text) continue;
        const int times = lt_arg_times(a, name);
        lt_str_printf(s, ",\n  \"%s\": %s", name, times > 1 ? "[" : "");
        for (int k = 0; times > 1 && k < times; k++) {
            lt_str_puts(s, k ? ", " : "");
            lt_json_put_text(s, lt_arg_text_at(a, name, k), strlen(lt_arg_text_at(a, name, k)));
        }
        if (times > 1) lt_str_puts(s, "]");
        else put_value(s, arg, arg->text);
    }
    lt_str_puts(s, "\n}\n");
}
