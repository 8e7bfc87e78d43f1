/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/fields.h"
#include "api/wire.h"
#include "api/wire_format.h"
#include "api/wire_parts.h"

#include <assert.h>
#include <string.h>

#define FIELD(message, type, offset) ((const __typeof__(type) *)((const char *)(message) + (offset)))

/* Filled from its end to its beginning: what a length counts is there before the length. */
struct packer {
    uint8_t *bytes;
    size_t capacity, start;
};

static size_t packed(const struct packer *packer)
{
    return packer->capacity - packer->start;
}

static void put(struct packer *packer, const void *bytes, size_t len)
{
    if (packer->start < len) {
        size_t used = packed(packer), capacity = packer->capacity ? packer->capacity : 1024;
        while (capacity - used < len)
            capacity *= 2;
        uint8_t *larger = xmalloc(capacity);
        if (used)
            memcpy(larger + capacity - used, packer->bytes + packer->start, used);
        free(packer->bytes);
        *packer = (struct packer){larger, capacity, capacity - used};
    }
    packer->start -= len;
    if (len)
        memcpy(packer->bytes + packer->start, bytes, len);
}

static void put_varint(struct packer *packer, uint64_t value)
{
    uint8_t bytes[WIRE_VARINT_MAX];
    put(packer, bytes, wire_varint(value, bytes));
}

/* After a field's content, which began at the size that was before. */
static void put_length(struct packer *packer, size_t before, unsigned number)
{
    put_varint(packer, packed(packer) - before);
    put_varint(packer, wire_tag(number, WIRE_LENGTH));
}

static void put_bytes(struct packer *packer, const void *bytes, size_t len, unsigned number)
{
    size_t before = packed(packer);
    put(packer, bytes, len);
    put_length(packer, before, number);
}

static void put_message(struct packer *packer, const struct api_type *type, const ProtobufCMessage *message);

static void put_number(struct packer *packer, uint64_t value, unsigned number)
{
    put_varint(packer, value);
    put_varint(packer, wire_tag(number, WIRE_VARINT));
}

static void put_value(struct packer *packer, const ProtobufCFieldDescriptor *field,
                      const struct api_type *type, const void *where)
{
    unsigned number = field->id % WIRE_EMBEDDED;
    size_t before = packed(packer);
    const ProtobufCBinaryData *bytes = where;
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_bytes(packer, *(char *const *)where, strlen(*(char *const *)where), number);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(packer, bytes->data, bytes->len, number);
        break;
    case PROTOBUF_C_TYPE_INT32:
        put_number(packer, (uint64_t)(int64_t) * (const int32_t *)where, number);
        break;
    case PROTOBUF_C_TYPE_INT64:
        put_number(packer, (uint64_t) * (const int64_t *)where, number);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put_number(packer, *(const protobuf_c_boolean *)where ? 1 : 0, number);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(packer, type, *(ProtobufCMessage *const *)where);
        put_length(packer, before, number);
        break;
    default:
        assert(!"the schema uses no other type");
    }
}

static void put_repeated(struct packer *packer, const ProtobufCFieldDescriptor *field,
                         const struct api_field *rule, const ProtobufCMessage *message)
{
    size_t count = *FIELD(message, size_t, field->quantifier_offset), size = wire_item_size(field);
    const char *items = *FIELD(message, char *, field->offset);
    ProtobufCMessage **made = NULL;
    if (rule->shape == API_SHAPE_MAP)
        items = (const char *)wire_map_sorted((ProtobufCMessage *const *)items, count, &made);
    for (size_t i = count; i-- > 0;)
        put_value(packer, field, rule->type, items + i * size);
    free(made);
}

/* A struct that is always there is written like Go's, present or not: so both mean the same. */
static void put_struct(struct packer *packer, const ProtobufCFieldDescriptor *field,
                       const struct api_type *type, const ProtobufCMessage *message)
{
    size_t before = packed(packer);
    put_message(packer, type, message ? *FIELD(message, ProtobufCMessage *, field->offset) : NULL);
    put_length(packer, before, field->id % WIRE_EMBEDDED);
}

static void put_field(struct packer *packer, const ProtobufCFieldDescriptor *field,
                      const struct api_field *rule, const ProtobufCMessage *message)
{
    if (rule->is_always && rule->shape == API_SHAPE_STRUCT)
        put_struct(packer, field, rule->type, message);
    else if (!message || !wire_is_given(message, field, rule))
        return;
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        put_repeated(packer, field, rule, message);
    else
        put_value(packer, field, rule->type, FIELD(message, void, field->offset));
}

/* message may be NULL. */
static void put_message(struct packer *packer, const struct api_type *type, const ProtobufCMessage *message)
{
    unsigned embedded = 0;
    size_t before = 0;
    for (unsigned i = type->descriptor->n_fields; i-- > 0;) {
        const ProtobufCFieldDescriptor *field = &type->descriptor->fields[i];
        if (field->id / WIRE_EMBEDDED != embedded) {
            if (embedded)
                put_length(packer, before, embedded);
            embedded = field->id / WIRE_EMBEDDED;
            before = packed(packer);
        }
        put_field(packer, field, &type->fields[i], message);
    }
    if (embedded)
        put_length(packer, before, embedded);
}

void wire_pack(const ProtobufCMessage *message, struct text *ret)
{
    struct packer packer = {0};
    put_message(&packer, api_type(message->descriptor), message);
    text_add_bytes(ret, packer.bytes ? (const char *)packer.bytes + packer.start : "", packed(&packer));
    free(packer.bytes);
}

void wire_add_field(struct text *text, unsigned number, const void *bytes, size_t len)
{
    uint8_t head[2 * WIRE_VARINT_MAX];
    size_t used = wire_varint(wire_tag(number, WIRE_LENGTH), head);
    used += wire_varint(len, head + used);
    text_add_bytes(text, (const char *)head, used);
    text_add_bytes(text, len ? bytes : "", len);
}
