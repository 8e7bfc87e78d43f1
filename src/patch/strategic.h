/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <jansson.h>

/* Lists inside a strategic merge patch. An item is known by the value of its merge key, or by itself when
 * merge_key is
 * "". Sentences and codes are those of patch.h; trees in *ret are new references. */

/* The text by which an item is known; free it. */
int strategic_key(json_t *item, const char *merge_key, char **ret, struct err *err);
/* An object: the text of each item -> where it stands first. */
int strategic_index(json_t *list, const char *merge_key, json_t **ret, struct err *err);
/* merged in order: what wanted names in its order, the rest in the order of live, and each of the rest before
 * the first of the named that follows it in live. */
int strategic_order(json_t *merged, json_t *wanted, json_t *live, const char *merge_key, json_t **ret,
                    struct err *err);
/* Fails unless all items of list stand in wanted in the same order; those with a directive do not count, and
 * an empty wanted says nothing. */
int strategic_check_order(json_t *list, json_t *wanted, const char *merge_key, struct err *err);
/* -EPROTO: "expected a WANTED, but received a ...", in Go's names for types. */
int strategic_bad_type(const char *wanted, const json_t *value, struct err *err);
