/* The slots a transformer is made of, and the tables through which fillings plug in.
 *
 * A model is a stack of blocks with named slots: linear, mixer, position, norm, activation, feed-forward, residual, embedding,
 * head. A filling of a slot is a "kind": one constant table at the bottom of its own file in src/nn/, listed in
 * src/nn/kinds.c; nothing else changes when one is added. `declare` is visited to load, count, initialise, save and free
 * parameters: each of these is written once, not per kind. Open models are read-only and shared by threads. */
#ifndef LATHE_NN_H
#define LATHE_NN_H

#include "lathe/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- parameters ------------------------------------------------------------------------------------------------ */

typedef enum { LT_INIT_NORMAL, LT_INIT_ZERO, LT_INIT_ONE, LT_INIT_NONE /* part of how another one is stored */ } lt_init;

struct lt_param {            /* a weight by its checkpoint name; {0} is an absent one */
    char *name;              /* owned */
    lt_tensor value;         /* data NULL while it is not in memory (only in packed form, or not loaded yet) */
    const lt_stored *stored; /* where it comes from; NULL: not from a file */
    void *owned;             /* memory behind value.data when it is not the mapped file; released with the parameter */
    lt_init init;
    lt_dtype as;             /* in files: f32 and bf16 are read from any float and written so; codes are what they are */
};
bool lt_param_load(lt_ctx *cx, lt_param *p, lt_dtype dtype); /* brings the value into memory: the mapped file itself where it fits */
bool lt_param_make(lt_ctx *cx, lt_param *p, lt_dtype dtype); /* memory of its own, cleared, for the caller to fill */
void lt_param_drop(lt_param *p);                             /* gives the memory back; lt_param_load brings it again */
void lt_param_free(lt_param *p);
void lt_param_normal(lt_param *p, uint64_t seed, double deviation); /* fills it: a function of seed and name alone */
lt_tensor *lt_param_use(lt_param *p);                        /* the value as an op's input; NULL: absent */

typedef struct lt_decl lt_decl;
struct lt_decl {             /* a visitor of parameters */
    lt_ctx *cx;
    bool (*visit)(lt_decl *d, lt_param *p); /* p's name, shape and init are set */
    void *arg;
};
/* What a kind's `declare` calls for each of its parameters: "<owner>.<name>" with this shape. Names and shapes are set at the
 * first visit; d->visit is called at each. */
bool lt_declare(lt_decl *d, lt_param *p, const char *owner, const char *name, int rank, const int64_t *shape, lt_init init);
bool lt_declare_as(lt_decl *d, lt_param *p, const char *owner, const char *name, lt_dtype as, int rank, const int64_t *shape, lt_init init);

/* ---- linear ---------------------------------------------------------------------------------------------------- */

typedef struct lt_linear lt_linear;
typedef struct lt_linear_kind lt_linear_kind;
typedef void lt_watch_fn(void *arg, lt_ctx *cx, const lt_linear *l, const lt_tensor *x);

typedef struct lt_epilogue { /* what happens to a projection's result, in this order */
    lt_act act;
    lt_tensor *residual;     /* added last; NULL: none */
    lt_tensor *out;          /* written here; NULL: a new tensor */
    bool narrow;             /* its reader takes bf16: a kind may store that, and does so on its own judgement */
} lt_epilogue;

struct lt_linear {
    const lt_linear_kind *kind;
    char *name;              /* checkpoint name, without ".weight"; owned */
    int64_t in, out;
    bool has_bias;
    lt_dtype dtype;          /* of its arithmetic */
    lt_param weight, bias;   /* [out, in], [out] */
    bool rounded;            /* dense: the weight is rounded to bf16, in files and when it is read */
    bool smoothed;           /* int8: there is a tensor of what inputs are multiplied by */
    lt_coding coding;        /* int8: how its inputs become codes */
    void *state;             /* the kind's own */
    void *packed;            /* weights as `run` wants them … */
    const lt_kernels *packed_for; /* … for this machine's kernels */
    bool ready;              /* packed: lt_project may use `run` */
    lt_watch_fn *watch;      /* sees each input before it is multiplied, on the thread that runs; NULL: nobody looks */
    void *watch_arg;
};
struct lt_linear_kind {      /* "dense", "int8", "low_rank", "lora", … */
    lt_kind is;
    bool (*declare)(lt_linear *l, lt_decl *d);                                  /* parameters, buffers, inner linears */
    lt_tensor *(*forward)(lt_ctx *cx, const lt_linear *l, lt_tensor *x);        /* ops, bias included; NULL: cannot be differentiated */
    lt_tensor *(*run)(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e); /* fused; the same bits as forward + ops ("sparse": within rounding) */
    lt_tensor *(*encode)(lt_ctx *cx, const lt_linear *l, lt_tensor *x);         /* input for run, once for q, k, v; NULL: as it is */
    bool reads_bf16;                                                            /* run takes bf16 inputs as they are */
    bool (*rows)(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out); /* weight rows, as embeddings and savers read them */
    bool (*prepare)(lt_ctx *cx, lt_linear *l);                                  /* pack for this machine; then it is ready */
    bool (*convert)(lt_ctx *cx, lt_linear *l);                                  /* makes this kind of a dense one, its weight loaded as f32; NULL: cannot */
    bool (*narrow)(const lt_linear *l, int64_t out, int64_t in, lt_linear *to); /* its prefix in the same storage; NULL: none */
    void (*after_step)(lt_linear *l);                                           /* masks; NULL: nothing */
    void (*release)(lt_linear *l);                                              /* state and packed */
};
/* x [m, in] → [m, out]: where nothing is differentiated and the linear is ready, `run`; else `forward` and the epilogue in
 * ops. The same bits either way: the one place where fused meets differentiable. */
lt_tensor *lt_project(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e /* or NULL */);
/* x in the form that n linears of the same input read, made once; x itself where they do not agree on one. Only lt_project reads it. */
lt_tensor *lt_encode_for(lt_ctx *cx, const lt_linear *const *l, int n, lt_tensor *x);
lt_tensor *lt_linear_rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n); /* → [n, in]; ids are checked */
/* A dense linear, its weight loaded as f32, made one of few bits with what is known of its inputs: `multiply` [in] is what inputs are to be
 * multiplied by (weights are divided by it first); codes [out, in] and scales [out, groups] are as lt_product's int4 has them. */
bool lt_linear_smooth_int8(lt_ctx *cx, lt_linear *l, const float *multiply);
bool lt_linear_set_int4(lt_ctx *cx, lt_linear *l, const uint8_t *codes, const float *scale);
bool lt_linear_expand(lt_ctx *cx, lt_linear *l); /* makes a dense one of a linear that is not packed, its weight in memory */

/* ---- norm, activation ------------------------------------------------------------------------------------------ */

typedef struct lt_norm_slot lt_norm_slot;
typedef struct lt_norm_kind {
    lt_kind is;
    bool (*declare)(lt_norm_slot *n, lt_decl *d);
    lt_tensor *(*forward)(lt_ctx *cx, const lt_norm_slot *n, lt_tensor *x, bool over); /* over: x may take the result */
} lt_norm_kind;
struct lt_norm_slot {
    const lt_norm_kind *kind; /* NULL: the identity */
    char *name;
    int64_t dim;
    double eps;
    lt_param gamma, beta;
};
lt_tensor *lt_norm(lt_ctx *cx, const lt_norm_slot *n, lt_tensor *x, bool over);

/* Activations by the names that configs use ("gelu", "gelu_new", "relu", "silu", "swish", …); LT_ACT_COUNT: not known. */
lt_act lt_act_named(const char *name);
const lt_kind *lt_activation_kind(int i); /* the i-th, for `lathe list`; NULL past the last */

/* ---- memory of what was seen (decoding) ------------------------------------------------------------------------ */

typedef struct lt_mixer lt_mixer;
typedef struct lt_memory_kind lt_memory_kind;
typedef struct lt_memory {      /* what one layer remembers of n sequences; a mixer without one is handed NULL */
    const lt_memory_kind *kind;
} lt_memory;
struct lt_memory_kind {
    lt_kind is;
    lt_memory *(*open)(lt_ctx *cx, const lt_mixer *m, int n, int64_t rows);
    bool (*cut)(lt_memory *mem, int seq, int64_t rows);     /* keep the first so many rows; false: it cannot, copy before drafting */
    bool (*copy)(lt_ctx *cx, lt_memory *mem, int from, int to); /* beams, shared prefixes */
    bool (*save)(lt_ctx *cx, const lt_memory *mem, int seq, lt_out *out);
    bool (*load)(lt_ctx *cx, lt_memory *mem, int seq, const lt_map *in);
    void (*close)(lt_memory *mem);
};

/* ---- position -------------------------------------------------------------------------------------------------- */

/* How a mixer knows where its rows stand. Absolute positions are rows of the embedding; these act on the scores. */
typedef struct lt_position lt_position;
typedef struct lt_position_kind {
    lt_kind is;
    bool (*declare)(lt_position *p, lt_decl *d);
    bool (*prepare)(lt_ctx *cx, lt_position *p);
    /* Sets spec's bias fields for q and k, in the context's scope; NULL: nothing to add. */
    bool (*bias)(lt_ctx *cx, const lt_position *p, lt_tensor *q, lt_tensor *k, lt_attend_spec *spec);
} lt_position_kind;
struct lt_position {
    const lt_position_kind *kind; /* NULL: none */
    char *name;
    int64_t max, dim;             /* positions, width of a head */
    lt_dtype dtype;
    lt_param table;               /* [2·max-1, dim] for relative keys */
    void *packed;                 /* owned */
    const lt_kernels *packed_for; /* whose layout that is */
};

/* ---- taps ------------------------------------------------------------------------------------------------------ */

/* What passes places of a stack, shown to whoever asked for it: hidden states [tokens, hidden] (layer 0: of the embedding, i: after block i), and queries,
 * keys and values [tokens, heads·d] as attention of block i (from 1) reads them. While a tape records they live as long as it does; else they may be
 * overwritten as soon as the function returns. */
typedef enum { LT_TAP_HIDDEN, LT_TAP_QUERY, LT_TAP_KEY, LT_TAP_VALUE, LT_TAPS } lt_tap_place;
typedef void lt_tap_fn(void *arg, lt_tap_place place, int layer, lt_tensor *x);
void lt_tap_on(lt_ctx *cx, lt_tap_fn *fn, void *arg); /* for what this context runs; NULL: off */
lt_tensor *lt_tap(lt_ctx *cx, lt_tap_place place, lt_tensor *x); /* x itself */

/* ---- mixer ----------------------------------------------------------------------------------------------------- */

typedef struct lt_mixer_kind {  /* "attention", "cross", "aaren", "mamba", "retention", … */
    lt_kind is;
    bool (*declare)(lt_mixer *m, lt_decl *d);
    /* x [tokens, hidden] → [tokens, hidden]; `e` is the epilogue of its last projection. */
    lt_tensor *(*forward)(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e);
    const lt_memory_kind *memory; /* NULL: cannot decode step by step */
} lt_mixer_kind;
struct lt_mixer {
    const lt_mixer_kind *kind;
    int heads, kv_heads, dim;
    bool causal;
    double scale;
    double dropout;               /* of probabilities, in training */
    lt_linear q, k, v, o;
    lt_position position;
    void *state;
};
lt_tensor *lt_mix(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e);

/* ---- feed-forward ---------------------------------------------------------------------------------------------- */

typedef struct lt_ffn_slot lt_ffn_slot;
typedef struct lt_ffn_kind {
    lt_kind is;
    bool (*declare)(lt_ffn_slot *f, lt_decl *d);
    lt_tensor *(*forward)(lt_ctx *cx, const lt_ffn_slot *f, lt_tensor *x, const lt_epilogue *e);
} lt_ffn_kind;
struct lt_ffn_slot {
    const lt_ffn_kind *kind;
    lt_linear up, gate, down;   /* gate: of gated kinds only */
    lt_act act;
};
lt_tensor *lt_ffn(lt_ctx *cx, const lt_ffn_slot *f, lt_tensor *x, const lt_epilogue *e);

/* ---- residual, block, stack ------------------------------------------------------------------------------------ */

typedef struct lt_residual_slot lt_residual_slot;
typedef struct lt_residual_kind {
    lt_kind is;
    /* x + y in this kind's way; NULL: a plain sum, which the sublayer's last projection adds in its epilogue. */
    lt_tensor *(*forward)(lt_ctx *cx, const lt_residual_slot *r, lt_tensor *x, lt_tensor *y);
} lt_residual_kind;
struct lt_residual_slot {
    const lt_residual_kind *kind;
    lt_norm_slot post;          /* after the sum: post-LN */
    double dropout;             /* of the sublayer's output, in training */
    void *state;
};

typedef struct lt_block {
    char *name;
    lt_norm_slot in1, in2;      /* before each sublayer: pre-LN */
    lt_mixer mixer;
    lt_ffn_slot ffn;
    lt_residual_slot r1, r2;
} lt_block;
/* x = post(x + F(in(x))), twice; an absent norm is the identity, so pre- and post-LN are data. x is the block's to overwrite unless a tape
 * records. */
lt_tensor *lt_block_forward(lt_ctx *cx, const lt_block *b, lt_tensor *x, const lt_seqs *s, lt_memory *mem);

typedef struct lt_embed_slot lt_embed_slot;
typedef struct lt_embed_kind {
    lt_kind is;
    bool (*declare)(lt_embed_slot *e, lt_decl *d);
    lt_tensor *(*forward)(lt_ctx *cx, const lt_embed_slot *e, const int32_t *ids, const int32_t *types, const lt_seqs *s);
} lt_embed_kind;
struct lt_embed_slot {
    const lt_embed_kind *kind;
    lt_linear word;             /* [vocab, hidden]; tied heads project with it */
    lt_linear position, type;   /* out 0: absent */
    lt_norm_slot norm;
    double dropout;             /* after the norm, in training */
    int32_t position_offset;    /* of row 0: RoBERTa counts from pad + 1 */
    int32_t pad;                /* >= 0: a token of this id stands at position `pad` and is not counted (RoBERTa); -1: none */
};
lt_tensor *lt_embed_tokens(lt_ctx *cx, const lt_embed_slot *e, const int32_t *ids, const int32_t *types, const lt_seqs *s);

typedef struct lt_stack {
    lt_embed_slot embed;
    lt_block *block;            /* [layers]; owned */
    int layers;
    lt_norm_slot last;          /* after the last block */
} lt_stack;
/* ids → last hidden states [tokens, hidden]; mem: one memory a layer, or NULL. */
lt_tensor *lt_stack_forward(lt_ctx *cx, const lt_stack *st, const int32_t *ids, const int32_t *types, const lt_seqs *s, lt_memory **mem);

/* ---- head ------------------------------------------------------------------------------------------------------ */

typedef struct lt_head_slot lt_head_slot;
typedef struct lt_head_kind {
    lt_kind is;
    bool (*declare)(lt_head_slot *h, lt_decl *d);
    lt_tensor *(*forward)(lt_ctx *cx, const lt_head_slot *h, lt_tensor *hidden, const lt_seqs *s);
    bool per_token;             /* a row per token; else one per sequence */
} lt_head_kind;
struct lt_head_slot {           /* out(norm(act(dense(rows)))); each part may be absent */
    const lt_head_kind *kind;   /* NULL: no head */
    lt_linear dense;            /* out 0: absent */
    lt_act act;
    lt_norm_slot norm;
    lt_linear out;              /* out 0: absent (a pooler) */
    double dropout, dropout_in; /* before `out`; before `dense`: in training */
    const lt_linear *tied;      /* not NULL: stands in for `out`, which gives only the name of `tied_bias`: the word embeddings */
    lt_param tied_bias;
    const lt_head_slot *before; /* applied first (BERT's pooler under its classifier), not owned; NULL: none */
};
lt_tensor *lt_head(lt_ctx *cx, const lt_head_slot *h, lt_tensor *hidden, const lt_seqs *s);

/* ---- all of a model -------------------------------------------------------------------------------------------- */

bool lt_block_declare(lt_block *b, lt_decl *d);
bool lt_stack_declare(lt_stack *st, lt_decl *d);
bool lt_head_declare(lt_head_slot *h, lt_decl *d);
/* Calls fn for every linear of a stack, in order. */
typedef bool lt_linear_fn(lt_ctx *cx, lt_linear *l, void *arg);
bool lt_stack_linears(lt_ctx *cx, lt_stack *st, lt_linear_fn *fn, void *arg);
/* Calls fn for the linears of the blocks, in order, those that read the same input together. */
typedef enum { LT_SITE_MIXER, LT_SITE_MIXED, LT_SITE_FFN, LT_SITE_INNER, LT_SITES } lt_site; /* what that input is: of q, k, v; of o; of up; of down */
typedef struct lt_readers {
    int layer;
    lt_site at;
    lt_linear *l[3];
    int n;
} lt_readers;
typedef bool lt_readers_fn(lt_ctx *cx, const lt_readers *r, void *arg);
bool lt_stack_readers(lt_ctx *cx, lt_stack *st, lt_readers_fn *fn, void *arg);
bool lt_head_linears(lt_ctx *cx, lt_head_slot *h, lt_linear_fn *fn, void *arg);
void lt_stack_free(lt_stack *st);
void lt_head_free(lt_head_slot *h);
void lt_linear_free(lt_linear *l);
void lt_norm_free(lt_norm_slot *n);

/* ---- kinds by name --------------------------------------------------------------------------------------------- */

extern const lt_linear_kind lt_linear_dense, lt_linear_bf16, lt_linear_int8, lt_linear_int4, lt_linear_sparse, lt_linear_sparse_int8;
extern const lt_mixer_kind lt_mixer_attention;
extern const lt_memory_kind lt_memory_kv;
extern const lt_position_kind lt_position_relative_key, lt_position_relative_key_query;
extern const lt_norm_kind lt_norm_layer, lt_norm_rms;
extern const lt_ffn_kind lt_ffn_mlp, lt_ffn_gated;
extern const lt_residual_kind lt_residual_add;
extern const lt_embed_kind lt_embed_sum;
extern const lt_head_kind lt_head_tokens, lt_head_first;
const lt_kind *const *lt_nn_kinds(int *n); /* all of them, for `lathe list` */

#ifdef __cplusplus
}
#endif
#endif
