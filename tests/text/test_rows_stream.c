/* Protects: rows out of gzip and Zstandard files, pipes and standard input - whole or with an error that names file and place, as
 * soon as they have come, and in bounded memory whatever the file expands to. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "text/rows.h"

static lt_ctx *cx;
static char folder[] = "/tmp/lathe-rows-XXXXXX";
static volatile sig_atomic_t cancel;

static int set_up(void **state)
{
    alarm(120); /* a read that never returns is a failure, not a hang */
    cx = lt_ctx_new(&(lt_options){.threads = 1, .cancel = &cancel});
    return cx == NULL || !mkdtemp(folder);
}

static int tear_down(void **state)
{
    lt_ctx_free(cx);
    return rmdir(folder);
}

/* ---- making files ---- */

static void add_gzip(lt_str *out, const void *bytes, size_t size)
{
    z_stream z = {0};
    uint8_t buffer[4096];
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)bytes;
    z.avail_in = (unsigned)size;
    int code;
    do {
        z.next_out = buffer;
        z.avail_out = sizeof buffer;
        code = deflate(&z, Z_FINISH);
        lt_str_add(out, buffer, sizeof buffer - z.avail_out);
    } while (code != Z_STREAM_END);
    deflateEnd(&z);
}

static void add_zstd(lt_str *out, const void *bytes, size_t size)
{
    size_t room = ZSTD_compressBound(size);
    void *buffer = malloc(room);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(z, buffer, room, bytes, size);
    assert_false(ZSTD_isError(n));
    lt_str_add(out, buffer, n);
    ZSTD_freeCCtx(z);
    free(buffer);
}

typedef void add_fn(lt_str *out, const void *bytes, size_t size);
static const struct {
    const char *name, *what;
    add_fn *add;
} codecs[] = {{"f.txt.gz", "gzip", add_gzip}, {"f.txt.zst", "zstd", add_zstd}};

/* All texts, each with a newline; the error stays in cx. */
static void read_rows(const char *name, const void *bytes, size_t size, const lt_rows_options *options, lt_str *out)
{
    uint8_t *copy = malloc(size ? size : 1); /* of its own size, so that sanitizers see reads past it */
    if (size) memcpy(copy, bytes, size);
    lt_str_clear(out);
    lt_str_puts(out, "");
    lt_rows *rows = lt_rows_open_memory(cx, copy, size, name, options);
    lt_row row;
    size_t n;
    while (lt_rows_next(cx, rows, &row)) {
        const char *text = lt_row_text(&row, "text", &n);
        lt_str_add(out, text, n);
        lt_str_puts(out, "\n");
    }
    if (lt_ok(cx)) assert_int_equal(lt_rows_bytes_done(rows), size);
    lt_rows_close(rows);
    free(copy);
}

/* ---- compressed files ---- */

static void members_and_frames(void **state)
{
    lt_str file = {0}, out = {0};
    for (int c = 0; c < 2; c++) {
        lt_str_clear(&file);
        codecs[c].add(&file, "one\ntw", 6);
        codecs[c].add(&file, "", 0);
        if (c == 1) lt_str_add(&file, "\x50\x2A\x4D\x18\x03\0\0\0abc", 11); /* a skippable frame */
        codecs[c].add(&file, "o\nthree", 7);
        if (c == 0) lt_str_add(&file, "\0\0\0", 3); /* padding, as tapes have it */
        read_rows(codecs[c].name, file.data, file.size, NULL, &out);
        assert_string_equal(lt_ctx_error(cx), "");
        assert_string_equal(out.data, "one\ntwo\nthree\n");

        lt_str_puts(&file, "rubbish");
        read_rows(codecs[c].name, file.data, file.size, NULL, &out);
        assert_non_null(strstr(lt_ctx_error(cx), "are corrupt"));
        lt_ctx_clear(cx);
    }
    lt_str_free(&file);
    lt_str_free(&out);
}

static void large_files(void **state)
{
    lt_str text = {0}, file = {0}, out = {0};
    for (int i = 0; i < 200000; i++) lt_str_printf(&text, "line %d of many %u\n", i, (unsigned)i * 2654435761u);
    for (int c = 0; c < 2; c++) {
        lt_str_clear(&file);
        codecs[c].add(&file, text.data, text.size);
        read_rows(codecs[c].name, file.data, file.size, NULL, &out);
        assert_true(lt_ok(cx));
        assert_true(out.size == text.size && !memcmp(out.data, text.data, text.size));
    }
    lt_str_free(&text);
    lt_str_free(&file);
    lt_str_free(&out);
}

static const char story[] = "one\ntwo two two two two\nthree\nfour four four\n";

static void every_truncation(void **state)
{
    lt_str file = {0}, out = {0};
    char expected[100];
    for (int c = 0; c < 2; c++) {
        lt_str_clear(&file);
        codecs[c].add(&file, story, strlen(story));
        for (size_t n = 0; n < file.size; n++) {
            read_rows(codecs[c].name, file.data, n, NULL, &out);
            sprintf(expected, "%s: the %s data end at byte %zu in the middle of a stream: the file is cut short", codecs[c].name,
                    codecs[c].what, n);
            assert_string_equal(lt_ctx_error(cx), expected);
            assert_memory_equal(out.data, story, out.size);
            lt_ctx_clear(cx);
        }
    }
    lt_str_free(&file);
    lt_str_free(&out);
}

/* Checksums guard the content: a flipped bit is an error, or lies where it means nothing. */
static void every_flipped_bit(void **state)
{
    lt_str file = {0}, out = {0};
    for (int c = 0; c < 2; c++) {
        lt_str_clear(&file);
        codecs[c].add(&file, story, strlen(story));
        int refused = 0;
        for (size_t bit = 0; bit < 8 * file.size; bit++) {
            file.data[bit / 8] ^= (char)(1 << bit % 8);
            read_rows(codecs[c].name, file.data, file.size, NULL, &out);
            file.data[bit / 8] ^= (char)(1 << bit % 8);
            if (lt_ok(cx))
                assert_string_equal(out.data, story);
            else
                refused++;
            lt_ctx_clear(cx);
        }
        assert_true(refused > (int)(6 * file.size)); /* time, system and the like are not looked at: 6 bytes of gzip's header */
    }
    lt_str_free(&file);
    lt_str_free(&out);
}

/* 200 MB without a line's end in some kilobytes. */
static void bombs(void **state)
{
    enum { PIECE = 20 << 20, LIMIT = 1 << 20 };
    char *zeros = calloc(PIECE, 1);
    lt_str file = {0};
    for (int c = 0; c < 2; c++) {
        lt_str_clear(&file);
        for (int i = 0; i < 10; i++) codecs[c].add(&file, zeros, PIECE);
        lt_rows *rows = lt_rows_open_memory(cx, file.data, file.size, codecs[c].name, &(lt_rows_options){.max_line = LIMIT});
        lt_row row;
        assert_false(lt_rows_next(cx, rows, &row));
        assert_non_null(strstr(lt_ctx_error(cx), ":1: expected a row of at most 1048576 bytes, found a longer one"));
        assert_true(rows->capacity <= 4 * LIMIT);
        lt_ctx_clear(cx);
        lt_rows_close(rows);
    }
    memset(zeros, '[', PIECE);
    for (size_t i = 1; i < PIECE; i++) zeros[i] = "[],"[i % 3];
    lt_str_clear(&file);
    add_zstd(&file, zeros, PIECE);
    lt_rows *rows = lt_rows_open_memory(cx, file.data, file.size, "f.jsonl.zst", NULL);
    lt_row row;
    assert_false(lt_rows_next(cx, rows, &row));
    assert_string_equal(lt_ctx_error(cx), "f.jsonl.zst:1: expected a row of at most 4194304 JSON values, found more");
    lt_ctx_clear(cx);
    lt_rows_close(rows);
    lt_str_free(&file);
    free(zeros);
}

/* ---- files, pipes, standard input ---- */

static char *path_of(const char *name) { return lt_path_join(cx, folder, name); }

static void put_file(const char *path, const char *bytes, size_t n)
{
    lt_out *out = lt_out_open(cx, path);
    assert_true(lt_out_write(out, bytes, n) && lt_out_commit(out));
}

static void several_files(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_str zip = {0};
    add_gzip(&zip, "text,b\n2,\n3,\n", 13);
    const char *files[] = {path_of("a.txt"), path_of("b.csv.gz"), path_of("c.JSONL"), path_of("none.txt")};
    put_file(files[0], "0\n1", 3);
    put_file(files[1], zip.data, zip.size);
    put_file(files[2], "{\"text\":4}", 10);
    lt_rows *rows = lt_rows_open(cx, files, 3, NULL);
    static const int place[][2] = {{0, 1}, {0, 2}, {1, 2}, {1, 3}, {2, 1}};
    lt_row row;
    for (int i = 0; i < 5; i++) {
        assert_true(lt_rows_next(cx, rows, &row));
        assert_string_equal(row.file, files[place[i][0]]);
        assert_int_equal(row.line, place[i][1]);
        assert_int_equal(row.index, i);
        assert_int_equal(lt_row_text(&row, "text", NULL)[0], '0' + i);
    }
    assert_false(lt_rows_next(cx, rows, &row));
    assert_false(lt_rows_next(cx, rows, &row));
    assert_true(lt_ok(cx));
    assert_int_equal(lt_rows_bytes_total(rows), 13 + zip.size);
    assert_int_equal(lt_rows_bytes_done(rows), 13 + zip.size);
    lt_rows_close(rows);
    lt_str_free(&zip);

    assert_null(lt_rows_open(cx, files, 4, NULL)); /* before anything is read */
    assert_non_null(strstr(lt_ctx_error(cx), "/none.txt: No such file or directory"));
    lt_ctx_clear(cx);
    assert_null(lt_rows_open(cx, (const char *[]){folder}, 1, NULL));
    assert_non_null(strstr(lt_ctx_error(cx), ": expected a file of rows, found a directory"));
    lt_ctx_clear(cx);
    for (int i = 0; i < 3; i++) unlink(files[i]);
    lt_end(cx, scope);
}

/* A writer that sends a line, in pieces, only when the one before has come out at the other end. */
static struct {
    const char *path;
    bool zipped;
    int acknowledge[2];
} slow;

static void send_piece(FILE *f, z_stream *z, const char *text)
{
    uint8_t buffer[256];
    z->next_in = (uint8_t *)text;
    z->avail_in = (unsigned)strlen(text);
    z->next_out = buffer;
    z->avail_out = sizeof buffer;
    if (slow.zipped) deflate(z, text[0] ? Z_SYNC_FLUSH : Z_FINISH);
    fwrite(slow.zipped ? (const char *)buffer : text, 1, slow.zipped ? sizeof buffer - z->avail_out : strlen(text), f);
    fflush(f);
}

static void *write_slowly(void *arg)
{
    FILE *f = fopen(slow.path, "w");
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    char c;
    for (int i = 0; i < 20; i++) {
        send_piece(f, &z, "li");
        send_piece(f, &z, "ne\n");
        if (read(slow.acknowledge[0], &c, 1) != 1) break;
    }
    send_piece(f, &z, "");
    deflateEnd(&z);
    fclose(f);
    return NULL;
}

static void rows_come_out_of_a_slow_pipe_at_once(void **state)
{
    for (int zipped = 0; zipped < 2; zipped++) {
        lt_scope scope = lt_open(cx, NULL);
        slow.path = path_of(zipped ? "pipe.gz" : "pipe");
        slow.zipped = zipped;
        assert_int_equal(mkfifo(slow.path, 0600), 0);
        assert_int_equal(pipe(slow.acknowledge), 0);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_slowly, NULL), 0);
        lt_rows *rows = lt_rows_open(cx, &slow.path, 1, NULL);
        assert_int_equal(lt_rows_bytes_total(rows), 0); /* unknown */
        lt_row row;
        int n = 0;
        for (; lt_rows_next(cx, rows, &row); n++) {
            assert_string_equal(lt_row_text(&row, "text", NULL), "line");
            assert_int_equal(write(slow.acknowledge[1], "", 1), 1);
        }
        assert_true(lt_ok(cx));
        assert_int_equal(n, 20);
        lt_rows_close(rows);
        pthread_join(thread, NULL);
        unlink(slow.path);
        close(slow.acknowledge[0]);
        close(slow.acknowledge[1]);
        lt_end(cx, scope);
    }
}

static void standard_input(void **state)
{
    int saved = dup(0), ends[2];
    static const char *const names[][1] = {{"-"}};
    for (int named = 0; named < 2; named++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "a,text\n1,2\n3\n", 13), 13);
        close(ends[1]);
        assert_int_equal(dup2(ends[0], 0), 0);
        close(ends[0]);
        lt_rows *rows = lt_rows_open(cx, named ? names[0] : NULL, named, &(lt_rows_options){.format = LT_ROWS_CSV});
        lt_row row;
        assert_true(lt_rows_next(cx, rows, &row));
        assert_string_equal(row.file, "standard input");
        assert_string_equal(lt_row_text(&row, "text", NULL), "2");
        assert_false(lt_rows_next(cx, rows, &row));
        assert_string_equal(lt_ctx_error(cx), "standard input:3: expected 2 fields, as the header has, found 1");
        lt_ctx_clear(cx);
        lt_rows_close(rows);
        assert_true(lseek(0, 0, SEEK_CUR) < 0); /* still open: a pipe cannot seek, but is there */
        assert_int_equal(fcntl(0, F_GETFD), 0);
    }
    dup2(saved, 0);
    close(saved);
}

static void cancelling_ends_it(void **state)
{
    lt_rows *rows = lt_rows_open_memory(cx, "a\nb\n", 4, "f.txt", NULL);
    lt_row row;
    assert_true(lt_rows_next(cx, rows, &row));
    cancel = 1;
    assert_false(lt_rows_next(cx, rows, &row));
    cancel = 0;
    assert_int_equal(lt_ctx_status(cx), LT_ERR_CANCELLED);
    lt_ctx_clear(cx);
    lt_rows_close(rows);
    lt_rows_close(NULL);
    assert_false(lt_rows_next(cx, NULL, &row)); /* an open that failed */
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_frames),
        cmocka_unit_test(large_files),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(bombs),
        cmocka_unit_test(several_files),
        cmocka_unit_test(rows_come_out_of_a_slow_pipe_at_once),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(cancelling_ends_it),
    };
    return cmocka_run_group_tests_name("rows_stream", tests, set_up, tear_down);
}
