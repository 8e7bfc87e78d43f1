/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/fields.h"
#include "api/meta.pb-c.h"

#include <stdlib.h>

/* What the codecs of the wire share. */

/* Every entry type begins with its key. "" for an entry without one. */
static inline const char *wire_map_key(const ProtobufCMessage *entry)
{
    const char *key = ((const Meta__StringEntry *)entry)->key;
    return key ? key : "";
}

/* The entries by key: those given, when they are in order, or a copy that *ret_made owns too (free it). Equal
 * keys keep their order. */
ProtobufCMessage *const *wire_map_sorted(ProtobufCMessage *const *entries, size_t count,
                                         ProtobufCMessage ***ret_made);

/* Bytes of one item of a repeated field. */
size_t wire_item_size(const ProtobufCFieldDescriptor *field);

/* A Time or MicroTime that upstream takes for none: its zero is year 1, and it packs that as an empty
 * message. */
bool wire_is_no_time(const ProtobufCMessage *time);

/* Whether the field says something: not what is empty, zero or absent; but a zero counts in a `pointer`. */
bool wire_is_given(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                   const struct api_field *rule);
