/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "api/object.h"

/* Judges a new, defaulted object by the apiserver's rules, in its words (kubernetes 1.36: pkg/apis/core,
 * discovery and networking /validation), and by those of a world without allocators, in ours: a Service names
 * its clusterIP, and one of type NodePort its node ports. Returns NULL when all is well, else the whole
 * sentence: `Service "web" is invalid: spec.ports: Required value`. *ret_line and *ret_column are set when
 * tape has the place. */
const char *validate_object(enum api_kind kind, const ProtobufCMessage *message, const struct tape *tape,
                            struct arena *arena, uint32_t *ret_line, uint32_t *ret_column);

/* The parts, for validate.c. */
typedef bool validate_name_fn(struct faults *faults, const struct path *path, const char *value);
void validate_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                       validate_name_fn *check_name);
void validate_labels(struct faults *faults, const struct path *path, Meta__StringEntry *const *labels,
                     size_t count);
void validate_service(struct faults *faults, const Core__Service *service);
void validate_endpoint_slice(struct faults *faults, const Discovery__EndpointSlice *slice);
void validate_endpoints(struct faults *faults, const Core__Endpoints *endpoints);
/* One of the values, which end in NULL; otherwise `Unsupported value`. "" or NULL is `Required value`. */
bool validate_choice(struct faults *faults, const struct path *path, const char *value,
                     const char *const *supported);
extern const char *const validate_protocols[];

/* Which keys occurred before: an array of count flags in the arena, or NULL when none did. NULL keys are
 * passed over. n log n. */
const bool *validate_duplicates(struct arena *arena, const char *const *keys, size_t count);
