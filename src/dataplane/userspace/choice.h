/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/entry.h"

#include <uthash.h>

/* Which endpoint a new connection or flow of one service port goes to: in turn, or with ClientIP affinity to
 * where the client went before. Time is an argument, in milliseconds of any clock that only grows. PURE. */

#define CHOICE_CLIENTS_MAX 65536 /* clients remembered; the one that was away for longest goes first */

struct choice_client {
    struct address address;
    struct backend backend;
    uint64_t seen_ms; /* its time counts from here */
    UT_hash_handle hh;
};

struct choice {
    struct backend *backends;
    uint32_t count, next;
    uint64_t dice;                 /* see choice_roll; 0: every round is in the order of the set */
    uint32_t affinity_seconds;     /* 0: none */
    struct choice_client *clients; /* the one that was away for longest first */
};

/* Start from {0}; choice_done frees what it holds. */
void choice_done(struct choice *choice);
/* Each round from now on has all endpoints once, in an order of its own. In a fixed order, clients that ask
 * in step with each other would each have the same endpoint for ever, and so would two ports of one service.
 * seed is any number. */
void choice_roll(struct choice *choice, uint64_t seed);
/* The endpoints from now on (copied). Clients of those that stay keep theirs, for affinity_seconds from when
 * they last came. With the same endpoints the round goes on; with others a new one begins, or without dice
 * the turn goes on behind the endpoint that was last chosen, wherever it is now. */
void choice_set(struct choice *choice, const struct backend_set *set, uint32_t affinity_seconds);
/* False when there is nobody. With affinity the client's time begins anew. */
bool choice_take(struct choice *choice, const struct address *client, uint64_t now_ms, struct backend *ret);
/* failed did not answer the client: the one behind it, which the client keeps. So nobody is tried twice
 * before all were tried once. The turn of others is not moved. */
bool choice_retry(struct choice *choice, const struct address *client, const struct backend *failed,
                  uint64_t now_ms, struct backend *ret);
/* The client's endpoint did not answer: it is given another the next time. */
void choice_reset(struct choice *choice, const struct address *client);
