/* The metrics of this room, for `lathe list`. */
#include "lathe/task.h"

static const lt_kind kinds[] = {
    {"metric", "accuracy", "rows that are right altogether; of tags: single tags", ""},
    {"metric", "f1_macro", "mean of the labels' F1, over the labels of either side", "van Rijsbergen 1979; scikit-learn"},
    {"metric", "f1_micro", "F1 of all labels together", "van Rijsbergen 1979; scikit-learn"},
    {"metric", "mcc", "Matthews' correlation coefficient, of any number of labels", "Matthews 1975; Gorodkin 2004"},
    {"metric", "seqeval", "precision, recall and f1 of entities, micro average", "Tjong Kim Sang & De Meulder 2003; seqeval"},
    {"metric", "squad", "exact_match and f1 of answers, 0 to 100", "Rajpurkar et al. 2016, arXiv 1606.05250"},
    {"metric", "pearson", "linear correlation", ""},
    {"metric", "spearman", "correlation of ranks", ""},
    {"metric", "perplexity", "e to the mean negative log probability of a token", "Jelinek et al. 1977"},
    {"metric", "bits_per_byte", "bits that the model takes for a byte of text", ""},
};

const lt_kind *lt_task_kinds(int *n)
{
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}
