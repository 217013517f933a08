/* Inside the format room: .npy out of memory, for tests and fuzzing. */
#ifndef LT_FORMAT_NPY_H
#define LT_FORMAT_NPY_H

#include "lathe/format.h"

lt_tensor *lt_npy_parse(lt_ctx *cx, const void *bytes, size_t size, const char *name); /* as lt_npy_load */

#endif
