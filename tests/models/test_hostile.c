/* Protects: a config and weights that are wrong, made in malice, or do not fit together are refused with a message that names the
 * file, the place and what was expected; inputs that a model cannot take are refused too; and nothing of this crashes, hangs or
 * takes memory out of proportion. */
#include "models/hostile.h"

#include <sys/resource.h>

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
    for (int i = 0; i < lt_model_about(m)->n_unsupported; i++)
        named |= strstr(lt_model_about(m)->unsupported[i], "frobnicate") != NULL;
    assert_true(named);
    lt_model_close(m);
    lt_ctx_free(cx);
}

static void not_configs(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "config.json"},
        {"[]", "config.json|object"},
        {"{", "config.json:1:2"},
        {"null", "config.json|object"},
        {"{\"a\":1,\"a\":2}", "config.json|\"a\""},
        {"\xef\xbb\xbf{}", "config.json"},
        {"{\"model_type\":\"bert\",}", "config.json:1:22"},
        {"\xff\xff", "config.json|UTF-8"},
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
    lt_ctx *cx;
    lt_json *header;
    char *bytes;       /* of the file */
    size_t size, data; /* where data begins */
} weights_file;

static weights_file read_weights(const char *file)
{
    weights_file w;
    w.bytes = read_bytes(in_scratch(file), &w.size);
    uint64_t n;
    memcpy(&n, w.bytes, 8);
    w.data = 8 + (size_t)n;
    w.cx = new_context(1);
    w.header = lt_json_parse(w.cx, w.bytes + 8, (size_t)n, "header");
    assert_done(w.cx, w.header);
    return w;
}

static void write_weights(const char *file, const weights_file *w, const char *text)
{
    size_t n = strlen(text), size = 8 + n + w->size - w->data;
    char *out = malloc(size);
    assert_non_null(out);
    memcpy(out, &(uint64_t){n}, 8);
    memcpy(out + 8, text, n);
    memcpy(out + 8 + n, w->bytes + w->data, w->size - w->data);
    write_bytes(in_scratch(file), out, size);
    free(out);
}

static void free_weights(weights_file *w)
{
    lt_json_free(w->header);
    lt_ctx_free(w->cx);
    free(w->bytes);
}

/* Without any one of its tensors a model is refused by that tensor's name. Leaving out the pooler as a whole is allowed. */
static void a_missing_tensor_is_named(void **state)
{
    fresh("models", "bert-tiny");
    weights_file w = read_weights("model.safetensors");
    const lt_json *value;
    void *iter = NULL;
    for (const char *key; lt_json_each(w.header, &iter, &key, &value);) {
        if (!strcmp(key, "__metadata__") || !strcmp(key, "pooler.dense.weight")) continue;
        /* Files must not have holes, so a small tensor of another name covers the place. */
        lt_str filler = {0};
        lt_str_puts(&filler, "{\"filler\":");
        lt_json_put(&filler, value, 0);
        lt_str_puts(&filler, "}");
        write_weights("model.safetensors", &w, merged(w.cx, w.header, key, filler.data));
        lt_str_free(&filler);
        must_refuse(key, "model.safetensors");
        char message[2000];
        refused(message);
        const char *tail = !strcmp(key, "embeddings.word_embeddings.weight") ? "embeddings.word_embeddings" : key;
        if (!strstr(message, tail)) fail_msg("without %s: \"%s\"", key, message);
    }
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
        write_weights("model.safetensors", &w, merged_inside(w.cx, w.header, name, cases[i].change));
        char says[300];
        snprintf(says, sizeof says, "model.safetensors|%s", cases[i].says);
        must_refuse(cases[i].change, says);
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
    static const char *const headers[] = {"[]",         "null",       "{}",    "{\"a\":1}",
                                          "{\"a\":{}}", "{\"a\":[]}", "\"x\"", "{\"embeddings.word_embeddings.weight\":null}"};
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

/* ---- inputs -------------------------------------------------------------------------------------------------------- */

static void inputs_are_refused(void **state)
{
    static const struct {
        int32_t length, id, type;
        const char *says;
    } cases[] = {
        {3, 200, 0, "200"}, {3, -1, 0, "-1"},    {3, INT32_MAX, 0, "2147483647"}, {3, INT32_MIN, 0, "-2147483648"}, {3, 5, 2, "2"},
        {3, 5, -1, "-1"},   {65, 5, 0, "65|64"}, {100000, 5, 0, "100000|64"},
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

/* A model is packed for the kernels of the context that opened it; a context of others is refused or computes the same. */
static void other_kernels_are_refused(void **state)
{
    static const char *const isas[] = {"ref", "base", "avx2", "avx512", "neon"}, *const names[] = {"bert-tiny",
                                                                                                   "bert-relative_key"};
    enum { ISAS = sizeof isas / sizeof *isas };
    for (int i = 0; i < 2 * 2 * ISAS * ISAS; i++) {
        bool unpacked = i % 2;
        lt_ctx *opens = lt_ctx_new(&(lt_options){.threads = 1, .isa = isas[i / 4 % ISAS]});
        lt_ctx *runs = lt_ctx_new(&(lt_options){.threads = 2, .isa = isas[i / 4 / ISAS]});
        assert_true(opens && runs);
        if (lt_kernels_of(opens, LT_F32) && lt_kernels_of(runs, LT_F32)) {
            fixture f;
            read_fixture(runs, &f, names[i / 2 % 2]);
            lt_model *m = lt_model_open(opens, f.path, &(lt_model_options){.unpacked = unpacked});
            assert_done(opens, m);
            lt_tensor *x = forward(runs, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
            if (x)
                assert_true(distance(x, 0, 1, f.want[LT_OUT_HIDDEN], 0, x->shape[0]) <= 1e-5); /* as in test_hf.c */
            else
                assert_true(strstr(lt_ctx_error(runs), isas[i / 4 % ISAS]) && strstr(lt_ctx_error(runs), isas[i / 4 / ISAS]));
            lt_model_close(m);
            free_fixture(&f);
        }
        lt_ctx_free(opens);
        lt_ctx_free(runs);
    }
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
        cmocka_unit_test(inputs_are_refused),
        cmocka_unit_test(impossible_lengths_are_refused),
        cmocka_unit_test(other_kernels_are_refused),
        cmocka_unit_test(memory_stayed_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
