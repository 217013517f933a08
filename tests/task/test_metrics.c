/* Protects: metrics of lathe/task.h: values worked out by hand, definitions at their edges (nothing right, one label, no row), tags in every
 * scheme, SQuAD's normalisation, and hostile texts. tests/oracle/compare_metrics.py compares random cases with the field's own packages. */
#include "check.h"

#include "lathe/task.h"

static lt_ctx *make(void)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    assert_non_null(cx);
    return cx;
}

#define near_to(x, y) assert_float_equal(x, y, 1e-12)

/* ---- labels ---- */

static void single_labels(void **state)
{
    lt_ctx *cx = make();
    lt_label_counts c = {0};
    static const int32_t want[] = {0, 0, 1, 1, 2, 2}, got[] = {0, 1, 1, 1, 0, 3};
    for (int i = 0; i < 6; i++) assert_true(lt_label_count(cx, &c, want[i], got[i]));
    near_to(lt_accuracy(&c), 0.5);
    near_to(lt_f1_micro(&c), 0.5);
    near_to(lt_f1_macro(&c), (0.5 + 0.8 + 0 + 0) / 4); /* 2·1/(2+2), 2·2/(2+3), nothing right twice */
    near_to(lt_mcc(&c), (3 * 6 - (2 * 2 + 2 * 3 + 2 * 0)) / sqrt((36 - 12.) * (36 - 14.)));
    lt_label_counts_free(&c);
    lt_ctx_free(cx);
}

static void edges_of_labels(void **state)
{
    lt_ctx *cx = make();
    lt_label_counts c = {0};
    assert_true(isnan(lt_accuracy(&c)) && isnan(lt_f1_macro(&c)) && isnan(lt_f1_micro(&c)) && isnan(lt_mcc(&c)));
    for (int i = 0; i < 5; i++) assert_true(lt_label_count(cx, &c, i % 2, 7));
    near_to(lt_mcc(&c), 0); /* one label on one side */
    near_to(lt_f1_macro(&c), 0);
    near_to(lt_accuracy(&c), 0);
    assert_false(lt_label_count(cx, &c, -1, 0));
    lt_ctx_clear(cx);
    assert_false(lt_label_count(cx, &c, 0, INT32_MAX));
    lt_ctx_clear(cx);
    assert_int_equal(c.rows, 5);
    lt_label_counts_free(&c);
    lt_ctx_free(cx);
}

static void several_labels(void **state)
{
    lt_ctx *cx = make();
    lt_label_counts c = {0};
    assert_true(lt_label_count_sets(cx, &c, (int32_t[]){2, 0}, 2, (int32_t[]){0, 2, 2}, 3)); /* the same set */
    assert_true(lt_label_count_sets(cx, &c, (int32_t[]){1}, 1, (int32_t[]){0, 1}, 2));
    assert_true(lt_label_count_sets(cx, &c, NULL, 0, NULL, 0)); /* nothing was wanted and nothing came */
    assert_true(lt_label_count_sets(cx, &c, (int32_t[]){2}, 1, NULL, 0));
    near_to(lt_accuracy(&c), 0.5);
    near_to(lt_f1_micro(&c), 2 * 3 / (4. + 4));
    near_to(lt_f1_macro(&c), (2 / 3. + 1 + 2 / 3.) / 3);
    lt_label_counts_free(&c);
    lt_ctx_free(cx);
}

static void numbers_of_texts(void **state)
{
    lt_ctx *cx = make();
    lt_label_set set = {0};
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            const int n = snprintf(text, sizeof text, "label %d", i);
            assert_int_equal(lt_label_number(cx, &set, text, (size_t)n), i);
        }
    assert_int_equal(lt_label_number(cx, &set, "a\0b", 3), 5000); /* NUL bytes count */
    assert_int_equal(lt_label_number(cx, &set, "a\0c", 3), 5001);
    assert_int_equal(lt_label_number(cx, &set, "", 0), 5002);
    assert_int_equal(set.n, 5003);
    lt_label_set_free(&set);
    lt_ctx_free(cx);
}

/* ---- entities ---- */

/* Tags are given with blanks between. */
static int cut(char *text, const char **tag)
{
    int n = 0;
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " ")) tag[n++] = p;
    return n;
}

static void count_tags(lt_ctx *cx, lt_entity_counts *c, const char *want, const char *got)
{
    char a[400], b[400];
    const char *x[100], *y[100];
    snprintf(a, sizeof a, "%s", want);
    snprintf(b, sizeof b, "%s", got);
    const int n = cut(a, x);
    assert_int_equal(cut(b, y), n);
    assert_true(lt_entity_count(cx, c, x, y, n));
}

static void expect_tags(const char *want, const char *got, int64_t right, int64_t found, int64_t wanted)
{
    lt_ctx *cx = make();
    lt_entity_counts c = {0};
    count_tags(cx, &c, want, got);
    const lt_prf s = lt_entity_score(&c, -1);
    const double p = found ? (double)right / (double)found : 0, r = wanted ? (double)right / (double)wanted : 0;
    assert_int_equal(s.support, wanted);
    near_to(s.precision, p);
    near_to(s.recall, r);
    near_to(s.f1, right ? 2 * p * r / (p + r) : 0);
    lt_entity_counts_free(&c);
    lt_ctx_free(cx);
}

static void schemes(void **state)
{
    expect_tags("B-PER I-PER O B-LOC", "B-PER I-PER O B-ORG", 1, 2, 2);
    expect_tags("I-PER I-PER O I-LOC", "B-PER I-PER O B-LOC", 2, 2, 2); /* IOB1 against IOB2 */
    expect_tags("I-PER I-PER B-PER O", "B-PER I-PER I-PER O", 0, 1, 2); /* B splits neighbours */
    expect_tags("B-PER E-PER O S-LOC", "B-PER I-PER O B-LOC", 2, 2, 2); /* BIOES against IOB2 */
    expect_tags("I-PER E-PER E-PER O", "B-PER I-PER B-PER O", 2, 2, 2); /* IOE against IOB2 */
    expect_tags("S-X S-X E-X I-X O", "B-X B-X B-X B-X O", 4, 4, 4);     /* what comes behind S and E begins */
    expect_tags("B-X I-Y I-Y O", "B-X B-Y I-Y O", 2, 2, 2);             /* another type begins */
    expect_tags("B I O BPER", "B I O B-PER", 2, 2, 2);                  /* no type; no dash */
    expect_tags("B-X-Y I-X-Y O O", "B-X-Y I-X-Z O O", 0, 2, 1);         /* a type with a dash in it */
    expect_tags("O O O O", "O O O O", 0, 0, 0);
    expect_tags("O O O B-X", "B-X O O O", 0, 1, 1); /* an entity ends with its sequence */
}

static void types_and_sequences(void **state)
{
    lt_ctx *cx = make();
    lt_entity_counts c = {0};
    count_tags(cx, &c, "O B-PER", "O B-PER");
    count_tags(cx, &c, "I-PER B-LOC", "I-PER O"); /* not the same entity as the row before */
    count_tags(cx, &c, "", "");
    int seen = 0;
    for (int32_t i = 0; i < c.type.n; i++) {
        const lt_prf s = lt_entity_score(&c, i);
        if (strcmp(c.type.name[i], "PER") == 0) assert_true(s.support == 2 && s.f1 == 1 && ++seen);
        if (strcmp(c.type.name[i], "LOC") == 0) assert_true(s.support == 1 && s.f1 == 0 && s.recall == 0 && ++seen);
    }
    assert_int_equal(seen, 2);
    assert_int_equal(c.tags, 4);
    assert_int_equal(c.right, 3);
    const char *empty = "", *o = "O";
    assert_false(lt_entity_count(cx, &c, &empty, &o, 1));
    lt_ctx_clear(cx);
    lt_entity_counts_free(&c);
    lt_ctx_free(cx);
}

static void many_types(void **state)
{
    lt_ctx *cx = make();
    lt_entity_counts c = {0};
    char text[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "B-%d", i);
        assert_true(lt_entity_count(cx, &c, (const char *[]){text}, (const char *[]){i % 3 ? text : "O"}, 1));
    }
    const lt_prf s = lt_entity_score(&c, -1);
    near_to(s.precision, 1);
    near_to(s.recall, 2 / 3.);
    lt_entity_counts_free(&c);
    lt_ctx_free(cx);
}

/* ---- answers ---- */

static void expect_answer(const char *answer, const char *right, double exact, double f1)
{
    lt_ctx *cx = make();
    double e, f;
    lt_text gold = {right, right ? strlen(right) : 0};
    assert_true(lt_answer_score(cx, (lt_text){answer, strlen(answer)}, &gold, right != NULL, &e, &f));
    if (fabs(e - exact) > 1e-12 || fabs(f - f1) > 1e-12)
        fail_msg("'%s' against '%s': %g and %g, expected %g and %g", answer, right ? right : "none", e, f, exact, f1);
    lt_ctx_free(cx);
}

static void answers(void **state)
{
    expect_answer("The  Cat.", "cat", 1, 1);
    expect_answer("a cat and the dog", "cat, dog", 0, 2 * 2 / (3. + 2));
    expect_answer("cat cat", "cat", 0, 2 * 1 / (2. + 1)); /* a word counts as often as both have it */
    expect_answer("The", "a", 1, 0);                      /* nothing is left on either side: the same, without a word shared */
    expect_answer("", "x", 0, 0);
    expect_answer("ÄRGER", "ärger", 1, 1);
    expect_answer("other", "the", 0, 0);         /* an article within a word stays */
    expect_answer("l'an", "lan", 1, 1);          /* punctuation goes first */
    expect_answer("a–b", "–b", 1, 1);            /* a dash that ASCII does not have is no punctuation, but ends a word */
    expect_answer("x\xc2\xa0y", "x y", 1, 1);    /* a no-break space is a blank */
    expect_answer("\xff\xfe", "\xff\xfe", 1, 1); /* bytes that are no text */
    expect_answer("", NULL, 1, 1);
    expect_answer("the", NULL, 1, 1);
    expect_answer("x", NULL, 0, 0);
}

static void best_of_answers(void **state)
{
    lt_ctx *cx = make();
    double e, f;
    const lt_text right[] = {{"red fox", 7}, {"a fox", 5}, {"", 0}};
    assert_true(lt_answer_score(cx, (lt_text){"fox red", 7}, right, 3, &e, &f));
    near_to(e, 0);
    near_to(f, 1);
    lt_ctx_free(cx);
}

/* ---- the rest ---- */

static void likelihoods(void **state)
{
    near_to(lt_perplexity(-3 * log(8), 3), 8);
    near_to(lt_bits_per_byte(-3 * log(8), 3), 3);
    assert_true(isnan(lt_perplexity(0, 0)) && isnan(lt_bits_per_byte(0, 0)));
}

static void correlations(void **state)
{
    lt_ctx *cx = make();
    static const double x[] = {1, 2, 2, 4}, y[] = {1, 3, 2, 9}, same[] = {5, 5, 5, 5};
    near_to(lt_spearman(cx, x, y, 4), 4.5 / sqrt(4.5 * 5)); /* ranks 1 2.5 2.5 4 against 1 3 2 4 */
    assert_true(isnan(lt_pearson(x, same, 4)) && isnan(lt_spearman(cx, same, y, 4)) && isnan(lt_pearson(x, y, 1)));
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_labels),    cmocka_unit_test(edges_of_labels), cmocka_unit_test(several_labels),
        cmocka_unit_test(numbers_of_texts), cmocka_unit_test(schemes),         cmocka_unit_test(many_types),
        cmocka_unit_test(answers),          cmocka_unit_test(best_of_answers), cmocka_unit_test(types_and_sequences),
        cmocka_unit_test(likelihoods),      cmocka_unit_test(correlations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
