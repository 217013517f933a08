/* Unicode normalisation forms of a piece. See normal_form.c. */
#ifndef LT_TEXT_NORMAL_FORM_H
#define LT_TEXT_NORMAL_FORM_H

#include "text/tokenizer.h"

typedef enum { LT_NFD, LT_NFKD, LT_NFC, LT_NFKC } lt_normal;
bool lt_normal_form(lt_ctx *cx, lt_piece *p, lt_normal form);

#endif
