/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "apiserver/addresses.h"
#include "registry/registry.h"

/* The objects that every cluster has from its first moment on (kubernetes pkg/controlplane:
 * controller/systemnamespaces, controller/kubernetesservice, controller/defaultservicecidr, reconcilers): the
 * namespaces default, kube-system, kube-public and kube-node-lease, the ServiceCIDR "kubernetes", and the
 * Service default/kubernetes with its Endpoints and its EndpointSlice, both of one name with it. */

struct bootstrap_config {
    const struct allocator_config *allocator;
    struct address api_address; /* where nodes and pods reach the API; where they cannot (not set,
                                   unspecified, loopback), the Service has no endpoints */
    uint16_t api_port;
    int64_t now; /* seconds since 1970 */
    uint64_t (*random)(void *context);
    void *context;
    void (*report)(void *context,
                   const char *sentence); /* of what could not be put right; NULL: nobody hears of it */
};

/* The first usable address of a range: for the primary one that of the Service. */
struct address bootstrap_first_address(const struct prefix *range);

#define BOOTSTRAP_OBJECTS 8
/* PURE. All of them as they would be stored but for uid, creationTimestamp and resourceVersion, in an order
 * in which they can be written. */
void bootstrap_objects(const struct bootstrap_config *config, struct arena *arena,
                       struct api_object ret[BOOTSTRAP_OBJECTS]);

/* Creates what is missing and takes the Service's address; of what is there it puts right the Service's
 * ports, its endpoints, and a ServiceCIDR to which a second range was added. One batch. Stored Services must
 * have been adopted before. When another Service has the address, there is no Service default/kubernetes, and
 * the report says so. -errno from the registry. */
int bootstrap_write(struct registry *registry, struct allocator *allocator,
                    const struct bootstrap_config *config, struct arena *arena, struct err *err);
