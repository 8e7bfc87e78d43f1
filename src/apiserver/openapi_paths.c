/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/openapi_parts.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>

/* Query parameters, as bits of an operation. */
enum {
    QUERY_LIST = 1,  /* what selects and pages */
    QUERY_WATCH = 2, /* what follows */
    QUERY_WRITE = 4, /* dryRun, fieldManager, fieldValidation */
    QUERY_FORCE = 8, /* server-side apply */
    QUERY_DELETE = 16,
    QUERY_DRY_RUN = 32
};

static const struct query {
    unsigned of;
    const char *name, *type, *description;
} queries[] = {
    {QUERY_WATCH, "allowWatchBookmarks", "boolean", "Whether the watch may send events of type BOOKMARK."},
    {QUERY_LIST, "continue", "string", "Where the last page of the list ended, as the server gave it."},
    {QUERY_WRITE | QUERY_DRY_RUN, "dryRun", "string", "All: do everything but the change itself."},
    {QUERY_WRITE, "fieldManager", "string",
     "The name of who makes the change, for the ownership of fields; 128 printable characters at most."},
    {QUERY_LIST, "fieldSelector", "string", "Only the objects whose fields have these values."},
    {QUERY_WRITE, "fieldValidation", "string",
     "What to do with unknown and duplicate fields: Ignore, Warn (the default) or Strict."},
    {QUERY_FORCE, "force", "boolean", "Take fields from other managers; for apply patches alone."},
    {QUERY_DELETE, "gracePeriodSeconds", "integer", "How long the object may still live; zero: not at all."},
    {QUERY_DELETE, "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean",
     "Delete what cannot be read from the store any more."},
    {QUERY_LIST, "labelSelector", "string", "Only the objects whose labels match."},
    {QUERY_LIST, "limit", "integer", "The most objects in one page of the list."},
    {QUERY_DELETE, "orphanDependents", "boolean", "Deprecated in favour of propagationPolicy."},
    {QUERY_DELETE, "propagationPolicy", "string",
     "What becomes of objects that this one owns: Orphan, Background or Foreground."},
    {QUERY_LIST, "resourceVersion", "string", "How new, or of which time, the answer has to be."},
    {QUERY_LIST, "resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."},
    {QUERY_LIST, "sendInitialEvents", "boolean", "Whether the watch begins with what there is."},
    {QUERY_LIST, "timeoutSeconds", "integer", "The longest that the call may take."},
    {QUERY_WATCH, "watch", "boolean", "Answer with a stream of changes."},
};

/* What is answered with. */
enum answer { ANSWER_OBJECT, ANSWER_LIST, ANSWER_STATUS };
enum body { BODY_NONE, BODY_OBJECT, BODY_PATCH, BODY_OPTIONS };

static const struct action {
    const char *method, *action, *verb; /* "put", "put", "replace" */
    const char *description;            /* what it does, before what it does that to */
    unsigned queries;
    enum body body;
    enum answer answer;
} actions[] = {
    {"get", "list", "list", "list or watch", QUERY_LIST | QUERY_WATCH, BODY_NONE, ANSWER_LIST},
    {"post", "post", "create", "create", QUERY_WRITE, BODY_OBJECT, ANSWER_OBJECT},
    {"delete", "deletecollection", "delete", "delete a selection of",
     QUERY_LIST | QUERY_DELETE | QUERY_DRY_RUN, BODY_OPTIONS, ANSWER_STATUS},
    {"get", "get", "read", "read", 0, BODY_NONE, ANSWER_OBJECT},
    {"put", "put", "replace", "replace", QUERY_WRITE, BODY_OBJECT, ANSWER_OBJECT},
    {"patch", "patch", "patch", "change a part of", QUERY_WRITE | QUERY_FORCE, BODY_PATCH, ANSWER_OBJECT},
    {"delete", "delete", "delete", "delete", QUERY_DELETE | QUERY_DRY_RUN, BODY_OPTIONS, ANSWER_STATUS},
};
enum { FIRST_OF_ONE = 3 }; /* those before are about the collection */

/* A path under construction. */
struct place {
    enum openapi_version version;
    const struct resource *resource;
    const char *subresource; /* or NULL */
    bool is_across;          /* the collection over all namespaces */
};

static const char *const answer_types[] = {"application/json", "application/yaml",
                                           "application/vnd.kubernetes.protobuf", NULL};
static const char *const watch_types[] = {"application/json;stream=watch",
                                          "application/vnd.kubernetes.protobuf;stream=watch", NULL};
static const char *const patch_types[] = {"application/json-patch+json", "application/merge-patch+json",
                                          "application/strategic-merge-patch+json",
                                          "application/apply-patch+yaml", NULL};
static const char *const any_type[] = {"*/*", NULL};

static json_t *type_list(const char *const *types)
{
    json_t *list = json_array();
    for (; *types; types++)
        json_array_append_new(list, json_string(*types));
    return list;
}

/* Version 3: the schema under each media type. Takes the schema. */
static json_t *content(json_t *schema, const char *const *types, const char *const *more)
{
    json_t *content = json_object();
    for (; *types; types++)
        json_object_set_new(content, *types, json_pack("{s:O}", "schema", schema));
    for (; more && *more; more++)
        json_object_set_new(content, *more, json_pack("{s:O}", "schema", schema));
    json_decref(schema);
    return content;
}

static json_t *parameter(enum openapi_version version, const char *in, const char *name, const char *type,
                         const char *description)
{
    json_t *parameter = json_pack("{s:s, s:s, s:s}", "in", in, "name", name, "description", description);
    if (strcmp(in, "path") == 0)
        json_object_set_new(parameter, "required", json_true());
    if (version == OPENAPI_V3) {
        json_object_set_new(parameter, "schema", json_pack("{s:s, s:b}", "type", type, "uniqueItems", true));
        return parameter;
    }
    json_object_set_new(parameter, "type", json_string(type));
    json_object_set_new(parameter, "uniqueItems", json_true());
    return parameter;
}

static json_t *query_parameters(enum openapi_version version, const struct action *action)
{
    json_t *parameters = json_array();
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        if (queries[i].of & action->queries)
            json_array_append_new(parameters, parameter(version, "query", queries[i].name, queries[i].type,
                                                        queries[i].description));
    return parameters;
}

static json_t *kind_reference(const struct place *place, const char *suffix)
{
    struct text name = {0};
    openapi_name(resource_type(place->resource), &name);
    text_add(&name, suffix);
    json_t *reference = openapi_reference(place->version, name.data);
    text_done(&name);
    return reference;
}

static void add_body(json_t *operation, const struct place *place, const struct action *action)
{
    if (action->body == BODY_NONE)
        return;
    bool is_required = action->body != BODY_OPTIONS;
    json_t *schema = action->body == BODY_OBJECT ? kind_reference(place, "")
                     : action->body == BODY_PATCH
                         ? openapi_reference(place->version, META_PREFIX "Patch")
                         : openapi_reference(place->version, META_PREFIX "DeleteOptions");
    if (place->version == OPENAPI_V2) {
        json_t *body = json_pack("{s:s, s:s, s:o}", "in", "body", "name", "body", "schema", schema);
        if (is_required)
            json_object_set_new(body, "required", json_true());
        json_array_insert_new(json_object_get(operation, "parameters"), 0, body);
        return;
    }
    json_t *body = json_pack("{s:o}", "content",
                             content(schema, action->body == BODY_PATCH ? patch_types : any_type, NULL));
    if (is_required)
        json_object_set_new(body, "required", json_true());
    json_object_set_new(operation, "requestBody", body);
}

static json_t *response(const struct place *place, const struct action *action, const char *description)
{
    json_t *schema = action->answer == ANSWER_LIST ? kind_reference(place, "List")
                     : action->answer == ANSWER_OBJECT
                         ? kind_reference(place, "")
                         : openapi_reference(place->version, META_PREFIX "Status");
    if (place->version == OPENAPI_V2)
        return json_pack("{s:s, s:o}", "description", description, "schema", schema);
    const char *const *more = action->answer == ANSWER_LIST ? watch_types : NULL;
    return json_pack("{s:s, s:o}", "description", description, "content",
                     content(schema, answer_types, more));
}

static json_t *responses(const struct place *place, const struct action *action)
{
    json_t *responses = json_pack("{s:o, s:{s:s}}", "200", response(place, action, "OK"), "401",
                                  "description", "Unauthorized");
    bool is_create = strcmp(action->method, "post") == 0;
    if (is_create || strcmp(action->method, "put") == 0 || strcmp(action->method, "patch") == 0)
        json_object_set_new(responses, "201", response(place, action, "Created"));
    if (is_create || strcmp(action->action, "delete") == 0)
        json_object_set_new(responses, "202", response(place, action, "Accepted"));
    return responses;
}

/* "core", "discovery": the group's first word. */
static const char *group_word(const struct resource *resource, char ret[32])
{
    const char *group = *resource->group ? resource->group : "core";
    size_t len = strcspn(group, ".");
    memcpy(ret, group, len);
    ret[len] = '\0';
    return ret;
}

/* "readCoreV1NamespacedServiceStatus" */
static json_t *operation_id(const struct place *place, const struct action *action)
{
    const struct resource *resource = place->resource;
    char group[32];
    group_word(resource, group);
    const char *sub = place->subresource ? place->subresource : "";
    struct text id = {0};
    text_printf(
        &id, "%s%c%s%c%s%s%s%s", action->verb, toupper(*group), group + 1, toupper(*resource->version),
        resource->version + 1, strcmp(action->action, "deletecollection") == 0 ? "Collection" : "",
        resource->is_namespaced && !place->is_across ? "Namespaced" : "", api_kind_name(resource->kind));
    if (*sub)
        text_printf(&id, "%c%s", toupper(*sub), sub + 1);
    if (place->is_across)
        text_add(&id, "ForAllNamespaces");
    json_t *string = json_string(id.data);
    text_done(&id);
    return string;
}

static json_t *operation(const struct place *place, const struct action *action)
{
    const struct resource *resource = place->resource;
    const char *kind = api_kind_name(resource->kind);
    char group[32];
    struct text tag = {0}, description = {0};
    text_printf(&tag, "%s_%s", group_word(resource, group), resource->version);
    bool is_many = strcmp(action->action, "list") == 0 || strcmp(action->action, "deletecollection") == 0;
    text_printf(&description, "%s %s%s%s of kind %s", action->description, place->subresource ? "the " : "",
                place->subresource ? place->subresource : "",
                place->subresource ? " of an object"
                : is_many          ? "objects"
                                   : "an object",
                kind);
    json_t *operation = json_pack(
        "{s:s, s:o, s:[s], s:o, s:o, s:s, s:o}", "description", description.data, "operationId",
        operation_id(place, action), "tags", tag.data, "parameters", query_parameters(place->version, action),
        "responses", responses(place, action), "x-kubernetes-action", action->action,
        "x-kubernetes-group-version-kind", openapi_kind(resource->group, resource->version, kind));
    text_done(&tag);
    text_done(&description);
    add_body(operation, place, action);
    if (place->version == OPENAPI_V2) {
        json_object_set_new(operation, "schemes", json_pack("[s]", "https"));
        json_object_set_new(operation, "consumes",
                            type_list(action->body == BODY_PATCH ? patch_types : any_type));
        json_t *produces = type_list(answer_types);
        for (size_t i = 0; action->answer == ANSWER_LIST && watch_types[i]; i++)
            json_array_append_new(produces, json_string(watch_types[i]));
        json_object_set_new(operation, "produces", produces);
    }
    return operation;
}

static bool is_served(const struct place *place, const struct action *action)
{
    if (place->is_across)
        return strcmp(action->action, "list") == 0;
    if (place->subresource && strcmp(place->subresource, "finalize") == 0)
        return strcmp(action->action, "put") == 0;
    if (place->subresource)
        return strcmp(action->action, "delete") != 0;
    return place->resource->kind != API_NAMESPACE || strcmp(action->action, "deletecollection") != 0;
}

static void add_path(json_t *paths, const struct place *place, bool is_one)
{
    const struct resource *resource = place->resource;
    bool is_inside = resource->is_namespaced && !place->is_across;
    json_t *item = json_object(), *parameters = json_array();
    struct text path = {0}, description = {0};
    text_printf(&path, "/%s/%s%s/%s%s", *resource->group ? "apis" : "api", resource->group_version,
                is_inside ? "/namespaces/{namespace}" : "", resource->plural, is_one ? "/{name}" : "");
    if (place->subresource)
        text_printf(&path, "/%s", place->subresource);
    if (is_one) {
        text_printf(&description, "The name of the object of kind %s.", api_kind_name(resource->kind));
        json_array_append_new(parameters,
                              parameter(place->version, "path", "name", "string", description.data));
    }
    if (is_inside)
        json_array_append_new(
            parameters, parameter(place->version, "path", "namespace", "string", "The object's namespace."));
    json_array_append_new(parameters, parameter(place->version, "query", "pretty", "string",
                                                "Whether the answer is laid out for people to read."));
    size_t first = is_one ? FIRST_OF_ONE : 0, end = is_one ? ARRAY_LEN(actions) : FIRST_OF_ONE;
    for (size_t i = first; i < end; i++)
        if (is_served(place, &actions[i]))
            json_object_set_new(item, actions[i].method, operation(place, &actions[i]));
    json_object_set_new(item, "parameters", parameters);
    json_object_set_new(paths, path.data, item);
    text_done(&path);
    text_done(&description);
}

void openapi_add_paths(json_t *paths, enum openapi_version version, const struct resource *resource)
{
    struct place place = {.version = version, .resource = resource};
    add_path(paths, &place, false);
    add_path(paths, &place, true);
    for (size_t i = 0; resource->subresources[i]; i++) {
        place.subresource = resource->subresources[i];
        add_path(paths, &place, true);
    }
    if (resource->is_namespaced)
        add_path(paths, &(struct place){.version = version, .resource = resource, .is_across = true}, false);
}
