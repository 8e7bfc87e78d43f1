/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

/* kube-proxy's first mode (until 1.25): portals in the nat table lead to listening sockets of this process,
 * which passes TCP and UDP on to endpoints. Decision 0010. */
extern const struct dataplane_ops userspace_dataplane;
