/* Decompresses gzip (RFC 1952) with zlib: any number of members one after another, zero bytes as padding between and after
 * them, checksums checked. */
#include <inttypes.h>
#include <limits.h>
#include <zlib.h>

#include "text/stream.h"

struct gzip {
    z_stream z;
    bool ready;   /* z is to be ended */
    bool between; /* a member has ended, the next has not begun */
};

static bool gzip_open(lt_ctx *cx, lt_byte_stream *s)
{
    struct gzip *g = s->state = lt_new(cx, 1, sizeof *g);
    if (!g) return false;
    g->ready = inflateInit2(&g->z, 15 + 16) == Z_OK; /* the largest window, a gzip header */
    return lt_fail_if(cx, !g->ready, LT_ERR_MEMORY, "%s: no memory to decompress it", s->name);
}

static void gzip_close(lt_byte_stream *s)
{
    struct gzip *g = s->state;
    if (g && g->ready) inflateEnd(&g->z);
    lt_free(g);
}

static ptrdiff_t gzip_error(lt_ctx *cx, const lt_byte_stream *s, int code)
{
    const struct gzip *g = s->state;
    if (code == Z_MEM_ERROR) return lt_fail(cx, LT_ERR_MEMORY, "%s: no memory to decompress it", s->name), -1;
    const char *why = g->z.msg ? g->z.msg : "a preset dictionary is asked for";
    lt_fail(cx, LT_ERR_INPUT, "%s: byte %" PRId64 ": the gzip data are corrupt (%s)", s->name, lt_byte_stream_place(s), why);
    return -1;
}

static size_t at_most_uint(size_t n) { return n < UINT_MAX ? n : UINT_MAX; }

static int inflate_some(lt_byte_stream *s, z_stream *z)
{
    size_t n = at_most_uint(s->size - s->used);
    z->next_in = (uint8_t *)s->raw + s->used;
    z->avail_in = (unsigned)n;
    int code = inflate(z, Z_NO_FLUSH);
    s->used += n - z->avail_in;
    return code;
}

static ptrdiff_t gzip_read(lt_ctx *cx, lt_byte_stream *s, uint8_t *to, size_t n)
{
    struct gzip *g = s->state;
    g->z.next_out = to;
    g->z.avail_out = (unsigned)at_most_uint(n);
    while (g->z.next_out == to) {
        int here = lt_byte_stream_fill(cx, s);
        if (here <= 0) return here < 0 ? -1 : g->between ? 0 : lt_byte_stream_truncated(cx, s);
        if (g->between) {
            while (s->used < s->size && !s->raw[s->used]) s->used++;
            if (s->used == s->size) continue;
            inflateReset(&g->z);
            g->between = false;
        }
        int code = inflate_some(s, &g->z);
        if (code == Z_STREAM_END)
            g->between = true;
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return gzip_error(cx, s, code);
        if (!lt_ok(cx)) return -1;
    }
    return g->z.next_out - to;
}

const lt_codec lt_codec_gzip = {".gz", "gzip", gzip_open, gzip_read, gzip_close};
