/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apiserver_decode.h"

#include "api/defaults.h"
#include "api/wire.h"
#include "api/wire_format.h"

#include <jansson.h>
#include <string.h>

#define INITIAL_EVENTS_END "k8s.io/initial-events-end"
#define TOO_LARGE_REASON "ResourceVersionTooLarge"
#define TOO_LARGE_MESSAGE "Too large resource version"
#define DIGITS_MAX 19

/* Field numbers of k8s.io/apimachinery pkg/apis/meta/v1 and pkg/runtime, generated.proto. */
enum { EVENT_TYPE = 1, EVENT_OBJECT = 2, EXTENSION_RAW = 1 };
enum { OBJECT_METADATA = 1, METADATA_NAME = 1, METADATA_NAMESPACE = 3, METADATA_VERSION = 6 };
enum { STATUS_MESSAGE = 3, STATUS_REASON = 4, STATUS_DETAILS = 5, STATUS_CODE = 6 };
enum { DETAILS_CAUSES = 4, DETAILS_RETRY_AFTER = 5, CAUSE_REASON = 1, CAUSE_MESSAGE = 2 };

uint64_t decode_version(const char *text)
{
    uint64_t version = 0;
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len > DIGITS_MAX || strspn(text, "0123456789") != len)
        return 0;
    for (size_t i = 0; i < len; i++)
        version = version * 10 + (uint64_t)(text[i] - '0');
    return version;
}

static bool is_text(const struct wire_item *item)
{
    return item->type == WIRE_LENGTH && !memchr(item->bytes, '\0', item->len);
}

static const char *take_text(const struct wire_item *item, struct arena *arena)
{
    return is_text(item) ? arena_strndup(arena, (const char *)item->bytes, item->len) : "";
}

/* The words of a tree's string; "" when there is none. */
static const char *tree_text(const json_t *tree, const char *key, struct arena *arena)
{
    const char *text = json_string_value(json_object_get(tree, key));
    return text ? arena_strdup(arena, text) : "";
}

/* --- names of what cannot be decoded as a whole --- */

static void name_from_metadata(const struct wire_item *metadata, struct arena *arena, struct told_object *ret)
{
    struct wire_reader reader = {metadata->bytes, metadata->bytes + metadata->len};
    struct wire_item item;
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == METADATA_NAME)
            ret->name = take_text(&item, arena);
        else if (item.number == METADATA_NAMESPACE)
            ret->namespace_ = take_text(&item, arena);
        else if (item.number == METADATA_VERSION)
            ret->version = decode_version(take_text(&item, arena));
    }
}

static void name_from_protobuf(const uint8_t *bytes, size_t len, struct arena *arena, struct told_object *ret)
{
    struct wire_reader reader = {bytes, bytes + len};
    struct wire_item item;
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad))
        if (item.number == OBJECT_METADATA && item.type == WIRE_LENGTH)
            name_from_metadata(&item, arena, ret);
}

static void name_from_tree(const json_t *tree, struct arena *arena, struct told_object *ret)
{
    const json_t *metadata = json_object_get(tree, "metadata");
    ret->name = tree_text(metadata, "name", arena);
    ret->namespace_ = tree_text(metadata, "namespace", arena);
    ret->version = decode_version(tree_text(metadata, "resourceVersion", arena));
}

/* --- objects --- */

static void finish(enum api_kind kind, ProtobufCMessage *message, struct arena *arena,
                   struct told_object *ret)
{
    const Meta__ObjectMeta *metadata = api_metadata(message);
    /* A bookmark has no name, and no use for defaults. */
    if (metadata && *api_text(metadata->name))
        defaults_apply(kind, message, arena);
    metadata = api_metadata(message);
    if (!metadata)
        return;
    ret->name = api_text(metadata->name);
    ret->namespace_ = api_kind_info(kind)->is_namespaced ? api_text(metadata->namespace_) : "";
    ret->version = decode_version(metadata->resourceversion);
    ret->is_initial_end =
        text_equal(api_entry(metadata->annotations, metadata->n_annotations, INITIAL_EVENTS_END), "true");
    ret->message = message;
}

static void start(struct told_object *ret)
{
    *ret = (struct told_object){.namespace_ = "", .name = ""};
}

/* What is left to say of an object that cannot be used; ret may have its name already. */
static void fail(enum api_kind kind, struct arena *arena, struct told_object *ret, const char *why)
{
    if (!api_kind_info(kind)->is_namespaced)
        ret->namespace_ = "";
    ret->fault = arena_printf(arena, "%s \"%s%s%s\" cannot be read: %s", api_kind_name(kind), ret->namespace_,
                              *ret->namespace_ ? "/" : "", ret->name, why);
}

static void object_from_protobuf(enum api_kind kind, const uint8_t *bytes, size_t len, struct arena *arena,
                                 struct told_object *ret)
{
    struct err err;
    start(ret);
    ProtobufCMessage *message = wire_unpack_for_reader(api_kind_info(kind)->type, bytes, len, arena, &err);
    if (message)
        finish(kind, message, arena, ret);
    if (ret->message)
        return;
    name_from_protobuf(bytes, len, arena, ret);
    fail(kind, arena, ret, message ? "it has no metadata" : err.text);
}

static void object_from_tree(enum api_kind kind, json_t *tree, struct arena *arena, struct told_object *ret)
{
    struct decode_result result = {0};
    start(ret);
    if (json_is_object(tree))
        wire_decode_tree(tree, api_kind_info(kind)->type, arena, &result);
    if (result.message)
        finish(kind, result.message, arena, ret);
    if (ret->message)
        return;
    name_from_tree(tree, arena, ret);
    fail(kind, arena, ret, result.refusal ? result.refusal : "it is no object with metadata");
}

static json_t *load(const uint8_t *bytes, size_t len)
{
    return json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
}

void decode_item(enum api_kind kind, bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                 struct told_object *ret)
{
    if (is_protobuf) {
        object_from_protobuf(kind, bytes, len, arena, ret);
        return;
    }
    json_t *tree = load(bytes, len);
    object_from_tree(kind, tree, arena, ret);
    json_decref(tree);
}

/* --- refusals --- */

static void note_cause(const char *reason, const char *message, struct refusal *ret)
{
    if (strcmp(reason, TOO_LARGE_REASON) == 0 || strcmp(message, TOO_LARGE_MESSAGE) == 0)
        ret->is_too_large = true;
}

static void finish_refusal(struct refusal *ret)
{
    ret->is_expired =
        ret->code == 410 || strcmp(ret->reason, "Expired") == 0 || strcmp(ret->reason, "Gone") == 0;
    if (strstr(ret->message, TOO_LARGE_MESSAGE))
        ret->is_too_large = true;
}

static void start_refusal(struct refusal *ret)
{
    *ret = (struct refusal){.reason = "", .message = ""};
}

static void cause_from_protobuf(const struct wire_item *cause, struct arena *arena, struct refusal *ret)
{
    struct wire_reader reader = {cause->bytes, cause->bytes + cause->len};
    struct wire_item item;
    const char *reason = "", *message = "";
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == CAUSE_REASON)
            reason = take_text(&item, arena);
        else if (item.number == CAUSE_MESSAGE)
            message = take_text(&item, arena);
    }
    note_cause(reason, message, ret);
}

static unsigned bounded(uint64_t value)
{
    return value > INT32_MAX ? INT32_MAX : (unsigned)value;
}

static void details_from_protobuf(const struct wire_item *details, struct arena *arena, struct refusal *ret)
{
    struct wire_reader reader = {details->bytes, details->bytes + details->len};
    struct wire_item item;
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == DETAILS_CAUSES && item.type == WIRE_LENGTH)
            cause_from_protobuf(&item, arena, ret);
        else if (item.number == DETAILS_RETRY_AFTER && item.type == WIRE_VARINT)
            ret->retry_after_s = bounded(item.value);
    }
}

static void refusal_from_protobuf(const uint8_t *bytes, size_t len, struct arena *arena, struct refusal *ret)
{
    struct wire_reader reader = {bytes, bytes + len};
    struct wire_item item;
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == STATUS_MESSAGE)
            ret->message = take_text(&item, arena);
        else if (item.number == STATUS_REASON)
            ret->reason = take_text(&item, arena);
        else if (item.number == STATUS_DETAILS && item.type == WIRE_LENGTH)
            details_from_protobuf(&item, arena, ret);
        else if (item.number == STATUS_CODE && item.type == WIRE_VARINT)
            ret->code = bounded(item.value);
    }
}

static void refusal_from_tree(const json_t *tree, struct arena *arena, struct refusal *ret)
{
    const json_t *details = json_object_get(tree, "details"), *causes = json_object_get(details, "causes");
    json_int_t code = json_integer_value(json_object_get(tree, "code"));
    json_int_t retry_after = json_integer_value(json_object_get(details, "retryAfterSeconds"));
    ret->reason = tree_text(tree, "reason", arena);
    ret->message = tree_text(tree, "message", arena);
    ret->code = code > 0 ? bounded((uint64_t)code) : 0;
    ret->retry_after_s = retry_after > 0 ? bounded((uint64_t)retry_after) : 0;
    for (size_t i = 0; i < json_array_size(causes); i++) {
        const json_t *cause = json_array_get(causes, i);
        note_cause(tree_text(cause, "reason", arena), tree_text(cause, "message", arena), ret);
    }
}

void decode_refusal(bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                    struct refusal *ret)
{
    struct wire_envelope envelope;
    start_refusal(ret);
    if (!is_protobuf) {
        json_t *tree = load(bytes, len);
        if (strcmp(tree_text(tree, "kind", arena), "Status") == 0)
            refusal_from_tree(tree, arena, ret);
        json_decref(tree);
    } else if (wire_protobuf_open(bytes, len, arena, &envelope, NULL) == 0 &&
               strcmp(envelope.kind, "Status") == 0) {
        refusal_from_protobuf(envelope.raw, envelope.len, arena, ret);
    }
    finish_refusal(ret);
}

/* --- events --- */

static enum event_type event_type(const char *text)
{
    static const char *const names[] = {[EVENT_ADDED] = "ADDED",
                                        [EVENT_MODIFIED] = "MODIFIED",
                                        [EVENT_DELETED] = "DELETED",
                                        [EVENT_BOOKMARK] = "BOOKMARK",
                                        [EVENT_ERROR] = "ERROR"};
    for (size_t i = 0; i < EVENT_UNKNOWN; i++)
        if (strcmp(names[i], text) == 0)
            return (enum event_type)i;
    return EVENT_UNKNOWN;
}

static void event_object_from_protobuf(enum api_kind kind, const struct wire_item *raw, struct arena *arena,
                                       struct decoded_event *ret)
{
    struct wire_envelope envelope;
    struct err err;
    if (ret->type == EVENT_ERROR) {
        decode_refusal(true, raw->bytes, raw->len, arena, &ret->refusal);
        return;
    }
    if (wire_protobuf_open(raw->bytes, raw->len, arena, &envelope, &err) != 0)
        ret->fault = arena_printf(arena, "an event of a watch cannot be read: %s", err.text);
    else if (strcmp(envelope.kind, api_kind_name(kind)) != 0)
        ret->fault = arena_printf(arena, "an event of a watch for %s is about a \"%s\"", api_kind_name(kind),
                                  envelope.kind);
    else
        object_from_protobuf(kind, envelope.raw, envelope.len, arena, &ret->object);
}

/* The raw bytes inside a RawExtension. */
static bool open_extension(const struct wire_item *extension, struct wire_item *ret)
{
    struct wire_reader reader = {extension->bytes, extension->bytes + extension->len};
    struct wire_item item;
    bool is_bad, is_found = false;
    while (wire_next(&reader, &item, &is_bad))
        if (item.number == EXTENSION_RAW && item.type == WIRE_LENGTH) {
            *ret = item;
            is_found = true;
        }
    return is_found && !is_bad;
}

static void event_from_protobuf(enum api_kind kind, const uint8_t *bytes, size_t len, struct arena *arena,
                                struct decoded_event *ret)
{
    struct wire_reader reader = {bytes, bytes + len};
    struct wire_item item, raw = {0};
    bool is_bad, has_object = false;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == EVENT_TYPE)
            ret->type = event_type(take_text(&item, arena));
        else if (item.number == EVENT_OBJECT && item.type == WIRE_LENGTH)
            has_object = open_extension(&item, &raw);
    }
    if (is_bad || !has_object)
        ret->fault = "an event of a watch is no protobuf, or cut off";
    else if (ret->type != EVENT_UNKNOWN)
        event_object_from_protobuf(kind, &raw, arena, ret);
}

static void event_from_json(enum api_kind kind, const uint8_t *bytes, size_t len, struct arena *arena,
                            struct decoded_event *ret)
{
    json_t *tree = load(bytes, len), *object = json_object_get(tree, "object");
    ret->type = event_type(tree_text(tree, "type", arena));
    if (!json_is_object(object)) {
        ret->fault = "an event of a watch is no JSON, or has no object";
    } else if (ret->type == EVENT_ERROR) {
        refusal_from_tree(object, arena, &ret->refusal);
        finish_refusal(&ret->refusal);
    } else if (strcmp(tree_text(object, "kind", arena), api_kind_name(kind)) != 0) {
        ret->fault = arena_printf(arena, "an event of a watch for %s is about a \"%s\"", api_kind_name(kind),
                                  tree_text(object, "kind", arena));
    } else if (ret->type != EVENT_UNKNOWN) {
        object_from_tree(kind, object, arena, &ret->object);
    }
    json_decref(tree);
}

void decode_event(enum api_kind kind, bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                  struct decoded_event *ret)
{
    *ret = (struct decoded_event){.type = EVENT_UNKNOWN};
    start(&ret->object);
    start_refusal(&ret->refusal);
    if (is_protobuf)
        event_from_protobuf(kind, bytes, len, arena, ret);
    else
        event_from_json(kind, bytes, len, arena, ret);
}

/* --- lists --- */

void decode_place(bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                  struct list_place *ret)
{
    *ret = (struct list_place){.continue_ = ""};
    if (is_protobuf) {
        const Meta__ListMeta *metadata =
            (const Meta__ListMeta *)wire_unpack(&meta__list_meta__descriptor, bytes, len, arena, NULL);
        if (metadata) {
            ret->version = decode_version(metadata->resourceversion);
            ret->continue_ = api_text(metadata->continue_);
        }
        return;
    }
    json_t *tree = load(bytes, len), *metadata = json_object_get(tree, "metadata");
    ret->version = decode_version(tree_text(metadata, "resourceVersion", arena));
    ret->continue_ = tree_text(metadata, "continue", arena);
    json_decref(tree);
}
