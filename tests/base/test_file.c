/* Protects: reading of files, pipes and what is neither; writing that leaves the old content or the new, whole, and nothing
 * else, also on a full disk; what may be written straight. */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lathe/base.h"
#include "sanitize.h"

static lt_ctx *cx;
static char folder[64], path[256], message[600];

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    strcpy(folder, "/tmp/lathe-file-XXXXXX");
    return !cx || !mkdtemp(folder);
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    lt_ctx_free(cx);
    return system(command);
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *with_path(const char *text)
{
    snprintf(message, sizeof message, "%s: %s", path, text);
    return message;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void holds(const char *name, const char *text)
{
    lt_map m;
    assert_true(lt_map_open(cx, &m, in_folder(name)));
    assert_int_equal(m.size, strlen(text));
    assert_memory_equal(m.data, text, m.size);
    lt_map_close(&m);
}

static int entries(const char *where)
{
    DIR *d = opendir(where);
    int n = -2; /* . and .. */
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* ---- reading ---- */

static void files_are_mapped(void **state)
{
    put("a", "content");
    lt_map m;
    assert_true(lt_map_open(cx, &m, in_folder("a")));
    assert_int_equal(m.size, 7);
    assert_memory_equal(m.data, "content", 7);
    assert_string_equal(m.path, path);
    lt_map_close(&m);
    lt_map_close(&m);
    put("empty", "");
    assert_true(lt_map_open(cx, &m, in_folder("empty")));
    assert_int_equal(m.size, 0);
    assert_string_equal((const char *)m.data, "");
    lt_map_close(&m);
    assert_true(lt_map_open(cx, &m, "/proc/self/status")); /* says that its size is 0 */
    assert_true(m.size > 100 && !memcmp(m.data, "Name:", 5));
    lt_map_close(&m);
    assert_true(lt_map_open(cx, &m, "/dev/null"));
    assert_int_equal(m.size, 0);
    lt_map_close(&m);
    lt_map_close(&(lt_map){0});
}

static void what_cannot_be_read(void **state)
{
    lt_map m;
    assert_false(lt_map_open(cx, &m, in_folder("absent")));
    assert_string_equal(lt_ctx_error(cx), with_path("No such file or directory"));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    assert_true(!m.data && !m.size && !m.path);
    assert_false(lt_map_open(cx, &m, "/")); /* after an error nothing is done */
    lt_ctx_clear(cx);
    assert_false(lt_map_open(cx, &m, folder));
    snprintf(message, sizeof message, "%s: Is a directory", folder);
    assert_string_equal(lt_ctx_error(cx), message);
}

static void an_endless_device_is_refused(void **state)
{
    if (SANITIZED_THREAD) skip(); /* a gigabyte takes it too long */
    lt_map m;
    assert_false(lt_map_open(cx, &m, "/dev/zero"));
    assert_non_null(strstr(lt_ctx_error(cx), "/dev/zero: more than the 1073741824 bytes that are read from a pipe or device"));
}

static size_t to_feed;
static void *feed(void *arg)
{
    int fd = open(arg, O_WRONLY);
    char block[7777];
    for (size_t done = 0; done < to_feed;) {
        size_t n = to_feed - done < sizeof block ? to_feed - done : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = (char)((done + i) % 251);
        ssize_t wrote = write(fd, block, n);
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
    close(fd);
    return NULL;
}

static void pipes_are_read(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 65535, 65536, 65537, 131072, 3000001};
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        to_feed = sizes[k];
        pthread_t feeder;
        assert_int_equal(pthread_create(&feeder, NULL, feed, path), 0);
        lt_map m;
        assert_true(lt_map_open(cx, &m, path));
        pthread_join(feeder, NULL);
        assert_int_equal(m.size, sizes[k]);
        size_t wrong = 0;
        for (size_t i = 0; i < m.size; i++) wrong += m.data[i] != i % 251;
        assert_int_equal(wrong, 0);
        lt_map_close(&m);
    }
}

static void kinds_and_joins(void **state)
{
    put("a", "x");
    assert_true(lt_is_file(path) && !lt_is_dir(path));
    assert_true(lt_is_dir(folder) && !lt_is_file(folder));
    assert_false(lt_is_file(in_folder("absent")) || lt_is_dir(path));
    assert_string_equal(lt_path_join(cx, "d", "n"), "d/n");
    assert_string_equal(lt_path_join(cx, "d/", "n"), "d/n");
    assert_string_equal(lt_path_join(cx, "/", "n"), "/n");
    assert_string_equal(lt_path_join(cx, "", "n"), "n");
    assert_string_equal(lt_path_join(cx, "d", "/etc/passwd"), "d//etc/passwd"); /* never out of the folder by a slash */
}

/* ---- writing ---- */

static void commit_replaces_whole(void **state)
{
    put("a", "old");
    lt_out *out = lt_out_open(cx, in_folder("a"));
    assert_non_null(out);
    assert_true(lt_out_write(out, "ne", 2));
    assert_true(lt_out_write(out, NULL, 0));
    assert_true(lt_out_write(out, "w", 1));
    assert_int_equal(entries(folder), 2); /* the temporary one beside it */
    holds("a", "old");
    assert_true(lt_out_commit(out));
    holds("a", "new");
    assert_int_equal(entries(folder), 1);
}

static void abort_leaves_nothing(void **state)
{
    put("a", "old");
    lt_out *out = lt_out_open(cx, in_folder("a"));
    assert_true(lt_out_write(out, "new", 3));
    lt_out_abort(out);
    lt_out_abort(NULL);
    holds("a", "old");
    out = lt_out_open(cx, in_folder("b"));
    lt_out_abort(out);
    assert_int_equal(entries(folder), 1);
}

static void an_error_elsewhere_forbids_commit(void **state)
{
    put("a", "old");
    lt_out *out = lt_out_open(cx, in_folder("a"));
    assert_true(lt_out_write(out, "half", 4));
    lt_fail(cx, LT_ERR_INPUT, "bad row");
    assert_false(lt_out_commit(out));
    assert_null(lt_out_open(cx, path));
    assert_false(lt_out_write(NULL, "x", 1));
    assert_false(lt_out_commit(NULL));
    lt_ctx_clear(cx);
    holds("a", "old");
    assert_int_equal(entries(folder), 1);
}

static void much_is_written_in_order(void **state)
{
    size_t n = 1000003, at = 0;
    char *data = malloc(n);
    for (size_t i = 0; i < n; i++) data[i] = (char)(i * 31 % 253);
    lt_out *out = lt_out_open(cx, in_folder("big"));
    for (size_t step = 1; at < n; at += step, step = step * 2 % 200003 + 1) {
        if (step > n - at) step = n - at;
        assert_true(lt_out_write(out, data + at, step));
    }
    assert_true(lt_out_commit(out));
    lt_map m;
    assert_true(lt_map_open(cx, &m, path));
    assert_int_equal(m.size, n);
    assert_memory_equal(m.data, data, n);
    lt_map_close(&m);
    free(data);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(in_folder(name), &st), 0);
    return st.st_mode & 07777;
}

static void write_text(const char *name, const char *text)
{
    lt_out *out = lt_out_open(cx, in_folder(name));
    assert_true(lt_out_write(out, text, strlen(text)) && lt_out_commit(out));
}

static void modes_are_kept(void **state)
{
    put("a", "old");
    chmod(path, 0640);
    write_text("a", "new");
    assert_int_equal(mode_of("a"), 0640);
    mode_t before = umask(027);
    write_text("b", "new");
    umask(before);
    assert_int_equal(mode_of("b"), 0640);
}

static void links_are_written_through(void **state)
{
    assert_int_equal(mkdir(in_folder("sub"), 0700), 0);
    put("sub/a", "old");
    assert_int_equal(symlink("sub/a", in_folder("link")), 0);
    assert_int_equal(symlink("link", in_folder("link2")), 0);
    assert_int_equal(symlink("sub/none", in_folder("dangling")), 0);
    write_text("link2", "new");
    holds("sub/a", "new");
    write_text("dangling", "made");
    holds("sub/none", "made");
    struct stat st;
    assert_true(lstat(in_folder("link2"), &st) == 0 && S_ISLNK(st.st_mode));
    assert_true(lstat(in_folder("dangling"), &st) == 0 && S_ISLNK(st.st_mode));
    char sub[100];
    snprintf(sub, sizeof sub, "%s/sub", folder);
    assert_int_equal(entries(sub), 2);
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    assert_null(lt_out_open(cx, in_folder("loop")));
    assert_string_equal(lt_ctx_error(cx), with_path("Too many levels of symbolic links"));
}

static void refused_targets(void **state)
{
    assert_null(lt_out_open(cx, folder));
    snprintf(message, sizeof message, "%s: Is a directory", folder);
    assert_string_equal(lt_ctx_error(cx), message);
    lt_ctx_clear(cx);
    assert_null(lt_out_open(cx, in_folder("absent/a")));
    assert_string_equal(lt_ctx_error(cx), with_path("No such file or directory"));
    lt_ctx_clear(cx);
    assert_null(lt_out_open(cx, ""));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
    char name[256]; /* as long as names may be: the temporary one must not be longer */
    memset(name, 'n', 255);
    name[255] = 0;
    char long_path[400];
    snprintf(long_path, sizeof long_path, "%s/%s", folder, name);
    lt_out *out = lt_out_open(cx, long_path);
    assert_non_null(out);
    assert_true(lt_out_commit(out));
    assert_true(lt_is_file(long_path));
}

static void devices_are_written_straight(void **state)
{
    lt_out *out = lt_out_open(cx, "/dev/null");
    assert_true(lt_out_write(out, "x", 1) && lt_out_commit(out));
    out = lt_out_open(cx, "/dev/full");
    assert_true(lt_out_write(out, "x", 1)); /* buffered */
    assert_false(lt_out_commit(out));
    assert_string_equal(lt_ctx_error(cx), "/dev/full: No space left on device");
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    lt_ctx_clear(cx);
    char block[100000] = {0};
    out = lt_out_open(cx, "/dev/full");
    assert_false(lt_out_write(out, block, sizeof block));
    assert_false(lt_out_write(out, block, 1));
    lt_out_abort(out);
}

/* Redirected into a file, "/dev/stdout" goes on where that stands, and does not replace it. */
static void standard_output_keeps_its_place(void **state)
{
    fflush(stdout);
    int saved = dup(1), fd = open(in_folder("redirected"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "before ", 7), 7);
    dup2(fd, 1);
    lt_out *out = lt_out_open(cx, "/dev/stdout");
    bool good = lt_out_write(out, "inside ", 7) && lt_out_commit(out);
    char name[32];
    snprintf(name, sizeof name, "/dev/fd/%d", fd);
    out = lt_out_open(cx, name);
    good = good && lt_out_write(out, "again ", 6) && lt_out_commit(out) && write(1, "after", 5) == 5;
    dup2(saved, 1);
    close(saved);
    close(fd);
    assert_true(good);
    holds("redirected", "before inside again after");
    assert_null(lt_out_open(cx, "/dev/fd/12345"));
    assert_string_equal(lt_ctx_error(cx), "/dev/fd/12345: Bad file descriptor");
}

/* ---- no room ---- */

static void too_much(void)
{
    put("a", "old");
    lt_out *out = lt_out_open(cx, path);
    assert_non_null(out);
    char block[10000] = {0};
    for (int i = 0; i < 100; i++) lt_out_write(out, block, sizeof block);
    assert_false(lt_out_commit(out));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
}

static void a_size_limit_is_a_clean_error(void **state)
{
    struct rlimit before, tight;
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 300000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    too_much();
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_string_equal(lt_ctx_error(cx), with_path("File too large"));
    lt_ctx_clear(cx);
    holds("a", "old");
    assert_int_equal(entries(folder), 1);
}

static void a_full_disk_is_a_clean_error(void **state)
{
    if (mount("none", folder, "tmpfs", 0, "size=512k") != 0) skip(); /* only root may have a small disk */
    too_much();
    char want[300];
    snprintf(want, sizeof want, "%s: No space left on device", path);
    int n = entries(folder);
    bool right = !strcmp(want, lt_ctx_error(cx));
    umount2(folder, MNT_DETACH);
    assert_true(right);
    assert_int_equal(n, 1);
}

/* Killed at any moment: the old content or the new. */
static void killed_writers_leave_whole_files(void **state)
{
    put("a", "0000");
    for (int round = 0; round < 40; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0;; i = (i + 1) % 10) {
                char text[5];
                snprintf(text, sizeof text, "%d%d%d%d", i, i, i, i);
                lt_out *out = lt_out_open(cx, path);
                if (!out || !lt_out_write(out, text, 4) || !lt_out_commit(out)) _exit(1);
            }
        }
        usleep((useconds_t)(1000 + round * 373 % 7000));
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        lt_map m;
        assert_true(lt_map_open(cx, &m, path));
        assert_true(m.size == 4 && m.data[0] == m.data[1] && m.data[0] == m.data[3]);
        lt_map_close(&m);
    }
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        with_folder(files_are_mapped),
        with_folder(what_cannot_be_read),
        with_folder(an_endless_device_is_refused),
        with_folder(pipes_are_read),
        with_folder(kinds_and_joins),
        with_folder(commit_replaces_whole),
        with_folder(abort_leaves_nothing),
        with_folder(an_error_elsewhere_forbids_commit),
        with_folder(much_is_written_in_order),
        with_folder(modes_are_kept),
        with_folder(links_are_written_through),
        with_folder(refused_targets),
        with_folder(devices_are_written_straight),
        with_folder(standard_output_keeps_its_place),
        with_folder(a_size_limit_is_a_clean_error),
        with_folder(a_full_disk_is_a_clean_error),
        with_folder(killed_writers_leave_whole_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
