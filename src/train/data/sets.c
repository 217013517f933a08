/* Sets of labels: where a sequence may have several, an example's label is the place of its set in one pool, the number of its labels followed by them. */
#include <string.h>

#include "train/train.h"

int32_t lt_examples_set(lt_ctx *cx, lt_examples *e, const int32_t *label, int32_t n)
{
    while (e->set_n + n + 1 > e->set_room) {
        const int64_t room = e->set_room ? 2 * e->set_room : 1024;
        int32_t *grown = lt_resize(cx, e->sets, room, sizeof *grown);
        if (!grown) return -1;
        e->sets = grown;
        e->set_room = room;
    }
    if (!lt_fail_if(cx, e->set_n > INT32_MAX - n - 1, LT_ERR_INPUT, "more than %d labels", INT32_MAX)) return -1;
    const int32_t place = (int32_t)e->set_n;
    e->sets[place] = n;
    if (n) memcpy(e->sets + place + 1, label, (size_t)n * sizeof *label);
    e->set_n += n + 1;
    return place;
}

const int32_t *lt_set_of(const lt_examples *e, int64_t example, int32_t *n)
{
    const int32_t *set = e->sets + e->at[example].label;
    *n = set[0];
    return set + 1;
}

bool lt_examples_make_multi(lt_ctx *cx, lt_examples *e)
{
    for (int64_t i = 0; i < e->n && !e->multi; i++) {
        const int32_t one = e->at[i].label;
        if ((e->at[i].label = lt_examples_set(cx, e, &one, 1)) < 0) return false;
    }
    e->multi = true;
    return true;
}

void lt_sets_renumber(lt_examples *e, const int32_t *now)
{
    for (int64_t at = 0; at < e->set_n; at += e->sets[at] + 1)
        for (int32_t k = 1; k <= e->sets[at]; k++) e->sets[at + k] = now[e->sets[at + k]];
}
