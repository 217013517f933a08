/* No objective of its own: texts for a student whose only targets are its teacher's. */
#include "train/objective/objective.h"

#include <math.h>

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    return c && lt_examples_add(cx, e, c->ids, c->types, NULL, c->n, -1, NAN);
}

static bool take_block(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_joined *x) { return lt_examples_add(cx, e, x->ids, x->types, NULL, x->n, x->label, NAN); }

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b) { return true; }

const lt_objective_kind lt_objective_none = {
    .is = {"objective", "none", "texts alone, for distillation", ""},
    .read = read_row,
    .block = take_block,
    .target = target,
};
