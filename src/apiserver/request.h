/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/selector.h"
#include "apiserver/discovery.h"
#include "apiserver/status.h"
#include "base/arena.h"

#include <stdint.h>

/* PURE. A request line of the Kubernetes API, taken apart: which resource, which verb, which options. */

enum verb {
    VERB_GET,
    VERB_LIST,
    VERB_WATCH,
    VERB_CREATE,
    VERB_UPDATE,
    VERB_PATCH,
    VERB_DELETE,
    VERB_DELETE_COLLECTION
};
/* As RBAC spells it: "deletecollection". */
const char *verb_name(enum verb verb);

enum field_validation { FIELD_VALIDATION_WARN, FIELD_VALIDATION_STRICT, FIELD_VALIDATION_IGNORE };

/* The object or objects that a request is about. */
struct target {
    const struct resource *resource;
    const char *namespace_;  /* "" for all, and for cluster-scoped kinds */
    const char *name;        /* "" for a collection */
    const char *subresource; /* "", "status", "finalize" */
};
struct status_subject target_subject(const struct target *target);

/* The query. What is absent has the value that upstream's default has. */
struct query {
    const char *label_selector, *field_selector; /* raw, "" when absent */
    const char *resource_version, *resource_version_match, *continue_;
    uint64_t limit;
    uint32_t timeout_seconds; /* 0 when absent */
    bool is_watch, allows_bookmarks, sends_initial_events, has_initial_events;
    const char *field_manager, *dry_run, *field_validation_text;
    bool is_dry_run; /* query_check_write sets these two */
    enum field_validation field_validation;
    bool is_forced, has_force;
    const char *propagation_policy; /* "" when absent */
    int64_t grace_seconds;          /* -1 when absent */
    const char *include_object;     /* "Metadata" when absent, for tables */
};

/* Splits a path such as /api/v1/namespaces/default/services/web/status. Returns false when it is not the path
 * of a resource that is served. Strings live in the arena. */
bool target_parse(const char *path, struct arena *arena, struct target *ret);
/* Reads a raw query. A malformed value is a refusal in *ret_status (400). */
bool query_parse(const char *raw, struct arena *arena, struct query *ret, struct status *ret_status);
/* What upstream's validation of CreateOptions and the like says of the query of a writing verb, and of
 * ListOptions that of a list or a watch (422). */
bool query_check_write(struct query *query, enum verb verb, struct arena *arena, struct status *ret_status);
bool query_check_list(const struct query *query, struct arena *arena, struct status *ret_status);
/* The verb of a method on a target; false (405) when there is none. */
bool verb_parse(const char *method, const struct target *target, const struct query *query, enum verb *ret);
