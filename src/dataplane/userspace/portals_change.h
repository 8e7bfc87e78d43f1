/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/rules/writer.h"
#include "dataplane/userspace/portals.h"

/* The input of `iptables-restore --noflush` for some services whose portals changed: their rules alone. What
 * a service has goes to the head of each chain, all of it at once and in its own order, so that the order of
 * services in a chain is known: the one that changed last is the first. Start from {0}. */
struct portals_change {
    /* Of the filter table: behind the first, what is refused before and what is refused after is refused, and
     * then nat may change. So no packet gets through in between. */
    struct text before[FAMILY_COUNT], nat[FAMILY_COUNT], after[FAMILY_COUNT];
    uint32_t adds, removes;
    int64_t rules[FAMILY_COUNT][DATAPLANE_TABLE_COUNT]; /* how many more there are */
};

/* From what a service has to what it shall have; either may be {0}. PURE. */
void portals_change_add(struct portals_change *change, const struct portals *old, const struct portals *next);
/* Appends the inputs, nothing where nothing changes, and the counts. PURE. */
void portals_change_write(const struct portals_change *change, struct writer_change *ret);
bool portals_change_is_empty(const struct portals_change *change);
void portals_change_done(struct portals_change *change);
