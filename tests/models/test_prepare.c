/* Protects: texts are lower-cased and stripped as Python does it, whose answers these are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "model/model.h"

static void lower_case(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"Lathe 12", "lathe 12"},
        {"ΟΔΟΣ", "οδος"},
        {"ΟΔΟΣ.", "οδος."},
        {"Σ", "σ"},
        {"ΣΑΣ ΑΣΑ", "σας ασα"},
        {"ΑΣ'", "ας'"},
        {"ΑΣ'Α", "ασ'α"},
        {"ΑΣ:ΑΣ", "ασ:ας"},
        {"Α.Σ", "α.ς"},
        {"'Σ", "'σ"},
        {"ΑΣ̈", "ας̈"},
        {"ΆΣ, ΣΣ", "άς, σς"},
        {"ⅧΣ", "ⅷς"},
        {"1Σ", "1σ"},
        {"aʰΣ", "aʰς"},
        {"ªΣ-", "ªς-"},
        {"İSTANBUL", "i̇stanbul"},
        {"ÀÉÎ ЖЩ ΆΈ", "àéî жщ άέ"},
        {"ǅ ẞ Ω", "ǆ ß ω"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lt_str s = {0};
        lt_put_lower(&s, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(s.data ? s.data : "", cases[i][1]);
        lt_str_free(&s);
    }
}

/* A word of capital sigmas and what may stand between letters takes time in proportion to its length, not to its square. */
static void long_words(void **state)
{
    enum { LONG = 200000 };
    lt_str text = {0}, s = {0};
    for (int i = 0; i < LONG; i++) lt_str_puts(&text, "Σ'");
    double start = lt_now();
    lt_put_lower(&s, text.data, text.size);
    assert_true(lt_now() - start < 5);
    assert_int_equal(s.size, text.size);
    lt_str_free(&text);
    lt_str_free(&s);
}

static void strip(void **state)
{
    static const char *const cases[][2] = {
        {" a b\t\n", "a b"}, {"\xc2\xa0\xe3\x80\x80x", "x"}, {"", ""}, {" \x1c ", ""}, {"\xe2\x80\x8b x", "\xe2\x80\x8b x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i][0];
        size_t size = strlen(text);
        lt_strip(&text, &size);
        assert_int_equal(size, strlen(cases[i][1]));
        assert_memory_equal(text, cases[i][1], size);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(lower_case), cmocka_unit_test(long_words), cmocka_unit_test(strip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
