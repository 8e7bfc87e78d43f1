/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* The servers behind healthCheckNodePort: for each Service of type LoadBalancer with externalTrafficPolicy
 * Local, and each family, load balancers ask here whether this node has an endpoint (pkg/proxy/healthcheck of
 * Kubernetes 1.36). */

/* One Service in one family. Strings and addresses are read during the call alone. */
struct service_health_want {
    const char *namespace, *name;
    enum family family;
    uint16_t port;
    unsigned local_endpoints;        /* distinct addresses of ready, not terminating endpoints on this node */
    const struct address *addresses; /* of this family; 0.0.0.0 or :: for all */
    size_t address_count;
};

/* Whether the proxy itself is well now: health_is_healthy. */
typedef bool service_health_is_healthy_fn(void *context);
/* A server that cannot be had, once until it can or the want changes. */
typedef void service_health_report_fn(void *context, const struct service_health_want *want,
                                      const char *sentence);

struct service_health;

struct service_health *service_health_new(uv_loop_t *loop, service_health_is_healthy_fn *is_healthy,
                                          service_health_report_fn *report, void *context);
/* Listening ends before it returns. NULL is allowed. */
void service_health_free(struct service_health *services);
/* Makes wants, all of them, be what is served: closes what is not in it, opens what is new or failed before,
 * leaves the rest open with the new counts. A Service listens on all of its addresses or on none. */
void service_health_sync(struct service_health *services, const struct service_health_want *wants,
                         size_t count);
