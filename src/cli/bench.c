/* `lathe bench`: how fast a model runs here, on the user's own texts: their lengths decide what padding costs. Texts are tokenised
 * first, so the figures are the network's; runs are repeated and the median is told. */
#include "cli/held.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which a fraction of them lies; sorts x. */
static double quantile(double *x, int n, double fraction)
{
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    int i = (int)ceil(fraction * n) - 1;
    return x[i < 0 ? 0 : i];
}

enum { MOST_REPEATS = 1000, MOST_SINGLES = 1000 };

/* ---- batches as they are asked for: --prefill ---- */

typedef struct batches {
    const char *how; /* "padded", "sorted", "ragged", "padded-attention" */
    lt_slicing slices;
    const lt_model *model;
    const lt_held *in;
    int64_t *order; /* scoped */
    int batch;
    int64_t rows, computed;
} batches;

static int longest_first(const void *a, const void *b, void *arg)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int32_t x = lt_held_length(arg, i), y = lt_held_length(arg, j);
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

/* Inputs order[at] … order[at+n-1] in one pass; n is kept below `batch`. */
static bool pass(lt_ctx *cx, batches *b, int64_t at, int n)
{
    int32_t *lengths = lt_alloc_array(cx, n, sizeof *lengths);
    int64_t tokens = 0, longest = 0;
    for (int i = 0; lengths && i < n; i++) {
        lengths[i] = lt_held_length(b->in, b->order[at + i]);
        tokens += lengths[i];
        if (lengths[i] > longest) longest = lengths[i];
    }
    int32_t *ids = lengths ? lt_alloc_array(cx, tokens + 1, sizeof *ids) : NULL;
    if (!ids) return false;
    for (int64_t i = 0, to = 0; i < n; to += lengths[i++])
        memcpy(ids + to, b->in->ids + b->in->begin[b->order[at + i]], (size_t)lengths[i] * sizeof *ids);
    const bool ragged = strcmp(b->how, "ragged") == 0, attention = strcmp(b->how, "padded-attention") == 0, pad = !ragged && !attention;
    lt_seqs *seqs = lt_seqs_new(cx, n, lengths);
    lt_batch batch = {.seqs = seqs, .ids = ids};
    lt_run_options run = {.pad = pad ? LT_PAD_ALL : attention ? LT_PAD_ATTENTION : LT_PAD_NONE, .slices = b->slices};
    b->rows += n;
    b->computed += pad ? n * longest : tokens;
    return seqs && lt_forward(cx, b->model, &batch, LT_OUT_EMBEDDING, &run);
}

static bool all_passes(lt_ctx *cx, batches *b)
{
    b->rows = b->computed = 0;
    for (int64_t at = 0; at < b->in->n; at += b->batch) {
        int n = (int)(b->in->n - at < b->batch ? b->in->n - at : b->batch);
        lt_scope scope = lt_open(cx, NULL);
        bool good = lt_ok(cx) && pass(cx, b, at, n);
        lt_end(cx, scope);
        if (!good) return false;
    }
    return true;
}

static lt_slicing slicing_of(const char *name)
{
    return strcmp(name, "file") == 0 ? LT_SLICES_FILE : strcmp(name, "equal") == 0 ? LT_SLICES_EQUAL : LT_SLICES_COSTLIEST;
}

static bool bench_prefill(lt_cli *cli, const lt_model *m, const lt_held *in)
{
    lt_ctx *cx = cli->cx;
    int repeats = (int)lt_arg_int(&cli->args, "repeat");
    batches b = {.how = lt_arg_text(&cli->args, "prefill"), .model = m, .in = in, .batch = (int)lt_arg_int(&cli->args, "batch")};
    double seconds[MOST_REPEATS];
    b.order = lt_alloc_array(cx, in->n, sizeof *b.order);
    if (!b.order) return false;
    if (!b.batch) b.batch = 32;
    b.slices = slicing_of(lt_arg_text(&cli->args, "slices"));
    for (int64_t i = 0; i < in->n; i++) b.order[i] = i;
    if (!strcmp(b.how, "sorted")) qsort_r(b.order, (size_t)in->n, sizeof *b.order, longest_first, (void *)in);
    for (int r = -1; r < repeats; r++) { /* the first one warms up */
        double start = lt_now();
        if (!all_passes(cx, &b)) return false;
        if (r >= 0) seconds[r] = lt_now() - start;
    }
    lt_str *s = &cli->out.text;
    double median = quantile(seconds, repeats, 0.5);
    if (!lt_print_wants_json(&cli->out)) {
        lt_str_printf(s, "%s, batches of %d: %lld rows, %lld tokens, %lld computed, %.3f s, %.0f tokens/s\n", b.how, b.batch,
                      (long long)b.rows, (long long)in->n_ids, (long long)b.computed, median, (double)in->n_ids / median);
        return lt_print_due(&cli->out);
    }
    lt_str_puts(s, "{");
    lt_json_member(s, "prefill", b.how);
    lt_json_member_int(s, "rows", b.rows);
    lt_json_member_int(s, "tokens", in->n_ids);
    lt_json_member_int(s, "computed_tokens", b.computed);
    lt_json_member_num(s, "seconds", median);
    lt_str_puts(s, "}\n");
    return lt_print_due(&cli->out);
}

/* ---- the stream, as embed runs it, and single inputs ---- */

static bool drop(void *arg, lt_ctx *cx, const lt_result *r) { return true; }

typedef struct speed {
    double seconds, p50, p99; /* of a run over all inputs; of single inputs */
    double load;
    int64_t peak;
} speed;

static bool time_stream(lt_cli *cli, const lt_model *m, const lt_held *in, speed *v)
{
    int repeats = (int)lt_arg_int(&cli->args, "repeat");
    double seconds[MOST_REPEATS];
    lt_run_options run = lt_cli_run_options(cli);
    run.batch = (int)lt_arg_int(&cli->args, "batch");
    lt_progress_begin(cli->cx, "timing", "runs", repeats + 1);
    for (int r = -1; r < repeats; r++) {
        lt_held_cursor c = {.held = in};
        double start = lt_now();
        if (!lt_stream(cli->cx, m, LT_OUT_EMBEDDING, &run, lt_held_next, &c, drop, NULL, NULL)) return false;
        if (r >= 0) seconds[r] = lt_now() - start;
        lt_progress_step(cli->cx, r + 2);
    }
    lt_progress_end(cli->cx);
    v->seconds = quantile(seconds, repeats, 0.5);
    return true;
}

/* Inputs one at a time, spread over the whole file. */
static bool time_singles(lt_cli *cli, const lt_model *m, const lt_held *in, speed *v)
{
    int n = (int)(in->n < MOST_SINGLES ? in->n : MOST_SINGLES);
    double seconds[MOST_SINGLES];
    int64_t order[MOST_SINGLES];
    batches b = {.how = "ragged", .model = m, .in = in, .order = order, .batch = 1};
    for (int i = 0; i < n; i++) order[i] = in->n * i / n;
    for (int i = -1; i < n; i++) {
        lt_scope scope = lt_open(cli->cx, NULL);
        double start = lt_now();
        bool good = lt_ok(cli->cx) && pass(cli->cx, &b, i < 0 ? 0 : i, 1);
        if (i >= 0) seconds[i] = lt_now() - start;
        lt_end(cli->cx, scope);
        if (!good) return false;
    }
    v->p50 = quantile(seconds, n, 0.5);
    v->p99 = quantile(seconds, n, 0.99);
    return true;
}

static bool print_speed(lt_cli *cli, const lt_model *m, const lt_held *in, const speed *v)
{
    const char *isa = lt_kernels_f32(lt_ctx_isa(cli->cx))->isa;
    const int sparse = lt_model_about(m)->sparse;
    lt_str *s = &cli->out.text;
    double per_s = (double)in->n_ids / v->seconds, to_ids = in->seconds > 0 ? (double)in->n_ids / in->seconds : NAN;
    if (!lt_print_wants_json(&cli->out)) {
        lt_str_printf(s, "%lld inputs, %lld tokens: %.0f tokens/s, %.1f inputs/s (%d threads, %s)\n", (long long)in->n,
                      (long long)in->n_ids, per_s, (double)in->n / v->seconds, lt_threads(cli->cx), isa);
        lt_str_printf(s, "one input at a time: %.2f ms in the middle, %.2f ms at 99 %%\n", 1e3 * v->p50, 1e3 * v->p99);
        lt_str_printf(s, "loading %.2f s, peak memory %.0f MB, tokenizing %.0f tokens/s on one thread\n", v->load,
                      1e-6 * (double)v->peak, to_ids);
        if (sparse) lt_str_printf(s, "%d linear layers have block-sparse weights and run by the kernels for those\n", sparse);
        return lt_print_due(&cli->out);
    }
    lt_str_puts(s, "{");
    lt_json_member_int(s, "inputs", in->n);
    lt_json_member_int(s, "tokens", in->n_ids);
    lt_json_member_num(s, "seconds", v->seconds);
    lt_json_member_num(s, "tokens_per_s", per_s);
    lt_json_member_num(s, "inputs_per_s", (double)in->n / v->seconds);
    lt_json_member_num(s, "latency_p50_ms", 1e3 * v->p50);
    lt_json_member_num(s, "latency_p99_ms", 1e3 * v->p99);
    lt_json_member_int(s, "peak_memory_bytes", v->peak);
    lt_json_member_num(s, "load_seconds", v->load);
    lt_json_member_num(s, "tokenize_tokens_per_s", to_ids);
    lt_json_member_int(s, "threads", lt_threads(cli->cx));
    lt_json_member(s, "isa", isa);
    lt_json_member_int(s, "sparse_linears", sparse);
    lt_str_puts(s, "}\n");
    return lt_print_due(&cli->out);
}

static bool bench_speed(lt_cli *cli, const lt_model *m, const lt_held *in, double load)
{
    speed v = {.load = load};
    struct rusage usage;
    if (!time_stream(cli, m, in, &v) || !time_singles(cli, m, in, &v)) return false;
    if (getrusage(RUSAGE_SELF, &usage) == 0) v.peak = (int64_t)usage.ru_maxrss * 1024;
    return print_speed(cli, m, in, &v);
}

/* ---- the verb ---- */

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *prefill = lt_arg_text(a, "prefill");
    lt_held in = {0};
    lt_feed f;
    if (prefill && !strcmp(prefill, "packed"))
        return lt_usage(cli, "--prefill packed: an encoder has no packed rows to compare with; padded, sorted, padded-attention and ragged it has");
    double start = lt_now();
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    double load = lt_now() - start;
    if (!m) return false;
    bool good = lt_feed_open(&f, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT);
    good = good && lt_held_read(cli, m, &f, &in);
    if (good) good = prefill ? bench_prefill(cli, m, &in) : bench_speed(cli, m, &in, load);
    lt_feed_close(&f);
    lt_model_close(m);
    lt_held_free(&in);
    return good;
}

static const lt_opt options[] = {
    {"prefill", 0, LT_OPT_CHOICE, NULL,
     "time batches of --batch inputs, each padded to its longest, the same longest first, padded in attention alone, or not at all", NULL,
     "padded|sorted|packed|padded-attention|ragged"},
    {"batch", 0, LT_OPT_INT, "B", "inputs in one pass; 0: 32 with --prefill, else what --batch-tokens allows", "0", NULL, 0,
     1 << 20},
    {"slices", 0, LT_OPT_CHOICE, NULL, "with --prefill: threads take slices of a batch costliest first, in order, or in order and of equally many inputs",
     "costliest", "costliest|file|equal", .hidden = true},
    {"repeat", 0, LT_OPT_INT, "N", "timed runs, after one that warms up; the median counts", "3", NULL, 1, MOST_REPEATS},
    {0},
};

const lt_verb lt_verb_bench = {
    .name = "bench",
    .summary = "how fast a model runs here, on your texts",
    .operands = "MODEL [FILE…]",
    .about = "All inputs are read and tokenised first. Then all of them are embedded as lathe embed does it, and up to 1000 of "
             "them one at a time. In a pipe or with --json: {\"inputs\", \"tokens\", \"seconds\", \"tokens_per_s\", "
             "\"inputs_per_s\", \"latency_p50_ms\", \"latency_p99_ms\", \"peak_memory_bytes\", \"load_seconds\", "
             "\"tokenize_tokens_per_s\", \"threads\", \"isa\", \"sparse_linears\"}; tokens are the texts' own.\n"
             "--prefill times batches of B inputs in file order (sorted: longest first; padded-attention: linear layers see no pads, "
             "attention does) instead: {\"prefill\", \"rows\", "
             "\"tokens\", \"computed_tokens\", \"seconds\"}; rows and computed_tokens are what passed through the layers, "
             "padding included, over all batches. packed is refused for encoders.",
    .examples = "lathe bench all-MiniLM-L6-v2 sentences.txt\n"
                "lathe bench all-MiniLM-L6-v2 sentences.txt --threads 1 --json\n"
                "for how in padded sorted ragged; do lathe bench all-MiniLM-L6-v2 sentences.txt --prefill $how --batch 32; done",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
