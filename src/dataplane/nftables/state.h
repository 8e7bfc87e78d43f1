/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/encode.h"

/* What entries share, counted: an element or chain is in the table while somebody needs it. And what waits to
 * be removed: a packet reads the table's generation at every lookup, so it may hold a number and then look
 * for a slot; slots, numbers and chains go only some milliseconds after the last pointer to them. */

struct counted_key {
    uint32_t family, set;
    uint8_t key[KEY_MAX];
};

struct counted {
    struct counted_key key; /* first: the hash key */
    uint32_t count;
    bool in_kernel;
    UT_hash_handle hh;
};

struct counted_chain {
    struct {
        uint32_t family;
        char name[CHAIN_NAME_MAX];
    } key;
    uint32_t value; /* what makes the chain: a pick value, or a learn chain's seconds */
    bool for_node_port, is_learn;
    uint32_t count;
    bool in_kernel;
    UT_hash_handle hh;
};

struct retired_slot {
    struct counted_key key;
    bool is_old; /* has waited a whole interval */
    UT_hash_handle hh;
};

struct state {
    struct counted *values; /* verdict map elements */
    struct counted *shared; /* cluster addresses, hairpin pairs */
    struct counted_chain *chains;
    struct retired_slot *retired;
    struct affinity_ids affinity_ids;
    bool has_garbage, is_garbage_old;
};

/* The numbers that are always in the maps. batch may be NULL everywhere below: then only the books are kept.
 */
void state_init(struct state *state, struct batch *batch);
void state_done(struct state *state);

/* Books one entry's elements in or out. own and shared are its element lists. Without
 * a batch (NULL) only the books are kept. */
void state_add_entry(struct state *state, const struct element_list *own, const struct element_list *shared,
                     struct batch *batch);
void state_remove_entry(struct state *state, const struct element_list *own,
                        const struct element_list *shared, struct batch *batch);

/* Puts the difference of an entry's own elements into the batch. Both lists are sorted. */
void state_diff_own(struct state *state, const struct element_list *old, const struct element_list *next,
                    struct batch *batch);

/* Everything retired that has waited long enough, into the batch; what is younger grows old. */
void state_collect(struct state *state, struct batch *batch);
bool state_has_garbage(const struct state *state);

/* Visits every counted element with its data, and every chain, that should be in the table. */
typedef void counted_visit_fn(const struct element *element, void *context);
void state_visit_counted(const struct state *state, counted_visit_fn *visit, void *context);
struct chain state_build_chain(const struct counted_chain *counted, struct arena *arena);
