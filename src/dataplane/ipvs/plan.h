/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/numbers.h"
#include "dataplane/dataplane.h"
#include "dataplane/ipvs/catalog.h"
#include "dataplane/ipvs/servers.h"

/* What one service is in IPVS, both families: virtual servers with their real servers, members of sets,
 * addresses on kube-ipvs0. PURE.
 *
 * A virtual server has one set of endpoints for whoever asks. Under externalTrafficPolicy Local, pods and the
 * node itself have another: their packets are marked on the way in, and a second virtual server is found by
 * the mark (decision 0011). */

/* The bits by which a mark of ours is known, and their value. masquerade_mark, one bit, is left alone. */
uint32_t mark_tag_mask(uint32_t masquerade_mark);
uint32_t mark_tag(uint32_t masquerade_mark);

struct planned_server {
    struct virtual_server id;
    uint32_t persistence_s;
    uint8_t protocol;                   /* of one with a mark, too */
    const char *scheduler;              /* NULL: what the mode is configured with */
    const struct backend_set *backends; /* NULL: nobody, and the kernel answers "port unreachable" */
};

/* A member of a set; many services may have the same one. */
struct planned_member {
    struct ipset_member member;
    uint32_t set, family; /* enum set_name, enum family: all 32 bits, so that it compares as bytes */
};

struct plan {
    struct planned_server *servers;
    struct planned_member *members; /* of SET_IPVS_IPS: these addresses are on kube-ipvs0 as well */
    uint32_t server_count, server_capacity, member_count, member_capacity;
};

/* Everything is in the arena, backends in the entry. entry may be NULL: nothing. numbers are those of marks:
 * a mark stays the same for as long as they do. */
void plan_build(const struct entry *entry, const struct dataplane_node *node, struct numbers *numbers,
                struct arena *arena, struct plan *ret);
/* What two virtual servers are the same by, and their order. */
int virtual_server_cmp(const struct virtual_server *a, const struct virtual_server *b);
int planned_member_cmp(const struct planned_member *a, const struct planned_member *b);
