/* Inputs held as token ids, so that what is timed is the network and not the reading. */
#include "cli/held.h"

#include <string.h>

static bool add_input(lt_ctx *cx, lt_held *in, const int32_t *ids, int32_t n)
{
    if (in->n + 1 >= in->room) {
        int64_t *more = lt_resize(cx, in->begin, 2 * in->room + 256, sizeof *more);
        if (!more) return false;
        in->begin = more;
        in->room = 2 * in->room + 256;
        in->begin[0] = 0;
    }
    if (in->n_ids + n > in->ids_room) {
        int64_t room = 2 * in->ids_room + n;
        int32_t *more = lt_resize(cx, in->ids, room, sizeof *more);
        if (!more) return false;
        in->ids = more;
        in->ids_room = room;
    }
    if (n) memcpy(in->ids + in->n_ids, ids, (size_t)n * sizeof *ids);
    in->n_ids += n;
    in->begin[++in->n] = in->n_ids;
    return true;
}

bool lt_held_read(lt_cli *cli, const lt_model *m, lt_feed *f, lt_held *in)
{
    lt_ctx *cx = cli->cx;
    int64_t most = lt_arg_int(&cli->args, "max-tokens");
    lt_encode_options options = {.max_tokens = most ? (int32_t)most : lt_model_about(m)->max_tokens};
    lt_input next;
    bool good = f->ids || lt_model_tokenizer(m) || lt_usage(cli, "this model has no tokenizer: give token ids (--ids)");
    while (good && lt_feed_next(f, cx, &next)) {
        lt_scope scope = lt_open(cx, NULL);
        double start = lt_now();
        if (next.ids) {
            good = add_input(cx, in, next.ids, most && next.n_ids > most ? (int32_t)most : next.n_ids);
        } else {
            const lt_encoding *e = lt_encode(cx, lt_model_tokenizer(m), next.text, next.size, NULL, 0, &options);
            good = e && add_input(cx, in, e->ids, e->n);
        }
        in->seconds += lt_now() - start;
        lt_end(cx, scope);
    }
    return good && lt_ok(cx) && (in->n || lt_fail_if(cx, true, LT_ERR_INPUT, "no inputs: at least one is expected"));
}

void lt_held_free(lt_held *in)
{
    lt_free(in->ids);
    lt_free(in->begin);
}

bool lt_held_next(void *cursor, lt_ctx *cx, lt_input *out)
{
    lt_held_cursor *c = cursor;
    if (c->i == c->held->n) return false;
    *out = (lt_input){.ids = c->held->ids + c->held->begin[c->i], .n_ids = lt_held_length(c->held, c->i)};
    c->i++;
    return true;
}
