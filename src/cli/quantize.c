/* `lathe quantize`: a model with weights of fewer bits as a directory of its own, and what that costs and saves on the user's texts. */
#include "cli/compare.h"
#include "cli/held.h"
#include "lathe/compress.h"

#include <string.h>

/* What the texts of --calibrate say; NULL without an error: there are none. */
static lt_calibration *calibrate(lt_cli *cli, lt_precision p)
{
    const char *file = lt_arg_text(&cli->args, "calibrate");
    if (!file) return NULL;
    lt_held in = {0};
    lt_feed f;
    lt_calibration *c = NULL;
    lt_model *m = lt_model_open(cli->cx, cli->args.operand[0], &(lt_model_options){.precision = LT_PRECISION_F32});
    bool good = lt_feed_open(&f, cli, &file, 1, LT_FEED_TEXT);
    if (m && good && lt_held_read(cli, m, &f, &in))
        c = lt_calibrate(cli->cx, m, in.ids, in.begin, in.n, &(lt_calibrate_options){.gram = p == LT_PRECISION_INT4});
    lt_feed_close(&f);
    lt_held_free(&in);
    lt_model_close(m);
    return c;
}

static lt_model *open_for(lt_cli *cli, lt_precision p, lt_smoothing *smoothing)
{
    const char *path = cli->args.operand[0];
    const lt_model_info *about = lt_model_inspect(cli->cx, path);
    if (!about) return NULL;
    const bool coded = about->quantized && strcmp(about->dtype, "bf16") != 0;
    if (coded && strcmp(about->dtype, lt_precision_name(p)) != 0)
        return lt_fail(cli->cx, LT_ERR_UNSUPPORTED, "%s: is quantised to %s already: quantise the model it was made of", path, about->dtype);
    if (coded && lt_arg_text(&cli->args, "calibrate"))
        return lt_fail(cli->cx, LT_ERR_UNSUPPORTED, "%s: is quantised already: calibrate the model it was made of", path);
    double threshold = lt_arg_num(&cli->args, "threshold");
    lt_model_options options = {.precision = p, .unpacked = true, .no_tokenizer = true};
    if (smoothing->of) {
        options.convert = p == LT_PRECISION_INT4 ? lt_gptq_int4 : lt_smooth_int8;
        options.convert_arg = p == LT_PRECISION_INT4 ? (void *)smoothing->of : smoothing;
    }
    if (lt_arg_given(&cli->args, "threshold")) options.threshold = threshold > 0 ? threshold : -1;
    return lt_model_open(cli->cx, path, &options);
}

static bool put_bytes(lt_cli *cli, const lt_model *before, const lt_model *after)
{
    lt_str *s = &cli->out.text;
    int64_t from = lt_model_about(before)->bytes, to = lt_model_about(after)->bytes;
    if (lt_print_wants_json(&cli->out)) {
        lt_str_puts(s, "{");
        lt_json_member_int(s, "bytes_before", from);
        lt_json_member_int(s, "bytes_after", to);
        lt_str_puts(s, "}\n");
    } else {
        lt_str_printf(s, "%lld bytes became %lld (%.0f %%)\n", (long long)from, (long long)to, 100 * (double)to / (double)from);
    }
    return lt_print_due(&cli->out);
}

/* Both as anyone would open them: the original in f32, the new one as it says it is. */
static bool report(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *file = lt_arg_text(a, "compare");
    const lt_model_options f32 = {.precision = LT_PRECISION_F32}, stored = {.precision = LT_PRECISION_STORED};
    lt_comparison c;
    lt_model *before = lt_model_open(cli->cx, a->operand[0], &f32), *after = lt_model_open(cli->cx, a->operand[1], &stored);
    bool good = before && after;
    if (good && file) good = lt_compare(cli, before, after, file, &c) && lt_comparison_print(cli, &c);
    else if (good) good = put_bytes(cli, before, after);
    lt_model_close(before);
    lt_model_close(after);
    return good;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *name = lt_arg_text(a, "precision");
    lt_precision p = name ? lt_precision_named(name) : LT_PRECISIONS;
    if (p != LT_PRECISION_BF16 && p != LT_PRECISION_INT8 && p != LT_PRECISION_INT4)
        return lt_usage(cli, "--precision bf16, int8 or int4 is expected%s%s", name ? ", not " : "", name ? name : "");
    if (lt_arg_text(a, "calibrate") && p == LT_PRECISION_BF16) return lt_usage(cli, "--calibrate: bf16 is rounded as it stands");
    if (lt_arg_given(a, "smooth") && (!lt_arg_text(a, "calibrate") || p != LT_PRECISION_INT8))
        return lt_usage(cli, "--smooth is of int8, and needs texts: --calibrate FILE");
    lt_cli_warn_slow(cli, p);
    lt_calibration *c = calibrate(cli, p);
    lt_smoothing smoothing = {.of = c, .alpha = lt_arg_num(a, "smooth")};
    lt_model *m = lt_ok(cli->cx) ? open_for(cli, p, &smoothing) : NULL;
    bool good = m && lt_model_save(cli->cx, m, a->operand[1]);
    lt_model_close(m);
    lt_calibration_free(c);
    return good && report(cli);
}

static const lt_opt options[] = {
    {"calibrate", 0, LT_OPT_FILE, "FILE", "int8, int4: choose codes by what the model makes of these texts"},
    {"smooth", 0, LT_OPT_NUM, "ALPHA", "int8 with --calibrate: how much of the inputs' range moves into the weights, 0 to 1", "0.5", NULL, 0, 1},
    {"compare", 0, LT_OPT_FILE, "FILE", "run the texts of FILE through both models, and tell what differs"},
    {"threshold", 0, LT_OPT_NUM, "X", "int8: inputs of this magnitude or more stay in f32; 0: none do", "6", NULL, 0, 1e30},
    {0},
};

const lt_verb lt_verb_quantize = {
    .name = "quantize",
    .summary = "a model with weights of fewer bits",
    .operands = "MODEL OUT",
    .about = "Writes a model directory OUT that every verb takes, without MODEL; it runs in the precision it was made for, with the very "
             "results that MODEL gives with that --precision. An existing OUT is replaced if it is a model directory.\n"
             "bf16: 16 bits, nearly lossless. int8: weights and inputs of 8 bits, a scale for each output and each token, large inputs kept "
             "apart (Dettmers et al. 2022): the fastest. int4: weights of 4 bits, a scale for each 32 of them: the smallest. Rows of "
             "embeddings are stored in bf16, norms, biases and heads in f32. int8 and int4 are stored as the compressed-tensors format of "
             "the Hugging Face libraries has them.\n"
             "--calibrate runs texts like yours through MODEL first. int8: inputs are smoothed (Xiao et al. 2022), each divided by (its largest "
             "value)^ALPHA / (its largest weight)^(1 - ALPHA), which its weights are multiplied by; a tensor more for each linear layer. int4: codes are chosen one input after another, each making up "
             "for the errors of those before it (GPTQ, Frantar et al. 2022).\n"
             "--compare needs texts like yours. Both models run them, alternately: the original in f32, the new one in its precision. In a "
             "pipe or with --json: {\"cosine_min\", \"cosine_mean\", \"bytes_before\", \"bytes_after\", \"tokens_per_s_before\", "
             "\"tokens_per_s_after\"}, cosines between the two embeddings of each text; for classifiers and rows with a label also "
             "\"accuracy_before\" and \"accuracy_after\". Without --compare: the bytes alone.",
    .examples = "lathe quantize all-MiniLM-L6-v2 minilm-int8 --precision int8 --compare sentences.txt\n"
                "lathe embed minilm-int8 lines.txt -o lines.npy\n"
                "lathe quantize all-MiniLM-L6-v2 minilm-bf16 --precision bf16\n"
                "lathe quantize sst2-bert sst2-int8 --precision int8 --compare dev.tsv --columns text=sentence --json",
    .least = 2,
    .most = 2,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
