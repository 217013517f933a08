/* What the tests of tokenizers share: cmocka with its includes, opening small tokenizers, and a folder of one's own. */
#ifndef LT_TESTS_TOKENIZERS_H
#define LT_TESTS_TOKENIZERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/tokenizer.h"

/* A tokenizer from JSON in which ' stands for ". NULL: refused. */
static inline lt_tokenizer *open_quoted(lt_ctx *cx, const char *json)
{
    char *copy = strdup(json);
    assert_non_null(copy);
    for (char *s = copy; *s; s++)
        if (*s == '\'') *s = '"';
    lt_tokenizer *t = lt_tokenizer_parse(cx, copy, strlen(copy), "t.json");
    free(copy);
    return t;
}

static inline lt_encoding *encode_plainly(lt_ctx *cx, const lt_tokenizer *t, const char *text)
{
    return lt_encode(cx, t, text, strlen(text), NULL, 0, NULL);
}

#endif
