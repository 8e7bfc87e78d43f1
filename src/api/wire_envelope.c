/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/wire.h"
#include "api/wire_format.h"

#include <errno.h>
#include <string.h>

void wire_protobuf(const char *api_version, const char *kind, const void *raw, size_t len, struct text *ret)
{
    struct text type = {0};
    wire_add_field(&type, WIRE_TYPE_API_VERSION, api_version, strlen(api_version));
    wire_add_field(&type, WIRE_TYPE_KIND, kind, strlen(kind));
    text_add_bytes(ret, WIRE_MAGIC, WIRE_MAGIC_LEN);
    wire_add_field(ret, WIRE_UNKNOWN_TYPE, type.data, type.len);
    wire_add_field(ret, WIRE_UNKNOWN_RAW, raw, len);
    text_done(&type);
}

static bool take_text(const struct wire_item *item, struct arena *arena, const char **ret)
{
    if (item->type != WIRE_LENGTH || memchr(item->bytes, '\0', item->len))
        return false;
    *ret = arena_strndup(arena, (const char *)item->bytes, item->len);
    return true;
}

static bool open_type(const struct wire_item *whole, struct arena *arena, struct wire_envelope *ret)
{
    struct wire_reader reader = {whole->bytes, whole->bytes + whole->len};
    struct wire_item item;
    bool is_bad;
    while (wire_next(&reader, &item, &is_bad)) {
        if (item.number == WIRE_TYPE_API_VERSION && !take_text(&item, arena, &ret->api_version))
            return false;
        if (item.number == WIRE_TYPE_KIND && !take_text(&item, arena, &ret->kind))
            return false;
    }
    return !is_bad;
}

static bool open_field(const struct wire_item *item, struct arena *arena, struct wire_envelope *ret)
{
    switch (item->number) {
    case WIRE_UNKNOWN_TYPE:
        return item->type == WIRE_LENGTH && open_type(item, arena, ret);
    case WIRE_UNKNOWN_RAW:
        ret->raw = item->bytes;
        ret->len = item->len;
        return item->type == WIRE_LENGTH;
    case WIRE_UNKNOWN_ENCODING: /* nobody compresses inside */
        return item->type == WIRE_LENGTH && item->len == 0;
    default:
        return true;
    }
}

int wire_protobuf_open(const void *bytes, size_t len, struct arena *arena, struct wire_envelope *ret,
                       struct err *err)
{
    struct wire_envelope envelope = {.api_version = "", .kind = "", .raw = (const uint8_t *)""};
    struct wire_item item;
    bool is_bad;
    if (len < WIRE_MAGIC_LEN || memcmp(bytes, WIRE_MAGIC, WIRE_MAGIC_LEN) != 0)
        return err_set(err, EINVAL,
                       "provided data does not appear to be a protobuf message, expected prefix "
                       "[107 56 115 0]");
    struct wire_reader reader = {(const uint8_t *)bytes + WIRE_MAGIC_LEN, (const uint8_t *)bytes + len};
    while (wire_next(&reader, &item, &is_bad))
        if (!open_field(&item, arena, &envelope))
            return err_set(err, EINVAL, "the protobuf envelope (runtime.Unknown) is malformed");
    if (is_bad)
        return err_set(err, EINVAL, "the protobuf envelope (runtime.Unknown) is no protobuf, or cut off");
    *ret = envelope;
    return 0;
}
