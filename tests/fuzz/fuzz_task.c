/* Fuzzes metrics with texts of any bytes: the first byte says how the rest is cut into labels, tags and answers. Whatever they are, counts stay
 * consistent and scores between 0 and 1; a side compared with itself is right. For clang's -fsanitize=fuzzer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lathe/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_share(double x) { return x >= 0 && x <= 1 + 1e-12; }

static void answers(lt_ctx *cx, lt_text a, lt_text b)
{
    double exact, f1;
    if (!lt_answer_score(cx, a, &a, 1, &exact, &f1) || exact != 1 || !is_share(f1)) abort();
    if (!lt_answer_score(cx, a, (lt_text[]){b, a}, 2, &exact, &f1) || exact != 1) abort();
    if (!lt_answer_score(cx, a, &b, 1, &exact, &f1) || !is_share(exact) || !is_share(f1) || (exact == 0 && f1 > 1)) abort();
}

enum { MOST = 64 };

/* Words between blanks, NUL-terminated copies. */
static int cut(const uint8_t *data, size_t size, char room[], const char *word[])
{
    int n = 0;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        const char c = (char)data[i];
        if (c == ' ' || c == 0) {
            room[i] = 0;
            inside = false;
            continue;
        }
        room[i] = c;
        if (!inside && n < MOST) word[n++] = room + i;
        inside = true;
    }
    room[size] = 0;
    return n;
}

static void tags(lt_ctx *cx, const char *const *a, const char *const *b, int n)
{
    lt_entity_counts same = {0}, other = {0};
    if (!lt_entity_count(cx, &same, a, a, n) || !lt_entity_count(cx, &other, a, b, n)) abort();
    const lt_prf s = lt_entity_score(&same, -1), o = lt_entity_score(&other, -1);
    if ((s.support && s.f1 != 1) || same.right != n || !is_share(o.f1) || !is_share(o.precision) || !is_share(o.recall)) abort();
    lt_entity_counts_free(&same);
    lt_entity_counts_free(&other);
}

static void labels(lt_ctx *cx, const char *const *a, const char *const *b, int n)
{
    lt_label_set set = {0};
    lt_label_counts c = {0};
    for (int i = 0; i < n; i++) {
        const int32_t x = lt_label_number(cx, &set, a[i], strlen(a[i])), y = lt_label_number(cx, &set, b[i], strlen(b[i]));
        if (x < 0 || y < 0 || (x == y) != !strcmp(a[i], b[i]) || !lt_label_count(cx, &c, x, y)) abort();
    }
    if (n && (!is_share(lt_accuracy(&c)) || !is_share(lt_f1_macro(&c)) || fabs(lt_f1_micro(&c) - lt_accuracy(&c)) > 1e-12 ||
              !(fabs(lt_mcc(&c)) <= 1 + 1e-9)))
        abort();
    lt_label_set_free(&set);
    lt_label_counts_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 4096) return 0;
    const size_t half = (size - 1) * data[0] / 255;
    const uint8_t *p = data + 1, *q = p + half;
    const size_t rest = size - 1 - half;
    static char room[2][4200];
    const char *a[MOST], *b[MOST];
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (!cx) return 0;
    answers(cx, (lt_text){(const char *)p, half}, (lt_text){(const char *)q, rest});
    const int n = cut(p, half, room[0], a), m = cut(q, rest, room[1], b), k = n < m ? n : m;
    tags(cx, a, b, k);
    labels(cx, a, b, k);
    lt_ctx_free(cx);
    return 0;
}
