/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>

/* What the patch engines ask of JSON trees beyond libjansson. */

/* Whether containers are nested more than limit deep. Goes no deeper itself. */
bool tree_is_deeper(const json_t *tree, unsigned limit);

/* The order of values in sigs.k8s.io/structured-merge-diff (value.Compare): numbers, whatever their type, by
 * size, then strings, booleans, lists, objects, null. Equal is what compares as 0: unlike json_equal, 1
 * is 1.0. */
int tree_compare(const json_t *a, const json_t *b);
static inline bool tree_is_equal(const json_t *a, const json_t *b)
{
    return tree_compare(a, b) == 0;
}

/* The keys of an object in byte order, borrowed from it; free the array. NULL for an empty object. */
const char **tree_sorted_keys(json_t *object);

/* The tree without the members of objects that are null; tree itself is changed. */
void tree_drop_nulls(json_t *tree);

/* As Go's fmt prints such a value: %v ("map[a:1 b:[x y]]"), or %#v (`map[string]interface {}{"a":1}`).
 * Upstream's sentences hold them. */
void tree_format(json_t *tree, bool is_syntax, struct text *text);

/* A sentence that err_set had to cut loses its last character if that is no longer whole: what is said stays
 * UTF-8. */
void tree_trim_sentence(struct err *err);
