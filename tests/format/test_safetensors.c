/* Protects: safetensors files, alone and in shards, give the values that the reference gives; what lathe writes is byte for byte
 * what the reference writes; and a truncated, flipped or hostile file or index is refused with its name, the tensor's and the place. */
#include "scratch.h"

#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>

#include "format/safetensors.h"

#define FIXTURE "tests/format/data/types.safetensors"

static void put_file(const char *name, const void *bytes, size_t n)
{
    lt_out *out = lt_out_open(cx, path_of(name));
    assert_true(lt_out_write(out, bytes, n) && lt_out_commit(out));
}

static void remove_file(const char *name) { assert_int_equal(unlink(path_of(name)), 0); }

/* The message of the error that just happened must end so. */
static void assert_error(const char *end)
{
    const char *message = lt_ctx_error(cx);
    size_t n = strlen(message), m = strlen(end);
    if (n < m || strcmp(message + n - m, end)) assert_string_equal(message, end);
    lt_ctx_clear(cx);
}

/* A file of `header` and n bytes of data, 0, 1, 2 …, as bytes of their own size. */
static uint8_t *make_file(const char *header, size_t n, size_t *size)
{
    size_t length = strlen(header);
    uint8_t *bytes = malloc(*size = 8 + length + n);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n; i++) bytes[8 + length + i] = (uint8_t)i;
    return bytes;
}

/* ---- reading ---- */

static void every_type_is_read(void **state)
{
    static const char *const names[] = {"F16", "BF16", "F32", "F64", "I8", "U8", "I16", "I32", "I64", "BOOL"};
    lt_weights *w = lt_weights_open(cx, FIXTURE);
    assert_non_null(w);
    assert_int_equal(lt_weights_count(w), 24);
    for (int i = 0; i < 10; i++) {
        const lt_stored *x = lt_weights_find(w, lt_sprintf(cx, "x.%s", names[i])),
                        *y = lt_weights_find(w, lt_sprintf(cx, "x.%s.f64", names[i]));
        int64_t n = (int64_t)y->bytes / 8;
        double *want = malloc(y->bytes), *f64 = malloc((size_t)n * 8);
        float *f32 = malloc((size_t)n * 4);
        assert_string_equal(x->type, names[i]);
        memcpy(want, y->data, y->bytes);
        assert_true(lt_stored_read(cx, x, LT_F64, f64) && lt_stored_read(cx, x, LT_F32, f32));
        for (int64_t k = 0; k < n; k++) {
            /* f64 holds every value exactly but i64's outermost, which both round to even; f32 is that rounded */
            assert_true(f64[k] == want[k] ? signbit(f64[k]) == signbit(want[k]) : isnan(f64[k]) && isnan(want[k]));
            assert_true(f32[k] == (float)want[k] || (isnan(f32[k]) && isnan(want[k])));
        }
        free(want);
        free(f64);
        free(f32);
    }
    lt_weights_close(w);
}

static void odd_tensors(void **state)
{
    float one, f[16];
    lt_weights *w = lt_weights_open(cx, FIXTURE);
    for (int i = 1; i < lt_weights_count(w); i++) assert_true(strcmp(lt_weights_at(w, i - 1)->name, lt_weights_at(w, i)->name) < 0);
    assert_null(lt_weights_at(w, -1));
    assert_null(lt_weights_at(w, lt_weights_count(w)));
    assert_null(lt_weights_find(w, "absent"));
    assert_string_equal(lt_weights_path(w), FIXTURE);
    struct stat st;
    assert_int_equal(stat(FIXTURE, &st), 0);
    assert_int_equal(lt_weights_bytes(w), st.st_size);

    const lt_stored *s = lt_weights_find(w, "one number \xC3\xA9 \"quoted\"\n");
    assert_int_equal(s->rank, 0);
    assert_true(lt_stored_read(cx, s, LT_F32, &one) && one == 4.5f);
    s = lt_weights_find(w, "no rows");
    assert_true(s->rank == 2 && s->shape[0] == 0 && s->shape[1] == 5 && s->bytes == 0);
    assert_true(lt_stored_read(cx, s, LT_F32, f));
    s = lt_weights_find(w, "many dimensions");
    assert_true(s->rank == 8 && s->shape[3] == 2 && s->shape[5] == 2);
    s = lt_weights_find(w, "float8"); /* an error only when it is asked for */
    assert_true(s->dtype == LT_DTYPES && s->bytes == 2);
    assert_false(lt_stored_read(cx, s, LT_F32, f));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_UNSUPPORTED);
    assert_error("types.safetensors: tensor \"float8\": elements of type F8_E4M3 cannot be read");
    assert_false(lt_stored_read(cx, lt_weights_at(w, 1), LT_I8, f));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
    lt_weights_close(w);
    lt_weights_close(NULL);
}

static void large_tensors_at_odd_places(void **state)
{
    enum { N = 100001 };
    uint8_t *data = malloc(1 + 2 * N);
    float *f32 = malloc(N * sizeof *f32);
    double *f64 = malloc(N * sizeof *f64);
    data[0] = 1;
    for (int i = 0; i < N; i++) { /* bf16 of small integers is exact */
        float x = (float)(i % 256);
        memcpy(data + 1 + 2 * i, (uint8_t *)&x + 2, 2);
    }
    lt_stored s = {.name = "x", .dtype = LT_BF16, .rank = 1, .shape = {N}, .data = data + 1, .bytes = 2 * N, .file = "memory"};
    assert_true(lt_stored_read(cx, &s, LT_F32, f32) && lt_stored_read(cx, &s, LT_F64, f64));
    for (int i = 0; i < N; i++) assert_true(f32[i] == (float)(i % 256) && f64[i] == f32[i]);
    lt_stored_release(&s); /* not mapped: nothing happens */
    assert_int_equal(data[0], 1);
    free(data);
    free(f32);
    free(f64);
}

static void released_pages_come_back(void **state)
{
    enum { N = 1 << 20 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) x[i] = (float)i;
    lt_stored s = {.name = "x", .dtype = LT_F32, .rank = 1, .shape = {N}, .data = x, .bytes = N * sizeof *x};
    assert_true(lt_safetensors_write(cx, path_of("x.safetensors"), &s, 1, NULL));
    lt_weights *w = lt_weights_open(cx, path_of("x.safetensors"));
    for (int i = 0; i < 2; i++) {
        assert_true(lt_weights_at(w, 0)->mapped);
        assert_true(lt_stored_read(cx, lt_weights_at(w, 0), LT_F32, y));
        assert_memory_equal(x, y, N * sizeof *x);
        lt_stored_release(lt_weights_at(w, 0));
    }
    lt_weights_close(w);
    remove_file("x.safetensors");
    free(x);
    free(y);
}

/* ---- what is refused ---- */

static void hostile_headers(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        const char *error; /* NULL: accepted, as the reference does */
    } cases[] = {
        {"{}", 0, NULL},
        {" {\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}  ", 4, NULL},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"more\":[1]}}", 4, NULL},
        {"{\"__metadata__\":null,\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},\"b\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_"
         "offsets\":[0,0]}}",
         0, NULL},
        {"{\"a\":{\"dtype\":\"Q9\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3, NULL}, /* of a type that is yet to come */
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[0,3]}}", 3, NULL},
        {"", 0, "f.st:1:9: expected a value, found the end"},
        {"[]", 0, "f.st: expected a header that is a JSON object"},
        {"{\"a\":", 0, "f.st:1:14: expected a value, found the end"},
        {"{\"a\":1}", 0, "f.st: tensor \"a\": expected an object with dtype, shape and data_offsets"},
        {"{\"a\\u001b\":1}", 0, "f.st: tensor \"a\\u001b\": expected an object with dtype, shape and data_offsets"},
        {"{\"a\":{\"dtype\":1}}", 0, "f.st: tensor \"a\": expected a \"dtype\" that is a string"},
        {"{\"a\":{\"dtype\":\"U8\"}}", 0, "f.st: tensor \"a\": expected a \"shape\" that is an array"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
         "f.st: tensor \"a\": expected dimensions that are integers of at least 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4,
         "f.st: tensor \"a\": expected dimensions that are integers of at least 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]}}", 4,
         "f.st: tensor \"a\": expected at most 8 dimensions, found 9"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4,
         "f.st: tensor \"a\": expected \"data_offsets\" that are two integers, the first not negative nor beyond the second"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4,
         "f.st: tensor \"a\": expected \"data_offsets\" that are two integers, the first not negative nor beyond the second"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[-4,0]}}", 4,
         "f.st: tensor \"a\": expected \"data_offsets\" that are two integers, the first not negative nor beyond the second"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3,
         "f.st: tensor \"a\": data ends at byte 66, the file has 65"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
         "f.st: tensor \"a\": expected 8 bytes of type F32 by its shape, found 4"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[5],\"data_offsets\":[0,3]}}", 3,
         "f.st: tensor \"a\": expected 3 bytes of type F4 by its shape, found 3"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807,4],\"data_offsets\":[0,4]}}", 4,
         "f.st: tensor \"a\": expected a shape of which the number of elements fits 64 bits"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,9223372036854775807]}}", 4,
         "f.st: tensor \"a\": data ends at byte 9223372036854775886, the file has 83"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,"
         "6]}}",
         6, "f.st: tensor \"b\": data overlaps that of tensor \"a\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,"
         "4]}}",
         4, "f.st: tensor \"b\": data overlaps that of tensor \"a\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6,
         "f.st: tensor \"a\": data begins at byte 63, 2 bytes after the end of what comes before"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 6, "f.st: data ends at byte 65, the file has 67"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{}}", 4,
         "f.st:1:62: expected each key once in an object, found \"a\""},
        {"{\"__metadata__\":{\"a\":1}}", 0, "f.st: expected a \"__metadata__\" of strings"},
        {"{\"__metadata__\":[]}", 0, "f.st: expected a \"__metadata__\" of strings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        uint8_t *bytes = make_file(cases[i].header, cases[i].data, &size);
        lt_weights *w = lt_weights_parse(cx, bytes, size, "f.st");
        if (cases[i].error) assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
        if (cases[i].error)
            assert_error(cases[i].error);
        else
            assert_string_equal(lt_ctx_error(cx), "");
        assert_int_equal(!w, cases[i].error != NULL);
        lt_weights_close(w);
        free(bytes);
    }
}

static void lengths_of_the_header(void **state)
{
    uint8_t bytes[16] = {0};
    assert_null(lt_weights_parse(cx, bytes, 0, "f.st"));
    assert_error("f.st: expected a safetensors file, found 0 bytes");
    assert_null(lt_weights_parse(cx, bytes, 7, "f.st"));
    assert_error("f.st: expected a safetensors file, found 7 bytes");
    bytes[0] = 9;
    assert_null(lt_weights_parse(cx, bytes, 16, "f.st"));
    assert_error("f.st: the header's length is 9, expected at most 8");
    memset(bytes, 0xFF, 8);
    assert_null(lt_weights_parse(cx, bytes, 16, "f.st"));
    assert_error("f.st: the header's length is 18446744073709551615, expected at most 8");

    put_file("long.safetensors", "\1\xe1\xf5\5\0\0\0\0", 8); /* 100 000 001: the reference has a limit too */
    assert_int_equal(truncate(path_of("long.safetensors"), 200000000), 0);
    assert_null(lt_weights_open(cx, path_of("long.safetensors")));
    assert_error("long.safetensors: the header's length is 100000001, expected at most 100000000");
    remove_file("long.safetensors");
}

static void every_truncation_and_flipped_bit(void **state)
{
    lt_map map;
    assert_true(lt_map_open(cx, &map, FIXTURE));
    for (size_t n = 0; n < map.size; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, map.data, n);
        assert_null(lt_weights_parse(cx, copy, n, "f.st"));
        assert_int_equal(strncmp(lt_ctx_error(cx), "f.st:", 5), 0);
        lt_ctx_clear(cx);
        free(copy);
    }
    uint8_t *copy = malloc(map.size);
    double *room = malloc(8 * map.size); /* of one-byte elements */
    for (size_t bit = 0; bit < 8 * map.size; bit++) {
        memcpy(copy, map.data, map.size);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        lt_weights *w = lt_weights_parse(cx, copy, map.size, "f.st");
        for (int i = 0; w && i < lt_weights_count(w); i++) {
            lt_stored_read(cx, lt_weights_at(w, i), LT_F64, room);
            lt_ctx_clear(cx);
        }
        if (!w) assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
        lt_ctx_clear(cx);
        lt_weights_close(w);
    }
    free(copy);
    free(room);
    lt_map_close(&map);
}

/* ---- directories ---- */

static void put_shard(const char *file, const char *const *names, int n)
{
    lt_stored s[4] = {{0}};
    static const float values[] = {1, 2, 3, 4};
    for (int i = 0; i < n; i++)
        s[i] = (lt_stored){.name = names[i], .dtype = LT_F32, .rank = 1, .shape = {1}, .data = values + i, .bytes = 4};
    assert_true(lt_safetensors_write(cx, path_of(file), s, n, NULL));
}

static void put_index(const char *weight_map)
{
    const char *text = lt_sprintf(cx, "{\"metadata\":{\"total_size\":12},\"weight_map\":%s}", weight_map);
    put_file("model.safetensors.index.json", text, strlen(text));
}

static void shards(void **state)
{
    put_shard("model-1.safetensors", (const char *const[]){"b", "d", "extra"}, 3);
    put_shard("model-2.safetensors", (const char *const[]){"a", "c", "b"}, 3);
    put_index("{\"d\":\"model-1.safetensors\",\"a\":\"model-2.safetensors\",\"b\":\"model-1.safetensors\",\"c\":\"model-2."
              "safetensors\"}");
    lt_weights *w = lt_weights_open(cx, folder);
    assert_non_null(w);
    assert_int_equal(lt_weights_count(w), 4);
    static const struct {
        const char *name, *file;
        float value;
    } expected[] = {{"a", "model-2.safetensors", 1},
                    {"b", "model-1.safetensors", 1},
                    {"c", "model-2.safetensors", 2},
                    {"d", "model-1.safetensors", 2}};
    for (int i = 0; i < 4; i++) {
        const lt_stored *s = lt_weights_at(w, i);
        float x;
        assert_string_equal(s->name, expected[i].name);
        assert_ptr_equal(s, lt_weights_find(w, s->name));
        assert_string_equal(s->file, path_of(expected[i].file));
        assert_true(lt_stored_read(cx, s, LT_F32, &x) && x == expected[i].value);
    }
    assert_null(lt_weights_find(w, "extra")); /* the index decides */
    struct stat one, two;
    assert_true(stat(path_of("model-1.safetensors"), &one) == 0 && stat(path_of("model-2.safetensors"), &two) == 0);
    assert_int_equal(lt_weights_bytes(w), one.st_size + two.st_size);
    lt_weights_close(w);

    static const struct {
        const char *map, *error;
    } refused[] = {
        {"{}", "/model.safetensors.index.json: expected a \"weight_map\" from names of tensors to names of files"},
        {"[]", "/model.safetensors.index.json: expected a \"weight_map\" from names of tensors to names of files"},
        {"{\"a\":1}",
         "/model.safetensors.index.json: tensor \"a\": expected the name of a file in the same folder, found no string"},
        {"{\"a\":\"\"}", "/model.safetensors.index.json: tensor \"a\": expected the name of a file in the same folder, found \"\""},
        {"{\"a\":\"..\"}",
         "/model.safetensors.index.json: tensor \"a\": expected the name of a file in the same folder, found \"..\""},
        {"{\"a\":\"../x\"}",
         "/model.safetensors.index.json: tensor \"a\": expected the name of a file in the same folder, found \"../x\""},
        {"{\"a\":\"/etc/passwd\"}",
         "/model.safetensors.index.json: tensor \"a\": expected the name of a file in the same folder, found \"/etc/passwd\""},
        {"{\"a\":\"model-2.safetensors\\u0000x\"}", "/model.safetensors.index.json: tensor \"a\": expected the name of a file in "
                                                    "the same folder, found \"model-2.safetensors\""},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        put_index(refused[i].map);
        assert_null(lt_weights_open(cx, folder));
        assert_error(refused[i].error);
    }
    put_index("{\"a\":\"model-2.safetensors\",\"d\":\"model-3.safetensors\"}");
    assert_null(lt_weights_open(cx, folder));
    assert_error(lt_sprintf(cx, "%s: there is no such file, which %s names", path_of("model-3.safetensors"),
                            path_of("model.safetensors.index.json")));
    put_index("{\"a\":\"model-2.safetensors\",\"d\":\"model-2.safetensors\"}");
    assert_null(lt_weights_open(cx, folder));
    assert_error(lt_sprintf(cx, "%s: there is no tensor \"d\", which %s puts there", path_of("model-2.safetensors"),
                            path_of("model.safetensors.index.json")));

    put_shard("model.safetensors", (const char *const[]){"whole"}, 1); /* comes before any index */
    w = lt_weights_open(cx, folder);
    assert_int_equal(lt_weights_count(w), 1);
    lt_weights_close(w);
    remove_file("model.safetensors");
    remove_file("model-1.safetensors");
    remove_file("model-2.safetensors");
    remove_file("model.safetensors.index.json");
}

static void nothing_to_read(void **state)
{
    assert_null(lt_weights_open(cx, folder));
    assert_error(": expected model.safetensors or model.safetensors.index.json, found neither");
    put_file("pytorch_model.bin", "x", 1);
    assert_null(lt_weights_open(cx, folder));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_UNSUPPORTED);
    assert_error(
        ": there is pytorch_model.bin, but neither model.safetensors nor model.safetensors.index.json: convert it to safetensors");
    remove_file("pytorch_model.bin");
    assert_null(lt_weights_open(cx, path_of("absent")));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    assert_error("/absent: No such file or directory");
}

/* ---- writing ---- */

static void what_is_written_is_what_the_reference_writes(void **state)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    lt_weights *w = lt_weights_open(cx, FIXTURE);
    int n = lt_weights_count(w);
    lt_stored *s = malloc((size_t)n * sizeof *s);
    for (int i = 0; i < n; i++) s[n - 1 - i] = *lt_weights_at(w, i); /* in any order */
    for (int i = 0; i < n; i++)
        if (s[i].dtype < LT_DTYPES) s[i].type = NULL; /* float8 passes through by the name of its type */
    assert_true(lt_safetensors_write(cx, path_of("out.safetensors"), s, n, metadata));
    lt_map a, b;
    assert_true(lt_map_open(cx, &a, FIXTURE) && lt_map_open(cx, &b, path_of("out.safetensors")));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    lt_map_close(&a);
    lt_map_close(&b);
    lt_weights_close(w);
    free(s);
    remove_file("out.safetensors");

    assert_true(lt_safetensors_write(cx, path_of("none.safetensors"), NULL, 0, NULL));
    w = lt_weights_open(cx, path_of("none.safetensors"));
    assert_int_equal(lt_weights_count(w), 0);
    lt_weights_close(w);
    remove_file("none.safetensors");
}

static void what_cannot_be_written(void **state)
{
    static const float x[2];
    const lt_stored good = {.name = "a", .dtype = LT_F32, .rank = 1, .shape = {2}, .data = x, .bytes = 8};
    lt_stored s[6] = {good, good, good, good, good, good};
    s[1].name = "__metadata__";
    s[2].bytes = 4;
    s[3].dtype = LT_DTYPES;
    s[4].shape[0] = -2;
    s[5].rank = 9;
    static const char *const errors[] = {"out: two tensors are named \"a\"",
                                         "out: a tensor cannot be named \"__metadata__\"",
                                         "out: tensor \"a\": its shape and type do not give its 4 bytes",
                                         "out: tensor \"a\": safetensors have no elements of type unsupported",
                                         "out: tensor \"a\": its shape and type do not give its 8 bytes",
                                         "out: tensor \"a\": its shape and type do not give its 8 bytes"};
    for (int i = 0; i < 6; i++) {
        const lt_stored both[] = {i ? s[i] : good, good};
        assert_false(lt_safetensors_write(cx, path_of("out"), both, i ? 1 : 2, NULL));
        assert_error(errors[i]);
        assert_false(lt_is_file(path_of("out")));
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_type_is_read, clear),
        cmocka_unit_test_setup(odd_tensors, clear),
        cmocka_unit_test_setup(large_tensors_at_odd_places, clear),
        cmocka_unit_test_setup(released_pages_come_back, clear),
        cmocka_unit_test_setup(hostile_headers, clear),
        cmocka_unit_test_setup(lengths_of_the_header, clear),
        cmocka_unit_test_setup(every_truncation_and_flipped_bit, clear),
        cmocka_unit_test_setup(shards, clear),
        cmocka_unit_test_setup(nothing_to_read, clear),
        cmocka_unit_test_setup(what_is_written_is_what_the_reference_writes, clear),
        cmocka_unit_test_setup(what_cannot_be_written, clear),
    };
    return cmocka_run_group_tests_name("safetensors", tests, set_up, tear_down);
}
