/* The batches of the next steps, made while a step runs: a thread collates and masks them into a few slots, each with memory of its own. What they hold is
 * a function of the run's place alone, so it makes no difference how far ahead they were made; without slots they are made when they are wanted. */
#include <pthread.h>

#include "base/ctx.h"
#include "train/train.h"

enum { MOST_SLOTS = 64 };

typedef struct slot {
    lt_ctx *cx;
    lt_scope scope;
    bool open, good;
    lt_supplied fed;
} slot;

struct lt_supply {
    lt_run *r;
    lt_place place; /* the making side's */
    lt_plan *plan;
    int batches;    /* of a step */
    lt_supplied now;     /* where there are no slots */
    int slots;
    slot slot[MOST_SLOTS];

    /* both threads', under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int64_t made, taken, given_back; /* steps so far */
    bool stop, started;
};

static bool make(lt_ctx *cx, lt_supply *f, lt_supplied *fed)
{
    *fed = (lt_supplied){.n = f->batches, .batch = lt_alloc_array(cx, f->batches, sizeof *fed->batch)};
    if (!fed->batch || !lt_next_batches(cx, f->r, f->plan, &f->place, fed->batch, f->batches)) return false;
    fed->epoch = f->place.epoch;
    fed->next = f->place.next;
    return true;
}

static void *make_ahead(void *arg)
{
    lt_supply *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        if (f->made - f->given_back >= f->slots) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        slot *s = &f->slot[f->made % f->slots];
        pthread_mutex_unlock(&f->lock);
        if (s->open) lt_end(s->cx, s->scope);
        s->scope = lt_open(s->cx, NULL);
        s->open = true;
        s->good = make(s->cx, f, &s->fed);
        const bool good = s->good;
        pthread_mutex_lock(&f->lock);
        f->made++;
        f->stop |= !good; /* the error is told when its turn comes */
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static bool open_slots(lt_ctx *cx, lt_supply *f)
{
    lt_options o = cx->options;
    o.threads = 1;
    o.pool = NULL;
    o.progress = NULL;
    for (int i = 0; i < f->slots; i++)
        if (!(f->slot[i].cx = lt_ctx_new(&o))) return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory for batches made ahead");
    return true;
}

lt_supply *lt_supply_open(lt_ctx *cx, lt_run *r)
{
    lt_supply *f = lt_new(cx, 1, sizeof *f);
    if (!f) return NULL;
    f->r = r;
    f->plan = &r->plan;
    f->place = r->place;
    f->batches = r->o->accumulate > 1 ? r->o->accumulate : 1;
    f->slots = r->o->prefetch > 0 ? r->o->prefetch + 1 : 0; /* one is in use */
    if (f->slots > MOST_SLOTS) f->slots = MOST_SLOTS;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    if (f->slots == 0) return f;
    f->started =
        open_slots(cx, f) && lt_fail_if(cx, pthread_create(&f->thread, NULL, make_ahead, f) != 0, LT_ERR_MEMORY, "a thread for batches could not be started");
    if (f->started) return f;
    lt_supply_close(f);
    return NULL;
}

const lt_supplied *lt_supply_next(lt_ctx *cx, lt_supply *f)
{
    if (f->slots == 0) return make(cx, f, &f->now) ? &f->now : NULL;
    pthread_mutex_lock(&f->lock);
    f->given_back = f->taken; /* what was handed out before is done with */
    pthread_cond_broadcast(&f->changed);
    while (f->made == f->taken) pthread_cond_wait(&f->changed, &f->lock);
    slot *s = &f->slot[f->taken % f->slots];
    f->taken += s->good;
    pthread_mutex_unlock(&f->lock);
    if (s->good) return &s->fed;
    lt_status status = lt_ctx_status(s->cx);
    return lt_fail(cx, status == LT_OK ? LT_ERR_CANCELLED : status, "%s", lt_ctx_error(s->cx));
}

void lt_supply_close(lt_supply *f)
{
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (f->started) pthread_join(f->thread, NULL);
    for (int i = 0; i < f->slots; i++) lt_ctx_free(f->slot[i].cx);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    lt_free(f);
}
