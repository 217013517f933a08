/* Rows as sentences of documents, and those joined to blocks of full length, as RoBERTa's pre-training does (Liu et al. 2019, arXiv 1907.11692, section
 * 4.2; fairseq's break modes): a plain file's lines are sentences and an empty line ends a document; any other row is a document, its lines the
 * sentences. Each sentence ends with a separator. FULL-SENTENCES ("complete") goes on across documents, with one separator more between them,
 * DOC-SENTENCES ("complete-doc") does not, "none" breaks blocks anywhere. What is longer than a block is cut up and counted. */
#include "train/train.h"

#include <math.h>
#include <string.h>

bool lt_reads_sentences(const lt_run *r) { return r->objective->pairs || (r->o->break_mode && strcmp(r->o->break_mode, "row") != 0); }

static bool add_sentence(lt_ctx *cx, lt_run *r, lt_examples *e, const char *text, size_t size)
{
    lt_encoding *c = lt_encode(cx, r->tokenizer, text, size, NULL, 0, &(lt_encode_options){.no_special = true});
    return c && (c->n == 0 || lt_examples_add(cx, e, c->ids, NULL, NULL, c->n, -1, NAN));
}

static bool end_document(lt_ctx *cx, lt_examples *e) { return lt_examples_add(cx, e, NULL, NULL, NULL, 0, -1, NAN); }

bool lt_sentence_read(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    size_t size = 0;
    if (!r->tokenizer) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tokenizer, and so no sentences to join", r->o->model);
    const char *text = lt_row_want_text(cx, row, "text", &size), *end = text ? text + size : NULL;
    if (!text || (row->line == 1 && !end_document(cx, e))) return false; /* what a file ends with is the end of a document too */
    if (lt_row_is_line(row)) return size ? add_sentence(cx, r, e, text, size) : end_document(cx, e);
    for (const char *line; text < end; text = line + 1) {
        line = memchr(text, '\n', (size_t)(end - text));
        if (!line) line = end;
        if (!add_sentence(cx, r, e, text, (size_t)(line - text))) return false;
    }
    return end_document(cx, e);
}

/* ---- blocks ---- */

typedef struct joining {
    lt_run *r;
    lt_examples *e;
    int32_t *ids, n, begin, end; /* begin, end: the special tokens around; -1: none */
    uint8_t *special;
    bool bounded;                /* a document ended last */
} joining;

static void push(joining *j, int32_t id, bool special)
{
    j->ids[j->n] = id;
    j->special[j->n++] = special;
}

static int32_t room(const joining *j) { return j->r->limit - j->n; }

static void begin_block(joining *j)
{
    j->n = 0;
    j->bounded = true;
    if (j->begin >= 0) push(j, j->begin, true);
}

static bool flush(lt_ctx *cx, joining *j)
{
    bool any = false;
    for (int32_t i = 0; i < j->n; i++) any |= !j->special[i];
    const bool good = !any || j->r->objective->block(cx, j->r, j->e, &(lt_joined){.ids = j->ids, .special = j->special, .n = j->n, .label = -1});
    begin_block(j);
    return good;
}

/* Broken anywhere, also in front of the separator. */
static bool add_anywhere(lt_ctx *cx, joining *j, const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n + (j->end >= 0); i++) {
        if (room(j) == 0 && !flush(cx, j)) return false;
        push(j, i < n ? ids[i] : j->end, i == n);
    }
    j->bounded = false;
    return true;
}

static bool add_whole(lt_ctx *cx, joining *j, const int32_t *ids, int32_t n)
{
    const int32_t after = j->end >= 0, most = j->r->limit - (j->begin >= 0) - after;
    if (n + after > room(j) && !flush(cx, j)) return false;
    j->e->cut += n > most;
    for (int32_t at = 0, part; at < n; at += part) {
        part = n - at < most ? n - at : most;
        for (int32_t i = 0; i < part; i++) push(j, ids[at + i], false);
        if (after) push(j, j->end, true);
        if (at + part < n && !flush(cx, j)) return false;
    }
    j->bounded = false;
    return true;
}

static bool end_of_document(lt_ctx *cx, joining *j)
{
    if (strcmp(j->r->o->break_mode, "complete-doc") == 0) return flush(cx, j);
    if (!j->bounded && j->end >= 0 && room(j) > 0) push(j, j->end, true);
    j->bounded = true;
    return true;
}

static bool join(lt_ctx *cx, joining *j, const lt_examples *s)
{
    const bool anywhere = strcmp(j->r->o->break_mode, "none") == 0;
    bool good = true;
    begin_block(j);
    for (int64_t i = 0; good && i < s->n; i++) {
        const int32_t n = s->at[i].n;
        lt_scope scope = lt_open(cx, NULL);
        int32_t *ids = lt_alloc_array(cx, n, sizeof *ids);
        good = ids && lt_ok(cx) && lt_example_read(cx, s, i, ids, NULL, NULL) &&
               (n == 0 ? end_of_document(cx, j) : anywhere ? add_anywhere(cx, j, ids, n) : add_whole(cx, j, ids, n));
        lt_end(cx, scope);
    }
    return good && flush(cx, j);
}

bool lt_sentences_join(lt_ctx *cx, lt_run *r, const lt_examples *sentences, lt_examples *e)
{
    if (r->objective->pairs) return lt_pairs_make(cx, r, sentences, e);
    if (!r->tokenizer) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tokenizer, and so no sentences to join", r->o->model);
    const lt_tokenizer_info *t = lt_tokenizer_about(r->tokenizer);
    joining j = {.r = r, .e = e, .begin = t->cls >= 0 ? t->cls : t->bos, .end = t->sep >= 0 ? t->sep : t->eos};
    if (!lt_fail_if(cx, r->limit < 3, LT_ERR_USAGE, "max-tokens: %d leave no room for a sentence", r->limit)) return false;
    lt_scope scope = lt_open(cx, NULL);
    j.ids = lt_alloc_array(cx, r->limit, sizeof *j.ids);
    j.special = lt_alloc_array(cx, r->limit, sizeof *j.special);
    const bool good = j.ids && j.special && join(cx, &j, sentences);
    lt_end(cx, scope);
    return good;
}
