/* For the tests of hostile checkpoints: a scratch copy of a fixture to damage, editing its JSON files, and opening it with the
 * demand that it is refused by a message of certain words. */
#ifndef TESTS_MODELS_HOSTILE_H
#define TESTS_MODELS_HOSTILE_H

#include "models/fixture.h"

#include <jansson.h>

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

/* Sets the keys of `changes` in a JSON object file. */
static inline void edit(const char *file, const char *changes)
{
    json_t *o = json_load_file(in_scratch(file), 0, NULL), *c = json_loads(changes, 0, NULL);
    assert_true(o && c);
    json_object_update(o, c);
    assert_int_equal(json_dump_file(o, in_scratch(file), 0), 0);
    json_decref(o);
    json_decref(c);
}

static inline void drop_key(const char *file, const char *key)
{
    json_t *o = json_load_file(in_scratch(file), 0, NULL);
    assert_int_equal(json_object_del(o, key), 0);
    assert_int_equal(json_dump_file(o, in_scratch(file), 0), 0);
    json_decref(o);
}

#endif
