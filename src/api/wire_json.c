/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/base64.h"
#include "api/fields.h"
#include "api/scalar.h"
#include "api/wire.h"
#include "api/wire_parts.h"

#include <assert.h>
#include <string.h>

#define FIELD(message, type, offset) ((const __typeof__(type) *)((const char *)(message) + (offset)))
#define NUMBER_TEXT_MAX 24

static void add_number(struct text *out, int64_t value)
{
    char digits[NUMBER_TEXT_MAX], *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    text_add_bytes(out, at, (size_t)(digits + sizeof(digits) - at));
}

static void add_escape(struct text *out, char byte)
{
    static const char shorts[][3] = {['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
                                     ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (shorts[(unsigned char)byte][0])
        text_add_bytes(out, shorts[(unsigned char)byte], 2);
    else
        text_printf(out, "\\u%04X", (unsigned)byte);
}

void wire_json_string(struct text *ret, const char *value)
{
    text_add_bytes(ret, "\"", 1);
    const char *run = value, *at = value;
    for (; *at; at++) {
        if ((unsigned char)*at >= 0x20 && *at != '"' && *at != '\\')
            continue;
        text_add_bytes(ret, run, (size_t)(at - run));
        add_escape(ret, *at);
        run = at + 1;
    }
    text_add_bytes(ret, run, (size_t)(at - run));
    text_add_bytes(ret, "\"", 1);
}

static void add_time(struct text *out, const ProtobufCMessage *message, bool has_micros)
{
    char formatted[TIME_TEXT_MAX];
    if (wire_is_no_time(message)) {
        text_add(out, "null");
        return;
    }
    const Meta__Time *time = (const Meta__Time *)message;
    text_add_bytes(out, "\"", 1);
    text_add(out, has_micros ? time_put_micros(time->seconds, time->nanos, formatted)
                             : time_put(time->seconds, formatted));
    text_add_bytes(out, "\"", 1);
}

/* Messages that JSON writes as something else; message may be NULL. */
static void add_special(struct text *out, const ProtobufCMessageDescriptor *type,
                        const ProtobufCMessage *message)
{
    if (type == &meta__time__descriptor || type == &meta__micro_time__descriptor) {
        add_time(out, message, type == &meta__micro_time__descriptor);
    } else if (type == &meta__int_or_string__descriptor) {
        const Meta__IntOrString *value = (const Meta__IntOrString *)message;
        if (value && value->type == 1)
            wire_json_string(out, api_text(value->strval));
        else
            add_number(out, value ? value->intval : 0);
    } else if (type == &meta__quantity__descriptor) {
        const Meta__Quantity *quantity = (const Meta__Quantity *)message;
        const char *amount = api_text(quantity ? quantity->string : NULL);
        wire_json_string(out, *amount ? amount : "0");
    } else {
        assert(type == &meta__fields_v1__descriptor);
        const Meta__FieldsV1 *fields = (const Meta__FieldsV1 *)message;
        if (fields && fields->raw.len > 0)
            text_add_bytes(out, (const char *)fields->raw.data, fields->raw.len);
        else
            text_add(out, "null");
    }
}

static void add_struct(struct text *out, const struct api_type *type, const ProtobufCMessage *message,
                       bool is_first);

static void add_message(struct text *out, const struct api_type *type, const ProtobufCMessage *message)
{
    if (api_is_special(type->descriptor)) {
        add_special(out, type->descriptor, message);
        return;
    }
    text_add_bytes(out, "{", 1);
    add_struct(out, type, message, true);
    text_add_bytes(out, "}", 1);
}

static void add_value(struct text *out, const ProtobufCFieldDescriptor *field, const struct api_type *type,
                      const void *where)
{
    const ProtobufCBinaryData *bytes = where;
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        wire_json_string(out, api_text(*(char *const *)where));
        break;
    case PROTOBUF_C_TYPE_INT32:
        add_number(out, *(const int32_t *)where);
        break;
    case PROTOBUF_C_TYPE_INT64:
        add_number(out, *(const int64_t *)where);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        text_add(out, *(const protobuf_c_boolean *)where ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        text_add_bytes(out, "\"", 1);
        base64_add(out, bytes->data, bytes->len);
        text_add_bytes(out, "\"", 1);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        add_message(out, type, *(ProtobufCMessage *const *)where);
        break;
    default:
        assert(!"the schema uses no other type");
    }
}

static void add_list(struct text *out, const ProtobufCFieldDescriptor *field, const struct api_type *type,
                     const char *items, size_t count)
{
    size_t size = wire_item_size(field);
    text_add_bytes(out, "[", 1);
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_add_bytes(out, ",", 1);
        add_value(out, field, type, items + i * size);
    }
    text_add_bytes(out, "]", 1);
}

static void add_map(struct text *out, const struct api_type *type, ProtobufCMessage *const *entries,
                    size_t count)
{
    ProtobufCMessage **made = NULL, *const *sorted = wire_map_sorted(entries, count, &made);
    const ProtobufCFieldDescriptor *value = &type->descriptor->fields[1];
    text_add_bytes(out, "{", 1);
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_add_bytes(out, ",", 1);
        wire_json_string(out, wire_map_key(sorted[i]));
        text_add_bytes(out, ":", 1);
        add_value(out, value, type->fields[1].type, FIELD(sorted[i], void, value->offset));
    }
    text_add_bytes(out, "}", 1);
    free(made);
}

static void add_repeated(struct text *out, const ProtobufCFieldDescriptor *field,
                         const struct api_field *rule, const ProtobufCMessage *message)
{
    size_t count = message ? *FIELD(message, size_t, field->quantifier_offset) : 0;
    if (count == 0)
        text_add(out, "null");
    else if (rule->shape == API_SHAPE_MAP)
        add_map(out, rule->type, *FIELD(message, ProtobufCMessage **, field->offset), count);
    else
        add_list(out, field, rule->type, *FIELD(message, char *, field->offset), count);
}

/* Of a message that is not there, what is always written. */
static const void *value_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const union {
        void *pointer;
        int64_t number;
        ProtobufCBinaryData bytes;
    } nothing;
    return message ? FIELD(message, void, field->offset) : &nothing;
}

static void add_struct(struct text *out, const struct api_type *type, const ProtobufCMessage *message,
                       bool is_first)
{
    for (unsigned i = 0; i < type->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->descriptor->fields[i];
        const struct api_field *rule = &type->fields[i];
        bool is_empty = !message || !wire_is_given(message, field, rule);
        if (is_empty && !rule->is_always && !rule->is_null)
            continue;
        if (!is_first)
            text_add_bytes(out, ",", 1);
        is_first = false;
        text_add(out, rule->quoted);
        if (is_empty && rule->is_null)
            text_add(out, "null");
        else if (field->label == PROTOBUF_C_LABEL_REPEATED)
            add_repeated(out, field, rule, message);
        else
            add_value(out, field, rule->type, value_of(message, field));
    }
}

void wire_json_of(const ProtobufCMessage *message, struct text *ret)
{
    add_message(ret, api_type(message->descriptor), message);
}

void wire_json_as(const char *api_version, const char *kind, const ProtobufCMessage *message,
                  struct text *ret)
{
    text_add(ret, "{\"apiVersion\":");
    wire_json_string(ret, api_version);
    text_add(ret, ",\"kind\":");
    wire_json_string(ret, kind);
    add_struct(ret, api_type(message->descriptor), message, false);
    text_add(ret, "}");
}

void wire_json(enum api_kind kind, const ProtobufCMessage *message, struct text *ret)
{
    wire_json_as(api_kind_version(kind), api_kind_name(kind), message, ret);
}
