/* Protects: tokens and merges that are those of Hugging Face tokenizers' trainers (fixtures of tests/oracle/tokenizer_train_fixtures.py),
 * the same files from any number of threads, special tokens, and clean ends: too little memory at any point, a work that is cancelled,
 * words beyond all reason. Meant to be run under ThreadSanitizer too. Tests run from the root of the tree. */
#include "text/tokenizers.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>

#define TEXTS "tests/fixtures/text/trained.txt"
static char folder[] = "/tmp/lathe-train-XXXXXX", out[64], texts[64];

static void remove_out(void)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", out, names[i]);
        unlink(path);
    }
    rmdir(out);
}

/* Nothing but texts.txt: no folder, and nothing that was to become one. */
static bool left_nothing(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] == '.' ? e->d_name[1] && e->d_name[1] != '.' : strcmp(e->d_name, "texts.txt") != 0;
    closedir(d);
    return n == 0;
}

static int make_folder(void **state)
{
    if (!mkdtemp(folder)) return -1;
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(texts, sizeof texts, "%s/texts.txt", folder);
    return 0;
}

static int remove_folder(void **state)
{
    remove_out();
    unlink(texts);
    return rmdir(folder);
}

static void write_texts(const char *text, size_t size, int times)
{
    FILE *f = fopen(texts, "w");
    assert_non_null(f);
    for (int i = 0; i < times; i++) assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* As many different words. */
static void write_numbers(int n)
{
    FILE *f = fopen(texts, "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++) fprintf(f, "%d%c", i, i % 10 ? ' ' : '\n');
    assert_int_equal(fclose(f), 0);
}

static bool train(lt_ctx *cx, const char *kind, const char *file, int32_t size, lt_tokenizer_train_result *r)
{
    lt_tokenizer_train_options o = {.kind = kind, .files = &file, .n_files = 1, .out = out, .vocab_size = size};
    return lt_tokenizer_train(cx, &o, r);
}

static lt_json *load(lt_ctx *cx)
{
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", out);
    lt_json *o = lt_json_load(cx, path);
    assert_non_null(o);
    return o;
}

/* ---- as the reference ---- */

static bool same_text(const lt_json *a, const char *b)
{
    const char *text = lt_json_text(a, NULL);
    return text && b && strcmp(text, b) == 0;
}

static int differ(lt_ctx *cx, const lt_json *want)
{
    lt_tokenizer *t = lt_tokenizer_open(cx, out);
    lt_json *have = load(cx);
    const lt_json *tokens = lt_json_get(want, "tokens"), *merges = lt_json_get(want, "merges"), *made = lt_json_get(lt_json_get(have, "model"), "merges");
    assert_non_null(t);
    int n = lt_tokenizer_about(t)->vocab != lt_json_size(tokens);
    for (int32_t i = 0; i < lt_json_size(tokens); i++) n += !same_text(lt_json_at(tokens, i), lt_token_text(t, i));
    n += lt_json_size(merges) != lt_json_size(made);
    for (int64_t i = 0; i < lt_json_size(merges); i++) n += !same_text(lt_json_at(merges, i), lt_json_text(lt_json_at(made, i), NULL));
    lt_json_free(have);
    lt_tokenizer_free(t);
    return n;
}

static int train_case(lt_ctx *cx, const lt_json *want)
{
    static const char *const file = TEXTS;
    lt_tokenizer_train_result r;
    lt_tokenizer_train_options o = {
        .kind = lt_json_text(lt_json_get(want, "kind"), NULL),
        .files = &file,
        .n_files = 1,
        .out = out,
        .vocab_size = (int32_t)lt_json_int(lt_json_get(want, "vocab_size"), 0),
        .min_frequency = lt_json_int(lt_json_get(want, "min_frequency"), 0),
        .cased = lt_json_bool(lt_json_get(want, "cased"), false),
        .limit_alphabet = (int32_t)lt_json_int(lt_json_get(want, "limit_alphabet"), 0),
    };
    int n = lt_tokenizer_train(cx, &o, &r) ? differ(cx, want) + (r.vocab != o.vocab_size) + (r.special + r.alphabet + r.merged != r.vocab) : 1;
    if (n) print_error("%s of %d, %d threads: %d differences; %s\n", o.kind, o.vocab_size, lt_threads(cx), n, lt_ctx_error(cx));
    lt_ctx_clear(cx);
    remove_out();
    return n;
}

static void tokens_and_merges_are_the_references(void **state)
{
    const char *path = "tests/fixtures/text/trained.jsonl";
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    int cases = 0, wrong = 0;
    if (!f) fail_msg("%s is not there: run the tests from the root of the source tree", path);
    for (ssize_t n; (n = getline(&line, &capacity, f)) > 0;) {
        for (int threads = 1; threads <= 3; threads++, cases++) {
            lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
            lt_json *want = lt_json_parse(cx, line, (size_t)n, path);
            assert_non_null(want);
            wrong += train_case(cx, want) != 0;
            lt_json_free(want);
            lt_ctx_free(cx);
        }
    }
    free(line);
    fclose(f);
    assert_int_equal(wrong, 0);
    assert_in_range(cases, 24, 1000);
}

/* ---- threads ---- */

static char *read_out(size_t *size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", out);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*size + 1);
    assert_int_equal(fread(text, 1, *size, f), *size);
    fclose(f);
    return text;
}

/* Many blocks of many chunks, more text than any one thread gets. */
static void threads_change_nothing(void **state)
{
    static const char some[] = "so many words, so few of them new; \xC3\x84rger with n\xC3\xA4ive \xD0\xB6\xD0\xB8 ones\n\nand short lines\n";
    write_texts(some, sizeof some - 1, 100000);
    for (int k = 0; k < 2; k++) {
        size_t size = 0, n;
        char *first = NULL;
        for (int threads = 1; threads <= 4; threads++) {
            lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
            lt_tokenizer_train_result r;
            if (!train(cx, k ? "bpe" : "wordpiece", texts, k ? 300 : 80, &r)) fail_msg("%s", lt_ctx_error(cx));
            assert_int_equal(r.rows, 300000);
            char *text = read_out(&n);
            assert_true(!first || (n == size && !memcmp(text, first, n)));
            if (first) free(text);
            else first = text;
            size = n;
            remove_out();
            lt_ctx_free(cx);
        }
        free(first);
    }
}

/* ---- clean ends ---- */

static void too_little_memory_is_an_error(void **state)
{
    for (int k = 0; k < 2; k++) {
        bool done = false;
        int n = 0;
        for (size_t limit = 1 << 16; !done && n < 100; limit += limit / 3, n++) {
            lt_tokenizer_train_result r;
            lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = limit});
            assert_non_null(cx);
            done = train(cx, k ? "bpe" : "wordpiece", TEXTS, 600, &r);
            assert_int_equal(lt_ctx_status(cx), done ? LT_OK : LT_ERR_MEMORY);
            assert_true(done || left_nothing());
            lt_ctx_free(cx);
        }
        assert_true(done && n > 3);
        remove_out();
    }
}

static volatile sig_atomic_t stop;

static void *stop_later(void *milliseconds)
{
    usleep((useconds_t)(intptr_t)milliseconds * 1000);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void a_cancelled_work_leaves_nothing(void **state)
{
    int cancelled = 0;
    write_numbers(200000);
    for (int ms = 0; ms <= 256; ms = ms ? ms * 2 : 1) {
        pthread_t timer;
        lt_tokenizer_train_result r;
        lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2, .cancel = &stop});
        stop = ms == 0;
        assert_int_equal(pthread_create(&timer, NULL, stop_later, (void *)(intptr_t)ms), 0);
        bool done = train(cx, ms & 0xAA ? "bpe" : "wordpiece", texts, 5000, &r);
        assert_int_equal(pthread_join(timer, NULL), 0);
        assert_int_equal(done ? LT_OK : LT_ERR_CANCELLED, done ? LT_OK : lt_ctx_status(cx));
        if (done) remove_out();
        assert_true(left_nothing());
        cancelled += !done;
        lt_ctx_free(cx);
    }
    assert_true(cancelled >= 1);
}

static void wrong_options_are_refused(void **state)
{
    static const char *const file = TEXTS, *const odd[] = {"\xff"}, *const empty[] = {""}, *none[] = {"tests/no-such-file.txt"};
    const struct {
        lt_tokenizer_train_options o;
        lt_status status;
    } wrong[] = {
        {{.vocab_size = 300}, LT_ERR_UNSUPPORTED},
        {{.kind = "unigram", .vocab_size = 300}, LT_ERR_UNSUPPORTED},
        {{.kind = "bpe"}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = -1}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 256}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 300, .min_frequency = -1}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 300, .cased = true}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 300, .special = odd, .n_special = 1}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 300, .special = empty, .n_special = 1}, LT_ERR_USAGE},
        {{.kind = "bpe", .vocab_size = 300, .files = none, .n_files = 1}, LT_ERR_IO},
        {{.kind = "bpe", .vocab_size = INT32_MAX}, LT_ERR_INPUT},
        {{.kind = "wordpiece", .vocab_size = INT32_MAX}, LT_ERR_INPUT},
        {{.kind = "wordpiece", .vocab_size = 4}, LT_ERR_USAGE},
        {{.kind = "wordpiece", .vocab_size = 300, .limit_alphabet = -1}, LT_ERR_USAGE},
        {{.kind = "wordpiece", .vocab_size = 20, .limit_alphabet = 30}, LT_ERR_INPUT},
    };
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2});
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lt_tokenizer_train_options o = wrong[i].o;
        lt_tokenizer_train_result r;
        o.out = out;
        if (!o.files) o.files = &file, o.n_files = 1;
        assert_false(lt_tokenizer_train(cx, &o, &r));
        if (lt_ctx_status(cx) != wrong[i].status) fail_msg("%zu: %s", i, lt_ctx_error(cx));
        assert_true(left_nothing());
        lt_ctx_clear(cx);
    }
    lt_ctx_free(cx);
}

/* One letter a million times is one word whose pairs overlap; a million different words are as many. */
static void odd_words_take_no_long(void **state)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    lt_tokenizer_train_result r;
    write_texts("x", 1, 1000000);
    for (int k = 0; k < 2; k++) {
        if (!train(cx, k ? "bpe" : "wordpiece", texts, k ? 270 : 20, &r)) fail_msg("%s", lt_ctx_error(cx));
        assert_int_equal(r.words, 1);
        remove_out();
    }
    write_numbers(1000000);
    if (!train(cx, "wordpiece", texts, 1000, &r)) fail_msg("%s", lt_ctx_error(cx));
    assert_int_equal(r.words, 1000000);
    remove_out();
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_merges_are_the_references),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(too_little_memory_is_an_error),
        cmocka_unit_test(a_cancelled_work_leaves_nothing),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(odd_words_take_no_long),
    };
    return cmocka_run_group_tests_name("tokenizer training", tests, make_folder, remove_folder);
}
