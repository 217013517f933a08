/* Rows of numbers on their way out: into a .npy file, or as one JSON object per input. */
#ifndef LT_CLI_ARRAY_H
#define LT_CLI_ARRAY_H

#include "cli/cli.h"
#include "lathe/format.h"

typedef struct lt_array {
    lt_cli *cli;
    const char *key;  /* of the JSON object: "embedding", "hidden", … */
    const char *path; /* of the .npy file; NULL: JSON */
    lt_npy *file;
    int64_t rows; /* written so far */
} lt_array;

/* Where to: -o FILE.npy, else JSON; on a terminal neither is meant, and that is a usage error which explains. */
bool lt_array_open(lt_array *a, lt_cli *cli, const char *key);
/* The rows of one input. `matrix`: in JSON a list of rows even if there is one only. */
bool lt_array_put(lt_array *a, lt_dtype dtype, int64_t rows, int64_t cols, bool matrix, const void *data);
/* What a file without rows is like: the model's answer to no inputs, [0, cols]; scoped. */
lt_tensor *lt_array_none(lt_cli *cli, const lt_model *m, lt_output what, const lt_run_options *run);
/* Puts the file in place if `whole`, else leaves nothing. dtype and cols are for a file without rows. */
bool lt_array_close(lt_array *a, bool whole, lt_dtype dtype, int64_t cols);

#endif
