/* Protects: a checkpoint that is damaged, made in malice, or does not fit together is refused with a message that names the file, the
 * place and what was expected; inputs that a model cannot take are refused too; and nothing of this crashes, hangs or takes
 * memory out of proportion. */
#include "models/fixture.h"

#include <jansson.h>
#include <sys/resource.h>
#include <time.h>

static char *scratch; /* a folder with copies of fixtures to damage */

static int set_up(void **state)
{
    scratch = temporary_folder();
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(scratch);
    free(scratch);
    return 0;
}

static const char *in_scratch(const char *file)
{
    static char path[4][700];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/m/%s", scratch, file);
    return path[turn];
}

static void fresh(const char *part, const char *name)
{
    char from[700];
    snprintf(from, sizeof from, "%s/%s", fixtures(part), name);
    remove_folder(in_scratch(""));
    copy_folder(from, in_scratch(""));
}

/* Opens the damaged copy; where it opens, runs it. Returns whether it was refused, with the message. */
static bool refused(char message[2000])
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)256 << 20});
    assert_non_null(cx);
    lt_model *m = lt_model_open(cx, in_scratch(""), NULL);
    snprintf(message, 2000, "%s", lt_ctx_error(cx));
    bool failed = !m;
    assert_int_equal(failed, lt_ctx_status(cx) != LT_OK);
    if (m) {
        const int32_t ids[] = {2, 5, 199, 3}, lengths[] = {1, 3};
        lt_batch b = {.seqs = lt_seqs_new(cx, 2, lengths), .ids = ids};
        for (int what = 0; what < 4; what++) {
            lt_forward(cx, m, &b, (lt_output)what, NULL);
            lt_ctx_clear(cx);
        }
        const char *const texts[] = {"the lathe", "", "\xff\xfe", "tokens, Tokens"};
        lt_embed(cx, m, texts, NULL, 4, NULL);
        lt_ctx_clear(cx);
    }
    lt_model_close(m);
    lt_ctx_clear(cx);
    const lt_model_info *seen = lt_model_inspect(cx, in_scratch(""));
    bool in_data = strstr(message, "not a finite number") != NULL; /* inspecting does not read the weights themselves */
    if (failed && seen && seen->n_unsupported == 0 && !in_data) fail_msg("refused (%s), but inspecting it finds nothing amiss", message);
    if (!seen) assert_true(strlen(lt_ctx_error(cx)) > 0);
    lt_ctx_free(cx);
    return failed;
}

/* Every word of `says` (separated by '|') stands in the message. */
static void must_refuse(const char *what, const char *says)
{
    char message[2000], words[400], *save = NULL;
    if (!refused(message)) fail_msg("%s: was taken, a refusal with \"%s\" is expected", what, says);
    snprintf(words, sizeof words, "%s", says);
    for (char *w = strtok_r(words, "|", &save); w; w = strtok_r(NULL, "|", &save))
        if (!strstr(message, w)) fail_msg("%s: \"%s\" does not say \"%s\"", what, message, w);
}

/* Sets the keys of `changes` in a JSON object file. */
static void edit(const char *file, const char *changes)
{
    json_t *o = json_load_file(in_scratch(file), 0, NULL), *c = json_loads(changes, 0, NULL);
    assert_true(o && c);
    json_object_update(o, c);
    assert_int_equal(json_dump_file(o, in_scratch(file), 0), 0);
    json_decref(o);
    json_decref(c);
}

static void drop_key(const char *file, const char *key)
{
    json_t *o = json_load_file(in_scratch(file), 0, NULL);
    assert_int_equal(json_object_del(o, key), 0);
    assert_int_equal(json_dump_file(o, in_scratch(file), 0), 0);
    json_decref(o);
}

/* ---- config.json ------------------------------------------------------------------------------------------------ */

static void configs_are_refused(void **state)
{
    static const struct {
        const char *change, *says;
    } cases[] = {
        {"{\"hidden_size\":\"x\"}", "config.json|hidden_size|\"x\""},
        {"{\"hidden_size\":0}", "config.json|hidden_size|0"},
        {"{\"hidden_size\":-32}", "config.json|hidden_size|-32"},
        {"{\"hidden_size\":32.5}", "config.json|hidden_size|32.5"},
        {"{\"hidden_size\":true}", "config.json|hidden_size|true"},
        {"{\"hidden_size\":[32]}", "config.json|hidden_size"},
        {"{\"hidden_size\":9223372036854775807}", "config.json|hidden_size|9223372036854775807"},
        {"{\"hidden_size\":33}", "config.json|33|4"},
        {"{\"hidden_size\":64}", "model.safetensors|embeddings.word_embeddings.weight|[200, 32]|[200, 64]"},
        {"{\"num_hidden_layers\":3}", "model.safetensors|encoder.layer.2."},
        {"{\"num_hidden_layers\":-1}", "config.json|num_hidden_layers|-1"},
        {"{\"num_hidden_layers\":\"2\"}", "config.json|num_hidden_layers|\"2\""},
        {"{\"num_hidden_layers\":1000000000}", "config.json|num_hidden_layers|1000000000"},
        {"{\"num_attention_heads\":0}", "config.json|num_attention_heads|0"},
        {"{\"num_attention_heads\":5}", "config.json|32|5"},
        {"{\"num_attention_heads\":64}", "config.json|32|64"},
        {"{\"intermediate_size\":65}", "model.safetensors|encoder.layer.0.intermediate.dense|65"},
        {"{\"intermediate_size\":{}}", "config.json|intermediate_size"},
        {"{\"vocab_size\":199}", "model.safetensors|word_embeddings|[200, 32]|[199, 32]"},
        {"{\"vocab_size\":1e9}", "config.json|vocab_size"},
        {"{\"max_position_embeddings\":10}", "model.safetensors|position_embeddings|[64, 32]|[10, 32]"},
        {"{\"type_vocab_size\":4}", "model.safetensors|token_type_embeddings|[2, 32]|[4, 32]"},
        {"{\"layer_norm_eps\":\"a\"}", "config.json|layer_norm_eps|\"a\""},
        {"{\"layer_norm_eps\":-1}", "config.json|layer_norm_eps|-1"},
        {"{\"hidden_act\":\"laplace\"}", "config.json|hidden_act|laplace"},
        {"{\"hidden_act\":\"gelu_10\"}", "config.json|hidden_act|gelu_10"},
        {"{\"hidden_act\":\"relu6\"}", "config.json|hidden_act|relu6"},
        {"{\"hidden_act\":7}", "config.json|hidden_act|7"},
        {"{\"position_embedding_type\":\"rotary\"}", "config.json|position_embedding_type|rotary"},
        {"{\"position_embedding_type\":\"relative_key\"}", "model.safetensors|distance_embedding"},
        {"{\"is_decoder\":true}", "config.json|is_decoder"},
        {"{\"is_decoder\":\"yes\"}", "config.json|is_decoder|\"yes\""},
        {"{\"add_cross_attention\":true}", "config.json|add_cross_attention"},
        {"{\"model_type\":\"gpt9\"}", "config.json|model_type|gpt9|bert"},
        {"{\"model_type\":null}", "config.json|model_type"},
        {"{\"model_type\":3}", "config.json|model_type|3"},
        {"{\"model_type\":\"roberta\"}", "config.json|BertModel|roberta"},
        {"{\"architectures\":[\"BertForMultipleChoice\"]}", "config.json|architectures|BertForMultipleChoice"},
        {"{\"architectures\":\"BertModel\"}", "config.json|architectures"},
        {"{\"architectures\":[3]}", "config.json|architectures"},
        {"{\"architectures\":[\"BertForMaskedLM\"]}", "model.safetensors|cls.predictions"},
        {"{\"architectures\":[\"BertForSequenceClassification\"]}", "model.safetensors|classifier"},
        {"{\"architectures\":[\"BertForTokenClassification\"],\"id2label\":7}", "config.json|id2label"},
        {"{\"architectures\":[\"BertForTokenClassification\"],\"num_labels\":0}", "config.json|num_labels|0"},
        {"{\"pruned_heads\":{\"0\":[1]}}", "config.json|pruned_heads"},
        {"{\"pad_token_id\":\"x\"}", "config.json|pad_token_id"},
        {"{\"tie_word_embeddings\":\"no\"}", "config.json|tie_word_embeddings|\"no\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("models", "bert-tiny");
        edit("config.json", cases[i].change);
        must_refuse(cases[i].change, cases[i].says);
    }
    fresh("models", "roberta-tiny");
    edit("config.json", "{\"pad_token_id\":70}");
    must_refuse("pad_token_id 70 of 66 positions", "config.json|66|70");
    fresh("models", "distilbert-tiny");
    edit("config.json", "{\"n_heads\":4}");
    must_refuse("18 by 4 heads", "config.json|18|4");
    edit("config.json", "{\"n_heads\":3,\"activation\":\"nope\"}");
    must_refuse("activation nope", "config.json|activation|nope");
}

/* A key that nobody knows does not stop a model, but is named. */
static void unknown_keys_are_named(void **state)
{
    fresh("models", "bert-tiny");
    edit("config.json", "{\"frobnicate\":1}");
    lt_ctx *cx = new_context(1);
    lt_model *m = lt_model_open(cx, in_scratch(""), NULL);
    assert_done(cx, m);
    bool named = false;
    for (int i = 0; i < lt_model_about(m)->n_unsupported; i++) named |= strstr(lt_model_about(m)->unsupported[i], "frobnicate") != NULL;
    assert_true(named);
    lt_model_close(m);
    lt_ctx_free(cx);
}

static void not_configs(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "config.json"},          {"[]", "config.json|object"}, {"{", "config.json:1:2"},       {"null", "config.json|object"},
        {"{\"a\":1,\"a\":2}", "config.json|\"a\""}, {"\xef\xbb\xbf{}", "config.json"}, {"{\"model_type\":\"bert\",}", "config.json:1:22"}, {"\xff\xff", "config.json|UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("models", "bert-tiny");
        write_bytes(in_scratch("config.json"), cases[i].text, strlen(cases[i].text));
        must_refuse(cases[i].text, cases[i].says);
    }
    size_t deep = 100000;
    char *nested = malloc(deep);
    assert_non_null(nested);
    memset(nested, '[', deep);
    write_bytes(in_scratch("config.json"), nested, deep);
    free(nested);
    must_refuse("100000 open brackets", "config.json");
    unlink(in_scratch("config.json"));
    must_refuse("no config.json", "config.json");
    mkdir(in_scratch("config.json"), 0700);
    must_refuse("config.json is a folder", "config.json");
    remove_folder(in_scratch(""));
    must_refuse("no folder", "/m");
}

/* ---- model.safetensors ------------------------------------------------------------------------------------------ */

typedef struct weights_file {
    json_t *header;
    char *bytes; /* of the file */
    size_t size, data; /* where data begins */
} weights_file;

static weights_file read_weights(const char *file)
{
    weights_file w;
    w.bytes = read_bytes(in_scratch(file), &w.size);
    uint64_t n;
    memcpy(&n, w.bytes, 8);
    w.data = 8 + (size_t)n;
    w.header = json_loadb(w.bytes + 8, (size_t)n, 0, NULL);
    assert_non_null(w.header);
    return w;
}

static void write_weights(const char *file, const weights_file *w)
{
    char *text = json_dumps(w->header, JSON_COMPACT);
    size_t n = strlen(text), size = 8 + n + w->size - w->data;
    char *out = malloc(size);
    assert_non_null(out);
    memcpy(out, &(uint64_t){n}, 8);
    memcpy(out + 8, text, n);
    memcpy(out + 8 + n, w->bytes + w->data, w->size - w->data);
    write_bytes(in_scratch(file), out, size);
    free(out);
    free(text);
}

static void free_weights(weights_file *w)
{
    json_decref(w->header);
    free(w->bytes);
}

/* Without any one of its tensors a model is refused by that tensor's name. Leaving out the pooler as a whole is allowed. */
static void a_missing_tensor_is_named(void **state)
{
    fresh("models", "bert-tiny");
    weights_file w = read_weights("model.safetensors");
    json_t *all = json_deep_copy(w.header);
    const char *key;
    json_t *value;
    json_object_foreach(all, key, value)
    {
        if (!strcmp(key, "__metadata__") || !strcmp(key, "pooler.dense.weight")) continue;
        json_decref(w.header);
        w.header = json_deep_copy(all);
        json_object_del(w.header, key);
        /* Files must not have holes, so a small tensor of another name covers the place. */
        json_object_set(w.header, "filler", value);
        write_weights("model.safetensors", &w);
        must_refuse(key, "model.safetensors");
        char message[2000];
        refused(message);
        const char *tail = !strcmp(key, "embeddings.word_embeddings.weight") ? "embeddings.word_embeddings" : key;
        if (!strstr(message, tail)) fail_msg("without %s: \"%s\"", key, message);
    }
    json_decref(all);
    free_weights(&w);
}

static void wrong_tensors_are_refused(void **state)
{
    static const char name[] = "encoder.layer.1.output.dense.weight"; /* [32, 64] in f32: 8192 bytes */
    static const struct {
        const char *change, *says;
    } cases[] = {
        {"{\"shape\":[64,32]}", "encoder.layer.1.output.dense.weight|[64, 32]|[32, 64]"},
        {"{\"shape\":[2048]}", "encoder.layer.1.output.dense.weight|[2048]|[32, 64]"},
        {"{\"shape\":[32,64,1]}", "encoder.layer.1.output.dense.weight|[32, 64, 1]|[32, 64]"},
        {"{\"shape\":[32,32]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[32,65]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[0,64]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[-32,-64]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[4294967296,4294967296]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[9223372036854775807,2]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[32,\"64\"]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[32.0,64]}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":{}}", "encoder.layer.1.output.dense.weight"},
        {"{\"shape\":[1,1,1,1,1,1,1,1,1,1,1,32,64]}", "encoder.layer.1.output.dense.weight"},
        {"{\"dtype\":\"I32\"}", "encoder.layer.1.output.dense.weight|I32"},
        {"{\"dtype\":\"F8_E4M3\",\"shape\":[128,64]}", "encoder.layer.1.output.dense.weight"},
        {"{\"dtype\":\"F33\"}", "encoder.layer.1.output.dense.weight|F33"},
        {"{\"dtype\":4}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[0,8192]}", ""},
        {"{\"data_offsets\":[8192,0]}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[-8192,0]}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[99999999,100008191]}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[9223372036854767615,9223372036854775807]}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[0]}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":\"all\"}", "encoder.layer.1.output.dense.weight"},
        {"{\"data_offsets\":[0,8191]}", "encoder.layer.1.output.dense.weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("models", "bert-tiny");
        weights_file w = read_weights("model.safetensors");
        json_t *change = json_loads(cases[i].change, 0, NULL);
        assert_non_null(change);
        json_object_update(json_object_get(w.header, name), change);
        write_weights("model.safetensors", &w);
        char says[300];
        snprintf(says, sizeof says, "model.safetensors|%s", cases[i].says);
        must_refuse(cases[i].change, says);
        json_decref(change);
        free_weights(&w);
    }
}

static void broken_headers_are_refused(void **state)
{
    fresh("models", "bert-tiny");
    size_t size;
    char *bytes = read_bytes(in_scratch("model.safetensors"), &size);
    uint64_t n, lengths[] = {0, 1, size - 8 + 1, size, 1 << 30, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    memcpy(&n, bytes, 8);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], 8);
        write_bytes(in_scratch("model.safetensors"), bytes, size);
        must_refuse("another header length", "model.safetensors");
    }
    memcpy(bytes, &n, 8);
    static const char *const headers[] = {"[]", "null", "{}", "{\"a\":1}", "{\"a\":{}}", "{\"a\":[]}", "\"x\"", "{\"embeddings.word_embeddings.weight\":null}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char text[100];
        size_t m = strlen(headers[i]);
        memcpy(text, &(uint64_t){m}, 8);
        memcpy(text + 8, headers[i], m);
        write_bytes(in_scratch("model.safetensors"), text, 8 + m);
        must_refuse(headers[i], "model.safetensors");
    }
    /* Bytes that no tensor owns. */
    char *longer = malloc(size + 16);
    assert_non_null(longer);
    memcpy(longer, bytes, size);
    memset(longer + size, 0, 16);
    write_bytes(in_scratch("model.safetensors"), longer, size + 16);
    must_refuse("sixteen bytes too many", "model.safetensors");
    free(longer);
    unlink(in_scratch("model.safetensors"));
    must_refuse("no weights", "model.safetensors");
    mkdir(in_scratch("model.safetensors"), 0700);
    must_refuse("weights are a folder", "model.safetensors");
    free(bytes);
}

/* Weights that are not numbers open; whatever is computed with them ends. */
static void weights_that_are_not_numbers(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        fresh("models", "bert-tiny");
        weights_file w = read_weights("model.safetensors");
        const float bad[] = {NAN, INFINITY, 3e38f};
        for (size_t at = w.data; at + 4 <= w.size; at += 4) memcpy(w.bytes + at, &bad[kind], 4);
        write_bytes(in_scratch("model.safetensors"), w.bytes, w.size);
        char message[2000];
        if (refused(message)) assert_non_null(strstr(message, "model.safetensors"));
        free_weights(&w);
    }
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static void indexes_are_refused(void **state)
{
    static const char index[] = "model.safetensors.index.json";
    static const struct {
        const char *map, *says; /* changes of weight_map */
    } cases[] = {
        {"{\"embeddings.word_embeddings.weight\":\"model-00009-of-00003.safetensors\"}", "model-00009-of-00003.safetensors"},
        {"{\"embeddings.word_embeddings.weight\":\"../other.safetensors\"}", "index.json|../other.safetensors"},
        {"{\"embeddings.word_embeddings.weight\":\"/etc/passwd\"}", "index.json|/etc/passwd"},
        {"{\"embeddings.word_embeddings.weight\":7}", "index.json|embeddings.word_embeddings.weight"},
        {"{\"embeddings.word_embeddings.weight\":\"\"}", "index.json"},
        {"{\"not.there\":\"model-00001-of-00003.safetensors\"}", "not.there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("models", "bert-sharded");
        json_t *o = json_load_file(in_scratch(index), 0, NULL), *change = json_loads(cases[i].map, 0, NULL);
        assert_true(o && change);
        json_object_update(json_object_get(o, "weight_map"), change);
        json_dump_file(o, in_scratch(index), 0);
        json_decref(o);
        json_decref(change);
        must_refuse(cases[i].map, cases[i].says);
    }
    static const char *const whole[] = {"{}", "[]", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{\"weight_map\":null}", "x"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        fresh("models", "bert-sharded");
        write_bytes(in_scratch(index), whole[i], strlen(whole[i]));
        must_refuse(whole[i], "index.json");
    }
    fresh("models", "bert-sharded");
    unlink(in_scratch("model-00002-of-00003.safetensors"));
    must_refuse("a shard is missing", "model-00002-of-00003.safetensors");
}

/* ---- sentence-transformers files ---------------------------------------------------------------------------------- */

static void sentence_files_are_refused(void **state)
{
    static const struct {
        const char *file, *change, *says;
    } cases[] = {
        {"1_Pooling/config.json", "{\"word_embedding_dimension\":31}", "1_Pooling/config.json|word_embedding_dimension|31|32"},
        {"1_Pooling/config.json", "{\"word_embedding_dimension\":\"x\"}", "1_Pooling/config.json|word_embedding_dimension"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":\"yes\"}", "1_Pooling/config.json|pooling_mode_mean_tokens|\"yes\""},
        {"1_Pooling/config.json", "{\"pooling_mode_median_tokens\":true}", "1_Pooling/config.json|pooling_mode_median_tokens"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false,\"pooling_mode_max_tokens\":false}", "1_Pooling/config.json"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false}", "2_Dense/config.json|in_features|64|32"},
        {"1_Pooling/config.json", "{\"include_prompt\":3}", "1_Pooling/config.json|include_prompt|3"},
        {"2_Dense/config.json", "{\"in_features\":63}", "2_Dense/config.json|in_features|63|64"},
        {"2_Dense/config.json", "{\"out_features\":25}", "2_Dense/model.safetensors|linear.weight|[24, 64]|[25, 64]"},
        {"2_Dense/config.json", "{\"out_features\":0}", "2_Dense/config.json|out_features|0"},
        {"2_Dense/config.json", "{\"bias\":\"no\"}", "2_Dense/config.json|bias"},
        {"2_Dense/config.json", "{\"activation_function\":\"torch.nn.modules.activation.Hardshrink\"}", "2_Dense/config.json|activation_function|Hardshrink"},
        {"2_Dense/config.json", "{\"activation_function\":\"os.system\"}", "2_Dense/config.json|activation_function|os.system"},
        {"3_Dense/config.json", "{\"in_features\":null}", "3_Dense/config.json|in_features"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("sentence", "dense-twice");
        edit(cases[i].file, cases[i].change);
        must_refuse(cases[i].change, cases[i].says);
    }
    static const struct {
        const char *file, *text, *says;
    } whole[] = {
        {"modules.json", "{}", "modules.json|array"},
        {"modules.json", "[]", "modules.json"},
        {"modules.json", "[1]", "modules.json"},
        {"modules.json", "[{\"path\":\"\"}]", "modules.json|type"},
        {"modules.json", "[{\"path\":\"..\",\"type\":\"a.Transformer\"}]", "modules.json|.."},
        {"modules.json", "[{\"path\":\"/etc\",\"type\":\"a.Transformer\"}]", "modules.json|/etc"},
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"x\",\"type\":\"a.WordWeights\"}]", "modules.json|WordWeights"},
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"9_Pooling\",\"type\":\"a.Pooling\"}]", "9_Pooling"},
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"2_Dense\",\"type\":\"a.Dense\"}]", "modules.json|Dense"},
        {"modules.json", "[{\"path\":3,\"type\":\"a.Transformer\"}]", "modules.json|path|3"},
        {"1_Pooling/config.json", "[]", "1_Pooling/config.json"},
        {"2_Dense/config.json", "{}", "2_Dense/config.json|in_features"},
        {"2_Dense/config.json", "null", "2_Dense/config.json"},
        {"sentence_bert_config.json", "{\"max_seq_length\":0}", "sentence_bert_config.json|max_seq_length|0"},
        {"sentence_bert_config.json", "{\"max_seq_length\":\"x\"}", "sentence_bert_config.json|max_seq_length"},
        {"sentence_bert_config.json", "{\"do_lower_case\":1}", "sentence_bert_config.json|do_lower_case|1"},
        {"sentence_bert_config.json", "[]", "sentence_bert_config.json"},
        {"config_sentence_transformers.json", "{\"default_prompt_name\":\"q\",\"prompts\":{}}", "config_sentence_transformers.json|default_prompt_name|\"q\""},
        {"config_sentence_transformers.json", "{\"prompts\":[]}", "config_sentence_transformers.json|prompts"},
        {"config_sentence_transformers.json", "{\"prompts\":{\"a\":1}}", "config_sentence_transformers.json|prompts|a"},
        {"config_sentence_transformers.json", "{\"similarity_fn_name\":\"nearness\"}", "config_sentence_transformers.json|similarity_fn_name|nearness"},
        {"config_sentence_transformers.json", "{\"similarity_fn_name\":4}", "config_sentence_transformers.json|similarity_fn_name"},
        {"tokenizer.json", "{}", "tokenizer.json"},
        {"tokenizer.json", "[]", "tokenizer.json"},
        {"tokenizer_config.json", "[", "tokenizer_config.json"},
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        fresh("sentence", "dense-twice");
        write_bytes(in_scratch(whole[i].file), whole[i].text, strlen(whole[i].text));
        must_refuse(whole[i].text, whole[i].says);
    }
    fresh("sentence", "dense-twice");
    drop_key("2_Dense/config.json", "out_features");
    must_refuse("no out_features", "2_Dense/config.json|out_features");
    fresh("sentence", "dense-twice");
    unlink(in_scratch("2_Dense/model.safetensors"));
    must_refuse("no Dense weights", "2_Dense");
}

/* ---- cut and scrambled files -------------------------------------------------------------------------------------- */

static const char *const parts[] = {"config.json",         "modules.json",           "1_Pooling/config.json", "2_Dense/config.json", "tokenizer.json",
                                    "model.safetensors", "2_Dense/model.safetensors", "tokenizer_config.json"};
enum { PARTS = sizeof parts / sizeof *parts };

/* Every file cut off at many lengths: always refused by its name. */
static void cut_files_are_refused(void **state)
{
    for (int k = 0; k < PARTS; k++) {
        fresh("sentence", "dense-twice");
        size_t size;
        char *bytes = read_bytes(in_scratch(parts[k]), &size);
        size_t end = size; /* the last byte that matters */
        while (end && strchr(" \n\r\t", bytes[end - 1]) && strstr(parts[k], ".json")) end--;
        size_t step = 1 + end / 90;
        for (size_t n = 0; n < end; n += n + step < end || n + 1 == end ? step : end - 1 - n) {
            write_bytes(in_scratch(parts[k]), bytes, n);
            char what[100];
            snprintf(what, sizeof what, "%s cut to %zu of %zu bytes", parts[k], n, size);
            must_refuse(what, parts[k]);
        }
        free(bytes);
    }
}

/* Bytes changed, swapped, doubled or removed at random: refused, or it opens and runs to some end. */
static void scrambled_files_do_no_harm(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    int taken = 0, all = 0;
    fresh("sentence", "dense-twice");
    for (int k = 0; k < PARTS; k++) {
        size_t size;
        char *bytes = read_bytes(in_scratch(parts[k]), &size), *changed = malloc(size + 64);
        assert_non_null(changed);
        size_t reach = strstr(parts[k], "safetensors") ? 3000 : size; /* there, mostly the header */
        for (int round = 0; round < 40; round++, all++) {
            size_t n = size;
            memcpy(changed, bytes, size);
            for (int hits = 1 + rand_r(&seed) % 3; hits--;) {
                size_t at = (size_t)rand_r(&seed) % (reach < n ? reach : n), span = 1 + (size_t)rand_r(&seed) % 16;
                if (at + span > n) span = n - at;
                switch (rand_r(&seed) % 4) {
                case 0: changed[at] = (char)rand_r(&seed); break;
                case 1: changed[at] = "{}[]\",:0-9eE."[rand_r(&seed) % 13]; break;
                case 2:
                    memmove(changed + at, changed + at + span, n - at - span);
                    n -= span;
                    break;
                default:
                    if (n + span > size + 64) break;
                    memmove(changed + at + span, changed + at, n - at);
                    n += span;
                }
            }
            write_bytes(in_scratch(parts[k]), changed, n);
            char message[2000];
            if (!refused(message)) taken++;
            else if (!strstr(message, ".json") && !strstr(message, ".safetensors")) fail_msg("%s: no file in the message: %s", parts[k], message);
        }
        write_bytes(in_scratch(parts[k]), bytes, size);
        free(bytes);
        free(changed);
    }
    print_message("# %d of %d scrambled models opened\n", taken, all);
    assert_true(taken < all);
}

/* ---- inputs -------------------------------------------------------------------------------------------------------- */

static void inputs_are_refused(void **state)
{
    static const struct {
        int32_t length, id, type;
        const char *says;
    } cases[] = {
        {3, 200, 0, "200"}, {3, -1, 0, "-1"}, {3, INT32_MAX, 0, "2147483647"}, {3, INT32_MIN, 0, "-2147483648"},
        {3, 5, 2, "2"},     {3, 5, -1, "-1"}, {65, 5, 0, "65|64"},              {100000, 5, 0, "100000|64"},
    };
    lt_ctx *cx = new_context(2);
    char path[600];
    snprintf(path, sizeof path, "%s/bert-tiny", fixtures("models"));
    static int32_t ids[100001], types[100001];
    for (int packed = 0; packed < 2; packed++) {
        lt_model *m = lt_model_open(cx, path, &(lt_model_options){.unpacked = !packed});
        assert_done(cx, m);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int what = 0; what < 3; what++) {
                for (int32_t j = 0; j < cases[i].length; j++) ids[j] = 4, types[j] = 0;
                ids[cases[i].length - 1] = cases[i].id, types[cases[i].length - 1] = cases[i].type;
                lt_scope scope = lt_open(cx, NULL);
                lt_batch b = {.seqs = lt_seqs_new(cx, 1, &cases[i].length), .ids = ids, .types = types};
                if (lt_forward(cx, m, &b, (lt_output)what, NULL)) fail_msg("input %d was taken", (int)i);
                char words[40], *save = NULL;
                snprintf(words, sizeof words, "%s", cases[i].says);
                for (char *w = strtok_r(words, "|", &save); w; w = strtok_r(NULL, "|", &save))
                    if (!strstr(lt_ctx_error(cx), w)) fail_msg("input %d: \"%s\" does not say %s", (int)i, lt_ctx_error(cx), w);
                lt_ctx_clear(cx);
                lt_end(cx, scope);
            }
        lt_model_close(m);
    }
    assert_null(lt_model_open(cx, path, &(lt_model_options){.compute = LT_BF16}));
    assert_non_null(strstr(lt_ctx_error(cx), "bf16"));
    lt_ctx_free(cx);
}

/* Lengths that wrap around when added, or are negative. */
static void impossible_lengths_are_refused(void **state)
{
    static const int32_t cases[][2] = {{-1, 3}, {INT32_MAX, INT32_MAX}, {INT32_MIN, 5}, {3, -3}};
    lt_ctx *cx = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(lt_seqs_new(cx, 2, cases[i]));
        assert_true(strlen(lt_ctx_error(cx)) > 0);
        lt_ctx_clear(cx);
    }
    lt_ctx_free(cx);
}

static void memory_stayed_small(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadows count */
#else
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    print_message("# most memory at any time: %ld KiB\n", use.ru_maxrss);
    assert_true(use.ru_maxrss < 200 * 1024); /* the models here are 150 KB */
#endif
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configs_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_keys_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_configs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_tensor_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_tensors_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_that_are_not_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(indexes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sentence_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scrambled_files_do_no_harm, set_up, tear_down),
        cmocka_unit_test(inputs_are_refused),
        cmocka_unit_test(impossible_lengths_are_refused),
        cmocka_unit_test(memory_stayed_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
