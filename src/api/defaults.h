/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

/* Both fill what a writer may leave out, as the apiserver does before it stores an object (kubernetes
 * pkg/apis/core/v1/defaults.go and conversion.go, pkg/apis/discovery/v1/defaults.go). Afterwards metadata,
 * spec (where the kind has one) and an Event's involvedObject are not NULL. Idempotent; additions live in the
 * arena. */

/* For the body of a request: the namespace is that of its URL, and a Service's families and clusterIPs are
 * left to strategy.h and to the allocator. */
void defaults_request(enum api_kind kind, ProtobufCMessage *message, struct arena *arena);
/* For a manifest: besides, the namespace is "default", and a Service gets clusterIPs of its clusterIP, and
 * ipFamilies as in pkg/registry/core/service/storage/alloc.go; the default family is that of clusterIPs, else
 * IPv4. */
void defaults_apply(enum api_kind kind, ProtobufCMessage *message, struct arena *arena);
/* The label kubernetes.io/metadata.name, which can be neither changed nor left out: given by defaulting, and
 * again by the strategy after a name was generated. */
void defaults_label_namespace(Core__Namespace *namespace, struct arena *arena);
