/* Checkpoints: OUT/checkpoint-N is a model directory with the optimizer's moments and the run's place beside the weights; OUT itself becomes one when
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

static const char moments_file[] = "optimizer.safetensors", place_file[] = "trainer_state.json", checkpoint_name[] = "checkpoint-";

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
    for (int i = 0; i < p->recents; i++) {
        lt_str_puts(&s, i ? "," : ",\"recent\":[");
        lt_json_put_double(&s, p->recent[i]);
    }
    if (p->recents) lt_str_puts(&s, "]");
    lt_str_printf(&s, ",\"steps\":%" PRId64 ",\"finished\":%s}\n", r->steps, finished ? "true" : "false");
    bool good = write_text(cx, folder, place_file, &s);
    lt_str_free(&s);
    return good;
}

static lt_stored as_stored(const char *name, const lt_trained *t, const lt_run *r, const void *data)
{
    const lt_tensor *v = &t->param->value;
    lt_stored s = {.name = name, .dtype = v->dtype, .rank = v->rank, .data = data, .bytes = (size_t)t->count * r->kn->elem};
    for (int d = 0; d < s.rank; d++) s.shape[d] = v->shape[d];
    return s;
}

/* And what is learned but does not belong to the model. */
static bool write_moments(lt_ctx *cx, const lt_run *r, const char *folder)
{
    const int per = r->optimizer->moments;
    int n = 0;
    lt_stored *list = lt_alloc_array(cx, (int64_t)r->params * per + 1, sizeof *list);
    const char *path = lt_path_join(cx, folder, moments_file);
    if (!list || !path) return false;
    for (int i = 0; i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        for (int k = 0; k < per; k++) {
            const char *name = lt_sprintf(cx, "moment%d.%s", k + 1, t->param->name);
            if (!name) return false;
            list[n++] = as_stored(name, t, r, t->moment[k]);
        }
        if (t->param == r->extra) list[n++] = as_stored(t->param->name, t, r, t->param->value.data);
    }
    return lt_safetensors_write(cx, path, list, n, NULL);
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
    return write_moments(cx, f->r, folder) && write_place(cx, f->r, folder, false);
}

bool lt_checkpoint_save(lt_ctx *cx, lt_run *r, bool last)
{
    lt_scope scope = lt_open(cx, NULL);
    const char *path = last ? r->o->out : lt_sprintf(cx, "%s/%s%" PRId64, r->o->out, checkpoint_name, r->place.step);
    bool good = path && lt_model_save_with(cx, r->model, path, fill, &(filling){r, last});
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

static bool read_stored(lt_ctx *cx, const lt_weights *w, const char *path, const char *name, const lt_trained *t, const lt_run *r, void *to)
{
    const lt_stored *s = name ? lt_weights_find(w, name) : NULL;
    if (!s || s->bytes != (size_t)t->count * r->kn->elem || s->dtype != t->param->value.dtype)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor \"%s\" is absent or of another size: was the run begun with other options?", path, name ? name : "");
    memcpy(to, s->data, s->bytes);
    return true;
}

static bool read_moments(lt_ctx *cx, lt_run *r, const char *folder)
{
    const char *path = lt_path_join(cx, folder, moments_file);
    lt_weights *w = path ? lt_weights_open(cx, path) : NULL;
    bool good = w != NULL;
    for (int i = 0; good && i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        for (int k = 0; good && k < r->optimizer->moments; k++)
            good = read_stored(cx, w, path, lt_sprintf(cx, "moment%d.%s", k + 1, t->param->name), t, r, t->moment[k]);
        if (good && t->param == r->extra) good = read_stored(cx, w, path, t->param->name, t, r, t->param->value.data);
    }
    lt_weights_close(w);
    return good;
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
    const lt_json *recent = lt_json_get(j, "recent");
    const int64_t recents = lt_json_size(recent) < LT_RECENT ? lt_json_size(recent) : LT_RECENT;
    for (p->recents = 0; p->recents < recents; p->recents++) p->recent[p->recents] = lt_json_num(lt_json_at(recent, p->recents), 0);
    lt_json_free(j);
    if (p->step < 0 || p->epoch < 0 || p->next < 0 || p->next > r->train.n)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: not the place of a run over these %" PRId64 " examples", path, r->train.n);
    return read_moments(cx, r, folder);
}
