/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/write.h"

#include "api/strategy.h"
#include "api/validate.h"
#include "api/wire.h"
#include "apiserver/face.h"
#include "apiserver/services.h"
#include "apiserver/uid.h"
#include "base/cleanup.h"
#include "patch/manage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define GENERATE_TRIES 8
#define GENERATED_LEN 5
#define GENERATE_BASE_MAX (63 - GENERATED_LEN)

void outcome_warn(struct outcome *outcome, struct arena *arena, const char *sentence)
{
    const char **list = arena_alloc(arena, (outcome->warning_count + 1) * sizeof(*list));
    if (outcome->warning_count)
        memcpy(list, outcome->warnings, outcome->warning_count * sizeof(*list));
    list[outcome->warning_count++] = sentence;
    outcome->warnings = list;
}

static enum api_kind kind_of(const struct write *write)
{
    return write->target->resource->kind;
}

bool write_refuse(struct write *write, unsigned code, const char *reason, const char *message)
{
    status_generic(&write->outcome->status, code, reason, message);
    return false;
}

bool write_refuse_conflict(struct write *write, const char *why)
{
    struct status_subject subject = target_subject(write->target);
    status_conflict(&write->outcome->status, write->arena, &subject, why);
    return false;
}

bool write_refuse_invalid(struct write *write, const char *name, const struct faults *faults)
{
    struct status_subject subject = target_subject(write->target);
    subject.name = name;
    status_invalid(&write->outcome->status, write->arena, &subject, faults);
    return false;
}

Meta__Time *write_time(struct write *write, int64_t seconds)
{
    Meta__Time *time = arena_alloc(write->arena, sizeof(*time));
    meta__time__init(time);
    time->has_seconds = true;
    time->seconds = seconds;
    return time;
}

const struct registry_object *write_find(struct write *write)
{
    const struct target *target = write->target;
    const struct registry_object *object =
        registry_get(write->world->registry, kind_of(write), target->namespace_, target->name);
    struct status_subject subject = target_subject(target);
    if (!object)
        status_not_found(&write->outcome->status, write->arena, &subject);
    return object;
}

static uint64_t random_of(const struct write *write)
{
    return write->world->random(write->world->context);
}

/* k8s.io/apiserver/pkg/storage/names: five letters that make no words. */
static char *generate_name(struct write *write, const char *base)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char tail[GENERATED_LEN + 1] = "";
    for (int i = 0; i < GENERATED_LEN; i++)
        tail[i] = letters[random_of(write) % (sizeof(letters) - 1)];
    return arena_printf(write->arena, "%.*s%s", GENERATE_BASE_MAX, base, tail);
}

static bool is_taken(const struct write *write, const char *name)
{
    return registry_get(write->world->registry, kind_of(write), write->target->namespace_, name) != NULL;
}

/* One that nobody has, as far as a few tries find it. */
static char *free_name(struct write *write, const char *base)
{
    char *name = NULL;
    for (int i = 0; i < GENERATE_TRIES; i++) {
        name = generate_name(write, base);
        if (!is_taken(write, name))
            break;
    }
    return name;
}

/* A namespace must be there, and stay (upstream's admission plugin NamespaceLifecycle). */
static bool check_namespace(struct write *write, const char *name)
{
    const char *namespace_ = write->target->namespace_;
    if (!write->target->resource->is_namespaced)
        return true;
    const struct registry_object *found = registry_get(write->world->registry, API_NAMESPACE, "", namespace_);
    struct status_subject missing = {
        .group = "", .plural = "namespaces", .kind = "Namespace", .name = namespace_};
    if (!found) {
        status_not_found(&write->outcome->status, write->arena, &missing);
        return false;
    }
    const Core__Namespace *message = (const Core__Namespace *)registry_decode(found, write->arena);
    if (!message->metadata->deletiontimestamp)
        return true;
    static const struct fault causes[] = {{.reason = "NamespaceTerminating", .field = "metadata.namespace"}};
    struct fault *cause = arena_alloc(write->arena, sizeof(*cause));
    *cause = causes[0];
    cause->message = arena_printf(write->arena, "namespace %s is being terminated", namespace_);
    struct status_subject subject = target_subject(write->target);
    subject.name = name;
    status_forbidden(&write->outcome->status, write->arena, &subject,
                     arena_printf(write->arena,
                                  "unable to create new content in namespace %s because it is being "
                                  "terminated",
                                  namespace_));
    write->outcome->status.causes = cause;
    write->outcome->status.cause_count = 1;
    return false;
}

/* Packed bytes are canonical, so equal bytes are an equal object. */
static bool is_unchanged(const struct registry_object *before, ProtobufCMessage *next)
{
    struct text packed = {0};
    wire_pack(next, &packed);
    bool is_same = packed.len == before->len && memcmp(packed.data, before->data, packed.len) == 0;
    text_done(&packed);
    return is_same;
}

/* An update that takes the last finalizer off an object that is being deleted removes it. */
static bool is_last_finalizer_gone(enum api_kind kind, const ProtobufCMessage *next,
                                   const ProtobufCMessage *before)
{
    const Meta__ObjectMeta *metadata = api_metadata(next), *old = api_metadata(before);
    if (!old->deletiontimestamp || metadata->n_finalizers > 0)
        return false;
    if (kind == API_NAMESPACE)
        return ((const Core__Namespace *)next)->spec->n_finalizers == 0;
    return old->n_finalizers > 0 &&
           (!old->has_deletiongraceperiodseconds || old->deletiongraceperiodseconds == 0);
}

static bool refuse_taken(struct write *write, const struct status_subject *subject)
{
    const struct registry_object *there =
        registry_get(write->world->registry, kind_of(write), write->target->namespace_, subject->name);
    struct status *status = &write->outcome->status;
    status_already_exists(status, write->arena, subject);
    if (api_metadata(registry_decode(there, write->arena))->deletiontimestamp)
        status->message = arena_printf(write->arena, "object is being deleted: %s", status->message);
    return false;
}

static bool put(struct write *write, const struct registry_object *before_object,
                const ProtobufCMessage *before, ProtobufCMessage *next)
{
    struct err err;
    struct status_subject subject = target_subject(write->target);
    subject.name = api_text(api_metadata(next)->name);
    if (!before && *api_text(api_metadata(next)->resourceversion))
        return write_refuse(write, 500, "", "resourceVersion should not be set on objects to be created");
    if (!before && is_taken(write, subject.name))
        return refuse_taken(write, &subject);
    if (write->options->is_dry_run || (before_object && is_unchanged(before_object, next)))
        return true;
    if (before && is_last_finalizer_gone(kind_of(write), next, before))
        return write_remove(write, before_object);
    int code = registry_put(write->world->registry, kind_of(write), next, NULL, &err);
    if (code == -E2BIG)
        return write_refuse(write, 413, "RequestEntityTooLarge", arena_strdup(write->arena, err.text));
    if (code < 0)
        return write_refuse(write, 500, "InternalError",
                            arena_printf(write->arena, "Internal error occurred: %s", err.text));
    return true;
}

struct manage_actor write_actor(struct write *write)
{
    return (struct manage_actor){
        .manager = write->options->manager,
        .api_version = write->target->resource->group_version,
        .subresource = write->target->subresource,
        .time = time_format(write->world->now(write->world->context), write->arena),
    };
}

/* Moves the managedFields of a tree into a message. */
static bool take_managed_fields(struct write *write, json_t *tree, ProtobufCMessage *next)
{
    json_t *list = json_object_get(json_object_get(tree, "metadata"), "managedFields");
    Meta__ObjectMeta *metadata = api_metadata(next);
    metadata->n_managedfields = 0;
    metadata->managedfields = NULL;
    if (!list)
        return true;
    json_t *holder = json_pack("{s:O}", "managedFields", list);
    struct decode_result result;
    wire_decode_tree(holder, &meta__object_meta__descriptor, write->arena, &result);
    json_decref(holder);
    if (result.refusal)
        return write_refuse(write, 500, "InternalError", result.refusal);
    const Meta__ObjectMeta *decoded = (const Meta__ObjectMeta *)result.message;
    metadata->n_managedfields = decoded->n_managedfields;
    metadata->managedfields = decoded->managedfields;
    return true;
}

void write_note_reset(struct write *write, json_t *tree)
{
    json_t *fields = json_object_get(json_object_get(tree, "metadata"), "managedFields");
    write->resets_owners = json_is_array(fields) && json_array_size(fields) == 0;
}

bool write_own_fields(struct write *write, const ProtobufCMessage *before, ProtobufCMessage *next)
{
    const struct resource *resource = write->target->resource;
    json_t *old = before ? face_tree(resource, before, write->arena) : NULL;
    json_t *tree = face_tree(resource, next, write->arena);
    const struct manage_actor actor = write_actor(write);
    if (write->resets_owners)
        json_object_set_new(json_object_get(tree, "metadata"), "managedFields", json_array());
    manage_update(old, tree, resource_type(resource), &actor);
    bool is_done = take_managed_fields(write, tree, next);
    json_decref(old);
    json_decref(tree);
    return is_done;
}

/* A write that changes nothing but times of ownership is to change nothing at all. */
static bool keep_times(struct write *write, const ProtobufCMessage *before, ProtobufCMessage *next)
{
    const struct resource *resource = write->target->resource;
    json_t *old = face_tree(resource, before, write->arena), *tree = face_tree(resource, next, write->arena);
    manage_keep_times(old, tree);
    bool is_done = take_managed_fields(write, tree, next);
    json_decref(old);
    json_decref(tree);
    return is_done;
}

static void judge(struct write *write, const ProtobufCMessage *before, const ProtobufCMessage *next,
                  struct faults *faults)
{
    if (strcmp(write->target->subresource, "status") == 0)
        validate_status_update(faults, kind_of(write), next, before);
    else if (before)
        validate_update(faults, kind_of(write), next, before);
    if (!before || (faults->count == 0 && strcmp(write->target->subresource, "finalize") == 0))
        validate_create(faults, kind_of(write), next);
}

/* The one place where a Service's addresses and ports are given out. */
static bool plan_service(struct write *write, const ProtobufCMessage *before, ProtobufCMessage *next,
                         struct faults *faults, struct services_plan *plan)
{
    const struct world *world = write->world;
    struct err err;
    services_prepare((const Core__Service *)before, (Core__Service *)next, allocator_config(world->allocator),
                     write->arena, faults);
    if (faults->count)
        return true;
    int code = services_plan((const Core__Service *)before, (Core__Service *)next, world->allocator,
                             write->options->is_dry_run, world->random, world->context, write->arena, faults,
                             plan, &err);
    if (code < 0 && faults->count == 0)
        return write_refuse(write, 500, "InternalError",
                            arena_printf(write->arena, "Internal error occurred: %s", err.text));
    return true;
}

/* Allocates, judges and stores, in the order of upstream. */
static bool judge_and_put(struct write *write, const struct registry_object *before_object,
                          const ProtobufCMessage *before, ProtobufCMessage *next)
{
    struct faults faults;
    struct services_plan plan = {0};
    faults_init(&faults, write->arena);
    bool is_service = kind_of(write) == API_SERVICE && !*write->target->subresource;
    if (is_service && !plan_service(write, before, next, &faults, &plan))
        return false;
    if (faults.count == 0)
        judge(write, before, next, &faults);
    bool is_done = faults.count == 0 && (!before || keep_times(write, before, next)) &&
                   put(write, before_object, before, next);
    bool is_removed = write->outcome->object != NULL;
    if (is_done && !is_removed)
        services_commit(&plan);
    else
        services_rollback(&plan);
    if (faults.count)
        return write_refuse_invalid(write, api_text(api_metadata(next)->name), &faults);
    if (is_done && !is_removed)
        write->outcome->object = next;
    return is_done;
}

static void add_warnings(struct write *write, const ProtobufCMessage *next, const ProtobufCMessage *before)
{
    struct strategy_warnings warnings;
    if (strcmp(write->target->subresource, "status") == 0)
        strategy_status_warnings(kind_of(write), next, write->arena, &warnings);
    else
        strategy_warnings(kind_of(write), next, before, write->arena, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        outcome_warn(write->outcome, write->arena, warnings.list[i]);
}

bool write_create(struct write *write, ProtobufCMessage *next)
{
    Meta__ObjectMeta *metadata = api_metadata(next);
    if (!check_namespace(write, api_text(metadata->name)))
        return false;
    if (!*api_text(metadata->name) && *api_text(metadata->generatename))
        metadata->name = free_name(write, metadata->generatename);
    strategy_prepare_create(kind_of(write), next, write->arena);
    metadata->deletiontimestamp = NULL;
    metadata->has_deletiongraceperiodseconds = false;
    metadata->selflink = NULL;
    metadata->uid = uid_make(random_of(write), random_of(write), write->arena);
    metadata->creationtimestamp = write_time(write, write->world->now(write->world->context));
    if (!judge_and_put(write, NULL, NULL, next))
        return false;
    add_warnings(write, next, NULL);
    write->outcome->code = 201;
    return true;
}

static bool check_version(struct write *write, const struct registry_object *before,
                          Meta__ObjectMeta *metadata)
{
    const char *given = api_text(metadata->resourceversion);
    char *current = arena_printf(write->arena, "%" PRIu64, before->revision);
    struct status_subject subject = target_subject(write->target);
    if ((!*given || strcmp(given, "0") == 0) && strategy_allows_unconditional_update(kind_of(write))) {
        metadata->resourceversion = current;
        return true;
    }
    if (!*given || strcmp(given, "0") == 0) {
        struct faults faults;
        faults_init(&faults, write->arena);
        fault_invalid_number(&faults, path_field(path_field(NULL, "metadata"), "resourceVersion"), 0,
                             "must be specified for an update");
        /* Upstream names the resource here, not the kind. */
        subject.kind = subject.plural;
        status_invalid(&write->outcome->status, write->arena, &subject, &faults);
        return false;
    }
    if (strcmp(given, current) == 0)
        return true;
    if (given[strspn(given, "0123456789")])
        return write_refuse(
            write, 500, "",
            arena_printf(write->arena, "strconv.ParseUint: parsing \"%.64s\": invalid syntax", given));
    status_conflict(&write->outcome->status, write->arena, &subject,
                    "the object has been modified; please apply your changes to the latest version and try "
                    "again");
    return false;
}

static bool check_uid(struct write *write, const Meta__ObjectMeta *old, const Meta__ObjectMeta *metadata)
{
    const char *given = api_text(metadata->uid);
    struct status_subject subject = target_subject(write->target);
    if (!*given || write->is_patch || strcmp(given, api_text(old->uid)) == 0)
        return true;
    status_conflict(&write->outcome->status, write->arena, &subject,
                    arena_printf(write->arena,
                                 "Precondition failed: UID in precondition: %s, UID in object "
                                 "meta: %s",
                                 given, api_text(old->uid)));
    return false;
}

static void keep_system_fields(Meta__ObjectMeta *metadata, const Meta__ObjectMeta *old)
{
    if (!*api_text(metadata->uid))
        metadata->uid = old->uid;
    metadata->creationtimestamp = old->creationtimestamp;
    if (old->deletiontimestamp)
        metadata->deletiontimestamp = old->deletiontimestamp;
    if (old->has_deletiongraceperiodseconds && !metadata->has_deletiongraceperiodseconds) {
        metadata->has_deletiongraceperiodseconds = true;
        metadata->deletiongraceperiodseconds = old->deletiongraceperiodseconds;
    }
}

bool write_update(struct write *write, const struct registry_object *before_object, ProtobufCMessage *next)
{
    enum api_kind kind = kind_of(write);
    const ProtobufCMessage *before = registry_decode(before_object, write->arena);
    Meta__ObjectMeta *metadata = api_metadata(next);
    const Meta__ObjectMeta *old = api_metadata(before);
    if (!check_uid(write, old, metadata) || !check_version(write, before_object, metadata))
        return false;
    metadata->has_generation = old->has_generation;
    metadata->generation = old->generation;
    if (strcmp(write->target->subresource, "status") == 0)
        strategy_prepare_status_update(kind, next, before, write->arena);
    else if (!*write->target->subresource)
        strategy_prepare_update(kind, next, before, write->arena);
    if (write->options->keeps_metadata && *write->target->subresource) {
        metadata->n_labels = old->n_labels;
        metadata->labels = old->labels;
        metadata->n_annotations = old->n_annotations;
        metadata->annotations = old->annotations;
        metadata->n_finalizers = old->n_finalizers;
        metadata->finalizers = old->finalizers;
        metadata->n_ownerreferences = old->n_ownerreferences;
        metadata->ownerreferences = old->ownerreferences;
    }
    keep_system_fields(metadata, old);
    write->outcome->code = 200;
    if (!judge_and_put(write, before_object, before, next))
        return false;
    add_warnings(write, next, before);
    return true;
}

bool write_remove(struct write *write, const struct registry_object *object)
{
    struct err err;
    const struct registry_object *last;
    enum api_kind kind = object->kind;
    if (registry_delete(write->world->registry, kind, object->namespace_, object->name, &last, &err) < 0)
        return write_refuse(write, 500, "InternalError",
                            arena_printf(write->arena, "Internal error occurred: %s", err.text));
    write->outcome->object = registry_decode(last, write->arena);
    registry_unref(last);
    if (kind == API_SERVICE) {
        services_release((const Core__Service *)write->outcome->object, write->world->allocator);
        /* As upstream, whose reason is that nobody else would: Endpoints have no owner. */
        registry_delete(write->world->registry, API_ENDPOINTS, object->namespace_, object->name, NULL, NULL);
    }
    return true;
}
