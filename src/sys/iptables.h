/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "net/address.h"

#include <stdbool.h>

/* The host's iptables: two backends behind the same names of programs. */

struct iptables_backend {
    bool may_be_nft, may_be_legacy; /* both where it cannot be told, as with a script */
};

/* restore is the path of an iptables-restore: a link to xtables-nft-multi or xtables-legacy-multi; before 1.8
 * to xtables-multi, which knew the legacy tables alone. */
struct iptables_backend iptables_backend_of(const char *restore);

/* Whether this process, by a program of that path, could write rules such as a proxy's: 0, or -errno with
 * what is missing in a sentence: a module of the kernel (-ENOENT) or a right (-EPERM). Asks the kernel for
 * its matches and targets as the programs do, which may load their modules; makes no table and starts
 * nothing. Where the backend cannot be told, nothing is known against it. */
int iptables_check(const char *restore, struct err *err);

/* Whether the tables in which the nft backend keeps its own hold a chain that is wanted; -errno with a
 * sentence. Makes no table. */
typedef bool iptables_chain_fn(const char *table, const char *chain);
int iptables_nft_has_chain(enum family family, iptables_chain_fn *is_wanted, bool *ret, struct err *err);
