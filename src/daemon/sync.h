/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "daemon/node.h"
#include "forwarding/claims.h"

/* The walk: store -> forwarding -> dataplane, once per turn. No I/O of its own: the dataplane is handed in,
 * and the replay tests hand in one that only writes down. */

struct sync {
    struct store *store;
    struct dataplane *dataplane;
    const struct options *options;
    const struct interface_addresses *interfaces;
    struct node_facts node;
    struct claims claims;
    struct arena scratch;
    bool is_source_synced; /* before it, nothing is programmed */
    bool needs_load;       /* the kernel is unknown, or everything changed */
    bool is_programmed;    /* the first programming is done */
    bool is_under_way;     /* the dataplane works on the planned entries: sync_finish */
    unsigned failures;     /* in a row */
    uint64_t turns;
    struct service_record **planned; /* this turn's */
    size_t planned_count, planned_capacity;
    bool is_load; /* what is under way is everything */
    uint64_t empty_locals[FAMILY_COUNT]
                         [2]; /* services whose Local policy leaves nobody here: internal, external */
    void (*report)(void *context, const char *sentence); /* for people; may be NULL */
    /* After a success, while both the old and the new entries are there; may be NULL. */
    void (*applied)(void *context, const struct dataplane_change *changes, size_t count);
    void *context;
};

struct sync_result {
    bool did_program, was_full;
    uint32_t changed; /* services whose entry was made anew */
    struct dataplane_result dataplane;
};

void sync_init(struct sync *sync, struct store *store, struct dataplane *dataplane,
               const struct options *options, const struct interface_addresses *interfaces);
void sync_done(struct sync *sync);

/* Takes in everything that is dirty and makes the kernel agree. On failure (-errno, with a sentence) nothing
 * of the turn is in force, and the next turn loads everything. With is_under_way set nothing is decided yet,
 * and another turn does nothing until sync_finish. */
int sync_turn(struct sync *sync, struct sync_result *ret, struct err *err);
/* The last half of a turn that returned with is_under_way set: what the dataplane told its owner. Returns
 * code. */
int sync_finish(struct sync *sync, int code, const struct dataplane_result *dataplane,
                struct sync_result *ret);
/* The first half of a turn alone: every dirty service gets its planned entry. For dry runs. */
void sync_plan_all(struct sync *sync);
/* The back-off before the next try after failures in a row: 100 ms doubling to 30 s. */
unsigned sync_retry_delay_ms(const struct sync *sync);
/* The entries in force, in a list to free(). */
const struct entry **sync_entries(const struct sync *sync, size_t *ret_count);
