/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* PURE. An OpenAPI document as the protobuf that clients of Kubernetes ask for. type is the Document of
 * proto/openapi_v2 or proto/openapi_v3; what the document has and the .proto does not is left out. */
void gnostic_pack(const json_t *document, const ProtobufCMessageDescriptor *type, struct text *ret);
