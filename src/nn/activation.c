/* Activations: what they compute, and by which names configs of published checkpoints ask for them. */
#include "lathe/nn.h"

#include <string.h>

static const struct {
    lt_kind is;
    lt_act act;
    const char *also[4]; /* other names for the same */
} activations[] = {
    {{"activation", "relu", "max(x, 0)", "Nair & Hinton 2010"}, LT_ACT_RELU, {0}},
    {{"activation", "gelu", "x Φ(x)", "Hendrycks & Gimpel 2016"}, LT_ACT_GELU, {"gelu_python"}},
    {{"activation", "gelu_new", "x Φ(x) by tanh", "Hendrycks & Gimpel 2016"}, LT_ACT_GELU_TANH,
     {"gelu_pytorch_tanh", "gelu_fast", "gelu_accurate"}},
    {{"activation", "quick_gelu", "x σ(1.702 x)", "Hendrycks & Gimpel 2016"}, LT_ACT_QUICK_GELU, {0}},
    {{"activation", "silu", "x σ(x)", "Elfwing et al. 2017"}, LT_ACT_SILU, {"swish"}},
    {{"activation", "mish", "x tanh(log(1 + eˣ))", "Misra 2019"}, LT_ACT_MISH, {0}},
    {{"activation", "tanh", "tanh(x)", ""}, LT_ACT_TANH, {0}},
    {{"activation", "sigmoid", "1 / (1 + e⁻ˣ)", ""}, LT_ACT_SIGMOID, {0}},
    {{"activation", "relu2", "max(x, 0)²", "So et al. 2021"}, LT_ACT_RELU2, {0}},
    {{"activation", "linear", "x", ""}, LT_ACT_NONE, {0}},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

lt_act lt_act_named(const char *name)
{
    for (int i = 0; i < ACTIVATIONS; i++) {
        if (strcmp(activations[i].is.name, name) == 0) return activations[i].act;
        for (int k = 0; k < 4 && activations[i].also[k]; k++)
            if (strcmp(activations[i].also[k], name) == 0) return activations[i].act;
    }
    return LT_ACT_COUNT;
}

const lt_kind *lt_activation_kind(int i) { return i >= 0 && i < ACTIVATIONS ? &activations[i].is : NULL; }
