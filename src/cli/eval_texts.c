/* `lathe eval` where predictions are texts: labels of rows, tags of words, answers to questions. Both sides are read into tables of one shape, a row
 * having any number of texts, and compared when all is there. */
#include "cli/eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct table { /* texts by row; the gold one is filled by the reading thread, the other by the main one */
    lt_label_set set;
    int32_t *value; /* numbers in the set, row after row; owned */
    int64_t n, room;
    struct row {
        int64_t begin, line;
        bool several; /* a list, not one text */
    } * row;          /* owned */
    int64_t rows, rows_room;
} table;

typedef struct job {
    lt_cli *cli;
    const char *data, *predictions;
    table gold, own;
    const lt_model *m; /* NULL: predictions are made already */
    lt_link link;
    bool several;
    double threshold, *p;
    lt_metric metric[4];
    int metrics;
    lt_eval_part *part; /* scoped; NULL: not asked for */
    int64_t parts;
} job;

/* ---- tables ---- */

static bool add_text(lt_ctx *cx, table *t, const char *text, size_t size)
{
    const int32_t k = lt_label_number(cx, &t->set, text, size);
    if (k >= 0 && t->n == t->room) {
        int32_t *more = lt_resize(cx, t->value, 2 * t->room + 1024, sizeof *more);
        if (!more) return false;
        t->value = more;
        t->room = 2 * t->room + 1024;
    }
    if (k >= 0) t->value[t->n++] = k;
    return k >= 0;
}

static bool begin_row(lt_ctx *cx, table *t, int64_t line, bool several)
{
    if (t->rows == t->rows_room) {
        struct row *more = lt_resize(cx, t->row, 2 * t->rows_room + 256, sizeof *more);
        if (!more) return false;
        t->row = more;
        t->rows_room = 2 * t->rows_room + 256;
    }
    t->row[t->rows++] = (struct row){t->n, line, several};
    return true;
}

static int64_t texts_of(const table *t, int64_t i) { return (i + 1 < t->rows ? t->row[i + 1].begin : t->n) - t->row[i].begin; }

static lt_text text_at(const table *t, int64_t i, int64_t k)
{
    const int32_t v = t->value[t->row[i].begin + k];
    return (lt_text){t->set.name[v], t->set.size[v]};
}

static void free_table(table *t)
{
    lt_label_set_free(&t->set);
    lt_free(t->value);
    lt_free(t->row);
}

/* ---- values ---- */

/* Labels may be strings, numbers or booleans, compared as text. */
static bool add_scalar(lt_ctx *cx, table *t, const lt_json *v)
{
    size_t size;
    const char *text = lt_json_text(v, &size);
    const lt_json_type is = lt_json_is(v);
    if (text) return add_text(cx, t, text, size);
    lt_str s = {0};
    if (is == LT_JSON_BOOL)
        lt_str_puts(&s, lt_json_bool(v, false) ? "true" : "false");
    else if (is == LT_JSON_INT)
        lt_str_printf(&s, "%" PRId64, lt_json_int(v, 0));
    else if (is == LT_JSON_REAL)
        lt_json_put_double(&s, lt_json_num(v, 0));
    const bool good = s.data && !s.failed && add_text(cx, t, s.data, s.size);
    lt_str_free(&s);
    return good;
}

static bool wrong(lt_ctx *cx, const char *name, const char *what)
{
    return lt_ok(cx) && lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected %s", name, what);
}

/* Elements of a list, or the value itself where that will do. */
static bool add_values(lt_ctx *cx, table *t, const lt_json *v, int64_t line, bool strings, const char *name, const char *what)
{
    const bool several = lt_json_is(v) == LT_JSON_ARRAY;
    const int64_t n = several ? lt_json_size(v) : 1;
    if (!begin_row(cx, t, line, several)) return false;
    for (int64_t i = 0; i < n; i++) {
        const lt_json *x = several ? lt_json_at(v, i) : v;
        if ((strings && lt_json_is(x) != LT_JSON_STRING) || !add_scalar(cx, t, x)) return wrong(cx, name, what);
    }
    return true;
}

static const char label_wanted[] = "a label, a list of labels, or an object with \"label\" or \"labels\"";
static const char tags_wanted[] = "a list of tags, or an object with one as \"tags\"";
static const char answer_wanted[] = "an answer, a string, or an object with one as \"answer\" or in \"answers\"";

static bool take_label(void *arg, lt_ctx *cx, const lt_json *v, const char *name)
{
    job *j = arg;
    const lt_json *labels = lt_json_get(v, "labels");
    if (lt_json_is(v) == LT_JSON_OBJECT) v = labels ? labels : lt_json_get(v, "label");
    return add_values(cx, &j->own, v, 0, false, name, label_wanted);
}

static bool take_tags(void *arg, lt_ctx *cx, const lt_json *v, const char *name)
{
    job *j = arg;
    if (lt_json_is(v) == LT_JSON_OBJECT) v = lt_json_get(v, "tags");
    if (lt_json_is(v) != LT_JSON_ARRAY) return wrong(cx, name, tags_wanted);
    return add_values(cx, &j->own, v, 0, true, name, tags_wanted);
}

static bool take_answer(void *arg, lt_ctx *cx, const lt_json *v, const char *name)
{
    job *j = arg;
    const lt_json *list = lt_json_get(v, "answers");
    if (list) v = lt_json_at(list, 0);
    if (lt_json_is(v) == LT_JSON_OBJECT) v = lt_json_get(v, "answer");
    if (lt_json_is(v) != LT_JSON_STRING) return wrong(cx, name, answer_wanted);
    return add_values(cx, &j->own, v, 0, true, name, answer_wanted);
}

/* ---- what is right ---- */

/* The column's JSON; in a file without such, of its text where that is an array or an object: then *root is to be freed. */
static const lt_json *column_json(lt_ctx *cx, const lt_row *row, const char *column, lt_json **root)
{
    size_t size = 0;
    const lt_json *v = lt_row_json(row, column);
    *root = NULL;
    const char *text = v ? NULL : lt_row_text(row, column, &size);
    if (text && size && (*text == '[' || *text == '{'))
        v = *root = lt_json_parse_at(cx, text, size, row->file, (size_t)row->line, 1);
    return v;
}

static bool gold_label(void *arg, lt_ctx *cx, const lt_row *row)
{
    job *j = arg;
    size_t size;
    const lt_json *v = lt_row_json(row, "label");
    if (lt_json_is(v) == LT_JSON_ARRAY)
        return add_values(cx, &j->gold, v, row->line, false, lt_sprintf(cx, "%s line %lld: label", row->file, (long long)row->line),
                          "labels");
    const char *text = lt_row_want_text(cx, row, "label", &size);
    return text && begin_row(cx, &j->gold, row->line, false) && add_text(cx, &j->gold, text, size);
}

static bool gold_list(void *arg, lt_ctx *cx, const lt_row *row, const char *column, const char *what)
{
    job *j = arg;
    lt_json *root;
    size_t size;
    const char *name = lt_sprintf(cx, "%s line %lld: %s", row->file, (long long)row->line, column);
    const lt_json *v = column_json(cx, row, column, &root), *inner = lt_json_get(v, "text");
    bool good = lt_ok(cx) && name;
    if (good && inner) v = inner;
    if (good && !v && !lt_row_text(row, column, &size))
        good = lt_row_want_text(cx, row, column, &size) != NULL; /* says which columns there are */
    if (good && v)
        good = lt_json_is(v) == LT_JSON_ARRAY ? add_values(cx, &j->gold, v, row->line, true, name, what) : wrong(cx, name, what);
    else if (good)
        good = wrong(cx, name, what);
    lt_json_free(root);
    return good;
}

static bool gold_tags(void *arg, lt_ctx *cx, const lt_row *row)
{
    job *j = arg;
    const lt_json *words = lt_row_json(row, "words");
    if (!gold_list(arg, cx, row, "tags", "a list of tags")) return false;
    const int64_t n = texts_of(&j->gold, j->gold.rows - 1);
    return lt_fail_if(cx, words && lt_json_size(words) != n, LT_ERR_INPUT,
                      "%s line %lld: %lld words and %lld tags: as many are expected", row->file, (long long)row->line,
                      (long long)lt_json_size(words), (long long)n);
}

static bool gold_answers(void *arg, lt_ctx *cx, const lt_row *row)
{
    return gold_list(arg, cx, row, "answers", "a list of texts, or an object with one as \"text\"");
}

/* ---- comparing ---- */

static bool mismatch(job *j, int64_t i, const char *expected, const char *found)
{
    return lt_fail_if(j->cli->cx, true, LT_ERR_INPUT, "%s: row %lld: expected %s, as %s line %lld has, found %s",
                      j->predictions ? j->predictions : j->data, (long long)i + 1, expected, j->data,
                      (long long)j->gold.row[i].line, found);
}

static void metric(job *j, const char *name, double value) { j->metric[j->metrics++] = (lt_metric){name, value}; }

static bool is_placeholder(const char *name) { return strncmp(name, "LABEL_", 6) == 0 && name[6] >= '0' && name[6] <= '9'; }

/* The numbers that the own labels have in the gold set. Where the model's have no names, data may count them. */
static int32_t *match_labels(job *j)
{
    lt_ctx *cx = j->cli->cx;
    int32_t *to = lt_alloc_array(cx, j->own.set.n, sizeof *to);
    bool counted = j->m != NULL;
    for (int i = 0; j->m && i < lt_model_labels(j->m); i++) {
        char room[32];
        counted = counted && is_placeholder(lt_label_name(j->m, i, room));
    }
    for (int32_t i = 0; i < j->gold.set.n; i++) counted = counted && !is_placeholder(j->gold.set.name[i]);
    for (int32_t i = 0; to && i < j->own.set.n; i++) {
        const size_t skip = counted ? 6 : 0;
        if ((to[i] = lt_label_number(cx, &j->gold.set, j->own.set.name[i] + skip, j->own.set.size[i] - skip)) < 0) return NULL;
    }
    return to;
}

static lt_prf part_of(const lt_label_counts *c, int32_t i)
{
    const double right = (double)c->right[i], got = (double)c->got[i], want = (double)c->want[i];
    return (lt_prf){got > 0 ? right / got : 0, want > 0 ? right / want : 0, right > 0 ? 2 * right / (want + got) : 0, c->want[i]};
}

static bool label_parts(job *j, const lt_label_counts *c)
{
    if (!lt_arg_flag(&j->cli->args, "per-label")) return true;
    j->part = lt_alloc_array(j->cli->cx, c->labels, sizeof *j->part);
    for (int32_t i = 0; j->part && i < c->labels; i++)
        if (c->want[i] || c->got[i]) j->part[j->parts++] = (lt_eval_part){j->gold.set.name[i], j->gold.set.size[i], part_of(c, i)};
    return j->part != NULL;
}

static bool count_labels(job *j, lt_label_counts *c, const int32_t *to)
{
    lt_ctx *cx = j->cli->cx;
    const bool several = j->gold.rows && j->gold.row[0].several;
    for (int64_t i = 0; i < j->gold.rows; i++) {
        const struct row *g = &j->gold.row[i], *o = &j->own.row[i];
        const int64_t n = texts_of(&j->gold, i), m = texts_of(&j->own, i);
        if (g->several != several)
            return mismatch(j, i, several ? "a list of labels, as the rows before" : "one label, as the rows before", "the other");
        if (o->several != several)
            return mismatch(j, i, several ? "a list of labels" : "one label", several ? "one label" : "a list");
        lt_scope scope = lt_open(cx, NULL);
        int32_t *got = lt_alloc_array(cx, m, sizeof *got);
        for (int64_t k = 0; got && k < m; k++) got[k] = to[j->own.value[o->begin + k]];
        const bool good = got && lt_label_count_sets(cx, c, j->gold.value + g->begin, (int32_t)n, got, (int32_t)m);
        lt_end(cx, scope);
        if (!good) return false;
    }
    metric(j, "accuracy", lt_accuracy(c));
    metric(j, "f1_macro", lt_f1_macro(c));
    metric(j, "f1_micro", lt_f1_micro(c));
    if (!several) metric(j, "mcc", lt_mcc(c));
    return label_parts(j, c);
}

static bool compare_labels(job *j)
{
    lt_label_counts c = {0};
    const int32_t *to = match_labels(j);
    const bool good = to && count_labels(j, &c, to);
    lt_label_counts_free(&c);
    return good;
}

static const char **names_of(job *j, const table *t, int64_t i)
{
    const int64_t n = texts_of(t, i);
    const char **name = lt_alloc_array(j->cli->cx, n, sizeof *name);
    for (int64_t k = 0; name && k < n; k++) {
        name[k] = text_at(t, i, k).text;
        if (!*name[k]) return mismatch(j, i, "tags", t == &j->gold ? "an empty one there" : "an empty one"), NULL;
    }
    return name;
}

static bool count_tags(job *j, lt_entity_counts *c)
{
    lt_ctx *cx = j->cli->cx;
    for (int64_t i = 0; i < j->gold.rows; i++) {
        const int64_t n = texts_of(&j->gold, i), m = texts_of(&j->own, i);
        char expected[64], found[64];
        snprintf(expected, sizeof expected, "%lld tags", (long long)n);
        snprintf(found, sizeof found, "%lld", (long long)m);
        if (n != m) return mismatch(j, i, expected, found);
        lt_scope scope = lt_open(cx, NULL);
        const char **want = names_of(j, &j->gold, i), **got = names_of(j, &j->own, i);
        const bool good = want && got && lt_entity_count(cx, c, want, got, n);
        lt_end(cx, scope);
        if (!good) return false;
    }
    return true;
}

static bool compare_tags(job *j)
{
    lt_entity_counts c = {0};
    bool good = count_tags(j, &c);
    const lt_prf all = lt_entity_score(&c, -1);
    metric(j, "precision", all.precision);
    metric(j, "recall", all.recall);
    metric(j, "f1", all.f1);
    metric(j, "accuracy", c.tags ? (double)c.right / (double)c.tags : NAN);
    if (good && lt_arg_flag(&j->cli->args, "per-label"))
        good = (j->part = lt_alloc_array(j->cli->cx, c.type.n, sizeof *j->part)) != NULL;
    for (int32_t i = 0; good && j->part && i < c.type.n; i++) {
        if (!c.of[i].want && !c.of[i].got) continue;
        const char *name = lt_sprintf(j->cli->cx, "%s", c.type.name[i]);
        if ((good = name != NULL)) j->part[j->parts++] = (lt_eval_part){name, strlen(name), lt_entity_score(&c, i)};
    }
    lt_entity_counts_free(&c);
    return good;
}

static bool compare_answers(job *j)
{
    lt_ctx *cx = j->cli->cx;
    double exact = 0, f1 = 0, e, f;
    for (int64_t i = 0; i < j->gold.rows; i++) {
        const int64_t n = texts_of(&j->gold, i);
        lt_scope scope = lt_open(cx, NULL);
        lt_text *right = lt_alloc_array(cx, n, sizeof *right);
        for (int64_t k = 0; right && k < n; k++) right[k] = text_at(&j->gold, i, k);
        const bool good = right && lt_answer_score(cx, text_at(&j->own, i, 0), right, n, &e, &f);
        lt_end(cx, scope);
        if (!good) return false;
        exact += e;
        f1 += f;
    }
    metric(j, "exact_match", 100 * exact / (double)j->gold.rows);
    metric(j, "f1", 100 * f1 / (double)j->gold.rows);
    return true;
}

/* ---- a model's predictions ---- */

static bool own_label(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    char room[32];
    int64_t best = 0;
    if (!begin_row(cx, &j->own, 0, j->several)) return false;
    lt_link_apply(j->link, r->dtype, r->data, r->cols, j->p);
    for (int64_t i = 0; i < r->cols; i++) {
        const char *name = lt_label_name(j->m, (int)i, room);
        if (j->several && j->p[i] > j->threshold && !add_text(cx, &j->own, name, strlen(name))) return false;
        if (j->p[i] > j->p[best]) best = i;
    }
    const char *name = lt_label_name(j->m, (int)best, room);
    return j->several || add_text(cx, &j->own, name, strlen(name));
}

static bool own_tags(void *arg, lt_ctx *cx, const lt_tagged *t)
{
    job *j = arg;
    bool good = begin_row(cx, &j->own, 0, true);
    for (int64_t i = 0; good && i < t->words; i++) good = add_text(cx, &j->own, t->tag[i], strlen(t->tag[i]));
    return good;
}

static bool own_answer(void *arg, lt_ctx *cx, const lt_answered *t)
{
    job *j = arg;
    return begin_row(cx, &j->own, 0, false) && add_text(cx, &j->own, t->answer->text.text, t->answer->text.size);
}

static bool classify(job *j, lt_feed *f, const lt_run_options *run)
{
    const lt_args *a = &j->cli->args;
    if (strcmp(lt_model_about(j->m)->head, "classify") != 0)
        return lt_usage(j->cli, "this model has no classifying head (its head: %s)", lt_model_about(j->m)->head);
    j->several = lt_arg_flag(a, "multi-label") || lt_is_multi_label(j->m);
    j->link = lt_arg_flag(a, "multi-label") ? LT_SIGMOID : lt_link_of(j->m);
    j->threshold = lt_arg_num(a, "threshold");
    j->p = lt_alloc_array(j->cli->cx, lt_model_labels(j->m), sizeof *j->p);
    return j->p && lt_feed_stream(f, "evaluating", j->m, LT_OUT_LOGITS, run, own_label, j, NULL);
}

static bool by_model(job *j, lt_rowed *r, const char *task)
{
    const lt_args *a = &j->cli->args;
    lt_run_options run = lt_cli_run_options(j->cli);
    lt_ctx *cx = j->cli->cx;
    if (!strcmp(task, "classify")) return classify(j, &r->feed, &run);
    lt_feed_begin(&r->feed, "evaluating", &run);
    bool good;
    if (!strcmp(task, "tag")) {
        good = lt_tag_all(cx, j->m, LT_AGGREGATE_FIRST, &run, lt_rowed_words, r, own_tags, j, NULL);
    } else {
        lt_answer_options o = {.stride = lt_arg_given(a, "stride") ? (int)lt_arg_int(a, "stride") : -1,
                               .none = lt_arg_flag(a, "no-answer"),
                               .run = run};
        good = lt_answer_all(cx, j->m, &o, lt_rowed_question, r, own_answer, j, NULL);
    }
    lt_feed_end(&r->feed, NULL);
    return good;
}

/* ---- the call ---- */

static const struct task {
    const char *name;
    bool (*gold)(void *arg, lt_ctx *cx, const lt_row *row);
    lt_eval_prediction_fn *take;
    bool (*compare)(job *j);
} tasks[] = {
    {"classify", gold_label, take_label, compare_labels},
    {"tag", gold_tags, take_tags, compare_tags},
    {"answer", gold_answers, take_answer, compare_answers},
};

static bool evaluate(job *j, lt_rowed *r, const struct task *t)
{
    lt_model *m = NULL;
    bool good;
    r->feed.each = t->gold;
    r->feed.arg = j;
    if (j->predictions) {
        good = lt_eval_predictions(j->cli, t->take, j) && lt_eval_read(&r->feed);
    } else {
        j->m = m = lt_cli_model(j->cli, j->cli->args.operand[0]);
        good = m && by_model(j, r, t->name);
    }
    good = good && lt_eval_as_many(j->cli, j->gold.rows, j->own.rows) && t->compare(j) &&
           lt_eval_print(j->cli, j->metric, j->metrics, j->part, j->parts);
    lt_model_close(m);
    return good;
}

bool lt_eval_texts(lt_cli *cli, const char *task)
{
    const struct task *t = tasks;
    job j = {.cli = cli, .data = lt_arg_text(&cli->args, "data"), .predictions = lt_arg_text(&cli->args, "predictions")};
    lt_rowed r = {0};
    while (strcmp(t->name, task) != 0) t++;
    if (lt_arg_flag(&cli->args, "ids")) return lt_usage(cli, "--task %s reads texts: no --ids", task);
    bool good = lt_feed_open(&r.feed, cli, &j.data, 1, LT_FEED_MAYBE) && evaluate(&j, &r, t);
    lt_rowed_close(&r);
    free_table(&j.gold);
    free_table(&j.own);
    return good;
}
