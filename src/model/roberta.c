/* RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT's encoder; positions count from the pad id + 1, and a token that equals the pad id
 * stands at the pad's position without being counted. With relative positions only differences count, so none is lost to the pad id. */
#include "model/model.h"

static bool configure(lt_config *c, lt_encoder *e)
{
    e->pad_id = lt_config_int(c, "pad_token_id", 0, 1 << 24, 1);
    if (!lt_configure_bert_like(c, e)) return false;
    e->pad = e->pad_id;
    e->position_offset = e->pad_id + 1;
    e->limit = e->absolute ? e->positions - e->position_offset : e->positions;
    return lt_fail_if(c->cx, e->limit < 1, LT_ERR_INPUT, "%s: max_position_embeddings: %d leaves no position behind pad_token_id %d", c->file, e->positions,
                      e->pad_id);
}

static const lt_architecture architectures[] = {
    {.name = "RobertaModel", .head = "none"},
    {.name = "RobertaForMaskedLM", .head = "mlm", .kind = &lt_head_tokens, .dense = "lm_head.dense", .act = LT_ACT_GELU, .norm = "lm_head.layer_norm",
     .out = "lm_head.decoder", .bias = "lm_head", .width = LT_WIDTH_VOCAB},
    {.name = "RobertaForSequenceClassification", .head = "classify", .kind = &lt_head_first, .dense = "classifier.dense", .act = LT_ACT_TANH,
     .out = "classifier.out_proj", .dropout = true, .dropout_in = true},
    {.name = "RobertaForTokenClassification", .head = "tag", .kind = &lt_head_tokens, .out = "classifier", .dropout = true},
    {.name = "RobertaForQuestionAnswering", .head = "span", .kind = &lt_head_tokens, .out = "qa_outputs"},
};

const lt_family lt_family_roberta = {
    .is = {"family", "roberta", "BERT's encoder with positions from pad + 1 and byte-level BPE", "Liu et al. 2019, arXiv 1907.11692"},
    .configure = configure,
    .prefix = "roberta.",
    .names = &lt_names_bert,
    .architectures = architectures,
    .n_architectures = sizeof architectures / sizeof *architectures,
};
