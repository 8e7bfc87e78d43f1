/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/encode.h"

#include <uthash.h>

/* What entries share, counted: an element or chain is in the table while somebody needs it. And what waits to
 * be removed: a packet reads the table's generation at every lookup, so it may hold a number and then look
 * for a slot; slots, numbers and chains go only some milliseconds after the last pointer to them. */

struct counted_key {
    uint8_t family, set;
    uint8_t key[KEY_MAX];
};

/* There is one for each cluster address: the key takes only as much room as its set's keys do. */
struct counted {
    uint32_t count;
    bool in_kernel, is_old; /* is_old: nobody has needed it for a whole interval */
    UT_hash_handle hh;
    struct counted_key key; /* cut off behind its set's key length */
};

struct counted_chain {
    struct {
        uint32_t family;
        char name[CHAIN_NAME_MAX];
    } key;
    uint32_t value; /* what makes the chain: a pick value, or a learn chain's seconds */
    bool for_node_port, is_learn;
    uint32_t count;
    bool in_kernel, is_old;
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
    struct numbers affinity_ids;
    bool has_garbage; /* among values and chains */
};

void state_done(struct state *state);

/* Books one entry's elements in or out. own and shared are its element lists. Without
 * a batch (NULL) only the books are kept. */
void state_add_entry(struct state *state, const struct element_list *own, const struct element_list *shared,
                     struct batch *batch);
void state_remove_entry(struct state *state, const struct element_list *own,
                        const struct element_list *shared, struct batch *batch);

/* Put the difference of an entry's own elements into the batch: what goes, and what comes or changes. Both
 * lists are sorted. In one batch everything goes before anything comes: a key may pass from one entry to
 * another. */
void state_remove_own(struct state *state, const struct element_list *old, const struct element_list *next,
                      struct batch *batch);
void state_add_own(struct state *state, const struct element_list *old, const struct element_list *next,
                   struct batch *batch);

/* What a load finds in the kernel and nobody needs now: it may be on a packet's way, and waits to be
 * collected like what was retired here. A slot; a number's verdict; a chain, by a name that
 * rules_parse_chain_name knows (in the arena, its rules, to compare). */
void state_adopt_slot(struct state *state, const struct element *element);
/* False when it is not a verdict that the number stands for, or its chain is not there: nothing to keep. */
bool state_adopt_value(struct state *state, const struct element *element);
/* False when the name is none of ours. */
bool state_adopt_chain(struct state *state, enum family family, const char *name, struct arena *arena,
                       struct chain *ret);
/* When the sets are emptied at once, nothing is left to collect. */
void state_forget_slots(struct state *state);

/* Everything retired that has waited long enough, into the batch; what is younger grows old. */
void state_collect(struct state *state, struct batch *batch);
bool state_has_garbage(const struct state *state);

/* Visits every counted element with its data, and every chain, that should be in the table. */
typedef void counted_visit_fn(const struct element *element, void *context);
void state_visit_counted(const struct state *state, counted_visit_fn *visit, void *context);
struct chain state_build_chain(const struct counted_chain *counted, struct arena *arena);
