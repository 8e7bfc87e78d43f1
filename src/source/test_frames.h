/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: what an apiserver sends, in protobuf or in JSON. Objects are ConfigMaps in the namespace
 * "default" with one entry of data. */
#include "api/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static inline void test_message(const char *name, uint64_t version, const char *value, bool is_end,
                                bool is_protobuf, bool is_item, struct text *ret)
{
    char digits[24];
    Core__ConfigMap map = CORE__CONFIG_MAP__INIT;
    Meta__ObjectMeta metadata = META__OBJECT_META__INIT;
    Meta__StringEntry entry = META__STRING_ENTRY__INIT, end = META__STRING_ENTRY__INIT;
    Meta__StringEntry *entries[] = {&entry}, *ends[] = {&end};
    snprintf(digits, sizeof(digits), "%" PRIu64, version);
    metadata.name = (char *)name;
    metadata.namespace_ = *name ? (char *)"default" : NULL;
    metadata.resourceversion = version ? digits : NULL;
    metadata.n_annotations = is_end;
    metadata.annotations = ends;
    end.key = (char *)"k8s.io/initial-events-end";
    end.value = (char *)"true";
    entry.key = (char *)"value";
    entry.value = (char *)value;
    map.metadata = &metadata;
    map.n_data = value != NULL;
    map.data = entries;
    if (!is_protobuf) {
        is_item ? wire_json_of(&map.base, ret) : wire_json(API_CONFIG_MAP, &map.base, ret);
        return;
    }
    struct text packed = {0};
    wire_pack(&map.base, &packed);
    if (is_item)
        wire_add_field(ret, 2, text_str(&packed), packed.len);
    else
        wire_protobuf("v1", "ConfigMap", text_str(&packed), packed.len, ret);
    text_done(&packed);
}

/* A frame around an object as it stands on the wire. */
static inline void test_frame(const char *type, const char *object, size_t len, bool is_protobuf,
                              struct text *ret)
{
    struct text extension = {0}, event = {0};
    if (!is_protobuf) {
        text_printf(ret, "{\"type\":\"%s\",\"object\":", type);
        text_add_bytes(ret, object, len);
        text_add(ret, "}\n");
        return;
    }
    wire_add_field(&extension, 1, object, len);
    wire_add_field(&event, 1, type, strlen(type));
    wire_add_field(&event, 2, extension.data, extension.len);
    const char prefix[] = {(char)(event.len >> 24), (char)(event.len >> 16), (char)(event.len >> 8),
                           (char)event.len};
    text_add_bytes(ret, prefix, sizeof(prefix));
    text_add_bytes(ret, event.data, event.len);
    text_done(&extension);
    text_done(&event);
}

static inline void test_event(const char *type, const char *name, uint64_t version, const char *value,
                              bool is_protobuf, struct text *ret)
{
    struct text object = {0};
    test_message(name, version, value, false, is_protobuf, false, &object);
    test_frame(type, object.data, object.len, is_protobuf, ret);
    text_done(&object);
}

static inline void test_bookmark(uint64_t version, bool is_end, bool is_protobuf, struct text *ret)
{
    struct text object = {0};
    test_message("", version, NULL, is_end, is_protobuf, false, &object);
    test_frame("BOOKMARK", object.data, object.len, is_protobuf, ret);
    text_done(&object);
}

/* A Status; cause may be NULL. */
static inline void test_status(unsigned code, const char *reason, const char *cause, unsigned retry_after_s,
                               bool is_protobuf, struct text *ret)
{
    struct text raw = {0}, details = {0}, causes = {0};
    if (!is_protobuf) {
        text_printf(ret,
                    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                    "\"message\":\"no\",\"reason\":\"%s\",\"details\":{\"retryAfterSeconds\":%u",
                    reason, retry_after_s);
        if (cause)
            text_printf(ret, ",\"causes\":[{\"reason\":\"%s\"}]", cause);
        text_printf(ret, "},\"code\":%u}", code);
        return;
    }
    const char number[] = {6 << 3, (char)(code | 0x80), (char)(code >> 7)};
    const char seconds[] = {5 << 3, (char)retry_after_s};
    wire_add_field(&causes, 1, cause ? cause : "", cause ? strlen(cause) : 0);
    wire_add_field(&details, 4, causes.data, causes.len);
    text_add_bytes(&details, seconds, sizeof(seconds));
    wire_add_field(&raw, 3, "no", 2);
    wire_add_field(&raw, 4, reason, strlen(reason));
    wire_add_field(&raw, 5, details.data, details.len);
    text_add_bytes(&raw, number, sizeof(number));
    wire_protobuf("v1", "Status", raw.data, raw.len, ret);
    text_done(&raw);
    text_done(&details);
    text_done(&causes);
}

static inline void test_error_frame(unsigned code, const char *reason, unsigned retry_after_s,
                                    bool is_protobuf, struct text *ret)
{
    struct text object = {0};
    test_status(code, reason, NULL, retry_after_s, is_protobuf, &object);
    test_frame("ERROR", object.data, object.len, is_protobuf, ret);
    text_done(&object);
}

/* A page: items is a run of what test_message gives with is_item, in JSON with commas between. */
static inline void test_page(uint64_t version, const char *continue_, const struct text *items,
                             bool is_protobuf, struct text *ret)
{
    struct text raw = {0}, metadata = {0};
    if (!is_protobuf) {
        text_printf(ret,
                    "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"
                    "\"%" PRIu64 "\",\"continue\":\"%s\"},\"items\":[%s]}\n",
                    version, continue_, text_str(items));
        return;
    }
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRIu64, version);
    wire_add_field(&metadata, 2, digits, strlen(digits));
    wire_add_field(&metadata, 3, continue_, strlen(continue_));
    wire_add_field(&raw, 1, metadata.data, metadata.len);
    text_add_bytes(&raw, text_str(items), items->len);
    wire_protobuf("v1", "ConfigMapList", raw.data, raw.len, ret);
    text_done(&raw);
    text_done(&metadata);
}
