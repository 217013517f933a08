/* Which recipes there are: the folder they lie in, found from where the binary lies, and what their first lines say. */
#include "cli/recipes.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_RECIPES = 1000, HEAD = 4096 };

const char *lt_recipes_self(lt_ctx *cx)
{
    char path[PATH_MAX + 1];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    if (n <= 0) return lt_fail(cx, LT_ERR_IO, "/proc/self/exe: %s", strerror(errno));
    path[n] = 0;
    return lt_sprintf(cx, "%s", path);
}

static const char *find_folder(lt_ctx *cx)
{
    static const char *const beside[] = {"../share/lathe/recipes", "../recipes", "../../recipes"};
    const char *given = getenv("LATHE_RECIPES"), *self = given ? NULL : lt_recipes_self(cx);
    if (given && *given) return lt_fail_if(cx, !lt_is_dir(given), LT_ERR_IO, "LATHE_RECIPES: %s: no such folder", given) ? given : NULL;
    const char *slash = self ? strrchr(self, '/') : NULL;
    for (int i = 0; slash && i < 3; i++) {
        char *folder = lt_sprintf(cx, "%.*s/%s", (int)(slash - self), self, beside[i]);
        char *plain = folder && lt_is_dir(folder) ? realpath(folder, NULL) : NULL; /* without the dots */
        if (plain) folder = lt_sprintf(cx, "%s", plain);
        const bool found = plain != NULL;
        free(plain);
        if (found) return folder;
    }
    return NULL;
}

/* What stands behind "# KEY: " in one of the lines that the file begins with; "" where none does. */
static const char *header(lt_ctx *cx, const char *text, size_t size, const char *key)
{
    size_t n = strlen(key);
    const char *end = text + size, *stop;
    for (const char *p = text; p < end && *p == '#'; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) break;
        if ((size_t)(stop - p) > n + 4 && !memcmp(p, "# ", 2) && !memcmp(p + 2, key, n) && !memcmp(p + 2 + n, ": ", 2))
            return lt_sprintf(cx, "%.*s", (int)(stop - p - (ptrdiff_t)n - 4), p + n + 4);
    }
    return "";
}

static bool read_recipe(lt_ctx *cx, const char *folder, const char *file, lt_recipe *r)
{
    lt_map map;
    r->path = lt_path_join(cx, folder, file);
    r->name = lt_sprintf(cx, "%.*s", (int)strlen(file) - 3, file);
    if (!r->path || !r->name || !lt_map_open(cx, &map, r->path)) return false;
    const size_t size = map.size < HEAD ? map.size : HEAD;
    r->summary = header(cx, (const char *)map.data, size, "summary");
    r->source = header(cx, (const char *)map.data, size, "source");
    lt_map_close(&map);
    return r->summary && r->source;
}

/* NN-name.sh */
static bool is_recipe(const char *file)
{
    size_t n = strlen(file), digits = strspn(file, "0123456789");
    return digits && file[digits] == '-' && n > digits + 4 && !strcmp(file + n - 3, ".sh");
}

static int by_name(const void *a, const void *b) { return strcmp(((const lt_recipe *)a)->name, ((const lt_recipe *)b)->name); }

bool lt_recipes_find(lt_ctx *cx, lt_recipes *found)
{
    *found = (lt_recipes){.folder = find_folder(cx)};
    if (!found->folder) return lt_ok(cx);
    DIR *folder = opendir(found->folder);
    if (!folder) return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", found->folder, strerror(errno));
    lt_recipe *r = lt_alloc_array(cx, MOST_RECIPES, sizeof *r);
    struct dirent *entry;
    bool good = r != NULL;
    while (good && found->n < MOST_RECIPES && (entry = readdir(folder)))
        if (is_recipe(entry->d_name)) good = read_recipe(cx, found->folder, entry->d_name, &r[found->n++]);
    closedir(folder);
    if (!good) return false;
    qsort(r, (size_t)found->n, sizeof *r, by_name);
    found->at = r;
    return true;
}
