/* A stack of blocks over an embedding, and the walks over all its parameters and linears that loading, packing, counting and freeing
 * are made of. */
#include "base/ctx.h"
#include "lathe/nn.h"

void lt_tap_on(lt_ctx *cx, lt_tap_fn *fn, void *arg)
{
    cx->tap = (void (*)(void))fn;
    cx->tap_arg = arg;
}

lt_tensor *lt_tap(lt_ctx *cx, lt_tap_place place, lt_tensor *x)
{
    if (x && cx->tap) ((lt_tap_fn *)cx->tap)(cx->tap_arg, place, cx->tap_layer, x);
    return x;
}

typedef struct running {
    const lt_block *block;
    const lt_seqs *s;
} running;

static lt_tensor *run_again(lt_ctx *cx, const void *arg, lt_tensor *x)
{
    const running *r = arg;
    return lt_block_forward(cx, r->block, x, r->s, NULL);
}

static lt_tensor *run_block(lt_ctx *cx, const lt_block *b, lt_tensor *x, const lt_seqs *s, lt_memory *mem)
{
    if (!cx->recomputes || cx->tap || mem) return lt_block_forward(cx, b, x, s, mem);
    return lt_recompute(cx, run_again, &(running){b, s}, sizeof(running), x);
}

/* Each layer's rows are moved down over its input's: two layers' rows are held at once, never more. */
lt_tensor *lt_stack_forward(lt_ctx *cx, const lt_stack *st, const int32_t *ids, const int32_t *types, const lt_seqs *s, lt_memory **mem)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = lt_embed_tokens(cx, &st->embed, ids, types, s);
    cx->tap_layer = 0;
    lt_tap(cx, LT_TAP_HIDDEN, x);
    for (int i = 0; x && i < st->layers; i++) {
        cx->tap_layer = i + 1;
        x = lt_ok(cx) ? run_block(cx, &st->block[i], x, s, mem ? mem[i] : NULL) : NULL;
        x = lt_tap(cx, LT_TAP_HIDDEN, lt_close(cx, scope, x));
        scope = lt_open(cx, NULL);
    }
    lt_tensor *y = lt_norm(cx, &st->last, x, true);
    return y == x ? (lt_end(cx, scope), x) : lt_close(cx, scope, y);
}

static bool declare_norm(lt_norm_slot *n, lt_decl *d) { return !n->kind || n->kind->declare(n, d); }

bool lt_block_declare(lt_block *b, lt_decl *d)
{
    return declare_norm(&b->in1, d) && b->mixer.kind->declare(&b->mixer, d) && declare_norm(&b->r1.post, d) && declare_norm(&b->in2, d) &&
           b->ffn.kind->declare(&b->ffn, d) && declare_norm(&b->r2.post, d);
}

bool lt_stack_declare(lt_stack *st, lt_decl *d)
{
    if (!st->embed.kind->declare(&st->embed, d)) return false;
    for (int i = 0; i < st->layers; i++)
        if (!lt_block_declare(&st->block[i], d)) return false;
    return declare_norm(&st->last, d);
}

static bool each(lt_ctx *cx, lt_linear *l, lt_linear_fn *fn, void *arg) { return !l->kind || !l->out || fn(cx, l, arg); }

bool lt_stack_linears(lt_ctx *cx, lt_stack *st, lt_linear_fn *fn, void *arg)
{
    lt_embed_slot *e = &st->embed;
    if (!each(cx, &e->word, fn, arg) || !each(cx, &e->position, fn, arg) || !each(cx, &e->type, fn, arg)) return false;
    for (int i = 0; i < st->layers; i++) {
        lt_mixer *m = &st->block[i].mixer;
        lt_ffn_slot *f = &st->block[i].ffn;
        if (!each(cx, &m->q, fn, arg) || !each(cx, &m->k, fn, arg) || !each(cx, &m->v, fn, arg) || !each(cx, &m->o, fn, arg) ||
            !each(cx, &f->gate, fn, arg) || !each(cx, &f->up, fn, arg) || !each(cx, &f->down, fn, arg))
            return false;
    }
    return true;
}

static bool read_by(lt_ctx *cx, lt_readers r, lt_linear *const *l, int n, lt_readers_fn *fn, void *arg)
{
    for (int i = 0; i < n; i++)
        if (l[i]->kind && l[i]->out) r.l[r.n++] = l[i];
    return !r.n || fn(cx, &r, arg);
}

bool lt_stack_readers(lt_ctx *cx, lt_stack *st, lt_readers_fn *fn, void *arg)
{
    for (int i = 0; i < st->layers; i++) {
        lt_mixer *m = &st->block[i].mixer;
        lt_ffn_slot *f = &st->block[i].ffn;
        if (!read_by(cx, (lt_readers){i, LT_SITE_MIXER}, (lt_linear *[]){&m->q, &m->k, &m->v}, 3, fn, arg) ||
            !read_by(cx, (lt_readers){i, LT_SITE_MIXED}, (lt_linear *[]){&m->o}, 1, fn, arg) ||
            !read_by(cx, (lt_readers){i, LT_SITE_FFN}, (lt_linear *[]){&f->gate, &f->up}, 2, fn, arg) ||
            !read_by(cx, (lt_readers){i, LT_SITE_INNER}, (lt_linear *[]){&f->down}, 1, fn, arg))
            return false;
    }
    return true;
}

static void free_block(lt_block *b)
{
    lt_mixer *m = &b->mixer;
    lt_ffn_slot *f = &b->ffn;
    lt_linear *linears[] = {&m->q, &m->k, &m->v, &m->o, &f->gate, &f->up, &f->down};
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) lt_linear_free(linears[i]);
    lt_param_free(&m->position.table);
    lt_free(m->position.packed);
    lt_free(m->position.name);
    lt_norm_slot *norms[] = {&b->in1, &b->in2, &b->r1.post, &b->r2.post};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) lt_norm_free(norms[i]);
    lt_free(b->name);
}

void lt_stack_free(lt_stack *st)
{
    lt_linear_free(&st->embed.word);
    lt_linear_free(&st->embed.position);
    lt_linear_free(&st->embed.type);
    lt_norm_free(&st->embed.norm);
    for (int i = 0; st->block && i < st->layers; i++) free_block(&st->block[i]);
    lt_free(st->block);
    lt_norm_free(&st->last);
    *st = (lt_stack){0};
}
