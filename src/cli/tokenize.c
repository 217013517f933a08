/* `lathe tokenize`: texts to token ids, tokens and offsets, and ids back to text. Lines are read a block at a time, turned on all
 * threads, and printed in their order. */
#include "cli/input.h"

#include <string.h>

enum { BLOCK_LINES = 512, BLOCK_BYTES = 1 << 20 };

typedef struct line { /* one input of a block, and what became of it */
    lt_input in;
    const char *name; /* "FILE line N" */
    lt_str out;
} line;

typedef struct block {
    lt_cli *cli;
    const lt_tokenizer *tokenizer;
    lt_encode_options encode;
    bool decode, skip_special, json;
    line *lines;
    int n;
} block;

/* ---- encoding ---- */

static void put_json(lt_str *s, const block *b, const lt_encoding *e)
{
    lt_str_puts(s, "{\"ids\":");
    lt_json_row(s, LT_I32, e->ids, e->n);
    lt_str_puts(s, ",\"tokens\":[");
    for (int i = 0; i < e->n; i++) {
        const char *token = lt_token_text(b->tokenizer, e->ids[i]);
        if (i) lt_str_puts(s, ",");
        lt_json_put_text(s, token, strlen(token));
    }
    lt_str_puts(s, "],\"offsets\":[");
    for (int i = 0; i < e->n; i++) lt_str_printf(s, "%s[%d,%d]", i ? "," : "", e->offsets[i][0], e->offsets[i][1]);
    lt_str_puts(s, "]}\n");
}

/* For people: the tokens, with a bar between them, and how many. */
static void put_plain(lt_str *s, const block *b, const lt_encoding *e)
{
    lt_str_printf(s, "%4d  ", e->n);
    for (int i = 0; i < e->n; i++) {
        const char *token = lt_token_text(b->tokenizer, e->ids[i]);
        if (i) lt_str_puts(s, "│");
        lt_text_plain(s, token, strlen(token), -1);
    }
    lt_str_puts(s, "\n");
}

static void encode_line(const block *b, lt_ctx *cx, line *l)
{
    const lt_input *in = &l->in;
    const lt_encoding *e = lt_encode(cx, b->tokenizer, in->text, in->size, in->pair, in->pair_size, &b->encode);
    if (e) (b->json ? put_json : put_plain)(&l->out, b, e);
}

/* ---- decoding ---- */

static void decode_line(const block *b, lt_ctx *cx, line *l)
{
    lt_str text = {0};
    int32_t n;
    lt_json *root = lt_json_parse(cx, l->in.text, l->in.size, l->name);
    const lt_json *list = lt_json_get(root, "ids");
    const int32_t *ids = root ? lt_ids_of(cx, list ? list : root, l->name, &n) : NULL;
    if (ids && lt_decode(cx, b->tokenizer, ids, n, b->skip_special, &text)) {
        if (b->json) lt_str_puts(&l->out, "{\"text\":");
        if (b->json)
            lt_json_put_text(&l->out, text.data ? text.data : "", text.size);
        else
            lt_str_add(&l->out, text.data, text.size);
        lt_str_puts(&l->out, b->json ? "}\n" : "\n");
    }
    lt_str_free(&text);
    lt_json_free(root);
}

/* ---- blocks ---- */

static void turn(void *arg, lt_ctx *child, int64_t i)
{
    block *b = arg;
    line *l = &b->lines[i];
    lt_scope scope = lt_open(child, NULL);
    (b->decode ? decode_line : encode_line)(b, child, l);
    if (l->out.failed) lt_fail(child, LT_ERR_MEMORY, "%s: no memory for its tokens", l->name);
    if (!lt_ok(child) && lt_ctx_status(child) == LT_ERR_INPUT && !strstr(lt_ctx_error(child), l->name)) {
        char *message = lt_sprintf(child, "%s: %s", l->name, lt_ctx_error(child));
        lt_ctx_clear(child);
        lt_fail(child, LT_ERR_INPUT, "%s", message ? message : l->name);
    }
    lt_end(child, scope);
}

static const char *copy(lt_ctx *cx, const char *text, size_t size)
{
    char *c = text ? lt_alloc(cx, size + 1) : NULL;
    if (c && size) memcpy(c, text, size);
    return c;
}

/* Reads lines until the block is full; they live in the scope that is open. False: an error. */
static bool fill(block *b, lt_feed *f)
{
    lt_ctx *cx = b->cli->cx;
    b->lines = lt_alloc_array(cx, BLOCK_LINES, sizeof *b->lines);
    size_t bytes = 0;
    int most = f->keyboard ? 1 : BLOCK_LINES;
    for (b->n = 0; b->lines && b->n < most && bytes < BLOCK_BYTES; b->n++) {
        line *l = &b->lines[b->n];
        *l = (line){0};
        if (!lt_feed_next(f, cx, &l->in)) break;
        if (l->in.ids) {
            lt_fail(cx, LT_ERR_INPUT, "%s line %lld: token ids, where a text was expected", f->row.file, (long long)f->row.line);
            break;
        }
        l->in.text = copy(cx, l->in.text, l->in.size);
        l->in.pair = copy(cx, l->in.pair, l->in.pair_size);
        l->name = lt_sprintf(cx, "%s line %lld", f->row.file, (long long)f->row.line);
        bytes += l->in.size + l->in.pair_size;
    }
    return lt_ok(cx);
}

/* Prints what there is, up to the first line that failed. */
static bool print(block *b, bool good)
{
    lt_print *out = &b->cli->out;
    bool whole = true;
    for (int i = 0; i < b->n; i++) {
        whole = whole && (good || b->lines[i].out.size);
        if (whole) lt_str_add(&out->text, b->lines[i].out.data, b->lines[i].out.size);
        lt_str_free(&b->lines[i].out);
    }
    return lt_print_due(out) && good;
}

static bool turn_all(block *b, lt_feed *f)
{
    lt_ctx *cx = b->cli->cx;
    bool good;
    int64_t done = 0, total = lt_rows_bytes_total(f->rows);
    lt_progress_begin(cx, b->decode ? "decoding" : "tokenizing", total > 0 ? "bytes" : "lines", total);
    do {
        lt_scope scope = lt_open(cx, NULL);
        bool filled = fill(b, f);
        good = b->lines && lt_parallel(cx, b->n, turn, b) && filled;
        done += b->n;
        good = print(b, good) && good;
        lt_progress_step(cx, total > 0 ? (int64_t)f->bytes : done);
        lt_end(cx, scope);
    } while (good && b->n);
    lt_progress_end(cx);
    return good;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    block b = {.cli = cli, .decode = lt_arg_flag(a, "decode"), .skip_special = lt_arg_flag(a, "skip-special")};
    lt_feed f = {0};
    if (lt_arg_flag(a, "ids") && !b.decode) return lt_usage(cli, "--ids: the input is ids already; --decode turns them into text");
    if (lt_arg_flag(a, "pair") && b.decode) return lt_usage(cli, "--pair and --decode do not go together");
    b.encode = (lt_encode_options){
        .no_special = lt_arg_flag(a, "no-special"),
        .max_tokens = (int32_t)lt_arg_int(a, "max-tokens"),
        .byte_offsets = lt_arg_flag(a, "bytes"),
    };
    b.json = b.decode ? cli->out.json : lt_print_wants_json(&cli->out);
    lt_tokenizer *t = lt_tokenizer_open(cli->cx, a->operand[0]);
    b.tokenizer = t;
    lt_feed_mode mode = b.decode ? LT_FEED_LINES : lt_arg_flag(a, "pair") ? LT_FEED_PAIR : LT_FEED_TEXT;
    bool good = t && lt_feed_open(&f, cli, a->operand + 1, a->operands - 1, mode) && turn_all(&b, &f);
    if (t) lt_feed_close(&f);
    lt_tokenizer_free(t);
    return good;
}

static const lt_opt options[] = {
    {"no-special", 0, LT_OPT_FLAG, NULL, "without the special tokens that the model puts around a text"},
    {"pair", 0, LT_OPT_FLAG, NULL, "encode text and text_pair together; a row without that column is split at its first tab"},
    {"bytes", 0, LT_OPT_FLAG, NULL, "offsets count bytes, not code points"},
    {"decode", 0, LT_OPT_FLAG, NULL, "the other way: each line is an array of ids, or an object with one as \"ids\"; prints text"},
    {"skip-special", 0, LT_OPT_FLAG, NULL, "with --decode: leave special tokens out of the text"},
    {0},
};

const lt_verb lt_verb_tokenize = {
    .name = "tokenize",
    .summary = "texts to token ids with offsets, and back",
    .operands = "MODEL [FILE…]",
    .about = "MODEL may also be a tokenizer.json. Ids, tokens and offsets are those of Hugging Face tokenizers. Nothing is cut "
             "unless --max-tokens says so.\n"
             "In a pipe or with --json: {\"ids\", \"tokens\", \"offsets\":[[start,end],…]} for each input, offsets in code "
             "points of the text. --decode prints a line of text for each array; with --json {\"text\"}.",
    .examples = "echo 'Where is the station?' | lathe tokenize bert-base-uncased\n"
                "lathe tokenize bert-base-uncased pairs.tsv --pair --max-tokens 128 --json\n"
                "lathe tokenize bert-base-uncased lines.txt --json | lathe tokenize bert-base-uncased --decode --skip-special",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
