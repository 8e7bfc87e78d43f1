/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/proxy_config.h"
#include "sys/sysctl.h"

#include <stddef.h>

/* The numbers of the kernel that kube-proxy sets for its mode, and for itself. */

struct kernel_setting {
    const char *path;
    int64_t value;
    enum sysctl_need need;
    const char *reason; /* the field of the configuration that asks for it */
    bool is_sequel;     /* makes sense only where the one before it is in force */
};

#define KERNEL_SETTINGS_MAX 16

/* What config asks for where mode serves on a machine of cpu_count CPUs; PURE. Returns how many
 * (pkg/proxy/conntrack/sysctls.go; pkg/proxy/iptables and ipvs, NewProxier). Fields of 0 leave the kernel's.
 * kernel is the running one's KERNEL_VERSION: net.ipv4.vs.conn_reuse_mode is of 4.1 to 5.8 alone. */
size_t kernel_settings_wanted(const struct proxy_config *config, enum proxy_mode mode, unsigned cpu_count,
                              unsigned kernel, struct kernel_setting ret[KERNEL_SETTINGS_MAX]);
/* Whether mode iptables answers node ports on 127.0.0.1: where that is asked for, and nodePortAddresses have
 * that address. PURE. */
bool kernel_settings_has_localhost_node_ports(const struct proxy_config *config);
/* How readily the kernel ends this process when memory runs out. */
struct kernel_setting kernel_settings_oom(const struct proxy_config *config);

/* is_failure: the setting is not in force. */
typedef void kernel_report_fn(void *context, bool is_failure, const char *sentence);

/* Writes those that differ, tells of each that it wrote and of each that it could not, but for sequels of
 * such: not to be tried is no failure of theirs. May be called again,
 * with other settings. root as in sys/sysctl.h. Returns how many are not in force. */
size_t kernel_settings_apply(const char *root, const struct kernel_setting *settings, size_t count,
                             kernel_report_fn *report, void *context);

struct options;

/* For a daemon that serves by this mode: all of them, with a warning for each that is refused (by a read-only
 * /proc/sys, or outside of the machine's own network namespace). */
void kernel_settings_serve(const struct options *options, enum proxy_mode serving);
/* kube-proxy's --init-only: those that need more than the daemon will have. The exit status. */
int kernel_settings_init(const struct options *options, enum proxy_mode serving);
/* Whether the kernel takes packets outside of a connection's TCP window for good ones; false where it does
 * not say. Asked after the settings are in force (pkg/proxy/iptables, NewProxier). */
bool kernel_settings_is_liberal(const char *root);
