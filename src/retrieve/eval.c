/* trec_eval's measures (NIST), value for value as version 9 computes them: documents by score, ties by id descending, the
 * rank column not looked at; a document is relevant from grade 1 on; nDCG's gain is the grade, its discount log2(1 + rank)
 * (Järvelin & Kekäläinen 2002); bpref after Buckley & Voorhees 2004. */
#include "lathe/retrieve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retrieve/trec.h"

enum { NOT_JUDGED = -1, NOT_POOLED = -2 }; /* instead of a grade: no judgement; a negative one */
enum { CUTS = 9, POINTS = 11, SUCCESSES = 3 };
static const int cuts[CUTS] = {5, 10, 15, 20, 30, 100, 200, 500, 1000}, success_cuts[SUCCESSES] = {1, 5, 10};
static const double LEAST_AP = 1e-5; /* what gm_map counts for zero */

#define NAMES_OF_CUTS(m) m "_5", m "_10", m "_15", m "_20", m "_30", m "_100", m "_200", m "_500", m "_1000"
static const char *const names[] = {"num_q",
                                    "num_ret",
                                    "num_rel",
                                    "num_rel_ret",
                                    "map",
                                    "gm_map",
                                    "Rprec",
                                    "bpref",
                                    "recip_rank",
                                    "iprec_at_recall_0.00",
                                    "iprec_at_recall_0.10",
                                    "iprec_at_recall_0.20",
                                    "iprec_at_recall_0.30",
                                    "iprec_at_recall_0.40",
                                    "iprec_at_recall_0.50",
                                    "iprec_at_recall_0.60",
                                    "iprec_at_recall_0.70",
                                    "iprec_at_recall_0.80",
                                    "iprec_at_recall_0.90",
                                    "iprec_at_recall_1.00",
                                    NAMES_OF_CUTS("P"),
                                    NAMES_OF_CUTS("recall"),
                                    "11pt_avg",
                                    "ndcg",
                                    NAMES_OF_CUTS("ndcg_cut"),
                                    NAMES_OF_CUTS("map_cut"),
                                    "success_1",
                                    "success_5",
                                    "success_10"};
enum {
    NUM_Q,
    NUM_RET,
    NUM_REL,
    NUM_REL_RET,
    MAP,
    GM_MAP,
    RPREC,
    BPREF,
    RECIP_RANK,
    IPREC,
    P = IPREC + POINTS,
    RECALL = P + CUTS,
    PT11 = RECALL + CUTS,
    NDCG,
    NDCG_CUT,
    MAP_CUT = NDCG_CUT + CUTS,
    SUCCESS = MAP_CUT + CUTS,
    METRICS = SUCCESS + SUCCESSES
};
_Static_assert(sizeof names / sizeof *names == METRICS, "each metric has its name");

typedef struct ranking {  /* of one query */
    const int64_t *grade; /* [n], in rank order */
    int64_t n;
    const int64_t *ideal;                 /* [judged], all grades, descending */
    int64_t judged, relevant, irrelevant; /* how many are at least 1; exactly 0 */
} ranking;

/* ---- measures ---------------------------------------------------------------------------------------------------- */

static double gain(int64_t grade, int64_t rank0) { return grade > 0 ? (double)grade / log2((double)(rank0 + 2)) : 0; }

/* All that one pass down the ranking gives. Below a ranking's end, cut values stay what they are there. */
static void measure_cuts(const ranking *r, double *m)
{
    double precisions = 0, dcg = 0, ideal = 0;
    int64_t hits = 0, i = 0, irrelevant = 0, deepest = r->n > r->judged ? r->n : r->judged;
    int cut = 0, success = 0;
    for (;; i++) {
        for (; success < SUCCESSES && (i == success_cuts[success] || i >= deepest); success++) m[SUCCESS + success] = hits > 0;
        for (; cut < CUTS && (i == cuts[cut] || i >= deepest); cut++) {
            m[P + cut] = (double)hits / cuts[cut];
            m[RECALL + cut] = r->relevant ? (double)hits / (double)r->relevant : 0;
            m[NDCG_CUT + cut] = ideal > 0 ? dcg / ideal : 0;
            m[MAP_CUT + cut] = r->relevant ? precisions / (double)r->relevant : 0;
        }
        if (i >= deepest) break;
        if (i < r->judged) ideal += gain(r->ideal[i], i);
        if (i >= r->n) continue;
        dcg += gain(r->grade[i], i);
        irrelevant += r->grade[i] == 0;
        if (r->grade[i] < 1) continue;
        if (!hits++) m[RECIP_RANK] = 1 / (double)(i + 1);
        precisions += (double)hits / (double)(i + 1);
        if (i < r->relevant) m[RPREC] += 1;
        int64_t above = irrelevant < r->relevant ? irrelevant : r->relevant,
                most = r->irrelevant < r->relevant ? r->irrelevant : r->relevant;
        m[BPREF] += above ? 1 - (double)above / (double)most : 1;
    }
    m[NUM_REL_RET] = (double)hits;
    m[NDCG] = ideal > 0 ? dcg / ideal : 0;
    if (!r->relevant) return;
    m[MAP] = precisions / (double)r->relevant;
    m[RPREC] /= (double)r->relevant;
    m[BPREF] /= (double)r->relevant;
}

/* Precision at recall points, interpolated: the best at that recall or beyond. */
static void measure_points(const ranking *r, double *m)
{
    int64_t hits = (int64_t)m[NUM_REL_RET], need[POINTS];
    int point = POINTS - 1;
    double best = 0;
    for (int i = 0; i < POINTS; i++) need[i] = (int64_t)(i / 10.0 * (double)r->relevant + 0.9);
    while (point >= 0 && need[point] > hits) point--;
    for (int64_t i = r->n; i > 0 && hits > 0; i--) {
        double precision = (double)hits / (double)i;
        if (precision > best) best = precision;
        if (r->grade[i - 1] < 1) continue;
        for (; point >= 0 && need[point] == hits; point--) m[IPREC + point] = best;
        hits--;
    }
    for (; point >= 0; point--) m[IPREC + point] = best;
    for (int i = 0; i < POINTS; i++) m[PT11] += m[IPREC + i] / POINTS;
}

static void measure(const ranking *r, double *m)
{
    memset(m, 0, METRICS * sizeof *m);
    m[NUM_Q] = 1;
    m[NUM_RET] = (double)r->n;
    m[NUM_REL] = (double)r->relevant;
    measure_cuts(r, m);
    measure_points(r, m);
    m[GM_MAP] = log(m[MAP] > LEAST_AP ? m[MAP] : LEAST_AP);
}

/* ---- rankings from lines ----------------------------------------------------------------------------------------- */

struct place {
    float score;
    const char *document;
    int64_t grade;
};

static int by_score(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    if (p->score != q->score) return p->score < q->score ? 1 : -1;
    return strcmp(q->document, p->document);
}

static int descending(const void *a, const void *b)
{
    int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return (p < q) - (p > q);
}

/* The documents of a query, both lists sorted by name, into a ranking; scoped. */
static bool make_ranking(lt_ctx *cx, const lt_trec_line *run, int64_t n, const lt_trec_line *qrels, int64_t judged, ranking *r)
{
    struct place *place = lt_alloc_array(cx, n, sizeof *place);
    int64_t *grade = lt_alloc_array(cx, n, sizeof *grade), *ideal = lt_alloc_array(cx, judged, sizeof *ideal);
    if (!place || !grade || !ideal) return false;
    *r = (ranking){.grade = grade, .n = n, .ideal = ideal, .judged = judged};
    for (int64_t i = 0; i < judged; i++) {
        ideal[i] = qrels[i].grade;
        r->relevant += ideal[i] > 0;
        r->irrelevant += ideal[i] == 0;
    }
    for (int64_t i = 0, j = 0; i < n; i++) {
        while (j < judged && strcmp(qrels[j].document, run[i].document) < 0) j++;
        bool found = j < judged && !strcmp(qrels[j].document, run[i].document);
        place[i] = (struct place){run[i].score, run[i].document,
                                  !found               ? NOT_JUDGED
                                  : qrels[j].grade < 0 ? NOT_POOLED
                                                       : qrels[j].grade};
    }
    if (n) qsort(place, (size_t)n, sizeof *place, by_score);
    if (judged) qsort(ideal, (size_t)judged, sizeof *ideal, descending);
    for (int64_t i = 0; i < n; i++) grade[i] = place[i].grade;
    return true;
}

/* Adds one judged query's measures to the sums. n 0: the run does not have it, and it counts as zeros. */
static bool add_query(lt_ctx *cx, const lt_trec_line *run, int64_t n, const lt_trec_line *qrels, int64_t judged, double *sum)
{
    double m[METRICS];
    ranking r;
    lt_scope scope = lt_open(cx, NULL);
    bool good = make_ranking(cx, run, n, qrels, judged, &r);
    if (good) measure(&r, m);
    for (int i = 0; good && i < METRICS; i++) sum[i] += m[i];
    lt_end(cx, scope);
    return good && lt_ok(cx);
}

static bool sum_queries(lt_ctx *cx, const lt_trec *run, const lt_trec *qrels, bool complete, double *sum)
{
    for (int64_t j = 0, i = 0; j < qrels->n;) {
        int64_t judged = lt_trec_group(qrels, j) - j;
        while (i < run->n && strcmp(run->line[i].query, qrels->line[j].query) < 0) i = lt_trec_group(run, i);
        bool found = i < run->n && !strcmp(run->line[i].query, qrels->line[j].query);
        int64_t n = found ? lt_trec_group(run, i) - i : 0;
        if ((found || complete) && !add_query(cx, found ? run->line + i : NULL, n, qrels->line + j, judged, sum)) return false;
        j += judged;
    }
    return true;
}

static bool is_count(int i) { return i <= NUM_REL_RET; }

lt_metric *lt_eval_run(lt_ctx *cx, const char *run_path, const char *qrels_path, bool complete, int *n)
{
    lt_trec run = {0}, qrels = {0};
    double sum[METRICS] = {0};
    *n = 0;
    if (!lt_ok(cx)) return NULL;
    bool good = lt_trec_read(cx, &run, run_path, LT_TREC_RUN) && lt_trec_read(cx, &qrels, qrels_path, LT_TREC_QRELS);
    good = good && sum_queries(cx, &run, &qrels, complete, sum);
    if (good && !sum[NUM_Q]) good = lt_fail_if(cx, true, LT_ERR_INPUT, "%s and %s have no query in common", run_path, qrels_path);
    lt_trec_free(&run);
    lt_trec_free(&qrels);
    lt_metric *metric = good ? lt_alloc_array(cx, METRICS, sizeof *metric) : NULL;
    for (int i = 0; metric && i < METRICS; i++) {
        double mean = sum[i] / sum[NUM_Q];
        metric[i] = (lt_metric){names[i], is_count(i) ? sum[i] : i == GM_MAP ? exp(mean) : mean};
    }
    if (metric) *n = METRICS;
    return metric;
}
