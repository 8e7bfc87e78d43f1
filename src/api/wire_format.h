/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The encoding of protobuf (https://protobuf.dev/programming-guides/encoding/), as far as Kubernetes uses it.
 */

#define WIRE_VARINT_MAX 10
/* A field's number from here on names an embedded message and a field of that: proto/meta.proto. */
#define WIRE_EMBEDDED 1000

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

/* The envelope: k8s.io/apimachinery/pkg/runtime, Unknown and TypeMeta in generated.proto. */
#define WIRE_MAGIC "k8s\0"
#define WIRE_MAGIC_LEN 4
enum { WIRE_UNKNOWN_TYPE = 1, WIRE_UNKNOWN_RAW = 2, WIRE_UNKNOWN_ENCODING = 3 };
enum { WIRE_TYPE_API_VERSION = 1, WIRE_TYPE_KIND = 2 };

static inline uint64_t wire_tag(unsigned number, enum wire_type type)
{
    return (uint64_t)number << 3 | type;
}

/* Returns how many bytes were written. */
static inline size_t wire_varint(uint64_t value, uint8_t bytes[WIRE_VARINT_MAX])
{
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    return len;
}

/* One field as it stands in the bytes. */
struct wire_item {
    unsigned number;
    enum wire_type type;
    uint64_t value;       /* VARINT */
    const uint8_t *bytes; /* LENGTH */
    size_t len;
};

struct wire_reader {
    const uint8_t *at, *end;
};

/* The next field; false at the end and, with *ret_is_bad set, for what is no protobuf. Groups and numbers
 * above 536870911 are not read. */
bool wire_next(struct wire_reader *reader, struct wire_item *ret, bool *ret_is_bad);
bool wire_read_varint(struct wire_reader *reader, uint64_t *ret);
