/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/block_yaml.h"

#include "api/scalar.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

static int on_write(void *context, unsigned char *bytes, size_t len)
{
    text_add_bytes(context, (const char *)bytes, len);
    return 1;
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int is_made)
{
    return is_made && yaml_emitter_emit(emitter, event);
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    return emit(emitter, &event,
                yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text),
                                             1, 1, style));
}

/* A string that YAML would read as something else is quoted. */
static bool emit_string(yaml_emitter_t *emitter, const char *text)
{
    bool is_bare = *text && scalar_resolve(text, strlen(text)).type == SCALAR_STRING;
    return emit_scalar(emitter, text, is_bare ? YAML_ANY_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool emit_value(yaml_emitter_t *emitter, json_t *value);

static bool emit_object(yaml_emitter_t *emitter, json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *value;
    yaml_mapping_style_t style =
        json_object_size(object) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
    if (!emit(emitter, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style)))
        return false;
    json_object_foreach(object, key, value)
    {
        if (!emit_string(emitter, key) || !emit_value(emitter, value))
            return false;
    }
    return emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool emit_array(yaml_emitter_t *emitter, json_t *array)
{
    yaml_event_t event;
    yaml_sequence_style_t style =
        json_array_size(array) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    if (!emit(emitter, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style)))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!emit_value(emitter, json_array_get(array, i)))
            return false;
    return emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_value(yaml_emitter_t *emitter, json_t *value)
{
    char number[64];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return emit_object(emitter, value);
    case JSON_ARRAY:
        return emit_array(emitter, value);
    case JSON_STRING:
        return emit_string(emitter, json_string_value(value));
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        return emit_scalar(emitter, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.17g", json_real_value(value));
        return emit_scalar(emitter, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_TRUE:
        return emit_scalar(emitter, "true", YAML_PLAIN_SCALAR_STYLE);
    case JSON_FALSE:
        return emit_scalar(emitter, "false", YAML_PLAIN_SCALAR_STYLE);
    case JSON_NULL:
        break;
    }
    return emit_scalar(emitter, "null", YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_document(yaml_emitter_t *emitter, json_t *tree)
{
    yaml_event_t event;
    return emit(emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
           emit(emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
           emit_value(emitter, tree) &&
           emit(emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
           emit(emitter, &event, yaml_stream_end_event_initialize(&event));
}

void block_yaml_from_json(const char *json, size_t len, struct text *ret)
{
    yaml_emitter_t emitter;
    struct text yaml = {0};
    json_t *tree = json_loadb(json, len, JSON_DECODE_ANY, NULL);
    bool is_done = false;
    if (tree && yaml_emitter_initialize(&emitter)) {
        yaml_emitter_set_output(&emitter, on_write, &yaml);
        yaml_emitter_set_unicode(&emitter, 1);
        yaml_emitter_set_width(&emitter, -1);
        is_done = emit_document(&emitter, tree);
        yaml_emitter_delete(&emitter);
    }
    json_decref(tree);
    text_add_bytes(ret, is_done ? text_str(&yaml) : json, is_done ? yaml.len : len);
    text_done(&yaml);
}
