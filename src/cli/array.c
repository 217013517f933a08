/* Rows of numbers on their way out: appended to a .npy file that appears when whole, or one JSON object per input. */
#include "cli/array.h"

bool lt_array_open(lt_array *a, lt_cli *cli, const char *key)
{
    *a = (lt_array){.cli = cli, .key = key, .path = lt_cli_array(cli)};
    if (a->path || lt_print_wants_json(&cli->out)) return true;
    return lt_usage(cli, "arrays are not for the screen: -o FILE.npy writes one, --json prints them all the same");
}

static void put_json(lt_array *a, lt_dtype dtype, int64_t rows, int64_t cols, bool matrix, const uint8_t *data)
{
    lt_str *s = &a->cli->out.text;
    size_t size = (size_t)cols * lt_dtype_size(dtype);
    lt_str_puts(s, "{");
    lt_json_key(s, a->key);
    if (matrix) lt_str_puts(s, "[");
    for (int64_t r = 0; r < rows; r++, data += size) {
        if (r) lt_str_puts(s, ",");
        lt_json_row(s, dtype, data, cols);
    }
    lt_str_puts(s, matrix ? "]}\n" : "}\n");
}

bool lt_array_put(lt_array *a, lt_dtype dtype, int64_t rows, int64_t cols, bool matrix, const void *data)
{
    a->rows += rows;
    if (!a->path) {
        put_json(a, dtype, rows, cols, matrix, data);
        return lt_print_due(&a->cli->out);
    }
    if (!a->file && !(a->file = lt_npy_create(a->cli->cx, a->path, dtype, cols))) return false;
    return lt_npy_append(a->file, rows, data);
}

lt_tensor *lt_array_none(lt_cli *cli, const lt_model *m, lt_output what, const lt_run_options *run)
{
    static const int32_t none[1];
    lt_seqs *seqs = lt_seqs_new(cli->cx, 0, none);
    lt_batch batch = {.seqs = seqs, .ids = none};
    return seqs ? lt_forward(cli->cx, m, &batch, what, run) : NULL;
}

bool lt_array_close(lt_array *a, bool whole, lt_dtype dtype, int64_t cols)
{
    if (!a->path) return whole;
    if (whole && !a->file) a->file = lt_npy_create(a->cli->cx, a->path, dtype, cols);
    if (whole && a->file) return lt_npy_commit(a->file);
    if (a->file) lt_npy_abort(a->file);
    return false;
}
