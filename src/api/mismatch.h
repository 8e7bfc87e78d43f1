/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/tape.h"

#include <protobuf-c/protobuf-c.h>

/* What an apiserver says of a value of the wrong type, which is what Go's decoders say of it: `json: cannot
 * unmarshal string into Go struct field ServicePort.spec.ports.port of type int32` (encoding/json,
 * UnmarshalTypeError; the UnmarshalJSON of metav1.Time, intstr.IntOrString and resource.Quantity). root is
 * the type of the whole, path where in it the value stands. In the arena. */
const char *mismatch_sentence(const ProtobufCMessageDescriptor *root, const struct path *path,
                              const struct tape_node *node, struct arena *arena);
