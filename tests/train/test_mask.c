/* Protects: which tokens masked language modelling hides, by every rule against its formula, what stands in their place, and that it is a function of
 * seed, example and epoch alone. Bounds are five standard deviations of what is counted; draws are fixed by the seed, so nothing here is a matter of luck. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "train/objective/mask.h"

enum { SPECIAL = 5, WORDS = 40, ENDS = 20, VOCAB = SPECIAL + WORDS + ENDS, CLS = 2, SEP = 3, MASK = 4, LONGEST = 128, EXAMPLES = 4000 };

static lt_ctx *cx;
static lt_tokenizer *tokenizer;
static char folder[64];

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    snprintf(folder, sizeof folder, "/tmp/test_mask.XXXXXX");
    if (!cx || !mkdtemp(folder)) return 1;
    char path[96];
    snprintf(path, sizeof path, "%s/vocab.txt", folder);
    FILE *f = fopen(path, "w");
    if (!f) return 1;
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", f);
    for (int i = 0; i < WORDS; i++) fprintf(f, "w%d\n", i);
    for (int i = 0; i < ENDS; i++) fprintf(f, "##e%d\n", i);
    fclose(f);
    tokenizer = lt_tokenizer_open(cx, folder);
    unlink(path);
    rmdir(folder);
    return tokenizer == NULL;
}

static int tear_down(void **state)
{
    lt_tokenizer_free(tokenizer);
    lt_ctx_free(cx);
    return 0;
}

static const lt_mask_options usual = {.rate = 0.15, .keep = 0.1, .random = 0.1, .span_p = 0.2, .span_most = 10};

typedef struct sequence {
    int32_t n, ids[LONGEST], labels[LONGEST];
} sequence;

/* [CLS] words, each of 1 to 4 pieces, [SEP]; a second [SEP] in the middle. The i-th always the same. */
static sequence make(int i, int32_t n)
{
    sequence s = {.n = n};
    unsigned state = (unsigned)i * 2654435761u + 7;
    for (int32_t k = 0; k < n; k++) {
        state = state * 1664525u + 1013904223u;
        const bool special = k == 0 || k == n - 1 || k == n / 2, end = !special && k > 1 && k != n / 2 + 1 && (state >> 16) % 3 == 0;
        s.ids[k] = k == 0 ? CLS : special ? SEP : end ? SPECIAL + WORDS + (int)((state >> 20) % ENDS) : SPECIAL + (int)((state >> 20) % WORDS);
        s.labels[k] = special ? -100 : 0;
    }
    return s;
}

static lt_masker *masker(lt_mask_options o)
{
    lt_masker *m = lt_masker_new(cx, &o, tokenizer, "test", VOCAB, 5);
    if (!m) print_error("%s\n", lt_ctx_error(cx));
    assert_non_null(m);
    return m;
}

static sequence masked(const lt_masker *m, int i, int32_t n, int64_t epoch)
{
    sequence s = make(i, n);
    assert_true(lt_mask(cx, m, i, epoch, s.n, s.ids, s.labels));
    return s;
}

/* The share that is hidden of what may be, of it the shares that are masked, other and as they were. */
typedef struct shares {
    double may, hidden, masked, kept, other, special; /* other: differs; special: a random one that is special */
    double count[LONGEST + 1];                        /* examples with so many hidden */
} shares;

static shares count(lt_mask_options o, int32_t n)
{
    lt_masker *m = masker(o);
    shares c = {0};
    for (int i = 0; i < EXAMPLES; i++) {
        const sequence before = make(i, n), s = masked(m, i, n, 0);
        int here = 0;
        for (int32_t k = 0; k < n; k++) {
            c.may += before.labels[k] >= 0;
            if (s.labels[k] < 0) {
                assert_int_equal(s.ids[k], before.ids[k]); /* what is not hidden stays */
                continue;
            }
            assert_true(before.labels[k] >= 0); /* special tokens never are */
            assert_int_equal(s.labels[k], before.ids[k]);
            here++;
            c.masked += s.ids[k] == MASK;
            c.kept += s.ids[k] == before.ids[k];
            c.other += s.ids[k] != MASK && s.ids[k] != before.ids[k];
            c.special += s.ids[k] < SPECIAL && s.ids[k] != MASK;
        }
        c.hidden += here;
        c.count[here]++;
    }
    lt_masker_free(m);
    return c;
}

/* `got` of n, each with probability p. */
static void near_share(double got, double n, double p, const char *what)
{
    const double d = 5 * sqrt(n * p * (1 - p)) + 1e-9;
    if (fabs(got - n * p) > d) print_error("%s: %g of %g, expected %g ± %g\n", what, got, n, n * p, d);
    assert_true(fabs(got - n * p) <= d);
}

static void near(double got, double want, double d, const char *what)
{
    if (fabs(got - want) > d) print_error("%s: %g, expected %g ± %g\n", what, got, want, d);
    assert_true(fabs(got - want) <= d);
}

static void replaced(const shares *c, double keep, double random, double ordinary)
{
    /* Of random ones 1 / VOCAB are the mask, 1 / VOCAB what was there. */
    const double same = random / ordinary, mask = ordinary == VOCAB ? random / VOCAB : 0;
    near_share(c->masked, c->hidden, 1 - keep - random + mask, "masked");
    near_share(c->kept, c->hidden, keep + same, "kept");
    near_share(c->other, c->hidden, random - same - mask, "other");
}

static void each_by_itself(void **state)
{
    shares c = count(usual, 64);
    near_share(c.hidden, c.may, 0.15, "rate");
    replaced(&c, 0.1, 0.1, VOCAB);
    for (int k = 0; k < 30; k++) { /* how many of 61: binomial */
        const double p = exp(lgamma(62) - lgamma(k + 1) - lgamma(62 - k) + k * log(0.15) + (61 - k) * log(0.85));
        near_share(c.count[k], EXAMPLES, p, "count");
    }
    lt_mask_options o = usual;
    o.rate = 0.4, o.keep = 0.3, o.random = 0.5;
    c = count(o, 33);
    near_share(c.hidden, c.may, 0.4, "another rate");
    replaced(&c, 0.3, 0.5, VOCAB);
    o.keep = 0, o.random = 0;
    c = count(o, 20);
    assert_true(c.masked == c.hidden); /* all become the mask */
    o.rate = 1;
    c = count(o, 20);
    assert_true(c.hidden == c.may);
}

static void floor_and_a_random_unit(void **state)
{
    lt_mask_options o = usual;
    o.count = "floor";
    for (int32_t n = 4; n < LONGEST; n += 17) {
        const shares c = count(o, n);
        const double want = 0.15 * (n - 3), low = floor(want);
        assert_true(c.count[(int)low] + c.count[(int)low + 1] == EXAMPLES); /* never another number */
        near_share(c.count[(int)low + 1], EXAMPLES, want - low, "one more");
    }
    const shares c = count(o, 64);
    replaced(&c, 0.1, 0.1, VOCAB);
}

static void rounded_with_a_cap(void **state)
{
    static const struct {
        int32_t n;
        int most, want;
    } cases[] = {{4, 0, 1}, {5, 0, 1}, {10, 0, 2}, {30, 0, 4}, {50, 0, 8}, {64, 0, 10}, {128, 0, 19}, {128, 20, 19}, {128, 7, 7}}; /* 4.5 is 4, 7.5 is 8 */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lt_mask_options o = usual;
        o.count = "round", o.most = cases[i].most;
        const shares c = count(o, cases[i].n);
        if (c.count[cases[i].want] != EXAMPLES) print_error("of %d tokens not always %d\n", cases[i].n, cases[i].want);
        assert_true(c.count[cases[i].want] == EXAMPLES);
    }
}

/* Every place is as likely as any other. */
static void places_are_alike(void **state)
{
    static const char *const counts[] = {"bernoulli", "floor", "round"};
    for (int i = 0; i < 3; i++) {
        lt_mask_options o = usual;
        o.count = counts[i];
        lt_masker *m = masker(o);
        double at[40] = {0}, all = 0;
        for (int e = 0; e < EXAMPLES; e++) {
            const sequence s = masked(m, e, 40, 0);
            for (int k = 0; k < 40; k++) {
                at[k] += s.labels[k] >= 0;
                all += s.labels[k] >= 0;
            }
        }
        for (int k = 0; k < 40; k++)
            if (k != 0 && k != 39 && k != 20) near_share(at[k], EXAMPLES, all / 37 / EXAMPLES, counts[i]);
        lt_masker_free(m);
    }
}

static bool goes_on(const sequence *s, int32_t k) { return s->ids[k] >= SPECIAL + WORDS; }

static void whole_words(void **state)
{
    static const char *const counts[] = {"bernoulli", "floor", "round"};
    for (int i = 0; i < 3; i++)
        for (int once = 0; once < 2; once++) {
            lt_mask_options o = usual;
            o.unit = "word", o.count = counts[i], o.decide = once ? "unit" : NULL;
            lt_masker *m = masker(o);
            double words = 0, taken = 0, mixed = 0, several = 0, may = 0, tokens = 0;
            for (int e = 0; e < EXAMPLES; e++) {
                const sequence before = make(e, 64), s = masked(m, e, 64, 0);
                for (int32_t k = 0, end; k < 64; k = end) {
                    bool some = false, masks = false, others = false;
                    for (end = k + 1; end < 64 && before.labels[k] >= 0 && goes_on(&before, end); end++) assert_int_equal(s.labels[end] >= 0, s.labels[k] >= 0);
                    if (before.labels[k] < 0) continue;
                    words++;
                    may += end - k;
                    taken += s.labels[k] >= 0;
                    for (int32_t j = k; j < end && s.labels[k] >= 0; j++) {
                        tokens++;
                        masks |= s.ids[j] == MASK;
                        others |= s.ids[j] != MASK;
                        some |= j > k;
                    }
                    several += some;
                    mixed += masks && others;
                }
            }
            if (i == 0) near_share(taken, words, 0.15, "words, each by itself");
            if (i == 1) near(taken, 0.15 * words, 5 * sqrt(EXAMPLES) / 2, "words, floor"); /* the random unit's deviation is at most a half */
            if (i == 2) assert_true(tokens <= 10.0 * EXAMPLES && tokens > 9.5 * EXAMPLES); /* 10 of 64 tokens; what does not fit is left */
            assert_true(several > 1000);
            if (once) assert_true(mixed < 0.05 * several); /* a random piece may be the mask by chance: 3 pieces / 65 / 10 */
            else assert_true(mixed > 0.2 * several);
            lt_masker_free(m);
        }
}

/* Lengths of spans, in words, where one span alone has room: P(l) = p (1 - p)^(l - 1) / (1 - (1 - p)^10). */
static void spans(void **state)
{
    lt_mask_options o = usual;
    o.unit = "span";
    shares c = count(o, 64);
    assert_true(c.count[10] == EXAMPLES); /* of 64 tokens always the rounded share */
    near(c.masked / c.hidden, 0.8 + 0.1 / VOCAB, 5 * sqrt(0.16 / (c.hidden / 10)), "masked: spans decide"); /* at most 10 tokens share a decision */
    o.count = "floor";
    c = count(o, 64);
    near_share(c.count[10], EXAMPLES, 0.15 * 61 - 9, "floor"); /* 9.15: nine or ten */
    /* Sequences of words of one piece; the share is large enough for one span and often more. The first span's length shows where no other touches it:
     * count whole runs in a long sequence with few spans, and compare their mean with 3.8 words, the paper's. */
    o.count = "round";
    lt_masker *m = masker(o);
    double runs = 0, covered = 0, inside = 0;
    for (int e = 0; e < EXAMPLES; e++) {
        sequence s = {.n = LONGEST};
        for (int k = 0; k < LONGEST; k++)
            s.ids[k] = k == 0 ? CLS : k == LONGEST - 1 ? SEP : SPECIAL + k % WORDS, s.labels[k] = k == 0 || k == LONGEST - 1 ? -100 : 0;
        assert_true(lt_mask(cx, m, e, 0, s.n, s.ids, s.labels));
        for (int k = 1; k < LONGEST - 1; k++) {
            covered += s.labels[k] >= 0;
            inside += s.labels[k] >= 0 && s.labels[k - 1] >= 0 && (s.ids[k] == MASK) == (s.ids[k - 1] == MASK);
            runs += s.labels[k] >= 0 && s.labels[k - 1] < 0;
        }
    }
    assert_true(covered == 19.0 * EXAMPLES);
    /* Cut at the share's end and by what was there a span is shorter than 3.8 on average; spans that touch make a run longer. */
    assert_true(covered / runs > 3.2 && covered / runs < 4.6);
    assert_true(inside / (covered - runs) > 0.9); /* most neighbours share a span and so a decision */
    lt_masker_free(m);
    /* Not longer than asked for: single words are pieces' case. */
    o.span_most = 1;
    m = masker(o);
    runs = covered = 0;
    for (int e = 0; e < EXAMPLES; e++) {
        const sequence s = masked(m, e, LONGEST, 0);
        for (int k = 1; k < LONGEST; k++) {
            covered += s.labels[k] >= 0;
            runs += s.labels[k] >= 0 && s.labels[k - 1] < 0;
        }
    }
    assert_true(covered / runs < 2.8); /* words of 1.5 pieces, 2 where a piece is drawn, next to another 0.15 of the time */
    lt_masker_free(m);
}

static void lengths_of_spans(void **state)
{
    enum { DRAWS = 200000 };
    static const struct {
        double p;
        int32_t most;
    } cases[] = {{0.2, 10}, {0.2, 3}, {0.7, 5}, {1, 10}, {1e-6, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double p = cases[i].p;
        double seen[12] = {0}, sum = 0;
        for (uint32_t k = 0; k < DRAWS; k++) {
            uint32_t bits[4];
            lt_philox((const uint32_t[4]){k, 0, 0, 99}, (const uint32_t[2]){1, 2}, bits);
            const int32_t l = lt_span_length(bits[0], p, cases[i].most);
            assert_in_range(l, 1, cases[i].most);
            seen[l]++;
            sum += l;
        }
        for (int32_t l = 1; l <= cases[i].most; l++) near_share(seen[l], DRAWS, p * pow(1 - p, l - 1) / (1 - pow(1 - p, cases[i].most)), "length");
        if (i == 0) near(sum / DRAWS, 3.797, 0.03, "the paper's mean, 3.8"); /* five deviations of 2.7 / √200000 */
    }
    lt_mask_options o = usual;
    o.unit = "span", o.rate = 1e-6; /* one token at least: the span is cut to it */
    const shares c = count(o, 64);
    assert_true(c.count[1] == EXAMPLES);
}

static void pools(void **state)
{
    lt_mask_options o = usual;
    o.keep = 0, o.random = 1, o.rate = 0.5;
    shares c = count(o, 64);
    near_share(c.special + c.masked, c.hidden, 5.0 / VOCAB, "special ones of the whole vocabulary");
    o.pool = "ordinary";
    c = count(o, 64);
    assert_true(c.special == 0 && c.masked == 0);
    near_share(c.kept, c.hidden, 1.0 / (VOCAB - SPECIAL), "as it was, by chance");
    /* As the texts have them: w0 three times as often as w1, nothing else. */
    o.pool = "unigram";
    lt_examples e = {0};
    const int32_t ids[] = {CLS, SPECIAL, SPECIAL, SPECIAL, SPECIAL + 1, SEP};
    for (int i = 0; i < 10; i++) assert_true(lt_examples_add(cx, &e, ids, NULL, NULL, 6, -1, NAN));
    lt_masker *m = masker(o);
    assert_true(lt_masker_count(cx, m, tokenizer, &e));
    double seen[2] = {0}, hidden = 0;
    for (int i = 0; i < EXAMPLES; i++) {
        const sequence s = masked(m, i, 64, 0);
        for (int k = 0; k < 64; k++) {
            if (s.labels[k] < 0) continue;
            hidden++;
            assert_in_range(s.ids[k], SPECIAL, SPECIAL + 1);
            seen[s.ids[k] - SPECIAL]++;
        }
    }
    near_share(seen[0], hidden, 0.75, "three of four");
    lt_masker_free(m);
    lt_examples_free(&e);
}

static bool equal(const sequence *a, const sequence *b)
{
    return a->n == b->n && !memcmp(a->ids, b->ids, (size_t)a->n * 4) && !memcmp(a->labels, b->labels, (size_t)a->n * 4);
}

static void pure(void **state)
{
    static const char *const units[] = {"piece", "word", "span"};
    for (int u = 0; u < 3; u++) {
        lt_mask_options o = usual;
        o.unit = units[u], o.count = u == 2 ? "round" : "floor";
        lt_masker *m = masker(o), *other = masker(o);
        int same = 0;
        for (int i = 0; i < 200; i++) {
            const sequence a = masked(m, i, 64, 3), b = masked(other, i, 64, 3), next = masked(m, i, 64, 4);
            assert_true(equal(&a, &b));
            same += equal(&a, &next);
        }
        assert_true(same < 5); /* another epoch masks anew */
        other->seed = 6;
        same = 0;
        for (int i = 0; i < 200; i++) {
            const sequence a = masked(m, i, 64, 3), b = masked(other, i, 64, 3);
            same += equal(&a, &b);
        }
        assert_true(same < 5);
        lt_masker_free(other);
        o.fixed = 3;
        other = masker(o);
        for (int i = 0; i < 200; i++) {
            const sequence a = masked(other, i, 64, 1), b = masked(other, i, 64, 7), free = masked(m, i, 64, 1), valid = masked(other, i, 64, -1),
                           want = masked(m, i, 64, -1);
            assert_true(equal(&a, &b)); /* in turn: 7 is 1 again */
            assert_true(equal(&a, &free));
            assert_true(equal(&valid, &want));
        }
        lt_masker_free(m);
        lt_masker_free(other);
    }
}

static void nothing_to_hide(void **state)
{
    static const char *const units[] = {"piece", "word", "span"}, *const counts[] = {"bernoulli", "floor", "round"};
    for (int u = 0; u < 3; u++)
        for (int c = u == 2; c < 3; c++) {
            lt_mask_options o = usual;
            o.unit = units[u], o.count = counts[c], o.rate = 1;
            lt_masker *m = masker(o);
            int32_t ids[4] = {CLS, SEP, SPECIAL, SPECIAL + WORDS}, labels[4] = {-100, -100, -100, -100};
            assert_true(lt_mask(cx, m, 0, 0, 0, ids, labels));
            assert_true(lt_mask(cx, m, 0, 0, 4, ids, labels));
            for (int k = 0; k < 4; k++) assert_int_equal(labels[k], -100);
            labels[3] = 0; /* the end of a word whose beginning may not be hidden; and an id that the table does not have */
            ids[3] = VOCAB + 7;
            assert_true(lt_mask(cx, m, 0, 0, 4, ids, labels));
            assert_int_equal(labels[3], VOCAB + 7);
            lt_masker_free(m);
        }
}

static void refusals(void **state)
{
    const struct {
        lt_mask_options o;
        const char *says;
    } cases[] = {
        {{.unit = "letter", .rate = 0.15}, "letter"},
        {{.count = "some", .rate = 0.15}, "some"},
        {{.pool = "sea", .rate = 0.15}, "sea"},
        {{.rate = 0}, "mask-rate"},
        {{.rate = 1.5}, "mask-rate"},
        {{.rate = NAN}, "mask-rate"},
        {{.rate = 0.15, .keep = 0.6, .random = 0.6}, "mask-keep"},
        {{.rate = 0.15, .unit = "span", .count = "bernoulli", .span_p = 0.2, .span_most = 10}, "mask-count"},
        {{.rate = 0.15, .unit = "span", .span_p = 0, .span_most = 10}, "mask-span"},
        {{.rate = 0.15, .most = 5}, "mask-most"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(lt_mask_check(cx, &cases[i].o));
        assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
        assert_non_null(strstr(lt_ctx_error(cx), cases[i].says));
        lt_ctx_clear(cx);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_by_itself), cmocka_unit_test(floor_and_a_random_unit), cmocka_unit_test(rounded_with_a_cap), cmocka_unit_test(places_are_alike),
        cmocka_unit_test(whole_words),    cmocka_unit_test(spans),                   cmocka_unit_test(lengths_of_spans),   cmocka_unit_test(pools),
        cmocka_unit_test(pure),           cmocka_unit_test(nothing_to_hide),         cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
