/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The affinity map is filled by packets, and a packet refreshes an entry without asking whether its endpoint
 * still belongs to the service. So when a service loses an endpoint its clients are forgotten here, after the
 * transaction that took the endpoint out of the slots: nobody can learn it again. */

/* An endpoint set of a frontend with affinity, by its number. */
struct learner {
    uint32_t id;
    const struct backend_set *backends;
};

struct pruner {
    struct learner *learners; /* of one family, sorted by number */
    size_t count;
    struct element_list stale;
};

static bool set_has(const struct backend_set *set, const struct backend *backend)
{
    for (uint32_t i = 0; set && i < set->count; i++)
        if (set->list[i].port == backend->port && address_cmp(&set->list[i].address, &backend->address) == 0)
            return true;
    return false;
}

static int learner_order(const void *a_, const void *b_)
{
    const struct learner *a = a_, *b = b_;
    return a->id < b->id ? -1 : a->id > b->id;
}

static const struct learner *first_learner(const struct pruner *pruner, uint32_t id)
{
    size_t low = 0, high = pruner->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pruner->learners[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return &pruner->learners[low];
}

/* A number that is not in the list belongs to somebody who did not change, or to nobody: it is left alone. */
static void check_client(const struct element *element, void *context)
{
    struct pruner *pruner = context;
    uint32_t id;
    uint16_t port_be;
    unsigned address_len = field_len(FIELD_DADDR, element->family);
    memcpy(&id, element->key + address_len + 4, sizeof(id));
    memcpy(&port_be, element->data + address_len, sizeof(port_be));
    const struct backend endpoint = {.address = address_from_wire(element->family, element->data),
                                     .port = ntohs(port_be)};
    const struct learner *learner = first_learner(pruner, id), *end = pruner->learners + pruner->count;
    if (learner == end || learner->id != id)
        return;
    for (; learner < end && learner->id == id; learner++)
        if (set_has(learner->backends, &endpoint))
            return;
    element_list_add(&pruner->stale, element);
}

static size_t list_learners(struct nftables *nftables, const struct entry *const *entries, size_t count,
                            enum family family, struct learner *ret)
{
    struct numbers *ids = &nftables->state.affinity_ids;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t f = 0; f < entries[i]->frontend_count; f++) {
            const struct frontend *frontend = &entries[i]->frontends[f];
            if (!frontend->affinity_seconds || frontend->family != family)
                continue;
            if (ret)
                ret[found] = (struct learner){.id = affinity_id(ids, entries[i], frontend, false),
                                              .backends = frontend_set(frontend)};
            found++;
            if (ret && frontend->short_circuits)
                ret[found] = (struct learner){.id = affinity_id(ids, entries[i], frontend, true),
                                              .backends = frontend->shortcut};
            found += frontend->short_circuits;
        }
    }
    return found;
}

static int forget_some(struct nftables *nftables, const struct element *stale, uint32_t count,
                       struct dataplane_result *result, struct err *err)
{
    struct batch batch;
    struct element blamed;
    batch_init(&batch);
    for (uint32_t i = 0; i < count; i++)
        batch_delete_element(&batch, &stale[i]);
    int code = kernel_commit(&nftables->kernel, &batch, 0, &blamed, err);
    batch_done(&batch);
    if (code == 0) {
        result->transactions++;
        result->element_deletes += count;
        return 0;
    }
    /* One of them expired meanwhile, which undoes the others: halve until it stands alone. */
    if (code != -ENOENT || count == 1)
        return code == -ENOENT ? 0 : code;
    code = forget_some(nftables, stale, count / 2, result, err);
    return code < 0 ? code : forget_some(nftables, stale + count / 2, count - count / 2, result, err);
}

#define FORGET_AT_ONCE 1024

static int forget(struct nftables *nftables, const struct element_list *stale,
                  struct dataplane_result *result, struct err *err)
{
    int code = 0;
    for (uint32_t at = 0; at < stale->count && code == 0; at += FORGET_AT_ONCE) {
        uint32_t left = stale->count - at;
        code = forget_some(nftables, &stale->list[at], left < FORGET_AT_ONCE ? left : FORGET_AT_ONCE, result,
                           err);
    }
    return code;
}

static int prune(struct nftables *nftables, struct pruner *pruner, enum family family,
                 struct dataplane_result *result, struct err *err)
{
    qsort(pruner->learners, pruner->count, sizeof(*pruner->learners), learner_order);
    int code = readback_set(&nftables->kernel, family, SET_AFFINITY, check_client, pruner, err);
    return code == 0 ? forget(nftables, &pruner->stale, result, err) : code;
}

int nftables_prune_affinity(struct nftables *nftables, const struct entry *const *entries, size_t count,
                            struct dataplane_result *result, struct err *err)
{
    int code = 0;
    for (int family = 0; code == 0 && family < FAMILY_COUNT; family++) {
        struct pruner pruner = {.stale = {.arena = &nftables->scratch}};
        arena_reset(&nftables->scratch);
        pruner.count = list_learners(nftables, entries, count, (enum family)family, NULL);
        if (pruner.count == 0)
            continue;
        pruner.learners = xcalloc(pruner.count, sizeof(*pruner.learners));
        list_learners(nftables, entries, count, (enum family)family, pruner.learners);
        code = prune(nftables, &pruner, (enum family)family, result, err);
        free(pruner.learners);
    }
    return code;
}

static bool has_affinity(const struct entry *entry)
{
    for (uint32_t f = 0; entry && f < entry->frontend_count; f++)
        if (entry->frontends[f].affinity_seconds)
            return true;
    return false;
}

/* The same ports in the same families: then the sets of both follow each other in the same order. */
static bool is_same_shape(const struct entry *a, const struct entry *b)
{
    if (a->set_count != b->set_count || a->port_count != b->port_count ||
        a->cluster_ip_count != b->cluster_ip_count)
        return false;
    for (uint32_t i = 0; i < a->cluster_ip_count; i++)
        if (address_family(&a->cluster_ips[i]) != address_family(&b->cluster_ips[i]))
            return false;
    for (uint32_t i = 0; i < a->port_count; i++)
        if (strcmp(a->port_names[i], b->port_names[i]) != 0)
            return false;
    return true;
}

static bool loses_backend(const struct backend_set *old, const struct backend_set *next)
{
    for (uint32_t slot = 0; slot < old->count; slot++) {
        const struct backend *backend = &old->list[slot];
        /* Nearly all stay in their slot. */
        bool is_in_place = slot < next->count && next->list[slot].port == backend->port &&
                           address_cmp(&next->list[slot].address, &backend->address) == 0;
        if (!is_in_place && !set_has(next, backend))
            return true;
    }
    return false;
}

bool nftables_may_lose_clients(const struct dataplane_change *change)
{
    const struct entry *old = change->old, *next = change->next;
    if (!has_affinity(next))
        return false;
    /* Clients of an earlier life may still be remembered. */
    if (!has_affinity(old) || !is_same_shape(old, next))
        return true;
    for (uint32_t i = 0; i < old->set_count; i++)
        if (loses_backend(&old->sets[i], &next->sets[i]))
            return true;
    return false;
}
