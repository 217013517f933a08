/* What is special about single parameters: whether they decay, how deep in the model they are and the rate that follows from that (Clark et al. 2020;
 * counted as by Bao et al. 2022), and the groups of --group: by a regular expression a factor of the rate, one of the decay, and a step until which they
 * are frozen. */
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

/* ---- places in the model ---- */

typedef struct placing {
    lt_run *r;
    int depth;
} placing;

static lt_trained *trained(lt_run *r, const lt_param *p)
{
    for (int i = 0; i < r->params; i++)
        if (r->param[i].param == p) return &r->param[i];
    return NULL; /* frozen */
}

static bool set_depth(void *arg, lt_ctx *cx, lt_param *p)
{
    const placing *g = arg;
    lt_trained *t = trained(g->r, p);
    if (t) t->depth = g->depth;
    return true;
}

static bool set_hidden(lt_ctx *cx, const lt_readers *readers, void *arg)
{
    for (int i = 0; i < readers->n; i++) {
        lt_trained *t = trained(arg, &readers->l[i]->weight);
        if (t) t->hidden = t->param->value.rank == 2;
    }
    return true;
}

static bool find_places(lt_ctx *cx, lt_run *r)
{
    placing g = {.r = r};
    const int layers = lt_model_about(r->model)->layers;
    for (int i = 0; i < r->params; i++) r->param[i].depth = layers + 1;
    for (; g.depth <= layers; g.depth++)
        if (!lt_model_params_at(cx, r->model, g.depth, set_depth, &g)) return false;
    return lt_model_readers(cx, r->model, set_hidden, r);
}

/* ---- groups ---- */

typedef struct group {
    double lr, decay; /* decay NaN: not said */
    int64_t frozen;
} group;

static bool bad_group(lt_ctx *cx, const char *text, const char *why)
{
    return lt_fail_if(cx, true, LT_ERR_USAGE, "group: %s: %s; REGEX:lr=FACTOR,decay=FACTOR,frozen=STEPS is expected, one at least", text, why);
}

static bool read_settings(lt_ctx *cx, const char *text, const char *p, group *g)
{
    while (*p) {
        const size_t all = strcspn(p, ","), name = strcspn(p, ",=");
        char *end = NULL;
        const double x = name < all ? strtod(p + name + 1, &end) : NAN;
        if (end != p + all || end == p + name + 1 || !(x >= 0 && x <= 1e15)) return bad_group(cx, text, "a number from 0 on is expected behind '='");
        if (name == 2 && memcmp(p, "lr", 2) == 0) g->lr = x;
        else if (name == 5 && memcmp(p, "decay", 5) == 0) g->decay = x;
        else if (name == 6 && memcmp(p, "frozen", 6) == 0 && x == floor(x)) g->frozen = (int64_t)x;
        else return bad_group(cx, text, name == 6 && memcmp(p, "frozen", 6) == 0 ? "frozen takes a whole number" : "a key is not known");
        p += all;
        if (*p == ',' && !*++p) return bad_group(cx, text, "nothing stands behind the last comma");
    }
    return true;
}

static void apply(const lt_run *r, lt_trained *t, const group *g)
{
    t->rate *= g->lr;
    t->frozen = g->frozen;
    if (!isnan(g->decay)) t->decay = r->o->weight_decay * g->decay;
}

/* The regular expression ends at the last colon. */
static bool give_group(lt_ctx *cx, lt_run *r, const char *text, bool *taken)
{
    const char *colon = strrchr(text, ':');
    group g = {.lr = 1, .decay = NAN};
    regex_t regex;
    if (!colon || colon == text || !colon[1]) return bad_group(cx, text, "no settings");
    char *pattern = lt_strdup(cx, text);
    if (!pattern) return false;
    pattern[colon - text] = 0;
    const bool read = read_settings(cx, text, colon + 1, &g);
    const int code = read ? regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) : 0;
    char why[200];
    if (code) regerror(code, &regex, why, sizeof why);
    lt_free(pattern);
    if (!read) return false;
    if (code) return bad_group(cx, text, why);
    int found = 0;
    for (int i = 0; i < r->params; i++) {
        if (regexec(&regex, r->param[i].param->name, 0, NULL, 0) != 0) continue;
        found++;
        if (!taken[i]) apply(r, &r->param[i], &g);
        taken[i] = true;
    }
    regfree(&regex);
    return lt_fail_if(cx, !found, LT_ERR_USAGE, "group: %s: no parameter that is trained has such a name", text);
}

bool lt_roles_give(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    if (!find_places(cx, r)) return false;
    const int layers = lt_model_about(r->model)->layers;
    for (int i = 0; i < r->params; i++) {
        lt_trained *t = &r->param[i];
        t->decays = o->decay_all || t->param->value.rank > 1;
        t->decay = t->decays ? o->weight_decay : 0;
        t->rate = pow(o->layer_decay, layers + 1 - t->depth);
    }
    lt_scope scope = lt_open(cx, NULL);
    bool *taken = lt_alloc_array(cx, r->params, sizeof *taken), good = taken != NULL;
    if (good) memset(taken, 0, (size_t)r->params * sizeof *taken);
    for (int i = o->groups - 1; good && i >= 0; i--) good = give_group(cx, r, o->group[i], taken); /* the last one that fits counts */
    lt_end(cx, scope);
    int awake = 0;
    for (int i = 0; good && i < r->params; i++) awake += r->param[i].frozen == 0;
    return good && lt_fail_if(cx, !awake, LT_ERR_USAGE, "group: no parameter is trained at the first step");
}
