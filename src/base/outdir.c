/* Writing a folder of files so that a reader sees the old one or the new, whole: it is filled under a temporary name beside the
 * target, synced, and renamed; where the target is there already, the two change places (renameat2) and the old one is removed. */
#include "base/ctx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TRIES = 10000 };

struct lt_outdir {
    lt_ctx *cx;
    char *path;   /* as the caller gave it, for messages */
    char *target; /* the folder itself, behind links, without a slash at its end */
    char *temp;
    bool exists;  /* the target was there at the beginning */
};

static void outdir_free(lt_outdir *f)
{
    lt_free(f->path);
    lt_free(f->target);
    lt_free(f->temp);
    lt_free(f);
}

/* Removes what is at a path, folders with all that is in them, links as links. Paths are owned: a cancelled context's scopes are in no
 * state to be relied on. */
static void remove_all(const char *path)
{
    struct dirent *e;
    DIR *d = unlink(path) != 0 ? opendir(path) : NULL;
    while (d && (e = readdir(d))) {
        lt_str inside = {0};
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        lt_str_printf(&inside, "%s/%s", path, e->d_name);
        if (!inside.failed) remove_all(inside.data);
        lt_str_free(&inside);
    }
    if (!d) return;
    closedir(d);
    rmdir(path);
}

/* ---- opening ---- */

static bool may_replace(lt_ctx *cx, lt_outdir *f, const char *proof)
{
    struct stat st;
    if (stat(f->path, &st) != 0) return errno == ENOENT || lt_io_error(cx, f->path);
    f->exists = true;
    if (!S_ISDIR(st.st_mode)) return lt_fail_if(cx, true, LT_ERR_IO, "%s: exists and is no folder", f->path);
    char *file = lt_path_join(cx, f->path, proof);
    return file && lt_fail_if(cx, !lt_is_file(file), LT_ERR_IO, "%s: exists, and without a %s in it; not overwritten", f->path, proof);
}

static bool make_temp(lt_ctx *cx, lt_outdir *f)
{
    const char *slash = strrchr(f->target, '/');
    int folder = slash ? (int)(slash - f->target) + 1 : 0, made = -1;
    size_t size = strlen(f->target) + 300;
    f->temp = lt_new(cx, (int64_t)size, 1);
    errno = EEXIST;
    for (int i = 0; f->temp && made != 0 && errno == EEXIST && i < MOST_TRIES; i++) {
        snprintf(f->temp, size, "%.*s.%.200s.%ld.%d.tmp", folder, f->target, f->target + folder, (long)getpid(), i);
        made = mkdir(f->temp, 0777);
    }
    if (made == 0) return true;
    if (f->temp) lt_io_error(cx, f->path);
    lt_free(f->temp);
    f->temp = NULL;
    return false;
}

lt_outdir *lt_outdir_open(lt_ctx *cx, const char *path, const char *proof)
{
    if (!lt_ok(cx)) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    lt_outdir *f = lt_new(cx, 1, sizeof *f);
    bool good = f && (f->path = lt_strdup(cx, path)) && lt_fail_if(cx, !*path, LT_ERR_USAGE, "the name of a folder is expected") &&
                may_replace(cx, f, proof);
    if (good) {
        char *real = f->exists ? realpath(path, NULL) : NULL;
        f->target = lt_strdup(cx, real ? real : path);
        free(real);
        for (size_t n = f->target ? strlen(f->target) : 0; n > 1 && f->target[n - 1] == '/'; n--) f->target[n - 1] = 0;
        f->cx = cx;
        good = f->target && make_temp(cx, f);
    }
    lt_end(cx, scope);
    if (good) return f;
    if (f) outdir_free(f);
    return NULL;
}

const char *lt_outdir_path(const lt_outdir *f) { return f->temp; }

/* ---- ending ---- */

static bool sync_parent(lt_outdir *f)
{
    char *slash = strrchr(f->target, '/');
    if (!slash) return lt_sync_folder(f->cx, ".", f->path);
    slash[slash == f->target] = 0; /* the target has its place: its name is not needed any more */
    return lt_sync_folder(f->cx, f->target, f->path);
}

/* Where the system cannot let two folders change places, there is a moment in which the target is not there. */
static bool change_places(lt_outdir *f)
{
    if (renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->target, RENAME_EXCHANGE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return lt_io_error(f->cx, f->path);
    lt_str old = {0};
    lt_str_printf(&old, "%s.old", f->temp);
    bool good = !old.failed && rename(f->target, old.data) == 0;
    if (good && rename(f->temp, f->target) != 0) {
        lt_io_error(f->cx, f->path);
        rename(old.data, f->target);
        good = false;
    } else if (good) {
        rename(old.data, f->temp);
    } else {
        lt_io_error(f->cx, f->path);
    }
    lt_str_free(&old);
    return good;
}

static bool put_in_place(lt_outdir *f)
{
    if (!lt_sync_folder(f->cx, f->temp, f->path)) return false;
    return f->exists ? change_places(f) : rename(f->temp, f->target) == 0 || lt_io_error(f->cx, f->path);
}

bool lt_outdir_commit(lt_outdir *f)
{
    if (!f) return false;
    bool good = lt_ok(f->cx) && put_in_place(f);
    if (!good || f->exists) remove_all(f->temp);
    good = good && sync_parent(f);
    outdir_free(f);
    return good;
}

void lt_outdir_abort(lt_outdir *f)
{
    if (!f) return;
    remove_all(f->temp);
    outdir_free(f);
}

bool lt_file_copy(lt_ctx *cx, const char *from, const char *to)
{
    enum { PIECE = 1 << 22 };
    lt_map map;
    if (!lt_ok(cx) || !lt_map_open(cx, &map, from)) return false;
    lt_out *out = lt_out_open(cx, to);
    bool good = out != NULL;
    for (size_t at = 0; good && at < map.size; at += PIECE) /* in pieces, so that a stop is seen soon */
        good = lt_ok(cx) && lt_out_write(out, map.data + at, map.size - at < PIECE ? map.size - at : PIECE);
    good = good ? lt_out_commit(out) : (lt_out_abort(out), false);
    lt_map_close(&map);
    return good;
}
