/* Protects: lt_eval_run gives trec_eval's names and values (as recorded from pytrec_eval by tests/oracle/eval_fixtures.py),
 * ties broken as there; malformed runs and judgements are refused with their line; correlations equal scipy's. */
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#include "lathe/retrieve.h"

static const char FOLDER[] = "tests/fixtures/retrieve/";

static lt_ctx *make(void)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    assert_non_null(cx);
    return cx;
}

static double value_of(const lt_metric *m, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(m[i].name, name)) return m[i].value;
    return NAN;
}

static char *path_of(char *to, const char *name)
{
    snprintf(to, 200, "%s%s", FOLDER, name);
    return to;
}

static void equals_trec_eval(void **state)
{
    char run[200], qrels[200], expected[200], line[400], name[100];
    FILE *f = fopen(path_of(expected, "eval.expected"), "r");
    assert_non_null(f);
    lt_ctx *cx = make();
    int n, m, seen = 0;
    double both, all;
    const lt_metric *a = lt_eval_run(cx, path_of(run, "eval.run"), path_of(qrels, "eval.qrels"), false, &n);
    const lt_metric *b = lt_eval_run(cx, run, qrels, true, &m);
    assert_non_null(a);
    assert_non_null(b);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || sscanf(line, "%99s %lf %lf", name, &both, &all) != 3) continue;
        /* Both are sums of the same doubles over 22 queries; the order of summing differs: a few units in the last place. */
        if (!(fabs(value_of(a, n, name) - both) < 1e-12 && fabs(value_of(b, m, name) - all) < 1e-12))
            fail_msg("%s: %.17g and %.17g, trec_eval says %.17g and %.17g", name, value_of(a, n, name), value_of(b, m, name), both,
                     all);
        seen++;
    }
    fclose(f);
    assert_int_equal(seen, n); /* nothing is left out on either side */
    lt_ctx_free(cx);
}

static char *write_file(lt_ctx *cx, const char *name, const char *text)
{
    const char *folder = getenv("TMPDIR");
    char *path = lt_sprintf(cx, "%s/eval-%ld-%s", folder ? folder : "/tmp", (long)getpid(), name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static double one(const char *run, const char *qrels, const char *name, bool complete)
{
    lt_ctx *cx = make();
    char *r = write_file(cx, "run", run), *q = write_file(cx, "qrels", qrels);
    int n;
    const lt_metric *m = lt_eval_run(cx, r, q, complete, &n);
    if (!m) fail_msg("%s", lt_ctx_error(cx));
    double v = value_of(m, n, name);
    unlink(r);
    unlink(q);
    lt_ctx_free(cx);
    return v;
}

static void small_cases(void **state)
{
    const double exact = 1e-15;
    /* Equal scores: the later id comes first. */
    assert_float_equal(one("q Q0 a 1 5 t\nq Q0 b 2 5 t\n", "q 0 b 1\n", "recip_rank", false), 1, exact);
    assert_float_equal(one("q Q0 a 1 5 t\nq Q0 b 2 5 t\n", "q 0 a 1\n", "recip_rank", false), 0.5, exact);
    /* The rank column says nothing. */
    assert_float_equal(one("q Q0 a 1 1 t\nq Q0 b 2 9 t\n", "q 0 b 1\n", "recip_rank", false), 1, exact);
    /* BEIR's three columns with a header, tabs, CRLF, ids with blanks, a blank line, a comment. */
    assert_float_equal(
        one("q Q0 a 1 2 t\r\n\n# note\nq Q0 b 2 1 t", "query-id\tcorpus-id\tscore\r\nq\ta\t2\r\nq\tb c\t1\r\n", "recall_5", false),
        0.5, exact);
    assert_float_equal(one("q Q0 a 1 2 t\n", "q a 1\n", "map", false), 1, exact);
    /* A judged query without hits counts only when asked. */
    assert_float_equal(one("q Q0 a 1 2 t\n", "q 0 a 1\np 0 a 1\n", "map", false), 1, exact);
    assert_float_equal(one("q Q0 a 1 2 t\n", "q 0 a 1\np 0 a 1\n", "map", true), 0.5, exact);
    assert_float_equal(one("q Q0 a 1 2 t\n", "q 0 a 1\np 0 a 1\n", "num_rel", true), 2, exact);
    /* An empty run. */
    assert_float_equal(one("", "q 0 a 1\n", "ndcg", true), 0, exact);
    assert_float_equal(one("q Q0 a 1 1e400 t\nq Q0 b 1 -1e400 t\n", "q 0 a 1\n", "success_1", false), 1, exact);
}

static void refused(const char *run, const char *qrels, const char *message)
{
    lt_ctx *cx = make();
    char *r = write_file(cx, "run", run), *q = write_file(cx, "qrels", qrels);
    int n = 7;
    assert_null(lt_eval_run(cx, r, q, false, &n));
    assert_int_equal(n, 0);
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    if (!strstr(lt_ctx_error(cx), message)) fail_msg("'%s' does not hold '%s'", lt_ctx_error(cx), message);
    unlink(r);
    unlink(q);
    lt_ctx_free(cx);
}

static void malformed_files_are_refused(void **state)
{
    const char *good_run = "q Q0 a 1 2 t\n", *good = "q 0 a 1\n";
    refused("q Q0 a 1 2 t\nq Q0 b 2 1 t\nq Q0 a 3 0 t\n", good, "run line 3: query q has document a already, in line 1");
    refused(good_run, "q 0 a 1\nq 0 b 1\nq 0 a 0\n", "qrels line 3: query q has document a already, in line 1");
    refused("q Q0 a 1 2 t\nq Q0 b 2\n", good, "run line 2: expected");
    refused("q Q0 a 1 high t\n", good, "run line 1: expected");
    refused("q Q0 a 1 nan t\n", good, "run line 1: expected");
    refused(good_run, "q 0 a yes\n", "qrels line 1: expected");
    refused(good_run, "q 0 a 1\nquery document grade\n", "qrels line 2: expected");
    refused(good_run, "q 0 a 1.5\n", "qrels line 1: expected");
    refused(good_run, "q 0 a 99999999999999999999\n", "qrels line 1: expected");
    refused(good_run, "p 0 a 1\n", "no query in common");
    refused("", good, "no query in common");
}

static void correlations_equal_scipy(void **state)
{
    char path[200], line[400];
    FILE *f = fopen(path_of(path, "correlate.expected"), "r");
    assert_non_null(f);
    lt_ctx *cx = make();
    double x[200], y[200], pearson, spearman;
    int n, lists = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || sscanf(line, "%d %lf %lf", &n, &pearson, &spearman) != 3) continue;
        assert_in_range(n, 2, 200);
        for (int i = 0; i < n; i++) assert_int_equal(fscanf(f, "%lf %lf\n", &x[i], &y[i]), 2);
        /* Sums of at most 200 doubles. */
        assert_float_equal(lt_pearson(x, y, n), pearson, 1e-12);
        assert_float_equal(lt_spearman(cx, x, y, n), spearman, 1e-12);
        lists++;
    }
    fclose(f);
    assert_int_equal(lists, 4);
    lt_ctx_free(cx);
}

static void undefined_correlations(void **state)
{
    lt_ctx *cx = make();
    double constant[] = {0.1, 0.1, 0.1}, up[] = {1, 2, 3}, huge[] = {-1e308, 0, 1e308}, bad[] = {1, NAN, 2};
    assert_true(isnan(lt_pearson(constant, up, 3)));
    assert_true(isnan(lt_spearman(cx, up, constant, 3)));
    assert_true(isnan(lt_pearson(up, up, 1)));
    assert_true(isnan(lt_spearman(cx, up, up, 0)));
    assert_true(isnan(lt_pearson(bad, up, 3)));
    assert_true(isnan(lt_spearman(cx, bad, up, 3)));
    assert_float_equal(lt_pearson(huge, up, 3), 1, 1e-15);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_trec_eval),
        cmocka_unit_test(small_cases),
        cmocka_unit_test(malformed_files_are_refused),
        cmocka_unit_test(correlations_equal_scipy),
        cmocka_unit_test(undefined_correlations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
