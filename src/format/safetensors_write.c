/* Writes safetensors, byte for byte as the reference does: metadata first, tensors by falling size of element, then by name, the
 * header padded with blanks so that the data begin at a multiple of eight. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

typedef struct lt_entry {
    const lt_stored *stored;
    const lt_element_type *type;
} lt_entry;

static int by_type_and_name(const void *a, const void *b)
{
    const lt_entry *x = a, *y = b;
    if (x->type != y->type) return x->type < y->type ? -1 : 1; /* the table of types has their order */
    return strcmp(x->stored->name, y->stored->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const lt_entry *)a)->stored->name, ((const lt_entry *)b)->stored->name);
}

static bool check_tensor(lt_ctx *cx, const char *path, const lt_entry *e)
{
    const lt_stored *s = e->stored;
    char quoted[LT_QUOTED];
    uint64_t bits;
    lt_quoted(s->name ? s->name : "", quoted);
    if (!s->name || !strcmp(s->name, "__metadata__"))
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: a tensor cannot be named %s", path, quoted);
    if (!e->type)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: tensor %s: safetensors have no elements of type %s", path, quoted,
                          s->type ? s->type : lt_dtype_name(s->dtype));
    if (s->rank < 0 || s->rank > LT_STORED_RANK || !lt_shape_bits(s->rank, s->shape, e->type->bits, &bits) || bits % 8 ||
        bits / 8 != s->bytes)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: tensor %s: its shape and type do not give its %zu bytes", path, quoted,
                          s->bytes);
    return true;
}

/* The tensors as they are to be written; NULL when one of them cannot be. */
static lt_entry *put_in_order(lt_ctx *cx, const char *path, const lt_stored *tensors, int n)
{
    char quoted[LT_QUOTED];
    lt_entry *entry = lt_alloc_array(cx, n, sizeof *entry);
    for (int i = 0; entry && i < n; i++) {
        entry[i] = (lt_entry){&tensors[i], lt_element_type_of(&tensors[i])};
        if (!check_tensor(cx, path, &entry[i])) return NULL;
    }
    if (!entry || n == 0) return entry;
    qsort(entry, (size_t)n, sizeof *entry, by_name);
    for (int i = 1; i < n; i++)
        if (!by_name(&entry[i], &entry[i - 1]))
            return lt_fail(cx, LT_ERR_USAGE, "%s: two tensors are named %s", path, lt_quoted(entry[i].stored->name, quoted));
    qsort(entry, (size_t)n, sizeof *entry, by_type_and_name);
    return entry;
}

static void put_string(lt_str *s, const char *text) { lt_json_put_text(s, text, strlen(text)); }

static void put_metadata(lt_str *s, const char *const *metadata)
{
    lt_str_puts(s, "\"__metadata__\":{");
    for (int i = 0; metadata[i] && metadata[i + 1]; i += 2) {
        if (i) lt_str_puts(s, ",");
        put_string(s, metadata[i]);
        lt_str_puts(s, ":");
        put_string(s, metadata[i + 1]);
    }
    lt_str_puts(s, "}");
}

static void put_tensor(lt_str *s, const lt_entry *e, uint64_t begin)
{
    put_string(s, e->stored->name);
    lt_str_printf(s, ":{\"dtype\":\"%s\",\"shape\":[", e->type->name);
    for (int i = 0; i < e->stored->rank; i++) lt_str_printf(s, "%s%" PRId64, i ? "," : "", e->stored->shape[i]);
    lt_str_printf(s, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, begin + e->stored->bytes);
}

/* With the length in front; the padding belongs to the header. */
static void make_header(lt_str *s, const lt_entry *entry, int n, const char *const *metadata)
{
    uint64_t end = 0;
    lt_str_add(s, "\0\0\0\0\0\0\0", 8);
    lt_str_puts(s, "{");
    if (metadata) put_metadata(s, metadata);
    for (int i = 0; i < n; i++) {
        if (i || metadata) lt_str_puts(s, ",");
        put_tensor(s, &entry[i], end);
        end += entry[i].stored->bytes;
    }
    lt_str_puts(s, "}");
    while (s->size % 8 && !s->failed) lt_str_puts(s, " ");
    for (int i = 0; i < 8 && !s->failed; i++) s->data[i] = (char)((uint64_t)(s->size - 8) >> 8 * i);
}

static bool write_file(lt_ctx *cx, const char *path, const lt_entry *entry, int n, const char *const *metadata)
{
    lt_str header = {0};
    make_header(&header, entry, n, metadata);
    lt_out *out = header.failed ? lt_fail(cx, LT_ERR_MEMORY, "%s: no memory for the header", path) : lt_out_open(cx, path);
    bool good = out && lt_out_write(out, header.data, header.size);
    lt_str_free(&header);
    for (int i = 0; good && i < n; i++) good = lt_out_write(out, entry[i].stored->data, entry[i].stored->bytes);
    if (good) return lt_out_commit(out);
    lt_out_abort(out);
    return false;
}

bool lt_safetensors_write(lt_ctx *cx, const char *path, const lt_stored *tensors, int n, const char *const *metadata)
{
    if (!lt_ok(cx)) return false;
    lt_scope scope = lt_open(cx, NULL);
    lt_entry *entry = put_in_order(cx, path, tensors, n);
    bool good = entry && write_file(cx, path, entry, n, metadata);
    lt_end(cx, scope);
    return good;
}
