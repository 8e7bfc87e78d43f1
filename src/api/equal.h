/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Whether two messages of one type mean the same (k8s.io/apimachinery pkg/api/equality, Semantic): the order
 * of a map's entries does not count, quantities compare as numbers, and what is absent equals what is empty
 * or zero, but for `pointer` scalars and structs that are not `always` (proto/meta.proto), whose presence is
 * a meaning of its own. NULL counts as a message with nothing in it. */
bool message_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);
/* The same for one field of both; repeated ones included. */
bool message_equal_field(const ProtobufCMessage *a, const ProtobufCMessage *b,
                         const ProtobufCFieldDescriptor *field);
