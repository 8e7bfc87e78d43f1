/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Observations counted by size, as Prometheus has histograms. */

#define HISTOGRAM_BOUNDS_MAX 81

struct histogram {
    const double *bounds; /* ascending upper bounds, each within its bucket; at most HISTOGRAM_BOUNDS_MAX */
    size_t bound_count;
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* each bucket alone; the last is above every bound */
    double sum;
};

void histogram_observe(struct histogram *histogram, double value);
