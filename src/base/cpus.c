/* How many processors this process may use: what its affinity mask allows, cut down to the CPU quota of the control groups
 * it is in (v2: cpu.max of its group and all above; v1: cpu.cfs_quota_us), as containers set it. */
#include "base/ctx.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int affinity_count(void)
{
    for (int n = 1024; n <= 1 << 20; n *= 4) { /* the kernel refuses a mask that is too small for its machine */
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set) break;
        int count = sched_getaffinity(0, CPU_ALLOC_SIZE(n), set) == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(n), set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (int)online : 1;
}

/* The first two numbers of a file such as "200000 100000"; "max" and absent ones are -1. */
static void read_numbers(const char *path, long long number[2])
{
    number[0] = number[1] = -1;
    FILE *f = fopen(path, "re");
    if (!f) return;
    char line[128];
    if (fgets(line, sizeof line, f) && sscanf(line, "%lld %lld", &number[0], &number[1]) < 1) number[0] = -1;
    fclose(f);
}

static int quota_of(const char *folder, bool v1)
{
    char path[PATH_MAX + 32];
    long long number[2], period[2];
    snprintf(path, sizeof path, "%s/%s", folder, v1 ? "cpu.cfs_quota_us" : "cpu.max");
    read_numbers(path, number);
    if (v1) {
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        read_numbers(path, period);
        number[1] = period[0];
    }
    if (number[0] <= 0 || number[1] <= 0) return 0;
    long long whole = number[0] / number[1] + (number[0] % number[1] != 0);
    return whole > INT_MAX ? INT_MAX : (int)whole;
}

/* The smallest quota from `mount`/`group` up to `mount` itself; 0: none. */
static int quota_upwards(const char *mount, const char *group, bool v1)
{
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group), least = 0;
    if (n < 0 || (size_t)n >= sizeof folder) return 0;
    for (;;) {
        int quota = quota_of(folder, v1);
        if (quota > 0 && (!least || quota < least)) least = quota;
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < strlen(mount)) return least;
        *slash = 0;
    }
}

/* Whether `list` (comma-separated) names the controller "cpu". */
static bool names_cpu(const char *list)
{
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!strncmp(p, "cpu", 3) && (p[3] == ',' || p[3] == 0)) return true;
    return false;
}

int lt_cpu_quota(const char *proc_cgroup, const char *mount)
{
    FILE *f = fopen(proc_cgroup, "re");
    if (!f) return 0;
    char line[PATH_MAX], v1_mount[PATH_MAX];
    int least = 0;
    while (fgets(line, sizeof line, f)) { /* "0::/path" is v2, "4:cpu,cpuacct:/path" v1 */
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        list++;
        int quota = 0;
        if (!*list) {
            quota = quota_upwards(mount, group, false);
        } else if (names_cpu(list)) {
            int n = snprintf(v1_mount, sizeof v1_mount, "%s/%s", mount, list);
            if (n > 0 && (size_t)n < sizeof v1_mount) quota = quota_upwards(v1_mount, group, true);
        }
        if (quota > 0 && (!least || quota < least)) least = quota;
    }
    fclose(f);
    return least;
}

int lt_cpus(void)
{
    int n = affinity_count(), quota = lt_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0 && quota < n) n = quota;
    return n > LT_MAX_THREADS ? LT_MAX_THREADS : n;
}
