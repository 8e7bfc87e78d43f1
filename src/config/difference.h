/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/proxy_config.h"

/* Calls visit with each top-level field (clientConnection, mode, ...) of which --write-config-to would write
 * another value, in the order of names. PURE. */
void config_difference(const struct proxy_config *before, const struct proxy_config *after,
                       void (*visit)(void *context, const char *field), void *context);
