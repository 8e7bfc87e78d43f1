/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/elements.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t affinity_id(struct numbers *ids, const struct entry *entry, const struct frontend *frontend,
                     bool is_shortcut)
{
    bool is_local = frontend->is_local && !is_shortcut;
    struct text name = {0};
    text_printf(&name, is_local ? "%s, local" : "%s", entry->port_names[frontend->port_index]);
    uint64_t hash = hash_bytes(0, name.data, name.len);
    uint32_t id = numbers_get(ids, name.data, hash ^ (hash >> 32), UINT32_MAX);
    text_done(&name);
    return id;
}

static struct element *add(struct element_list *list, enum family family, enum set_id set)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 32;
        struct element *grown = arena_array(list->arena, struct element, capacity);
        if (list->count)
            memcpy(grown, list->list, list->count * sizeof(*grown));
        list->list = grown;
        list->capacity = capacity;
    }
    struct element *element = &list->list[list->count++];
    *element = (struct element){.family = family, .set = set};
    return element;
}

void element_list_add(struct element_list *list, const struct element *element)
{
    *add(list, element->family, element->set) = *element;
}

static uint8_t *put_address(uint8_t *at, const struct address *address)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    memcpy(at, wire, len);
    return at + len;
}

static uint8_t *put_number(uint8_t *at, uint32_t number)
{
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

/* Protocol and port fill a register each: one byte, two bytes in network order, and zeros. */
static uint8_t *put_protocol(uint8_t *at, uint8_t protocol)
{
    memset(at, 0, 4);
    at[0] = protocol;
    return at + 4;
}

static uint8_t *put_port(uint8_t *at, uint16_t port)
{
    uint16_t port_be = htons(port);
    memset(at, 0, 4);
    memcpy(at, &port_be, sizeof(port_be));
    return at + 4;
}

static uint8_t *put_frontend(uint8_t *at, const struct frontend *frontend)
{
    if (frontend->kind != FRONTEND_NODE_PORT)
        at = put_address(at, &frontend->address);
    return put_port(put_protocol(at, frontend->protocol), frontend->port);
}

/* The set in its form for addresses or for node ports. */
static enum set_id form(const struct frontend *frontend, enum set_id for_address, enum set_id for_node_port)
{
    return frontend->kind == FRONTEND_NODE_PORT ? for_node_port : for_address;
}

static void add_value(struct element_list *ret, const struct frontend *frontend, enum set_id set,
                      uint32_t value)
{
    struct element *element = add(ret, frontend->family, set);
    put_frontend(element->key, frontend);
    put_number(element->data, value);
}

/* The number has 16 bits for it, and the second range of slots begins behind: the rest takes no traffic. */
static uint32_t slot_count(const struct backend_set *backends)
{
    return backends->count < VALUE_COUNT_MASK ? backends->count : VALUE_COUNT_MASK;
}

static void add_slots(struct element_list *ret, const struct frontend *frontend,
                      const struct backend_set *backends, uint32_t offset)
{
    enum set_id set = form(frontend, SET_ENDPOINTS, SET_NODE_ENDPOINTS);
    for (uint32_t slot = 0; slot < slot_count(backends); slot++) {
        struct element *element = add(ret, frontend->family, set);
        put_number(put_frontend(element->key, frontend), offset + slot);
        put_port(put_address(element->data, &backends->list[slot].address), backends->list[slot].port);
    }
}

static void set_verdict(struct element *element, const char *chain)
{
    element->verdict.is_goto = chain != NULL;
    if (chain)
        snprintf(element->verdict.chain, sizeof(element->verdict.chain), "%s", chain);
}

static uint32_t pick_value(const struct frontend *frontend, const struct backend_set *backends,
                           uint32_t flags)
{
    if (backends->count == 0)
        return VALUE_DROP;
    if (frontend->affinity_seconds)
        flags |= VALUE_AFFINITY;
    return slot_count(backends) | flags | (uint32_t)frontend->masquerade << VALUE_MASQUERADE_SHIFT;
}

static void add_affinity_id(struct element_list *ret, const struct frontend *frontend, enum set_id set,
                            uint32_t id)
{
    char chain[CHAIN_NAME_MAX];
    add_value(ret, frontend, set, id);
    struct element *learn = add(ret, frontend->family, SET_AFFINITY_LEARNS);
    rules_learn_chain_name(frontend->affinity_seconds, chain);
    put_number(learn->key, id);
    set_verdict(learn, chain);
}

static void add_affinity(struct element_list *ret, const struct entry *entry, const struct frontend *frontend,
                         struct numbers *ids)
{
    add_affinity_id(ret, frontend, form(frontend, SET_AFFINITY_IDS, SET_NODE_AFFINITY_IDS),
                    affinity_id(ids, entry, frontend, false));
    if (frontend->short_circuits)
        add_affinity_id(ret, frontend,
                        form(frontend, SET_SHORTCUT_AFFINITY_IDS, SET_NODE_SHORTCUT_AFFINITY_IDS),
                        affinity_id(ids, entry, frontend, true));
}

static void add_frontend(struct element_list *ret, const struct entry *entry, const struct frontend *frontend,
                         struct numbers *ids)
{
    uint32_t value = VALUE_DROP;
    if (frontend->verdict == FRONTEND_REJECT)
        value = VALUE_REJECT;
    if (frontend->verdict == FRONTEND_FORWARD) {
        value = pick_value(frontend, frontend->backends, 0);
        add_slots(ret, frontend, frontend->backends, 0);
        if (frontend->short_circuits) {
            add_value(ret, frontend, form(frontend, SET_LOCALS, SET_NODE_LOCALS), value);
            add_value(ret, frontend, form(frontend, SET_SHORTCUTS, SET_NODE_SHORTCUTS),
                      pick_value(frontend, frontend->shortcut, VALUE_SHORTCUT));
            add_slots(ret, frontend, frontend->shortcut, SHORTCUT_SLOT_OFFSET);
            value = VALUE_EXTERNAL_LOCAL;
        }
        if (frontend->affinity_seconds)
            add_affinity(ret, entry, frontend, ids);
    }
    if (frontend->is_source_ranged) {
        add_value(ret, frontend, SET_GUARDED, value);
        value = VALUE_GUARDED;
        for (uint32_t i = 0; i < entry->source_range_count; i++) {
            const struct prefix *range = &entry->source_ranges[i];
            if (address_family(&range->address) != frontend->family)
                continue;
            struct address first = prefix_first(range), last = prefix_last(range);
            struct element *element = add(ret, frontend->family, SET_SOURCE_RANGES);
            put_address(put_frontend(element->key, frontend), &first);
            put_address(put_frontend(element->key_end, frontend), &last);
        }
    }
    add_value(ret, frontend, form(frontend, SET_SERVICES, SET_NODE_PORTS), value);
}

static int element_order(const void *a, const void *b)
{
    return element_cmp(a, b);
}

static void sort_unique(struct element_list *list)
{
    uint32_t kept = 0;
    if (list->count > 1)
        qsort(list->list, list->count, sizeof(*list->list), element_order);
    for (uint32_t i = 0; i < list->count; i++)
        if (kept == 0 || element_cmp(&list->list[kept - 1], &list->list[i]) != 0)
            list->list[kept++] = list->list[i];
    list->count = kept;
}

void elements_build_own(const struct entry *entry, struct numbers *ids, struct element_list *ret)
{
    if (!entry)
        return;
    for (uint32_t i = 0; i < entry->frontend_count; i++)
        if (!entry->frontends[i].is_shadowed)
            add_frontend(ret, entry, &entry->frontends[i], ids);
    sort_unique(ret);
}

void elements_build_shared(const struct entry *entry, struct element_list *ret)
{
    if (!entry)
        return;
    for (uint32_t i = 0; i < entry->cluster_ip_count; i++)
        put_address(add(ret, address_family(&entry->cluster_ips[i]), SET_CLUSTER_IPS)->key,
                    &entry->cluster_ips[i]);
    for (uint32_t i = 0; i < entry->hairpin_count; i++) {
        struct element *element = add(ret, address_family(&entry->hairpins[i]), SET_HAIRPIN);
        put_address(put_address(element->key, &entry->hairpins[i]), &entry->hairpins[i]);
    }
}

void elements_build_node(const struct dataplane_node *node, struct element_list *ret)
{
    for (uint32_t i = 0; i < node->node_port_address_count; i++) {
        const struct address *address = &node->node_port_addresses[i];
        put_address(add(ret, address_family(address), SET_NODE_IPS)->key, address);
    }
    for (uint32_t i = 0; i < node->service_cidr_count; i++) {
        struct address first = prefix_first(&node->service_cidrs[i]),
                       last = prefix_last(&node->service_cidrs[i]);
        struct element *element = add(ret, address_family(&first), SET_SERVICE_CIDRS);
        put_address(element->key, &first);
        put_address(element->key_end, &last);
    }
    sort_unique(ret);
}

void element_set_verdict(struct element *element)
{
    uint32_t value;
    char name[CHAIN_NAME_MAX];
    memcpy(&value, element->key, sizeof(value));
    if (set_is_source_verdicts(element->set))
        set_verdict(element, rules_value_source_chain(value));
    else
        set_verdict(element, rules_value_chain(value, set_schema(element->set)->is_for_node_port, name));
}

int element_cmp(const struct element *a, const struct element *b)
{
    if (a->set != b->set)
        return (int)a->set - (int)b->set;
    if (a->family != b->family)
        return (int)a->family - (int)b->family;
    int by_key = memcmp(a->key, b->key, KEY_MAX);
    int by_end = by_key ? by_key : memcmp(a->key_end, b->key_end, KEY_MAX);
    return by_end ? by_end : (int)a->is_bound_behind - (int)b->is_bound_behind;
}

bool element_same_data(const struct element *a, const struct element *b)
{
    if (set_schema(a->set)->data == DATA_VERDICT)
        return a->verdict.is_goto == b->verdict.is_goto && strcmp(a->verdict.chain, b->verdict.chain) == 0;
    return memcmp(a->data, b->data, DATA_MAX) == 0;
}

uint32_t element_value(const struct element *element)
{
    uint32_t value;
    memcpy(&value, element->data, sizeof(value));
    return value;
}

bool set_holds_slots(enum set_id set)
{
    return set == SET_ENDPOINTS || set == SET_NODE_ENDPOINTS;
}

static const uint8_t *field_format(enum field field, enum family family, const uint8_t *at, struct text *ret)
{
    char text[ADDRESS_TEXT_MAX];
    uint32_t number;
    uint16_t port_be;
    memcpy(&number, at, sizeof(number));
    memcpy(&port_be, at, sizeof(port_be));
    switch (field) {
    case FIELD_NONE:
        return at;
    case FIELD_DADDR:
    case FIELD_SADDR:
    case FIELD_ORIGINAL_DADDR: {
        struct address address = address_from_wire(family, at);
        text_add(ret, address_format(&address, text));
        return at + field_len(field, family);
    }
    case FIELD_PROTOCOL:
        text_add(ret, protocol_name_lower(at[0]));
        return at + 4;
    case FIELD_DPORT:
    case FIELD_ORIGINAL_DPORT:
        text_printf(ret, "%u", ntohs(port_be));
        return at + 4;
    case FIELD_SLOT:
    case FIELD_VALUE: /* as nft prints a traffic class, the type that these numbers wear */
        text_printf(ret, "%x:%x", number >> 16, number & 0xffff);
        return at + 4;
    }
    return at;
}

static void key_format(const struct element *element, const uint8_t *key, struct text *ret)
{
    const struct set_schema *schema = set_schema(element->set);
    for (int i = 0; i < KEY_FIELDS_MAX && schema->key[i] != FIELD_NONE; i++) {
        if (i > 0)
            text_add(ret, " . ");
        key = field_format(schema->key[i], element->family, key, ret);
    }
}

void element_format(const struct element *element, struct text *ret)
{
    const struct set_schema *schema = set_schema(element->set);
    const char *without_chain = set_is_source_verdicts(element->set) ? "return" : "drop";
    key_format(element, element->key, ret);
    if (schema->is_interval) {
        text_add(ret, " - ");
        key_format(element, element->key_end, ret);
    }
    switch (schema->data) {
    case DATA_NONE:
        break;
    case DATA_VALUE:
        text_add(ret, " : ");
        field_format(FIELD_VALUE, element->family, element->data, ret);
        break;
    case DATA_ENDPOINT: {
        text_add(ret, " : ");
        const uint8_t *port = field_format(FIELD_DADDR, element->family, element->data, ret);
        text_add(ret, " . ");
        field_format(FIELD_DPORT, element->family, port, ret);
        break;
    }
    case DATA_VERDICT:
        text_printf(ret, element->verdict.is_goto ? " : goto %s" : " : %s",
                    element->verdict.is_goto ? element->verdict.chain : without_chain);
        break;
    }
}
