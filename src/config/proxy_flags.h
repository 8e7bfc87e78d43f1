/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "config/flag_values.h"
#include "config/proxy_options.h"

/* The table of all flags: what is parsed, and what --help prints. */

struct proxy_flag {
    const char *name;
    enum flag_type type;
    size_t offset;          /* in struct proxy_options */
    unsigned logging;       /* its bit in given_logging */
    const char *instead_of; /* deprecated: what to use, or "" */
    const char *word;       /* for the type, where upstream has one of its own; else NULL */
    const char *group;      /* the title of the group that begins here, else NULL */
    const char *help;       /* sentences */
};

/* Values that nobody here reads: of modes long gone. */
#define PROXY_FLAG_NOWHERE SIZE_MAX

extern const struct proxy_flag proxy_flags[];
extern const size_t proxy_flag_count;

/* Appends all flags in their groups, each with its type and the default that it has in defaults. */
void proxy_flags_help(const struct proxy_options *defaults, struct text *ret);
/* Visits the flags that kube-proxy has on Linux with their values, in no order. config is what was resolved
 * from the options: without --config flags and configuration are one thing to kube-proxy, so that a flag
 * shows what was filled in for it; with it, flags show what they were given. Texts last as long as the visit.
 */
void proxy_flags_visit(const struct proxy_options *options, const struct proxy_config *config,
                       void (*visit)(void *context, const char *flag, const char *value), void *context);
