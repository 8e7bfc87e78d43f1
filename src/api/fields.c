/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/fields.h"

#include "api/meta.pb-c.h"

#include <assert.h>
#include <string.h>

const struct api_type *api_type(const ProtobufCMessageDescriptor *type)
{
    unsigned low = 0, high = api_type_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (api_types[middle].descriptor == type)
            return &api_types[middle];
        if (strcmp(api_types[middle].descriptor->name, type->name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    assert(!"a message of the schema");
    return NULL;
}

const struct api_field *api_field(const ProtobufCMessageDescriptor *type, unsigned index)
{
    assert(index < type->n_fields);
    return &api_type(type)->fields[index];
}

const char *api_message_description(const ProtobufCMessageDescriptor *type)
{
    return api_type(type)->description;
}

bool api_is_special(const ProtobufCMessageDescriptor *type)
{
    return type == &meta__time__descriptor || type == &meta__micro_time__descriptor ||
           type == &meta__int_or_string__descriptor || type == &meta__quantity__descriptor ||
           type == &meta__fields_v1__descriptor;
}

bool api_is_entry(const ProtobufCMessageDescriptor *type)
{
    return type == &meta__string_entry__descriptor || type == &meta__quantity_entry__descriptor ||
           type == &meta__bytes_entry__descriptor;
}

enum api_shape api_field_shape(const ProtobufCFieldDescriptor *field)
{
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (is_message && api_is_entry(field->descriptor))
        return API_SHAPE_MAP;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return API_SHAPE_LIST;
    return is_message && !api_is_special(field->descriptor) ? API_SHAPE_STRUCT : API_SHAPE_SCALAR;
}

const ProtobufCMessageDescriptor *api_field_struct(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    const ProtobufCMessageDescriptor *type = field->descriptor;
    return api_is_entry(type) || api_is_special(type) ? NULL : type;
}

const ProtobufCFieldDescriptor *api_field_find(const ProtobufCMessageDescriptor *type, const char *json_name)
{
    return protobuf_c_message_descriptor_get_field_by_name(type, json_name);
}
