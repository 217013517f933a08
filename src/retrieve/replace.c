/* Renaming a new SQLite file over an old one, safely: a journal that a killed writer left beside the old file must not be
 * played into the new one, and nobody may be writing at that moment (https://sqlite.org/howtocorrupt.html, section 1.3 and
 * 2.4). Writers that still have the old file open are told by SQLite itself that it has moved. */
#include "retrieve/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "retrieve/index.h"

/* Whether a file begins as SQLite's do, with our application id at byte 68. */
static bool is_index(const char *path)
{
    uint8_t head[72] = {0};
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) fclose(f);
    uint32_t id = (uint32_t)head[68] << 24 | (uint32_t)head[69] << 16 | (uint32_t)head[70] << 8 | head[71];
    return n == sizeof head && !memcmp(head, "SQLite format 3", 16) && id == LT_INDEX_APPLICATION;
}

static bool may_replace(lt_ctx *cx, const char *path)
{
    struct stat st;
    if (!*path) return lt_fail_if(cx, true, LT_ERR_USAGE, "the name of a file is expected, found ''");
    if (stat(path, &st) != 0) return errno == ENOENT || lt_io_error(cx, path);
    if (!S_ISREG(st.st_mode)) return lt_fail_if(cx, true, LT_ERR_IO, "%s: exists and is no file", path);
    if (access(path, W_OK) != 0) return lt_io_error(cx, path);
    return st.st_size == 0 || lt_fail_if(cx, !is_index(path), LT_ERR_IO, "%s: exists and is no index; not overwritten", path);
}

static size_t folder_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The file itself where it exists, behind all links. */
static char *resolve(lt_ctx *cx, const char *path)
{
    char *real = realpath(path, NULL);
    char *target = lt_strdup(cx, real ? real : path);
    free(real);
    return target;
}

bool lt_replace_begin(lt_ctx *cx, const char *path, char **target, char **file)
{
    if (!may_replace(cx, path) || !(*target = resolve(cx, path))) return false;
    size_t folder = folder_size(*target);
    lt_str s = {0};
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; i < 10000 && fd < 0 && errno == EEXIST; i++) {
        lt_str_clear(&s);
        lt_str_printf(&s, "%.*s.%.200s.%ld.%d.tmp", (int)folder, *target, *target + folder, (long)getpid(), i);
        if (s.failed) break;
        fd = open(s.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        if (s.failed)
            lt_fail(cx, LT_ERR_MEMORY, "%s: no memory", path);
        else
            lt_io_error(cx, path);
        lt_str_free(&s);
        return false;
    }
    close(fd);
    *file = s.data;
    return true;
}

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return false;
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

/* The folder too, so that the new name is on the disk; some file systems cannot, and then it is as good as they can do. */
static void sync_folder(const char *path)
{
    size_t n = folder_size(path);
    char *folder = n ? strndup(path, n) : strdup(".");
    if (folder) sync_path(folder, O_RDONLY | O_DIRECTORY);
    free(folder);
}

static void unlink_journal(const char *target)
{
    lt_str s = {0};
    lt_str_printf(&s, "%s-journal", target);
    if (!s.failed) unlink(s.data);
    lt_str_free(&s);
}

/* Locks the old index so that no one writes to it while it is replaced, and settles a journal left beside it. *old NULL: there is
 * none that could be locked, and what lies around of it is worthless. */
static bool lock_old(lt_ctx *cx, const char *path, const char *target, sqlite3 **old)
{
    *old = NULL;
    struct stat st;
    if (stat(target, &st) != 0) {
        unlink_journal(target);
        return true;
    }
    int rc = sqlite3_open_v2(target, old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc) sqlite3_busy_timeout(*old, LT_BUSY_MS);
    if (!rc) rc = sqlite3_exec(*old, "BEGIN EXCLUSIVE; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    if (rc) {
        sqlite3_close(*old);
        *old = NULL;
    }
    if ((rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED)
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: cannot be replaced: another process is using the index (waited %d s)", path,
                          LT_BUSY_MS / 1000);
    unlink_journal(target); /* what was to be taken back has been: the rest is a writer's that died before it changed anything */
    return true;
}

bool lt_replace_commit(lt_ctx *cx, const char *path, const char *file, const char *target)
{
    sqlite3 *old;
    if (!sync_path(file, O_RDONLY)) return lt_io_error(cx, path);
    if (!lock_old(cx, path, target, &old)) return false;
    bool good = rename(file, target) == 0 || lt_io_error(cx, path);
    sqlite3_close(old);
    if (good) sync_folder(target);
    return good;
}
