/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

/* PURE. EndpointSlices for the Endpoints of Services without a selector, so that who reads slices alone sees
 * them (KEP-752; kubernetes pkg/controller/endpointslicemirroring; section C6 of the reference). */

#define MIRROR_CONTROLLER "endpointslicemirroring-controller.k8s.io"
#define MIRROR_ADDRESSES_MAX 1000 /* of one subset, as upstream's flag has it */
#define MIRROR_SUBSETS_MAX 200    /* ours: sets of ports that one Endpoints may have, the first ones count */

/* What makes the slices right. Everything lives in the arena and may borrow from the inputs. */
struct mirror_changes {
    /* With generateName and no name. */
    Discovery__EndpointSlice **creates;
    size_t create_count;
    /* Whole, with name, uid, resourceVersion and creationTimestamp of the one that they replace. */
    Discovery__EndpointSlice **updates;
    size_t update_count;
    const Discovery__EndpointSlice **deletes; /* of existing */
    size_t delete_count;
    /* For the events InvalidIPAddress and TooManyAddressesToMirror: addresses that are none, and those left
     * out for being too many. */
    size_t invalid_count, skipped_count;
};

/* Whether endpoints are to be mirrored: both are there, the Service has no selector, and no label or
 * annotation forbids it. Either may be NULL. */
bool mirror_is_wanted(const Core__Endpoints *endpoints, const Core__Service *service);
/* Whether a slice of the namespace is one of those made of the Endpoints of this name. */
bool mirror_is_ours(const Discovery__EndpointSlice *slice, const char *name);

/* endpoints and service have name and are NULL when there are none. existing: any slices of their namespace;
 * those that are not ours are passed over. Settled input gives no changes. */
void mirror_reconcile(const char *name, const Core__Endpoints *endpoints, const Core__Service *service,
                      const Discovery__EndpointSlice *const *existing, size_t existing_count,
                      struct arena *arena, struct mirror_changes *ret);
