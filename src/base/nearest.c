/* "Did you mean …": the known word nearest to a mistyped one, by the edit distance that also counts a swap of neighbours as
 * one slip (Damerau, "A technique for computer detection and correction of spelling errors", CACM 1964). */
#include "lathe/base.h"

#include <string.h>

enum { LONGEST = 64 };

static int smaller(int a, int b) { return a < b ? a : b; }

/* Both words at most LONGEST bytes. Three rows of the table suffice: a swap looks back two. */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int row[3][LONGEST + 1];
    for (int j = 0; j <= nb; j++) row[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int d = smaller(up[j], now[j - 1]) + 1;
            d = smaller(d, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d = smaller(d, up2[j - 2] + 1);
            now[j] = d;
        }
    }
    return row[na % 3][nb];
}

/* Smaller is nearer; -1: not near. Edits count double, so that an unfinished word (odd) ranks between them. */
static int farness(const char *word, const char *known)
{
    size_t nw = strlen(word), nk = strlen(known);
    if (nw < 1 || nw > LONGEST || nk > LONGEST) return -1;
    int limit = smaller((int)nw / 3, 100);
    if (limit < 1) limit = 1;
    int d = edit_distance(word, (int)nw, known, (int)nk), far = d <= limit && d < (int)nw ? 2 * d : -1;
    bool unfinished = nw < nk && !strncmp(word, known, nw), overdone = nk >= 3 && nk < nw && !strncmp(word, known, nk);
    int prefix = unfinished ? (nw >= 3 ? 1 : 2 * limit + 1) : overdone ? 2 * limit + 1 : -1;
    return prefix < 0 || (far >= 0 && far < prefix) ? far : prefix;
}

const char *lt_nearest(const char *word, const char *const *words, int n)
{
    const char *best = NULL;
    int best_far = 0;
    for (int i = 0; i < n; i++) {
        int far = farness(word, words[i]);
        if (far < 0 || (best && far >= best_far)) continue;
        best = words[i];
        best_far = far;
    }
    return best;
}
