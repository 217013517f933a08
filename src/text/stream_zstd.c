/* Decompresses Zstandard (RFC 8878) with libzstd: any number of frames, skippable ones too, checksums checked. Frames that want
 * a window of more than 128 MiB are refused by the library's own limit. */
#include <inttypes.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "text/stream.h"

struct zstd {
    ZSTD_DStream *d;
    bool begun;  /* there was a frame */
    bool inside; /* a frame has begun and not ended */
    bool full;   /* the last output was filled: the decoder may hold more */
};

static bool zstd_open(lt_ctx *cx, lt_byte_stream *s)
{
    struct zstd *z = s->state = lt_new(cx, 1, sizeof *z);
    if (!z) return false;
    z->d = ZSTD_createDStream();
    return lt_fail_if(cx, !z->d, LT_ERR_MEMORY, "%s: no memory to decompress it", s->name);
}

static void zstd_close(lt_byte_stream *s)
{
    struct zstd *z = s->state;
    if (z) ZSTD_freeDStream(z->d);
    lt_free(z);
}

static ptrdiff_t zstd_error(lt_ctx *cx, const lt_byte_stream *s, size_t code)
{
    bool memory = ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation;
    if (memory) return lt_fail(cx, LT_ERR_MEMORY, "%s: no memory to decompress it", s->name), -1;
    lt_fail(cx, LT_ERR_INPUT, "%s: byte %" PRId64 ": the zstd data are corrupt (%s)", s->name, lt_byte_stream_place(s),
            ZSTD_getErrorName(code));
    return -1;
}

static ptrdiff_t zstd_read(lt_ctx *cx, lt_byte_stream *s, uint8_t *to, size_t n)
{
    struct zstd *z = s->state;
    ZSTD_outBuffer out = {to, n, 0};
    while (out.pos == 0) {
        int here = z->full ? 1 : lt_byte_stream_fill(cx, s);
        if (here <= 0) return here < 0 ? -1 : z->begun && !z->inside ? 0 : lt_byte_stream_truncated(cx, s);
        ZSTD_inBuffer in = {s->raw + s->used, s->size - s->used, 0};
        size_t code = ZSTD_decompressStream(z->d, &out, &in);
        s->used += in.pos;
        if (ZSTD_isError(code)) return zstd_error(cx, s, code);
        z->begun = true;
        z->inside = code != 0;
        z->full = out.pos == out.size && z->inside;
        if (!lt_ok(cx)) return -1;
    }
    return (ptrdiff_t)out.pos;
}

const lt_codec lt_codec_zstd = {".zst", "zstd", zstd_open, zstd_read, zstd_close};
