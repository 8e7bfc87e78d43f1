/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/equal.h"

#include "api/fields.h"
#include "api/object.h"
#include "api/quantity.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* What every map entry begins with. */
struct entry {
    ProtobufCMessage base;
    char *key;
};

static const void *at(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return *(const size_t *)at(message, field->quantifier_offset);
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE && api_field_shape(field) == API_SHAPE_MAP;
}

static size_t scalar_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return 0;
}

static bool equal_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* The value at a and at b, of a field's type, present in both. */
static bool equal_values(const void *a, const void *b, ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_STRING)
        return strcmp(api_text(*(char *const *)a), api_text(*(char *const *)b)) == 0;
    if (type == PROTOBUF_C_TYPE_BYTES)
        return equal_bytes(a, b);
    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return message_equal(*(ProtobufCMessage *const *)a, *(ProtobufCMessage *const *)b);
    return memcmp(a, b, scalar_size(type)) == 0;
}

static size_t value_size(ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_BYTES)
        return sizeof(ProtobufCBinaryData);
    size_t size = scalar_size(type);
    return size ? size : sizeof(void *);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    return strcmp(api_text(x->key), api_text(y->key));
}

static bool equal_maps(const struct entry *const *a, const struct entry *const *b, size_t count)
{
    cleanup_free const struct entry **x = xcalloc(count + 1, sizeof(*x));
    cleanup_free const struct entry **y = xcalloc(count + 1, sizeof(*y));
    memcpy(x, a, count * sizeof(*x));
    memcpy(y, b, count * sizeof(*y));
    qsort(x, count, sizeof(*x), compare_entries);
    qsort(y, count, sizeof(*y), compare_entries);
    for (size_t i = 0; i < count; i++)
        if (!message_equal(&x[i]->base, &y[i]->base))
            return false;
    return true;
}

static bool equal_repeated(const ProtobufCMessage *a, const ProtobufCMessage *b,
                           const ProtobufCFieldDescriptor *field)
{
    size_t count = count_of(a, field), size = value_size(field->type);
    if (count != count_of(b, field))
        return false;
    if (count == 0)
        return true;
    const char *x = *(const char *const *)at(a, field->offset),
               *y = *(const char *const *)at(b, field->offset);
    if (is_map(field))
        return equal_maps((const struct entry *const *)x, (const struct entry *const *)y, count);
    for (size_t i = 0; i < count; i++)
        if (!equal_values(x + i * size, y + i * size, field->type))
            return false;
    return true;
}

static const struct api_field *schema_of(const ProtobufCMessageDescriptor *type,
                                         const ProtobufCFieldDescriptor *field)
{
    return api_field(type, (unsigned)(field - type->fields));
}

static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)at(message, field->offset) != NULL;
    return *(const protobuf_c_boolean *)at(message, field->quantifier_offset);
}

/* One has the field and the other has not. */
static bool equals_absence(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const uint64_t zero[2];
    const struct api_field *schema = schema_of(message->descriptor, field);
    const void *value = at(message, field->offset);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (api_field_shape(field) == API_SHAPE_STRUCT && !schema->is_always)
            return false;
        return message_equal(*(ProtobufCMessage *const *)value, NULL);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return !schema->is_pointer && **(char *const *)value == '\0';
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)value)->len == 0;
    return !schema->is_pointer && memcmp(value, zero, scalar_size(field->type)) == 0;
}

bool message_equal_field(const ProtobufCMessage *a, const ProtobufCMessage *b,
                         const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return equal_repeated(a, b, field);
    bool has_a = is_present(a, field), has_b = is_present(b, field);
    if (!has_a && !has_b)
        return true;
    if (has_a != has_b)
        return equals_absence(has_a ? a : b, field);
    return equal_values(at(a, field->offset), at(b, field->offset), field->type);
}

static bool is_empty(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED
                ? count_of(message, field) > 0
                : is_present(message, field) && !equals_absence(message, field))
            return false;
    }
    return true;
}

bool message_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    if (!a || !b)
        return a == b || is_empty(a ? a : b);
    if (a->descriptor == &meta__quantity__descriptor)
        return quantity_value((const Meta__Quantity *)a) == quantity_value((const Meta__Quantity *)b);
    for (unsigned i = 0; i < a->descriptor->n_fields; i++)
        if (!message_equal_field(a, b, &a->descriptor->fields[i]))
            return false;
    return true;
}
