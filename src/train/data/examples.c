/* Examples: rows as tokens and targets, in memory or in a file (store.c), to be reached in any order. */
#include "train/data/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool grow_tokens(lt_ctx *cx, lt_examples *e, int64_t more, bool types, bool labels)
{
    int64_t room = e->token_room;
    if (e->tokens + more > room) {
        while (e->tokens + more > room) room = room ? 2 * room : 4096;
        int32_t **pool[] = {&e->ids, &e->types, &e->labels};
        for (int i = 0; i < 3; i++) {
            if (i && !*pool[i]) continue;
            int32_t *p = lt_resize(cx, *pool[i], room, sizeof *p);
            if (!p) return false;
            *pool[i] = p;
        }
        e->token_room = room;
    }
    if (types && !e->types && !(e->types = lt_new(cx, room, sizeof *e->types))) return false;
    if (labels && !e->labels && !(e->labels = lt_new(cx, room, sizeof *e->labels))) return false;
    return true;
}

static void put(int32_t *pool, int64_t at, const int32_t *from, int32_t n)
{
    if (!pool) return;
    if (from) memcpy(pool + at, from, (size_t)n * sizeof *pool);
    else memset(pool + at, 0, (size_t)n * sizeof *pool);
}

bool lt_examples_add(lt_ctx *cx, lt_examples *e, const int32_t *ids, const int32_t *types, const int32_t *labels, int32_t n, int32_t label, double number)
{
    if (e->store) return lt_store_add(cx, e, (lt_example){.n = n, .label = label, .number = number}, ids, types, labels);
    if (e->n == e->room) {
        lt_example *at = lt_resize(cx, e->at, e->room ? 2 * e->room : 256, sizeof *at);
        if (!at) return false;
        e->at = at;
        e->room = e->room ? 2 * e->room : 256;
    }
    if (!grow_tokens(cx, e, n, types != NULL, labels != NULL)) return false;
    put(e->ids, e->tokens, ids, n);
    put(e->types, e->tokens, types, n);
    put(e->labels, e->tokens, labels, n);
    e->at[e->n++] = (lt_example){.begin = e->tokens, .n = n, .label = label, .number = number};
    e->tokens += n;
    return true;
}

static void get(const int32_t *pool, const lt_example *x, int32_t *to)
{
    if (!to) return;
    if (pool) memcpy(to, pool + x->begin, (size_t)x->n * sizeof *to);
    else memset(to, 0, (size_t)x->n * sizeof *to);
}

bool lt_example_read(lt_ctx *cx, const lt_examples *e, int64_t i, int32_t *ids, int32_t *types, int32_t *labels)
{
    if (e->store) return lt_store_read(cx, e, i, ids, types, labels);
    get(e->ids, &e->at[i], ids);
    get(e->types, &e->at[i], types);
    get(e->labels, &e->at[i], labels);
    return true;
}

bool lt_examples_have_types(const lt_examples *e) { return e->store ? lt_store_has_types(e->store) : e->types != NULL; }
bool lt_examples_have_labels(const lt_examples *e) { return e->store ? lt_store_has_labels(e->store) : e->labels != NULL; }

void lt_examples_free(lt_examples *e)
{
    for (int i = 0; i < e->names; i++) lt_free(e->name[i]);
    lt_free(e->name);
    if (!e->store) lt_free(e->at);
    lt_store_close(e->store);
    lt_free(e->ids);
    lt_free(e->types);
    lt_free(e->labels);
    lt_free(e->sets);
    *e = (lt_examples){0};
}

/* ---- label names ---- */

int lt_examples_label(lt_ctx *cx, lt_examples *e, const char *name, size_t size)
{
    for (int i = 0; i < e->names; i++)
        if (strlen(e->name[i]) == size && memcmp(e->name[i], name, size) == 0) return i;
    if (!e->open) return -1;
    char **grown = lt_resize(cx, e->name, e->names + 1, sizeof *grown);
    if (!grown) return -1;
    e->name = grown;
    char *copy = lt_new(cx, (int64_t)size + 1, 1);
    if (!copy) return -1;
    memcpy(copy, name, size);
    e->name[e->names] = copy;
    return e->names++;
}

typedef struct named {
    char *name;
    int was;
    double number; /* NaN: none of the names is compared by number */
} named;

static int by_name(const void *x, const void *y)
{
    const named *a = x, *b = y;
    if (!isnan(a->number)) return (a->number > b->number) - (a->number < b->number);
    return strcmp(a->name, b->name);
}

bool lt_examples_renumber(lt_ctx *cx, lt_examples *e, const int32_t *now)
{
    lt_sets_renumber(e, now);
    for (int64_t i = 0; i < e->n && !e->multi; i++)
        if (e->at[i].label >= 0) e->at[i].label = now[e->at[i].label];
    for (int64_t i = 0; e->labels && i < e->tokens; i++)
        if (e->labels[i] >= 0) e->labels[i] = now[e->labels[i]];
    return !e->store || lt_store_relabel(cx, e->store, now, e->names);
}

bool lt_examples_sort_labels(lt_ctx *cx, lt_examples *e)
{
    lt_scope scope = lt_open(cx, NULL);
    named *list = lt_alloc_array(cx, e->names, sizeof *list);
    int32_t *now = lt_alloc_array(cx, e->names, sizeof *now);
    bool numbers = true;
    for (int i = 0; list && i < e->names; i++) {
        char *end;
        list[i] = (named){e->name[i], i, (double)strtoll(e->name[i], &end, 10)};
        numbers = numbers && *e->name[i] && !*end;
    }
    for (int i = 0; list && !numbers && i < e->names; i++) list[i].number = NAN;
    bool done = list && now;
    if (done) {
        qsort(list, (size_t)e->names, sizeof *list, by_name);
        for (int i = 0; i < e->names; i++) {
            now[list[i].was] = i;
            e->name[i] = list[i].name;
        }
        done = lt_examples_renumber(cx, e, now);
    }
    lt_end(cx, scope);
    return done;
}
