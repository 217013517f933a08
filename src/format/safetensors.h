/* Inside the format room: one safetensors file in memory, and the element types that such files name. */
#ifndef LT_FORMAT_SAFETENSORS_H
#define LT_FORMAT_SAFETENSORS_H

#include "lathe/format.h"

typedef struct lt_element_type { /* in the order in which files hold them: smaller ones later */
    const char *name;            /* "F32" */
    int bits;
    lt_dtype dtype; /* LT_DTYPES: known, but not to this library */
} lt_element_type;
const lt_element_type *lt_element_type_named(const char *name); /* NULL: no such type */
const lt_element_type *lt_element_type_of(const lt_stored *s); /* by its dtype, or its `type` where that is LT_DTYPES; NULL: none */

/* Elements of a shape: false where the product, times `bits`, is more than fits. */
bool lt_shape_bits(int rank, const int64_t *shape, int bits, uint64_t *product);

/* "\"NAME\"" for messages, of bounded length, with control characters escaped. */
enum { LT_QUOTED = 160 };
const char *lt_quoted(const char *name, char out[LT_QUOTED]);

typedef struct lt_shard { /* one file's tensors, in name order */
    lt_map map;           /* {0} when the bytes are the caller's */
    char *file;           /* for messages; owned, and what the tensors' `file` points at */
    lt_stored *tensor;
    int count;
    char *text; /* names and types of all tensors */
} lt_shard;
/* Checks the header of `size` bytes against them; the tensors point into `bytes`. */
bool lt_shard_parse(lt_ctx *cx, lt_shard *shard, const uint8_t *bytes, size_t size, const char *file);
bool lt_shard_open(lt_ctx *cx, lt_shard *shard, const char *path);
void lt_shard_close(lt_shard *shard); /* {0} is fine */

/* As lt_weights_open for one file whose bytes are in memory and stay the caller's. */
lt_weights *lt_weights_parse(lt_ctx *cx, const void *bytes, size_t size, const char *name);

#endif
