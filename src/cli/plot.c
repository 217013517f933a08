/* `lathe plot`: training logs as curves, a panel for each quantity, a colour for each log. What is drawn how is lt_chart_draw's. */
#include "cli/cli.h"
#include "lathe/plot.h"

#include <string.h>
#include <strings.h>

enum { MOST_NAMES = 16 };

typedef struct plot {
    lt_cli *cli;
    int n_logs, n_names;
    const char *names[MOST_NAMES]; /* "loss", "valid.loss", … */
    bool optional[MOST_NAMES];     /* not asked for: left out where no log has it */
    lt_points *points;             /* [n_logs][n_names] */
    lt_panel panels[MOST_NAMES];
} plot;

static bool add_name(plot *p, const char *name, bool optional)
{
    for (int i = 0; i < p->n_names; i++)
        if (!strcmp(p->names[i], name)) return lt_usage(p->cli, "--y: '%s' stands there twice", name);
    if (p->n_names == MOST_NAMES) return lt_usage(p->cli, "--y: at most %d names are expected", MOST_NAMES);
    p->names[p->n_names] = name;
    p->optional[p->n_names++] = optional;
    return true;
}

/* The names of --y; without it the loss, and that in validation where there is one. */
static bool set_names(plot *p)
{
    const char *list = lt_arg_text(&p->cli->args, "y");
    if (!list) return add_name(p, "loss", false) && add_name(p, "valid.loss", true);
    char *copy = lt_sprintf(p->cli->cx, "%s", list), *rest = copy, *name;
    if (!copy) return false;
    while ((name = strsep(&rest, ",")))
        if (!*name) return lt_usage(p->cli, "--y: names are expected with one comma between them, found '%s'", list);
        else if (!add_name(p, name, false)) return false;
    return true;
}

static bool is_there(const plot *p, int name)
{
    for (int i = 0; i < p->n_logs; i++)
        if (p->points[i * p->n_names + name].n) return true;
    return false;
}

static bool missing(plot *p, const char *name, const lt_log_names *known)
{
    lt_str s = {0};
    lt_str_puts(&s, known->n ? "; there are" : "; there is none at all");
    for (int i = 0; i < known->n; i++) lt_str_printf(&s, " %s", known->name[i]);
    lt_suggest(&s, name, known->name, known->n);
    lt_fail(p->cli->cx, LT_ERR_INPUT, "%s: no number '%s'%s", p->cli->args.operand[0], name, s.data ? s.data : "");
    lt_str_free(&s);
    return false;
}

static bool read_logs(plot *p)
{
    static const char *const axes[] = {"step", "tokens", "seconds"};
    const lt_args *a = &p->cli->args;
    lt_log_names known = {0};
    int axis = 0;
    while (axis < 2 && strcmp(axes[axis], lt_arg_text(a, "x")) != 0) axis++;
    p->n_logs = a->operands;
    p->points = lt_alloc_array(p->cli->cx, (int64_t)p->n_logs * p->n_names, sizeof *p->points);
    for (int i = 0; i < p->n_logs; i++)
        if (!p->points || !lt_log_read(p->cli->cx, a->operand[i], axis, p->names, p->n_names, p->points + i * p->n_names, &known)) return false;
    for (int i = 0; i < p->n_names; i++)
        if (!p->optional[i] && !is_there(p, i)) return missing(p, p->names[i], &known);
    return true;
}

/* What a log is called: its path without the endings, and without the folders unless two names would be the same. */
static const char *log_name(plot *p, int which)
{
    const lt_args *a = &p->cli->args;
    const char *path = a->operand[which], *slash = strrchr(path, '/'), *base = slash && slash[1] ? slash + 1 : path;
    for (int i = 0; i < p->n_logs; i++) {
        const char *other = strrchr(a->operand[i], '/');
        if (i != which && !strcmp(other ? other + 1 : a->operand[i], base)) base = path;
    }
    char *name = lt_sprintf(p->cli->cx, "%s", base);
    size_t n = name ? strlen(name) : 0;
    if (n > 6 && !strcmp(name + n - 6, ".jsonl")) name[n - 6] = 0;
    return name;
}

static bool is_valid(const char *name) { return !strncmp(name, "valid.", 6); }

/* The panel of a name: what is measured in training and in validation stands in one. */
static int panel_of(const char *const *panels, int n, const char *name)
{
    const char *what = is_valid(name) ? name + 6 : name;
    for (int i = 0; i < n; i++)
        if (!strcmp(panels[i], what)) return i;
    return n;
}

static lt_mark mark_of(const plot *p)
{
    const char *mark = lt_arg_text(&p->cli->args, "mark");
    return !strcmp(mark, "bars") ? LT_MARK_BARS : !strcmp(mark, "points") ? LT_MARK_POINTS : LT_MARK_LINE;
}

static bool add_series(plot *p, lt_series *s, int *n, int log, int name)
{
    lt_ctx *cx = p->cli->cx;
    const lt_points *points = &p->points[log * p->n_names + name];
    const double weight = lt_arg_num(&p->cli->args, "smooth");
    const bool valid = is_valid(p->names[name]);
    const char *called = log_name(p, log);
    lt_series one = {.name = valid ? lt_sprintf(cx, "%s, validation", called) : called, .mark = valid ? LT_MARK_DASHES : mark_of(p), .colour = log};
    one.x = points->x;
    one.y = points->y;
    one.n = points->n;
    if (p->n_logs == 1 && valid) one.colour = 1;
    if (!points->n) return true;
    if (weight > 0 && !valid) { /* the values themselves stand behind */
        double *smooth = lt_alloc_array(cx, points->n, sizeof *smooth);
        if (!smooth) return false;
        s[*n] = one;
        s[*n].faint = true;
        one.mark = LT_MARK_LINE;
        s[*n].name = NULL;
        ++*n;
        lt_plot_smooth(points->y, points->n, weight, smooth);
        one.y = smooth;
    }
    s[(*n)++] = one;
    return lt_ok(cx);
}

static bool set_panels(plot *p, lt_chart *chart)
{
    const char *names[MOST_NAMES];
    for (int i = 0; i < p->n_names; i++) {
        int panel = panel_of(names, chart->n, p->names[i]);
        if (panel < chart->n || !is_there(p, i)) continue;
        names[chart->n] = is_valid(p->names[i]) ? p->names[i] + 6 : p->names[i];
        p->panels[chart->n++] = (lt_panel){.log = lt_arg_flag(&p->cli->args, "log-y")};
    }
    for (int k = 0; k < chart->n; k++) {
        lt_series *s = lt_alloc_array(p->cli->cx, 2 * (int64_t)p->n_logs * p->n_names, sizeof *s);
        if (!s) return false;
        p->panels[k].name = names[k];
        p->panels[k].series = s;
        for (int log = 0; log < p->n_logs; log++)
            for (int i = 0; i < p->n_names; i++)
                if (panel_of(names, chart->n, p->names[i]) == k && !add_series(p, s, &p->panels[k].n, log, i)) return false;
    }
    return true;
}

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcasecmp(name + n - m, ending);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *out = lt_arg_text(a, "out");
    const bool png = out && ends_in(out, ".png");
    if (out && strcmp(out, "-") != 0 && !png && !ends_in(out, ".svg")) return lt_usage(cli, "-o %s: a name that ends in .svg or .png is expected", out);
    plot p = {.cli = cli};
    lt_chart chart = {.title = lt_arg_text(a, "title"), .x_name = lt_arg_text(a, "x"), .panel = p.panels, .width = (int)lt_arg_int(a, "width")};
    if (!set_names(&p) || !read_logs(&p) || !set_panels(&p, &chart)) return false;
    chart.height = lt_arg_given(a, "height") ? (int)lt_arg_int(a, "height") : 110 + (chart.n == 1 ? 420 : 260 * chart.n);
    lt_drawing *d = lt_chart_draw(cli->cx, &chart);
    return (png ? lt_drawing_png : lt_drawing_svg)(cli->cx, d, &cli->out.text) && lt_print_due(&cli->out);
}

static const lt_opt options[] = {
    {"y", 0, LT_OPT_TEXT, "NAME,…", "what to show: numbers of the log, as in loss,lr,grad_norm,valid.accuracy; default: the loss, in training and in validation"},
    {"x", 0, LT_OPT_CHOICE, NULL, "over steps, tokens seen or seconds spent in steps", "step", "step|tokens|seconds"},
    {"smooth", 0, LT_OPT_NUM, "A", "moving average that keeps A of its past at every step; the values themselves stand faint behind it", "0", NULL, 0, 0.9999},
    {"mark", 0, LT_OPT_CHOICE, NULL, "what stands for a value of training; of few values, points or bars tell more", "line", "line|points|bars"},
    {"log-y", 0, LT_OPT_FLAG, NULL, "logarithmic scales; what is not positive is left out"},
    {"title", 0, LT_OPT_TEXT, "TEXT", "written above"},
    {"width", 0, LT_OPT_INT, "N", "pixels", "960", NULL, LT_PLOT_LEAST, LT_PLOT_MOST},
    {"height", 0, LT_OPT_INT, "N", "pixels; default: by the number of panels", NULL, NULL, LT_PLOT_LEAST, LT_PLOT_MOST},
    {0},
};

const lt_verb lt_verb_plot = {
    .name = "plot",
    .summary = "curves of training logs",
    .operands = "LOG…",
    .about = "Draws the logs that lathe train --log writes (any JSON lines with a rising \"step\"): a panel for each quantity, a colour for each log, which "
             "is named by its file. What is measured in validation (valid.…) stands dashed in the panel of the same quantity in training.\n"
             "The picture is SVG or PNG by the ending of FILE (-o); standard output gets SVG. The same logs give the same bytes.",
    .examples = "lathe plot log.jsonl -o loss.svg\n"
                "lathe plot small.jsonl large.jsonl --y loss,valid.accuracy,lr --x tokens --smooth 0.9 -o runs.png",
    .least = 1,
    .most = -1,
    .options = options,
    .run = run,
};
