/* `lathe recipe`: scripts that show, at the size of this machine, what a paper says. A recipe is run in a process group of its own, so that
 * a signal reaches all it has started; what it prints is passed on, and must end in one table and one verdict. */
#include "cli/recipes.h"
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ; /* POSIX has it nowhere else */

static const char *const verdicts[] = {"holds", "does not show here", "broken"};

/* ---- list ---- */

static bool list(lt_cli *cli, const lt_recipes *all)
{
    static const char *const heads[] = {"recipe", "source", "summary"};
    lt_table t;
    lt_str *s = &cli->out.text;
    if (cli->args.operands > 1) return lt_usage(cli, "list: nothing is expected behind it, found '%s'", cli->args.operand[1]);
    lt_table_begin(&t, cli->cx, heads, 3);
    for (int i = 0; i < all->n; i++) {
        const lt_recipe *r = &all->at[i];
        if (!cli->out.json) {
            lt_table_cell(&t, "%s", r->name);
            lt_table_cell(&t, "%s", r->source);
            lt_table_cell(&t, "%s", r->summary);
            continue;
        }
        lt_str_puts(s, "{");
        lt_json_member(s, "slot", "recipe");
        lt_json_member(s, "name", r->name);
        lt_json_member(s, "summary", r->summary);
        lt_json_member(s, "source", r->source);
        lt_json_member(s, "file", r->path);
        lt_str_puts(s, "}\n");
        if (!lt_print_due(&cli->out)) break;
    }
    return lt_table_print(&t, &cli->out);
}

/* ---- what a recipe prints ---- */

typedef struct listener { /* its lines, one after another */
    lt_str line;          /* what came of one that has not ended */
    lt_str table;         /* the last table: lines that begin with '|' */
    int tables, rows;     /* of all; rows of the last one */
    int verdicts, verdict; /* how many lines, and which word; -1: none of them */
    bool in_table, last;  /* the verdict was the last line */
} listener;

static void hear_line(listener *l)
{
    const char *text = l->line.data ? l->line.data : "";
    const bool row = text[0] == '|', says = !strncmp(text, "verdict: ", 9);
    if (text[0]) l->last = says;
    if (row) {
        if (!l->in_table) l->tables++, l->rows = 0, lt_str_clear(&l->table);
        l->rows++;
        lt_str_puts(&l->table, text);
        lt_str_puts(&l->table, "\n");
    }
    l->in_table = row;
    if (says) {
        l->verdicts++;
        l->verdict = -1;
        for (int i = 0; i < 3; i++)
            if (!strcmp(text + 9, verdicts[i])) l->verdict = i;
    }
    lt_str_clear(&l->line);
}

static void hear(listener *l, const char *text, size_t n)
{
    for (const char *end = text + n, *stop; text < end; text = stop + 1) {
        stop = memchr(text, '\n', (size_t)(end - text));
        /* a line that never ends is no row and no verdict: its beginning is enough */
        if (l->line.size < 1 << 16) lt_str_add(&l->line, text, (size_t)((stop ? stop : end) - text));
        if (!stop) break;
        hear_line(l);
    }
}

static bool check_end(lt_ctx *cx, const lt_recipe *r, listener *l)
{
    if (l->line.size) hear_line(l);
    const char *name = r->name;
    return lt_fail_if(cx, l->line.failed || l->table.failed, LT_ERR_MEMORY, "no memory for what the recipe prints") &&
           lt_fail_if(cx, !l->verdicts, LT_ERR_INPUT, "%s: no verdict; expected a last line 'verdict: holds', 'does not show here' or 'broken'", name) &&
           lt_fail_if(cx, l->verdicts > 1 || !l->last || l->verdict < 0, LT_ERR_INPUT,
                      "%s: expected one line 'verdict: holds', 'does not show here' or 'broken', and nothing behind it", name) &&
           lt_fail_if(cx, l->tables != 1 || l->rows < 3, LT_ERR_INPUT, "%s: %d tables; expected one, of a head, a rule and rows", name, l->tables);
}

/* The cells of a line "| a | b |", each called put with. */
static int cut_row(const char *line, const char *end, const char *cell[32], int size[32])
{
    int n = 0;
    for (const char *p = line + 1, *stop; p < end && n < 32 && (stop = memchr(p, '|', (size_t)(end - p))); p = stop + 1) {
        const char *last = stop;
        while (p < last && *p == ' ') p++;
        while (last > p && last[-1] == ' ') last--;
        cell[n] = p;
        size[n++] = (int)(last - p);
    }
    return n;
}

static bool put_json(lt_cli *cli, const lt_recipe *r, const listener *l)
{
    lt_str *s = &cli->out.text;
    const char *head[32], *cell[32], *p = l->table.data, *stop;
    int head_size[32], size[32], heads = 0, row = 0;
    lt_str_puts(s, "{");
    lt_json_member(s, "recipe", r->name);
    lt_json_member(s, "verdict", verdicts[l->verdict]);
    lt_json_key(s, "table");
    lt_str_puts(s, "[");
    for (; (stop = strchr(p, '\n')); p = stop + 1, row++) {
        int n = cut_row(p, stop, row ? cell : head, row ? size : head_size);
        if (!row) heads = n;
        if (row < 2) continue; /* the head and the rule */
        lt_str_puts(s, row > 2 ? ",{" : "{");
        for (int i = 0; i < n && i < heads; i++) {
            lt_str_puts(s, i ? "," : "");
            lt_json_put_text(s, head[i], (size_t)head_size[i]);
            lt_str_puts(s, ":");
            lt_json_put_text(s, cell[i], (size_t)size[i]);
        }
        lt_str_puts(s, "}");
    }
    lt_str_puts(s, "]}\n");
    return lt_print_due(&cli->out);
}

/* ---- the process ---- */

static const char *const ours[] = {"LATHE=", "LATHE_WORK=", "LATHE_QUICK=", "LATHE_SEEDS=", "LATHE_SEED=", "LATHE_THREADS="};
enum { OURS = sizeof ours / sizeof *ours };

static bool is_ours(const char *entry)
{
    for (int i = 0; i < OURS; i++)
        if (!strncmp(entry, ours[i], strlen(ours[i]))) return true;
    return false;
}

/* This process's environment with what recipes are told in the place of what it says of that. */
static char **environment(lt_cli *cli, const char *work)
{
    const lt_args *a = &cli->args;
    lt_ctx *cx = cli->cx;
    int n = 0, kept = 0;
    while (environ[n]) n++;
    char **list_of = lt_alloc_array(cx, n + OURS + 1, sizeof *list_of);
    const char *self = lt_recipes_self(cx);
    if (!list_of || !self) return NULL;
    for (int i = 0; i < n; i++)
        if (!is_ours(environ[i])) list_of[kept++] = environ[i];
    list_of[kept++] = lt_sprintf(cx, "LATHE=%s", self);
    list_of[kept++] = lt_sprintf(cx, "LATHE_WORK=%s", work);
    list_of[kept++] = lt_sprintf(cx, "LATHE_SEED=%lld", (long long)lt_arg_int(a, "seed"));
    if (lt_arg_flag(a, "quick")) list_of[kept++] = "LATHE_QUICK=1";
    if (lt_arg_given(a, "seeds")) list_of[kept++] = lt_sprintf(cx, "LATHE_SEEDS=%lld", (long long)lt_arg_int(a, "seeds"));
    if (lt_arg_int(a, "threads")) list_of[kept++] = lt_sprintf(cx, "LATHE_THREADS=%lld", (long long)lt_arg_int(a, "threads"));
    list_of[kept] = NULL;
    return lt_ok(cx) ? list_of : NULL;
}

/* Starts `bash path`; what it prints can be read from *from. 0: an error. */
static pid_t start(lt_cli *cli, const lt_recipe *r, const char *work, int *from)
{
    char **env = environment(cli, work), *argv[] = {"bash", (char *)r->path, NULL};
    int ends[2];
    pid_t pid = 0;
    if (!env) return 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return lt_fail_if(cli->cx, true, LT_ERR_IO, "pipe: %s", strerror(errno)), 0;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t normal;
    sigemptyset(&normal);
    sigaddset(&normal, SIGPIPE); /* ignored here, which children would keep */
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&how, &normal);
    int error = posix_spawnp(&pid, "bash", &files, &how, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    close(ends[1]);
    *from = ends[0];
    if (!error) return pid;
    close(ends[0]);
    lt_fail(cli->cx, LT_ERR_IO, "bash: %s", strerror(error));
    return 0;
}

/* Passes on what comes until it ends; false: stop it all. */
static bool pass_on(lt_cli *cli, listener *l, int from)
{
    char block[1 << 14];
    for (;;) {
        ssize_t n = read(from, block, sizeof block);
        if (n == 0) return true;
        if (n < 0 && errno == EINTR) {
            if (!lt_ok(cli->cx)) return false;
            continue;
        }
        if (n < 0) return lt_fail_if(cli->cx, true, LT_ERR_IO, "pipe: %s", strerror(errno));
        hear(l, block, (size_t)n);
        if (cli->out.json) continue;
        lt_str_add(&cli->out.text, block, (size_t)n);
        if (!lt_print_flush(&cli->out)) return false;
    }
}

/* Asks the whole group to stop, and after a while ends it; its exit status. */
static int stop(pid_t pid)
{
    int status = 0;
    kill(-pid, lt_stopped_by ? lt_stopped_by : SIGTERM);
    for (int i = 0; i < 200; i++) { /* 10 seconds */
        if (waitpid(pid, &status, WNOHANG) == pid) break;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    kill(-pid, SIGKILL); /* whoever of the group is still there */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static bool run_script(lt_cli *cli, const lt_recipe *r, const char *work, listener *l)
{
    int from, status = 0;
    pid_t pid = start(cli, r, work, &from);
    if (!pid) return false;
    bool good = pass_on(cli, l, from);
    if (good)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR && lt_ok(cli->cx)) {
        }
    if (!good || !lt_ok(cli->cx)) stop(pid);
    close(from);
    if (!good || !lt_ok(cli->cx)) return false;
    if (WIFSIGNALED(status)) return lt_fail_if(cli->cx, true, LT_ERR_IO, "%s: ended by signal %d", r->path, WTERMSIG(status));
    return lt_fail_if(cli->cx, WEXITSTATUS(status) != 0, LT_ERR_IO, "%s: ended with status %d", r->path, WEXITSTATUS(status));
}

/* ---- run ---- */

static const lt_recipe *find(lt_cli *cli, const lt_recipes *all, const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    const char **names = lt_alloc_array(cli->cx, all->n + 1, sizeof *names);
    for (int i = 0; i < all->n; i++) {
        if (!strcmp(all->at[i].name, name) || (end > name && !*end && strtol(all->at[i].name, NULL, 10) == number)) return &all->at[i];
        if (names) names[i] = all->at[i].name;
    }
    lt_str s = {0};
    if (!all->folder) lt_str_puts(&s, "; there is no folder of recipes beside this binary, and LATHE_RECIPES is not set");
    else lt_str_puts(&s, all->n ? "; there are" : "; there are none");
    for (int i = 0; i < all->n; i++) lt_str_printf(&s, " %s", all->at[i].name);
    if (names) lt_suggest(&s, name, names, all->n);
    lt_usage(cli, "no recipe '%s'%s", name, s.data ? s.data : "");
    lt_str_free(&s);
    return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) { return remove(path), 0; }

/* The folder of -o, made where it is not there, or one that is gone afterwards. */
static const char *work_folder(lt_cli *cli, bool *passing)
{
    const char *given = lt_arg_text(&cli->args, "out"), *tmp = getenv("TMPDIR");
    *passing = !given;
    char *path = given ? NULL : lt_sprintf(cli->cx, "%s/lathe-recipe-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (given && mkdir(given, 0777) != 0 && (errno != EEXIST || !lt_is_dir(given)))
        return lt_fail(cli->cx, LT_ERR_IO, "%s: %s", given, strerror(errno));
    if (path && !mkdtemp(path)) return lt_fail(cli->cx, LT_ERR_IO, "%s: %s", path, strerror(errno));
    char *whole = given || path ? realpath(given ? given : path, NULL) : NULL;
    const char *kept = whole ? lt_sprintf(cli->cx, "%s", whole) : NULL;
    free(whole);
    return kept;
}

static bool run_recipe(lt_cli *cli, const lt_recipes *all)
{
    if (cli->args.operands < 2) return lt_usage(cli, "run: the number of a recipe is expected");
    const lt_recipe *r = find(cli, all, cli->args.operand[1]);
    bool passing = false;
    listener l = {.verdict = -1};
    const char *work = r ? work_folder(cli, &passing) : NULL;
    if (!work) return false;
    bool good = run_script(cli, r, work, &l) && check_end(cli->cx, r, &l) && (!cli->out.json || put_json(cli, r, &l));
    if (passing) nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    good = good && lt_fail_if(cli->cx, l.verdict == 2, LT_ERR_INPUT, "%s: what it is made of is broken", r->name);
    lt_str_free(&l.line);
    lt_str_free(&l.table);
    return good;
}

static bool run(lt_cli *cli)
{
    const char *what = cli->args.operand[0];
    lt_recipes all;
    const bool lists = !strcmp(what, "list");
    if (!lists && strcmp(what, "run") != 0) return lt_usage(cli, "expected list or run, found '%s'", what);
    if (!lt_recipes_find(cli->cx, &all)) return false;
    return lists ? list(cli, &all) : run_recipe(cli, &all);
}

static const lt_opt options[] = {
    {"quick", 0, LT_OPT_FLAG, NULL, "a small version, of minutes", NULL, NULL, 0, 0, "LATHE_QUICK"},
    {"seeds", 0, LT_OPT_INT, "N", "repeat with N seeds, from --seed on; default: the recipe's", NULL, NULL, 1, 100, "LATHE_SEEDS"},
    {0},
};

const lt_verb lt_verb_recipe = {
    .name = "recipe",
    .summary = "what papers say, shown at the size of this machine",
    .operands = "list\nrun NN",
    .about = "list says which recipes there are; --json: {\"slot\", \"name\", \"summary\", \"source\", \"file\"}. run runs one, by its number or name: it prepares "
             "data, trains, measures, and ends with one table and one line 'verdict: holds', 'verdict: does not show here' or 'verdict: broken' (status 1). "
             "--json of run: {\"recipe\", \"verdict\", \"table\"}.\n"
             "Recipes are scripts for bash, in share/lathe/recipes beside this binary or in the folder LATHE_RECIPES. They read data below LATHE_DATA and work in the "
             "folder of -o, which stays, or in one that is removed at the end.",
    .examples = "lathe recipe list\n"
                "lathe recipe run 38 --quick\n"
                "LATHE_DATA=~/data lathe recipe run 10 --seeds 3 -o work",
    .least = 1,
    .most = 2,
    .traits = LT_VERB_FOLDER,
    .options = options,
    .run = run,
};
