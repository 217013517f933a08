/* `lathe version`: which build this is, and which instruction sets of its kernels this machine can run. */
#include "cli/cli.h"

static bool run(lt_cli *cli)
{
    lt_str *s = &cli->out.text;
    if (cli->out.json) {
        lt_str_puts(s, "{");
        lt_json_member(s, "version", LT_VERSION);
        lt_json_key(s, "isa");
        lt_str_puts(s, "[");
        for (int i = 0; i < lt_kernels_count(); i++) lt_str_printf(s, "%s\"%s\"", i ? "," : "", lt_kernels_at(i)->isa);
        lt_str_puts(s, "]}\n");
    } else {
        lt_str_puts(s, "lathe " LT_VERSION "\n");
    }
    return lt_print_due(&cli->out);
}

const lt_verb lt_verb_version = {
    .name = "version",
    .summary = "the version of this build",
    .operands = "",
    .examples = "lathe version\nlathe version --json   # with the instruction sets of this machine",
    .run = run,
};
