/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/gnostic.h"

#include "base/arena.h"

#include <assert.h>
#include <string.h>

static ProtobufCMessage *build(const json_t *value, const ProtobufCMessageDescriptor *type,
                               struct arena *arena);

static ProtobufCMessage *new_message(const ProtobufCMessageDescriptor *type, struct arena *arena)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static void *member(ProtobufCMessage *message, size_t offset)
{
    return (char *)message + offset;
}

static char *copy_string(const json_t *value, struct arena *arena)
{
    return arena_strndup(arena, json_string_value(value), json_string_length(value));
}

/* A field that is not repeated. */
static void set_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const json_t *value,
                      struct arena *arena)
{
    void *where = member(message, field->offset), *quantifier = member(message, field->quantifier_offset);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        *(ProtobufCMessage **)where = build(value, field->descriptor, arena);
    else if (field->type == PROTOBUF_C_TYPE_STRING)
        *(char **)where = copy_string(value, arena);
    else
        *(protobuf_c_boolean *)where = json_is_true(value);
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)quantifier = field->id;
    else if (field->type == PROTOBUF_C_TYPE_BOOL)
        *(protobuf_c_boolean *)quantifier = true;
}

/* Makes room for count items. */
static void **start_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t count,
                         struct arena *arena)
{
    void **items = arena_array(arena, void *, count);
    *(void **)member(message, field->offset) = items;
    *(size_t *)member(message, field->quantifier_offset) = count;
    return items;
}

static void *build_item(const json_t *value, const ProtobufCFieldDescriptor *field, struct arena *arena)
{
    return field->type == PROTOBUF_C_TYPE_STRING ? (void *)copy_string(value, arena)
                                                 : build(value, field->descriptor, arena);
}

/* A single value counts as a list of one. */
static void set_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const json_t *value,
                     struct arena *arena)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    void **items = start_list(message, field, count, arena);
    for (size_t i = 0; i < count; i++)
        items[i] = build_item(json_is_array(value) ? json_array_get(value, i) : value, field, arena);
}

static bool is_pairs(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE &&
           strncmp(((const ProtobufCMessageDescriptor *)field->descriptor)->short_name, "Named", 5) == 0;
}

/* Extensions beside other fields are those that begin with "x-". */
static bool is_pair(const ProtobufCMessageDescriptor *type, const char *key)
{
    return type->n_fields == 1 || strncmp(key, "x-", 2) == 0;
}

static void set_pairs(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const json_t *object,
                      struct arena *arena)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    void **pairs = start_list(message, field, json_object_size(object), arena);
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_pair(message->descriptor, key))
            continue;
        ProtobufCMessage *pair = new_message(type, arena);
        *(char **)member(pair, type->fields[0].offset) = arena_strdup(arena, key);
        *(ProtobufCMessage **)member(pair, type->fields[1].offset) =
            build(value, type->fields[1].descriptor, arena);
        pairs[count++] = pair;
    }
    *(size_t *)member(message, field->quantifier_offset) = count;
}

/* Which of the fields of a oneof takes the value; each rule is for those messages that have such a field. */
static const ProtobufCFieldDescriptor *choose(const ProtobufCMessageDescriptor *type, const json_t *value)
{
    const char *in = json_string_value(json_object_get(value, "in")), *name = NULL;
    if (json_is_boolean(value))
        name = "boolean";
    else if (json_object_get(value, "$ref"))
        name = "reference";
    else if (in)
        name = in;
    const ProtobufCFieldDescriptor *field =
        name ? protobuf_c_message_descriptor_get_field_by_name(type, name) : NULL;
    if (!field && in)
        field = protobuf_c_message_descriptor_get_field_by_name(type, "nonBody");
    return field ? field : &type->fields[0];
}

static ProtobufCMessage *build(const json_t *value, const ProtobufCMessageDescriptor *type,
                               struct arena *arena)
{
    ProtobufCMessage *message = new_message(type, arena);
    const ProtobufCFieldDescriptor *first = &type->fields[0];
    if (strcmp(type->short_name, "Any") == 0) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        *(char **)member(message, first->offset) = arena_strdup(arena, text ? text : "");
        free(text);
        return message;
    }
    if (first->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        set_field(message, choose(type, value), value, arena);
        return message;
    }
    if (type->n_fields == 1 && first->label == PROTOBUF_C_LABEL_REPEATED && !is_pairs(first)) {
        set_list(message, first, value, arena);
        return message;
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (is_pairs(field)) {
            set_pairs(message, field, value, arena);
            continue;
        }
        const json_t *part = json_object_get(value, strcmp(field->name, "_ref") == 0 ? "$ref" : field->name);
        if (part && field->label == PROTOBUF_C_LABEL_REPEATED)
            set_list(message, field, part, arena);
        else if (part)
            set_field(message, field, part, arena);
    }
    return message;
}

void gnostic_pack(const json_t *document, const ProtobufCMessageDescriptor *type, struct text *ret)
{
    struct arena arena = {0};
    const ProtobufCMessage *message = build(document, type, &arena);
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = xmalloc(len);
    protobuf_c_message_pack(message, packed);
    text_add_bytes(ret, (const char *)packed, len);
    free(packed);
    arena_done(&arena);
}
