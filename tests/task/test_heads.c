/* Protects: heads at work through the library: results in order, in any cut of passes and with any number of threads, texts without tokens, words
 * without end, sinks and readers that give up half-way, no memory. Under ThreadSanitizer too: items pass between two threads. */
#include "check.h"

#include <stdlib.h>

#include "lathe/task.h"

static const char FOLDER[] = "tests/fixtures/models/bert-tiny";
enum { INPUTS = 36 };

static lt_ctx *make(int threads)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
    assert_non_null(cx);
    return cx;
}

/* A model with such a head of random weights. */
static lt_model *open_with(lt_ctx *cx, const char *head, int labels)
{
    static const char *const label[] = {"O", "B-X", "I-X", "B-Y", "I-Y"};
    lt_model *m = lt_model_open(
        cx, FOLDER,
        &(lt_model_options){
            .trainable = true, .random = true, .seed = 3, .head = head, .labels = labels, .label = labels ? label : NULL});
    if (!m) fail_msg("%s", lt_ctx_error(cx));
    return m;
}

/* Inputs of many lengths, made as they are asked for; what came out, as text. */
typedef struct feed {
    int64_t next, seen;
    int64_t fails_at, stops_at; /* the reader fails, the sink stops; -1: never */
    bool words, masks;
    char text[4000], question[40];
    lt_text word[400];
    lt_str out;
} feed;

static void fill_text(feed *f, int64_t n)
{
    static const char *const some[] = {"a", "good", "lines", "é", "bad!", "of", "so", "ßx"};
    char *p = f->text;
    *p = 0;
    f->question[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *word = f->masks && i % 3 == 1 ? "[MASK]" : some[(i * i + n) % 8];
        f->word[i] = (lt_text){some[(i * 5 + n) % 8], strlen(some[(i * 5 + n) % 8])};
        p += sprintf(p, "%s%s", i ? " " : "", word);
    }
    if (n % 5) sprintf(f->question, "what is %d", (int)n);
}

static bool next(void *arg, lt_ctx *cx, lt_task_input *in)
{
    feed *f = arg;
    if (f->next == f->fails_at) return lt_fail_if(cx, true, LT_ERR_INPUT, "the reader gives up");
    if (f->next == INPUTS) return false;
    const int64_t n = f->next * f->next % 97;
    f->next++;
    fill_text(f, n);
    in->text = (lt_text){f->text, strlen(f->text)};
    in->question = (lt_text){f->question, strlen(f->question)};
    if (f->words) {
        in->word = f->word;
        in->words = n;
    }
    return true;
}

static bool goes_on(feed *f, lt_ctx *cx, int64_t index)
{
    assert_int_equal(index, f->seen);
    return f->seen++ != f->stops_at || lt_fail_if(cx, true, LT_ERR_INPUT, "the sink gives up");
}

static bool tagged(void *arg, lt_ctx *cx, const lt_tagged *t)
{
    feed *f = arg;
    const int64_t n = t->index * t->index % 97;
    if (t->tag) assert_int_equal(t->words, n);
    for (int64_t i = 0; t->tag && i < n; i++) lt_str_printf(&f->out, "%s ", t->tag[i]);
    for (int64_t i = 0; i < t->entities; i++) {
        const lt_entity *e = &t->entity[i];
        assert_true(e->start >= 0 && e->start <= e->end && e->score > 0 && e->score <= 1);
        lt_str_printf(&f->out, "%s %d %d %.9g ", e->label, e->start, e->end, e->score);
    }
    return goes_on(f, cx, t->index);
}

static bool filled(void *arg, lt_ctx *cx, const lt_filled *t)
{
    feed *f = arg;
    const int64_t n = t->index * t->index % 97;
    assert_int_equal(t->masks, (n + 1) / 3);
    for (int64_t i = 0; i < t->masks * t->k; i++) {
        assert_true(i % t->k == 0 || t->guess[i].score <= t->guess[i - 1].score);
        lt_str_printf(&f->out, "%d %.9g ", t->guess[i].id, t->guess[i].score);
    }
    return goes_on(f, cx, t->index);
}

static bool answered(void *arg, lt_ctx *cx, const lt_answered *t)
{
    feed *f = arg;
    assert_true(t->answers >= 1);
    for (int i = 0; i < t->answers; i++) {
        const lt_answer *a = &t->answer[i];
        assert_true(i == 0 || a->score <= t->answer[i - 1].score);
        lt_str_printf(&f->out, "%.*s %d %d %.9g ", (int)a->text.size, a->text.text, a->start, a->end, a->score);
    }
    return goes_on(f, cx, t->index);
}

typedef enum { TAG, TAG_WORDS, FILL, ANSWER, LIKELIHOOD, TASKS } task;

static bool run(lt_ctx *cx, task t, const lt_model *m, feed *f, int64_t budget)
{
    const lt_run_options o = {.batch_tokens = budget};
    lt_likelihood sum;
    f->words = t == TAG_WORDS;
    f->masks = t == FILL;
    switch (t) {
    case TAG:
    case TAG_WORDS:
        return lt_tag_all(cx, m, LT_AGGREGATE_AVERAGE, &o, next, f, tagged, f, NULL);
    case FILL:
        return lt_fill_all(cx, m, 3, &o, next, f, filled, f, NULL);
    case ANSWER:
        return lt_answer_all(cx, m, &(lt_answer_options){.k = 3, .stride = -1, .none = true, .run = o}, next, f, answered, f, NULL);
    default: {
        const bool good = lt_likelihood_all(cx, m, &o, next, f, &sum, NULL);
        if (good) lt_str_printf(&f->out, "%.17g %lld %lld", sum.sum, (long long)sum.tokens, (long long)sum.bytes);
        return good;
    }
    }
}

static lt_model *model_of(lt_ctx *cx, task t)
{
    return t == ANSWER                    ? open_with(cx, "span", 2)
           : t == FILL || t == LIKELIHOOD ? open_with(cx, "mlm", 0)
                                          : open_with(cx, "tag", 5);
}

static void same_in_any_cut(void **state)
{
    for (task t = 0; t < TASKS; t++) {
        lt_str first = {0};
        for (int way = 0; way < 3; way++) {
            if (t == LIKELIHOOD && way == 2) continue; /* long */
            lt_ctx *cx = make(way + 1);
            lt_model *m = model_of(cx, t);
            feed f = {.fails_at = -1, .stops_at = -1};
            if (!run(cx, t, m, &f, way ? 77 * way : 1 << 20)) fail_msg("task %d: %s", t, lt_ctx_error(cx));
            if (t != LIKELIHOOD) assert_int_equal(f.seen, INPUTS);
            if (way)
                assert_string_equal(f.out.data, first.data);
            else
                first = f.out;
            if (way) lt_str_free(&f.out);
            lt_model_close(m);
            lt_ctx_free(cx);
        }
        lt_str_free(&first);
    }
}

/* Whoever gives up, the error is theirs, and nothing is left (AddressSanitizer looks). */
static void giving_up(void **state)
{
    for (task t = 0; t < TASKS; t++)
        for (int threads = 1; threads < 3; threads++)
            for (int64_t at = 0; at < INPUTS; at += 13) {
                lt_ctx *cx = make(threads);
                lt_model *m = model_of(cx, t);
                feed f = {.fails_at = at, .stops_at = -1}, g = {.fails_at = -1, .stops_at = at};
                assert_false(run(cx, t, m, &f, 50));
                assert_non_null(strstr(lt_ctx_error(cx), "the reader gives up"));
                lt_ctx_clear(cx);
                if (t != LIKELIHOOD) {
                    assert_false(run(cx, t, m, &g, 50));
                    assert_non_null(strstr(lt_ctx_error(cx), "the sink gives up"));
                }
                lt_str_free(&f.out);
                lt_str_free(&g.out);
                lt_model_close(m);
                lt_ctx_free(cx);
            }
}

/* With little memory either all goes well or that is what the error says. */
static void no_memory(void **state)
{
    lt_ctx *owner = make(1);
    for (task t = 0; t < LIKELIHOOD; t++) {
        lt_model *m = model_of(owner, t);
        int failures = 0;
        for (size_t limit = 4096; limit < (size_t)1 << 25; limit *= 3) {
            lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2, .memory_limit = limit});
            feed f = {.fails_at = -1, .stops_at = -1};
            const bool good = cx && run(cx, t, m, &f, 300);
            if (cx && !good) assert_int_equal(lt_ctx_status(cx), LT_ERR_MEMORY);
            failures += !good;
            lt_str_free(&f.out);
            lt_ctx_free(cx);
        }
        assert_true(failures > 0);
        lt_model_close(m);
    }
    lt_ctx_free(owner);
}

static void wrong_heads(void **state)
{
    lt_ctx *cx = make(1);
    lt_model *m = open_with(cx, "tag", 5);
    for (task t = FILL; t < TASKS; t++) {
        feed f = {.fails_at = -1, .stops_at = -1};
        assert_false(run(cx, t, m, &f, 0));
        assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
        lt_ctx_clear(cx);
        assert_int_equal(f.next, 0);
    }
    lt_model_close(m);
    lt_ctx_free(cx);
}

static void links(void **state)
{
    static const float x[] = {1000, 999, -INFINITY};
    double p[3];
    lt_link_apply(LT_SOFTMAX, LT_F32, x, 3, p);
    assert_float_equal(p[0], 1 / (1 + exp(-1)), 1e-15);
    assert_float_equal(p[0] + p[1], 1, 1e-15);
    assert_true(p[2] == 0);
    lt_link_apply(LT_SIGMOID, LT_F32, x, 3, p);
    assert_true(p[0] == 1 && p[2] == 0);
    lt_link_apply(LT_PLAIN, LT_F32, x, 3, p);
    assert_true(p[1] == 999);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_in_any_cut), cmocka_unit_test(giving_up), cmocka_unit_test(no_memory),
        cmocka_unit_test(wrong_heads),     cmocka_unit_test(links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
