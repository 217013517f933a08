/* Where bytes come from: a file, standard input or memory, and the choice of a decoder by the name's ending. Plain files are
 * read straight into the caller's memory. */
#include "base/ctx.h"
#include "text/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { RAW = 1 << 16, MOST_AT_ONCE = 1 << 30 };

const lt_codec *lt_codec_of(const char *path)
{
    static const lt_codec *const codecs[] = {&lt_codec_gzip, &lt_codec_zstd};
    size_t n = strlen(path);
    for (int i = 0; i < 2; i++) {
        size_t m = strlen(codecs[i]->ending);
        if (n > m && !strcasecmp(path + n - m, codecs[i]->ending)) return codecs[i];
    }
    return NULL;
}

static lt_byte_stream *stream_new(lt_ctx *cx, const char *path, const char *name)
{
    lt_byte_stream *s = lt_new(cx, 1, sizeof *s);
    if (!s) return NULL;
    s->fd = -1;
    s->codec = lt_codec_of(path);
    s->name = lt_strdup(cx, name);
    if (s->name && (!s->codec || s->codec->open(cx, s))) return s;
    lt_byte_stream_close(s);
    return NULL;
}

static bool open_file(lt_ctx *cx, lt_byte_stream *s, const char *path)
{
    s->owns_fd = strcmp(path, "-") != 0;
    s->fd = s->owns_fd ? -1 : STDIN_FILENO;
    while (s->fd < 0) {
        s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (s->fd < 0 && errno != EINTR) return lt_io_error(cx, s->name);
        if (s->fd < 0 && !lt_ok(cx)) return false;
    }
    return !s->codec || (s->raw = s->buffer = lt_new(cx, RAW, 1));
}

lt_byte_stream *lt_byte_stream_open(lt_ctx *cx, const char *path, const char *name)
{
    lt_byte_stream *s = stream_new(cx, path, name ? name : path);
    if (s && open_file(cx, s, path)) return s;
    lt_byte_stream_close(s);
    return NULL;
}

lt_byte_stream *lt_byte_stream_memory(lt_ctx *cx, const void *bytes, size_t size, const char *name)
{
    lt_byte_stream *s = stream_new(cx, name, name);
    if (!s) return NULL;
    s->raw = bytes;
    s->size = size;
    s->taken = (int64_t)size;
    return s;
}

void lt_byte_stream_close(lt_byte_stream *s)
{
    if (!s) return;
    if (s->codec) s->codec->close(s);
    if (s->owns_fd && s->fd >= 0) close(s->fd);
    lt_free(s->buffer);
    lt_free(s->name);
    lt_free(s);
}

static ptrdiff_t read_fd(lt_ctx *cx, lt_byte_stream *s, void *to, size_t n)
{
    while (lt_ok(cx)) { /* a signal may have set the cancel flag */
        ssize_t got = read(s->fd, to, n < MOST_AT_ONCE ? n : MOST_AT_ONCE);
        if (got >= 0) return got;
        if (errno != EINTR) lt_io_error(cx, s->name);
    }
    return -1;
}

int lt_byte_stream_fill(lt_ctx *cx, lt_byte_stream *s)
{
    if (s->used < s->size) return 1;
    if (!s->buffer) return 0;
    ptrdiff_t got = read_fd(cx, s, s->buffer, RAW);
    s->used = 0;
    s->size = got > 0 ? (size_t)got : 0;
    s->taken += (int64_t)s->size;
    return got < 0 ? -1 : got > 0;
}

static ptrdiff_t read_plain(lt_ctx *cx, lt_byte_stream *s, void *to, size_t n)
{
    if (s->fd >= 0) {
        ptrdiff_t got = read_fd(cx, s, to, n);
        s->taken += got > 0 ? got : 0;
        return got;
    }
    size_t left = s->size - s->used, take = n < left ? n : left;
    if (take) memcpy(to, s->raw + s->used, take);
    s->used += take;
    return (ptrdiff_t)take;
}

ptrdiff_t lt_byte_stream_read(lt_ctx *cx, lt_byte_stream *s, void *to, size_t n)
{
    if (s->failed) return -1;
    ptrdiff_t got = s->codec ? s->codec->read(cx, s, to, n) : read_plain(cx, s, to, n);
    s->failed = got < 0;
    return got;
}

ptrdiff_t lt_byte_stream_truncated(lt_ctx *cx, const lt_byte_stream *s)
{
    lt_fail(cx, LT_ERR_INPUT, "%s: the %s data end at byte %" PRId64 " in the middle of a stream: the file is cut short", s->name,
            s->codec->name, lt_byte_stream_place(s));
    return -1;
}
