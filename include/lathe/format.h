/* Files that hold tensors: safetensors (alone or in shards with an index) read and written, and NumPy's .npy written and read.
 * Everything read is untrusted: headers are checked against the file's size before anything is allocated. */
#ifndef LATHE_FORMAT_H
#define LATHE_FORMAT_H

#include "lathe/json.h"
#include "lathe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LT_STORED_RANK = 8 };
typedef struct lt_stored { /* a tensor inside a mapped file */
    const char *name;
    lt_dtype dtype;        /* LT_DTYPES: a type that this build cannot read, named by `type` */
    int rank;              /* 0: a single number */
    int64_t shape[LT_STORED_RANK];
    const void *data;      /* as the file has it: little-endian, perhaps not aligned */
    size_t bytes;
    const char *file;      /* for messages */
    const char *type;      /* the element type as the file names it; looked at where dtype is LT_DTYPES, else NULL is fine */
    bool mapped;           /* data lies in a mapped file: lt_stored_release may drop its pages */
} lt_stored;

/* A safetensors file, or a model directory with model.safetensors or model.safetensors.index.json. Unsupported element types
 * (F8_…) are errors only when such a tensor is asked for. */
typedef struct lt_weights lt_weights;
lt_weights *lt_weights_open(lt_ctx *cx, const char *path);
void lt_weights_close(lt_weights *w);
int lt_weights_count(const lt_weights *w);
const lt_stored *lt_weights_at(const lt_weights *w, int i);                 /* in name order */
const lt_stored *lt_weights_find(const lt_weights *w, const char *name);    /* NULL when absent */
const char *lt_weights_path(const lt_weights *w);
size_t lt_weights_bytes(const lt_weights *w);                               /* of all files */
/* Converts to f32 or f64, row-major, `dst` has room for the product of the shape. */
bool lt_stored_read(lt_ctx *cx, const lt_stored *s, lt_dtype dtype, void *dst);
void lt_stored_release(const lt_stored *s); /* gives its pages back to the system; they come back when read again */

bool lt_safetensors_write(lt_ctx *cx, const char *path, const lt_stored *tensors, int n, const char *const *metadata /* key, value, …, NULL; or NULL */);

/* Version 1.0 .npy, C order. Rows may be appended without knowing how many will come; commit patches the count. */
typedef struct lt_npy lt_npy;
lt_npy *lt_npy_create(lt_ctx *cx, const char *path, lt_dtype dtype, int64_t cols); /* [rows, cols]; cols 0: one dimension */
bool lt_npy_append(lt_npy *f, int64_t rows, const void *data);
bool lt_npy_commit(lt_npy *f);
void lt_npy_abort(lt_npy *f);
lt_tensor *lt_npy_load(lt_ctx *cx, const char *path); /* scoped copy; little-endian f4, f8, i4, i8, i1, u1, f2; rank up to 4 */

#ifdef __cplusplus
}
#endif
#endif
