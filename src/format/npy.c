/* NumPy's .npy (NEP 1): a header that is a literal of Python, then the elements. Writing takes rows as they come, into a header of
 * fixed size that commit fills in; reading takes versions 1 to 3 in C order. */
#include "format/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, HEADER = 128 }; /* room for two dimensions of any size, and a multiple of 64 as the format asks */

static const struct {
    const char *descr;
    lt_dtype dtype;
} types[] = {{"<f4", LT_F32}, {"<f8", LT_F64}, {"<f2", LT_F16}, {"<i4", LT_I32}, {"<i8", LT_I64},
             {"<i2", LT_I16}, {"|i1", LT_I8},  {"|u1", LT_U8},  {"|b1", LT_BOOL}};
enum { TYPES = sizeof types / sizeof *types };

/* ---- writing ---- */

struct lt_npy {
    lt_ctx *cx;
    lt_out *out;
    const char *descr;
    size_t size; /* of a row */
    int64_t rows, cols;
};

static void make_header(const lt_npy *f, char header[HEADER])
{
    char shape[64];
    if (f->cols)
        snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", f->rows, f->cols);
    else
        snprintf(shape, sizeof shape, "(%" PRId64 ",)", f->rows);
    memset(header, ' ', HEADER);
    memcpy(header, magic, MAGIC);
    memcpy(header + MAGIC, "\1\0", 2);
    header[MAGIC + 2] = HEADER - MAGIC - 4;
    header[MAGIC + 3] = 0;
    int n =
        snprintf(header + MAGIC + 4, HEADER - MAGIC - 4, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", f->descr, shape);
    header[MAGIC + 4 + n] = ' ';
    header[HEADER - 1] = '\n';
}

static bool begin(lt_npy *f, const char *path)
{
    char header[HEADER];
    make_header(f, header);
    f->out = lt_out_open(f->cx, path);
    /* Patched at once, so that a pipe, where that cannot be, is refused before the work and not after it. */
    return f->out && lt_out_write(f->out, header, HEADER) && lt_out_patch(f->out, 0, header, HEADER);
}

lt_npy *lt_npy_create(lt_ctx *cx, const char *path, lt_dtype dtype, int64_t cols)
{
    const char *descr = NULL;
    size_t size = lt_dtype_size(dtype);
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == dtype) descr = types[i].descr;
    if (!lt_ok(cx)) return NULL;
    if (!descr || cols < 0)
        return lt_fail(cx, LT_ERR_USAGE, "%s: no .npy has %" PRId64 " columns of type %s", path, cols, lt_dtype_name(dtype));
    if (cols && __builtin_mul_overflow(size, (size_t)cols, &size))
        return lt_fail(cx, LT_ERR_USAGE, "%s: %" PRId64 " columns are too many", path, cols);
    lt_npy *f = lt_new(cx, 1, sizeof *f);
    if (!f) return NULL;
    *f = (lt_npy){.cx = cx, .descr = descr, .size = size, .cols = cols};
    if (begin(f, path)) return f;
    lt_npy_abort(f);
    return NULL;
}

bool lt_npy_append(lt_npy *f, int64_t rows, const void *data)
{
    size_t bytes;
    if (!f) return false;
    if (rows < 0 || __builtin_mul_overflow(f->size, (size_t)rows, &bytes))
        return lt_fail_if(f->cx, true, LT_ERR_USAGE, "%" PRId64 " rows cannot be written", rows);
    f->rows += rows;
    return lt_out_write(f->out, data, bytes);
}

bool lt_npy_commit(lt_npy *f)
{
    char header[HEADER];
    if (!f) return false;
    make_header(f, header);
    bool good = lt_out_patch(f->out, 0, header, HEADER);
    if (good) {
        good = lt_out_commit(f->out);
        f->out = NULL;
    }
    lt_npy_abort(f);
    return good;
}

void lt_npy_abort(lt_npy *f)
{
    if (f) lt_out_abort(f->out);
    lt_free(f);
}

/* ---- reading the header ---- */

typedef struct lt_literal { /* a dictionary as Python prints it, with the three keys that a header has */
    const char *at, *end;
    char descr[16];
    bool fortran_order, seen[3];
    int rank;
    int64_t shape[LT_MAX_RANK];
} lt_literal;

static void skip_blanks(lt_literal *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at) p->at++;
}

static bool take(lt_literal *p, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* A string in single or double quotes, without escapes. */
static bool take_string(lt_literal *p, char *to, size_t size)
{
    char quote = take(p, "'") ? '\'' : take(p, "\"") ? '"' : 0;
    const char *end = quote ? memchr(p->at, quote, (size_t)(p->end - p->at)) : NULL;
    if (!end || (size_t)(end - p->at) >= size) return false;
    memcpy(to, p->at, (size_t)(end - p->at));
    to[end - p->at] = 0;
    p->at = end + 1;
    return true;
}

static bool take_int(lt_literal *p, int64_t *value)
{
    int64_t x = 0;
    skip_blanks(p);
    const char *begin = p->at;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, *p->at - '0', &x)) return false;
    *value = x;
    return p->at > begin;
}

/* Ranks beyond the last place are counted, up to a limit, and not kept. */
static bool take_shape(lt_literal *p)
{
    int64_t dim;
    if (!take(p, "(")) return false;
    while (!take(p, ")")) {
        if (!take_int(p, &dim) || p->rank > 64) return false;
        if (p->rank < LT_MAX_RANK) p->shape[p->rank] = dim;
        p->rank++;
        if (!take(p, ",")) return take(p, ")");
    }
    return true;
}

static bool take_value(lt_literal *p, int key)
{
    if (p->seen[key]) return false;
    p->seen[key] = true;
    if (key == 0) return take_string(p, p->descr, sizeof p->descr);
    if (key == 2) return take_shape(p);
    p->fortran_order = take(p, "True");
    return p->fortran_order || take(p, "False");
}

static bool take_header(lt_literal *p)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char name[16];
    if (!take(p, "{")) return false;
    while (!take(p, "}")) {
        int key = 0;
        if (!take_string(p, name, sizeof name) || !take(p, ":")) return false;
        while (key < 3 && strcmp(name, keys[key]) != 0) key++;
        if (key == 3 || !take_value(p, key)) return false;
        if (!take(p, ",")) {
            if (!take(p, "}")) return false;
            break;
        }
    }
    skip_blanks(p);
    return p->at == p->end && p->seen[0] && p->seen[1] && p->seen[2];
}

/* Where the elements begin; 0 on error. */
static size_t read_header(lt_ctx *cx, lt_literal *p, const uint8_t *bytes, size_t size, const char *name)
{
    bool good = size >= MAGIC + 4 && !memcmp(bytes, magic, MAGIC);
    int version = good ? bytes[MAGIC] : 0, width = version == 1 ? 2 : 4;
    if (good && (version < 1 || version > 3))
        return lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: .npy of version %d, expected 1 to 3", name, version), 0;
    size_t begin = MAGIC + 2 + (size_t)width, length = 0;
    good = good && size >= begin;
    for (int i = width - 1; good && i >= 0; i--) length = length << 8 | bytes[MAGIC + 2 + i];
    if (!good) return lt_fail(cx, LT_ERR_INPUT, "%s: expected a .npy file", name), 0;
    if (length > size - begin)
        return lt_fail(cx, LT_ERR_INPUT, "%s: the header ends at byte %zu, the file has %zu", name, begin + length, size), 0;
    *p = (lt_literal){.at = (const char *)bytes + begin, .end = (const char *)bytes + begin + length};
    if (take_header(p)) return begin + length;
    size_t at = (size_t)(p->at - (const char *)bytes);
    return lt_fail(cx, LT_ERR_INPUT, "%s: byte %zu: expected a header with descr, fortran_order and shape", name, at), 0;
}

/* ---- reading ---- */

static bool check_form(lt_ctx *cx, const lt_literal *p, const char *name, lt_dtype *dtype)
{
    int i = 0;
    while (i < TYPES && strcmp(types[i].descr, p->descr) != 0) i++;
    if (i == TYPES)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED,
                          "%s: elements of type \"%s\", expected <f4, <f8, <f2, <i8, <i4, <i2, |i1, |u1 or |b1", name, p->descr);
    *dtype = types[i].dtype;
    if (p->rank > LT_MAX_RANK)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: %d dimensions, expected at most %d", name, p->rank, LT_MAX_RANK);
    return lt_fail_if(cx, p->fortran_order && p->rank > 1, LT_ERR_UNSUPPORTED,
                      "%s: the elements stand in Fortran's order, expected C's", name);
}

lt_tensor *lt_npy_parse(lt_ctx *cx, const void *bytes, size_t size, const char *name)
{
    lt_literal p;
    lt_dtype dtype = LT_F32;
    size_t begin = read_header(cx, &p, bytes, size, name);
    if (!begin || !check_form(cx, &p, name, &dtype)) return NULL;
    if (p.rank == 0) p.shape[p.rank++] = 1; /* a single number is an array of one */
    size_t want = lt_dtype_size(dtype);
    bool fits = true;
    for (int i = 0; i < p.rank; i++) fits = fits && !__builtin_mul_overflow(want, (size_t)p.shape[i], &want);
    if (!fits || want != size - begin)
        return lt_fail(cx, LT_ERR_INPUT, "%s: expected %s%zu bytes of elements by the header, found %zu", name,
                       fits ? "" : "more than ", fits ? want : SIZE_MAX, size - begin);
    lt_tensor *t = lt_tensor_new(cx, dtype, p.rank, p.shape);
    if (t && want) memcpy(t->data, (const uint8_t *)bytes + begin, want);
    return t;
}

lt_tensor *lt_npy_load(lt_ctx *cx, const char *path)
{
    lt_map map;
    if (!lt_map_open(cx, &map, path)) return NULL;
    lt_tensor *t = lt_npy_parse(cx, map.data, map.size, path);
    lt_map_close(&map);
    return t;
}
