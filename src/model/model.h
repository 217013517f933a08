/* What the files of this room share: an open model, a config that notices what nobody asked for, and what a family file says. */
#ifndef LT_MODEL_MODEL_H
#define LT_MODEL_MODEL_H

#include "lathe/model.h"
#include "lathe/nn.h"

/* ---- config.json ---- */

enum { LT_CONFIG_KEYS = 512 };
typedef struct lt_config { /* every key that is read is noted, so that the others can be named */
    lt_ctx *cx;
    lt_json *root;
    char *file;
    const char *asked[LT_CONFIG_KEYS];
    int n_asked;
} lt_config;
const lt_json *lt_config_get(lt_config *c, const char *key); /* the value itself, noted as read */
bool lt_config_open(lt_ctx *cx, lt_config *c, const char *dir);
void lt_config_close(lt_config *c);
int lt_config_int(lt_config *c, const char *key, int64_t min, int64_t max, int64_t otherwise);
double lt_config_num(lt_config *c, const char *key, double min, double max, double otherwise);
bool lt_config_bool(lt_config *c, const char *key, bool otherwise);
const char *lt_config_text(lt_config *c, const char *key, const char *otherwise);
lt_act lt_config_act(lt_config *c, const char *key, const char *otherwise);
/* A switch that this engine knows only in one position. */
bool lt_config_must_be(lt_config *c, const char *key, bool value, const char *why);
bool lt_config_was_asked(const lt_config *c, const char *key); /* or changes nothing when running */

/* ---- quantised checkpoints ---- */

enum { LT_OUTLIER = 6 }; /* Dettmers et al. 2022 */
typedef struct lt_quantized { /* as a config says it of the stored linears; then, of an open model, what they are run as */
    lt_precision precision;   /* F32: floats, BF16: floats to be run so, INT8, INT4: codes */
    float threshold;          /* int8: inputs of this magnitude or more stay apart; 0: none */
    bool symmetric, smoothed; /* int8: codes of inputs; a tensor of input multipliers */
} lt_quantized;
bool lt_quantized_read(lt_config *c, lt_quantized *q);
/* Keys of config.json, each behind a comma; `ignore` names the n linears that are not quantised. */
void lt_quantized_put(lt_str *s, const lt_quantized *q, const char *const *ignore, int n);

/* ---- families ---- */

typedef struct lt_encoder { /* the numbers of an encoder, as a family reads them from its config */
    int layers, hidden, heads, inner, vocab, types, positions;
    int position_offset, pad; /* of lt_embed_slot */
    int pad_id;
    int limit;                /* longest sequence */
    double eps;
    lt_act act;
    bool tied;                /* the masked-language-model head projects with the word embeddings */
    bool absolute;            /* positions are added to the embeddings */
    const lt_position_kind *relative;
    int labels;
    struct lt_dropouts {
        double embed, mixer, attention, ffn, head, span;
    } dropout;                /* in training: after the embedding, the mixer, on probabilities, after the feed-forward layer, before the head's output, and a span head's */
} lt_encoder;

typedef struct lt_names { /* weight names of an encoder, behind the family's prefix or bare; layers' parts behind "<layer>.<i>." */
    const char *word, *position, *type, *embed_norm, *layer;
    const char *q, *k, *v, *o, *mixer_norm, *up, *down, *ffn_norm, *distance, *pooler;
} lt_names;

typedef enum { LT_WIDTH_LABELS, LT_WIDTH_TWO, LT_WIDTH_VOCAB } lt_width;
typedef struct lt_architecture { /* what stands on the encoder, by the name in config.json's "architectures" */
    const char *name;      /* "BertForMaskedLM" */
    const char *head;      /* "mlm", …; "none" */
    const lt_head_kind *kind;
    bool on_pooler;        /* reads the pooler's row, not the first hidden state */
    const char *dense;     /* names of its parts; NULL: absent */
    lt_act act;            /* LT_ACT_COUNT: the config's hidden_act */
    const char *norm, *out, *bias; /* bias: of a tied output, without ".bias" */
    lt_width width;
    bool dropout, dropout_in; /* before `out`; before `dense` */
    const char *also;      /* in training: a second output, of two classes, on the pooler's row; NULL: none */
} lt_architecture;

typedef struct lt_family {
    lt_kind is;                  /* name: config.json's model_type */
    bool (*configure)(lt_config *c, lt_encoder *e);
    const char *prefix;          /* of weight names in checkpoints with a head: "bert." */
    const lt_names *names;
    const lt_architecture *architectures;
    int n_architectures;
} lt_family;
extern const lt_family lt_family_bert, lt_family_roberta, lt_family_distilbert;
const lt_family *lt_family_named(const char *model_type); /* NULL: not known */
/* Shared by families that follow BERT: its weight names; and everything of lt_encoder but where positions begin. */
extern const lt_names lt_names_bert;
bool lt_configure_bert_like(lt_config *c, lt_encoder *e);

/* ---- an open model ---- */

enum { LT_DENSES = 4 };
typedef struct lt_sentence { /* the sentence-transformers files */
    bool present;
    lt_pooling pooling[LT_POOLS];
    int n_pooling;
    bool skip_prompt;        /* include_prompt: false */
    int max_tokens;          /* sentence_bert_config.json; 0: not said */
    bool lower;
    lt_linear dense[LT_DENSES];
    lt_act dense_act[LT_DENSES];
    int n_dense;
    lt_weights *dense_weights[LT_DENSES];
    bool normalize;
    lt_json *settings;       /* config_sentence_transformers.json: prompts */
    const char *similarity, *default_prompt;
} lt_sentence;

struct lt_model {
    lt_model_info info;
    lt_dtype compute;
    bool unpacked;
    lt_quantized quantized;
    const lt_linear_kind *few; /* what linears of blocks become when they are loaded; NULL: they stay as they are */
    bool expand;               /* stored codes become floats first */
    bool (*convert)(void *arg, lt_ctx *cx, lt_linear *l); /* … by this, if there is one */
    void *convert_arg;
    bool trainable, random;
    double all_dropout;        /* >= 0: in place of every dropout of the config */
    uint64_t seed;
    double init_range;         /* standard deviation of new weights: the config's initializer_range */
    const char *prefix, *file_prefix; /* of the encoder's weight names: here, and in the files */
    char **label;              /* names that replace the config's, owned; NULL: none do */
    bool reshaped;             /* its head is not the one that config.json tells of */
    lt_config config;
    char *root;              /* folder of the transformer's own files */
    const lt_architecture *architecture;
    lt_encoder encoder;
    lt_stack stack;
    lt_head_slot pooler, head, also;
    bool has_pooler;
    lt_weights *weights;
    const lt_stored **spare; /* tensors that nothing here reads, owned */
    int n_spare;
    lt_tokenizer *tokenizer;
    lt_sentence sentence;
    char pooling_name[64];
    char **unsupported;      /* info.unsupported, owned */
};

/* Notes something for `lathe info`. */
bool lt_model_note(lt_ctx *cx, lt_model *m, const char *format, ...) LT_PRINTF(3, 4);
const lt_linear_kind *lt_precision_kind(lt_precision p); /* NULL: dense */
/* From what the config says to what the options ask for: quantized, few and expand of m. */
bool lt_precision_settle(lt_ctx *cx, lt_model *m, const lt_model_options *o);
/* encoder.c: the slots by the family's names, and their weights. */
bool lt_encoder_build(lt_ctx *cx, lt_model *m, const lt_family *f, const lt_architecture *arch);
bool lt_encoder_bind(lt_ctx *cx, lt_model *m, const lt_family *f);    /* finds every parameter in the files, checks shapes */
bool lt_encoder_load(lt_ctx *cx, lt_model *m);                        /* brings them into memory, packs */
/* encoder.c: visits every parameter of the stack and the heads. */
bool lt_encoder_walk(lt_ctx *cx, lt_model *m, bool (*visit)(lt_decl *, lt_param *), void *arg);
bool lt_linear_load(lt_ctx *cx, const lt_weights *w, lt_linear *l, bool unpacked, bool inspect); /* one that stands outside the stack */
/* sentence.c */
char *lt_sentence_root(lt_ctx *cx, const char *dir);                  /* where the transformer's files are; scoped */
bool lt_sentence_names(lt_ctx *cx, const char *dir, const char *folder); /* whether a module of modules.json lives in that folder of dir */
bool lt_sentence_open(lt_ctx *cx, lt_model *m, const char *dir, bool inspect);
void lt_sentence_close(lt_sentence *s);
int lt_poolings_named(const char *text, lt_pooling *out);             /* "cls+mean" → count; 0: not understood */
const char *lt_pooling_name(lt_pooling p);
/* prepare.c */
void lt_put_lower(lt_str *s, const char *text, size_t size); /* appends the text in lower case */
void lt_strip(const char **text, size_t *size);              /* leaves out blanks at both ends */
/* embed.c: hidden states of a batch → embeddings. */
lt_tensor *lt_sentence_embed(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s, int prompt_tokens, const lt_run_options *o);
int lt_embedding_width(const lt_model *m, const lt_run_options *o);
/* run.c: lt_forward with the prompt's length, counted in tokens of every sequence. */
lt_tensor *lt_forward_prompted(lt_ctx *cx, const lt_model *m, const lt_batch *batch, lt_output what, const lt_run_options *o, int prompt_tokens,
                               int64_t *computed);

#endif
