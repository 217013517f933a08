/* What the tests of this room share: a folder of their own, files in it, and documents made by hand. */
#ifndef LT_TESTS_RETRIEVE_SCRATCH_H
#define LT_TESTS_RETRIEVE_SCRATCH_H

#include "check.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retrieve/index.h"

static char scratch[200];

static inline int scratch_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/lathe-retrieve-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    return system(command);
}

/* A path in the folder; one of four, turn by turn. */
static inline char *scratch_path(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch, name);
    return path[turn];
}

static inline char *scratch_file(const char *name, const char *bytes, size_t size)
{
    char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline int scratch_count(void) /* of files in the folder */
{
    int n = 0;
    DIR *d = opendir(scratch);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return n;
}

static inline lt_ctx *make_ctx(int threads)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
    assert_non_null(cx);
    return cx;
}

#define assert_good(cx, what)                                                                                                      \
    do {                                                                                                                           \
        if (!(what)) fail_msg("%s: %s", #what, lt_ctx_error(cx));                                                                  \
    } while (0)

/* The call failed with this status, and its message holds this; then the error is forgotten. */
static inline void assert_refused(lt_ctx *cx, lt_status status, const char *words)
{
    if (lt_ctx_status(cx) != status || !strstr(lt_ctx_error(cx), words))
        fail_msg("status %d, '%s'; expected %d, '%s'", lt_ctx_status(cx), lt_ctx_error(cx), status, words);
    lt_ctx_clear(cx);
}

/* Adds documents (id, title, text), with vectors [n, dim] or without. */
static inline bool put(lt_ctx *cx, lt_index *x, int n, const char *const doc[][3], const float *vectors, int dim)
{
    lt_pending p = {0};
    int64_t added = 0, replaced = 0;
    bool good = !vectors || lt_index_set_dim(cx, x, dim, false);
    for (int i = 0; i < n && good; i++) {
        lt_document d = {.id = doc[i][0],
                         .title = doc[i][1],
                         .text = doc[i][2],
                         .title_size = strlen(doc[i][1]),
                         .text_size = strlen(doc[i][2])};
        good = lt_pending_add(cx, &p, &d) && (!vectors || lt_pending_vector(cx, &p, i, vectors + (int64_t)i * dim, dim, true));
    }
    good = good && lt_index_write(cx, x, &p, &added, &replaced);
    lt_pending_free(&p);
    return good;
}

static inline lt_index *reopen(lt_ctx *cx, const char *path, lt_index_mode mode)
{
    lt_index *x = lt_index_open(cx, path, mode, NULL);
    assert_good(cx, x);
    return x;
}

#endif
