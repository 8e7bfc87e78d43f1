/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "dataplane/leftovers/iptables.h"

#include <stdbool.h>
#include <uv.h>

/* Removes what kube-proxy, in any of its modes, left in this network namespace: its nftables tables; its
 * chains in iptables, in the nft and in the legacy backend; the services, the interface and the sets of mode
 * ipvs.
 *
 * To be begun when fairlead's own rules are in force, so that no packet sees a moment without any.
 * Connections keep the translation that conntrack has for them: only the first packet of one looks at rules.
 *
 * iptables' tables are read and written by the programs xtables-nft-multi and xtables-legacy-multi of the
 * host, because what an extension of iptables keeps in the kernel only that extension can say. Neither is run
 * unless the kernel has such tables already, so that looking makes none and loads no module. All else is
 * netlink. */

struct leftovers;

enum leftovers_report {
    LEFTOVERS_REMOVED,
    LEFTOVERS_NOTICE, /* no fault, but an operator should know */
    LEFTOVERS_FAILED,
};

enum leftovers_scope {
    LEFTOVERS_ALL,
    /* What fairlead's modes iptables, ipvs and userspace made, and of kube-proxy's nothing: where kube-proxy
     * has come to the same chains since, all but those stay. */
    LEFTOVERS_OF_FAIRLEAD,
};

struct leftovers_options {
    enum leftovers_scope scope;
    /* enum iptables_maker: the chains of the mode that serves stay, in the backend that iptables-restore
     * writes to; and with IPTABLES_BY_IPVS its services and sets. 0: none serves by them. */
    unsigned serving;
    bool spares_connections; /* what ipvs has stays until the connections through it are over */
    unsigned program_ms;     /* how long each program may take */
    void (*report)(void *context, enum leftovers_report kind, const char *sentence);
    /* From the loop: no program will be started any more. May be NULL. */
    void (*programs_over)(void *context);
    /* The end, from the loop: how many failures there were. The struct leftovers is gone behind it. */
    void (*done)(void *context, unsigned failures);
    void *context;
};

/* Nothing happens before the loop's next turn. Ignores SIGPIPE for the whole process: libuv's writes raise
 * it.
 */
struct leftovers *leftovers_begin(uv_loop_t *loop, const struct leftovers_options *options);
/* Whether LEFTOVERS_OF_FAIRLEAD may find anything: such chains in the nft backend, or any tables of
 * the legacy backend, which cannot be looked into without starting a program. */
bool leftovers_may_be_of_fairlead(void);
/* Ends it half-way, each of its transactions being whole; done is not called. NULL is allowed. The memory
 * goes with the next turns of the loop. */
void leftovers_cancel(struct leftovers *leftovers);
