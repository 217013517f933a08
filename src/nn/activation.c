/* Activations by the names that configs of published checkpoints use. */
#include "lathe/nn.h"

#include <string.h>

static const struct {
    const char *name;
    lt_act act;
} named[] = {
    {"gelu", LT_ACT_GELU},           {"gelu_python", LT_ACT_GELU},      {"gelu_new", LT_ACT_GELU_TANH}, {"gelu_fast", LT_ACT_GELU_TANH},
    {"gelu_pytorch_tanh", LT_ACT_GELU_TANH}, {"gelu_accurate", LT_ACT_GELU_TANH}, {"quick_gelu", LT_ACT_QUICK_GELU}, {"relu", LT_ACT_RELU},  {"relu2", LT_ACT_RELU2},
    {"silu", LT_ACT_SILU},           {"swish", LT_ACT_SILU},            {"mish", LT_ACT_MISH},          {"tanh", LT_ACT_TANH},
    {"sigmoid", LT_ACT_SIGMOID},     {"linear", LT_ACT_NONE},            {"gelu_accurate", LT_ACT_GELU_TANH},
};

lt_act lt_act_named(const char *name)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(named[i].name, name) == 0) return named[i].act;
    return LT_ACT_COUNT;
}
