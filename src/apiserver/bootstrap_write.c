/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/equal.h"
#include "apiserver/bootstrap.h"
#include "apiserver/uid.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

struct bootstrap {
    struct registry *registry;
    struct allocator *allocator;
    const struct bootstrap_config *config;
    struct arena *arena;
    bool has_no_service; /* somebody else has its address */
    bool has_address;    /* taken here */
};

static void report(const struct bootstrap *bootstrap, const char *sentence)
{
    if (bootstrap->config->report)
        bootstrap->config->report(bootstrap->config->context, sentence);
}

static void fill_metadata(const struct bootstrap *bootstrap, Meta__ObjectMeta *metadata)
{
    const struct bootstrap_config *config = bootstrap->config;
    uint64_t high = config->random(config->context), low = config->random(config->context);
    metadata->uid = uid_make(high, low, bootstrap->arena);
    metadata->creationtimestamp = arena_new(bootstrap->arena, Meta__Time);
    meta__time__init(metadata->creationtimestamp);
    metadata->creationtimestamp->has_seconds = true;
    metadata->creationtimestamp->seconds = config->now;
}

/* Returns whether the Service may have its address now. */
static bool take_address(struct bootstrap *bootstrap)
{
    struct address address = bootstrap_first_address(&bootstrap->config->allocator->ranges[0]);
    struct err err;
    char text[ADDRESS_TEXT_MAX];
    if (allocator_take_address(bootstrap->allocator, &address, &err) == 0) {
        bootstrap->has_address = true;
        return true;
    }
    report(bootstrap,
           arena_printf(bootstrap->arena, "there is no Service default/kubernetes, for it cannot have %s: %s",
                        address_format(&address, text), err.text));
    bootstrap->has_no_service = true;
    return false;
}

static bool is_same_field(const ProtobufCMessage *a, const ProtobufCMessage *b, const char *name)
{
    return message_equal_field(a, b, protobuf_c_message_descriptor_get_field_by_name(a->descriptor, name));
}

/* Each of the following puts into stored what of wanted is kept right, and returns whether that changed
 * something. */

static bool amend_service(Core__Service *stored, const Core__Service *wanted)
{
    if (is_same_field(&stored->spec->base, &wanted->spec->base, "ports") ||
        !text_equal(stored->spec->type, "ClusterIP"))
        return false;
    stored->spec->n_ports = wanted->spec->n_ports;
    stored->spec->ports = wanted->spec->ports;
    return true;
}

static bool amend_endpoints(Core__Endpoints *stored, const Core__Endpoints *wanted)
{
    if (is_same_field(&stored->base, &wanted->base, "subsets") &&
        is_same_field(&stored->metadata->base, &wanted->metadata->base, "labels"))
        return false;
    stored->n_subsets = wanted->n_subsets;
    stored->subsets = wanted->subsets;
    stored->metadata->n_labels = wanted->metadata->n_labels;
    stored->metadata->labels = wanted->metadata->labels;
    return true;
}

static bool amend_slice(Discovery__EndpointSlice *stored, const Discovery__EndpointSlice *wanted)
{
    if (is_same_field(&stored->base, &wanted->base, "endpoints") &&
        is_same_field(&stored->base, &wanted->base, "ports") &&
        is_same_field(&stored->metadata->base, &wanted->metadata->base, "labels"))
        return false;
    stored->n_endpoints = wanted->n_endpoints;
    stored->endpoints = wanted->endpoints;
    stored->n_ports = wanted->n_ports;
    stored->ports = wanted->ports;
    stored->metadata->n_labels = wanted->metadata->n_labels;
    stored->metadata->labels = wanted->metadata->labels;
    stored->metadata->has_generation = true;
    stored->metadata->generation++;
    return true;
}

static bool amend_range(const struct bootstrap *bootstrap, Networking__ServiceCIDR *stored,
                        const Networking__ServiceCIDR *wanted)
{
    const Networking__ServiceCIDRSpec *old = stored->spec, *now = wanted->spec;
    if (is_same_field(&old->base, &now->base, "cidrs"))
        return false;
    if (old->n_cidrs != 1 || now->n_cidrs != 2 || !text_equal(old->cidrs[0], now->cidrs[0])) {
        report(bootstrap,
               "the ServiceCIDR kubernetes has other ranges than the options: it is left as it is");
        return false;
    }
    stored->spec = wanted->spec;
    return true;
}

static bool amend(const struct bootstrap *bootstrap, enum api_kind kind, ProtobufCMessage *stored,
                  const ProtobufCMessage *wanted)
{
    if (kind == API_SERVICE)
        return amend_service((Core__Service *)stored, (const Core__Service *)wanted);
    if (kind == API_ENDPOINTS)
        return amend_endpoints((Core__Endpoints *)stored, (const Core__Endpoints *)wanted);
    if (kind == API_ENDPOINT_SLICE)
        return amend_slice((Discovery__EndpointSlice *)stored, (const Discovery__EndpointSlice *)wanted);
    if (kind == API_SERVICE_CIDR)
        return amend_range(bootstrap, (Networking__ServiceCIDR *)stored,
                           (const Networking__ServiceCIDR *)wanted);
    return false;
}

static int create(struct bootstrap *bootstrap, const struct api_object *object, struct err *err)
{
    ProtobufCMessage *message = (ProtobufCMessage *)object->message;
    if (bootstrap->has_no_service || (object->kind == API_SERVICE && !take_address(bootstrap)))
        return 0;
    fill_metadata(bootstrap, api_metadata(message));
    return registry_put(bootstrap->registry, object->kind, message, NULL, err);
}

/* An address type cannot change, so a new slice comes in the place of one of another. */
static bool is_of_other_type(enum api_kind kind, const ProtobufCMessage *stored,
                             const ProtobufCMessage *wanted)
{
    return kind == API_ENDPOINT_SLICE && !text_equal(((const Discovery__EndpointSlice *)stored)->addresstype,
                                                     ((const Discovery__EndpointSlice *)wanted)->addresstype);
}

static int write_one(struct bootstrap *bootstrap, const struct api_object *object, struct err *err)
{
    struct registry *registry = bootstrap->registry;
    const struct registry_object *found =
        registry_get(registry, object->kind, object->namespace_, object->name);
    if (!found)
        return create(bootstrap, object, err);
    ProtobufCMessage *stored = registry_decode(found, bootstrap->arena);
    if (is_of_other_type(object->kind, stored, object->message)) {
        int code = registry_delete(registry, object->kind, object->namespace_, object->name, NULL, err);
        return code < 0 ? code : create(bootstrap, object, err);
    }
    return amend(bootstrap, object->kind, stored, object->message)
               ? registry_put(registry, object->kind, stored, NULL, err)
               : 0;
}

int bootstrap_write(struct registry *registry, struct allocator *allocator,
                    const struct bootstrap_config *config, struct arena *arena, struct err *err)
{
    struct bootstrap bootstrap = {registry, allocator, config, arena, false, false};
    struct address address = bootstrap_first_address(&config->allocator->ranges[0]);
    struct api_object objects[BOOTSTRAP_OBJECTS];
    int code = 0;
    bootstrap_objects(config, arena, objects);
    registry_begin(registry);
    for (size_t i = 0; i < BOOTSTRAP_OBJECTS && code == 0; i++)
        code = write_one(&bootstrap, &objects[i], err);
    if (code < 0)
        registry_rollback(registry);
    else
        code = registry_commit(registry, err);
    if (code < 0 && bootstrap.has_address)
        allocator_release_address(allocator, &address);
    return code;
}
