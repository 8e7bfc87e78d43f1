/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

/* What /healthz and /livez say, as pkg/proxy/healthcheck of Kubernetes 1.36 has it: a family is unhealthy
 * once a change has waited for two sync periods, and a node that goes away is not eligible for load balancers
 * (KEP-3836). Without a clock of its own: time enters as an argument. */

/* Both are nanoseconds: wall_ns since 1970 is shown, monotonic_ns measures, so that a step of the wall clock
 * makes nobody unhealthy. */
struct health_time {
    int64_t wall_ns, monotonic_ns;
};

struct health {
    int64_t timeout_ns;
    bool is_node_eligible; /* false: the Node is unknown, being deleted, or tainted by the autoscaler */
    struct {
        bool was_updated, is_pending;
        struct health_time updated;        /* the latest sync */
        struct health_time oldest_pending; /* the oldest change that no sync has covered */
    } families[FAMILY_COUNT];
};

enum health_page { HEALTH_PAGE_HEALTHZ, HEALTH_PAGE_LIVEZ };

/* The Kubernetes taint that says the cluster autoscaler is about to remove the node. */
#define HEALTH_DELETION_TAINT "ToBeDeletedByClusterAutoscaler"

/* An eligible node, nothing pending, no family known yet. The timeout is twice the sync period. */
void health_init(struct health *health, int64_t sync_period_ms);
/* Another sync period, all else stays. */
void health_set_period(struct health *health, int64_t sync_period_ms);
/* A change waits. Later ones do not move the stamp of the oldest. */
void health_queued(struct health *health, enum family family, struct health_time now);
/* A sync took in all that waited; also called once when the walk starts, so that the family appears. */
void health_updated(struct health *health, enum family family, struct health_time now);
/* No known family is late. The node's eligibility does not count here. */
bool health_is_healthy(const struct health *health, struct health_time now);
/* Adds the page's JSON to body, returns its status: 200 or 503. */
unsigned health_format(const struct health *health, enum health_page page, struct health_time now,
                       struct text *body);
