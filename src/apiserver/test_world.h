/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: the API without HTTP, over a registry in memory, with a clock and a randomness of its own.
 */
#include "api/wire.h"
#include "apiserver/body.h"
#include "apiserver/read.h"
#include "apiserver/services.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST_NOW 1700000000 /* 2023-11-14T22:13:20Z */
#define TEST_HISTORY 256    /* revisions that a list may lie in the past */
#define TEST_CORE "/api/v1/namespaces/default/"

struct test_world {
    struct world world;
    struct arena arena;
    int64_t now;
    uint64_t random;
    const char *accept; /* header of the requests to come; NULL: none */
    /* The last answer. */
    const char *answer;     /* "201", or "404 NotFound services \"web\" not found" */
    struct outcome outcome; /* of a write */
    struct text body;
    json_t *tree; /* the body, where that is JSON */
};

/* One request, and what is expected of its answer. */
struct test_step {
    const char
        *request;     /* "PUT /api/v1/nodes/n?dryRun=All"; JSON, MERGE, STRATEGIC, APPLY are kinds of PATCH */
    const char *body; /* YAML; NULL for none */
    const char *answer; /* as in struct test_world */
    int writes;         /* by how much the registry's revision grows */
    const char *shows;  /* YAML that the answer has in it, null for what is not there; NULL: anything */
};

static inline int64_t test_now(void *context)
{
    return ((struct test_world *)context)->now;
}

/* Small numbers: allocation begins low in the upper band, and no uid comes twice. */
static inline uint64_t test_random(void *context)
{
    return ++((struct test_world *)context)->random;
}

static inline json_t *test_yaml(const char *yaml)
{
    struct err err;
    json_t *tree = wire_tree_from_yaml(yaml, strlen(yaml), &err);
    if (!tree)
        fail_msg("%s\n%s", err.text, yaml);
    return tree;
}

/* Whether everything that is wanted is in given; null stands for what is absent. */
static inline bool test_has(json_t *given, json_t *wanted)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_null(wanted))
        return !given || json_is_null(given);
    if (json_is_object(wanted) && json_is_object(given)) {
        json_object_foreach(wanted, key, value)
        {
            if (!test_has(json_object_get(given, key), value))
                return false;
        }
        return true;
    }
    if (!json_is_array(wanted) || !json_is_array(given))
        return given && json_equal(given, wanted);
    if (json_array_size(wanted) != json_array_size(given))
        return false;
    json_array_foreach(wanted, i, value)
    {
        if (!test_has(json_array_get(given, i), value))
            return false;
    }
    return true;
}

static inline void test_expect(json_t *given, const char *wanted, const char *what)
{
    json_t *tree = test_yaml(wanted);
    if (!test_has(given, tree)) {
        cleanup_free char *text = given ? json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        fail_msg("%s\ngave %s\nwithout %s", what, text ? text : "nothing", wanted);
    }
    json_decref(tree);
}

/* --- one request, as apiserver.c takes it --- */

static const struct {
    const char *method;
    enum patch_type type;
} test_patches[] = {
    {"JSON", PATCH_JSON}, {"MERGE", PATCH_MERGE}, {"STRATEGIC", PATCH_STRATEGIC}, {"APPLY", PATCH_APPLY}};

static inline bool test_is_patch(const char *method, enum patch_type *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(test_patches); i++) {
        if (strcmp(test_patches[i].method, method) == 0) {
            *ret = test_patches[i].type;
            return true;
        }
    }
    return false;
}

static inline void test_write(struct write *write, enum verb verb, enum patch_type type,
                              const struct query *query, const char *body)
{
    struct text text = {0};
    struct write_options options = *write->options;
    struct delete_options deletion = {query->grace_seconds, "", "", query->propagation_policy};
    ProtobufCMessage *object;
    json_t *patch = NULL;
    text_add(&text, body ? body : "");
    if (verb == VERB_CREATE && body_object(write, MEDIA_YAML, &text, &object)) {
        verb_create(write, object);
    } else if (verb == VERB_UPDATE && body_object(write, MEDIA_YAML, &text, &object)) {
        verb_update(write, object);
    } else if (verb == VERB_PATCH) {
        options.manager = type == PATCH_APPLY ? query->field_manager : options.manager;
        write->options = &options;
        patch = test_yaml(body);
        verb_patch(write, type, patch);
        json_decref(patch);
    } else if (verb == VERB_DELETE &&
               body_delete_options(write, MEDIA_YAML, &text, &deletion, &options.is_dry_run)) {
        write->options = &options;
        verb_delete(write, &deletion);
    }
    text_done(&text);
}

static inline void test_serve(struct test_world *world, const struct target *target,
                              const struct query *query, enum verb verb, enum patch_type type,
                              const char *body, struct status *status)
{
    struct presentation how = {{0}, target->resource, query->include_object, world->now};
    const struct write_options options = {.manager = *query->field_manager ? query->field_manager : "test",
                                          .is_dry_run = query->is_dry_run,
                                          .is_forced = query->is_forced,
                                          .field_validation = query->field_validation};
    struct write write = {&world->world, target, &options, &world->arena, &world->outcome, false};
    if (!accept_parse(world->accept, true, &how.accepted)) {
        status_generic(status, 406, "NotAcceptable", "");
        return;
    }
    world->outcome.code = 200;
    if (verb == VERB_GET) {
        read_get(&world->world, target, &how, &world->arena, &world->body, status);
    } else if (verb == VERB_LIST) {
        read_list(&world->world, target, query, &how, &world->arena, &world->body, status);
    } else {
        test_write(&write, verb, type, query, body);
        *status = world->outcome.status;
        if (!status->code && world->outcome.object)
            present_object(&how, world->outcome.object, NULL, &world->body);
    }
}

static inline void test_route(struct test_world *world, const char *request, const char *body,
                              struct status *status)
{
    struct arena *arena = &world->arena;
    const char *space = strchr(request, ' '), *path = space + 1, *question = strchrnul(path, '?');
    const char *method = arena_strndup(arena, request, (size_t)(space - request));
    enum patch_type type = PATCH_JSON;
    bool is_patch = test_is_patch(method, &type);
    struct target target;
    struct query query;
    enum verb verb;
    if (!target_parse(arena_strndup(arena, path, (size_t)(question - path)), arena, &target))
        status_generic(status, 404, "NotFound", "the server could not find the requested resource");
    else if (!query_parse(*question ? question + 1 : "", arena, &query, status))
        assert_int_not_equal(status->code, 0);
    else if (!verb_parse(is_patch ? "PATCH" : method, &target, &query, &verb))
        status_method_not_allowed(status, arena, method, target.resource->plural);
    else if (verb == VERB_GET || (verb == VERB_LIST ? query_check_list(&query, arena, status)
                                                    : query_check_write(&query, verb, arena, status)))
        test_serve(world, &target, &query, verb, type, body, status);
}

static inline void test_ask(struct test_world *world, const char *request, const char *body)
{
    struct status status = {0};
    text_done(&world->body);
    json_decref(world->tree);
    world->outcome = (struct outcome){0};
    world->tree = NULL;
    test_route(world, request, body, &status);
    if (status.code) {
        world->tree = status_tree(&status);
        world->answer = arena_printf(&world->arena, "%u%s%s %s", status.code, *status.reason ? " " : "",
                                     status.reason, status.message);
    } else {
        world->tree = json_loadb(text_str(&world->body), world->body.len, 0, NULL);
        world->answer = arena_printf(&world->arena, "%u", world->outcome.code);
    }
}

static inline void test_step(struct test_world *world, const struct test_step *step)
{
    uint64_t revision = registry_revision(world->world.registry);
    test_ask(world, step->request, step->body);
    if (strcmp(world->answer, step->answer) != 0)
        fail_msg("%s\n%s\ngave %s\nnot  %s", step->request, step->body ? step->body : "", world->answer,
                 step->answer);
    if (step->shows)
        test_expect(world->tree, step->shows, step->request);
    uint64_t writes = registry_revision(world->world.registry) - revision;
    if (writes != (uint64_t)step->writes)
        fail_msg("%s\n%s\nmade %" PRIu64 " revisions, not %d", step->request, step->body ? step->body : "",
                 writes, step->writes);
}

static inline void test_steps(struct test_world *world, const struct test_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        test_step(world, &steps[i]);
}
#define TEST_STEPS(world, steps) test_steps(world, steps, ARRAY_LEN(steps))

/* A request that has to go well, the registry's revision aside. */
static inline void test_do(struct test_world *world, const char *request, const char *body)
{
    test_ask(world, request, body);
    if (strlen(world->answer) != 3)
        fail_msg("%s\n%s\ngave %s", request, body ? body : "", world->answer);
}

static inline bool test_is_there(struct test_world *world, enum api_kind kind, const char *namespace_,
                                 const char *name)
{
    return registry_get(world->world.registry, kind, namespace_, name) != NULL;
}

/* Of the object in the last answer; borrowed, "" where it is not there. */
static inline const char *test_metadata(struct test_world *world, const char *field)
{
    return api_text(json_string_value(json_object_get(json_object_get(world->tree, "metadata"), field)));
}

/* --- the world --- */

static inline int test_world_setup(void **state)
{
    static const char *const namespaces[] = {"default", "kube-system", "kube-node-lease"};
    struct test_world *world = xcalloc(1, sizeof(*world));
    struct allocator_config ranges = {.range_count = 2, .node_port_first = 30000, .node_port_last = 32767};
    const struct registry_options options = {.history_events = TEST_HISTORY};
    assert_int_equal(prefix_parse("10.96.0.0/16", &ranges.ranges[0], NULL), 0);
    assert_int_equal(prefix_parse("fd00::/108", &ranges.ranges[1], NULL), 0);
    world->world = (struct world){.now = test_now, .random = test_random, .context = world};
    world->world.allocator = allocator_new(&ranges);
    assert_int_equal(registry_open(&world->world.registry, &options, NULL), 0);
    arena_init(&world->arena);
    world->now = TEST_NOW;
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        test_do(world, "POST /api/v1/namespaces",
                arena_printf(&world->arena, "{metadata: {name: %s}}", namespaces[i]));
    *state = world;
    return 0;
}

/* Whatever a test did: what is given away is what the stored Services have, neither more nor less. */
static inline void test_check_allocator(const struct test_world *world)
{
    const struct registry_query query = {.kind = API_SERVICE};
    const struct registry_object **list;
    size_t count, remaining;
    struct arena arena;
    struct err err = {""};
    struct allocator *fresh = allocator_new(allocator_config(world->world.allocator));
    arena_init(&arena);
    assert_int_equal(registry_list(world->world.registry, &query, 0, &list, &count, &remaining), 0);
    for (size_t i = 0; i < count; i++)
        if (services_adopt((Core__Service *)registry_decode(list[i], &arena), fresh, &err) < 0)
            fail_msg("%s: %s", list[i]->name, err.text);
    assert_int_equal(allocator_address_count(world->world.allocator), allocator_address_count(fresh));
    assert_int_equal(allocator_port_count(world->world.allocator), allocator_port_count(fresh));
    registry_list_free(list, count);
    allocator_free(fresh);
    arena_done(&arena);
}

static inline int test_world_teardown(void **state)
{
    struct test_world *world = *state;
    test_check_allocator(world);
    registry_close(world->world.registry);
    allocator_free(world->world.allocator);
    text_done(&world->body);
    json_decref(world->tree);
    arena_done(&world->arena);
    free(world);
    return 0;
}
#define TEST_IN_WORLD(function)                                                                              \
    cmocka_unit_test_setup_teardown(function, test_world_setup, test_world_teardown)
