/* Protects: dense search is exact, the same bits for any number of threads and whether vectors are kept in memory or
 * streamed; fusion is Σ 1/(60 + rank); vectors that do not belong are refused; a changed file is noticed. Run under
 * ThreadSanitizer too. */
#include "scratch.h"

enum { N = 3000, DIM = 48 };
static float *vectors; /* [N, DIM], not normalised; number 100 … 109 are the same, 55 is zero */

static int setup(void **state)
{
    vectors = malloc(sizeof *vectors * N * DIM);
    for (int64_t i = 0; i < (int64_t)N * DIM; i++) vectors[i] = (float)(3 * check_number(11, i));
    for (int k = 101; k < 110; k++) memcpy(vectors + k * DIM, vectors + 100 * DIM, DIM * sizeof *vectors);
    memset(vectors + 55 * DIM, 0, DIM * sizeof *vectors);
    return scratch_make(state);
}

static int teardown(void **state)
{
    free(vectors);
    return scratch_remove(state);
}

static char *make_index(lt_ctx *cx, const char *name)
{
    char *path = scratch_path(name);
    lt_index *x = lt_index_open(cx, path, LT_INDEX_CREATE, &(lt_index_options){.analyzer = "plain", .model_path = "some/model"});
    assert_good(cx, x);
    for (int from = 0; from < N; from += 500) {
        static char id[500][20], text[500][40];
        static const char *doc[500][3];
        for (int i = 0; i < 500; i++) {
            snprintf(id[i], 20, "d%04d", from + i);
            snprintf(text[i], 40, "word w%d v%d", (from + i) % 10, (from + i) % 7);
            doc[i][0] = id[i];
            doc[i][1] = "";
            doc[i][2] = text[i];
        }
        assert_good(cx, put(cx, x, 500, (const char *const(*)[3])doc, vectors + (int64_t)from * DIM, DIM));
    }
    assert_good(cx, lt_index_close(cx, x));
    return path;
}

static const float *query_vector(int i)
{
    static float q[DIM];
    for (int k = 0; k < DIM; k++) q[k] = (float)check_number(99, i * DIM + k);
    lt_unit_vector(q, DIM, q);
    return q;
}

static lt_hit *dense(lt_ctx *cx, lt_index *x, const float *q, int k, int *n)
{
    lt_hit *h = lt_search_with(cx, x, "w3", q, &(lt_search_options){.mode = LT_SEARCH_DENSE, .k = k}, n);
    assert_good(cx, h);
    return h;
}

static void scores_are_dot_products(void **state)
{
    lt_ctx *cx = make_ctx(2);
    lt_index *x = reopen(cx, make_index(cx, "dots"), LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->dim, DIM);
    assert_string_equal(lt_index_about(x)->model, "some/model");
    for (int i = 0; i < 5; i++) {
        const float *q = query_vector(i);
        int n;
        lt_hit *h = dense(cx, x, q, N, &n);
        assert_int_equal(n, N);
        for (int r = 0; r < N; r++) {
            const float *v = vectors + atoi(h[r].id + 1) * DIM;
            double dot = 0, norm = 0;
            for (int k = 0; k < DIM; k++) {
                dot += (double)v[k] * q[k];
                norm += (double)v[k] * v[k];
            }
            /* Rounding to float of vectors of length 1 and of 48 sums: far below 48 half units in the last place. */
            assert_float_equal(h[r].score, norm > 0 ? dot / sqrt(norm) : 0, 48 * 6e-8);
            if (r) assert_true(h[r - 1].score > h[r].score || (h[r - 1].score == h[r].score && strcmp(h[r - 1].id, h[r].id) > 0));
        }
    }
    /* The ten that are alike come in descending order of their ids, cut in their midst too. */
    float same[DIM];
    int n;
    lt_unit_vector(vectors + 100 * DIM, DIM, same);
    lt_hit *h = dense(cx, x, same, 4, &n);
    assert_int_equal(n, 4);
    assert_string_equal(h[0].id, "d0109");
    assert_string_equal(h[3].id, "d0106");
    assert_null(h[0].snippet); /* "w3" is not in it */
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void threads_and_streaming_change_no_bit(void **state)
{
    lt_ctx *one = make_ctx(1), *four = make_ctx(4);
    char *path = make_index(one, "bits");
    lt_index *x = reopen(one, path, LT_INDEX_READ), *y = reopen(four, path, LT_INDEX_READ), *z = reopen(one, path, LT_INDEX_READ);
    z->vector_limit = 1000; /* nothing stays in memory, and of the three blocks two are there at once */
    z->vector_slab = 2;
    for (int i = 0; i < 4; i++) {
        int n;
        lt_hit *a = dense(one, x, query_vector(i), 200, &n), *b = dense(four, y, query_vector(i), 200, &n),
               *c = dense(one, z, query_vector(i), 200, &n);
        assert_int_equal(n, 200);
        for (int r = 0; r < n; r++) {
            assert_string_equal(a[r].id, b[r].id);
            assert_string_equal(a[r].id, c[r].id);
            assert_memory_equal(&a[r].score, &b[r].score, sizeof(double));
            assert_memory_equal(&a[r].score, &c[r].score, sizeof(double));
        }
    }
    assert_true(x->vectors.loaded && y->vectors.loaded && !z->vectors.loaded);
    lt_index_close(one, x);
    lt_index_close(four, y);
    lt_index_close(one, z);
    lt_ctx_free(one);
    lt_ctx_free(four);
}

static int rank_of(const lt_hit *h, int n, const char *id)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(h[i].id, id)) return i + 1;
    return 0;
}

static void hybrid_fuses_ranks(void **state)
{
    lt_ctx *cx = make_ctx(2);
    lt_index *x = reopen(cx, make_index(cx, "hybrid"), LT_INDEX_READ);
    const float *q = query_vector(1);
    int n, nk, nd;
    lt_search_options o = {.mode = LT_SEARCH_HYBRID, .k = 400, .depth = 250};
    lt_hit *h = lt_search_with(cx, x, "w3 v2", q, &o, &n);
    assert_good(cx, h);
    o.k = 250;
    o.mode = LT_SEARCH_BM25;
    lt_hit *keyword = lt_search_with(cx, x, "w3 v2", NULL, &o, &nk);
    o.mode = LT_SEARCH_DENSE;
    lt_hit *by_vector = lt_search_with(cx, x, "w3 v2", q, &o, &nd);
    for (int i = 0; i < n; i++) {
        int a = rank_of(keyword, nk, h[i].id), b = rank_of(by_vector, nd, h[i].id);
        assert_float_equal(h[i].score, (a ? 1.0 / (60 + a) : 0) + (b ? 1.0 / (60 + b) : 0), 1e-15);
        if (i) assert_true(h[i - 1].score > h[i].score || (h[i - 1].score == h[i].score && strcmp(h[i - 1].id, h[i].id) > 0));
    }
    assert_int_equal(n, 400); /* of at most 500 */
    o = (lt_search_options){.mode = LT_SEARCH_HYBRID, .k = 3, .rrf_k = 1, .exclude = h[0].id};
    lt_hit *other = lt_search_with(cx, x, "w3 v2", q, &o, &n);
    assert_int_equal(n, 3);
    assert_int_equal(rank_of(other, n, h[0].id), 0);
    assert_null(lt_search_with(cx, x, "w3", NULL, &o, &n));
    assert_refused(cx, LT_ERR_USAGE, "searching by vectors needs the model");
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void vectors_that_do_not_belong(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_index *x = reopen(cx, make_index(cx, "wrong"), LT_INDEX_ADD);
    const char *const doc[][3] = {{"new", "", "x"}};
    assert_false(put(cx, x, 1, doc, vectors, DIM - 1));
    assert_refused(cx, LT_ERR_USAGE, "vectors of 48 numbers (model some/model); this model gives 47");
    const char *path = scratch_file("doc.txt", "a\n", 2);
    lt_documents *d = lt_documents_open(cx, &path, 1, NULL);
    assert_false(lt_index_add(cx, x, NULL, d, NULL, NULL, NULL));
    assert_refused(cx, LT_ERR_USAGE, "adding to it needs its model (some/model)");
    lt_documents_close(d);
    float bad[DIM] = {NAN};
    assert_false(put(cx, x, 1, doc, bad, DIM));
    assert_refused(cx, LT_ERR_INPUT, "document new: the model's vector is not finite");
    /* Another process (connection) changes what is cached here. */
    int n;
    dense(cx, x, query_vector(0), 3, &n);
    lt_index *y = reopen(cx, x->path, LT_INDEX_ADD);
    float q[DIM];
    memcpy(q, query_vector(0), sizeof q);
    assert_good(cx, put(cx, y, 1, doc, q, DIM));
    lt_hit *h = dense(cx, x, q, 1, &n);
    assert_string_equal(h[0].id, "new");
    assert_float_equal(h[0].score, 1, 1e-6);
    int64_t deleted = 0;
    assert_good(cx, lt_index_delete(cx, y, (const char *const[]){"new"}, 1, &deleted));
    assert_string_not_equal(dense(cx, x, q, 1, &n)[0].id, "new");
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, y);
    /* A vector that is missing, or of another size, in the file. */
    assert_int_equal(sqlite3_exec(x->db, "UPDATE vectors SET vector = x'0000' WHERE id = 2500", NULL, NULL, NULL), SQLITE_OK);
    lt_index_forget(x);
    assert_null(lt_search_with(cx, x, "", q, &(lt_search_options){.mode = LT_SEARCH_DENSE}, &n));
    assert_refused(cx, LT_ERR_INPUT, "document 2500 has no vector of 48 numbers");
    /* Not a number, by someone else's hand: no hit, no harm. */
    assert_int_equal(
        sqlite3_exec(
            x->db,
            "UPDATE vectors SET vector = (SELECT replace(hex(zeroblob(24)), '00', 'FFFFFFFF') FROM meta LIMIT 1) WHERE id = 2500",
            NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(x->db, "UPDATE vectors SET vector = CAST(substr(vector, 1, 192) AS BLOB) WHERE id = 2500", NULL, NULL, NULL),
        SQLITE_OK);
    lt_index_forget(x);
    dense(cx, x, q, N, &n);
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void an_empty_index_answers(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_index *x = lt_index_open(cx, scratch_path("nothing"), LT_INDEX_CREATE, NULL);
    int n = 5;
    for (int mode = LT_SEARCH_BM25; mode <= LT_SEARCH_HYBRID; mode++) {
        assert_good(cx, lt_search(cx, x, NULL, "word", &(lt_search_options){.mode = mode}, &n));
        assert_int_equal(n, 0);
    }
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_dot_products), cmocka_unit_test(threads_and_streaming_change_no_bit),
        cmocka_unit_test(hybrid_fuses_ranks),      cmocka_unit_test(vectors_that_do_not_belong),
        cmocka_unit_test(an_empty_index_answers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
