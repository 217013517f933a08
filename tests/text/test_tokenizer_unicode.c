/* Protects: what the tokenizers know of every code point (class, lower case, NFD, NFKD, NFC, canonical order, BERT's normaliser)
 * is what the reference does with it: tests/fixtures/text/unicode.txt holds a hash for each 256 of them, written by
 * tests/oracle/unicode_tables.py. A newer utf8proc or PCRE2 that changed anything would show here. */
#include "text/tokenizers.h"

#include "text/kinds.h"
#include "text/normal_form.h"
#include "text/unicode.h"

enum { COLUMNS = 7, BASIS = 0x811C9DC5 };

static uint32_t fnv(uint32_t h, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 0x01000193;
    return h;
}

/* Adds "c:result " unless the result is nothing. */
static void add(uint32_t *h, uint32_t c, const char *result, size_t n)
{
    char begin[16];
    if (!n) return;
    *h = fnv(*h, begin, (size_t)snprintf(begin, sizeof begin, "%u:", c));
    *h = fnv(fnv(*h, result, n), " ", 1);
}

/* Adds what p has become, unless it is still `before`. */
static void add_piece(uint32_t *h, uint32_t c, const lt_piece *p, const char *before, size_t n)
{
    if (p->size != n || memcmp(p->text, before, n)) add(h, c, p->text, p->size);
}

static void add_form(lt_ctx *cx, uint32_t *h, uint32_t c, lt_normal form, const char *text, size_t n)
{
    lt_piece p = {.text = text, .size = (uint32_t)n, .id = -1};
    assert_true(lt_normal_form(cx, &p, form));
    add_piece(h, c, &p, text, n);
}

static void add_order(lt_ctx *cx, uint32_t *h, uint32_t c)
{
    static const uint32_t marks[8] = {0x345, 0x301, 0x323, 0x327, 0x5B0, 0x94D, 0x93C, 0x334};
    char text[16], order[8];
    uint32_t part[LT_DECOMPOSED];
    if (lt_char_decompose(c, false, part) == 1 && !lt_char_combining_class(c)) return; /* nothing that could move */
    for (int i = 0; i < 8; i++) {
        int n = 1 + lt_utf8_put(marks[i], text + 1);
        text[0] = 'a';
        char mark[4];
        int m = lt_utf8_put(marks[i], mark);
        n += lt_utf8_put(c, text + n);
        lt_piece p = {.text = text, .size = (uint32_t)n, .id = -1};
        assert_true(lt_normal_form(cx, &p, LT_NFD));
        order[i] = p.size > (uint32_t)m && !memcmp(p.text + 1, mark, (size_t)m) ? '0' : '1';
    }
    if (memcmp(order, "00000000", 8)) add(h, c, order, 8);
}

static void hash_char(lt_ctx *cx, const lt_tokenizer *bert, uint32_t c, uint32_t h[COLUMNS])
{
    char text[8] = "a", class[8];
    size_t n = (size_t)lt_utf8_put(c, text);
    uint8_t flags = lt_char_class(c);
    if (flags) add(&h[0], c, class, (size_t)snprintf(class, sizeof class, "%u", flags));
    lt_piece p = {.text = text, .size = (uint32_t)n, .id = -1};
    assert_true(lt_normalizer_lowercase.normalize(cx, NULL, &p));
    add_piece(&h[1], c, &p, text, n);
    add_form(cx, &h[2], c, LT_NFD, text, n);
    add_form(cx, &h[3], c, LT_NFKD, text, n);
    add_form(cx, &h[4], c, LT_NFC, text, n);
    add_order(cx, &h[5], c);
    char between[8] = "a";
    memcpy(between + 1, text, n);
    between[n + 1] = 'b';
    lt_piece q = {.text = between, .size = (uint32_t)n + 2, .id = -1};
    assert_true(lt_normalize(cx, &bert->normalizer, &q));
    add_piece(&h[6], c, &q, between, n + 2);
}

static void check_page(lt_ctx *cx, const lt_tokenizer *bert, uint32_t page, const char *want)
{
    static const char *const names[COLUMNS] = {"class", "lower case", "NFD", "NFKD", "NFC", "order", "BERT"};
    uint32_t h[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) h[i] = BASIS;
    lt_scope scope = lt_open(cx, NULL);
    for (uint32_t c = page * 256; c < page * 256 + 256; c++)
        if (c < 0xD800 || c > 0xDFFF) hash_char(cx, bert, c, h);
    lt_end(cx, scope);
    for (int i = 0; i < COLUMNS; i++) {
        char have[16] = "-", should[16] = "-";
        int used = 0;
        if (want && sscanf(want, " %15s%n", should, &used) == 1) want += used;
        if (h[i] != BASIS) snprintf(have, sizeof have, "%08x", h[i]);
        if (strcmp(have, should)) fail_msg("U+%04X … U+%04X: %s differs", page * 256, page * 256 + 255, names[i]);
    }
}

static void every_code_point_is_the_references(void **state)
{
    FILE *f = fopen("tests/fixtures/text/unicode.txt", "r");
    char line[256];
    if (!f) fail_msg("tests/fixtures/text/unicode.txt is not there: run the tests from the root of the source tree");
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    lt_tokenizer *bert = open_quoted(cx, "{'normalizer':{'type':'BertNormalizer'},'model':{'type':'WordPiece','vocab':{}}}");
    assert_non_null(bert);
    assert_non_null(fgets(line, sizeof line, f));
    uint32_t next = 0, page;
    int at;
    while (fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%x%n", &page, &at), 1);
        while (next < page) check_page(cx, bert, next++, NULL);
        check_page(cx, bert, next++, line + at);
    }
    while (next < 0x1100) check_page(cx, bert, next++, NULL);
    lt_tokenizer_free(bert);
    lt_ctx_free(cx);
    fclose(f);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_code_point_is_the_references)};
    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
