/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/wire_parts.h"

#include "base/arena.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define FIELD(message, type, offset) ((const __typeof__(type) *)((const char *)(message) + (offset)))

struct ordered {
    ProtobufCMessage *entry;
    size_t place;
};

static int compare(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    int order = strcmp(wire_map_key(x->entry), wire_map_key(y->entry));
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

ProtobufCMessage *const *wire_map_sorted(ProtobufCMessage *const *entries, size_t count,
                                         ProtobufCMessage ***ret_made)
{
    size_t run = 1;
    while (run < count && strcmp(wire_map_key(entries[run - 1]), wire_map_key(entries[run])) <= 0)
        run++;
    *ret_made = NULL;
    if (run >= count)
        return entries;
    struct ordered *ordered = xcalloc(count, sizeof(*ordered));
    for (size_t i = 0; i < count; i++)
        ordered[i] = (struct ordered){entries[i], i};
    qsort(ordered, count, sizeof(*ordered), compare);
    ProtobufCMessage **made = xcalloc(count, sizeof(*made));
    for (size_t i = 0; i < count; i++)
        made[i] = ordered[i].entry;
    free(ordered);
    *ret_made = made;
    return made;
}

size_t wire_item_size(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_INT64:
        return sizeof(int64_t);
    default:
        assert(field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE);
        return sizeof(void *);
    }
}

bool wire_is_no_time(const ProtobufCMessage *message)
{
    static_assert(offsetof(Meta__Time, has_seconds) == offsetof(Meta__MicroTime, has_seconds), "one layout");
    const Meta__Time *time = (const Meta__Time *)message;
    return !time || (!time->has_seconds && !time->has_nanos);
}

static bool is_zero(const ProtobufCFieldDescriptor *field, const void *where)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return *(const int32_t *)where == 0;
    case PROTOBUF_C_TYPE_INT64:
        return *(const int64_t *)where == 0;
    case PROTOBUF_C_TYPE_BOOL:
        return !*(const protobuf_c_boolean *)where;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)where)->len == 0;
    default:
        assert(!"the schema uses no other type");
        return true;
    }
}

/* Of what is always written, a zero is as absent. */
static bool is_zero_message(const ProtobufCMessage *message)
{
    if (message->descriptor == &meta__int_or_string__descriptor) {
        const Meta__IntOrString *value = (const Meta__IntOrString *)message;
        return value->type == 0 && value->intval == 0;
    }
    if (message->descriptor == &meta__quantity__descriptor) {
        const char *amount = ((const Meta__Quantity *)message)->string;
        return !amount || !*amount || strcmp(amount, "0") == 0;
    }
    return false;
}

static bool is_message_given(const ProtobufCMessage *message, const struct api_field *rule)
{
    if (message->descriptor == &meta__time__descriptor ||
        message->descriptor == &meta__micro_time__descriptor)
        return !wire_is_no_time(message);
    return !rule->is_always || !is_zero_message(message);
}

bool wire_is_given(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                   const struct api_field *rule)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *FIELD(message, size_t, field->quantifier_offset) > 0;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *value = *FIELD(message, char *, field->offset);
        return value && (*value || rule->is_pointer);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *value = *FIELD(message, ProtobufCMessage *, field->offset);
        return value && is_message_given(value, rule);
    }
    return *FIELD(message, protobuf_c_boolean, field->quantifier_offset) &&
           (rule->is_pointer || !is_zero(field, FIELD(message, void, field->offset)));
}
