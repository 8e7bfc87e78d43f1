/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stdbool.h>

/* Giving up, once and for all, what a daemon of the network does not need: capabilities(7), seccomp(2). Both
 * may be called again to give up more; nothing comes back. Capabilities are those of the calling thread and
 * of threads that it starts later, so the first call is for a process of one thread; the filter is for all
 * that there are. */

enum confine_programs {
    CONFINE_NO_PROGRAMS,
    CONFINE_PROGRAMS,        /* of others may be started: what gives credentials */
    CONFINE_PACKET_PROGRAMS, /* and iptables, whose legacy backend needs CAP_NET_RAW */
};

/* Keeps, of what there is: CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH (a key that belongs to
 * somebody else may be replaced and read again), CAP_NET_RAW with CONFINE_PACKET_PROGRAMS, and
 * CAP_DAC_OVERRIDE where, without it, a folder in writable could not be written in. Programs that are started
 * gain nothing either (no_new_privs). writable ends in NULL; of a folder that is not there the first parent
 * that is counts. -errno and a sentence; then most is still there. */
int confine_capabilities(const char *const *writable, enum confine_programs programs, struct err *err);

/* From now on the kernel refuses every call that the daemon has no use for, with ENOSYS, which libraries take
 * for an old kernel and go on; starting programs with EPERM.
 * Where programs are started they are under the filter themselves, and nobody knows what they call: then only
 * what none of them has to do is refused, with EPERM: what changes mounts, namespaces, modules, the clock or
 * the machine, looks into other processes, or reaches far into the kernel. Sets no_new_privs. -errno and a
 * sentence; then nothing more than before is refused. */
int confine_calls(enum confine_programs programs, struct err *err);
