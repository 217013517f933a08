/* `lathe search`: asks an index by keywords (BM25), by vectors, or by both fused; one query, many, or a conversation. */
#include "cli/cli.h"
#include "lathe/retrieve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    lt_cli *cli;
    lt_index *index;
    lt_model *model; /* NULL: keywords only */
    lt_run_options run;
    lt_search_options options;
    bool many; /* several queries: each hit says whose it is */
} job;

/* ---- hits for programs ---- */

static bool put_json(job *j, const char *key, const char *query, const lt_hit *h)
{
    lt_str *s = &j->cli->out.text;
    lt_str_puts(s, "{");
    if (j->many) lt_json_member(s, key, query);
    lt_json_member(s, "id", h->id);
    lt_json_member_num(s, "score", h->score);
    lt_json_member(s, "title", h->title);
    lt_json_member(s, "text", h->text);
    lt_str_puts(s, "}\n");
    return lt_print_due(&j->cli->out);
}

/* "qid Q0 docid rank score tag": fields are separated by blanks, so an id must not have any. */
static bool put_trec(job *j, const char *qid, const lt_hit *h, int rank)
{
    lt_str *s = &j->cli->out.text;
    if (!*h->id || strpbrk(h->id, " \t\r\n"))
        return lt_fail_if(j->cli->cx, true, LT_ERR_INPUT, "document id '%s': a run cannot hold an id that is empty or has blanks",
                          h->id);
    lt_str_printf(s, "%s Q0 %s %d ", qid, h->id, rank);
    lt_json_put_double(s, h->score);
    lt_str_puts(s, " lathe\n");
    return lt_print_due(&j->cli->out);
}

/* ---- hits for people ---- */

/* The snippet on lines of its own, matches in bold; \x01 and \x02 mark them. */
static void put_snippet(lt_str *s, const char *snippet, bool colours, int width)
{
    lt_str line = {0};
    while (*snippet) {
        size_t size = strcspn(snippet, "\001\002");
        lt_text_plain(&line, snippet, size, -1);
        snippet += size;
        if (!*snippet) break;
        /* Kept through the wrapping as marks, which take no column. */
        lt_str_add(&line, snippet++, 1);
    }
    lt_str wrapped = {0};
    if (line.data) lt_text_wrap(&wrapped, line.data, 6, 6, width);
    lt_str_puts(s, "      ");
    for (size_t i = 0; i < wrapped.size; i++) {
        char c = wrapped.data[i];
        if (c != 1 && c != 2)
            lt_str_add(s, &c, 1);
        else if (colours)
            lt_str_puts(s, c == 1 ? "\033[1m" : "\033[0m");
    }
    lt_str_puts(s, "\n");
    lt_str_free(&line);
    lt_str_free(&wrapped);
}

/* The beginning of a text, to stand in for a snippet. */
static const char *beginning(lt_ctx *cx, const char *text)
{
    lt_str s = {0};
    lt_text_plain(&s, text, strnlen(text, 2000), 240);
    const char *copy = lt_sprintf(cx, "%s", s.data ? s.data : "");
    lt_str_free(&s);
    return copy ? copy : "";
}

static bool put_human(job *j, const lt_hit *h, int rank)
{
    lt_print *out = &j->cli->out;
    lt_str *s = &out->text;
    int width = lt_term_width(1);
    lt_str_printf(s, "%3d.  %s", rank, out->colours ? "\033[1m" : "");
    lt_text_plain(s, *h->title ? h->title : h->id, strlen(*h->title ? h->title : h->id), width - 30 > 20 ? width - 30 : 20);
    lt_str_printf(s, "%s  ", out->colours ? "\033[0m" : "");
    if (*h->title) lt_text_plain(s, h->id, strlen(h->id), 24);
    lt_str_printf(s, "%s(%.4g)\n", *h->title ? "  " : "", h->score);
    put_snippet(s, h->snippet ? h->snippet : beginning(j->cli->cx, h->text), out->colours, width);
    return lt_print_due(out);
}

/* ---- queries ---- */

static lt_hit *find(job *j, const char *query, int *n) { return lt_search(j->cli->cx, j->index, j->model, query, &j->options, n); }

static bool answer(job *j, const char *query)
{
    lt_ctx *cx = j->cli->cx;
    lt_scope scope = lt_open(cx, NULL);
    int n = 0;
    const lt_hit *hits = find(j, query, &n);
    bool json = lt_print_wants_json(&j->cli->out), good = hits || lt_ok(cx);
    for (int i = 0; i < n && good; i++) good = json ? put_json(j, "query", query, &hits[i]) : put_human(j, &hits[i], i + 1);
    if (good && !n) lt_remark(j->cli, "nothing found");
    lt_end(cx, scope);
    return good;
}

/* The query's id and text of a row: columns, or a line "id<TAB>query". */
static const char *take_query(lt_ctx *cx, const lt_row *row, const char **id)
{
    size_t size;
    const char *text = lt_row_text(row, "query", &size);
    if (!text) text = lt_row_want_text(cx, row, "text", &size);
    const char *named = lt_row_text(row, "id", &size);
    if (!text || named) {
        *id = named;
        return text;
    }
    const char *tab = strchr(text, '\t');
    if (!tab)
        return lt_fail(cx, LT_ERR_INPUT, "%s line %lld: expected id<TAB>query, or columns id and text", row->file,
                       (long long)row->line);
    *id = lt_sprintf(cx, "%.*s", (int)(tab - text), text);
    return *id ? tab + 1 : NULL;
}

static bool answer_row(job *j, const lt_row *row)
{
    lt_ctx *cx = j->cli->cx;
    const char *qid = NULL, *query = take_query(cx, row, &qid);
    int n = 0;
    if (!query) return false;
    if (!*qid || strpbrk(qid, " \t\r\n"))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: query id '%s' is empty or has blanks", row->file,
                          (long long)row->line, qid);
    j->options.exclude = lt_arg_flag(&j->cli->args, "exclude-self") ? qid : NULL;
    const lt_hit *hits = find(j, query, &n);
    bool good = hits || lt_ok(cx);
    for (int i = 0; i < n && good; i++)
        good = j->cli->out.json ? put_json(j, "query", qid, &hits[i]) : put_trec(j, qid, &hits[i], i + 1);
    return good;
}

/* --run: a file of queries. Its lines are split here, whatever its ending, unless that says that it has columns. */
static bool answer_file(job *j, const char *path)
{
    lt_ctx *cx = j->cli->cx;
    size_t size = strlen(path);
    bool lines = size >= 4 && !strcmp(path + size - 4, ".tsv");
    lt_rows_options options = {.format = lines ? LT_ROWS_LINES : LT_ROWS_AUTO, .columns = lt_arg_text(&j->cli->args, "columns")};
    lt_rows *rows = lt_rows_open(cx, &path, 1, &options);
    if (!rows) return false;
    lt_row row;
    bool good = true;
    lt_progress_begin(cx, "searching", "queries", 0);
    while (good && lt_rows_next(cx, rows, &row)) {
        lt_scope scope = lt_open(cx, NULL);
        good = answer_row(j, &row);
        lt_end(cx, scope);
        lt_progress_step(cx, row.index + 1);
    }
    lt_progress_end(cx);
    lt_rows_close(rows);
    return good && lt_ok(cx);
}

/* Queries from standard input, one a line; on a terminal with a prompt. */
static bool converse(job *j)
{
    bool ask = lt_term_is(0) && j->cli->out.terminal;
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    j->many = !ask;
    while (good) {
        if (ask) fputs("query> ", stderr);
        ssize_t n = getline(&line, &room, stdin);
        if (n < 0 && lt_ok(j->cli->cx) && ferror(stdin)) lt_fail(j->cli->cx, LT_ERR_IO, "standard input could not be read");
        if (n < 0) break;
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (n) good = answer(j, line) && lt_print_flush(&j->cli->out);
    }
    if (ask) fputc('\n', stderr);
    free(line);
    return good && lt_ok(j->cli->cx);
}

/* ---- the verb ---- */

static bool choose_mode(job *j)
{
    const lt_args *a = &j->cli->args;
    const lt_index_info *i = lt_index_about(j->index);
    const char *mode = lt_arg_text(a, "mode");
    if (mode && strcmp(mode, "bm25") != 0 && !i->dim)
        return lt_usage(j->cli, "--mode %s: this index has no vectors; bm25 it can do", mode);
    j->options.mode = mode     ? !strcmp(mode, "bm25")    ? LT_SEARCH_BM25
                                 : !strcmp(mode, "dense") ? LT_SEARCH_DENSE
                                                          : LT_SEARCH_HYBRID
                      : i->dim ? LT_SEARCH_HYBRID
                               : LT_SEARCH_BM25;
    if (j->options.mode == LT_SEARCH_BM25) return true;
    const char *path = lt_arg_text(a, "model");
    j->model = lt_cli_model(j->cli, path ? path : i->model);
    if (j->model) j->run.prompt = lt_cli_prompt(j->cli, j->model, "prompt");
    return j->model != NULL;
}

static void set_options(job *j)
{
    const lt_args *a = &j->cli->args;
    bool run = lt_arg_given(a, "run");
    j->run = lt_cli_run_options(j->cli);
    j->options = (lt_search_options){
        .k = lt_arg_given(a, "k") ? (int)lt_arg_int(a, "k")
             : run                ? 1000
                                  : 10,
        .depth = (int)lt_arg_int(a, "depth"),
        .rrf_k = lt_arg_num(a, "rrf-k"),
        .k1 = lt_arg_num(a, "k1"),
        .b = lt_arg_num(a, "b"),
        .use_k1 = lt_arg_given(a, "k1"),
        .use_b = lt_arg_given(a, "b"),
        .run = &j->run,
        .ids_only = run && !j->cli->out.json,
    };
    j->many = run;
}

/* All words after the index are one query. */
static bool answer_words(job *j)
{
    const lt_args *a = &j->cli->args;
    lt_str query = {0};
    for (int i = 1; i < a->operands; i++) lt_str_printf(&query, "%s%s", i > 1 ? " " : "", a->operand[i]);
    bool good = !query.failed ? answer(j, query.data) : lt_fail_if(j->cli->cx, true, LT_ERR_MEMORY, "no memory for the query");
    lt_str_free(&query);
    return good;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *queries = lt_arg_text(a, "run");
    job j = {.cli = cli};
    if (queries && a->operands > 1) return lt_usage(cli, "--run has the queries: found one more, '%s'", a->operand[1]);
    if (!queries && lt_arg_flag(a, "exclude-self")) return lt_usage(cli, "--exclude-self needs queries with ids: --run FILE");
    j.index = lt_index_open(cli->cx, a->operand[0], LT_INDEX_READ, NULL);
    if (!j.index) return false;
    set_options(&j);
    bool good = choose_mode(&j) && (queries ? answer_file(&j, queries) : a->operands > 1 ? answer_words(&j) : converse(&j));
    lt_model_close(j.model);
    lt_index_close(cli->cx, j.index);
    return good;
}

static const lt_opt options[] = {
    {"k", 'k', LT_OPT_INT, "N", "hits wanted (default: 10; 1000 with --run)", NULL, NULL, 1, 1 << 24},
    {"mode", 0, LT_OPT_CHOICE, NULL, "keywords, vectors, or both fused; default: hybrid, or bm25 where there are no vectors", NULL,
     "bm25|dense|hybrid"},
    {"run", 0, LT_OPT_FILE, "FILE",
     "answer a file of id<TAB>query lines (or .jsonl, .csv with columns id and text); prints a TREC run"},
    {"exclude-self", 0, LT_OPT_FLAG, NULL, "with --run: leave the document with the query's own id out of its ranking"},
    {"model", 0, LT_OPT_FILE, "MODEL", "where the model is now, if not where it was when the index was made"},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "put a prompt of the model, or else this text, in front of the query's embedding"},
    {"k1", 0, LT_OPT_NUM, "X", "BM25: how fast repetition saturates; default: the index's own", NULL, NULL, 0, 1000},
    {"b", 0, LT_OPT_NUM, "X", "BM25: how much long documents are held back; default: the index's own", NULL, NULL, 0, 1},
    {"depth", 0, LT_OPT_INT, "N", "hybrid: length of the rankings that are fused; 0: 1000, or -k if that is more", "0", NULL, 0,
     1 << 24},
    {"rrf-k", 0, LT_OPT_NUM, "X", "hybrid: reciprocal-rank fusion adds 1 / (X + rank)", "60", NULL, 1, 1e9},
    {"columns", 0, LT_OPT_TEXT, "OURS=THEIRS,…", "with --run: names of columns in the file, as in id=qid,text=question"},
    {0},
};

const lt_verb lt_verb_search = {
    .name = "search",
    .summary = "ask an index by keywords, by meaning, or both",
    .operands = "OUT [QUERY…]\nOUT --run QUERIES [-o RUN]",
    .about = "All words of QUERY are one query. Without one, queries come from standard input, one a line; a terminal gets a "
             "prompt.\n"
             "In a pipe or with --json: {\"id\", \"score\", \"title\", \"text\"}, best first; \"query\" too where there are "
             "several. --run prints \"qid Q0 docid rank score lathe\" lines instead, or with --json such objects with the "
             "query's id as \"query\".",
    .examples = "lathe search notes.idx how do I renew a passport\n"
                "lathe search notes.idx 'passport' --mode bm25 -k 3 --json\n"
                "lathe search papers.idx --run queries.tsv -o hybrid.run\n"
                "lathe eval --run hybrid.run --qrels qrels.tsv",
    .least = 1,
    .most = -1,
    .options = options,
    .run = run,
};
