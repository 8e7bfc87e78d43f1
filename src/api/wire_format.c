/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/wire_format.h"

#define NUMBER_MAX 536870911

bool wire_read_varint(struct wire_reader *reader, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take(struct wire_reader *reader, uint64_t len, struct wire_item *item)
{
    if (len > (uint64_t)(reader->end - reader->at))
        return false;
    item->bytes = reader->at;
    item->len = (size_t)len;
    reader->at += len;
    return true;
}

bool wire_next(struct wire_reader *reader, struct wire_item *ret, bool *ret_is_bad)
{
    uint64_t tag, len;
    *ret_is_bad = false;
    if (reader->at == reader->end)
        return false;
    *ret_is_bad = true;
    if (!wire_read_varint(reader, &tag) || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
        return false;
    *ret = (struct wire_item){.number = (unsigned)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    bool is_good = false;
    switch (tag & 7) {
    case WIRE_VARINT:
        is_good = wire_read_varint(reader, &ret->value);
        break;
    case WIRE_FIXED64:
        is_good = take(reader, 8, ret);
        break;
    case WIRE_FIXED32:
        is_good = take(reader, 4, ret);
        break;
    case WIRE_LENGTH:
        is_good = wire_read_varint(reader, &len) && take(reader, len, ret);
        break;
    default:
        break;
    }
    *ret_is_bad = !is_good;
    return is_good;
}
