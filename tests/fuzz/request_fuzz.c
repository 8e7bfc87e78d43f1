/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate.h"
#include "apiserver/body.h"
#include "apiserver/read.h"
#include "apiserver/services.h"
#include "base/cleanup.h"
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests, one after the other, at a small world in memory. Each is a line each for method and URL,
 * Content-Type, Accept and nothing, and a body up to BETWEEN:
 *
 *   PATCH /api/v1/namespaces/default/services/web?fieldManager=a
 *   application/merge-patch+json
 *   application/json
 *
 *   {"spec":{"type":"NodePort"}}
 *
 * The properties: a request is refused with a code and words, or done; what is refused or a dry run writes
 * nothing, what is done makes one revision at most (more where an object goes); what was stored is valid, and
 * stays the same when it is stored again; exactly what the Services hold is taken; and everything can be
 * shown in every form. */

#define BETWEEN "\n=====\n"
#define REQUESTS_MAX 32
/* Of one object that goes: its last change, itself, and a Service's Endpoints. */
#define REMOVAL_WRITES 3

struct state {
    struct world world;
    uint64_t dice;
    const char *text; /* the request under way, for the words of a failure */
    size_t len;
};

static void require(const struct state *state, bool holds, const char *what, const char *more)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n--- request\n%.*s\n", what, more ? more : "", (int)state->len, state->text);
    abort();
}

static int64_t now(void *context)
{
    return 1700000000;
}

static uint64_t draw(void *context)
{
    struct state *state = context;
    state->dice ^= state->dice << 13;
    state->dice ^= state->dice >> 7;
    state->dice ^= state->dice << 17;
    return state->dice;
}

/* --- what must hold of the world --- */

static void check_taken(struct state *state, const struct allocator *held)
{
    const struct allocator *allocator = state->world.allocator;
    require(state, allocator_address_count(allocator) == allocator_address_count(held),
            "other addresses are taken than the Services hold", NULL);
    require(state, allocator_port_count(allocator) == allocator_port_count(held),
            "other ports are taken than the Services hold", NULL);
}

/* The same from nothing, as after a restart. */
static void check_allocator(struct state *state)
{
    const struct registry_query query = {.kind = API_SERVICE};
    const struct registry_object **list;
    size_t count, remaining;
    struct arena arena;
    struct err err;
    struct allocator *held = allocator_new(allocator_config(state->world.allocator));
    require(state, registry_list(state->world.registry, &query, 0, &list, &count, &remaining) == 0,
            "the Services cannot be listed", NULL);
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        const Core__Service *service = (const Core__Service *)registry_decode(list[i], &arena);
        int code = services_adopt(service, held, &err);
        require(state, code == 0, "two Services hold the same", code ? err.text : NULL);
    }
    check_taken(state, held);
    arena_done(&arena);
    registry_list_free(list, count);
    allocator_free(held);
}

static void check_forms(struct state *state, const struct resource *resource,
                        const struct registry_object *object, const ProtobufCMessage *message)
{
    static const struct accepted forms[] = {
        {MEDIA_JSON, FORM_OBJECT, false},     {MEDIA_YAML, FORM_OBJECT, false},
        {MEDIA_PROTOBUF, FORM_OBJECT, false}, {MEDIA_JSON, FORM_TABLE, false},
        {MEDIA_JSON, FORM_METADATA, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const struct presentation how = {forms[i], resource, "Object", now(NULL)};
        struct text shown = {0};
        present_object(&how, message, object, &shown);
        json_t *tree =
            forms[i].media == MEDIA_JSON ? json_loadb(text_str(&shown), shown.len, 0, NULL) : json_null();
        require(state, shown.len > 0 && tree, "an object cannot be shown", text_str(&shown));
        json_decref(tree);
        text_done(&shown);
    }
}

/* What is stored comes back from the JSON that is shown. */
static void check_round(struct state *state, const struct resource *resource,
                        const struct registry_object *object, const ProtobufCMessage *message,
                        struct arena *arena)
{
    const struct presentation how = {{MEDIA_JSON, FORM_OBJECT, false}, resource, "", now(NULL)};
    const struct write_options options = {.manager = "fuzz", .field_validation = FIELD_VALIDATION_STRICT};
    const struct target target = {resource, object->namespace_, object->name, ""};
    struct outcome outcome = {0};
    struct write write = {&state->world, &target, &options, arena, &outcome};
    struct text shown = {0}, again = {0};
    ProtobufCMessage *read;
    if (resource_type(resource) != api_kind_info(resource->kind)->type)
        return;
    present_object(&how, message, object, &shown);
    bool is_read = body_object(&write, MEDIA_JSON, &shown, &read);
    require(state, is_read, "what is shown is not read back", outcome.status.message);
    present_object(&how, read, NULL, &again);
    require(state, strcmp(text_str(&shown), text_str(&again)) == 0, "reading back changes the object",
            text_str(&shown));
    text_done(&shown);
    text_done(&again);
}

/* Once more judged, as the same write would be. */
static void check_valid(struct state *state, const struct target *target, const ProtobufCMessage *stored,
                        struct arena *arena)
{
    struct faults faults;
    faults_init(&faults, arena);
    if (strcmp(target->subresource, "status") == 0)
        validate_status_update(&faults, target->resource->kind, stored, stored);
    else
        validate_update(&faults, target->resource->kind, stored, stored);
    require(state, faults.count == 0, "what was accepted is not valid",
            faults.count ? faults_format(&faults) : NULL);
}

static void check_stored(struct state *state, const struct target *target, const char *name)
{
    struct arena arena;
    const struct registry_object *object =
        registry_get(state->world.registry, target->resource->kind, target->namespace_, name);
    if (!object)
        return;
    arena_init(&arena);
    const ProtobufCMessage *stored = registry_decode(object, &arena);
    check_valid(state, target, stored, &arena);
    check_forms(state, target->resource, object, stored);
    check_round(state, target->resource, object, stored, &arena);
    arena_done(&arena);
}

/* --- one request --- */

struct request {
    const char *method, *path, *query, *content_type, *accept;
    struct text body; /* borrowed bytes */
    struct arena *arena;
    struct target target;
    struct query asked;
    struct accepted accepted;
};

static void write_body(struct request *request, enum verb verb, struct write *write)
{
    ProtobufCMessage *object;
    enum media media;
    if (!content_type_parse(request->content_type, request->arena, &media)) {
        status_generic(&write->outcome->status, 415, "UnsupportedMediaType", "no such media type");
        return;
    }
    if (!body_object(write, media, &request->body, &object))
        return;
    if (verb == VERB_UPDATE)
        verb_update(write, object);
    else
        verb_create(write, object);
}

static void write_patch(struct request *request, struct write *write)
{
    enum patch_type type;
    json_t *patch = NULL;
    if (!patch_type_parse(request->content_type, request->arena, &type))
        status_generic(&write->outcome->status, 415, "UnsupportedMediaType", "no such media type");
    else if (body_patch(write, type, &request->body, &patch))
        verb_patch(write, type, patch);
    json_decref(patch);
}

static void write_deletion(struct request *request, struct write *write, struct write_options *options)
{
    struct delete_options deletion = {request->asked.grace_seconds, "", "",
                                      request->asked.propagation_policy};
    enum media media;
    if (!content_type_parse(request->content_type, request->arena, &media))
        media = MEDIA_JSON;
    if (body_delete_options(write, media, &request->body, &deletion, &options->is_dry_run))
        verb_delete(write, &deletion);
}

static void check_outcome(struct state *state, const struct write *write, uint64_t before, bool was_there)
{
    const struct outcome *outcome = write->outcome;
    const struct target *target = write->target;
    uint64_t grown = registry_revision(state->world.registry) - before;
    bool is_refused = outcome->status.code != 0;
    const char *name = outcome->object ? api_text(api_metadata(outcome->object)->name) : target->name;
    bool is_gone =
        was_there && !registry_get(state->world.registry, target->resource->kind, target->namespace_, name);
    require(state, !is_refused || (outcome->status.code >= 400 && outcome->status.code < 600),
            "a refusal has a code", NULL);
    require(state, !is_refused || *outcome->status.message, "a refusal has words", outcome->status.reason);
    require(state, outcome->status.code != 500 || !strstr(outcome->status.message, "nternal"),
            "the server is at fault", outcome->status.message);
    require(state, is_refused || (outcome->code >= 200 && outcome->code < 300), "what is done has a code",
            NULL);
    require(state,
            grown <= (is_refused || write->options->is_dry_run ? 0
                      : is_gone                                ? REMOVAL_WRITES
                                                               : 1),
            "a request makes one revision", NULL);
    if (!is_refused)
        check_stored(state, target, name);
    check_allocator(state);
}

static void handle_write(struct state *state, struct request *request, enum verb verb)
{
    const struct target *target = &request->target;
    struct outcome outcome = {0};
    struct write_options options = {.manager =
                                        *request->asked.field_manager ? request->asked.field_manager : "fuzz",
                                    .is_dry_run = request->asked.is_dry_run,
                                    .is_forced = request->asked.is_forced,
                                    .field_validation = request->asked.field_validation};
    struct write write = {&state->world, target, &options, request->arena, &outcome};
    uint64_t before = registry_revision(state->world.registry);
    bool was_there =
        registry_get(state->world.registry, target->resource->kind, target->namespace_, target->name);
    if (verb == VERB_CREATE || verb == VERB_UPDATE)
        write_body(request, verb, &write);
    else if (verb == VERB_PATCH)
        write_patch(request, &write);
    else if (verb == VERB_DELETE)
        write_deletion(request, &write, &options);
    else
        return;
    check_outcome(state, &write, before, was_there);
}

static void handle_read(struct state *state, struct request *request, enum verb verb)
{
    const struct presentation how = {request->accepted, request->target.resource,
                                     request->asked.include_object, now(NULL)};
    uint64_t before = registry_revision(state->world.registry);
    struct status status = {0};
    struct text answer = {0};
    bool is_done = verb == VERB_GET
                       ? read_get(&state->world, &request->target, &how, request->arena, &answer, &status)
                       : read_list(&state->world, &request->target, &request->asked, &how, request->arena,
                                   &answer, &status);
    require(state, is_done == (status.code == 0), "a refusal has a code", NULL);
    require(state, !is_done || answer.len > 0, "an answer has a body", NULL);
    require(state, registry_revision(state->world.registry) == before, "reading writes", NULL);
    text_done(&answer);
}

static void check_status(struct state *state, const struct status *status)
{
    json_t *tree = status_tree(status);
    require(state, status->code >= 400 && json_is_object(tree), "a refusal has a code", status->message);
    json_decref(tree);
}

static void handle(struct state *state, struct request *request)
{
    struct status status = {0};
    enum verb verb;
    if (!target_parse(request->path, request->arena, &request->target))
        return;
    if (!query_parse(request->query, request->arena, &request->asked, &status)) {
        check_status(state, &status);
        return;
    }
    if (!verb_parse(request->method, &request->target, &request->asked, &verb) ||
        !accept_parse(request->accept, true, &request->accepted))
        return;
    bool is_reading = verb == VERB_GET || verb == VERB_LIST || verb == VERB_WATCH;
    bool is_good = verb == VERB_LIST || verb == VERB_WATCH
                       ? query_check_list(&request->asked, request->arena, &status)
                       : is_reading || query_check_write(&request->asked, verb, request->arena, &status);
    if (!is_good)
        check_status(state, &status);
    else if (is_reading)
        handle_read(state, request, verb);
    else
        handle_write(state, request, verb);
}

/* --- input --- */

/* Takes a line off the text; past its end every line is empty. */
static char *take_line(char **rest)
{
    char *line = *rest, *end = strchrnul(line, '\n');
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return line;
}

static void take_request(struct state *state, const char *bytes, size_t len)
{
    struct arena arena;
    arena_init(&arena);
    char *head = arena_strndup(&arena, bytes, len), *rest = head;
    struct request request = {.arena = &arena, .method = take_line(&rest)};
    char *url = strchrnul((char *)request.method, ' ');
    if (*url)
        *url++ = '\0';
    char *query = strchrnul(url, '?');
    if (*query)
        *query++ = '\0';
    request.path = url;
    request.query = query;
    request.content_type = take_line(&rest);
    request.accept = take_line(&rest);
    take_line(&rest);
    text_add_bytes(&request.body, bytes + (rest - head), len - (size_t)(rest - head));
    state->text = bytes;
    state->len = len;
    handle(state, &request);
    text_done(&request.body);
    arena_done(&arena);
}

static void open_world(struct state *state)
{
    static const char namespaces[] = "POST /api/v1/namespaces\n\n\n\n{\"metadata\":{\"name\":\"default\"}}";
    const struct registry_options options = {0};
    struct allocator_config config = {.range_count = 2, .node_port_first = 30000, .node_port_last = 30015};
    struct err err;
    prefix_parse("10.96.0.0/28", &config.ranges[0], NULL);
    prefix_parse("fd00:10:96::/120", &config.ranges[1], NULL);
    *state = (struct state){.dice = 88172645463325252u};
    struct registry *registry;
    require(state, registry_open(&registry, &options, &err) == 0, "no registry", "");
    state->world = (struct world){registry, allocator_new(&config), now, draw, state};
    take_request(state, namespaces, sizeof(namespaces) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state state;
    const char *at = (const char *)data, *end = at + size;
    open_world(&state);
    for (int i = 0; i < REQUESTS_MAX && at < end; i++) {
        const char *stop = memmem(at, (size_t)(end - at), BETWEEN, strlen(BETWEEN));
        take_request(&state, at, (size_t)((stop ? stop : end) - at));
        at = stop ? stop + strlen(BETWEEN) : end;
    }
    allocator_free(state.world.allocator);
    registry_close(state.world.registry);
    return 0;
}
