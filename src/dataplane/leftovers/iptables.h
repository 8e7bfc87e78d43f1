/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

#include <stdint.h>

/* What kube-proxy's modes iptables, ipvs and userspace leave in the tables of iptables, and the text that
 * takes it out again. Pure: text in, text out.
 *
 * kube-proxy's are the chains below and those rules of other chains that do nothing but lead to one of them,
 * with the comment that kube-proxy gives them (kubernetes 1.36, pkg/proxy/iptables, pkg/proxy/ipvs; 1.21,
 * pkg/proxy/userspace). Everything else is somebody else's: kubelet's KUBE-FIREWALL, KUBE-KUBELET-CANARY and
 * KUBE-MARK-DROP, CNI's chains, an operator's rules. */

/* The modes of kube-proxy, and of fairlead, that make a chain. Some are of two. */
enum iptables_maker {
    IPTABLES_BY_IPTABLES = 1,
    IPTABLES_BY_IPVS = 2,
    IPTABLES_BY_USERSPACE = 4,
    IPTABLES_BY_OLD_ONES = 8, /* versions of kube-proxy that nobody goes on from */
    IPTABLES_OWN = 16,        /* what fairlead's modes iptables and ipvs have beside kube-proxy's chains */
};
#define IPTABLES_BY_ANYBODY 31

/* What of it is to go: chains of those makers, but none that any of the others has, too: of a mode that
 * serves. */
struct iptables_scope {
    unsigned goes, stays; /* enum iptables_maker */
};

/* Whether kube-proxy or fairlead make a chain of this name in this table ("nat", "filter" or "mangle"). */
bool iptables_is_proxy_chain(const char *table, const char *chain);
/* Whether it is one that tells fairlead's mode iptables, userspace or ipvs from kube-proxy's. */
bool iptables_is_own_layout(const char *table, const char *chain);
bool iptables_is_own_portals(const char *table, const char *chain);
bool iptables_is_own_marks(const char *table, const char *chain);

/* What fairlead made, by the whole of what iptables-save printed. Who wrote kube-proxy's chains last is told
 * by rules: both programs make the same, but fairlead's has rules of its own at the end of KUBE-SERVICES,
 * which kube-proxy empties whenever it begins; then of fairlead's there is a chain that is not used. */
struct iptables_scope iptables_own_scope(const char *saved);
/* By the same text, whether kube-proxy's mode ipvs wrote them last: then the virtual servers are its, too. */
bool iptables_is_of_proxys_ipvs(const char *saved);
/* By the same text, what tells the marks of fairlead's mode ipvs: tag in the bits of tag_mask. False where
 * its chains are not there. */
bool iptables_own_tag(const char *saved, uint32_t *ret_tag, uint32_t *ret_tag_mask);

struct iptables_removal {
    const char *table; /* inside the text that was read, not terminated: table_len letters */
    size_t table_len;
    struct text restore;    /* for iptables-restore --noflush: one transaction; empty when nothing is there */
    struct text kept;       /* names of chains that rules of others lead to, ", " between them */
    uint32_t jumps, chains; /* what restore removes */
    /* FORWARD drops what no rule accepts, and kube-proxy's rules, which accepted its connections, go. */
    bool leaves_forward_dropping;
};

/* Takes the next table out of the text of iptables-save (with or without counters); *at starts at the text's
 * beginning and moves behind the table. False when no further table is there.
 *
 * A chain that a rule of somebody else leads to cannot be deleted: it is emptied, so that nothing of it
 * forwards any more. The exception is the pair that other programs borrow for masquerading (CNI's portmap,
 * externalSetMarkChain): while a rule of theirs leads to KUBE-MARK-MASQ, that and KUBE-POSTROUTING, which
 * reads the mark, stay as they are. A table that ends in the middle is passed over: what cannot be read whole
 * cannot be judged. */
bool iptables_next_removal(const char **at, struct iptables_scope scope, struct iptables_removal *ret);
void iptables_removal_done(struct iptables_removal *removal);
