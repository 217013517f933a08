/* `lathe list`: everything that this build can put into a slot, from the tables that the engine itself runs on. */
#include "cli/recipes.h"
#include "lathe/nn.h"
#include "lathe/compress.h"
#include "lathe/retrieve.h"
#include "lathe/train.h"

#include <string.h>

static const lt_kind outputs[] = {
    {"output", "json", "one object per line", "RFC 8259"},
    {"output", "npy", "an array in C order: -o FILE.npy", "NEP 1"},
    {"output", "table", "aligned columns on a terminal, tab-separated elsewhere", ""},
    {"output", "trec", "a ranking per query: search --run", "trec_eval"},
};

typedef struct lister {
    lt_cli *cli;
    lt_table table;
    const char *slot; /* NULL: all */
    int64_t found;
    const char *slots[64]; /* those seen, for the nearest right word */
    int n_slots;
} lister;

static void note_slot(lister *l, const char *slot)
{
    for (int i = 0; i < l->n_slots; i++)
        if (!strcmp(l->slots[i], slot)) return;
    if (l->n_slots < 64) l->slots[l->n_slots++] = slot;
}

static bool put(lister *l, const char *slot, const char *name, const char *summary, const char *source)
{
    note_slot(l, slot);
    if (l->slot && strcmp(l->slot, slot)) return true;
    l->found++;
    if (!l->cli->out.json) {
        lt_table_cell(&l->table, "%s", slot);
        lt_table_cell(&l->table, "%s", name);
        lt_table_cell(&l->table, "%s", source ? source : "");
        lt_table_cell(&l->table, "%s", summary);
        return true;
    }
    lt_str *s = &l->cli->out.text;
    lt_str_puts(s, "{");
    lt_json_member(s, "slot", slot);
    lt_json_member(s, "name", name);
    lt_json_member(s, "summary", summary);
    lt_json_member(s, "source", source ? source : "");
    lt_str_puts(s, "}\n");
    return lt_print_due(&l->cli->out);
}

static bool put_table(lister *l, const lt_kind *kinds, int n)
{
    for (int i = 0; i < n; i++)
        if (!put(l, kinds[i].slot, kinds[i].name, kinds[i].summary, kinds[i].source)) return false;
    return true;
}

/* The same for the engine's tables, which are lists of what their fillings begin with. */
static bool put_list(lister *l, const lt_kind *const *kinds, int n)
{
    for (int i = 0; i < n; i++)
        if (!put_table(l, kinds[i], 1)) return false;
    return true;
}

/* Optimizers with their settings, the default of each first. */
static bool put_train(lister *l, const lt_kind *const *kinds, int n)
{
    for (int i = 0; i < n; i++) {
        const char *settings = strcmp(kinds[i]->slot, "optimizer") == 0 ? lt_train_settings(l->cli->cx, kinds[i]->name) : "";
        const char *summary = settings && *settings ? lt_sprintf(l->cli->cx, "%s; settings: %s", kinds[i]->summary, settings) : kinds[i]->summary;
        if (!settings || !summary || !put(l, kinds[i]->slot, kinds[i]->name, summary, kinds[i]->source)) return false;
    }
    return true;
}

static bool put_all(lister *l)
{
    int n_families, n_layers, n_text, n_retrieve, n_train, n_compress;
    const lt_kind *const *families = lt_families(&n_families), *const *layers = lt_nn_kinds(&n_layers),
                         *const *text = lt_text_kinds(&n_text), *const *train = lt_train_kinds(&n_train);
    const lt_kind *retrieve = lt_retrieve_kinds(&n_retrieve), *compress = lt_compress_kinds(&n_compress);
    if (!put_list(l, families, n_families) || !put_list(l, layers, n_layers)) return false;
    for (int i = 0; lt_activation_kind(i); i++)
        if (!put_table(l, lt_activation_kind(i), 1)) return false;
    for (int i = 0; lt_pooling_kind(i); i++)
        if (!put_table(l, lt_pooling_kind(i), 1)) return false;
    if (!put_table(l, outputs, sizeof outputs / sizeof *outputs)) return false;
    if (!put_train(l, train, n_train) || !put_table(l, compress, n_compress)) return false;
    if (!put_list(l, text, n_text) || !put_table(l, retrieve, n_retrieve)) return false;
    for (int i = 0; i < lt_kernels_count(); i++)
        if (!put(l, "isa", lt_kernels_at(i)->isa, "kernels that this machine can run", "")) return false;
    lt_recipes recipes;
    if (!lt_recipes_find(l->cli->cx, &recipes)) return false;
    for (int i = 0; i < recipes.n; i++)
        if (!put(l, "recipe", recipes.at[i].name, recipes.at[i].summary, recipes.at[i].source)) return false;
    for (int i = 0; lt_verbs[i]; i++)
        if (!put(l, "verb", lt_verbs[i]->name, lt_verbs[i]->summary, "")) return false;
    return true;
}

static bool unknown_slot(lister *l)
{
    lt_str s = {0};
    lt_str_printf(&s, "no slot '%s'", l->slot);
    lt_suggest(&s, l->slot, l->slots, l->n_slots);
    lt_str_puts(&s, "; there are");
    for (int i = 0; i < l->n_slots; i++) lt_str_printf(&s, " %s", l->slots[i]);
    lt_usage(l->cli, "%s", s.data ? s.data : "no memory");
    lt_str_free(&s);
    return false;
}

static bool run(lt_cli *cli)
{
    static const char *const heads[] = {"slot", "name", "source", "summary"};
    lister l = {.cli = cli, .slot = cli->args.operands ? cli->args.operand[0] : NULL};
    lt_table_begin(&l.table, cli->cx, heads, 4);
    bool good = put_all(&l) && (l.found || !l.slot || unknown_slot(&l));
    if (good) return lt_table_print(&l.table, &cli->out);
    lt_table_drop(&l.table);
    return false;
}

const lt_verb lt_verb_list = {
    .name = "list",
    .summary = "everything this build can put into each slot",
    .operands = "[SLOT]",
    .about = "Families, tokenizer parts, layers, activations, poolings, analyzers, metrics, formats, recipes and verbs: all, or those "
             "of one slot.\n"
             "--json: {\"slot\", \"name\", \"summary\", \"source\"}, one object per line.",
    .examples = "lathe list\nlathe list family\nlathe list --json | jq -r .slot | sort -u",
    .most = 1,
    .run = run,
};
