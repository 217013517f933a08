/* Protects: what the analysers make of text, their terms' places in it, and that any bytes are taken. */
#include "check.h"

#include <stdlib.h>

#include "retrieve/analyze.h"

struct seen {
    char terms[4096];
    const char *text;
    size_t size;
    int last;
};

static int note(void *arg, int flags, const char *term, int size, int start, int end)
{
    struct seen *s = arg;
    assert_true(size > 0 && size <= 256);
    assert_true(start >= 0 && start < end && (size_t)end <= s->size);
    assert_true(start >= s->last); /* FTS5 wants them in order */
    s->last = start;
    size_t used = strlen(s->terms);
    snprintf(s->terms + used, sizeof s->terms - used, "%s%.*s", used ? " " : "", size, term);
    return SQLITE_OK;
}

static sqlite3 *db;

static void check_bytes(const char *name, const char *text, size_t size, const char *want)
{
    lt_ctx *cx = lt_ctx_new(NULL);
    lt_analyzer *a = lt_analyzer_open(cx, db, name);
    assert_non_null(a);
    struct seen s = {.text = text, .size = size};
    char *copy = malloc(size ? size : 1); /* so that reading beyond it is seen */
    memcpy(copy, text, size);
    assert_int_equal(lt_analyze(a, copy, size, note, &s), SQLITE_OK);
    free(copy);
    if (want) assert_string_equal(s.terms, want);
    lt_analyzer_close(a);
    lt_ctx_free(cx);
}

static void check(const char *name, const char *text, const char *want) { check_bytes(name, text, strlen(text), want); }

static void plain(void **state)
{
    check("plain", "", "");
    check("plain", " Don't stop -- x2y, ÄB_c\n3.14", "don t stop x2y b c 3 14");
    check("plain",
          "\xE2\x84\xAA"
          "elvin \xC4\xB0",
          "kelvin i"); /* as lower-casing in Unicode has it */
    check("plain", "getValue HTTPServer2Go", "getvalue httpserver2go");
    check_bytes("plain",
                "a\0b\xFF"
                "c\xC3",
                6, "a b c");
}

static void code(void **state)
{
    check("code", "getValue_of HTTPServer2Go camelCASE x", "get value of httpserver2 go camel case x");
    check("code", "snake_case(aB)", "snake case a b");
}

static void unicode(void **state)
{
    check("unicode", "Crème BRÛLÉE, naïve Straße ﬁne", "creme brulee naive strasse fine");
    check("unicode", "cre\xCC\x80me", "creme"); /* decomposed, as composed */
    check("unicode", "Ελλάδα Москва", "ελλαδα москва");
    check("unicode", "Й й", "и и");
    check("unicode", "co\xC2\xADop", "coop"); /* soft hyphen */
    check("unicode", "مُحَمَّد", "محمد");
    check("unicode", "हिन्दी", "हिन्दी"); /* vowels that are marks stay */
    check("unicode", "x² ½", "x2 12");
    check("unicode", "a_b", "a b");
    check("unicode", "\xCC\x81 a", "a");
}

static void scripts_without_blanks(void **state)
{
    check("unicode", "東京に", "東 東京 京 京に に");
    check("unicode", "見。行", "見 行");
    check("unicode", "abc東京x", "abc 東 東京 京 x");
    check("unicode", "ｶﾞｽ", "カ\xE3\x82\x99 カ\xE3\x82\x99ス ス"); /* half width, as full width, decomposed */
    check("unicode", "ไทย", "ไ ไท ท ทย ย");
}

static void english(void **state)
{
    check("english", "running runs Ran", "run run ran");
    check("english", "caresses ponies relational conditional vietnamization", "caress poni relat condit vietnam");
    check("english", "générations", "gener");
}

static void any_bytes_are_taken(void **state)
{
    static const char *const names[] = {"plain", "unicode", "english", "code"};
    uint32_t seed = 77, out[4];
    print_message("# seed %u\n", seed);
    for (uint32_t round = 0; round < 2000; round++) {
        char text[300];
        size_t size = 0;
        for (uint32_t i = 0; i < 60; i++) {
            lt_philox((uint32_t[4]){round, i}, (uint32_t[2]){seed}, out);
            if (out[0] % 3)
                size += (size_t)lt_utf8_put(out[1] % (out[0] % 5 ? 0x3200 : 0x110000), text + size);
            else
                text[size++] = (char)out[1];
        }
        for (int i = 0; i < 4; i++) check_bytes(names[i], text, size, NULL);
    }
    /* A word without end is cut. */
    char *big = malloc(1 << 20);
    memset(big, 'a', 1 << 20);
    for (int i = 0; i < 4; i++) check_bytes(names[i], big, 1 << 20, NULL);
    memset(big, 0xCC, 1 << 20);
    for (size_t i = 1; i < 1 << 20; i += 2) big[i] = (char)0x81; /* accents only */
    for (int i = 0; i < 4; i++) check_bytes(names[i], big, 1 << 20, "");
    free(big);
}

static int setup(void **state)
{
    lt_ctx *cx = lt_ctx_new(NULL);
    bool good = sqlite3_open(":memory:", &db) == SQLITE_OK && lt_analyzers_register(cx, db, NULL);
    lt_ctx_free(cx);
    return !good;
}

static int teardown(void **state) { return sqlite3_close(db); }

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),   cmocka_unit_test(code),
        cmocka_unit_test(unicode), cmocka_unit_test(scripts_without_blanks),
        cmocka_unit_test(english), cmocka_unit_test(any_bytes_are_taken),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
