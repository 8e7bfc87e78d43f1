/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/discovery.h"
#include "base/arena.h"

#include <jansson.h>

/* PURE. An object is stored once, and may be served under two versions whose fields have other names: Event.
 * What a resource shows is its face. Both share strings and submessages with what is given, which must live
 * as long. */

/* The stored message as the resource shows it. */
const ProtobufCMessage *face_shown(const struct resource *resource, const ProtobufCMessage *stored,
                                   struct arena *arena);
/* What came in by the resource as it is stored. */
ProtobufCMessage *face_stored(const struct resource *resource, ProtobufCMessage *shown, struct arena *arena);
/* The shown face as a whole tree, a new reference. */
json_t *face_tree(const struct resource *resource, const ProtobufCMessage *stored, struct arena *arena);
