/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "patch/field_set.h"

/* The entries of metadata.managedFields as sets (k8s.io/apimachinery pkg/util/managedfields/internal). */

#define MANAGERS_UPDATERS_MAX 10
#define MANAGERS_MAX 4096 /* more are not read: ours, upstream has no bound */

/* An entry. What it is known by: all but time and set; of appliers the apiVersion does not count either.
 * Strings live in the scope or longer. */
struct manager {
    const char *name, *api_version, *subresource;
    const char *time; /* "" for none */
    bool is_applier;
    const struct field_set *set;
};
struct managers {
    struct manager *list;
    size_t count, capacity;
};

/* entries is the JSON list, or NULL. -EINVAL with upstream's sentence for what is no managedFields. */
int managers_decode(struct field_scope *scope, json_t *entries, struct managers *ret, struct err *err);
/* A new list in upstream's order, or NULL when there are none. */
json_t *managers_encode(struct field_scope *scope, const struct managers *managers);
/* Borrowed until the next change; NULL when there is none. */
struct manager *managers_find(const struct managers *managers, const struct manager *wanted);
/* Replaces the entry that is known by the same, or adds one. */
void managers_put(struct field_scope *scope, struct managers *managers, const struct manager *manager);
void managers_remove(struct managers *managers, const struct manager *manager);
/* A copy, so that a change of one does not show in the other. */
struct managers managers_copy(struct field_scope *scope, const struct managers *managers);
/* By name; an applier before an updater of the same name. */
void managers_sort(struct managers *managers);
/* Joins the oldest updaters under the name "ancient-changes" until MANAGERS_UPDATERS_MAX are left. */
void managers_cap(struct field_scope *scope, struct managers *managers);
/* `"kubectl-edit" using v1`, `"x" with subresource "status"`: upstream's conflicts name managers so. */
void manager_format(const struct manager *manager, struct text *text);
