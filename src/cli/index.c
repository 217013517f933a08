/* `lathe index`: makes and tends a search index, one SQLite file with documents, keyword index and vectors. */
#include "cli/cli.h"
#include "lathe/retrieve.h"

#include <string.h>

typedef struct counts {
    int64_t added, replaced, deleted;
} counts;

static lt_index *open_index(lt_cli *cli, lt_index_mode mode, const char *model)
{
    const lt_args *a = &cli->args;
    if (mode != LT_INDEX_CREATE && (lt_arg_given(a, "analyzer") || lt_arg_given(a, "k1") || lt_arg_given(a, "b"))) {
        lt_usage(cli, "--analyzer, --k1 and --b are settled when an index is made");
        return NULL;
    }
    lt_index_options options = {
        .model_path = model,
        .analyzer = lt_arg_text(a, "analyzer"),
        .k1 = lt_arg_num(a, "k1"),
        .b = lt_arg_num(a, "b"),
        .use_k1 = true,
        .use_b = true,
    };
    return lt_index_open(cli->cx, a->operand[0], mode, &options);
}

static bool add_files(lt_cli *cli, lt_index *x, const lt_model *m, const char *const *files, int n, counts *c)
{
    static const char *const standard_input[] = {"-"};
    lt_rows_options rows = {.columns = lt_arg_text(&cli->args, "columns")};
    lt_run_options run = lt_cli_run_options(cli);
    if (m) run.prompt = lt_cli_prompt(cli, m, "prompt");
    lt_documents *docs = lt_documents_open(cli->cx, n ? files : standard_input, n ? n : 1, &rows);
    bool good = docs && lt_index_add(cli->cx, x, m, docs, &run, &c->added, &c->replaced);
    if (docs) lt_documents_close(docs);
    return good;
}

static bool report(lt_cli *cli, lt_index *x, const counts *c)
{
    const lt_index_info *i = lt_index_about(x);
    lt_print *out = &cli->out;
    if (!lt_print_wants_json(out)) {
        lt_str_printf(&out->text, "%s: %lld documents (%lld added, %lld replaced, %lld deleted), analyzer %s, ",
                      cli->args.operand[0], (long long)i->documents, (long long)c->added, (long long)c->replaced,
                      (long long)c->deleted, i->analyzer);
        if (i->dim)
            lt_str_printf(&out->text, "vectors of %d by %s\n", i->dim, i->model);
        else
            lt_str_puts(&out->text, "no vectors\n");
        return lt_print_due(out);
    }
    lt_str_puts(&out->text, "{");
    lt_json_member_int(&out->text, "documents", i->documents);
    lt_json_member_int(&out->text, "added", c->added);
    lt_json_member_int(&out->text, "replaced", c->replaced);
    lt_json_member_int(&out->text, "deleted", c->deleted);
    lt_json_member(&out->text, "analyzer", i->analyzer);
    lt_json_member(&out->text, "model", i->model);
    lt_json_member_int(&out->text, "dim", i->dim);
    lt_str_puts(&out->text, "}\n");
    return lt_print_due(out);
}

/* ---- what can be done ---- */

static bool create(lt_cli *cli, counts *c)
{
    const lt_args *a = &cli->args;
    bool keyword = lt_arg_flag(a, "keyword");
    int first = keyword ? 1 : 2;
    if (a->operands < first)
        return lt_usage(cli, "expected OUT MODEL [FILE…], or OUT --keyword [FILE…] for an index without vectors");
    lt_model *m = keyword ? NULL : lt_cli_model(cli, a->operand[1]);
    lt_index *x = keyword || m ? open_index(cli, LT_INDEX_CREATE, keyword ? NULL : a->operand[1]) : NULL;
    bool good = x && add_files(cli, x, m, a->operand + first, a->operands - first, c) && report(cli, x, c);
    if (x) good = lt_index_close(cli->cx, x) && good;
    lt_model_close(m);
    return good;
}

static bool add(lt_cli *cli, counts *c)
{
    const lt_args *a = &cli->args;
    lt_index *x = open_index(cli, LT_INDEX_ADD, NULL);
    if (!x) return false;
    const lt_index_info *i = lt_index_about(x);
    const char *path = lt_arg_text(a, "model") ? lt_arg_text(a, "model") : i->model;
    lt_model *m = i->dim ? lt_cli_model(cli, path) : NULL;
    bool good = (m || !i->dim) && add_files(cli, x, m, a->operand + 1, a->operands - 1, c) && report(cli, x, c);
    good = lt_index_close(cli->cx, x) && good;
    lt_model_close(m);
    return good;
}

static bool drop(lt_cli *cli, counts *c)
{
    const lt_args *a = &cli->args;
    if (a->operands < 2) return lt_usage(cli, "--delete needs the ids of documents: lathe index OUT --delete ID…");
    lt_index *x = open_index(cli, LT_INDEX_ADD, NULL);
    if (!x) return false;
    bool good = lt_index_delete(cli->cx, x, a->operand + 1, a->operands - 1, &c->deleted) && report(cli, x, c);
    return lt_index_close(cli->cx, x) && good;
}

static bool look(lt_cli *cli, counts *c)
{
    if (cli->args.operands > 1) return lt_usage(cli, "--check takes the index alone: found '%s'", cli->args.operand[1]);
    lt_index *x = open_index(cli, LT_INDEX_READ, NULL);
    if (!x) return false;
    bool good = lt_index_check(cli->cx, x) && report(cli, x, c);
    return lt_index_close(cli->cx, x) && good;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    counts c = {0};
    int tasks = lt_arg_flag(a, "add") + lt_arg_flag(a, "delete") + lt_arg_flag(a, "check") + lt_arg_flag(a, "keyword");
    if (tasks > 1) return lt_usage(cli, "--add, --delete, --check and --keyword are four tasks: choose one");
    if (lt_arg_flag(a, "add")) return add(cli, &c);
    if (lt_arg_flag(a, "delete")) return drop(cli, &c);
    if (lt_arg_flag(a, "check")) return look(cli, &c);
    return create(cli, &c);
}

static const lt_opt options[] = {
    {"add", 0, LT_OPT_FLAG, NULL, "add documents to an index; one whose id is there already is replaced"},
    {"delete", 0, LT_OPT_FLAG, NULL, "delete the documents with these ids"},
    {"check", 0, LT_OPT_FLAG, NULL, "check that file, keyword index and vectors are whole"},
    {"keyword", 0, LT_OPT_FLAG, NULL, "make an index without a model and vectors"},
    {"model", 0, LT_OPT_FILE, "MODEL", "with --add: where the model is now, if not where it was"},
    {"analyzer", 0, LT_OPT_CHOICE, NULL, "how text becomes keywords (see lathe list analyzer)", "english",
     "plain|unicode|english|code"},
    {"k1", 0, LT_OPT_NUM, "X", "BM25: how fast repetition saturates", "0.9", NULL, 0, 1000},
    {"b", 0, LT_OPT_NUM, "X", "BM25: how much long documents are held back", "0.4", NULL, 0, 1},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "put a prompt of the model, or else this text, in front of each document"},
    {"columns", 0, LT_OPT_TEXT, "OURS=THEIRS,…", "names of columns in the files, as in id=key,title=name,text=body"},
    {0},
};

const lt_verb lt_verb_index = {
    .name = "index",
    .summary = "make a search index, or add to it, delete from it, check it",
    .operands = "OUT MODEL [FILE…]\nOUT --keyword [FILE…]\nOUT --add [FILE…]\nOUT --delete ID…\nOUT --check",
    .about = "OUT is one SQLite file with documents, keyword index and vectors. Making replaces an existing OUT when the new "
             "one is whole; --add and --delete work in transactions: whatever happens, the file holds its last committed "
             "state.\n"
             "A FILE is text (a document a line), .jsonl, .csv or .tsv with columns id, title and text, TREC SGML, a BEIR "
             "folder (corpus.jsonl), or any other folder, each of its files a document; .gz and .zst too. Documents without id "
             "get their number.\n"
             "In a pipe or with --json: {\"documents\", \"added\", \"replaced\", \"deleted\", \"analyzer\", \"model\", "
             "\"dim\"}.",
    .examples = "lathe index notes.idx all-MiniLM-L6-v2 ~/notes\n"
                "lathe index papers.idx all-MiniLM-L6-v2 corpus.jsonl.gz --columns text=abstract\n"
                "lathe index code.idx --keyword --analyzer code src/\n"
                "lathe index notes.idx --add today.txt\n"
                "lathe index notes.idx --delete 17 old/letter.txt",
    .least = 1,
    .most = -1,
    .options = options,
    .run = run,
};
