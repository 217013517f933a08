/* Training a tokenizer: rows to counted words, words to tokens, tokens to a folder that Hugging Face tokenizers and transformers load.
 * The file is first written with special tokens alone and read back: so the words are cut by the very parts that will cut texts later. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ctx.h"
#include "text/train/trainer.h"

enum { MOST_SPECIAL = 10000 };

/* ---- tokens ---- */

int32_t lt_trainer_token(lt_ctx *cx, lt_trainer *t, const char *text, size_t size)
{
    int32_t id = lt_vocab_find(&t->tokens, text, size);
    if (id >= 0) return id;
    id = t->tokens.n;
    return lt_vocab_add(cx, &t->tokens, text, size, id) ? id : -1;
}

static bool add_special(lt_ctx *cx, lt_trainer *t, const char *text)
{
    lt_source s;
    size_t size = strlen(text);
    return lt_source_read(cx, text, size, &s) &&
           lt_fail_if(cx, !size || s.text != text, LT_ERR_USAGE, "a special token is expected to be a text in UTF-8, and not empty") &&
           lt_fail_if(cx, t->tokens.n >= MOST_SPECIAL, LT_ERR_USAGE, "more than %d special tokens", MOST_SPECIAL) &&
           lt_trainer_token(cx, t, text, size) >= 0;
}

bool lt_trainer_merge(lt_ctx *cx, lt_trainer *t, lt_symbol *symbol, int64_t n, const char *prefix)
{
    const lt_tokenizer_train_options *o = t->options;
    if (!lt_fail_if(cx, n > INT32_MAX, LT_ERR_INPUT, "the different words are %" PRId64 " symbols long, expected at most %d", n, INT32_MAX))
        return false;
    lt_merging m = {.symbol = symbol, .n = n, .count = t->words.count, .want = o->vocab_size, .min_frequency = o->min_frequency,
                    .prefix = prefix, .tokens = &t->tokens};
    if (!lt_merge_pairs(cx, &m)) return false;
    t->merge = m.merge;
    t->merges = m.merges;
    return lt_fail_if(cx, t->tokens.n < o->vocab_size, LT_ERR_INPUT,
                      "a vocabulary of %d entries: these texts, %d different words, give only %d, with no pair left that occurs %" PRId64
                      " times; more text or fewer entries are expected",
                      o->vocab_size, t->words.text.n, t->tokens.n, o->min_frequency > 1 ? o->min_frequency : 1);
}

/* ---- writing ---- */

static void put_token(lt_str *s, const lt_vocab *v, int32_t id)
{
    lt_json_put_text(s, v->text + v->entry[id].offset, v->entry[id].size);
}

static void put_tokenizer(const lt_trainer *t, int32_t special, lt_str *s)
{
    const lt_vocab *v = &t->tokens;
    lt_str_puts(s, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [");
    for (int32_t i = 0; i < special; i++) {
        lt_str_printf(s, "%s\n    {\"id\": %d, \"content\": ", i ? "," : "", i);
        put_token(s, v, i);
        lt_str_puts(s, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}");
    }
    lt_str_puts(s, "\n  ],\n");
    t->kind->put_parts(t, s);
    lt_str_printf(s, "  \"model\": {\n    %s,\n    \"vocab\": {", t->kind->model);
    for (int32_t i = 0; i < v->n; i++) {
        lt_str_puts(s, i ? ",\n      " : "\n      ");
        put_token(s, v, i);
        lt_str_printf(s, ": %d", i);
    }
    lt_str_puts(s, "\n    }");
    if (t->kind->put_merges) t->kind->put_merges(t, s);
    lt_str_puts(s, "\n  }\n}\n");
}

static void put_config(const lt_trainer *t, int32_t usual, int32_t special, lt_str *s)
{
    lt_str_puts(s, "{\n");
    t->kind->put_config(t, s);
    if (special > usual) lt_str_puts(s, ",\n  \"additional_special_tokens\": [");
    for (int32_t i = usual; i < special; i++) {
        if (i > usual) lt_str_puts(s, ", ");
        put_token(s, &t->tokens, i);
    }
    lt_str_puts(s, special > usual ? "]\n}\n" : "\n}\n");
}

static lt_out *write_file(lt_ctx *cx, const char *dir, const char *name, const lt_str *text)
{
    const char *path = lt_path_join(cx, dir, name);
    if (!lt_fail_if(cx, text->failed, LT_ERR_MEMORY, "no memory to write %s", name) || !path) return NULL;
    lt_out *out = lt_out_open(cx, path);
    if (out && lt_out_write(out, text->data, text->size)) return out;
    lt_out_abort(out);
    return NULL;
}

/* Both files, or none. */
static bool write_files(lt_ctx *cx, const char *dir, const lt_str *tokenizer, const lt_str *config)
{
    lt_out *a = write_file(cx, dir, "tokenizer.json", tokenizer), *b = a ? write_file(cx, dir, "tokenizer_config.json", config) : NULL;
    if (b && lt_out_commit(a)) return lt_out_commit(b);
    if (!b) lt_out_abort(a);
    else lt_out_abort(b);
    return false;
}

/* What is in a folder beside a tokenizer.json, and would be taken for a part of it. */
static bool may_write_into(lt_ctx *cx, const char *dir)
{
    static const char *const others[] = {"vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "spiece.model"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *path = lt_path_join(cx, dir, others[i]);
        if (!path || !lt_fail_if(cx, lt_is_file(path), LT_ERR_IO, "%s: belongs to another tokenizer; nothing written beside it", path)) return false;
    }
    return true;
}

/* A folder that is there keeps what else is in it. */
static bool check_out(lt_ctx *cx, const char *out)
{
    struct stat st;
    if (!lt_fail_if(cx, !out || !*out, LT_ERR_USAGE, "the name of a folder to write to is expected")) return false;
    if (stat(out, &st) != 0) return errno == ENOENT || lt_io_error(cx, out);
    return lt_fail_if(cx, !S_ISDIR(st.st_mode), LT_ERR_IO, "%s: exists and is no folder", out) && may_write_into(cx, out);
}

static bool write_out(lt_ctx *cx, const lt_trainer *t, int32_t usual, int32_t special)
{
    lt_str tokenizer = {0}, config = {0};
    const char *out = t->options->out;
    bool ok;
    put_tokenizer(t, special, &tokenizer);
    put_config(t, usual, special, &config);
    if (lt_is_dir(out)) {
        ok = may_write_into(cx, out) && write_files(cx, out, &tokenizer, &config);
    } else {
        lt_outdir *dir = lt_outdir_open(cx, out, "tokenizer.json");
        ok = dir && write_files(cx, lt_outdir_path(dir), &tokenizer, &config);
        if (ok)
            ok = lt_outdir_commit(dir);
        else
            lt_outdir_abort(dir);
    }
    lt_str_free(&tokenizer);
    lt_str_free(&config);
    return ok;
}

/* ---- the whole ---- */

static const lt_trainer_kind *kind_of(lt_ctx *cx, const char *name)
{
    int n;
    const lt_kind *const *kinds = lt_text_kinds(&n);
    for (int i = 0; name && i < n; i++) /* `is` is a kind's first member */
        if (!strcmp(kinds[i]->slot, "trainer") && !strcmp(kinds[i]->name, name)) return (const lt_trainer_kind *)(const void *)kinds[i];
    return lt_fail(cx, LT_ERR_UNSUPPORTED, "tokenizers of the kind \"%s\" are not trained by this version, only wordpiece and bpe", name ? name : "");
}

static bool check(lt_ctx *cx, const lt_trainer *t)
{
    const lt_tokenizer_train_options *o = t->options;
    return check_out(cx, o->out) &&
           lt_fail_if(cx, o->vocab_size < 1 || o->min_frequency < 0 || o->limit_alphabet < 0, LT_ERR_USAGE, "a vocabulary of %d entries cannot be", o->vocab_size) &&
           lt_fail_if(cx, !t->kind->limits && (o->cased || o->limit_alphabet), LT_ERR_USAGE,
                      "letter case and a limit of the alphabet are wordpiece's; %s takes bytes as they are", t->kind->is.name);
}

/* The tokenizer that has special tokens only. */
static lt_tokenizer *first_tokenizer(lt_ctx *cx, const lt_trainer *t)
{
    lt_str s = {0};
    put_tokenizer(t, t->tokens.n, &s);
    lt_tokenizer *x = lt_fail_if(cx, s.failed, LT_ERR_MEMORY, "no memory for special tokens") ? lt_tokenizer_parse(cx, s.data, s.size, "special tokens") : NULL;
    lt_str_free(&s);
    return x;
}

static bool count(lt_ctx *cx, lt_trainer *t, int64_t *n_rows)
{
    const lt_tokenizer_train_options *o = t->options;
    lt_rows_options how = {.columns = o->columns, .format = o->format};
    lt_tokenizer *x = first_tokenizer(cx, t);
    lt_rows *rows = x ? lt_rows_open(cx, o->files, o->n_files, &how) : NULL;
    bool ok = rows && lt_words_count(cx, rows, t->kind->cut, x, &t->words, n_rows);
    lt_rows_close(rows);
    lt_tokenizer_free(x);
    return ok;
}

static bool train(lt_ctx *cx, lt_trainer *t, lt_tokenizer_train_result *r)
{
    const lt_tokenizer_train_options *o = t->options;
    for (int i = 0; t->kind->special[i]; i++)
        if (!add_special(cx, t, t->kind->special[i])) return false;
    int32_t usual = t->tokens.n;
    for (int i = 0; i < o->n_special; i++)
        if (!add_special(cx, t, o->special[i])) return false;
    r->special = t->tokens.n;
    if (!lt_fail_if(cx, o->vocab_size < r->special + t->kind->bytes, LT_ERR_USAGE, "a vocabulary of %d entries: the special tokens%s are %d already", o->vocab_size,
                    t->kind->bytes ? " and the bytes" : "", r->special + t->kind->bytes))
        return false;
    if (!count(cx, t, &r->rows) || !t->kind->learn(cx, t) || !write_out(cx, t, usual, r->special)) return false;
    r->words = t->words.text.n;
    r->vocab = t->tokens.n;
    r->alphabet = t->alphabet;
    r->merged = r->vocab - r->special - r->alphabet;
    return true;
}

bool lt_tokenizer_train(lt_ctx *cx, const lt_tokenizer_train_options *options, lt_tokenizer_train_result *result)
{
    if (!lt_ok(cx)) return false;
    lt_trainer t = {.options = options, .kind = kind_of(cx, options->kind)};
    if (!t.kind || !check(cx, &t)) return false;
    *result = (lt_tokenizer_train_result){0};
    lt_scope scope = lt_open(cx, NULL);
    bool ok = train(cx, &t, result);
    lt_end(cx, scope);
    lt_words_free(&t.words);
    lt_vocab_free(&t.tokens);
    lt_free(t.merge);
    return ok;
}
