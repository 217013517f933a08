/* What a language model's sum of log probabilities says: perplexity (Jelinek et al. 1977) a token, and bits a byte of the text, which does not
 * depend on how the text is cut into tokens. */
#include "lathe/task.h"

#include <math.h>

double lt_perplexity(double log_likelihood, int64_t tokens) { return tokens > 0 ? exp(-log_likelihood / (double)tokens) : NAN; }
double lt_bits_per_byte(double log_likelihood, int64_t bytes) { return bytes > 0 ? -log_likelihood / log(2) / (double)bytes : NAN; }
