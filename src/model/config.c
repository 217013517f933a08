/* Reading config.json so that no switch is ignored: each key is asked for by a family, or stands in the list of those that change
 * nothing when a model runs; all others are named by `lathe info`. */
#include "model/model.h"

#include <string.h>

/* Of training, of generation, or for people; nothing here changes what an encoder computes. */
static const char *const inert[] = {
    "_name_or_path", "_commit_hash", "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "torchscript", "use_bfloat16",
    "attention_probs_dropout_prob", "hidden_dropout_prob", "classifier_dropout", "dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout",
    "initializer_range", "initializer_factor", "use_cache", "gradient_checkpointing", "chunk_size_feed_forward", "return_dict", "output_attentions",
    "output_hidden_states", "output_past", "finetuning_task", "task_specific_params", "problem_type", "id2label", "label2id", "num_labels", "pad_token_id",
    "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id", "decoder_start_token_id", "tokenizer_class", "prefix",
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p",
    "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
    "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
    "suppress_tokens", "begin_suppress_tokens", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset", "tf_legacy_loss",
    "sinusoidal_pos_embds", "tie_weights_", "language", "license", "name", "gradient_checkpointing_kwargs", "directionality", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "cross_attention_hidden_size", "auto_map",
    "sentence_transformers",
};

bool lt_config_open(lt_ctx *cx, lt_config *c, const char *dir)
{
    *c = (lt_config){.cx = cx};
    const char *file = lt_path_join(cx, dir, "config.json");
    if (!file || !(c->file = lt_strdup(cx, file))) return false;
    if (!lt_is_dir(dir)) {
        lt_fail(cx, LT_ERR_INPUT, "%s: %s", dir, lt_is_file(dir) ? "a model directory is expected, this is a file" : "no such directory");
        return false;
    }
    if (!lt_is_file(file)) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: no such file: a model directory in the Hugging Face layout is expected", file);
    c->root = lt_json_load(cx, file);
    if (!c->root) return false;
    return lt_fail_if(cx, lt_json_is(c->root) != LT_JSON_OBJECT, LT_ERR_INPUT, "%s: an object is expected", file);
}

void lt_config_close(lt_config *c)
{
    lt_json_free(c->root);
    lt_free(c->file);
    *c = (lt_config){0};
}

static const char *ask(lt_config *c, const char *key)
{
    if (c->n_asked < LT_CONFIG_KEYS) c->asked[c->n_asked++] = key;
    return key;
}

const lt_json *lt_config_get(lt_config *c, const char *key) { return lt_json_get(c->root, ask(c, key)); }

int lt_config_int(lt_config *c, const char *key, int64_t min, int64_t max, int64_t otherwise)
{
    return (int)lt_json_want_int(c->cx, c->root, c->file, ask(c, key), min, max, otherwise);
}

double lt_config_num(lt_config *c, const char *key, double min, double max, double otherwise)
{
    return lt_json_want_num(c->cx, c->root, c->file, ask(c, key), min, max, otherwise);
}

bool lt_config_bool(lt_config *c, const char *key, bool otherwise) { return lt_json_want_bool(c->cx, c->root, c->file, ask(c, key), otherwise); }

const char *lt_config_text(lt_config *c, const char *key, const char *otherwise)
{
    return lt_json_want_text(c->cx, c->root, c->file, ask(c, key), otherwise);
}

lt_act lt_config_act(lt_config *c, const char *key, const char *otherwise)
{
    const char *name = lt_config_text(c, key, otherwise);
    lt_act act = name ? lt_act_named(name) : LT_ACT_NONE;
    if (act == LT_ACT_COUNT) lt_fail(c->cx, LT_ERR_UNSUPPORTED, "%s: %s: activation \"%s\" is not known", c->file, key, name);
    return act;
}

bool lt_config_must_be(lt_config *c, const char *key, bool value, const char *why)
{
    if (lt_config_bool(c, key, value) == value) return true;
    return lt_fail_if(c->cx, true, LT_ERR_UNSUPPORTED, "%s: %s: %s is not supported: %s", c->file, key, value ? "false" : "true", why);
}

bool lt_config_was_asked(const lt_config *c, const char *key)
{
    for (int i = 0; i < c->n_asked; i++)
        if (strcmp(c->asked[i], key) == 0) return true;
    for (size_t i = 0; i < sizeof inert / sizeof *inert; i++)
        if (strcmp(inert[i], key) == 0) return true;
    return false;
}
