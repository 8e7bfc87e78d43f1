/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "patch/field_set.h"
#include "patch/place.h"

/* Trees under a schema: what fields they have, how two of them differ, and how they come together
 * (sigs.k8s.io/structured-merge-diff, package typed). A tree may hold what the schema does not know; it is as
 * a scalar then. A path to an item of a list holds the item's key fields, or its value in a set. */

/* -EPROTO with upstream's sentence unless tree has only fields and types of the schema and no list item
 * twice. */
int typed_check(struct field_scope *scope, json_t *tree, const struct place *place, struct err *err);

/* Every leaf and every list item in tree. An atomic list, map or struct is a leaf; so are null and {}. */
const struct field_set *typed_fields(struct field_scope *scope, json_t *tree, const struct place *place);

struct typed_change {
    const struct field_set *removed, *modified, *added;
};
struct typed_change typed_compare(struct field_scope *scope, json_t *before, json_t *after,
                                  const struct place *place);

/* live with what config has in it; config wins. Nothing is removed. A new tree, or NULL for nothing at all.
 */
json_t *typed_merge(struct field_scope *scope, json_t *live, json_t *config, const struct place *place);

/* tree without the fields and items in set; a new tree. What is emptied stays as an empty list or object. */
json_t *typed_remove(struct field_scope *scope, json_t *tree, const struct field_set *set,
                     const struct place *place);

/* set as the schema of now would have it: what is inside of what is atomic counts as the whole. */
const struct field_set *typed_reconcile(struct field_scope *scope, const struct field_set *set,
                                        const struct place *place);
/* set and, of each field of a struct that something in set is inside of, the field itself. */
const struct field_set *typed_with_parents(struct field_scope *scope, const struct field_set *set,
                                           const struct place *place);

/* The item's element; -EPROTO with upstream's sentence when it has none. */
int typed_element(struct field_scope *scope, const struct place *list, json_t *item,
                  struct field_element *ret, struct err *err);

/* Items of a list with their elements; those without an element are left out. */
struct typed_item {
    struct field_element element;
    json_t *value;
    size_t position;               /* among those left */
    const struct typed_item *twin; /* the next item of the same element */
    bool is_twin;                  /* not the first one of its element */
};
struct typed_items {
    struct typed_item *list;          /* in the list's order */
    const struct typed_item **sorted; /* the first one of each element, by element */
    size_t count, sorted_count;
};
void typed_items_build(struct field_scope *scope, const struct place *place, json_t *list,
                       struct typed_items *ret);
/* The first item of the element, or NULL. */
const struct typed_item *typed_items_find(const struct typed_items *items,
                                          const struct field_element *element);
