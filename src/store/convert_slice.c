/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/scalar.h"
#include "base/block.h"
#include "base/text.h"
#include "store/convert_parts.h"

#include <string.h>

/* Well-known labels and annotations: k8s.io/api/discovery/v1/well_known_labels.go,
 * core/v1/annotation_key_constants.go. */
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define ANNOTATION_TRIGGER_TIME "endpoints.kubernetes.io/last-change-trigger-time"

/* The lists and strings of a slice under construction; the vectors lie in the scratch arena. */
struct slice_draft {
    struct store *store;
    struct slice slice;
    struct endpoint *endpoints;
    struct endpoint_hints *hints;
    uint32_t *names, *topologies;
    uint32_t name_count;
    struct text strings;
    size_t target_prefix_len;
};

static uint32_t add_string(struct slice_draft *draft, const char *string, size_t len)
{
    uint32_t offset = (uint32_t)draft->strings.len;
    text_add_bytes(&draft->strings, string, len);
    text_add_bytes(&draft->strings, "", 1);
    return offset;
}

static const char *target_name(const Discovery__Endpoint *from)
{
    return api_text(from->targetref ? from->targetref->name : NULL);
}

static size_t common_len(const char *a, size_t len, const char *b)
{
    size_t common = 0;
    while (common < len && a[common] == b[common])
        common++;
    return common;
}

/* The names are for people alone, and most of each is what all have. */
static void take_target_prefix(struct slice_draft *draft, const Discovery__EndpointSlice *message)
{
    const char *first = NULL;
    size_t len = 0;
    for (size_t i = 0; i < message->n_endpoints; i++) {
        const char *name = target_name(message->endpoints[i]);
        if (!*name)
            continue;
        len = first ? common_len(first, len, name) : strlen(name);
        first = first ? first : name;
    }
    draft->target_prefix_len = len;
    if (len > 0)
        draft->slice.target_prefix = add_string(draft, first, len);
}

static uint32_t begin_list(struct slice_draft *draft, size_t count)
{
    if (count == 0)
        return 0;
    draft->names[draft->name_count] = (uint32_t)count;
    return draft->name_count++;
}

static const char *endpoint_zone(const Discovery__Endpoint *from)
{
    if (*api_text(from->zone))
        return from->zone;
    const char *zone = api_entry(from->deprecatedtopology, from->n_deprecatedtopology, LABEL_ZONE);
    return zone ? zone : api_entry(from->deprecatedtopology, from->n_deprecatedtopology, LABEL_ZONE_BETA);
}

/* True for what the endpoint says in a field as well. */
static bool has_own_field(const Discovery__Endpoint *from, const char *key)
{
    return text_equal(key, LABEL_ZONE) || text_equal(key, LABEL_ZONE_BETA) ||
           (text_equal(key, LABEL_HOSTNAME) && *api_text(from->nodename));
}

static void take_topology(struct slice_draft *draft, const Discovery__Endpoint *from)
{
    uint32_t count = 0;
    for (size_t i = 0; i < from->n_deprecatedtopology; i++)
        count += !has_own_field(from, from->deprecatedtopology[i]->key);
    if (count == 0)
        return;
    draft->slice.topologies = draft->topologies;
    draft->topologies[draft->slice.endpoint_count] = begin_list(draft, 2 * (size_t)count);
    for (size_t i = 0; i < from->n_deprecatedtopology; i++) {
        const Meta__StringEntry *entry = from->deprecatedtopology[i];
        if (has_own_field(from, entry->key))
            continue;
        draft->names[draft->name_count++] = intern_id(draft->store->names, entry->key);
        draft->names[draft->name_count++] = intern_id(draft->store->names, entry->value);
    }
}

static void take_endpoint(struct slice_draft *draft, const Discovery__Endpoint *from)
{
    const Discovery__EndpointConditions *conditions = from->conditions;
    struct endpoint *endpoint = &draft->endpoints[draft->slice.endpoint_count];
    if (from->n_addresses == 0 || address_parse(from->addresses[0], &endpoint->address, NULL) < 0)
        return;
    /* Unset means: ready and serving are true, terminating is false (discovery/v1). */
    bool is_ready = !conditions || !conditions->has_ready || conditions->ready;
    bool is_terminating = conditions && conditions->has_terminating && conditions->terminating;
    bool is_serving = !conditions || !conditions->has_serving || conditions->serving;
    endpoint->flags = (uint8_t)((is_ready ? ENDPOINT_READY : 0) | (is_serving ? ENDPOINT_SERVING : 0) |
                                (is_terminating ? ENDPOINT_TERMINATING : 0));
    endpoint->node = intern_id(draft->store->names, from->nodename);
    endpoint->zone = intern_id(draft->store->names, endpoint_zone(from));
    const char *target = target_name(from);
    if (*target) {
        target += draft->target_prefix_len;
        endpoint->target = add_string(draft, target, strlen(target));
    }
    if (from->hints) {
        struct endpoint_hints *hints = &draft->hints[draft->slice.endpoint_count];
        draft->slice.hints = draft->hints;
        hints->zones = begin_list(draft, from->hints->n_forzones);
        for (size_t i = 0; i < from->hints->n_forzones; i++)
            draft->names[draft->name_count++] =
                intern_id(draft->store->names, from->hints->forzones[i]->name);
        hints->nodes = begin_list(draft, from->hints->n_fornodes);
        for (size_t i = 0; i < from->hints->n_fornodes; i++)
            draft->names[draft->name_count++] =
                intern_id(draft->store->names, from->hints->fornodes[i]->name);
    }
    take_topology(draft, from);
    draft->slice.endpoint_count++;
}

static size_t names_most(const Discovery__EndpointSlice *message)
{
    size_t most = 1;
    for (size_t i = 0; i < message->n_endpoints; i++) {
        const Discovery__Endpoint *endpoint = message->endpoints[i];
        most += 1 + 2 * endpoint->n_deprecatedtopology;
        if (endpoint->hints)
            most += 2 + endpoint->hints->n_forzones + endpoint->hints->n_fornodes;
    }
    return most;
}

static void take_slice_ports(const Discovery__EndpointSlice *message, struct slice *slice,
                             struct arena *scratch)
{
    struct slice_port *ports = arena_array(scratch, struct slice_port, message->n_ports);
    for (size_t i = 0; i < message->n_ports; i++) {
        const Discovery__EndpointPort *from = message->ports[i];
        enum protocol protocol;
        /* A port without number means "all ports", which no proxy serves; the apiserver does not look at the
         * number. */
        if (!from->has_port || from->port < 1 || from->port > UINT16_MAX ||
            protocol_parse(api_text(from->protocol), &protocol, NULL) < 0)
            continue;
        ports[slice->port_count++] = (struct slice_port){
            .name = api_text(from->name), .port = (uint16_t)from->port, .protocol = (uint8_t)protocol};
    }
    slice->ports = ports;
}

static struct slice *pack_slice(const struct slice_draft *draft, struct block *block)
{
    const struct slice *from = &draft->slice;
    struct slice *slice = block_copy(block, from, sizeof(*from));
    struct slice measured = *from;
    struct slice *to = slice ? slice : &measured;
    struct slice_port *ports = block_copy(block, from->ports, from->port_count * sizeof(*from->ports));
    to->ports = ports;
    to->endpoints = block_copy(block, draft->endpoints, from->endpoint_count * sizeof(*from->endpoints));
    to->names = block_copy(block, draft->names, draft->name_count * sizeof(*draft->names));
    if (from->hints)
        to->hints = block_copy(block, from->hints, from->endpoint_count * sizeof(*from->hints));
    if (from->topologies)
        to->topologies =
            block_copy(block, from->topologies, from->endpoint_count * sizeof(*from->topologies));
    to->strings = block_copy(block, draft->strings.data, draft->strings.len);
    to->namespace_ = block_strdup(block, from->namespace_);
    to->name = block_strdup(block, from->name);
    to->service = block_strdup(block, from->service);
    for (uint32_t i = 0; i < from->port_count; i++) {
        char *name = block_strdup(block, from->ports[i].name);
        if (ports)
            ports[i].name = name;
    }
    return slice;
}

static uint64_t trigger_time(const Meta__ObjectMeta *meta)
{
    const char *text = convert_annotation(meta, ANNOTATION_TRIGGER_TIME);
    int64_t seconds;
    int32_t nanos;
    if (!text || !time_parse(text, &seconds, &nanos) || seconds < 0)
        return 0;
    return (uint64_t)seconds * 1000000000u + (uint64_t)nanos;
}

struct slice *convert_slice(struct store *store, const struct api_object *object, struct arena *scratch)
{
    const Discovery__EndpointSlice *message = api_endpoint_slice(object);
    if (text_equal(message->addresstype, "FQDN") || convert_label(message->metadata, LABEL_HEADLESS))
        return NULL;
    struct slice_draft draft = {
        .store = store,
        .slice = {.namespace_ = object->namespace_,
                  .name = object->name,
                  .service = api_text(convert_label(message->metadata, LABEL_SERVICE_NAME)),
                  .family = text_equal(message->addresstype, "IPv6") ? FAMILY_IPV6 : FAMILY_IPV4,
                  .trigger_time_ns = trigger_time(message->metadata)},
        .endpoints = arena_array(scratch, struct endpoint, message->n_endpoints),
        .names = arena_array(scratch, uint32_t, names_most(message)),
        .hints = arena_array(scratch, struct endpoint_hints, message->n_endpoints),
        .topologies = arena_array(scratch, uint32_t, message->n_endpoints),
        .name_count = 1,
    };
    text_add_bytes(&draft.strings, "", 1);
    take_slice_ports(message, &draft.slice, scratch);
    take_target_prefix(&draft, message);
    for (size_t i = 0; i < message->n_endpoints; i++)
        take_endpoint(&draft, message->endpoints[i]);
    struct block block = {0};
    pack_slice(&draft, &block);
    block_allocate(&block);
    struct slice *slice = pack_slice(&draft, &block);
    text_done(&draft.strings);
    return slice;
}
