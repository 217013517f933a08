/* What optimizers share. */
#ifndef LT_TRAIN_OPTIMIZER_H
#define LT_TRAIN_OPTIMIZER_H

#include <math.h>

#include "train/train.h"

static inline void *lt_element(const lt_kernels *kn, void *p, int64_t i) { return (char *)p + (size_t)i * kn->elem; }
/* Element i of an array of the kernels' type, as a double, and back. */
static inline double lt_read(const lt_kernels *kn, const void *p, int64_t i) { return kn->elem == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static inline void lt_write(const lt_kernels *kn, void *p, int64_t i, double x)
{
    if (kn->elem == 8) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

#endif
