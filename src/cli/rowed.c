/* Rows as what tasks read. Files with columns name them; a plain line is a text, or JSON where a text alone would not do, so that all can come
 * through a pipe. */
#include "cli/rowed.h"

#include <string.h>

static bool column(const lt_row *row, const char *name, lt_text *t)
{
    t->text = lt_row_text(row, name, &t->size);
    return t->text != NULL;
}

static bool complain(lt_ctx *cx, const lt_row *row, const char *what)
{
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: expected %s", row->file, (long long)row->line, what);
}

bool lt_rowed_text(void *rowed, lt_ctx *cx, lt_task_input *in)
{
    lt_rowed *r = rowed;
    if (!lt_feed_row(&r->feed, cx)) return false;
    in->text.text = lt_row_want_text(cx, &r->feed.row, "text", &in->text.size);
    return in->text.text != NULL;
}

/* The line as JSON; NULL: it is not one that begins so, or an error. */
static const lt_json *line_of(lt_rowed *r, lt_ctx *cx)
{
    lt_text line;
    lt_json_free(r->root);
    r->root = NULL;
    if (!column(&r->feed.row, "text", &line)) return NULL;
    size_t i = 0;
    while (i < line.size && (line.text[i] == ' ' || line.text[i] == '\t')) i++;
    if (i == line.size || (line.text[i] != '{' && line.text[i] != '[')) return NULL;
    return r->root = lt_json_parse_at(cx, line.text, line.size, r->feed.row.file, (size_t)r->feed.row.line, 1);
}

static bool make_room(lt_rowed *r, lt_ctx *cx, int64_t n)
{
    if (n <= r->room) return true;
    lt_text *word = lt_resize(cx, r->word, n, sizeof *word);
    if (word) r->word = word;
    int32_t *id = word ? lt_resize(cx, r->id, n, sizeof *id) : NULL;
    if (!id) return false;
    r->id = id;
    r->room = n;
    return true;
}

bool lt_rowed_words(void *rowed, lt_ctx *cx, lt_task_input *in)
{
    static const lt_text none[1];
    lt_rowed *r = rowed;
    if (!lt_feed_row(&r->feed, cx)) return false;
    const lt_row *row = &r->feed.row;
    const lt_json *list = lt_row_json(row, "words");
    if (!list && (list = line_of(r, cx)) && lt_json_is(list) == LT_JSON_OBJECT) list = lt_json_get(list, "words");
    if (!lt_ok(cx)) return false;
    if (lt_json_is(list) != LT_JSON_ARRAY) return complain(cx, row, "words, an array of strings");
    const int64_t n = lt_json_size(list);
    if (!make_room(r, cx, n)) return false;
    for (int64_t i = 0; i < n; i++) {
        r->word[i].text = lt_json_text(lt_json_at(list, i), &r->word[i].size);
        if (!r->word[i].text) return complain(cx, row, "words that are strings");
    }
    in->word = n ? r->word : none;
    in->words = n;
    return true;
}

bool lt_rowed_ids(void *rowed, lt_ctx *cx, lt_task_input *in)
{
    static const int32_t none[1];
    lt_rowed *r = rowed;
    int32_t n = 0;
    if (!lt_feed_row(&r->feed, cx)) return false;
    lt_scope scope = lt_open(cx, NULL);
    const int32_t *ids = lt_row_ids(cx, &r->feed.row, "ids", &n);
    bool good = ids && make_room(r, cx, n);
    if (good && n) memcpy(r->id, ids, (size_t)n * sizeof *ids);
    lt_end(cx, scope);
    in->ids = n ? r->id : none;
    in->words = n;
    return good || (lt_ok(cx) && complain(cx, &r->feed.row, "ids"));
}

bool lt_rowed_question(void *rowed, lt_ctx *cx, lt_task_input *in)
{
    lt_rowed *r = rowed;
    if (!lt_feed_row(&r->feed, cx)) return false;
    const lt_row *row = &r->feed.row;
    lt_text line;
    if (column(row, "question", &in->question) && column(row, "context", &in->text)) return true;
    const lt_json *object = line_of(r, cx);
    if (!lt_ok(cx)) return false;
    in->question.text = lt_json_text(lt_json_get(object, "question"), &in->question.size);
    in->text.text = lt_json_text(lt_json_get(object, "context"), &in->text.size);
    if (in->question.text && in->text.text) return true;
    const char *tab = !object && column(row, "text", &line) ? memchr(line.text, '\t', line.size) : NULL;
    if (!tab)
        return complain(cx, row, "a question and a context: two columns, a JSON object with both, or two texts with a tab between");
    in->question = (lt_text){line.text, (size_t)(tab - line.text)};
    in->text = (lt_text){tab + 1, line.size - in->question.size - 1};
    return true;
}

void lt_rowed_close(lt_rowed *r)
{
    lt_feed_close(&r->feed);
    lt_json_free(r->root);
    lt_free(r->word);
    lt_free(r->id);
}
