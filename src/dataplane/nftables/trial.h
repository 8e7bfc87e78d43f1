/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/kernel.h"

/* Whether the kernel would take the table: all sets, chains and rules of both families, in a transaction
 * whose end it has to refuse, so that nothing of it ever is in force. Modules that it asks for are loaded by
 * that. 0, also where such a table is there, for then it has taken it; else -errno with the first rule that
 * it refuses. */
int trial_run(struct kernel *kernel, struct err *err);
