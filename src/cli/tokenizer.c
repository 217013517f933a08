/* `lathe tokenizer train`: a tokenizer from texts. The work is lt_tokenizer_train's; here are its options, and what is told of it. */
#include "cli/cli.h"

#include <string.h>

static bool put_result(lt_cli *cli, const lt_tokenizer_train_result *r)
{
    lt_str *s = &cli->out.text;
    if (lt_print_wants_json(&cli->out)) {
        lt_str_puts(s, "{");
        lt_json_member(s, "kind", lt_arg_text(&cli->args, "kind"));
        lt_json_member_int(s, "vocab", r->vocab);
        lt_json_member_int(s, "special", r->special);
        lt_json_member_int(s, "alphabet", r->alphabet);
        lt_json_member_int(s, "merged", r->merged);
        lt_json_member_int(s, "rows", r->rows);
        lt_json_member_int(s, "words", r->words);
        lt_str_puts(s, "}\n");
    } else {
        lt_str_printf(s, "%d entries: %d special, %d of the alphabet, %d merged; from %lld different words in %lld rows\n", r->vocab, r->special, r->alphabet,
                      r->merged, (long long)r->words, (long long)r->rows);
    }
    return lt_print_due(&cli->out);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    lt_tokenizer_train_result r;
    if (strcmp(a->operand[0], "train") != 0) return lt_usage(cli, "expected train, found '%s'", a->operand[0]);
    if (!lt_arg_text(a, "kind")) return lt_usage(cli, "--kind wordpiece or --kind bpe is expected");
    if (!lt_arg_given(a, "vocab-size")) return lt_usage(cli, "--vocab-size N is expected");
    if (!lt_arg_text(a, "out")) return lt_usage(cli, "-o DIR is expected");
    if (lt_arg_flag(a, "ids")) return lt_usage(cli, "--ids: a tokenizer is made from texts");
    const char **special = lt_alloc_array(cli->cx, lt_arg_times(a, "special") + 1, sizeof *special);
    if (!special) return false;
    lt_tokenizer_train_options o = {
        .kind = lt_arg_text(a, "kind"),
        .files = a->operand + 1,
        .n_files = a->operands - 1,
        .columns = lt_arg_text(a, "columns"),
        .format = lt_rows_format_named(lt_arg_text(a, "format")),
        .out = lt_arg_text(a, "out"),
        .vocab_size = (int32_t)lt_arg_int(a, "vocab-size"),
        .min_frequency = lt_arg_int(a, "min-frequency"),
        .limit_alphabet = (int32_t)lt_arg_int(a, "limit-alphabet"),
        .cased = lt_arg_flag(a, "cased"),
        .special = special,
    };
    for (; o.n_special < lt_arg_times(a, "special"); o.n_special++) special[o.n_special] = lt_arg_text_at(a, "special", o.n_special);
    return lt_tokenizer_train(cli->cx, &o, &r) && put_result(cli, &r);
}

static const lt_opt options[] = {
    {"kind", 0, LT_OPT_CHOICE, NULL, "wordpiece: BERT's; bpe: GPT-2's; unigram is not trained yet", NULL, "wordpiece|bpe|unigram"},
    {"vocab-size", 0, LT_OPT_INT, "N", "entries, special tokens and alphabet included", NULL, NULL, 1, 1 << 28},
    {"min-frequency", 0, LT_OPT_INT, "N", "merge no pair that occurs less often", "0", NULL, 0, 1e15},
    {"limit-alphabet", 0, LT_OPT_INT, "N",
     "wordpiece: keep the N most frequent letters; 0: 1000, or as many as half of the vocabulary holds if those do not fit", "0", NULL, 0, 1114112},
    {"cased", 0, LT_OPT_FLAG, NULL, "wordpiece: keep upper case and accents"},
    {"special", 0, LT_OPT_TEXT, "TOKEN", "one more special token, behind the usual ones; may be given several times"},
    {0},
};

const lt_verb lt_verb_tokenizer = {
    .name = "tokenizer",
    .summary = "make a tokenizer from texts",
    .operands = "train [FILE…]",
    .about = "Learns a vocabulary from rows of text and writes DIR/tokenizer.json and DIR/tokenizer_config.json (-o DIR), which lathe, Hugging Face tokenizers "
             "and transformers load, with the same ids. A DIR that is there keeps what else is in it.\n"
             "--kind wordpiece: [PAD] [UNK] [CLS] [SEP] [MASK] have the ids 0 to 4; BERT's normalisation, lower case unless --cased, words and pieces with ##. "
             "--kind bpe: <|endoftext|> is 0, then the 256 bytes; nothing is normalised, no blank is added, and every text comes back.\n"
             "The vocabulary is that of Hugging Face's trainers, each row a text of its own, without a line's end. It has exactly N entries: where the texts do not "
             "give as many, or the alphabet alone has more, that is an error, which says what they give. The files are the same with any --threads.",
    .examples = "lathe tokenizer train --kind wordpiece --vocab-size 30522 corpus.txt.gz -o my-bert\n"
                "lathe tokenizer train --kind bpe --vocab-size 16000 a.jsonl b.jsonl --columns text=body -o my-gpt\n"
                "echo 'Where is the station?' | lathe tokenize my-gpt",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS | LT_VERB_FOLDER,
    .options = options,
    .run = run,
};
