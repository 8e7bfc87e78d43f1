/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/iptables/layout.h"

/* How many rules services have, by chain: one number for each shared chain and one for all KUBE-SVC- chains
 * together, one for all KUBE-SEP- chains, and so on. */

#define COUNT_KINDS (SHARED_COUNT + SERVICE_CHAIN_COUNT + 1) /* the last: endpoints */

struct counts {
    uint64_t rules[COUNT_KINDS];
};

/* PURE, all of them. What a whole layout has, beside what is there already. */
void counts_add_layout(struct counts *counts, const struct layout *layout);
/* A service's old portion gives way to the next. From {0} that is how many more there are behind it: less is
 * a number that wraps around, and is right again where it is added. */
void counts_replace(struct counts *counts, const struct portion *old, const struct portion *next);
/* "nat KUBE-SERVICES", "nat KUBE-SVC" */
void counts_visit(const struct counts *counts,
                  void (*visit)(void *context, const char *chain, uint64_t rules), void *context);
void counts_add(struct counts *counts, const struct counts *more);
/* All of a table's together. */
void counts_by_table(const struct counts *counts, uint64_t ret[DATAPLANE_TABLE_COUNT]);
