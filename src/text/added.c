/* Added tokens: texts with ids of their own, cut out of the input before the model sees it; some in the text as it came, some in
 * the normalised one, some only as whole words or together with the blanks beside them. The leftmost, then longest text wins. */
#include <inttypes.h>
#include <stdlib.h>

#include "text/kinds.h"
#include "text/unicode.h"

enum { MOST_BYTES = 1000 }; /* of a token's text: what bounds the time that looking for them takes */

/* ---- reading ---- */

/* As the reference does, a token that the vocabulary does not have gets the next free id, whatever the file says. */
static int32_t id_of(const lt_tokenizer *t, const lt_added_token *a, int64_t *highest)
{
    int32_t known = lt_vocab_find(&t->vocab, a->text, a->size);
    int64_t id = known >= 0 ? known : *highest >= t->vocab.n || !t->vocab.n ? *highest + 1 : t->vocab.n;
    if (id > *highest) *highest = id;
    return (int32_t)id;
}

static bool read_token(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, lt_added_token *a)
{
    size_t size;
    if (lt_json_is(o) != LT_JSON_OBJECT) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s: expected an object", t->file, where);
    a->text = lt_part_text(cx, t, o, where, "content", "", &size);
    a->size = (uint32_t)size;
    a->single_word = lt_part_bool(cx, t, o, where, "single_word", false);
    a->lstrip = lt_part_bool(cx, t, o, where, "lstrip", false);
    a->rstrip = lt_part_bool(cx, t, o, where, "rstrip", false);
    a->special = lt_part_bool(cx, t, o, where, "special", false);
    a->normalized = lt_part_bool(cx, t, o, where, "normalized", !a->special);
    lt_part_int(cx, t, o, where, "id", 0, UINT32_MAX, 0);
    if (!lt_ok(cx)) return false;
    return lt_fail_if(cx, size > MOST_BYTES, LT_ERR_INPUT, "%s: %s.content: %zu bytes, expected at most %d", t->file, where, size,
                      MOST_BYTES);
}

/* The last of several with one text gives the options, the first special one whether it is special. */
static bool add_token(lt_ctx *cx, lt_tokenizer *t, lt_added_token *a, int64_t *highest)
{
    if (!a->size) return true;
    int32_t known = lt_vocab_find(&t->added_vocab, a->text, a->size);
    if (known >= 0) {
        a->id = t->added[known].id;
        a->special |= t->added[known].special;
        t->added[known] = *a;
        return true;
    }
    a->id = id_of(t, a, highest);
    if (!lt_vocab_add(cx, &t->added_vocab, a->text, a->size, t->added_count)) return false;
    t->added[t->added_count++] = *a;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct lt_added_match *x = a, *y = b;
    uint32_t n = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->text, y->text, n);
    if (!order) order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->token > y->token) - (x->token < y->token);
}

/* The texts to look for: special tokens first, so that they win over others with the same (normalised) text. */
static bool make_set(lt_ctx *cx, lt_tokenizer *t, bool normalized, lt_pattern_set *set)
{
    set->at = lt_keep(cx, t, (size_t)t->added_count * sizeof *set->at, NULL);
    if (!set->at) return false;
    lt_patience patience = {0};
    for (int32_t i = 0; i < t->added_count && lt_patient(cx, &patience, i); i++) {
        const lt_added_token *a = &t->added[i];
        if (a->normalized != normalized) continue;
        lt_piece p = {.text = a->text, .size = a->size, .id = -1, .most = lt_most_bytes(a->size)};
        lt_scope scope = lt_open(cx, t->file);
        char *copy = NULL;
        if (!normalized || lt_normalize(cx, &t->normalizer, &p)) copy = lt_keep(cx, t, (size_t)p.size + 1, NULL);
        if (copy) memcpy(copy, p.text, p.size);
        lt_end(cx, scope);
        if (!copy) return false;
        if (!p.size)
            return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: added_tokens: nothing is left of \"%s\" once normalised", t->file,
                              a->text);
        set->first[(uint8_t)copy[0]] = 1;
        set->at[set->n++] = (struct lt_added_match){copy, p.size, a->special ? i : i + t->added_count};
    }
    qsort(set->at, (size_t)set->n, sizeof *set->at, compare);
    for (int32_t i = 0; i < set->n; i++)
        if (set->at[i].token >= t->added_count) set->at[i].token -= t->added_count;
    return lt_ok(cx);
}

bool lt_added_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *list)
{
    int64_t n = lt_json_size(list), highest = -1;
    if (lt_json_is(list) != LT_JSON_ARRAY && lt_json_is(list) != LT_JSON_NULL)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: added_tokens: expected an array", t->file);
    t->added = lt_keep(cx, t, (size_t)n * sizeof *t->added, NULL);
    if (!t->added) return false;
    for (int64_t i = 0; i < n; i++) {
        lt_scope scope = lt_open(cx, NULL);
        const char *where = lt_sprintf(cx, "added_tokens[%" PRId64 "]", i);
        lt_added_token a = {0};
        bool ok = where && read_token(cx, t, lt_json_at(list, i), where, &a);
        lt_end(cx, scope);
        if (!ok || !add_token(cx, t, &a, &highest)) return false;
    }
    t->ids = highest >= t->vocab.ids ? (int32_t)highest + 1 : t->vocab.ids;
    int32_t *of_id = lt_keep(cx, t, (size_t)t->ids * sizeof *of_id, NULL);
    if (!of_id) return false;
    for (int32_t i = 0; i < t->ids; i++) of_id[i] = -1;
    for (int32_t i = 0; i < t->added_count; i++) of_id[t->added[i].id] = i;
    t->added_of_id = of_id;
    return make_set(cx, t, false, &t->raw) && make_set(cx, t, true, &t->normalized);
}

/* ---- looking for them ---- */

/* The longest text that stands at p->text + at; NULL: none. Narrows the sorted texts byte by byte. */
static const struct lt_added_match *match_at(const lt_pattern_set *set, const lt_piece *p, uint32_t at)
{
    const struct lt_added_match *found = NULL;
    int32_t low = 0, high = set->n;
    for (uint32_t depth = 0; low < high; depth++) {
        if (set->at[low].size == depth) { /* the shortest come first; of equal ones the first counts */
            found = &set->at[low];
            while (low < high && set->at[low].size == depth) low++;
        }
        if (at + depth >= p->size || low == high) break;
        uint8_t byte = (uint8_t)p->text[at + depth];
        int32_t a = low, b = high;
        while (a < b) { /* the first whose byte is not below */
            int32_t m = a + (b - a) / 2;
            if ((uint8_t)set->at[m].text[depth] < byte)
                a = m + 1;
            else
                b = m;
        }
        low = a;
        b = high;
        while (a < b) { /* the first whose byte is above */
            int32_t m = a + (b - a) / 2;
            if ((uint8_t)set->at[m].text[depth] <= byte)
                a = m + 1;
            else
                b = m;
        }
        high = a;
    }
    return found;
}

/* The class of the code point that ends before `at`; sets *start to where it begins. */
static uint8_t class_before(const lt_piece *p, uint32_t at, uint32_t *start)
{
    uint32_t i = at - 1, c;
    while (i > 0 && ((uint8_t)p->text[i] & 0xC0) == 0x80) i--;
    lt_utf8_next(p->text + i, p->text + p->size, &c);
    *start = i;
    return lt_char_class(c);
}

static uint8_t class_after(const lt_piece *p, uint32_t at, uint32_t *end)
{
    uint32_t c;
    *end = at + (uint32_t)lt_utf8_next(p->text + at, p->text + p->size, &c);
    return lt_char_class(c);
}

static bool is_single_word(const lt_piece *p, uint32_t start, uint32_t end)
{
    uint32_t unused;
    return (start == 0 || !(class_before(p, start, &unused) & LT_CHAR_WORD)) &&
           (end == p->size || !(class_after(p, end, &unused) & LT_CHAR_WORD));
}

bool lt_added_cut(lt_ctx *cx, const lt_tokenizer *t, const lt_pattern_set *set, const lt_piece *p, lt_pieces *out)
{
    uint32_t done = 0, at = 0, next;
    while (set->n && at < p->size) {
        const struct lt_added_match *m = set->first[(uint8_t)p->text[at]] ? match_at(set, p, at) : NULL;
        if (!m) {
            at++;
            continue;
        }
        const lt_added_token *a = &t->added[m->token];
        uint32_t start = at, end = at + m->size;
        at = end;
        if (a->single_word && !is_single_word(p, start, end)) continue;
        if (a->lstrip && start < done) start = done; /* blanks that the one before took */
        while (a->lstrip && start > done && class_before(p, start, &next) & LT_CHAR_SPACE) start = next;
        while (a->rstrip && end < p->size && class_after(p, end, &next) & LT_CHAR_SPACE) end = next;
        if (done < start && !lt_pieces_add(cx, out, p, done, start, -1)) return false;
        if (!lt_pieces_add(cx, out, p, start, end, a->id)) return false;
        done = end;
    }
    return done >= p->size || lt_pieces_add(cx, out, p, done, p->size, -1);
}
