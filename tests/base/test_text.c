/* Protects: growable strings, UTF-8 decoding equal to Python's (tests/oracle/utf8.py) and to a second, numeric reading of the
 * standard, and "did you mean". */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lathe/base.h"

static void strings_grow(void **state)
{
    lt_str s = {0};
    lt_str_add(&s, "", 0);
    assert_string_equal(s.data, "");
    lt_str_clear(&s);
    for (int i = 0; i < 10000; i++) lt_str_printf(&s, "%d,", i);
    assert_int_equal(s.size, 48890);
    assert_int_equal(strlen(s.data), s.size);
    assert_true(s.capacity > s.size && s.capacity < 2 * s.size);
    assert_memory_equal(s.data + s.size - 10, "9998,9999,", 10);
    size_t capacity = s.capacity;
    lt_str_clear(&s);
    assert_int_equal(s.size, 0);
    assert_int_equal(s.capacity, capacity);
    assert_string_equal(s.data, "");
    lt_str_add(&s, "a\0b", 3);
    lt_str_puts(&s, "c");
    assert_memory_equal(s.data, "a\0bc", 5);
    lt_str_free(&s);
    assert_null(s.data);
    lt_str_free(&s);
}

static void a_failed_string_stays_failed(void **state)
{
    lt_str s = {0};
    lt_str_puts(&s, "kept");
    lt_str_add(&s, "x", SIZE_MAX - 2);
    assert_true(s.failed);
    lt_str_puts(&s, "more");
    lt_str_printf(&s, "%d", 1);
    assert_string_equal(s.data, "kept");
    lt_str_clear(&s);
    assert_true(s.failed);
    lt_str_free(&s);
}

/* ---- UTF-8 ---- */

static uint64_t hash_decoded(uint64_t h, const uint8_t *s, int n)
{
    const char *p = (const char *)s, *end = p + n;
    while (p < end) {
        uint32_t c;
        int step = lt_utf8_next(p, end, &c);
        assert_in_range(step, 1, end - p);
        h = (h ^ c) * 0x100000001B3;
        p += step;
    }
    return (h ^ 0x110000) * 0x100000001B3;
}

static uint64_t draw_state;
static uint32_t draw(void)
{
    draw_state = draw_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(draw_state >> 33);
}

static int draw_string(uint8_t *s)
{
    static const uint8_t edge[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                   0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    int n = 1 + (int)(draw() % 6);
    for (int i = 0; i < n; i++) {
        uint32_t r = draw();
        s[i] = r % 2 ? edge[(r >> 8) % sizeof edge] : (uint8_t)(r >> 8);
    }
    return n;
}

static void decodes_as_python(void **state)
{
    uint64_t h = 0xCBF29CE484222325;
    uint8_t s[6];
    for (int i = 0; i < 65536; i++) {
        s[0] = (uint8_t)(i >> 8), s[1] = (uint8_t)i;
        h = hash_decoded(h, s, 2);
    }
    assert_true(h == 0xCCAF5151E8254125);
    h = 0xCBF29CE484222325;
    draw_state = 1;
    for (int i = 0; i < 1000000; i++) h = hash_decoded(h, s, draw_string(s));
    assert_true(h == 0x631BE5DA53B7ADBB);
}

/* Whether some well-formed sequence begins with the n bytes at s, told by the numbers that its completions can stand for. */
static bool begins_something(const uint8_t *s, int n, int *size)
{
    *size = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (!*size || n > *size) return false;
    uint32_t low = *size == 1 ? s[0] : s[0] & (0x7Fu >> *size), high;
    for (int i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return false;
        low = low << 6 | (s[i] & 63);
    }
    high = low;
    for (int i = n; i < *size; i++) {
        low <<= 6;
        high = high << 6 | 63;
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (low < least[*size]) low = least[*size];
    if (high > 0x10FFFF) high = 0x10FFFF;
    return low <= high && !(low >= 0xD800 && high <= 0xDFFF);
}

static void check_against_numbers(const uint8_t *s, int n)
{
    int size, longest = 0;
    for (int k = 1; k <= n && begins_something(s, k, &size); k++) longest = k;
    begins_something(s, 1, &size);
    uint32_t c;
    int step = lt_utf8_next((const char *)s, (const char *)s + n, &c);
    assert_int_equal(step, longest ? longest : 1);
    if (longest && longest == size) {
        char back[4];
        assert_int_equal(lt_utf8_put(c, back), size);
        assert_memory_equal(back, s, (size_t)size);
    } else {
        assert_int_equal(c, 0xFFFD);
    }
}

static void decodes_as_the_numbers_say(void **state)
{
    draw_state = (uint64_t)time(NULL);
    print_message("# seed %llu\n", (unsigned long long)draw_state);
    uint8_t s[6];
    for (int i = 0; i < 65536; i++) {
        s[0] = (uint8_t)(i >> 8), s[1] = (uint8_t)i;
        check_against_numbers(s, 2);
    }
    for (int i = 0; i < 3000000; i++) check_against_numbers(s, draw_string(s));
}

static void every_code_point_round_trips(void **state)
{
    for (uint32_t c = 0; c <= 0x110000; c++) {
        char s[4];
        uint32_t back;
        int n = lt_utf8_put(c, s);
        bool valid = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
        assert_int_equal(lt_utf8_next(s, s + n, &back), n);
        assert_int_equal(back, valid ? c : 0xFFFD);
    }
    char s[4];
    assert_int_equal(lt_utf8_put(UINT32_MAX, s), 3);
}

/* ---- did you mean ---- */

static void nearest_word(void **state)
{
    static const char *const words[] = {"embed", "search", "index", "info",      "tokenize",
                                        "rank",  "eval",   "bench", "--threads", "--max-tokens"};
    static const char *const try[][2] = {
        {"embde", "embed"},
        {"serach", "search"},
        {"tok", "tokenize"},
        {"tokenise", "tokenize"},
        {"ranks", "rank"},
        {"indexx", "index"},
        {"--thread", "--threads"},
        {"--max-token", "--max-tokens"},
        {"embed", "embed"},
        {"embedding", "embed"},
        {"bnech", "bench"},
        {"completely", NULL},
        {"", NULL},
        {"xyz", NULL},
        {"zz", NULL},
        {"--treads", "--threads"},
        {"evl", "eval"},
        {"ev", "eval"},
        {"q", NULL},
    };
    for (size_t i = 0; i < sizeof try / sizeof *try; i++) {
        const char *got = lt_nearest(try[i][0], words, sizeof words / sizeof *words);
        if (try[i][1])
            assert_string_equal(got ? got : "nothing", try[i][1]);
        else
            assert_null(got);
    }
    assert_null(lt_nearest("embed", words, 0));
    char long_word[10000];
    memset(long_word, 'e', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = 0;
    assert_null(lt_nearest(long_word, words, 10));
    const char *const known[] = {long_word};
    assert_null(lt_nearest("embed", known, 1));
}

/* ---- random numbers: the known answers of Random123, published with the paper ---- */

static void philox_known_answers(void **state)
{
    static const uint32_t in[3][6] = {
        {0, 0, 0, 0, 0, 0},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0}, /* digits of pi */
    };
    static const uint32_t want[3][4] = {
        {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        lt_philox(in[i], in[i] + 4, out);
        assert_memory_equal(out, want[i], sizeof out);
    }
}

static void uniform_stays_below_one(void **state)
{
    assert_true(lt_uniform(0) == 0 && lt_uniform(255) == 0 && lt_uniform(256) == 0x1p-24f);
    assert_true(lt_uniform(UINT32_MAX) == 1 - 0x1p-24f);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow),
        cmocka_unit_test(a_failed_string_stays_failed),
        cmocka_unit_test(decodes_as_python),
        cmocka_unit_test(decodes_as_the_numbers_say),
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(nearest_word),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(uniform_stays_below_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
