/* Rows as what tasks read: a text, words, or a question with its context. */
#ifndef LT_CLI_ROWED_H
#define LT_CLI_ROWED_H

#include "cli/input.h"
#include "lathe/task.h"

typedef struct lt_rowed {
    lt_feed feed;
    lt_json *root; /* owned: of a line that is JSON itself */
    lt_text *word; /* owned */
    int64_t room;
    int32_t *id; /* owned */
} lt_rowed;

/* For lt_tag_all and its like: the row's column, or the whole line where files have no columns. */
bool lt_rowed_text(void *rowed, lt_ctx *cx, lt_task_input *in);
bool lt_rowed_words(void *rowed, lt_ctx *cx,
                    lt_task_input *in); /* the words column; a line of JSON: an array of them, or an object with such */
bool lt_rowed_ids(void *rowed, lt_ctx *cx, lt_task_input *in); /* of --ids */
bool lt_rowed_question(void *rowed, lt_ctx *cx,
                       lt_task_input *in); /* question and context; a line: a JSON object, or the two with a tab between */
void lt_rowed_close(lt_rowed *r);          /* and its feed */

#endif
