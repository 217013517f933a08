/* Writing files so that a reader sees the old content or the new, whole: into a temporary name beside the target, synced,
 * renamed over it, and the folder synced. What is no regular file (a pipe, a terminal, /dev/null) is written straight. */
#include "base/ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, MOST_TRIES = 10000, MOST_LINKS = 40 };

struct lt_out {
    lt_ctx *cx;
    int fd;
    bool failed;
    char *path;   /* as the caller gave it, for messages */
    char *target; /* with links followed; NULL: written straight */
    char *temp;   /* in the target's folder */
    size_t used;
    uint8_t buffer[BUFFER];
};

/* "/dev/stdout" and its like name open descriptors of this process: opening them anew would lose their place. -1: not one. */
static int named_descriptor(const char *path)
{
    if (!strcmp(path, "/dev/stdout")) return 1;
    if (!strcmp(path, "/dev/stderr")) return 2;
    const char *digits = !strncmp(path, "/dev/fd/", 8) ? path + 8 : !strncmp(path, "/proc/self/fd/", 14) ? path + 14 : "";
    char *end;
    long fd = *digits >= '0' && *digits <= '9' ? strtol(digits, &end, 10) : -1;
    return fd >= 0 && fd <= INT_MAX && !*end ? (int)fd : -1;
}

/* The folder part of `path`, as a string to put a name behind; owned. */
static char *folder_of(lt_ctx *cx, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = lt_strdup(cx, slash ? path : "./");
    if (folder && slash) folder[slash - path + 1] = 0;
    return folder;
}

static char *concat(lt_ctx *cx, const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    char *text = lt_new(cx, (int64_t)(n + m + 1), 1);
    if (!text) return NULL;
    memcpy(text, a, n);
    memcpy(text + n, b, m + 1);
    return text;
}

/* One step along a symbolic link: what `path` points at; NULL with *is_link false when it is none. Owned. */
static char *follow_link(lt_ctx *cx, const char *path, bool *is_link)
{
    char to[PATH_MAX + 1];
    ssize_t n = readlink(path, to, PATH_MAX);
    *is_link = n >= 0;
    if (n < 0) return NULL;
    to[n] = 0;
    if (to[0] == '/') return lt_strdup(cx, to);
    char *folder = folder_of(cx, path), *next = folder ? concat(cx, folder, to) : NULL;
    lt_free(folder);
    return next;
}

/* Links are written through, also those that point at nothing yet. */
static char *resolve(lt_ctx *cx, const char *path)
{
    char *target = lt_strdup(cx, path);
    for (int i = 0; target; i++) {
        bool is_link;
        char *next = follow_link(cx, target, &is_link);
        if (!is_link) return target;
        lt_free(target);
        target = next;
        if (i == MOST_LINKS) {
            errno = ELOOP;
            lt_io_error(cx, path);
            break;
        }
    }
    lt_free(target);
    return NULL;
}

static bool open_straight(lt_out *out, int descriptor)
{
    do out->fd = descriptor >= 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, 0) : open(out->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    while (out->fd < 0 && errno == EINTR && lt_ok(out->cx));
    return out->fd >= 0 || lt_io_error(out->cx, out->path);
}

/* A new file beside the target, of a name that nobody has: ".NAME.PID.COUNTER.tmp". */
static bool open_temp(lt_out *out)
{
    char *folder = folder_of(out->cx, out->target);
    if (!folder) return false;
    const char *slash = strrchr(out->target, '/'), *name = slash ? slash + 1 : out->target;
    size_t size = strlen(folder) + 300;
    out->temp = lt_new(out->cx, (int64_t)size, 1);
    errno = EEXIST;
    for (int i = 0; out->temp && out->fd < 0 && errno == EEXIST && i < MOST_TRIES; i++) {
        snprintf(out->temp, size, "%s.%.200s.%ld.%d.tmp", folder, name, (long)getpid(), i);
        out->fd = open(out->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    lt_free(folder);
    if (out->fd >= 0) return true;
    lt_io_error(out->cx, out->path);
    lt_free(out->temp);
    out->temp = NULL;
    return false;
}

/* The new file gets the mode of the one it replaces, and its owner where that is allowed. */
static bool take_over(lt_out *out, const struct stat *old)
{
    if (access(out->target, W_OK) != 0) return lt_io_error(out->cx, out->path);
    if (fchown(out->fd, old->st_uid, old->st_gid) != 0) errno = 0;
    return fchmod(out->fd, old->st_mode & 0777) == 0 || lt_io_error(out->cx, out->path);
}

static bool open_target(lt_out *out)
{
    int descriptor = named_descriptor(out->path);
    if (descriptor >= 0) return open_straight(out, descriptor);
    if (!out->path[0]) return lt_fail_if(out->cx, true, LT_ERR_USAGE, "the name of a file is expected, found ''");
    struct stat st;
    bool exists = stat(out->path, &st) == 0;
    if (!exists && errno != ENOENT) return lt_io_error(out->cx, out->path); /* a name that cannot be, known before any work is done */
    if (exists && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return lt_io_error(out->cx, out->path);
    }
    if (exists && !S_ISREG(st.st_mode)) return open_straight(out, -1);
    out->target = resolve(out->cx, out->path);
    return out->target && open_temp(out) && (!exists || take_over(out, &st));
}

static void out_free(lt_out *out)
{
    if (out->fd >= 0) close(out->fd);
    if (out->temp) unlink(out->temp);
    lt_free(out->path);
    lt_free(out->target);
    lt_free(out->temp);
    lt_free(out);
}

lt_out *lt_out_open(lt_ctx *cx, const char *path)
{
    if (!lt_ok(cx)) return NULL;
    lt_out *out = lt_new(cx, 1, sizeof *out);
    if (!out) return NULL;
    out->cx = cx;
    out->fd = -1;
    out->path = lt_strdup(cx, path);
    if (out->path && open_target(out)) return out;
    out_free(out);
    return NULL;
}

static bool write_all(lt_out *out, const uint8_t *p, size_t n)
{
    while (n && !out->failed) {
        ssize_t wrote = write(out->fd, p, n < INT_MAX ? n : INT_MAX);
        if (wrote < 0) {
            out->failed = !(errno == EINTR ? lt_ok(out->cx) : lt_io_error(out->cx, out->path));
            continue;
        }
        p += wrote;
        n -= (size_t)wrote;
    }
    return !out->failed;
}

static bool flush(lt_out *out)
{
    size_t n = out->used;
    out->used = 0;
    return write_all(out, out->buffer, n);
}

bool lt_out_write(lt_out *out, const void *bytes, size_t n)
{
    if (!out || out->failed) return false;
    if (n > BUFFER - out->used && !flush(out)) return false;
    if (n >= BUFFER) return write_all(out, bytes, n);
    if (n) memcpy(out->buffer + out->used, bytes, n);
    out->used += n;
    return true;
}

bool lt_out_patch(lt_out *out, uint64_t offset, const void *bytes, size_t n)
{
    if (!out || out->failed || !flush(out)) return false;
    out->failed = !lt_fail_if(out->cx, !out->target, LT_ERR_USAGE,
                              "%s: expected a file, whose beginning can be filled in at the end", out->path);
    for (const uint8_t *p = bytes; n && !out->failed;) {
        ssize_t wrote = pwrite(out->fd, p, n < INT_MAX ? n : INT_MAX, (off_t)offset);
        if (wrote < 0) {
            out->failed = !(errno == EINTR ? lt_ok(out->cx) : lt_io_error(out->cx, out->path));
            continue;
        }
        p += wrote;
        n -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return !out->failed;
}

bool lt_sync_folder(lt_ctx *cx, const char *folder, const char *path)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return true;
    bool good = fsync(fd) == 0 || errno == EINVAL || errno == EROFS || lt_io_error(cx, path);
    close(fd);
    return good;
}

static bool sync_folder(lt_out *out)
{
    char *folder = folder_of(out->cx, out->target);
    bool good = folder && lt_sync_folder(out->cx, folder, out->path);
    lt_free(folder);
    return good;
}

static bool put_in_place(lt_out *out)
{
    if (fsync(out->fd) != 0) return lt_io_error(out->cx, out->path);
    int fd = out->fd;
    out->fd = -1;
    if (close(fd) != 0) return lt_io_error(out->cx, out->path);
    if (rename(out->temp, out->target) != 0) return lt_io_error(out->cx, out->path);
    lt_free(out->temp);
    out->temp = NULL;
    return sync_folder(out);
}

bool lt_out_commit(lt_out *out)
{
    if (!out) return false;
    /* An error anywhere in the context means that the content is not whole, even if all writes went well. */
    bool good = lt_ok(out->cx) && flush(out);
    if (good && out->target) good = put_in_place(out);
    out_free(out);
    return good;
}

void lt_out_abort(lt_out *out)
{
    if (out) out_free(out);
}
