/* Progress: how far long work has come, told to the caller's function about ten times a second, never before the work has
 * taken a third of a second, and once at the end. The rate follows the last seconds, so that the time to go does too. */
#include "base/ctx.h"

#include <time.h>

static const double FIRST = 0.3, BETWEEN = 0.1; /* seconds */
static const double SMOOTH = 3.0;               /* the rate forgets in about this many seconds */

double lt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tell(lt_ctx *cx, double now)
{
    struct lt_progress_state *s = &cx->progress;
    lt_progress *p = &s->p;
    double since = now - s->last_time;
    p->seconds = now - s->start;
    if (p->last || !s->called) {
        p->rate = p->seconds > 0 ? (double)p->done / p->seconds : 0;
    } else if (since > 0) {
        p->rate += ((double)(p->done - s->last_done) / since - p->rate) * since / (since + SMOOTH);
    }
    if (p->rate < 0) p->rate = 0;
    p->eta = p->last ? 0 : p->total > 0 && p->rate > 0 ? (double)(p->total - p->done) / p->rate : -1;
    if (p->eta < 0 && p->done > p->total && p->total > 0) p->eta = 0;
    s->last_time = now;
    s->last_done = p->done;
    s->called = true;
    cx->options.progress(cx->options.progress_arg, p);
}

void lt_progress_begin(lt_ctx *cx, const char *what, const char *unit, int64_t total)
{
    if (!cx->options.progress) return;
    if (cx->progress.running) lt_progress_end(cx);
    double now = lt_now();
    cx->progress = (struct lt_progress_state){.running = true, .start = now, .last_time = now};
    cx->progress.p = (lt_progress){.what = what, .unit = unit, .total = total};
}

void lt_progress_step(lt_ctx *cx, int64_t done)
{
    struct lt_progress_state *s = &cx->progress;
    if (!s->running) return;
    s->p.done = done;
    double now = lt_now();
    if (now - s->last_time >= (s->called ? BETWEEN : FIRST)) tell(cx, now);
}

void lt_progress_end(lt_ctx *cx)
{
    struct lt_progress_state *s = &cx->progress;
    if (!s->running) return;
    s->running = false;
    s->p.last = true;
    double now = lt_now();
    if (s->called || now - s->start >= FIRST) tell(cx, now);
}
