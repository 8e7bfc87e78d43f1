/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* At most one write in a while: kube-proxy's minSyncPeriod (pkg/proxy/runner, BoundedFrequencyRunner). The
 * first change after a quiet time is not held up; what comes soon after a write waits and goes together.
 * PURE: the time, in milliseconds of any clock that never goes back, is handed in. Start from {0}. */

struct pace {
    uint64_t wrote_ms;
    bool has_written;
};

/* How long a write has to wait still, at now_ms, so that min_ms are between the beginnings of two. 0: not at
 * all. */
uint64_t pace_delay_ms(const struct pace *pace, uint64_t now_ms, uint64_t min_ms);
/* A write begins. */
void pace_note(struct pace *pace, uint64_t now_ms);
