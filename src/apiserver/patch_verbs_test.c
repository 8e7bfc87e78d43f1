/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/test_world.h"

/* The four patches as a kube-apiserver 1.36 answers them. What a patch makes of a tree is tested in patch/.
 */

#define MAPS TEST_CORE "configmaps"
#define SERVICES TEST_CORE "services"
#define MAP "apiVersion: v1, kind: ConfigMap"
#define SERVICE "apiVersion: v1, kind: Service"
#define INVALID "422 Invalid the server rejected our request due to an error in our request"

static void three_patches_of_what_is_there(void **state)
{
    static const struct test_step steps[] = {
        {"POST " SERVICES,
         "{metadata: {name: web}, spec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}}", "201", 1,
         NULL},
        {"STRATEGIC " SERVICES "/web", "{spec: {ports: [{port: 81, targetPort: 8081}]}}", "200", 1,
         "{spec: {ports: [{port: 80, targetPort: 80}, {name: b, port: 81, targetPort: 8081}]}}"},
        {"STRATEGIC " SERVICES "/web", "{spec: {ports: [{$patch: delete, port: 80}]}}", "200", 1,
         "{spec: {ports: [{name: b, port: 81}]}}"},
        {"MERGE " SERVICES "/web", "{spec: {ports: [{name: c, port: 82}]}, metadata: {labels: {a: b}}}",
         "200", 1,
         "{metadata: {labels: {a: b}}, spec: {ports: [{name: c, port: 82, protocol: TCP, targetPort: 82}]}}"},
        {"JSON " SERVICES "/web",
         "[{op: replace, path: /spec/ports/0/port, value: 83}, {op: remove, path: /metadata/labels}]", "200",
         1, "{metadata: {labels: null}, spec: {ports: [{port: 83, targetPort: 82}]}}"},
        {"JSON " SERVICES "/web", "[{op: test, path: /spec/ports/0/port, value: 99}]", INVALID, 0, NULL},
        {"JSON " SERVICES "/web", "[{op: remove, path: /spec/none}]", INVALID, 0, NULL},
        {"JSON " SERVICES "/web", "[{op: replace, path: /metadata/name, value: other}]",
         "400 BadRequest the name of the object (other) does not match the name on the URL (web)", 0, NULL},
        {"MERGE " SERVICES "/web", "{metadata: {namespace: other}}",
         "400 BadRequest the namespace of the provided object does not match the namespace sent on the "
         "request",
         0, NULL},
        {"MERGE " SERVICES "/web", "{spec: {type: Odd}}",
         "422 Invalid Service \"web\" is invalid: spec.type: Unsupported value: \"Odd\": supported values: "
         "\"ClusterIP\", "
         "\"ExternalName\", \"LoadBalancer\", \"NodePort\"",
         0, NULL},
        {"MERGE " SERVICES "/none", "{}", "404 NotFound services \"none\" not found", 0, NULL},
        {"JSON " SERVICES "/none", "[]", "404 NotFound services \"none\" not found", 0, NULL},
        {"STRATEGIC " SERVICES "/none/status", "{}", "404 NotFound services \"none\" not found", 0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void a_patch_may_name_a_version(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"MERGE " MAPS "/a", "{metadata: {resourceVersion: '5'}, data: {k: v}}", "200", 1,
         "{metadata: {resourceVersion: '6'}}"},
        {"MERGE " MAPS "/a", "{metadata: {resourceVersion: '5'}, data: {k: w}}",
         "409 Conflict Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
         "please apply your "
         "changes to the latest version and try again",
         0, NULL},
        {"APPLY " MAPS "/a?fieldManager=me",
         "{" MAP ", metadata: {name: a, resourceVersion: '5'}, data: {j: w}}",
         "409 Conflict Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
         "please apply your "
         "changes to the latest version and try again",
         0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void options_belong_to_their_patch(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS, "{metadata: {name: a}}", "201", 1, NULL},
        {"MERGE " MAPS "/a?force=true", "{}",
         "422 Invalid PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for "
         "non-apply patch",
         0,
         "{details: {group: meta.k8s.io, kind: PatchOptions, causes: [{reason: FieldValueForbidden, field: "
         "force}]}}"},
        {"APPLY " MAPS "/a", "{" MAP ", metadata: {name: a}}",
         "422 Invalid PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required "
         "for apply patch",
         0, NULL},
        {"MERGE " MAPS "/a?fieldValidation=Strict", "{odd: 1}", NULL, 0, NULL},
        {"MERGE " MAPS "/a?fieldValidation=Ignore", "{odd: 1}", "200", 0, NULL},
    };
    struct test_world *world = *state;
    test_steps(world, steps, 3);
    test_ask(world, steps[3].request, steps[3].body);
    assert_non_null(strstr(world->answer, "422 Invalid  \"\" is invalid: patch: Invalid value: "));
    assert_non_null(strstr(world->answer, ": strict decoding error: unknown field \"odd\""));
    test_step(world, &steps[4]);
    test_do(world, "MERGE " MAPS "/a", "{odd: 1}");
    assert_int_equal(world->outcome.warning_count, 1);
    assert_string_equal(world->outcome.warnings[0], "unknown field \"odd\"");
}

/* --- server-side apply: KEP-555 --- */

static void apply_makes_and_changes(void **state)
{
    static const struct test_step steps[] = {
        {"APPLY " MAPS "/a?fieldManager=me",
         "{" MAP ", metadata: {name: a, namespace: default}, data: {k: v, j: w}}", "201", 1,
         "{data: {k: v, j: w}, metadata: {managedFields: [{manager: me, operation: Apply, apiVersion: v1, "
         "fieldsV1: "
         "{'f:data': {'f:j': {}, 'f:k': {}}}}]}}"},
        {"APPLY " MAPS "/a?fieldManager=me", "{" MAP ", metadata: {name: a}, data: {k: v, j: w}}", "200", 0,
         NULL},
        /* What an applier no longer says goes. */
        {"APPLY " MAPS "/a?fieldManager=me", "{" MAP ", metadata: {name: a}, data: {k: new}}", "200", 1,
         "{data: {k: new, j: null}}"},
        {"APPLY " MAPS "/a?fieldManager=me", "{" MAP ", metadata: {name: b}}",
         "400 BadRequest the name of the object (b) does not match the name on the URL (a)", 0, NULL},
        {"APPLY " MAPS "/b?fieldManager=me", "{" MAP ", metadata: {name: b, uid: abc}}",
         "409 Conflict Operation cannot be fulfilled on configmaps \"b\": uid mismatch: the provided object "
         "specified uid "
         "abc, and no existing object was found",
         0, NULL},
        {"APPLY " MAPS "/b?fieldManager=me", "{" MAP ", metadata: {}}",
         "400 BadRequest the name of the object (b based on URL) was undeterminable: name must be provided",
         0, NULL},
        {"APPLY " MAPS "/b?fieldManager=me", "{" MAP ", data: {k: v}}",
         "400 BadRequest the name of the object (b based on URL) was undeterminable: name must be provided",
         0, NULL},
        {"APPLY /api/v1/namespaces/nowhere/configmaps/a?fieldManager=me", "{" MAP ", metadata: {name: a}}",
         "404 NotFound namespaces \"nowhere\" not found", 0, NULL},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void conflicts_are_told_and_forced(void **state)
{
    static const struct test_step steps[] = {
        {"APPLY " MAPS "/a?fieldManager=one", "{" MAP ", metadata: {name: a}, data: {k: v, shared: s}}",
         "201", 1, NULL},
        {"APPLY " MAPS "/a?fieldManager=two", "{" MAP ", metadata: {name: a}, data: {k: other}}",
         "409 Conflict Apply failed with 1 conflict: conflict with \"one\": .data.k", 0,
         "{details: {causes: [{reason: FieldManagerConflict, message: conflict with \"one\", field: "
         ".data.k}]}}"},
        /* Of one mind they share it, and it stays as long as one of them says it. */
        {"APPLY " MAPS "/a?fieldManager=two", "{" MAP ", metadata: {name: a}, data: {shared: s}}", "200", 1,
         NULL},
        {"APPLY " MAPS "/a?fieldManager=one", "{" MAP ", metadata: {name: a}, data: {k: v}}", "200", 1,
         "{data: {k: v, shared: s}}"},
        {"APPLY " MAPS "/a?fieldManager=two&force=true", "{" MAP ", metadata: {name: a}, data: {k: other}}",
         "200", 1,
         "{data: {k: other, shared: null}, metadata: {managedFields: [{manager: two, fieldsV1: {'f:data': "
         "{'f:k': "
         "{}}}}]}}"},
        {"MERGE " MAPS "/a?fieldManager=hand", "{data: {k: third}}", "200", 1,
         "{metadata: {managedFields: [{manager: hand, operation: Update}]}}"},
        {"APPLY " MAPS "/a?fieldManager=two", "{" MAP ", metadata: {name: a}, data: {k: other}}", NULL, 0,
         "{code: 409, details: {causes: [{reason: FieldManagerConflict, field: .data.k}]}}"},
        {"APPLY " MAPS "/a?fieldManager=two", "{" MAP ", metadata: {name: a}, data: {k: third}}", "200", 1,
         "{metadata: {managedFields: [{manager: two, operation: Apply}, {manager: hand, operation: "
         "Update}]}}"},
    };
    struct test_world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct test_step step = steps[i];
        if (!step.answer)
            step.answer =
                "409 Conflict Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.k";
        test_step(world, &step);
    }
}

static void configurations_have_to_be_of_the_kind(void **state)
{
    static const char *const bodies[] = {"{metadata: {name: a}}",
                                         "{apiVersion: v1, metadata: {name: a}}",
                                         "{kind: ConfigMap, metadata: {name: a}}",
                                         "{apiVersion: v2, kind: ConfigMap, metadata: {name: a}}",
                                         "{apiVersion: v1, kind: Service, metadata: {name: a}}",
                                         "[]",
                                         "text",
                                         "{apiVersion: 1, kind: ConfigMap}",
                                         "{" MAP ", metadata: []}",
                                         "{" MAP ", metadata: {name: 7}}",
                                         "{" MAP ", metadata: {name: a, managedFields: [{manager: x}]}}",
                                         "{" MAP "}"};
    struct test_world *world = *state;
    uint64_t revision = registry_revision(world->world.registry);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        test_ask(world, "APPLY " MAPS "/a?fieldManager=me", bodies[i]);
        if (strncmp(world->answer, "400 ", 4) != 0 && strncmp(world->answer, "500 ", 4) != 0 &&
            strncmp(world->answer, "422 ", 4) != 0)
            fail_msg("%s gave %s", bodies[i], world->answer);
    }
    assert_int_equal(registry_revision(world->world.registry), revision);
}

static void odd_patches_change_nothing(void **state)
{
    static const struct {
        const char *request, *body;
    } cases[] = {
        {"MERGE " MAPS "/a", "[]"},
        {"MERGE " MAPS "/a", "text"},
        {"MERGE " MAPS "/a", "{data: []}"},
        {"MERGE " MAPS "/a", "{data: {k: 7}}"},
        {"MERGE " MAPS "/a", "{metadata: null}"},
        {"MERGE " MAPS "/a", "{metadata: {uid: other}}"},
        {"MERGE " MAPS "/a", "{apiVersion: v2}"},
        {"MERGE " MAPS "/a", "{kind: Pod}"},
        {"STRATEGIC " MAPS "/a", "[]"},
        {"STRATEGIC " MAPS "/a", "{$patch: odd}"},
        {"STRATEGIC " MAPS "/a", "{metadata: {finalizers: 7}}"},
        {"STRATEGIC " MAPS "/a", "{metadata: {ownerReferences: [{name: x}]}}"},
        {"JSON " MAPS "/a", "{}"},
        {"JSON " MAPS "/a", "[7]"},
        {"JSON " MAPS "/a", "[{op: odd, path: /data}]"},
        {"JSON " MAPS "/a", "[{op: add}]"},
        {"JSON " MAPS "/a", "[{op: replace, path: '', value: 7}]"},
        {"JSON " MAPS "/a", "[{op: replace, path: /metadata, value: []}]"},
        {"JSON " MAPS "/a", "[{op: remove, path: /metadata}]"},
    };
    struct test_world *world = *state;
    test_do(world, "POST " MAPS, "{metadata: {name: a}, data: {k: v}}");
    uint64_t revision = registry_revision(world->world.registry);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        test_ask(world, cases[i].request, cases[i].body);
        if (*world->answer == '2')
            fail_msg("%s %s is accepted", cases[i].request, cases[i].body);
    }
    assert_int_equal(registry_revision(world->world.registry), revision);
}

/* A client that sends managedFields [] wants to own nothing any more: KEP-555, "Opting out". */
static void ownership_can_be_reset(void **state)
{
    static const struct test_step steps[] = {
        {"POST " MAPS "?fieldManager=one", "{metadata: {name: a}, data: {k: v}}", "201", 1,
         "{metadata: {managedFields: [{manager: one}]}}"},
        {"MERGE " MAPS "/a?fieldManager=two", "{metadata: {managedFields: []}}", "200", 1,
         "{metadata: {managedFields: null}, data: {k: v}}"},
        {"MERGE " MAPS "/a?fieldManager=two", "{data: {k: w}}", "200", 1,
         "{metadata: {managedFields: null}}"},
        {"APPLY " MAPS "/a?fieldManager=three&force=true", "{" MAP ", metadata: {name: a}, data: {k: w}}",
         "200", 1,
         "{metadata: {managedFields: [{manager: three, operation: Apply}, {manager: before-first-apply, "
         "operation: "
         "Update}]}}"},
        {"PUT " MAPS "/a?fieldManager=four", "{metadata: {name: a, managedFields: []}, data: {k: w}}", "200",
         1, "{metadata: {managedFields: null}}"},
        {"POST " MAPS "?fieldManager=five", "{metadata: {name: b, managedFields: []}, data: {k: v}}", "201",
         1, "{metadata: {managedFields: [{manager: five}]}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

static void status_and_specification_have_owners_of_their_own(void **state)
{
    static const struct test_step steps[] = {
        {"APPLY " SERVICES "/web?fieldManager=me",
         "{" SERVICE ", metadata: {name: web}, spec: {type: LoadBalancer, ports: "
         "[{port: 80}]}}",
         "201", 1, NULL},
        {"APPLY " SERVICES "/web/status?fieldManager=me",
         "{" SERVICE ", metadata: {name: web}, spec: {type: ClusterIP}, status: {loadBalancer: {ingress: "
         "[{ip: 192.0.2.1, "
         "ipMode: VIP}]}}}",
         "200", 1,
         "{spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}, metadata: "
         "{managedFields: "
         "[{manager: me, subresource: null}, {manager: me, subresource: status, operation: Apply}]}}"},
        {"APPLY " SERVICES "/web?fieldManager=me",
         "{" SERVICE ", metadata: {name: web}, spec: {type: LoadBalancer, ports: "
         "[{port: 80}]}, status: {loadBalancer: {ingress: []}}}",
         "200", 0, "{status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}"},
    };
    TEST_STEPS((struct test_world *)*state, steps);
}

/* --- Services: what was given stays given; that nothing else is taken is checked after every test --- */

static void services_keep_their_addresses(void **state)
{
    static const struct test_step steps[] = {
        {"POST " SERVICES,
         "{metadata: {name: web}, spec: {clusterIP: 10.96.0.8, type: NodePort, ports: [{port: 80, "
         "nodePort: 30008}]}}",
         "201", 1, "{spec: {clusterIPs: [10.96.0.8]}}"},
        {"PUT " SERVICES "/web", "{metadata: {name: web}, spec: {type: NodePort, ports: [{port: 81}]}}",
         "200", 1, "{spec: {clusterIP: 10.96.0.8, ports: [{port: 81, nodePort: 30008}]}}"},
        {"APPLY " SERVICES "/web?fieldManager=me&force=true",
         "{" SERVICE ", metadata: {name: web}, spec: {ports: [{port: 81, name: http}]}}", "200", 1,
         "{spec: {clusterIP: 10.96.0.8, type: NodePort}}"},
        {"MERGE " SERVICES "/web", "{spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9]}}",
         "422 Invalid Service \"web\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.9\"]: may "
         "not change once "
         "set",
         0, NULL},
        {"MERGE " SERVICES "/web", "{spec: {ipFamilyPolicy: RequireDualStack}}", "200", 1,
         "{spec: {ipFamilies: [IPv4, IPv6]}}"},
        {"MERGE " SERVICES "/web", "{spec: {type: ClusterIP, ports: [{port: 81, nodePort: null}]}}", "200", 1,
         "{spec: {ports: [{nodePort: null}]}}"},
        {"MERGE " SERVICES "/web",
         "{spec: {type: ExternalName, externalName: example.com, clusterIP: '', clusterIPs: "
         "null}}",
         "200", 1, "{spec: {type: ExternalName, clusterIP: null, clusterIPs: null, ipFamilies: null}}"},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    assert_int_equal(allocator_address_count(world->world.allocator), 0);
    assert_int_equal(allocator_port_count(world->world.allocator), 0);
}

static void refused_services_take_nothing(void **state)
{
    static const struct test_step steps[] = {
        {"POST " SERVICES,
         "{metadata: {name: web}, spec: {clusterIP: 10.96.0.5, type: NodePort, ports: [{port: 80, "
         "nodePort: 30001}]}}",
         "201", 1, NULL},
        /* The address was free, the port is not; both were, and validation refuses. */
        {"POST " SERVICES,
         "{metadata: {name: b}, spec: {clusterIP: 10.96.0.6, type: NodePort, ports: [{port: 80, "
         "nodePort: 30001}]}}",
         "422 Invalid Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30001: provided port "
         "is already "
         "allocated",
         0, NULL},
        {"POST " SERVICES, "{metadata: {name: b}, spec: {type: NodePort, ports: [{port: 70000}]}}",
         "422 Invalid Service \"b\" is invalid: [spec.ports[0].port: Invalid value: 70000: must be between 1 "
         "and 65535, "
         "inclusive, spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive]",
         0, NULL},
        {"POST " SERVICES, "{metadata: {name: web}, spec: {clusterIP: 10.96.0.6, ports: [{port: 80}]}}",
         "409 AlreadyExists services \"web\" already exists", 0, NULL},
        {"PUT " SERVICES "/web",
         "{metadata: {name: web, resourceVersion: '1'}, spec: {ipFamilyPolicy: RequireDualStack, "
         "ports: [{port: 80}]}}",
         "409 Conflict Operation cannot be fulfilled on services \"web\": the object has been modified; "
         "please apply your "
         "changes to the latest version and try again",
         0, NULL},
        {"MERGE " SERVICES "/web", "{spec: {ipFamilyPolicy: RequireDualStack, sessionAffinity: Odd}}",
         "422 Invalid Service \"web\" is invalid: spec.sessionAffinity: Unsupported value: \"Odd\": "
         "supported values: "
         "\"ClientIP\", \"None\"",
         0, NULL},
    };
    struct test_world *world = *state;
    TEST_STEPS(world, steps);
    assert_int_equal(allocator_address_count(world->world.allocator), 1);
    assert_int_equal(allocator_port_count(world->world.allocator), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(three_patches_of_what_is_there),
        TEST_IN_WORLD(a_patch_may_name_a_version),
        TEST_IN_WORLD(options_belong_to_their_patch),
        TEST_IN_WORLD(apply_makes_and_changes),
        TEST_IN_WORLD(conflicts_are_told_and_forced),
        TEST_IN_WORLD(configurations_have_to_be_of_the_kind),
        TEST_IN_WORLD(odd_patches_change_nothing),
        TEST_IN_WORLD(ownership_can_be_reset),
        TEST_IN_WORLD(status_and_specification_have_owners_of_their_own),
        TEST_IN_WORLD(services_keep_their_addresses),
        TEST_IN_WORLD(refused_services_take_nothing),
    };
    return cmocka_run_group_tests_name("patch_verbs", tests, NULL, NULL);
}
