/* Relations within the last block's attention: attention itself (queries to keys) and values to values, as MiniLM has them (Wang et al. 2020); and
 * queries to queries, keys to keys, with any number of heads, as its second version does (Wang et al. 2021). None depends on depth or width. */
#include "train/distill/distill.h"

static lt_tensor *relate(lt_ctx *cx, const lt_distilled *x, lt_tap_place a, lt_tap_place b, double factor)
{
    const lt_states *s = x->student, *t = x->teacher;
    const int heads = a == b && x->d->relation_heads ? x->d->relation_heads : lt_model_about(s->model)->heads;
    lt_tensor *const part[] = {s->at[a][s->layers], s->at[b][s->layers], t->at[a][t->layers], t->at[b][t->layers]};
    for (int i = 0; i < 4; i++)
        if (!part[i]) return lt_fail(cx, LT_ERR_UNSUPPORTED, "relations: the last block of the %s has no attention", i < 2 ? "student" : "teacher");
    return lt_relation(cx, part[0], part[1], part[2], part[3], x->seqs, heads, factor);
}

static lt_tensor *attention(lt_ctx *cx, const lt_distilled *x, double factor) { return relate(cx, x, LT_TAP_QUERY, LT_TAP_KEY, factor); }
static lt_tensor *values(lt_ctx *cx, const lt_distilled *x, double factor) { return relate(cx, x, LT_TAP_VALUE, LT_TAP_VALUE, factor); }
static lt_tensor *queries(lt_ctx *cx, const lt_distilled *x, double factor) { return relate(cx, x, LT_TAP_QUERY, LT_TAP_QUERY, factor); }
static lt_tensor *keys(lt_ctx *cx, const lt_distilled *x, double factor) { return relate(cx, x, LT_TAP_KEY, LT_TAP_KEY, factor); }

#define ONE "Wang et al. 2020, arXiv 2002.10957"
#define TWO "Wang et al. 2021, arXiv 2012.15828"
const lt_distill_kind lt_distill_attention = {.is = {"distillation", "attention", "the last block's attention probabilities", ONE}, .states = true, .relates = true, .loss = attention},
                      lt_distill_values = {.is = {"distillation", "values", "relations between the last block's values", ONE}, .states = true, .relates = true, .loss = values},
                      lt_distill_queries = {.is = {"distillation", "queries", "relations between the last block's queries", TWO}, .states = true, .relates = true, .loss = queries},
                      lt_distill_keys = {.is = {"distillation", "keys", "relations between the last block's keys", TWO}, .states = true, .relates = true, .loss = keys};
