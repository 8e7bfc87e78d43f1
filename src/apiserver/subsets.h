/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

/* PURE. The one form of what Endpoints say in many: ports with the same addresses behind them stand together
 * (kubernetes pkg/api/v1/endpoints/util.go, RepackSubsets). */

/* Ours, for every size from outside has a cap: so many pairs of a port and an address are looked at. */
#define SUBSETS_PAIRS_MAX 100000

struct subset_address {
    const Core__EndpointAddress *address;
    bool is_ready; /* for these ports; who says not ready wins */
};
struct subset {
    const Core__EndpointPort **ports; /* by name, number, protocol; none: addresses without ports */
    size_t port_count;
    struct subset_address
        *addresses; /* ready ones first, then by IP and the target's uid; each pair of them once */
    size_t address_count;
};

/* In the order of their first ports. Lists live in the arena and borrow from endpoints. *ret_dropped: pairs
 * beyond the cap. */
struct subset *subsets_repack(const Core__Endpoints *endpoints, struct arena *arena, size_t *ret_count,
                              size_t *ret_dropped);
