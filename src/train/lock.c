/* One run at a time in one OUT: a lock of the whole file (flock), which the system gives back however the run ends. The file holds the number of the
 * process, for who finds the place taken. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/train.h"

static bool taken(lt_ctx *cx, const char *out, int fd)
{
    char who[32] = "";
    const ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = 0;
    who[strspn(who, "0123456789")] = 0;
    close(fd);
    return lt_fail_if(cx, true, LT_ERR_IO, "%s: another run is under way there%s%s%s", out, *who ? " (process " : "", who, *who ? ")" : "");
}

/* Whether the path still names the open file: who held the lock before may have removed it. */
static bool is_at(const char *path, int fd)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

bool lt_lock_take(lt_ctx *cx, lt_lock *lock, const char *out)
{
    if (lock->fd) return true;
    const char *name = lt_path_join(cx, out, LT_LOCK_NAME);
    if (!name || !(lock->path = lt_strdup(cx, name))) return false;
    for (bool mine = false; !mine;) {
        const int fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", lock->path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return taken(cx, out, fd);
        mine = is_at(lock->path, fd); /* a file system that has no locks is taken as it is */
        lock->fd = fd + 1;
        if (!mine) close(fd);
    }
    char who[32];
    const int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
    if (ftruncate(lock->fd - 1, 0) != 0 || pwrite(lock->fd - 1, who, (size_t)n, 0) != n) return true; /* a disk that is full: no number, then */
    return true;
}

void lt_lock_release(lt_lock *lock)
{
    if (lock->fd) {
        if (is_at(lock->path, lock->fd - 1)) unlink(lock->path);
        close(lock->fd - 1);
    }
    lt_free(lock->path);
    *lock = (lt_lock){0};
}
