/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/decode.h"

#include "api/base64.h"
#include "api/encode.h"
#include "api/fields.h"
#include "api/meta.pb-c.h"
#include "api/mismatch.h"
#include "api/quantity_form.h"
#include "api/wire_parts.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct decoder {
    const struct tape *tape;
    struct arena *arena;
    const ProtobufCMessageDescriptor *type;
    size_t total_max; /* of the arena */
    bool warn_unknown;
    struct decode_result *result;
    const char **warnings;
};

#define FIELD(message, type, offset) ((type *)((char *)(message) + (offset)))

static bool refuse(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                   const char *sentence)
{
    const char *where = path_format(path, decoder->arena);
    decoder->result->refusal = arena_printf(decoder->arena, "%s%s%s", where, *where ? ": " : "", sentence);
    decoder->result->line = node->line;
    decoder->result->column = node->column;
    return false;
}

/* `found "http"`: the value as a person would recognise it, cut when long. */
static const char *describe(struct decoder *decoder, const struct tape_node *node)
{
    if (node->kind == TAPE_MAPPING)
        return "an object";
    if (node->kind == TAPE_SEQUENCE)
        return "a list";
    struct scalar scalar = tape_scalar(node);
    if (scalar.type == SCALAR_NULL)
        return "null";
    bool is_long = node->len > 64;
    const char *shown = is_long ? arena_printf(decoder->arena, "%.60s...", node->text) : node->text;
    return scalar.type == SCALAR_STRING ? encode_quoted(shown, decoder->arena) : shown;
}

static bool refuse_type(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                        const char *expected)
{
    decoder->result->upstream = mismatch_sentence(decoder->type, path, node, decoder->arena);
    return refuse(decoder, node, path,
                  arena_printf(decoder->arena, "expected %s, found %s", expected, describe(decoder, node)));
}

/* A tree of JSON has no lines. */
static const char *unknown_field(struct decoder *decoder, const struct tape_node *key,
                                 const struct path *path)
{
    const char *where = path_format(path, decoder->arena);
    if (key->line == 0)
        return arena_printf(decoder->arena, "unknown field \"%s\"", where);
    return arena_printf(decoder->arena, "unknown field \"%s\" (line %u)", where, key->line);
}

static void warn_unknown_field(struct decoder *decoder, const struct tape_node *key, const struct path *path)
{
    struct decode_result *result = decoder->result;
    if (!decoder->warn_unknown || result->warning_count > DECODE_WARNINGS_MAX)
        return;
    if (!decoder->warnings)
        decoder->warnings = arena_array(decoder->arena, const char *, DECODE_WARNINGS_MAX + 1);
    result->warnings = decoder->warnings;
    const char *warning = "more unknown fields follow";
    if (result->warning_count < DECODE_WARNINGS_MAX)
        warning = unknown_field(decoder, key, path);
    decoder->warnings[result->warning_count++] = warning;
}

static bool is_null(const struct tape_node *node)
{
    return node->kind == TAPE_SCALAR && node->is_plain && tape_scalar(node).type == SCALAR_NULL;
}

static bool decode_string(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                          const char **ret)
{
    enum scalar_type type = node->kind == TAPE_SCALAR ? tape_scalar(node).type : SCALAR_NULL;
    if (type == SCALAR_STRING) {
        *ret = node->text;
        return true;
    }
    bool is_disguised =
        type == SCALAR_BOOLEAN && strcasecmp(node->text, "true") != 0 && strcasecmp(node->text, "false") != 0;
    if (!is_disguised)
        return refuse_type(decoder, node, path, "a string");
    return refuse(
        decoder, node, path,
        arena_printf(decoder->arena,
                     "expected a string, found %s, which YAML takes for a boolean: put it in quotes",
                     node->text));
}

static bool decode_integer(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                           int64_t *ret)
{
    struct scalar scalar = {0};
    if (node->kind == TAPE_SCALAR)
        scalar = tape_scalar(node);
    if (!scalar.is_whole)
        return refuse_type(decoder, node, path, "an integer");
    *ret = scalar.integer;
    return true;
}

static bool decode_int32(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                         int32_t *ret)
{
    int64_t wide = 0;
    if (!decode_integer(decoder, node, path, &wide))
        return false;
    if (wide < INT32_MIN || wide > INT32_MAX)
        return refuse_type(decoder, node, path, "a 32-bit integer");
    *ret = (int32_t)wide;
    return true;
}

static bool decode_boolean(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                           protobuf_c_boolean *ret)
{
    struct scalar scalar = {0};
    if (node->kind == TAPE_SCALAR)
        scalar = tape_scalar(node);
    if (scalar.type != SCALAR_BOOLEAN)
        return refuse_type(decoder, node, path, "a boolean");
    *ret = scalar.boolean;
    return true;
}

static ProtobufCMessage *new_message(struct decoder *decoder, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(decoder->arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static bool decode_time(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                        Meta__Time *time)
{
    const char *text = "";
    if (!decode_string(decoder, node, path, &text))
        return false;
    if (!time_parse(text, &time->seconds, &time->nanos))
        return refuse_type(decoder, node, path, "an RFC 3339 time");
    time->has_seconds = true;
    time->has_nanos = time->nanos != 0; /* as it is on the wire */
    return true;
}

static bool decode_int_or_string(struct decoder *decoder, const struct tape_node *node,
                                 const struct path *path, Meta__IntOrString *value)
{
    struct scalar scalar = {0};
    if (node->kind == TAPE_SCALAR)
        scalar = tape_scalar(node);
    value->has_type = true;
    if (node->kind == TAPE_SCALAR && scalar.type == SCALAR_STRING) {
        value->type = 1;
        value->strval = (char *)node->text;
        return true;
    }
    if (!scalar.is_whole)
        return refuse_type(decoder, node, path, "an integer or a string");
    value->has_intval = true;
    return decode_int32(decoder, node, path, &value->intval);
}

static bool decode_quantity(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                            Meta__Quantity *quantity)
{
    enum scalar_type type = node->kind == TAPE_SCALAR ? tape_scalar(node).type : SCALAR_NULL;
    if (type != SCALAR_STRING && type != SCALAR_INTEGER && type != SCALAR_REAL)
        return refuse_type(decoder, node, path, "a quantity");
    const char *form;
    if (!quantity_form(node->text, decoder->arena, &form))
        return refuse_type(decoder, node, path, "a quantity");
    quantity->string = (char *)form;
    return true;
}

static bool decode_raw(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                       Meta__FieldsV1 *fields)
{
    if (node->kind != TAPE_MAPPING)
        return refuse_type(decoder, node, path, "an object");
    struct text json = {0};
    encode_tape(decoder->tape, node, &json);
    fields->has_raw = true;
    fields->raw.len = json.len;
    fields->raw.data = (uint8_t *)arena_strndup(decoder->arena, text_str(&json), json.len);
    text_done(&json);
    return true;
}

static bool decode_bytes(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                         ProtobufCBinaryData *ret)
{
    const char *text = "";
    if (!decode_string(decoder, node, path, &text))
        return false;
    if (!base64_parse(text, decoder->arena, &ret->data, &ret->len))
        return refuse_type(decoder, node, path, "base64");
    return true;
}

static bool decode_into(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                        ProtobufCMessage *message);

/* The message types that JSON writes as something other than an object come first. */
static bool decode_submessage(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                              const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret)
{
    ProtobufCMessage *message = new_message(decoder, type);
    *ret = message;
    if (type == &meta__int_or_string__descriptor)
        return decode_int_or_string(decoder, node, path, (Meta__IntOrString *)message);
    static_assert(sizeof(Meta__Time) == sizeof(Meta__MicroTime), "they differ in JSON alone");
    if (type == &meta__time__descriptor || type == &meta__micro_time__descriptor)
        return decode_time(decoder, node, path, (Meta__Time *)message);
    if (type == &meta__quantity__descriptor)
        return decode_quantity(decoder, node, path, (Meta__Quantity *)message);
    if (type == &meta__fields_v1__descriptor)
        return decode_raw(decoder, node, path, (Meta__FieldsV1 *)message);
    return decode_into(decoder, node, path, message);
}

/* One value of a field's type into where the field (or its array's element) lies. */
static bool decode_value(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                         const ProtobufCFieldDescriptor *field, void *where)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return decode_string(decoder, node, path, where);
    case PROTOBUF_C_TYPE_INT32:
        return decode_int32(decoder, node, path, where);
    case PROTOBUF_C_TYPE_INT64:
        return decode_integer(decoder, node, path, where);
    case PROTOBUF_C_TYPE_BOOL:
        return decode_boolean(decoder, node, path, where);
    case PROTOBUF_C_TYPE_BYTES:
        return decode_bytes(decoder, node, path, where);
    case PROTOBUF_C_TYPE_MESSAGE:
        return decode_submessage(decoder, node, path, field->descriptor, where);
    default:
        assert(!"the schema uses no other type outside the special messages");
        return false;
    }
}

static bool decode_list(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                        const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    if (node->kind != TAPE_SEQUENCE)
        return refuse_type(decoder, node, path, "a list");
    size_t size = wire_item_size(field);
    char *items = arena_alloc(decoder->arena, size * node->count);
    uint32_t at = tape_index(decoder->tape, node) + 1;
    for (size_t i = 0; i < node->count; i++) {
        const struct tape_node *item = tape_resolve(decoder->tape, at);
        if (!decode_value(decoder, item, path_index(path, i), field, items + i * size))
            return false;
        at = tape_next(decoder->tape, at);
    }
    *FIELD(message, void *, field->offset) = items;
    *FIELD(message, size_t, field->quantifier_offset) = node->count;
    return true;
}

static bool key_text(struct decoder *decoder, const struct tape_node *key, const struct path *path,
                     const char **ret)
{
    const char *text = tape_key(key, decoder->arena);
    if (!text)
        return refuse_type(decoder, key, path, "a string as key");
    *ret = text;
    return true;
}

struct entry_key {
    const char *text;
    const struct tape_node *node;
};

static int compare_keys(const void *a, const void *b)
{
    const struct entry_key *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->node > y->node) - (x->node < y->node);
}

static bool refuse_duplicate(struct decoder *decoder, const struct tape_node *first,
                             const struct tape_node *second, const struct path *path)
{
    return refuse(decoder, second, path,
                  arena_printf(decoder->arena, "the key is given twice, first on line %u", first->line));
}

static bool check_entry_keys(struct decoder *decoder, struct entry_key *keys, size_t count,
                             const struct path *path)
{
    if (count > 1)
        qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1].text, keys[i].text) == 0)
            return refuse_duplicate(decoder, keys[i - 1].node, keys[i].node, path_key(path, keys[i].text));
    return true;
}

/* A JSON object of any keys: repeated entries of (key = 1, value = 2) on the wire. A null value is as absent.
 */
static bool decode_map(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                       const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    if (node->kind != TAPE_MAPPING)
        return refuse_type(decoder, node, path, "an object");
    const ProtobufCMessageDescriptor *type = field->descriptor;
    const ProtobufCFieldDescriptor *key_field = &type->fields[0], *value_field = &type->fields[1];
    ProtobufCMessage **entries = arena_array(decoder->arena, ProtobufCMessage *, node->count);
    struct entry_key *keys = arena_array(decoder->arena, struct entry_key, node->count);
    size_t count = 0;
    uint32_t at = tape_index(decoder->tape, node) + 1;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct tape_node *key = tape_resolve(decoder->tape, at);
        const struct tape_node *value = tape_resolve(decoder->tape, tape_next(decoder->tape, at));
        at = tape_next(decoder->tape, tape_next(decoder->tape, at));
        if (!key_text(decoder, key, path, &keys[i].text))
            return false;
        keys[i].node = key;
        if (is_null(value))
            continue;
        ProtobufCMessage *entry = new_message(decoder, type);
        *FIELD(entry, const char *, key_field->offset) = keys[i].text;
        if (!decode_value(decoder, value, path_key(path, keys[i].text), value_field,
                          FIELD(entry, void *, value_field->offset)))
            return false;
        if (value_field->type == PROTOBUF_C_TYPE_BYTES)
            *FIELD(entry, protobuf_c_boolean, value_field->quantifier_offset) = true;
        entries[count++] = entry;
    }
    *FIELD(message, void *, field->offset) = entries;
    *FIELD(message, size_t, field->quantifier_offset) = count;
    return check_entry_keys(decoder, keys, node->count, path);
}

static bool decode_field(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                         const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    if (is_null(node))
        return true;
    if (api_field_shape(field) == API_SHAPE_MAP)
        return decode_map(decoder, node, path, field, message);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return decode_list(decoder, node, path, field, message);
    if (!decode_value(decoder, node, path, field, FIELD(message, void, field->offset)))
        return false;
    bool has_flag = field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE;
    if (has_flag)
        *FIELD(message, protobuf_c_boolean, field->quantifier_offset) = true;
    return true;
}

static const struct tape_node *find_key(struct decoder *decoder, const struct tape_node *mapping,
                                        const char *text)
{
    uint32_t at = tape_index(decoder->tape, mapping) + 1;
    for (;;) {
        const struct tape_node *key = tape_resolve(decoder->tape, at);
        if (key->kind == TAPE_SCALAR && strcmp(key->text, text) == 0)
            return key;
        at = tape_next(decoder->tape, tape_next(decoder->tape, at));
    }
}

/* apiVersion and kind stand beside the fields of the root; their bits lie above those of the fields. */
static uint64_t type_meta_bit(const struct path *path, const char *name)
{
    if (path)
        return 0;
    return strcmp(name, "kind") == 0 ? 1ull << 63 : strcmp(name, "apiVersion") == 0 ? 1ull << 62 : 0;
}

static bool decode_into(struct decoder *decoder, const struct tape_node *node, const struct path *path,
                        ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const struct tape *tape = decoder->tape;
    uint64_t seen = 0;
    assert(type->n_fields <= 62);
    if (node->kind != TAPE_MAPPING)
        return refuse_type(decoder, node, path, "an object");
    if (decoder->arena->total > decoder->total_max)
        return refuse(decoder, node, path, "the object takes more than 256 MiB of memory");
    uint32_t at = tape_index(tape, node) + 1;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct tape_node *key = tape_resolve(tape, at);
        uint32_t value = tape_next(tape, at);
        const char *name = key->kind == TAPE_SCALAR ? key->text : "";
        at = tape_next(tape, value);
        /* No field's name reads as a boolean or a number, so only the others need a closer look. */
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, name);
        if (!field && !key_text(decoder, key, path, &name))
            return false;
        uint64_t bit = field ? 1ull << (field - type->fields) : type_meta_bit(path, name);
        if (!bit)
            warn_unknown_field(decoder, key, path_field(path, name));
        if (seen & bit)
            return refuse_duplicate(decoder, find_key(decoder, node, name), key, path_field(path, name));
        seen |= bit;
        if (field &&
            !decode_field(decoder, tape_resolve(tape, value), path_field(path, field->name), field, message))
            return false;
    }
    return true;
}

void decode_message(const struct tape *tape, const ProtobufCMessageDescriptor *type, bool warn_unknown,
                    struct arena *arena, struct decode_result *ret)
{
    struct decoder decoder = {.tape = tape,
                              .arena = arena,
                              .type = type,
                              .total_max = arena->total + DECODE_MEMORY_MAX,
                              .warn_unknown = warn_unknown,
                              .result = ret};
    *ret = (struct decode_result){0};
    ProtobufCMessage *message = new_message(&decoder, type);
    if (decode_into(&decoder, tape_resolve(tape, 0), NULL, message))
        ret->message = message;
}
