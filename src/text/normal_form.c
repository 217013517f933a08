/* Unicode normalisation forms with alignments (UAX #15): decompose, order marks by combining class, compose. Which origin a code
 * point gets when marks change places follows the reference: the k-th one that replaces something replaces the k-th old one. */
#include "text/normal_form.h"

#include <stdlib.h>
#include <string.h>

#include "text/kinds.h"
#include "text/unicode.h"

typedef struct {
    uint32_t c;
    uint8_t class;  /* canonical combining class */
    int32_t change; /* as lt_edit_put wants it */
} item;
typedef struct {
    item *at;
    int64_t n, capacity;
} items;

static bool decompose(lt_ctx *cx, const lt_piece *p, bool compatible, items *out)
{
    const char *end = p->text + p->size;
    uint32_t c, part[LT_DECOMPOSED];
    for (const char *s = p->text; s < end;) {
        s += lt_utf8_next(s, end, &c);
        int n = lt_char_decompose(c, compatible, part);
        out->at = lt_scope_grow(cx, out->at, out->n, n, &out->capacity, sizeof *out->at);
        if (!out->at) return false;
        for (int i = 0; i < n; i++) out->at[out->n++] = (item){part[i], (uint8_t)lt_char_combining_class(part[i]), i > 0};
    }
    return true;
}

/* Stable, by class: insertion for the few marks that texts have, counting for the many that attacks have. */
static bool sort_run(lt_ctx *cx, item *run, int64_t n)
{
    if (n <= 16) {
        for (int64_t i = 1; i < n; i++) {
            item x = run[i];
            int64_t k = i;
            for (; k > 0 && run[k - 1].class > x.class; k--) run[k] = run[k - 1];
            run[k] = x;
        }
        return true;
    }
    int64_t place[257] = {0};
    item *copy = lt_alloc_array(cx, n, sizeof *copy);
    if (!copy) return false;
    memcpy(copy, run, (size_t)n * sizeof *run);
    for (int64_t i = 0; i < n; i++) place[copy[i].class + 1]++;
    for (int i = 0; i < 256; i++) place[i + 1] += place[i];
    for (int64_t i = 0; i < n; i++) run[place[copy[i].class]++] = copy[i];
    return true;
}

static bool order(lt_ctx *cx, items *x)
{
    for (int64_t i = 0; i < x->n;) {
        if (!x->at[i].class) {
            i++;
            continue;
        }
        int64_t start = i;
        while (i < x->n && x->at[i].class) i++;
        if (!sort_run(cx, x->at + start, i - start)) return false;
    }
    return true;
}

/* Above U+1B35 no starter is the second half of a pair until U+11000. */
static uint32_t compose_pair(const item *a, const item *b)
{
    return !b->class && b->c > 0x1B35 && b->c < 0x11000 ? 0 : lt_char_compose(a->c, b->c);
}

/* Composes in place. A starter waits at `starter` for what may join it; marks that do not join lie right behind it. */
static void compose(items *x)
{
    int64_t out = 0, starter = -1;
    for (int64_t i = 0; i < x->n; i++) {
        item b = x->at[i];
        if (starter >= 0) {
            bool marks = out > starter + 1;
            uint8_t last = marks ? x->at[out - 1].class : 0;
            uint32_t joined = !marks || last < b.class ? compose_pair(&x->at[starter], &b) : 0;
            if (joined) {
                x->at[starter].c = joined;
                x->at[starter].change += b.change - 1;
                continue;
            }
        }
        if (!b.class) starter = out;
        x->at[out++] = b;
    }
    x->n = out;
}

bool lt_normal_form(lt_ctx *cx, lt_piece *p, lt_normal form)
{
    bool compatible = form == LT_NFKD || form == LT_NFKC, composed = form == LT_NFC || form == LT_NFKC;
    uint8_t high = 0;
    for (uint32_t i = 0; i < p->size; i++) high |= (uint8_t)p->text[i];
    if (high < 0x80) return true; /* ASCII is in all forms */
    items x = {0};
    if (!decompose(cx, p, compatible, &x) || !order(cx, &x)) return false;
    if (composed) compose(&x);
    lt_edit e = lt_edit_begin(cx, p);
    for (int64_t i = 0; i < x.n && !e.failed; i++) lt_edit_put(&e, x.at[i].c, x.at[i].change);
    return lt_edit_end(&e, p);
}

static bool nfd(lt_ctx *cx, const void *self, lt_piece *p) { return lt_normal_form(cx, p, LT_NFD); }
static bool nfkd(lt_ctx *cx, const void *self, lt_piece *p) { return lt_normal_form(cx, p, LT_NFKD); }
static bool nfc(lt_ctx *cx, const void *self, lt_piece *p) { return lt_normal_form(cx, p, LT_NFC); }
static bool nfkc(lt_ctx *cx, const void *self, lt_piece *p) { return lt_normal_form(cx, p, LT_NFKC); }

const lt_part_kind lt_normalizer_nfd = {
    .is = {"normalizer", "NFD", "canonical decomposition", "UAX #15"}, .parse = lt_part_plain, .normalize = nfd};
const lt_part_kind lt_normalizer_nfkd = {
    .is = {"normalizer", "NFKD", "compatibility decomposition", "UAX #15"}, .parse = lt_part_plain, .normalize = nfkd};
const lt_part_kind lt_normalizer_nfc = {
    .is = {"normalizer", "NFC", "canonical composition", "UAX #15"}, .parse = lt_part_plain, .normalize = nfc};
const lt_part_kind lt_normalizer_nfkc = {
    .is = {"normalizer", "NFKC", "compatibility composition", "UAX #15"}, .parse = lt_part_plain, .normalize = nfkc};
