/* Reads safetensors: 8 bytes that give the length of a JSON header, the header, the data. What is checked is what the reference
 * (the Rust crate of huggingface/safetensors) checks: the header's length, each tensor's bytes against its shape and type, and that
 * the tensors cover the data in order without overlap, hole or rest. Nothing is allocated before the length is known to be true. */
#include "format/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PREFIX = 8, MOST_HEADER = 100000000 };

/* ---- element types ---- */

static const lt_element_type types[] = {
    {"U64", 64, LT_DTYPES},        {"I64", 64, LT_I64},       {"F64", 64, LT_F64},
    {"C64", 64, LT_DTYPES},        {"F32", 32, LT_F32},       {"U32", 32, LT_DTYPES},
    {"I32", 32, LT_I32},           {"BF16", 16, LT_BF16},     {"F16", 16, LT_F16},
    {"U16", 16, LT_DTYPES},        {"I16", 16, LT_I16},       {"F8_E5M2FNUZ", 8, LT_DTYPES},
    {"F8_E4M3FNUZ", 8, LT_DTYPES}, {"F8_E8M0", 8, LT_DTYPES}, {"F8_E4M3", 8, LT_DTYPES},
    {"F8_E5M2", 8, LT_DTYPES},     {"I8", 8, LT_I8},          {"U8", 8, LT_U8},
    {"F6_E3M2", 6, LT_DTYPES},     {"F6_E2M3", 6, LT_DTYPES}, {"F4", 4, LT_DTYPES},
    {"BOOL", 8, LT_BOOL},
};
enum { TYPES = sizeof types / sizeof *types };

const lt_element_type *lt_element_type_named(const char *name)
{
    for (int i = 0; i < TYPES; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}

const lt_element_type *lt_element_type_of(const lt_stored *s)
{
    if (s->dtype >= LT_DTYPES) return s->type ? lt_element_type_named(s->type) : NULL;
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == s->dtype) return &types[i];
    return NULL;
}

bool lt_shape_bits(int rank, const int64_t *shape, int bits, uint64_t *product)
{
    uint64_t n = (uint64_t)bits;
    bool fits = true;
    for (int i = 0; i < rank; i++) fits = fits && shape[i] >= 0 && !__builtin_mul_overflow(n, (uint64_t)shape[i], &n);
    *product = n;
    return fits;
}

const char *lt_quoted(const char *name, char out[LT_QUOTED])
{
    enum { MOST = 100 };
    size_t n = strlen(name);
    lt_str s = {0};
    lt_json_put_text(&s, name, n < MOST ? n : MOST);
    snprintf(out, LT_QUOTED, "%s%s", s.failed ? "" : s.data, n > MOST ? "…" : "");
    lt_str_free(&s);
    return out;
}

/* ---- the header ---- */

typedef struct lt_header {
    const char *file;
    const uint8_t *data;
    uint64_t begin, size; /* where the data begin in the file, and how many bytes follow */
} lt_header;

static bool complain(lt_ctx *cx, const lt_header *h, const char *name, const char *what)
{
    char quoted[LT_QUOTED];
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor %s: %s", h->file, lt_quoted(name, quoted), what);
}

static bool read_shape(lt_ctx *cx, const lt_header *h, const char *name, const lt_json *shape, lt_stored *s)
{
    int64_t rank = lt_json_size(shape);
    char what[128];
    if (lt_json_is(shape) != LT_JSON_ARRAY) return complain(cx, h, name, "expected a \"shape\" that is an array");
    if (rank > LT_STORED_RANK) {
        snprintf(what, sizeof what, "expected at most %d dimensions, found %" PRId64, LT_STORED_RANK, rank);
        return complain(cx, h, name, what);
    }
    s->rank = (int)rank;
    for (int i = 0; i < s->rank; i++) {
        s->shape[i] = lt_json_int(lt_json_at(shape, i), -1);
        if (s->shape[i] < 0) return complain(cx, h, name, "expected dimensions that are integers of at least 0");
    }
    return true;
}

static bool read_offsets(lt_ctx *cx, const lt_header *h, const char *name, const lt_json *offsets, lt_stored *s)
{
    int64_t begin = lt_json_int(lt_json_at(offsets, 0), -1), end = lt_json_int(lt_json_at(offsets, 1), -1);
    if (lt_json_size(offsets) != 2 || begin < 0 || end < begin)
        return complain(cx, h, name,
                        "expected \"data_offsets\" that are two integers, the first not negative nor beyond the second");
    if ((uint64_t)end > h->size) {
        char what[128];
        snprintf(what, sizeof what, "data ends at byte %" PRIu64 ", the file has %" PRIu64, h->begin + (uint64_t)end,
                 h->begin + h->size);
        return complain(cx, h, name, what);
    }
    s->data = h->data + begin;
    s->bytes = (size_t)(end - begin);
    return true;
}

/* Types that are not known are remembered by name; what their size should be nobody can say. */
static bool check_size(lt_ctx *cx, const lt_header *h, const char *name, const lt_stored *s, const lt_element_type *type)
{
    uint64_t bits;
    if (!type) return true;
    bool fits = lt_shape_bits(s->rank, s->shape, type->bits, &bits);
    if (fits && bits % 8 == 0 && bits / 8 == s->bytes) return true;
    char what[160];
    if (fits)
        snprintf(what, sizeof what, "expected %" PRIu64 " bytes of type %s by its shape, found %zu", (bits + 7) / 8, type->name,
                 s->bytes);
    else
        snprintf(what, sizeof what, "expected a shape of which the number of elements fits 64 bits");
    return complain(cx, h, name, what);
}

static bool read_tensor(lt_ctx *cx, const lt_header *h, const char *name, const lt_json *info, lt_stored *s, lt_str *text)
{
    size_t n;
    const char *type = lt_json_text(lt_json_get(info, "dtype"), &n);
    if (lt_json_is(info) != LT_JSON_OBJECT) return complain(cx, h, name, "expected an object with dtype, shape and data_offsets");
    if (!type || strlen(type) != n) return complain(cx, h, name, "expected a \"dtype\" that is a string");
    const lt_element_type *known = lt_element_type_named(type);
    *s = (lt_stored){.dtype = known ? known->dtype : LT_DTYPES, .file = h->file};
    if (!read_shape(cx, h, name, lt_json_get(info, "shape"), s) ||
        !read_offsets(cx, h, name, lt_json_get(info, "data_offsets"), s) || !check_size(cx, h, name, s, known))
        return false;
    lt_str_add(text, name, strlen(name) + 1);
    lt_str_add(text, type, n + 1);
    return true;
}

static bool check_metadata(lt_ctx *cx, const lt_header *h, const lt_json *metadata)
{
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    bool good = lt_json_is(metadata) == LT_JSON_OBJECT || lt_json_is(metadata) == LT_JSON_NULL;
    while (good && lt_json_each(metadata, &iter, &key, &value)) good = lt_json_is(value) == LT_JSON_STRING;
    return lt_fail_if(cx, !good, LT_ERR_INPUT, "%s: expected a \"__metadata__\" of strings", h->file);
}

static bool read_tensors(lt_ctx *cx, const lt_header *h, const lt_json *root, lt_shard *shard, lt_str *text)
{
    void *iter = NULL;
    const char *name;
    const lt_json *info;
    if (lt_json_is(root) != LT_JSON_OBJECT)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected a header that is a JSON object", h->file);
    int64_t most = lt_json_size(root);
    shard->tensor = lt_new(cx, most ? most : 1, sizeof *shard->tensor);
    bool good = shard->tensor != NULL;
    while (good && lt_json_each(root, &iter, &name, &info)) {
        if (!strcmp(name, "__metadata__"))
            good = check_metadata(cx, h, info);
        else
            good = read_tensor(cx, h, name, info, &shard->tensor[shard->count++], text);
    }
    return good && lt_fail_if(cx, text->failed, LT_ERR_MEMORY, "%s: no memory for the names of tensors", h->file);
}

/* ---- order ---- */

static int by_place(const void *a, const void *b)
{
    const lt_stored *x = *(const lt_stored *const *)a, *y = *(const lt_stored *const *)b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static bool check_one_place(lt_ctx *cx, const lt_header *h, const lt_stored *s, const lt_stored *before, uint64_t end)
{
    char what[320], quoted[LT_QUOTED];
    uint64_t begin = (uint64_t)((const uint8_t *)s->data - h->data);
    if (begin == end) return true;
    if (begin > end)
        snprintf(what, sizeof what, "data begins at byte %" PRIu64 ", %" PRIu64 " bytes after the end of what comes before",
                 h->begin + begin, begin - end);
    else
        snprintf(what, sizeof what, "data overlaps that of tensor %s", lt_quoted(before->name, quoted));
    return complain(cx, h, s->name, what);
}

/* The tensors must follow one another without overlap or hole, to the end of the file. */
static bool check_places(lt_ctx *cx, const lt_header *h, const lt_shard *shard)
{
    lt_scope scope = lt_open(cx, NULL);
    const lt_stored **order = lt_alloc_array(cx, shard->count, sizeof *order);
    bool good = order != NULL;
    for (int i = 0; good && i < shard->count; i++) order[i] = &shard->tensor[i];
    if (good && shard->count) qsort(order, (size_t)shard->count, sizeof *order, by_place);
    uint64_t end = 0;
    for (int i = 0; good && i < shard->count; i++) {
        good = check_one_place(cx, h, order[i], i ? order[i - 1] : NULL, end);
        end += order[i]->bytes;
    }
    lt_end(cx, scope);
    return good && lt_fail_if(cx, end != h->size, LT_ERR_INPUT, "%s: data ends at byte %" PRIu64 ", the file has %" PRIu64, h->file,
                              h->begin + end, h->begin + h->size);
}

static int by_name(const void *a, const void *b) { return strcmp(((const lt_stored *)a)->name, ((const lt_stored *)b)->name); }

/* ---- files ---- */

static bool read_header(lt_ctx *cx, lt_shard *shard, const uint8_t *bytes, size_t size, lt_header *h)
{
    if (size < PREFIX) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected a safetensors file, found %zu bytes", h->file, size);
    uint64_t length = 0;
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | bytes[i];
    if (length > MOST_HEADER || length > size - PREFIX)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the header's length is %" PRIu64 ", expected at most %" PRIu64, h->file,
                          length, size - PREFIX < MOST_HEADER ? (uint64_t)(size - PREFIX) : (uint64_t)MOST_HEADER);
    h->begin = PREFIX + length;
    h->size = size - h->begin;
    h->data = bytes + h->begin;
    lt_json *root = lt_json_parse_at(cx, (const char *)bytes + PREFIX, (size_t)length, h->file, 1, PREFIX + 1);
    lt_str text = {0};
    bool good = root && read_tensors(cx, h, root, shard, &text);
    lt_json_free(root);
    shard->text = text.data;
    return good;
}

bool lt_shard_parse(lt_ctx *cx, lt_shard *shard, const uint8_t *bytes, size_t size, const char *file)
{
    *shard = (lt_shard){.file = lt_strdup(cx, file)};
    lt_header h = {.file = shard->file};
    bool good = shard->file && read_header(cx, shard, bytes, size, &h);
    const char *text = shard->text;
    for (int i = 0; good && i < shard->count; i++) { /* only now do the strings no longer move */
        shard->tensor[i].name = text;
        shard->tensor[i].type = text += strlen(text) + 1;
        text += strlen(text) + 1;
    }
    good = good && check_places(cx, &h, shard);
    if (good && shard->count) qsort(shard->tensor, (size_t)shard->count, sizeof *shard->tensor, by_name);
    if (!good) lt_shard_close(shard);
    return good;
}

bool lt_shard_open(lt_ctx *cx, lt_shard *shard, const char *path)
{
    lt_map map;
    struct stat st;
    *shard = (lt_shard){0};
    if (!lt_map_open(cx, &map, path)) return false;
    if (!lt_shard_parse(cx, shard, map.data, map.size, path)) {
        lt_map_close(&map);
        return false;
    }
    shard->map = map;
    /* What came through a pipe lies in memory that would be lost if its pages were given back. */
    bool mapped = stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == map.size;
    for (int i = 0; i < shard->count; i++) shard->tensor[i].mapped = mapped;
    return true;
}

void lt_shard_close(lt_shard *shard)
{
    lt_map_close(&shard->map);
    lt_free(shard->file);
    lt_free(shard->tensor);
    lt_free(shard->text);
    *shard = (lt_shard){0};
}
