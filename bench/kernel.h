/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include <stdint.h>

/* What the kernel itself says, over netlink, of the network namespace in which the handle was opened. */

/* Moves the calling thread into the namespace of that path (/run/netns/NAME). */
int netns_enter(const char *path, struct err *err);

/* Two ways to learn of a commit. Polling asks for the generation (NFT_MSG_GETGEN, which the kernel answers
 * under RCU, without the commit's mutex): it keeps a CPU busy while it waits and costs the writer nothing.
 * Listening makes the kernel build a message for every element of a commit, though the socket's filter lets
 * NFT_MSG_NEWGEN alone through. Ten elements replaced, send to acknowledgement, on Linux 6.18, p50: nobody
 * looks 27 us, polling 27 us from another CPU, listening 60 us. So polling is the rule; listening is for
 * machines with one CPU. WATCH_NONE is for those whose changes nf_tables does not show: legacy iptables,
 * IPVS, a proxy's own sockets. */
enum watch_mode { WATCH_POLL, WATCH_EVENT, WATCH_NONE };

struct watch {
    enum watch_mode mode;
    unsigned pause_us; /* between two polls; 0: none, and a CPU of its own */
    struct mnl_socket *query, *events;
};

int watch_open(struct watch *watch, enum watch_mode mode, struct err *err);
void watch_done(struct watch *watch);
/* The generation in force; it moves by one with every commit to nf_tables. */
int watch_read(struct watch *watch, uint32_t *ret_generation, struct err *err);
/* Waits until the generation differs from last. ret_at_ns is when it was seen. -ETIMEDOUT (no sentence) after
 * deadline_ns of CLOCK_MONOTONIC. */
int watch_wait(struct watch *watch, uint32_t last, int64_t deadline_ns, uint32_t *ret_generation,
               int64_t *ret_at_ns, struct err *err);

/* Forgets all connections of the namespace. */
int conntrack_flush(struct err *err);

/* Calls back for every named set and map of every table with its number of elements: the kernel's own count
 * where it gives one (NFTA_SET_COUNT, Linux 6.16), a dump otherwise. */
typedef void set_count_fn(void *context, const char *table, const char *set, uint64_t elements);
int sets_count(set_count_fn *callback, void *context, struct err *err);
