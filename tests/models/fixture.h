/* What the tests of models share: walking the folders of tests/fixtures, reading what a fixture expects, comparing tensors, and
 * copying a fixture into a folder of one's own to damage it there. Fixtures are made by tests/oracle/model_fixtures.py;
 * $LATHE_FIXTURES names another place of them. Tests run from the root of the source tree. */
#ifndef TESTS_MODELS_FIXTURE_H
#define TESTS_MODELS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lathe/format.h"
#include "lathe/model.h"

enum { MAX_INPUTS = 16, MAX_TOKENS = 1024, MAX_FOLDERS = 128 };

static inline const char *fixtures(const char *part)
{
    static char path[2][512];
    static int turn;
    const char *root = getenv("LATHE_FIXTURES");
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root ? root : "tests/fixtures", part);
    return path[turn];
}

typedef struct folders {
    int n;
    char *name[MAX_FOLDERS];
} folders;

static inline int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static inline folders list_folders(const char *part)
{
    folders f = {0};
    DIR *d = opendir(fixtures(part));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            assert_true(f.n < MAX_FOLDERS);
            f.name[f.n++] = strdup(e->d_name);
        }
    closedir(d);
    assert_true(f.n > 0);
    qsort(f.name, (size_t)f.n, sizeof *f.name, by_name);
    return f;
}

static inline void free_folders(folders *f)
{
    for (int i = 0; i < f->n; i++) free(f->name[i]);
}

static inline lt_ctx *new_context(int threads)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
    assert_non_null(cx);
    return cx;
}

/* Fails the test with the context's message unless `ok`. */
#define assert_done(cx, ok)                                                                                                        \
    do {                                                                                                                           \
        if (!(ok) || lt_ctx_status(cx) != LT_OK) fail_msg("%s", lt_ctx_error(cx));                                                 \
    } while (0)

/* ---- what a fixture of a model expects ------------------------------------------------------------------------- */

typedef struct fixture {
    char path[600];
    lt_json *json;
    int n;                                         /* inputs */
    int32_t length[MAX_INPUTS], first[MAX_INPUTS]; /* tokens of an input, tokens before it */
    int32_t ids[MAX_TOKENS], types[MAX_TOKENS];
    bool has_types;
    int64_t tokens, row_step; /* of outputs with a row per token each row_step-th of an input is stored */
    lt_tensor *want[4];       /* by lt_output; NULL: not stored */
    bool absent[4];           /* asking for it must be an error */
    bool per_token[4];
} fixture;

static const char *const output_name[4] = {"embedding", "hidden", "pooled", "logits"};

static inline int64_t stored_rows(const fixture *f, int input) { return (f->length[input] + f->row_step - 1) / f->row_step; }

static inline const char *text_of(const lt_json *o, const char *key) { return lt_json_text(lt_json_get(o, key), NULL); }

/* Arrays are in cx's innermost scope. */
static inline void read_fixture(lt_ctx *cx, fixture *f, const char *name)
{
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s/%s", fixtures("models"), name);
    f->json = lt_json_load(cx, lt_path_join(cx, f->path, "expected.json"));
    assert_done(cx, f->json);
    const lt_json *inputs = lt_json_get(f->json, "inputs");
    f->n = (int)lt_json_size(inputs);
    assert_in_range(f->n, 1, MAX_INPUTS);
    f->row_step = lt_json_int(lt_json_get(f->json, "row_step"), 1);
    int64_t stored = 0;
    for (int i = 0; i < f->n; i++) {
        const lt_json *ids = lt_json_get(lt_json_at(inputs, i), "ids"), *types = lt_json_get(lt_json_at(inputs, i), "types");
        f->first[i] = (int32_t)f->tokens;
        f->length[i] = (int32_t)lt_json_size(ids);
        assert_true(f->tokens + f->length[i] <= MAX_TOKENS);
        f->has_types |= types != NULL;
        for (int32_t j = 0; j < f->length[i]; j++, f->tokens++) {
            f->ids[f->tokens] = (int32_t)lt_json_int(lt_json_at(ids, j), -1);
            f->types[f->tokens] = (int32_t)lt_json_int(lt_json_at(types, j), 0);
        }
        stored += stored_rows(f, i);
    }
    for (int what = 1; what < 4; what++) {
        const char *file = text_of(lt_json_get(f->json, "outputs"), output_name[what]);
        const lt_json *absent = lt_json_get(f->json, "absent");
        for (int64_t i = 0; i < lt_json_size(absent); i++)
            f->absent[what] |= !strcmp(lt_json_text(lt_json_at(absent, i), NULL), output_name[what]);
        if (!file) continue;
        f->want[what] = lt_npy_load(cx, lt_path_join(cx, f->path, file));
        assert_done(cx, f->want[what]);
        assert_int_equal(f->want[what]->dtype, LT_F64);
        f->per_token[what] = what == LT_OUT_HIDDEN || (what == LT_OUT_LOGITS && strcmp(text_of(f->json, "head"), "classify") &&
                                                       strcmp(text_of(f->json, "head"), "nsp"));
        assert_int_equal(f->want[what]->shape[0], f->per_token[what] ? stored : f->n);
    }
    assert_non_null(f->want[LT_OUT_HIDDEN]);
}

static inline void free_fixture(fixture *f) { lt_json_free(f->json); }

/* Inputs [begin, end) as one ragged batch. */
static inline lt_tensor *forward(lt_ctx *cx, const lt_model *m, const fixture *f, int begin, int end, lt_output what,
                                 const lt_run_options *o)
{
    lt_batch b = {.seqs = lt_seqs_new(cx, end - begin, f->length + begin),
                  .ids = f->ids + f->first[begin],
                  .types = f->has_types ? f->types + f->first[begin] : NULL};
    return b.seqs ? lt_forward(cx, m, &b, what, o) : NULL;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

static inline double element(const lt_tensor *x, int64_t row, int64_t col)
{
    int64_t at = row * x->stride[0] + col * x->stride[1];
    return x->dtype == LT_F64 ? ((const double *)x->data)[at] : (double)((const float *)x->data)[at];
}

/* The largest absolute difference of n rows; not-a-number counts as infinite. */
static inline double distance(const lt_tensor *x, int64_t x_row, int64_t x_step, const lt_tensor *y, int64_t y_row, int64_t n)
{
    double worst = 0;
    assert_int_equal(x->shape[1], y->shape[1]);
    assert_true(x_row + (n - 1) * x_step < x->shape[0] && y_row + n <= y->shape[0]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < x->shape[1]; j++) {
            double d = fabs(element(x, x_row + i * x_step, j) - element(y, y_row + i, j));
            if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
        }
    return worst;
}

static inline bool same_bits(const lt_tensor *x, int64_t x_row, const lt_tensor *y, int64_t y_row, int64_t n)
{
    size_t bytes = lt_dtype_size(x->dtype);
    if (x->dtype != y->dtype || x->shape[1] != y->shape[1] || x->stride[1] != 1 || y->stride[1] != 1) return false;
    for (int64_t i = 0; i < n; i++)
        if (memcmp((const char *)x->data + (size_t)((x_row + i) * x->stride[0]) * bytes,
                   (const char *)y->data + (size_t)((y_row + i) * y->stride[0]) * bytes, (size_t)x->shape[1] * bytes))
            return false;
    return true;
}

/* ---- folders to damage ----------------------------------------------------------------------------------------- */

static inline void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    char buffer[65536];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, in));) assert_int_equal(fwrite(buffer, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static inline void join(char out[1024], const char *folder, const char *name)
{
    int n = snprintf(out, 1024, "%s/%s", folder, name);
    assert_in_range(n, 1, 1023);
}

/* Copies a folder with its folders; links become files. */
static inline void copy_folder(const char *from, const char *to)
{
    mkdir(to, 0700);
    DIR *d = opendir(from);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char source[1024], target[1024];
        struct stat s;
        join(source, from, e->d_name);
        join(target, to, e->d_name);
        assert_int_equal(stat(source, &s), 0);
        if (S_ISDIR(s.st_mode))
            copy_folder(source, target);
        else
            copy_file(source, target);
    }
    closedir(d);
}

static inline void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char inside[1024];
        join(inside, path, e->d_name);
        if (unlink(inside) != 0) remove_folder(inside);
    }
    closedir(d);
    rmdir(path);
}

/* A new empty folder's path, in memory that the caller frees. */
static inline char *temporary_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = malloc(600);
    assert_non_null(path);
    snprintf(path, 600, "%s/lathe-models-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Owned by the caller; a NUL follows. */
static inline char *read_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    bytes[*n] = 0;
    fclose(f);
    return bytes;
}

#endif
