/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "forwarding/entry.h"

/* How many distinct endpoint addresses of one family a Service has. Those of the conditions overlap. */
struct endpoint_counts {
    uint32_t all, ready, serving, terminating;
    uint32_t local; /* ready and on this node */
    /* Where a new connection through this node may go: after traffic policies, hints and topology keys, over
     * all ports. */
    uint32_t used;
};

/* Pure. entry is what is in force for the slices' Service; NULL: it is not proxied, nobody is used. An
 * address that several slices have is everything that one of them says. */
struct endpoint_counts endpoint_counts_of(struct slice *const *slices, uint32_t slice_count,
                                          const struct entry *entry, enum family family,
                                          const struct node_view *node, struct arena *scratch);
