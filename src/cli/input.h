/* Rows of the verb's files as a stream of inputs: what embed, forward, rank, tokenize, eval and bench read. */
#ifndef LT_CLI_INPUT_H
#define LT_CLI_INPUT_H

#include "cli/cli.h"

#include <pthread.h>
#include <stdatomic.h>

typedef enum {
    LT_FEED_TEXT,  /* the text column */
    LT_FEED_PAIR,  /* text and text_pair, together; lines: separated by a tab */
    LT_FEED_BOTH,  /* text, then text_pair, as two inputs */
    LT_FEED_MAYBE, /* text, and text_pair where the row has one */
    LT_FEED_LINES, /* whole lines, whatever the file's ending */
} lt_feed_mode;

typedef struct lt_feed {
    lt_cli *cli;
    lt_rows *rows;
    lt_row row;
    lt_feed_mode mode;
    bool keyboard;  /* lines are typed: each is answered at once */
    bool ids;       /* --ids, or the rows have no text but ids */
    bool second;    /* LT_FEED_BOTH: the row's text_pair comes next, */
    lt_input other; /* … which is this */
    int32_t *id;    /* owned copy of the row's ids */
    int32_t id_room;
    bool by_bytes; /* progress is told in bytes */
    atomic_llong bytes, inputs; /* read so far, told by the reading thread */
    const char *query;          /* not NULL: the text in front, and the row's text is its pair */
    bool keep;                  /* texts wait for lt_feed_take, in input order */
    pthread_mutex_t lock;       /* of what follows */
    struct lt_kept {
        char *text;
        size_t size;
        struct lt_kept *next;
    } * first, *last;
    /* Called with each row on the reading thread, before its inputs are handed out; NULL: nothing. */
    bool (*each)(void *arg, lt_ctx *cx, const lt_row *row);
    void *arg;
} lt_feed;

/* `files`, n of them (0: standard input), read as --ids and --columns say. Close it even if this fails. */
bool lt_feed_open(lt_feed *f, lt_cli *cli, const char *const *files, int n, lt_feed_mode mode);
bool lt_feed_next(void *feed, lt_ctx *cx, lt_input *in);
char *lt_feed_take(lt_feed *f, size_t *size); /* the text of the earliest input not yet taken: free it; NULL: it had none */
void lt_feed_close(lt_feed *f);

/* The ids of a JSON array, scoped; `name` stands in messages. */
const int32_t *lt_ids_of(lt_ctx *cx, const lt_json *list, const char *name, int32_t *n);

/* The next row, counted, in f->row: for those who take columns themselves. */
bool lt_feed_row(lt_feed *f, lt_ctx *cx);

/* Around whatever streams a feed's rows: progress, and answers at once where inputs may be long in coming (which `run` is told). */
void lt_feed_begin(lt_feed *f, const char *what, lt_run_options *run);
bool lt_feed_told(lt_feed *f, int64_t results, bool pause); /* after the result of so many inputs; false: an error */
void lt_feed_end(lt_feed *f, const lt_stream_stats *stats /* or NULL */);

/* lt_stream over a feed, with progress. */
bool lt_feed_stream(lt_feed *f, const char *what, const lt_model *m, lt_output output, const lt_run_options *run, lt_sink_fn *sink,
                    void *arg, lt_stream_stats *stats);

#endif
