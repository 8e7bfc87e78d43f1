/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/defaults.h"
#include "api/wire.h"
#include "apiserver/face.h"
#include "apiserver/write.h"
#include "patch/patch.h"

#include <errno.h>
#include <string.h>

/* `PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: ...` */
static bool refuse_options(struct write *write, const char *option, const char *why, bool is_required)
{
    struct faults faults;
    faults_init(&faults, write->arena);
    const struct status_subject options = {
        .group = "meta.k8s.io", .plural = "", .kind = "PatchOptions", .name = ""};
    if (is_required)
        fault_required(&faults, path_field(NULL, option), why);
    else
        fault_forbidden(&faults, path_field(NULL, option), why);
    status_invalid(&write->outcome->status, write->arena, &options, &faults);
    return false;
}

static const char *strict_fault(struct write *write, const struct decode_result *result)
{
    struct text list = {0};
    if (write->options->field_validation != FIELD_VALIDATION_STRICT || result->warning_count == 0)
        return NULL;
    text_add(&list, "strict decoding error: ");
    for (size_t i = 0; i < result->warning_count; i++)
        text_printf(&list, "%s%s", i ? ", " : "", result->warnings[i]);
    const char *fault = arena_strdup(write->arena, text_str(&list));
    text_done(&list);
    return fault;
}

static void refuse_patched(struct write *write, json_t *tree, const char *fault)
{
    struct faults faults;
    faults_init(&faults, write->arena);
    const struct status_subject nothing = {.group = "", .plural = "", .kind = "", .name = ""};
    char *text = json_dumps(tree, JSON_COMPACT);
    fault_invalid(&faults, path_field(NULL, "patch"), text ? text : "", fault);
    free(text);
    status_invalid(&write->outcome->status, write->arena, &nothing, &faults);
}

/* A patched tree becomes an object again. Fields that the schema lacks are judged by fieldValidation. */
static ProtobufCMessage *decode_patched(struct write *write, json_t *tree)
{
    struct decode_result result;
    write_note_reset(write, tree);
    wire_decode_tree(tree, resource_type(write->target->resource), write->arena, &result);
    const char *fault = result.upstream  ? result.upstream
                        : result.refusal ? result.refusal
                                         : strict_fault(write, &result);
    if (fault) {
        refuse_patched(write, tree, fault);
        return NULL;
    }
    for (size_t i = 0; write->options->field_validation == FIELD_VALIDATION_WARN && i < result.warning_count;
         i++)
        outcome_warn(write->outcome, write->arena, result.warnings[i]);
    return face_stored(write->target->resource, result.message, write->arena);
}

static json_t *patch_tree(struct write *write, enum patch_type type, json_t *live, json_t *patch)
{
    struct err err = {""};
    json_t *patched = NULL;
    int code = 0;
    switch (type) {
    case PATCH_JSON:
        code = patch_json(live, patch, &patched, &err);
        break;
    case PATCH_MERGE:
        code = patch_merge(live, patch, &patched, &err);
        break;
    case PATCH_STRATEGIC:
        code = patch_strategic(live, patch, resource_type(write->target->resource), &patched, &err);
        break;
    case PATCH_APPLY:
        code = err_set(&err, EINVAL, "apply is no patch of a tree");
        break;
    }
    const char *sentence = arena_strdup(write->arena, err.text);
    if (code == -EFBIG)
        write_refuse(write, 413, "RequestEntityTooLarge", sentence);
    else if (code == -EBADMSG)
        status_bad_request(&write->outcome->status, sentence);
    else if (code == -EINVAL)
        write_refuse(write, 422, "Invalid", PATCH_INVALID_MESSAGE);
    else if (code < 0)
        write_refuse(write, 500, "", sentence);
    if (code == -EINVAL)
        write->outcome->status.kind = ""; /* upstream has empty details here */
    return patched;
}

/* The type of an object is not a patch's to change. */
static bool check_type(struct write *write, json_t *live, json_t *patched)
{
    static const char *const fixed[] = {"apiVersion", "kind"};
    for (size_t i = 0; i < 2; i++) {
        json_t *was = json_object_get(live, fixed[i]), *is = json_object_get(patched, fixed[i]);
        if (is && !json_equal(was, is)) {
            status_bad_request(
                &write->outcome->status,
                arena_printf(write->arena, "the object's %s cannot be changed by a patch", fixed[i]));
            return false;
        }
    }
    return true;
}

static void patch_existing(struct write *write, enum patch_type type, json_t *patch,
                           const struct registry_object *before_object)
{
    const ProtobufCMessage *before = registry_decode(before_object, write->arena);
    ProtobufCMessage *next = NULL;
    json_t *live = face_tree(write->target->resource, before, write->arena);
    json_t *patched = patch_tree(write, type, live, patch);
    if (patched && check_type(write, live, patched))
        next = decode_patched(write, patched);
    json_decref(live);
    json_decref(patched);
    if (!next)
        return;
    defaults_request(write->target->resource->kind, next, write->arena);
    if (write_settle_namespace(write, next) && write_check_name(write, next) &&
        write_own_fields(write, before, next))
        write_update(write, before_object, next);
}

/* `Apply failed with 2 conflicts: conflicts with "a" using v1:\n- .spec.x\n...` comes with the conflicts. */
static void refuse_conflicts(struct write *write, const struct manage_conflicts *conflicts,
                             const char *sentence)
{
    struct status *status = &write->outcome->status;
    struct fault *causes = arena_alloc(write->arena, (conflicts->count + 1) * sizeof(*causes));
    for (size_t i = 0; i < conflicts->count; i++)
        causes[i] = (struct fault){
            .reason = "FieldManagerConflict",
            .field = arena_strdup(write->arena, conflicts->list[i].field),
            .message = arena_strdup(write->arena, conflicts->list[i].message),
        };
    status_generic(status, 409, "Conflict", arena_strdup(write->arena, sentence));
    status->causes = causes;
    status->cause_count = conflicts->count;
}

/* apiVersion and kind are the path's. */
static bool check_config(struct write *write, json_t *config)
{
    const struct resource *resource = write->target->resource;
    const char *version = json_string_value(json_object_get(config, "apiVersion"));
    const char *kind = json_string_value(json_object_get(config, "kind"));
    const char *expected = resource->group_version;
    if (!json_is_object(config) || !version || !kind)
        status_bad_request(&write->outcome->status,
                           "error decoding YAML: an apply configuration needs apiVersion and kind");
    else if (strcmp(kind, api_kind_name(resource->kind)) != 0 || strcmp(version, expected) != 0)
        status_bad_request(&write->outcome->status,
                           arena_printf(write->arena, "invalid object type: %s, Kind=%.80s", version, kind));
    else
        return true;
    return false;
}

static json_t *apply_tree(struct write *write, json_t *live, json_t *config)
{
    struct manage_conflicts conflicts = {0};
    struct err err = {""};
    json_t *ret = NULL;
    const struct manage_actor actor = write_actor(write);
    int code = manage_apply(live, config, resource_type(write->target->resource), &actor,
                            write->options->is_forced, &ret, &conflicts, &err);
    if (code == -EEXIST)
        refuse_conflicts(write, &conflicts, text_str(&conflicts.message));
    else if (code == -EPROTO)
        write_refuse(write, 500, "", arena_strdup(write->arena, err.text));
    else if (code < 0)
        status_bad_request(&write->outcome->status, arena_strdup(write->arena, err.text));
    manage_conflicts_done(&conflicts);
    return ret;
}

static void apply_decoded(struct write *write, const struct registry_object *before, ProtobufCMessage *next)
{
    defaults_request(write->target->resource->kind, next, write->arena);
    if (!write_settle_namespace(write, next) || !write_check_name(write, next))
        return;
    const char *uid = api_text(api_metadata(next)->uid);
    if (before)
        write_update(write, before, next);
    else if (*uid)
        write_refuse_conflict(write,
                              arena_printf(write->arena,
                                           "uid mismatch: the provided object specified uid %s, and no "
                                           "existing object was found",
                                           uid));
    else
        write_create(write, next);
}

static void apply(struct write *write, json_t *config, const struct registry_object *before)
{
    if (!check_config(write, config))
        return;
    json_t *live =
        before ? face_tree(write->target->resource, registry_decode(before, write->arena), write->arena)
               : NULL;
    json_t *merged = apply_tree(write, live, config);
    ProtobufCMessage *next = merged ? decode_patched(write, merged) : NULL;
    json_decref(live);
    json_decref(merged);
    if (next)
        apply_decoded(write, before, next);
}

void verb_patch(struct write *write, enum patch_type type, json_t *patch)
{
    const struct target *target = write->target;
    write->is_patch = true;
    if (type != PATCH_APPLY && write->options->is_forced) {
        refuse_options(write, "force", "may not be specified for non-apply patch", false);
        return;
    }
    if (type == PATCH_APPLY && !*write->options->manager) {
        refuse_options(write, "fieldManager", "is required for apply patch", true);
        return;
    }
    const struct registry_object *before =
        registry_get(write->world->registry, target->resource->kind, target->namespace_, target->name);
    if (!before && (type != PATCH_APPLY || *target->subresource)) {
        write_find(write);
        return;
    }
    if (before)
        registry_ref(before);
    if (type == PATCH_APPLY)
        apply(write, patch, before);
    else
        patch_existing(write, type, patch, before);
    if (before)
        registry_unref(before);
}
