/* From scores to rankings: the k best with ties broken as trec_eval breaks them (document id, descending), and reciprocal-rank
 * fusion of two rankings (Cormack, Clarke & Büttcher 2009). */
#include "retrieve/index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_score(const void *a, const void *b)
{
    const lt_ranked *p = a, *q = b;
    if (p->score != q->score) return p->score < q->score ? 1 : -1;
    return strcmp(q->docid, p->docid);
}

void lt_rank_sort(lt_ranked *r, int64_t n)
{
    if (n > 1) qsort(r, (size_t)n, sizeof *r, by_score);
}

/* A heap of the k largest so far, its smallest on top. */
static void sift(double *heap, int32_t k, int32_t at)
{
    for (int32_t child; (child = 2 * at + 1) < k; at = child) {
        if (child + 1 < k && heap[child + 1] < heap[child]) child++;
        if (heap[at] <= heap[child]) return;
        double swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

/* The k-th largest score, or -INFINITY where there are no more than k. */
static double threshold(lt_ctx *cx, const double *score, int32_t n, int32_t exclude, int32_t k)
{
    double *heap = lt_alloc_array(cx, k, sizeof *heap);
    int32_t used = 0;
    if (!heap) return 0;
    for (int32_t i = 0; i < n; i++) {
        if (isnan(score[i]) || i == exclude) continue;
        if (used < k) {
            heap[used++] = score[i];
            if (used == k)
                for (int32_t at = k / 2; at-- > 0;) sift(heap, k, at);
        } else if (score[i] > heap[0]) {
            heap[0] = score[i];
            sift(heap, k, 0);
        }
    }
    return used < k ? -INFINITY : heap[0];
}

lt_ranked *lt_top(lt_ctx *cx, lt_index *x, const double *score, int32_t n, int32_t exclude, int k, int *hits)
{
    lt_scope scope = lt_open(cx, NULL);
    int32_t want = k < n ? k : n;
    double least = want ? threshold(cx, score, n, exclude, want) : 0;
    int32_t count = 0;
    *hits = 0;
    for (int32_t i = 0; i < n; i++) count += score[i] >= least && i != exclude; /* not for NAN */
    lt_ranked *r = lt_alloc_array(cx, count, sizeof *r);
    int32_t at = 0;
    for (int32_t i = 0; r && want && i < n; i++) {
        if (!(score[i] >= least) || i == exclude) continue;
        r[at] = (lt_ranked){.doc = i, .score = score[i], .docid = lt_roster_docid(cx, x, i)};
        if (!r[at++].docid) r = NULL;
    }
    if (!r) {
        lt_end(cx, scope);
        return NULL;
    }
    lt_rank_sort(r, at);
    *hits = at < want ? at : want;
    return lt_end_keep(cx, scope, r, (size_t)*hits * sizeof *r);
}

static int by_document(const void *a, const void *b)
{
    const lt_ranked *p = a, *q = b;
    return (p->doc > q->doc) - (p->doc < q->doc);
}

lt_ranked *lt_fuse(lt_ctx *cx, const lt_ranked *a, int n, const lt_ranked *b, int m, double rrf_k, int k, int *hits)
{
    lt_ranked *all = lt_alloc_array(cx, (int64_t)n + m, sizeof *all);
    *hits = 0;
    if (!all) return NULL;
    for (int i = 0; i < n + m; i++) {
        int rank = i < n ? i : i - n;
        all[i] = i < n ? a[rank] : b[rank];
        all[i].score = 1 / (rrf_k + rank + 1);
    }
    qsort(all, (size_t)n + (size_t)m, sizeof *all, by_document);
    int used = 0;
    for (int i = 0; i < n + m; i++) {
        if (used && all[used - 1].doc == all[i].doc)
            all[used - 1].score += all[i].score; /* two terms at most: any order, same sum */
        else
            all[used++] = all[i];
    }
    lt_rank_sort(all, used);
    *hits = used < k ? used : k;
    return all;
}
