/* `lathe train`: a model from a model and rows of data. The work is lt_train's; here are its options, and what people see meanwhile. */
#include "cli/cli.h"
#include "lathe/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct course { /* since the last time it was told */
    lt_cli *cli;
    double loss, tokens, flops, seconds;
    int64_t steps;
    double peak; /* 0: not measured yet */
} course;

static void note(void *arg, lt_str *line)
{
    course *c = arg;
    if (c->steps == 0 || c->seconds <= 0) return;
    if (c->peak == 0) c->peak = lt_peak_flops(c->cli->cx);
    lt_str_printf(line, "loss %.4f  ", c->loss / (double)c->steps);
    lt_term_amount(line, c->tokens / c->seconds, "tokens/s");
    if (c->peak > 0) lt_str_printf(line, "  %.0f %% of peak", 100 * c->flops / c->seconds / c->peak);
    lt_str_puts(line, "  ");
    *c = (course){.cli = c->cli, .peak = c->peak};
}

static void show(void *arg, const lt_train_step *s)
{
    course *c = arg;
    c->steps++;
    c->loss += s->loss;
    c->tokens += (double)s->tokens;
    c->flops += s->flops;
    c->seconds += s->seconds;
    lt_progress_step(c->cli->cx, s->step);
}

static bool put_result(lt_cli *cli, const lt_train_result *r)
{
    lt_str *s = &cli->out.text;
    if (r->finished_before) {
        lt_remark(cli, "%s: the run had ended; nothing to do", lt_arg_text(&cli->args, "out"));
        return true;
    }
    if (lt_print_wants_json(&cli->out)) {
        lt_str_puts(s, "{");
        lt_json_member_int(s, "steps", r->steps);
        lt_json_member_int(s, "examples", r->examples);
        lt_json_member_int(s, "skipped", r->skipped);
        if (r->cut) lt_json_member_int(s, "cut", r->cut);
        lt_str_puts(s, ",\"loss\":");
        lt_json_put_double(s, r->loss);
        if (!isnan(r->valid_loss)) {
            lt_str_puts(s, ",\"valid_loss\":");
            lt_json_put_double(s, r->valid_loss);
        }
        if (lt_arg_flag(&cli->args, "keep-best")) lt_json_member_int(s, "best_step", r->best_step);
        lt_str_puts(s, "}\n");
    } else {
        lt_str_printf(s, "%lld steps over %lld examples; loss %.4f", (long long)r->steps, (long long)r->examples, r->loss);
        if (r->seconds > 0) lt_str_printf(s, ", %.0f tokens/s", (double)r->tokens / r->seconds);
        if (!isnan(r->valid_loss)) lt_str_printf(s, ", %.4f in validation", r->valid_loss);
        if (r->skipped) lt_str_printf(s, "; %lld rows were empty and left out", (long long)r->skipped);
        if (r->cut) lt_str_printf(s, "; %lld sentences were longer than a block and cut up", (long long)r->cut);
        lt_str_puts(s, "\n");
    }
    return lt_print_due(&cli->out);
}

static bool is_known(lt_cli *cli, const char *slot, const char *name)
{
    lt_str known = {0};
    const char *names[64], *n;
    int count = 0;
    for (; count < 64 && (n = lt_train_name(slot, count)); count++) {
        if (strcmp(n, name) == 0) return lt_str_free(&known), true;
        names[count] = n;
        lt_str_printf(&known, "%s%s", count ? ", " : "", n);
    }
    lt_suggest(&known, name, names, count);
    lt_usage(cli, "--%s: '%s' is not one of %s", slot, name, known.data ? known.data : "");
    lt_str_free(&known);
    return false;
}

/* What the rows become. */
static void take_data_options(const lt_args *a, lt_train_options *o)
{
    lt_mask_options *m = &o->mask;
    o->cache = lt_arg_text(a, "cache");
    o->break_mode = lt_arg_text(a, "break-mode");
    o->pair_copies = (int)lt_arg_int(a, "pair-copies");
    o->short_pairs = lt_arg_num(a, "short-pairs");
    o->bucket = (int)lt_arg_int(a, "bucket");
    o->pack = lt_arg_given(a, "pack");
    o->exchange = lt_arg_text(a, "exchange");
    o->prefetch = (int)lt_arg_int(a, "prefetch");
    m->unit = lt_arg_text(a, "mask-unit");
    m->count = lt_arg_text(a, "mask-count");
    m->pool = lt_arg_text(a, "mask-pool");
    m->decide = lt_arg_text(a, "mask-decide");
    m->rate = lt_arg_num(a, "mask-rate");
    m->keep = lt_arg_num(a, "mask-keep");
    m->random = lt_arg_num(a, "mask-random");
    m->most = (int)lt_arg_int(a, "mask-most");
    m->span_p = lt_arg_num(a, "mask-span-p");
    m->span_most = (int)lt_arg_int(a, "mask-span-most");
    m->fixed = (int)lt_arg_int(a, "mask-fixed");
}

static bool is_known_optimizer(lt_cli *cli, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text); /* settings may follow */
    return is_known(cli, "optimizer", name);
}

static bool all_groups(lt_cli *cli, lt_train_options *o)
{
    const int n = lt_arg_times(&cli->args, "group");
    const char **group = lt_alloc_array(cli->cx, n + 1, sizeof *group);
    for (int i = 0; group && i < n; i++) group[i] = lt_arg_text_at(&cli->args, "group", i);
    o->group = group;
    o->groups = group ? n : 0;
    return group != NULL;
}

static bool update_details(lt_cli *cli, lt_train_options *o)
{
    const lt_args *a = &cli->args;
    o->layer_decay = lt_arg_num(a, "layer-decay");
    o->decay_all = lt_arg_flag(a, "decay-all");
    o->ema = lt_arg_num(a, "ema");
    o->clip_by = lt_arg_text(a, "clip-by");
    o->mean = lt_arg_text(a, "loss-mean");
    o->decay_from_start = strcmp(lt_arg_text(a, "decay-from"), "start") == 0;
    o->warmup_from = (int)lt_arg_int(a, "warmup-from");
    o->lr_end = lt_arg_num(a, "lr-end");
    o->power = lt_arg_num(a, "power");
    o->anchor = lt_arg_num(a, "anchor");
    return all_groups(cli, o);
}

/* With a teacher the first operand is that, the second the model. */
static bool run_with(lt_cli *cli, bool taught)
{
    const lt_args *a = &cli->args;
    lt_train_options o = lt_train_defaults;
    const char *data = lt_arg_text(a, "data"), *objective = lt_arg_text(a, "objective");
    const char **files = lt_alloc_array(cli->cx, a->operands + 1, sizeof *files);
    if (!files) return false;
    if (data) files[o.n_data++] = data;
    for (int i = 1 + taught; i < a->operands; i++) files[o.n_data++] = a->operand[i];
    if (taught) {
        o.teacher = a->operand[0];
        o.losses = lt_arg_text(a, "losses");
        o.temperature = lt_arg_num(a, "temperature");
        o.relation_heads = (int)lt_arg_int(a, "relation-heads");
        o.clean_inputs = lt_arg_flag(a, "clean-inputs");
        if (!o.losses) return lt_usage(cli, "--losses is expected: of logits, hidden, attention, values, queries, keys, cls");
    }
    if (!objective) return lt_usage(cli, "--objective is expected");
    if (!o.n_data) return lt_usage(cli, "--data FILE is expected");
    if (!lt_arg_text(a, "out")) return lt_usage(cli, "-o OUT is expected");
    o.optimizer = lt_arg_text(a, "optimizer");
    o.schedule = lt_arg_text(a, "schedule");
    if (!is_known(cli, "objective", objective) || !is_known_optimizer(cli, o.optimizer) || !is_known(cli, "schedule", o.schedule)) return false;
    o.model = a->operand[taught];
    o.out = lt_arg_text(a, "out");
    o.objective = objective;
    o.data = files;
    o.valid = lt_arg_text(a, "valid");
    o.ids = lt_arg_given(a, "ids");
    o.columns = lt_arg_text(a, "columns");
    o.format = lt_rows_format_named(lt_arg_text(a, "format"));
    o.random = lt_arg_given(a, "init");
    o.steps = lt_arg_int(a, "steps");
    o.epochs = lt_arg_int(a, "epochs");
    if (o.steps && o.epochs) return lt_usage(cli, "--steps and --epochs: one of them is expected");
    o.batch = (int)lt_arg_int(a, "batch");
    if (lt_arg_given(a, "batch-tokens")) {
        if (lt_arg_given(a, "batch")) return lt_usage(cli, "--batch and --batch-tokens: one of them is expected");
        o.batch_tokens = lt_arg_int(a, "batch-tokens");
    }
    if ((o.batch_cost = lt_arg_int(a, "batch-cost")) && (lt_arg_given(a, "batch") || lt_arg_given(a, "batch-tokens")))
        return lt_usage(cli, "--batch, --batch-tokens and --batch-cost: one of them is expected");
    if (lt_arg_given(a, "pack") && (o.batch_cost || o.batch_tokens || lt_arg_int(a, "bucket") > 1))
        return lt_usage(cli, "--pack: a batch is --batch full rows; neither --batch-tokens, --batch-cost nor --bucket goes with it");
    o.accumulate = (int)lt_arg_int(a, "accumulate");
    o.max_tokens = (int)lt_arg_int(a, "max-tokens");
    o.no_shuffle = lt_arg_given(a, "no-shuffle");
    o.seed = (uint64_t)lt_arg_int(a, "seed");
    o.lr = lt_arg_num(a, "lr");
    o.weight_decay = lt_arg_num(a, "weight-decay");
    o.beta1 = lt_arg_num(a, "beta1");
    o.beta2 = lt_arg_num(a, "beta2");
    o.eps = lt_arg_num(a, "eps");
    o.momentum = lt_arg_num(a, "momentum");
    o.clip = lt_arg_num(a, "clip");
    if (lt_arg_given(a, "dropout")) o.dropout = lt_arg_num(a, "dropout");
    o.warmup = lt_arg_int(a, "warmup");
    o.freeze = lt_arg_text(a, "freeze");
    if (!update_details(cli, &o)) return false;
    o.every = lt_arg_int(a, "every");
    o.save_every = lt_arg_int(a, "save-every");
    o.patience = lt_arg_int(a, "patience");
    o.log = lt_arg_text(a, "log");
    o.resume = lt_arg_given(a, "resume");
    o.metric = lt_arg_text(a, "metric");
    o.keep_best = lt_arg_flag(a, "keep-best");
    if ((o.metric || o.keep_best) && !o.valid) return lt_usage(cli, "--%s needs rows to validate with: --valid FILE", o.keep_best ? "keep-best" : "metric");
    take_data_options(a, &o);
    o.spike = lt_arg_num(a, "spike");
    o.dist = lt_arg_text(a, "dist");
    o.recompute = lt_arg_given(a, "activation-checkpointing");
    const char *precision = lt_arg_text(a, "precision");
    const bool either = precision && strcmp(precision, "auto") == 0; /* the best that the machine has */
    o.bf16 = either || (precision && strcmp(precision, "bf16") == 0);
    if (precision && !o.bf16 && strcmp(precision, "f32") != 0) return lt_usage(cli, "--precision %s: training computes in f32 or bf16", precision);
    o.scale = lt_arg_num(a, "scale");
    o.cache_batch = (int)lt_arg_int(a, "cache-batch");
    o.label_smoothing = lt_arg_num(a, "label-smoothing");
    o.balance = lt_arg_given(a, "class-weights");
    if (strcmp(objective, "contrastive") != 0)
        for (int i = 0; i < 2; i++)
            if (lt_arg_given(a, i ? "cache-batch" : "scale")) return lt_usage(cli, "--%s: is of --objective contrastive", i ? "cache-batch" : "scale");
    lt_train_result r;
    lt_str record = {0};
    lt_args_record(a, &record, o.batch_tokens ? "batch" : "batch-tokens");
    o.record = record.failed ? NULL : record.data;
    course c = {.cli = cli};
    cli->term.note = note;
    cli->term.note_arg = &c;
    const bool good = lt_train(cli->cx, &o, show, &c, &r);
    cli->term.note = NULL;
    lt_str_free(&record);
    cli->silent = r.worker > 0;
    if (good && o.bf16 && !r.bf16 && !either && !r.finished_before) lt_remark(cli, "this machine does not multiply bf16: computed in f32");
    return good && (cli->silent || put_result(cli, &r));
}

static bool run(lt_cli *cli) { return run_with(cli, false); }
static bool run_taught(lt_cli *cli) { return run_with(cli, true); }

// Options of everything that trains: what is learned from, how weights move, and what is kept of the run.
#define DATA_OPTIONS \
    {"data", 0, LT_OPT_FILE, "FILE", "rows to learn from; more files may follow MODEL"}, \
    {"init", 0, LT_OPT_CHOICE, NULL, "random: take only the config (and tokenizer) of MODEL", NULL, "random"}, \
    {"steps", 0, LT_OPT_INT, "N", "updates; 0: by epochs", "0", NULL, 0, 1e12}, \
    {"epochs", 0, LT_OPT_INT, "N", "times through the data; 0: once", "0", NULL, 0, 1e9}, \
    {"batch", 0, LT_OPT_INT, "N", "sequences of a batch (or --batch-tokens)", "32", NULL, 1, 1e6}, \
    {"accumulate", 0, LT_OPT_INT, "N", "batches of one update", "1", NULL, 1, 1e6}, \
    {"no-shuffle", 0, LT_OPT_FLAG, NULL, "take the rows in the order of the file"}, \
    {"dropout", 0, LT_OPT_NUM, "P", "overrides every dropout of the config", NULL, NULL, 0, 0.99}, \
    {"activation-checkpointing", 0, LT_OPT_FLAG, NULL, "keep only what blocks read, and compute them again in the backward pass: less memory, a third more work"}, \
    {"scale", 0, LT_OPT_NUM, "X", "contrastive: what cosines are multiplied by", "20", NULL, 1e-6, 1e6}, \
    {"cache-batch", 0, LT_OPT_INT, "N", "contrastive: texts that pass the model at a time, by gradient caching; 0: a whole batch", "0", NULL, 0, 1e6}, \
    {"label-smoothing", 0, LT_OPT_NUM, "P", "share of each label that is spread over all of them", "0", NULL, 0, 0.999}, \
    {"class-weights", 0, LT_OPT_CHOICE, NULL, "classify: balanced: a row weighs by how rare its label is", NULL, "balanced"}, \
    {"break-mode", 0, LT_OPT_CHOICE, NULL, "mlm: a row is a text, or sentences (rows; an empty one ends a document) are joined to blocks of --max-tokens, broken anywhere, or only between sentences, or there and between documents", "row", "row|none|complete|complete-doc"}, \
    {"pair-copies", 0, LT_OPT_INT, "N", "nsp, sop: times the texts are gone through, each time paired otherwise", "1", NULL, 1, 1000}, \
    {"short-pairs", 0, LT_OPT_NUM, "P", "nsp, sop: the share of pairs that are made shorter by chance", "0.1", NULL, 0, 1}, \
    {"batch-cost", 0, LT_OPT_INT, "N", "a batch's budget as --batch-tokens, but long sequences count more, by what attention costs; 0: none", "0", NULL, 0, 1e12}, \
    {"bucket", 0, LT_OPT_INT, "N", "make batches of examples of like length, out of N batches' worth at a time; 0: as they come", "0", NULL, 0, 1e6}, \
    {"pack", 0, LT_OPT_FLAG, NULL, "a batch is --batch rows of --max-tokens, filled with whole examples; attention stays within each"}, \
    {"exchange", 0, LT_OPT_CHOICE, NULL, "deal the sequences of an update's batches out anew, so that these have as many tokens, or cost as much; none: only log how uneven they are", NULL, "none|tokens|cost"}, \
    {"prefetch", 0, LT_OPT_INT, "N", "steps whose batches are made while an earlier one runs; 0: none", "2", NULL, 0, 60}, \
    {"cache", 0, LT_OPT_FILE, "DIR", "keep the rows' tokens there, in files, for other runs over the same data (much data: in OUT until the run ends; classify: always in memory)"}, \
    {"mask-rate", 0, LT_OPT_NUM, "P", "mlm: the share of tokens that is hidden", "0.15", NULL, 1e-6, 1}, \
    {"mask-keep", 0, LT_OPT_NUM, "P", "mlm: of those, the share that stays as it is", "0.1", NULL, 0, 1}, \
    {"mask-random", 0, LT_OPT_NUM, "P", "mlm: … and that becomes another token; the rest becomes the mask", "0.1", NULL, 0, 1}, \
    {"mask-unit", 0, LT_OPT_CHOICE, NULL, "mlm: what is hidden as a whole: a piece, a word, a span of words", "piece", "piece|word|span"}, \
    {"mask-count", 0, LT_OPT_CHOICE, NULL, "mlm: each by itself, their share's floor plus a random unit, or the rounded share of all tokens (of spans always one of the latter)", NULL, "bernoulli|floor|round"}, \
    {"mask-most", 0, LT_OPT_INT, "N", "mlm: of round, the most tokens of a sequence; 0: any", "0", NULL, 0, 1e6}, \
    {"mask-pool", 0, LT_OPT_CHOICE, NULL, "mlm: other tokens: any, any but special ones, or as often as the texts have them", "vocab", "vocab|ordinary|unigram"}, \
    {"mask-decide", 0, LT_OPT_CHOICE, NULL, "mlm: mask, other or none is decided for each piece or once a unit (default: of spans once)", NULL, "piece|unit"}, \
    {"mask-span-p", 0, LT_OPT_NUM, "P", "mlm: lengths of spans are geometric …", "0.2", NULL, 1e-6, 1}, \
    {"mask-span-most", 0, LT_OPT_INT, "N", "mlm: … and at most so many words", "10", NULL, 1, 1e4}, \
    {"mask-fixed", 0, LT_OPT_INT, "N", "mlm: epochs use N maskings of a row in turn; 0: each a new one", "0", NULL, 0, 1e6}

#define UPDATE_OPTIONS \
    {"optimizer", 0, LT_OPT_TEXT, "NAME", "adamw, sgd, lion, lamb, adafactor, muon or schedule_free; settings may follow, as in " \
     "adamw:eps_at=before,correct=no (see lathe list optimizer)", "adamw"}, \
    {"lr", 0, LT_OPT_NUM, "X", "learning rate", "5e-5", NULL, 0, 1e6}, \
    {"schedule", 0, LT_OPT_TEXT, "NAME", "behind the warm-up: constant, linear, cosine, inverse_sqrt, wsd or polynomial", "constant"}, \
    {"warmup", 0, LT_OPT_INT, "N", "steps in which the rate rises", "0", NULL, 0, 1e12}, \
    {"weight-decay", 0, LT_OPT_NUM, "X", "not of biases and norm weights (see --decay-all)", "0.01", NULL, 0, 1e6}, \
    {"beta1", 0, LT_OPT_NUM, "X", "of the mean of gradients", "0.9", NULL, 0, 1}, \
    {"beta2", 0, LT_OPT_NUM, "X", "of the mean of their squares; of lion, of its state", "0.999", NULL, 0, 1}, \
    {"eps", 0, LT_OPT_NUM, "X", "of adamw and its kin, below the fraction", "1e-8", NULL, 0, 1}, \
    {"momentum", 0, LT_OPT_NUM, "X", "of sgd", "0.9", NULL, 0, 1}, \
    {"clip", 0, LT_OPT_NUM, "X", "largest norm of the gradient; 0: any", "1", NULL, 0, 1e30}, \
    {"freeze", 0, LT_OPT_TEXT, "REGEX", "parameters whose names it is found in stay as they are"}, \
    {"group", 0, LT_OPT_TEXT, "REGEX:KEY=X,…", "parameters whose names it is found in: lr, a factor of the rate; decay, a factor of " \
     "--weight-decay; frozen, for so many steps; may be given again, and the last one that fits counts"}, \
    {"layer-decay", 0, LT_OPT_NUM, "X", "the rate of block l of L (from 0) times X^(L-l): embeddings have the lowest, the head all of it", "1", NULL, 1e-6, 1}, \
    {"decay-all", 0, LT_OPT_FLAG, NULL, "--weight-decay is of biases and norm weights too"}, \
    {"ema", 0, LT_OPT_NUM, "D", "validate and save a moving average of the weights, which keeps D of itself at each step; 0: the weights", \
     "0", NULL, 0, 0.9999999}, \
    {"clip-by", 0, LT_OPT_CHOICE, NULL, "what --clip is a norm of: all of the gradient, or each tensor of it", "global", "global|tensor|worker"}, \
    {"loss-mean", 0, LT_OPT_CHOICE, NULL, "what the loss is a mean over: the targets of a step; of each batch, then batches; of each sequence, then " \
     "sequences; none: their sum", "step", "step|batch|sequence|none"}, \
    {"decay-from", 0, LT_OPT_CHOICE, NULL, "where schedules begin to fall: behind the warm-up, or at the start, as BERT's", "warmup", "warmup|start"}, \
    {"warmup-from", 0, LT_OPT_INT, "N", "the first rate of a warm-up: 0: zero; 1: lr / steps, as in fairseq and timm", "0", NULL, 0, 1}, \
    {"lr-end", 0, LT_OPT_NUM, "X", "rate that schedules go down to", "0", NULL, 0, 1e6}, \
    {"power", 0, LT_OPT_NUM, "X", "of the polynomial schedule", "1", NULL, 0, 100}, \
    {"anchor", 0, LT_OPT_NUM, "X", "L2-SP: pull weights back to where they began: X/2 times their squared distance from there is a penalty, of which the logged " \
     "loss does not tell", "0", NULL, 0, 1e6}

#define RUN_OPTIONS \
    {"valid", 0, LT_OPT_FILE, "FILE", "rows to validate with, every --every steps and at the end"}, \
    {"every", 0, LT_OPT_INT, "N", "steps between validations; 0: only at the end", "0", NULL, 0, 1e12}, \
    {"patience", 0, LT_OPT_INT, "N", "validations without a better loss (or --metric) before the run ends; 0: never", "0", NULL, 0, 1e9}, \
    {"log", 0, LT_OPT_FILE, "FILE", "JSON lines: loss, rate, gradient norm and tokens of each step; metrics of each validation"}, \
    {"save-every", 0, LT_OPT_INT, "N", "steps between checkpoints under OUT; 0: none", "0", NULL, 0, 1e12}, \
    {"resume", 0, LT_OPT_FLAG, NULL, "go on from the newest checkpoint under OUT"}, \
    {"metric", 0, LT_OPT_TEXT, "NAME", "of a validation: which decides what is better, for --patience and --keep-best; default: loss"}, \
    {"keep-best", 0, LT_OPT_FLAG, NULL, "end with the weights of the best validation, which are kept as OUT/best meanwhile"}, \
    {"spike", 0, LT_OPT_NUM, "X", "a loss more than X times the median of the last 100 ends the run, naming its rows; 0: none does", "0", NULL, 0, 1e12}, \
    {"config", 0, LT_OPT_FILE, "FILE", "options from a JSON object by their long names; OUT/training.json is one; the command line wins"}, \
    {"dist", 0, LT_OPT_CHOICE, NULL, "mpi: this process is one of those that mpirun started, each of which takes its share of every batch", "none", "none|mpi"}

static const lt_opt options[] = {
    {"objective", 0, LT_OPT_TEXT, "NAME", "what is learned: labels, mlm, classify, regress, tag, span, contrastive, nsp, mlm+nsp … (see lathe list objective)"},
    DATA_OPTIONS,
    UPDATE_OPTIONS,
    RUN_OPTIONS,
    {0},
};

static const lt_opt taught_options[] = {
    {"losses", 0, LT_OPT_TEXT, "LIST", "of logits, hidden, attention, values, queries, keys, cls, each with =WEIGHT behind it or 1; objective=WEIGHT"},
    {"objective", 0, LT_OPT_TEXT, "NAME", "what is learned beside: as of train; none: texts need no labels", "none"},
    {"temperature", 0, LT_OPT_NUM, "T", "softens logits of both", "1", NULL, 1e-3, 1e3},
    {"relation-heads", 0, LT_OPT_INT, "N", "parts that values, queries and keys are cut into; 0: heads", "0", NULL, 0, 1e4},
    {"clean-inputs", 0, LT_OPT_FLAG, NULL, "all losses compare what both make of texts as they are, not as --objective has masked them; cls always does"},
    DATA_OPTIONS,
    UPDATE_OPTIONS,
    RUN_OPTIONS,
    {0},
};

const lt_verb lt_verb_train = {
    .name = "train",
    .summary = "learn from rows of data",
    .operands = "MODEL [FILE…]",
    .about = "Reads rows, trains, and writes the model directory OUT (-o). --objective labels takes rows of \"ids\" and \"labels\", a target for each token (-100: "
             "none); mlm takes texts; classify takes texts (and pairs) with a label, whose names are those of MODEL if it is a classifier, else those "
             "of the data, sorted; a JSON list as label, or several fastText labels (__label__NAME) before a text, make it a classifier of several "
             "labels a text; regress takes texts with a number as label; tag takes rows of \"words\" and \"tags\", in JSON or CoNLL columns; span takes "
             "\"question\", \"context\" and \"answers\", or files of SQuAD's, and cuts contexts into windows of --max-tokens (384) that overlap by 128; "
             "contrastive takes \"anchor\", \"positive\" (or \"text\", \"text_pair\") and, if there are such, \"negative\" or a list \"negatives\", and trains the embeddings that embed gives: each anchor against all other texts of its batch; nsp and sop (and mlm+nsp, mlm+sop) take documents: "
             "their sentences a line each, an empty line behind each document. A head that MODEL does not have is made "
             "at random.\n"
             "The loss is the mean over all counted targets of a step. Batches hold no padding. The same seed gives the same weights, bit for bit, with any "
             "number of threads.\n"
             "--save-every keeps checkpoints under OUT, each a model directory; the same command with --resume goes on from the newest one, and ends "
             "with the weights and the log of a run that was never stopped.\n"
             "--config FILE gives options as a JSON object by their long names; OUT/training.json keeps what a run was told in that form.\n"
             "mpirun -n N lathe train … --dist mpi has N processes share each batch, so that their costs are even; its losses are those of one process. The log then "
             "has \"balance\", what the costliest share costs over the mean.",
    .examples = "lathe train all-MiniLM-L6-v2 --objective classify --data train.tsv --valid dev.tsv --epochs 3 --lr 3e-5 -o sst2\n"
                "lathe train all-MiniLM-L6-v2 --objective contrastive --data pairs.jsonl --batch 512 --cache-batch 32 --lr 2e-5 -o mine\n"
                "lathe train bert --objective mlm --data corpus.txt --steps 10000 --warmup 500 --schedule linear --save-every 1000 --log log.jsonl -o out\n"
                "lathe train bert --init random --objective labels --data rows.jsonl --no-shuffle --dropout 0 --steps 20 -o out\n"
                "mpirun -n 4 lathe train bert --objective mlm --data corpus.txt --epochs 1 --dist mpi --threads 1 -o out",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS | LT_VERB_FOLDER | LT_VERB_LINES,
    .options = options,
    .run = run,
};

const lt_verb lt_verb_distill = {
    .name = "distill",
    .summary = "teach a model what another one knows",
    .operands = "TEACHER STUDENT [FILE…]",
    .about = "Trains STUDENT on what TEACHER makes of the same texts, and writes the model directory OUT (-o). Both read the same tokens; the student may be "
             "of any depth and width. --losses says what is compared: attention and values are MiniLM's, of the last blocks; queries and keys its second "
             "version's; hidden compares hidden states of all blocks, through a learned matrix where widths differ; logits what the heads say, in which case the "
             "student gets a head like the teacher's. Each is a mean over the tokens of a text, then over texts. cls is the squared distance between the two first "
             "tokens' last hidden states, a mean over texts.\n"
             "With --objective the student learns from labels too. What it masks is masked for the teacher as well, except with --clean-inputs and for cls: those "
             "compare in a second pass over the texts as they are, whose gradient is added before the update. All else is as in train. A teacher assistant is two runs: teacher to assistant, assistant to "
             "student.",
    .examples = "lathe distill bert small --init random --losses attention,values --data corpus.txt --steps 10000 --lr 5e-4 --warmup 400 --schedule linear -o mini\n"
                "lathe distill sst2 small --losses logits=0.9,objective=0.1 --temperature 2 --objective classify --data train.tsv --epochs 3 -o small-sst2\n"
                "lathe distill further start --losses cls --objective mlm --data texts.txt --steps 2000 --lr 1.5e-4 --schedule linear -o self",
    .least = 2,
    .most = -1,
    .traits = LT_VERB_ROWS | LT_VERB_FOLDER | LT_VERB_LINES,
    .options = taught_options,
    .run = run_taught,
};
