/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* The affinity map is filled by packets, and a packet refreshes an entry without asking whether its endpoint
 * still belongs to the service. So when a service loses an endpoint its clients are forgotten here, after the
 * transaction that took the endpoint out of the slots: nobody can learn it again. */

struct pruner {
    struct nftables *nftables;
    const struct entry *const *entries;
    size_t entry_count;
    struct element_list stale;
};

static bool set_has(const struct backend_set *set, const struct address *address, uint16_t port)
{
    for (uint32_t i = 0; set && i < set->count; i++)
        if (set->list[i].port == port && address_cmp(&set->list[i].address, address) == 0)
            return true;
    return false;
}

/* Whether the entry's port with this number still has the endpoint. *ret_is_mine says that the number is one
 * of its ports' at all. */
static bool entry_has(struct nftables *nftables, const struct entry *entry, uint32_t id,
                      const struct address *address, uint16_t port, bool *ret_is_mine)
{
    for (uint32_t i = 0; i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        if (!frontend->affinity_seconds ||
            affinity_ids_get(&nftables->state.affinity_ids, entry->port_names[frontend->port_index]) != id)
            continue;
        *ret_is_mine = true;
        if (set_has(frontend_set(frontend), address, port) || set_has(frontend->shortcut, address, port))
            return true;
    }
    return false;
}

static void check_client(const struct element *element, void *context)
{
    struct pruner *pruner = context;
    uint32_t id;
    uint16_t port_be;
    unsigned address_len = field_len(FIELD_DADDR, element->family);
    memcpy(&id, element->key + address_len + 4, sizeof(id));
    memcpy(&port_be, element->data + address_len, sizeof(port_be));
    struct address address = address_from_wire(element->family, element->data);
    bool is_known = false;
    for (size_t i = 0; i < pruner->entry_count; i++)
        if (entry_has(pruner->nftables, pruner->entries[i], id, &address, ntohs(port_be), &is_known))
            return;
    if (is_known)
        element_list_add(&pruner->stale, element);
}

static bool has_affinity(const struct entry *const *entries, size_t count, enum family family)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t f = 0; f < entries[i]->frontend_count; f++)
            if (entries[i]->frontends[f].affinity_seconds && entries[i]->frontends[f].family == family)
                return true;
    return false;
}

/* One element a transaction: it may have expired meanwhile, and that must not undo the others. */
static int forget(struct nftables *nftables, const struct element_list *stale,
                  struct dataplane_result *result, struct err *err)
{
    for (uint32_t i = 0; i < stale->count; i++) {
        struct batch batch;
        struct element blamed;
        batch_init(&batch);
        batch_delete_element(&batch, &stale->list[i]);
        int code = kernel_commit(&nftables->kernel, &batch, 0, &blamed, err);
        batch_done(&batch);
        if (code < 0 && code != -ENOENT)
            return code;
        result->transactions++;
        result->element_deletes++;
    }
    return 0;
}

int nftables_prune_affinity(struct nftables *nftables, const struct entry *const *entries, size_t count,
                            struct dataplane_result *result, struct err *err)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        if (!has_affinity(entries, count, (enum family)family))
            continue;
        arena_reset(&nftables->scratch);
        struct pruner pruner = {.nftables = nftables,
                                .entries = entries,
                                .entry_count = count,
                                .stale = {.arena = &nftables->scratch}};
        int code =
            readback_set(&nftables->kernel, (enum family)family, SET_AFFINITY, check_client, &pruner, err);
        if (code == 0)
            code = forget(nftables, &pruner.stale, result, err);
        if (code < 0)
            return code;
    }
    return 0;
}
