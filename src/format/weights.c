/* The weights of a model: one safetensors file, or the shards that model.safetensors.index.json names. An index is no more trusted
 * than any other file: it may name files of its own folder only, and what it says of a tensor must be so. */
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

struct lt_weights {
    char *path;
    lt_shard *shard;
    int shards;
    const lt_stored **tensor; /* in name order, over all shards */
    int count;
};

static lt_weights *weights_new(lt_ctx *cx, const char *path, int64_t shards)
{
    if (!lt_ok(cx)) return NULL;
    lt_weights *w = lt_new(cx, 1, sizeof *w);
    if (!w) return NULL;
    w->path = lt_strdup(cx, path);
    w->shard = lt_new(cx, shards, sizeof *w->shard);
    if (w->path && w->shard) return w;
    lt_weights_close(w);
    return NULL;
}

void lt_weights_close(lt_weights *w)
{
    if (!w) return;
    for (int i = 0; i < w->shards; i++) lt_shard_close(&w->shard[i]);
    lt_free(w->shard);
    lt_free(w->tensor);
    lt_free(w->path);
    lt_free(w);
}

/* ---- one file ---- */

/* All tensors of the only shard, if there is one. */
static lt_weights *take_all(lt_ctx *cx, lt_weights *w, bool good)
{
    const lt_shard *shard = &w->shard[0];
    w->shards = good;
    good = good && (w->tensor = lt_new(cx, shard->count ? shard->count : 1, sizeof *w->tensor));
    for (int i = 0; good && i < shard->count; i++) w->tensor[w->count++] = &shard->tensor[i];
    if (good) return w;
    lt_weights_close(w);
    return NULL;
}

static lt_weights *open_file(lt_ctx *cx, const char *path)
{
    lt_weights *w = weights_new(cx, path, 1);
    return w ? take_all(cx, w, lt_shard_open(cx, &w->shard[0], path)) : NULL;
}

lt_weights *lt_weights_parse(lt_ctx *cx, const void *bytes, size_t size, const char *name)
{
    lt_weights *w = weights_new(cx, name, 1);
    return w ? take_all(cx, w, lt_shard_parse(cx, &w->shard[0], bytes, size, name)) : NULL;
}

/* ---- shards ---- */

typedef struct lt_entry { /* of the index */
    const char *tensor, *file;
} lt_entry;

static int by_file(const void *a, const void *b) { return strcmp(((const lt_entry *)a)->file, ((const lt_entry *)b)->file); }
static int by_name(const void *a, const void *b)
{
    return strcmp((*(const lt_stored *const *)a)->name, (*(const lt_stored *const *)b)->name);
}

static const lt_stored *find_in(const lt_stored *const *tensor, int count, const char *name)
{
    int low = 0, high = count;
    while (low < high) {
        int mid = low + (high - low) / 2, order = strcmp(tensor[mid]->name, name);
        if (order == 0) return tensor[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static const lt_stored *find_in_shard(const lt_shard *shard, const char *name)
{
    int low = 0, high = shard->count;
    while (low < high) {
        int mid = low + (high - low) / 2, order = strcmp(shard->tensor[mid].name, name);
        if (order == 0) return &shard->tensor[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool is_plain_name(const char *file)
{
    return *file && !strchr(file, '/') && strcmp(file, ".") != 0 && strcmp(file, "..") != 0;
}

/* The index as an array, ordered by file. */
static lt_entry *read_index(lt_ctx *cx, const lt_json *index, const char *path, int64_t *count)
{
    const lt_json *map = lt_json_get(index, "weight_map"), *value;
    void *iter = NULL;
    int64_t i = 0;
    char quoted[LT_QUOTED], found[LT_QUOTED];
    *count = lt_json_size(map);
    if (lt_json_is(map) != LT_JSON_OBJECT || *count == 0)
        return lt_fail(cx, LT_ERR_INPUT, "%s: expected a \"weight_map\" from names of tensors to names of files", path);
    lt_entry *entry = lt_alloc_array(cx, *count, sizeof *entry);
    for (const char *key; entry && lt_json_each(map, &iter, &key, &value); i++) {
        size_t n;
        const char *file = lt_json_text(value, &n);
        if (!file || strlen(file) != n || !is_plain_name(file))
            return lt_fail(cx, LT_ERR_INPUT, "%s: tensor %s: expected the name of a file in the same folder, found %s", path,
                           lt_quoted(key, quoted), file ? lt_quoted(file, found) : "no string");
        entry[i] = (lt_entry){key, file};
    }
    if (entry) qsort(entry, (size_t)*count, sizeof *entry, by_file);
    return entry;
}

static bool add_entry(lt_ctx *cx, lt_weights *w, const lt_entry *entry, const char *index)
{
    char quoted[LT_QUOTED];
    const lt_shard *shard = &w->shard[w->shards - 1];
    const lt_stored *s = find_in_shard(shard, entry->tensor);
    if (!s)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tensor %s, which %s puts there", shard->file,
                          lt_quoted(entry->tensor, quoted), index);
    w->tensor[w->count++] = s;
    return true;
}

/* Opens each file of the index once; tensors that the index does not name are left alone. */
static bool open_shards(lt_ctx *cx, lt_weights *w, const char *dir, const lt_entry *entry, int64_t count, const char *index)
{
    w->tensor = lt_new(cx, count, sizeof *w->tensor);
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(entry[i].file, entry[i - 1].file) != 0) {
            char *path = lt_path_join(cx, dir, entry[i].file);
            if (path && !lt_is_file(path)) lt_fail(cx, LT_ERR_INPUT, "%s: there is no such file, which %s names", path, index);
            if (!lt_ok(cx) || !lt_shard_open(cx, &w->shard[w->shards], path)) return false;
            w->shards++;
        }
        if (!w->tensor || !add_entry(cx, w, &entry[i], index)) return false;
    }
    qsort(w->tensor, (size_t)w->count, sizeof *w->tensor, by_name);
    return true;
}

static int64_t count_files(const lt_entry *entry, int64_t count)
{
    int64_t n = 1;
    for (int64_t i = 1; i < count; i++) n += strcmp(entry[i].file, entry[i - 1].file) != 0;
    return n;
}

static lt_weights *open_index(lt_ctx *cx, const char *dir, const char *path)
{
    int64_t count = 0;
    lt_json *index = lt_json_load(cx, path);
    lt_entry *entry = index ? read_index(cx, index, path, &count) : NULL;
    lt_weights *w = entry ? weights_new(cx, dir, count_files(entry, count)) : NULL;
    if (w && !open_shards(cx, w, dir, entry, count, path)) {
        lt_weights_close(w);
        w = NULL;
    }
    lt_json_free(index);
    return w;
}

/* ---- directories ---- */

static lt_weights *complain_of_nothing(lt_ctx *cx, const char *dir)
{
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack",
                                         "model.onnx"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *other = lt_path_join(cx, dir, others[i]);
        if (other && lt_is_file(other))
            return lt_fail(
                cx, LT_ERR_UNSUPPORTED,
                "%s: there is %s, but neither model.safetensors nor model.safetensors.index.json: convert it to safetensors", dir,
                others[i]);
    }
    return lt_fail(cx, LT_ERR_INPUT, "%s: expected model.safetensors or model.safetensors.index.json, found neither", dir);
}

static lt_weights *open_dir(lt_ctx *cx, const char *dir)
{
    char *whole = lt_path_join(cx, dir, "model.safetensors"), *index = lt_path_join(cx, dir, "model.safetensors.index.json");
    if (!whole || !index) return NULL;
    if (lt_is_file(whole)) return open_file(cx, whole);
    if (lt_is_file(index)) return open_index(cx, dir, index);
    return complain_of_nothing(cx, dir);
}

lt_weights *lt_weights_open(lt_ctx *cx, const char *path)
{
    if (!path || !lt_ok(cx)) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    lt_weights *w = lt_is_dir(path) ? open_dir(cx, path) : open_file(cx, path);
    lt_end(cx, scope);
    return w;
}

/* ---- what is there ---- */

int lt_weights_count(const lt_weights *w) { return w ? w->count : 0; }
const lt_stored *lt_weights_at(const lt_weights *w, int i) { return w && i >= 0 && i < w->count ? w->tensor[i] : NULL; }
const lt_stored *lt_weights_find(const lt_weights *w, const char *name) { return w ? find_in(w->tensor, w->count, name) : NULL; }
const char *lt_weights_path(const lt_weights *w) { return w ? w->path : ""; }

size_t lt_weights_bytes(const lt_weights *w)
{
    size_t n = 0;
    for (int i = 0; w && i < w->shards; i++) n += w->shard[i].map.size;
    return n;
}
