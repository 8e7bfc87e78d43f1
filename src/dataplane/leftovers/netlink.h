/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "net/address.h"

#include <stdbool.h>

/* What kube-proxy leaves in the kernel that netlink alone finds and removes. Every call blocks for as long as
 * the kernel takes; none makes the kernel load a module. ret_was_there says whether there was something to
 * remove: its absence is success. Families: netfilter's tables are one set for each. */

/* kube-proxy's own table (mode nftables). */
int netlink_remove_table(enum family family, bool *ret_was_there, struct err *err);
/* Whether this network namespace has kube-proxy's interface of mode ipvs: a dummy of the name kube-ipvs0. */
int netlink_has_ipvs_interface(bool *ret, struct err *err);
/* Deletes that interface and, when ip_vs is in the kernel, every virtual service of this network namespace,
 * as kube-proxy does (pkg/proxy/ipvs). */
int netlink_remove_ipvs(bool *ret_was_there, struct err *err);
/* Deletes the virtual services that are found by a mark with tag in the bits of tag_mask, in either family,
 * but for those that connections go through: these would end with them (expire_nodest_conn, which kube-proxy
 * sets). */
int netlink_remove_marked(uint32_t tag, uint32_t tag_mask, unsigned *ret_removed, unsigned *ret_kept,
                          struct err *err);
/* -EBUSY: a rule still uses the set, or did a moment ago. */
int netlink_remove_ipset(const char *name, bool *ret_was_there, struct err *err);
/* Whether the kernel has ip_set at all. */
bool netlink_has_ipsets(void);
bool netlink_has_ipset(const char *name);
