/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/test_world.h"

/* Creates and updates, as a kube-apiserver 1.36 answers them. */

#define MAPS TEST_CORE "configmaps"
#define MODIFIED "the object has been modified; please apply your changes to the latest version and try again"

static void created_objects_have_what_the_server_gives(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}", "201", 1,
         "{apiVersion: v1, kind: ConfigMap, data: {k: v}, metadata: {name: a, namespace: default, "
         "resourceVersion: "
         "'5', creationTimestamp: '2023-11-14T22:13:20Z', generation: null, managedFields: [{manager: test, "
         "operation: Update, apiVersion: v1, time: '2023-11-14T22:13:20Z', fieldsType: FieldsV1, fieldsV1: "
         "{'f:data': {'.': {}, 'f:k': {}}}}]}}"},
        {"GET " MAPS "/a", NULL, "200", 0, "{metadata: {name: a, resourceVersion: '5'}, data: {k: v}}"},
        /* The path says what is not written, and what is written has to agree. */
        {"POST " MAPS, "{metadata: {name: b, namespace: default}}", "201", 1, "{kind: ConfigMap}"},
        {"POST " MAPS, "{metadata: {name: c, namespace: other}}",
         "400 BadRequest the namespace of the provided object does not match the namespace sent on the "
         "request",
         0, NULL},
        {"POST " MAPS, "{apiVersion: v1, kind: Pod, metadata: {name: c}}",
         "400 BadRequest Pod in version \"v1\" cannot be handled as a ConfigMap: no kind \"Pod\" is "
         "registered for "
         "the path v1/configmaps",
         0, NULL},
        {"POST " MAPS, "{apiVersion: v2, kind: ConfigMap, metadata: {name: c}}",
         "400 BadRequest the API version in the data (v2) does not match the expected API version (v1)", 0,
         NULL},
        {"POST " MAPS, "{metadata: {}}",
         "422 Invalid ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is "
         "required",
         0, "{details: {kind: ConfigMap, causes: [{reason: FieldValueRequired, field: metadata.name}]}}"},
        {"POST " MAPS, "{metadata: {name: A_B}}",
         "422 Invalid ConfigMap \"A_B\" is invalid: metadata.name: Invalid value: \"A_B\": a lowercase RFC "
         "1123 "
         "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
         "with an "
         "alphanumeric character (e.g. 'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
         0, NULL},
        {"POST " MAPS, "{metadata: {name: a}}", "409 AlreadyExists configmaps \"a\" already exists", 0,
         "{details: {name: a, kind: configmaps, group: null}}"},
        {"POST " MAPS, "{metadata: {name: c, resourceVersion: '1'}}",
         "500 resourceVersion should not be set on objects to be created", 0, NULL},
        {"POST /api/v1/namespaces/nowhere/configmaps", "{metadata: {name: a}}",
         "404 NotFound namespaces \"nowhere\" not found", 0, "{details: {name: nowhere, kind: namespaces}}"},
        /* A client's word about itself does not count. */
        {"POST " MAPS,
         "{metadata: {name: d, uid: abc, creationTimestamp: '2000-01-01T00:00:00Z', selfLink: /x, "
         "deletionTimestamp: '2000-01-01T00:00:00Z', deletionGracePeriodSeconds: 7}}",
         "201", 1,
         "{metadata: {creationTimestamp: '2023-11-14T22:13:20Z', selfLink: null, deletionTimestamp: null, "
         "deletionGracePeriodSeconds: null}}"},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    assert_int_equal(strlen(test_metadata(world, "uid")), 36);
    assert_string_not_equal(test_metadata(world, "uid"), "abc");
}

static void cluster_scoped_objects_have_no_namespace(void **state)
{
    static const struct test_step steps[] = {
        {"POST /api/v1/namespaces", "{metadata: {name: shop}}", "201", 1,
         "{metadata: {name: shop, namespace: null, labels: {kubernetes.io/metadata.name: shop}}, spec: "
         "{finalizers: "
         "[kubernetes]}, status: {phase: Active}}"},
        {"POST /api/v1/nodes", "{metadata: {name: n1}}", "201", 1, "{metadata: {namespace: null}}"},
        {"GET /api/v1/nodes/n1", NULL, "200", 0, NULL},
        {"GET /api/v1/namespaces/default/nodes/n1", NULL,
         "404 NotFound the server could not find the requested resource", 0, NULL},
        {"POST /apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
         "{metadata: {name: s}, addressType: IPv4}", "201", 1,
         "{apiVersion: discovery.k8s.io/v1, metadata: {namespace: shop, generation: 1}}"},
        {"GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/s", NULL,
         "404 NotFound endpointslices.discovery.k8s.io \"s\" not found", 0,
         "{details: {group: discovery.k8s.io, kind: endpointslices, name: s}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void names_are_generated(void **state)
{
    struct test_world *world = *state;
    char seen[20][80];
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        test_do(world, "POST " MAPS, "{metadata: {generateName: web-}}");
        snprintf(seen[i], sizeof(seen[i]), "%s", test_metadata(world, "name"));
        assert_int_equal(strlen(seen[i]), strlen("web-") + 5);
        assert_int_equal(strspn(seen[i] + 4, "bcdfghjklmnpqrstvwxz2456789"), 5);
        assert_string_equal(test_metadata(world, "generateName"), "web-");
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
    }
    /* One that is taken is passed over. */
    world->random = 0;
    test_do(world, "POST " MAPS, "{metadata: {generateName: again-}}");
    snprintf(seen[0], sizeof(seen[0]), "%s", test_metadata(world, "name"));
    world->random = 0;
    test_do(world, "POST " MAPS, "{metadata: {generateName: again-}}");
    assert_string_not_equal(test_metadata(world, "name"), seen[0]);
    /* A name counts more; a long beginning is cut, so that the whole is a label. */
    test_do(world, "POST " MAPS, "{metadata: {name: given, generateName: web-}}");
    assert_string_equal(test_metadata(world, "name"), "given");
    test_do(
        world, "POST " MAPS,
        "{metadata: {generateName: a123456789b123456789c123456789d123456789e123456789f123456789g123456789}}");
    assert_int_equal(strlen(test_metadata(world, "name")), 63);
    test_ask(world, "POST " MAPS, "{metadata: {generateName: Bad_}}");
    assert_int_equal(strncmp(world->answer, "422 Invalid ConfigMap \"Bad_", 27), 0);
}

static void unknown_fields_are_judged_as_asked(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS "?fieldValidation=Strict", "{metadata: {name: a}, odd: 1, data: {k: v}, other: 2}",
         "400 BadRequest ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding "
         "error: unknown "
         "field \"odd\", unknown field \"other\"",
         0, NULL},
        {"POST " MAPS "?fieldValidation=Ignore", "{metadata: {name: a}, odd: 1}", "201", 1, "{odd: null}"},
        {"POST " MAPS, "{metadata: {name: b, odd: 1}, odd: 1}", "201", 1, "{odd: null}"},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    assert_int_equal(world->outcome.warning_count, 2);
    assert_string_equal(world->outcome.warnings[0], "unknown field \"metadata.odd\"");
    assert_string_equal(world->outcome.warnings[1], "unknown field \"odd\"");
    test_do(world, "POST " MAPS "?fieldValidation=Ignore", "{metadata: {name: c}, odd: 1}");
    assert_int_equal(world->outcome.warning_count, 0);
}

static void a_dry_run_leaves_no_trace(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS "?dryRun=All", "{metadata: {name: a}}", "201", 0,
         "{metadata: {name: a, resourceVersion: null}}"},
        {"GET " MAPS "/a", NULL, "404 NotFound configmaps \"a\" not found", 0, NULL},
        {"POST " MAPS, "{metadata: {name: a}, data: {k: old}}", "201", 1, NULL},
        {"POST " MAPS "?dryRun=All", "{metadata: {name: a}}",
         "409 AlreadyExists configmaps \"a\" already exists", 0, NULL},
        {"PUT " MAPS "/a?dryRun=All", "{metadata: {name: a}, data: {k: new}}", "200", 0, "{data: {k: new}}"},
        {"MERGE " MAPS "/a?dryRun=All", "{data: {k: new}}", "200", 0, "{data: {k: new}}"},
        {"APPLY " MAPS "/b?dryRun=All&fieldManager=m",
         "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}", "201", 0, NULL},
        {"DELETE " MAPS "/a?dryRun=All", NULL, "200", 0, NULL},
        {"DELETE " MAPS "/a", "{dryRun: [All]}", "200", 0, NULL},
        {"GET " MAPS "/a", NULL, "200", 0, "{data: {k: old}}"},
        {"POST " TEST_CORE "services?dryRun=All",
         "{metadata: {name: w}, spec: {type: NodePort, ports: [{port: 80}]}}", "201", 0,
         "{spec: {clusterIP: 10.96.0.0, ports: [{nodePort: 32769}]}}"},
        {"POST " TEST_CORE "services", "{metadata: {name: w}, spec: {ports: [{port: 80}]}}", "201", 1, NULL},
        {"PUT " TEST_CORE "services/w?dryRun=All",
         "{metadata: {name: w}, spec: {type: NodePort, ports: [{port: 80}]}}", "200", 0,
         "{spec: {type: NodePort, ports: [{nodePort: 32769}]}}"},
        {"DELETE " TEST_CORE "services/w?dryRun=All", NULL, "200", 0, NULL},
        {"GET " TEST_CORE "services/w", NULL, "200", 0,
         "{spec: {type: ClusterIP, ports: [{nodePort: null}]}}"},
        {"PUT /api/v1/namespaces/kube-system/finalize?dryRun=All",
         "{metadata: {name: kube-system}, spec: {}}", "200", 0, NULL},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    assert_int_equal(allocator_address_count(world->world.allocator), 1);
    assert_int_equal(allocator_port_count(world->world.allocator), 0);
}

/* --- updates --- */

static void updates_conflict_over_versions(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a}, data: {k: '1'}}", "201", 1,
         "{metadata: {resourceVersion: '5'}}"},
        {"PUT " MAPS "/a", "{metadata: {name: a, resourceVersion: '5'}, data: {k: '2'}}", "200", 1,
         "{metadata: {resourceVersion: '6'}, data: {k: '2'}}"},
        {"PUT " MAPS "/a", "{metadata: {name: a, resourceVersion: '5'}, data: {k: '3'}}",
         "409 Conflict Operation cannot be fulfilled on configmaps \"a\": " MODIFIED, 0,
         "{details: {name: a, kind: configmaps}}"},
        {"PUT " MAPS "/a", "{metadata: {name: a, resourceVersion: '99'}}",
         "409 Conflict Operation cannot be fulfilled on configmaps \"a\": " MODIFIED, 0, NULL},
        /* Without a version whatever is there is replaced, where the kind allows it. */
        {"PUT " MAPS "/a", "{metadata: {name: a}, data: {k: '4'}}", "200", 1, "{data: {k: '4'}}"},
        {"PUT " MAPS "/a", "{metadata: {name: a, resourceVersion: '0'}, data: {k: '5'}}", "200", 1, NULL},
        {"POST /apis/coordination.k8s.io/v1/namespaces/default/leases", "{metadata: {name: l}}", "201", 1,
         NULL},
        {"PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/l", "{metadata: {name: l}}",
         "422 Invalid leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: "
         "0: must be "
         "specified for an update",
         0, "{details: {group: coordination.k8s.io, kind: leases}}"},
        {"PUT " MAPS "/a", "{metadata: {name: a, uid: abc}}", NULL, 0, NULL},
        {"PUT " MAPS "/a", "{metadata: {name: b}}",
         "400 BadRequest the name of the object (b) does not match the name on the URL (a)", 0, NULL},
        {"PUT " MAPS "/a", "{metadata: {}}",
         "400 BadRequest the name of the object (a based on URL) was undeterminable: name must be provided",
         0, NULL},
        {"PUT " MAPS "/a", "{metadata: {name: a, namespace: other}}",
         "400 BadRequest the namespace of the provided object does not match the namespace sent on the "
         "request",
         0, NULL},
        {"PUT " MAPS "/missing", "{metadata: {name: missing}}",
         "404 NotFound configmaps \"missing\" not found", 0, NULL},
    };
    struct test_world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct test_step step = steps[i];
        if (!step.answer) {
            test_do(world, "GET " MAPS "/a", NULL);
            step.answer =
                arena_printf(&world->arena,
                             "409 Conflict Operation cannot be fulfilled on configmaps \"a\": Precondition "
                             "failed: UID in precondition: abc, UID in object meta: %s",
                             test_metadata(world, "uid"));
        }
        test_step(world, &step);
    }
}

static void an_update_without_a_change_writes_nothing(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a, labels: {x: z}}, data: {k: v, j: w}}", "201", 1, NULL},
        {"PUT " MAPS "/a", "{metadata: {name: a, labels: {x: z}}, data: {j: w, k: v}}", "200", 0,
         "{metadata: {resourceVersion: '5', managedFields: [{time: '2023-11-14T22:13:20Z'}]}}"},
        {"MERGE " MAPS "/a", "{data: {k: v}}", "200", 0, "{metadata: {resourceVersion: '5'}}"},
        {"STRATEGIC " MAPS "/a", "{}", "200", 0, NULL},
        {"JSON " MAPS "/a", "[{op: test, path: /data/k, value: v}]", "200", 0, NULL},
        {"PUT " MAPS "/a", "{metadata: {name: a, labels: {x: z}}, data: {k: v}}", "200", 1, NULL},
        /* What the server does not let change changes nothing either, a second time. */
        {"POST /api/v1/namespaces", "{metadata: {name: shop}}", "201", 1, NULL},
        {"MERGE /api/v1/namespaces/shop?fieldManager=me", "{spec: {finalizers: [example.com/a]}}", "200", 1,
         "{spec: {finalizers: [kubernetes]}}"},
        {"MERGE /api/v1/namespaces/shop?fieldManager=me", "{spec: {finalizers: [example.com/a]}}", "200", 0,
         NULL},
        {"MERGE /api/v1/namespaces/shop?fieldManager=me", "{spec: {finalizers: [example.com/b]}}", "200", 0,
         NULL},
    };
    struct test_world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        test_step(world, &steps[i]);
        world->now += 100;
    }
}

static void what_the_system_says_is_kept(void **state)
{
    static const struct test_step steps[] = {
        {"POST " TEST_CORE "pods",
         "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running}}", "201",
         1, "{metadata: {generation: 1}, status: {phase: Pending}}"},
        {"PUT " TEST_CORE "pods/p",
         "{metadata: {name: p, labels: {a: b}, creationTimestamp: '2000-01-01T00:00:00Z', generation: 7}, "
         "spec: {containers: [{name: c, image: i2}]}, status: "
         "{phase: Running}}",
         "200", 1,
         "{metadata: {labels: {a: b}, creationTimestamp: '2023-11-14T22:13:20Z', generation: 2, "
         "deletionTimestamp: "
         "null}, spec: {containers: [{image: i2}]}, status: {phase: Pending}}"},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
}

/* PUT makes some kinds; so does what a client thinks it still has. */
static void some_kinds_are_made_by_an_update(void **state)
{
    static const struct test_step steps[] = {
        {"PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/l",
         "{metadata: {name: l}, spec: {holderIdentity: me}}", "201", 1, "{spec: {holderIdentity: me}}"},
        {"PUT " TEST_CORE "endpoints/e", "{metadata: {name: e}}", "201", 1, NULL},
        {"PUT " TEST_CORE "events/ev", "{metadata: {name: ev}, involvedObject: {namespace: default}}", "201",
         1, NULL},
        {"PUT /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/s",
         "{metadata: {name: s}, addressType: IPv4}",
         "404 NotFound endpointslices.discovery.k8s.io \"s\" not found", 0, NULL},
        {"PUT " TEST_CORE "services/w", "{metadata: {name: w}, spec: {ports: [{port: 80}]}}", "201", 1, NULL},
        {"PUT " TEST_CORE "pods/p", "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}",
         "404 NotFound pods \"p\" not found", 0, NULL},
        {"PUT /api/v1/nodes/t1", "{metadata: {name: t1}}", "404 NotFound nodes \"t1\" not found", 0, NULL},
        {"PUT /api/v1/namespaces/t1", "{metadata: {name: t1}}", "404 NotFound namespaces \"t1\" not found", 0,
         NULL},
        {"PUT /api/v1/nodes/t1/status", "{metadata: {name: t1}}", "404 NotFound nodes \"t1\" not found", 0,
         NULL},
        {"PUT /apis/coordination.k8s.io/v1/namespaces/nowhere/leases/l", "{metadata: {name: l}}",
         "404 NotFound namespaces \"nowhere\" not found", 0, NULL},
        /* "Only if it is still that one": it is not. */
        {"PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/m", "{metadata: {name: m, uid: abc}}",
         "409 Conflict Operation cannot be fulfilled on leases.coordination.k8s.io \"m\": Precondition "
         "failed: UID in "
         "precondition: abc, UID in object meta: ",
         0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

/* --- subresources --- */

static void status_and_specification_do_not_mix(void **state)
{
    static const struct test_step steps[] = {
        {"POST " TEST_CORE "services",
         "{metadata: {name: w}, spec: {type: LoadBalancer, ports: [{port: 80}]}, status: {loadBalancer: "
         "{ingress: "
         "[{ip: 192.0.2.1}]}}}",
         "201", 1, "{status: {loadBalancer: {ingress: null}}}"},
        {"PUT " TEST_CORE "services/w/status",
         "{metadata: {name: w, labels: {a: b}}, spec: {type: ClusterIP, ports: [{port: 81}]}, status: "
         "{loadBalancer: "
         "{ingress: [{ip: 192.0.2.1, ipMode: VIP}]}}}",
         "200", 1,
         "{metadata: {labels: {a: b}}, spec: {type: LoadBalancer, ports: [{port: 80}]}, status: "
         "{loadBalancer: "
         "{ingress: [{ip: 192.0.2.1, ipMode: VIP}]}}}"},
        {"MERGE " TEST_CORE "services/w",
         "{status: {loadBalancer: {ingress: null}}, metadata: {labels: {a: c}}}", "200", 1,
         "{metadata: {labels: {a: c}}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}"},
        {"MERGE " TEST_CORE "services/w/status", "{spec: {sessionAffinity: ClientIP}}", "200", 0,
         "{spec: {sessionAffinity: None}}"},
        {"GET " TEST_CORE "services/w/status", NULL, "200", 0,
         "{kind: Service, spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}"},
        {"PUT " TEST_CORE "services/w/status",
         "{metadata: {name: w}, spec: {ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: bad, "
         "ipMode: VIP}]}}}",
         "422 Invalid Service \"w\" is invalid: status.loadBalancer.ingress[0].ip: Invalid value: \"bad\": "
         "must be a "
         "valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
         0, NULL},
        {"GET " TEST_CORE "services/none/status", NULL, "404 NotFound services \"none\" not found", 0, NULL},
    };
    static const struct test_step node[] = {
        {"POST /api/v1/nodes",
         "{metadata: {name: t1}, spec: {podCIDR: 10.0.0.0/24}, status: {addresses: [{type: InternalIP, "
         "address: "
         "192.0.2.1}]}}",
         "201", 1, "{spec: {podCIDR: 10.0.0.0/24}}"},
        {"PUT /api/v1/nodes/t1/status",
         "{metadata: {name: t1}, spec: {unschedulable: true}, status: {addresses: [{type: InternalIP, "
         "address: "
         "192.0.2.2}]}}",
         "200", 1,
         "{spec: {podCIDR: 10.0.0.0/24, unschedulable: null}, status: {addresses: [{type: InternalIP, "
         "address: "
         "192.0.2.2}]}}"},
        {"MERGE /api/v1/nodes/t1", "{status: {addresses: null}, spec: {unschedulable: true}}", "200", 1,
         "{spec: {unschedulable: true}, status: {addresses: [{address: 192.0.2.2}]}}"},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    TEST_STEPS(world, node);
}

static void who_owns_a_status_is_said(void **state)
{
    struct test_world *world = *state;
    test_do(world, "POST /api/v1/nodes?fieldManager=maker", "{metadata: {name: t1, labels: {a: b}}}");
    test_do(world, "MERGE /api/v1/nodes/t1/status?fieldManager=kubelet", "{status: {phase: Running}}");
    test_expect(
        world->tree,
        "{metadata: {managedFields: [{manager: kubelet, subresource: status, operation: Update, fieldsV1: "
        "{'f:status': {'f:phase': {}}}}, {manager: maker, subresource: null}]}}",
        "the owners");
}

static void finalize_changes_all_but_the_status(void **state)
{
    static const struct test_step steps[] = {
        {"POST /api/v1/namespaces", "{metadata: {name: t1}}", "201", 1, "{spec: {finalizers: [kubernetes]}}"},
        {"PUT /api/v1/namespaces/t1/finalize",
         "{metadata: {name: t1, labels: {a: b}}, spec: {finalizers: [example.com/a, kubernetes]}, status: "
         "{phase: "
         "Terminating}}",
         "200", 1,
         "{metadata: {labels: {a: b}}, spec: {finalizers: [example.com/a, kubernetes]}, status: {phase: "
         "Active}}"},
        {"PUT /api/v1/namespaces/t1", "{metadata: {name: t1, labels: {a: c}}, spec: {finalizers: []}}", "200",
         1, "{metadata: {labels: {a: c}}, spec: {finalizers: [example.com/a, kubernetes]}}"},
        {"PUT /api/v1/namespaces/t1/finalize", "{metadata: {name: t1, resourceVersion: '1'}, spec: {}}",
         "409 Conflict Operation cannot be fulfilled on namespaces \"t1\": " MODIFIED, 0, NULL},
        {"PUT /api/v1/namespaces/other/finalize", "{metadata: {name: other}, spec: {}}",
         "404 NotFound namespaces \"other\" not found", 0, NULL},
        {"PUT /api/v1/namespaces/t1/finalize", "{metadata: {name: m}, spec: {}}",
         "400 BadRequest the name of the object (m) does not match the name on the URL (t1)", 0, NULL},
        /* One that nobody deletes stays when its last finalizer goes. */
        {"PUT /api/v1/namespaces/t1/finalize", "{metadata: {name: t1}, spec: {}}", "200", 1,
         "{spec: {finalizers: null}, status: {phase: Active}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(created_objects_have_what_the_server_gives),
        TEST_IN_WORLD(cluster_scoped_objects_have_no_namespace),
        TEST_IN_WORLD(names_are_generated),
        TEST_IN_WORLD(unknown_fields_are_judged_as_asked),
        TEST_IN_WORLD(a_dry_run_leaves_no_trace),
        TEST_IN_WORLD(updates_conflict_over_versions),
        TEST_IN_WORLD(an_update_without_a_change_writes_nothing),
        TEST_IN_WORLD(what_the_system_says_is_kept),
        TEST_IN_WORLD(some_kinds_are_made_by_an_update),
        TEST_IN_WORLD(status_and_specification_do_not_mix),
        TEST_IN_WORLD(who_owns_a_status_is_said),
        TEST_IN_WORLD(finalize_changes_all_but_the_status),
    };
    return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
