/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include <errno.h>
#include <string.h>

/* Asks the kernel, key by key, for what one frontend should have there. */

struct inspection {
    struct nftables *nftables;
    struct text *ret;
    uint32_t asked, missing, different;
};

static int ask(struct inspection *inspection, const struct element *wanted, struct err *err)
{
    struct element found = *wanted;
    struct text text = {0};
    int code = readback_element(&inspection->nftables->kernel, &found, err);
    inspection->asked++;
    if (code == -ENOENT) {
        inspection->missing++;
        element_format(wanted, &text);
        text_printf(inspection->ret, "  MISSING in the kernel: %s { %s }\n", set_schema(wanted->set)->name,
                    text_str(&text));
        code = 0;
    } else if (code == 0) {
        bool is_same = element_same_data(wanted, &found);
        inspection->different += !is_same;
        element_format(&found, &text);
        text_printf(inspection->ret, "  %s { %s }%s\n", set_schema(wanted->set)->name, text_str(&text),
                    is_same ? "" : "  DIFFERS from what fairlead wants");
    }
    text_done(&text);
    return code;
}

static bool is_of_frontend(const struct element *element, const struct element *frontend)
{
    bool is_same_form =
        set_schema(element->set)->is_for_node_port == set_schema(frontend->set)->is_for_node_port;
    unsigned key_len = set_key_len(frontend->set, frontend->family);
    return is_same_form && element->family == frontend->family && element->set != SET_AFFINITY_LEARNS &&
           element->set != SET_SOURCE_RANGES && memcmp(element->key, frontend->key, key_len) == 0;
}

/* Clients remembered for one of the frontend's endpoint sets, and the asker among them. */
struct client_search {
    uint8_t address[16];
    unsigned address_len;
    uint32_t ids[2], clients;
    struct text found;
};

static void match_client(const struct element *element, void *context)
{
    struct client_search *search = context;
    uint32_t id;
    memcpy(&id, element->key + search->address_len + 4, sizeof(id));
    if (id != search->ids[0] && id != search->ids[1])
        return;
    search->clients++;
    if (memcmp(element->key, search->address, search->address_len) != 0)
        return;
    text_add(&search->found, search->found.len ? ", " : "");
    element_format(element, &search->found);
}

static int inspect_affinity(struct inspection *inspection, const struct entry *entry,
                            const struct frontend *frontend, const struct address *from, struct err *err)
{
    struct numbers *ids = &inspection->nftables->state.affinity_ids;
    struct client_search search = {
        .address_len = field_len(FIELD_DADDR, frontend->family),
        .ids = {affinity_id(ids, entry, frontend, false),
                affinity_id(ids, entry, frontend, frontend->short_circuits)},
    };
    size_t len;
    if (from && address_family(from) == frontend->family)
        memcpy(search.address, address_wire(from, &len), search.address_len);
    int code = readback_set(&inspection->nftables->kernel, frontend->family, SET_AFFINITY, match_client,
                            &search, err);
    if (code == 0) {
        text_printf(inspection->ret, "  affinity: %u client%s remembered", search.clients,
                    search.clients == 1 ? " is" : "s are");
        text_printf(inspection->ret, search.found.len ? ", this one as { %s }\n" : "\n",
                    text_str(&search.found));
    }
    text_done(&search.found);
    return code;
}

int nftables_inspect(struct dataplane *dataplane, const struct dataplane_node *node,
                     const struct entry *entry, const struct frontend *frontend, const struct address *from,
                     struct text *ret, struct err *err)
{
    (void)node;
    struct nftables *nftables = (struct nftables *)dataplane;
    struct inspection inspection = {.nftables = nftables, .ret = ret};
    struct entry only = *entry;
    struct frontend wanted = *frontend;
    wanted.is_shadowed = false;
    only.frontends = &wanted;
    only.frontend_count = 1;
    arena_reset(&nftables->scratch);
    struct element_list own = {.arena = &nftables->scratch};
    elements_build_own(&only, &nftables->state.affinity_ids, &own);
    /* The frontend's own element is the first of its kind: services or node-ports sort before everything
     * else. */
    const struct element head = own.list[0];
    int code = 0;
    for (uint32_t i = 0; i < own.count && code == 0; i++)
        if (is_of_frontend(&own.list[i], &head))
            code = ask(&inspection, &own.list[i], err);
    if (code == 0 && frontend->affinity_seconds && frontend->verdict == FRONTEND_FORWARD)
        code = inspect_affinity(&inspection, entry, frontend, from, err);
    if (code < 0)
        return code;
    return inspection.missing + inspection.different > 0;
}
