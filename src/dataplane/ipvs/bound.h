/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

/* The dummy interface kube-ipvs0, which carries the addresses of virtual servers so that packets to them come
 * into this node (rtnetlink(7)). */

#define BOUND_INTERFACE "kube-ipvs0"

/* Whether such an interface could be made; it makes none. -errno and a sentence where the kernel has no
 * dummies.
 */
int bound_probe(struct err *err);

struct bound;
/* Makes the interface where it is not there, without ARP, and as kube-proxy leaves it otherwise: down.
 * -EEXIST and a sentence where an interface of that name is no dummy; -EOPNOTSUPP where the kernel has none.
 */
int bound_open(struct bound **ret, struct err *err);
void bound_close(struct bound *bound); /* NULL is allowed; the interface stays */

/* Gathered; in force with bound_flush, in order. /32 or /128; IPv6 without duplicate address detection. One
 * that is there already is bound already, one that is not is removed already. */
void bound_add(struct bound *bound, const struct address *address);
void bound_remove(struct bound *bound, const struct address *address);
/* The first failure, which names the address; the others are in force all the same. Nothing is waiting
 * afterwards either way. -ENODEV where somebody deleted the interface. */
int bound_flush(struct bound *bound, struct err *err);
/* Every address on the interface but IPv6's link-local one. Makes the interface anew where somebody deleted
 * it, for those that are added afterwards. visit may be NULL. */
int bound_list(struct bound *bound, void (*visit)(void *context, const struct address *address),
               void *context, struct err *err);
/* A descriptor that becomes readable when addresses of the interface, or it itself, change: by somebody
 * else's hand, or those of IPv6 by ours. Whether the interface has other addresses than bound_list told and
 * bound_flush made since (reads the descriptor dry); it is said once, and bound_list is the new start. */
int bound_watch_fd(const struct bound *bound);
bool bound_is_disturbed(struct bound *bound);

/* The interface's addresses in the answer to a dump. For fuzzing; never reads past len. */
void bound_parse(const void *bytes, size_t len, uint32_t index,
                 void (*visit)(void *context, const struct address *address), void *context);
