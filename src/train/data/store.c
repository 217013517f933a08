/* Examples in a file. A header; the examples' tokens one behind another, each in as few bytes as its numbers need, with a checksum; a table of where they
 * are, which is mapped; the names of labels. Tokens are read where they are wanted, so memory holds the table alone, whose pages the system may take
 * back. What the file says is checked before it is used: a file that is cut or damaged is made anew, one that is damaged meanwhile is an error. */
#include "train/data/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, PAGE = 1 << 16 }; /* the table begins at a multiple of the largest page that systems have */

typedef struct header {
    char magic[16];
    uint64_t key[2];
    uint32_t version, has_types, has_labels, names;
    int64_t n, tokens, skipped, cut;
    uint64_t table, name_bytes, size; /* offset of the table, names behind it, all of the file */
    uint64_t table_sum, sum;          /* of table and names; of the header before this */
} header;
static const char magic[16] = "lathe tokens\n";

struct lt_store {
    char *path;
    int32_t vocab;
    bool has_types, has_labels;

    /* while it is written */
    lt_out *out;
    int table; /* a file without a name; -1: none */
    lt_example *waiting;
    int n_waiting;
    uint64_t at;
    lt_store_key key;
    bool keep;
    uint64_t sum;

    /* afterwards */
    int fd;
    void *map;
    size_t map_bytes;
    int32_t *now; /* labels of tokens have other numbers since; NULL: they have not */
    int nows;
};

enum { WAITING = 4096 };

static uint64_t sum_of(uint64_t sum, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }
    for (; n; p++, n--) sum = ((sum ^ *p) * 0x100000001B3u) ^ sum >> 47;
    return sum;
}

static uint64_t sum_of_header(const header *h) { return sum_of(1, h, offsetof(header, sum)); }

void lt_store_close(lt_store *c)
{
    if (!c) return;
    lt_out_abort(c->out);
    if (c->table >= 0) close(c->table);
    if (c->fd >= 0) close(c->fd);
    if (c->map) munmap(c->map, c->map_bytes);
    lt_free(c->waiting);
    lt_free(c->now);
    lt_free(c->path);
    lt_free(c);
}

static lt_store *store_new(lt_ctx *cx, const char *path, int32_t vocab)
{
    lt_store *c = lt_new(cx, 1, sizeof *c);
    if (!c) return NULL;
    c->fd = c->table = -1;
    c->vocab = vocab;
    if ((c->path = lt_strdup(cx, path))) return c;
    lt_store_close(c);
    return NULL;
}

static bool io_error(lt_ctx *cx, const char *path) { return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", path, strerror(errno)); }

/* ---- numbers in few bytes ---- */

static int width_of(const int32_t *x, int32_t n, bool ids)
{
    int32_t low = 0, high = 0;
    for (int32_t i = 0; x && i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (ids) return high <= UINT16_MAX ? 2 : 4;
    return low == 0 && high == 0 ? 0 : low >= INT8_MIN && high <= INT8_MAX ? 1 : low >= INT16_MIN && high <= INT16_MAX ? 2 : 4;
}

static void narrow(const int32_t *x, int32_t n, int width, uint8_t *to)
{
    if (width == 4) memcpy(to, x, (size_t)n * 4);
    for (int32_t i = 0; width == 1 && i < n; i++) to[i] = (uint8_t)x[i];
    for (int32_t i = 0; width == 2 && i < n; i++) memcpy(to + 2 * i, &(uint16_t){(uint16_t)x[i]}, 2);
}

static void widen(const uint8_t *from, int32_t n, int width, bool ids, int32_t *x)
{
    if (width == 0) memset(x, 0, (size_t)n * 4);
    if (width == 4) memcpy(x, from, (size_t)n * 4);
    for (int32_t i = 0; width == 1 && i < n; i++) x[i] = (int8_t)from[i];
    for (int32_t i = 0; width == 2 && i < n; i++) {
        uint16_t v;
        memcpy(&v, from + 2 * i, 2);
        x[i] = ids ? v : (int16_t)v;
    }
}

static uint64_t bytes_of(const lt_example *x) { return (uint64_t)x->n * (x->id_width + x->type_width + x->label_width); }

/* ---- writing ---- */

/* A file of no name in the folder of `path`. */
static int open_nameless(const char *path)
{
    char name[4096];
    const char *slash = strrchr(path, '/');
    const int n = snprintf(name, sizeof name, "%.*s", slash ? (int)(slash - path + 1) : 2, slash ? path : "./");
    if (n < 0 || (size_t)n + 32 > sizeof name) return errno = ENAMETOOLONG, -1;
    int fd = open(name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    strcat(name, ".lathe-table-XXXXXX");
    if ((fd = mkostemp(name, O_CLOEXEC)) >= 0) unlink(name);
    return fd;
}

bool lt_store_begin(lt_ctx *cx, lt_examples *e, const char *path, lt_store_key key, int32_t vocab, bool keep)
{
    lt_store *c = e->store = store_new(cx, path, vocab);
    if (!c || !(c->waiting = lt_new(cx, WAITING, sizeof *c->waiting)) || !(c->out = lt_out_open(cx, path))) return false;
    c->key = key;
    c->keep = keep;
    c->sum = 2;
    c->at = sizeof(header);
    return ((c->table = open_nameless(path)) >= 0 || io_error(cx, path)) && lt_out_write(c->out, &(header){.magic = ""}, sizeof(header));
}

static bool write_all(lt_ctx *cx, const lt_store *c, const void *bytes, size_t n)
{
    for (const char *p = bytes; n;) {
        const ssize_t wrote = write(c->table, p, n);
        if (wrote < 0 && !(errno == EINTR ? lt_ok(cx) : io_error(cx, c->path))) return false;
        if (wrote > 0) p += wrote, n -= (size_t)wrote;
    }
    return true;
}

static bool flush_table(lt_ctx *cx, lt_store *c)
{
    const size_t bytes = (size_t)c->n_waiting * sizeof *c->waiting;
    c->sum = sum_of(c->sum, c->waiting, bytes);
    c->n_waiting = 0;
    return write_all(cx, c, c->waiting, bytes);
}

bool lt_store_add(lt_ctx *cx, lt_examples *e, lt_example x, const int32_t *ids, const int32_t *types, const int32_t *labels)
{
    lt_store *c = e->store;
    c->has_types |= types != NULL;
    c->has_labels |= labels != NULL;
    x.begin = (int64_t)c->at;
    x.id_width = (uint8_t)width_of(ids, x.n, true);
    x.type_width = (uint8_t)width_of(types, x.n, false);
    x.label_width = (uint8_t)width_of(labels, x.n, false);
    lt_scope scope = lt_open(cx, NULL);
    const size_t bytes = (size_t)bytes_of(&x);
    uint8_t *packed = lt_alloc(cx, bytes + 1);
    bool good = packed != NULL;
    if (good) {
        narrow(ids, x.n, x.id_width, packed);
        narrow(types, x.n, x.type_width, packed + (size_t)x.n * x.id_width);
        narrow(labels, x.n, x.label_width, packed + (size_t)x.n * (x.id_width + x.type_width));
        x.sum = (uint32_t)(sum_of(3, packed, bytes) >> 16);
        c->waiting[c->n_waiting++] = x;
        c->at += bytes;
        good = lt_out_write(c->out, packed, bytes) && (c->n_waiting < WAITING || flush_table(cx, c));
    }
    lt_end(cx, scope);
    e->n += good;
    e->tokens += good ? x.n : 0;
    return good;
}

/* The table behind the tokens, and the names behind that. */
static bool write_table(lt_ctx *cx, lt_examples *e, header *h)
{
    lt_store *c = e->store;
    uint8_t *buffer = lt_alloc(cx, PAGE);
    if (!buffer || !flush_table(cx, c)) return false;
    memset(buffer, 0, PAGE);
    h->table = (c->at + PAGE - 1) / PAGE * PAGE;
    bool good = lt_out_write(c->out, buffer, (size_t)(h->table - c->at)) && (lseek(c->table, 0, SEEK_SET) == 0 || io_error(cx, c->path));
    while (good) {
        const ssize_t got = read(c->table, buffer, PAGE);
        if (got == 0) break;
        good = got > 0 ? lt_out_write(c->out, buffer, (size_t)got) : errno == EINTR ? lt_ok(cx) : io_error(cx, c->path);
    }
    lt_str names = {0};
    for (int i = 0; i < e->names; i++) lt_str_add(&names, e->name[i], strlen(e->name[i]) + 1);
    good = good && lt_fail_if(cx, names.failed, LT_ERR_MEMORY, "%s: no memory", c->path) && lt_out_write(c->out, names.data, names.size);
    h->name_bytes = names.size;
    c->sum = sum_of(c->sum, names.data, names.size);
    lt_str_free(&names);
    return good;
}

bool lt_store_finish(lt_ctx *cx, lt_examples *e)
{
    lt_store *c = e->store;
    header h = {.key = {c->key.a, c->key.b}, .version = VERSION, .has_types = c->has_types, .has_labels = c->has_labels, .names = (uint32_t)e->names,
                .n = e->n, .tokens = e->tokens, .skipped = e->skipped, .cut = e->cut};
    memcpy(h.magic, magic, sizeof magic);
    lt_scope scope = lt_open(cx, NULL);
    bool good = write_table(cx, e, &h);
    lt_end(cx, scope);
    h.size = h.table + (uint64_t)e->n * sizeof(lt_example) + h.name_bytes;
    h.table_sum = c->sum;
    h.sum = sum_of_header(&h);
    good = good && lt_out_patch(c->out, 0, &h, sizeof h);
    lt_out *out = c->out;
    c->out = NULL;
    if (good) good = lt_out_commit(out);
    else lt_out_abort(out);
    if (!good) return false;
    char *path = lt_strdup(cx, c->path);
    const lt_store_key key = c->key;
    const bool keep = c->keep;
    const int32_t vocab = c->vocab;
    const bool open = e->open;
    bool found = false;
    lt_examples_free(e);
    good = path && lt_store_open(cx, e, path, key, vocab, &found) && lt_fail_if(cx, !found, LT_ERR_IO, "%s: is not what was just written", path);
    e->open = open;
    if (path && !keep) unlink(path);
    lt_free(path);
    return good;
}

/* ---- reading ---- */

static bool read_at(lt_ctx *cx, const lt_store *c, void *to, size_t n, uint64_t at)
{
    for (char *p = to; n;) {
        const ssize_t got = pread(c->fd, p, n, (off_t)at);
        if (got == 0) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: is cut off", c->path);
        if (got < 0 && !(errno == EINTR ? lt_ok(cx) : io_error(cx, c->path))) return false;
        if (got > 0) p += got, n -= (size_t)got, at += (uint64_t)got;
    }
    return true;
}

static bool header_fits(const header *h, uint64_t size, lt_store_key key)
{
    return memcmp(h->magic, magic, sizeof magic) == 0 && h->version == VERSION && h->sum == sum_of_header(h) && h->key[0] == key.a && h->key[1] == key.b &&
           h->size == size && h->n >= 0 && h->table >= sizeof *h && h->table % PAGE == 0 && h->table <= size &&
           (uint64_t)h->n <= (size - h->table) / sizeof(lt_example) && h->name_bytes == size - h->table - (uint64_t)h->n * sizeof(lt_example) &&
           h->names <= h->name_bytes && h->tokens >= 0;
}

static bool known_width(int w) { return w == 0 || w == 1 || w == 2 || w == 4; }

static bool table_fits(const lt_store *c, const header *h)
{
    const lt_example *at = c->map;
    int64_t tokens = 0;
    if (sum_of(2, c->map, c->map_bytes) != h->table_sum) return false;
    for (int64_t i = 0; i < h->n; i++) {
        const lt_example *x = &at[i];
        if (x->n < 0 || x->begin < (int64_t)sizeof *h || (x->id_width != 2 && x->id_width != 4) || !known_width(x->type_width) ||
            !known_width(x->label_width) || bytes_of(x) > h->table || (uint64_t)x->begin > h->table - bytes_of(x) || x->label < -1 ||
            (x->label > 1 && (uint32_t)x->label >= h->names))
            return false;
        tokens += x->n;
    }
    return tokens == h->tokens;
}

static bool take_names(lt_ctx *cx, lt_examples *e, const header *h)
{
    const char *p = e->store->map ? (const char *)e->store->map + (size_t)h->n * sizeof(lt_example) : "", *end = p + h->name_bytes;
    const bool open = e->open;
    e->open = true;
    for (uint32_t i = 0; i < h->names && p < end; i++) {
        const size_t size = strnlen(p, (size_t)(end - p));
        if (p + size == end || lt_examples_label(cx, e, p, size) != (int)i) return false;
        p += size + 1;
    }
    e->open = open;
    return p == end;
}

static bool take_over(lt_ctx *cx, lt_examples *e, lt_store *c, const header *h)
{
    c->map_bytes = (size_t)h->n * sizeof(lt_example) + h->name_bytes;
    if (c->map_bytes) c->map = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, c->fd, (off_t)h->table);
    if (c->map == MAP_FAILED) return c->map = NULL, io_error(cx, c->path);
    if (!table_fits(c, h)) return false;
    const bool open = e->open;
    lt_examples_free(e);
    e->open = open;
    e->store = c;
    e->at = c->map;
    e->n = h->n;
    e->tokens = h->tokens;
    e->skipped = h->skipped;
    e->cut = h->cut;
    c->has_types = h->has_types;
    c->has_labels = h->has_labels;
    return take_names(cx, e, h);
}

bool lt_store_open(lt_ctx *cx, lt_examples *e, const char *path, lt_store_key key, int32_t vocab, bool *found)
{
    struct stat st;
    header h;
    *found = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return true;
    lt_store *c = store_new(cx, path, vocab);
    if (!c) return close(fd), false;
    c->fd = fd;
    const bool whole = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t)sizeof h;
    if (whole && !read_at(cx, c, &h, sizeof h, 0)) return lt_store_close(c), false;
    *found = whole && header_fits(&h, (uint64_t)st.st_size, key) && take_over(cx, e, c, &h);
    if (e->store == c && !*found) lt_examples_free(e);
    else if (!*found) lt_store_close(c);
    return lt_ok(cx);
}

bool lt_store_read(lt_ctx *cx, const lt_examples *e, int64_t i, int32_t *ids, int32_t *types, int32_t *labels)
{
    const lt_store *c = e->store;
    const lt_example *x = &e->at[i];
    const size_t bytes = (size_t)bytes_of(x), n = (size_t)x->n;
    lt_scope scope = lt_open(cx, NULL);
    uint8_t *p = lt_alloc(cx, bytes + 1);
    bool good = p && read_at(cx, c, p, bytes, (uint64_t)x->begin) &&
                lt_fail_if(cx, x->sum != (uint32_t)(sum_of(3, p, bytes) >> 16), LT_ERR_INPUT,
                           "%s: damaged at example %" PRId64 "; without this file it is made anew", c->path, i);
    if (good) widen(p, x->n, x->id_width, true, ids);
    if (good && types) widen(p + n * x->id_width, x->n, x->type_width, false, types);
    if (good && labels) widen(p + n * (x->id_width + x->type_width), x->n, x->label_width, false, labels);
    lt_end(cx, scope);
    for (size_t k = 0; good && k < n; k++) {
        good = lt_fail_if(cx, ids[k] < 0 || ids[k] >= c->vocab, LT_ERR_INPUT, "%s: example %" PRId64 ": id %d is not of the vocabulary", c->path, i, ids[k]);
        if (labels && c->now && labels[k] >= 0 && labels[k] < c->nows) labels[k] = c->now[labels[k]];
    }
    return good;
}

bool lt_store_has_types(const lt_store *c) { return c->has_types; }
bool lt_store_has_labels(const lt_store *c) { return c->has_labels; }

bool lt_store_relabel(lt_ctx *cx, lt_store *c, const int32_t *now, int n)
{
    int32_t *all = lt_new(cx, n, sizeof *all);
    if (!all) return false;
    for (int i = 0; i < n; i++) { /* first what was said before, if anything, then this */
        const int32_t first = c->now && i < c->nows ? c->now[i] : i;
        all[i] = first < n ? now[first] : first;
    }
    lt_free(c->now);
    c->now = all;
    c->nows = n;
    return true;
}
