/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/collect.h"

#include "apiserver/test_world.h"

/* What follows of deletions by itself, with a clock that the test moves. */

#define MAPS TEST_CORE "configmaps"
#define PODS TEST_CORE "pods"
#define TURNS_MAX 100

struct fixture {
    struct test_world *world;
    uv_loop_t loop;
    struct collector *collector;
    struct text reports;
};

static void note_report(void *context, const char *sentence)
{
    text_printf(context, "%s\n", sentence);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    void *world;
    test_world_setup(&world);
    fixture->world = world;
    uv_loop_init(&fixture->loop);
    fixture->collector =
        collector_new(&fixture->loop, &fixture->world->world, note_report, &fixture->reports);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *world = fixture->world;
    assert_string_equal(text_str(&fixture->reports), "");
    collector_close(fixture->collector);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    text_done(&fixture->reports);
    free(fixture);
    return test_world_teardown(&world);
}
#define TEST_COLLECTED(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* Until nothing more follows. */
static void settle(struct fixture *fixture)
{
    int quiet = 0;
    for (int i = 0; i < TURNS_MAX && quiet < 2; i++) {
        uint64_t revision = registry_revision(fixture->world->world.registry);
        collector_pull(fixture->collector);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        quiet = registry_revision(fixture->world->world.registry) == revision ? quiet + 1 : 0;
    }
    assert_int_equal(quiet, 2);
}

static void wait_s(struct fixture *fixture, int64_t seconds)
{
    fixture->world->now += seconds;
    settle(fixture);
}

static void make(struct fixture *fixture, const char *request, const char *body)
{
    test_do(fixture->world, arena_printf(&fixture->world->arena, "POST %s", request), body);
}

static void remove_path(struct fixture *fixture, const char *request)
{
    test_do(fixture->world, arena_printf(&fixture->world->arena, "DELETE %s", request), NULL);
    settle(fixture);
}

static const char *uid_of(struct fixture *fixture, const char *path)
{
    test_do(fixture->world, arena_printf(&fixture->world->arena, "GET %s", path), NULL);
    return arena_strdup(&fixture->world->arena, test_metadata(fixture->world, "uid"));
}

/* A ConfigMap that belongs to another one. */
static void make_owned(struct fixture *fixture, const char *name, const char *owner)
{
    make(
        fixture, MAPS,
        arena_printf(
            &fixture->world->arena,
            "{metadata: {name: %s, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: %s, uid: %s}]}}",
            name, owner, uid_of(fixture, arena_printf(&fixture->world->arena, MAPS "/%s", owner))));
}

static void make_map(struct fixture *fixture, const char *name)
{
    make(fixture, MAPS, arena_printf(&fixture->world->arena, "{metadata: {name: %s}}", name));
}

/* The ConfigMaps that are there: "a b". */
static void expect_maps(struct fixture *fixture, const char *wanted)
{
    struct text names = {0};
    const struct registry_query query = {.kind = API_CONFIG_MAP, .namespace_ = "default"};
    const struct registry_object **list;
    size_t count, remaining;
    assert_int_equal(registry_list(fixture->world->world.registry, &query, 0, &list, &count, &remaining), 0);
    for (size_t i = 0; i < count; i++)
        text_printf(&names, "%s%s", i ? " " : "", list[i]->name);
    assert_string_equal(text_str(&names), wanted);
    registry_list_free(list, count);
    text_done(&names);
}

static bool has(struct fixture *fixture, enum api_kind kind, const char *name)
{
    return test_is_there(fixture->world, kind, api_kind_info(kind)->is_namespaced ? "default" : "", name);
}

/* --- owners --- */

static void what_is_owned_goes_with_its_owner(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    make_owned(fixture, "c", "b");
    make_map(fixture, "other");
    settle(fixture);
    expect_maps(fixture, "a b c other");
    remove_path(fixture, MAPS "/c");
    expect_maps(fixture, "a b other");
    make_owned(fixture, "c", "b");
    remove_path(fixture, MAPS "/a");
    expect_maps(fixture, "other");
}

static void one_owner_is_enough_to_stay(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make_map(fixture, "b");
    make(fixture, MAPS,
         arena_printf(
             &fixture->world->arena,
             "{metadata: {name: c, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: %s}, "
             "{apiVersion: v1, kind: ConfigMap, name: b, uid: %s}]}}",
             uid_of(fixture, MAPS "/a"), uid_of(fixture, MAPS "/b")));
    remove_path(fixture, MAPS "/a");
    expect_maps(fixture, "b c");
    remove_path(fixture, MAPS "/b");
    expect_maps(fixture, "");
}

/* https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents */
static void owners_are_known_by_uid_and_place(void **state)
{
    static const struct {
        const char *reference;
        bool stays;
    } cases[] = {
        {"{apiVersion: v1, kind: ConfigMap, name: missing, uid: u}", false},
        {"{apiVersion: v1, kind: ConfigMap, name: a, uid: of-an-earlier-one}", false},
        {"{apiVersion: v1, kind: Node, name: missing, uid: u}", false},
        /* Of kinds that are not kept here nobody can say that they are gone. */
        {"{apiVersion: apps/v1, kind: ReplicaSet, name: missing, uid: u}", true},
        {"{apiVersion: example.com/v1, kind: ConfigMap, name: missing, uid: u}", true},
        {"{apiVersion: v2, kind: ConfigMap, name: missing, uid: u}", true},
    };
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make(fixture, MAPS,
             arena_printf(&fixture->world->arena, "{metadata: {name: b, ownerReferences: [%s]}}",
                          cases[i].reference));
        settle(fixture);
        if (has(fixture, API_CONFIG_MAP, "b") != cases[i].stays)
            fail_msg("%s %s", cases[i].reference, cases[i].stays ? "is gone" : "stays");
        if (cases[i].stays)
            remove_path(fixture, MAPS "/b");
    }
    /* An owner of the same name in another namespace is none. */
    make(
        fixture, "/api/v1/namespaces/kube-system/configmaps",
        arena_printf(
            &fixture->world->arena,
            "{metadata: {name: far, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: %s}]}}",
            uid_of(fixture, MAPS "/a")));
    settle(fixture);
    assert_false(test_is_there(fixture->world, API_CONFIG_MAP, "kube-system", "far"));
    /* What has no namespace cannot belong to what has one. */
    make(fixture, "/api/v1/nodes",
         "{metadata: {name: node1, ownerReferences: [{apiVersion: v1, kind: Pod, name: missing, uid: u}]}}");
    settle(fixture);
    assert_true(has(fixture, API_NODE, "node1"));
    make(fixture, MAPS,
         arena_printf(
             &fixture->world->arena,
             "{metadata: {name: c, ownerReferences: [{apiVersion: v1, kind: Node, name: node1, uid: %s}]}}",
             uid_of(fixture, "/api/v1/nodes/node1")));
    settle(fixture);
    expect_maps(fixture, "a c");
    remove_path(fixture, "/api/v1/nodes/node1");
    expect_maps(fixture, "a");
}

static void owners_may_change(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    settle(fixture);
    test_do(fixture->world, "MERGE " MAPS "/b", "{metadata: {ownerReferences: null}}");
    remove_path(fixture, MAPS "/a");
    expect_maps(fixture, "b");
    test_do(fixture->world, "MERGE " MAPS "/b",
            "{metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: u}]}}");
    settle(fixture);
    expect_maps(fixture, "");
    /* An owner made again under its name is another one. */
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    settle(fixture);
    test_do(fixture->world, "DELETE " MAPS "/a", NULL);
    make_map(fixture, "a");
    settle(fixture);
    expect_maps(fixture, "a");
}

static void orphans_forget_their_owner(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    settle(fixture);
    remove_path(fixture, MAPS "/a?propagationPolicy=Orphan");
    expect_maps(fixture, "b");
    test_do(fixture->world, "GET " MAPS "/b", NULL);
    test_expect(fixture->world->tree, "{metadata: {ownerReferences: null, deletionTimestamp: null}}",
                "the orphan");
}

static void in_the_foreground_dependents_go_first(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make(fixture, MAPS,
         arena_printf(
             &fixture->world->arena,
             "{metadata: {name: b, finalizers: [example.com/one], ownerReferences: [{apiVersion: v1, kind: "
             "ConfigMap, name: a, uid: %s, blockOwnerDeletion: true}]}}",
             uid_of(fixture, MAPS "/a")));
    make_owned(fixture, "c", "a");
    remove_path(fixture, MAPS "/a?propagationPolicy=Foreground");
    expect_maps(fixture, "a b");
    test_do(fixture->world, "GET " MAPS "/a", NULL);
    test_expect(fixture->world->tree, "{metadata: {finalizers: [foregroundDeletion]}}", "the owner");
    test_do(fixture->world, "GET " MAPS "/b", NULL);
    assert_true(*test_metadata(fixture->world, "deletionTimestamp"));
    test_do(fixture->world, "MERGE " MAPS "/b", "{metadata: {finalizers: null}}");
    settle(fixture);
    expect_maps(fixture, "");
    /* Nothing to wait for. */
    make_map(fixture, "a");
    remove_path(fixture, MAPS "/a?propagationPolicy=Foreground");
    expect_maps(fixture, "");
    /* Other finalizers are others' business. */
    make(fixture, MAPS, "{metadata: {name: a, finalizers: [example.com/one]}}");
    remove_path(fixture, MAPS "/a?propagationPolicy=Foreground");
    test_do(fixture->world, "GET " MAPS "/a", NULL);
    test_expect(fixture->world->tree, "{metadata: {finalizers: [example.com/one]}}", "what others hold");
    test_do(fixture->world, "MERGE " MAPS "/a", "{metadata: {finalizers: null}}");
    expect_maps(fixture, "");
}

/* --- namespaces --- */

#define SHOP "/api/v1/namespaces/shop"

static void fill_shop(struct fixture *fixture)
{
    static const char *const objects[][2] = {
        {SHOP "/configmaps", "{metadata: {name: a}}"},
        {SHOP "/services", "{metadata: {name: s}, spec: {type: NodePort, ports: [{port: 80}]}}"},
        {SHOP "/endpoints", "{metadata: {name: s}}"},
        {SHOP "/events", "{metadata: {name: e}, involvedObject: {namespace: shop}}"},
        {"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
         "{metadata: {name: s-1}, addressType: IPv4}"},
        {"/apis/coordination.k8s.io/v1/namespaces/shop/leases", "{metadata: {name: l}}"},
    };
    make(fixture, "/api/v1/namespaces", "{metadata: {name: shop}}");
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        make(fixture, objects[i][0], objects[i][1]);
}

static uint32_t count_in_shop(struct fixture *fixture)
{
    uint32_t total = 0;
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        const struct registry_query query = {.kind = (enum api_kind)kind, .namespace_ = "shop"};
        const struct registry_object **list;
        size_t count, remaining;
        assert_int_equal(registry_list(fixture->world->world.registry, &query, 0, &list, &count, &remaining),
                         0);
        total += (uint32_t)count;
        registry_list_free(list, count);
    }
    return total;
}

static void namespaces_are_emptied_and_go(void **state)
{
    struct fixture *fixture = *state;
    fill_shop(fixture);
    make_map(fixture, "stays");
    settle(fixture);
    assert_int_equal(count_in_shop(fixture), 6);
    remove_path(fixture, SHOP);
    assert_int_equal(count_in_shop(fixture), 0);
    assert_false(has(fixture, API_NAMESPACE, "shop"));
    assert_int_equal(allocator_address_count(fixture->world->world.allocator), 0);
    expect_maps(fixture, "stays");
    make(fixture, "/api/v1/namespaces", "{metadata: {name: shop}}");
    settle(fixture);
    assert_true(has(fixture, API_NAMESPACE, "shop"));
}

static void namespaces_wait_for_what_is_held(void **state)
{
    struct fixture *fixture = *state;
    fill_shop(fixture);
    make(fixture, SHOP "/configmaps", "{metadata: {name: held, finalizers: [example.com/one]}}");
    make(fixture, SHOP "/pods",
         "{metadata: {name: p}, spec: {nodeName: node1, containers: [{name: c, image: i}]}}");
    remove_path(fixture, SHOP);
    assert_int_equal(count_in_shop(fixture), 2);
    assert_true(has(fixture, API_NAMESPACE, "shop"));
    wait_s(fixture, 29);
    assert_int_equal(count_in_shop(fixture), 2);
    wait_s(fixture, 1);
    assert_int_equal(count_in_shop(fixture), 1);
    assert_true(has(fixture, API_NAMESPACE, "shop"));
    test_do(fixture->world, "MERGE " SHOP "/configmaps/held", "{metadata: {finalizers: null}}");
    settle(fixture);
    assert_false(has(fixture, API_NAMESPACE, "shop"));
}

static void namespaces_wait_for_their_own_finalizers(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, "/api/v1/namespaces", "{metadata: {name: shop, finalizers: [example.com/one]}}");
    remove_path(fixture, SHOP);
    assert_true(has(fixture, API_NAMESPACE, "shop"));
    test_do(fixture->world, "MERGE " SHOP, "{metadata: {finalizers: null}}");
    settle(fixture);
    assert_false(has(fixture, API_NAMESPACE, "shop"));
}

static void namespaces_go_by_every_policy(void **state)
{
    static const char *const policies[] = {"Foreground", "Orphan", "Background"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        fill_shop(fixture);
        remove_path(fixture, arena_printf(&fixture->world->arena, SHOP "?propagationPolicy=%s", policies[i]));
        if (has(fixture, API_NAMESPACE, "shop"))
            fail_msg("%s: the namespace is still there", policies[i]);
        assert_int_equal(count_in_shop(fixture), 0);
    }
}

static void large_namespaces_are_emptied_by_and_by(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, "/api/v1/namespaces", "{metadata: {name: shop}}");
    for (int i = 0; i < 1500; i++)
        make(fixture, SHOP "/configmaps", arena_printf(&fixture->world->arena, "{metadata: {name: m%d}}", i));
    remove_path(fixture, SHOP);
    assert_int_equal(count_in_shop(fixture), 0);
    assert_false(has(fixture, API_NAMESPACE, "shop"));
}

/* --- time --- */

#define POD "{metadata: {name: p}, spec: {nodeName: node1, containers: [{name: c, image: i}]}}"

static void pods_go_when_their_grace_is_over(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, PODS, POD);
    remove_path(fixture, PODS "/p");
    wait_s(fixture, 29);
    assert_true(has(fixture, API_POD, "p"));
    wait_s(fixture, 1);
    assert_false(has(fixture, API_POD, "p"));
    make(fixture, PODS, POD);
    remove_path(fixture, PODS "/p?gracePeriodSeconds=3600");
    wait_s(fixture, 3599);
    assert_true(has(fixture, API_POD, "p"));
    remove_path(fixture, PODS "/p?gracePeriodSeconds=5");
    wait_s(fixture, 5);
    assert_false(has(fixture, API_POD, "p"));
}

static void an_old_expiry_spares_a_new_pod(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, PODS, POD);
    remove_path(fixture, PODS "/p?gracePeriodSeconds=3");
    remove_path(fixture, PODS "/p?gracePeriodSeconds=0");
    assert_false(has(fixture, API_POD, "p"));
    make(fixture, PODS, POD);
    wait_s(fixture, 3);
    wait_s(fixture, 3600);
    assert_true(has(fixture, API_POD, "p"));
    /* Also when nobody looked in between. */
    test_do(fixture->world, "DELETE " PODS "/p?gracePeriodSeconds=3", NULL);
    settle(fixture);
    test_do(fixture->world, "DELETE " PODS "/p?gracePeriodSeconds=0", NULL);
    make(fixture, PODS, POD);
    fixture->world->now += 10;
    settle(fixture);
    assert_true(has(fixture, API_POD, "p"));
}

static void finalizers_hold_a_pod_beyond_its_grace(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, PODS,
         "{metadata: {name: p, finalizers: [example.com/one]}, spec: {nodeName: node1, containers: [{name: "
         "c, image: "
         "i}]}}");
    remove_path(fixture, PODS "/p?gracePeriodSeconds=5");
    wait_s(fixture, 100);
    assert_true(has(fixture, API_POD, "p"));
    test_do(fixture->world, "MERGE " PODS "/p", "{metadata: {finalizers: null}}");
    settle(fixture);
    assert_false(has(fixture, API_POD, "p"));
}

static void events_live_for_an_hour(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, TEST_CORE "events", "{metadata: {name: e}, involvedObject: {namespace: default}}");
    make(fixture, TEST_CORE "events", "{metadata: {name: again}, involvedObject: {namespace: default}}");
    wait_s(fixture, 1800);
    test_do(fixture->world, "MERGE " TEST_CORE "events/again",
            "{count: 2, lastTimestamp: '2023-11-14T22:43:20Z'}");
    make_map(fixture, "a");
    wait_s(fixture, 1799);
    assert_true(has(fixture, API_EVENT, "e"));
    wait_s(fixture, 1);
    assert_false(has(fixture, API_EVENT, "e"));
    assert_true(has(fixture, API_EVENT, "again"));
    wait_s(fixture, 1800);
    assert_false(has(fixture, API_EVENT, "again"));
    wait_s(fixture, 100000);
    expect_maps(fixture, "a");
}

/* A collector that begins with what is there owes what the one before it did. */
static void a_restart_forgets_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct test_world *world = fixture->world;
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    make(fixture, PODS, POD);
    make(fixture, TEST_CORE "events", "{metadata: {name: e}, involvedObject: {namespace: default}}");
    fill_shop(fixture);
    remove_path(fixture, PODS "/p");
    collector_close(fixture->collector);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    test_do(world, "DELETE " MAPS "/a", NULL);
    test_do(world, "DELETE " SHOP, NULL);
    world->now += 30;
    fixture->collector = collector_new(&fixture->loop, &world->world, note_report, &fixture->reports);
    settle(fixture);
    expect_maps(fixture, "");
    assert_false(has(fixture, API_POD, "p"));
    assert_false(has(fixture, API_NAMESPACE, "shop"));
    assert_true(has(fixture, API_EVENT, "e"));
    wait_s(fixture, 3600);
    assert_false(has(fixture, API_EVENT, "e"));
}

static void being_left_behind_is_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    make_map(fixture, "a");
    make_owned(fixture, "b", "a");
    settle(fixture);
    test_do(fixture->world, "DELETE " MAPS "/a", NULL);
    for (int i = 0; i < TEST_HISTORY + 10; i++)
        test_do(fixture->world, "MERGE /api/v1/namespaces/default",
                arena_printf(&fixture->world->arena, "{metadata: {labels: {a: v%d}}}", i));
    settle(fixture);
    expect_maps(fixture, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_COLLECTED(what_is_owned_goes_with_its_owner),
        TEST_COLLECTED(one_owner_is_enough_to_stay),
        TEST_COLLECTED(owners_are_known_by_uid_and_place),
        TEST_COLLECTED(owners_may_change),
        TEST_COLLECTED(orphans_forget_their_owner),
        TEST_COLLECTED(in_the_foreground_dependents_go_first),
        TEST_COLLECTED(namespaces_are_emptied_and_go),
        TEST_COLLECTED(namespaces_wait_for_what_is_held),
        TEST_COLLECTED(namespaces_wait_for_their_own_finalizers),
        TEST_COLLECTED(namespaces_go_by_every_policy),
        TEST_COLLECTED(large_namespaces_are_emptied_by_and_by),
        TEST_COLLECTED(pods_go_when_their_grace_is_over),
        TEST_COLLECTED(an_old_expiry_spares_a_new_pod),
        TEST_COLLECTED(finalizers_hold_a_pod_beyond_its_grace),
        TEST_COLLECTED(events_live_for_an_hour),
        TEST_COLLECTED(a_restart_forgets_nothing),
        TEST_COLLECTED(being_left_behind_is_made_up_for),
    };
    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
