/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/place.h"

#include "api/meta.pb-c.h"

#include <string.h>

static enum place_scalar scalar_of(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return PLACE_STRING;
    case PROTOBUF_C_TYPE_BOOL:
        return PLACE_BOOLEAN;
    case PROTOBUF_C_TYPE_MESSAGE:
        return field->descriptor == &meta__fields_v1__descriptor ? PLACE_FREE : PLACE_ANY;
    default:
        return PLACE_NUMBER;
    }
}

void place_root(const ProtobufCMessageDescriptor *type, struct place *ret)
{
    *ret = (struct place){.shape = API_SHAPE_STRUCT, .type = type, .is_root = true};
}

static bool find_field(const ProtobufCMessageDescriptor *type, const char *name, struct place *ret)
{
    const ProtobufCFieldDescriptor *field = api_field_find(type, name);
    if (!field)
        return false;
    enum api_shape shape = api_field_shape(field);
    const struct api_field *rules = api_field(type, (unsigned)(field - type->fields));
    /* An entry of a map is a message of a key and a value. */
    const ProtobufCMessageDescriptor *entry = shape == API_SHAPE_MAP ? field->descriptor : NULL;
    const ProtobufCFieldDescriptor *value = entry ? &entry->fields[1] : field;
    *ret = (struct place){.shape = shape,
                          .scalar = scalar_of(value),
                          .type = api_field_struct(field),
                          .rules = rules,
                          .is_atomic =
                              shape == API_SHAPE_LIST ? rules->list == API_LIST_ATOMIC : rules->is_atomic};
    return true;
}

bool place_field(const struct place *place, const char *name, struct place *ret)
{
    if (place->shape == API_SHAPE_MAP) {
        *ret = (struct place){.shape = API_SHAPE_SCALAR, .scalar = place->scalar};
        return true;
    }
    if (place->shape != API_SHAPE_STRUCT)
        return false;
    if (place->is_root && (strcmp(name, "apiVersion") == 0 || strcmp(name, "kind") == 0)) {
        *ret = (struct place){.shape = API_SHAPE_SCALAR, .scalar = PLACE_STRING};
        return true;
    }
    return find_field(place->type, name, ret);
}

void place_item(const struct place *list, struct place *ret)
{
    *ret = (struct place){.shape = list->type ? API_SHAPE_STRUCT : API_SHAPE_SCALAR,
                          .scalar = list->scalar,
                          .type = list->type,
                          .is_atomic = list->type && list->rules && list->rules->is_atomic};
}
