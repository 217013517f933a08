/* A stream of bytes out of a file, a pipe or memory, decompressed on the way where the name ends in .gz or .zst. Memory is
 * bounded whatever the input says: a window of raw bytes and the decoder's own. A read returns as soon as there is something. */
#ifndef LT_TEXT_STREAM_H
#define LT_TEXT_STREAM_H

#include "lathe/base.h"

typedef struct lt_byte_stream lt_byte_stream;

typedef struct lt_codec { /* one way to compress */
    const char *ending, *name;
    bool (*open)(lt_ctx *cx, lt_byte_stream *s);
    ptrdiff_t (*read)(lt_ctx *cx, lt_byte_stream *s, uint8_t *to, size_t n); /* as lt_byte_stream_read */
    void (*close)(lt_byte_stream *s);                                        /* also after an open that failed */
} lt_codec;
extern const lt_codec lt_codec_gzip, lt_codec_zstd;

struct lt_byte_stream {
    char *name; /* for messages; owned */
    int fd;     /* -1: memory */
    bool owns_fd, failed;
    const uint8_t *raw; /* bytes as stored: [used, size) are here and not yet decoded */
    size_t used, size;
    uint8_t *buffer;       /* what raw points at; NULL: memory of the caller */
    int64_t taken;         /* bytes that came in so far, those in raw included */
    const lt_codec *codec; /* NULL: stored plainly */
    void *state;           /* the codec's */
};

/* "-" is standard input. `name` NULL: the path. */
lt_byte_stream *lt_byte_stream_open(lt_ctx *cx, const char *path, const char *name);
lt_byte_stream *lt_byte_stream_memory(lt_ctx *cx, const void *bytes, size_t size, const char *name); /* bytes stay the caller's */
void lt_byte_stream_close(lt_byte_stream *s);                                                        /* NULL is fine */
/* At least one byte and at most n (> 0) of them; 0 at the end; -1 is an error, and every later read is one too. */
ptrdiff_t lt_byte_stream_read(lt_ctx *cx, lt_byte_stream *s, void *to, size_t n);
const lt_codec *lt_codec_of(const char *path);
bool lt_rows_are_lines(const char *path); /* rows.c: whether the ending, behind that of a codec, promises nothing but lines */

/* For codecs: makes sure that raw bytes are here; 0 at the end of the input, -1 on error. */
int lt_byte_stream_fill(lt_ctx *cx, lt_byte_stream *s);
/* How many bytes of the input are used so far. */
static inline int64_t lt_byte_stream_place(const lt_byte_stream *s) { return s->taken - (int64_t)(s->size - s->used); }
ptrdiff_t lt_byte_stream_truncated(lt_ctx *cx, const lt_byte_stream *s); /* records that the input ends too early; -1 */

#endif
