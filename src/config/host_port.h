/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "net/address.h"

#include <stdbool.h>

/* Addresses in texts of a configuration, in every form that kube-proxy takes. */

/* "HOST:PORT" or "[HOST]:PORT" in two, as Go's net.SplitHostPort; either may be "". false when a port is
 * missing or brackets and colons do not fit. In the arena. */
bool host_port_split(const char *text, struct arena *arena, const char **ret_host, const char **ret_port);
/* Why a text is not in that form, in Go's words; NULL when it is. */
const char *host_port_fault(const char *text);
/* A prefix with leading zeros or host bits, too (k8s.io/utils/net, ParseCIDRSloppy); host bits are cleared.
 */
bool prefix_parse_loosely(const char *text, struct arena *arena, struct prefix *ret);
