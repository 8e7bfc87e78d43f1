/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/test_writes.h"
#include "base/cleanup.h"

struct change {
    const char *before, *after, *refusal;
};

/* Each inside is that of an object with the given frame, which has one %s. */
static void check_changes(enum api_kind kind, const char *frame, bool is_status, const struct change *changes,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text before = {0}, after = {0};
        text_printf(&before, frame, changes[i].before);
        text_printf(&after, frame, changes[i].after);
        test_update(kind, text_str(&before), text_str(&after), is_status, changes[i].refusal);
        text_done(&before);
        text_done(&after);
    }
}

#define META "metadata: {name: a, namespace: default, uid: u, resourceVersion: '7'"
#define CLUSTER_META "metadata: {name: a, uid: u, resourceVersion: '7'"
#define SERVICE "{" META "}, spec: {%s}}"
#define IP4 "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, "
#define DUAL                                                                                                 \
    "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6], "                     \
    "ipFamilyPolicy: PreferDualStack, "
#define PORT "ports: [{port: 80}]"

static void test_service_addresses(void **state)
{
    static const struct change changes[] = {
        {IP4 PORT, IP4 PORT, NULL},
        {IP4 PORT, "clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2], ipFamilies: [IPv4], " PORT,
         "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"},
        {IP4 PORT, "clusterIP: None, clusterIPs: [None], ipFamilies: [IPv4], " PORT,
         "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set"},
        {DUAL PORT,
         "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: "
         "PreferDualStack, " PORT,
         "[spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when "
         "releasing the secondary clusterIP, spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must "
         "be set to 'SingleStack' when releasing the secondary ipFamily]"},
        {DUAL PORT, IP4 PORT, NULL},
        {IP4 PORT, DUAL PORT, NULL},
        {DUAL PORT,
         "clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6, IPv4], "
         "ipFamilyPolicy: PreferDualStack, " PORT,
         "[spec.clusterIPs[0]: Invalid value: [\"fd00::1\",\"10.0.0.1\"]: may not change once set, "
         "spec.clusterIPs[1]: Invalid value: [\"fd00::1\",\"10.0.0.1\"]: may not change once set, "
         "spec.ipFamilies[0]: Invalid value: [\"IPv6\",\"IPv4\"]: may not change once set]"},
        {"clusterIP: None, clusterIPs: [None], ipFamilies: [IPv4]",
         "clusterIP: None, clusterIPs: [None], ipFamilies: [IPv6]", NULL},
    };
    check_changes(API_SERVICE, SERVICE, false, changes, ARRAY_LEN(changes));
}

#define BALANCER "type: LoadBalancer, allocateLoadBalancerNodePorts: true, "
#define NODE_PORT "ports: [{port: 80, nodePort: 30001}]"

static void test_service_types(void **state)
{
    static const struct change changes[] = {
        {"type: NodePort, " IP4 NODE_PORT, IP4 "ports: [{port: 80, nodePort: 30002}]",
         "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
        {BALANCER "loadBalancerClass: a/b, " IP4 NODE_PORT, BALANCER "loadBalancerClass: a/c, " IP4 NODE_PORT,
         "spec.loadBalancerClass: Invalid value: \"a/c\": may not change once set"},
        {BALANCER "loadBalancerClass: a/b, " IP4 NODE_PORT, BALANCER IP4 NODE_PORT,
         "spec.loadBalancerClass: Invalid value: null: may not change once set"},
        {IP4 PORT, BALANCER "loadBalancerClass: a/b, " IP4 PORT, NULL},
        {BALANCER "externalTrafficPolicy: Local, healthCheckNodePort: 30005, " IP4 NODE_PORT,
         BALANCER "externalTrafficPolicy: Local, healthCheckNodePort: 30006, " IP4 NODE_PORT,
         "spec.healthCheckNodePort: Forbidden: field is immutable"},
        /* Values of earlier rules may stay. */
        {"externalIPs: [010.1.1.1], " IP4 PORT, "externalIPs: [010.1.1.1], " IP4 PORT, NULL},
        {IP4 PORT, "externalIPs: [010.1.1.1], " IP4 PORT,
         "spec.externalIPs[0]: Invalid value: \"010.1.1.1\": must not have leading 0s"},
        {BALANCER "loadBalancerSourceRanges: [' 10.0.0.1/8'], " IP4 PORT,
         BALANCER "loadBalancerSourceRanges: [10.0.0.1/8], " IP4 PORT, NULL},
        {IP4 PORT, IP4 "ports: [{port: 0}]",
         "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, "
         "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive]"},
    };
    check_changes(API_SERVICE, SERVICE, false, changes, ARRAY_LEN(changes));
}

static void test_service_status(void **state)
{
    static const struct change changes[] = {
        {"", "status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: VIP}]}}", NULL},
        {"", "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}", NULL},
        {"", "status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: vip}]}}",
         "status.loadBalancer.ingress[0].ipMode: Unsupported value: \"vip\": supported values: \"Proxy\", "
         "\"VIP\""},
        {"", "status: {loadBalancer: {ingress: [{ip: 192.0.2, ipMode: VIP}]}}",
         "status.loadBalancer.ingress[0].ip: Invalid value: \"192.0.2\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)"},
        {"", "status: {loadBalancer: {ingress: [{hostname: 192.0.2.1}]}}",
         "status.loadBalancer.ingress[0].hostname: Invalid value: \"192.0.2.1\": must be a DNS name, not an "
         "IP address"},
    };
    check_changes(API_SERVICE, "{" META "}, spec: {" BALANCER IP4 PORT "}, %s}", true, changes,
                  ARRAY_LEN(changes));
}

static void test_new_services(void **state)
{
    test_create(API_SERVICE, "{metadata: {name: a, namespace: default}, spec: {" PORT "}}", NULL);
    test_create(API_SERVICE,
                "{metadata: {name: a, namespace: default}, spec: {type: NodePort, " PORT
                "}, status: {loadBalancer: {ingress: [{ip: x}]}}}",
                NULL);
    /* Addresses and node ports are the allocator's to refuse. */
    test_create(API_SERVICE,
                "{metadata: {name: a, namespace: default}, spec: {type: NodePort, clusterIP: 127.0.0.1, "
                "clusterIPs: [127.0.0.1], ports: [{port: 80, nodePort: 70000}]}}",
                NULL);
    test_create(API_SERVICE, "{metadata: {name: a, namespace: default}, spec: {}}",
                "spec.ports: Required value");
    test_create(
        API_SERVICE, "{metadata: {name: a/b, namespace: default}, spec: {" PORT "}}",
        "metadata.name: Invalid value: \"a/b\": a lowercase RFC 1123 label must consist of lower case "
        "alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. "
        "'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
}

static void test_metadata(void **state)
{
    static const struct change changes[] = {
        {"", "uid: v", "metadata.uid: Invalid value: \"v\": field is immutable"},
        {"uid: u", "uid: u, generation: 9", NULL},
        {"uid: u", "uid: u, labels: {a: '-'}",
         "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of "
         "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
         "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        {"uid: u, finalizers: [a/b], deletionTimestamp: '2024-01-02T03:04:05Z'",
         "uid: u, finalizers: [a/b, a/d, a/c], deletionTimestamp: '2024-01-02T03:04:05Z'",
         "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
         "found new finalizers []string{\"a/c\", \"a/d\"}"},
        {"uid: u", "uid: u, deletionTimestamp: '2024-01-02T03:04:05Z'",
         "metadata.deletionTimestamp: Invalid value: \"2024-01-02T03:04:05Z\": field is immutable"},
        {"uid: u", "uid: u, deletionGracePeriodSeconds: 5",
         "metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable"},
        {"uid: u, creationTimestamp: '2024-01-02T03:04:05Z'",
         "uid: u, creationTimestamp: '2020-01-02T03:04:05Z'", NULL},
        {"uid: u", "uid: u, finalizers: [orphan, foregroundDeletion]",
         "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and "
         "foregroundDeletion cannot be both set"},
        {"uid: u",
         "uid: u, ownerReferences: [{apiVersion: v1, kind: Node, name: n1, uid: x, controller: true}, "
         "{apiVersion: v1, kind: Pod, name: p, uid: z, controller: true}]",
         "metadata.ownerReferences: Invalid value: [{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\","
         "\"uid\":\"x\",\"controller\":true},{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"p\",\"uid\":"
         "\"z\",\"controller\":true}]: Only one reference can have Controller set to true. Found \"true\" in "
         "references for Node/n1 and Pod/p"},
        {"uid: u", "uid: u, ownerReferences: [{apiVersion: v1, kind: Event, name: e, uid: x}]",
         "metadata.ownerReferences: Invalid value: "
         "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"e\",\"uid\":\"x\"}: /v1, Kind=Event is "
         "disallowed from being an owner"},
        {"uid: u", "uid: u, finalizers: [mine]",
         "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is "
         "it fully qualified"},
        {"uid: u", "uid: u, managedFields: [{operation: Change, fieldsType: V0, manager: \"a\\nb\"}]",
         "[metadata.managedFields[0].operation: Invalid value: \"Change\": must be `Apply` or `Update`, "
         "metadata.managedFields[0].fieldsType: Invalid value: \"V0\": must be `FieldsV1`, "
         "metadata.managedFields[0].manager: Invalid value: \"a\\nb\": invalid character U+000A (at position "
         "1)]"},
    };
    check_changes(API_CONFIG_MAP, "{metadata: {name: a, namespace: default, resourceVersion: '7', %s}}",
                  false, changes, ARRAY_LEN(changes));
    test_create(
        API_CONFIG_MAP, "{metadata: {name: a, namespace: default, generateName: AB-}}",
        "metadata.generateName: Invalid value: \"AB-\": a lowercase RFC 1123 subdomain must consist of lower "
        "case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
    test_create(API_CONFIG_MAP, "{metadata: {name: web-x, namespace: default, generateName: web-}}", NULL);
}

static void test_config_maps(void **state)
{
    static const struct change changes[] = {
        {"data: {a: b}", "data: {a: c}", NULL},
        {"data: {a: b}, immutable: true", "data: {a: b}, immutable: true", NULL},
        {"data: {a: b}, immutable: true", "data: {a: c}, binaryData: {x: AAE=}",
         "[immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is "
         "immutable when `immutable` is set, binaryData: Forbidden: field is immutable when `immutable` is "
         "set]"},
    };
    check_changes(API_CONFIG_MAP, "{" META "}, %s}", false, changes, ARRAY_LEN(changes));
    test_create(
        API_CONFIG_MAP, "{metadata: {name: a, namespace: default}, data: {a/b: c}}",
        "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', "
        "'_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
        "'[-._a-zA-Z0-9]+')");
    test_create(API_CONFIG_MAP,
                "{metadata: {name: a, namespace: default}, data: {..a: c, x: v}, binaryData: {x: AA==}}",
                "[data[..a]: Invalid value: \"..a\": must not start with '..', data[x]: Invalid value: "
                "\"x\": duplicate of key present in binaryData]");
    struct text large = {0};
    text_add(&large, "{metadata: {name: a, namespace: default}, data: {a: ");
    for (int i = 0; i < 1024 * 1024 / 16 + 1; i++)
        text_add(&large, "0123456789abcdef");
    text_add(&large, "}}");
    test_create(API_CONFIG_MAP, text_str(&large), "[]: Too long: may not be more than 1048576 bytes");
    text_done(&large);
}

static void test_slices(void **state)
{
    static const struct change changes[] = {
        {"addressType: IPv4", "addressType: IPv6",
         "addressType: Invalid value: \"IPv6\": field is immutable"},
        {"addressType: IPv4, endpoints: [{addresses: [010.0.0.1]}]",
         "addressType: IPv4, endpoints: [{addresses: [010.0.0.1]}], ports: [{port: 80}]", NULL},
        {"addressType: IPv4", "addressType: IPv4, endpoints: [{addresses: [010.0.0.1]}]",
         "endpoints[0].addresses[0]: Invalid value: \"010.0.0.1\": must not have leading 0s"},
        {"addressType: IPv6", "addressType: IPv6, endpoints: [{addresses: ['FD00::1']}]",
         "endpoints[0].addresses[0]: Invalid value: \"FD00::1\": must be in canonical form (\"fd00::1\")"},
    };
    check_changes(API_ENDPOINT_SLICE, "{" META "}, %s}", false, changes, ARRAY_LEN(changes));
    static const struct change subsets[] = {
        {"[{addresses: [{ip: 010.0.0.1}]}]", "[{addresses: [{ip: 010.0.0.1}]}]", NULL},
        {"[]", "[{addresses: [{ip: a}]}]",
         "[subsets[0].addresses[0].ip: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or "
         "2001:db8::ffff), subsets[0].addresses[0].ip: Invalid value: \"a\": must be a valid IP address]"},
        {"[]", "[{ports: [{port: 80}]}]",
         "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
    };
    check_changes(API_ENDPOINTS, "{" META "}, subsets: %s}", false, subsets, ARRAY_LEN(subsets));
}

static void test_nodes(void **state)
{
    static const struct change changes[] = {
        {"podCIDR: 10.0.0.0/24", "podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]", NULL},
        {"", "podCIDR: 10.0.0.0/24", NULL},
        {"podCIDR: 10.0.0.0/24", "podCIDR: 10.0.1.0/24",
         "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"},
        {"podCIDR: 10.0.0.0/24", "",
         "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"},
        {"", "providerID: a", NULL},
        {"providerID: a", "providerID: b",
         "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"},
        {"", "taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoExecute}]", NULL},
        {"", "taints: [{key: a, effect: Never}, {key: b}]",
         "[metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", "
         "\"PreferNoSchedule\", \"NoExecute\", metadata.taints[1].effect: Required value]"},
        {"", "taints: [{key: a, effect: NoSchedule}, {key: a, value: v, effect: NoSchedule}]",
         "metadata.taints[1]: Duplicate value: "
         "{\"Key\":\"a\",\"Value\":\"v\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be "
         "unique by key and effect pair"},
    };
    check_changes(API_NODE, "{" CLUSTER_META "}, spec: {%s}}", false, changes, ARRAY_LEN(changes));
    static const struct change states[] = {
        {"", "capacity: {cpu: '4', memory: 1Gi, example.com/gpu: '2'}", NULL},
        {"", "capacity: {cpu: '-4'}, allocatable: {example.com/gpu: 500m}",
         "[status.capacity.cpu: Invalid value: \"-4\": must be greater than or equal to 0, "
         "status.allocatable.example.com/gpu: Invalid value: \"500m\": must be an integer]"},
        {"", "addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 10.0.0.1}]",
         "status.addresses[1]: Duplicate value: {\"Type\":\"InternalIP\",\"Address\":\"10.0.0.1\"}"},
        {"", "declaredFeatures: [B, A/b, a]",
         "[status.declaredFeatures[1]: Invalid value: \"A/b\": list must be sorted alphabetically, "
         "status.declaredFeatures[2]: Invalid value: \"a\": invalid feature name \"a\": must start with an "
         "UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
         "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes]"},
    };
    check_changes(API_NODE, "{" CLUSTER_META "}, status: {%s}}", true, states, ARRAY_LEN(states));
}

static void test_cluster_kinds(void **state)
{
    static const struct change phases[] = {
        {"", "phase: Active", NULL},
        {"", "phase: Gone",
         "status.Phase: Invalid value: \"Gone\": may only be 'Active' if `deletionTimestamp` is empty"},
    };
    check_changes(API_NAMESPACE, "{" CLUSTER_META "}, status: {%s}}", true, phases, ARRAY_LEN(phases));
    test_create(
        API_NAMESPACE, "{metadata: {name: a}, spec: {finalizers: [b]}}",
        "spec.finalizers: Invalid value: \"b\": name is neither a standard finalizer name nor is it fully "
        "qualified");
    static const struct change ranges[] = {
        {"[10.0.0.0/24]", "[10.0.0.0/24]", NULL},
        {"[10.0.0.0/24]", "[10.0.0.0/24, 'fd00::/64']", NULL},
        {"[10.0.0.0/24]", "[10.0.1.0/24]",
         "spec.cidrs[0]: Invalid value: \"10.0.1.0/24\": field is immutable"},
        {"[10.0.0.0/24, 'fd00::/64']", "[10.0.0.0/24]",
         "spec.cidrs: Invalid value: [\"10.0.0.0/24\"]: field is immutable"},
        {"[10.0.0.0/24]", "[10.0.0.0/24, 10.0.1.0/24]",
         "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one IP for "
         "each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"},
    };
    check_changes(API_SERVICE_CIDR, "{" CLUSTER_META "}, spec: {cidrs: %s}}", false, ranges,
                  ARRAY_LEN(ranges));
    test_create(
        API_LEASE,
        "{metadata: {name: a, namespace: default}, spec: {leaseDurationSeconds: 0, leaseTransitions: -1}}",
        "[spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, spec.leaseTransitions: "
        "Invalid value: -1: must be greater than or equal to 0]");
}

static void test_events(void **state)
{
    static const struct {
        const char *text, *refusal;
    } cases[] = {
        {"involvedObject: {namespace: default}", NULL},
        {"involvedObject: {}", NULL},
        {"involvedObject: {namespace: b}",
         "involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"},
        {"involvedObject: {}, eventTime: '2024-01-02T03:04:05.000006Z'",
         "[reportingComponent: Required value, reportingComponent: Invalid value: \"\": name part must be "
         "non-empty, reportingComponent: Invalid value: \"\": name part must consist of alphanumeric "
         "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName', "
         " or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), reportingInstance: Required value, action: Required "
         "value, reason: Required value]"},
        {"involvedObject: {}, eventTime: '2024-01-02T03:04:05.000006Z', reportingComponent: a/b, "
         "reportingInstance: c, action: d, reason: e",
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text document = {0};
        text_printf(&document, "{metadata: {name: a, namespace: default}, %s}", cases[i].text);
        test_create(API_EVENT, text_str(&document), cases[i].refusal);
        text_done(&document);
    }
    /* Of every kind, the name is a part of a URL. */
    test_create(API_EVENT, "{metadata: {name: a%b, namespace: default}}",
                "metadata.name: Invalid value: \"a%b\": may not contain '%'");
}

/* Causes have what the sentence has, in parts, and none is left out for being there twice. */
static void test_causes(void **state)
{
    struct arena arena;
    struct faults faults;
    arena_init(&arena);
    faults_init(&faults, &arena);
    ProtobufCMessage *service = test_object(
        API_SERVICE, "{metadata: {name: a, namespace: default}, spec: {ports: [{port: 0}]}}", &arena);
    validate_create(&faults, API_SERVICE, service);
    assert_int_equal(faults_kept(&faults), 2);
    assert_string_equal(faults.list[0].reason, "FieldValueInvalid");
    assert_string_equal(faults.list[0].field, "spec.ports[0].port");
    assert_string_equal(faults.list[0].message, "Invalid value: 0: must be between 1 and 65535, inclusive");
    assert_string_equal(faults.list[0].sentence,
                        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive");
    for (int i = 0; i < 2 * FAULTS_MAX; i++)
        fault_required(&faults, NULL, NULL);
    assert_int_equal(faults.count, 2 + 2 * FAULTS_MAX);
    assert_int_equal(faults_kept(&faults), FAULTS_MAX);
    faults_truncate(&faults, 1);
    assert_string_equal(faults_format(&faults), faults.list[0].sentence);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_addresses),
        cmocka_unit_test(test_service_types),
        cmocka_unit_test(test_service_status),
        cmocka_unit_test(test_new_services),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_config_maps),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_cluster_kinds),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_causes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
