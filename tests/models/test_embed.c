/* Protects: texts become the embeddings of sentence-transformers for every pooling mode, Dense, Normalize, prompt and length
 * setting; lt_embed and lt_stream agree; and a stream, however it is cut into passes, gives each input, in order, the bits that it
 * gets alone, in memory that does not grow with the stream. */
#include "models/fixture.h"

#include <time.h>

/* As in test_hf.c; a Dense module adds one more sum of at most 64 products. */
static const double f64_tolerance = 1e-10, f32_tolerance = 1e-5;
enum { MAX_TEXTS = 32 };

typedef struct sentences { /* a fixture of tests/fixtures/sentence */
    char path[600];
    lt_json *json;
    int n;
    const char *text[MAX_TEXTS];
    size_t size[MAX_TEXTS];
    lt_tensor *want;
    lt_run_options options;
} sentences;

static void read_sentences(lt_ctx *cx, sentences *s, const char *name)
{
    memset(s, 0, sizeof *s);
    snprintf(s->path, sizeof s->path, "%s/%s", fixtures("sentence"), name);
    s->json = lt_json_load(cx, lt_path_join(cx, s->path, "expected.json"));
    assert_done(cx, s->json);
    const lt_json *texts = lt_json_get(s->json, "texts");
    s->n = (int)lt_json_size(texts);
    assert_in_range(s->n, 1, MAX_TEXTS);
    for (int i = 0; i < s->n; i++) s->text[i] = lt_json_text(lt_json_at(texts, i), &s->size[i]);
    s->want = lt_npy_load(cx, lt_path_join(cx, s->path, text_of(s->json, "embedding")));
    assert_done(cx, s->want);
    s->options.truncate_dim = (int)lt_json_int(lt_json_get(s->json, "truncate_dim"), 0);
    s->options.normalize = lt_json_bool(lt_json_get(s->json, "normalize"), false);
}

/* A prompt by text or by name; what the fixture leaves out is the model's own default. */
static void choose_prompt(sentences *s, const lt_model *m)
{
    const char *name = text_of(s->json, "prompt_name");
    s->options.prompt = text_of(s->json, "prompt");
    if (name) {
        s->options.prompt = lt_model_prompt(m, name);
        assert_non_null(s->options.prompt);
    }
}

/* Which ids the texts became, when the embeddings are wrong: is it the tokenizer? */
static void explain(lt_ctx *cx, const sentences *s, const lt_model *m, int i)
{
    lt_encoding *e = lt_encode(cx, lt_model_tokenizer(m), s->text[i], s->size[i], NULL, 0, NULL);
    const lt_json *ids = lt_json_at(lt_json_get(s->json, "ids"), i);
    print_message("# reference ids:");
    for (int64_t j = 0; j < lt_json_size(ids); j++) print_message(" %d", (int)lt_json_int(lt_json_at(ids, j), -1));
    print_message("\n# ids of the bare text, without prompt:");
    for (int j = 0; e && j < e->n; j++) print_message(" %d", (int)e->ids[j]);
    print_message("\n");
}

static double check_sentences(lt_ctx *cx, const char *name, lt_dtype compute, double tolerance)
{
    sentences s;
    read_sentences(cx, &s, name);
    lt_model *m = lt_model_open(cx, s.path, &(lt_model_options){.compute = compute});
    if (!m) fail_msg("%s: %s", s.path, lt_ctx_error(cx));
    choose_prompt(&s, m);
    lt_tensor *all = lt_embed(cx, m, s.text, s.size, s.n, &s.options);
    if (!all) fail_msg("%s: %s", s.path, lt_ctx_error(cx));
    assert_int_equal(all->shape[0], s.n);
    assert_int_equal(all->shape[1], s.want->shape[1]);
    double worst = 0;
    for (int i = 0; i < s.n; i++) {
        double d = distance(all, i, 1, s.want, i, 1);
        if (!(d <= tolerance)) {
            explain(cx, &s, m, i);
            fail_msg("%s: %s: embedding of text %d is %.3g off, allowed %.3g", s.path, lt_dtype_name(compute), i, d, tolerance);
        }
        if (d > worst) worst = d;
        lt_tensor *one = lt_embed(cx, m, s.text + i, NULL, 1, &s.options); /* the fixtures' texts hold no NUL */
        assert_done(cx, one);
        if (!same_bits(one, 0, all, i, 1)) fail_msg("%s: text %d alone and with others: not the same bits", s.path, i);
    }
    const lt_model_info *a = lt_model_about(m);
    assert_int_equal(a->normalize, lt_json_bool(lt_json_get(s.json, "ends_in_normalize"), false));
    assert_string_equal(a->similarity, text_of(s.json, "similarity"));
    assert_int_equal(a->max_tokens, lt_json_int(lt_json_get(s.json, "max_tokens"), 0));
    if (!s.options.truncate_dim) assert_int_equal(a->embedding, s.want->shape[1]);
    char modes[200], *save = NULL;
    snprintf(modes, sizeof modes, "%s", text_of(s.json, "pooling"));
    for (char *mode = strtok_r(modes, "+", &save); mode; mode = strtok_r(NULL, "+", &save))
        assert_non_null(strstr(a->pooling, mode));
    lt_model_close(m);
    lt_json_free(s.json);
    return worst;
}

static void equal_sentence_transformers(void **state)
{
    folders f = list_folders("sentence");
    double worst[2] = {0};
    for (int i = 0; i < f.n; i++)
        for (int k = 0; k < 2; k++) {
            lt_ctx *cx = new_context(2);
            double d = check_sentences(cx, f.name[i], k ? LT_F32 : LT_F64, k ? f32_tolerance : f64_tolerance);
            if (d > worst[k]) worst[k] = d;
            lt_ctx_free(cx);
        }
    print_message("# largest difference over %d models: f64 %.3g, f32 %.3g\n", f.n, worst[0], worst[1]);
    free_folders(&f);
}

/* Options in place of the files: the same rows as from a folder that says so. */
static void options_override_files(void **state)
{
    static const char *const modes[] = {"cls", "mean", "max", "mean_sqrt", "weightedmean", "last"};
    lt_ctx *cx = new_context(2);
    sentences s;
    read_sentences(cx, &s, "normalize");
    lt_model *m = lt_model_open(cx, s.path, &(lt_model_options){.compute = LT_F64});
    assert_done(cx, m);
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
        sentences other;
        char name[100];
        snprintf(name, sizeof name, "pool-%s", modes[k]);
        read_sentences(cx, &other, name);
        lt_tensor *x = lt_embed(cx, m, s.text, s.size, s.n, &(lt_run_options){.pooling = modes[k], .normalize = -1});
        assert_done(cx, x);
        assert_true(distance(x, 0, 1, other.want, 0, s.n) <= f64_tolerance);
        lt_json_free(other.json);
    }
    lt_tensor *both = lt_embed(cx, m, s.text, s.size, s.n, &(lt_run_options){.pooling = "max+mean", .normalize = -1});
    assert_done(cx, both);
    sentences mean_max;
    read_sentences(cx, &mean_max, "pool-mean-max");
    assert_true(distance(both, 0, 1, mean_max.want, 0, s.n) <= f64_tolerance);
    lt_tensor *cut = lt_embed(cx, m, s.text, s.size, s.n, &(lt_run_options){.truncate_dim = 5, .normalize = 1});
    assert_done(cx, cut);
    assert_int_equal(cut->shape[1], 5);
    for (int i = 0; i < s.n; i++) {
        double sum = 0;
        for (int j = 0; j < 5; j++) sum += element(cut, i, j) * element(cut, i, j);
        assert_true(fabs(sum - 1) < 1e-12);
    }
    cut = lt_embed(cx, m, s.text, s.size, s.n, &(lt_run_options){.truncate_dim = 1000}); /* more than there are: all */
    assert_done(cx, cut);
    assert_true(distance(cut, 0, 1, s.want, 0, s.n) <= f64_tolerance);
    static const char *const wrong[] = {"median", "mean+", "+mean", "mean++max", "Mean"};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        if (lt_embed(cx, m, s.text, s.size, s.n, &(lt_run_options){.pooling = wrong[k]}))
            fail_msg("pooling \"%s\" was taken", wrong[k]);
        if (!strstr(lt_ctx_error(cx), wrong[k]))
            fail_msg("expected a message about \"%s\", found \"%s\"", wrong[k], lt_ctx_error(cx));
        lt_ctx_clear(cx);
    }
    lt_model_close(m);
    lt_json_free(s.json);
    lt_json_free(mean_max.json);
    lt_ctx_free(cx);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

enum { STREAM = 5000, LONGEST = 64, VOCAB = 200 };

typedef struct stream { /* random inputs of ids, or texts, and what came of them */
    int n, given, got;
    int32_t (*ids)[LONGEST];
    int32_t *length;
    const char *const *text;
    const size_t *size;
    lt_ctx *check; /* for the runs alone */
    const lt_model *m;
    lt_output what;
    const lt_run_options *options;
    int64_t rows, tokens;
    int stop_at, fail_at;  /* -1: never */
    const lt_tensor *want; /* instead of runs alone */
    bool skip_check;
} stream;

static void make_inputs(stream *s, int n, unsigned seed)
{
    s->n = n;
    s->ids = calloc((size_t)n, sizeof *s->ids);
    s->length = calloc((size_t)n, sizeof *s->length);
    assert_true(s->ids && s->length);
    for (int i = 0; i < n; i++) {
        /* Mostly short, as real texts are; now and then the longest there may be. */
        s->length[i] = rand_r(&seed) % 50 == 0 ? LONGEST : 1 + rand_r(&seed) % (1 + rand_r(&seed) % 24);
        for (int j = 0; j < s->length[i]; j++) s->ids[i][j] = rand_r(&seed) % VOCAB;
    }
}

static void free_inputs(stream *s)
{
    free(s->ids);
    free(s->length);
}

static bool give(void *arg, lt_ctx *cx, lt_input *in)
{
    stream *s = arg;
    if (s->given == s->fail_at) return lt_fail_if(cx, true, LT_ERR_INPUT, "input %d cannot be read", s->given);
    if (s->given == s->n) return false;
    int i = s->given++;
    *in = s->text ? (lt_input){.text = s->text[i], .size = s->size[i]} : (lt_input){.ids = s->ids[i], .n_ids = s->length[i]};
    return true;
}

static bool take(void *arg, lt_ctx *cx, const lt_result *r)
{
    stream *s = arg;
    int i = s->got++;
    if (i == s->stop_at) return lt_fail_if(cx, true, LT_ERR_IO, "no room for result %d", i);
    if (r->index != i) return lt_fail_if(cx, true, LT_ERR_INPUT, "result %d came as number %d", (int)r->index, i);
    s->rows += r->rows;
    s->tokens += r->tokens;
    if (s->skip_check) return true;
    lt_scope scope = lt_open(s->check, NULL);
    lt_tensor got = {.dtype = r->dtype,
                     .rank = 2,
                     .shape = {r->rows, r->cols, 1, 1},
                     .stride = {r->cols, 1, 1, 1},
                     .data = (void *)(uintptr_t)r->data};
    bool same;
    if (s->want)
        same = same_bits(&got, 0, s->want, i, 1);
    else {
        lt_batch b = {.seqs = lt_seqs_new(s->check, 1, &s->length[i]), .ids = s->ids[i]};
        lt_tensor *alone = lt_forward(s->check, s->m, &b, s->what, s->options);
        same = alone && r->rows == alone->shape[0] && r->tokens == s->length[i] && same_bits(&got, 0, alone, 0, r->rows);
    }
    lt_end(s->check, scope);
    return lt_fail_if(cx, !same, LT_ERR_INPUT, "result %d is not that of the input alone: %s", i, lt_ctx_error(s->check));
}

static void stream_equals_single_runs(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    lt_ctx *cx = new_context(3), *check = new_context(1);
    char path[600];
    snprintf(path, sizeof path, "%s/bert-tiny", fixtures("models"));
    lt_model *m = lt_model_open(cx, path, NULL);
    assert_done(cx, m);
    const lt_run_options cases[] = {
        {.batch_tokens = 97}, {.batch_tokens = 97, .batch = 3}, {.batch_tokens = 64}, {.batch_tokens = 1}, {.batch = 1}, {0},
    };
    stream s = {.check = check, .m = m, .stop_at = -1, .fail_at = -1};
    make_inputs(&s, STREAM, seed);
    int64_t tokens = 0;
    for (int i = 0; i < s.n; i++) tokens += s.length[i];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int what = LT_OUT_HIDDEN; what <= LT_OUT_POOLED; what++) {
            if (k > 0) s.n = 400;
            s.given = s.got = 0, s.rows = s.tokens = 0, s.what = (lt_output)what;
            lt_stream_stats stats;
            if (!lt_stream(cx, m, s.what, &cases[k], give, &s, take, &s, &stats))
                fail_msg("options %d: %s", (int)k, lt_ctx_error(cx));
            assert_int_equal(s.got, s.n);
            assert_int_equal(stats.inputs, s.n);
            assert_int_equal(stats.tokens, s.tokens);
            assert_int_equal(stats.computed_tokens, s.tokens); /* nothing is padded */
            assert_int_equal(stats.truncated, 0);
            if (k == 0) assert_int_equal(s.tokens, tokens);
            if (cases[k].batch == 1 || cases[k].batch_tokens == 1) assert_int_equal(stats.passes, s.n);
            assert_true(stats.passes > 0 && stats.passes <= s.n);
        }
    s.n = STREAM;
    free_inputs(&s);
    lt_model_close(m);
    lt_ctx_free(check);
    lt_ctx_free(cx);
}

static void stream_of_texts_equals_embed(void **state)
{
    lt_ctx *cx = new_context(2), *check = new_context(1);
    sentences s;
    read_sentences(cx, &s, "prompt-name");
    lt_model *m = lt_model_open(cx, s.path, NULL);
    assert_done(cx, m);
    choose_prompt(&s, m);
    lt_tensor *all = lt_embed(cx, m, s.text, s.size, s.n, &s.options);
    assert_done(cx, all);
    for (int budget = 1; budget <= 64; budget *= 4) {
        stream t = {.n = s.n, .text = s.text, .size = s.size, .check = check, .m = m, .want = all, .stop_at = -1, .fail_at = -1};
        s.options.batch_tokens = budget;
        assert_done(cx, lt_stream(cx, m, LT_OUT_EMBEDDING, &s.options, give, &t, take, &t, NULL));
        assert_int_equal(t.got, s.n);
    }
    lt_model_close(m);
    lt_json_free(s.json);
    lt_ctx_free(check);
    lt_ctx_free(cx);
}

/* Errors of either side end a stream with their own message; what was given before is taken in order. */
static void stream_stops(void **state)
{
    lt_ctx *cx = new_context(2);
    char path[600];
    snprintf(path, sizeof path, "%s/bert-tiny", fixtures("models"));
    lt_model *m = lt_model_open(cx, path, NULL);
    assert_done(cx, m);
    stream s = {.m = m, .stop_at = -1, .fail_at = 300, .skip_check = true};
    make_inputs(&s, 1000, 1);
    const lt_run_options o = {.batch_tokens = 50};
    assert_false(lt_stream(cx, m, LT_OUT_POOLED, &o, give, &s, take, &s, NULL));
    assert_string_equal(lt_ctx_error(cx), "input 300 cannot be read");
    assert_true(s.got <= 300);
    lt_ctx_clear(cx);
    s.given = s.got = 0, s.fail_at = -1, s.stop_at = 123;
    assert_false(lt_stream(cx, m, LT_OUT_POOLED, &o, give, &s, take, &s, NULL));
    assert_string_equal(lt_ctx_error(cx), "no room for result 123");
    assert_int_equal(s.got, 124);
    lt_ctx_clear(cx);
    /* A bad id in the midst: the message tells which input, or which id. */
    s.given = s.got = 0, s.stop_at = -1;
    s.ids[77][0] = VOCAB;
    assert_false(lt_stream(cx, m, LT_OUT_POOLED, &o, give, &s, take, &s, NULL));
    assert_non_null(strstr(lt_ctx_error(cx), "200"));
    assert_true(s.got <= 77);
    lt_ctx_clear(cx);
    /* No inputs at all, and a context that goes on after all that. */
    s.given = s.got = s.n = 0;
    lt_stream_stats stats;
    assert_done(cx, lt_stream(cx, m, LT_OUT_POOLED, &o, give, &s, take, &s, &stats));
    assert_int_equal(stats.inputs + s.got, 0);
    free_inputs(&s);
    lt_model_close(m);
    lt_ctx_free(cx);
}

static size_t peak_of(const lt_model *m, stream *s, int n)
{
    lt_ctx *cx = new_context(2);
    s->n = n, s->given = s->got = 0;
    assert_done(cx, lt_stream(cx, m, LT_OUT_POOLED, &(lt_run_options){.batch_tokens = 256}, give, s, take, s, NULL));
    assert_int_equal(s->got, n);
    size_t peak = lt_memory_peak(cx);
    for (int i = 0; i < lt_threads(cx); i++) peak += lt_memory_peak(lt_ctx_child(cx, i));
    lt_ctx_free(cx);
    return peak;
}

static void memory_does_not_grow(void **state)
{
    lt_ctx *cx = new_context(1);
    char path[600];
    snprintf(path, sizeof path, "%s/bert-tiny", fixtures("models"));
    lt_model *m = lt_model_open(cx, path, NULL);
    assert_done(cx, m);
    stream s = {.m = m, .stop_at = -1, .fail_at = -1, .skip_check = true};
    make_inputs(&s, 40000, 7);
    size_t small = peak_of(m, &s, 2000), large = peak_of(m, &s, 40000);
    print_message("# peak of scoped memory: %zu bytes for 2000 inputs, %zu for 40000\n", small, large);
    assert_true(large <= 2 * small); /* which thread takes which pass varies a little, twenty times the inputs do not */
    free_inputs(&s);
    lt_model_close(m);
    lt_ctx_free(cx);
}

/* Texts are cut at the model's length, and the cut is counted; ids that are too long are cut too or refused, never overrun. */
static void long_inputs_are_cut(void **state)
{
    lt_ctx *cx = new_context(1), *check = new_context(1);
    sentences s;
    read_sentences(cx, &s, "max-length");
    lt_model *m = lt_model_open(cx, s.path, NULL);
    assert_done(cx, m);
    lt_tensor *all = lt_embed(cx, m, s.text, s.size, s.n, NULL);
    assert_done(cx, all);
    stream t = {.n = s.n, .text = s.text, .size = s.size, .check = check, .m = m, .want = all, .stop_at = -1, .fail_at = -1};
    lt_stream_stats stats;
    assert_done(cx, lt_stream(cx, m, LT_OUT_EMBEDDING, NULL, give, &t, take, &t, &stats));
    int longer = 0;
    for (int i = 0; i < s.n; i++) longer += lt_encode(cx, lt_model_tokenizer(m), s.text[i], s.size[i], NULL, 0, NULL)->n > 8;
    assert_int_equal(stats.truncated, longer);
    assert_true(stats.tokens <= 8 * s.n);
    lt_model_close(m);
    lt_json_free(s.json);
    lt_ctx_free(check);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sentence_transformers),
        cmocka_unit_test(options_override_files),
        cmocka_unit_test(stream_equals_single_runs),
        cmocka_unit_test(stream_of_texts_equals_embed),
        cmocka_unit_test(stream_stops),
        cmocka_unit_test(memory_does_not_grow),
        cmocka_unit_test(long_inputs_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
