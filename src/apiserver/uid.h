/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdint.h>

/* metadata.uid of 128 random bits, as RFC 9562, version 4, writes it. */
char *uid_make(uint64_t high, uint64_t low, struct arena *arena);
