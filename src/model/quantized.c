/* How a checkpoint says that its linears are of few bits, read and written: the quantization_config of the compressed-tensors format
 * (https://github.com/neuralmagic/compressed-tensors), and beside it a key "lathe" for what that format has no word for: the precision
 * that a bf16 checkpoint is meant to run in, and from which magnitude on inputs stay apart. Smoothed int8 is a format of a name of its own: what reads
 * the other would miss the multipliers of inputs. */
#include "model/model.h"

#include <string.h>

#define INT8_FORMAT "int-quantized"
#define SMOOTHED_FORMAT "int-quantized-smoothed"
#define INT4_FORMAT "pack-quantized"

/* ---- reading ---- */

static bool refuse(lt_config *c, const char *place, const char *key, const char *known)
{
    return lt_fail_if(c->cx, true, LT_ERR_UNSUPPORTED, "%s: quantization_config: %s%s%s: not known or not supported (known: %s)", c->file, place,
                      *place ? ": " : "", key, known);
}

/* `key` of o must be absent, null or `text`. */
static bool text_is(const lt_json *o, const char *key, const char *text)
{
    const lt_json *v = lt_json_get(o, key);
    const char *found = lt_json_text(v, NULL);
    return lt_json_is(v) == LT_JSON_NULL || (found && strcmp(found, text) == 0);
}

static bool is_empty(const lt_json *o, const char *key)
{
    const lt_json *v = lt_json_get(o, key);
    return lt_json_is(v) == LT_JSON_NULL || ((lt_json_is(v) == LT_JSON_OBJECT || lt_json_is(v) == LT_JSON_ARRAY) && lt_json_size(v) == 0);
}

static bool read_weights(lt_config *c, const lt_json *w, lt_precision p)
{
    const bool eight = p == LT_PRECISION_INT8;
    if (lt_json_int(lt_json_get(w, "num_bits"), 0) != (eight ? 8 : 4)) return refuse(c, "weights", "num_bits", eight ? "8 in int-quantized" : "4 in pack-quantized");
    if (!text_is(w, "type", "int")) return refuse(c, "weights", "type", "int");
    if (!lt_json_bool(lt_json_get(w, "symmetric"), true)) return refuse(c, "weights", "symmetric", "true");
    if (lt_json_bool(lt_json_get(w, "dynamic"), false)) return refuse(c, "weights", "dynamic", "false");
    if (!is_empty(w, "actorder")) return refuse(c, "weights", "actorder", "null");
    if (!lt_json_get(w, "strategy") || !text_is(w, "strategy", eight ? "channel" : "group")) return refuse(c, "weights", "strategy", eight ? "channel" : "group");
    if (!eight && lt_json_int(lt_json_get(w, "group_size"), 0) != LT_INT4_GROUP) return refuse(c, "weights", "group_size", "32");
    return true;
}

static bool read_inputs(lt_config *c, const lt_json *a, lt_quantized *q)
{
    if (q->precision == LT_PRECISION_INT4) return lt_json_is(a) == LT_JSON_NULL || refuse(c, "", "input_activations", "null in pack-quantized");
    if (lt_json_int(lt_json_get(a, "num_bits"), 0) != 8) return refuse(c, "input_activations", "num_bits", "8");
    if (!text_is(a, "type", "int")) return refuse(c, "input_activations", "type", "int");
    if (!lt_json_bool(lt_json_get(a, "dynamic"), false)) return refuse(c, "input_activations", "dynamic", "true");
    if (!text_is(a, "strategy", "token")) return refuse(c, "input_activations", "strategy", "token");
    q->symmetric = lt_json_bool(lt_json_get(a, "symmetric"), true);
    return true;
}

static bool read_groups(lt_config *c, const lt_json *groups, lt_quantized *q)
{
    void *iter = NULL;
    const char *name, *format = q->precision == LT_PRECISION_INT8 ? INT8_FORMAT : INT4_FORMAT;
    const lt_json *group;
    if (lt_json_is(groups) != LT_JSON_OBJECT || lt_json_size(groups) == 0) return refuse(c, "", "config_groups", "an object of groups");
    while (lt_json_each(groups, &iter, &name, &group)) {
        if (!read_weights(c, lt_json_get(group, "weights"), q->precision) || !read_inputs(c, lt_json_get(group, "input_activations"), q)) return false;
        if (!is_empty(group, "output_activations")) return refuse(c, "", "output_activations", "null");
        if (!text_is(group, "format", format)) return refuse(c, name, "format", format);
    }
    return true;
}

static bool read_compressed(lt_config *c, const lt_json *o, lt_quantized *q)
{
    static const char *const empty[] = {"kv_cache_scheme", "sparsity_config", "transform_config"};
    const char *method = lt_json_want_text(c->cx, o, c->file, "quant_method", ""), *format = lt_json_want_text(c->cx, o, c->file, "format", "");
    if (!lt_ok(c->cx)) return false;
    if (strcmp(method, "compressed-tensors") != 0) return refuse(c, "quant_method", method, "compressed-tensors");
    q->smoothed = strcmp(format, SMOOTHED_FORMAT) == 0;
    if (q->smoothed || strcmp(format, INT8_FORMAT) == 0) q->precision = LT_PRECISION_INT8;
    else if (strcmp(format, INT4_FORMAT) == 0) q->precision = LT_PRECISION_INT4;
    else return refuse(c, "format", format, INT8_FORMAT ", " SMOOTHED_FORMAT ", " INT4_FORMAT);
    if (!text_is(o, "quantization_status", "compressed")) return refuse(c, "", "quantization_status", "compressed");
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (!is_empty(o, empty[i])) return refuse(c, "", empty[i], "null");
    return read_groups(c, lt_json_get(o, "config_groups"), q);
}

static bool read_own(lt_config *c, const lt_json *o, lt_quantized *q)
{
    const char *name = lt_json_want_text(c->cx, o, c->file, "precision", "");
    q->threshold = (float)lt_json_want_num(c->cx, o, c->file, "threshold", 0, 1e30, q->threshold);
    q->smoothed = lt_json_want_bool(c->cx, o, c->file, "smoothed", q->smoothed);
    if (!lt_ok(c->cx)) return false;
    lt_precision p = lt_precision_named(name);
    const bool known = p == LT_PRECISION_BF16 || p == LT_PRECISION_INT8 || p == LT_PRECISION_INT4;
    if (!known) return lt_fail_if(c->cx, true, LT_ERR_UNSUPPORTED, "%s: lathe: precision: \"%s\" is not known (known: bf16, int8, int4)", c->file, name);
    if (q->precision == LT_PRECISION_F32 && p == LT_PRECISION_BF16) q->precision = p;
    return lt_fail_if(c->cx, p != q->precision, LT_ERR_INPUT, "%s: lathe: precision: \"%s\", but the quantization_config says %s", c->file, name,
                      lt_precision_name(q->precision));
}

bool lt_quantized_read(lt_config *c, lt_quantized *q)
{
    const lt_json *theirs = lt_config_get(c, "quantization_config"), *own = lt_config_get(c, "lathe");
    *q = (lt_quantized){.precision = LT_PRECISION_F32, .threshold = LT_OUTLIER};
    if (lt_json_is(theirs) != LT_JSON_NULL && lt_json_is(theirs) != LT_JSON_OBJECT)
        return lt_fail_if(c->cx, true, LT_ERR_INPUT, "%s: quantization_config: an object is expected", c->file);
    if (lt_json_is(own) != LT_JSON_NULL && lt_json_is(own) != LT_JSON_OBJECT)
        return lt_fail_if(c->cx, true, LT_ERR_INPUT, "%s: lathe: an object is expected", c->file);
    return (lt_json_is(theirs) == LT_JSON_NULL || read_compressed(c, theirs, q)) && (lt_json_is(own) == LT_JSON_NULL || read_own(c, own, q));
}

/* ---- writing ---- */

static void put_config(lt_str *s, const lt_quantized *q, const char *const *ignore, int n)
{
    const bool eight = q->precision == LT_PRECISION_INT8;
    lt_str_puts(s, ",\n  \"quantization_config\": {\n    \"config_groups\": {\n      \"group_0\": {\n        \"input_activations\": ");
    if (eight)
        lt_str_printf(s, "{\"dynamic\": true, \"num_bits\": 8, \"strategy\": \"token\", \"symmetric\": %s, \"type\": \"int\"}", q->symmetric ? "true" : "false");
    else lt_str_puts(s, "null");
    lt_str_puts(s, ",\n        \"output_activations\": null,\n        \"targets\": [\"Linear\"],\n        \"weights\": {\"dynamic\": false, ");
    if (eight) lt_str_puts(s, "\"num_bits\": 8, \"strategy\": \"channel\"");
    else lt_str_printf(s, "\"group_size\": %d, \"num_bits\": 4, \"strategy\": \"group\"", LT_INT4_GROUP);
    lt_str_puts(s, ", \"symmetric\": true, \"type\": \"int\"}\n      }\n    },\n");
    lt_str_printf(s, "    \"format\": \"%s\",\n    \"ignore\": [", !eight ? INT4_FORMAT : q->smoothed ? SMOOTHED_FORMAT : INT8_FORMAT);
    for (int i = 0; i < n; i++) {
        if (i) lt_str_puts(s, ", ");
        lt_json_put_text(s, ignore[i], strlen(ignore[i]));
    }
    lt_str_puts(s, "],\n    \"kv_cache_scheme\": null,\n    \"quant_method\": \"compressed-tensors\",\n    \"quantization_status\": \"compressed\"\n  }");
}

void lt_quantized_put(lt_str *s, const lt_quantized *q, const char *const *ignore, int n)
{
    const bool codes = q->precision == LT_PRECISION_INT8 || q->precision == LT_PRECISION_INT4;
    if (codes) put_config(s, q, ignore, n);
    if (!codes && q->precision != LT_PRECISION_BF16) return;
    lt_str_printf(s, ",\n  \"lathe\": {\"precision\": \"%s\"", lt_precision_name(q->precision));
    if (q->precision == LT_PRECISION_INT8) {
        lt_str_puts(s, ", \"threshold\": ");
        lt_json_put_double(s, q->threshold);
    }
    lt_str_puts(s, "}");
}
