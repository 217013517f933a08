/* `lathe analyze`: what the inputs of a model's linear layers look like on the user's texts, and which dimensions of its hidden states hold
 * outliers: whether eight bits will do, and where they will not; and what eight bits by each rule would do. */
#include "cli/held.h"
#include "lathe/compress.h"

#include <math.h>

static const char *const sites[LT_SITES] = {"attention", "mixed", "ffn", "inner"};

typedef struct summary { /* of one input */
    int64_t features;    /* with a value at the threshold or above */
    double positions;    /* largest share of tokens in which one of them has it */
    float largest;
} summary;

static summary sum_up(const lt_noted *t)
{
    summary s = {0};
    int64_t over = 0;
    for (int64_t i = 0; i < t->in; i++) {
        s.features += t->over[i] > 0;
        over = t->over[i] > over ? t->over[i] : over;
        s.largest = t->most[i] > s.largest ? t->most[i] : s.largest;
    }
    s.positions = t->rows ? (double)over / (double)t->rows : 0;
    return s;
}

static bool put_input(lt_cli *cli, const lt_noted *t)
{
    const summary sum = sum_up(t);
    lt_str *s = &cli->out.text;
    lt_str_puts(s, "{");
    lt_json_member_int(s, "layer", t->layer);
    lt_json_member(s, "input", sites[t->at]);
    lt_json_member(s, "linear", t->name[0]);
    lt_json_member_num(s, "inf_norm", (double)sum.largest);
    lt_json_member_num(s, "kurtosis", lt_noted_kurtosis(t));
    lt_json_member_int(s, "features", sum.features);
    lt_json_member_num(s, "positions", sum.positions);
    lt_str_puts(s, "}\n");
    return lt_print_due(&cli->out);
}

static bool put_dimensions(lt_cli *cli, const lt_calibration *c, const lt_outlier_dim *d, int n)
{
    lt_str *s = &cli->out.text;
    lt_str_puts(s, "{");
    lt_json_member_num(s, "threshold", c->threshold);
    lt_json_member_int(s, "tokens", c->n ? c->noted[0].rows : 0);
    lt_json_key(s, "outlier_dimensions");
    lt_str_puts(s, "[");
    for (int i = 0; i < n; i++) {
        lt_str_puts(s, i ? ", {" : "{");
        lt_json_member_int(s, "feature", d[i].feature);
        lt_json_member_num(s, "layers", d[i].layers);
        lt_json_member_num(s, "positions", d[i].positions);
        lt_json_member_num(s, "largest", (double)d[i].largest);
        lt_str_puts(s, "}");
    }
    lt_str_puts(s, "]}\n");
    return lt_print_due(&cli->out);
}

static bool print_table(lt_cli *cli, const lt_calibration *c, const lt_outlier_dim *d, int n)
{
    static const char *const heads[] = {">layer", "input", ">largest", ">kurtosis", ">features", ">positions"};
    lt_table t;
    lt_table_begin(&t, cli->cx, heads, 6);
    for (int i = 0; i < c->n; i++) {
        const summary sum = sum_up(&c->noted[i]);
        lt_table_cell(&t, "%d", c->noted[i].layer);
        lt_table_cell(&t, "%s", sites[c->noted[i].at]);
        lt_table_cell(&t, "%.2f", (double)sum.largest);
        lt_table_cell(&t, "%.1f", lt_noted_kurtosis(&c->noted[i]));
        lt_table_cell(&t, "%lld", (long long)sum.features);
        lt_table_cell(&t, "%.1f %%", 100 * sum.positions);
    }
    lt_str *s = &cli->out.text;
    lt_str_printf(s, "%d outlier dimensions (magnitudes of %g or more)\n", n, c->threshold);
    for (int i = 0; i < n; i++)
        lt_str_printf(s, "  feature %lld: %.0f %% of layers, %.1f %% of positions, up to %.1f\n", (long long)d[i].feature, 100 * d[i].layers,
                      100 * d[i].positions, (double)d[i].largest);
    return lt_table_print(&t, &cli->out);
}

static bool print(lt_cli *cli, const lt_calibration *c)
{
    int n;
    const lt_outlier_dim *d = lt_outlier_dimensions(cli->cx, c, &n);
    if (!d) return false;
    if (!lt_print_wants_json(&cli->out)) return print_table(cli, c, d, n);
    for (int i = 0; i < c->n; i++)
        if (!put_input(cli, &c->noted[i])) return false;
    return put_dimensions(cli, c, d, n);
}

static bool look(lt_cli *cli, lt_model *m, const lt_held *in)
{
    lt_calibration *c = lt_calibrate(cli->cx, m, in->ids, in->begin, in->n, &(lt_calibrate_options){.threshold = lt_arg_num(&cli->args, "threshold")});
    const bool good = c && print(cli, c);
    lt_calibration_free(c);
    return good;
}

/* ---- trials ---- */

static bool put_trial(lt_cli *cli, const lt_quantizer *q, const lt_trial *t)
{
    lt_str *s = &cli->out.text;
    lt_str_puts(s, "{");
    lt_json_member(s, "quantizer", q->is.name);
    lt_json_member_num(s, "error", t->error);
    lt_json_member_num(s, "columns", t->columns);
    lt_json_member_num(s, "cosine_min", t->cosine_min);
    lt_json_member_num(s, "cosine_mean", t->cosine_mean);
    if (!isnan(t->loss)) lt_json_member_num(s, "loss", t->loss);
    lt_str_puts(s, "}\n");
    return lt_print_due(&cli->out);
}

static bool print_trials(lt_cli *cli, const lt_quantizer *q, const lt_trial *t, int n)
{
    static const char *const heads[] = {"quantizer", ">error", ">columns", ">cosine min", ">mean", ">loss"};
    lt_table table;
    lt_table_begin(&table, cli->cx, heads, isnan(t->loss) ? 5 : 6);
    for (int i = 0; i < n; i++) {
        lt_table_cell(&table, "%s", q[i].is.name);
        lt_table_cell(&table, "%.5f", t[i].error);
        lt_table_cell(&table, "%.1f", t[i].columns);
        lt_table_cell(&table, "%.5f", t[i].cosine_min);
        lt_table_cell(&table, "%.5f", t[i].cosine_mean);
        if (!isnan(t->loss)) lt_table_cell(&table, "%.4f", t[i].loss);
    }
    return lt_table_print(&table, &cli->out);
}

static bool try_all(lt_cli *cli, lt_model *m, const lt_held *in)
{
    const lt_args *a = &cli->args;
    const lt_trial_options o = {.threshold = lt_arg_num(a, "threshold"), .inject = lt_arg_num(a, "inject"), .seed = (uint64_t)lt_arg_int(a, "seed")};
    int n;
    const lt_quantizer *q = lt_quantizers(&n);
    lt_trial *t = lt_alloc_array(cli->cx, n, sizeof *t);
    if (!t || !lt_try_quantizers(cli->cx, m, in->ids, in->begin, in->n, &o, t)) return false;
    if (!lt_print_wants_json(&cli->out)) return print_trials(cli, q, t, n);
    for (int i = 0; i < n; i++)
        if (!put_trial(cli, &q[i], &t[i])) return false;
    return true;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const bool trials = lt_arg_flag(a, "quantizers");
    if (lt_arg_given(a, "inject") && !trials) return lt_usage(cli, "--inject goes with --quantizers");
    lt_held in = {0};
    lt_feed f;
    lt_model *m = lt_model_open(cli->cx, a->operand[0], &(lt_model_options){.precision = LT_PRECISION_F32, .unpacked = trials, .no_tokenizer = lt_arg_flag(a, "ids")});
    const bool good = m && lt_feed_open(&f, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT) && lt_held_read(cli, m, &f, &in) &&
                      (trials ? try_all(cli, m, &in) : look(cli, m, &in));
    if (m) lt_feed_close(&f);
    lt_held_free(&in);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"threshold", 0, LT_OPT_NUM, "X", "what counts as an outlier: a value of this magnitude or more", "6", NULL, 1e-6, 1e30},
    {"quantizers", 0, LT_OPT_FLAG, NULL, "multiply by eight bits, by one rule after another, and tell what that does"},
    {"inject", 0, LT_OPT_NUM, "M", "--quantizers: multiply six features of attention's and feed-forward layers' inputs by M", "1", NULL, 1, 1e6},
    {0},
};

const lt_verb lt_verb_analyze = {
    .name = "analyze",
    .summary = "ranges, tails and outliers of what layers read",
    .operands = "MODEL [FILE…]",
    .about = "Runs the texts through MODEL in f32 and looks at what its linear layers read. In a pipe or with --json, for each such input "
             "{\"layer\", \"input\", \"linear\", \"inf_norm\", \"kurtosis\", \"features\", \"positions\"}: the first linear layer that reads it, "
             "the largest magnitude, the kurtosis of all values (3: as a normal distribution has it), how many features reach --threshold, "
             "and the largest share of tokens in which one of them does. Inputs are those of attention's q, k and v (attention), of its "
             "output (mixed), of the feed-forward layer (ffn) and of its second half (inner).\n"
             "Last, {\"threshold\", \"tokens\", \"outlier_dimensions\": [{\"feature\", \"layers\", \"positions\", \"largest\"}]}: the features "
             "of hidden states, as they enter attention and feed-forward layers, that reach the threshold in 25 % of layers or more and "
             "6 % of all positions there or more (Dettmers et al. 2022).\n"
             "--quantizers: the linear layers of MODEL multiply by eight bits instead, by each rule that Dettmers et al. compare (lathe list "
             "quantizer): one scale for a matrix or more, with zero points or without, and with outliers kept apart. For each {\"quantizer\", "
             "\"error\", \"columns\", \"cosine_min\", \"cosine_mean\", \"loss\"}: |y' - y| / |y| of all products, how many columns of an input stay "
             "apart, cosines of embeddings to those in f32, and, of models that predict masked tokens, the loss with every seventh token "
             "masked. The first line is f32 itself. --inject puts outliers into a model that has none, and divides weights so that it is the same "
             "model; --seed says which features.\n"
             "A product's input is a batch of some 512 tokens there, and a column stays apart once any of them reaches --threshold.",
    .examples = "lathe analyze all-MiniLM-L6-v2 sentences.txt\n"
                "lathe analyze all-MiniLM-L6-v2 sentences.txt --threshold 4 --json | tail -n 1\n"
                "lathe analyze all-MiniLM-L6-v2 sentences.txt --quantizers --inject 20",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
