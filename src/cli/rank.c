/* `lathe rank`: lines ordered by how well they answer a query. A bi-encoder compares embeddings (Reimers & Gurevych 2019); a
 * cross-encoder, a model with a classifying head of one output, reads query and line together (Nogueira & Cho 2019). */
#include "cli/input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    int64_t index;
    double score;
    char *text; /* owned; NULL under --ids */
    size_t size;
} candidate;

typedef struct job {
    lt_cli *cli;
    lt_feed feed;
    bool cross;
    const double *vector; /* [cols]: the query's */
    int64_t keep;         /* -k; 0: all */
    candidate *best;      /* owned */
    int64_t n, room;
} job;

/* Higher first; equal ones, and those that are no numbers, in input order. */
static int compare(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    double x = isnan(a->score) ? -INFINITY : a->score, y = isnan(b->score) ? -INFINITY : b->score;
    return x != y ? (x < y) - (x > y) : (a->index > b->index) - (a->index < b->index);
}

static void forget(job *j, int64_t from)
{
    for (int64_t i = from; i < j->n; i++) lt_free(j->best[i].text);
    if (from < j->n) j->n = from;
}

/* With -k only twice as many candidates are ever held. */
static bool make_room(job *j, lt_ctx *cx)
{
    if (j->keep && j->n >= 2 * j->keep + 64) {
        qsort(j->best, (size_t)j->n, sizeof *j->best, compare);
        forget(j, j->keep);
    }
    if (j->n < j->room) return true;
    candidate *more = lt_resize(cx, j->best, 2 * j->room + 64, sizeof *more);
    if (!more) return false;
    j->best = more;
    j->room = 2 * j->room + 64;
    return true;
}

static double score_of(const job *j, const lt_result *r)
{
    if (j->cross) return 1 / (1 + exp(-lt_value_at(r->dtype, r->data, 0)));
    double dot = 0;
    for (int64_t i = 0; i < r->cols; i++) dot += j->vector[i] * lt_value_at(r->dtype, r->data, i);
    return dot;
}

static bool sink(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    size_t size;
    char *text = lt_feed_take(&j->feed, &size);
    if (j->cross && r->cols != 1) {
        lt_free(text);
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "--mode cross needs a head of one output; this one has %lld",
                          (long long)r->cols);
    }
    if (!make_room(j, cx)) {
        lt_free(text);
        return false;
    }
    j->best[j->n++] = (candidate){r->index, score_of(j, r), text, size};
    return true;
}

static bool put_json(lt_print *out, const candidate *c)
{
    lt_str_puts(&out->text, "{");
    lt_json_member_int(&out->text, "index", c->index);
    lt_json_member_num(&out->text, "score", c->score);
    lt_json_member_text(&out->text, "text", c->text, c->size);
    lt_str_puts(&out->text, "}\n");
    return lt_print_due(out);
}

static bool print(job *j)
{
    static const char *const heads[] = {">index", ">score", "text"};
    lt_print *out = &j->cli->out;
    lt_table t;
    if (j->n) qsort(j->best, (size_t)j->n, sizeof *j->best, compare);
    if (j->keep && j->keep < j->n) forget(j, j->keep);
    lt_table_begin(&t, j->cli->cx, heads, 3);
    for (int64_t i = 0; i < j->n; i++) {
        const candidate *c = &j->best[i];
        if (lt_print_wants_json(out)) {
            if (!put_json(out, c)) return false;
            continue;
        }
        lt_table_cell(&t, "%lld", (long long)c->index);
        lt_table_cell(&t, "%.4f", c->score);
        lt_table_cell(&t, "%s", c->text ? c->text : "");
    }
    return lt_table_print(&t, out);
}

/* ---- the query ---- */

static lt_tensor *embed_query(lt_cli *cli, const lt_model *m, const lt_run_options *run)
{
    lt_ctx *cx = cli->cx;
    const char *query = lt_arg_text(&cli->args, "query");
    size_t size = strlen(query);
    if (!lt_arg_flag(&cli->args, "ids")) return lt_embed(cx, m, &query, &size, 1, run);
    int32_t n = 0;
    lt_json *list = lt_json_parse(cx, query, size, "--query");
    const int32_t *ids = list ? lt_ids_of(cx, list, "--query", &n) : NULL;
    lt_seqs *seqs = ids ? lt_seqs_new(cx, 1, &n) : NULL;
    lt_batch batch = {.seqs = seqs, .ids = ids};
    lt_json_free(list);
    return seqs ? lt_forward(cx, m, &batch, LT_OUT_EMBEDDING, run) : NULL;
}

static bool set_query(job *j, const lt_model *m, const lt_run_options *run)
{
    lt_run_options options = *run;
    options.prompt = lt_cli_prompt(j->cli, m, "query-prompt");
    const lt_tensor *q = embed_query(j->cli, m, &options);
    double *vector = q ? lt_alloc_array(j->cli->cx, q->shape[1], sizeof *vector) : NULL;
    for (int64_t i = 0; vector && i < q->shape[1]; i++) vector[i] = lt_value_at(q->dtype, q->data, i);
    j->vector = vector;
    return vector != NULL;
}

/* ---- the verb ---- */

/* What the model's head is for, or --mode where the model can do that. */
static bool choose_mode(job *j, const lt_model *m)
{
    const char *mode = lt_arg_text(&j->cli->args, "mode"), *head = lt_model_about(m)->head;
    bool classifies = !strcmp(head, "classify");
    j->cross = mode ? !strcmp(mode, "cross") : classifies;
    if (mode && !strcmp(mode, "late")) return lt_usage(j->cli, "--mode late: this model has no head for late interaction");
    if (j->cross && !classifies) return lt_usage(j->cli, "--mode cross: this model has no classifying head (its head: %s)", head);
    if (j->cross && lt_arg_flag(&j->cli->args, "ids")) return lt_usage(j->cli, "--mode cross reads texts: --ids is for --mode bi");
    return true;
}

static bool set_similarity(job *j, const lt_model *m, lt_run_options *run)
{
    const char *asked = lt_arg_text(&j->cli->args, "similarity"), *name = asked ? asked : lt_model_about(m)->similarity;
    if (!strcmp(name, "cosine"))
        run->normalize = 1;
    else if (strcmp(name, "dot") != 0)
        return lt_usage(j->cli, "the model compares by '%s'; --similarity cosine or dot is what rank can do", name);
    return true;
}

static bool rank(job *j, const lt_model *m)
{
    const lt_args *a = &j->cli->args;
    lt_run_options run = lt_cli_run_options(j->cli);
    lt_stream_stats stats = {0};
    if (!choose_mode(j, m)) return false;
    if (j->cross)
        j->feed.query = lt_arg_text(a, "query");
    else if (!set_similarity(j, m, &run) || !set_query(j, m, &run))
        return false;
    run.prompt = lt_cli_prompt(j->cli, m, "prompt");
    return lt_feed_stream(&j->feed, "ranking", m, j->cross ? LT_OUT_LOGITS : LT_OUT_EMBEDDING, &run, sink, j, &stats) && print(j);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    job j = {.cli = cli, .keep = lt_arg_int(a, "k")};
    if (!lt_arg_text(a, "query")) return lt_usage(cli, "--query is missing: what are the lines to answer?");
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    bool good = lt_feed_open(&j.feed, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT);
    j.feed.keep = true;
    good = good && rank(&j, m);
    forget(&j, 0);
    lt_free(j.best);
    lt_feed_close(&j.feed);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"query", 0, LT_OPT_TEXT, "TEXT", "what to rank by; with --ids a JSON array of ids"},
    {"k", 'k', LT_OPT_INT, "N", "print the best N; 0: all", "0", NULL, 0, 1 << 30},
    {"mode", 0, LT_OPT_CHOICE, NULL,
     "bi: compare embeddings; cross: read query and text together; default: what the model's head is for", NULL, "bi|cross|late"},
    {"similarity", 0, LT_OPT_CHOICE, NULL, "of embeddings; default: as the model says", NULL, "cosine|dot"},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "put a prompt of the model, or else this text, in front of each text"},
    {"query-prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "the same for the query"},
    {0},
};

const lt_verb lt_verb_rank = {
    .name = "rank",
    .summary = "lines ordered by how well they answer a query",
    .operands = "MODEL --query TEXT [FILE…]",
    .about = "In a pipe or with --json: {\"index\", \"score\", \"text\"}, best first; index counts inputs from 0, ties stay in "
             "input order.\n"
             "The score of --mode bi is the similarity of the embeddings, that of --mode cross the logistic function of the "
             "head's one output. late is for models with such a head, of which this build knows none.",
    .examples = "ls ~/notes | lathe rank all-MiniLM-L6-v2 --query 'tax returns' -k 5\n"
                "lathe rank all-MiniLM-L6-v2 --query 'a red fruit' words.txt --json",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
