/* Adding documents: read, embed, write, in bounded memory. Documents whose vectors are being computed wait in a queue between
 * the thread that reads and the one that writes. */
#include "retrieve/index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A document that waits for its vector, and what the model is shown of it. */
struct waiting {
    struct waiting *next;
    char *id, *title, *text, *both;
    size_t title_size, text_size, both_size;
    int64_t done; /* bytes read up to its end */
};

struct adding {
    lt_index *x;
    lt_documents *docs;
    lt_pending pending;
    int64_t done; /* bytes of the documents read up to the one at hand */
    int64_t *added, *replaced;
    bool dot;
    pthread_mutex_t lock;
    struct waiting *first, *last;
};

static void waiting_free(struct waiting *w)
{
    if (!w) return;
    lt_free(w->id);
    lt_free(w->title);
    lt_free(w->both);
    lt_free(w);
}

static char *copy(lt_ctx *cx, const char *p, size_t n)
{
    char *q = lt_new(cx, (int64_t)n + 1, 1);
    if (q && n) memcpy(q, p, n);
    return q;
}

/* Title and text as one, as the BEIR benchmark shows them to models (Thakur et al. 2021). */
static struct waiting *wait_for(lt_ctx *cx, const lt_document *d)
{
    struct waiting *w = lt_new(cx, 1, sizeof *w);
    if (!w) return NULL;
    size_t title = d->title ? d->title_size : 0, text = d->text ? d->text_size : 0, skip = title && text ? title + 1 : title;
    w->id = lt_strdup(cx, d->id ? d->id : "");
    w->title = copy(cx, d->title, title);
    w->both = lt_new(cx, (int64_t)(skip + text) + 1, 1);
    if (!w->id || !w->title || !w->both) {
        waiting_free(w);
        return NULL;
    }
    if (title) memcpy(w->both, d->title, title);
    if (skip > title) w->both[title] = ' ';
    if (text) memcpy(w->both + skip, d->text, text);
    w->title_size = title;
    w->text = w->both + skip;
    w->text_size = text;
    w->both_size = skip + text;
    return w;
}

/* The reading thread's: one document more. */
static bool next(void *arg, lt_ctx *cx, lt_input *in)
{
    struct adding *a = arg;
    lt_document d;
    if (!lt_documents_next(cx, a->docs, &d)) return false;
    struct waiting *w = wait_for(cx, &d);
    if (!w) return false;
    w->done = lt_documents_bytes_done(a->docs);
    *in = (lt_input){.text = w->both, .size = w->both_size};
    pthread_mutex_lock(&a->lock);
    if (a->last)
        a->last->next = w;
    else
        a->first = w;
    a->last = w;
    pthread_mutex_unlock(&a->lock);
    return true;
}

static struct waiting *take_first(struct adding *a)
{
    pthread_mutex_lock(&a->lock);
    struct waiting *w = a->first;
    if (w) a->first = w->next;
    if (!a->first) a->last = NULL;
    pthread_mutex_unlock(&a->lock);
    return w;
}

static bool flush(lt_ctx *cx, struct adding *a)
{
    lt_progress_step(cx, a->done);
    return !a->pending.n || lt_index_write(cx, a->x, &a->pending, a->added, a->replaced);
}

static bool push(lt_ctx *cx, struct adding *a, const lt_document *d, const float *vector)
{
    if (!lt_pending_add(cx, &a->pending, d)) return false;
    if (vector && !lt_pending_vector(cx, &a->pending, a->pending.n - 1, vector, a->x->info.dim, !a->dot)) return false;
    lt_progress_step(cx, a->done);
    return !lt_pending_full(&a->pending) || flush(cx, a);
}

/* The writing thread's: the next document in order, with its vector. */
static bool sink(void *arg, lt_ctx *cx, const lt_result *r)
{
    struct adding *a = arg;
    struct waiting *w = take_first(a);
    if (!w) return lt_fail_if(cx, true, LT_ERR_USAGE, "a vector without a document");
    a->done = w->done;
    lt_scope scope = lt_open(cx, NULL);
    lt_document d = {.id = w->id, .title = w->title, .text = w->text, .title_size = w->title_size, .text_size = w->text_size};
    const float *v = r->data;
    bool good = r->cols > 0 && r->cols <= 1 << 20 && lt_index_set_dim(cx, a->x, (int)r->cols, a->dot);
    if (good && r->dtype == LT_F64) {
        float *narrow = lt_alloc_array(cx, r->cols, sizeof *narrow);
        for (int64_t i = 0; narrow && i < r->cols; i++) narrow[i] = (float)((const double *)r->data)[i];
        v = narrow;
    }
    good = good && v && push(cx, a, &d, v);
    lt_end(cx, scope);
    waiting_free(w);
    return good;
}

static bool add_embedded(lt_ctx *cx, struct adding *a, const lt_model *m, const lt_run_options *run)
{
    const char *similarity = lt_model_about(m)->similarity;
    a->dot = a->x->info.dim ? a->x->dot : similarity && !strcmp(similarity, "dot");
    if (pthread_mutex_init(&a->lock, NULL) != 0) return lt_fail_if(cx, true, LT_ERR_MEMORY, "no lock");
    bool good = lt_stream(cx, m, LT_OUT_EMBEDDING, run, next, a, sink, a, NULL);
    for (struct waiting *w; (w = take_first(a));) waiting_free(w);
    pthread_mutex_destroy(&a->lock);
    return good;
}

static bool add_plain(lt_ctx *cx, struct adding *a)
{
    lt_document d;
    while (lt_documents_next(cx, a->docs, &d)) {
        a->done = lt_documents_bytes_done(a->docs);
        if (!push(cx, a, &d, NULL)) return false;
    }
    return lt_ok(cx);
}

bool lt_index_add(lt_ctx *cx, lt_index *x, const lt_model *m, lt_documents *docs, const lt_run_options *run, int64_t *added,
                  int64_t *replaced)
{
    if (!x || !docs || !lt_ok(cx)) return false;
    if (!m && x->info.dim)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the index has vectors: adding to it needs its model (%s)", x->path,
                          x->info.model ? x->info.model : "not named");
    struct adding a = {.x = x, .docs = docs, .added = added, .replaced = replaced};
    lt_progress_begin(cx, "indexing", "bytes", lt_documents_bytes_total(docs));
    bool good = (m ? add_embedded(cx, &a, m, run) : add_plain(cx, &a)) && flush(cx, &a);
    lt_progress_end(cx);
    lt_pending_free(&a.pending);
    x->failed |= !good;
    return good;
}
