/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PURE. Which cluster IPs and node ports are given away: KEP-3070 and KEP-3668 (the lower band of a range is
 * for those who name what they want), KEP-1880 (ranges up to /64). Made anew from the Services of the
 * registry at start, so that nothing is ever given twice. Randomness is handed in. What is taken lies in a
 * hash table, so the size of a range costs nothing. */

struct allocator;

struct allocator_config {
    struct prefix ranges[2]; /* service cluster IP ranges, the primary family first */
    size_t range_count;
    uint16_t node_port_first, node_port_last;
};
/* One range, or two of different families; IPv6 not wider than /64; eight addresses at least; ports 1 to
 * 65535 in order. -EINVAL and a sentence. */
int allocator_config_check(const struct allocator_config *config, struct err *err);

/* The config has passed its check. It is copied. */
struct allocator *allocator_new(const struct allocator_config *config);
/* NULL is allowed. */
void allocator_free(struct allocator *allocator);
const struct allocator_config *allocator_config(const struct allocator *allocator);

/* Sentences in upstream's words (kubernetes 1.36, pkg/registry/core/service/{ipallocator,portallocator}).
 * take: -EEXIST `provided IP is already allocated`, -ERANGE `the provided network does not match the current
 * range` when no range has the address (a network's own address and the IPv4 broadcast are not in it).
 * next: from a random place in the upper band onwards, then in the lower; -ENOSPC `range is full`. The first
 * address of the primary range is for the Service default/kubernetes: nobody gets it without naming it. */
int allocator_take_address(struct allocator *allocator, const struct address *address, struct err *err);
int allocator_next_address(struct allocator *allocator, enum family family, uint64_t random,
                           struct address *ret, struct err *err);
/* Everything that take says of a range, in the words that a dry run uses, and nothing is taken: -ERANGE `the
 * provided IP (192.0.2.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16`. */
int allocator_try_address(const struct allocator *allocator, const struct address *address, struct err *err);
/* What is not taken is passed over. */
void allocator_release_address(struct allocator *allocator, const struct address *address);
bool allocator_has_address(const struct allocator *allocator, const struct address *address);
size_t allocator_address_count(const struct allocator *allocator);

/* take: -EEXIST `provided port is already allocated`, -ERANGE `provided port is not in the valid range. The
 * range of valid ports is 30000-32767`. next: as for addresses. */
int allocator_take_port(struct allocator *allocator, uint16_t port, struct err *err);
int allocator_next_port(struct allocator *allocator, uint64_t random, uint16_t *ret, struct err *err);
void allocator_release_port(struct allocator *allocator, uint16_t port);
bool allocator_has_port(const struct allocator *allocator, uint16_t port);
size_t allocator_port_count(const struct allocator *allocator);

/* For what a stored object holds: taken in any case. When somebody holds it already (-EEXIST) or it lies
 * outside the ranges
 * (-ERANGE) the sentence is as above; it becomes free when each of its holders has released it. */
int allocator_adopt_address(struct allocator *allocator, const struct address *address, struct err *err);
int allocator_adopt_port(struct allocator *allocator, uint16_t port, struct err *err);
