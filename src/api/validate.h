/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "api/object.h"

/* The apiserver's rules in its words (kubernetes 1.36: pkg/apis/core, coordination, discovery and networking,
 * /validation), with two of our own, for every number from outside has a cap: what one Service may make of
 * ports and addresses, and that an EndpointSlice's port is a port. Objects are defaulted (defaults.h). */

/* Judges an object of a folder of manifests, where there is no allocator: a Service names its clusterIP, and
 * one of type NodePort its node ports; of a Pod only the metadata counts. Returns NULL when all is well, else
 * the whole sentence: `Service "web" is invalid: spec.ports: Required value`. *ret_line and *ret_column are
 * set when tape has the place. */
const char *validate_object(enum api_kind kind, const ProtobufCMessage *message, const struct tape *tape,
                            struct arena *arena, uint32_t *ret_line, uint32_t *ret_column);

/* The three ways into a registry. Each notes in faults what forbids the write, nothing when it may happen.
 * Objects went through strategy.h first, names are generated, and metadata.resourceVersion of an update is
 * set. Allocation comes afterwards, so that addresses and node ports may be absent. */
void validate_create(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object);
void validate_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                     const ProtobufCMessage *old);
/* Kinds without a status subresource: as validate_update. */
void validate_status_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                            const ProtobufCMessage *old);

/* The part of a Service's rules that upstream applies alone, before it allocates: clusterIP, clusterIPs,
 * ipFamilies, ipFamilyPolicy. old is NULL for a create. */
void validate_cluster_ips(struct faults *faults, const Core__ServiceSpec *spec, const Core__ServiceSpec *old);

/* What events.k8s.io/v1 asks of an Event beyond validate_create and validate_update, which are those of v1.
 * old is NULL for a create. */
void validate_strict_event(struct faults *faults, const Core__Event *event, const Core__Event *old);
