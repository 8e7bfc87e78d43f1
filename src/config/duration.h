/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

/* Go's durations (time.ParseDuration, time.Duration.String), in nanoseconds. */

#define DURATION_MS ((int64_t)1000000)
#define DURATION_SECOND (1000 * DURATION_MS)
#define DURATION_MINUTE (60 * DURATION_SECOND)
#define DURATION_HOUR (60 * DURATION_MINUTE)

/* "1h30m", "-1.5s", "0"; units ns, us, ms, s, m, h. -EINVAL with Go's sentence. What is finer than a
 * nanosecond is cut off. */
int duration_parse(const char *text, int64_t *ret_ns, struct err *err);
/* "24h0m0s", "1.5s", "0s". In the arena. */
const char *duration_format(int64_t ns, struct arena *arena);
