/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "dataplane/ipvs/holdings.h"

/* Says what the kernel has for one frontend: its virtual servers, by address and by mark, with the real
 * servers and their connections, and the sets that it is in. 0 when it agrees with the entry, 1 when it
 * differs, -errno. */
int inspect_servers(struct holdings *holdings, const struct dataplane_node *node, const struct entry *entry,
                    const struct frontend *frontend, struct text *ret, struct err *err);
