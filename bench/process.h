/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include <stdint.h>
#include <sys/types.h>

/* CPU time that the process (all its threads, user and system) has used, in nanoseconds, from its scheduler
 * clock rather than from the 10 ms ticks of /proc/PID/stat. -1 when it is gone. Its children are not in it.
 */
int64_t process_cpu_ns(pid_t pid);

/* What its children have used that it has waited for, and theirs, in nanoseconds but counted in ticks of 10
 * ms. 0 when it is gone, or has none. */
int64_t process_children_cpu_ns(pid_t pid);

/* A line of /proc/PID/status in KiB, as "VmHWM" or "VmRSS"; -1 when it is gone. */
long process_memory_kib(pid_t pid, const char *field);

/* Nanoseconds that the process' main thread was ready to run and had no CPU (/proc/PID/schedstat, second
 * word): what others on the machine took from it. 0 where the kernel does not count it. */
int64_t process_waited_ns(pid_t pid);

/* Keeps the caller on the last CPU and, when there are two or more, pid's threads (0: nobody) off it. A
 * poller must not take the CPU from what it measures. */
int process_part_cpus(pid_t pid, struct err *err);
/* Gives pid all CPUs back. */
void process_join_cpus(pid_t pid);
