/* Protects: shard indexes and sentence-transformers files that are wrong are refused by name and place, every file cut off at any
 * length is refused by its name, and files with bytes changed at random do no harm. */
#include "models/hostile.h"

#include <time.h>

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
        rewrite(index, "weight_map", NULL, cases[i].map);
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
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":\"yes\"}",
         "1_Pooling/config.json|pooling_mode_mean_tokens|\"yes\""},
        {"1_Pooling/config.json", "{\"pooling_mode_median_tokens\":true}", "1_Pooling/config.json|pooling_mode_median_tokens"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false,\"pooling_mode_max_tokens\":false}",
         "1_Pooling/config.json"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false}", "2_Dense/config.json|in_features|64|32"},
        {"1_Pooling/config.json", "{\"include_prompt\":3}", "1_Pooling/config.json|include_prompt|3"},
        {"2_Dense/config.json", "{\"in_features\":63}", "2_Dense/config.json|in_features|63|64"},
        {"2_Dense/config.json", "{\"out_features\":25}", "2_Dense/model.safetensors|linear.weight|[24, 64]|[25, 64]"},
        {"2_Dense/config.json", "{\"out_features\":0}", "2_Dense/config.json|out_features|0"},
        {"2_Dense/config.json", "{\"bias\":\"no\"}", "2_Dense/config.json|bias"},
        {"2_Dense/config.json", "{\"activation_function\":\"torch.nn.modules.activation.Hardshrink\"}",
         "2_Dense/config.json|activation_function|Hardshrink"},
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
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"x\",\"type\":\"a.WordWeights\"}]",
         "modules.json|WordWeights"},
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"9_Pooling\",\"type\":\"a.Pooling\"}]",
         "9_Pooling"},
        {"modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},{\"path\":\"2_Dense\",\"type\":\"a.Dense\"}]",
         "modules.json|Dense"},
        {"modules.json", "[{\"path\":3,\"type\":\"a.Transformer\"}]", "modules.json|path|3"},
        {"1_Pooling/config.json", "[]", "1_Pooling/config.json"},
        {"2_Dense/config.json", "{}", "2_Dense/config.json|in_features"},
        {"2_Dense/config.json", "null", "2_Dense/config.json"},
        {"sentence_bert_config.json", "{\"max_seq_length\":0}", "sentence_bert_config.json|max_seq_length|0"},
        {"sentence_bert_config.json", "{\"max_seq_length\":\"x\"}", "sentence_bert_config.json|max_seq_length"},
        {"sentence_bert_config.json", "{\"do_lower_case\":1}", "sentence_bert_config.json|do_lower_case|1"},
        {"sentence_bert_config.json", "[]", "sentence_bert_config.json"},
        {"config_sentence_transformers.json", "{\"default_prompt_name\":\"q\",\"prompts\":{}}",
         "config_sentence_transformers.json|default_prompt_name|\"q\""},
        {"config_sentence_transformers.json", "{\"prompts\":[]}", "config_sentence_transformers.json|prompts"},
        {"config_sentence_transformers.json", "{\"prompts\":{\"a\":1}}", "config_sentence_transformers.json|prompts|a"},
        {"config_sentence_transformers.json", "{\"similarity_fn_name\":\"nearness\"}",
         "config_sentence_transformers.json|similarity_fn_name|nearness"},
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

static const char *const parts[] = {"config.json",    "modules.json",      "1_Pooling/config.json",     "2_Dense/config.json",
                                    "tokenizer.json", "model.safetensors", "2_Dense/model.safetensors", "tokenizer_config.json"};
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
                case 0:
                    changed[at] = (char)rand_r(&seed);
                    break;
                case 1:
                    changed[at] = "{}[]\",:0-9eE."[rand_r(&seed) % 13];
                    break;
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
            if (!refused(message))
                taken++;
            else if (!strstr(message, ".json") && !strstr(message, ".safetensors"))
                fail_msg("%s: no file in the message: %s", parts[k], message);
        }
        write_bytes(in_scratch(parts[k]), bytes, size);
        free(bytes);
        free(changed);
    }
    print_message("# %d of %d scrambled models opened\n", taken, all);
    assert_true(taken < all);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(indexes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sentence_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scrambled_files_do_no_harm, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
