/* `lathe embed`: one vector per input, as sentence-transformers computes it, in f32 or quantised as its quantize_embeddings does:
 * "ubinary" keeps the sign bits, packed as numpy.packbits packs them; "int8" spreads each dimension's range over 256 steps,
 * which needs a whole pass before the first byte: the rows wait in an unlinked temporary file. */
#include "cli/array.h"
#include "cli/input.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { AS_IS, INT8, UBINARY } quantizer;

typedef struct job {
    lt_array array;
    quantizer how;
    int64_t cols;
    uint8_t *row;            /* owned: a quantised row */
    float *min, *max, *wide; /* owned: ranges of the dimensions, and a row read back */
    FILE *spool;             /* rows in f32 */
    int64_t spooled;
} job;

/* ---- a row at a time ---- */

static void to_float(const lt_result *r, float *out)
{
    for (int64_t i = 0; i < r->cols; i++)
        out[i] = r->dtype == LT_F64 ? (float)((const double *)r->data)[i] : ((const float *)r->data)[i];
}

static void pack_signs(const float *x, int64_t n, uint8_t *out)
{
    memset(out, 0, (size_t)(n + 7) / 8);
    for (int64_t i = 0; i < n; i++)
        if (x[i] > 0) out[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

/* The reference's arithmetic, in floats: (x - min) / step - 128, rounded toward zero; a dimension that never varies gives 0. */
static void to_int8(const job *j, const float *x, int8_t *out)
{
    for (int64_t i = 0; i < j->cols; i++) {
        float step = (j->max[i] - j->min[i]) / 255, q = (x[i] - j->min[i]) / step - 128;
        out[i] = isfinite(q) ? (int8_t)fminf(fmaxf(q, -128), 127) : 0;
    }
}

static bool prepare(job *j, lt_ctx *cx, int64_t cols)
{
    j->cols = cols;
    j->row = lt_new(cx, cols, 1);
    j->wide = lt_new(cx, cols, sizeof *j->wide);
    j->min = lt_new(cx, cols, sizeof *j->min);
    j->max = lt_new(cx, cols, sizeof *j->max);
    if (!j->row || !j->wide || !j->min || !j->max) return false;
    for (int64_t i = 0; i < cols; i++) {
        j->min[i] = INFINITY;
        j->max[i] = -INFINITY;
    }
    return true;
}

static bool spool_failed(job *j, lt_ctx *cx)
{
    return lt_fail_if(cx, true, LT_ERR_IO, "temporary file for --output-dtype int8%s%s: %s", j->array.path ? ", beside " : "",
                      j->array.path ? j->array.path : "", strerror(errno));
}

static bool spool_row(job *j, lt_ctx *cx)
{
    for (int64_t i = 0; i < j->cols; i++) {
        j->min[i] = fminf(j->min[i], j->wide[i]);
        j->max[i] = fmaxf(j->max[i], j->wide[i]);
    }
    j->spooled++;
    return fwrite(j->wide, sizeof(float), (size_t)j->cols, j->spool) == (size_t)j->cols || spool_failed(j, cx);
}

static bool sink(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    if (j->how == AS_IS) return lt_array_put(&j->array, r->dtype, 1, r->cols, false, r->data);
    if (!j->row && !prepare(j, cx, r->cols)) return false;
    to_float(r, j->wide);
    if (j->how == INT8) return spool_row(j, cx);
    pack_signs(j->wide, j->cols, j->row);
    return lt_array_put(&j->array, LT_U8, 1, (j->cols + 7) / 8, false, j->row);
}

/* ---- the second pass of int8 ---- */

/* A file without a name, beside the output (or in TMPDIR), so that it is on a disk with room for such things. */
static bool open_spool(job *j, lt_cli *cli)
{
    const char *path = j->array.path, *slash = path ? strrchr(path, '/') : NULL, *tmp = getenv("TMPDIR");
    int folder = slash ? (int)(slash - path) + 1 : 0;
    char *name = path ? lt_sprintf(cli->cx, "%.*s.lathe-XXXXXX", folder, path)
                      : lt_sprintf(cli->cx, "%s/lathe-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int fd = name ? mkstemp(name) : -1;
    if (fd >= 0) unlink(name);
    j->spool = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    return j->spool || (name && spool_failed(j, cli->cx));
}

static bool quantize_spool(job *j, lt_ctx *cx)
{
    if (fflush(j->spool) != 0 || fseeko(j->spool, 0, SEEK_SET) != 0) return spool_failed(j, cx);
    for (int64_t r = 0; r < j->spooled; r++) {
        if (!lt_ok(cx)) return false;
        if (fread(j->wide, sizeof(float), (size_t)j->cols, j->spool) != (size_t)j->cols) return spool_failed(j, cx);
        to_int8(j, j->wide, (int8_t *)j->row);
        if (!lt_array_put(&j->array, LT_I8, 1, j->cols, false, j->row)) return false;
    }
    return true;
}

/* ---- the verb ---- */

static void remark_on_spread(lt_cli *cli, const job *j)
{
    if (j->how == INT8 && j->spooled < 100)
        lt_remark(cli, "int8: the ranges come from %lld inputs only; the codes of a hundred and more are better",
                  (long long)j->spooled);
}

/* With -o X.npy and --json: what was done, for scripts. */
static bool put_summary(lt_cli *cli, const job *j, const lt_stream_stats *stats)
{
    lt_str *s = &cli->out.text;
    if (!j->array.path || !cli->out.json) return true;
    lt_str_puts(s, "{");
    lt_json_member_int(s, "rows", j->array.rows);
    lt_json_member_int(s, "tokens", stats->tokens);
    lt_json_member_int(s, "truncated", stats->truncated);
    lt_json_member_num(s, "seconds", stats->seconds);
    lt_str_puts(s, "}\n");
    return lt_print_due(&cli->out);
}

static bool embed(lt_cli *cli, const lt_model *m, lt_feed *f, job *j)
{
    const lt_args *a = &cli->args;
    const char *normalize = lt_arg_text(a, "normalize");
    lt_stream_stats stats = {0};
    lt_run_options run = lt_cli_run_options(cli);
    run.pooling = lt_arg_text(a, "pooling");
    run.normalize = !normalize ? 0 : strcmp(normalize, "yes") ? -1 : 1;
    run.truncate_dim = (int)lt_arg_int(a, "truncate-dim");
    run.prompt = lt_cli_prompt(cli, m, "prompt");
    bool good = lt_feed_stream(f, "embedding", m, LT_OUT_EMBEDDING, &run, sink, j, &stats);
    if (good && j->spool) good = quantize_spool(j, cli->cx);
    lt_dtype dtype = LT_F32;
    int64_t cols = 0;
    if (good && j->array.path && !j->array.rows) {
        const lt_tensor *none = lt_array_none(cli, m, LT_OUT_EMBEDDING, &run);
        good = none != NULL;
        if (none) cols = j->how == UBINARY ? (none->shape[1] + 7) / 8 : none->shape[1];
        dtype = j->how == UBINARY ? LT_U8 : j->how == INT8 ? LT_I8 : none ? none->dtype : LT_F32;
    }
    if (good) remark_on_spread(cli, j);
    return lt_array_close(&j->array, good, dtype, cols) && put_summary(cli, j, &stats);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *dtype = lt_arg_text(a, "output-dtype");
    job j = {.how = !strcmp(dtype, "int8") ? INT8 : !strcmp(dtype, "ubinary") ? UBINARY : AS_IS};
    lt_feed f;
    if (!lt_array_open(&j.array, cli, "embedding")) return false;
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    bool good = lt_feed_open(&f, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT) && (j.how != INT8 || open_spool(&j, cli)) &&
                embed(cli, m, &f, &j);
    lt_feed_close(&f);
    lt_model_close(m);
    if (j.spool) fclose(j.spool);
    lt_free(j.row);
    lt_free(j.wide);
    lt_free(j.min);
    lt_free(j.max);
    return good;
}

static const lt_opt options[] = {
    {"pooling", 0, LT_OPT_TEXT, "HOW",
     "cls, mean, max, mean_sqrt, weightedmean, last, or several joined by +; default: as the model says"},
    {"normalize", 0, LT_OPT_CHOICE, NULL, "vectors of length 1; default: as the model says", NULL, "yes|no"},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "put a prompt of the model, or else this text, in front of each input"},
    {"truncate-dim", 0, LT_OPT_INT, "N", "keep the first N dimensions; 0: all", "0", NULL, 0, 1 << 24},
    {"output-dtype", 0, LT_OPT_CHOICE, NULL, "element type of the vectors", "f32", "f32|int8|ubinary"},
    {0},
};

const lt_verb lt_verb_embed = {
    .name = "embed",
    .summary = "one vector per text",
    .operands = "MODEL [FILE…]",
    .about = "Pooling, further layers and normalisation are those of the model's sentence-transformers files, unless options "
             "say otherwise.\n"
             "-o X.npy writes an array, one row per input (then --json prints {\"rows\", \"tokens\", \"truncated\", "
             "\"seconds\"}). Otherwise, in a pipe or with --json: {\"embedding\":[…]} for each input. Any number of inputs "
             "streams through bounded memory; where a pipe pauses, what came so far is answered.\n"
             "--output-dtype int8 maps the range that each dimension takes over all inputs to -128 … 127, so nothing is "
             "written before the last input is read; ubinary packs the sign bits, eight dimensions a byte, the first in the "
             "highest bit.",
    .examples = "lathe embed all-MiniLM-L6-v2 lines.txt -o lines.npy\n"
                "echo 'a text' | lathe embed all-MiniLM-L6-v2 --json\n"
                "lathe embed all-MiniLM-L6-v2 news.jsonl.gz --columns text=body --truncate-dim 128 --normalize yes -o news.npy\n"
                "lathe embed all-MiniLM-L6-v2 lines.txt --output-dtype ubinary -o bits.npy",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS | LT_VERB_ARRAYS,
    .options = options,
    .run = run,
};
