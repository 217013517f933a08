/* Protects: examples in a file are those that were put there, in any order and with every width of numbers; a file that is cut, damaged or of something
 * else is not taken; damage that comes later is an error; label names and new numbers for them; a disk that is full leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "train/data/store.h"

enum { VOCAB = 70000, EXAMPLES = 9000 };

static lt_ctx *cx;
static char folder[64], path[96];
static const lt_store_key key = {11, 22};

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    snprintf(folder, sizeof folder, "/tmp/test_store.XXXXXX");
    if (!cx || !mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/x.cache", folder);
    return 0;
}

static int entries(void)
{
    DIR *d = opendir(folder);
    int n = -2;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static int tear_down(void **state)
{
    unlink(path);
    rmdir(folder);
    lt_ctx_free(cx);
    return 0;
}

static uint32_t any(uint32_t i, uint32_t k)
{
    uint32_t bits[4];
    lt_philox((const uint32_t[4]){i, k, 0, 0}, (const uint32_t[2]){3, 4}, bits);
    return bits[0];
}

typedef struct wanted {
    int32_t n, ids[64], types[64], labels[64];
    bool has_types, has_labels;
} wanted;

/* The i-th: lengths from none to 63, small and large ids, types and labels of every width or none. */
static wanted make(int i)
{
    static const int32_t most[] = {0, 1, 100, 127, 128, 32767, 32768, 69999};
    wanted w = {.n = (int32_t)(any((uint32_t)i, 99) % 64), .has_types = i % 3 == 0, .has_labels = i % 2 == 0};
    for (int32_t k = 0; k < w.n; k++) {
        const uint32_t x = any((uint32_t)i, (uint32_t)k);
        w.ids[k] = (int32_t)(x % (i % 5 ? 60000 : VOCAB));
        w.types[k] = w.has_types ? (int32_t)(x >> 3) % 2 : 0;
        w.labels[k] = !w.has_labels ? 0 : x & 1 ? -100 : (int32_t)(x % (uint32_t)(most[i % 8] + 1));
    }
    return w;
}

static void write_examples(bool keep)
{
    lt_examples e = {.open = true};
    assert_true(lt_store_begin(cx, &e, path, key, VOCAB, keep));
    for (int i = 0; i < EXAMPLES; i++) {
        const wanted w = make(i);
        char name[16];
        snprintf(name, sizeof name, "name%d", i % 7);
        const int label = lt_examples_label(cx, &e, name, strlen(name));
        assert_true(lt_examples_add(cx, &e, w.ids, w.has_types ? w.types : NULL, w.has_labels ? w.labels : NULL, w.n, label, i / 4.0));
    }
    e.skipped = 12;
    assert_true(lt_store_finish(cx, &e));
    assert_int_equal(e.n, EXAMPLES);
    lt_examples_free(&e);
}

static void check_example(const lt_examples *e, int i, const int32_t *now)
{
    const wanted w = make(i);
    int32_t ids[64], types[64], labels[64];
    assert_int_equal(e->at[i].n, w.n);
    assert_int_equal(e->at[i].label, now ? now[i % 7] : i % 7);
    assert_true(e->at[i].number == i / 4.0);
    assert_true(lt_example_read(cx, e, i, ids, types, labels));
    for (int32_t k = 0; k < w.n; k++) {
        assert_int_equal(ids[k], w.ids[k]);
        assert_int_equal(types[k], w.types[k]);
        assert_int_equal(labels[k], now && w.labels[k] >= 0 && w.labels[k] < 7 ? now[w.labels[k]] : w.labels[k]);
    }
}

static bool opens(lt_store_key k)
{
    lt_examples e = {0};
    bool found = false;
    assert_true(lt_store_open(cx, &e, path, k, VOCAB, &found));
    assert_true(found || (e.n == 0 && !e.store));
    lt_examples_free(&e);
    return found;
}

static void comes_back(void **state)
{
    write_examples(true);
    assert_int_equal(entries(), 1);
    lt_examples e = {0};
    bool found;
    assert_true(lt_store_open(cx, &e, path, key, VOCAB, &found) && found);
    assert_int_equal(e.names, 7);
    assert_int_equal(e.skipped, 12);
    assert_true(lt_examples_have_types(&e) && lt_examples_have_labels(&e));
    for (int i = 0; i < EXAMPLES; i++) check_example(&e, (int)((unsigned)i * 7919u % EXAMPLES), NULL);
    const int32_t now[7] = {3, 2, 1, 0, 6, 5, 4}, twice[7] = {0, 1, 2, 3, 4, 5, 6};
    assert_true(lt_examples_renumber(cx, &e, now));
    for (int i = 0; i < EXAMPLES; i++) check_example(&e, i, now);
    assert_true(lt_examples_renumber(cx, &e, now)); /* its own inverse */
    for (int i = 0; i < EXAMPLES; i += 10) check_example(&e, i, twice);
    lt_examples_free(&e);
    assert_true(opens(key)); /* what was renumbered was only in memory */
    assert_false(opens((lt_store_key){11, 23}));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true((double)st.st_size < EXAMPLES * (32 + 31.5 * 7) + (1 << 17)); /* 4 bytes an id at most, and then some */
    unlink(path);
}

static void without_a_name(void **state)
{
    lt_examples e = {.open = true};
    assert_true(lt_store_begin(cx, &e, path, key, VOCAB, false));
    const int32_t ids[] = {1, 2, 3};
    int32_t got[3];
    for (int i = 0; i < 10; i++) assert_true(lt_examples_add(cx, &e, ids, NULL, NULL, 3, -1, NAN));
    assert_true(lt_store_finish(cx, &e));
    assert_int_equal(entries(), 0);
    assert_true(lt_example_read(cx, &e, 7, got, NULL, NULL));
    assert_int_equal(got[2], 3);
    assert_false(lt_examples_have_types(&e));
    lt_examples_free(&e);
}

static void nothing_in_it(void **state)
{
    lt_examples e = {.open = true};
    assert_true(lt_store_begin(cx, &e, path, key, VOCAB, true));
    assert_true(lt_store_finish(cx, &e));
    assert_int_equal(e.n, 0);
    lt_examples_free(&e);
    assert_true(opens(key));
    unlink(path);
}

static void flip(long at)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    const int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 0x10, f);
    fclose(f);
}

/* Any byte of header, table and names: another file. Any byte of tokens: an error when they are read. */
static void damage(void **state)
{
    write_examples(true);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    const long names = 7 * 6, table = (long)(st.st_size - names - EXAMPLES * (long)sizeof(lt_example));
    assert_int_equal(table % 65536, 0);
    for (int i = 0; i < 400; i++) {
        const long at = i < 112 ? i : i < 200 ? st.st_size - 1 - i % 42 : table + (long)(any(7, (uint32_t)i) % (uint32_t)(st.st_size - table));
        flip(at);
        if (opens(key)) print_error("byte %ld of %ld changed, and taken\n", at, (long)st.st_size);
        assert_false(opens(key));
        flip(at);
    }
    assert_true(opens(key));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(truncate(path, st.st_size - 1 - (i < 5 ? i : (long)(any(8, (uint32_t)i) % (uint32_t)st.st_size) - 1)), 0);
        assert_false(opens(key));
        write_examples(true);
    }
    lt_examples e = {0};
    bool found;
    assert_true(lt_store_open(cx, &e, path, key, VOCAB, &found) && found);
    for (int i = 0; i < 20; i++) {
        const int which = (int)(any(9, (uint32_t)i) % EXAMPLES);
        int32_t ids[64];
        if (e.at[which].n == 0) continue;
        flip((long)e.at[which].begin + (long)(any(10, (uint32_t)i) % (uint32_t)(2 * e.at[which].n)));
        assert_false(lt_example_read(cx, &e, which, ids, NULL, NULL));
        assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
        assert_non_null(strstr(lt_ctx_error(cx), path));
        lt_ctx_clear(cx);
        write_examples(true); /* under a new inode: the open one stays damaged */
        lt_examples_free(&e);
        assert_true(lt_store_open(cx, &e, path, key, VOCAB, &found) && found);
    }
    lt_examples_free(&e);
    unlink(path);
}

static void full_disk(void **state)
{
    const struct rlimit small = {100000, RLIM_INFINITY};
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &small);
    lt_examples e = {.open = true};
    bool good = lt_store_begin(cx, &e, path, key, VOCAB, true);
    for (int i = 0; i < EXAMPLES && good; i++) {
        const wanted w = make(i);
        good = lt_examples_add(cx, &e, w.ids, w.types, w.labels, w.n, -1, 0);
    }
    good = good && lt_store_finish(cx, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(good);
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    assert_non_null(strstr(lt_ctx_error(cx), path));
    lt_ctx_clear(cx);
    lt_examples_free(&e);
    assert_int_equal(entries(), 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back), cmocka_unit_test(without_a_name), cmocka_unit_test(nothing_in_it), cmocka_unit_test(damage), cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
