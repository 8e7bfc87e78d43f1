/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/histogram.h"

void histogram_observe(struct histogram *histogram, double value)
{
    size_t i = 0;
    while (i < histogram->bound_count && value > histogram->bounds[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += value;
}
