/* Protects: sentences of documents joined to blocks, each break mode by its rule and no token lost; pairs of neighbouring texts, with the shares of wrong
 * ones, from other documents or in wrong order; all of it the same with any number of threads, from memory or a file, whatever the rows are stored
 * as. Runs under ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "train/dist/dist.h"
#include "train/train.h"

enum { SPECIAL = 5, CLS = 2, SEP = 3, DOCUMENTS = 150, MOST = 12 };

/* Sentence s of document d is its own word, some times over. */
static lt_ctx *cx;
static lt_tokenizer *tokenizer;
static char folder[64], text[96], rows[96];
static int length[DOCUMENTS][MOST], sentences[DOCUMENTS], corpus[DOCUMENTS * MOST * 80], tokens;

static int id_of(int d, int s) { return SPECIAL + d * MOST + s; }
static int document(int id) { return (id - SPECIAL) / MOST; }
static int sentence(int id) { return (id - SPECIAL) % MOST; }

static void write_corpus(void)
{
    FILE *f = fopen(text, "w"), *j = fopen(rows, "w");
    for (int d = 0; d < DOCUMENTS; d++) {
        uint32_t bits[4];
        lt_philox((const uint32_t[4]){(uint32_t)d, 0, 0, 0}, (const uint32_t[2]){1, 1}, bits);
        sentences[d] = 1 + (int)(bits[0] % MOST);
        fprintf(j, "{\"text\":\"");
        for (int s = 0; s < sentences[d]; s++) {
            lt_philox((const uint32_t[4]){(uint32_t)d, (uint32_t)s, 1, 0}, (const uint32_t[2]){1, 1}, bits);
            length[d][s] = 1 + (int)(bits[0] % 20) + (bits[1] % 40 == 0 ? 50 : 0); /* a few longer than a block */
            for (int k = 0; k < length[d][s]; k++) {
                fprintf(f, "%sw%d", k ? " " : "", id_of(d, s));
                fprintf(j, "%sw%d", k ? " " : "", id_of(d, s));
                corpus[tokens++] = id_of(d, s);
            }
            fprintf(f, "\n");
            fprintf(j, s + 1 < sentences[d] ? "\\n" : "\"}\n");
        }
        fprintf(f, "%s", d % 3 ? "\n" : "\n\n"); /* one empty line or two */
    }
    fclose(f), fclose(j);
}

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    snprintf(folder, sizeof folder, "/tmp/test_sentences.XXXXXX");
    if (!cx || !mkdtemp(folder)) return 1;
    snprintf(text, sizeof text, "%s/vocab.txt", folder);
    FILE *f = fopen(text, "w");
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", f);
    for (int i = 0; i < DOCUMENTS * MOST; i++) fprintf(f, "w%d\n", SPECIAL + i);
    fclose(f);
    tokenizer = lt_tokenizer_open(cx, folder);
    unlink(text);
    snprintf(text, sizeof text, "%s/docs.txt", folder);
    snprintf(rows, sizeof rows, "%s/docs.jsonl", folder);
    write_corpus();
    return tokenizer == NULL;
}

static int tear_down(void **state)
{
    unlink(text), unlink(rows);
    rmdir(folder);
    lt_tokenizer_free(tokenizer);
    lt_ctx_free(cx);
    return 0;
}

static lt_dist alone = {.size = 1};

static lt_run read_all(lt_ctx *c, lt_train_options *o, const char *file, int limit)
{
    lt_run r = {
        .dist = &alone,
        .o = o, .objective = lt_objective_named(o->objective), .tokenizer = tokenizer, .vocab = SPECIAL + DOCUMENTS * MOST, .limit = limit, .plan.epoch = -1};
    o->model = folder;
    o->data = &file;
    o->n_data = 1;
    const bool good = lt_read_examples(c, &r, &r.train, &file, 1);
    if (!good) print_error("%s\n", lt_ctx_error(c));
    assert_true(good);
    return r;
}

typedef struct example {
    int32_t n, ids[128], types[128], labels[128];
} example;

static example get(const lt_run *r, int64_t i)
{
    example x = {.n = r->train.at[i].n};
    assert_in_range(x.n, 1, 128);
    assert_true(lt_example_read(cx, &r->train, i, x.ids, x.types, x.labels));
    return x;
}

static void blocks(void **state)
{
    static const char *const modes[] = {"none", "complete", "complete-doc"};
    for (int m = 0; m < 3; m++)
        for (int form = 0; form < 2; form++) {
            lt_train_options o = lt_train_defaults;
            o.objective = "mlm", o.break_mode = modes[m];
            lt_run r = read_all(cx, &o, form ? rows : text, 64);
            int at = 0, broken = 0, spanning = 0, before = -1;
            for (int64_t i = 0; i < r.train.n; i++) {
                const example x = get(&r, i);
                assert_true(x.n <= 64);
                if (m == 0 && i + 1 < r.train.n) assert_int_equal(x.n, 64);
                assert_int_equal(x.ids[0], CLS);
                int first = -1;
                for (int32_t k = 0; k < x.n; k++) {
                    assert_int_equal(x.labels[k], x.ids[k] < SPECIAL ? -100 : 0);
                    if (x.ids[k] < SPECIAL) continue;
                    assert_int_equal(x.ids[k], corpus[at++]); /* nothing is lost, nothing out of order */
                    if (first < 0 && x.ids[k] == before) broken++;
                    if (first < 0) first = document(x.ids[k]);
                    spanning += document(x.ids[k]) != first;
                    before = x.ids[k];
                    if (k + 1 < x.n && x.ids[k + 1] != x.ids[k]) assert_int_equal(x.ids[k + 1], SEP); /* behind each sentence */
                    /* Between documents there is one more, where they share a block. */
                    if (m == 1 && k + 3 < x.n && x.ids[k + 1] == SEP && x.ids[k + 2] != SEP) assert_int_equal(document(x.ids[k + 2]), document(x.ids[k]));
                }
                if (m) assert_int_equal(x.ids[x.n - 1], SEP);
            }
            assert_int_equal(at, tokens);
            if (m == 0) assert_true(broken > 50);
            else assert_int_equal(broken, r.train.cut); /* of those sentences alone that are longer than a block */
            if (m) assert_true(r.train.cut > 5);
            if (m == 2) assert_int_equal(spanning, 0);
            else assert_true(spanning > 1000);
            lt_examples_free(&r.train);
        }
}

static void near_share(double got, double n, double p, const char *what)
{
    const double d = 5 * sqrt(n * p * (1 - p));
    if (fabs(got - n * p) > d) print_error("%s: %g of %g, expected %g ± %g\n", what, got, n, n * p, d);
    assert_true(fabs(got - n * p) <= d);
}

/* Sentences of a part, first and last; they are of one document and follow each other. */
static void check_part(const example *x, int32_t begin, int32_t end, int type, int *doc, int *first, int *last)
{
    *doc = document(x->ids[begin]);
    *first = sentence(x->ids[begin]);
    for (int32_t k = begin; k < end; k++) {
        assert_int_equal(x->types[k], type);
        assert_true(x->ids[k] >= SPECIAL);
        assert_int_equal(document(x->ids[k]), *doc);
        if (k > begin) assert_in_range(sentence(x->ids[k]) - sentence(x->ids[k - 1]), 0, 1);
    }
    *last = sentence(x->ids[end - 1]);
}

static void pairs(void **state)
{
    static const char *const objectives[] = {"nsp", "sop", "mlm+nsp", "mlm+sop"};
    for (int m = 0; m < 4; m++) {
        lt_train_options o = lt_train_defaults;
        o.objective = objectives[m], o.pair_copies = 20, o.seed = 5;
        lt_run r = read_all(cx, &o, m & 2 ? rows : text, 64);
        double wrong = 0, could = 0, several = 0, brief = 0;
        assert_true(r.train.n > 2000);
        for (int64_t i = 0; i < r.train.n; i++) {
            const example x = get(&r, i);
            const int label = r.train.at[i].label;
            int32_t middle = 1;
            while (middle < x.n && x.ids[middle] != SEP) middle++;
            assert_true(x.ids[0] == CLS && x.ids[x.n - 1] == SEP && middle < x.n - 2);
            int a, b, a_first, a_last, b_first, b_last;
            check_part(&x, 1, middle, 0, &a, &a_first, &a_last);
            check_part(&x, middle + 1, x.n - 1, 1, &b, &b_first, &b_last);
            assert_int_equal(x.types[middle], 0);
            assert_int_equal(x.types[x.n - 1], 1);
            for (int32_t k = 0; k < x.n; k++) assert_int_equal(x.labels[k], m & 2 && x.ids[k] < SPECIAL ? -100 : 0);
            if (m & 1) {
                assert_int_equal(a, b);
                if (label) assert_true(b_last < a_first); /* in wrong order */
                else assert_true(a_last < b_first);
            } else if (label) assert_int_not_equal(a, b);
            else assert_true(a == b && a_last < b_first);
            if (!label && !(m & 1) && x.n < 64) assert_int_equal(b_first, a_last + 1); /* nothing between, where nothing was cut */
            wrong += label;
            could++;
            several += !label;
            brief += x.n < 40;
        }
        if (m & 1) near_share(wrong, could, 0.5, "swapped");
        else assert_true(several > 0.2 * could && wrong > 0.5 * could - 5 * sqrt(could)); /* half, and all that had one sentence left */
        assert_true(brief > 0.05 * could);
        lt_examples_free(&r.train);
    }
}

static uint64_t trace(const lt_run *r)
{
    uint64_t sum = 14695981039346656037u;
    for (int64_t i = 0; i < r->train.n; i++) {
        const example x = get(r, i);
        sum = (sum ^ (uint64_t)(uint32_t)r->train.at[i].label) * 1099511628211u;
        for (int32_t k = 0; k < x.n; k++) sum = (sum ^ (uint64_t)(x.ids[k] * 1000 + x.types[k] * 500 + x.labels[k])) * 1099511628211u;
    }
    return sum;
}

static void the_same_again(void **state)
{
    static const char *const objectives[] = {"mlm", "mlm", "mlm+nsp"}, *const modes[] = {NULL, "complete", NULL};
    lt_ctx *three = lt_ctx_new(&(lt_options){.threads = 3});
    for (int m = 0; m < 3; m++) {
        lt_train_options o = lt_train_defaults;
        o.objective = objectives[m], o.break_mode = modes[m];
        lt_run r = read_all(cx, &o, text, 64);
        const uint64_t want = trace(&r);
        lt_examples_free(&r.train);
        r = read_all(three, &o, text, 64);
        assert_true(trace(&r) == want);
        lt_examples_free(&r.train);
        o.cache = folder;
        for (int again = 0; again < 2; again++) {
            r = read_all(three, &o, text, 64);
            assert_non_null(r.train.store);
            assert_true(trace(&r) == want);
            lt_examples_free(&r.train);
        }
        o.seed = 77;
        r = read_all(cx, &o, text, 64);
        assert_true((trace(&r) == want) == (m < 2)); /* pairs are drawn; the rest is not */
        lt_examples_free(&r.train);
    }
    lt_ctx_free(three);
    char command[128];
    snprintf(command, sizeof command, "rm -f %s/*.cache", folder);
    assert_int_equal(system(command), 0);
}

static void refusals(void **state)
{
    char one[96];
    const char *file = one;
    snprintf(one, sizeof one, "%s/one.txt", folder);
    lt_train_options o = lt_train_defaults;
    o.objective = "nsp", o.model = folder, o.data = &file, o.n_data = 1;
    lt_run r = {.o = &o, .dist = &alone, .objective = lt_objective_named("nsp"), .tokenizer = tokenizer, .vocab = 100, .limit = 64};
    static const char *const contents[] = {"", "\n\n\n", "w5 w6\nw7\n"}, *const says[] = {"no row", "no row", "one document"};
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(one, "w");
        fputs(contents[i], f);
        fclose(f);
        assert_false(lt_read_examples(cx, &r, &r.train, &file, 1));
        assert_non_null(strstr(lt_ctx_error(cx), says[i]));
        lt_ctx_clear(cx);
        lt_examples_free(&r.train);
    }
    r.limit = 4;
    assert_false(lt_read_examples(cx, &r, &r.train, &file, 1));
    assert_non_null(strstr(lt_ctx_error(cx), "max-tokens"));
    lt_ctx_clear(cx);
    lt_examples_free(&r.train);
    unlink(one);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks), cmocka_unit_test(pairs), cmocka_unit_test(the_same_again), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
