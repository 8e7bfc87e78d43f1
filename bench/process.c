/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t process_cpu_ns(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

int64_t process_children_cpu_ns(pid_t pid)
{
    char path[64], line[1024] = "";
    long long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    /* proc(5): the name may hold anything; the sums are fields 16 and 17. */
    if (fgets(line, sizeof(line), file) && strrchr(line, ')'))
        sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lld %lld",
               &user, &system);
    fclose(file);
    return (user + system) * (1000000000 / sysconf(_SC_CLK_TCK));
}

long process_memory_kib(pid_t pid, const char *field)
{
    char path[64], line[256];
    size_t len = strlen(field);
    long result = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, field, len) == 0 && line[len] == ':')
            result = strtol(line + len + 1, NULL, 10);
    }
    if (file)
        fclose(file);
    return result;
}

int64_t process_waited_ns(pid_t pid)
{
    long long waited_ns = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d %lld", &waited_ns) != 1)
        waited_ns = 0;
    fclose(file);
    return waited_ns;
}

/* Affinity belongs to threads; a daemon may have several. */
static void threads_set_cpus(pid_t pid, const cpu_set_t *cpus)
{
    char path[64];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            sched_setaffinity((pid_t)strtol(entry->d_name, NULL, 10), sizeof(*cpus), cpus);
    if (dir)
        closedir(dir);
}

int process_part_cpus(pid_t pid, struct err *err)
{
    long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t own, others;

    CPU_ZERO(&own);
    CPU_ZERO(&others);
    CPU_SET((size_t)cpu_count - 1, &own);
    for (long cpu = 0; cpu < cpu_count - 1; cpu++)
        CPU_SET((size_t)cpu, &others);
    if (cpu_count < 2)
        return err_set(err, ENOSYS,
                       "one CPU alone: a poller would take it from the daemon; use --watch event");
    if (sched_setaffinity(0, sizeof(own), &own) < 0)
        return err_set(err, errno, "setting the CPU: %s", strerror(errno));
    if (pid > 0)
        threads_set_cpus(pid, &others);
    return 0;
}

void process_join_cpus(pid_t pid)
{
    cpu_set_t all;

    CPU_ZERO(&all);
    for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
        CPU_SET((size_t)cpu, &all);
    threads_set_cpus(pid, &all);
}
