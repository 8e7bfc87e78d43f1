/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/text_set.h"
#include "api/validate_parts.h"

/* What the files of a Pod's validation share: kubernetes pkg/apis/core/validation, with the feature gates as
 * they stand by default in 1.36. Left out are the options of Windows containers and the sums of pod-level
 * resources. */

void validate_pod(struct faults *faults, const Core__Pod *pod);
void validate_pod_update(struct faults *faults, const Core__Pod *pod, const Core__Pod *old);
void validate_pod_status(struct faults *faults, const Core__Pod *pod, const Core__Pod *old);

/* What goes for a Pod whether it is new or not. */
void validate_pod_spec(struct faults *faults, const Core__Pod *pod);
void validate_pod_annotations(struct faults *faults, const Core__Pod *pod);
void validate_pod_annotations_update(struct faults *faults, const Core__Pod *pod, const Core__Pod *old);

/* What containers refer to in their Pod. */
struct pod_context {
    const Core__PodSpec *spec;
    struct text_set volumes; /* of validate_volumes: places in spec->volumes */
    bool uses_host_users;
};

/* Every container, whatever its list: an ephemeral one as a Container that borrows its fields. */
const Core__Container *pod_container(const Core__EphemeralContainer *container, struct arena *arena);

void validate_containers(struct faults *faults, const struct pod_context *context);
/* Returns the names that containers may refer to: those of the volumes without a fault. */
struct text_set validate_volumes(struct faults *faults, const Core__Pod *pod);
/* The kinds of volumes that are little more than required fields; path is the volume's. */
void validate_volume_plugin(struct faults *faults, const struct path *path, const Core__Volume *volume,
                            const char *field);
/* One container's mounts and devices. */
void validate_mounts(struct faults *faults, const struct path *path, const struct pod_context *context,
                     const Core__Container *container);
void validate_environment(struct faults *faults, const struct path *path, const Core__Container *container);
/* FileKeyRef needs an emptyDir. */
void validate_file_keys(struct faults *faults, const struct path *path, const struct pod_context *context,
                        const Core__Container *container);
void validate_field_reference(struct faults *faults, const struct path *path,
                              const Core__ObjectFieldSelector *reference, const char *const *supported);
void validate_resource_reference(struct faults *faults, const struct path *path,
                                 const Core__ResourceFieldSelector *reference, bool needs_container);
void validate_probes(struct faults *faults, const struct path *path, const struct pod_context *context,
                     const Core__Container *container);
void validate_lifecycle(struct faults *faults, const struct path *path, const struct pod_context *context,
                        const Core__Lifecycle *lifecycle);
void validate_port_or_name(struct faults *faults, const struct path *path, const Meta__IntOrString *port);

/* Limits and requests; of a whole Pod other resources than of a container. */
void validate_requirements(struct faults *faults, const struct path *path,
                           const Core__ResourceRequirements *resources, bool is_pod);
void validate_claims(struct faults *faults, const struct path *path,
                     const Core__ResourceRequirements *resources, const Core__PodSpec *spec);

void validate_security(struct faults *faults, const struct path *path, const Core__SecurityContext *context,
                       bool uses_host_users);
void validate_pod_security(struct faults *faults, const Core__PodSpec *spec);

void validate_affinity(struct faults *faults, const Core__Affinity *affinity);
void validate_tolerations(struct faults *faults, Core__Toleration *const *tolerations, size_t count);
void validate_spread(struct faults *faults, const Core__PodSpec *spec);

/* A path without ".."; one that is relative besides; and one that does not begin with ".." besides. */
bool validate_no_backsteps(struct faults *faults, const struct path *path, const char *value);
void validate_descending_path(struct faults *faults, const struct path *path, const char *value);
void validate_local_path(struct faults *faults, const struct path *path, const char *value);
/* An image has no spaces around it. */
void validate_image(struct faults *faults, const struct path *path, const char *image);
void validate_pull_policy(struct faults *faults, const struct path *path, const char *policy);
