/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "dataplane/dataplane.h"
#include "dataplane/iptables/names.h"

/* What one service is in the layout of kube-proxy's iptables mode, in one family: chains that are its own
 * (all in the nat table) and rules in chains that all services share. Rules read as iptables-save prints
 * them, after "-A CHAIN ", so that what the kernel has can be compared with what it should have. */

enum shared_chain {
    SHARED_NAT_SERVICES,
    SHARED_NAT_NODE_PORTS,
    SHARED_FILTER_SERVICES,
    SHARED_FILTER_EXTERNAL_SERVICES,
    SHARED_FILTER_NODE_PORTS,
    SHARED_FILTER_PROXY_FIREWALL,
    SHARED_FILTER_CLUSTER_IPS, /* not kube-proxy's: see layout.h */
    SHARED_COUNT
};

struct shared_rule {
    enum shared_chain chain;
    const char *rule;
};

struct own_chain {
    const char *name;
    const char *rules; /* each with its newline, without "-A NAME " */
};

struct portion {
    struct own_chain *chains;
    uint32_t chain_count;
    struct shared_rule *shared;
    uint32_t shared_count;
};

/* Everything is in the arena. entry may be NULL: nothing. is_brief leaves out the comments of rules that are
 * as many as endpoints, as kube-proxy does where there are more than 1,000. PURE. */
void portion_build(const struct entry *entry, enum family family, const struct node_view *view, bool is_brief,
                   struct arena *arena, struct portion *ret);

/* "nat" or "filter", and the chain's name. */
const char *shared_chain_table(enum shared_chain chain);
const char *shared_chain_name(enum shared_chain chain);
