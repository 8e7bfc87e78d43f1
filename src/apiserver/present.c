/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/present.h"

#include "api/wire.h"
#include "api/wire_format.h"
#include "apiserver/block_yaml.h"
#include "apiserver/face.h"
#include "apiserver/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INITIAL_EVENTS_END "k8s.io/initial-events-end"

static void add_json(struct text *ret, json_t *tree)
{
    char *text = json_dumps(tree, JSON_COMPACT);
    text_add(ret, text ? text : "null");
    free(text);
}

static void add_partial_metadata(const struct presentation *how, const ProtobufCMessage *message,
                                 struct text *ret)
{
    text_add(ret, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
    wire_json_of(&api_metadata(message)->base, ret);
    text_add(ret, "}");
}

/* apiVersion and kind are the resource's: an Event goes by two versions. */
static void add_whole(const struct presentation *how, const ProtobufCMessage *message, bool has_type,
                      struct text *ret)
{
    struct arena arena;
    arena_init(&arena);
    const ProtobufCMessage *shown = face_shown(how->resource, message, &arena);
    if (has_type)
        wire_json_as(how->resource->group_version, api_kind_name(how->resource->kind), shown, ret);
    else
        wire_json_of(shown, ret);
    arena_done(&arena);
}

static void add_row(const struct presentation *how, const ProtobufCMessage *message, struct text *ret)
{
    json_t *cells = table_cells(how->resource->kind, message, how->now);
    text_add(ret, "{\"cells\":");
    add_json(ret, cells);
    json_decref(cells);
    text_add(ret, ",\"object\":");
    if (strcmp(how->include_object, "None") == 0)
        text_add(ret, "null");
    else if (strcmp(how->include_object, "Object") == 0)
        add_whole(how, message, true, ret);
    else
        add_partial_metadata(how, message, ret);
    json_t *conditions = table_conditions(how->resource->kind, message);
    if (conditions) {
        text_add(ret, ",\"conditions\":");
        add_json(ret, conditions);
        json_decref(conditions);
    }
    text_add(ret, "}");
}

static void begin_table(const struct presentation *how, const char *metadata, bool has_columns,
                        struct text *ret)
{
    text_printf(
        ret, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{%s},\"columnDefinitions\":",
        how->accepted.is_table_v1beta1 ? "v1beta1" : "v1", metadata);
    json_t *columns = has_columns ? table_column_definitions(how->resource->kind) : json_null();
    add_json(ret, columns);
    json_decref(columns);
    text_add(ret, ",\"rows\":[");
}

static void add_one(const struct presentation *how, const ProtobufCMessage *message, bool has_columns,
                    struct text *ret)
{
    const Meta__ObjectMeta *own = api_metadata(message);
    char metadata[64];
    switch (how->accepted.form) {
    case FORM_OBJECT:
        add_whole(how, message, true, ret);
        break;
    case FORM_METADATA:
        add_partial_metadata(how, message, ret);
        break;
    case FORM_TABLE:
        snprintf(metadata, sizeof(metadata), "\"resourceVersion\":\"%.40s\"", api_text(own->resourceversion));
        begin_table(how, metadata, has_columns, ret);
        add_row(how, message, ret);
        text_add(ret, "]}");
        break;
    }
}

/* The bytes as they are stored where the resource shows just that; otherwise packed anew. */
static const uint8_t *packed_of(const struct presentation *how, const ProtobufCMessage *message,
                                const struct registry_object *object, struct arena *arena, size_t *ret_len)
{
    bool is_stored_form = resource_type(how->resource) == api_kind_info(how->resource->kind)->type;
    if (object && is_stored_form) {
        *ret_len = object->len;
        return object->data;
    }
    const ProtobufCMessage *shown =
        face_shown(how->resource, message ? message : registry_decode(object, arena), arena);
    struct text packed = {0};
    wire_pack(shown, &packed);
    *ret_len = packed.len;
    const uint8_t *bytes = (const uint8_t *)arena_strndup(arena, text_str(&packed), packed.len);
    text_done(&packed);
    return bytes;
}

/* The envelope of one object in protobuf. */
static void add_protobuf(const struct presentation *how, const ProtobufCMessage *message,
                         const struct registry_object *object, struct text *ret)
{
    struct arena arena;
    arena_init(&arena);
    size_t len;
    const uint8_t *bytes = packed_of(how, message, object, &arena, &len);
    wire_protobuf(how->resource->group_version, api_kind_name(how->resource->kind), bytes, len, ret);
    arena_done(&arena);
}

/* Where JSON goes: into the answer itself, or aside, for YAML to be made of it. */
static struct text *json_target(const struct presentation *how, struct text *aside, struct text *ret)
{
    return how->accepted.media == MEDIA_YAML ? aside : ret;
}

static void finish_media(const struct presentation *how, struct text *aside, struct text *ret)
{
    if (how->accepted.media == MEDIA_YAML)
        block_yaml_from_json(aside->data, aside->len, ret);
    text_done(aside);
}

void present_object(const struct presentation *how, const ProtobufCMessage *message,
                    const struct registry_object *object, struct text *ret)
{
    struct text aside = {0};
    if (how->accepted.media == MEDIA_PROTOBUF && how->accepted.form == FORM_OBJECT) {
        add_protobuf(how, message, object, ret);
        return;
    }
    add_one(how, message, true, json_target(how, &aside, ret));
    finish_media(how, &aside, ret);
}

static void add_list_metadata(const struct list_metadata *metadata, struct text *ret)
{
    text_printf(ret, "\"resourceVersion\":\"%" PRIu64 "\"", metadata->revision);
    if (*metadata->continue_) {
        text_add(ret, ",\"continue\":");
        wire_json_string(ret, metadata->continue_);
    }
    if (metadata->remaining >= 0 && *metadata->continue_)
        text_printf(ret, ",\"remainingItemCount\":%" PRId64, metadata->remaining);
}

static void list_protobuf(const struct presentation *how, const struct registry_object *const *list,
                          size_t count, const struct list_metadata *metadata, struct text *ret)
{
    struct text raw = {0};
    struct arena arena;
    arena_init(&arena);
    Meta__ListMeta meta = META__LIST_META__INIT;
    meta.resourceversion = arena_printf(&arena, "%" PRIu64, metadata->revision);
    meta.continue_ = *metadata->continue_ ? arena_strdup(&arena, metadata->continue_) : NULL;
    meta.has_remainingitemcount = metadata->remaining >= 0 && meta.continue_;
    meta.remainingitemcount = metadata->remaining;
    uint8_t *packed = arena_alloc(&arena, meta__list_meta__get_packed_size(&meta));
    wire_add_field(&raw, 1, packed, meta__list_meta__pack(&meta, packed));
    for (size_t i = 0; i < count; i++) {
        struct arena scratch;
        size_t len;
        arena_init(&scratch);
        const uint8_t *bytes = packed_of(how, NULL, list[i], &scratch, &len);
        wire_add_field(&raw, 2, bytes, len);
        arena_done(&scratch);
    }
    const char *kind = arena_printf(&arena, "%sList", api_kind_name(how->resource->kind));
    wire_protobuf(how->resource->group_version, kind, raw.data, raw.len, ret);
    text_done(&raw);
    arena_done(&arena);
}

static void begin_list(const struct presentation *how, const struct list_metadata *metadata, struct text *ret)
{
    struct text own = {0};
    add_list_metadata(metadata, &own);
    switch (how->accepted.form) {
    case FORM_OBJECT:
        text_printf(ret, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{%s},\"items\":[",
                    api_kind_name(how->resource->kind), how->resource->group_version, own.data);
        break;
    case FORM_METADATA:
        text_printf(
            ret,
            "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{%s},"
            "\"items\":[",
            own.data);
        break;
    case FORM_TABLE:
        begin_table(how, own.data, true, ret);
        break;
    }
    text_done(&own);
}

void present_list(const struct presentation *how, const struct registry_object *const *list, size_t count,
                  const struct list_metadata *metadata, struct text *ret)
{
    struct text aside = {0}, *json = json_target(how, &aside, ret);
    struct arena arena;
    if (how->accepted.media == MEDIA_PROTOBUF && how->accepted.form == FORM_OBJECT) {
        list_protobuf(how, list, count, metadata, ret);
        return;
    }
    arena_init(&arena);
    begin_list(how, metadata, json);
    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *message = registry_decode(list[i], &arena);
        text_add(json, i ? "," : "");
        switch (how->accepted.form) {
        case FORM_OBJECT:
            add_whole(how, message, false, json);
            break;
        case FORM_METADATA:
            add_partial_metadata(how, message, json);
            break;
        case FORM_TABLE:
            add_row(how, message, json);
            break;
        }
        arena_reset(&arena);
    }
    text_add(json, "]}");
    arena_done(&arena);
    finish_media(how, &aside, ret);
}

/* Frames of a protobuf watch: four bytes of length, then a meta.v1.WatchEvent {type = 1, object = 2 {raw =
 * 1}} without an envelope of its own (k8s.io/apimachinery, serializer/protobuf, LengthDelimitedFramer). */
static void add_protobuf_frame(const char *type, const struct text *object, struct text *ret)
{
    struct text extension = {0}, event = {0};
    wire_add_field(&extension, 1, object->data, object->len);
    wire_add_field(&event, 1, type, strlen(type));
    wire_add_field(&event, 2, extension.data, extension.len);
    const uint8_t prefix[4] = {(uint8_t)(event.len >> 24), (uint8_t)(event.len >> 16),
                               (uint8_t)(event.len >> 8), (uint8_t)event.len};
    text_add_bytes(ret, (const char *)prefix, sizeof(prefix));
    text_add_bytes(ret, event.data, event.len);
    text_done(&extension);
    text_done(&event);
}

static bool is_protobuf(const struct presentation *how)
{
    return how->accepted.media == MEDIA_PROTOBUF;
}

static void begin_frame(const char *type, struct text *ret)
{
    text_printf(ret, "{\"type\":\"%s\",\"object\":", type);
}

static void present_message(const struct presentation *how, const char *type, const ProtobufCMessage *message,
                            const struct registry_object *object, bool has_columns, struct text *ret)
{
    if (is_protobuf(how) && how->accepted.form == FORM_OBJECT) {
        struct text envelope = {0};
        add_protobuf(how, message, object, &envelope);
        add_protobuf_frame(type, &envelope, ret);
        text_done(&envelope);
        return;
    }
    begin_frame(type, ret);
    add_one(how, message, has_columns, ret);
    text_add(ret, "}\n");
}

void present_event(const struct presentation *how, const char *type, const ProtobufCMessage *message,
                   const struct registry_object *object, bool has_columns, struct text *ret)
{
    struct arena arena;
    arena_init(&arena);
    bool needs_message = !message && (!is_protobuf(how) || how->accepted.form != FORM_OBJECT);
    present_message(how, type, needs_message ? registry_decode(object, &arena) : message, object, has_columns,
                    ret);
    arena_done(&arena);
}

void present_bookmark(const struct presentation *how, uint64_t revision, bool is_initial_events_end,
                      struct text *ret)
{
    struct arena arena;
    arena_init(&arena);
    const ProtobufCMessageDescriptor *type = api_kind_info(how->resource->kind)->type;
    ProtobufCMessage *message = arena_alloc(&arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    Meta__ObjectMeta metadata = META__OBJECT_META__INIT;
    Meta__StringEntry end = META__STRING_ENTRY__INIT;
    Meta__StringEntry *annotations[] = {&end};
    end.key = arena_strdup(&arena, INITIAL_EVENTS_END);
    end.value = arena_strdup(&arena, "true");
    metadata.resourceversion = arena_printf(&arena, "%" PRIu64, revision);
    metadata.n_annotations = is_initial_events_end;
    metadata.annotations = annotations;
    /* Metadata is every kind's first field: api/object.c asserts it. */
    *(Meta__ObjectMeta **)((char *)message + type->fields[0].offset) = &metadata;
    if (how->accepted.form == FORM_TABLE) {
        text_printf(ret,
                    "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/"
                    "v1\",\"metadata\":"
                    "{\"resourceVersion\":\"%" PRIu64
                    "\"},\"columnDefinitions\":null,\"rows\":[{\"cells\":[],\"object\":",
                    revision);
        add_partial_metadata(how, message, ret);
        text_add(ret, "}]}}\n");
    } else {
        present_message(how, "BOOKMARK", message, NULL, false, ret);
    }
    arena_done(&arena);
}

static void add_text_field(struct text *text, unsigned number, const char *value)
{
    if (value && *value)
        wire_add_field(text, number, value, strlen(value));
}

static void add_number_field(struct text *text, unsigned number, uint64_t value)
{
    uint8_t bytes[WIRE_VARINT_MAX];
    text_add_bytes(text, (const char *)bytes, wire_varint(number << 3, bytes));
    text_add_bytes(text, (const char *)bytes, wire_varint(value, bytes));
}

static void add_details(const struct status *status, struct text *ret)
{
    add_text_field(ret, 1, status->name);
    add_text_field(ret, 2, status->group);
    add_text_field(ret, 3, status->kind);
    for (size_t i = 0; i < status->cause_count; i++) {
        struct text cause = {0};
        add_text_field(&cause, 1, status->causes[i].reason);
        add_text_field(&cause, 2, status->causes[i].message);
        add_text_field(&cause, 3, status->causes[i].field);
        wire_add_field(ret, 4, text_str(&cause), cause.len);
        text_done(&cause);
    }
    if (status->retry_after_seconds)
        add_number_field(ret, 5, status->retry_after_seconds);
    add_text_field(ret, 6, status->uid);
}

/* meta.v1.Status in its envelope (k8s.io/apimachinery, pkg/apis/meta/v1/generated.proto). */
static void add_protobuf_status(const struct status *status, struct text *ret)
{
    struct text raw = {0}, details = {0};
    add_details(status, &details);
    wire_add_field(&raw, 1, "", 0);
    add_text_field(&raw, 2, "Failure");
    add_text_field(&raw, 3, status->message);
    add_text_field(&raw, 4, status->reason);
    if (details.len > 0)
        wire_add_field(&raw, 5, details.data, details.len);
    add_number_field(&raw, 6, status->code);
    wire_protobuf("v1", "Status", raw.data, raw.len, ret);
    text_done(&raw);
    text_done(&details);
}

void present_error(const struct presentation *how, const struct status *status, struct text *ret)
{
    struct text object = {0};
    if (is_protobuf(how)) {
        add_protobuf_status(status, &object);
        add_protobuf_frame("ERROR", &object, ret);
    } else {
        json_t *tree = status_tree(status);
        begin_frame("ERROR", ret);
        add_json(ret, tree);
        text_add(ret, "}\n");
        json_decref(tree);
    }
    text_done(&object);
}
