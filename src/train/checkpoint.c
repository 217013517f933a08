/* Checkpoints: OUT/checkpoint-N is a model directory with the optimizer's states and the run's place beside the weights; OUT itself becomes one when
 * the run ends. Each appears whole or not at all. While a run is under way OUT holds train.json, by which it is known as one. */
#include "train/train.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char moments_file[] = "optimizer.safetensors", place_file[] = "trainer_state.json", checkpoint_name[] = "checkpoint-", best_name[] = "best";

/* ---- writing ---- */

static bool write_text(lt_ctx *cx, const char *folder, const char *name, const lt_str *s)
{
    const char *path = lt_path_join(cx, folder, name);
    if (!path || !lt_fail_if(cx, s->failed, LT_ERR_MEMORY, "%s: no memory", name)) return false;
    lt_out *out = lt_out_open(cx, path);
    return out && lt_out_write(out, s->data, s->size) ? lt_out_commit(out) : (lt_out_abort(out), false);
}

static bool write_place(lt_ctx *cx, const lt_run *r, const char *folder, bool finished)
{
    const lt_place *p = &r->place;
    lt_str s = {0};
    lt_str_printf(&s, "{\"step\":%" PRId64 ",\"epoch\":%" PRId64 ",\"next\":%" PRId64 ",\"worse\":%" PRId64 ",\"best\":", p->step, p->epoch, p->next, p->worse);
    if (isfinite(p->best)) lt_json_put_double(&s, p->best);
    else lt_str_puts(&s, "null");
    lt_str_printf(&s, ",\"best_step\":%" PRId64, p->best_step);
    for (int i = 0; i < p->recents; i++) {
        lt_str_puts(&s, i ? "," : ",\"recent\":[");
        lt_json_put_double(&s, p->recent[i]);
    }
    if (p->recents) lt_str_puts(&s, "]");
    lt_str_printf(&s, ",\"steps\":%" PRId64 ",\"optimizer\":\"%s\",\"averaged\":%s,\"finished\":%s}\n", r->steps, r->optimizer->is.name,
                  lt_averages(r) ? "true" : "false", finished ? "true" : "false");
    bool good = write_text(cx, folder, place_file, &s);
    lt_str_free(&s);
    return good;
}

static lt_stored as_stored(const char *name, const lt_tensor *t, const void *data)
{
    lt_stored s = {.name = name, .dtype = t->dtype, .rank = t->rank, .data = data, .bytes = lt_dtype_size(t->dtype)};
    for (int d = 0; d < s.rank; d++) s.bytes *= (size_t)(s.shape[d] = t->shape[d]);
    return s;
}

/* Calls fn for all that a checkpoint holds of a parameter beside the model's weights: the optimizer's states; the trained weights where those of the model
 * are an average of them; where they began, if something pulls them there; and the value of what is learned but does not belong to the model. */
typedef struct keeping keeping;
typedef bool keep_fn(lt_ctx *cx, keeping *k, const char *name, const lt_tensor *t, void *data);
struct keeping {
    lt_stored *list; /* writing */
    int n;
    const lt_weights *from; /* reading */
    const char *path;
    bool reads;
};

static bool each_kept(lt_ctx *cx, const lt_run *r, keep_fn *fn, keeping *k)
{
    for (int i = 0; i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        const lt_tensor *value = &t->param->value;
        for (int j = 0; j < LT_STATES; j++)
            if (t->state[j].data && !fn(cx, k, lt_sprintf(cx, "%s.%s", r->optimizer->state[j], t->param->name), &t->state[j], t->state[j].data)) return false;
        if (t->param == r->extra && !fn(cx, k, t->param->name, value, value->data)) return false;
        if (t->start && !fn(cx, k, lt_sprintf(cx, "start.%s", t->param->name), value, t->start)) return false;
        if (!lt_averages(r)) continue;
        if (k->reads) memcpy(t->average, value->data, (size_t)t->count * r->kn->elem); /* the model was read: it has the average */
        if (!fn(cx, k, lt_sprintf(cx, "trained.%s", t->param->name), value, k->reads ? value->data : t->average)) return false;
    }
    return true;
}

static bool keep_one(lt_ctx *cx, keeping *k, const char *name, const lt_tensor *t, void *data)
{
    if (name) k->list[k->n++] = as_stored(name, t, data);
    return name != NULL;
}

static bool write_states(lt_ctx *cx, const lt_run *r, const char *folder)
{
    keeping k = {.list = lt_alloc_array(cx, (int64_t)r->params * (LT_STATES + 2) + 1, sizeof *k.list)};
    const char *path = lt_path_join(cx, folder, moments_file);
    return k.list && path && each_kept(cx, r, keep_one, &k) && lt_safetensors_write(cx, path, k.list, k.n, NULL);
}

static bool write_record(lt_ctx *cx, const lt_run *r, const char *folder)
{
    lt_str s = {0};
    if (!r->o->record) return true;
    lt_str_puts(&s, r->o->record);
    const bool good = write_text(cx, folder, "training.json", &s);
    lt_str_free(&s);
    return good;
}

typedef struct filling {
    const lt_run *r;
    bool last;
} filling;

/* What stood in OUT while the run was under way moves along with it. */
static bool take_along(lt_ctx *cx, const char *from, const char *to)
{
    struct dirent *e;
    DIR *d = opendir(from);
    bool good = true;
    while (d && good && (e = readdir(d))) {
        if (strncmp(e->d_name, checkpoint_name, sizeof checkpoint_name - 1) != 0) continue;
        const char *a = lt_path_join(cx, from, e->d_name), *b = lt_path_join(cx, to, e->d_name);
        good = a && b && (rename(a, b) == 0 || lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", b, strerror(errno)));
    }
    if (d) closedir(d);
    return good;
}

static bool fill(void *arg, lt_ctx *cx, const char *folder)
{
    const filling *f = arg;
    if (!write_record(cx, f->r, folder)) return false;
    if (f->last) return write_place(cx, f->r, folder, true) && take_along(cx, f->r->o->out, folder);
    return write_states(cx, f->r, folder) && write_place(cx, f->r, folder, false);
}

bool lt_checkpoint_save(lt_ctx *cx, lt_run *r, bool last)
{
    lt_scope scope = lt_open(cx, NULL);
    const char *path = last ? r->o->out : lt_sprintf(cx, "%s/%s%" PRId64, r->o->out, checkpoint_name, r->place.step);
    bool good = path && lt_average_show(cx, r);
    if (good) {
        good = lt_model_save_with(cx, r->model, path, fill, &(filling){r, last});
        lt_average_hide(cx, r);
    }
    lt_end(cx, scope);
    return good;
}

static bool fill_best(void *arg, lt_ctx *cx, const char *folder) { return write_place(cx, arg, folder, false); }

bool lt_checkpoint_keep_best(lt_ctx *cx, lt_run *r)
{
    lt_scope scope = lt_open(cx, NULL);
    const char *path = lt_path_join(cx, r->o->out, best_name);
    bool good = path && lt_model_save_with(cx, r->model, path, fill_best, r);
    lt_end(cx, scope);
    return good;
}

/* ---- beginning ---- */

static bool is_ours(lt_ctx *cx, const char *out, bool *empty)
{
    static const char *const marks[] = {"config.json", "modules.json", LT_RUN_MARK};
    struct dirent *e;
    bool ours = false;
    for (int i = 0; i < 3; i++) ours |= lt_is_file(lt_path_join(cx, out, marks[i]));
    DIR *d = opendir(out);
    *empty = d != NULL;
    /* A run that was killed while it wrote its mark leaves that under a temporary name. */
    while (d && (e = readdir(d))) *empty = *empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, LT_LOCK_NAME) == 0 || strncmp(e->d_name, "." LT_RUN_MARK ".", sizeof LT_RUN_MARK + 1) == 0);
    if (d) closedir(d);
    return ours;
}

static void forget(lt_ctx *cx, const char *out)
{
    struct dirent *e;
    DIR *d = opendir(out);
    unlink(lt_path_join(cx, out, place_file));
    const char *best = lt_sprintf(cx, "%s/%s/%s", out, best_name, place_file);
    if (best) unlink(best);
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, checkpoint_name, sizeof checkpoint_name - 1) != 0) continue;
        const char *place = lt_sprintf(cx, "%s/%s/%s", out, e->d_name, place_file);
        if (place) unlink(place);
    }
    if (d) closedir(d);
}

bool lt_checkpoint_begin(lt_ctx *cx, const char *out, bool go_on, lt_lock *lock)
{
    bool empty = true;
    if (mkdir(out, 0777) != 0) {
        if (errno != EEXIST || !lt_is_dir(out)) return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", out, strerror(errno));
        if (!is_ours(cx, out, &empty) && !empty)
            return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: exists, and is neither a model directory nor a run of training; not overwritten", out);
    }
    if (!lt_ok(cx) || !lt_lock_take(cx, lock, out)) return false;
    if (!go_on) forget(cx, out);
    lt_str mark = {0};
    lt_str_puts(&mark, "{\"training\":true}\n");
    bool good = !empty || write_text(cx, out, LT_RUN_MARK, &mark);
    lt_str_free(&mark);
    return good;
}

/* ---- reading ---- */

static bool is_finished(lt_ctx *cx, const char *folder)
{
    const char *path = lt_path_join(cx, folder, place_file);
    if (!path || !lt_is_file(path)) return false;
    lt_json *j = lt_json_load(cx, path);
    bool finished = j && lt_json_bool(lt_json_get(j, "finished"), false);
    lt_json_free(j);
    return finished;
}

char *lt_checkpoint_find(lt_ctx *cx, const char *out, bool *finished)
{
    struct dirent *e;
    int64_t newest = -1;
    *finished = is_finished(cx, out);
    DIR *d = *finished || !lt_ok(cx) ? NULL : opendir(out);
    while (d && (e = readdir(d))) {
        char *end;
        if (strncmp(e->d_name, checkpoint_name, sizeof checkpoint_name - 1) != 0) continue;
        const int64_t step = strtoll(e->d_name + sizeof checkpoint_name - 1, &end, 10);
        const char *place = lt_sprintf(cx, "%s/%s/%s", out, e->d_name, place_file);
        if (!*end && step > newest && place && lt_is_file(place)) newest = step;
    }
    if (d) closedir(d);
    return newest < 0 ? NULL : lt_sprintf(cx, "%s/%s%" PRId64, out, checkpoint_name, newest);
}

char *lt_checkpoint_find_best(lt_ctx *cx, const lt_run *r)
{
    char *folder = lt_path_join(cx, r->o->out, best_name);
    const char *path = folder ? lt_path_join(cx, folder, place_file) : NULL;
    if (!path) return NULL;
    lt_json *j = lt_is_file(path) ? lt_json_load(cx, path) : NULL;
    const int64_t step = lt_json_int(lt_json_get(j, "step"), -1);
    lt_json_free(j);
    return lt_fail_if(cx, step != r->place.best_step, LT_ERR_INPUT, "%s: the model of the best validation, after step %" PRId64 ", is not there: was the run begun with other options?",
                      folder, r->place.best_step) ? folder : NULL;
}

static bool read_one(lt_ctx *cx, keeping *k, const char *name, const lt_tensor *t, void *data)
{
    const lt_stored *s = name ? lt_weights_find(k->from, name) : NULL, want = as_stored(name, t, NULL);
    bool same = s && s->dtype == want.dtype && s->rank == want.rank && s->bytes == want.bytes;
    for (int d = 0; same && d < s->rank; d++) same = s->shape[d] == want.shape[d];
    if (!same)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor \"%s\" is %s: was the run begun with other options?", k->path, name ? name : "",
                          s ? "of another shape" : "absent");
    memcpy(data, s->data, s->bytes);
    k->n++;
    return true;
}

static bool read_states(lt_ctx *cx, lt_run *r, const char *folder)
{
    keeping k = {.reads = true, .path = lt_path_join(cx, folder, moments_file)};
    lt_weights *w = k.path ? lt_weights_open(cx, k.path) : NULL;
    k.from = w;
    bool good = w && each_kept(cx, r, read_one, &k) &&
                lt_fail_if(cx, k.n != lt_weights_count(w), LT_ERR_INPUT, "%s: %d tensors, %d are expected: was the run begun with other options?", k.path,
                           lt_weights_count(w), k.n);
    lt_weights_close(w);
    return good;
}

/* Checkpoints of before say neither; their tensors tell. */
static bool is_of_this_run(lt_ctx *cx, const lt_run *r, const char *path, const lt_json *j)
{
    const lt_json *averaged = lt_json_get(j, "averaged");
    size_t size = 0;
    const char *name = lt_json_text(lt_json_get(j, "optimizer"), &size);
    return lt_fail_if(cx, name && strcmp(name, r->optimizer->is.name) != 0, LT_ERR_USAGE, "%s: the run was begun with optimizer %s, not %s", path, name,
                      r->optimizer->is.name) &&
           lt_fail_if(cx, averaged && lt_json_bool(averaged, false) != lt_averages(r), LT_ERR_USAGE, "%s: the run was begun %s ema", path,
                      lt_averages(r) ? "without" : "with");
}

bool lt_checkpoint_load(lt_ctx *cx, lt_run *r, const char *folder)
{
    const char *path = lt_path_join(cx, folder, place_file);
    lt_json *j = path ? lt_json_load(cx, path) : NULL;
    if (!j) return false;
    lt_place *p = &r->place;
    p->step = lt_json_int(lt_json_get(j, "step"), -1);
    p->epoch = lt_json_int(lt_json_get(j, "epoch"), -1);
    p->next = lt_json_int(lt_json_get(j, "next"), -1);
    p->worse = lt_json_int(lt_json_get(j, "worse"), 0);
    p->best = lt_json_num(lt_json_get(j, "best"), INFINITY);
    p->best_step = lt_json_int(lt_json_get(j, "best_step"), 0);
    const lt_json *recent = lt_json_get(j, "recent");
    const int64_t recents = lt_json_size(recent) < LT_RECENT ? lt_json_size(recent) : LT_RECENT;
    for (p->recents = 0; p->recents < recents; p->recents++) p->recent[p->recents] = lt_json_num(lt_json_at(recent, p->recents), 0);
    const bool ours = is_of_this_run(cx, r, path, j);
    lt_json_free(j);
    if (!ours) return false;
    if (p->step < 0 || p->epoch < 0 || p->next < 0 || p->next > r->train.n)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: not the place of a run over these %" PRId64 " examples", path, r->train.n);
    return read_states(cx, r, folder);
}
