/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/strategy.h"
#include "apiserver/write.h"

#include <string.h>

/* The finalizers by which the garbage collector (collect.h) is asked to deal with what an object owns, before
 * it goes: k8s.io/apimachinery, metav1.FinalizerOrphanDependents and FinalizerDeleteDependents. */
#define FINALIZER_ORPHAN "orphan"
#define FINALIZER_FOREGROUND "foregroundDeletion"

/* Ten years: a time that every clock and calendar on the way can hold. */
#define GRACE_MAX_S ((int64_t)10 * 365 * 86400)

static bool check_preconditions(struct write *write, const Meta__ObjectMeta *metadata,
                                const struct delete_options *options)
{
    struct status_subject subject = target_subject(write->target);
    const char *why = NULL;
    bool is_namespace = write->target->resource->kind == API_NAMESPACE;
    /* Upstream names the Kind here, not the resource, and has other words for namespaces. */
    subject.plural = is_namespace ? subject.plural : subject.kind;
    if (is_namespace && *options->uid && strcmp(options->uid, api_text(metadata->uid)) != 0)
        why =
            arena_printf(write->arena, "Precondition failed: UID in precondition: %s, UID in object meta: %s",
                         options->uid, api_text(metadata->uid));
    else if (*options->uid && strcmp(options->uid, api_text(metadata->uid)) != 0)
        why =
            arena_printf(write->arena,
                         "the UID in the precondition (%s) does not match the UID in record (%s). The object "
                         "might have been deleted and then recreated",
                         options->uid, api_text(metadata->uid));
    else if (*options->resource_version &&
             strcmp(options->resource_version, api_text(metadata->resourceversion)) != 0)
        why =
            arena_printf(write->arena,
                         "the ResourceVersion in the precondition (%s) does not match the ResourceVersion in "
                         "record (%s). The object might have been modified",
                         options->resource_version, api_text(metadata->resourceversion));
    if (why)
        status_conflict(&write->outcome->status, write->arena, &subject, why);
    return !why;
}

static bool has_finalizer(const Meta__ObjectMeta *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->n_finalizers; i++)
        if (strcmp(metadata->finalizers[i], name) == 0)
            return true;
    return false;
}

static void add_finalizer(struct write *write, Meta__ObjectMeta *metadata, const char *name)
{
    if (has_finalizer(metadata, name))
        return;
    char **list = arena_alloc(write->arena, (metadata->n_finalizers + 1) * sizeof(*list));
    if (metadata->n_finalizers)
        memcpy(list, metadata->finalizers, metadata->n_finalizers * sizeof(*list));
    list[metadata->n_finalizers++] = arena_strdup(write->arena, name);
    metadata->finalizers = list;
}

static bool drop_finalizer(Meta__ObjectMeta *metadata, const char *name)
{
    size_t kept = 0, count = metadata->n_finalizers;
    for (size_t i = 0; i < count; i++)
        if (strcmp(metadata->finalizers[i], name) != 0)
            metadata->finalizers[kept++] = metadata->finalizers[i];
    metadata->n_finalizers = kept;
    return kept < count;
}

/* What the policy says of the collector's finalizers, also where an earlier delete said otherwise. */
static bool settle_policy(struct write *write, Meta__ObjectMeta *metadata, const char *policy)
{
    bool wants_orphan = strcmp(policy, "Orphan") == 0, wants_foreground = strcmp(policy, "Foreground") == 0;
    size_t before = metadata->n_finalizers;
    bool is_changed = false;
    if (*policy && !wants_orphan)
        is_changed |= drop_finalizer(metadata, FINALIZER_ORPHAN);
    if (*policy && !wants_foreground)
        is_changed |= drop_finalizer(metadata, FINALIZER_FOREGROUND);
    if (wants_orphan)
        add_finalizer(write, metadata, FINALIZER_ORPHAN);
    if (wants_foreground)
        add_finalizer(write, metadata, FINALIZER_FOREGROUND);
    return is_changed || metadata->n_finalizers != before;
}

/* Marks the object as being deleted: it goes when its time is over and its finalizers are gone. */
static void begin_deletion(struct write *write, ProtobufCMessage *message, int64_t grace_seconds)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    struct err err;
    int64_t at = write->world->now(write->world->context) + grace_seconds;
    if (!metadata->deletiontimestamp && metadata->has_generation && metadata->generation > 0)
        metadata->generation++;
    if (!metadata->deletiontimestamp || metadata->deletiontimestamp->seconds > at)
        metadata->deletiontimestamp = write_time(write, at);
    metadata->has_deletiongraceperiodseconds = write->target->resource->kind != API_NAMESPACE;
    metadata->deletiongraceperiodseconds = grace_seconds;
    if (write->target->resource->kind == API_NAMESPACE) {
        Core__Namespace *namespace_ = (Core__Namespace *)message;
        namespace_->status->phase = arena_strdup(write->arena, "Terminating");
    }
    write->outcome->object = message;
    if (!write->options->is_dry_run &&
        registry_put(write->world->registry, write->target->resource->kind, message, NULL, &err) < 0)
        write_refuse(write, 500, "InternalError", arena_strdup(write->arena, err.text));
}

static bool is_immortal(const char *namespace_)
{
    return strcmp(namespace_, "default") == 0 || strcmp(namespace_, "kube-system") == 0 ||
           strcmp(namespace_, "kube-public") == 0;
}

bool verb_check_policy(struct write *write, const char *policy)
{
    static const char *const known[] = {"", "Orphan", "Background", "Foreground"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(policy, known[i]) == 0)
            return true;
    struct faults faults;
    faults_init(&faults, write->arena);
    const struct status_subject options = {
        .group = "meta.k8s.io", .plural = "", .kind = "DeleteOptions", .name = ""};
    static const char *const supported[] = {"Foreground", "Background", "Orphan", "nil", NULL};
    fault_unsupported(&faults, path_field(NULL, "propagationPolicy"), policy, supported);
    status_invalid(&write->outcome->status, write->arena, &options, &faults);
    return false;
}

/* The grace that counts here: what is asked for, or the kind's own; only pods and namespaces have any. */
static int64_t grace_of(struct write *write, const ProtobufCMessage *message,
                        const struct delete_options *options)
{
    const int64_t *requested = options->grace_seconds < 0 ? NULL : &options->grace_seconds;
    int64_t grace = strategy_grace_seconds(write->target->resource->kind, message, requested);
    const Meta__ObjectMeta *metadata = api_metadata(message);
    if (metadata->deletiontimestamp && options->grace_seconds < 0)
        return metadata->deletiongraceperiodseconds;
    return grace < GRACE_MAX_S ? grace : GRACE_MAX_S;
}

void verb_delete(struct write *write, const struct delete_options *options)
{
    const struct registry_object *object =
        verb_check_policy(write, options->propagation_policy) ? write_find(write) : NULL;
    if (!object)
        return;
    ProtobufCMessage *message = registry_decode(object, write->arena);
    Meta__ObjectMeta *metadata = api_metadata(message);
    enum api_kind kind = object->kind;
    struct status_subject subject = target_subject(write->target);
    if (!check_preconditions(write, metadata, options))
        return;
    if (kind == API_NAMESPACE && is_immortal(object->name)) {
        status_forbidden(&write->outcome->status, write->arena, &subject,
                         "this namespace may not be deleted");
        return;
    }
    bool is_changed = settle_policy(write, metadata, options->propagation_policy);
    int64_t grace = grace_of(write, message, options);
    bool is_held = metadata->n_finalizers > 0 ||
                   (kind == API_NAMESPACE && ((Core__Namespace *)message)->spec->n_finalizers > 0);
    bool is_pending = metadata->deletiontimestamp && (is_held || metadata->deletiongraceperiodseconds > 0);
    write->outcome->code = 200;
    /* The time that is left may only become shorter. */
    if (is_pending && !is_changed && grace >= metadata->deletiongraceperiodseconds) {
        write->outcome->object = message;
    } else if (grace > 0 || is_held) {
        begin_deletion(write, message, grace);
    } else if (write->options->is_dry_run) {
        write->outcome->object = message;
    } else {
        registry_ref(object);
        /* Who watches a pod sees it ending before it is gone. */
        if (strategy_is_graceful(kind))
            begin_deletion(write, message, 0);
        if (write->outcome->status.code == 0)
            write_remove(write, object);
        registry_unref(object);
    }
}
