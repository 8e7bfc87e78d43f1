/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/histogram.h"
#include "base/text.h"

/* The Prometheus text format 0.0.4, as Go's client writes it: label values are compared as text, so that a
 * bucket has to be "1.048576e+06" where kube-proxy has that. */

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

/* Appends the two lines above a family's samples; type is "counter", "gauge" or "histogram". */
void exposition_family(struct text *text, const char *name, const char *type, const char *help);
/* Appends key="value" to labels. */
void exposition_label(struct text *labels, const char *key, const char *value);
/* Appends one sample, or all those of a histogram, with these labels. */
void exposition_sample(struct text *text, const char *name, const struct text *labels, double value);
void exposition_histogram(struct text *text, const char *name, const struct text *labels,
                          const struct histogram *histogram);
