/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/options.h"

/* Gives up, for the rest of this process, what the daemon that has these options will not need; the first
 * call counts. Before it opens anything: all that comes from outside is read by a process that can do little.
 * What cannot be given up here is told in one warning. */
void confinement_enter(const struct options *options);
