/* DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT's encoder with half the layers, without token types and pooler, and with
 * config keys of its own. */
#include "model/model.h"

static bool configure(lt_config *c, lt_encoder *e)
{
    e->pad = -1;
    e->pad_id = lt_config_int(c, "pad_token_id", 0, 1 << 24, 0);
    e->vocab = lt_config_int(c, "vocab_size", 1, 1 << 24, 30522);
    e->hidden = lt_config_int(c, "dim", 1, 1 << 16, 768);
    e->layers = lt_config_int(c, "n_layers", 0, 1024, 6);
    e->heads = lt_config_int(c, "n_heads", 1, 1024, 12);
    e->inner = lt_config_int(c, "hidden_dim", 1, 1 << 18, 3072);
    e->positions = e->limit = lt_config_int(c, "max_position_embeddings", 1, 1 << 24, 512);
    e->eps = 1e-12;
    e->act = lt_config_act(c, "activation", "gelu");
    e->tied = lt_config_bool(c, "tie_word_embeddings", true);
    e->absolute = true;
    const double all = lt_config_num(c, "dropout", 0, 0.999, 0.1);
    e->dropout = (struct lt_dropouts){.embed = all, .mixer = -1 /* there is none */, .ffn = all, .attention = lt_config_num(c, "attention_dropout", 0, 0.999, 0.1),
                                      .head = lt_config_num(c, "seq_classif_dropout", 0, 0.999, 0.2), .span = lt_config_num(c, "qa_dropout", 0, 0.999, 0.1)};
    return lt_ok(c->cx);
}

static const lt_names names = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .embed_norm = "embeddings.LayerNorm",
    .layer = "transformer.layer",
    .q = "attention.q_lin",
    .k = "attention.k_lin",
    .v = "attention.v_lin",
    .o = "attention.out_lin",
    .mixer_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .ffn_norm = "output_layer_norm",
};

static const lt_architecture architectures[] = {
    {.name = "DistilBertModel", .head = "none"},
    {.name = "DistilBertForMaskedLM", .head = "mlm", .kind = &lt_head_tokens, .dense = "vocab_transform", .act = LT_ACT_COUNT, .norm = "vocab_layer_norm",
     .out = "vocab_projector", .bias = "vocab_projector", .width = LT_WIDTH_VOCAB},
    {.name = "DistilBertForSequenceClassification", .head = "classify", .kind = &lt_head_first, .dense = "pre_classifier", .act = LT_ACT_RELU,
     .out = "classifier", .dropout = true},
    {.name = "DistilBertForTokenClassification", .head = "tag", .kind = &lt_head_tokens, .out = "classifier", .dropout = true},
    {.name = "DistilBertForQuestionAnswering", .head = "span", .kind = &lt_head_tokens, .out = "qa_outputs", .dropout = true},
};

const lt_family lt_family_distilbert = {
    .is = {"family", "distilbert", "BERT's encoder, distilled: no token types, no pooler", "Sanh et al. 2019, arXiv 1910.01108"},
    .configure = configure,
    .prefix = "distilbert.",
    .names = &names,
    .architectures = architectures,
    .n_architectures = sizeof architectures / sizeof *architectures,
};
