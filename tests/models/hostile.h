/* For the tests of hostile checkpoints: a scratch copy of a fixture to damage, editing its JSON files, and opening it with the
 * demand that it is refused by a message of certain words. */
#ifndef TESTS_MODELS_HOSTILE_H
#define TESTS_MODELS_HOSTILE_H

#include "models/fixture.h"

static char *scratch; /* a folder with copies of fixtures to damage */

static inline int set_up(void **state)
{
    scratch = temporary_folder();
    return 0;
}

static inline int tear_down(void **state)
{
    remove_folder(scratch);
    free(scratch);
    return 0;
}

static inline const char *in_scratch(const char *file)
{
    static char path[4][700];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/m/%s", scratch, file);
    return path[turn];
}

static inline void fresh(const char *part, const char *name)
{
    char from[700];
    snprintf(from, sizeof from, "%s/%s", fixtures(part), name);
    remove_folder(in_scratch(""));
    copy_folder(from, in_scratch(""));
}

/* Opens the damaged copy; where it opens, runs it. Returns whether it was refused, with the message. */
static inline bool refused(char message[2000])
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)256 << 20});
    assert_non_null(cx);
    lt_model *m = lt_model_open(cx, in_scratch(""), NULL);
    snprintf(message, 2000, "%s", lt_ctx_error(cx));
    bool failed = !m;
    assert_int_equal(failed, lt_ctx_status(cx) != LT_OK);
    if (m) {
        const int32_t ids[] = {2, 5, 199, 3}, lengths[] = {1, 3};
        lt_batch b = {.seqs = lt_seqs_new(cx, 2, lengths), .ids = ids};
        for (int what = 0; what < 4; what++) {
            lt_forward(cx, m, &b, (lt_output)what, NULL);
            lt_ctx_clear(cx);
        }
        const char *const texts[] = {"the lathe", "", "\xff\xfe", "tokens, Tokens"};
        lt_embed(cx, m, texts, NULL, 4, NULL);
        lt_ctx_clear(cx);
    }
    lt_model_close(m);
    lt_ctx_clear(cx);
    const lt_model_info *seen = lt_model_inspect(cx, in_scratch(""));
    bool in_data = strstr(message, "not a finite number") != NULL; /* inspecting does not read the weights themselves */
    if (failed && seen && seen->n_unsupported == 0 && !in_data)
        fail_msg("refused (%s), but inspecting it finds nothing amiss", message);
    if (!seen) assert_true(strlen(lt_ctx_error(cx)) > 0);
    lt_ctx_free(cx);
    return failed;
}

/* Every word of `says` (separated by '|') stands in the message. */
static inline void must_refuse(const char *what, const char *says)
{
    char message[2000], words[400], *save = NULL;
    if (!refused(message)) fail_msg("%s: was taken, a refusal with \"%s\" is expected", what, says);
    snprintf(words, sizeof words, "%s", says);
    for (char *w = strtok_r(words, "|", &save); w; w = strtok_r(NULL, "|", &save))
        if (!strstr(message, w)) fail_msg("%s: \"%s\" does not say \"%s\"", what, message, w);
}

/* An object without the member `key`, with those of `changes` in the place of its own or behind them; scoped. */
static inline const char *merged(lt_ctx *cx, const lt_json *object, const char *key, const char *changes)
{
    lt_json *change = lt_json_parse(cx, changes, strlen(changes), "changes");
    assert_done(cx, change && lt_json_is(object) == LT_JSON_OBJECT);
    const lt_json *from[2] = {object, change}, *value;
    lt_str out = {0};
    for (int k = 0; k < 2; k++) {
        void *iter = NULL;
        for (const char *name; lt_json_each(from[k], &iter, &name, &value);) {
            if ((key && !strcmp(name, key)) || (k == 0 && lt_json_get(change, name))) continue;
            lt_str_puts(&out, out.size ? "," : "{");
            lt_json_put_text(&out, name, strlen(name));
            lt_str_puts(&out, ":");
            lt_json_put(&out, value, 0);
        }
    }
    const char *text = lt_sprintf(cx, "%s}", out.size ? out.data : "{");
    lt_str_free(&out);
    lt_json_free(change);
    return text;
}

/* The same for the object under `inside`; scoped. */
static inline const char *merged_inside(lt_ctx *cx, const lt_json *object, const char *inside, const char *changes)
{
    const char *text = merged(cx, lt_json_get(object, inside), NULL, changes);
    return merged(cx, object, NULL, lt_sprintf(cx, "{\"%s\":%s}", inside, text));
}

/* Writes a JSON object file anew, changed in one of these ways. */
static inline void rewrite(const char *file, const char *inside, const char *key, const char *changes)
{
    lt_ctx *cx = new_context(1);
    lt_json *doc = lt_json_load(cx, in_scratch(file));
    assert_done(cx, doc);
    const char *text = inside ? merged_inside(cx, doc, inside, changes) : merged(cx, doc, key, changes);
    write_bytes(in_scratch(file), text, strlen(text));
    lt_json_free(doc);
    lt_ctx_free(cx);
}

/* Sets the keys of `changes` in a JSON object file. */
static inline void edit(const char *file, const char *changes) { rewrite(file, NULL, NULL, changes); }

static inline void drop_key(const char *file, const char *key) { rewrite(file, NULL, key, "{}"); }

#endif
