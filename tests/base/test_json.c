/* Protects: what JSON is accepted, that every refusal names file, line, column and what was expected, typed access, and that
 * written text and numbers read back as what they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "lathe/json.h"

static lt_ctx *cx;

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    return cx == NULL;
}

static int tear_down(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

static lt_json *parse(const char *text) { return lt_json_parse(cx, text, strlen(text), "f.json"); }

static void refusals_name_the_place(void **state)
{
    static const char *const cases[][2] = {
        {"", "f.json:1:1: expected a value, found the end"},
        {"{\"a\" 1}", "f.json:1:6: expected ':' after a key, found 1"},
        {"[1,2", "f.json:1:5: expected ',' or ']' in an array, found the end"},
        {"[\"long token\" \"other\"]", "f.json:1:15: expected ',' or ']' in an array, found \"other\""},
        {"{\"a\":1 2}", "f.json:1:8: expected ',' or '}' in an object, found 2"},
        {"{\"a\":1,\n \"é\": 2, \"a\":2}", "f.json:2:10: expected each key once in an object, found \"a\""},
        {"[1,\n  foo]", "f.json:2:3: expected an object, array, string, number, true, false or null, found foo"},
        {"[01]", "f.json:1:2: expected an object, array, string, number, true, false or null, found 01"},
        {"nan", "f.json:1:1: expected an object, array, string, number, true, false or null, found nan"},
        {"12345678901234567890", "f.json:1:1: expected an integer that fits 64 bits, found 12345678901234567890"},
        {"-9223372036854775809", "f.json:1:1: expected an integer that fits 64 bits, found -9223372036854775809"},
        {"[1e999]", "f.json:1:2: expected a number that a double can hold, found 1e999"},
        {"[1] x", "f.json:1:5: expected nothing more after the value, found x"},
        {"\"a\xff\"", "f.json:1:3: expected UTF-8"},
        {"\xff", "f.json:1:1: expected UTF-8"},
        {"{\"a\\u0000\":1}", "f.json:1:2: expected a key without NUL bytes, found \"a\\u0000\""},
        {"[\"abc", "f.json:1:6: expected a double quote at the end of a string, found the end"},
        {"\"\\ud800\"", "expected surrogates as a pair"},
        {"\"\\x\"", "expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u and four hex digits after '\\'"},
        {"[1,]", "f.json:1:4: expected a value, found ]"},
        {"{1:2}", "f.json:1:2: expected a key in double quotes or '}', found 1"},
        {"{\"a\":1,}", "f.json:1:8: expected a key in double quotes or '}', found }"},
        {"\"a\nb\"", "f.json:1:3: expected a double quote at the end of a string, or \\n"},
        {"\"\x01\"", "f.json:1:2: expected control characters to be escaped"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(parse(cases[i][0]));
        assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
        if (!strstr(lt_ctx_error(cx), cases[i][1])) assert_string_equal(lt_ctx_error(cx), cases[i][1]);
        lt_ctx_clear(cx);
    }
    assert_null(lt_json_parse(cx, NULL, 0, "f"));
    assert_true(lt_ok(cx)); /* NULL comes from an earlier failure */
}

static void deep_nesting_is_refused(void **state)
{
    enum { DEEP = 2000000 };
    char *text = malloc(DEEP);
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < DEEP; i++) text[i] = kind ? "{\"\":"[i % 4] : '[';
        assert_null(lt_json_parse(cx, text, DEEP, "deep"));
        assert_non_null(strstr(lt_ctx_error(cx), "expected fewer levels of nesting"));
        lt_ctx_clear(cx);
    }
    free(text);
}

static void values_are_read(void **state)
{
    const char *text =
        "\xEF\xBB\xBF {\"i\": -9223372036854775808, \"r\": 1e3, \"s\": \"a\\u0000é\\ud83d\\ude00\", \"t\": true, \"n\": null,"
        " \"a\": [1, 2.5, [], {}], \"z\": {\"y\": 1, \"x\": 2}}";
    lt_json *root = parse(text);
    assert_non_null(root);
    assert_int_equal(lt_json_is(root), LT_JSON_OBJECT);
    assert_int_equal(lt_json_size(root), 7);
    assert_true(lt_json_int(lt_json_get(root, "i"), 0) == INT64_MIN);
    assert_int_equal(lt_json_is(lt_json_get(root, "r")), LT_JSON_REAL);
    assert_int_equal(lt_json_int(lt_json_get(root, "r"), 7), 7);
    assert_true(lt_json_num(lt_json_get(root, "r"), 0) == 1000);
    size_t n;
    assert_memory_equal(lt_json_text(lt_json_get(root, "s"), &n), "a\0é\xF0\x9F\x98\x80", 9);
    assert_int_equal(n, 8);
    assert_null(lt_json_text(root, &n));
    assert_int_equal(n, 0);
    assert_true(lt_json_bool(lt_json_get(root, "t"), false));
    assert_true(lt_json_bool(lt_json_get(root, "n"), true));
    const lt_json *a = lt_json_get(root, "a");
    assert_int_equal(lt_json_size(a), 4);
    assert_int_equal(lt_json_int(lt_json_at(a, 0), 0), 1);
    assert_true(lt_json_num(lt_json_at(a, 1), 0) == 2.5);
    assert_int_equal(lt_json_is(lt_json_at(a, 2)), LT_JSON_ARRAY);
    assert_null(lt_json_at(a, 4));
    assert_null(lt_json_at(a, -1));
    assert_null(lt_json_at(root, 0));
    assert_null(lt_json_get(a, "x"));
    assert_null(lt_json_get(NULL, "x"));
    assert_null(lt_json_at(NULL, 0));
    assert_int_equal(lt_json_is(NULL), LT_JSON_NULL);
    assert_int_equal(lt_json_size(NULL), 0);
    const char *key, *want[] = {"i", "r", "s", "t", "n", "a", "z"};
    const lt_json *value;
    void *iter = NULL;
    int k = 0;
    while (lt_json_each(root, &iter, &key, &value)) assert_string_equal(key, want[k++]); /* in file order */
    assert_int_equal(k, 7);
    iter = NULL;
    assert_false(lt_json_each(a, &iter, &key, &value));
    lt_json_free(root);
    lt_json_free(NULL);
    root = parse(" 12 ");
    assert_int_equal(lt_json_int(root, 0), 12);
    lt_json_free(root);
}

static void load_names_the_file(void **state)
{
    char path[] = "/tmp/lathe-json-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "[1,\n2\n", 6), 6);
    close(fd);
    assert_null(lt_json_load(cx, path));
    char want[100];
    snprintf(want, sizeof want, "%s:3:1: expected ',' or ']' in an array, found the end", path);
    assert_string_equal(lt_ctx_error(cx), want);
    unlink(path);
    lt_ctx_clear(cx);
    assert_null(lt_json_load(cx, path));
    snprintf(want, sizeof want, "%s: No such file or directory", path);
    assert_string_equal(lt_ctx_error(cx), want);
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
}

static void complains(const char *want)
{
    assert_string_equal(lt_ctx_error(cx), want);
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    lt_ctx_clear(cx);
}

static void wanted_values_are_checked(void **state)
{
    lt_json *o =
        parse("{\"i\": 12, \"r\": 0.5, \"s\": \"x\", \"b\": false, \"n\": null, \"a\": [], \"o\": {}, \"z\": \"a\\u0000b\","
              "\"l\": \"0123456789012345678901234567890123456789012345\"}");
    assert_int_equal(lt_json_want_int(cx, o, "f", "i", 1, 12, 5), 12);
    assert_int_equal(lt_json_want_int(cx, o, "f", "absent", 1, 12, 50), 50);
    assert_int_equal(lt_json_want_int(cx, o, "f", "n", 1, 12, 50), 50);
    assert_true(lt_json_want_num(cx, o, "f", "i", 0, 100, 5) == 12);
    assert_true(lt_json_want_num(cx, o, "f", "r", 0, 1, 5) == 0.5);
    assert_true(lt_json_want_num(cx, o, "f", "n", 0, 1, 5) == 5);
    assert_false(lt_json_want_bool(cx, o, "f", "b", true));
    assert_true(lt_json_want_bool(cx, o, "f", "absent", true));
    assert_string_equal(lt_json_want_text(cx, o, "f", "s", "d"), "x");
    assert_string_equal(lt_json_want_text(cx, o, "f", "n", "d"), "d");
    assert_null(lt_json_want_text(cx, NULL, "f", "n", NULL));
    assert_true(lt_ok(cx));

    assert_int_equal(lt_json_want_int(cx, o, "config.json", "s", 1, 65536, 3), 3);
    complains("config.json: s: expected an integer from 1 to 65536, found \"x\"");
    lt_json_want_int(cx, o, "f", "i", 1, 11, 3);
    complains("f: i: expected an integer from 1 to 11, found 12");
    lt_json_want_int(cx, o, "f", "r", 0, INT64_MAX, 3);
    complains("f: r: expected an integer of at least 0, found 0.5");
    lt_json_want_int(cx, o, "f", "a", INT64_MIN, INT64_MAX, 3);
    complains("f: a: expected an integer, found an array");
    lt_json_want_int(cx, o, "f", "l", INT64_MIN, 9, 3);
    complains("f: l: expected an integer of at most 9, found a string of 46 bytes");
    lt_json_want_num(cx, o, "f", "r", 1, 2.5, 3);
    complains("f: r: expected a number from 1 to 2.5, found 0.5");
    lt_json_want_num(cx, o, "f", "o", -INFINITY, DBL_MAX, 3);
    complains("f: o: expected a number, found an object");
    lt_json_want_num(cx, o, "f", "b", 0, INFINITY, 3);
    complains("f: b: expected a number of at least 0, found false");
    lt_json_want_bool(cx, o, "f", "i", false);
    complains("f: i: expected true or false, found 12");
    lt_json_want_text(cx, o, "f", "i", "d");
    complains("f: i: expected a string, found 12");
    lt_json_want_text(cx, o, "f", "z", "d");
    complains("f: z: expected a string without NUL bytes, found \"a\\u0000b\"");
    lt_json_free(o);
}

/* ---- writing ---- */

static void text_is_escaped(void **state)
{
    lt_str s = {0};
    lt_json_put_text(&s, "a\"\\\b\f\n\r\t\0\x1f\x7f/é\xF0\x9F\x98\x80\xff\xe2\x82z\xEF\xBF\xBD", 25);
    assert_string_equal(s.data,
                        "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/é\xF0\x9F\x98\x80\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\"");
    lt_str_clear(&s);
    lt_json_put_text(&s, "", 0);
    assert_string_equal(s.data, "\"\"");
    lt_str_free(&s);
}

static void any_bytes_become_valid_text(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        int n = rand_r(&seed) % 24;
        for (int i = 0; i < n; i++)
            bytes[i] = (char)(rand_r(&seed) % 3 ? rand_r(&seed) : "\"\\\xE2\xF0\x80\x9F"[rand_r(&seed) % 6]);
        lt_str s = {0}, want = {0};
        lt_json_put_text(&s, bytes, (size_t)n);
        for (const char *p = bytes; p < bytes + n;) {
            uint32_t c;
            char out[4];
            p += lt_utf8_next(p, bytes + n, &c);
            lt_str_add(&want, out, (size_t)lt_utf8_put(c, out));
        }
        lt_json *v = lt_json_parse(cx, s.data, s.size, "text");
        assert_true(lt_ok(cx));
        size_t size;
        const char *back = lt_json_text(v, &size);
        assert_int_equal(size, want.size);
        if (size) assert_memory_equal(back, want.data, size);
        lt_json_free(v);
        lt_str_free(&s);
        lt_str_free(&want);
    }
}

static void writes_float(float x, const char *want)
{
    lt_str s = {0};
    lt_json_put_float(&s, x);
    assert_string_equal(s.data, want);
    lt_str_free(&s);
}

static void writes_double(double x, const char *want)
{
    lt_str s = {0};
    lt_json_put_double(&s, x);
    assert_string_equal(s.data, want);
    lt_str_free(&s);
}

static void numbers_in_fewest_digits(void **state)
{
    writes_float(0.1f, "0.1");
    writes_float(-0.1f, "-0.1");
    writes_float(1, "1");
    writes_float(100000, "100000");
    writes_float(16777216, "16777216");
    writes_float(0, "0");
    writes_float(-0.0f, "-0.0");
    writes_float(1 / 3.0f, "0.33333334");
    writes_float(FLT_MAX, "3.4028235e+38");
    writes_float(FLT_MIN, "1.1754944e-38");
    writes_float(0x1p-149f, "1e-45");
    writes_float(1e-5f, "1e-05");
    writes_float(0.00012345f, "0.00012345");
    writes_float(999998.94f, "999998.94");
    writes_float(NAN, "null");
    writes_float(-INFINITY, "null");
    writes_double(0.1, "0.1");
    writes_double(1 / 3.0, "0.3333333333333333");
    writes_double(0.1 + 0.2, "0.30000000000000004");
    writes_double(5e-324, "5e-324");
    writes_double(DBL_MAX, "1.7976931348623157e+308");
    writes_double(-0.0, "-0.0");
    writes_double(12345, "12345");
    writes_double(NAN, "null");
}

static void whole_values_are_written(void **state)
{
    static const char text[] = "{\"a\":[1,2.0,-0.0,1e300,true,null,[],{}],\"b\\n\":{\"c\":\"\\u0000é\"}}";
    lt_json *v = parse(text);
    lt_str s = {0};
    lt_json_put(&s, v, 0);
    assert_string_equal(s.data, "{\n  \"a\": [\n    1,\n    2.0,\n    -0.0,\n    1e+300,\n    true,\n    null,\n    [],\n    {}\n  ],\n"
                                "  \"b\\n\": {\n    \"c\": \"\\u0000é\"\n  }\n}");
    lt_str_free(&s);
    lt_json_free(v);
}

/* Members are found by a table once there are many. */
static void large_objects(void **state)
{
    enum { MANY = 5000 };
    for (int n = 1; n <= MANY; n = n < 40 ? n + 1 : n * 5) {
        lt_str s = {0};
        for (int i = 0; i < n; i++) lt_str_printf(&s, "%s\"key %d\": %d", i ? ", " : "{", i * 7919 % MANY, i);
        lt_str_puts(&s, "}");
        lt_json *v = parse(s.data);
        assert_int_equal(lt_json_size(v), n);
        for (int i = 0; i < n; i++) {
            char key[30];
            snprintf(key, sizeof key, "key %d", i * 7919 % MANY);
            assert_int_equal(lt_json_int(lt_json_get(v, key), -1), i);
        }
        assert_null(lt_json_get(v, "key"));
        assert_null(lt_json_get(v, ""));
        lt_json_free(v);
        s.data[--s.size] = 0;
        lt_str_printf(&s, ",\n\"key %d\": 0}", (n - 1) * 7919 % MANY);
        assert_null(parse(s.data));
        assert_non_null(strstr(lt_ctx_error(cx), "f.json:2:1: expected each key once in an object, found \"key "));
        lt_ctx_clear(cx);
        lt_str_free(&s);
    }
}

static int significant_digits(const char *p)
{
    int n = 0, zeros = 0;
    for (; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9' || (n == 0 && *p == '0')) continue;
        zeros = *p == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros;
}

/* Random bit patterns, and random values of ordinary size. Read as a float and by way of a double: both must return. */
static void floats_read_back(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    lt_str s = {0};
    int longer = 0;
    for (int i = 0; i < 300000; i++) {
        union {
            uint32_t bits;
            float x;
        } u = {.bits = (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed)};
        if (i % 3) u.bits = (u.bits & 0x807FFFFF) | (uint32_t)(108 + rand_r(&seed) % 42) << 23; /* 2^-19 … 2^22 */
        if (i % 3 == 2) u.x = (float)(rand_r(&seed) % 2000001 - 1000000) / 1000000.f;
        if (!isfinite(u.x)) continue;
        lt_str_clear(&s);
        lt_json_put_float(&s, u.x);
        assert_true(strtof(s.data, NULL) == u.x);
        assert_true((float)strtod(s.data, NULL) == u.x);
        /* No shorter %g form reads back as well. */
        char text[400];
        int digits = significant_digits(s.data);
        if (digits > 1) {
            snprintf(text, sizeof text, "%.*g", digits - 1, (double)u.x);
            longer += strtof(text, NULL) == u.x;
        }
        lt_json *v = lt_json_parse(cx, s.data, s.size, "number");
        assert_true((float)lt_json_num(v, NAN) == u.x);
        lt_json_free(v);
    }
    assert_int_equal(longer, 0);
    for (int i = 0; i < 50000; i++) {
        union {
            uint32_t bits[2];
            double x;
        } u = {.bits = {(uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed),
                        (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed)}};
        if (!isfinite(u.x)) continue;
        lt_str_clear(&s);
        lt_json_put_double(&s, u.x);
        lt_json *v = lt_json_parse(cx, s.data, s.size, "number");
        assert_true(lt_json_num(v, NAN) == u.x);
        lt_json_free(v);
    }
    lt_str_free(&s);
}

/* A locale whose decimal point is a comma, made here where the machine has none. */
static bool comma_locale(void)
{
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") || setlocale(LC_NUMERIC, "fr_FR.UTF-8")) return true;
    char folder[] = "/tmp/lathe-locale-XXXXXX", command[300];
    if (!mkdtemp(folder)) return false;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
    bool made = system(command) == 0 && setenv("LOCPATH", folder, 1) == 0 && setlocale(LC_NUMERIC, "de_DE.UTF-8");
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 && made;
}

static void the_locale_changes_nothing(void **state)
{
    if (!comma_locale()) skip();
    char text[8];
    snprintf(text, sizeof text, "%g", 0.5);
    assert_string_equal(text, "0,5"); /* or nothing is tested here */
    writes_double(0.5, "0.5");
    writes_double(1.5e300, "1.5e+300");
    writes_float(1.5e-30f, "1.5e-30");
    lt_json *v = parse("0.5");
    assert_true(lt_json_num(v, 0) == 0.5);
    lt_json_free(v);
    setlocale(LC_NUMERIC, "C");
}

#define with_context(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        with_context(refusals_name_the_place),     with_context(deep_nesting_is_refused),   with_context(values_are_read),
        with_context(load_names_the_file),         with_context(wanted_values_are_checked), with_context(text_is_escaped),
        with_context(any_bytes_become_valid_text), with_context(numbers_in_fewest_digits),  with_context(floats_read_back),
        with_context(the_locale_changes_nothing),  with_context(whole_values_are_written),  with_context(large_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
