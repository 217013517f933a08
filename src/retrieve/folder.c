/* A folder as a collection: each text file under it is a document, named by its path. Hidden files and folders and binary
 * files (with NUL bytes) are passed over; links to folders are not followed, so there is an end. */
#include "retrieve/documents.h"

#include "base/ctx.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_DEPTH = 128 };
static const size_t MOST_FILE = (size_t)256 << 20;

struct lt_folder {
    char *root;  /* ends in a slash */
    char **name; /* [n], below the root */
    int64_t n, capacity, next, bytes, done;
    lt_map map;
};

static bool add_name(lt_ctx *cx, lt_folder *f, const char *name)
{
    if (f->n == f->capacity) {
        int64_t want = f->capacity ? 2 * f->capacity : 64;
        char **wide = lt_resize(cx, f->name, want, sizeof *wide);
        if (!wide) return false;
        f->name = wide;
        f->capacity = want;
    }
    f->name[f->n] = lt_strdup(cx, name);
    return f->name[f->n] && ++f->n;
}

static bool walk(lt_ctx *cx, lt_folder *f, const char *below, int depth);

static bool visit(lt_ctx *cx, lt_folder *f, const char *name, int depth)
{
    struct stat st, link;
    const char *path = lt_sprintf(cx, "%s%s", f->root, name);
    if (!path) return false;
    if (lstat(path, &link) != 0 || stat(path, &st) != 0) return true; /* gone meanwhile, or a link to nowhere */
    if (S_ISDIR(st.st_mode)) return S_ISLNK(link.st_mode) || walk(cx, f, name, depth + 1);
    if (!S_ISREG(st.st_mode)) return true;
    f->bytes += st.st_size;
    return add_name(cx, f, name);
}

static bool walk(lt_ctx *cx, lt_folder *f, const char *below, int depth)
{
    if (depth > MOST_DEPTH)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s%s: folders nested deeper than %d", f->root, below, MOST_DEPTH);
    lt_scope scope = lt_open(cx, NULL);
    const char *path = lt_sprintf(cx, "%s%s", f->root, below);
    DIR *d = path ? opendir(path) : NULL;
    bool good = d || (path && lt_io_error(cx, path));
    for (struct dirent *e; good && lt_ok(cx) && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        lt_scope inner = lt_open(cx, NULL);
        const char *name = lt_sprintf(cx, "%s%s%s", below, *below ? "/" : "", e->d_name);
        good = name && visit(cx, f, name, depth);
        lt_end(cx, inner);
    }
    if (d) closedir(d);
    lt_end(cx, scope);
    return good && lt_ok(cx);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

lt_folder *lt_folder_open(lt_ctx *cx, const char *path)
{
    lt_folder *f = lt_new(cx, 1, sizeof *f);
    lt_str root = {0};
    if (!f) return NULL;
    size_t n = strlen(path);
    lt_str_printf(&root, "%s%s", path, n && path[n - 1] == '/' ? "" : "/");
    f->root = root.data;
    if (root.failed) lt_fail(cx, LT_ERR_MEMORY, "%s: no memory", path);
    if (!root.failed && walk(cx, f, "", 0)) {
        if (f->n) qsort(f->name, (size_t)f->n, sizeof *f->name, by_name);
        return f;
    }
    lt_folder_close(f);
    return NULL;
}

void lt_folder_close(lt_folder *f)
{
    if (!f) return;
    for (int64_t i = 0; i < f->n; i++) lt_free(f->name[i]);
    lt_map_close(&f->map);
    lt_free(f->name);
    lt_free(f->root);
    lt_free(f);
}

int64_t lt_folder_bytes(const lt_folder *f) { return f->bytes; }
int64_t lt_folder_done(const lt_folder *f) { return f->done; }

bool lt_folder_next(lt_ctx *cx, lt_folder *f, lt_document *doc)
{
    while (lt_ok(cx)) {
        f->done += (int64_t)f->map.size;
        lt_map_close(&f->map);
        f->map = (lt_map){0};
        if (f->next == f->n) return false;
        const char *name = f->name[f->next++];
        lt_scope scope = lt_open(cx, NULL);
        const char *path = lt_sprintf(cx, "%s%s", f->root, name);
        bool good = path && lt_map_open(cx, &f->map, path);
        if (good && f->map.size > MOST_FILE)
            good = lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %zu bytes, more than the %zu of one document", path, f->map.size,
                              MOST_FILE);
        lt_end(cx, scope);
        if (!good) return false;
        if (memchr(f->map.data, 0, f->map.size) || lt_is_blank((const char *)f->map.data, f->map.size)) continue;
        *doc = (lt_document){.id = name, .title = "", .text = (const char *)f->map.data, .text_size = f->map.size};
        return true;
    }
    return false;
}
