/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "config/proxy_config.h"

/* kube-proxy's command line (1.36, cmd/kube-proxy/app/options.go), the flags of older releases included. */

struct proxy_options {
    const char *config_file, *write_config_to, *master, *hostname_override; /* "" when not given */
    const char *machine_id_file, *boot_id_file;
    const char *version; /* "" when not asked for, "true", "raw", or what to report */
    bool is_help, is_cleanup, is_init_only;
    struct proxy_settings settings; /* of the flags; for use without config_file */
    unsigned given_logging;         /* bits of the logging flags that were given */
    int32_t healthz_port, metrics_port;
    int64_t iptables_sync_ns, iptables_min_sync_ns, ipvs_sync_ns, ipvs_min_sync_ns;
    const char *cluster_cidr;
    const char *warnings[PROXY_WARNINGS_MAX]; /* about deprecated flags */
    size_t warning_count;
};

/* Reads the arguments behind the program's name, in pflag's manner: --name=value, --name value, --switch,
 * -v5; `_` counts as `-`. Strings are those of argv or in the arena. -EINVAL with a sentence: pflag's words.
 * After --help or --version the rest is still judged. */
int proxy_options_parse(int argc, char *const argv[], struct arena *arena, struct proxy_options *ret,
                        struct err *err);

/* Appends the flags for --help: in groups, each with its type, what it does and its default. */
void proxy_options_help(struct text *ret);

/* From options and, with config_file, that file's bytes (else NULL) to a configuration. With a file all flags
 * are ignored but hostname-override and logging, whose flags win, and those that are no configuration. PURE;
 * false with the refusal set, *ret untouched. */
bool proxy_options_resolve(const struct proxy_options *options, const char *bytes, size_t len,
                           struct arena *arena, struct proxy_config *ret, struct proxy_report *report);
