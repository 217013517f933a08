/* The log: one JSON object a line, on disk before the next step begins. A run that goes on keeps the lines up to where it stands. */
#include "train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct lt_log {
    FILE *f;
    char *path;
};

static bool failed(lt_ctx *cx, const char *path) { return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", path, strerror(errno)); }

/* Bytes of the whole lines whose step is at most this one. */
static bool kept_bytes(lt_ctx *cx, const char *path, int64_t step, int64_t *bytes)
{
    lt_map map;
    *bytes = 0;
    if (!lt_is_file(path)) return true;
    if (!lt_map_open(cx, &map, path)) return false;
    const char *p = (const char *)map.data, *end = p + map.size, *line;
    while (p < end && (line = memchr(p, '\n', (size_t)(end - p)))) {
        static const char begins[] = "{\"step\":";
        if ((size_t)(line - p) < sizeof begins || memcmp(p, begins, sizeof begins - 1) != 0 || strtoll(p + sizeof begins - 1, NULL, 10) > step) break;
        p = line + 1;
        *bytes = p - (const char *)map.data;
    }
    lt_map_close(&map);
    return true;
}

lt_log *lt_log_open(lt_ctx *cx, const char *path, bool go_on, int64_t step)
{
    lt_log *log = lt_new(cx, 1, sizeof *log);
    int64_t kept = 0;
    if (!log || !path) return log;
    log->path = lt_strdup(cx, path);
    if (log->path && (!go_on || kept_bytes(cx, path, step, &kept))) {
        struct stat st;
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        const bool file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode); /* else a pipe or a device, which has no lines to keep */
        if (fd >= 0 && (!file || (ftruncate(fd, kept) == 0 && lseek(fd, kept, SEEK_SET) == kept))) log->f = fdopen(fd, "w");
        if (!log->f) failed(cx, path);
        if (!log->f && fd >= 0) close(fd);
    }
    if (log->f) return log;
    lt_log_close(log);
    return NULL;
}

static bool put(lt_ctx *cx, lt_log *log, const lt_str *line)
{
    if (line->failed) return lt_fail_if(cx, true, LT_ERR_MEMORY, "%s: no memory", log->path);
    return (fwrite(line->data, 1, line->size, log->f) == line->size && fflush(log->f) == 0) || failed(cx, log->path);
}

/* The shortest that reads back the same. */
static void put_number(lt_str *s, const char *key, double x)
{
    lt_str_printf(s, ",\"%s\":", key);
    if (isfinite(x)) lt_json_put_double(s, x);
    else lt_str_puts(s, "null");
}

bool lt_log_step(lt_ctx *cx, lt_log *log, const lt_train_step *t)
{
    if (!log->f) return true;
    lt_str s = {0};
    lt_str_printf(&s, "{\"step\":%" PRId64, t->step);
    put_number(&s, "loss", t->loss);
    put_number(&s, "lr", t->lr);
    put_number(&s, "grad_norm", t->grad_norm);
    lt_str_printf(&s, ",\"tokens\":%" PRId64, t->tokens);
    put_number(&s, "tokens_per_s", t->seconds > 0 ? round((double)t->tokens / t->seconds) : 0);
    if (t->imbalance_cost > 0) {
        put_number(&s, "imbalance_tokens", t->imbalance_tokens);
        put_number(&s, "imbalance_cost", t->imbalance_cost);
    }
    if (t->balance > 0) put_number(&s, "balance", t->balance);
    lt_str_puts(&s, "}\n");
    bool good = put(cx, log, &s);
    lt_str_free(&s);
    return good;
}

bool lt_log_valid(lt_ctx *cx, lt_log *log, int64_t step, const lt_metric *metric, int n)
{
    if (!log->f) return true;
    lt_str s = {0};
    lt_str_printf(&s, "{\"step\":%" PRId64 ",\"valid\":{\"loss\":", step);
    lt_json_put_double(&s, metric[0].value);
    for (int i = 1; i < n; i++) put_number(&s, metric[i].name, metric[i].value);
    lt_str_puts(&s, "}}\n");
    bool good = put(cx, log, &s);
    lt_str_free(&s);
    return good;
}

void lt_log_close(lt_log *log)
{
    if (!log) return;
    if (log->f) fclose(log->f);
    lt_free(log->path);
    lt_free(log);
}
