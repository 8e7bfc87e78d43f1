/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "patch/manage.h"
#include "patch/managers.h"
#include "patch/place.h"

/* One write and what it does to the entries of managedFields (sigs.k8s.io/structured-merge-diff, package
 * merge, and the chain of managers around it). Everything lives in the scope. */

struct ownership {
    struct field_scope scope;
    struct place root;
    const struct manage_actor *actor;
    const struct field_set *stripped; /* in nobody's entry */
    const struct field_set *reset;    /* this write cannot change it */
};

void ownership_init(struct ownership *ownership, const ProtobufCMessageDescriptor *type,
                    const struct manage_actor *actor);
void ownership_done(struct ownership *ownership);

/* An object of which nothing is given: what Go writes of one that is all zero. A new tree. */
json_t *ownership_empty(const ProtobufCMessageDescriptor *type);

/* An update from before to after by a manager of this name. */
void ownership_update(struct ownership *ownership, json_t *before, json_t *after, struct managers *managers,
                      const char *name);

/* An apply of config to live. Sets *ret to the merged tree, or to NULL when that is live as it is, and
 * changes managers. -EEXIST, and *ret_conflicts with an entry and the fields for everybody whose fields would
 * change, unless is_forced. */
int ownership_apply(struct ownership *ownership, json_t *live, json_t *config, bool is_forced,
                    struct managers *managers, json_t **ret, struct managers *ret_conflicts);
