/* The memory of softmax attention: keys and values of all rows seen so far. */
#ifndef LT_NN_KV_H
#define LT_NN_KV_H

#include "lathe/nn.h"

/* Appends the new rows k, v [tokens, width] of the batch's sequences to their slots, and gives back all rows of those slots, packed in
 * batch order, with their lengths. Scoped. */
bool lt_kv_extend(lt_ctx *cx, lt_memory *mem, const lt_seqs *s, lt_tensor **k, lt_tensor **v, lt_seqs **all);

#endif
