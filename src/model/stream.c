/* A stream of inputs in bounded memory. A reading thread fetches and tokenises the inputs of the next pass while the pool computes
 * this one; a pass holds as many inputs as the token budget allows, and results come out in input order. */
#include "base/ctx.h"
#include "model/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

typedef struct tokens { /* of the inputs of one pass, one after another */
    int32_t *ids, *types, *len, *left_out;
    int64_t n, n_room, count, room;
    bool last;          /* no more will come */
} tokens;

typedef struct stream {
    const lt_model *m;
    lt_output what;
    const lt_run_options *o;
    lt_next_fn *next;
    void *next_arg;
    lt_sink_fn *sink;
    void *sink_arg;
    lt_stream_stats stats;
    int64_t budget, index;
    int32_t limit;      /* texts are cut to this many tokens */
    const char *prompt;
    int prompt_tokens;
    lt_str joined;      /* prompt + text, or lower-cased text */
    tokens pass[2], held; /* held: an input that did not fit into the pass before */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int filled, taken;  /* passes so far */
    bool stop, failed;
} stream;

/* ---- filling a pass ---- */

static bool append(lt_ctx *cx, tokens *t, const int32_t *ids, const int32_t *types, int32_t n, int32_t left_out)
{
    if (t->count + n > t->room) {
        int64_t room = t->count + n > 2 * t->room ? t->count + n : 2 * t->room;
        int32_t *more = lt_resize(cx, t->ids, room, sizeof *more);
        if (!more) return false;
        t->ids = more;
        more = lt_resize(cx, t->types, room, sizeof *more);
        if (!more) return false;
        t->types = more;
        t->room = room;
    }
    if (t->n == t->n_room) {
        int64_t room = t->n_room ? 2 * t->n_room : 64;
        int32_t *more = lt_resize(cx, t->len, room, sizeof *more);
        if (!more) return false;
        t->len = more;
        more = lt_resize(cx, t->left_out, room, sizeof *more);
        if (!more) return false;
        t->left_out = more;
        t->n_room = room;
    }
    if (n) {
        memcpy(t->ids + t->count, ids, (size_t)n * sizeof *ids);
        if (types) memcpy(t->types + t->count, types, (size_t)n * sizeof *types);
        else memset(t->types + t->count, 0, (size_t)n * sizeof *types);
    }
    t->len[t->n] = n;
    t->left_out[t->n++] = left_out;
    t->count += n;
    return true;
}

static void tokens_free(tokens *t)
{
    lt_free(t->ids);
    lt_free(t->types);
    lt_free(t->len);
    lt_free(t->left_out);
}

static void put_plain(lt_str *s, const char *text, size_t size) { lt_str_add(s, text, size); }

/* One code point at a time, with the one exception that is not a single code point. */
static void put_lower(lt_str *s, const char *text, size_t size)
{
    for (const char *p = text, *end = text + size; p < end;) {
        uint32_t c;
        char out[4];
        p += lt_utf8_next(p, end, &c);
        if (c == 0x130) lt_str_puts(s, "i\xcc\x87");
        else lt_str_add(s, out, (size_t)lt_utf8_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), out));
    }
}

static bool is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Blanks at both ends, as Python's strip() knows them. */
static void strip(const char **text, size_t *size)
{
    const char *begin = *text, *end = begin + *size, *last = begin;
    bool inside = false;
    for (const char *p = begin; p < end;) {
        uint32_t c;
        const char *here = p;
        p += lt_utf8_next(p, end, &c);
        if (is_blank(c)) continue;
        if (!inside) begin = here;
        inside = true;
        last = p;
    }
    *size = inside ? (size_t)(last - begin) : 0;
    *text = begin;
}

/* For embeddings of a sentence-transformers model texts are prepared as that library does: prompt and text joined, lower-cased where
 * its files say so, blanks at both ends dropped. Otherwise the text goes to the tokenizer as it is. */
static lt_encoding *encode(stream *st, lt_ctx *cx, const lt_input *in)
{
    const char *text = in->text;
    size_t size = in->size;
    bool prepare = st->what == LT_OUT_EMBEDDING && st->m->sentence.present, lower = prepare && st->m->sentence.lower;
    if (lower || (st->prompt && *st->prompt)) {
        void (*put)(lt_str *, const char *, size_t) = lower ? put_lower : put_plain;
        lt_str_clear(&st->joined);
        if (st->prompt) put(&st->joined, st->prompt, strlen(st->prompt));
        put(&st->joined, text, size);
        if (st->joined.failed) return lt_fail(cx, LT_ERR_MEMORY, "no memory for an input of %zu bytes", size);
        text = st->joined.size ? st->joined.data : "";
        size = st->joined.size;
    }
    if (prepare) strip(&text, &size);
    return lt_encode(cx, st->m->tokenizer, text, size, in->pair, in->pair_size,
                     &(lt_encode_options){.no_special = st->o->no_special, .max_tokens = st->limit});
}

/* Appends the next input's tokens to t: false at the end or on error. */
static bool fetch(stream *st, lt_ctx *cx, tokens *t)
{
    lt_input in = {0};
    if (!lt_ok(cx) || !st->next(st->next_arg, cx, &in)) return false;
    const int64_t index = st->index++;
    if (in.ids) {
        int32_t most = st->o->max_tokens, n = most > 0 && in.n_ids > most ? most : in.n_ids;
        if (n > st->m->encoder.limit)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "input %" PRId64 ": %d tokens: the model takes %d", index, n, st->m->encoder.limit);
        return append(cx, t, in.ids, NULL, n, in.n_ids - n);
    }
    if (!st->m->tokenizer) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tokenizer, so inputs must be token ids", st->m->info.path);
    lt_scope scope = lt_open(cx, NULL);
    lt_encoding *e = encode(st, cx, &in);
    bool done = e && append(cx, t, e->ids, e->types, e->n, e->left_out);
    lt_end(cx, scope);
    return done;
}

static bool full(const stream *st, const tokens *t, int64_t more)
{
    return t->n > 0 && (t->count + more > st->budget || (st->o->batch > 0 && t->n >= st->o->batch));
}

/* False on error. t->last tells that the inputs have ended. */
static bool fill(stream *st, lt_ctx *cx, tokens *t)
{
    t->n = t->count = 0;
    while (!full(st, t, 0)) {
        if (!st->held.n && !fetch(st, cx, &st->held)) {
            t->last = true;
            return lt_ok(cx);
        }
        if (full(st, t, st->held.count)) break;
        if (!append(cx, t, st->held.ids, st->held.types, st->held.len[0], st->held.left_out[0])) return false;
        st->held.n = st->held.count = 0;
    }
    return true;
}

/* ---- computing a pass ---- */

static bool emit(stream *st, lt_ctx *cx, const tokens *t, const lt_tensor *y)
{
    bool per_token = y->shape[0] == t->count && (st->what == LT_OUT_HIDDEN || (st->what == LT_OUT_LOGITS && st->m->head.kind->per_token));
    size_t row = (size_t)y->shape[1] * lt_dtype_size(y->dtype);
    const char *data = y->data;
    for (int64_t i = 0; i < t->n; i++) {
        lt_result r = {.index = st->stats.inputs, .rows = per_token ? t->len[i] : 1, .cols = y->shape[1], .dtype = y->dtype, .data = data, .tokens = t->len[i],
                       .left_out = t->left_out[i]};
        if (!st->sink(st->sink_arg, cx, &r)) return false;
        data += (size_t)r.rows * row;
        st->stats.inputs++;
        st->stats.tokens += t->len[i];
        st->stats.truncated += t->left_out[i] > 0;
    }
    return true;
}

static bool compute(stream *st, lt_ctx *cx, const tokens *t)
{
    if (!t->n) return true;
    lt_scope scope = lt_open(cx, NULL);
    lt_seqs *s = lt_seqs_new(cx, (int)t->n, t->len);
    lt_batch batch = {.seqs = s, .ids = t->ids, .types = t->types};
    lt_tensor *y = s ? lt_forward_prompted(cx, st->m, &batch, st->what, st->o, st->prompt_tokens, &st->stats.computed_tokens) : NULL;
    bool done = y && emit(st, cx, t, y);
    lt_end(cx, scope);
    st->stats.passes++;
    return done;
}

/* ---- reading ahead ---- */

static void *read_ahead(void *arg)
{
    void **both = arg;
    stream *st = both[0];
    lt_ctx *cx = both[1];
    bool more = true;
    while (more) {
        pthread_mutex_lock(&st->lock);
        while (st->filled - st->taken == 2 && !st->stop) pthread_cond_wait(&st->changed, &st->lock);
        bool stop = st->stop;
        pthread_mutex_unlock(&st->lock);
        if (stop) break;
        tokens *t = &st->pass[st->filled % 2];
        bool done = fill(st, cx, t);
        more = done && !t->last;
        pthread_mutex_lock(&st->lock);
        st->filled += done;
        st->failed = !done;
        pthread_cond_broadcast(&st->changed);
        pthread_mutex_unlock(&st->lock);
    }
    return NULL;
}

/* The next filled pass; NULL after the last, or when reading failed and all before it are done. */
static tokens *await_pass(stream *st)
{
    pthread_mutex_lock(&st->lock);
    while (st->filled == st->taken && !st->failed) pthread_cond_wait(&st->changed, &st->lock);
    tokens *t = st->filled > st->taken ? &st->pass[st->taken % 2] : NULL;
    pthread_mutex_unlock(&st->lock);
    return t;
}

static void give_back(stream *st, bool stop)
{
    pthread_mutex_lock(&st->lock);
    st->taken++;
    st->stop = stop;
    pthread_cond_broadcast(&st->changed);
    pthread_mutex_unlock(&st->lock);
}

static void compute_passes(stream *st, lt_ctx *cx)
{
    for (bool more = true; more;) {
        tokens *t = await_pass(st);
        if (!t) break;
        bool last = t->last;
        more = compute(st, cx, t) && !last;
        give_back(st, !more);
    }
}

static bool inherit(lt_ctx *cx, lt_ctx *from)
{
    return lt_ctx_status(from) == LT_OK || lt_fail_if(cx, true, lt_ctx_status(from), "%s", lt_ctx_error(from));
}

static bool run_overlapped(stream *st, lt_ctx *cx)
{
    lt_options options = cx->options;
    options.threads = 1;
    options.pool = NULL;
    options.progress = NULL;
    lt_ctx *reader = lt_ctx_new(&options);
    if (!reader) return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory for a reading thread");
    pthread_mutex_init(&st->lock, NULL);
    pthread_cond_init(&st->changed, NULL);
    pthread_t thread;
    void *both[2] = {st, reader};
    bool started = pthread_create(&thread, NULL, read_ahead, both) == 0;
    if (started) {
        compute_passes(st, cx);
        pthread_join(thread, NULL);
    } else
        lt_fail(cx, LT_ERR_MEMORY, "a reading thread could not be started");
    if (lt_ok(cx)) inherit(cx, reader);
    pthread_cond_destroy(&st->changed);
    pthread_mutex_destroy(&st->lock);
    lt_ctx_free(reader);
    return lt_ok(cx);
}

static bool run_in_turn(stream *st, lt_ctx *cx)
{
    tokens *t = &st->pass[0];
    while (!t->last)
        if (!fill(st, cx, t) || !compute(st, cx, t)) return false;
    return true;
}

/* ---- the call ---- */

static bool count_prompt(stream *st, lt_ctx *cx)
{
    const lt_model *m = st->m;
    st->prompt = st->o->prompt ? st->o->prompt : st->what == LT_OUT_EMBEDDING ? m->sentence.default_prompt : NULL;
    if (!st->prompt || !m->sentence.skip_prompt || !m->tokenizer) return true;
    lt_scope scope = lt_open(cx, NULL);
    lt_encoding *e = encode(st, cx, &(lt_input){.text = ""});
    st->prompt_tokens = !e ? 0 : st->o->no_special ? e->n : e->n - 1; /* the closing special token belongs to the text */
    lt_end(cx, scope);
    return e != NULL;
}

bool lt_stream(lt_ctx *cx, const lt_model *m, lt_output what, const lt_run_options *options, lt_next_fn *next, void *next_arg, lt_sink_fn *sink,
               void *sink_arg, lt_stream_stats *stats)
{
    static const lt_run_options defaults;
    if (!m || !lt_ok(cx)) return false;
    stream st = {.m = m, .what = what, .o = options ? options : &defaults, .next = next, .next_arg = next_arg, .sink = sink, .sink_arg = sink_arg};
    st.budget = st.o->batch_tokens > 0 ? st.o->batch_tokens : 16384;
    st.limit = what == LT_OUT_EMBEDDING ? m->info.max_tokens : m->encoder.limit;
    if (st.o->max_tokens > 0) st.limit = st.o->max_tokens < m->encoder.limit ? st.o->max_tokens : m->encoder.limit;
    double start = lt_now();
    /* With one thread there is nothing to overlap with. The first pass is filled here in any case: a few texts need no thread. */
    bool done = count_prompt(&st, cx) && fill(&st, cx, &st.pass[0]) && compute(&st, cx, &st.pass[0]);
    if (done && !st.pass[0].last) done = lt_threads(cx) > 1 ? run_overlapped(&st, cx) : run_in_turn(&st, cx);
    st.stats.seconds = lt_now() - start;
    if (stats) *stats = st.stats;
    for (int i = 0; i < 2; i++) tokens_free(&st.pass[i]);
    tokens_free(&st.held);
    lt_str_free(&st.joined);
    return done;
}
