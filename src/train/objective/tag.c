/* Tagging: a label for each word, learned at the word's first token. Words are tokenised one by one, so their borders are known. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct growing {
    int32_t *ids, *labels;
    int32_t n, most;
} growing;

static void push(growing *g, int32_t id, int32_t label)
{
    if (g->n == g->most) return;
    g->ids[g->n] = id;
    g->labels[g->n++] = label;
}

/* Byte-level tokenizers mark words by the blank before them. */
static bool put_word(lt_ctx *cx, const lt_run *r, const char *word, size_t size, int32_t label, growing *g)
{
    const bool blank = g->n > 1 && strcmp(lt_tokenizer_about(r->tokenizer)->kind, "bpe") == 0;
    char *text = lt_alloc(cx, size + 1);
    if (!text) return false;
    text[0] = ' ';
    memcpy(text + 1, word, size);
    lt_encoding *c = lt_encode(cx, r->tokenizer, blank ? text : word, size + blank, NULL, 0, &(lt_encode_options){.no_special = true});
    for (int32_t i = 0; c && i < c->n; i++) push(g, c->ids[i], i ? -100 : label);
    return c != NULL;
}

static bool bad_row(lt_ctx *cx, const lt_row *row, const char *why)
{
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": %s", row->file, row->line, why);
}

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    const lt_json *words = lt_row_json(row, "words"), *tags = lt_row_json(row, "tags");
    const int64_t n = lt_json_size(words);
    if (!r->tokenizer) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tokenizer", r->o->model);
    if (lt_json_is(words) != LT_JSON_ARRAY || lt_json_is(tags) != LT_JSON_ARRAY || lt_json_size(tags) != n)
        return bad_row(cx, row, "words and tags: two arrays of strings of the same length are expected");
    const lt_tokenizer_info *t = lt_tokenizer_about(r->tokenizer);
    const bool around = t->cls >= 0 && t->sep >= 0;
    growing g = {lt_alloc_array(cx, r->limit, sizeof(int32_t)), lt_alloc_array(cx, r->limit, sizeof(int32_t)), 0, r->limit - around};
    if (!g.ids || !g.labels) return false;
    if (around) push(&g, t->cls, -100);
    for (int64_t i = 0; i < n; i++) {
        size_t size = 0, tag_size = 0;
        const char *word = lt_json_text(lt_json_at(words, i), &size), *tag = lt_json_text(lt_json_at(tags, i), &tag_size);
        if (!word || !tag) return bad_row(cx, row, "words and tags: arrays of strings are expected");
        const int label = lt_examples_label(cx, e, tag, tag_size);
        if (label < 0 && lt_ok(cx))
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": tags: \"%.*s\" is not one of the %d tags", row->file, row->line, (int)tag_size, tag, e->names);
        if (label < 0 || !put_word(cx, r, word, size, label, &g)) return false;
    }
    if (g.n == around) {
        e->skipped++;
        return false;
    }
    g.most += around;
    if (around) push(&g, t->sep, -100);
    return lt_examples_add(cx, e, g.ids, NULL, g.labels, g.n, -1, NAN);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = lt_count_labels(b);
    return true;
}

static int64_t right(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, const lt_tensor *y)
{
    return lt_right_by_label(r, e, b, y);
}

const lt_objective_kind lt_objective_tag = {
    .is = {"objective", "tag", "a tag for each word, at its first token", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "tag",
    .read = read_row,
    .target = target,
    .loss = lt_loss_of_tokens,
    .smooths = true,
    .right = right,
    .names = true,
};
