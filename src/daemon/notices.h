/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/service_health.h"

struct daemon;

/* What kube-proxy tells the cluster by events, under the same reasons and the same reporting controller
 * (cmd/kube-proxy/app/server.go, server_linux.go, pkg/proxy/healthcheck of 1.36): Starting and
 * IPVSDeprecation of the node, FailedToStartServiceHealthcheck of a Service. The other two,
 * FailedToStartProxierHealthcheck and FailedToStartMetricServer, kube-proxy posts while it ends
 * (--bind-address-hard-fail), too late for them to be written; the log has them. A role without a cluster
 * tells nobody. */

/* daemon->cluster is open; afterwards daemon->events is. */
void notices_open(struct daemon *daemon);
/* want cannot be served; sentence says why. */
void notices_service_health(struct daemon *daemon, const struct service_health_want *want,
                            const char *sentence);
void notices_close(struct daemon *daemon);
