/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/body.h"

#include "api/wire.h"
#include "apiserver/face.h"
#include "apiserver/write.h"

#include <stdlib.h>
#include <string.h>

static bool refuse(struct write *write, const char *sentence)
{
    status_bad_request(&write->outcome->status, sentence);
    return false;
}

static const struct api_kind_info *info_of(const struct write *write)
{
    return api_kind_info(write->target->resource->kind);
}

static bool refuse_unrecognized(struct write *write, const char *why)
{
    return refuse(write,
                  arena_printf(write->arena, "the object provided is unrecognized (must be of type %s): %s",
                               info_of(write)->name, why));
}

/* "Pod in version "v1" cannot be handled as a Service: ..." */
static bool refuse_object(struct write *write, const char *kind, const char *version, const char *why)
{
    const char *slash = strchr(version, '/');
    return refuse(write, arena_printf(write->arena, "%s in version \"%s\" cannot be handled as a %s: %s",
                                      kind, slash ? slash + 1 : version, info_of(write)->name, why));
}

/* An absent apiVersion or kind counts as the path's. */
static bool check_type(struct write *write, const char *version, const char *kind)
{
    const char *expected = write->target->resource->group_version;
    const char *slash = strchr(version, '/');
    if (*version && strcmp(version, expected) != 0)
        return refuse(write, arena_printf(write->arena,
                                          "the API version in the data (%s) does not match the expected API "
                                          "version (%s)",
                                          version, expected));
    if (*kind && strcmp(kind, info_of(write)->name) != 0)
        return refuse_object(write, kind, *version ? version : expected,
                             arena_printf(write->arena, "no kind \"%s\" is registered for the path %s/%s",
                                          kind, slash ? slash + 1 : expected,
                                          write->target->resource->plural));
    return true;
}

static bool judge_unknown_fields(struct write *write, const struct decode_result *result)
{
    struct text list = {0};
    enum field_validation validation = write->options->field_validation;
    if (validation == FIELD_VALIDATION_IGNORE || result->warning_count == 0)
        return true;
    for (size_t i = 0; i < result->warning_count; i++) {
        if (validation == FIELD_VALIDATION_WARN)
            outcome_warn(write->outcome, write->arena, result->warnings[i]);
        text_printf(&list, "%s%s", i ? ", " : "strict decoding error: ", result->warnings[i]);
    }
    const char *why = arena_strdup(write->arena, text_str(&list));
    text_done(&list);
    return validation == FIELD_VALIDATION_WARN ||
           refuse_object(write, info_of(write)->name, write->target->resource->version, why);
}

static bool object_from_tree(struct write *write, json_t *tree, ProtobufCMessage **ret)
{
    struct decode_result result;
    const char *version = json_string_value(json_object_get(tree, "apiVersion"));
    const char *kind = json_string_value(json_object_get(tree, "kind"));
    if (!json_is_object(tree))
        return refuse_unrecognized(write,
                                   "couldn't get version/kind; json parse error: the body is not an object");
    if (!check_type(write, version ? version : "", kind ? kind : ""))
        return false;
    write_note_reset(write, tree);
    wire_decode_tree(tree, resource_type(write->target->resource), write->arena, &result);
    if (result.refusal)
        return refuse_object(write, info_of(write)->name, write->target->resource->version,
                             result.upstream ? result.upstream : result.refusal);
    if (!judge_unknown_fields(write, &result))
        return false;
    *ret = face_stored(write->target->resource, result.message, write->arena);
    return true;
}

/* What Go's parser says of a text that breaks off, which is the one fault that people meet; of others
 * libjansson's words. */
static const char *json_fault(struct write *write, const json_error_t *error, size_t len)
{
    if ((size_t)error->position >= len)
        return "unexpected end of JSON input";
    return arena_printf(write->arena, "%s (line %d, column %d)", error->text, error->line, error->column);
}

static json_t *tree_from_json(struct write *write, const struct text *body)
{
    json_error_t error;
    json_t *tree = json_loadb(text_str(body), body->len, JSON_DECODE_ANY, &error);
    if (!tree)
        refuse_unrecognized(write,
                            arena_printf(write->arena, "couldn't get version/kind; json parse error: %s",
                                         json_fault(write, &error, body->len)));
    return tree;
}

static json_t *tree_from_yaml(struct write *write, const struct text *body)
{
    struct err err;
    json_t *tree = wire_tree_from_yaml(text_str(body), body->len, &err);
    if (!tree)
        refuse_unrecognized(write, arena_printf(write->arena, "error converting YAML to JSON: %s", err.text));
    return tree;
}

static bool object_from_protobuf(struct write *write, const struct text *body, ProtobufCMessage **ret)
{
    struct wire_envelope envelope;
    struct err err;
    if (wire_protobuf_open(text_str(body), body->len, write->arena, &envelope, &err) < 0)
        return refuse_unrecognized(write, arena_strdup(write->arena, err.text));
    if (!check_type(write, envelope.api_version, envelope.kind))
        return false;
    ProtobufCMessage *shown =
        wire_unpack(resource_type(write->target->resource), envelope.raw, envelope.len, write->arena, &err);
    if (!shown)
        return refuse_object(write, info_of(write)->name, write->target->resource->version,
                             arena_strdup(write->arena, err.text));
    *ret = face_stored(write->target->resource, shown, write->arena);
    return true;
}

bool body_object(struct write *write, enum media media, const struct text *body, ProtobufCMessage **ret)
{
    if (media == MEDIA_PROTOBUF)
        return object_from_protobuf(write, body, ret);
    json_t *tree = media == MEDIA_JSON ? tree_from_json(write, body) : tree_from_yaml(write, body);
    /* As Go has it, null is an object in which nothing is set. */
    if (json_is_null(tree))
        tree = json_object();
    bool is_done = tree && object_from_tree(write, tree, ret);
    json_decref(tree);
    return is_done;
}

bool body_patch(struct write *write, enum patch_type type, const struct text *body, json_t **ret)
{
    struct err err;
    json_error_t error;
    if (type == PATCH_APPLY) {
        *ret = wire_tree_from_yaml(text_str(body), body->len, &err);
        return *ret || refuse(write, arena_printf(write->arena, "error decoding YAML: %s", err.text));
    }
    *ret = json_loadb(text_str(body), body->len, JSON_DECODE_ANY, &error);
    return *ret || refuse(write, arena_printf(write->arena, "%s%s",
                                              type == PATCH_STRATEGIC ? "" : "error decoding patch: ",
                                              json_fault(write, &error, body->len)));
}

/* The kind is one of a few that all versions share, or left out. */
static bool check_options_type(struct write *write, const char *version, const char *kind)
{
    if (*kind && strcmp(kind, "DeleteOptions") != 0)
        return refuse(write,
                      arena_printf(write->arena,
                                   "%s in version \"%s\" cannot be handled as a DeleteOptions: no kind "
                                   "\"%s\" is expected in the body of a delete",
                                   kind, version, kind));
    return true;
}

static Meta__DeleteOptions *options_from_tree(struct write *write, json_t *tree)
{
    struct decode_result result;
    const char *version = json_string_value(json_object_get(tree, "apiVersion"));
    const char *kind = json_string_value(json_object_get(tree, "kind"));
    if (!json_is_object(tree)) {
        refuse(
            write,
            "the object provided is unrecognized (must be of type DeleteOptions): the body is not an object");
        return NULL;
    }
    if (!check_options_type(write, version ? version : "", kind ? kind : ""))
        return NULL;
    wire_decode_tree(tree, &meta__delete_options__descriptor, write->arena, &result);
    const char *fault = result.upstream ? result.upstream : result.refusal;
    if (fault)
        refuse(write, arena_printf(write->arena,
                                   "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: %s",
                                   fault));
    return (Meta__DeleteOptions *)result.message;
}

static Meta__DeleteOptions *options_from_protobuf(struct write *write, const struct text *body)
{
    struct wire_envelope envelope;
    struct err err;
    Meta__DeleteOptions *options = NULL;
    if (wire_protobuf_open(text_str(body), body->len, write->arena, &envelope, &err) == 0) {
        if (!check_options_type(write, envelope.api_version, envelope.kind))
            return NULL;
        options = (Meta__DeleteOptions *)wire_unpack(&meta__delete_options__descriptor, envelope.raw,
                                                     envelope.len, write->arena, &err);
    }
    if (!options)
        refuse(write, arena_strdup(write->arena, err.text));
    return options;
}

static Meta__DeleteOptions *read_options(struct write *write, enum media media, const struct text *body)
{
    if (media == MEDIA_PROTOBUF)
        return options_from_protobuf(write, body);
    json_t *tree = media == MEDIA_JSON ? tree_from_json(write, body) : tree_from_yaml(write, body);
    Meta__DeleteOptions *options = tree ? options_from_tree(write, tree) : NULL;
    json_decref(tree);
    return options;
}

/* `DeleteOptions.meta.k8s.io "" is invalid: ...`: apimachinery, validation.ValidateDeleteOptions. */
static bool check_options(struct write *write, const Meta__DeleteOptions *options)
{
    static const char *const all[] = {"All", NULL};
    static const struct status_subject subject = {
        .group = "meta.k8s.io", .plural = "", .kind = "DeleteOptions", .name = ""};
    struct faults faults;
    faults_init(&faults, write->arena);
    if (*api_text(options->propagationpolicy) && options->has_orphandependents)
        fault_invalid(&faults, path_field(NULL, "propagationPolicy"), options->propagationpolicy,
                      "orphanDependents and deletionPropagation cannot be both set");
    for (size_t i = 0; i < options->n_dryrun; i++)
        if (strcmp(options->dryrun[i], "All") != 0)
            fault_unsupported(&faults, path_field(NULL, "dryRun"), options->dryrun[i], all);
    if (faults.count)
        status_invalid(&write->outcome->status, write->arena, &subject, &faults);
    return faults.count == 0;
}

bool body_delete_options(struct write *write, enum media media, const struct text *body,
                         struct delete_options *ret, bool *ret_is_dry_run)
{
    if (body->len == 0)
        return true;
    const Meta__DeleteOptions *options = read_options(write, media, body);
    if (!options || !check_options(write, options))
        return false;
    if (options->has_graceperiodseconds)
        ret->grace_seconds = options->graceperiodseconds < 0 ? 1 : options->graceperiodseconds;
    if (*api_text(options->propagationpolicy))
        ret->propagation_policy = options->propagationpolicy;
    if (options->has_orphandependents)
        ret->propagation_policy = options->orphandependents ? "Orphan" : "Background";
    if (options->preconditions) {
        ret->uid = api_text(options->preconditions->uid);
        ret->resource_version = api_text(options->preconditions->resourceversion);
    }
    *ret_is_dry_run |= options->n_dryrun > 0;
    return true;
}
