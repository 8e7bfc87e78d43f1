/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/status.h"

#include "base/cleanup.h"

#include <string.h>

/* "services", "endpointslices.discovery.k8s.io" */
static const char *qualify(struct arena *arena, const char *name, const char *group)
{
    return *group ? arena_printf(arena, "%s.%s", name, group) : name;
}

static struct status about(unsigned code, const char *reason, const char *message,
                           const struct status_subject *subject)
{
    return (struct status){.code = code,
                           .reason = reason,
                           .message = message,
                           .group = subject->group,
                           .kind = subject->plural,
                           .name = subject->name};
}

void status_not_found(struct status *ret, struct arena *arena, const struct status_subject *subject)
{
    *ret = about(404, "NotFound",
                 arena_printf(arena, "%s \"%s\" not found", qualify(arena, subject->plural, subject->group),
                              subject->name),
                 subject);
}

void status_already_exists(struct status *ret, struct arena *arena, const struct status_subject *subject)
{
    *ret = about(409, "AlreadyExists",
                 arena_printf(arena, "%s \"%s\" already exists",
                              qualify(arena, subject->plural, subject->group), subject->name),
                 subject);
}

void status_conflict(struct status *ret, struct arena *arena, const struct status_subject *subject,
                     const char *why)
{
    *ret = about(409, "Conflict",
                 arena_printf(arena, "Operation cannot be fulfilled on %s \"%s\": %s",
                              qualify(arena, subject->plural, subject->group), subject->name, why),
                 subject);
}

void status_invalid(struct status *ret, struct arena *arena, const struct status_subject *subject,
                    const struct faults *faults)
{
    const char *what = qualify(arena, subject->kind, subject->group);
    size_t count = faults_kept(faults);
    *ret = about(422, "Invalid",
                 arena_printf(arena, "%s \"%s\" is invalid%s%s", what, subject->name, count ? ": " : "",
                              count ? faults_format(faults) : ""),
                 subject);
    ret->kind = subject->kind;
    struct fault *causes = arena_array(arena, struct fault, count);
    memcpy(causes, faults->list, count * sizeof(*causes));
    ret->causes = causes;
    ret->cause_count = count;
}

void status_bad_request(struct status *ret, const char *message)
{
    status_generic(ret, 400, "BadRequest", message);
}

void status_forbidden(struct status *ret, struct arena *arena, const struct status_subject *subject,
                      const char *why)
{
    const char *what = qualify(arena, subject->plural, subject->group), *words;
    if (!*what)
        words = arena_printf(arena, "forbidden: %s", why);
    else if (!*subject->name)
        words = arena_printf(arena, "%s is forbidden: %s", what, why);
    else
        words = arena_printf(arena, "%s \"%s\" is forbidden: %s", what, subject->name, why);
    *ret = about(403, "Forbidden", words, subject);
}

void status_unauthorized(struct status *ret)
{
    status_generic(ret, 401, "Unauthorized", "Unauthorized");
}

void status_expired(struct status *ret, const char *message)
{
    status_generic(ret, 410, "Expired", message);
}

void status_method_not_allowed(struct status *ret, struct arena *arena, const char *method, const char *what)
{
    status_generic(ret, 405, "MethodNotAllowed",
                   arena_printf(arena, "%s is not supported on resources of kind \"%s\"", method, what));
}

void status_generic(struct status *ret, unsigned code, const char *reason, const char *message)
{
    *ret = (struct status){.code = code, .reason = reason, .message = message};
}

/* Left out when empty, as upstream does. What a client sent may not be UTF-8: then what is not ASCII shows as
 * "?". */
static void set_text(json_t *object, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    json_t *string = json_string(text);
    if (!string) {
        cleanup_free char *plain = xstrdup(text);
        for (char *c = plain; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        string = json_string(plain);
    }
    json_object_set_new(object, key, string);
}

static json_t *details_tree(const struct status *status)
{
    json_t *details = json_object();
    set_text(details, "name", status->name);
    set_text(details, "group", status->group);
    set_text(details, "kind", status->kind);
    set_text(details, "uid", status->uid);
    json_t *causes = json_array();
    for (size_t i = 0; i < status->cause_count; i++) {
        json_t *cause = json_object();
        set_text(cause, "reason", status->causes[i].reason);
        set_text(cause, "message", status->causes[i].message);
        set_text(cause, "field", status->causes[i].field);
        json_array_append_new(causes, cause);
    }
    if (json_array_size(causes) > 0)
        json_object_set(details, "causes", causes);
    json_decref(causes);
    if (status->retry_after_seconds)
        json_object_set_new(details, "retryAfterSeconds", json_integer(status->retry_after_seconds));
    return details;
}

json_t *status_tree(const struct status *status)
{
    bool is_success = status->code == 0;
    json_t *tree = json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1", "metadata",
                             "status", is_success ? "Success" : "Failure");
    set_text(tree, "message", status->message);
    set_text(tree, "reason", status->reason);
    json_t *details = details_tree(status);
    if (status->kind || json_object_size(details) > 0)
        json_object_set(tree, "details", details);
    json_decref(details);
    if (!is_success)
        json_object_set_new(tree, "code", json_integer((json_int_t)status->code));
    return tree;
}
