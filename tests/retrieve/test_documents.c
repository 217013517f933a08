/* Protects: each kind of source gives its documents, in order, with their ids; what is malformed is refused with its place. */
#include "scratch.h"

#include <zlib.h>

/* All documents as "id|title|text;". */
static const char *all(lt_ctx *cx, int n, const char *const *paths, const lt_rows_options *options)
{
    lt_documents *d = lt_documents_open(cx, paths, n, options);
    if (!d) return NULL;
    lt_document doc;
    lt_str s = {0};
    int64_t last = 0;
    while (lt_documents_next(cx, d, &doc)) {
        assert_int_equal(strlen(doc.title), doc.title_size);
        lt_str_printf(&s, "%s|%s|", doc.id, doc.title);
        lt_str_add(&s, doc.text, doc.text_size);
        lt_str_puts(&s, ";");
        assert_true(lt_documents_bytes_done(d) >= last && lt_documents_bytes_done(d) <= lt_documents_bytes_total(d));
        last = lt_documents_bytes_done(d);
    }
    if (lt_ok(cx)) assert_int_equal(lt_documents_bytes_done(d), lt_documents_bytes_total(d));
    lt_documents_close(d);
    const char *copy = lt_ok(cx) ? lt_sprintf(cx, "%s", s.data ? s.data : "") : NULL;
    lt_str_free(&s);
    return copy;
}

static void check(const char *name, const char *content, const char *columns, const char *want)
{
    lt_ctx *cx = make_ctx(1);
    const char *path = scratch_file(name, content, strlen(content)),
               *got = all(cx, 1, &path, &(lt_rows_options){.columns = columns});
    assert_good(cx, got);
    assert_string_equal(got, want);
    lt_ctx_free(cx);
}

static void refused(const char *name, const char *content, const char *words)
{
    lt_ctx *cx = make_ctx(1);
    const char *path = scratch_file(name, content, strlen(content));
    assert_null(all(cx, 1, &path, NULL));
    assert_refused(cx, LT_ERR_INPUT, words);
    lt_ctx_free(cx);
}

static void rows(void **state)
{
    check("a.txt", "first\n\nthird, <DOC>\n", NULL, "1||first;3||third, <DOC>;"); /* ids are the lines' numbers */
    check("a.jsonl",
          "{\"_id\":\"x\",\"title\":\"T\",\"text\":\"t\"}\n{\"id\":7,\"contents\":\"c\"}\n{\"title\":\"only\"}\n{\"docid\":\"d\","
          "\"title\":null,\"text\":\"\"}\n",
          NULL, "x|T|t;7||c;3|only|;d||;");
    check("a.csv", "id,title,text\n1,\"A, b\",\"two\nlines\"\n,c,d\n", NULL, "1|A, b|two\nlines;2|c|d;");
    check("a.tsv", "key\tbody\nk\tb \"c\"\n", "id=key,text=body", "k||b \"c\";");
    refused("b.jsonl", "{\"text\":\"good\"}\n{\"body\":\"x\"}\n", "b.jsonl");
    refused("c.jsonl", "{\"text\":\n", "c.jsonl");
}

static void sgml(void **state)
{
    check("trec",
          "<DOC>\n<DOCNO> A-1 </DOCNO>\n<HEADLINE>The\nnews</HEADLINE>\n<TEXT>\n<P>AT&amp;T &#169; a < "
          "b</P>\n</TEXT>\n<BYLINE>me</BYLINE></DOC>\n<doc><docno>2</docno>\nplain &unknown;\n</doc>\n",
          NULL, "A-1|The\nnews|AT&T © a < b;2||plain &unknown;;");
    check("one-line.sgml", "<DOC><DOCNO>1</DOCNO>a</DOC><DOC><DOCNO>2</DOCNO>b</DOC> between <DOC>c</DOC>", NULL,
          "1||a;2||b;3||c;");
    check("prolog.xml",
          "<?xml version=\"1.0\"?>\n<root>\n<DOC><DOCNO>1</DOCNO><TITLE>t</TITLE><TEXT>a</TEXT> <AUTHOR>x</AUTHOR> "
          "<TEXT>b</TEXT></DOC>\n</root>\n",
          NULL, "1|t|a b;");
    check("blank-first", "\n  <doc>\n<docno>1</docno>x</doc>\n", NULL, "1||x;");
    check("text.csv", "text\n<DOC>\n", NULL, "1||<DOC>;"); /* a row is a row */
    refused("open", "<DOC>\n<DOCNO>1</DOCNO>\nno end\n", "open line 1: <DOC> without </DOC>");
}

static void compressed(void **state)
{
    lt_ctx *cx = make_ctx(1);
    const char *path = scratch_path("z.trec.gz");
    gzFile z = gzopen(path, "wb");
    gzputs(z, "<DOC><DOCNO>1</DOCNO>packed</DOC>\n");
    gzclose(z);
    const char *got = all(cx, 1, &path, NULL);
    assert_good(cx, got);
    assert_string_equal(got, "1||packed;");
    lt_ctx_free(cx);
}

static void folders(void **state)
{
    lt_ctx *cx = make_ctx(1);
    mkdir(scratch_path("notes"), 0777);
    mkdir(scratch_path("notes/b"), 0777);
    mkdir(scratch_path("notes/.git"), 0777);
    scratch_file("notes/.git/config", "hidden", 6);
    scratch_file("notes/.hidden", "hidden", 6);
    scratch_file("notes/b/c.txt", "deep", 4);
    scratch_file("notes/b.txt", "two\nlines\n", 10);
    scratch_file("notes/binary", "a\0b", 3);
    scratch_file("notes/empty", " \n", 2);
    scratch_file("notes/data.jsonl", "{\"text\":1}\n", 11);
    assert_int_equal(symlink(".", scratch_path("notes/loop")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("notes/dangling")), 0);
    const char *path = scratch_path("notes"), *got = all(cx, 1, &path, NULL);
    assert_good(cx, got);
    assert_string_equal(got, "b.txt||two\nlines\n;b/c.txt||deep;data.jsonl||{\"text\":1}\n;");
    /* A BEIR folder is one corpus; several sources come in their order, numbers go on. */
    mkdir(scratch_path("beir"), 0777);
    scratch_file("beir/corpus.jsonl", "{\"_id\":\"q\",\"title\":\"\",\"text\":\"x\"}\n", 34);
    scratch_file("beir/queries.jsonl", "{}", 2);
    scratch_file("l1", "a\nb\n", 4);
    scratch_file("l2", "c\n", 2);
    const char *paths[] = {scratch_path("l1"), scratch_path("beir"), scratch_path("l2")};
    got = all(cx, 3, paths, NULL);
    assert_good(cx, got);
    assert_string_equal(got, "1||a;2||b;q||x;4||c;");
    const char *absent = "no/such/thing";
    assert_null(lt_documents_open(cx, &absent, 1, NULL));
    assert_refused(cx, LT_ERR_IO, "no/such/thing: No such file or directory");
    lt_ctx_free(cx);
}

/* An id that begins with a NUL byte would be an empty string: the document gets its number. */
static void ids_of_nul_bytes(void **state)
{
    static const char trec[] = "<DOC><DOCNO>\0x</DOCNO>a</DOC>\n", csv[] = "id,text\n\0x,a\n";
    lt_ctx *cx = make_ctx(1);
    const char *path = scratch_file("nul.trec", trec, sizeof trec - 1), *got = all(cx, 1, &path, NULL);
    assert_good(cx, got);
    assert_string_equal(got, "1||a;");
    path = scratch_file("nul.csv", csv, sizeof csv - 1);
    got = all(cx, 1, &path, NULL);
    assert_good(cx, got);
    assert_string_equal(got, "1||a;");
    lt_ctx_free(cx);
}

/* Many small documents in one line, and one that never ends: time and memory stay in proportion. */
static void sgml_in_proportion(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_str s = {0};
    for (int i = 0; i < 100000; i++) lt_str_puts(&s, "<DOC>x</DOC>");
    const char *path = scratch_file("line", s.data, s.size);
    double start = lt_now();
    assert_good(cx, all(cx, 1, &path, NULL));
    assert_true(lt_now() - start < 5); /* a second or less; quadratic work would take minutes */
    lt_str_clear(&s);
    lt_str_puts(&s, "<DOC>");
    for (int i = 0; i < 300000; i++) lt_str_puts(&s, "<a\n");
    path = scratch_file("endless", s.data, s.size);
    start = lt_now();
    assert_null(all(cx, 1, &path, NULL));
    assert_refused(cx, LT_ERR_INPUT, "without </DOC>");
    assert_true(lt_now() - start < 5);
    lt_str_free(&s);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(sgml),
        cmocka_unit_test(compressed),
        cmocka_unit_test(folders),
        cmocka_unit_test(ids_of_nul_bytes),
        cmocka_unit_test(sgml_in_proportion),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
