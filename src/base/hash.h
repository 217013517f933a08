/* Hashing for tables in memory: FNV-1a (Fowler, Noll and Vo) with a last mix, for the bits that a table's mask takes. It can be
 * computed byte by byte, so that all beginnings of a word cost one walk over it. */
#ifndef LT_BASE_HASH_H
#define LT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { LT_HASH_BEGIN = 0x2F0B4A17 };
static inline uint64_t lt_hash_step(uint64_t h, uint8_t byte) { return (h ^ byte) * 0x100000001B3u; }
static inline uint32_t lt_hash_end(uint64_t h) { return (uint32_t)((h ^ h >> 29) * 0x9E3779B97F4A7C15u >> 32); }

/* From another beginning than LT_HASH_BEGIN other texts collide. */
static inline uint32_t lt_hash_from(uint64_t begin, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) begin = lt_hash_step(begin, (uint8_t)text[i]);
    return lt_hash_end(begin);
}

static inline uint32_t lt_hash(const char *text, size_t size) { return lt_hash_from(LT_HASH_BEGIN, text, size); }

#endif
