/* Protects: ids, offsets, types, special tokens, truncation, pairs and decoding equal to Hugging Face tokenizers 0.21.4 for every
 * kind of normalizer, pre-tokenizer, model, post-processor and decoder, on hostile texts (fixtures of
 * tests/oracle/tokenizer_fixtures.py); and the same results from many threads at once. Tests run from the root of the tree. */
#include "text/tokenizers.h"

#include <pthread.h>

typedef struct {
    char *text;
    size_t size;
} bytes;

/* The case's text under `key`, or its bytes under key_hex; text NULL: neither. */
static bytes read_bytes(const lt_json *o, const char *key)
{
    char name[32];
    size_t size;
    const char *text = lt_json_text(lt_json_get(o, key), &size), *hex;
    bytes b = {0};
    if (text) {
        b.text = malloc(size + 1);
        memcpy(b.text, text, size);
        b.size = size;
        return b;
    }
    snprintf(name, sizeof name, "%s_hex", key);
    hex = lt_json_text(lt_json_get(o, name), &size);
    if (!hex) return b;
    b.text = malloc(size / 2 + 1);
    for (; b.size < size / 2; b.size++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * b.size, "%2x", &byte), 1);
        b.text[b.size] = (char)byte;
    }
    return b;
}

static bool same_ints(const lt_json *want, const int32_t *have, int n)
{
    if (!want) return true;
    if (lt_json_size(want) != n) return false;
    for (int i = 0; i < n; i++)
        if (lt_json_int(lt_json_at(want, i), -1) != have[i]) return false;
    return true;
}

static bool same_offsets(const lt_json *want, const lt_encoding *e)
{
    if (lt_json_size(want) != e->n) return false;
    for (int i = 0; i < e->n; i++)
        for (int k = 0; k < 2; k++)
            if (lt_json_int(lt_json_at(lt_json_at(want, i), k), -1) != e->offsets[i][k]) return false;
    return true;
}

static bool same_special(const lt_json *want, const lt_encoding *e)
{
    int count = 0;
    for (int i = 0; i < e->n; i++) {
        if (want && lt_json_int(lt_json_at(want, i), -1) != e->special[i]) return false;
        count += e->special[i];
    }
    return count == e->special_count;
}

/* Of which text each token is. */
static bool has_parts(const lt_encoding *e, bool pair)
{
    for (int i = 0; i < e->n; i++)
        if (e->special[i] != (e->part[i] == 0) || e->part[i] > 1 + pair) return false;
    return true;
}

static bool same_decoded(lt_ctx *cx, const lt_tokenizer *t, const lt_json *want, const lt_encoding *e)
{
    size_t size;
    const char *text = lt_json_text(want, &size);
    lt_str s = {0};
    bool same = !text || (lt_decode(cx, t, e->ids, e->n, true, &s) && s.size == size && !memcmp(s.data ? s.data : "", text, size));
    lt_str_free(&s);
    return same;
}

/* NULL when all is as it should be, else what is not. */
static const char *check_case(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o)
{
    bytes text = read_bytes(o, "text"), pair = read_bytes(o, "pair");
    lt_encode_options options = {.no_special = lt_json_bool(lt_json_get(o, "no_special"), false),
                                 .max_tokens = (int32_t)lt_json_int(lt_json_get(o, "max_tokens"), 0)};
    lt_scope scope = lt_open(cx, NULL);
    lt_encoding *e = text.text ? lt_encode(cx, t, text.text, text.size, pair.text, pair.size, &options) : NULL;
    const char *wrong = !e                                                    ? "no encoding"
                        : !same_ints(lt_json_get(o, "ids"), e->ids, e->n)     ? "ids"
                        : !same_offsets(lt_json_get(o, "offsets"), e)         ? "offsets"
                        : !same_ints(lt_json_get(o, "types"), e->types, e->n) ? "types"
                        : !same_special(lt_json_get(o, "special"), e)         ? "special"
                        : !has_parts(e, pair.text != NULL)                    ? "parts"
                        : !same_decoded(cx, t, lt_json_get(o, "decoded"), e)  ? "decoded"
                        : options.max_tokens && e->n > options.max_tokens     ? "too many tokens"
                                                                              : NULL;
    lt_end(cx, scope);
    free(text.text);
    free(pair.text);
    return wrong;
}

static void check_file(const char *path, int least)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int cases = 0, wrong = 0;
    if (!f) fail_msg("%s is not there: run the tests from the root of the source tree", path);
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    lt_tokenizer *t = NULL;
    char name[64] = "";
    for (int at = 1; (n = getline(&line, &capacity, f)) > 0; at++) {
        lt_json *o = lt_json_parse(cx, line, (size_t)n, path);
        assert_non_null(o);
        size_t size;
        const char *json = lt_json_text(lt_json_get(o, "tokenizer"), &size), *what = NULL;
        if (json) {
            lt_tokenizer_free(t);
            snprintf(name, sizeof name, "%s", lt_json_text(lt_json_get(o, "name"), NULL));
            t = lt_tokenizer_parse(cx, json, size, name);
        } else if (t) {
            cases++;
            what = check_case(cx, t, o);
        }
        if (!t || what) {
            wrong++;
            print_error("%s:%d: %s: %s differ; %s\n", path, at, name, what ? what : "opening", lt_ctx_error(cx));
        }
        lt_ctx_clear(cx);
        lt_json_free(o);
    }
    lt_tokenizer_free(t);
    free(line);
    fclose(f);
    lt_ctx_free(cx);
    assert_int_equal(wrong, 0);
    assert_in_range(cases, least, 100000);
}

static void normalizers_are_the_references(void **state) { check_file("tests/fixtures/text/normalizers.jsonl", 300); }
static void pre_tokenizers_are_the_references(void **state) { check_file("tests/fixtures/text/pre-tokenizers.jsonl", 800); }
static void models_are_the_references(void **state) { check_file("tests/fixtures/text/models.jsonl", 200); }

/* ---- threads ---- */

static const char TEXT[] = "The unbelievable newest fox doesn't jump. \xC3\x84\xC3\x96 \xE7\x8B\x90 na\xC3\xAFve \xF0\x9F\x98\x80";

typedef struct {
    const lt_tokenizer *t;
    uint32_t hash;
    bool ok;
} reader;

static void *read_often(void *arg)
{
    reader *r = arg;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    r->ok = cx != NULL;
    for (int i = 0; r->ok && i < 200; i++) {
        lt_scope scope = lt_open(cx, NULL);
        lt_encoding *e = encode_plainly(cx, r->t, TEXT);
        uint32_t hash = 5381;
        for (int k = 0; e && k < e->n; k++) hash = hash * 33 + (uint32_t)e->ids[k];
        r->ok = e && (!i || hash == r->hash);
        r->hash = hash;
        lt_end(cx, scope);
    }
    lt_ctx_free(cx);
    return NULL;
}

/* BPE remembers which tokens are whole words: a cache that threads share. */
static void threads_share_a_tokenizer(void **state)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    FILE *f = fopen("tests/fixtures/text/models.jsonl", "r");
    char *line = NULL;
    size_t capacity = 0, size;
    assert_non_null(f);
    for (ssize_t n; (n = getline(&line, &capacity, f)) > 0;) {
        lt_json *o = lt_json_parse(cx, line, (size_t)n, "fixture");
        const char *json = lt_json_text(lt_json_get(o, "tokenizer"), &size);
        lt_tokenizer *t = json && strstr(json, "\"ByteLevel\"") ? lt_tokenizer_parse(cx, json, size, "fixture") : NULL;
        lt_json_free(o);
        if (!t) continue;
        pthread_t thread[4];
        reader r[4];
        for (int i = 0; i < 4; i++) {
            r[i] = (reader){.t = t};
            assert_int_equal(pthread_create(&thread[i], NULL, read_often, &r[i]), 0);
        }
        for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
        for (int i = 0; i < 4; i++) {
            assert_true(r[i].ok);
            assert_int_equal(r[i].hash, r[0].hash);
        }
        lt_tokenizer_free(t);
    }
    free(line);
    fclose(f);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizers_are_the_references),
        cmocka_unit_test(pre_tokenizers_are_the_references),
        cmocka_unit_test(models_are_the_references),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests_name("tokenizers", tests, NULL, NULL);
}
