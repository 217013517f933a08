/* Rows of the verb's files as a stream of inputs. lt_stream pulls them on a reading thread while results of earlier ones leave on
 * the main thread, so what both sides touch (how far reading has come, texts kept for the result) is atomic or locked. */
#include "cli/input.h"

#include <stdlib.h>
#include <string.h>

bool lt_feed_open(lt_feed *f, lt_cli *cli, const char *const *files, int n, lt_feed_mode mode)
{
    const lt_args *a = &cli->args;
    *f = (lt_feed){.cli = cli, .mode = mode, .ids = mode != LT_FEED_LINES && lt_arg_flag(a, "ids")};
    pthread_mutex_init(&f->lock, NULL);
    if (f->ids && mode != LT_FEED_TEXT) return lt_usage(cli, "--ids: pairs are of texts");
    lt_rows_options options = {.columns = lt_arg_text(a, "columns"), .ids = f->ids, .format = lt_rows_format_named(lt_arg_text(a, "format"))};
    if (mode == LT_FEED_LINES) options = (lt_rows_options){.format = LT_ROWS_LINES};
    f->keyboard = (n == 0 || (n == 1 && !strcmp(files[0], "-"))) && lt_term_is(0);
    if (f->keyboard) lt_remark(cli, "reading lines from the terminal; Ctrl-D ends them");
    f->rows = lt_rows_open(cli->cx, files, n, &options);
    return f->rows != NULL;
}

static bool take_ids(lt_feed *f, lt_ctx *cx, lt_input *in)
{
    int32_t n;
    lt_scope scope = lt_open(cx, NULL);
    const int32_t *ids = lt_row_ids(cx, &f->row, "ids", &n);
    if (!ids && lt_ok(cx)) lt_fail(cx, LT_ERR_INPUT, "%s line %lld: no ids", f->row.file, (long long)f->row.line);
    if (ids && n > f->id_room) {
        int32_t *more = lt_resize(cx, f->id, n, sizeof *more);
        if (more) {
            f->id = more;
            f->id_room = n;
        } else {
            ids = NULL;
        }
    }
    if (ids && n) memcpy(f->id, ids, (size_t)n * sizeof *ids);
    lt_end(cx, scope);
    static const int32_t none[1];
    *in = (lt_input){.ids = f->id ? f->id : none, .n_ids = n};
    return ids != NULL;
}

/* A plain line "text<TAB>text_pair" has no columns: it is split at the first tab. */
static bool take_texts(lt_feed *f, lt_ctx *cx, lt_input *in)
{
    *in = (lt_input){0};
    in->text = lt_row_want_text(cx, &f->row, "text", &in->size);
    if (!in->text || f->mode == LT_FEED_TEXT || f->mode == LT_FEED_LINES) return in->text != NULL;
    in->pair = lt_row_text(&f->row, "text_pair", &in->pair_size);
    if (in->pair) return true;
    const char *tab = memchr(in->text, '\t', in->size);
    if (!tab)
        return lt_fail_if(cx, true, LT_ERR_INPUT,
                          "%s line %lld: expected a pair: a text_pair column, or two texts with a tab between", f->row.file,
                          (long long)f->row.line);
    in->pair = tab + 1;
    in->pair_size = in->size - (size_t)(tab + 1 - in->text);
    in->size = (size_t)(tab - in->text);
    return true;
}

/* Puts a copy of the text (NULL for ids) at the end of those that wait. */
static bool keep(lt_feed *f, lt_ctx *cx, const char *text, size_t size)
{
    struct lt_kept *k = lt_new(cx, 1, sizeof *k);
    if (k && text && !(k->text = lt_new(cx, (int64_t)size + 1, 1))) {
        lt_free(k);
        return false;
    }
    if (!k) return false;
    if (text) memcpy(k->text, text, size);
    k->size = size;
    pthread_mutex_lock(&f->lock);
    if (f->last)
        f->last->next = k;
    else
        f->first = k;
    f->last = k;
    pthread_mutex_unlock(&f->lock);
    return true;
}

char *lt_feed_take(lt_feed *f, size_t *size)
{
    pthread_mutex_lock(&f->lock);
    struct lt_kept *k = f->first;
    if (k && !(f->first = k->next)) f->last = NULL;
    pthread_mutex_unlock(&f->lock);
    char *text = k ? k->text : NULL;
    *size = k ? k->size : 0;
    lt_free(k);
    return text;
}

bool lt_feed_next(void *feed, lt_ctx *cx, lt_input *in)
{
    lt_feed *f = feed;
    if (f->second) {
        *in = f->other;
        f->second = false;
        return true;
    }
    if (!lt_rows_next(cx, f->rows, &f->row)) return false;
    atomic_store_explicit(&f->bytes, lt_rows_bytes_done(f->rows), memory_order_relaxed);
    atomic_fetch_add_explicit(&f->inputs, f->mode == LT_FEED_BOTH ? 2 : 1, memory_order_relaxed);
    if (f->each && !f->each(f->arg, cx, &f->row)) return false;
    size_t size;
    bool ids = f->ids || (f->mode == LT_FEED_TEXT && !lt_row_text(&f->row, "text", &size) && lt_row_json(&f->row, "ids"));
    if (!(ids ? take_ids : take_texts)(f, cx, in)) return false;
    if (f->mode == LT_FEED_BOTH) {
        f->other = (lt_input){.text = in->pair, .size = in->pair_size};
        f->second = true;
        in->pair = NULL;
    }
    if (f->keep && !keep(f, cx, in->text, in->size)) return false;
    if (f->query) *in = (lt_input){f->query, strlen(f->query), in->text, in->size};
    return true;
}

const int32_t *lt_ids_of(lt_ctx *cx, const lt_json *list, const char *name, int32_t *n)
{
    int64_t size = lt_json_size(list);
    if (lt_json_is(list) != LT_JSON_ARRAY || size > INT32_MAX)
        return lt_fail(cx, LT_ERR_INPUT, "%s: expected an array of token ids", name);
    int32_t *ids = lt_alloc_array(cx, size + 1, sizeof *ids);
    for (int64_t i = 0; ids && i < size; i++) {
        int64_t id = lt_json_int(lt_json_at(list, i), -1);
        if (id < 0 || id > INT32_MAX) return lt_fail(cx, LT_ERR_INPUT, "%s: item %lld is not a token id", name, (long long)i);
        ids[i] = (int32_t)id;
    }
    *n = (int32_t)size;
    return ids;
}

void lt_feed_close(lt_feed *f)
{
    size_t size;
    while (f->first) lt_free(lt_feed_take(f, &size));
    if (f->rows) lt_rows_close(f->rows);
    lt_free(f->id);
    pthread_mutex_destroy(&f->lock);
}

/* ---- streams with progress ---- */

struct told { /* the verb's sink, with progress told after each result */
    lt_feed *feed;
    bool by_bytes;
    lt_sink_fn *sink;
    void *arg;
};

/* Reading is ahead of the results: of its bytes they have about the share that they have of its inputs. */
static int64_t bytes_behind(const lt_feed *f, int64_t results)
{
    int64_t bytes = atomic_load_explicit(&f->bytes, memory_order_relaxed),
            inputs = atomic_load_explicit(&f->inputs, memory_order_relaxed);
    return inputs > results ? (int64_t)((double)bytes * (double)results / (double)inputs) : bytes;
}

static bool tell(void *arg, lt_ctx *cx, const lt_result *r)
{
    struct told *t = arg;
    lt_progress_step(cx, t->by_bytes ? bytes_behind(t->feed, r->index + 1) : r->index + 1);
    return t->sink(t->arg, cx, r) && (!r->pause || lt_print_flush(&t->feed->cli->out));
}

bool lt_feed_stream(lt_feed *f, const char *what, const lt_model *m, lt_output output, const lt_run_options *run, lt_sink_fn *sink,
                    void *arg, lt_stream_stats *stats)
{
    int64_t total = lt_rows_bytes_total(f->rows);
    struct told t = {f, total > 0, sink, arg};
    lt_run_options options = *run;
    options.live = total == 0;
    if (f->keyboard) options.batch = 1;
    lt_progress_begin(f->cli->cx, what, total > 0 ? "bytes" : "lines", total);
    bool good = lt_stream(f->cli->cx, m, output, &options, lt_feed_next, f, tell, &t, stats);
    lt_progress_end(f->cli->cx);
    if (good && stats && stats->truncated)
        lt_remark(f->cli, "%lld of %lld inputs were longer than the model reads and were cut (see --max-tokens)",
                  (long long)stats->truncated, (long long)stats->inputs);
    return good;
}
