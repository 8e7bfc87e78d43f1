/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/ownership.h"

#include "base/cleanup.h"
#include "patch/tree.h"
#include "patch/typed.h"

#include <errno.h>
#include <string.h>

static void add_path(struct field_scope *scope, const struct field_set **set, const char *first,
                     const char *second)
{
    const char *const names[] = {first, second, NULL};
    *set = field_set_union(scope, *set, field_set_of(scope, names));
}

void ownership_init(struct ownership *ownership, const ProtobufCMessageDescriptor *type,
                    const struct manage_actor *actor)
{
    static const char *const metadata[] = {"name",       "namespace",     "creationTimestamp",
                                           "selfLink",   "uid",           "clusterName",
                                           "generation", "managedFields", "resourceVersion"};
    static const char *const roots[] = {"apiVersion", "kind", "metadata"};
    *ownership = (struct ownership){.actor = actor};
    struct field_scope *scope = &ownership->scope;
    field_scope_init(scope);
    place_root(type, &ownership->root);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        add_path(scope, &ownership->stripped, roots[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(metadata); i++)
        add_path(scope, &ownership->stripped, "metadata", metadata[i]);
    /* GetResetFields of the strategies in kubernetes pkg/registry/core. Kinds without a status reset nothing.
     */
    if (!api_field_find(type, "status"))
        return;
    bool is_status = strcmp(actor->subresource, "status") == 0;
    add_path(scope, &ownership->reset, is_status ? "spec" : "status", NULL);
    if (is_status && strcmp(type->short_name, "Pod") == 0) {
        add_path(scope, &ownership->reset, "metadata", "deletionTimestamp");
        add_path(scope, &ownership->reset, "metadata", "ownerReferences");
    }
}

void ownership_done(struct ownership *ownership)
{
    field_scope_done(&ownership->scope);
}

static json_t *empty_value(const ProtobufCFieldDescriptor *field)
{
    if (api_field_shape(field) == API_SHAPE_STRUCT)
        return ownership_empty(api_field_struct(field));
    if (api_field_shape(field) != API_SHAPE_SCALAR || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return json_null();
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return json_string("");
    return field->type == PROTOBUF_C_TYPE_BOOL ? json_false() : json_integer(0);
}

json_t *ownership_empty(const ProtobufCMessageDescriptor *type)
{
    json_t *tree = json_object();
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct api_field *rules = api_field(type, i);
        if (rules->is_always || rules->is_null)
            json_object_set_new(tree, type->fields[i].name,
                                rules->is_null ? json_null() : empty_value(&type->fields[i]));
    }
    return tree;
}

/* Entries of versions that are not this one go: there is nothing to compare them by. */
static void reconcile(struct ownership *ownership, struct managers *managers)
{
    struct managers left = {0};
    for (size_t i = 0; i < managers->count; i++) {
        struct manager manager = managers->list[i];
        if (strcmp(manager.api_version, ownership->actor->api_version) != 0)
            continue;
        manager.set = typed_reconcile(&ownership->scope, manager.set, &ownership->root);
        managers_put(&ownership->scope, &left, &manager);
    }
    *managers = left;
}

static struct typed_change compare(struct ownership *ownership, json_t *before, json_t *after)
{
    struct field_scope *scope = &ownership->scope;
    struct typed_change change = typed_compare(scope, before, after, &ownership->root);
    change.removed = field_set_without(scope, change.removed, ownership->reset);
    change.modified = field_set_without(scope, change.modified, ownership->reset);
    change.added = field_set_without(scope, change.added, ownership->reset);
    return change;
}

/* What managers lose to a change, but for the one who made it; an entry for each who loses something. */
static struct managers find_losses(struct ownership *ownership, const struct managers *managers,
                                   const struct manager *self, const struct field_set *changed)
{
    struct managers losses = {0};
    const struct manager *spared = self ? managers_find(managers, self) : NULL;
    for (size_t i = 0; i < managers->count; i++) {
        struct manager loss = managers->list[i];
        loss.set = field_set_intersection(&ownership->scope, loss.set, changed);
        if (loss.set && &managers->list[i] != spared)
            managers_put(&ownership->scope, &losses, &loss);
    }
    return losses;
}

/* Takes away what is lost and what is no more; who has nothing left goes. */
static void yield_fields(struct ownership *ownership, struct managers *managers, const struct manager *self,
                         const struct managers *losses, const struct field_set *removed)
{
    struct field_scope *scope = &ownership->scope;
    struct managers left = {0};
    const struct manager *spared = self ? managers_find(managers, self) : NULL;
    for (size_t i = 0; i < managers->count; i++) {
        struct manager manager = managers->list[i];
        if (&managers->list[i] != spared) {
            const struct manager *loss = managers_find(losses, &manager);
            manager.set = field_set_difference(scope, manager.set, loss ? loss->set : NULL);
            manager.set = field_set_difference(scope, manager.set, removed);
        }
        if (manager.set)
            managers_put(scope, &left, &manager);
    }
    *managers = left;
}

static struct manager identity(const struct ownership *ownership, const char *name, bool is_applier)
{
    return (struct manager){.name = *name ? name : "unknown",
                            .api_version = ownership->actor->api_version,
                            .subresource = ownership->actor->subresource,
                            .time = "",
                            .is_applier = is_applier};
}

void ownership_update(struct ownership *ownership, json_t *before, json_t *after, struct managers *managers,
                      const char *name)
{
    struct field_scope *scope = &ownership->scope;
    reconcile(ownership, managers);
    struct typed_change change = compare(ownership, before, after);
    const struct field_set *changed = field_set_union(scope, change.modified, change.added);
    struct managers losses = find_losses(ownership, managers, NULL, changed);
    yield_fields(ownership, managers, NULL, &losses, change.removed);
    struct manager self = identity(ownership, name, false);
    self.set = field_set_difference(scope, changed, ownership->stripped);
    if (self.set) {
        const struct manager *old = managers_find(managers, &self);
        self.set = field_set_union(scope, self.set, old ? old->set : NULL);
        self.time = ownership->actor->time;
        managers_put(scope, managers, &self);
    }
    managers_cap(scope, managers);
}

static const struct field_set *fields_with_parents(struct ownership *ownership, json_t *tree)
{
    const struct field_set *fields = typed_fields(&ownership->scope, tree, &ownership->root);
    return typed_with_parents(&ownership->scope, fields, &ownership->root);
}

static const struct field_set *owned_by_any(struct ownership *ownership, const struct managers *managers)
{
    const struct field_set *owned = NULL;
    for (size_t i = 0; i < managers->count; i++)
        owned = field_set_union(&ownership->scope, owned, managers->list[i].set);
    return typed_with_parents(&ownership->scope, owned, &ownership->root);
}

static json_t *remove_fields(struct ownership *ownership, json_t *tree, const struct field_set *fields)
{
    json_t *left = typed_remove(&ownership->scope, tree, fields, &ownership->root);
    return left ? left : json_object();
}

/* Removes from merged what the applier had in last and neither he nor anybody else has in managers. Two
 * rounds put back what goes too far: what somebody owns inside of a removed field, and what was never the
 * applier's. */
static json_t *prune(struct ownership *ownership, json_t *merged, const struct managers *managers,
                     const struct field_set *last)
{
    struct field_scope *scope = &ownership->scope;
    if (!last)
        return json_incref(merged);
    last = typed_with_parents(scope, last, &ownership->root);
    const struct field_set *all = fields_with_parents(ownership, merged);
    const struct field_set *owned = owned_by_any(ownership, managers);
    cleanup_with(json_decrefp) json_t *pruned = remove_fields(ownership, merged, last);
    const struct field_set *kept = field_set_union(scope, fields_with_parents(ownership, pruned), owned);
    cleanup_with(json_decrefp) json_t *with_owned =
        remove_fields(ownership, merged, field_set_difference(scope, all, kept));
    const struct field_set *gone =
        field_set_difference(scope, all, fields_with_parents(ownership, with_owned));
    return remove_fields(ownership, merged, field_set_intersection(scope, gone, last));
}

int ownership_apply(struct ownership *ownership, json_t *live, json_t *config, bool is_forced,
                    struct managers *managers, json_t **ret, struct managers *ret_conflicts)
{
    struct field_scope *scope = &ownership->scope;
    struct managers changed_managers = managers_copy(scope, managers);
    reconcile(ownership, &changed_managers);
    struct manager self = identity(ownership, ownership->actor->manager, true);
    const struct manager *last = managers_find(&changed_managers, &self);
    const struct field_set *last_set = last ? last->set : NULL;
    self.time = last ? last->time : "";
    self.set = field_set_without(scope, typed_fields(scope, config, &ownership->root), ownership->reset);
    managers_put(scope, &changed_managers, &self);

    cleanup_with(json_decrefp) json_t *merged = typed_merge(scope, live, config, &ownership->root);
    cleanup_with(json_decrefp) json_t *result = prune(ownership, merged, &changed_managers, last_set);
    struct typed_change change = compare(ownership, live, result);
    const struct field_set *changed = field_set_union(scope, change.modified, change.added);
    struct managers losses = find_losses(ownership, &changed_managers, &self, changed);
    if (!is_forced && losses.count > 0) {
        *ret_conflicts = losses;
        return -EEXIST;
    }
    yield_fields(ownership, &changed_managers, &self, &losses, change.removed);
    bool is_same = tree_is_equal(live, result);
    if (!is_same)
        self.time = ownership->actor->time;
    self.set = field_set_difference(scope, self.set, ownership->stripped);
    if (self.set)
        managers_put(scope, &changed_managers, &self);
    else
        managers_remove(&changed_managers, &self);
    *managers = changed_managers;
    *ret = is_same ? NULL : steal_pointer(&result);
    return 0;
}
