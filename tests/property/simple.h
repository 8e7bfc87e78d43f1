/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "store/store.h"

/* Puts Service ns/NAME into the store, TCP port 80 on one cluster IP, and a slice with these ready endpoints,
 * port 8080. */
void simple_put(struct store *store, const char *name, const struct address *cluster_ip,
                uint32_t affinity_seconds, const struct address *endpoints, unsigned count);
void simple_remove(struct store *store, const char *name);
