/* Protects: how files are cut into rows - plain lines, JSON Lines, JSON arrays, token ids, CSV and TSV - which column is which, and
 * that what is wrong is refused with the file's name and the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "text/rows.h"

static lt_ctx *cx;

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    return cx == NULL;
}

static int tear_down(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

/* The row that was kept has the value of the one at hand, and is there when that is gone. */
static void check_kept(lt_row row, const char *column, const char *text, size_t size)
{
    size_t n = 0;
    assert_true(lt_row_keep(cx, &row));
    const char *kept = lt_row_text(&row, column, &n);
    assert_int_equal(kept != NULL, text != NULL);
    if (text && !memchr(text, 0, size)) assert_string_equal(kept, text);
    if (kept) assert_int_equal(n, size);
    if (kept) assert_int_equal(kept[n], 0);
    lt_row_release(&row);
}

/* All rows as "line:text|", of the column `column`; then "!MESSAGE" where reading ended in an error. Static memory. */
static const char *read_bytes(const char *name, const void *bytes, size_t size, const char *column, const lt_rows_options *options)
{
    static lt_str out;
    lt_str_clear(&out);
    lt_str_puts(&out, "");
    lt_rows *rows = lt_rows_open_memory(cx, bytes, size, name, options);
    lt_row row;
    int64_t index = 0;
    while (lt_rows_next(cx, rows, &row)) {
        size_t n = 99;
        const char *text = lt_row_text(&row, column, &n);
        assert_int_equal(row.index, index++);
        assert_string_equal(row.file, name);
        if (text) assert_int_equal(text[n], 0);
        lt_str_printf(&out, "%d:", (int)row.line);
        lt_str_add(&out, text ? text : "(none)", text ? n : 6);
        lt_str_puts(&out, "|");
        check_kept(row, column, text ? lt_sprintf(cx, "%.*s", (int)n, text) : NULL, n);
    }
    if (!lt_ok(cx))
        lt_str_printf(&out, "!%s", lt_ctx_error(cx));
    else if (rows)
        assert_int_equal(lt_rows_bytes_done(rows), lt_rows_bytes_total(rows));
    lt_ctx_clear(cx);
    lt_rows_close(rows);
    return out.data;
}

static const char *read_text(const char *name, const char *text, const char *column)
{
    return read_bytes(name, text, strlen(text), column, NULL);
}

typedef struct lt_case {
    const char *input, *expected;
} lt_case;

static void check_cases(const char *name, const char *column, const lt_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = read_text(name, cases[i].input, column);
        if (strcmp(got, cases[i].expected)) print_error("%s case %zu: %s\n", name, i, cases[i].input);
        assert_string_equal(got, cases[i].expected);
    }
}
#define CHECK(name, column, cases) check_cases(name, column, cases, sizeof cases / sizeof *cases)

static void lines(void **state)
{
    static const lt_case cases[] = {
        {"", ""},
        {"one", "1:one|"},
        {"one\n", "1:one|"},
        {"\n", "1:|"},
        {"\n\n", "1:|2:|"},
        {"one\r\n\r\ntwo\r\n", "1:one|2:|3:two|"},
        {"a\rb\r\r\nc\r", "1:a\rb\r|2:c\r|"}, /* only CR LF is a line's end */
        {"\xEF\xBB\xBF"
         "a\n\xEF\xBB\xBF"
         "b",
         "1:a|2:\xEF\xBB\xBF"
         "b|"},
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBB", "1:\xEF\xBB|"},
        {"\xEF\xBB\n", "1:\xEF\xBB|"},
        {"bad \xff\xc0 utf-8\n", "1:bad \xff\xc0 utf-8|"},
        {" kept \t\n", "1: kept \t|"},
    };
    CHECK("f.txt", "text", cases);
    CHECK("-", "text", cases);
    CHECK("json", "text", cases); /* a name is not its ending */
    assert_string_equal(read_text("f.txt", "a\n", "title"), "1:(none)|");

    lt_row row;
    size_t n;
    lt_rows *rows = lt_rows_open_memory(cx, "a\0b\n", 4, "f.txt", NULL);
    assert_true(lt_rows_next(cx, rows, &row));
    assert_memory_equal(lt_row_text(&row, "text", &n), "a\0b", 4);
    assert_int_equal(n, 3);
    assert_null(lt_row_json(&row, "text"));
    assert_null(lt_row_want_text(cx, &row, "title", &n));
    assert_string_equal(lt_ctx_error(cx), "f.txt:1: no column \"title\"; the columns there are: text");
    lt_ctx_clear(cx);
    lt_rows_close(rows);
}

/* A row may have max_line bytes, not one more, wherever the line's end lies in the window. */
static void longest_line(void **state)
{
    enum { SIZE = 700000 };
    static const struct {
        const char *name, *before, *after;
    } forms[] = {{"f.txt", "", ""},
                 {"f.jsonl", "{\"text\":\"", "\"}"},
                 {"f.json", "{\"text\":\"", "\"}"},
                 {"f.csv", "text\n\"", "\""},
                 {"f.tsv", "text\n", ""}};
    static const size_t limits[] = {20, 4095, 65536, 262143, 262144, 600000};
    char *big = malloc(SIZE), expected[100];
    for (size_t f = 0; f < 5; f++)
        for (size_t k = 0; k < 6; k++)
            for (int excess = 0; excess < 2; excess++)
                for (int crlf = 0; crlf < 3; crlf++) {
                    size_t n = strlen(forms[f].before), m = strlen(forms[f].after);
                    size_t header = f < 3 ? 0 : 5, fill = limits[k] - (n - header) - m + (size_t)excess;
                    memcpy(big, forms[f].before, n);
                    memset(big + n, 'x', fill);
                    int tail = sprintf(big + n + fill, "%s%s", forms[f].after, crlf == 0 ? "" : crlf == 1 ? "\n" : "\r\n");
                    const char *got =
                        read_bytes(forms[f].name, big, n + fill + (size_t)tail, "text", &(lt_rows_options){.max_line = limits[k]});
                    sprintf(expected, "!%s:%d: expected a row of at most %zu bytes, found a longer one", forms[f].name,
                            header ? 2 : 1, limits[k]);
                    if (excess)
                        assert_string_equal(got, expected);
                    else
                        assert_int_equal(strlen(got), fill + 3);
                }
    free(big);
}

static void json_lines(void **state)
{
    static const lt_case cases[] = {
        {"{\"text\":\"a\"}\n\n \t\r\n{\"text\":\"b\"}", "1:a|4:b|"},
        {"\xEF\xBB\xBF{\"text\":\"\\u00e9\\n\"}\r\n", "1:\xC3\xA9\n|"},
        {"{\"text\":12}\n{\"text\":-0.5}\n{\"text\":true}\n{\"text\":null}\n{\"text\":[1]}\n{}",
         "1:12|2:-0.5|3:true|4:(none)|5:(none)|6:(none)|"},
        {"{\"text\":\"a\"}\n{\"text\" 1}\n", "1:a|!f.jsonl:2:9: expected ':' after a key, found 1"},
        {"\n[1]\n", "!f.jsonl:2: expected a JSON object"},
        {"{\"text\":\"a\xff\"}", "!f.jsonl:1:11: expected UTF-8"},
        {"{\"text\":\"a\"} x", "!f.jsonl:1:14: expected nothing more after the value, found x"},
        {"{\"text\":\n\"a\"}", "!f.jsonl:1:9: expected a value, found the end"},
        {"{\"a\":1,\"a\":2}", "!f.jsonl:1:8: expected each key once in an object, found \"a\""},
    };
    CHECK("f.jsonl", "text", cases);
    assert_string_equal(read_text("F.NDJSON", "{\"text\":\"a\"}", "text"), "1:a|");
    assert_string_equal(read_text("f.jsonl", "{\"_id\":7}\n{\"_id\":\"x\",\"id\":\"y\"}\n{}", "id"), "1:7|2:y|3:(none)|");

    lt_row row;
    size_t n;
    static const char nul[] = "{\"text\":\"a\\u0000b\"}\n{\"text\":\"a\0b\"}";
    lt_rows *rows = lt_rows_open_memory(cx, nul, sizeof nul - 1, "f.jsonl", NULL);
    assert_true(lt_rows_next(cx, rows, &row));
    assert_memory_equal(lt_row_text(&row, "text", &n), "a\0b", 4);
    assert_int_equal(n, 3);
    assert_false(lt_rows_next(cx, rows, &row));
    assert_non_null(strstr(lt_ctx_error(cx), "f.jsonl:2:"));
    lt_ctx_clear(cx);
    assert_false(lt_rows_next(cx, rows, &row));
    assert_true(lt_ok(cx));
    lt_rows_close(rows);
}

static void values_of_json_rows(void **state)
{
    static const char text[] = "{\"a\":1,\"b\":2.5,\"c\":false,\"list\":[1,{}],\"n\":null,\"ids\":[5,-100,2147483647],\"bad\":[1,2."
                               "5],\"big\":[2147483648]}";
    lt_row row;
    size_t n;
    int32_t count;
    lt_rows *rows = lt_rows_open_memory(cx, text, strlen(text), "f.jsonl", NULL);
    assert_true(lt_rows_next(cx, rows, &row));
    const char *a = lt_row_text(&row, "a", NULL), *b = lt_row_text(&row, "b", &n), *c = lt_row_text(&row, "c", NULL);
    assert_string_equal(a, "1"); /* all stay until the next row */
    assert_string_equal(b, "2.5");
    assert_int_equal(n, 3);
    assert_string_equal(c, "false");
    assert_int_equal(lt_json_size(lt_row_json(&row, "list")), 2);
    assert_null(lt_row_text(&row, "list", NULL));

    const int32_t *ids = lt_row_ids(cx, &row, "ids", &count);
    assert_int_equal(count, 3);
    assert_true(ids[0] == 5 && ids[1] == -100 && ids[2] == INT32_MAX);
    assert_null(lt_row_ids(cx, &row, "absent", &count));
    assert_null(lt_row_ids(cx, &row, "n", &count));
    assert_true(lt_ok(cx));
    static const char *const wrong[][2] = {
        {"bad", "f.jsonl:1: bad: expected an integer of 32 bits in place 1, counted from 0"},
        {"big", "f.jsonl:1: big: expected an integer of 32 bits in place 0, counted from 0"},
        {"a", "f.jsonl:1: a: expected an array of integers"},
    };
    for (int i = 0; i < 3; i++) {
        assert_null(lt_row_ids(cx, &row, wrong[i][0], &count));
        assert_int_equal(count, 0);
        assert_string_equal(lt_ctx_error(cx), wrong[i][1]);
        lt_ctx_clear(cx);
    }
    static const char *const unwanted[][2] = {
        {"n", "f.jsonl:1: column \"n\": expected a string, found null"},
        {"list", "f.jsonl:1: column \"list\": expected a string, found an array"},
        {"text", "f.jsonl:1: no column \"text\"; the columns there are: a, b, c, list, n, ids, bad, big"},
    };
    for (int i = 0; i < 3; i++) {
        assert_null(lt_row_want_text(cx, &row, unwanted[i][0], &n));
        assert_string_equal(lt_ctx_error(cx), unwanted[i][1]);
        lt_ctx_clear(cx);
    }
    lt_rows_close(rows);
}

static void json_arrays(void **state)
{
    static const lt_case cases[] = {
        {"[]", ""},
        {" [\n]\n", ""},
        {"[{\"text\":\"a\"},{\"text\":\"]}\\\"\\\\\"}\n,\n {\"text\":{\"x\":[{}]}}]\n", "1:a|1:]}\"\\|3:(none)|"},
        {"{\"text\":\"a\"}\n{\"text\":\"b\"}", "1:a|2:b|"},
        {"", "!f.json:1:1: expected an array of objects, found the end"},
        {"\n 3", "!f.json:2:2: expected an array of objects, found '3'"},
        {"[3]", "!f.json:1:2: expected an object, found '3'"},
        {"[{},]", "1:(none)|!f.json:1:5: expected an object, found ']'"},
        {"[,{}]", "!f.json:1:2: expected an object, found ','"},
        {"[{} {}]", "1:(none)|!f.json:1:5: expected ',' or ']' after an object, found '{'"},
        {"[{}", "1:(none)|!f.json:1:4: expected ',' or ']' after an object, found the end"},
        {"[{}\n,", "1:(none)|!f.json:2:2: expected an object, found the end"},
        {"[{\"a\":\"}", "!f.json:1:9: expected the end of an object, found the end"},
        {"[{}] x", "1:(none)|!f.json:1:6: expected nothing more after the array, found 'x'"},
        {"[{},\n {\"\xC3\xA9\": 1,\n}]", "1:(none)|!f.json:3:1: expected a key in double quotes or '}', found }"},
        {"[{\"a\":1},  {\"b\" 2}]", "1:(none)|!f.json:1:17: expected ':' after a key, found 2"},
    };
    CHECK("f.json", "text", cases);
}

static void lines_of_ids(void **state)
{
    static const char text[] = "[1,2,3]\n\n[]\n[[1],[2]]\n{}\n";
    lt_row row;
    int32_t n = 9;
    lt_rows *rows = lt_rows_open_memory(cx, text, strlen(text), "f.txt", &(lt_rows_options){.ids = true});
    assert_true(lt_rows_next(cx, rows, &row));
    assert_int_equal(lt_row_ids(cx, &row, "ids", &n)[2], 3);
    assert_int_equal(n, 3);
    assert_true(lt_rows_next(cx, rows, &row));
    assert_int_equal(row.line, 3);
    assert_non_null(lt_row_ids(cx, &row, "ids", &n));
    assert_int_equal(n, 0);
    assert_true(lt_rows_next(cx, rows, &row)); /* source and decoder ids */
    assert_int_equal(lt_json_size(lt_row_json(&row, "ids")), 2);
    assert_null(lt_row_ids(cx, &row, "ids", &n));
    lt_ctx_clear(cx);
    assert_false(lt_rows_next(cx, rows, &row));
    assert_string_equal(lt_ctx_error(cx), "f.txt:5: expected a JSON array of token ids");
    lt_ctx_clear(cx);
    lt_rows_close(rows);

    rows = lt_rows_open_memory(cx, "ids,x\n\"[4, 5]\",1\n7,1\n", 22, "f.csv", NULL);
    assert_true(lt_rows_next(cx, rows, &row));
    assert_int_equal(lt_row_ids(cx, &row, "ids", &n)[1], 5);
    assert_true(lt_rows_next(cx, rows, &row));
    assert_null(lt_row_ids(cx, &row, "ids", &n));
    assert_string_equal(lt_ctx_error(cx), "f.csv:3: ids: expected an array of integers");
    lt_ctx_clear(cx);
    lt_rows_close(rows);
}

static void csv_rows(void **state)
{
    static const lt_case cases[] = {
        {"", ""},
        {"text,b", ""},
        {"text,b\n1,2\n", "2:1|"},
        {"\xEF\xBB\xBF\"text\",b\r\n1,2\r\n\r\n3,4", "2:1|4:3|"},
        {"b,text\n1,\n,2\n,\n", "2:|3:2|4:|"},
        {"b,text\n1,\"a, \"\"b\"\"\nc\"\n\"\",\"\"\n", "2:a, \"b\"\nc|4:|"},
        {"b,text\n1,\"\"\"\"\n2,\"\"\"\"\"\"\n", "2:\"|3:\"\"|"},
        {"b,text\n\"\r\n\n\",x\n1,y", "2:x|5:y|"},
        {"b,text\n1,it\"s\n2, \"x\"\n", "2:it\"s|3: \"x\"|"},
        {"text\na\n\n\"\"\nb\n", "2:a|4:|5:b|"},
        {"text,b\n1\n", "!f.csv:2: expected 2 fields, as the header has, found 1"},
        {"text,b\n1,2,3,4\n", "!f.csv:2: expected 2 fields, as the header has, found 4"},
        {"text,b\n1,\"2\n\n", "!f.csv:2: expected a closing quote, found the end of the file"},
        {"text,b\n1,\"2\"x\n", "!f.csv:2: expected a comma or the end of the line after a closing quote"},
        {"text,b\n\n1,\"", "!f.csv:3: expected a closing quote, found the end of the file"},
        {"text,b,text\n", "!f.csv:1: expected a header that names each column once, found \"text\" twice"},
        {"\"text", "!f.csv:1: expected a closing quote, found the end of the file"},
        {",text,\n1,2,3\n", "2:2|"}, /* columns without names cannot be asked for */
    };
    CHECK("f.csv", "text", cases);
}

static void tsv_rows(void **state)
{
    static const lt_case cases[] = {
        {"b\ttext\n1\t2\r\n\n3\t\n", "2:2|4:|"},
        {"b\ttext\n1\t\"a \"\"b\"\"\"\n", "2:a \"b\"|"},
        {"b\ttext\n1\t\"two\nlines\"\n2\tx", "2:two\nlines|4:x|"},
        {"b\ttext\n1\t\"Hello,\" he said.\n2\t\"x\n3\t\"\n", "2:\"Hello,\" he said.|3:\"x|4:\"|"}, /* quotes that are none */
        {"text\tb\n\"x\ty\n\"\t\"\n", "2:\"x|3:\"|"},
        {"text\n\"x\ny\"\n\"z\"", "2:\"x|3:y\"|4:z|"},
        {"text\tb\n1\n", "!f.tsv:2: expected 2 fields, as the header has, found 1"},
    };
    CHECK("f.tsv", "text", cases);
    assert_string_equal(read_bytes("f.txt", "text\tb\n1\t2\n", 11, "b", &(lt_rows_options){.format = LT_ROWS_TSV}), "2:2|");
}

/* Where --columns has numbers there is no header; further fields do no harm. */
static void tables_without_a_header(void **state)
{
    static const struct {
        const char *name, *input, *columns, *expected;
    } cases[] = {
        {"f.tsv", "a line\t0\nanother\t1", "text=1,label=2", "1:a line|2:another|"},
        {"f.tsv", "gj04\t1\t\tThe \"sailors\" rode.\n", "text=4,label=2", "1:The \"sailors\" rode.|"},
        {"f.csv", "1,\"two\r\nlines\"\r\n0,x\r\n", "label=1,text=2", "1:two\r\nlines|3:x|"},
        {"f.tsv", "a\tb\tc\td\te\n1\t2\n", "text=2", "1:b|2:2|"},
        {"f.tsv", "a\tb\n1\n", "text=2", "1:b|!f.tsv:2: expected 2 fields, as --columns wants, found 1"},
        {"f.tsv", "", "text=2", ""},
        {"f.tsv", "1\t2\nx\ty\n", "text=1,label=what", "!f.tsv: no column \"what\", as --columns label=what wants it; the columns there are: 1, 2"},
        {"f.tsv", "a\tb\n1\t2\n", "text=0", "!f.tsv: no column \"0\", as --columns text=0 wants it; the columns there are: a, b"},
        {"f.jsonl", "{\"1\": \"one\"}\n", "text=1", "1:one|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = read_bytes(cases[i].name, cases[i].input, strlen(cases[i].input), "text", &(lt_rows_options){.columns = cases[i].columns});
        if (strncmp(got, cases[i].expected, strlen(cases[i].expected))) print_error("case %zu: %s\n", i, got);
        assert_int_equal(strncmp(got, cases[i].expected, strlen(cases[i].expected)), 0);
    }
}

/* All rows as "line:word/tag word/tag|", then "!MESSAGE". */
static const char *read_conll(const char *name, const char *text, size_t size, const char *columns)
{
    static lt_str out;
    lt_str_clear(&out);
    lt_str_puts(&out, "");
    lt_rows *rows = lt_rows_open_memory(cx, text, size, name, &(lt_rows_options){.columns = columns, .format = LT_ROWS_CONLL});
    lt_row row;
    while (lt_rows_next(cx, rows, &row)) {
        assert_true(lt_row_keep(cx, &row));
        const lt_json *words = lt_row_json(&row, "words"), *tags = lt_row_json(&row, "tags");
        lt_str_printf(&out, "%d:", (int)row.line);
        for (int64_t i = 0; i < lt_json_size(words); i++) {
            lt_str_printf(&out, i ? " %s" : "%s", lt_json_text(lt_json_at(words, i), NULL));
            if (tags) lt_str_printf(&out, "/%s", lt_json_text(lt_json_at(tags, i), NULL));
        }
        lt_str_puts(&out, "|");
        lt_row_release(&row);
    }
    if (!lt_ok(cx)) lt_str_printf(&out, "!%s", lt_ctx_error(cx));
    lt_ctx_clear(cx);
    lt_rows_close(rows);
    return out.data;
}

static void conll_columns(void **state)
{
    static const struct {
        const char *name, *input, *columns, *expected;
    } cases[] = {
        {"f", "", NULL, ""},
        {"f", "\n\n\t\n", NULL, ""},
        {"f", "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER", NULL, "1:EU/B-ORG rejects/O|4:Peter/B-PER|"},
        {"f", "a\tO\r\n\t\r\nb\tB\r\n", NULL, "1:a/O|3:b/B|"},                       /* a tab on the empty line */
        {"f", "#\tO\n#tag\tO\n\n#\tB\nx\tO\n", NULL, "1:#/O #tag/O|4:#/B x/O|"},      /* tokens, not comments */
        {"f", "a\tO\n\n#\tO\n", NULL, "1:a/O|3:#/O|"},
        {"f", "#\thttp://x\t[2009]\n1\tEin\tO\tO\n\n#\thttp://y\t[2009]\t\n1\tHaus\tB\tO\n", "words=2,tags=3", "2:Ein/O|5:Haus/B|"},
        {"f", "# a comment of any words\nx O\n\n# another one\ny O\n", NULL, "2:x/O|5:y/O|"},
        {"f", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n. . O O\n", NULL, "3:EU/B-ORG ./O|"}, /* CoNLL 2003 */
        {"f", "EU NNP B-NP B-ORG\n", "words=1,tags=2", "1:EU/NNP|"},
        {"f", "one\ntwo\n\nthree\n", NULL, "1:one two|4:three|"}, /* words alone */
        {"f.conllu", "# text = du bist\n1-2\tdus\t_\t_\n1\tdu\tdu\tPRON\t_\n2\tbist\tsein\tAUX\t_\n2.1\tx\tx\tX\n", NULL, "3:du/PRON bist/AUX|"},
        {"f", "a \"quote\"\\\n", NULL, "1:a/\"quote\"\\|"},
        {"f", "a\tO\nb\n", NULL, "!f:2: expected a word and its tag, as the tokens before"},
        {"f", "a\tO\n", "words=1,tags=3", "!f:1: expected 3 columns, found 2"},
        {"f", "a\tO\n", "words=token", "1:a/O|"}, /* a name that no file has: the usual column */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = read_conll(cases[i].name, cases[i].input, strlen(cases[i].input), cases[i].columns);
        if (strcmp(got, cases[i].expected)) print_error("case %zu: %s\n", i, got);
        assert_string_equal(got, cases[i].expected);
    }
    static const char hostile[] = "a\0b\tO\n\xff\xfe\tO\n"; /* a NUL, and bytes that are no text */
    const char *got = read_conll("f", hostile, sizeof hostile - 1, NULL);
    assert_int_equal(strncmp(got, "1:a", 3), 0);
    assert_true(lt_rows_format_named("conll") == LT_ROWS_CONLL && lt_rows_format_named("xml") == LT_ROWS_FORMATS && lt_rows_format_named(NULL) == LT_ROWS_FORMATS);
}

static void after_a_bad_row_comes_the_next(void **state)
{
    static const char text[] = "a,b\n1\n2,\"x\ny\"z,\n3,4\n";
    lt_row row;
    lt_rows *rows = lt_rows_open_memory(cx, text, strlen(text), "f.csv", NULL);
    for (int i = 0; i < 2; i++) {
        assert_false(lt_rows_next(cx, rows, &row));
        assert_false(lt_ok(cx));
        lt_ctx_clear(cx);
    }
    assert_true(lt_rows_next(cx, rows, &row));
    assert_int_equal(row.line, 5);
    assert_string_equal(lt_row_text(&row, "b", NULL), "4");
    lt_rows_close(rows);
}

static void renamed_columns(void **state)
{
    static const struct {
        const char *name, *text, *columns, *column, *expected;
    } cases[] = {
        {"f.csv", "a,b\n1,2\n", "text=b", "text", "2:2|"},
        {"f.csv", "text,b\n1,2\n", "text=b,b=text", "text", "2:2|"},
        {"f.csv", "text,b\n1,2\n", "text=b,b=text", "b", "2:1|"},
        {"f.csv", "text,b\n1,2\n", "title=b", "text", "2:1|"},
        {"f.csv", "a,b\n1,2\n", "text=c", "text",
         "!f.csv: no column \"c\", as --columns text=c wants it; the columns there are: a, b"},
        {"f.csv", "a,b\n", "text=c", "text", ""},
        {"f.txt", "x\n", "title=text", "title", "1:x|"},
        {"f.txt", "x\n", "text=body", "text",
         "!f.txt: no column \"body\", as --columns text=body wants it; the columns there are: text"},
        {"f.jsonl", "{\"a\":1}\n{\"b\":2}", "text=b", "text", "1:(none)|2:2|"},
        {"f.jsonl", "{\"a\":1,\"z\":0}\n{\"b\":2}", "text=c", "text",
         "1:(none)|2:(none)|!f.jsonl: no column \"c\", as --columns text=c wants it; the columns there are: a, z"},
        {"f.jsonl", "{\"_id\":1,\"key\":2}", "id=key", "id", "1:2|"},
        {"f.txt", "x\n", "text", "text", "!--columns: expected OURS=THEIRS, as in text=sentence,label=class, found \"text\""},
        {"f.txt", "x\n", "text=a,", "text", "!--columns: expected OURS=THEIRS, as in text=sentence,label=class, found \"\""},
        {"f.txt", "x\n", "text=", "text", "!--columns: expected OURS=THEIRS, as in text=sentence,label=class, found \"text=\""},
        {"f.txt", "x\n", "a=text,a=b", "text", "!--columns: \"a\" is given twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_bytes(cases[i].name, cases[i].text, strlen(cases[i].text), cases[i].column,
                                       &(lt_rows_options){.columns = cases[i].columns}),
                            cases[i].expected);
}

/* What RFC 4180 writes is read back, fields of all sizes, over windows that move and grow. */
static void random_csv_comes_back(void **state)
{
    enum { COLUMNS = 3, ROWS = 400 };
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    srand(seed);
    lt_str file = {0}, field[ROWS][COLUMNS] = {0};
    lt_str_puts(&file, "a,b,c\n");
    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < COLUMNS; c++) {
            lt_str *f = &field[i][c];
            lt_str_puts(f, "x");
            for (int n = rand() % (rand() % 50 ? 20 : 60000); n > 0; n--) lt_str_add(f, &"ab \",\n\r\t\0\xff"[rand() % 10], 1);
            lt_str_puts(&file, "\"");
            for (size_t k = 0; k < f->size; k++)
                lt_str_add(&file, &"\"\""[f->data[k] != '"'], f -> data[k] == '"' ? 1 : 0), lt_str_add(&file, f->data + k, 1);
            lt_str_puts(&file, c == COLUMNS - 1 ? "\"\r\n" : "\",");
        }
    lt_rows *rows = lt_rows_open_memory(cx, file.data, file.size, "f.csv", NULL);
    lt_row row;
    for (int i = 0; i < ROWS; i++) {
        assert_true(lt_rows_next(cx, rows, &row));
        for (int c = 0; c < COLUMNS; c++) {
            size_t n;
            const char *text = lt_row_text(&row, (char[]){(char)('a' + c), 0}, &n);
            assert_int_equal(n, field[i][c].size);
            assert_memory_equal(text, field[i][c].data, n + 1);
            lt_str_free(&field[i][c]);
        }
    }
    assert_false(lt_rows_next(cx, rows, &row));
    assert_true(lt_ok(cx));
    lt_rows_close(rows);
    lt_str_free(&file);
}

/* Every beginning of a file gives the first of its rows, then perhaps an error: never another text. */
static void every_prefix(void **state)
{
    static const char *const files[][2] = {
        {"f.txt", "one\r\n\ntwo\nthree"},
        {"f.jsonl", "{\"text\":\"a\\\"\"}\n\n{\"text\":12,\"x\":[1,{\"y\":null}]}\n"},
        {"f.json", "[{\"text\":\"a\"},\n{\"text\":\"b}]\",\"x\":{\"y\":[2]}}\n]\n"},
        {"f.csv", "id,text\n1,\"a \"\"b\"\" c\"\r\n\n2,\"x\ny\"\n3,\n"},
        {"f.tsv", "id\ttext\n1\t\"a \"\"b\"\" c\"\r\n\n2\t\"x\ny\"\n3\t\n"},
    };
    for (int f = 0; f < 5; f++)
        for (size_t n = 0; n <= strlen(files[f][1]); n++) {
            char *copy = malloc(n ? n : 1); /* of its own size, so that sanitizers see reads past it */
            memcpy(copy, files[f][1], n);
            const char *got = read_bytes(files[f][0], copy, n, "text", NULL);
            if (strchr(got, '!')) assert_non_null(strstr(got, files[f][0]));
            free(copy);
        }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(longest_line),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(values_of_json_rows),
        cmocka_unit_test(json_arrays),
        cmocka_unit_test(lines_of_ids),
        cmocka_unit_test(csv_rows),
        cmocka_unit_test(tsv_rows),
        cmocka_unit_test(tables_without_a_header),
        cmocka_unit_test(conll_columns),
        cmocka_unit_test(after_a_bad_row_comes_the_next),
        cmocka_unit_test(renamed_columns),
        cmocka_unit_test(random_csv_comes_back),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests_name("rows", tests, set_up, tear_down);
}
