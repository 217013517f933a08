/* Protects: an index holds what was put into it; BM25 is the formula, to the last digits; replacing and deleting leave
 * nothing behind; what is no index, or a damaged one, is refused; several processes at one file see whole states; a new index
 * takes the old one's place only whole. Run under ThreadSanitizer too. */
#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *const DOCS[][3] = {
    {"a", "Fruit", "an apple a day keeps the apple doctor away"},
    {"b", "", "the day of the doctor"},
    {"c", "Apple pie", "bake for a day"},
    {"d", "", ""},
};
enum { N = 4 };

static lt_index *open_plain(lt_ctx *cx, const char *path)
{
    lt_index *x = lt_index_open(cx, path, LT_INDEX_CREATE, &(lt_index_options){.analyzer = "plain", .k1 = 1.2, .b = 0.75, .use_k1 = true, .use_b = true});
    assert_good(cx, x);
    return x;
}

static char *make_index(lt_ctx *cx, const char *name)
{
    char *path = scratch_path(name);
    lt_index *x = open_plain(cx, path);
    assert_good(cx, put(cx, x, N, DOCS, NULL, 0));
    assert_good(cx, lt_index_close(cx, x));
    return path;
}

/* "b a": the ids found, best first. */
static const char *found(lt_ctx *cx, lt_index *x, const char *query)
{
    int n;
    lt_hit *h = lt_search(cx, x, NULL, query, NULL, &n);
    assert_good(cx, h);
    const char *all = "";
    for (int i = 0; i < n; i++) all = lt_sprintf(cx, "%s%s%s", all, i ? " " : "", h[i].id);
    return all;
}

static void bm25_is_the_formula(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_index *x = reopen(cx, make_index(cx, "formula"), LT_INDEX_READ);
    const lt_index_info *i = lt_index_about(x);
    assert_int_equal(i->documents, 4);
    assert_string_equal(i->analyzer, "plain");
    assert_null(i->model);
    assert_int_equal(i->dim, 0);
    int n;
    lt_hit *h = lt_search(cx, x, NULL, "Apple, day! apple", NULL, &n);
    assert_int_equal(n, 3);
    /* Lengths 10, 5, 6, 0; apple is in a (twice) and c, day in a, b and c; apple is asked for twice. */
    double mean = 21 / 4.0, k1 = 1.2, b = 0.75, apple = log(1 + (4 - 2 + 0.5) / 2.5), day = log(1 + (4 - 3 + 0.5) / 3.5);
    double na = k1 * (1 - b + b * 10 / mean), nb = k1 * (1 - b + b * 5 / mean), nc = k1 * (1 - b + b * 6 / mean);
    struct {
        const char *id;
        double score;
    } want[] = {
        {"a", 2 * apple * 2 / (2 + na) + day / (1 + na)}, {"c", 2 * apple / (1 + nc) + day / (1 + nc)}, {"b", day / (1 + nb)}};
    for (int k = 0; k < 3; k++) {
        assert_string_equal(h[k].id, want[k].id);
        assert_float_equal(h[k].score, want[k].score, 1e-14); /* the same few operations */
    }
    assert_string_equal(h[1].title, "Apple pie");
    assert_string_equal(h[1].text, "bake for a day");
    h = lt_search(cx, x, NULL, "apple", &(lt_search_options){.k = 1, .k1 = 0.9, .b = 0, .use_k1 = true, .use_b = true}, &n);
    assert_int_equal(n, 1);
    assert_string_equal(h[0].id, "a");
    assert_float_equal(h[0].score, apple * 2 / (2 + 0.9), 1e-14);
    /* Zero is zero: what is left is the weight of the word. */
    h = lt_search(cx, x, NULL, "apple", &(lt_search_options){.use_k1 = true, .use_b = true}, &n);
    assert_float_equal(h[0].score, apple, 1e-14);
    assert_float_equal(h[1].score, apple, 1e-14);
    const lt_search_options wrong[] = {{.k1 = -1, .use_k1 = true}, {.k1 = NAN, .use_k1 = true}, {.b = 2, .use_b = true}};
    for (int k = 0; k < 3; k++) {
        assert_null(lt_search(cx, x, NULL, "apple", &wrong[k], &n));
        assert_refused(cx, LT_ERR_USAGE, "expected k1");
    }
    h = lt_search(cx, x, NULL, "apple", &(lt_search_options){.exclude = "a", .ids_only = true}, &n);
    assert_int_equal(n, 1);
    assert_string_equal(h[0].id, "c");
    assert_string_equal(h[0].text, "");
    assert_true(lt_index_close(cx, x));
    lt_ctx_free(cx);
}

static void ties_are_broken_by_id_descending(void **state)
{
    lt_ctx *cx = make_ctx(1);
    const char *const docs[][3] = {{"1", "", "x"}, {"10", "", "x"}, {"9", "", "x"}, {"b", "", "x y"}, {"a", "", "x y"}};
    lt_index *x = open_plain(cx, scratch_path("ties"));
    assert_good(cx, put(cx, x, 5, docs, NULL, 0));
    assert_string_equal(found(cx, x, "x"), "9 10 1 b a");
    int n;
    lt_hit *h = lt_search(cx, x, NULL, "x", &(lt_search_options){.k = 2}, &n);
    assert_int_equal(n, 2);
    assert_string_equal(h[1].id, "10");
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void replace_and_delete(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "change");
    lt_index *x = reopen(cx, path, LT_INDEX_ADD);
    const char *const more[][3] = {{"a", "", "pear"}, {"e", "", "apple"}, {"e", "", "plum"}};
    assert_string_equal(found(cx, x, "apple"), "a c");
    assert_good(cx, put(cx, x, 3, more, NULL, 0));
    assert_string_equal(found(cx, x, "apple"), "c");
    assert_string_equal(found(cx, x, "pear plum"), "e a");
    assert_int_equal(lt_index_about(x)->documents, 5);
    int64_t deleted = 0;
    assert_good(cx, lt_index_delete(cx, x, (const char *const[]){"c", "c", "nobody", "d"}, 4, &deleted));
    assert_int_equal(deleted, 2);
    assert_string_equal(found(cx, x, "apple"), "");
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    x = reopen(cx, path, LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->documents, 3);
    assert_string_equal(found(cx, x, "pear"), "a");
    assert_good(cx, lt_index_check(cx, x));
    assert_string_equal(found(cx, x, "pear"), "a"); /* still, after the check */
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void any_query_works(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_index *x = reopen(cx, make_index(cx, "any"), LT_INDEX_READ);
    static const char *const queries[] = {"",
                                          " ",
                                          "\"",
                                          "apple\"",
                                          "apple AND",
                                          "NOT apple",
                                          "apple*",
                                          "title:apple",
                                          "(",
                                          "NEAR(apple day",
                                          "^apple",
                                          "a+b-c",
                                          "'; DROP TABLE documents; --",
                                          "\xFF\xFE apple \xC3",
                                          "%",
                                          "apple\ndoctor"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) found(cx, x, queries[i]);
    assert_string_equal(found(cx, x, "title:apple"), "a c");
    assert_string_equal(found(cx, x, "NOT doctor"), "b a");
    lt_str s = {0};
    for (int i = 0; i < 20000; i++) lt_str_printf(&s, "w%d apple ", i);
    assert_string_equal(found(cx, x, s.data), "a c");
    lt_str_free(&s);
    int n;
    assert_null(lt_search(cx, x, NULL, "x", &(lt_search_options){.mode = LT_SEARCH_DENSE}, &n));
    assert_refused(cx, LT_ERR_USAGE, "the index has no vectors");
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void odd_documents(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_index *x = open_plain(cx, scratch_path("odd"));
    lt_pending p = {0};
    int64_t added = 0, replaced = 0;
    lt_document nul = {.id = "n\xFF", .title = "t\0u", .text = "a\0apple\xC3", .title_size = 3, .text_size = 8},
                none = {.id = "none"}, nameless = {.id = ""};
    assert_good(cx, lt_pending_add(cx, &p, &nul) && lt_pending_add(cx, &p, &none));
    assert_false(lt_pending_add(cx, &p, &nameless));
    assert_refused(cx, LT_ERR_INPUT, "a document without id");
    assert_good(cx, lt_index_write(cx, x, &p, &added, &replaced));
    assert_int_equal(added, 2);
    int n;
    lt_hit *h = lt_search(cx, x, NULL, "apple", NULL, &n);
    assert_int_equal(n, 1);
    assert_string_equal(h[0].id, "n\xEF\xBF\xBD");
    assert_string_equal(h[0].title, "t\xEF\xBF\xBDu");
    assert_string_equal(h[0].text, "a\xEF\xBF\xBD"
                                   "apple\xEF\xBF\xBD");
    assert_good(cx, lt_index_check(cx, x));
    lt_pending_free(&p);
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static const char *snippet(lt_ctx *cx, const char *analyzer, const char *text, const char *query)
{
    lt_index *x = lt_index_open(cx, scratch_path("snippet"), LT_INDEX_CREATE, &(lt_index_options){.analyzer = analyzer});
    assert_good(cx, x);
    const char *const docs[][3] = {
        {"1", "key", text}, {"2", "", "nothing of the kind"}, {"3", "", "the rest"}, {"4", "", "the end"}};
    assert_good(cx, put(cx, x, 4, docs, NULL, 0));
    int n;
    lt_hit *h = lt_search(cx, x, NULL, query, NULL, &n);
    assert_good(cx, h && n);
    const char *s = h[0].snippet;
    lt_index_close(cx, x);
    return s;
}

static void snippets(void **state)
{
    lt_ctx *cx = make_ctx(1);
    assert_string_equal(snippet(cx, "english", "He was running, she ran.", "runs"), "He was \x01running\x02, she ran.");
    assert_string_equal(snippet(cx, "unicode", "Une crème\n\n brûlée\x01!", "BRULEE creme"), "Une \x01"
                                                                                             "crème\x02 \x01"
                                                                                             "brûlée\x02 !");
    assert_string_equal(snippet(cx, "unicode", "私は東京に行く", "東京"), "私は\x01東京\x02に行く");
    assert_string_equal(snippet(cx, "plain", "no match here", "key"), "no match here");
    assert_string_equal(snippet(cx, "plain", "", "key"), "");
    lt_str s = {0};
    for (int i = 0; i < 100; i++) lt_str_printf(&s, "w%d ", i);
    lt_str_puts(&s, "the needle (and thread). ");
    for (int i = 0; i < 100; i++) lt_str_printf(&s, "v%d ", i);
    const char *cut = snippet(cx, "plain", s.data, "the thread needle");
    assert_non_null(strstr(cut, " \x01needle\x02 (and \x01thread\x02). v0 "));
    assert_true(!strncmp(cut, "… w", 5) && strlen(cut) > 4 && !strcmp(cut + strlen(cut) - 4, " …"));
    assert_true(strlen(cut) < 200);
    assert_string_equal(snippet(cx, "plain", "the needle", "the thread needle"), "the \x01needle\x02"); /* "the" is everywhere */
    lt_str_free(&s);
    lt_ctx_free(cx);
}

/* ---- what is no index -------------------------------------------------------------------------------------------- */

static void wrong_files_are_refused(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char sql[600];
    assert_null(lt_index_open(cx, scratch_path("absent"), LT_INDEX_READ, NULL));
    assert_refused(cx, LT_ERR_IO, "absent: no such index");
    assert_null(lt_index_open(cx, scratch, LT_INDEX_ADD, NULL));
    assert_refused(cx, LT_ERR_INPUT, "which is a file");
    assert_null(lt_index_open(cx, scratch_file("text", "hello, world\n", 13), LT_INDEX_READ, NULL));
    assert_refused(cx, LT_ERR_INPUT, "not an index made by lathe");
    assert_null(lt_index_open(cx, scratch_file("empty", "", 0), LT_INDEX_READ, NULL));
    assert_refused(cx, LT_ERR_INPUT, "not an index made by lathe");
    static const struct {
        const char *sql, *words;
        lt_status status;
    } change[] = {
        {"PRAGMA user_version = 7", "index of version 7; this lathe knows version 1", LT_ERR_UNSUPPORTED},
        {"PRAGMA application_id = 7", "not an index made by lathe", LT_ERR_INPUT},
        {"CREATE TABLE more(a)", "found table more", LT_ERR_INPUT},
        {"CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM documents; END", "found trigger t", LT_ERR_INPUT},
        {"DROP TABLE vectors; CREATE VIEW vectors AS SELECT 1 AS id, 2 AS vector", "found view vectors", LT_ERR_INPUT},
        {"DROP TABLE lengths", "a table is missing", LT_ERR_INPUT},
        {"UPDATE meta SET value = 'nan' WHERE key = 'k1'", "meta k1: expected a number", LT_ERR_INPUT},
        {"DELETE FROM meta WHERE key = 'b'", "meta b: expected a number from 0 to 1, found 'nothing'", LT_ERR_INPUT},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        sqlite3 *db;
        char *path = make_index(cx, "changed");
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, change[i].sql, NULL, NULL, NULL)) fail_msg("%s: %s", change[i].sql, sqlite3_errmsg(db));
        sqlite3_close(db);
        assert_null(lt_index_open(cx, path, LT_INDEX_READ, NULL));
        assert_refused(cx, change[i].status, change[i].words);
        snprintf(sql, sizeof sql, "%s", path);
        unlink(sql);
    }
    assert_null(lt_index_open(cx, scratch_path("x"), LT_INDEX_CREATE, &(lt_index_options){.analyzer = "englsh"}));
    assert_refused(cx, LT_ERR_USAGE, "nearest: english");
    assert_null(lt_index_open(cx, scratch_path("x"), LT_INDEX_CREATE, &(lt_index_options){.k1 = -1, .use_k1 = true}));
    assert_refused(cx, LT_ERR_USAGE, "expected k1");
    assert_null(lt_index_open(cx, scratch_path("no/such/folder"), LT_INDEX_CREATE, NULL));
    assert_refused(cx, LT_ERR_IO, "no/such/folder");
    lt_ctx_free(cx);
}

static void damage_is_found(void **state)
{
    lt_ctx *cx = make_ctx(1);
    static const struct {
        const char *sql, *words;
    } change[] = {
        {"UPDATE documents SET text = 'pear' WHERE docid = 'a'", "does not match the documents"},
        {"UPDATE lengths SET terms = terms + 1 WHERE id = 2", "document b has 5 terms, not 6"},
        {"DELETE FROM lengths WHERE id = 1", "documents have no length"},
        {"INSERT INTO vectors VALUES(77, x'00')", "vectors have no document"},
        {"INSERT INTO vectors VALUES(1, x'00')", "vectors are of the wrong size"},
        {"UPDATE meta SET value = '3' WHERE key = 'dim'", "documents have no vector"},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        sqlite3 *db;
        char *path = make_index(cx, "damaged");
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, change[i].sql, NULL, NULL, NULL)) fail_msg("%s: %s", change[i].sql, sqlite3_errmsg(db));
        sqlite3_close(db);
        lt_index *x = reopen(cx, path, LT_INDEX_READ);
        assert_false(lt_index_check(cx, x));
        assert_refused(cx, LT_ERR_INPUT, change[i].words);
        lt_index_close(cx, x);
    }
    lt_ctx_free(cx);
}

/* Bytes changed and files cut at random: an error or an answer, never a crash; a check that passes means that searching works. */
static void random_damage_never_crashes(void **state)
{
    lt_ctx *cx = make_ctx(1);
    lt_map map;
    char *path = make_index(cx, "source");
    assert_good(cx, lt_map_open(cx, &map, path));
    char *copy = malloc(map.size);
    uint32_t seed = 5, out[4];
    int refused = 0, rounds = 150;
    print_message("# seed %u\n", seed);
    for (int round = 0; round < rounds; round++) {
        size_t size = map.size;
        memcpy(copy, map.data, size);
        for (uint32_t i = 0; i < 1u + (uint32_t)round % 20; i++) {
            lt_philox((uint32_t[4]){(uint32_t)round, i}, (uint32_t[2]){seed}, out);
            copy[out[0] % size] = (char)out[1];
        }
        if (round % 5 == 0) size = out[2] % size;
        path = scratch_file("broken", copy, size);
        lt_index *x = lt_index_open(cx, path, LT_INDEX_READ, NULL);
        int n = 0;
        bool good = x && lt_index_check(cx, x);
        lt_ctx_clear(cx);
        bool answered = x && lt_search(cx, x, NULL, "apple day the", NULL, &n);
        if (good && !answered) fail_msg("round %d: checked, and then: %s", round, lt_ctx_error(cx));
        refused += !good;
        lt_ctx_clear(cx);
        lt_index_close(cx, x);
    }
    assert_true(refused > rounds / 4); /* else nothing was damaged */
    free(copy);
    lt_map_close(&map);
    lt_ctx_free(cx);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static void creating_replaces_when_whole(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "whole");
    int before = scratch_count();
    lt_index *x = open_plain(cx, path);
    assert_good(cx, put(cx, x, 1, DOCS, NULL, 0));
    lt_index *old = reopen(cx, path, LT_INDEX_READ);
    assert_int_equal(lt_index_about(old)->documents, 4);
    lt_fail(cx, LT_ERR_INPUT, "something else went wrong");
    assert_false(lt_index_close(cx, x));
    lt_ctx_clear(cx);
    assert_int_equal(scratch_count(), before); /* no trace */
    lt_index_close(cx, old);
    x = open_plain(cx, path);
    assert_good(cx, put(cx, x, 1, DOCS, NULL, 0));
    assert_good(cx, lt_index_close(cx, x));
    assert_int_equal(scratch_count(), before);
    x = reopen(cx, path, LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->documents, 1);
    lt_index_close(cx, x);
    /* A file that is something else stays; an empty one is taken (mktemp); a link is written through. */
    char *text = scratch_file("precious", "text\n", 5);
    assert_null(lt_index_open(cx, text, LT_INDEX_CREATE, NULL));
    assert_refused(cx, LT_ERR_IO, "exists and is no index; not overwritten");
    char *empty = scratch_file("mktemp", "", 0), *link = scratch_path("link");
    assert_int_equal(symlink("mktemp", link), 0);
    x = open_plain(cx, link);
    assert_good(cx, put(cx, x, 1, DOCS, NULL, 0));
    assert_good(cx, lt_index_close(cx, x));
    x = reopen(cx, empty, LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->documents, 1);
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

/* A child that dies in the middle of a transaction, leaving its journal. */
static void die_while_writing(const char *path)
{
    pid_t pid = fork();
    if (!pid) {
        sqlite3 *db;
        lt_ctx *cx = lt_ctx_new(NULL);
        if (sqlite3_open(path, &db) || !lt_analyzers_register(cx, db, NULL)) _exit(1);
        sqlite3_exec(
            db,
            "PRAGMA cache_size = 1; BEGIN; UPDATE documents SET text = hex(zeroblob(300000)), title = 'lost'; DELETE FROM lengths",
            NULL, NULL, NULL);
        raise(SIGKILL);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
}

static void a_crash_is_taken_back(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "crash"), *journal = scratch_path("crash-journal");
    die_while_writing(path);
    assert_int_equal(access(journal, F_OK), 0); /* else the test tests nothing */
    lt_index *x = reopen(cx, path, LT_INDEX_READ);
    assert_string_equal(found(cx, x, "apple"), "a c");
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    assert_int_not_equal(access(journal, F_OK), 0);
    /* A journal that is left behind must not spoil the index that takes the place. */
    die_while_writing(path);
    assert_int_equal(access(journal, F_OK), 0);
    x = open_plain(cx, path);
    assert_good(cx, put(cx, x, 2, DOCS, NULL, 0));
    assert_good(cx, lt_index_close(cx, x));
    assert_int_not_equal(access(journal, F_OK), 0);
    x = reopen(cx, path, LT_INDEX_READ);
    assert_string_equal(found(cx, x, "doctor"), "b a");
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void without_permission_to_write(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "readonly");
    if (geteuid() == 0) {
        /* Root may write anything: a child gives that up. */
        assert_int_equal(chmod(scratch, 0755), 0);
        assert_int_equal(chmod(path, 0444), 0);
    }
    chmod(path, 0444);
    pid_t pid = fork();
    if (!pid) {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(9);
        lt_index *x = lt_index_open(cx, path, LT_INDEX_READ, NULL);
        int n = 0;
        if (!x || !lt_search(cx, x, NULL, "apple", NULL, &n) || n != 2) _exit(1);
        if (!lt_index_check(cx, x)) _exit(2);
        lt_index_close(cx, x);
        if (lt_index_open(cx, path, LT_INDEX_ADD, NULL) || !strstr(lt_ctx_error(cx), "cannot be written")) _exit(3);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    lt_ctx_free(cx);
}

/* A limit on the size of files stands in for a full disk. */
static void a_full_disk_is_a_clean_error(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "full");
    pid_t pid = fork();
    if (!pid) {
        struct rlimit limit = {1 << 17, 1 << 17};
        signal(SIGXFSZ, SIG_IGN);
        lt_index *x = lt_index_open(cx, path, LT_INDEX_ADD, NULL);
        lt_str s = {0};
        for (int i = 0; i < 60000; i++) lt_str_printf(&s, "w%d ", i);
        const char *const big[][3] = {{"big", "", s.data}};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || !x) _exit(1);
        if (put(cx, x, 1, big, NULL, 0)) _exit(2);
        if (lt_ctx_status(cx) != LT_ERR_IO) _exit(3);
        lt_ctx_clear(cx);
        int n;
        if (!lt_search(cx, x, NULL, "apple", NULL, &n) || n != 2) _exit(4);
        lt_index_close(cx, x);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    lt_index *x = reopen(cx, path, LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->documents, 4);
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

/* ---- several at once --------------------------------------------------------------------------------------------- */

static void readers_see_whole_states(void **state)
{
    enum { BATCHES = 30, EACH = 10 };
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "shared");
    pid_t pid = fork();
    if (!pid) {
        lt_ctx *own = lt_ctx_new(NULL);
        lt_index *x = lt_index_open(own, path, LT_INDEX_ADD, NULL);
        for (int i = 0; i < BATCHES && x; i++) {
            char id[EACH][40];
            const char *doc[EACH][3];
            for (int k = 0; k < EACH; k++) {
                snprintf(id[k], 40, "n%d-%d", i, k);
                doc[k][0] = id[k];
                doc[k][1] = "";
                doc[k][2] = "fresh apple";
            }
            if (!put(own, x, EACH, (const char *const(*)[3])doc, NULL, 0)) _exit(1);
        }
        _exit(x ? 0 : 2);
    }
    lt_index *x = reopen(cx, path, LT_INDEX_READ);
    int status = 0, seen = 0, last = 0;
    for (bool over = false; !over;) {
        over = waitpid(pid, &status, WNOHANG) == pid;
        lt_scope scope = lt_open(cx, NULL);
        int n;
        assert_good(cx, lt_search(cx, x, NULL, "fresh", &(lt_search_options){.k = 1000}, &n));
        assert_int_equal(n % EACH, 0);
        assert_true(n >= last);
        seen += n != last;
        last = n;
        lt_end(cx, scope);
    }
    assert_int_equal(status, 0);
    assert_int_equal(last, BATCHES * EACH); /* the last search began after the writer's end */
    assert_true(seen >= 1);
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void writers_take_turns(void **state)
{
    enum { WRITERS = 3, EACH = 20 };
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "writers");
    pid_t pid[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        pid[w] = fork();
        if (pid[w]) continue;
        lt_ctx *own = lt_ctx_new(NULL);
        lt_index *x = lt_index_open(own, path, LT_INDEX_ADD, NULL);
        for (int i = 0; i < EACH && x; i++) {
            char id[40];
            snprintf(id, sizeof id, "w%d-%d", w, i);
            const char *const doc[][3] = {{id, "", "turn"}};
            if (!put(own, x, 1, doc, NULL, 0)) _exit(1);
        }
        _exit(x ? 0 : 2);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        waitpid(pid[w], &status, 0);
        assert_int_equal(status, 0);
    }
    lt_index *x = reopen(cx, path, LT_INDEX_READ);
    assert_int_equal(lt_index_about(x)->documents, N + WRITERS * EACH);
    assert_good(cx, lt_index_check(cx, x));
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void a_held_index_and_a_moved_one(void **state)
{
    lt_ctx *cx = make_ctx(1);
    char *path = make_index(cx, "held");
    lt_index *x = reopen(cx, path, LT_INDEX_ADD), *y = reopen(cx, path, LT_INDEX_ADD);
    assert_good(cx, lt_begin(cx, x, true));
    sqlite3_busy_timeout(y->db, 50); /* not ten seconds here */
    assert_false(put(cx, y, 1, DOCS, NULL, 0));
    assert_refused(cx, LT_ERR_IO, "another process is using the index");
    lt_rollback(x);
    assert_good(cx, put(cx, y, 1, DOCS, NULL, 0));
    lt_index_close(cx, y);
    /* Replaced meanwhile: who has the old one open must not write, least of all a journal beside the new one. */
    y = open_plain(cx, path);
    assert_good(cx, lt_index_close(cx, y));
    assert_false(put(cx, x, 1, DOCS, NULL, 0));
    assert_refused(cx, LT_ERR_IO, "another process has replaced the index");
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

static void cancelling_stops(void **state)
{
    static volatile sig_atomic_t cancel;
    cancel = 0;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .cancel = &cancel});
    char *path = make_index(cx, "cancel");
    lt_index *x = reopen(cx, path, LT_INDEX_ADD);
    cancel = 1;
    assert_false(put(cx, x, N, DOCS, NULL, 0));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_CANCELLED);
    lt_index_close(cx, x);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bm25_is_the_formula),
        cmocka_unit_test(ties_are_broken_by_id_descending),
        cmocka_unit_test(replace_and_delete),
        cmocka_unit_test(any_query_works),
        cmocka_unit_test(odd_documents),
        cmocka_unit_test(snippets),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(random_damage_never_crashes),
        cmocka_unit_test(creating_replaces_when_whole),
        cmocka_unit_test(a_crash_is_taken_back),
        cmocka_unit_test(without_permission_to_write),
        cmocka_unit_test(a_full_disk_is_a_clean_error),
        cmocka_unit_test(readers_see_whole_states),
        cmocka_unit_test(writers_take_turns),
        cmocka_unit_test(a_held_index_and_a_moved_one),
        cmocka_unit_test(cancelling_stops),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
