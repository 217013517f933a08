/* What a JSON document is made of. Values lie in blocks that the document owns: the items of an array and the members of an object
 * side by side, texts wherever there was room. */
#ifndef LT_BASE_JSON_VALUE_H
#define LT_BASE_JSON_VALUE_H

#include "lathe/json.h"

struct lt_json {
    lt_json_type type;
    uint32_t size; /* bytes of a text, items of an array, members of an object */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *text; /* with a NUL behind it */
        const lt_json *item;
        const struct lt_json_object *object;
    };
};

typedef struct lt_json_member {
    const char *key; /* with a NUL behind it, and none in it */
    uint32_t key_size, hash;
    lt_json value;
} lt_json_member;

typedef struct lt_json_object {
    uint64_t seed; /* where hashes begin: differs from document to document, so that no file can be made whose keys collide */
    uint32_t mask; /* of slots; 0: few members, looked at one after another */
    const uint32_t *slot; /* open addressing: a member's number + 1, 0: empty */
    lt_json_member member[];
} lt_json_object;

/* The member of that key among the first n; NULL: none. */
const lt_json_member *lt_json_find(const lt_json_object *o, uint32_t n, const char *key, size_t size);

#endif
