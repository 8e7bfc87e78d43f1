/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/sync.h"
#include "snapshot.h"
#include "world.h"

/* The walk from store to kernel, with a world for its source. */
struct run {
    struct world *world;
    struct store *store;
    struct options options;
    struct sync sync;
    struct dataplane *dataplane;
    struct kernel kernel; /* the test's own: it reads what is there, and does the damage */
};

/* The functions below end the process with words when something fails that no property is about. */
void run_init(struct run *run, struct world *world);
void run_done(struct run *run);
/* The daemon ends and comes again; the kernel's table stays. */
void run_restart(struct run *run);
/* Takes the next transaction but so many down. */
void run_inject_failure(struct run *run, unsigned skip);
void run_forget_failure(struct run *run);
/* Calls collect until nothing is left; false when that does not come to an end. */
bool run_collect_all(struct run *run, struct err *err);

/* Words about what is wrong with the kernel's table right now, else false. With is_settled it must also hold
 * what is wanted, all of it and nothing that may not linger. */
bool run_is_wrong(struct run *run, bool is_settled, struct text *words);
/* Lets a made-up client stick to an endpoint that some service with affinity has now. False when there is
 * none. */
bool run_add_client(struct run *run, struct dice *dice);
/* How many clients are remembered. */
uint32_t run_count_clients(struct run *run, enum family family);
/* Does to the table what another program might. False when nothing came of it. */
bool run_damage(struct run *run, struct dice *dice);

/* Enters a network namespace of its own; false with a sentence when that is not allowed here. */
bool enter_namespace(void);
