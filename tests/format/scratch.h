/* What the tests of file formats share: one context, and a folder of their own that is empty again at the end. */
#ifndef TESTS_FORMAT_SCRATCH_H
#define TESTS_FORMAT_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lathe/format.h"

static lt_ctx *cx;
static char folder[] = "/tmp/lathe-format-XXXXXX";
static lt_scope scope;

static inline int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (cx) scope = lt_open(cx, NULL);
    return cx == NULL || !mkdtemp(folder);
}

static inline int clear(void **state)
{
    lt_ctx_clear(cx);
    return 0;
}

static inline int tear_down(void **state)
{
    lt_ctx_free(cx);
    return rmdir(folder);
}

static inline char *path_of(const char *name) { return lt_path_join(cx, folder, name); }

#endif
