/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "api/object.h"
#include "apiserver/addresses.h"

/* What an apiserver does to a Service beyond defaulting and validation: families, cluster IPs, node ports and
 * health-check node ports, and what a change of type sets free (kubernetes 1.36:
 * pkg/registry/core/service/storage/{alloc,storage}.go and strategy.go; section E of the reference).
 * Upstream's order, which decides whose words a client reads first, is services_prepare, services_plan,
 * validation, the write, services_commit or services_rollback.
 *
 * The message must be defaulted by the scheme alone: whether clusterIPs, ipFamilies, ipFamilyPolicy, node
 * ports were left out tells what a client means. */

/* What a write takes and sets free, in the arena of the request. Zeroed, it is a plan of nothing. */
struct services_plan {
    struct allocator *allocator;
    struct address *taken_addresses;
    size_t taken_address_count;
    uint16_t *taken_ports;
    size_t taken_port_count;
    struct address *freed_addresses;
    size_t freed_address_count;
    uint16_t *freed_ports;
    size_t freed_port_count;
};

/* before NULL: a create. In after: what an update left out and the type still needs is as before, clusterIP
 * and clusterIPs agree, families and policy are filled (E3), and what the new type has no use for is gone
 * (status.loadBalancer too). What it adds to after lives in the arena. With faults the write ends here. */
void services_prepare(const Core__Service *before, Core__Service *after,
                      const struct allocator_config *config, struct arena *arena, struct faults *faults);
/* Allocates what after lacks or names anew (E4, E5): the message is filled, *ret holds what was taken. With
 * is_dry_run nothing is taken, and what cannot be known is the base of the range and ports from 32769 on, as
 * upstream has it. -EINVAL: faults (`spec.clusterIPs: Invalid value: ["10.97.0.1"]: failed to allocate
 * IP 10.97.0.1: ...`). Any other code: the sentence of an InternalError (HTTP 500, `failed to allocate a
 * serviceIP for Service "web": range is full`). In both cases nothing stays taken and *ret is a plan of
 * nothing. */
int services_plan(const Core__Service *before, Core__Service *after, struct allocator *allocator,
                  bool is_dry_run, uint64_t (*random)(void *context), void *context, struct arena *arena,
                  struct faults *faults, struct services_plan *ret, struct err *err);
/* The write is durable: what before held and after does not is set free. */
void services_commit(struct services_plan *plan);
/* The write did not happen: what plan took is given back. Both leave a plan of nothing. */
void services_rollback(struct services_plan *plan);

/* When a Service is gone. (Upstream also deletes the Endpoints of its name: that is the caller's.) */
void services_release(const Core__Service *service, struct allocator *allocator);
/* At start, for each stored Service: what it holds is taken. -EEXIST or -ERANGE with a sentence for the first
 * thing that another one holds or that lies outside the ranges; it is kept taken all the same. */
int services_adopt(const Core__Service *service, struct allocator *allocator, struct err *err);
