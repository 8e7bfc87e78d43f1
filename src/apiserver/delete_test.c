/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/test_world.h"

/* Deletion as a kube-apiserver 1.36 does it; what follows of it in the background is the collector's. */

#define MAPS TEST_CORE "configmaps"
#define PODS TEST_CORE "pods"
#define POD(name, more)                                                                                      \
    "{metadata: {name: " name more "}, spec: {nodeName: node1, containers: [{name: c, image: i}]}}"

static void what_nothing_holds_is_gone_at_once(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"DELETE " MAPS "/a", NULL, "200", 1, NULL},
        {"GET " MAPS "/a", NULL, "404 NotFound configmaps \"a\" not found", 0, NULL},
        {"DELETE " MAPS "/a", NULL, "404 NotFound configmaps \"a\" not found", 0, NULL},
        {"DELETE " MAPS "/a?propagationPolicy=Odd", NULL,
         "422 Invalid DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
         "\"Odd\": "
         "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
         0, NULL},
        /* A grace is for kinds that have one. */
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"DELETE " MAPS "/a?gracePeriodSeconds=60", NULL, "200", 1, NULL},
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"DELETE " MAPS "/a", "{apiVersion: v1, kind: DeleteOptions, propagationPolicy: Background}", "200",
         1, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void preconditions_have_to_hold(void **state)
{
    struct test_world *world = *state;
    test_do(world, "POST " MAPS, "{metadata: {name: a}}");
    const char *uid = arena_strdup(&world->arena, test_metadata(world, "uid"));
    const struct test_step steps[] = {
        {"DELETE " MAPS "/a", "{preconditions: {uid: abc}}",
         arena_printf(
             &world->arena,
             "409 Conflict Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition "
             "(abc) "
             "does not match the UID in record (%s). The object might have been deleted and then recreated",
             uid),
         0, NULL},
        {"DELETE " MAPS "/a", "{preconditions: {resourceVersion: '1'}}",
         "409 Conflict Operation cannot be fulfilled on ConfigMap \"a\": the ResourceVersion in the "
         "precondition (1) "
         "does not match the ResourceVersion in record (5). The object might have been modified",
         0, NULL},
        {"DELETE " MAPS "/a",
         arena_printf(&world->arena,
                      "{preconditions: {uid: %s, resourceVersion: '5'}, gracePeriodSeconds: 0}", uid),
         "200", 1, NULL},
    };
    TEST_STEPS(world, steps);
}

static void finalizers_hold_and_the_last_lets_go(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a, finalizers: [example.com/one, example.com/two]}}", "201", 1,
         NULL},
        {"DELETE " MAPS "/a", NULL, "200", 1,
         "{metadata: {name: a, deletionTimestamp: '2023-11-14T22:13:20Z', deletionGracePeriodSeconds: 0, "
         "finalizers: "
         "[example.com/one, example.com/two]}}"},
        {"DELETE " MAPS "/a", NULL, "200", 0, "{metadata: {deletionTimestamp: '2023-11-14T22:13:20Z'}}"},
        {"POST " MAPS, "{metadata: {name: a}}",
         "409 AlreadyExists object is being deleted: configmaps \"a\" already exists", 0, NULL},
        {"MERGE " MAPS "/a", "{metadata: {finalizers: [example.com/two]}}", "200", 1,
         "{metadata: {deletionTimestamp: '2023-11-14T22:13:20Z', deletionGracePeriodSeconds: 0}}"},
        /* Nobody comes to hold what is going. */
        {"MERGE " MAPS "/a", "{metadata: {finalizers: [example.com/two, example.com/three]}}",
         "422 Invalid ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be "
         "added if the "
         "object is being deleted, found new finalizers []string{\"example.com/three\"}",
         0, NULL},
        {"MERGE " MAPS "/a?dryRun=All", "{metadata: {finalizers: null}}", "200", 0, NULL},
        {"MERGE " MAPS "/a", "{metadata: {finalizers: null, labels: {last: words}}}", "200", 1, NULL},
        {"GET " MAPS "/a", NULL, "404 NotFound configmaps \"a\" not found", 0, NULL},
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void policies_become_finalizers(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"DELETE " MAPS "/a?propagationPolicy=Orphan", NULL, "200", 1, "{metadata: {finalizers: [orphan]}}"},
        {"DELETE " MAPS "/a?propagationPolicy=Orphan", NULL, "200", 0, NULL},
        {"DELETE " MAPS "/a?propagationPolicy=Foreground", NULL, "200", 1,
         "{metadata: {finalizers: [foregroundDeletion]}}"},
        {"DELETE " MAPS "/a?propagationPolicy=Background", NULL, "200", 1, NULL},
        {"GET " MAPS "/a", NULL, "404 NotFound configmaps \"a\" not found", 0, NULL},
        {"POST " MAPS, "{metadata: {name: b, finalizers: [example.com/one]}}", "201", 1, NULL},
        {"DELETE " MAPS "/b", "{orphanDependents: true}", "200", 1,
         "{metadata: {finalizers: [example.com/one, orphan]}}"},
        {"DELETE " MAPS "/b", "{orphanDependents: false}", "200", 1,
         "{metadata: {finalizers: [example.com/one]}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

/* --- pods: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination --- */

static void pods_on_a_node_have_their_grace(void **state)
{
    static const struct test_step steps[] = {
        {"POST " PODS, POD("p", ""), "201", 1,
         "{metadata: {generation: 1}, spec: {terminationGracePeriodSeconds: 30}}"},
        {"DELETE " PODS "/p", NULL, "200", 1,
         "{metadata: {deletionTimestamp: '2023-11-14T22:13:50Z', deletionGracePeriodSeconds: 30, generation: "
         "2}}"},
        {"DELETE " PODS "/p", NULL, "200", 0, "{metadata: {deletionGracePeriodSeconds: 30}}"},
        /* It may only become shorter. */
        {"DELETE " PODS "/p?gracePeriodSeconds=60", NULL, "200", 0,
         "{metadata: {deletionGracePeriodSeconds: 30}}"},
        {"DELETE " PODS "/p?gracePeriodSeconds=5", NULL, "200", 1,
         "{metadata: {deletionTimestamp: '2023-11-14T22:13:25Z', deletionGracePeriodSeconds: 5}}"},
        {"MERGE " PODS "/p", "{metadata: {labels: {a: b}}}", "200", 1,
         "{metadata: {deletionGracePeriodSeconds: 5}}"},
        {"DELETE " PODS "/p?dryRun=All&gracePeriodSeconds=0", NULL, "200", 0, NULL},
        /* Who watches sees it ending, then gone. */
        {"DELETE " PODS "/p?gracePeriodSeconds=0", NULL, "200", 2, NULL},
        {"GET " PODS "/p", NULL, "404 NotFound pods \"p\" not found", 0, NULL},
        /* What finalizers hold stays beyond its time. */
        {"POST " PODS, POD("q", ", finalizers: [example.com/one]"), "201", 1, NULL},
        {"DELETE " PODS "/q?gracePeriodSeconds=0", NULL, "200", 1,
         "{metadata: {deletionTimestamp: '2023-11-14T22:13:20Z', deletionGracePeriodSeconds: 0}}"},
        {"MERGE " PODS "/q", "{metadata: {finalizers: null}}", "200", 1, NULL},
        {"GET " PODS "/q", NULL, "404 NotFound pods \"q\" not found", 0, NULL},
        /* And its last finalizer alone does not end it before its time. */
        {"POST " PODS, POD("r", ", finalizers: [example.com/one]"), "201", 1, NULL},
        {"DELETE " PODS "/r", NULL, "200", 1, NULL},
        {"MERGE " PODS "/r", "{metadata: {finalizers: null}}", "200", 1,
         "{metadata: {finalizers: null, deletionGracePeriodSeconds: 30}}"},
        {"GET " PODS "/r", NULL, "200", 0, NULL},
        {"DELETE " PODS "/r", "{gracePeriodSeconds: -7}", "200", 1,
         "{metadata: {deletionGracePeriodSeconds: 1}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void pods_without_a_kubelet_go_at_once(void **state)
{
    static const struct test_step steps[] = {
        {"POST " PODS, "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}", "201", 1, NULL},
        {"DELETE " PODS "/p", NULL, "200", 2, NULL},
        {"GET " PODS "/p", NULL, "404 NotFound pods \"p\" not found", 0, NULL},
        {"POST " PODS, POD("q", ""), "201", 1, NULL},
        {"MERGE " PODS "/q/status", "{status: {phase: Succeeded}}", "200", 1, "{status: {phase: Succeeded}}"},
        {"DELETE " PODS "/q", NULL, "200", 2, NULL},
        {"GET " PODS "/q", NULL, "404 NotFound pods \"q\" not found", 0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void no_grace_is_too_long(void **state)
{
    static const char *const graces[] = {"9223372036854775807", "4611686018427387904", "99999999999"};
    struct test_world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(graces); i++) {
        const char *path = arena_printf(&world->arena, PODS "/p%zu", i);
        test_do(world, "POST " PODS,
                arena_printf(
                    &world->arena,
                    "{metadata: {name: p%zu}, spec: {nodeName: node1, containers: [{name: c, image: i}]}}",
                    i));
        test_do(world, arena_printf(&world->arena, "DELETE %s?gracePeriodSeconds=%s", path, graces[i]), NULL);
        /* Ten years. */
        assert_string_equal(test_metadata(world, "deletionTimestamp"), "2033-11-11T22:13:20Z");
    }
}

/* --- namespaces --- */

static void namespaces_terminate(void **state)
{
    static const struct test_step steps[] = {
        {"DELETE /api/v1/namespaces/default", NULL,
         "403 Forbidden namespaces \"default\" is forbidden: this namespace may not be deleted", 0,
         "{details: {name: default, kind: namespaces}}"},
        {"DELETE /api/v1/namespaces/kube-system", NULL,
         "403 Forbidden namespaces \"kube-system\" is forbidden: this namespace may not be deleted", 0, NULL},
        {"POST /api/v1/namespaces", "{metadata: {name: shop}}", "201", 1, NULL},
        {"POST /api/v1/namespaces/shop/configmaps", "{metadata: {name: a}}", "201", 1, NULL},
        {"DELETE /api/v1/namespaces/shop?dryRun=All", NULL, "200", 0, "{status: {phase: Terminating}}"},
        {"DELETE /api/v1/namespaces/shop", NULL, "200", 1,
         "{metadata: {deletionTimestamp: '2023-11-14T22:13:20Z', deletionGracePeriodSeconds: null}, status: "
         "{phase: "
         "Terminating}, spec: {finalizers: [kubernetes]}}"},
        {"DELETE /api/v1/namespaces/shop", NULL, "200", 0, "{status: {phase: Terminating}}"},
        {"POST /api/v1/namespaces/shop/configmaps", "{metadata: {name: b}}",
         "403 Forbidden configmaps \"b\" is forbidden: unable to create new content in namespace shop "
         "because it is "
         "being terminated",
         0,
         "{details: {name: b, kind: configmaps, causes: [{reason: NamespaceTerminating, message: namespace "
         "shop is being "
         "terminated, field: metadata.namespace}]}}"},
        {"PUT /apis/coordination.k8s.io/v1/namespaces/shop/leases/l", "{metadata: {name: l}}",
         "403 Forbidden leases.coordination.k8s.io \"l\" is forbidden: unable to create new content in "
         "namespace shop "
         "because it is being terminated",
         0, NULL},
        /* What is there may still change and go. */
        {"MERGE /api/v1/namespaces/shop/configmaps/a", "{data: {k: v}}", "200", 1, NULL},
        {"DELETE /api/v1/namespaces/shop/configmaps/a", NULL, "200", 1, NULL},
        {"POST /api/v1/namespaces", "{metadata: {name: shop}}",
         "409 AlreadyExists object is being deleted: namespaces \"shop\" already exists", 0, NULL},
        {"PUT /api/v1/namespaces/shop/finalize",
         "{metadata: {name: shop}, spec: {finalizers: [kubernetes, "
         "example.com/more]}}",
         "200", 1, NULL},
        {"PUT /api/v1/namespaces/shop/finalize?dryRun=All", "{metadata: {name: shop}, spec: {}}", "200", 0,
         NULL},
        {"PUT /api/v1/namespaces/shop/finalize", "{metadata: {name: shop}, spec: {}}", "200", 1, NULL},
        {"GET /api/v1/namespaces/shop", NULL, "404 NotFound namespaces \"shop\" not found", 0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void a_namespace_waits_for_both_sorts_of_finalizers(void **state)
{
    static const struct test_step steps[] = {
        {"POST /api/v1/namespaces", "{metadata: {name: shop, finalizers: [example.com/one]}}", "201", 1,
         NULL},
        {"DELETE /api/v1/namespaces/shop", NULL, "200", 1, NULL},
        {"PUT /api/v1/namespaces/shop/finalize",
         "{metadata: {name: shop, finalizers: [example.com/one]}, spec: {}}", "200", 1,
         "{spec: {finalizers: null}, metadata: {finalizers: [example.com/one]}}"},
        {"GET /api/v1/namespaces/shop", NULL, "200", 0, NULL},
        {"MERGE /api/v1/namespaces/shop", "{metadata: {finalizers: null}}", "200", 1, NULL},
        {"GET /api/v1/namespaces/shop", NULL, "404 NotFound namespaces \"shop\" not found", 0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

/* --- Services: that what they had is free again is checked after every test --- */

static void services_give_back_and_take_their_endpoints_along(void **state)
{
    static const struct test_step steps[] = {
        {"POST " TEST_CORE "services",
         "{metadata: {name: web}, spec: {clusterIP: 10.96.0.7, type: NodePort, ports: [{port: 80, nodePort: "
         "30007}]}}",
         "201", 1, NULL},
        {"POST " TEST_CORE "endpoints", "{metadata: {name: web}}", "201", 1, NULL},
        {"POST " TEST_CORE "endpoints", "{metadata: {name: other}}", "201", 1, NULL},
        {"DELETE " TEST_CORE "services/web", NULL, "200", 2, NULL},
        {"GET " TEST_CORE "endpoints/web", NULL, "404 NotFound endpoints \"web\" not found", 0, NULL},
        {"GET " TEST_CORE "endpoints/other", NULL, "200", 0, NULL},
        {"POST " TEST_CORE "services",
         "{metadata: {name: new, finalizers: [example.com/one]}, spec: {clusterIP: 10.96.0.7, type: "
         "NodePort, ports: "
         "[{port: 80, nodePort: 30007}]}}",
         "201", 1, NULL},
        /* One that is held keeps what it has. */
        {"DELETE " TEST_CORE "services/new", NULL, "200", 1, NULL},
        {"POST " TEST_CORE "services",
         "{metadata: {name: third}, spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}}",
         "422 Invalid Service \"third\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.7\"]: failed "
         "to allocate "
         "IP 10.96.0.7: provided IP is already allocated",
         0, NULL},
        {"MERGE " TEST_CORE "services/new", "{metadata: {finalizers: null}}", "200", 1, NULL},
        {"POST " TEST_CORE "services",
         "{metadata: {name: third}, spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}}", "201", 1, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(what_nothing_holds_is_gone_at_once),
        TEST_IN_WORLD(preconditions_have_to_hold),
        TEST_IN_WORLD(finalizers_hold_and_the_last_lets_go),
        TEST_IN_WORLD(policies_become_finalizers),
        TEST_IN_WORLD(pods_on_a_node_have_their_grace),
        TEST_IN_WORLD(pods_without_a_kubelet_go_at_once),
        TEST_IN_WORLD(no_grace_is_too_long),
        TEST_IN_WORLD(namespaces_terminate),
        TEST_IN_WORLD(a_namespace_waits_for_both_sorts_of_finalizers),
        TEST_IN_WORLD(services_give_back_and_take_their_endpoints_along),
    };
    return cmocka_run_group_tests_name("delete", tests, NULL, NULL);
}
