/* Protects: .npy files are numpy's own, byte for byte where it leaves no choice; rows appended in pieces are counted; what is cut
 * short, malformed or of another kind is refused; a file that is not committed leaves nothing. */
#include "scratch.h"

#include "format/npy.h"

#define DATA "tests/format/data/"

static void files_of_numpy(void **state)
{
    lt_tensor *t = lt_npy_load(cx, DATA "f4.npy");
    assert_true(t && t->dtype == LT_F32 && t->rank == 2 && t->shape[0] == 3 && t->shape[1] == 4);
    for (int i = 0; i < 12; i++) assert_true(((float *)t->data)[i] == (float)i / 3);
    t = lt_npy_load(cx, DATA "i8.npy");
    assert_true(t && t->dtype == LT_I64 && t->rank == 4 && t->shape[0] == 2 && t->shape[1] == 3 && t->shape[2] == 1 &&
                t->shape[3] == 4);
    for (int i = 0; i < 24; i++) assert_int_equal(((int64_t *)t->data)[i], i - 7);
    t = lt_npy_load(cx, DATA "i4.npy");
    assert_true(t && t->dtype == LT_I32 && t->rank == 1 && ((int32_t *)t->data)[2] == INT32_MAX);
    t = lt_npy_load(cx, DATA "f8_scalar.npy");
    assert_true(t && t->dtype == LT_F64 && t->rank == 1 && t->shape[0] == 1 && ((double *)t->data)[0] == 0.1);
    t = lt_npy_load(cx, DATA "f2_version2.npy");
    assert_true(t && t->dtype == LT_F16 && ((uint16_t *)t->data)[2] == 0x7BFF);
    assert_null(lt_npy_load(cx, DATA "f8_fortran.npy"));
    assert_string_equal(lt_ctx_error(cx), DATA "f8_fortran.npy: the elements stand in Fortran's order, expected C's");
    lt_ctx_clear(cx);
    assert_null(lt_npy_load(cx, DATA "absent.npy"));
    lt_ctx_clear(cx);
}

static void assert_same_files(const char *path, const char *expected)
{
    lt_map a, b;
    assert_true(lt_map_open(cx, &a, path) && lt_map_open(cx, &b, expected));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    lt_map_close(&a);
    lt_map_close(&b);
}

static void rows_are_appended(void **state)
{
    float x[12];
    for (int i = 0; i < 12; i++) x[i] = (float)i / 3;
    lt_npy *f = lt_npy_create(cx, path_of("x.npy"), LT_F32, 4);
    assert_true(lt_npy_append(f, 1, x) && lt_npy_append(f, 0, NULL) && lt_npy_append(f, 2, x + 4));
    assert_false(lt_is_file(path_of("x.npy"))); /* until it is whole */
    assert_true(lt_npy_commit(f));
    assert_same_files(path_of("x.npy"), DATA "f4.npy");

    static const int32_t ids[] = {-1, 0, INT32_MAX};
    f = lt_npy_create(cx, path_of("x.npy"), LT_I32, 0);
    assert_true(lt_npy_append(f, 3, ids));
    assert_true(lt_npy_commit(f));
    assert_same_files(path_of("x.npy"), DATA "i4.npy");

    f = lt_npy_create(cx, path_of("x.npy"), LT_F32, 384);
    assert_true(lt_npy_commit(f));
    lt_tensor *t = lt_npy_load(cx, path_of("x.npy"));
    assert_true(t && t->rank == 2 && t->shape[0] == 0 && t->shape[1] == 384);

    f = lt_npy_create(cx, path_of("x.npy"), LT_F32, 1000);
    float *row = calloc(1000, sizeof *row);
    for (int i = 0; i < 1000; i++) {
        row[0] = (float)i;
        assert_true(lt_npy_append(f, 1, row));
    }
    free(row);
    assert_true(lt_npy_commit(f));
    t = lt_npy_load(cx, path_of("x.npy"));
    assert_true(t && t->shape[0] == 1000 && ((float *)t->data)[999000] == 999);
    unlink(path_of("x.npy"));
}

static void nothing_half_written(void **state)
{
    lt_npy *f = lt_npy_create(cx, path_of("x.npy"), LT_F32, 2);
    assert_true(lt_npy_append(f, 1, (float[]){1, 2}));
    lt_npy_abort(f);
    assert_false(lt_is_file(path_of("x.npy")));
    f = lt_npy_create(cx, path_of("x.npy"), LT_F32, 2);
    assert_false(lt_npy_append(f, -1, NULL));
    assert_false(lt_npy_commit(f)); /* after an error nothing is put in place */
    lt_ctx_clear(cx);
    assert_false(lt_is_file(path_of("x.npy")));
    lt_npy_abort(NULL);
    assert_false(lt_npy_append(NULL, 1, NULL));
    assert_false(lt_npy_commit(NULL));

    assert_null(lt_npy_create(cx, "/dev/null", LT_F32, 2)); /* where nothing can be filled in later */
    assert_string_equal(lt_ctx_error(cx), "/dev/null: expected a file, whose beginning can be filled in at the end");
    lt_ctx_clear(cx);
    assert_null(lt_npy_create(cx, path_of("x.npy"), LT_BF16, 2));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
    assert_null(lt_npy_create(cx, path_of("x.npy"), LT_F64, INT64_MAX));
    lt_ctx_clear(cx);
}

/* A version 1 file of that header and n bytes, of their own size; parsed. The error stays in cx. */
static lt_tensor *parse(const char *header, size_t n)
{
    size_t length = strlen(header), size = 10 + length + n;
    uint8_t *bytes = calloc(size, 1);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (uint8_t)length;
    bytes[9] = (uint8_t)(length >> 8);
    memcpy(bytes + 10, header, length);
    lt_tensor *t = lt_npy_parse(cx, bytes, size, "f.npy");
    free(bytes);
    return t;
}

static void headers(void **state)
{
    static const struct {
        const char *header;
        size_t n;
        const char *error; /* NULL: accepted */
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }   \n", 24, NULL},
        {"{\"shape\":(3,2),\"descr\":\"<f4\",\"fortran_order\":False}", 24, NULL},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (5,), }\n", 5, NULL},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", 1, NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }\n", 0, NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", 23,
         "f.npy: expected 24 bytes of elements by the header, found 23"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", 25,
         "f.npy: expected 24 bytes of elements by the header, found 25"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", 4,
         "f.npy: expected more than 18446744073709551615 bytes of elements by the header, found 4"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }\n", 4,
         "f.npy: elements of type \">f4\", expected <f4, <f8, <f2, <i8, <i4, <i2, |i1, |u1 or |b1"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1), }\n", 4, "f.npy: 5 dimensions, expected at most 4"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", 4,
         "f.npy: byte 20: expected a header with descr, fortran_order and shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", 4,
         "f.npy: byte 61: expected a header with descr, fortran_order and shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n", 4,
         "f.npy: byte 79: expected a header with descr, fortran_order and shape"},
        {"{'descr': '<f4', 'fortran_order': False, }\n", 4,
         "f.npy: byte 53: expected a header with descr, fortran_order and shape"},
        {"{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }\n", 4,
         "f.npy: byte 35: expected a header with descr, fortran_order and shape"},
        {"", 4, "f.npy: byte 10: expected a header with descr, fortran_order and shape"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lt_tensor *t = parse(cases[i].header, cases[i].n);
        assert_string_equal(lt_ctx_error(cx), cases[i].error ? cases[i].error : "");
        assert_int_equal(!t, cases[i].error != NULL);
        lt_ctx_clear(cx);
    }
}

static void every_truncation_and_flipped_bit(void **state)
{
    static const char *const files[] = {DATA "f4.npy", DATA "f2_version2.npy"};
    for (int k = 0; k < 2; k++) {
        lt_map map;
        assert_true(lt_map_open(cx, &map, files[k]));
        for (size_t n = 0; n < map.size; n++) {
            uint8_t *copy = malloc(n ? n : 1);
            memcpy(copy, map.data, n);
            assert_null(lt_npy_parse(cx, copy, n, "f.npy"));
            assert_int_equal(strncmp(lt_ctx_error(cx), "f.npy: ", 7), 0);
            lt_ctx_clear(cx);
            free(copy);
        }
        uint8_t *copy = malloc(map.size);
        for (size_t bit = 0; bit < 8 * map.size; bit++) {
            lt_scope inner = lt_open(cx, NULL);
            memcpy(copy, map.data, map.size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            lt_npy_parse(cx, copy, map.size, "f.npy");
            lt_ctx_clear(cx);
            lt_end(cx, inner);
        }
        free(copy);
        lt_map_close(&map);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(files_of_numpy, clear),
        cmocka_unit_test_setup(rows_are_appended, clear),
        cmocka_unit_test_setup(nothing_half_written, clear),
        cmocka_unit_test_setup(headers, clear),
        cmocka_unit_test_setup(every_truncation_and_flipped_bit, clear),
    };
    return cmocka_run_group_tests_name("npy", tests, set_up, tear_down);
}
