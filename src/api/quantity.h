/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/meta.pb-c.h"
#include "api/text_set.h"

#include <stdbool.h>

/* An amount as a number: k8s.io/apimachinery pkg/api/resource, which keeps nine decimal places, rounds the
 * rest away from zero and holds what is larger than 2^63-1 at that. */
#define QUANTITY_ONE ((__int128)1000000000)

/* "1", "500m", "1.5Gi", "2e3" in billionths; false when the text is no quantity. */
bool quantity_parse(const char *text, __int128 *ret_billionths);
/* NULL and what is no quantity count as 0. */
__int128 quantity_value(const Meta__Quantity *quantity);
/* The value under key in a resource list, NULL when it is not there. */
const Meta__Quantity *quantity_find(Meta__QuantityEntry *const *entries, size_t count, const char *key);
/* The keys of a resource list, for many look-ups. */
struct text_set quantity_keys(Meta__QuantityEntry *const *entries, size_t count, struct arena *arena);
