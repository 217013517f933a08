/* A stream of inputs in bounded memory. A reading thread fetches and tokenises the inputs of the next pass while the pool computes
 * this one; a pass holds as many inputs as the token budget allows, and results come out in input order. Where inputs may be long in
 * coming, a pass that waits for more is computed as it is: how inputs are cut into passes changes no result. */
#include "base/ctx.h"
#include "model/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static const double PATIENCE = 0.05; /* seconds that a live stream's inputs wait for more */

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
    lt_str joined;      /* prompt + text */
    lt_str lower;       /* lower-cased text */
    tokens pass[2], held; /* held: an input that did not fit into the pass before */

    /* Both threads', under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int filled, taken;  /* passes so far */
    bool stop, failed;
    bool alone;         /* one thread at a time: nothing is read while a pass is computed */
    bool asking;        /* live: the reader is inside `next`, and the pass it fills is left to the computing side, */
    bool hungry;        /* … which sleeps until the reader asks, */
    tokens early;       /* … or has taken the pass's inputs in here */
    bool early_taken;   /* … and is computing them */
    bool pause;         /* nothing else is ready behind the pass being computed */
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

/* For embeddings of a sentence-transformers model texts are prepared as that library does: prompt and text joined, lower-cased where
 * its files say so, blanks at both ends dropped. Otherwise the text goes to the tokenizer as it is. */
static lt_encoding *encode(stream *st, lt_ctx *cx, const lt_input *in)
{
    const char *text = in->text;
    size_t size = in->size;
    const bool prepare = st->what == LT_OUT_EMBEDDING && st->m->sentence.present;
    if (st->prompt && *st->prompt) {
        lt_str_clear(&st->joined);
        lt_str_puts(&st->joined, st->prompt);
        lt_str_add(&st->joined, text, size);
        text = st->joined.data;
        size = st->joined.size;
    }
    if (prepare && st->m->sentence.lower) {
        lt_str_clear(&st->lower);
        lt_put_lower(&st->lower, text, st->joined.failed ? 0 : size);
        text = st->lower.size ? st->lower.data : "";
        size = st->lower.size;
    }
    if (st->joined.failed || st->lower.failed) return lt_fail(cx, LT_ERR_MEMORY, "no memory for an input of %zu bytes", in->size);
    if (prepare) lt_strip(&text, &size);
    return lt_encode(cx, st->m->tokenizer, text, size, in->pair, in->pair_size,
                     &(lt_encode_options){.no_special = st->o->no_special, .max_tokens = st->limit});
}

/* Calls `next`. In a live stream that may take for ever; meanwhile the inputs that wait in the pass can be had. */
static bool ask(stream *st, lt_ctx *cx, lt_input *in)
{
    if (!st->o->live) return st->next(st->next_arg, cx, in);
    pthread_mutex_lock(&st->lock);
    st->asking = true;
    if (st->hungry && st->pass[st->filled % 2].n) pthread_cond_broadcast(&st->changed);
    pthread_mutex_unlock(&st->lock);
    bool more = st->next(st->next_arg, cx, in);
    pthread_mutex_lock(&st->lock);
    st->asking = false;
    while (st->alone && st->early_taken && !st->stop) pthread_cond_wait(&st->changed, &st->lock);
    more = more && !st->stop;
    pthread_mutex_unlock(&st->lock);
    return more;
}

/* Appends the next input's tokens to t: false at the end or on error. */
static bool fetch(stream *st, lt_ctx *cx, tokens *t)
{
    lt_input in = {0};
    if (!lt_ok(cx) || !ask(st, cx, &in)) return false;
    const int64_t index = st->index++;
    if (in.ids) {
        int32_t most = st->o->max_tokens, n = most > 0 && in.n_ids > most ? most : in.n_ids;
        if (n > st->m->encoder.limit)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "input %" PRId64 ": %d tokens: the model takes %d", index, n, st->m->encoder.limit);
        return append(cx, t, in.ids, in.types, n, in.n_ids - n);
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
                       .left_out = t->left_out[i], .pause = st->pause && i == t->n - 1};
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
        while (st->filled - st->taken == (st->alone ? 1 : 2) && !st->stop) pthread_cond_wait(&st->changed, &st->lock);
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

static void wait_until(stream *st, double time)
{
    struct timespec t = {.tv_sec = (time_t)time};
    t.tv_nsec = (long)(1e9 * (time - (double)t.tv_sec));
    pthread_cond_timedwait(&st->changed, &st->lock, &t);
}

/* Moves what waits in the pass being filled, whose reader is inside `next`, to `early`. */
static tokens *take_early(stream *st)
{
    tokens *filling = &st->pass[st->filled % 2], waiting = *filling;
    *filling = st->early;
    filling->n = filling->count = 0;
    st->early = waiting;
    st->early_taken = true;
    return &st->early;
}

/* The next pass, filled or, in a live stream, as far as it came; NULL after the last, or when reading failed and all before it are
 * done. */
static tokens *await_pass(stream *st)
{
    tokens *t = NULL;
    pthread_mutex_lock(&st->lock);
    for (double until = 0; !t && st->filled == st->taken && !st->failed;) {
        const double now = lt_now();
        const bool some = st->asking && st->pass[st->filled % 2].n;
        if (some && !until) until = now + PATIENCE;
        st->hungry = !until || now >= until;
        if (some && now >= until)
            t = take_early(st);
        else if (st->hungry)
            pthread_cond_wait(&st->changed, &st->lock);
        else
            wait_until(st, until);
    }
    st->hungry = false;
    if (!t && st->filled > st->taken) t = &st->pass[st->taken % 2];
    st->pause = st->o->live && st->filled - st->taken < 2;
    pthread_mutex_unlock(&st->lock);
    return t;
}

static void give_back(stream *st, const tokens *t, bool stop)
{
    pthread_mutex_lock(&st->lock);
    st->taken += t != &st->early;
    st->early_taken = false;
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
        give_back(st, t, !more);
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
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* lt_now's */
    pthread_mutex_init(&st->lock, NULL);
    pthread_cond_init(&st->changed, &attr);
    pthread_condattr_destroy(&attr);
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
    st.alone = lt_threads(cx) == 1;
    bool done = count_prompt(&st, cx);
    if (done && st.o->live) {
        done = run_overlapped(&st, cx);
    } else if (done) {
        /* With one thread there is nothing to overlap with. The first pass is filled here in any case: a few texts need no thread. */
        done = fill(&st, cx, &st.pass[0]) && compute(&st, cx, &st.pass[0]);
        if (done && !st.pass[0].last) done = st.alone ? run_in_turn(&st, cx) : run_overlapped(&st, cx);
    }
    st.stats.seconds = lt_now() - start;
    if (stats) *stats = st.stats;
    for (int i = 0; i < 2; i++) tokens_free(&st.pass[i]);
    tokens_free(&st.held);
    tokens_free(&st.early);
    lt_str_free(&st.joined);
    lt_str_free(&st.lower);
    return done;
}
