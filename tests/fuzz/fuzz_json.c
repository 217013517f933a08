/* Fuzzes the JSON reader: whatever the bytes, either an error with a place or a document, every value of which can be asked
 * for anything, and whose strings and numbers, written, read back as themselves. For clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "lathe/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(lt_ctx *cx, const lt_json *v)
{
    lt_str s = {0};
    size_t n = 0, m = 0;
    const char *text = lt_json_text(v, &n);
    lt_json_type type = lt_json_is(v);
    if (text)
        lt_json_put_text(&s, text, n);
    else if (type == LT_JSON_REAL)
        lt_json_put_double(&s, lt_json_num(v, 0));
    if (s.size) {
        lt_json *back = lt_json_parse(cx, s.data, s.size, "back");
        if (!back) abort();
        const char *again = lt_json_text(back, &m);
        if (text && (m != n || memcmp(text, again, n))) abort();
        if (!text && lt_json_num(back, 0) != lt_json_num(v, 0)) abort();
        lt_json_free(back);
        lt_str_clear(&s);
    }
    lt_json_put_float(&s, (float)lt_json_num(v, 0));
    lt_str_free(&s);
}

static void visit(lt_ctx *cx, const lt_json *v)
{
    write_again(cx, v);
    for (int64_t i = 0; i < lt_json_size(v) && lt_json_is(v) == LT_JSON_ARRAY; i++) visit(cx, lt_json_at(v, i));
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    while (lt_json_each(v, &iter, &key, &value)) {
        if (lt_json_get(v, key) != value) abort();
        lt_json_want_int(cx, v, "fuzz", key, -5, 5, 0);
        lt_json_want_num(cx, v, "fuzz", key, -1, 1, 0);
        lt_json_want_bool(cx, v, "fuzz", key, false);
        lt_json_want_text(cx, v, "fuzz", key, NULL);
        lt_ctx_clear(cx);
        visit(cx, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (!cx) return 0;
    lt_json *root = lt_json_parse(cx, (const char *)data, size, "fuzz");
    /* An error if and only if there is no document, and about the input: memory there was. */
    if (lt_ctx_status(cx) != (root ? LT_OK : LT_ERR_INPUT)) abort();
    if (root) visit(cx, root);
    lt_json_free(root);
    lt_ctx_free(cx);
    return 0;
}
