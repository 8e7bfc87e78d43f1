/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/readback.h"
#include "dataplane/nftables/state.h"

/* The nftables dataplane's own state, shared by its files. */
struct nftables {
    struct dataplane base;
    struct kernel kernel;
    struct state state;
    bool is_known;                          /* state is what the kernel has; else only load helps */
    uint32_t size[FAMILY_COUNT][SET_COUNT]; /* as the kernel's sets were made; 0: they grow */
    int64_t count[FAMILY_COUNT][SET_COUNT];
    struct arena scratch;                /* one call's element lists */
    unsigned long transactions, fail_at; /* for fault injection: which transaction shall fail */
};

/* Commits and counts; on failure the state is unknown. Names the service of entries behind a refused element.
 */
int nftables_commit(struct nftables *nftables, struct batch *batch, uint32_t generation,
                    const struct entry *const *entries, size_t count, struct dataplane_result *result,
                    struct err *err);

/* load.c: see struct dataplane_ops. */
int nftables_load(struct dataplane *dataplane, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                  struct err *err);

/* affinity.c: forgets clients of endpoints that their service no longer has. entries: those that may have
 * such clients. Costs a dump of the affinity map. */
int nftables_prune_affinity(struct nftables *nftables, const struct entry *const *entries, size_t count,
                            struct dataplane_result *result, struct err *err);

/* Whether a change can leave clients behind for that: an endpoint went, or the affinity is new. Pure. */
bool nftables_may_lose_clients(const struct dataplane_change *change);

/* inspect.c: see struct dataplane_ops. */
int nftables_inspect(struct dataplane *dataplane, const struct dataplane_node *node,
                     const struct entry *entry, const struct frontend *frontend, const struct address *from,
                     struct text *ret, struct err *err);
void nftables_render(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                     struct text *ret);
