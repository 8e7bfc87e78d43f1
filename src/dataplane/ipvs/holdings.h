/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/ipvs/bound.h"
#include "dataplane/ipvs/leaving.h"
#include "dataplane/ipvs/plan.h"

/* What of the kernel's three sides belongs to services: sets, virtual servers, addresses. It holds who wants
 * what, and turns a change into requests. Two steps, because rules of iptables may have to come between: what
 * rules ask for is there before them, packets come when all is there.
 *
 * Real servers of TCP leave gracefully: with weight 0 while they have connections (section A10). */

struct holdings {
    struct ipset_socket *sets;
    struct servers *servers;
    struct bound *bound;
    struct numbers numbers;
    struct held_member *members;
    struct held_server *held;
    struct leaving leaving;
    bool has_family[FAMILY_COUNT];
    uint32_t twice; /* virtual servers that several services want: see holdings_change */
    uint64_t member_counts[FAMILY_COUNT][SET_NAME_COUNT], server_count, real_server_count;
    uint32_t adds, removes; /* requests of the change at work */
};

/* Opens the kernel's sides: -errno and a sentence. holdings_done either way. */
int holdings_open(struct holdings *holdings, struct err *err);
void holdings_done(struct holdings *holdings);

/* Compares the kernel with what all entries want, and does the first step: sets, and what is new in them. */
int holdings_load(struct holdings *holdings, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct err *err);
/* The first step of a change to what the last success left. -EXFULL, and nothing is done, where several
 * services want the same virtual server: holdings_load can tell who has it. */
int holdings_change(struct holdings *holdings, const struct dataplane_node *node,
                    const struct dataplane_change *changes, size_t count, struct err *err);
/* The second: servers, addresses, and what nobody wants any more. */
int holdings_finish(struct holdings *holdings, struct err *err);

/* Removes real servers that have lost their last connection. */
int holdings_collect(struct holdings *holdings, struct err *err);
bool holdings_has_leaving(const struct holdings *holdings);
/* Whether the kernel lacks virtual servers, or its sets have another number of members: nothing tells of
 * either, so they are counted. -errno where that cannot be asked. */
int holdings_is_disturbed(struct holdings *holdings, bool *ret, struct err *err);
