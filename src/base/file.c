/* Reading files: regular ones are mapped, so that weights cost no memory before they are touched; pipes and devices are
 * read into anonymous memory, up to a limit that keeps an endless device from eating the machine. */
#include "base/ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t MOST_FROM_PIPE = (size_t)1 << 30;

static bool map_regular(lt_ctx *cx, lt_map *map, int fd, off_t size, const char *path)
{
    if ((uint64_t)size > SIZE_MAX / 2) return lt_fail_if(cx, true, LT_ERR_IO, "%s: too large to be mapped", path);
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return lt_io_error(cx, path);
    map->data = p;
    map->size = (size_t)size;
    return true;
}

static bool widen(lt_ctx *cx, uint8_t **data, size_t *capacity, const char *path)
{
    if (*capacity >= MOST_FROM_PIPE)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: more than the %zu bytes that are read from a pipe or device", path,
                          MOST_FROM_PIPE);
    void *wide = mremap(*data, *capacity, 2 * *capacity, MREMAP_MAYMOVE);
    if (wide == MAP_FAILED) return lt_fail_if(cx, true, LT_ERR_MEMORY, "%s: no memory for %zu bytes", path, 2 * *capacity);
    *data = wide;
    *capacity *= 2;
    return true;
}

/* To the end of a pipe; the result is unmapped like a file, so memory past its last page is given back here. */
static bool read_all(lt_ctx *cx, lt_map *map, int fd, const char *path)
{
    size_t capacity = 1 << 16, size = 0, page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return lt_fail_if(cx, true, LT_ERR_MEMORY, "%s: no memory for %zu bytes", path, capacity);
    bool good = true;
    while (good) {
        ssize_t got = read(fd, data + size, capacity - size);
        if (got == 0) break;
        if (got < 0) {
            good = errno == EINTR ? lt_ok(cx) : lt_io_error(cx, path);
            continue;
        }
        size += (size_t)got;
        if (size == capacity) good = widen(cx, &data, &capacity, path);
    }
    size_t keep = good ? (size + page - 1) / page * page : 0;
    if (keep < capacity) munmap(data + keep, capacity - keep);
    if (good && size) {
        map->data = data;
        map->size = size;
    }
    return good;
}

bool lt_map_open(lt_ctx *cx, lt_map *map, const char *path)
{
    *map = (lt_map){0};
    if (!lt_ok(cx)) return false;
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR && lt_ok(cx));
    if (fd < 0) return lt_io_error(cx, path);
    struct stat st;
    bool good = fstat(fd, &st) == 0 || lt_io_error(cx, path);
    good = good && lt_fail_if(cx, S_ISDIR(st.st_mode), LT_ERR_IO, "%s: %s", path, strerror(EISDIR));
    map->data = (const uint8_t *)"";
    /* A regular file of size 0 may be one of /proc, which has content all the same. */
    if (good)
        good = S_ISREG(st.st_mode) && st.st_size > 0 ? map_regular(cx, map, fd, st.st_size, path) : read_all(cx, map, fd, path);
    close(fd);
    if (good) good = (map->path = lt_strdup(cx, path)) != NULL;
    if (!good) lt_map_close(map);
    return good;
}

void lt_map_close(lt_map *map)
{
    if (map->size) munmap((void *)map->data, map->size);
    free(map->path);
    *map = (lt_map){0};
}

bool lt_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool lt_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Always below `dir`, even where `name` begins with a slash: names come out of files. */
char *lt_path_join(lt_ctx *cx, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return lt_sprintf(cx, "%s%s%s", dir, n == 0 || dir[n - 1] == '/' ? "" : "/", name);
}
