/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/readback.h"

/* What the kernel's table holds, as a value: chains with the fingerprints of their rules, sets, and the
 * elements of all sets but the one that packets fill. */
struct snapshot {
    struct arena arena;
    struct element_list elements; /* sorted by element_cmp */
    struct kernel_table tables[FAMILY_COUNT];
};

/* On failure the sentence is in err; snapshot_done in either case. */
int snapshot_take(struct snapshot *snapshot, struct kernel *kernel, struct err *err);
void snapshot_done(struct snapshot *snapshot);
/* The element with this key, or NULL. */
const struct element *snapshot_find(const struct snapshot *snapshot, const struct element *key);

/* What must hold at every moment; words about the first thing that does not, else false. */
/* A number that stands in a map has its verdicts, and the slots that it counts are all there. */
bool snapshot_has_gap(const struct snapshot *snapshot, struct text *words);
/* Everything in wanted (sorted) is there with its data; what is there beyond it is only what may linger. */
bool snapshot_differs_from_wanted(const struct snapshot *snapshot, const struct element_list *wanted,
                                  struct text *words);
/* The same table, but for the order of a frontend's slots, which must be 0..N-1 in both. */
bool snapshot_differs(struct snapshot *a, struct snapshot *b, struct text *words);
