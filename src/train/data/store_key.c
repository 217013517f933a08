/* What a file of examples was made of, as 128 bits: the content of the files of rows and of the tokenizer, and every option that decides what a row
 * becomes. Another content has another name, so nothing stale is ever read. The hash is fast and has no other merit: it tells changes, not attacks. */
#include "train/data/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, FORMAT = 1 }; /* FORMAT: to be counted up when the same rows become other examples */

static void mix(lt_store_key *k, uint64_t word)
{
    k->a = (k->a ^ word) * 0x9E3779B97F4A7C15u;
    k->a ^= k->a >> 32;
    k->b = (k->b + word) * 0xC2B2AE3D27D4EB4Fu;
    k->b ^= k->b >> 29;
}

static void mix_bytes(lt_store_key *k, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t word;
    mix(k, n);
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        mix(k, word);
    }
    word = 0;
    memcpy(&word, p, n);
    mix(k, word);
}

static void mix_text(lt_store_key *k, const char *text) { mix_bytes(k, text ? text : "\1", text ? strlen(text) : 1); }

typedef struct hashing {
    int fd;
    const char *path;
    lt_store_key *block;
} hashing;

static void hash_block(void *arg, lt_ctx *cx, int64_t i)
{
    const hashing *g = arg;
    lt_scope scope = lt_open(cx, NULL);
    char *buffer = lt_ok(cx) ? lt_alloc(cx, BLOCK) : NULL;
    size_t n = 0;
    while (buffer && n < BLOCK) {
        const ssize_t got = pread(g->fd, buffer + n, BLOCK - n, (off_t)i * BLOCK + (off_t)n);
        if (got == 0) break;
        if (got < 0 && !lt_fail_if(cx, errno != EINTR, LT_ERR_IO, "%s: %s", g->path, strerror(errno))) break;
        n += got > 0 ? (size_t)got : 0;
    }
    g->block[i] = (lt_store_key){1, 2};
    if (buffer) mix_bytes(&g->block[i], buffer, n);
    lt_end(cx, scope);
}

/* All of a file, in blocks, by all threads. */
static bool mix_file(lt_ctx *cx, lt_store_key *k, const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0) close(fd);
        return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", path, strerror(errno));
    }
    const int64_t blocks = ((int64_t)st.st_size + BLOCK - 1) / BLOCK;
    hashing g = {fd, path, lt_new(cx, blocks + 1, sizeof *g.block)};
    const bool good = g.block && lt_parallel(cx, blocks, hash_block, &g);
    mix(k, (uint64_t)st.st_size);
    for (int64_t i = 0; good && i < blocks; i++) {
        mix(k, g.block[i].a);
        mix(k, g.block[i].b);
    }
    lt_free(g.block);
    close(fd);
    return good;
}

static bool mix_tokenizer(lt_ctx *cx, const lt_run *r, lt_store_key *k)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json",
                                        "merges.txt"};
    if (!r->tokenizer) return true;
    const lt_tokenizer_info *t = lt_tokenizer_about(r->tokenizer);
    const char *slash = t->file ? strrchr(t->file, '/') : NULL, *folder = slash ? lt_sprintf(cx, "%.*s", (int)(slash - t->file), t->file) : ".";
    for (size_t i = 0; folder && i < sizeof names / sizeof *names; i++) {
        const char *path = lt_path_join(cx, folder, names[i]);
        const bool there = path && lt_is_file(path);
        mix(k, there);
        if (there && !mix_file(cx, k, path)) return false;
    }
    return folder && (!t->file || !lt_is_file(t->file) || mix_file(cx, k, t->file));
}

bool lt_store_key_of(lt_ctx *cx, const lt_run *r, const lt_examples *e, const char *const *files, int n, lt_store_key *key)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_store_key k = {FORMAT, sizeof(lt_example)};
    mix_text(&k, LT_VERSION);
    mix_text(&k, r->objective->is.name);
    mix_text(&k, r->o->columns);
    mix_text(&k, r->o->break_mode);
    const bool pairs = r->objective->pairs;
    const int64_t numbers[] = {r->o->format,
                               r->o->ids,
                               r->limit,
                               r->vocab,
                               e->open,
                               e->names,
                               pairs ? r->o->pair_copies : 0,
                               pairs ? (int64_t)(r->o->short_pairs * 1e9) : 0,
                               pairs ? (int64_t)r->o->seed : 0};
    mix_bytes(&k, numbers, sizeof numbers);
    for (int i = 0; i < e->names; i++) mix_text(&k, e->name[i]);
    bool good = mix_tokenizer(cx, r, &k);
    for (int i = 0; good && i < n; i++) {
        /* What a file is called says how it is read. */
        const char *slash = strrchr(files[i], '/'), *dot = strchr(slash ? slash : files[i], '.');
        mix_text(&k, dot);
        good = mix_file(cx, &k, files[i]);
    }
    lt_end(cx, scope);
    *key = k;
    return good;
}
