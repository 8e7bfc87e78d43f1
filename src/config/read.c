/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/read.h"

#include "api/encode.h"
#include "api/json_type.h"
#include "api/names.h"
#include "api/quantity.h"
#include "api/wire.h"
#include "config.pb-c.h"
#include "config/duration.h"
#include "config/settings_message.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct arena *arena;
    struct proxy_settings *settings;
    const char *refusal; /* the first */
};

static void refuse_type(struct reading *reading, const json_t *value, const char *field, const char *type)
{
    if (!reading->refusal)
        reading->refusal =
            arena_printf(reading->arena, "json: cannot unmarshal %s into Go struct field %s of type %s",
                         json_type_name(value), field, type);
}

static void read_gates(struct reading *reading, json_t *gates)
{
    const char *name;
    json_t *value;
    if (!json_is_object(gates))
        refuse_type(reading, gates, "KubeProxyConfiguration.featureGates", "map[string]bool");
    json_object_foreach(gates, name, value)
    {
        if (!json_is_boolean(value) && !json_is_null(value))
            refuse_type(reading, value, "KubeProxyConfiguration.featureGates", "bool");
        else if (!settings_set_gate(reading->settings, arena_strdup(reading->arena, name),
                                    json_is_true(value), reading->arena))
            reading->refusal = "there are more than 1024 feature gates";
    }
}

static void read_qps(struct reading *reading, json_t *qps)
{
    double value = json_number_value(qps);
    bool is_float = json_is_number(qps) && isfinite((float)value);
    if (!is_float)
        refuse_type(reading, qps, "ClientConnectionConfiguration.clientConnection.qps", "float32");
    else if ((float)value != 0)
        reading->settings->qps = (float)value;
}

static void read_flush(struct reading *reading, json_t *flush)
{
    struct logging_settings *logging = &reading->settings->logging;
    int64_t ns = json_integer_value(flush);
    struct err err = {""};
    bool is_text = json_is_string(flush);
    if (!is_text && !json_is_integer(flush))
        refuse_type(reading, flush, "LoggingConfiguration.logging.flushFrequency", "time.Duration");
    else if (is_text && duration_parse(json_string_value(flush), &ns, &err) < 0 && !reading->refusal)
        reading->refusal = arena_strdup(reading->arena, err.text);
    if (ns == 0)
        return;
    logging->flush_ns = ns;
    logging->is_flush_text = is_text;
}

/* Takes the value out of the tree, so that the codec does not meet it. */
static void take(struct reading *reading, json_t *object, const char *field,
                 void (*read)(struct reading *reading, json_t *value))
{
    json_t *value = json_object_get(object, field);
    if (!value)
        return;
    if (!json_is_null(value))
        read(reading, value);
    json_object_del(object, field);
}

/* --- the tree --- */

static bool is_document_start(yaml_parser_t *parser)
{
    yaml_event_t event;
    for (;;) {
        if (!yaml_parser_parse(parser, &event))
            return false;
        yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_START_EVENT)
            return type == YAML_DOCUMENT_START_EVENT;
    }
}

static json_t *forgiving_tree_of(yaml_parser_t *parser, struct arena *arena)
{
    struct tape tape;
    struct text text = {0};
    yaml_event_t event;
    json_t *tree = NULL;
    tape_init(&tape, arena);
    if (is_document_start(parser) && yaml_parser_parse(parser, &event) &&
        tape_add(&tape, parser, &event, 0) && !tape.fault.sentence) {
        merge_apply(&tape);
        if (!tape.fault.sentence) {
            encode_tape(&tape, tape_resolve(&tape, 0), &text);
            tree = json_loadb(text_str(&text), text.len, JSON_DECODE_ANY, NULL);
        }
    }
    text_done(&text);
    tape_done(&tape);
    return tree;
}

/* As wire_tree_from_yaml, but the last of equal keys counts. NULL for anything else that is wrong. */
static json_t *forgiving_tree(const char *bytes, size_t len)
{
    struct arena arena;
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return NULL;
    arena_init(&arena);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, len);
    json_t *tree = forgiving_tree_of(&parser, &arena);
    yaml_parser_delete(&parser);
    arena_done(&arena);
    return tree;
}

static const char *check_kind(json_t *tree, struct arena *arena)
{
    const char *version = json_string_value(json_object_get(tree, "apiVersion"));
    const char *kind = json_string_value(json_object_get(tree, "kind"));
    if (!json_is_object(tree))
        return "the configuration is not an object";
    if (!kind || !*kind)
        return "Object 'Kind' is missing";
    if (!version || !*version)
        return "Object 'apiVersion' is missing";
    if (strcmp(version, PROXY_CONFIG_GROUP) != 0 || strcmp(kind, PROXY_CONFIG_KIND) != 0)
        return arena_printf(arena, "no kind \"%.100s\" is registered for version \"%.100s\"", kind, version);
    return NULL;
}

/* "strict decoding error: A, B" */
static const char *strict_warning(const char *duplicate, const struct decode_result *result,
                                  struct arena *arena)
{
    struct text text = {0};
    const char *between = "";
    if (!duplicate && result->warning_count == 0)
        return NULL;
    text_add(&text, "strict decoding error: ");
    if (duplicate) {
        text_add(&text, duplicate);
        between = ", ";
    }
    for (size_t i = 0; i < result->warning_count; i++, between = ", ")
        text_printf(&text, "%s%s", between, result->warnings[i]);
    const char *warning = arena_strdup(arena, text_str(&text));
    text_done(&text);
    return warning;
}

static const char *read_tree(json_t *tree, const char *duplicate, struct arena *arena,
                             struct proxy_settings *ret, const char **ret_warning)
{
    struct proxy_settings settings;
    struct reading reading = {.arena = arena, .settings = &settings};
    struct decode_result result;
    settings_default(&settings);
    const char *refusal = check_kind(tree, arena);
    if (refusal)
        return refusal;
    take(&reading, tree, "featureGates", read_gates);
    take(&reading, json_object_get(tree, "clientConnection"), "qps", read_qps);
    take(&reading, json_object_get(tree, "logging"), "flushFrequency", read_flush);
    wire_decode_tree(tree, &config__kube_proxy_configuration__descriptor, arena, &result);
    if (!result.message)
        return result.upstream ? result.upstream : result.refusal;
    if (reading.refusal)
        return reading.refusal;
    refusal = settings_from_message(&settings, (const Config__KubeProxyConfiguration *)result.message, arena);
    if (refusal)
        return refusal;
    *ret_warning = strict_warning(duplicate, &result, arena);
    *ret = settings;
    return NULL;
}

/* Objects with their keys in order, which is how upstream meets what was YAML; JSON stays as it is. */
static json_t *sorted_tree(json_t *tree)
{
    char *text = json_dumps(tree, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    json_t *sorted = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    free(text);
    if (!sorted)
        return tree;
    json_decref(tree);
    return sorted;
}

/* JSON text to a tree. Of equal keys the last counts, and *ret_double is a sentence about the first. NULL for
 * what is no JSON, with the sentence in *ret_refusal. */
static json_t *tree_from_json(const char *bytes, size_t len, struct arena *arena, const char **ret_double,
                              const char **ret_refusal)
{
    json_error_t error;
    json_t *tree = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
    if (tree)
        return tree;
    const char *sentence = arena_printf(arena, "line %d: %s", error.line, error.text);
    tree = json_loadb(bytes, len, 0, &error);
    if (tree)
        *ret_double = sentence;
    else
        *ret_refusal = arena_printf(arena, "couldn't get version/kind; json parse error: line %d: %s",
                                    error.line, error.text);
    return tree;
}

static json_t *tree_from_yaml(const char *bytes, size_t len, struct arena *arena, const char **ret_double,
                              const char **ret_refusal)
{
    struct err err = {""};
    json_t *tree = wire_tree_from_yaml(bytes, len, &err);
    if (tree)
        return sorted_tree(tree);
    tree = forgiving_tree(bytes, len);
    *(tree ? ret_double : ret_refusal) = arena_strdup(arena, err.text);
    return tree ? sorted_tree(tree) : NULL;
}

const char *settings_read(const char *bytes, size_t len, struct arena *arena, struct proxy_settings *ret,
                          const char **ret_warning)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *duplicate = NULL, *refusal = NULL;
    if (len > PROXY_CONFIG_MAX)
        return "the configuration is larger than 3 MiB";
    if (len >= strlen(mark) && memcmp(bytes, mark, strlen(mark)) == 0) {
        bytes += strlen(mark);
        len -= strlen(mark);
    }
    size_t blank = 0;
    while (blank < len && strchr(" \t\r\n", bytes[blank]) && bytes[blank])
        blank++;
    bool is_json = blank < len && bytes[blank] == '{';
    json_t *tree = is_json ? tree_from_json(bytes, len, arena, &duplicate, &refusal)
                           : tree_from_yaml(bytes, len, arena, &duplicate, &refusal);
    if (!tree)
        return refusal;
    refusal = read_tree(tree, duplicate, arena, ret, ret_warning);
    json_decref(tree);
    return refusal;
}
