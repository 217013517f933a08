/* Sums over processes by MPI (MPI Forum, MPI 3.1: non-blocking collectives of chapter 5.12). Built as a library of its own, liblathe-mpi.so, which lathe
 * loads for --dist mpi; so it calls nothing of lathe's. All calls come from one thread. */
#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "train/dist/dist.h"

typedef struct world {
    MPI_Request *request; /* under way */
    int n, room;
    char why[MPI_MAX_ERROR_STRING + 1];
} world;

static const char *told(world *w, int code)
{
    int size = 0;
    if (code == MPI_SUCCESS) return NULL;
    MPI_Error_string(code, w->why, &size);
    w->why[size] = 0;
    return w->why;
}

static const char *world_open(void **state, int *rank, int *size)
{
    int done = 0, level;
    world *w = calloc(1, sizeof *w);
    if (!w) return "no memory";
    *state = w;
    MPI_Initialized(&done);
    if (done) return "this process has used MPI already: one training a process";
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS || level < MPI_THREAD_FUNNELED) return "MPI could not be started with threads";
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    return told(w, MPI_Comm_size(MPI_COMM_WORLD, size));
}

static const char *world_begin(void *state, void *data, int64_t n, size_t elem)
{
    enum { MOST = 1 << 28 }; /* of one call, whose counts are ints */
    world *w = state;
    for (int64_t at = 0; at < n; at += MOST) {
        if (w->n == w->room) {
            MPI_Request *more = realloc(w->request, (size_t)(2 * w->room + 16) * sizeof *more);
            if (!more) return "no memory";
            w->request = more;
            w->room = 2 * w->room + 16;
        }
        const int count = n - at < MOST ? (int)(n - at) : MOST;
        const int code = MPI_Iallreduce(MPI_IN_PLACE, (char *)data + (size_t)at * elem, count, elem == sizeof(double) ? MPI_DOUBLE : MPI_FLOAT, MPI_SUM,
                                        MPI_COMM_WORLD, &w->request[w->n]);
        if (code != MPI_SUCCESS) return told(w, code);
        w->n++;
    }
    return NULL;
}

static const char *test(world *w, int *done)
{
    const int code = MPI_Testall(w->n, w->request, done, MPI_STATUSES_IGNORE);
    if (*done) w->n = 0;
    return told(w, code);
}

static const char *world_poll(void *state)
{
    int done = 0;
    return test(state, &done);
}

/* Others may share this processor, the worker that is waited for among them: it is given to them between looks, and after a while for longer. */
static void look_away(int *looks)
{
    if (++*looks < 200) sched_yield();
    else nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static const char *world_finish(void *state)
{
    int done = 0, looks = 0;
    const char *why = NULL;
    while (!why && !(why = test(state, &done)) && !done) look_away(&looks);
    return why;
}

/* Small ones too are waited for that way, as a worker may be long in coming: it writes a checkpoint, say. */
static const char *wait_for(world *w, int code, MPI_Request *request)
{
    int done = 0, looks = 0;
    while (code == MPI_SUCCESS && !done)
        if ((code = MPI_Test(request, &done, MPI_STATUS_IGNORE)) == MPI_SUCCESS && !done) look_away(&looks);
    return told(w, code);
}

static const char *world_sum(void *state, double *x, int n)
{
    MPI_Request request;
    return wait_for(state, MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, &request), &request);
}

static const char *world_least(void *state, int64_t *x, int n)
{
    MPI_Request request;
    return wait_for(state, MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD, &request), &request);
}

static const char *world_share(void *state, int from, void *bytes, int n)
{
    MPI_Request request;
    return wait_for(state, MPI_Ibcast(bytes, n, MPI_BYTE, from, MPI_COMM_WORLD, &request), &request);
}

static void world_close(void *state)
{
    world *w = state;
    MPI_Finalize();
    free(w->request);
    free(w);
}

extern const lt_dist_calls lt_dist_mpi;
const lt_dist_calls lt_dist_mpi = {world_open, world_begin, world_poll, world_finish, world_sum, world_least, world_share, world_close};
