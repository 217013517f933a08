/* Examples in a file: written once, then reached at random without being in memory. */
#ifndef LT_TRAIN_STORE_H
#define LT_TRAIN_STORE_H

#include "train/train.h"

typedef struct lt_store_key { /* what the examples were made of: content of files, tokenizer, options */
    uint64_t a, b;
} lt_store_key;

/* store_key.c */
bool lt_store_key_of(lt_ctx *cx, const lt_run *r, const lt_examples *e, const char *const *files, int n, lt_store_key *key);

/* From here on lt_examples_add writes to `path`, which appears when that is finished; `keep` false: it has no name from then on. */
bool lt_store_begin(lt_ctx *cx, lt_examples *e, const char *path, lt_store_key key, int32_t vocab, bool keep);
bool lt_store_add(lt_ctx *cx, lt_examples *e, lt_example x, const int32_t *ids, const int32_t *types, const int32_t *labels);
bool lt_store_finish(lt_ctx *cx, lt_examples *e);
/* Examples of a file that was finished. *found false without an error: there is none, or it is damaged, or was made of something else. */
bool lt_store_open(lt_ctx *cx, lt_examples *e, const char *path, lt_store_key key, int32_t vocab, bool *found);
bool lt_store_read(lt_ctx *cx, const lt_examples *e, int64_t i, int32_t *ids, int32_t *types, int32_t *labels);
bool lt_store_has_types(const lt_store *c);
bool lt_store_has_labels(const lt_store *c);
bool lt_store_relabel(lt_ctx *cx, lt_store *c, const int32_t *now, int n); /* labels of tokens as they are read from now on */
void lt_store_close(lt_store *c);

#endif
