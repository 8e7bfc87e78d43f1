/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>

/* Sets of fields of an object, and their form in metadata.managedFields: FieldsV1 (KEP-555;
 * sigs.k8s.io/structured-merge-diff, package fieldpath). A set never changes once it is built, so sets share
 * what they have in common; the empty set is NULL. */

/* Memory of all sets of one piece of work. */
struct field_scope {
    struct arena arena;
    json_t *values; /* keeps what elements refer to */
};

void field_scope_init(struct field_scope *scope);
void field_scope_done(struct field_scope *scope);

/* One step of a path. Steps are ordered by kind, then by what they hold. */
enum field_kind { FIELD_NAME, FIELD_KEY, FIELD_VALUE, FIELD_INDEX };

struct field_element {
    enum field_kind kind;
    const char *name; /* FIELD_NAME: in a struct or a map */
    json_t *value;   /* FIELD_KEY: an object of an item's key fields, sorted; FIELD_VALUE: an item of a set */
    long long index; /* FIELD_INDEX */
};

struct field_entry {
    struct field_element element;
    bool is_member;                /* the field itself */
    const struct field_set *below; /* what is inside of it; NULL for nothing */
};

struct field_set {
    size_t count;
    struct field_entry *entries; /* sorted, each a member or with something below */
};

/* Elements that the scope keeps alive. */
struct field_element field_name(struct field_scope *scope, const char *name);
/* Takes key, an object whose members are sorted by name. */
struct field_element field_key(struct field_scope *scope, json_t *key);
struct field_element field_value(struct field_scope *scope, json_t *value);
int field_element_cmp(const struct field_element *a, const struct field_element *b);
/* ".spec", `[port=80,protocol="TCP"]`, `["x"]`, "[7]" */
void field_element_format(const struct field_element *element, struct text *text);

/* Entries on their way into a set. */
struct field_entries {
    struct field_entry *list;
    size_t count, capacity;
};

/* Leaves out an entry that says nothing. */
void field_entries_add(struct field_scope *scope, struct field_entries *entries, struct field_entry entry);
/* The entries, in any order; those of one element become one. */
const struct field_set *field_set_build(struct field_scope *scope, struct field_entries *entries);

const struct field_set *field_set_union(struct field_scope *scope, const struct field_set *a,
                                        const struct field_set *b);
const struct field_set *field_set_intersection(struct field_scope *scope, const struct field_set *a,
                                               const struct field_set *b);
/* The fields of a that are not in b; a field stays when only what is inside of it is in b. */
const struct field_set *field_set_difference(struct field_scope *scope, const struct field_set *a,
                                             const struct field_set *b);
/* The same, and what is inside of a field of b goes with it. */
const struct field_set *field_set_without(struct field_scope *scope, const struct field_set *a,
                                          const struct field_set *b);
bool field_set_is_equal(const struct field_set *a, const struct field_set *b);
/* Borrowed; NULL when nothing is known of the element. */
const struct field_entry *field_set_find(const struct field_set *set, const struct field_element *element);
/* A set of one field, whose path is of names and ends in NULL. */
const struct field_set *field_set_of(struct field_scope *scope, const char *const *names);

/* Calls visit with the path of each field in upstream's order: the fields of a level before what is inside of
 * them. */
void field_set_visit(const struct field_set *set, void (*visit)(void *context, const char *path),
                     void *context);

/* FieldsV1; a new reference. */
json_t *field_set_encode(const struct field_set *set);
/* -EINVAL for what is no FieldsV1. Elements of kinds that we do not know are passed over, as upstream does.
 */
int field_set_decode(struct field_scope *scope, json_t *fields, const struct field_set **ret,
                     struct err *err);
