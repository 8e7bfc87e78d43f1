/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/applier.h"

#include "apiserver/test_objects.h"
#include "apiserver/test_world.h"

/* The folder of manifests beside other people who write. */

#define MAPS TEST_CORE "configmaps"

struct fixture {
    struct test_world *world;
    struct applier *applier;
    struct text said;
};

static void note_complaint(void *context, bool is_refusal, const char *sentence)
{
    text_printf(context, "%s%s\n", is_refusal ? "! " : "", sentence);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    void *world;
    test_world_setup(&world);
    fixture->world = world;
    fixture->applier = applier_new(&fixture->world->world, note_complaint, &fixture->said);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *world = fixture->world;
    applier_free(fixture->applier);
    text_done(&fixture->said);
    free(fixture);
    return test_world_teardown(&world);
}
#define TEST_APPLIED(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* As the folder's reader tells it. */
static void put(struct fixture *fixture, enum api_kind kind, const char *yaml)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *message = test_read(kind, yaml, &arena);
    const Meta__ObjectMeta *metadata = api_metadata(message);
    struct api_object object = {kind, api_text(metadata->namespace_), metadata->name, message};
    if (api_kind_info(kind)->is_namespaced && !*object.namespace_)
        object.namespace_ = "default";
    const struct source_sink sink = applier_sink(fixture->applier);
    sink.put(sink.context, &object);
    sink.settled(sink.context);
    arena_done(&arena);
}

static void put_map(struct fixture *fixture, const char *name, const char *value)
{
    put(fixture, API_CONFIG_MAP,
        arena_printf(&fixture->world->arena, "{metadata: {name: %s}, data: {k: %s}}", name, value));
}

static void take_away(struct fixture *fixture, enum api_kind kind, const char *name)
{
    const struct source_sink sink = applier_sink(fixture->applier);
    sink.remove(sink.context, kind, api_kind_info(kind)->is_namespaced ? "default" : "", name);
}

/* What was said since the last time. */
static void expect_said(struct fixture *fixture, const char *wanted)
{
    applier_pull(fixture->applier);
    assert_string_equal(text_str(&fixture->said), wanted);
    text_done(&fixture->said);
}

static void expect_object(struct fixture *fixture, const char *path, const char *wanted)
{
    test_do(fixture->world, arena_printf(&fixture->world->arena, "GET %s", path), NULL);
    test_expect(fixture->world->tree, wanted, path);
}

static void objects_of_the_folder_are_applied(void **state)
{
    struct fixture *fixture = *state;
    put_map(fixture, "a", "v");
    expect_object(fixture, MAPS "/a",
                  "{data: {k: v}, metadata: {managedFields: [{manager: " APPLIER_MANAGER
                  ", operation: Apply, fieldsV1: {'f:data': {'f:k': {}}}}]}}");
    uint64_t revision = registry_revision(fixture->world->world.registry);
    put_map(fixture, "a", "v");
    assert_int_equal(registry_revision(fixture->world->world.registry), revision);
    put_map(fixture, "a", "w");
    expect_object(fixture, MAPS "/a", "{data: {k: w}}");
    put(fixture, API_CONFIG_MAP, "{metadata: {name: a}, data: {other: x}}");
    expect_object(fixture, MAPS "/a", "{data: {k: null, other: x}}");
    take_away(fixture, API_CONFIG_MAP, "a");
    assert_false(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
    take_away(fixture, API_CONFIG_MAP, "never-there");
    /* One that says nothing but its name. */
    put(fixture, API_CONFIG_MAP, "{metadata: {name: a}}");
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
    take_away(fixture, API_CONFIG_MAP, "a");
    assert_false(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
    expect_said(fixture, "");
}

static void namespaces_come_along(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_CONFIG_MAP, "{metadata: {name: a, namespace: shop}}");
    assert_true(test_is_there(fixture->world, API_NAMESPACE, "", "shop"));
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "shop", "a"));
    put(fixture, API_NAMESPACE, "{metadata: {name: shop, labels: {a: b}}}");
    expect_object(fixture, "/api/v1/namespaces/shop", "{metadata: {labels: {a: b}}}");
    expect_said(fixture, "");
}

static void services_get_addresses_and_keep_them(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_SERVICE, "{metadata: {name: web}, spec: {ports: [{port: 80}]}}");
    test_do(fixture->world, "GET " TEST_CORE "services/web", NULL);
    const char *address = arena_strdup(&fixture->world->arena,
                                       api_text(json_string_value(json_object_get(
                                           json_object_get(fixture->world->tree, "spec"), "clusterIP"))));
    assert_true(*address);
    put(fixture, API_SERVICE, "{metadata: {name: web}, spec: {ports: [{port: 81}]}}");
    expect_object(
        fixture, TEST_CORE "services/web",
        arena_printf(&fixture->world->arena, "{spec: {clusterIP: %s, ports: [{port: 81}]}}", address));
    put(fixture, API_SERVICE,
        "{metadata: {name: other}, spec: {clusterIP: 10.96.0.77, ports: [{port: 81}]}}");
    put(fixture, API_SERVICE,
        "{metadata: {name: third}, spec: {clusterIP: 10.96.0.77, ports: [{port: 81}]}}");
    expect_said(fixture,
                "! Service/default/third: Service \"third\" is invalid: spec.clusterIPs: Invalid value: "
                "[\"10.96.0.77\"]: failed to allocate IP 10.96.0.77: provided IP is already allocated\n");
    take_away(fixture, API_SERVICE, "third");
    take_away(fixture, API_SERVICE, "other");
    take_away(fixture, API_SERVICE, "web");
    expect_said(fixture, "");
}

/* A folder is the only one who can say what state its pods and nodes are in. */
static void status_is_applied_too(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_POD,
        "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running, podIP: "
        "10.1.0.1}}");
    expect_object(fixture, TEST_CORE "pods/p",
                  "{status: {phase: Running, podIP: 10.1.0.1}, spec: {containers: [{}]}}");
    put(fixture, API_NODE,
        "{metadata: {name: node1}, spec: {podCIDR: 10.1.0.0/24}, status: {addresses: [{type: InternalIP, "
        "address: "
        "192.0.2.1}]}}");
    expect_object(fixture, "/api/v1/nodes/node1",
                  "{spec: {podCIDR: 10.1.0.0/24}, status: {addresses: [{address: 192.0.2.1}]}}");
    uint64_t revision = registry_revision(fixture->world->world.registry);
    put(fixture, API_NODE,
        "{metadata: {name: node1}, spec: {podCIDR: 10.1.0.0/24}, status: {addresses: [{type: InternalIP, "
        "address: "
        "192.0.2.1}]}}");
    assert_int_equal(registry_revision(fixture->world->world.registry), revision);
    put(fixture, API_NODE, "{metadata: {name: node2}, spec: {podCIDR: 10.2.0.0/24}}");
    expect_said(fixture, "");
}

/* --- others --- */

static void changes_by_others_stay_and_are_said_once(void **state)
{
    struct fixture *fixture = *state;
    put_map(fixture, "a", "v");
    applier_finish_listing(fixture->applier);
    expect_said(fixture, "");
    /* Beside what the folder says, anybody may write. */
    test_do(fixture->world, "MERGE " MAPS "/a?fieldManager=hand", "{data: {mine: x}}");
    expect_said(fixture, "");
    test_do(fixture->world, "MERGE " MAPS "/a?fieldManager=hand", "{data: {k: w}}");
    expect_said(
        fixture,
        "ConfigMap/default/a: \"hand\" changed fields that the folder sets; its values stay until the file "
        "and the object agree again\n");
    expect_said(fixture, "");
    test_do(fixture->world, "MERGE " MAPS "/a?fieldManager=hand", "{data: {k: x}}");
    expect_said(fixture, "");
    expect_object(fixture, MAPS "/a", "{data: {k: x, mine: x}}");
    put_map(fixture, "a", "w");
    expect_object(fixture, MAPS "/a", "{data: {k: x}}");
    expect_said(
        fixture,
        "! ConfigMap/default/a: somebody else has changed what the folder says, so the folder's version is "
        "not applied: Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.k\n");
    /* They agree again. */
    put_map(fixture, "a", "x");
    expect_said(fixture, "");
    expect_object(fixture, MAPS "/a",
                  "{metadata: {managedFields: [{manager: " APPLIER_MANAGER "}, {manager: hand}]}}");
}

static void deletions_by_others_are_said(void **state)
{
    struct fixture *fixture = *state;
    put_map(fixture, "a", "v");
    applier_finish_listing(fixture->applier);
    test_do(fixture->world, "DELETE " MAPS "/a", NULL);
    expect_said(
        fixture,
        "ConfigMap/default/a: was deleted by somebody else; it comes back when its file is written again\n");
    put_map(fixture, "a", "v");
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
    expect_said(fixture, "");
    test_do(fixture->world, "POST " MAPS, "{metadata: {name: not-of-the-folder}}");
    test_do(fixture->world, "DELETE " MAPS "/not-of-the-folder", NULL);
    expect_said(fixture, "");
}

/* What the folder could not apply never was the folder's. */
static void what_others_made_is_not_taken_away(void **state)
{
    struct fixture *fixture = *state;
    test_do(fixture->world, "POST " MAPS "?fieldManager=hand", "{metadata: {name: a}, data: {k: theirs}}");
    put_map(fixture, "a", "ours");
    expect_said(
        fixture,
        "! ConfigMap/default/a: somebody else has changed what the folder says, so the folder's version is "
        "not applied: Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.k\n");
    take_away(fixture, API_CONFIG_MAP, "a");
    expect_object(fixture, MAPS "/a", "{data: {k: theirs}}");
    /* Nor what somebody made after he had deleted the folder's. */
    put_map(fixture, "b", "ours");
    applier_finish_listing(fixture->applier);
    test_do(fixture->world, "DELETE " MAPS "/b", NULL);
    applier_pull(fixture->applier);
    test_do(fixture->world, "POST " MAPS, "{metadata: {name: b}, data: {k: theirs}}");
    take_away(fixture, API_CONFIG_MAP, "b");
    expect_object(fixture, MAPS "/b", "{data: {k: theirs}}");
    text_done(&fixture->said);
}

static void invalid_objects_are_said(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_SERVICE, "{metadata: {name: Bad_}, spec: {ports: [{port: 80}]}}");
    applier_pull(fixture->applier);
    assert_int_equal(strncmp(text_str(&fixture->said),
                             "! Service/default/Bad_: Service \"Bad_\" is invalid: metadata.name",
                             strlen("! Service/default/Bad_: Service \"Bad_\" is invalid: metadata.name")),
                     0);
    text_done(&fixture->said);
    assert_false(test_is_there(fixture->world, API_SERVICE, "default", "Bad_"));
}

/* --- over a restart --- */

static void restart(struct fixture *fixture)
{
    applier_free(fixture->applier);
    fixture->applier = applier_new(&fixture->world->world, note_complaint, &fixture->said);
}

static void what_an_earlier_folder_had_goes(void **state)
{
    struct fixture *fixture = *state;
    put_map(fixture, "a", "v");
    put_map(fixture, "b", "v");
    put(fixture, API_CONFIG_MAP, "{metadata: {name: c, namespace: shop}, data: {k: v}}");
    test_do(fixture->world, "POST " MAPS, "{metadata: {name: by-hand}}");
    applier_finish_listing(fixture->applier);
    restart(fixture);
    put_map(fixture, "a", "v");
    applier_finish_listing(fixture->applier);
    expect_said(fixture, "ConfigMap/default/b: is no longer in the folder and is deleted\n"
                         "ConfigMap/shop/c: is no longer in the folder and is deleted\n");
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
    assert_false(test_is_there(fixture->world, API_CONFIG_MAP, "default", "b"));
    assert_false(test_is_there(fixture->world, API_CONFIG_MAP, "shop", "c"));
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "default", "by-hand"));
    assert_true(test_is_there(fixture->world, API_NAMESPACE, "", "shop"));
}

static void an_empty_folder_takes_nothing_away(void **state)
{
    struct fixture *fixture = *state;
    put_map(fixture, "a", "v");
    applier_finish_listing(fixture->applier);
    restart(fixture);
    applier_finish_listing(fixture->applier);
    expect_said(fixture, "");
    assert_true(test_is_there(fixture->world, API_CONFIG_MAP, "default", "a"));
}

/* The first listing is one batch, of which everything or nothing is true. */
static void a_listing_may_be_a_batch(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    registry_begin(fixture->world->world.registry);
    put_map(fixture, "a", "v");
    put(fixture, API_SERVICE, "{metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}");
    assert_int_equal(registry_commit(fixture->world->world.registry, &err), 0);
    applier_finish_listing(fixture->applier);
    expect_said(fixture, "");
    expect_object(fixture, MAPS "/a", "{data: {k: v}}");
    expect_object(fixture, "/api/v1/namespaces/shop/services/web", "{kind: Service}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_APPLIED(objects_of_the_folder_are_applied),
        TEST_APPLIED(namespaces_come_along),
        TEST_APPLIED(services_get_addresses_and_keep_them),
        TEST_APPLIED(status_is_applied_too),
        TEST_APPLIED(changes_by_others_stay_and_are_said_once),
        TEST_APPLIED(deletions_by_others_are_said),
        TEST_APPLIED(what_others_made_is_not_taken_away),
        TEST_APPLIED(invalid_objects_are_said),
        TEST_APPLIED(what_an_earlier_folder_had_goes),
        TEST_APPLIED(an_empty_folder_takes_nothing_away),
        TEST_APPLIED(a_listing_may_be_a_batch),
    };
    return cmocka_run_group_tests_name("applier", tests, NULL, NULL);
}
