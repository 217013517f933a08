/* Labels against labels: accuracy, F1 (van Rijsbergen 1979; micro and macro averages as scikit-learn defines them) and Matthews' correlation
 * coefficient for any number of labels (Gorodkin 2004). All follow from three counts a label: how often it was wanted, got, and both. */
#include "lathe/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* ---- texts by number ---- */

static int32_t *find_slot(const lt_label_set *s, const char *text, size_t size)
{
    uint32_t i = lt_hash(text, size) & (s->slots - 1);
    for (; s->slot[i]; i = (i + 1) & (s->slots - 1)) {
        const int32_t k = s->slot[i] - 1;
        if (s->size[k] == size && memcmp(s->name[k], text, size) == 0) break;
    }
    return &s->slot[i];
}

static bool make_room(lt_ctx *cx, lt_label_set *s)
{
    enum { MOST = 1 << 28 };
    if (s->n < s->room) return true;
    if (s->n >= MOST) return lt_fail_if(cx, true, LT_ERR_INPUT, "more than %d different labels", MOST);
    const int32_t room = s->room ? 2 * s->room : 32;
    char **name = lt_resize(cx, s->name, room, sizeof *name);
    if (name) s->name = name;
    size_t *size = name ? lt_resize(cx, s->size, room, sizeof *size) : NULL;
    if (size) s->size = size;
    int32_t *slot = size ? lt_new(cx, 2 * (int64_t)room, sizeof *slot) : NULL;
    if (!slot) return false;
    lt_free(s->slot);
    s->slot = slot;
    s->slots = 2 * (uint32_t)room;
    s->room = room;
    for (int32_t i = 0; i < s->n; i++) *find_slot(s, s->name[i], s->size[i]) = i + 1;
    return true;
}

int32_t lt_label_number(lt_ctx *cx, lt_label_set *s, const char *text, size_t size)
{
    if (!make_room(cx, s)) return -1;
    int32_t *slot = find_slot(s, text, size);
    if (*slot) return *slot - 1;
    char *copy = lt_new(cx, (int64_t)size + 1, 1);
    if (!copy) return -1;
    memcpy(copy, text, size);
    s->name[s->n] = copy;
    s->size[s->n] = size;
    *slot = ++s->n;
    return s->n - 1;
}

void lt_label_set_free(lt_label_set *s)
{
    for (int32_t i = 0; i < s->n; i++) lt_free(s->name[i]);
    lt_free(s->name);
    lt_free(s->size);
    lt_free(s->slot);
    *s = (lt_label_set){0};
}

/* ---- counting ---- */

static bool grow(lt_ctx *cx, lt_label_counts *c, const int32_t *label, int32_t n)
{
    enum { MOST = 1 << 29 };
    int32_t most = -1;
    for (int32_t i = 0; i < n; i++) {
        if (!lt_fail_if(cx, label[i] < 0 || label[i] > MOST, LT_ERR_USAGE, "a label of number %d: expected 0 to %d", label[i],
                        MOST))
            return false;
        if (label[i] > most) most = label[i];
    }
    if (most < c->labels) return true;
    const int32_t labels = most + 1 > 2 * c->labels ? most + 1 : 2 * c->labels;
    int64_t **lists[] = {&c->want, &c->got, &c->right};
    for (int i = 0; i < 3; i++) {
        int64_t *more = lt_resize(cx, *lists[i], labels, sizeof *more);
        if (!more) return false;
        memset(more + c->labels, 0, (size_t)(labels - c->labels) * sizeof *more);
        *lists[i] = more;
    }
    c->labels = labels;
    return true;
}

bool lt_label_count(lt_ctx *cx, lt_label_counts *c, int32_t want, int32_t got)
{
    return lt_label_count_sets(cx, c, &want, 1, &got, 1);
}

static int ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* A sorted copy without what is there twice; scoped. */
static int32_t *as_set(lt_ctx *cx, const int32_t *label, int32_t n, int32_t *unique)
{
    int32_t *set = lt_alloc_array(cx, n, sizeof *set);
    *unique = 0;
    if (!set) return NULL;
    if (n) memcpy(set, label, (size_t)n * sizeof *set);
    if (n) qsort(set, (size_t)n, sizeof *set, ascending);
    for (int32_t i = 0; i < n; i++)
        if (i == 0 || set[i] != set[i - 1]) set[(*unique)++] = set[i];
    return set;
}

static void count(lt_label_counts *c, const int32_t *a, int32_t n, const int32_t *b, int32_t m)
{
    int32_t both = 0;
    for (int32_t i = 0; i < n; i++) c->want[a[i]]++;
    for (int32_t k = 0; k < m; k++) c->got[b[k]]++;
    for (int32_t i = 0, k = 0; i < n && k < m;) {
        if (a[i] == b[k]) {
            c->right[a[i]]++;
            both++;
        }
        const bool forth = a[i] <= b[k], back = b[k] <= a[i];
        i += forth;
        k += back;
    }
    c->rows++;
    c->whole += both == n && both == m;
}

bool lt_label_count_sets(lt_ctx *cx, lt_label_counts *c, const int32_t *want, int32_t n_want, const int32_t *got, int32_t n_got)
{
    if (!grow(cx, c, want, n_want) || !grow(cx, c, got, n_got)) return false;
    lt_scope scope = lt_open(cx, NULL);
    int32_t n, m;
    const int32_t *a = as_set(cx, want, n_want, &n), *b = as_set(cx, got, n_got, &m);
    const bool good = a && b;
    if (good) count(c, a, n, b, m);
    lt_end(cx, scope);
    return good;
}

void lt_label_counts_free(lt_label_counts *c)
{
    lt_free(c->want);
    lt_free(c->got);
    lt_free(c->right);
    *c = (lt_label_counts){0};
}

/* ---- what follows ---- */

double lt_accuracy(const lt_label_counts *c) { return c->rows ? (double)c->whole / (double)c->rows : NAN; }

/* 2 · right / (want + got): the harmonic mean of precision and recall; 0 where nothing is right. */
static double f1(int64_t right, int64_t want, int64_t got) { return right ? 2 * (double)right / (double)(want + got) : 0; }

double lt_f1_micro(const lt_label_counts *c)
{
    int64_t right = 0, want = 0, got = 0;
    for (int32_t i = 0; i < c->labels; i++) {
        right += c->right[i];
        want += c->want[i];
        got += c->got[i];
    }
    return c->rows ? f1(right, want, got) : NAN;
}

double lt_f1_macro(const lt_label_counts *c)
{
    double sum = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < c->labels; i++) {
        if (!c->want[i] && !c->got[i]) continue;
        sum += f1(c->right[i], c->want[i], c->got[i]);
        n++;
    }
    return n ? sum / n : c->rows ? 0 : NAN;
}

double lt_mcc(const lt_label_counts *c)
{
    const double rows = (double)c->rows;
    double right = 0, both = 0, want = 0, got = 0;
    for (int32_t i = 0; i < c->labels; i++) {
        right += (double)c->right[i] / rows;
        both += (double)c->want[i] / rows * ((double)c->got[i] / rows);
        want += (double)c->want[i] / rows * ((double)c->want[i] / rows);
        got += (double)c->got[i] / rows * ((double)c->got[i] / rows);
    }
    if (!c->rows) return NAN;
    int32_t wanted = 0, given = 0;
    for (int32_t i = 0; i < c->labels; i++) {
        wanted += c->want[i] > 0;
        given += c->got[i] > 0;
    }
    return wanted < 2 || given < 2 ? 0 : (right - both) / sqrt((1 - want) * (1 - got));
}
