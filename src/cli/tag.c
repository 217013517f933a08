/* `lathe tag`: entities in texts, or a tag for each word. */
#include "cli/rowed.h"

#include <string.h>

typedef struct job {
    lt_cli *cli;
    lt_rowed rows;
} job;

static lt_text piece(lt_text t, int32_t start, int32_t end)
{
    const char *p = t.text, *stop = t.text + t.size, *from;
    uint32_t c;
    int32_t i = 0;
    for (; i < start && p < stop; i++) p += lt_utf8_next(p, stop, &c);
    for (from = p; i < end && p < stop; i++) p += lt_utf8_next(p, stop, &c);
    return (lt_text){from, (size_t)(p - from)};
}

static void put_entities(lt_str *s, const lt_tagged *t)
{
    lt_json_key(s, "entities");
    lt_str_puts(s, "[");
    for (int64_t i = 0; i < t->entities; i++) {
        const lt_entity *e = &t->entity[i];
        const lt_text text = piece(t->text, e->start, e->end);
        lt_str_puts(s, i ? ",{" : "{");
        lt_json_member(s, "entity", e->label);
        lt_json_member_num(s, "score", e->score);
        lt_json_member_int(s, "start", e->start);
        lt_json_member_int(s, "end", e->end);
        lt_json_member_text(s, "text", text.text, text.size);
        lt_str_puts(s, "}");
    }
    lt_str_puts(s, "]");
}

static void put_tags(lt_str *s, const lt_tagged *t)
{
    lt_json_key(s, "tags");
    lt_str_puts(s, "[");
    for (int64_t i = 0; i < t->words; i++) {
        if (i) lt_str_puts(s, ",");
        lt_json_put_text(s, t->tag[i], strlen(t->tag[i]));
    }
    lt_str_puts(s, "]");
}

/* For people: the entities of a text, a line each; the tags of a row on one. */
static void put_plain(lt_str *s, const lt_tagged *t)
{
    for (int64_t i = 0; i < t->words; i++) lt_str_printf(s, "%s%s", i ? " " : "", t->tag[i]);
    if (t->tag) lt_str_puts(s, "\n");
    for (int64_t i = 0; i < t->entities; i++) {
        const lt_text text = piece(t->text, t->entity[i].start, t->entity[i].end);
        lt_str_printf(s, "%6lld  %-12s %.4f  ", (long long)t->index, t->entity[i].label, t->entity[i].score);
        lt_text_plain(s, text.text, text.size, -1);
        lt_str_puts(s, "\n");
    }
}

static bool sink(void *arg, lt_ctx *cx, const lt_tagged *t)
{
    job *j = arg;
    lt_print *out = &j->cli->out;
    if (lt_print_wants_json(out)) {
        lt_str_puts(&out->text, "{");
        (t->tag ? put_tags : put_entities)(&out->text, t);
        lt_str_puts(&out->text, "}\n");
    } else {
        put_plain(&out->text, t);
    }
    return lt_print_due(out) && lt_feed_told(&j->rows.feed, t->index + 1, t->pause);
}

static lt_aggregation aggregation(const char *name)
{
    static const char *const names[] = {"none", "simple", "first", "average", "max"};
    int i = 0;
    while (strcmp(names[i], name) != 0) i++;
    return (lt_aggregation)i;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    job j = {.cli = cli};
    lt_stream_stats stats = {0};
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    lt_run_options options = lt_cli_run_options(cli);
    lt_task_next_fn *next = lt_arg_flag(a, "ids") ? lt_rowed_ids : lt_arg_flag(a, "words") ? lt_rowed_words : lt_rowed_text;
    bool good = lt_feed_open(&j.rows.feed, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT);
    if (good) {
        lt_feed_begin(&j.rows.feed, "tagging", &options);
        good = lt_tag_all(cli->cx, m, aggregation(lt_arg_text(a, "aggregation")), &options, next, &j.rows, sink, &j, &stats);
        lt_feed_end(&j.rows.feed, good ? &stats : NULL);
    }
    lt_rowed_close(&j.rows);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"aggregation", 0, LT_OPT_CHOICE, NULL,
     "none: a label for each token; simple: neighbours of one type together; first, average, max: the same of words, which have "
     "the label of their first "
     "token, of their mean, or of the token that is surest",
     "none", "none|simple|first|average|max"},
    {"words", 0, LT_OPT_FLAG, NULL, "rows are words, as JSON: a tag for each"},
    {0},
};

const lt_verb lt_verb_tag = {
    .name = "tag",
    .summary = "entities in texts, or a tag for each word",
    .operands = "MODEL [FILE…]",
    .about = "In a pipe or with --json: {\"entities\":[{\"entity\", \"score\", \"start\", \"end\", \"text\"}]} for each text; "
             "start and end count code points. "
             "--aggregation means what it means in Hugging Face's token classification pipeline; tokens labelled O are left out.\n"
             "With --words a row has \"words\", or a line is a JSON array of them, and the result is {\"tags\":[…]}, a tag a word: "
             "that of its first token (average "
             "and max as above). Rows longer than the model reads are cut between words, and every word gets its tag; a word "
             "without tokens gets O. With --ids "
             "each id counts as a word.",
    .examples = "lathe tag ner news.txt --aggregation simple --json\n"
                "echo '[\"Ada\", \"lives\", \"in\", \"Paris\"]' | lathe tag ner --words",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
