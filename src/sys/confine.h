/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stdbool.h>

/* Giving up, once and for all, what a daemon of the network does not need: capabilities(7), seccomp(2). Both
 * calls are for a process of one thread; threads that it starts later have no more than it. */

/* Keeps, of what there is: CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH (a key that belongs to
 * somebody else may be replaced and read again), and CAP_DAC_OVERRIDE where, without it, a folder in writable
 * could not be written in. Programs that are started gain nothing either (no_new_privs). writable ends in
 * NULL; of a folder that is not there the first parent that is counts. -errno and a sentence; then most is
 * still there. */
int confine_capabilities(const char *const *writable, struct err *err);

/* From now on the kernel refuses every call that the daemon has no use for, with ENOSYS, which libraries take
 * for an old kernel and go on; starting programs with EPERM.
 * starts_programs: programs of others may be started, and are under the filter themselves. Nobody knows what
 * they call, so only what no credential program has to do is refused: what changes mounts, namespaces,
 * modules, the clock or the machine, looks into other processes, or reaches far into the kernel. Sets
 * no_new_privs. -errno and a sentence; then nothing is refused. */
int confine_calls(bool starts_programs, struct err *err);
