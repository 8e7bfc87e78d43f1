/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"

#include "api/base64.h"
#include "api/fields.h"
#include "api/scalar.h"
#include "api/wire_parts.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everywhere below, indent < 0 writes JSON; otherwise YAML at that many spaces. */
struct writer {
    struct text *out;
    struct arena arena; /* small strings made on the way */
};

#define FIELD(message, type, offset) ((const type *)((const char *)(message) + (offset)))

/* The bytes at `at` that YAML readers refuse or fold as line breaks when they stand bare: control characters
 * of Latin-1, the line and paragraph separators, the byte order mark and its mirror. Returns their number, 0
 * for none; *ret is the code point. */
static size_t unsafe_sequence(const unsigned char *at, unsigned *ret)
{
    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) {
        *ret = at[1];
        return 2;
    }
    bool is_separator = at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
    bool is_mark = at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf;
    bool is_mirror = at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe;
    if (!is_separator && !is_mark && !is_mirror)
        return 0;
    *ret = (unsigned)(at[0] & 0x0f) << 12 | (unsigned)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
    return 3;
}

static void add_escape(struct text *out, unsigned code)
{
    switch (code) {
    case '"':
    case '\\':
        text_printf(out, "\\%c", (int)code);
        break;
    case '\n':
        text_add(out, "\\n");
        break;
    case '\t':
        text_add(out, "\\t");
        break;
    case '\r':
        text_add(out, "\\r");
        break;
    default:
        text_printf(out, "\\u%04x", code);
    }
}

static void add_quoted(struct text *out, const char *value)
{
    text_add(out, "\"");
    const char *run = value, *at = value;
    while (*at) {
        unsigned char byte = (unsigned char)*at;
        unsigned code = byte;
        size_t len = 1;
        bool is_plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        if (byte >= 0x80) {
            size_t unsafe = unsafe_sequence((const unsigned char *)at, &code);
            is_plain = unsafe == 0;
            len = unsafe ? unsafe : 1;
        }
        if (!is_plain) {
            text_add_bytes(out, run, (size_t)(at - run));
            add_escape(out, code);
            run = at + len;
        }
        at += len;
    }
    text_add_bytes(out, run, (size_t)(at - run));
    text_add(out, "\"");
}

const char *encode_quoted(const char *value, struct arena *arena)
{
    struct text quoted = {0};
    add_quoted(&quoted, value);
    const char *copy = arena_strndup(arena, text_str(&quoted), quoted.len);
    text_done(&quoted);
    return copy;
}

static void add_tape_scalar(struct text *out, const struct tape_node *node)
{
    struct scalar scalar = tape_scalar(node);
    switch (scalar.type) {
    case SCALAR_NULL:
        text_add(out, "null");
        return;
    case SCALAR_BOOLEAN:
        text_add(out, scalar.boolean ? "true" : "false");
        return;
    case SCALAR_INTEGER:
        text_printf(out, "%lld", (long long)scalar.integer);
        return;
    case SCALAR_REAL:
        if (isfinite(scalar.real)) {
            text_printf(out, "%.17g", scalar.real);
            return;
        }
        break;
    case SCALAR_STRING:
    case SCALAR_MERGE:
        break;
    }
    add_quoted(out, node->text);
}

void encode_tape(const struct tape *tape, const struct tape_node *node, struct text *ret)
{
    if (node->kind == TAPE_SCALAR) {
        add_tape_scalar(ret, node);
        return;
    }
    bool is_mapping = node->kind == TAPE_MAPPING;
    text_add(ret, is_mapping ? "{" : "[");
    uint32_t at = tape_index(tape, node) + 1;
    for (uint32_t i = 0; i < node->count; i++) {
        if (i)
            text_add(ret, ",");
        if (is_mapping) {
            const struct tape_node *key = tape_resolve(tape, at);
            add_quoted(ret, key->kind == TAPE_SCALAR ? key->text : "");
            text_add(ret, ":");
            at = tape_next(tape, at);
        }
        encode_tape(tape, tape_resolve(tape, at), ret);
        at = tape_next(tape, at);
    }
    text_add(ret, is_mapping ? "}" : "]");
}

/* Whether YAML readers of 1.1 and 1.2 alike read the bare text as this very string. */
static bool is_bare_safe(const char *value)
{
    size_t len = strlen(value);
    if (len == 0 || scalar_resolve(value, len).type != SCALAR_STRING)
        return false;
    if (!isalnum((unsigned char)value[0]) && value[0] != '/')
        return false;
    bool is_numeric = true; /* as sexagesimals, dates and version numbers are */
    for (const char *at = value; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("-_./:", *at))
            return false;
        if (*at == ':' && (at[1] == '\0' || at[1] == ' '))
            return false;
        is_numeric &= !isalpha((unsigned char)*at);
    }
    return !(is_numeric && strpbrk(value, ":-_"));
}

static void add_string(struct writer *writer, const char *value, int indent)
{
    if (indent >= 0 && is_bare_safe(value))
        text_add(writer->out, value);
    else
        add_quoted(writer->out, value);
}

static bool is_empty_message(const ProtobufCMessage *message);

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *FIELD(message, size_t, field->quantifier_offset) > 0;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *value = *FIELD(message, char *, field->offset);
        return value && *value;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *value = *FIELD(message, ProtobufCMessage *, field->offset);
        return value && !is_empty_message(value);
    }
    return *FIELD(message, protobuf_c_boolean, field->quantifier_offset);
}

static bool is_empty_message(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        if (is_set(message, &message->descriptor->fields[i]))
            return false;
    return true;
}

static void add_message(struct writer *writer, const ProtobufCMessage *message, int indent, bool is_inline);

/* Messages that JSON writes as a scalar. */
static bool add_special(struct writer *writer, const ProtobufCMessage *message, int indent)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (type == &meta__time__descriptor) {
        add_quoted(writer->out, time_format(((const Meta__Time *)message)->seconds, &writer->arena));
    } else if (type == &meta__micro_time__descriptor) {
        const Meta__MicroTime *time = (const Meta__MicroTime *)message;
        char formatted[TIME_TEXT_MAX];
        add_quoted(writer->out, time_put_micros(time->seconds, time->nanos, formatted));
    } else if (type == &meta__int_or_string__descriptor) {
        const Meta__IntOrString *value = (const Meta__IntOrString *)message;
        if (value->type == 1)
            add_string(writer, api_text(value->strval), indent);
        else
            text_printf(writer->out, "%d", value->intval);
    } else if (type == &meta__quantity__descriptor) {
        add_quoted(writer->out, api_text(((const Meta__Quantity *)message)->string));
    } else if (type == &meta__fields_v1__descriptor) {
        const Meta__FieldsV1 *fields = (const Meta__FieldsV1 *)message;
        text_add_bytes(writer->out, (const char *)fields->raw.data, fields->raw.len);
    } else {
        return false;
    }
    return true;
}

static void add_bytes(struct text *out, const ProtobufCBinaryData *bytes)
{
    text_add(out, "\"");
    base64_add(out, bytes->data, bytes->len);
    text_add(out, "\"");
}

static void add_value(struct writer *writer, const ProtobufCFieldDescriptor *field, const void *where,
                      int indent)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        add_string(writer, api_text(*(char *const *)where), indent);
        break;
    case PROTOBUF_C_TYPE_INT32:
        text_printf(writer->out, "%d", *(const int32_t *)where);
        break;
    case PROTOBUF_C_TYPE_INT64:
        text_printf(writer->out, "%lld", (long long)*(const int64_t *)where);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        text_add(writer->out, *(const protobuf_c_boolean *)where ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        add_bytes(writer->out, where);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        add_message(writer, *(ProtobufCMessage *const *)where, indent, true);
        break;
    default:
        assert(!"the schema uses no other type");
    }
}

static void add_key(struct writer *writer, const char *key, bool is_first, int indent)
{
    if (indent < 0) {
        if (!is_first)
            text_add(writer->out, ",");
        add_quoted(writer->out, key);
        text_add(writer->out, ":");
        return;
    }
    if (!is_first)
        text_printf(writer->out, "%*s", indent, "");
    add_string(writer, key, indent);
    text_add(writer->out, ":");
}

/* In block style, whether the value goes on lines of its own. */
static bool is_block(const ProtobufCFieldDescriptor *field, const void *where)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessage *message = *(ProtobufCMessage *const *)where;
    return !api_is_special(message->descriptor) && !is_empty_message(message);
}

/* What follows "key:". */
static void add_field_value(struct writer *writer, const ProtobufCFieldDescriptor *field, const void *where,
                            int indent)
{
    if (indent < 0) {
        add_value(writer, field, where, indent);
        return;
    }
    if (is_block(field, where)) {
        text_printf(writer->out, "\n%*s", indent + 2, "");
        add_value(writer, field, where, indent + 2);
        return;
    }
    text_add(writer->out, " ");
    add_value(writer, field, where, indent);
    text_add(writer->out, "\n");
}

static void add_list(struct writer *writer, const ProtobufCFieldDescriptor *field, const char *items,
                     size_t count, int indent)
{
    text_add(writer->out, indent < 0 ? "[" : "\n");
    for (size_t i = 0; i < count; i++) {
        const void *item = items + i * wire_item_size(field);
        if (indent < 0) {
            if (i)
                text_add(writer->out, ",");
            add_value(writer, field, item, indent);
            continue;
        }
        text_printf(writer->out, "%*s- ", indent, "");
        add_value(writer, field, item, indent + 2);
        if (!is_block(field, item))
            text_add(writer->out, "\n");
    }
    if (indent < 0)
        text_add(writer->out, "]");
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(wire_map_key(*(const ProtobufCMessage *const *)a),
                  wire_map_key(*(const ProtobufCMessage *const *)b));
}

static void add_map(struct writer *writer, const ProtobufCFieldDescriptor *field, const void *items,
                    size_t count, int indent)
{
    const ProtobufCMessage **sorted = arena_array(&writer->arena, const ProtobufCMessage *, count);
    memcpy(sorted, items, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_entries);
    const ProtobufCMessageDescriptor *type = field->descriptor;
    const ProtobufCFieldDescriptor *value = &type->fields[1];
    if (indent < 0)
        text_add(writer->out, "{");
    else
        text_printf(writer->out, "\n%*s", indent + 2, "");
    for (size_t i = 0; i < count; i++) {
        add_key(writer, wire_map_key(sorted[i]), i == 0, indent < 0 ? indent : indent + 2);
        add_field_value(writer, value, FIELD(sorted[i], void, value->offset),
                        indent < 0 ? indent : indent + 2);
    }
    if (indent < 0)
        text_add(writer->out, "}");
}

static void add_fields(struct writer *writer, const ProtobufCMessage *message, bool is_first, int indent)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_set(message, field))
            continue;
        add_key(writer, field->name, is_first, indent);
        is_first = false;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            add_field_value(writer, field, FIELD(message, void, field->offset), indent);
            continue;
        }
        size_t count = *FIELD(message, size_t, field->quantifier_offset);
        const char *items = *FIELD(message, char *, field->offset);
        if (api_field_shape(field) == API_SHAPE_MAP)
            add_map(writer, field, items, count, indent);
        else
            add_list(writer, field, items, count, indent);
    }
}

static void add_message(struct writer *writer, const ProtobufCMessage *message, int indent, bool is_first)
{
    if (add_special(writer, message, indent))
        return;
    bool is_flow = indent < 0 || is_empty_message(message);
    if (is_flow)
        text_add(writer->out, "{");
    add_fields(writer, message, is_first, indent);
    if (is_flow)
        text_add(writer->out, "}");
}

static void encode(const struct api_object *object, int indent, struct text *ret)
{
    struct writer writer = {.out = ret};
    arena_init(&writer.arena);
    if (indent < 0)
        text_add(ret, "{");
    add_key(&writer, "apiVersion", true, indent);
    if (indent >= 0)
        text_add(ret, " ");
    add_string(&writer, api_kind_version(object->kind), indent);
    if (indent >= 0)
        text_add(ret, "\n");
    add_key(&writer, "kind", false, indent);
    if (indent >= 0)
        text_add(ret, " ");
    add_string(&writer, api_kind_name(object->kind), indent);
    if (indent >= 0)
        text_add(ret, "\n");
    add_fields(&writer, object->message, false, indent);
    if (indent < 0)
        text_add(ret, "}");
    arena_done(&writer.arena);
}

void encode_json(const struct api_object *object, struct text *ret)
{
    encode(object, -1, ret);
}

void encode_yaml(const struct api_object *object, struct text *ret)
{
    encode(object, 0, ret);
}
