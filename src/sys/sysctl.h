/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers that the kernel keeps in files: a sysctl, "/proc/sys/net/netfilter/nf_conntrack_max", or a module's
 * parameter, "/sys/module/nf_conntrack/parameters/hashsize". root stands before the path; "" but in tests. */

/* -errno and a sentence that names the file: -ENOENT also where its module is not loaded, -EINVAL where there
 * is something else than one number in it. */
int sysctl_read(const char *root, const char *path, int64_t *ret, struct err *err);

enum sysctl_need {
    SYSCTL_EXACTLY,
    SYSCTL_AT_LEAST /* more is left as it is */
};

struct sysctl_change {
    bool is_changed;
    int64_t before;
};

/* Writes value where the kernel's is another, and only then, so that a read-only /proc/sys with the right
 * values in it is no failure. -errno and a sentence that names the file and the value. */
int sysctl_ensure(const char *root, const char *path, int64_t value, enum sysctl_need need,
                  struct sysctl_change *ret, struct err *err);
