/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/elements.h"

#include <linux/netlink.h>

/* The netlink form of the table, gathered in one batch: the kernel commits all of it or nothing
 * (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch). Order inside: tables, sets, chains and rules; then
 * elements that go; then elements that come; then chains that go. */

struct segment {
    uint8_t *data;
    size_t len, capacity;
    size_t open; /* where the element message being filled begins, plus one; 0: none */
};

struct batch {
    struct segment head, tail;
    struct segment sets[2][FAMILY_COUNT][SET_COUNT]; /* elements by set: deletes, adds */
    uint32_t sequence;
    uint32_t element_adds, element_deletes;
    int32_t growth[FAMILY_COUNT][SET_COUNT]; /* adds less deletes */
};

void batch_init(struct batch *batch);
void batch_done(struct batch *batch);
bool batch_is_empty(const struct batch *batch);
/* Moves what stands before the elements (tables, sets, new chains) into a batch of its own. */
void batch_split_head(struct batch *batch, struct batch *ret_head);

void batch_add_table(struct batch *batch, enum family family);
void batch_delete_table(struct batch *batch, enum family family);
/* size 0: the set grows; else it is a faster table that holds no more than size. */
void batch_add_set(struct batch *batch, enum family family, enum set_id set, uint32_t size);
void batch_delete_set(struct batch *batch, enum family family, const char *name);
void batch_flush_set(struct batch *batch, enum family family, enum set_id set);
void batch_add_chain(struct batch *batch, enum family family, const struct chain *chain);
void batch_add_rules(struct batch *batch, enum family family, const struct chain *chain);
/* Every rule of one chain. */
void batch_flush_chain(struct batch *batch, enum family family, const char *name);
/* Every rule of the table. */
void batch_flush_rules(struct batch *batch, enum family family);
/* Before anything is added, for leftovers that nothing points at once rules and sets are gone. */
void batch_delete_leftover_chain(struct batch *batch, enum family family, const char *name);
/* After the elements, for nothing may point at it any more. */
void batch_delete_chain(struct batch *batch, enum family family, const char *name);
void batch_add_element(struct batch *batch, const struct element *element);
void batch_delete_element(struct batch *batch, const struct element *element);
/* A message that the kernel must refuse, so that the whole batch is undone: for tests of just that. */
void batch_add_fault(struct batch *batch);
/* The like with -EEXIST, which nothing else in a batch that makes the table says. */
void batch_add_trial_end(struct batch *batch, enum family family);

/* The next number in network order; false when it wraps to 0. */
bool key_increment(uint8_t *wire, unsigned len);
/* Fills a NEWRULE message (header already there) with table, chain, expressions and user data. */
void rule_encode(struct nlmsghdr *message, enum family family, const struct chain *chain,
                 const struct rule *rule);
