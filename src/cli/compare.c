/* Two models side by side: cosines of their embeddings, accuracy where there are labels, bytes, and speed measured in turns, so that
 * whatever else the machine does falls on both. */
#include "cli/compare.h"
#include "cli/held.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 3 };

/* ---- labels ---- */

typedef struct labels { /* of the rows, as text */
    char **text;        /* owned, each */
    int64_t n, room;
    bool missing; /* a row had none, or was a pair */
} labels;

static char *label_of(lt_ctx *cx, const lt_row *row)
{
    size_t size;
    const char *text = lt_row_text(row, "label", &size);
    const lt_json *json = text ? NULL : lt_row_json(row, "label");
    char *copy = text ? lt_new(cx, (int64_t)size + 1, 1) : NULL;
    if (copy) memcpy(copy, text, size);
    if (lt_json_is(json) != LT_JSON_INT) return copy;
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)lt_json_int(json, 0));
    return lt_strdup(cx, number);
}

static bool take_label(void *arg, lt_ctx *cx, const lt_row *row)
{
    labels *l = arg;
    size_t size;
    char *text = l->missing || lt_row_text(row, "text_pair", &size) ? NULL : label_of(cx, row);
    l->missing |= !text;
    if (!text) return lt_ok(cx);
    if (l->n == l->room) {
        char **more = lt_resize(cx, l->text, 2 * l->room + 256, sizeof *more);
        if (!more) {
            lt_free(text);
            return false;
        }
        l->text = more;
        l->room = 2 * l->room + 256;
    }
    l->text[l->n++] = text;
    return true;
}

static void free_labels(labels *l)
{
    for (int64_t i = 0; i < l->n; i++) lt_free(l->text[i]);
    lt_free(l->text);
}

/* ---- results ---- */

typedef struct results { /* a sink's: rows are kept at first, then compared with */
    const lt_model *model;
    const labels *labels;
    float *rows; /* owned */
    int64_t cols, n;
    double min, sum;
    int64_t right;
} results;

static double cosine(const float *x, const float *y, int64_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < n; i++) {
        xy += (double)x[i] * y[i];
        xx += (double)x[i] * x[i];
        yy += (double)y[i] * y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : xx == yy;
}

static bool keep(void *arg, lt_ctx *cx, const lt_result *r)
{
    results *k = arg;
    if (!k->rows) {
        k->cols = r->cols;
        k->rows = lt_new(cx, k->n * r->cols, sizeof *k->rows);
    }
    if (k->rows) memcpy(k->rows + r->index * r->cols, r->data, (size_t)r->cols * sizeof *k->rows);
    return k->rows != NULL;
}

static bool compare(void *arg, lt_ctx *cx, const lt_result *r)
{
    results *k = arg;
    double c = cosine(k->rows + r->index * k->cols, r->data, r->cols);
    if (!(c >= k->min)) k->min = c;
    k->sum += c;
    return true;
}

static bool judge(void *arg, lt_ctx *cx, const lt_result *r)
{
    results *k = arg;
    const float *x = r->data;
    char number[32];
    int best = 0;
    for (int i = 1; i < r->cols; i++)
        if (x[i] > x[best]) best = i;
    const char *name = lt_model_label(k->model, best), *wanted = k->labels->text[r->index];
    snprintf(number, sizeof number, "%d", best);
    k->right += strcmp(wanted, number) == 0 || (name && strcmp(wanted, name) == 0);
    return true;
}

/* ---- passes ---- */

static bool pass(lt_cli *cli, const lt_model *m, const lt_held *in, lt_output what, lt_sink_fn *sink, void *arg, double *best)
{
    lt_run_options run = lt_cli_run_options(cli);
    lt_held_cursor c = {.held = in};
    double start = lt_now();
    if (!lt_stream(cli->cx, m, what, &run, lt_held_next, &c, sink, arg, NULL)) return false;
    double seconds = lt_now() - start;
    if (best && seconds < *best) *best = seconds;
    return true;
}

static bool drop(void *arg, lt_ctx *cx, const lt_result *r) { return true; }

static bool measure(lt_cli *cli, const lt_model *before, const lt_model *after, const lt_held *in, lt_comparison *c)
{
    results k = {.n = in->n, .min = INFINITY};
    double fastest[2] = {INFINITY, INFINITY};
    lt_progress_begin(cli->cx, "comparing", "passes", 2 * ROUNDS + 2);
    bool good = pass(cli, before, in, LT_OUT_EMBEDDING, keep, &k, NULL) && pass(cli, after, in, LT_OUT_EMBEDDING, compare, &k, NULL);
    for (int i = 0; good && i < 2 * ROUNDS; i++) {
        lt_progress_step(cli->cx, i + 2);
        good = pass(cli, i % 2 ? after : before, in, LT_OUT_EMBEDDING, drop, NULL, &fastest[i % 2]);
    }
    lt_progress_end(cli->cx);
    c->cosine_min = k.min;
    c->cosine_mean = k.sum / (double)in->n;
    c->per_s_before = (double)in->n_ids / fastest[0];
    c->per_s_after = (double)in->n_ids / fastest[1];
    lt_free(k.rows);
    return good;
}

static bool judge_one(lt_cli *cli, const lt_model *m, const lt_held *in, const labels *l, double *accuracy)
{
    results k = {.model = m, .labels = l};
    if (!pass(cli, m, in, LT_OUT_LOGITS, judge, &k, NULL)) return false;
    *accuracy = (double)k.right / (double)in->n;
    return true;
}

bool lt_compare(lt_cli *cli, const lt_model *before, const lt_model *after, const char *file, lt_comparison *c)
{
    lt_held in = {0};
    lt_feed f;
    labels l = {0};
    *c = (lt_comparison){.accuracy_before = NAN, .accuracy_after = NAN};
    c->bytes_before = lt_model_about(before)->bytes;
    c->bytes_after = lt_model_about(after)->bytes;
    bool good = lt_feed_open(&f, cli, &file, 1, LT_FEED_TEXT);
    f.each = take_label;
    f.arg = &l;
    good = good && lt_held_read(cli, before, &f, &in) && measure(cli, before, after, &in, c);
    if (good && !l.missing && !strcmp(lt_model_about(before)->head, "classify"))
        good = judge_one(cli, before, &in, &l, &c->accuracy_before) && judge_one(cli, after, &in, &l, &c->accuracy_after);
    lt_feed_close(&f);
    lt_held_free(&in);
    free_labels(&l);
    return good;
}

/* ---- printing ---- */

static void put_json(lt_str *s, const lt_comparison *c)
{
    lt_str_puts(s, "{");
    lt_json_member_num(s, "cosine_min", c->cosine_min);
    lt_json_member_num(s, "cosine_mean", c->cosine_mean);
    lt_json_member_int(s, "bytes_before", c->bytes_before);
    lt_json_member_int(s, "bytes_after", c->bytes_after);
    lt_json_member_num(s, "tokens_per_s_before", c->per_s_before);
    lt_json_member_num(s, "tokens_per_s_after", c->per_s_after);
    if (!isnan(c->accuracy_before)) {
        lt_json_member_num(s, "accuracy_before", c->accuracy_before);
        lt_json_member_num(s, "accuracy_after", c->accuracy_after);
    }
    lt_str_puts(s, "}\n");
}

static void row(lt_table *t, const char *what, const char *format, double before, double after)
{
    char text[3][32];
    snprintf(text[0], sizeof text[0], format, before);
    snprintf(text[1], sizeof text[1], format, after);
    snprintf(text[2], sizeof text[2], "%.2f", after / before);
    lt_table_cell(t, "%s", what);
    for (int i = 0; i < 3; i++) lt_table_cell(t, "%s", text[i]);
}

bool lt_comparison_print(lt_cli *cli, const lt_comparison *c)
{
    static const char *const heads[] = {"", ">before", ">after", ">ratio"};
    lt_table t;
    if (lt_print_wants_json(&cli->out)) {
        put_json(&cli->out.text, c);
        return lt_print_due(&cli->out);
    }
    lt_table_begin(&t, cli->cx, heads, 4);
    row(&t, "bytes", "%.0f", (double)c->bytes_before, (double)c->bytes_after);
    row(&t, "tokens/s", "%.0f", c->per_s_before, c->per_s_after);
    if (!isnan(c->accuracy_before)) row(&t, "accuracy", "%.4f", c->accuracy_before, c->accuracy_after);
    lt_str_printf(&cli->out.text, "cosine of the embeddings: %.5f at least, %.5f on average\n", c->cosine_min, c->cosine_mean);
    return lt_table_print(&t, &cli->out);
}
