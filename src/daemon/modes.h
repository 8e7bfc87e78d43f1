/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

/* The dataplanes, by the names that --proxy-mode has for them. */

/* The dataplane that mode asks for, when this kernel can do it; "auto" is the first of the best that it can.
 * -errno with the reason. */
int modes_choose(const char *mode, const struct dataplane_ops **ret, struct err *err);
/* Whether there is a dataplane of that name, or it is "auto". PURE. */
bool modes_has(const char *mode);
/* "nftables, iptables, auto" */
const char *modes_list(void);
