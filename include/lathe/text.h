/* From raw text to token ids and back, and from files to rows.
 *
 * Text is UTF-8; ill-formed bytes count as U+FFFD, one per maximal subpart. A tokenizer is immutable once opened: any number of
 * threads may use it, each with its own context. */
#ifndef LATHE_TEXT_H
#define LATHE_TEXT_H

#include "lathe/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tokenizers ------------------------------------------------------------------------------------------------ */

typedef struct lt_tokenizer lt_tokenizer;

/* From a model directory (tokenizer.json; else vocab.txt with tokenizer_config.json's do_lower_case …; else vocab.json +
 * merges.txt), or from one such file. Parts that are not known are refused by name. */
lt_tokenizer *lt_tokenizer_open(lt_ctx *cx, const char *path);
void lt_tokenizer_free(lt_tokenizer *t); /* NULL is fine */

typedef struct lt_tokenizer_info {
    const char *kind;      /* "wordpiece", "bpe" */
    const char *file;      /* where it was read from */
    int32_t vocab;         /* entries, added tokens included */
    int32_t cls, sep, mask, pad, unk, bos, eos; /* ids; -1: none */
    int32_t model_max_length; /* tokenizer_config.json; 0: not said */
} lt_tokenizer_info;
const lt_tokenizer_info *lt_tokenizer_about(const lt_tokenizer *t);
const char *lt_token_text(const lt_tokenizer *t, int32_t id);  /* NULL: no such id */
int32_t lt_token_id(const lt_tokenizer *t, const char *token); /* -1: no such token */

typedef struct lt_encode_options {
    bool no_special;     /* leave out what the post-processor adds */
    int32_t max_tokens;  /* truncate to this many, special tokens included (longest first for pairs); 0: never */
    bool byte_offsets;   /* offsets count bytes, not code points */
} lt_encode_options;

typedef struct lt_encoding { /* scoped memory */
    int32_t n;
    int32_t *ids;
    int32_t *types;        /* token type ids */
    int32_t (*offsets)[2]; /* [start, end) in the original text (of the pair for the second); 0, 0 for added special tokens */
    uint8_t *special;      /* 1: put there by the post-processor */
    uint8_t *part;         /* of which text: 1 or, of a pair, 2; 0: put there by the post-processor */
    int32_t special_count; /* how many such */
    int32_t left_out;      /* tokens lost to truncation */
} lt_encoding;
/* pair NULL: one text. The same result as Hugging Face tokenizers' encode with padding off. */
lt_encoding *lt_encode(lt_ctx *cx, const lt_tokenizer *t, const char *text, size_t size, const char *pair, size_t pair_size,
                       const lt_encode_options *options);
/* ids → text, as Hugging Face tokenizers' decode. Unknown ids are an error that names the id. */
bool lt_decode(lt_ctx *cx, const lt_tokenizer *t, const int32_t *ids, int32_t n, bool skip_special, lt_str *out);
/* The kinds of parts this build knows, for `lathe list`: models, normalizers, pre-tokenizers, post-processors, decoders; trainers. */
const lt_kind *const *lt_text_kinds(int *n);

/* How rows of files are written (see lt_rows_open). */
typedef enum { LT_ROWS_AUTO, LT_ROWS_LINES, LT_ROWS_JSONL, LT_ROWS_CSV, LT_ROWS_TSV, LT_ROWS_CONLL, LT_ROWS_FORMATS } lt_rows_format;
lt_rows_format lt_rows_format_named(const char *name); /* "auto", "lines", …; LT_ROWS_FORMATS: not known */

/* ---- training tokenizers --------------------------------------------------------------------------------------- */

typedef struct lt_tokenizer_train_options {
    const char *kind;             /* "wordpiece": BERT's, "bpe": GPT-2's */
    const char *const *files;     /* rows with a column "text"; none: standard input */
    int n_files;
    const char *columns;          /* as in lt_rows_options */
    lt_rows_format format;
    const char *out;              /* a folder: gets tokenizer.json and tokenizer_config.json */
    int32_t vocab_size;           /* exactly so many entries, special ones and alphabet included */
    int64_t min_frequency;        /* a rarer pair is not merged */
    int32_t limit_alphabet;       /* wordpiece: the most letters; 0: 1000, or what half of the vocabulary holds if they do not fit */
    bool cased;                   /* wordpiece: neither lower case nor accents stripped */
    const char *const *special;   /* further special tokens, behind the usual ones */
    int n_special;
} lt_tokenizer_train_options;
typedef struct lt_tokenizer_train_result {
    int64_t rows, words;          /* words: different ones */
    int32_t vocab, special, alphabet, merged; /* entries, and what they are */
} lt_tokenizer_train_result;
/* The vocabulary is that of Hugging Face tokenizers' BpeTrainer and WordPieceTrainer, and the files the same with any number of threads. */
bool lt_tokenizer_train(lt_ctx *cx, const lt_tokenizer_train_options *options, lt_tokenizer_train_result *result);

/* ---- rows of files --------------------------------------------------------------------------------------------- */

/* Reads files row by row in bounded memory: one text per line, or by the ending .jsonl (also .ndjson; an object a line), .json
 * (one array of objects), .tsv, .csv (RFC 4180, a header names the columns), .conll, .conllu (a token a line, an empty line behind a sentence: columns
 * "words" and "tags"), any of them .gz or .zst; "-" is standard input. */
typedef struct lt_rows lt_rows;
typedef struct lt_rows_options {
    lt_rows_format format;
    const char *columns; /* "text=sentence,label=class": our name = the file's; numbers count columns from 1 in .csv and .tsv without a header; NULL: none renamed */
    bool ids;            /* each line is a JSON array of token ids: the row has one value named "ids" */
    size_t max_line;     /* bytes; a longer line is an error; 0: 64 MiB */
} lt_rows_options;
typedef struct lt_row { /* valid until the next call on the same rows */
    const char *file;
    int64_t line;        /* where the row begins, from 1 */
    int64_t index;       /* rows before it, over all files */
    void *impl;
} lt_row;
lt_rows *lt_rows_open(lt_ctx *cx, const char *const *files, int n, const lt_rows_options *options); /* n 0: standard input */
bool lt_rows_next(lt_ctx *cx, lt_rows *rows, lt_row *row); /* false at the end or on error (lt_ok tells which) */
void lt_rows_close(lt_rows *rows);
/* The row at hand as one of its own: it stays as it is while the rows go on, until they are closed, and any thread may read it, one at a time. */
bool lt_row_keep(lt_ctx *cx, lt_row *row);
bool lt_row_is_line(const lt_row *row);  /* of a plain file: a text and nothing else */
void lt_row_release(lt_row *row); /* of a kept one, before the rows are closed */
int64_t lt_rows_bytes_total(const lt_rows *rows); /* of all files as stored; 0: unknown (pipes) */
int64_t lt_rows_bytes_done(const lt_rows *rows);  /* … read so far: progress */
/* A column as text: NULL when the row has none, or its value is null. Numbers and booleans give their JSON text. */
const char *lt_row_text(const lt_row *row, const char *column, size_t *size);
const char *lt_row_want_text(lt_ctx *cx, const lt_row *row, const char *column, size_t *size); /* absent: error naming file, line, columns there are */
const lt_json *lt_row_json(const lt_row *row, const char *column); /* JSONL only; else NULL */
/* The ids column (or the line under `ids`): checked integers; NULL when absent (no error) or wrong (error). Scoped memory. */
const int32_t *lt_row_ids(lt_ctx *cx, const lt_row *row, const char *column, int32_t *n);

#ifdef __cplusplus
}
#endif
#endif
