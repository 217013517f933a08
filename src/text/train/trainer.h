/* What a kind of tokenizer is to its trainer. A new kind is one file with one lt_trainer_kind, named in text/kinds.c. */
#ifndef LT_TEXT_TRAIN_TRAINER_H
#define LT_TEXT_TRAIN_TRAINER_H

#include "text/train/merge.h"
#include "text/train/words.h"

struct lt_trainer;

typedef struct lt_trainer_kind {
    lt_kind is;                 /* of the slot "trainer" */
    const char *const *special; /* tokens that it always has, in order; ends with NULL */
    int32_t bytes; /* entries that its alphabet has whatever the texts are */
    bool limits;   /* knows lower case and a limit of the alphabet */
    lt_word_cut *cut;
    /* From the words to the tokens, which are only the special ones yet. */
    bool (*learn)(lt_ctx *cx, struct lt_trainer *t);
    void (*put_parts)(const struct lt_trainer *t, lt_str *s);  /* of tokenizer.json: all but its model */
    const char *model;                                         /* the model's members, but for vocabulary and … */
    void (*put_merges)(const struct lt_trainer *t, lt_str *s); /* … merges; NULL: it has none */
    void (*put_config)(const struct lt_trainer *t, lt_str *s); /* members of tokenizer_config.json */
} lt_trainer_kind;
extern const lt_trainer_kind lt_trainer_wordpiece, lt_trainer_bpe;

typedef struct lt_trainer {
    const lt_tokenizer_train_options *options;
    const lt_trainer_kind *kind;
    lt_words words;
    lt_vocab tokens; /* an id an entry */
    lt_merge *merge; /* owned */
    int32_t merges;
    int32_t alphabet; /* tokens that are no merges and not special */
} lt_trainer;

/* The token's id, made if it is new; -1: no memory. */
int32_t lt_trainer_token(lt_ctx *cx, lt_trainer *t, const char *text, size_t size);
/* Learns merges over the words' symbols, which are n, and checks that they gave as many tokens as were asked for. */
bool lt_trainer_merge(lt_ctx *cx, lt_trainer *t, lt_symbol *symbol, int64_t n, const char *prefix);

/* Symbols are put down word by word. */
typedef struct lt_symbols {
    lt_symbol *at;
    int64_t n, begin; /* where the word began */
    int32_t word;
} lt_symbols;
static inline void lt_symbols_put(lt_symbols *s, int32_t id)
{
    int32_t i = (int32_t)s->n++, prev = i > s->begin ? i - 1 : -1;
    s->at[i] = (lt_symbol){id, s->word, prev, -1};
    if (prev >= 0) s->at[prev].next = i;
}
static inline void lt_symbols_end_word(lt_symbols *s)
{
    s->begin = s->n;
    s->word++;
}

#endif
