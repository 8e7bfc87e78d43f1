/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/fields.h"
#include "api/quantity_form.h"
#include "api/wire.h"
#include "api/wire_format.h"
#include "api/wire_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define FIELD(message, type, offset) ((type *)((char *)(message) + (offset)))
#define LIST_FIRST 4 /* room of a list at its first item; doubled when full */

struct unpacker {
    struct arena *arena;
    size_t total_max; /* of the arena */
    bool is_own, skips_managers;
    struct err *err;
};

static bool refuse(struct unpacker *unpacker, const ProtobufCMessageDescriptor *type, const char *field,
                   const char *what)
{
    err_set(unpacker->err, EINVAL, "%s%s%s: %s", type->short_name, field ? "." : "", field ? field : "",
            what);
    return false;
}

static bool refuse_size(struct unpacker *unpacker, const ProtobufCMessageDescriptor *type)
{
    return refuse(unpacker, type, NULL, "the whole takes more than 64 MiB of memory");
}

/* NULL when the message has become too large. */
static void *take_memory(struct unpacker *unpacker, size_t size)
{
    return unpacker->arena->total > unpacker->total_max ? NULL : arena_alloc(unpacker->arena, size);
}

/* Bytes from 0x80 on that follow a first byte; 0 for no UTF-8 (RFC 3629). */
static size_t tail_len(const uint8_t *at, size_t rest)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t len = at[0] >= 0xc2 && at[0] < 0xe0 ? 1 : (at[0] & 0xf0) == 0xe0 ? 2 : 3;
    if (at[0] < 0xc2 || at[0] > 0xf4 || rest <= len)
        return 0;
    low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : low;
    high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : high;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i <= len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static bool is_text(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == 0)
            return false;
        if (bytes[i] < 0x80)
            continue;
        size_t tail = tail_len(bytes + i, len - i);
        if (tail == 0)
            return false;
        i += tail;
    }
    return true;
}

static bool unpack_into(struct unpacker *unpacker, const struct api_type *type, ProtobufCMessage *message,
                        const uint8_t *bytes, size_t len, unsigned embedded);

static bool check_special(struct unpacker *unpacker, ProtobufCMessage *message)
{
    if (message->descriptor == &meta__quantity__descriptor) {
        Meta__Quantity *quantity = (Meta__Quantity *)message;
        const char *form = "0";
        if (*api_text(quantity->string) && !quantity_form(quantity->string, unpacker->arena, &form))
            return refuse(unpacker, message->descriptor, NULL, "no quantity");
        quantity->string = (char *)form;
    }
    if (message->descriptor == &meta__fields_v1__descriptor && ((Meta__FieldsV1 *)message)->raw.len > 0) {
        const ProtobufCBinaryData *raw = &((Meta__FieldsV1 *)message)->raw;
        json_t *tree = json_loadb((const char *)raw->data, raw->len, JSON_REJECT_DUPLICATES, NULL);
        bool is_object = json_is_object(tree);
        json_decref(tree);
        if (!is_object)
            return refuse(unpacker, message->descriptor, NULL, "no JSON object");
    }
    return true;
}

static bool unpack_message(struct unpacker *unpacker, const struct api_type *type,
                           const struct wire_item *item, ProtobufCMessage **ret)
{
    ProtobufCMessage *message = take_memory(unpacker, type->descriptor->sizeof_message);
    if (!message)
        return refuse_size(unpacker, type->descriptor);
    type->descriptor->message_init(message);
    if (!unpack_into(unpacker, type, message, item->bytes, item->len, 0))
        return false;
    *ret = message;
    return unpacker->is_own || check_special(unpacker, message);
}

/* With a NUL behind; NULL when there is no room. */
static void *copy_bytes(struct unpacker *unpacker, const struct wire_item *item)
{
    void *copy = take_memory(unpacker, item->len + 1);
    return copy ? memcpy(copy, item->bytes, item->len) : NULL;
}

static bool unpack_value(struct unpacker *unpacker, const ProtobufCMessageDescriptor *in,
                         const ProtobufCFieldDescriptor *field, const struct api_field *rule,
                         const struct wire_item *item, void *where)
{
    bool is_number = field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_INT64 ||
                     field->type == PROTOBUF_C_TYPE_BOOL;
    if (item->type != (is_number ? WIRE_VARINT : WIRE_LENGTH))
        return refuse(unpacker, in, field->name, "of another type");
    ProtobufCBinaryData *bytes = where;
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (unpacker->is_own ? memchr(item->bytes, '\0', item->len) != NULL
                             : !is_text(item->bytes, item->len))
            return refuse(unpacker, in, field->name, "no UTF-8, or with a NUL inside");
        *(char **)where = copy_bytes(unpacker, item);
        return *(char **)where || refuse_size(unpacker, in);
    case PROTOBUF_C_TYPE_BYTES:
        bytes->len = item->len;
        bytes->data = copy_bytes(unpacker, item);
        return bytes->data || refuse_size(unpacker, in);
    case PROTOBUF_C_TYPE_INT32:
        *(int32_t *)where = (int32_t)item->value;
        return true;
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)where = (int64_t)item->value;
        return true;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)where = item->value != 0;
        return true;
    case PROTOBUF_C_TYPE_MESSAGE:
        return unpack_message(unpacker, rule->type, item, where);
    default:
        assert(!"the schema uses no other type");
        return false;
    }
}

/* Room for one more item, doubling as it grows. NULL when there is none. */
static void *next_item(struct unpacker *unpacker, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field)
{
    size_t count = *FIELD(message, size_t, field->quantifier_offset), size = wire_item_size(field);
    char **items = FIELD(message, char *, field->offset);
    bool is_full = count >= LIST_FIRST && (count & (count - 1)) == 0;
    if (count == 0 || is_full) {
        char *larger = take_memory(unpacker, size * (count ? 2 * count : LIST_FIRST));
        if (!larger)
            return NULL;
        if (count)
            memcpy(larger, *items, size * count);
        *items = larger;
    }
    return *items + count * size;
}

static bool unpack_item(struct unpacker *unpacker, ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, const struct api_field *rule,
                        const struct wire_item *item)
{
    void *where = next_item(unpacker, message, field);
    if (!where)
        return refuse_size(unpacker, message->descriptor);
    if (!unpack_value(unpacker, message->descriptor, field, rule, item, where))
        return false;
    ++*FIELD(message, size_t, field->quantifier_offset);
    return true;
}

static bool unpack_repeated(struct unpacker *unpacker, ProtobufCMessage *message,
                            const ProtobufCFieldDescriptor *field, const struct api_field *rule,
                            const struct wire_item *item)
{
    bool is_number = field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_INT64;
    if (!is_number || item->type != WIRE_LENGTH)
        return unpack_item(unpacker, message, field, rule, item);
    /* Numbers may stand packed in one field. */
    struct wire_reader reader = {item->bytes, item->bytes + item->len};
    struct wire_item number = {.type = WIRE_VARINT};
    while (reader.at < reader.end) {
        if (!wire_read_varint(&reader, &number.value))
            return refuse(unpacker, message->descriptor, field->name, "cut off");
        if (!unpack_item(unpacker, message, field, rule, &number))
            return false;
    }
    return true;
}

static bool is_zero(const ProtobufCFieldDescriptor *field, const struct wire_item *item)
{
    return field->type == PROTOBUF_C_TYPE_INT32 ? (int32_t)item->value == 0 : item->value == 0;
}

static bool unpack_field(struct unpacker *unpacker, ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field, const struct api_field *rule,
                         const struct wire_item *item)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return unpack_repeated(unpacker, message, field, rule, item);
    void *where = FIELD(message, void, field->offset);
    if (!unpack_value(unpacker, message->descriptor, field, rule, item, where))
        return false;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (item->len == 0 && !rule->is_pointer)
            *(char **)where = NULL;
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        *FIELD(message, protobuf_c_boolean, field->quantifier_offset) = item->len > 0;
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        *FIELD(message, protobuf_c_boolean, field->quantifier_offset) =
            rule->is_pointer || !is_zero(field, item);
    }
    return true;
}

/* Fields mostly come in the order of the schema. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, unsigned number,
                                                  unsigned *hint)
{
    for (unsigned i = *hint; i < type->n_fields && i < *hint + 2; i++)
        if (type->fields[i].id == number) {
            *hint = i;
            return &type->fields[i];
        }
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, number);
    if (field)
        *hint = (unsigned)(field - type->fields);
    return field;
}

static bool is_embedded(const ProtobufCMessageDescriptor *type, unsigned number)
{
    for (unsigned i = type->n_fields; i-- > 0 && type->fields[i].id >= WIRE_EMBEDDED;)
        if (type->fields[i].id / WIRE_EMBEDDED == number)
            return true;
    return false;
}

/* An entry may lack what is empty. */
static bool complete_entry(struct unpacker *unpacker, ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *value = &entry->descriptor->fields[1];
    Meta__StringEntry *with_key = (Meta__StringEntry *)entry;
    if (!with_key->key)
        with_key->key = "";
    if (value->type == PROTOBUF_C_TYPE_BYTES)
        *FIELD(entry, protobuf_c_boolean, value->quantifier_offset) = true;
    else if (value->type == PROTOBUF_C_TYPE_STRING && !with_key->value)
        with_key->value = "";
    else if (value->type == PROTOBUF_C_TYPE_MESSAGE && !((Meta__QuantityEntry *)entry)->value) {
        Meta__Quantity *quantity = take_memory(unpacker, sizeof(*quantity));
        if (!quantity)
            return refuse_size(unpacker, entry->descriptor);
        meta__quantity__init(quantity);
        quantity->string = "0";
        ((Meta__QuantityEntry *)entry)->value = quantity;
    }
    return true;
}

/* Each key once, in order; the last of equal keys wins. */
static bool complete_map(struct unpacker *unpacker, ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field)
{
    size_t *count = FIELD(message, size_t, field->quantifier_offset), kept = 0;
    ProtobufCMessage **entries = *FIELD(message, ProtobufCMessage **, field->offset), **made = NULL;
    for (size_t i = 0; i < *count; i++)
        if (!complete_entry(unpacker, entries[i]))
            return false;
    ProtobufCMessage *const *sorted = wire_map_sorted(entries, *count, &made);
    for (size_t i = 0; i < *count; i++) {
        if (kept && strcmp(wire_map_key(entries[kept - 1]), wire_map_key(sorted[i])) == 0)
            kept--;
        entries[kept++] = sorted[i];
    }
    *count = kept;
    free(made);
    return true;
}

static bool is_skipped(const struct unpacker *unpacker, const struct api_field *rule)
{
    return unpacker->skips_managers && rule->type &&
           rule->type->descriptor == &meta__managed_fields_entry__descriptor;
}

static bool unpack_into(struct unpacker *unpacker, const struct api_type *type, ProtobufCMessage *message,
                        const uint8_t *bytes, size_t len, unsigned embedded)
{
    const ProtobufCMessageDescriptor *descriptor = type->descriptor;
    struct wire_reader reader = {bytes, bytes + len};
    struct wire_item item;
    unsigned hint = 0;
    bool is_bad, has_map = false;
    while (wire_next(&reader, &item, &is_bad)) {
        bool is_open = embedded == 0 && item.type == WIRE_LENGTH && is_embedded(descriptor, item.number);
        if (is_open && !unpack_into(unpacker, type, message, item.bytes, item.len, item.number))
            return false;
        if (is_open || item.number >= WIRE_EMBEDDED)
            continue;
        const ProtobufCFieldDescriptor *field =
            find_field(descriptor, embedded * WIRE_EMBEDDED + item.number, &hint);
        if (!field)
            continue;
        const struct api_field *rule = &type->fields[field - descriptor->fields];
        if (is_skipped(unpacker, rule))
            continue;
        has_map |= rule->shape == API_SHAPE_MAP;
        if (!unpack_field(unpacker, message, field, rule, &item))
            return false;
    }
    if (is_bad)
        return refuse(unpacker, descriptor, NULL, "no protobuf, or cut off");
    for (unsigned i = 0; has_map && i < descriptor->n_fields; i++)
        if (type->fields[i].shape == API_SHAPE_MAP &&
            !complete_map(unpacker, message, &descriptor->fields[i]))
            return false;
    return true;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                                struct unpacker how, struct arena *arena, struct err *err)
{
    struct unpacker unpacker = how;
    unpacker.arena = arena;
    unpacker.total_max = arena->total + WIRE_UNPACK_MAX;
    unpacker.err = err;
    struct wire_item whole = {.bytes = bytes, .len = len};
    ProtobufCMessage *message;
    return unpack_message(&unpacker, api_type(type), &whole, &message) ? message : NULL;
}

ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                              struct arena *arena, struct err *err)
{
    return unpack(type, bytes, len, (struct unpacker){0}, arena, err);
}

ProtobufCMessage *wire_unpack_for_reader(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                         size_t len, struct arena *arena, struct err *err)
{
    return unpack(type, bytes, len, (struct unpacker){.skips_managers = true}, arena, err);
}

ProtobufCMessage *wire_unpack_own(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                                  struct arena *arena, struct err *err)
{
    return unpack(type, bytes, len, (struct unpacker){.is_own = true}, arena, err);
}
