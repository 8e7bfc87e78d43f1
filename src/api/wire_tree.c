/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"
#include "api/surrogates.h"
#include "api/wire.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define DEPTH_FAULT "nested deeper than 64 levels"

static json_t *load(struct text *text)
{
    json_t *tree = json_loadb(text_str(text), text->len, JSON_DECODE_ANY, NULL);
    text_done(text);
    return tree;
}

json_t *wire_tree_as(const char *api_version, const char *kind, const ProtobufCMessage *message)
{
    struct text text = {0};
    wire_json_as(api_version, kind, message, &text);
    return load(&text);
}

json_t *wire_tree(enum api_kind kind, const ProtobufCMessage *message)
{
    return wire_tree_as(api_kind_version(kind), api_kind_name(kind), message);
}

json_t *wire_tree_of(const ProtobufCMessage *message)
{
    struct text text = {0};
    wire_json_of(message, &text);
    return load(&text);
}

/* --- from a tree to the tape that the decoder reads --- */

/* Lines and columns count from 1: this one becomes 0. */
static const yaml_mark_t nowhere = {.line = SIZE_MAX, .column = SIZE_MAX};

static struct tape_node *add_scalar(struct tape *tape, const char *text, size_t len, bool is_plain)
{
    struct tape_node *node = tape_push(tape, TAPE_SCALAR, nowhere);
    node->text = arena_strndup(tape->arena, text, len);
    node->len = (uint32_t)len;
    node->is_plain = is_plain;
    tape->bytes += len;
    return node;
}

static void add_string(struct tape *tape, const char *text, size_t len)
{
    if (len > TAPE_BYTES_MAX - tape->bytes)
        tape_fail(tape, nowhere, "the document is larger than 16 MiB");
    else if (memchr(text, '\0', len))
        tape_fail(tape, nowhere, "a value contains a NUL character");
    else
        add_scalar(tape, text, len, false);
}

static void add_plain(struct tape *tape, const char *text)
{
    add_scalar(tape, text, strlen(text), true);
}

static void add_number(struct tape *tape, const json_t *value)
{
    char text[64];
    if (json_is_integer(value))
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(text, sizeof(text), "%.17g", json_real_value(value));
    add_plain(tape, text);
}

static void add_tree(struct tape *tape, json_t *tree, unsigned depth);

static void add_children(struct tape *tape, json_t *tree, unsigned depth)
{
    const char *key;
    size_t index;
    json_t *value;
    uint32_t place = tape->count;
    tape_push(tape, json_is_object(tree) ? TAPE_MAPPING : TAPE_SEQUENCE, nowhere);
    json_object_foreach(tree, key, value)
    {
        add_string(tape, key, strlen(key));
        add_tree(tape, value, depth + 1);
    }
    json_array_foreach(tree, index, value) add_tree(tape, value, depth + 1);
    tape->nodes[place].count =
        (uint32_t)(json_is_object(tree) ? json_object_size(tree) : json_array_size(tree));
    tape->nodes[place].end = tape->count;
}

static void add_tree(struct tape *tape, json_t *tree, unsigned depth)
{
    if (tape->count >= TAPE_NODES_MAX)
        tape_fail(tape, nowhere, "the document has more than 1000000 values");
    if (depth >= TAPE_DEPTH_MAX)
        tape_fail(tape, nowhere, DEPTH_FAULT);
    if (tape->fault.sentence)
        return;
    switch (json_typeof(tree)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        add_children(tape, tree, depth);
        break;
    case JSON_STRING:
        add_string(tape, json_string_value(tree), json_string_length(tree));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(tape, tree);
        break;
    case JSON_TRUE:
        add_plain(tape, "true");
        break;
    case JSON_FALSE:
        add_plain(tape, "false");
        break;
    case JSON_NULL:
        add_plain(tape, "null");
        break;
    }
}

void wire_decode_tree(json_t *tree, const ProtobufCMessageDescriptor *type, struct arena *arena,
                      struct decode_result *ret)
{
    struct tape tape;
    tape_init(&tape, arena);
    add_tree(&tape, tree, 0);
    if (tape.fault.sentence)
        *ret = (struct decode_result){.refusal = tape.fault.sentence};
    else
        decode_message(&tape, type, true, arena, ret);
    tape_done(&tape);
}

/* --- from YAML's tape to a tree --- */

struct planter {
    const struct tape *tape;
    struct arena *arena;
    const char *fault;
    uint32_t line;
};

static json_t *fail(struct planter *planter, const struct tape_node *node, const char *fault)
{
    if (!planter->fault) {
        planter->fault = fault;
        planter->line = node->line;
    }
    return NULL;
}

static json_t *plant_scalar(struct planter *planter, const struct tape_node *node)
{
    struct scalar scalar = tape_scalar(node);
    switch (scalar.type) {
    case SCALAR_NULL:
        return json_null();
    case SCALAR_BOOLEAN:
        return json_boolean(scalar.boolean);
    case SCALAR_INTEGER:
        return json_integer(scalar.integer);
    case SCALAR_REAL:
        return isfinite(scalar.real) ? json_real(scalar.real)
                                     : fail(planter, node, "JSON has no number that is not finite");
    case SCALAR_STRING:
    case SCALAR_MERGE:
        break;
    }
    json_t *string = json_stringn(node->text, node->len);
    return string ? string : fail(planter, node, "a value is no UTF-8");
}

static json_t *plant(struct planter *planter, const struct tape_node *node, unsigned depth);

static bool plant_pair(struct planter *planter, json_t *object, uint32_t at, unsigned depth)
{
    const struct tape_node *key = tape_resolve(planter->tape, at);
    const char *name = tape_key(key, planter->arena);
    if (!name || json_object_get(object, name)) {
        fail(planter, key,
             name ? arena_printf(planter->arena, "key \"%s\" already set in map", name)
                  : "a key is no string");
        return false;
    }
    json_t *value = plant(planter, tape_resolve(planter->tape, tape_next(planter->tape, at)), depth + 1);
    if (value && json_object_set_new(object, name, value) == 0)
        return true;
    fail(planter, key, "a key is no UTF-8");
    return false;
}

/* Never adds more than the tape's weight: aliases were counted with what they stand for. */
static json_t *plant(struct planter *planter, const struct tape_node *node, unsigned depth)
{
    if (depth >= TAPE_DEPTH_MAX)
        return fail(planter, node, DEPTH_FAULT);
    if (node->kind == TAPE_SCALAR)
        return plant_scalar(planter, node);
    bool is_mapping = node->kind == TAPE_MAPPING;
    json_t *tree = is_mapping ? json_object() : json_array();
    uint32_t at = tape_index(planter->tape, node) + 1;
    for (uint32_t i = 0; i < node->count; i++) {
        bool is_added = is_mapping
                            ? plant_pair(planter, tree, at, depth)
                            : json_array_append_new(
                                  tree, plant(planter, tape_resolve(planter->tape, at), depth + 1)) == 0;
        if (!is_added) {
            json_decref(tree);
            return NULL;
        }
        at = tape_next(planter->tape, is_mapping ? tape_next(planter->tape, at) : at);
    }
    return tree;
}

/* Reads the first document into the tape. false on a syntax error, which stays in the parser. */
static bool read_document(yaml_parser_t *parser, struct tape *tape, bool *ret_is_found)
{
    yaml_event_t event;
    for (;;) {
        if (!yaml_parser_parse(parser, &event))
            return false;
        if (event.type == YAML_STREAM_END_EVENT || event.type == YAML_DOCUMENT_START_EVENT)
            break;
        yaml_event_delete(&event);
    }
    *ret_is_found = event.type == YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    if (!*ret_is_found)
        return true;
    return yaml_parser_parse(parser, &event) && tape_add(tape, parser, &event, 0);
}

static json_t *read_tree(yaml_parser_t *parser, struct tape *tape, struct err *err)
{
    bool is_found = false;
    bool is_read = read_document(parser, tape, &is_found);
    if (!is_read && !tape->is_given_up) {
        err_set(err, EINVAL, "line %zu: %s", parser->problem_mark.line + 1,
                parser->problem ? parser->problem : "cannot be read");
        return NULL;
    }
    if (is_read && !is_found) {
        err_set(err, EINVAL, "there is no document");
        return NULL;
    }
    if (!tape->fault.sentence)
        merge_apply(tape);
    struct planter planter = {tape, tape->arena, tape->fault.sentence, tape->fault.line};
    json_t *tree = planter.fault ? NULL : plant(&planter, tape_resolve(tape, 0), 0);
    if (!tree)
        err_set(err, EINVAL, "line %u: %s", planter.line, planter.fault);
    return tree;
}

json_t *wire_tree_from_yaml(const char *bytes, size_t len, struct err *err)
{
    if (len > DOCUMENTS_FILE_MAX) {
        err_set(err, EFBIG, "the document is larger than 256 MiB");
        return NULL;
    }
    cleanup_free char *joined = surrogates_join(bytes, &len);
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        err_set(err, ENOMEM, "no memory to read the document");
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(joined ? joined : bytes), len);
    struct arena arena;
    struct tape tape;
    arena_init(&arena);
    tape_init(&tape, &arena);
    json_t *tree = read_tree(&parser, &tape, err);
    yaml_parser_delete(&parser);
    tape_done(&tape);
    arena_done(&arena);
    return tree;
}
