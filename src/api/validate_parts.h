/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/names.h"
#include "api/object.h"
#include "base/text.h"

#include <string.h>

/* What the files of validation share; see validate.h. old is NULL for a create. */

#define FIELD_IS_IMMUTABLE "field is immutable"

static inline bool is_text(const char *value, const char *wanted)
{
    return strcmp(api_text(value), wanted) == 0;
}
static inline bool is_set(const char *value)
{
    return value && *value;
}
static inline bool is_same_text(const char *a, const char *b)
{
    return strcmp(api_text(a), api_text(b)) == 0;
}

/* What goes for every object: k8s.io/apimachinery pkg/api/validation. */
void validate_any_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                           name_rule *rule);
void validate_any_metadata_update(struct faults *faults, const Meta__ObjectMeta *metadata,
                                  const Meta__ObjectMeta *old);
/* The same with what pkg/apis/core adds: a finalizer without a domain is one of Kubernetes' own. */
void validate_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                       name_rule *rule);
void validate_metadata_update(struct faults *faults, const Meta__ObjectMeta *metadata,
                              const Meta__ObjectMeta *old);
void validate_finalizer(struct faults *faults, const struct path *path, const char *name);
void validate_labels(struct faults *faults, const struct path *path, Meta__StringEntry *const *labels,
                     size_t count);
/* selector may be NULL. */
void validate_label_selector(struct faults *faults, const struct path *path,
                             const Meta__LabelSelector *selector);
/* One of the values, which end in NULL; otherwise `Unsupported value`. */
bool validate_supported(struct faults *faults, const struct path *path, const char *value,
                        const char *const *supported);
/* The same where "" or NULL is `Required value`. */
bool validate_choice(struct faults *faults, const struct path *path, const char *value,
                     const char *const *supported);
extern const char *const validate_protocols[];

/* Which keys occurred before: an array of count flags in the arena, or NULL when none did. NULL keys are
 * passed over. n log n. */
const bool *validate_duplicates(struct arena *arena, const char *const *keys, size_t count);

void validate_service(struct faults *faults, const Core__Service *service, const Core__Service *old);
/* The rules of a world without allocators, in our words. */
void validate_service_alone(struct faults *faults, const Core__Service *service);
void validate_service_update(struct faults *faults, const Core__Service *service, const Core__Service *old);
void validate_service_status(struct faults *faults, const Core__Service *service, const Core__Service *old);
void validate_balancer_class(struct faults *faults, const Core__ServiceSpec *spec);
bool is_headless(const Core__ServiceSpec *spec);

void validate_endpoint_slice(struct faults *faults, const Discovery__EndpointSlice *slice,
                             const Discovery__EndpointSlice *old);
void validate_endpoints(struct faults *faults, const Core__Endpoints *endpoints, const Core__Endpoints *old);

void validate_node(struct faults *faults, const Core__Node *node);
void validate_node_update(struct faults *faults, const Core__Node *node, const Core__Node *old);
void validate_taint_effect(struct faults *faults, const struct path *path, const char *effect);
void validate_namespace(struct faults *faults, const Core__Namespace *namespace);
void validate_namespace_status(struct faults *faults, const Core__Namespace *namespace,
                               const Core__Namespace *old);
void validate_service_cidr(struct faults *faults, const Networking__ServiceCIDR *range);
void validate_service_cidr_update(struct faults *faults, const Networking__ServiceCIDR *range,
                                  const Networking__ServiceCIDR *old);

/* An amount of a resource, in a node's status or a container's limits. */
void validate_quantity(struct faults *faults, const struct path *path, const char *resource,
                       const Meta__Quantity *quantity);

void validate_config_map(struct faults *faults, const Core__ConfigMap *map);
void validate_config_map_update(struct faults *faults, const Core__ConfigMap *map,
                                const Core__ConfigMap *old);
/* reporter is what the API version calls the field, "reportingComponent" or "reportingController". */
void validate_event(struct faults *faults, const Core__Event *event, const char *reporter);
void validate_lease(struct faults *faults, const Coordination__Lease *lease);
void validate_lease_update(struct faults *faults, const Coordination__Lease *lease,
                           const Coordination__Lease *old);
