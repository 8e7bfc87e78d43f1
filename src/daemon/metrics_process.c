/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* /proc/self/stat: the fields after the parenthesis that ends the program's name. */
static int read_stat(struct metrics_process *ret)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return -errno;
    size_t len = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[len] = '\0';
    const char *rest = strrchr(line, ')');
    unsigned long long user, system, start, virtual_bytes;
    long long pages;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu "
                        "%llu %lld",
                        &user, &system, &start, &virtual_bytes, &pages) != 5)
        return -EPROTO;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    /* The start counts from boot, as CLOCK_BOOTTIME does. */
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    double boot_s =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    ret->cpu_seconds = (double)(user + system) / ticks;
    /* Two clocks read one after the other: less than the tick in which the kernel counts, so it is cut off.
     */
    ret->start_time_s = (double)(long long)((boot_s + (double)start / ticks) * 100 + 0.5) / 100;
    ret->virtual_bytes = virtual_bytes;
    ret->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

/* "IpExt: InOctets ..." and below it "IpExt: 1234 ...": the counters of the namespace (proc_net(5)). */
static int read_network(struct metrics_process *ret)
{
    char names[4096], values[4096];
    FILE *file = fopen("/proc/self/net/netstat", "re");
    int code = -EPROTO;
    if (!file)
        return -errno;
    while (code < 0 && fgets(names, sizeof(names), file) && fgets(values, sizeof(values), file)) {
        char *rest[2], *name = strtok_r(names, " \n", &rest[0]), *value = strtok_r(values, " \n", &rest[1]);
        if (!name || strcmp(name, "IpExt:") != 0)
            continue;
        while (name && value) {
            if (strcmp(name, "InOctets") == 0)
                ret->received_bytes = strtoull(value, NULL, 10);
            else if (strcmp(name, "OutOctets") == 0)
                ret->sent_bytes = strtoull(value, NULL, 10);
            name = strtok_r(NULL, " \n", &rest[0]);
            value = strtok_r(NULL, " \n", &rest[1]);
        }
        code = 0;
    }
    fclose(file);
    return code;
}

static int read_limits(struct metrics_process *ret)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return -errno;
    uint64_t entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    if (getrlimit(RLIMIT_AS, &limit) < 0)
        return -errno;
    ret->max_virtual_bytes = limit.rlim_cur;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    ret->open_fds = entries - 3; /* ".", ".." and the folder itself */
    ret->max_fds = limit.rlim_cur;
    return 0;
}

int metrics_read_process(struct metrics *metrics, struct err *err)
{
    struct metrics_process process = {.is_known = true};
    metrics->process.is_known = false;
    int code = read_stat(&process);
    if (code == 0)
        code = read_limits(&process);
    if (code == 0)
        code = read_network(&process);
    if (code < 0)
        return err_set(err, -code, "cannot read /proc/self: %s", strerror(-code));
    metrics->process = process;
    return 0;
}
