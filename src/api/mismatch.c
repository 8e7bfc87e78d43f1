/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/mismatch.h"

#include "api/fields.h"
#include "api/meta.pb-c.h"

#include <string.h>

/* Where a path ends. */
struct place {
    const ProtobufCMessageDescriptor *in,
        *type;                             /* the struct around the field; that of the value or its items */
    const ProtobufCFieldDescriptor *field; /* NULL at the root */
    bool is_item;                          /* of a list or a map */
    const char *names;                     /* "spec.ports.port" */
};

static struct place walk(const ProtobufCMessageDescriptor *root, const struct path *path, struct arena *arena)
{
    if (!path)
        return (struct place){.type = root, .names = ""};
    struct place place = walk(root, path->parent, arena);
    if (!path->name) {
        place.is_item = true;
        return place;
    }
    const ProtobufCFieldDescriptor *field = place.type ? api_field_find(place.type, path->name) : NULL;
    return (struct place){
        .in = place.type,
        .field = field,
        .type = field ? api_field_struct(field) : NULL,
        .names = arena_printf(arena, "%s%s%s", place.names, *place.names ? "." : "", path->name)};
}

static const char *value_word(const struct tape_node *node)
{
    if (node->kind == TAPE_MAPPING)
        return "object";
    if (node->kind == TAPE_SEQUENCE)
        return "array";
    switch (tape_scalar(node).type) {
    case SCALAR_BOOLEAN:
        return "bool";
    case SCALAR_INTEGER:
    case SCALAR_REAL:
        return "number";
    case SCALAR_NULL:
        return "null";
    case SCALAR_STRING:
    case SCALAR_MERGE:
        break;
    }
    return "string";
}

static const char *scalar_type(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return "int32";
    case PROTOBUF_C_TYPE_INT64:
        return "int64";
    case PROTOBUF_C_TYPE_BOOL:
        return "bool";
    case PROTOBUF_C_TYPE_BYTES:
        return "[]uint8";
    case PROTOBUF_C_TYPE_MESSAGE:
        return field->descriptor == &meta__int_or_string__descriptor ? "int32" : "string";
    default:
        return strcmp(field->name, "uid") == 0 ? "types.UID" : "string";
    }
}

static const char *go_type(const struct place *place, struct arena *arena)
{
    const ProtobufCFieldDescriptor *field = place->field;
    enum api_shape shape = field ? api_field_shape(field) : API_SHAPE_STRUCT;
    if (shape == API_SHAPE_MAP) {
        if (field->descriptor == &meta__quantity_entry__descriptor)
            return "v1.ResourceList";
        const ProtobufCMessageDescriptor *entry = field->descriptor;
        const char *value = scalar_type(&entry->fields[1]);
        return place->is_item ? value : arena_printf(arena, "map[string]%s", value);
    }
    const char *list = shape == API_SHAPE_LIST && !place->is_item ? "[]" : "";
    if (place->type)
        return arena_printf(arena, "%sv1.%s", list, place->type->short_name);
    return arena_printf(arena, "%s%s", list, scalar_type(field));
}

/* A quantity whose suffix has the right letters in the wrong order is told apart. */
static const char *quantity_sentence(const struct tape_node *node)
{
    const char *text = node->kind == TAPE_SCALAR ? node->text : "";
    const char *suffix = text + strspn(text, "+-");
    suffix += strspn(suffix, "0123456789.");
    const char *rest = suffix + strspn(suffix, "eEinumkKMGTP");
    rest += *rest == '-' || *rest == '+';
    rest += strspn(rest, "0123456789");
    if (suffix > text && *suffix && !*rest)
        return "unable to parse quantity's suffix";
    return "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
}

static const char *time_sentence(const ProtobufCMessageDescriptor *type, const char *text,
                                 struct arena *arena)
{
    const char *layout = type == &meta__micro_time__descriptor ? "2006-01-02T15:04:05.000000Z07:00"
                                                               : "2006-01-02T15:04:05Z07:00";
    return arena_printf(arena, "parsing time \"%s\" as \"%s\": cannot parse \"%s\" as \"2006\"", text, layout,
                        text);
}

/* The type of the field's value where that is no struct of ours, else NULL. */
static const ProtobufCMessageDescriptor *special_type(const struct place *place)
{
    const ProtobufCFieldDescriptor *field = place->field;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    if (field->descriptor == &meta__quantity_entry__descriptor && place->is_item)
        return &meta__quantity__descriptor;
    return api_is_special(field->descriptor) ? field->descriptor : NULL;
}

const char *mismatch_sentence(const ProtobufCMessageDescriptor *root, const struct path *path,
                              const struct tape_node *node, struct arena *arena)
{
    struct place place = walk(root, path, arena);
    const ProtobufCFieldDescriptor *field = place.field;
    const char *word = value_word(node);
    if (path && !field)
        return arena_printf(arena, "json: cannot unmarshal %s", word);
    if (!field)
        return arena_printf(arena, "json: cannot unmarshal %s into Go value of type %s", word,
                            go_type(&place, arena));
    const ProtobufCMessageDescriptor *special = special_type(&place);
    bool is_time = special == &meta__time__descriptor || special == &meta__micro_time__descriptor;
    if (special == &meta__quantity__descriptor)
        return quantity_sentence(node);
    if (is_time && strcmp(word, "string") == 0)
        return time_sentence(special, node->text, arena);
    bool is_int = field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_INT64 ||
                  special == &meta__int_or_string__descriptor;
    if (is_int && strcmp(word, "number") == 0)
        word = arena_printf(arena, "number %s", node->text);
    return arena_printf(arena, "json: cannot unmarshal %s into Go struct field %s.%s of type %s", word,
                        place.in->short_name, place.names, go_type(&place, arena));
}
