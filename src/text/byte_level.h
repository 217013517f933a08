/* GPT-2's byte level: each byte as a printable code point, and back. See byte_level.c. */
#ifndef LT_TEXT_BYTE_LEVEL_H
#define LT_TEXT_BYTE_LEVEL_H

#include <stdint.h>

uint32_t lt_byte_char(uint8_t byte);
int lt_byte_of(uint32_t c); /* -1: stands for none */

#endif
