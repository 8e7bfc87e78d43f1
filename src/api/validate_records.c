/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/equal.h"
#include "api/scalar.h"
#include "api/validate.h"
#include "api/validate_parts.h"

/* Kinds that note something: ConfigMap, Event, Lease. */

#define CONFIG_MAP_BYTES_MAX ((size_t)1024 * 1024)
#define EVENT_NAME_MAX 128
#define EVENT_MESSAGE_MAX 1024
#define FIXED_WHEN_IMMUTABLE "field is immutable when `immutable` is set"

/* Keys that are in both maps, one after the other in keys: those of binaryData first. */
static const bool *shared_keys(const Core__ConfigMap *map, struct arena *arena)
{
    size_t count = map->n_binarydata + map->n_data;
    const char **keys = arena_array(arena, const char *, count);
    for (size_t i = 0; i < map->n_binarydata; i++)
        keys[i] = api_text(map->binarydata[i]->key);
    for (size_t i = 0; i < map->n_data; i++)
        keys[map->n_binarydata + i] = api_text(map->data[i]->key);
    return validate_duplicates(arena, keys, count);
}

void validate_config_map(struct faults *faults, const Core__ConfigMap *map)
{
    const bool *shared = shared_keys(map, faults->arena);
    size_t bytes = 0;
    validate_metadata(faults, map->metadata, true, dns_subdomain_rule);
    for (size_t i = 0; i < map->n_data; i++) {
        const char *key = api_text(map->data[i]->key);
        const struct path *path = path_key(path_field(NULL, "data"), key);
        check_config_key(faults, path, key);
        if (shared && shared[map->n_binarydata + i])
            fault_invalid(faults, path, key, "duplicate of key present in binaryData");
        bytes += strlen(api_text(map->data[i]->value));
    }
    for (size_t i = 0; i < map->n_binarydata; i++) {
        const char *key = api_text(map->binarydata[i]->key);
        check_config_key(faults, path_key(path_field(NULL, "binaryData"), key), key);
        bytes += map->binarydata[i]->value.len;
    }
    /* Upstream's path of the whole object prints as []. */
    if (bytes > CONFIG_MAP_BYTES_MAX)
        fault_too_long(faults, path_key(NULL, ""), (unsigned)CONFIG_MAP_BYTES_MAX);
}

static void check_fixed(struct faults *faults, const Core__ConfigMap *map, const Core__ConfigMap *old,
                        const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(map->base.descriptor, name);
    if (!message_equal_field(&map->base, &old->base, field))
        fault_forbidden(faults, path_field(NULL, name), FIXED_WHEN_IMMUTABLE);
}

void validate_config_map_update(struct faults *faults, const Core__ConfigMap *map, const Core__ConfigMap *old)
{
    validate_metadata_update(faults, map->metadata, old->metadata);
    if (old->immutable) {
        if (!map->immutable)
            fault_forbidden(faults, path_field(NULL, "immutable"), FIXED_WHEN_IMMUTABLE);
        check_fixed(faults, map, old, "data");
        check_fixed(faults, map, old, "binaryData");
    }
    validate_config_map(faults, map);
}

static bool has_micro_time(const Meta__MicroTime *time)
{
    return time && (time->seconds || time->nanos);
}

/* Upstream counts bytes, says characters and leaves the value out. */
static void check_event_text(struct faults *faults, const char *field, const char *value, size_t most_bytes,
                             bool is_required)
{
    const struct path *path = path_field(NULL, field);
    if (is_required && !is_set(value))
        fault_required(faults, path, NULL);
    if (strlen(api_text(value)) > most_bytes)
        fault_invalid(faults, path, "",
                      arena_printf(faults->arena, "can have at most %zu characters", most_bytes));
}

static void check_new_event(struct faults *faults, const Core__Event *event, const char *reporter)
{
    if (!is_set(event->reportingcomponent))
        fault_required(faults, path_field(NULL, reporter), NULL);
    check_qualified_name(faults, path_field(NULL, reporter), api_text(event->reportingcomponent));
    check_event_text(faults, "reportingInstance", event->reportinginstance, EVENT_NAME_MAX, true);
    check_event_text(faults, "action", event->action, EVENT_NAME_MAX, true);
    check_event_text(faults, "reason", event->reason, EVENT_NAME_MAX, true);
    check_event_text(faults, "message", event->message, EVENT_MESSAGE_MAX, false);
}

/* An Event with eventTime is of the newer form. Of an object without a namespace it lies in "default", or
 * with the newer form in "kube-system". */
void validate_event(struct faults *faults, const Core__Event *event, const char *reporter)
{
    const char *namespace = api_text(event->metadata->namespace_);
    const char *involved = event->involvedobject ? api_text(event->involvedobject->namespace_) : "";
    bool is_new = has_micro_time(event->eventtime), is_default = strcmp(namespace, "default") == 0;
    bool matches = is_default || (is_new ? strcmp(namespace, "kube-system") == 0 : !*namespace);
    if (*involved)
        matches = is_new || strcmp(namespace, involved) == 0;
    if (!matches)
        fault_invalid(faults, path_field(path_field(NULL, "involvedObject"), "namespace"), involved,
                      "does not match event.namespace");
    if (is_new)
        check_new_event(faults, event, reporter);
    check_dns_subdomain(faults, path_field(NULL, "namespace"), namespace);
}

static void check_series(struct faults *faults, const Core__EventSeries *series)
{
    if (!series)
        return;
    if (series->count < 2)
        fault_invalid(faults, path_field(NULL, "series.count"), "", "should be at least 2");
    if (!has_micro_time(series->lastobservedtime))
        fault_required(faults, path_field(NULL, "series.lastObservedTime"), NULL);
}

static void check_unset(struct faults *faults, const char *field, bool is_given)
{
    if (is_given)
        fault_invalid(faults, path_field(NULL, field), "", "needs to be unset");
}

static void check_strict_create(struct faults *faults, const Core__Event *event)
{
    const Core__EventSource *source = event->source;
    validate_metadata(faults, event->metadata, true, dns_subdomain_rule);
    check_series(faults, event->series);
    if (!has_micro_time(event->eventtime))
        fault_required(faults, path_field(NULL, "eventTime"), NULL);
    if (!is_text(event->type, "Normal") && !is_text(event->type, "Warning"))
        fault_invalid(faults, path_field(NULL, "type"), "",
                      arena_printf(faults->arena, "has invalid value: %s", api_text(event->type)));
    check_unset(faults, "firstTimestamp", event->firsttimestamp && event->firsttimestamp->seconds);
    check_unset(faults, "lastTimestamp", event->lasttimestamp && event->lasttimestamp->seconds);
    check_unset(faults, "count", event->count != 0);
    check_unset(faults, "source", source && (is_set(source->component) || is_set(source->host)));
}

/* The new value as upstream prints it: of a struct of Go's, which has other names, only that there is one. */
static const char *field_value(const Core__Event *event, const ProtobufCFieldDescriptor *field,
                               struct arena *arena)
{
    const char *where = (const char *)event + field->offset;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return encode_quoted(api_text(*(char *const *)where), arena);
    if (field->type == PROTOBUF_C_TYPE_INT32)
        return arena_printf(arena, "%d", *(const int32_t *)where);
    const Meta__Time *time = *(Meta__Time *const *)where;
    if (field->descriptor == &meta__time__descriptor || field->descriptor == &meta__micro_time__descriptor)
        return time ? arena_printf(arena, "\"%s\"", time_format(time->seconds, arena)) : "null";
    return time ? "{}" : "null";
}

static void check_strict_update(struct faults *faults, const Core__Event *event, const Core__Event *old)
{
    static const struct {
        const char *field, *upstream;
    } fixed[] = {
        {"involvedObject", NULL},
        {"reason", NULL},
        {"message", NULL},
        {"source", NULL},
        {"firstTimestamp", NULL},
        {"lastTimestamp", NULL},
        {"count", NULL},
        {"reason", NULL},
        {"type", NULL},
        {"eventTime", NULL},
        {"action", NULL},
        {"related", NULL},
        {"reportingComponent", "reportingController"},
        {"reportingInstance", NULL},
    };
    validate_metadata_update(faults, event->metadata, old->metadata);
    if (!message_equal(event->series ? &event->series->base : NULL, old->series ? &old->series->base : NULL))
        check_series(faults, event->series);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(event->base.descriptor, fixed[i].field);
        if (message_equal_field(&event->base, &old->base, field))
            continue;
        fault_invalid_raw(faults, path_field(NULL, fixed[i].upstream ? fixed[i].upstream : fixed[i].field),
                          field_value(event, field, faults->arena), FIELD_IS_IMMUTABLE);
    }
}

void validate_strict_event(struct faults *faults, const Core__Event *event, const Core__Event *old)
{
    if (old)
        check_strict_update(faults, event, old);
    else
        check_strict_create(faults, event);
}

static void check_lease_spec(struct faults *faults, const Coordination__LeaseSpec *spec)
{
    const struct path *path = path_field(NULL, "spec");
    if (!spec)
        return;
    if (spec->has_leasedurationseconds && spec->leasedurationseconds <= 0)
        fault_invalid_number(faults, path_field(path, "leaseDurationSeconds"), spec->leasedurationseconds,
                             "must be greater than 0");
    if (spec->has_leasetransitions)
        check_not_negative(faults, path_field(path, "leaseTransitions"), spec->leasetransitions);
}

void validate_lease(struct faults *faults, const Coordination__Lease *lease)
{
    validate_any_metadata(faults, lease->metadata, true, dns_subdomain_rule);
    check_lease_spec(faults, lease->spec);
}

void validate_lease_update(struct faults *faults, const Coordination__Lease *lease,
                           const Coordination__Lease *old)
{
    validate_any_metadata_update(faults, lease->metadata, old->metadata);
    check_lease_spec(faults, lease->spec);
}
