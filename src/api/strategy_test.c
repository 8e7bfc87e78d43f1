/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/test_writes.h"
#include "base/cleanup.h"

#define META "metadata: {name: a, namespace: default, uid: u, resourceVersion: '7'"
/* How metadata comes out again, in the order of the schema. */
#define OUT "\"name\":\"a\",\"namespace\":\"default\""

/* An object and what the registry gets for it. */
static void check_create(enum api_kind kind, const char *yaml, const char *expected)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *message = test_object(kind, yaml, &arena);
    strategy_prepare_create(kind, message, &arena);
    assert_string_equal(test_json(kind, message, &arena), expected);
    arena_done(&arena);
}

static void check_update(enum api_kind kind, const char *before, const char *after, bool is_status,
                         const char *expected)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *old = test_object(kind, before, &arena), *message = test_object(kind, after, &arena);
    const char *untouched = test_json(kind, old, &arena);
    if (is_status)
        strategy_prepare_status_update(kind, message, old, &arena);
    else
        strategy_prepare_update(kind, message, old, &arena);
    assert_string_equal(test_json(kind, message, &arena), expected);
    assert_string_equal(test_json(kind, old, &arena), untouched);
    arena_done(&arena);
}

static void test_creates(void **state)
{
    check_create(
        API_NAMESPACE,
        "{metadata: {name: a, namespace: b, uid: x, deletionTimestamp: '2024-01-02T03:04:05Z', labels: {b: "
        "c}}, status: {phase: Terminating}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"labels\":{\"b\":\"c\","
        "\"kubernetes.io/metadata.name\":\"a\"}},\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{\"pha"
        "se\":\"Active\"}}");
    check_create(
        API_ENDPOINT_SLICE,
        "{metadata: {name: a, namespace: default}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], "
        "deprecatedTopology: {kubernetes.io/hostname: n1}}]}",
        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{" OUT
        ",\"generation\":1},\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"conditions\":{}}],\"ports\":null,"
        "\"addressType\":\"IPv4\"}");
    check_create(
        API_SERVICE,
        "{metadata: {name: a, namespace: default}, spec: {clusterIP: 10.0.0.1}, status: {loadBalancer: "
        "{ingress: [{ip: 1.2.3.4}]}}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{" OUT
        "},\"spec\":{\"clusterIP\":\"10.0.0.1\",\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\","
        "\"internalTrafficPolicy\":\"Cluster\"},\"status\":{\"loadBalancer\":{}}}");
    check_create(
        API_LEASE, "{metadata: {name: a, namespace: default}, spec: {strategy: OldestEmulationVersion}}",
        "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{" OUT "},\"spec\":{}}");
    check_create(
        API_NODE,
        "{metadata: {name: n1}, status: {capacity: {cpu: 4}, config: {error: e}}, spec: {podCIDR: "
        "10.0.0.0/24}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"},\"spec\":{\"podCIDR\":\"10.0"
        ".0.0/24\",\"podCIDRs\":[\"10.0.0.0/24\"]},\"status\":{\"capacity\":{\"cpu\":\"4\"},\"allocatable\":{"
        "\"cpu\":\"4\"},\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":0}},\"nodeInfo\":{\"machineID\":\""
        "\",\"systemUUID\":\"\",\"bootID\":\"\",\"kernelVersion\":\"\",\"osImage\":\"\",\"containerRuntimeVer"
        "sion\":\"\",\"kubeletVersion\":\"\",\"kubeProxyVersion\":\"\",\"operatingSystem\":\"\",\"architectur"
        "e\":\"\"}}}");
}

static void test_pods(void **state)
{
    static const struct {
        const char *resources, *quality;
    } cases[] = {
        {"{}", "BestEffort"},
        {"{requests: {cpu: 1}}", "Burstable"},
        {"{limits: {cpu: 1}}", "Burstable"},
        {"{limits: {cpu: 1, memory: 1Gi}}", "Guaranteed"},
        {"{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1000m, memory: 1024Mi}}", "Guaranteed"},
        {"{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 999m}}", "Burstable"},
        {"{requests: {ephemeral-storage: 1Gi}}", "BestEffort"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text yaml = {0};
        struct arena arena;
        arena_init(&arena);
        text_printf(&yaml,
                    "{" META
                    "}, spec: {containers: [{name: c, image: i, resources: %s}]}, status: {phase: x}}",
                    cases[i].resources);
        Core__Pod *pod = (Core__Pod *)test_object(API_POD, text_str(&yaml), &arena);
        strategy_prepare_create(API_POD, &pod->base, &arena);
        assert_string_equal(pod->status->phase, "Pending");
        assert_string_equal(pod->status->qosclass, cases[i].quality);
        assert_int_equal(pod->metadata->generation, 1);
        assert_int_equal(pod->status->n_conditions, 0);
        arena_done(&arena);
        text_done(&yaml);
    }
}

/* matchLabelKeys become part of the selector, and a gate a condition. */
static void test_gated_pods(void **state)
{
    struct arena arena;
    arena_init(&arena);
    Core__Pod *pod =
        (Core__Pod *)test_object(API_POD,
                                 "{metadata: {name: a, namespace: default, labels: {app: web}}, spec: "
                                 "{containers: [{name: c, image: i}], schedulingGates: [{name: g}], "
                                 "topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, "
                                 "whenUnsatisfiable: DoNotSchedule, matchLabelKeys: [app, other], "
                                 "labelSelector: {}}]}}",
                                 &arena);
    strategy_prepare_create(API_POD, &pod->base, &arena);
    assert_int_equal(pod->status->n_conditions, 1);
    assert_string_equal(pod->status->conditions[0]->reason, "SchedulingGated");
    const Meta__LabelSelector *selector = pod->spec->topologyspreadconstraints[0]->labelselector;
    assert_int_equal(selector->n_matchexpressions, 1);
    assert_string_equal(selector->matchexpressions[0]->key, "app");
    assert_string_equal(selector->matchexpressions[0]->operator_, "In");
    assert_string_equal(selector->matchexpressions[0]->values[0], "web");
    struct faults faults;
    faults_init(&faults, &arena);
    validate_create(&faults, API_POD, &pod->base);
    test_faults(&faults, "a constraint with merged keys", NULL);
    arena_done(&arena);
}

#define SERVICE(spec) "{" META "}, spec: {" spec "}, status: {loadBalancer: {ingress: [{hostname: h}]}}}"
static void test_service_updates(void **state)
{
    /* The status is the old one, and allocation is not looked at here. */
    check_update(
        API_SERVICE, SERVICE("type: LoadBalancer"),
        "{metadata: {name: a, namespace: default, resourceVersion: '6', generation: 5}, spec: {type: "
        "LoadBalancer}}",
        false,
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{" OUT ",\"uid\":\"u\",\"resourceVersion\":"
        "\"6\"},\"spec\":{\"type\":\"LoadBalancer\",\"sessionAffinity\":\"None\",\"externalTrafficPolicy\":\""
        "Cluster\",\"allocateLoadBalancerNodePorts\":true,\"internalTrafficPolicy\":\"Cluster\"},\"status\":{"
        "\"loadBalancer\":{\"ingress\":[{\"hostname\":\"h\"}]}}}");
}

static int64_t generation_after(enum api_kind kind, const char *before, const char *after)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *old = test_object(kind, before, &arena), *message = test_object(kind, after, &arena);
    strategy_prepare_update(kind, message, old, &arena);
    int64_t generation = api_metadata(message)->generation;
    arena_done(&arena);
    return generation;
}

static void test_generations(void **state)
{
#define POD(meta, image)                                                                                     \
    "{" META ", generation: 3" meta "}, spec: {containers: [{name: c, image: " image "}]}}"
#define SLICE(meta, inside) "{" META ", generation: 3" meta "}, addressType: IPv4, " inside "}"
    assert_int_equal(generation_after(API_POD, POD("", "i"), POD("", "i")), 3);
    assert_int_equal(generation_after(API_POD, POD("", "i"), POD(", labels: {a: b}", "i")), 3);
    assert_int_equal(generation_after(API_POD, POD("", "i"), POD("", "j")), 4);
    assert_int_equal(
        generation_after(API_ENDPOINT_SLICE, SLICE("", "ports: [{port: 80}]"),
                         SLICE(", annotations: {a: b}", "ports: [{port: 80, protocol: TCP, name: ''}]")),
        3);
    assert_int_equal(
        generation_after(API_ENDPOINT_SLICE, SLICE("", "ports: []"), SLICE(", labels: {a: b}", "ports: []")),
        4);
    assert_int_equal(
        generation_after(API_ENDPOINT_SLICE, SLICE("", "ports: []"), SLICE("", "ports: [{port: 80}]")), 4);
    /* Nobody else sets it. */
    assert_int_equal(generation_after(API_CONFIG_MAP, "{" META "}}", "{" META ", generation: 9}}"), 0);
}

/* v1 writes no deprecatedTopology: it stays while the endpoints do, and then only the node's name lives on.
 */
static void test_topology(void **state)
{
    static const char old_slice[] =
        "{" META "}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], deprecatedTopology: "
        "{kubernetes.io/hostname: n1}}]}";
    static const char new_slice[] =
        "{" META "}, addressType: IPv4, endpoints: [{addresses: [10.0.0.2], deprecatedTopology: "
        "{kubernetes.io/hostname: n1}}, {addresses: [10.0.0.3], deprecatedTopology: {kubernetes.io/hostname: "
        "n2}}]}";
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *old = test_object(API_ENDPOINT_SLICE, old_slice, &arena);
    Discovery__EndpointSlice *slice =
        (Discovery__EndpointSlice *)test_object(API_ENDPOINT_SLICE, old_slice, &arena);
    strategy_prepare_update(API_ENDPOINT_SLICE, &slice->base, old, &arena);
    assert_int_equal(slice->endpoints[0]->n_deprecatedtopology, 1);
    assert_null(slice->endpoints[0]->nodename);
    slice = (Discovery__EndpointSlice *)test_object(API_ENDPOINT_SLICE, new_slice, &arena);
    strategy_prepare_update(API_ENDPOINT_SLICE, &slice->base, old, &arena);
    assert_int_equal(slice->endpoints[0]->n_deprecatedtopology, 0);
    assert_string_equal(slice->endpoints[0]->nodename, "n1");
    assert_null(slice->endpoints[1]->nodename);
    arena_done(&arena);
}

static void test_disabled_fields(void **state)
{
    struct arena arena;
    arena_init(&arena);
    Core__Pod *pod = (Core__Pod *)test_object(
        API_POD,
        "{" META
        "}, spec: {containers: [{name: c, image: i, lifecycle: {stopSignal: SIGTERM}}, {name: d, image: i, "
        "lifecycle: {stopSignal: SIGTERM, preStop: {sleep: {seconds: 1}}}}], volumes: [{name: v, projected: "
        "{sources: [{clusterTrustBundle: {path: p}}, {podCertificate: {keyPath: p}}]}}], schedulingGroup: "
        "{podGroupName: g}}}",
        &arena);
    strategy_prepare_create(API_POD, &pod->base, &arena);
    assert_null(pod->spec->containers[0]->lifecycle);
    assert_non_null(pod->spec->containers[1]->lifecycle->prestop);
    assert_null(pod->spec->containers[1]->lifecycle->stopsignal);
    assert_null(pod->spec->volumes[0]->projected->sources[0]->clustertrustbundle);
    assert_null(pod->spec->volumes[0]->projected->sources[1]->podcertificate);
    assert_null(pod->spec->schedulinggroup);
    arena_done(&arena);
}

static void test_status_updates(void **state)
{
    check_update(
        API_NAMESPACE,
        "{metadata: {name: a, uid: u}, spec: {finalizers: [kubernetes]}, status: {phase: Active}}",
        "{metadata: {name: a, labels: {b: c}}, spec: {finalizers: []}, status: {phase: Terminating}}", true,
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"labels\":"
        "{\"b\":\"c\",\"kubernetes.io/metadata.name\":\"a\"}},\"spec\":{\"finalizers\":[\"kubernetes\"]},\"st"
        "atus\":{\"phase\":\"Terminating\"}}");
    check_update(
        API_SERVICE_CIDR, "{metadata: {name: a, uid: u, labels: {x: z}}, spec: {cidrs: [10.0.0.0/24]}}",
        "{metadata: {name: a, labels: {b: c}}, spec: {cidrs: [10.9.0.0/24]}, status: {conditions: [{type: "
        "Ready, status: 'True', reason: r, message: m}]}}",
        true,
        "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":\"a\",\"uid"
        "\":\"u\",\"labels\":{\"x\":\"z\"}},\"spec\":{\"cidrs\":[\"10.0.0.0/24\"]},\"status\":{\"conditions\""
        ":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":null,\"reason\":\"r\",\"message\":"
        "\"m\"}]}}");
    struct arena arena;
    arena_init(&arena);
    Core__Pod *old = (Core__Pod *)test_object(
        API_POD,
        "{" META ", generation: 2, ownerReferences: [{apiVersion: v1, kind: Node, name: b, uid: c}]}, spec: "
        "{nodeName: n1, containers: [{name: c, image: i}]}, status: {qosClass: Burstable, "
        "observedGeneration: 2, conditions: [{type: Ready, observedGeneration: 2}, {type: Ready, "
        "observedGeneration: 1}]}}",
        &arena);
    Core__Pod *pod = (Core__Pod *)test_object(API_POD,
                                              "{metadata: {name: a, namespace: default}, spec: {nodeName: "
                                              "n2}, status: {phase: Running, conditions: [{type: Ready}, "
                                              "{type: Other}, {type: Ready}]}}",
                                              &arena);
    strategy_prepare_status_update(API_POD, &pod->base, &old->base, &arena);
    assert_string_equal(pod->spec->nodename, "n1");
    assert_string_equal(pod->status->phase, "Running");
    assert_string_equal(pod->status->qosclass, "Burstable");
    assert_int_equal(pod->metadata->n_ownerreferences, 1);
    assert_int_equal(pod->metadata->generation, 2);
    assert_int_equal(pod->status->observedgeneration, 2);
    assert_int_equal(pod->status->conditions[0]->observedgeneration, 2);
    assert_int_equal(pod->status->conditions[1]->observedgeneration, 0);
    assert_int_equal(pod->status->conditions[2]->observedgeneration, 1);
    arena_done(&arena);
}

static void test_rules(void **state)
{
    static const enum api_kind made[] = {API_SERVICE, API_ENDPOINTS, API_EVENT, API_LEASE};
    size_t count = 0;
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        count += strategy_allows_create_on_update((enum api_kind)kind);
    assert_int_equal(count, ARRAY_LEN(made));
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        assert_true(strategy_allows_create_on_update(made[i]));
    assert_false(strategy_allows_unconditional_update(API_LEASE));
    assert_true(strategy_allows_unconditional_update(API_POD));
    assert_true(strategy_has_status(API_SERVICE));
    assert_false(strategy_has_status(API_ENDPOINT_SLICE));
    assert_string_equal(strategy_deprecation(API_ENDPOINTS),
                        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
    assert_null(strategy_deprecation(API_SERVICE));
}

static void test_grace(void **state)
{
    static const struct {
        const char *inside;
        int64_t requested, expected; /* requested -9: none */
    } cases[] = {
        {"spec: {containers: []}", -9, 0},
        {"spec: {nodeName: n1}", -9, 30},
        {"spec: {nodeName: n1, terminationGracePeriodSeconds: 5}", -9, 5},
        {"spec: {nodeName: n1}", 0, 0},
        {"spec: {nodeName: n1}", -5, 1},
        {"spec: {nodeName: n1}, status: {phase: Succeeded}", 20, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text yaml = {0};
        arena_init(&arena);
        text_printf(&yaml, "{" META "}, %s}", cases[i].inside);
        const ProtobufCMessage *pod = test_object(API_POD, text_str(&yaml), &arena);
        const int64_t *requested = cases[i].requested == -9 ? NULL : &cases[i].requested;
        assert_int_equal(strategy_grace_seconds(API_POD, pod, requested), cases[i].expected);
        text_done(&yaml);
        arena_done(&arena);
    }
    int64_t seconds = 30;
    assert_int_equal(strategy_grace_seconds(API_SERVICE, NULL, &seconds), 0);
}

static void test_warnings(void **state)
{
    static const struct {
        enum api_kind kind;
        const char *inside, *expected; /* joined by | */
    } cases[] = {
        {API_SERVICE, "spec: {ports: [{port: 80}]}", ""},
        {API_SERVICE, "spec: {externalIPs: [192.0.2.1, 'FD00::1'], trafficDistribution: PreferClose}",
         "spec.externalIPs[1]: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format "
         "(\"fd00::1\")|spec.externalIPs is deprecated and may no longer be implemented in some "
         "clusters|spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""},
        {API_SERVICE, "spec: {clusterIP: None, loadBalancerIP: 192.0.2.1, sessionAffinity: ClientIP}",
         "spec.loadBalancerIP is ignored for headless services|spec.SessionAffinity is ignored for headless "
         "services"},
        {API_SERVICE, "spec: {type: ExternalName, externalName: a, externalIPs: [192.0.2.1]}",
         "spec.externalIPs is ignored when spec.type is \"ExternalName\""},
        {API_SERVICE, "spec: {externalName: a}",
         "spec.externalName is ignored when spec.type is not \"ExternalName\""},
        {API_SERVICE, "spec: {loadBalancerSourceRanges: [10.0.0.1/8]}",
         "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should "
         "be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)"},
        {API_ENDPOINT_SLICE, "addressType: FQDN", "spec.addressType: FQDN endpoints are deprecated"},
        {API_ENDPOINTS, "subsets: [{addresses: [{ip: 010.0.0.1}]}]",
         "subsets[0].addresses[0].ip: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\""},
        {API_POD,
         "spec: {nodeSelector: {beta.kubernetes.io/os: linux}, containers: [{name: c, image: i, env: [{name: "
         "a, value: b}, {name: a, value: c}], ports: [{containerPort: 80, name: w}, {containerPort: 80, "
         "name: w}], resources: {limits: {memory: 100m}}}]}",
         "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" "
         "instead|spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, "
         "must be an integer|spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" "
         "is invalid, must be an integer|spec.containers[0].env[1]: hides previous definition of \"a\", "
         "which may be dropped when using apply|spec.containers[0].ports[1]: duplicate port definition with "
         "spec.containers[0].ports[0]|spec.containers[0].ports[1]: duplicate port name \"w\" with "
         "spec.containers[0].ports[0], services and probes that select ports by name will use "
         "spec.containers[0].ports[0]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text yaml = {0}, joined = {0};
        struct strategy_warnings warnings;
        arena_init(&arena);
        text_printf(&yaml, "{" META "}, %s}", cases[i].inside);
        strategy_warnings(cases[i].kind, test_object(cases[i].kind, text_str(&yaml), &arena), NULL, &arena,
                          &warnings);
        for (size_t j = 0; j < warnings.count; j++)
            text_printf(&joined, "%s%s", j ? "|" : "", warnings.list[j]);
        assert_string_equal(text_str(&joined), cases[i].expected);
        text_done(&yaml);
        text_done(&joined);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creates),         cmocka_unit_test(test_pods),
        cmocka_unit_test(test_gated_pods),      cmocka_unit_test(test_service_updates),
        cmocka_unit_test(test_generations),     cmocka_unit_test(test_status_updates),
        cmocka_unit_test(test_rules),           cmocka_unit_test(test_grace),
        cmocka_unit_test(test_warnings),        cmocka_unit_test(test_topology),
        cmocka_unit_test(test_disabled_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
