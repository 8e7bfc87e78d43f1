/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/text.h"

/* PURE. What the server says of itself: group and resource discovery and OpenAPI, all made from api_kind_info
 * and the schema. */

/* The Kubernetes whose API this is: kubectl and other clients choose by it what they may ask for. */
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "36"
#define KUBERNETES_VERSION "v" KUBERNETES_MAJOR "." KUBERNETES_MINOR ".0"

/* One served resource path: the pair of a kind and a version, in the order of discovery. */
struct resource {
    enum api_kind kind;
    const char *group, *version,
        *group_version;              /* "events.k8s.io", "v1", "events.k8s.io/v1"; "", "v1", "v1" */
    const char *plural, *singular;   /* "endpointslices", "endpointslice" */
    const char *const *short_names;  /* "svc"; ends in NULL */
    const char *const *categories;   /* "all" for pods and services; ends in NULL */
    const char *const *subresources; /* "status"; ends in NULL */
    bool is_namespaced;
};
extern const struct resource resources[];
extern const size_t resource_count;
/* NULL when nothing is served there. group "" for core. */
const struct resource *resource_find(const char *group, const char *version, const char *plural);
/* The verbs of the resource, or of one of its subresources when that is not NULL, in alphabetical order; ends
 * in NULL. */
const char *const *resource_verbs(const struct resource *resource, const char *subresource);
/* What is decoded and encoded there: Event differs between its two groups. */
const ProtobufCMessageDescriptor *resource_type(const struct resource *resource);

/* Each answers one GET; false: no such document here (404). accept is the Accept header or NULL. path is
 * without the query. Paths: /version, /api, /api/v1, /apis, /apis/G, /apis/G/V (aggregated discovery v2 and
 * v2beta1 by Accept at /api and /apis: KEP-3352), /openapi/v2 (JSON, and gnostic protobuf by Accept:
 * kubectl 1.20 asks for nothing else), /openapi/v3, /openapi/v3/api/v1, /openapi/v3/apis/G/V (JSON, gnostic
 * v3 protobuf by Accept). */
struct discovery_answer {
    const char *content_type; /* static */
    struct text body;         /* the caller's, text_done */
    char etag[65];            /* "" for none; hex, as upstream's ETag, so that clients may cache by it */
};
bool discovery_answer(const char *path, const char *accept, const char *server_address,
                      struct discovery_answer *ret);
