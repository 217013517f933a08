/* How a text becomes tokens: it is cut into pieces (views of text that know where in the original each byte came from), which
 * added tokens, the normalizer and the pre-tokenizer cut and rewrite further, until the model turns each into tokens. A part
 * of any slot is data plus one constant table entry (lt_part_kind); what Hugging Face tokenizers 0.21 does is the standard. */
#ifndef LT_TEXT_TOKENIZER_H
#define LT_TEXT_TOKENIZER_H

#include "lathe/text.h"
#include "text/vocab.h"

/* Bytes of the original (made well-formed) text. */
typedef struct lt_span {
    uint32_t start, end;
} lt_span;

typedef struct lt_piece {
    const char *text;     /* well-formed UTF-8, size > 0 once cut */
    const lt_span *align; /* per byte of text, its origin (a whole code point's); NULL: byte i is byte base + i of the original */
    uint32_t size, base;
    int32_t id;    /* an added token's; -1: still text */
    uint32_t most; /* bytes that normalizers may make of it; 0: not bounded */
} lt_piece;
typedef struct lt_pieces { /* grows in the context's scope */
    lt_piece *at;
    int32_t n, capacity;
} lt_pieces;

typedef struct lt_token {
    int32_t id;
    uint32_t start, end;               /* in the piece while the model works, then in the original: bytes, then code points */
    int32_t blank_before, blank_after; /* blanks in an added token's text; -1: look at the vocabulary's */
    int32_t word;                      /* the piece it is of */
} lt_token;
typedef struct lt_tokens { /* grows in the context's scope */
    lt_token *at;
    int32_t n, capacity;
} lt_tokens;

typedef struct lt_string { /* a token on its way back to text */
    const char *text;
    size_t size;
} lt_string;
typedef struct lt_strings {
    lt_string *at;
    int32_t n;
} lt_strings;

struct lt_part_kind;
typedef struct lt_part { /* kind NULL: absent */
    const struct lt_part_kind *kind;
    const void *self;
} lt_part;

/* One kind of part. `parse` reads its JSON object (`where`: its path in the file, for messages) and returns its data, made
 * with lt_keep, or NULL with an error. Of the others, the slot's own one is set. */
typedef struct lt_part_kind {
    lt_kind is;
    const void *(*parse)(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where);
    bool (*normalize)(lt_ctx *cx, const void *self, lt_piece *p);                 /* rewrites p's text */
    bool (*cut)(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out); /* appends the pieces of p */
    bool (*tokenize)(lt_ctx *cx, const void *self, const lt_piece *p, lt_tokens *out);
    bool (*decode)(lt_ctx *cx, const void *self, lt_strings *s);
} lt_part_kind;

/* A sequence of parts is data of this form; cut runs part by part over all pieces. */
typedef struct lt_sequence {
    int32_t n;
    lt_part part[];
} lt_sequence;

/* One element of what the post-processor lays out. */
typedef struct lt_slot {
    int32_t id; /* a special token; or -1: the first sequence, -2: the second */
    int32_t type;
} lt_slot;
typedef struct lt_layout {
    int32_t n, added; /* slots; those that are special tokens */
    const lt_slot *slot;
} lt_layout;
typedef struct lt_trim { /* offsets leave out blanks at a token's ends */
    bool keep_prefix;    /* … but for the blank that add_prefix_space may have put there */
} lt_trim;
typedef struct lt_post { /* what the post-processor does; filled by its parse */
    bool laid_out;
    lt_layout single, pair;
    int32_t trims;
    lt_trim trim[4];
} lt_post;

/* Added tokens, found in the text before the model sees it. See added.c. */
typedef struct lt_added_token {
    const char *text; /* owned by the tokenizer */
    uint32_t size;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} lt_added_token;
typedef struct lt_pattern_set { /* texts to look for, sorted */
    int32_t n;
    struct lt_added_match {
        const char *text;
        uint32_t size;
        int32_t token; /* index among the added tokens */
    } * at;
    uint8_t first[256]; /* 1: some text begins with this byte */
} lt_pattern_set;

struct lt_tokenizer {
    char *file; /* where it was read from */
    struct lt_owned *owned;
    lt_tokenizer_info about;
    lt_vocab vocab; /* the model's */
    lt_part normalizer, pre_tokenizer, model, decoder;
    lt_post post;

    lt_added_token *added;
    int32_t added_count;
    lt_vocab added_vocab;           /* text → index in `added` */
    lt_pattern_set raw, normalized; /* looked for before and after normalisation */
    int32_t ids;                    /* one more than the highest id */
    const int32_t *added_of_id;     /* index in `added`, or -1: `ids` places */
};

/* tokenizer.c: memory that lives as long as the tokenizer, cleared. `destroy` (or NULL) is called before it is freed. */
void *lt_keep(lt_ctx *cx, lt_tokenizer *t, size_t bytes, void (*destroy)(void *));
/* A tokenizer from the text of a tokenizer.json; `name` stands in messages. */
lt_tokenizer *lt_tokenizer_parse(lt_ctx *cx, const char *json, size_t size, const char *name);
/* A tokenizer.json that stands for vocab.txt, or vocab.json + merges.txt. See layout.c. */
bool lt_tokenizer_from_vocab_txt(lt_ctx *cx, const char *dir, const char *file, lt_str *json);
bool lt_tokenizer_from_merges(lt_ctx *cx, const char *dir, const char *vocab, const char *merges, lt_str *json);
/* Finds the special tokens' ids: what the directory's files say, else the usual names. See special.c. */
bool lt_tokenizer_name_special(lt_ctx *cx, lt_tokenizer *t, const char *dir);
/* Text of a token as decode sees it: an added token's before the model's. NULL: no such id. */
const char *lt_tokenizer_text(const lt_tokenizer *t, int32_t id, size_t *size);

/* kinds.c: all kinds there are, slot by slot. */
enum { LT_SLOT_NORMALIZER, LT_SLOT_PRE_TOKENIZER, LT_SLOT_MODEL, LT_SLOT_POST_PROCESSOR, LT_SLOT_DECODER, LT_SLOTS };
/* Reads the part of a slot (absent or null: none); refuses unknown kinds by name. */
bool lt_part_parse(lt_ctx *cx, lt_tokenizer *t, int slot, const lt_json *o, const char *where, lt_part *part);
/* The parts under `key` of a sequence. */
const lt_sequence *lt_sequence_parse(lt_ctx *cx, lt_tokenizer *t, int slot, const lt_json *o, const char *key, const char *where);

/* JSON of a part: as lt_json_want_…, with the part's path in messages. */
bool lt_part_bool(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *key, bool otherwise);
const char *lt_part_text(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, const char *key, const char *otherwise,
                         size_t *size); /* kept with the tokenizer; may hold NUL bytes */
int64_t lt_part_int(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *key, int64_t min,
                    int64_t max, int64_t otherwise);

/* piece.c */
bool lt_pieces_add(lt_ctx *cx, lt_pieces *ps, const lt_piece *from, uint32_t start, uint32_t end, int32_t id); /* empty: left out */
lt_span lt_piece_span(const lt_piece *p, uint32_t start, uint32_t end); /* the original's bytes behind text[start, end) */
bool lt_tokens_add(lt_ctx *cx, lt_tokens *ts, int32_t id, uint32_t start, uint32_t end);
/* An array of `size`-byte elements that has room for `more` after the first n; moves within the scope. NULL: no memory. */
void *lt_scope_grow(lt_ctx *cx, void *p, int64_t n, int64_t more, int64_t *capacity, size_t size);

/* Writing a new text for a piece, code point by code point. `change` 0: replaces the next code point of the old text; > 0: is
 * new beside it (and comes from where the one before came from); < 0: replaces the next and swallows -change more. */
typedef struct lt_edit {
    lt_ctx *cx;
    const lt_piece *from;
    uint32_t at; /* the next byte of the old text */
    char *text;
    lt_span *align;
    int64_t size, capacity;
    bool failed;
} lt_edit;
lt_edit lt_edit_begin(lt_ctx *cx, const lt_piece *from);
void lt_edit_put(lt_edit *e, uint32_t c, int32_t change);
void lt_edit_skip(lt_edit *e, uint32_t bytes); /* old text that leaves nothing behind */
bool lt_edit_end(lt_edit *e, lt_piece *p);     /* p gets the new text */
/* What `most` is for a text of so many bytes: normalisation forms make up to 11 times as many, hostile ones any number. */
uint32_t lt_most_bytes(uint32_t size);

/* For loops over pieces, each of which may cost much where patterns are hostile: false, and an error, once the first `i` have
 * taken this thread far longer than sane ones do. */
typedef struct lt_patience {
    double wall, cpu; /* when the loop began, when this thread was first asked; {0} at first */
} lt_patience;
bool lt_patient(lt_ctx *cx, lt_patience *p, int32_t i);

/* How a delimiter is treated when text is cut at matches. */
typedef enum { LT_CUT_REMOVED, LT_CUT_ISOLATED, LT_CUT_PREVIOUS, LT_CUT_NEXT, LT_CUT_CONTIGUOUS } lt_cut_behavior;
typedef struct lt_cut { /* receives stretches from left to right, matches or not, that cover the piece */
    lt_ctx *cx;
    const lt_piece *piece;
    lt_pieces *out;
    lt_cut_behavior behavior;
    uint32_t start, end; /* the stretch held back: merging may extend it */
    bool held, before;   /* is one held; was the last stretch a match */
} lt_cut;
bool lt_cut_put(lt_cut *c, uint32_t start, uint32_t end, bool match);
bool lt_cut_end(lt_cut *c);
bool lt_cut_behavior_parse(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *otherwise,
                           lt_cut_behavior *out);

/* normalize.c, pretokenize.c: run whole parts. */
bool lt_normalize(lt_ctx *cx, const lt_part *part, lt_piece *p);
bool lt_pretokenize(lt_ctx *cx, const lt_part *part, lt_pieces *ps);

/* encode.c: a text as the tokenizer sees it; what is made for it is scoped. */
typedef struct lt_source {
    const char *text; /* well-formed */
    uint32_t size;
    bool ascii;
    const char *given; /* as it came */
    size_t given_size;
} lt_source;
bool lt_source_read(lt_ctx *cx, const char *text, size_t size, lt_source *s);

/* added.c */
bool lt_added_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *list);
bool lt_added_cut(lt_ctx *cx, const lt_tokenizer *t, const lt_pattern_set *set, const lt_piece *p, lt_pieces *out);

/* postprocess.c: room for max_tokens once the layout's own are in; and what they leave of the texts. */
bool lt_post_truncate(lt_ctx *cx, const lt_post *post, bool pair, const lt_encode_options *o, int32_t n[2]);
void lt_post_trim(const lt_tokenizer *t, lt_tokens *ts);
void lt_count_blanks(const char *text, size_t size, int32_t *before, int32_t *after); /* code points at the ends */

#endif
