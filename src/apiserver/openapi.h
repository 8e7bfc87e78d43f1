/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

#include <stdbool.h>

/* PURE. The API described for its clients: OpenAPI v2 and v3 documents, made of the schema (api/fields.h),
 * the names of definitions and extensions as in Kubernetes' api/openapi-spec. A document is made once, when
 * somebody first asks for it, and lives as long as the process. */
enum openapi_form { OPENAPI_JSON, OPENAPI_PROTOBUF };

/* A finished document, borrowed. */
struct openapi_document {
    const struct text *body;
    const char *etag; /* 64 hexadecimal digits, of the JSON form in either form */
};

/* Everything in one: swagger 2.0; as protobuf github.com/google/gnostic-models openapiv2.Document. */
struct openapi_document openapi_v2(enum openapi_form form);
/* Which documents of version 3 there are, with their hashes: {"paths": {"apis/G/V": {"serverRelativeURL":
 * ...}}}. */
struct openapi_document openapi_v3_index(void);
/* One group and version ("" for core): OpenAPI 3.0; as protobuf openapiv3.Document. false: it is not served.
 */
bool openapi_v3(const char *group, const char *version, enum openapi_form form, struct openapi_document *ret);
