/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/mirror.h"

#include "api/equal.h"
#include "apiserver/subsets.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/address.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define LABEL_SKIP_MIRROR "endpointslice.kubernetes.io/skip-mirror"
#define ANNOTATION_LEADER "control-plane.alpha.kubernetes.io/leader"
#define ANNOTATION_TRIGGER_TIME "endpoints.kubernetes.io/last-change-trigger-time"
#define ANNOTATION_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define SUBDOMAIN_LEN_MAX 253
#define SLICES_MAX (MIRROR_SUBSETS_MAX * FAMILY_COUNT)

/* A slice of ours, and whether something of it is still wanted. */
struct candidate {
    const Discovery__EndpointSlice *slice;
    const Discovery__EndpointSlice *bare;
    bool is_used;
};

struct mirror {
    const Core__Endpoints *endpoints;
    Meta__ObjectMeta *metadata; /* of every slice, but for the name */
    struct candidate *candidates;
    size_t candidate_count;
    struct arena *arena;
    struct mirror_changes *changes;
};

/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

static void *new_message(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static const char *label_of(const Meta__ObjectMeta *metadata, const char *key)
{
    return api_text(api_entry(metadata->labels, metadata->n_labels, key));
}

bool mirror_is_wanted(const Core__Endpoints *endpoints, const Core__Service *service)
{
    if (!endpoints || !service || service->spec->n_selector > 0)
        return false;
    const Meta__ObjectMeta *metadata = endpoints->metadata;
    return !text_equal(label_of(metadata, LABEL_SKIP_MIRROR), "true") &&
           !api_entry(metadata->annotations, metadata->n_annotations, ANNOTATION_LEADER);
}

bool mirror_is_ours(const Discovery__EndpointSlice *slice, const char *name)
{
    return text_equal(label_of(slice->metadata, LABEL_SERVICE_NAME), name) &&
           text_equal(label_of(slice->metadata, LABEL_MANAGED_BY), MIRROR_CONTROLLER);
}

static void add_entry(Meta__StringEntry **list, size_t *count, const char *key, const char *value,
                      struct arena *arena)
{
    Meta__StringEntry *entry = new_message(arena, &meta__string_entry__descriptor);
    entry->key = CONSTANT(key);
    entry->value = CONSTANT(value);
    list[(*count)++] = entry;
}

static void copy_labels(const Meta__ObjectMeta *from, Meta__ObjectMeta *to, struct arena *arena)
{
    to->labels = arena_array(arena, Meta__StringEntry *, from->n_labels + 2);
    for (size_t i = 0; i < from->n_labels; i++)
        if (!text_equal(from->labels[i]->key, LABEL_SERVICE_NAME) &&
            !text_equal(from->labels[i]->key, LABEL_MANAGED_BY))
            to->labels[to->n_labels++] = from->labels[i];
    add_entry(to->labels, &to->n_labels, LABEL_SERVICE_NAME, from->name, arena);
    add_entry(to->labels, &to->n_labels, LABEL_MANAGED_BY, MIRROR_CONTROLLER, arena);
}

static void copy_annotations(const Meta__ObjectMeta *from, Meta__ObjectMeta *to, struct arena *arena)
{
    to->annotations = arena_array(arena, Meta__StringEntry *, from->n_annotations);
    for (size_t i = 0; i < from->n_annotations; i++)
        if (!text_equal(from->annotations[i]->key, ANNOTATION_TRIGGER_TIME) &&
            !text_equal(from->annotations[i]->key, ANNOTATION_LAST_APPLIED))
            to->annotations[to->n_annotations++] = from->annotations[i];
}

static Meta__ObjectMeta *make_metadata(const Meta__ObjectMeta *from, struct arena *arena)
{
    Meta__ObjectMeta *metadata = new_message(arena, &meta__object_meta__descriptor);
    Meta__OwnerReference *owner = new_message(arena, &meta__owner_reference__descriptor);
    owner->apiversion = CONSTANT("v1");
    owner->kind = CONSTANT("Endpoints");
    owner->name = from->name;
    owner->uid = CONSTANT(api_text(from->uid));
    owner->has_controller = owner->controller = true;
    owner->has_blockownerdeletion = owner->blockownerdeletion = true;
    metadata->ownerreferences = arena_array(arena, Meta__OwnerReference *, 1);
    metadata->ownerreferences[metadata->n_ownerreferences++] = owner;
    metadata->namespace_ = from->namespace_;
    metadata->generatename =
        strlen(from->name) < SUBDOMAIN_LEN_MAX ? arena_printf(arena, "%s-", from->name) : from->name;
    copy_labels(from, metadata, arena);
    copy_annotations(from, metadata, arena);
    return metadata;
}

/* An empty slice for the ports and a family. */
static Discovery__EndpointSlice *make_slice(const struct mirror *mirror, const struct subset *subset,
                                            enum family family)
{
    struct arena *arena = mirror->arena;
    Discovery__EndpointSlice *slice = new_message(arena, &discovery__endpoint_slice__descriptor);
    slice->metadata = arena_new(arena, Meta__ObjectMeta);
    *slice->metadata = *mirror->metadata;
    slice->addresstype = CONSTANT(family_name(family));
    slice->ports = arena_array(arena, Discovery__EndpointPort *, subset->port_count);
    for (size_t i = 0; i < subset->port_count; i++) {
        const Core__EndpointPort *from = subset->ports[i];
        Discovery__EndpointPort *port = new_message(arena, &discovery__endpoint_port__descriptor);
        port->name = CONSTANT(api_text(from->name));
        port->protocol = from->protocol;
        port->has_port = true;
        port->port = from->port;
        port->appprotocol = from->appprotocol;
        slice->ports[slice->n_ports++] = port;
    }
    slice->endpoints = arena_array(arena, Discovery__Endpoint *, subset->address_count);
    return slice;
}

static Discovery__Endpoint *make_endpoint(const struct subset_address *from, const struct address *address,
                                          struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    Discovery__Endpoint *endpoint = new_message(arena, &discovery__endpoint__descriptor);
    endpoint->addresses = arena_array(arena, char *, 1);
    endpoint->addresses[endpoint->n_addresses++] = arena_strdup(arena, address_format(address, text));
    endpoint->conditions = new_message(arena, &discovery__endpoint_conditions__descriptor);
    endpoint->conditions->has_ready = true;
    endpoint->conditions->ready = from->is_ready;
    endpoint->targetref = from->address->targetref;
    endpoint->nodename = from->address->nodename;
    if (*api_text(from->address->hostname))
        endpoint->hostname = from->address->hostname;
    return endpoint;
}

static void fill_slices(struct mirror *mirror, const struct subset *subset, Discovery__EndpointSlice **slices)
{
    size_t taken = 0, invalid = 0;
    for (size_t i = 0; i < subset->address_count && taken < MIRROR_ADDRESSES_MAX; i++) {
        struct address address;
        if (address_parse(api_text(subset->addresses[i].address->ip), &address, NULL) < 0) {
            invalid++;
            continue;
        }
        Discovery__EndpointSlice *slice = slices[address_family(&address)];
        slice->endpoints[slice->n_endpoints++] =
            make_endpoint(&subset->addresses[i], &address, mirror->arena);
        taken++;
    }
    mirror->changes->invalid_count += invalid;
    mirror->changes->skipped_count += subset->address_count - taken - invalid;
}

static int cmp_ports(const void *a, const void *b)
{
    const Discovery__EndpointPort *left = *(Discovery__EndpointPort *const *)a;
    const Discovery__EndpointPort *right = *(Discovery__EndpointPort *const *)b;
    int order = strcmp(api_text(left->name), api_text(right->name));
    if (order == 0)
        order = (left->port > right->port) - (left->port < right->port);
    if (order == 0)
        order = strcmp(api_text(left->protocol), api_text(right->protocol));
    return order ? order : text_cmp(left->appprotocol, right->appprotocol);
}

static int cmp_endpoints(const void *a, const void *b)
{
    const Discovery__Endpoint *left = *(Discovery__Endpoint *const *)a;
    const Discovery__Endpoint *right = *(Discovery__Endpoint *const *)b;
    int order =
        strcmp(left->n_addresses ? left->addresses[0] : "", right->n_addresses ? right->addresses[0] : "");
    const char *uid = left->targetref ? api_text(left->targetref->uid) : "";
    return order ? order : strcmp(uid, right->targetref ? api_text(right->targetref->uid) : "");
}

/* What counts of an endpoint: hints are other people's, and where a target was read is no part of it. */
static Discovery__Endpoint *bare_endpoint(const Discovery__Endpoint *from, struct arena *arena)
{
    Discovery__Endpoint *bare = arena_new(arena, Discovery__Endpoint);
    *bare = *from;
    bare->hints = NULL;
    if (!from->targetref || !from->targetref->resourceversion)
        return bare;
    bare->targetref = arena_new(arena, Core__ObjectReference);
    *bare->targetref = *from->targetref;
    bare->targetref->resourceversion = NULL;
    return bare;
}

/* A copy in which what means the same is the same: for comparing only. */
static Discovery__EndpointSlice *bare_slice(const Discovery__EndpointSlice *slice, struct arena *arena)
{
    Discovery__EndpointSlice *bare = new_message(arena, &discovery__endpoint_slice__descriptor);
    bare->n_ports = slice->n_ports;
    bare->ports = arena_array(arena, Discovery__EndpointPort *, slice->n_ports);
    for (size_t i = 0; i < slice->n_ports; i++)
        bare->ports[i] = slice->ports[i];
    bare->n_endpoints = slice->n_endpoints;
    bare->endpoints = arena_array(arena, Discovery__Endpoint *, slice->n_endpoints);
    for (size_t i = 0; i < slice->n_endpoints; i++)
        bare->endpoints[i] = bare_endpoint(slice->endpoints[i], arena);
    if (bare->n_ports)
        qsort(bare->ports, bare->n_ports, sizeof(Discovery__EndpointPort *), cmp_ports);
    if (bare->n_endpoints)
        qsort(bare->endpoints, bare->n_endpoints, sizeof(Discovery__Endpoint *), cmp_endpoints);
    bare->metadata = new_message(arena, &meta__object_meta__descriptor);
    bare->metadata->n_labels = slice->metadata->n_labels;
    bare->metadata->labels = slice->metadata->labels;
    bare->metadata->n_annotations = slice->metadata->n_annotations;
    bare->metadata->annotations = slice->metadata->annotations;
    return bare;
}

static bool has_ports(const Discovery__EndpointSlice *bare, const Discovery__EndpointSlice *wanted)
{
    static const char ports[] = "ports";
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(&discovery__endpoint_slice__descriptor, ports);
    return message_equal_field(&bare->base, &wanted->base, field);
}

static bool is_owned(const Discovery__EndpointSlice *slice, const Core__Endpoints *endpoints)
{
    for (size_t i = 0; i < slice->metadata->n_ownerreferences; i++) {
        const Meta__OwnerReference *owner = slice->metadata->ownerreferences[i];
        if (text_equal(owner->kind, "Endpoints") &&
            text_equal(owner->uid, api_text(endpoints->metadata->uid)))
            return true;
    }
    return false;
}

static void replace(struct mirror *mirror, const Discovery__EndpointSlice *old,
                    Discovery__EndpointSlice *slice)
{
    const Meta__ObjectMeta *from = old->metadata;
    Meta__ObjectMeta *to = slice->metadata;
    to->name = from->name;
    to->generatename = from->generatename;
    to->uid = from->uid;
    to->resourceversion = from->resourceversion;
    to->creationtimestamp = from->creationtimestamp;
    to->has_generation = from->has_generation;
    to->generation = from->generation;
    mirror->changes->updates[mirror->changes->update_count++] = slice;
}

/* The first slice of the same ports and family stays, or becomes what is wanted; more than one there may not
 * be. */
static bool find_and_update(struct mirror *mirror, Discovery__EndpointSlice *wanted)
{
    struct arena *arena = mirror->arena;
    const Discovery__EndpointSlice *goal = bare_slice(wanted, arena);
    for (size_t i = 0; i < mirror->candidate_count; i++) {
        struct candidate *candidate = &mirror->candidates[i];
        if (candidate->is_used || !text_equal(candidate->slice->addresstype, wanted->addresstype) ||
            candidate->slice->n_ports != wanted->n_ports)
            continue;
        if (!candidate->bare)
            candidate->bare = bare_slice(candidate->slice, arena);
        if (!has_ports(candidate->bare, goal))
            continue;
        candidate->is_used = true;
        if (!message_equal(&candidate->bare->base, &goal->base) ||
            !is_owned(candidate->slice, mirror->endpoints))
            replace(mirror, candidate->slice, wanted);
        return true;
    }
    return false;
}

/* A slice that would go is made into one that would come. */
static bool recycle(struct mirror *mirror, Discovery__EndpointSlice *wanted)
{
    for (size_t i = 0; i < mirror->candidate_count; i++) {
        struct candidate *candidate = &mirror->candidates[i];
        if (candidate->is_used || !text_equal(candidate->slice->addresstype, wanted->addresstype))
            continue;
        candidate->is_used = true;
        replace(mirror, candidate->slice, wanted);
        return true;
    }
    return false;
}

static void mirror_subsets(struct mirror *mirror)
{
    struct mirror_changes *changes = mirror->changes;
    struct arena *arena = mirror->arena;
    size_t count, dropped, missing_count = 0;
    struct subset *subsets = subsets_repack(mirror->endpoints, arena, &count, &dropped);
    Discovery__EndpointSlice **missing = arena_array(arena, Discovery__EndpointSlice *, SLICES_MAX);
    changes->skipped_count += dropped;
    for (; count > MIRROR_SUBSETS_MAX; count--)
        changes->skipped_count += subsets[count - 1].address_count;
    mirror->metadata = make_metadata(mirror->endpoints->metadata, arena);
    changes->creates = arena_array(arena, Discovery__EndpointSlice *, SLICES_MAX);
    changes->updates = arena_array(arena, Discovery__EndpointSlice *, SLICES_MAX);
    for (size_t i = 0; i < count; i++) {
        Discovery__EndpointSlice *slices[FAMILY_COUNT];
        for (int family = 0; family < FAMILY_COUNT; family++)
            slices[family] = make_slice(mirror, &subsets[i], (enum family)family);
        fill_slices(mirror, &subsets[i], slices);
        for (int family = 0; family < FAMILY_COUNT; family++)
            if (slices[family]->n_endpoints > 0 && !find_and_update(mirror, slices[family]))
                missing[missing_count++] = slices[family];
    }
    for (size_t i = 0; i < missing_count; i++)
        if (!recycle(mirror, missing[i]) && !mirror->endpoints->metadata->deletiontimestamp)
            changes->creates[changes->create_count++] = missing[i];
}

void mirror_reconcile(const char *name, const Core__Endpoints *endpoints, const Core__Service *service,
                      const Discovery__EndpointSlice *const *existing, size_t existing_count,
                      struct arena *arena, struct mirror_changes *ret)
{
    struct mirror mirror = {.endpoints = endpoints, .arena = arena, .changes = ret};
    *ret = (struct mirror_changes){0};
    mirror.candidates = arena_array(arena, struct candidate, existing_count);
    for (size_t i = 0; i < existing_count; i++)
        if (mirror_is_ours(existing[i], name))
            mirror.candidates[mirror.candidate_count++].slice = existing[i];
    if (mirror_is_wanted(endpoints, service))
        mirror_subsets(&mirror);
    ret->deletes = arena_array(arena, const Discovery__EndpointSlice *, mirror.candidate_count);
    for (size_t i = 0; i < mirror.candidate_count; i++)
        if (!mirror.candidates[i].is_used)
            ret->deletes[ret->delete_count++] = mirror.candidates[i].slice;
}
