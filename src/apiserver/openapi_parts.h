/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/discovery.h"

#include <jansson.h>

/* Inside openapi*.c: the two versions differ in where things stand, not in what they say. */

enum openapi_version { OPENAPI_V2, OPENAPI_V3 };

#define META_PREFIX "io.k8s.apimachinery.pkg.apis.meta.v1."

/* {"$ref": ...} to a definition; a new reference. */
json_t *openapi_reference(enum openapi_version version, const char *definition);
/* "io.k8s.api.core.v1.Service" */
void openapi_name(const ProtobufCMessageDescriptor *type, struct text *ret);
/* {"group": "", "kind": "Service", "version": "v1"} */
json_t *openapi_kind(const char *group, const char *version, const char *kind);

/* Adds the kind, its list and all that they refer to. */
void openapi_define_resource(json_t *definitions, enum openapi_version version,
                             const struct resource *resource);
/* Adds what operations refer to beside kinds: DeleteOptions, Patch, Status. group_version NULL: of all
 * versions served. */
void openapi_define_common(json_t *definitions, enum openapi_version version, const char *group_version);

/* Adds the paths of the resource with their operations. */
void openapi_add_paths(json_t *paths, enum openapi_version version, const struct resource *resource);
