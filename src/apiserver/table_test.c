/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table.h"

#include "api/wire.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* 2024-01-01T00:10:00Z: ten minutes after what most objects below say. */
#define NOW 1704067800
#define AGED "creationTimestamp: \"2024-01-01T00:00:00Z\""

static const ProtobufCMessage *decode(enum api_kind kind, const char *yaml, struct arena *arena)
{
    struct err err = {""};
    json_t *tree = wire_tree_from_yaml(yaml, strlen(yaml), &err);
    if (!tree)
        fail_msg("%s: %s", yaml, err.text);
    struct decode_result result = {0};
    wire_decode_tree(tree, api_kind_info(kind)->type, arena, &result);
    json_decref(tree);
    if (!result.message)
        fail_msg("%s: %s", yaml, result.refusal);
    return result.message;
}

/* The cells with " | " between them. */
static void check_cells(enum api_kind kind, const char *yaml, const char *expected)
{
    struct arena arena = {0};
    struct text text = {0};
    json_t *cells = table_cells(kind, decode(kind, yaml, &arena), NOW);
    size_t columns;
    table_columns(kind, &columns);
    assert_int_equal(json_array_size(cells), columns);
    for (size_t i = 0; i < columns; i++) {
        const json_t *cell = json_array_get(cells, i);
        text_add(&text, i ? " | " : "");
        if (json_is_integer(cell))
            text_printf(&text, "#%lld", (long long)json_integer_value(cell));
        else
            text_add(&text, json_string_value(cell));
    }
    if (strcmp(text_str(&text), expected) != 0)
        fail_msg("%s\ngives\n%s\nnot\n%s", yaml, text_str(&text), expected);
    json_decref(cells);
    text_done(&text);
    arena_done(&arena);
}

struct expectation {
    const char *yaml, *cells;
};

static void check_all(enum api_kind kind, const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_cells(kind, cases[i].yaml, cases[i].cells);
}

static void test_age(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {INT64_MIN, "<invalid>"},
        {-2, "<invalid>"},
        {-1, "0s"},
        {0, "0s"},
        {119, "119s"},
        {120, "2m"},
        {200, "3m20s"},
        {599, "9m59s"},
        {600, "10m"},
        {10799, "179m"},
        {10800, "3h"},
        {10860, "3h1m"},
        {28799, "7h59m"},
        {28800, "8h"},
        {172799, "47h"},
        {172800, "2d"},
        {252000, "2d22h"},
        {691199, "7d23h"},
        {691200, "8d"},
        {63071999, "729d"},
        {63072000, "2y"},
        {63158400, "2y1d"},
        {252287999, "7y364d"},
        {252288000, "8y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text text = {0};
        table_age(cases[i].seconds, &text);
        assert_string_equal(text.data, cases[i].text);
        text_done(&text);
    }
}

static void test_services(void **state)
{
    static const struct expectation cases[] = {
        {"{metadata: {name: kubernetes, " AGED "}, spec: {type: ClusterIP, clusterIP: 10.96.0.1, "
         "clusterIPs: [10.96.0.1], ports: [{port: 443, protocol: TCP}]}}",
         "kubernetes | ClusterIP | 10.96.0.1 | <none> | 443/TCP | 10m | <none>"},
        {"{metadata: {name: nginx-app}, spec: {type: NodePort, clusterIPs: [10.1.1.1], selector: {z: b, app: "
         "a}, "
         "ports: [{port: 8060, nodePort: 30001, protocol: TCP}, {port: 53, protocol: UDP}]}}",
         "nginx-app | NodePort | 10.1.1.1 | <none> | 8060:30001/TCP,53/UDP | <unknown> | app=a,z=b"},
        {"{metadata: {name: e}, spec: {type: ExternalName, externalName: a.example}}",
         "e | ExternalName | <none> | a.example | <none> | <unknown> | <none>"},
        {"{metadata: {name: h}, spec: {type: ClusterIP, clusterIPs: [None], externalIPs: [192.0.2.1, "
         "192.0.2.2]}}",
         "h | ClusterIP | None | 192.0.2.1,192.0.2.2 | <none> | <unknown> | <none>"},
        {"{metadata: {name: b}, spec: {type: LoadBalancer, clusterIPs: [10.1.1.1]}}",
         "b | LoadBalancer | 10.1.1.1 | <pending> | <none> | <unknown> | <none>"},
        {"{metadata: {name: b}, spec: {type: LoadBalancer, clusterIPs: [10.1.1.1], externalIPs: "
         "[192.0.2.1]}, "
         "status: {loadBalancer: {ingress: [{ip: 203.0.113.2}, {hostname: a.example}, {ip: 203.0.113.2}, "
         "{}]}}}",
         "b | LoadBalancer | 10.1.1.1 | 203.0.113.2,a.example,192.0.2.1 | <none> | <unknown> | <none>"},
        {"{metadata: {name: odd}}", "odd |  | <none> | <unknown> | <none> | <unknown> | <none>"},
    };
    check_all(API_SERVICE, cases, ARRAY_LEN(cases));
}

static void test_endpoints(void **state)
{
    static const struct expectation slices[] = {
        {"{metadata: {name: kube-dns-kh5ls, " AGED
         "}, addressType: IPv4, ports: [{port: 53}, {port: 9153}, {port: 53}], "
         "endpoints: [{addresses: [10.83.98.136]}, {addresses: [10.90.153.135]}]}",
         "kube-dns-kh5ls | IPv4 | 53,9153,53 | 10.83.98.136,10.90.153.135 | 10m"},
        {"{metadata: {name: a}, addressType: IPv6}", "a | IPv6 | <unset> | <unset> | <unknown>"},
        {"{metadata: {name: a}, addressType: IPv4, ports: [{}, {name: http}, {port: 1}, {port: 2}], "
         "endpoints: [{addresses: [10.0.0.1, 10.0.0.2]}, {addresses: [10.0.0.3, 10.0.0.4]}, {addresses: "
         "[10.0.0.5]}]}",
         "a | IPv4 | *,http,1 + 1 more... | 10.0.0.1,10.0.0.2,10.0.0.3 + 2 more... | <unknown>"},
    };
    static const struct expectation endpoints[] = {
        {"{metadata: {name: a}}", "a | <none> | <unknown>"},
        {"{metadata: {name: a}, subsets: [{notReadyAddresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]}",
         "a |  | <unknown>"},
        {"{metadata: {name: a}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}], "
         "ports: [{port: 80}, {port: 443}]}]}",
         "a | 10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more... | <unknown>"},
        {"{metadata: {name: a}, subsets: [{addresses: [{ip: 10.0.0.1}]}, {addresses: [{ip: \"fd00::1\"}]}]}",
         "a | 10.0.0.1,fd00::1 | <unknown>"},
        {"{metadata: {name: a}, subsets: [{addresses: [{ip: a}, {ip: b}, {ip: c}]}, {addresses: [{ip: d}]}]}",
         "a | a,b,c + 1 more... | <unknown>"},
    };
    check_all(API_ENDPOINT_SLICE, slices, ARRAY_LEN(slices));
    check_all(API_ENDPOINTS, endpoints, ARRAY_LEN(endpoints));
}

static void test_nodes(void **state)
{
    static const struct expectation cases[] = {
        {"{metadata: {name: m}}",
         "m | Unknown | <none> | <unknown> |  | <none> | <none> | <unknown> | <unknown> | <unknown>"},
        {"{metadata: {name: m, labels: {node-role.kubernetes.io/worker: \"\", kubernetes.io/role: edge, "
         "node-role.kubernetes.io/: \"\"}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, "
         "status: \"True\"}], addresses: [{type: Hostname, address: m}, {type: InternalIP, address: "
         "10.0.0.1}, "
         "{type: InternalIP, address: 10.0.0.2}, {type: ExternalIP, address: 192.0.2.1}], "
         "nodeInfo: {kubeletVersion: v1.36.0, osImage: Debian, kernelVersion: 6.1.0, architecture: amd64, "
         "containerRuntimeVersion: containerd}}}",
         "m | Ready,SchedulingDisabled | edge,worker | <unknown> | v1.36.0 | 10.0.0.1 | 192.0.2.1 | Debian | "
         "6.1.0 (amd64) | containerd"},
        {"{metadata: {name: m}, status: {conditions: [{type: Ready, status: Unknown}]}}",
         "m | NotReady | <none> | <unknown> |  | <none> | <none> | <unknown> | <unknown> | <unknown>"},
    };
    check_all(API_NODE, cases, ARRAY_LEN(cases));
}

#define POD(spec, status) "{metadata: {name: p, " AGED "}, spec: {" spec "}, status: {" status "}}"
#define ONE "containers: [{name: a}]"
#define TWO "containers: [{name: a}, {name: b}]"
#define TAIL " | 10m | <none> | <none> | <none> | <none>"
#define RUNNING "ready: true, state: {running: {}}"

static void test_pods(void **state)
{
    static const struct expectation cases[] = {
        {"{metadata: {name: p}}", "p | 0/0 |  | 0 | <unknown> | <none> | <none> | <none> | <none>"},
        {POD(ONE, "phase: Pending"), "p | 0/1 | Pending | 0" TAIL},
        {POD(ONE, "phase: Failed, reason: Evicted"), "p | 0/1 | Evicted | 0" TAIL},
        {POD(ONE, "phase: Pending, conditions: [{type: PodScheduled, reason: SchedulingGated}]"),
         "p | 0/1 | SchedulingGated | 0" TAIL},
        {POD(TWO, "phase: Running, containerStatuses: [{name: a, " RUNNING "}, {name: b, state: {waiting: "
                  "{reason: CrashLoopBackOff}}, restartCount: 3, lastState: {terminated: {finishedAt: "
                  "\"2024-01-01T00:09:00Z\"}}}]"),
         "p | 1/2 | CrashLoopBackOff | 3 (60s ago)" TAIL},
        {POD(ONE, "phase: Running, containerStatuses: [{name: a, " RUNNING ", restartCount: 2}]"),
         "p | 1/1 | Running | 2" TAIL},
        {POD(ONE,
             "phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}]"),
         "p | 0/1 | Completed | 0" TAIL},
        {POD(TWO,
             "phase: Running, conditions: [{type: Ready, status: \"True\"}], containerStatuses: [{name: a, "
             "state: {terminated: {reason: Completed}}}, {name: b, " RUNNING "}]"),
         "p | 1/2 | Running | 0" TAIL},
        {POD(TWO, "phase: Running, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, "
                  "{name: b, " RUNNING "}]"),
         "p | 1/2 | NotReady | 0" TAIL},
        {POD(TWO, "phase: Running, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, "
                  "{name: b, state: {terminated: {reason: Error, exitCode: 1}}}]"),
         "p | 0/2 | Error | 0" TAIL},
        {POD(ONE, "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]"),
         "p | 0/1 | ExitCode:3 | 0" TAIL},
        {POD(ONE, "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, signal: "
                  "9}}}]"),
         "p | 0/1 | Signal:9 | 0" TAIL},
        {"{metadata: {name: p, deletionTimestamp: \"2024-01-01T00:10:00Z\"}, spec: {" ONE
         "}, status: {phase: Running}}",
         "p | 0/1 | Terminating | 0 | <unknown> | <none> | <none> | <none> | <none>"},
        {"{metadata: {name: p, deletionTimestamp: \"2024-01-01T00:10:00Z\"}, spec: {" ONE "}, "
         "status: {phase: Running, reason: NodeLost}}",
         "p | 0/1 | Unknown | 0 | <unknown> | <none> | <none> | <none> | <none>"},
        {"{metadata: {name: p, deletionTimestamp: \"2024-01-01T00:10:00Z\"}, spec: {" ONE "}, "
         "status: {phase: Succeeded}}",
         "p | 0/1 | Succeeded | 0 | <unknown> | <none> | <none> | <none> | <none>"},
        {POD(ONE ", nodeName: n1, readinessGates: [{conditionType: x}, {conditionType: z}]",
             "phase: Running, podIPs: [{ip: 10.1.0.1}], nominatedNodeName: n2, conditions: [{type: x, "
             "status: "
             "\"True\"}, {type: z, status: \"False\"}]"),
         "p | 0/1 | Running | 0 | 10m | 10.1.0.1 | n1 | n2 | 1/2"},
    };
    check_all(API_POD, cases, ARRAY_LEN(cases));
}

static void test_init_containers(void **state)
{
    static const struct expectation cases[] = {
        {POD(ONE ", initContainers: [{name: i}, {name: j}]",
             "phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: "
             "j, "
             "state: {running: {}}, restartCount: 1}]"),
         "p | 0/1 | Init:1/2 | 1" TAIL},
        {POD(ONE ", initContainers: [{name: i}]",
             "phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 2}}}]"),
         "p | 0/1 | Init:ExitCode:2 | 0" TAIL},
        {POD(ONE ", initContainers: [{name: i}]", "phase: Pending, initContainerStatuses: [{name: i, state: "
                                                  "{terminated: {exitCode: 2, signal: 7}}}]"),
         "p | 0/1 | Init:Signal:7 | 0" TAIL},
        {POD(ONE ", initContainers: [{name: i}]", "phase: Pending, initContainerStatuses: [{name: i, state: "
                                                  "{terminated: {exitCode: 2, reason: Error}}}]"),
         "p | 0/1 | Init:Error | 0" TAIL},
        {POD(ONE ", initContainers: [{name: i}]", "phase: Pending, initContainerStatuses: [{name: i, state: "
                                                  "{waiting: {reason: ImagePullBackOff}}}]"),
         "p | 0/1 | Init:ImagePullBackOff | 0" TAIL},
        {POD(ONE ", initContainers: [{name: i}]", "phase: Pending, initContainerStatuses: [{name: i, state: "
                                                  "{waiting: {reason: PodInitializing}}}]"),
         "p | 0/1 | Init:0/1 | 0" TAIL},
        /* A sidecar counts among the containers, its restarts too once the Pod is initialized. */
        {POD(ONE ", initContainers: [{name: i}, {name: s, restartPolicy: Always}]",
             "phase: Running, initContainerStatuses: [{name: i, restartCount: 5, state: {terminated: "
             "{exitCode: 0}}}, "
             "{name: s, started: true, ready: true, restartCount: 2, state: {running: {}}, lastState: "
             "{terminated: "
             "{finishedAt: \"2024-01-01T00:08:00Z\"}}}], containerStatuses: [{name: a, restartCount: "
             "1, " RUNNING "}]"),
         "p | 2/2 | Running | 3 (2m ago)" TAIL},
        /* Initialized as the condition says, whatever the containers. */
        {POD(ONE ", initContainers: [{name: i}]",
             "phase: Running, conditions: [{type: Initialized, status: \"True\"}], initContainerStatuses: "
             "[{name: i, "
             "state: {running: {}}, restartCount: 4}], containerStatuses: [{name: a, " RUNNING "}]"),
         "p | 1/1 | Init:0/1 | 0" TAIL},
    };
    check_all(API_POD, cases, ARRAY_LEN(cases));
}

static void test_events(void **state)
{
    static const struct expectation cases[] = {
        {"{metadata: {name: e}, involvedObject: {kind: Pod, name: p, fieldPath: \"spec.x\"}, type: Normal, "
         "reason: Pulled, "
         "message: \"\\n it went well \\n\", source: {component: kubelet, host: n1}, count: 3, "
         "firstTimestamp: \"2024-01-01T00:00:00Z\", lastTimestamp: \"2024-01-01T00:09:00Z\"}",
         "60s | Normal | Pulled | pod/p | spec.x | kubelet, n1 | it went well | 10m | #3 | e"},
        {"{metadata: {name: e}, involvedObject: {kind: Node}, reportingComponent: c, reportingInstance: i, "
         "eventTime: \"2024-01-01T00:05:00.000000Z\"}",
         "5m |  |  | node |  | c, i |  | 5m | #1 | e"},
        {"{metadata: {name: e}, eventTime: \"2024-01-01T00:05:00.000000Z\", series: {count: 7, "
         "lastObservedTime: "
         "\"2024-01-01T00:09:59.000000Z\"}}",
         "1s |  |  |  |  |  |  | 5m | #7 | e"},
        {"{metadata: {name: e}}", "<unknown> |  |  |  |  |  |  | <unknown> | #1 | e"},
    };
    check_all(API_EVENT, cases, ARRAY_LEN(cases));
}

static void test_plain_kinds(void **state)
{
    check_cells(API_NAMESPACE, "{metadata: {name: a, " AGED "}, status: {phase: Active}}",
                "a | Active | 10m");
    check_cells(API_CONFIG_MAP, "{metadata: {name: a}, data: {x: v, z: w}, binaryData: {b: eA==}}",
                "a | #3 | <unknown>");
    check_cells(API_LEASE, "{metadata: {name: a}, spec: {holderIdentity: me}}", "a | me | <unknown>");
    check_cells(API_LEASE, "{metadata: {name: a}}", "a |  | <unknown>");
    check_cells(API_SERVICE_CIDR, "{metadata: {name: a}, spec: {cidrs: [10.0.0.0/8, \"fd00::/64\"]}}",
                "a | 10.0.0.0/8,fd00::/64 | <unknown>");
}

static void test_conditions(void **state)
{
    struct arena arena = {0};
    json_t *conditions = table_conditions(API_POD, decode(API_POD, "{status: {phase: Failed}}", &arena));
    const json_t *first = json_array_get(conditions, 0);
    assert_string_equal(json_string_value(json_object_get(first, "type")), "Completed");
    assert_string_equal(json_string_value(json_object_get(first, "reason")), "Failed");
    json_decref(conditions);
    assert_null(table_conditions(API_POD, decode(API_POD, "{status: {phase: Running}}", &arena)));
    assert_null(table_conditions(API_NAMESPACE, decode(API_NAMESPACE, "{status: {phase: Failed}}", &arena)));
    arena_done(&arena);
}

static void test_definitions(void **state)
{
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        size_t count;
        table_columns((enum api_kind)kind, &count);
        json_t *definitions = table_column_definitions((enum api_kind)kind);
        assert_int_equal(json_array_size(definitions), count);
        bool has_name = false;
        for (size_t i = 0; i < count; i++)
            has_name |= strcmp(json_string_value(json_object_get(json_array_get(definitions, i), "format")),
                               "name") == 0;
        assert_true(has_name);
        json_decref(definitions);
    }
    json_t *definitions = table_column_definitions(API_SERVICE);
    json_t *expected =
        json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", "Selector", "type", "string", "format", "",
                  "description", "The labels of the Pods behind the Service.", "priority", 1);
    assert_true(json_equal(json_array_get(definitions, 6), expected));
    json_decref(expected);
    json_decref(definitions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age),        cmocka_unit_test(test_services),
        cmocka_unit_test(test_endpoints),  cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_pods),       cmocka_unit_test(test_init_containers),
        cmocka_unit_test(test_events),     cmocka_unit_test(test_plain_kinds),
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
