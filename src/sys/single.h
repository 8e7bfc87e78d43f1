/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

/* Makes the caller the only process in this network namespace that holds name, for as long as the descriptor
 * is open: abstract sockets belong to a network namespace and go with their process (unix(7)). -EADDRINUSE
 * with a sentence when another one holds it. */
int single_claim(const char *name, int *ret_fd, struct err *err);
