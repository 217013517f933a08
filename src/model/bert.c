/* BERT (Devlin et al. 2019, arXiv 1810.04805): a post-LN encoder with learned absolute positions, or relative ones on the scores. */
#include "model/model.h"

#include <string.h>

static bool read_positions(lt_config *c, lt_encoder *e)
{
    const char *type = lt_config_text(c, "position_embedding_type", "absolute");
    if (!type) return false;
    e->absolute = strcmp(type, "absolute") == 0;
    if (strcmp(type, "relative_key") == 0) e->relative = &lt_position_relative_key;
    else if (strcmp(type, "relative_key_query") == 0) e->relative = &lt_position_relative_key_query;
    else if (!e->absolute)
        return lt_fail_if(c->cx, true, LT_ERR_UNSUPPORTED, "%s: position_embedding_type: \"%s\" is not known (known: absolute, relative_key, relative_key_query)",
                          c->file, type);
    return true;
}

bool lt_configure_bert_like(lt_config *c, lt_encoder *e)
{
    e->vocab = lt_config_int(c, "vocab_size", 1, 1 << 24, 30522);
    e->hidden = lt_config_int(c, "hidden_size", 1, 1 << 16, 768);
    e->layers = lt_config_int(c, "num_hidden_layers", 0, 1024, 12);
    e->heads = lt_config_int(c, "num_attention_heads", 1, 1024, 12);
    e->inner = lt_config_int(c, "intermediate_size", 1, 1 << 18, 3072);
    e->positions = lt_config_int(c, "max_position_embeddings", 1, 1 << 24, 512);
    e->types = lt_config_int(c, "type_vocab_size", 1, 1 << 16, 2);
    e->eps = lt_config_num(c, "layer_norm_eps", 0, 1, 1e-12);
    e->act = lt_config_act(c, "hidden_act", "gelu");
    e->tied = lt_config_bool(c, "tie_word_embeddings", true);
    const double hidden = lt_config_num(c, "hidden_dropout_prob", 0, 0.999, 0.1);
    e->dropout = (struct lt_dropouts){.embed = hidden, .mixer = hidden, .ffn = hidden, .attention = lt_config_num(c, "attention_probs_dropout_prob", 0, 0.999, 0.1)};
    const lt_json *head = lt_config_get(c, "classifier_dropout");
    e->dropout.head = lt_json_is(head) == LT_JSON_NULL ? hidden : lt_config_num(c, "classifier_dropout", 0, 0.999, hidden);
    return read_positions(c, e) && lt_config_must_be(c, "is_decoder", false, "only encoders run") &&
           lt_config_must_be(c, "add_cross_attention", false, "only encoders run") &&
           lt_config_must_be(c, "is_encoder_decoder", false, "only encoders run") && lt_ok(c->cx);
}

static bool configure(lt_config *c, lt_encoder *e)
{
    e->pad = -1;
    e->pad_id = lt_config_int(c, "pad_token_id", 0, 1 << 24, 0);
    if (!lt_configure_bert_like(c, e)) return false;
    e->limit = e->positions;
    return true;
}

const lt_names lt_names_bert = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .embed_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer",
    .q = "attention.self.query",
    .k = "attention.self.key",
    .v = "attention.self.value",
    .o = "attention.output.dense",
    .mixer_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .ffn_norm = "output.LayerNorm",
    .distance = "attention.self.distance_embedding",
    .pooler = "pooler.dense",
};

#define PREDICTIONS                                                                                                                              \
    .kind = &lt_head_tokens, .dense = "cls.predictions.transform.dense", .act = LT_ACT_COUNT, .norm = "cls.predictions.transform.LayerNorm",      \
    .out = "cls.predictions.decoder", .bias = "cls.predictions", .width = LT_WIDTH_VOCAB

static const lt_architecture architectures[] = {
    {.name = "BertModel", .head = "none"},
    {.name = "BertForMaskedLM", .head = "mlm", PREDICTIONS},
    {.name = "BertForPreTraining", .head = "pretraining", PREDICTIONS, .also = "cls.seq_relationship"},
    {.name = "BertForNextSentencePrediction", .head = "nsp", .kind = &lt_head_first, .on_pooler = true, .out = "cls.seq_relationship", .width = LT_WIDTH_TWO},
    {.name = "BertForSequenceClassification", .head = "classify", .kind = &lt_head_first, .on_pooler = true, .out = "classifier", .dropout = true},
    {.name = "BertForTokenClassification", .head = "tag", .kind = &lt_head_tokens, .out = "classifier", .dropout = true},
    {.name = "BertForQuestionAnswering", .head = "span", .kind = &lt_head_tokens, .out = "qa_outputs"},
};

const lt_family lt_family_bert = {
    .is = {"family", "bert", "post-LN encoder with token types", "Devlin et al. 2019, arXiv 1810.04805"},
    .configure = configure,
    .prefix = "bert.",
    .names = &lt_names_bert,
    .architectures = architectures,
    .n_architectures = sizeof architectures / sizeof *architectures,
};
