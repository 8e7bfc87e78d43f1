/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/fields.h"
#include "apiserver/openapi_parts.h"

#include <assert.h>
#include <string.h>

/* Where the types of a package of the schema stand in Kubernetes. */
static const struct {
    const char *package, *prefix;
} packages[] = {
    {"core", "io.k8s.api.core.v1."},
    {"discovery", "io.k8s.api.discovery.v1."},
    {"networking", "io.k8s.api.networking.v1."},
    {"coordination", "io.k8s.api.coordination.v1."},
    {"events", "io.k8s.api.events.v1."},
    {"meta", META_PREFIX},
};

void openapi_name(const ProtobufCMessageDescriptor *type, struct text *ret)
{
    if (type == &meta__int_or_string__descriptor) {
        text_add(ret, "io.k8s.apimachinery.pkg.util.intstr.IntOrString");
        return;
    }
    if (type == &meta__quantity__descriptor) {
        text_add(ret, "io.k8s.apimachinery.pkg.api.resource.Quantity");
        return;
    }
    size_t i = 0;
    while (strcmp(packages[i].package, type->package_name) != 0)
        i++;
    text_printf(ret, "%s%s", packages[i].prefix, type->short_name);
}

json_t *openapi_reference(enum openapi_version version, const char *definition)
{
    struct text target = {0};
    text_printf(&target, "#/%s/%s", version == OPENAPI_V2 ? "definitions" : "components/schemas", definition);
    json_t *reference = json_pack("{s:s}", "$ref", target.data);
    text_done(&target);
    return reference;
}

static json_t *reference_type(enum openapi_version version, const ProtobufCMessageDescriptor *type)
{
    struct text name = {0};
    openapi_name(type, &name);
    json_t *reference = openapi_reference(version, name.data);
    text_done(&name);
    return reference;
}

json_t *openapi_kind(const char *group, const char *version, const char *kind)
{
    return json_pack("{s:s, s:s, s:s}", "group", group, "kind", kind, "version", version);
}

static void describe(json_t *schema, const char *description)
{
    if (*description)
        json_object_set_new(schema, "description", json_string(description));
}

/* In version 3 nothing may stand beside a reference, so it is wrapped where something has to. */
static json_t *wrap_reference(enum openapi_version version, json_t *schema)
{
    if (version == OPENAPI_V2 || !json_object_get(schema, "$ref"))
        return schema;
    return json_pack("{s:[o]}", "allOf", schema);
}

static json_t *scalar_schema(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
        return json_pack("{s:s, s:s}", "type", "integer", "format",
                         field->type == PROTOBUF_C_TYPE_INT32 ? "int32" : "int64");
    case PROTOBUF_C_TYPE_BYTES:
        return json_pack("{s:s, s:s}", "type", "string", "format", "byte");
    default:
        assert(field->type == PROTOBUF_C_TYPE_STRING);
        return json_pack("{s:s}", "type", "string");
    }
}

/* One item, without regard to whether the field is a list. */
static json_t *item_schema(enum openapi_version version, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return reference_type(version, field->descriptor);
    return scalar_schema(field);
}

static void add_list_type(json_t *schema, const struct api_field *traits)
{
    static const char *const names[] = {
        [API_LIST_ATOMIC] = "atomic", [API_LIST_SET] = "set", [API_LIST_MAP] = "map"};
    json_object_set_new(schema, "x-kubernetes-list-type", json_string(names[traits->list]));
    if (traits->list == API_LIST_MAP) {
        json_t *keys = json_array();
        for (size_t i = 0; traits->keys[i]; i++)
            json_array_append_new(keys, json_string(traits->keys[i]));
        json_object_set_new(schema, "x-kubernetes-list-map-keys", keys);
    }
}

static void add_patch_strategy(json_t *schema, const struct api_field *traits)
{
    if (traits->merge_key && *traits->merge_key)
        json_object_set_new(schema, "x-kubernetes-patch-merge-key", json_string(traits->merge_key));
    const char *strategy = traits->merge_key && traits->retains_keys ? "merge,retainKeys"
                           : traits->merge_key                       ? "merge"
                           : traits->retains_keys                    ? "retainKeys"
                                                                     : NULL;
    if (strategy)
        json_object_set_new(schema, "x-kubernetes-patch-strategy", json_string(strategy));
}

static json_t *enumeration(const char *const *values)
{
    json_t *list = json_array();
    for (; *values; values++)
        json_array_append_new(list, json_string(*values));
    return list;
}

static json_t *property(enum openapi_version version, const ProtobufCFieldDescriptor *field,
                        const struct api_field *traits)
{
    enum api_shape shape = api_field_shape(field);
    json_t *schema;
    if (shape == API_SHAPE_MAP) {
        const ProtobufCFieldDescriptor *value = api_field_find(field->descriptor, "value");
        schema =
            json_pack("{s:s, s:o}", "type", "object", "additionalProperties", item_schema(version, value));
    } else if (shape == API_SHAPE_LIST) {
        schema = json_pack("{s:s, s:o}", "type", "array", "items", item_schema(version, field));
        add_list_type(schema, traits);
    } else {
        schema = item_schema(version, field);
        if (*traits->description)
            schema = wrap_reference(version, schema);
    }
    describe(schema, traits->description);
    if (traits->values)
        json_object_set_new(schema, "enum", enumeration(traits->values));
    if (traits->is_atomic && shape == API_SHAPE_MAP)
        json_object_set_new(schema, "x-kubernetes-map-type", json_string("atomic"));
    add_patch_strategy(schema, traits);
    return schema;
}

/* The schema's own words about these are for who reads it, not for who writes an object. */
static const char *special_description(const ProtobufCMessageDescriptor *type)
{
    if (type == &meta__time__descriptor)
        return "A time as in RFC 3339, in whole seconds.";
    if (type == &meta__micro_time__descriptor)
        return "A time as in RFC 3339, with six digits of fraction.";
    if (type == &meta__quantity__descriptor)
        return "An amount, with a suffix or without: 2, 500m, 1Gi.";
    if (type == &meta__int_or_string__descriptor)
        return "A number, or a name or percentage.";
    return "A set of fields, each within the one that it is part of.";
}

/* Of the forms that are no JSON object. */
static json_t *special_schema(enum openapi_version version, const ProtobufCMessageDescriptor *type)
{
    if (type == &meta__time__descriptor || type == &meta__micro_time__descriptor)
        return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
    if (type == &meta__fields_v1__descriptor)
        return json_pack("{s:s}", "type", "object");
    if (type == &meta__quantity__descriptor && version == OPENAPI_V2)
        return json_pack("{s:s}", "type", "string");
    if (type == &meta__quantity__descriptor)
        return json_pack("{s:[{s:s},{s:s}]}", "oneOf", "type", "string", "type", "number");
    if (version == OPENAPI_V2)
        return json_pack("{s:s, s:s}", "type", "string", "format", "int-or-string");
    return json_pack("{s:s, s:[{s:s},{s:s}]}", "format", "int-or-string", "oneOf", "type", "integer", "type",
                     "string");
}

static void define(json_t *definitions, enum openapi_version version, const ProtobufCMessageDescriptor *type);

/* Upstream says it of the type, our schema of its fields: they agree. */
static void mark_atomic(json_t *definitions, const ProtobufCMessageDescriptor *type)
{
    struct text name = {0};
    openapi_name(type, &name);
    json_object_set_new(json_object_get(definitions, name.data), "x-kubernetes-map-type",
                        json_string("atomic"));
    text_done(&name);
}

static json_t *struct_schema(json_t *definitions, enum openapi_version version,
                             const ProtobufCMessageDescriptor *type)
{
    json_t *properties = json_object(), *required = json_array();
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const struct api_field *traits = api_field(type, i);
        json_object_set_new(properties, field->name, property(version, field, traits));
        if (traits->is_required)
            json_array_append_new(required, json_string(field->name));
        const ProtobufCFieldDescriptor *inner =
            api_field_shape(field) == API_SHAPE_MAP ? api_field_find(field->descriptor, "value") : field;
        if (inner->type == PROTOBUF_C_TYPE_MESSAGE)
            define(definitions, version, inner->descriptor);
        if (traits->is_atomic && api_field_shape(field) == API_SHAPE_STRUCT)
            mark_atomic(definitions, field->descriptor);
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

static void define(json_t *definitions, enum openapi_version version, const ProtobufCMessageDescriptor *type)
{
    struct text name = {0};
    openapi_name(type, &name);
    if (!json_object_get(definitions, name.data)) {
        /* Its place is taken first: types refer to each other. */
        json_object_set_new(definitions, name.data, json_null());
        json_t *schema =
            api_is_special(type) ? special_schema(version, type) : struct_schema(definitions, version, type);
        describe(schema, api_is_special(type) ? special_description(type) : api_message_description(type));
        json_object_set_new(definitions, name.data, schema);
    }
    text_done(&name);
}

static json_t *text_property(const char *description)
{
    return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

/* What every object and list begins with. */
static void add_type_fields(json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties");
    json_object_set_new(properties, "apiVersion",
                        text_property("The version of the schema that the object is written in."));
    json_object_set_new(properties, "kind",
                        text_property("What the object is: the name of its schema. It cannot be changed."));
}

static void add_kind(json_t *schema, const struct resource *resource, const char *kind)
{
    json_object_set_new(schema, "x-kubernetes-group-version-kind",
                        json_pack("[o]", openapi_kind(resource->group, resource->version, kind)));
}

void openapi_define_resource(json_t *definitions, enum openapi_version version,
                             const struct resource *resource)
{
    const ProtobufCMessageDescriptor *type = resource_type(resource);
    const char *kind = api_kind_name(resource->kind);
    struct text name = {0}, list_name = {0}, list_kind = {0};
    openapi_name(type, &name);
    text_printf(&list_name, "%sList", name.data);
    text_printf(&list_kind, "%sList", kind);

    define(definitions, version, type);
    json_t *schema = json_object_get(definitions, name.data);
    add_type_fields(schema);
    add_kind(schema, resource, kind);

    define(definitions, version, &meta__list_meta__descriptor);
    json_t *metadata = wrap_reference(version, reference_type(version, &meta__list_meta__descriptor));
    describe(metadata, "What is known of the list itself.");
    json_t *list =
        json_pack("{s:s, s:[s], s:{s:{s:s, s:o, s:s}, s:o}}", "type", "object", "required", "items",
                  "properties", "items", "type", "array", "items", openapi_reference(version, name.data),
                  "description", "The objects.", "metadata", metadata);
    describe(list, "A list of objects of one kind.");
    add_type_fields(list);
    add_kind(list, resource, list_kind.data);
    json_object_set_new(definitions, list_name.data, list);
    text_done(&name);
    text_done(&list_name);
    text_done(&list_kind);
}

/* A type that is no object of the store: facts of k8s.io/apimachinery/pkg/apis/meta/v1. */
struct plain_field {
    const char *name, *type, *format, *items, *reference, *description;
};

static const struct plain_field delete_options_fields[] = {
    {"apiVersion", "string", .description = "The version of the schema that the options are written in."},
    {"kind", "string", .description = "DeleteOptions."},
    {"dryRun", "array", .items = "string", .description = "All: do everything but the change itself."},
    {"gracePeriodSeconds", "integer", "int64",
     .description = "How long the object may still live; zero: not at all. Each kind has a default."},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean",
     .description = "Delete what cannot be read from the store any more."},
    {"orphanDependents", "boolean", .description = "Deprecated in favour of propagationPolicy."},
    {"preconditions", .reference = META_PREFIX "Preconditions",
     .description = "What must be true of the object."},
    {"propagationPolicy", "string",
     .description = "What becomes of objects that this one owns: Orphan, Background or Foreground."},
    {NULL},
};
static const struct plain_field preconditions_fields[] = {
    {"resourceVersion", "string", .description = "The version that the object must have."},
    {"uid", "string", .description = "The UID that the object must have."},
    {NULL},
};
static const struct plain_field status_fields[] = {
    {"apiVersion", "string", .description = "The version of the schema that the object is written in."},
    {"kind", "string", .description = "Status."},
    {"code", "integer", "int32", .description = "The HTTP status code, zero when there is none."},
    {"details", .reference = META_PREFIX "StatusDetails", .description = "More on the reason, for machines."},
    {"message", "string", .description = "What happened, in words for people."},
    {"metadata", .reference = META_PREFIX "ListMeta", .description = "Nothing, for most answers."},
    {"reason", "string", .description = "Why it failed, in one word for machines."},
    {"status", "string", .description = "Success or Failure."},
    {NULL},
};
static const struct plain_field status_details_fields[] = {
    {"causes", "array", .items = META_PREFIX "StatusCause", .description = "The single mistakes."},
    {"group", "string", .description = "The API group of the resource."},
    {"kind", "string", .description = "The resource or kind that it is about."},
    {"name", "string", .description = "The name of the object that it is about."},
    {"retryAfterSeconds", "integer", "int32", .description = "When to try again."},
    {"uid", "string", .description = "The UID of the object that it is about."},
    {NULL},
};
static const struct plain_field status_cause_fields[] = {
    {"field", "string", .description = "The field that caused it, as a path."},
    {"message", "string", .description = "The cause, in words for people."},
    {"reason", "string", .description = "The cause, in one word for machines."},
    {NULL},
};
static const struct plain_field no_fields[] = {{NULL}};

static json_t *plain_schema(enum openapi_version version, const struct plain_field *fields)
{
    json_t *properties = json_object();
    for (; fields->name; fields++) {
        json_t *schema = fields->reference
                             ? wrap_reference(version, openapi_reference(version, fields->reference))
                             : json_pack("{s:s}", "type", fields->type);
        if (fields->format)
            json_object_set_new(schema, "format", json_string(fields->format));
        if (fields->items) {
            json_object_set_new(schema, "items",
                                strchr(fields->items, '.') ? openapi_reference(version, fields->items)
                                                           : json_pack("{s:s}", "type", fields->items));
            json_object_set_new(schema, "x-kubernetes-list-type", json_string("atomic"));
        }
        describe(schema, fields->description);
        json_object_set_new(properties, fields->name, schema);
    }
    json_t *schema = json_pack("{s:s}", "type", "object");
    if (json_object_size(properties) > 0)
        json_object_set(schema, "properties", properties);
    json_decref(properties);
    return schema;
}

void openapi_define_common(json_t *definitions, enum openapi_version version, const char *group_version)
{
    static const struct {
        const char *name, *description;
        const struct plain_field *fields;
    } plain[] = {
        {"DeleteOptions", "How to delete an object.", delete_options_fields},
        {"Patch", "A patch, in the form that the Content-Type names.", no_fields},
        {"Preconditions", "What must be true before a change is made.", preconditions_fields},
        {"Status", "The answer to a request that has no object to answer with.", status_fields},
        {"StatusCause", "One mistake.", status_cause_fields},
        {"StatusDetails", "What a Status is about.", status_details_fields},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        struct text name = {0};
        text_printf(&name, META_PREFIX "%s", plain[i].name);
        json_t *schema = plain_schema(version, plain[i].fields);
        describe(schema, plain[i].description);
        json_object_set_new(definitions, name.data, schema);
        text_done(&name);
    }
    json_t *kinds = json_array();
    for (size_t i = 0; i < resource_count; i++) {
        const struct resource *resource = &resources[i];
        bool is_first = i == 0 || strcmp(resource->group_version, resources[i - 1].group_version) != 0;
        if (is_first && (!group_version || strcmp(group_version, resource->group_version) == 0))
            json_array_append_new(kinds, openapi_kind(resource->group, resource->version, "DeleteOptions"));
    }
    json_object_set_new(json_object_get(definitions, META_PREFIX "DeleteOptions"),
                        "x-kubernetes-group-version-kind", kinds);
    json_object_set_new(json_object_get(definitions, META_PREFIX "Status"), "x-kubernetes-group-version-kind",
                        json_pack("[o]", openapi_kind("", "v1", "Status")));
}
