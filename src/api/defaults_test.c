/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/test_writes.h"
#include "base/cleanup.h"

static void check(enum api_kind kind, const char *yaml, const char *expected)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *message = test_object(kind, yaml, &arena);
    assert_string_equal(test_json(kind, message, &arena), expected);
    /* Once is as good as twice. */
    defaults_request(kind, message, &arena);
    assert_string_equal(test_json(kind, message, &arena), expected);
    arena_done(&arena);
}

#define POD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{"
#define CONTAINER                                                                                            \
    "\"terminationMessagePath\":\"/dev/termination-log\",\"imagePullPolicy\":\"IfNotPresent\","              \
    "\"terminationMessagePolicy\":\"File\""
#define REST                                                                                                 \
    "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\","      \
    "\"securityContext\":{},\"schedulerName\":\"default-scheduler\",\"enableServiceLinks\":true"

static void test_pods(void **state)
{
    check(API_POD, "{metadata: {name: p}, spec: {containers: [{name: c, image: i:1}]}}",
          POD "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{}," CONTAINER "}]," REST
              "},\"status\":{}}");
    check(
        API_POD,
        "{metadata: {name: p}, spec: {hostNetwork: true, terminationGracePeriodSeconds: -1, serviceAccount: "
        "s, containers: [{name: c, image: i:1, ports: [{containerPort: 80}], resources: {limits: {cpu: 1, "
        "memory: 1Gi}, requests: {cpu: 500m}}, livenessProbe: {httpGet: {port: 80}}, readinessProbe: {grpc: "
        "{port: 1}, periodSeconds: 5}}]}}",
        POD
        "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"ports\":[{\"hostPort\":80,\"containerPort\":80,"
        "\"protocol\":\"TCP\"}],\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\""
        "cpu\":\"500m\",\"memory\":\"1Gi\"}},\"livenessProbe\":{\"timeoutSeconds\":1,\"periodSeconds\":10,\"s"
        "uccessThreshold\":1,\"failureThreshold\":3,\"httpGet\":{\"path\":\"/\",\"port\":80,\"scheme\":\"HTTP"
        "\"}},\"readinessProbe\":{\"timeoutSeconds\":1,\"periodSeconds\":5,\"successThreshold\":1,"
        "\"failureThreshold\":3,\"grpc\":{\"port\":1,\"service\":\"\"}}," CONTAINER
        "}],\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":1,\"dnsPolicy\":\"ClusterFirst\","
        "\"serviceAccountName\":\"s\",\"serviceAccount\":\"s\",\"hostNetwork\":true,\"securityContext\":{},\""
        "schedulerName\":\"default-scheduler\",\"enableServiceLinks\":true},\"status\":{}}");
    check(API_POD,
          "{metadata: {name: p}, spec: {containers: null, volumes: [{name: a}, {name: b, hostPath: {path: "
          "/}}, {name: c, secret: {secretName: s}}, {name: d, projected: {sources: [{serviceAccountToken: "
          "{path: t}}]}}, {name: e, configMap: {name: m, defaultMode: 256}}]}}",
          POD "\"volumes\":[{\"name\":\"a\",\"emptyDir\":{}},{\"name\":\"b\",\"hostPath\":{\"path\":\"/"
              "\",\"type\":\"\"}},{\"name\":\"c\",\"secret\":{\"secretName\":\"s\",\"defaultMode\":420}},{\"n"
              "ame\":\"d\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3600,"
              "\"path\":\"t\"}}],\"defaultMode\":420}},{"
              "\"name\":\"e\",\"configMap\":{\"defaultMode\":256,\"name\":\"m\"}}],\"containers\":null," REST
              "},\"status\":{}}");
}

static void test_pull_policies(void **state)
{
    static const struct {
        const char *image, *policy;
    } cases[] = {
        {"nginx", "Always"},
        {"nginx:latest", "Always"},
        {"nginx:1.25", "IfNotPresent"},
        {"registry:5000/nginx", "Always"},
        {"registry:5000/nginx:1", "IfNotPresent"},
        {"Registry.Example/nginx", "Always"},
        {"Nginx", "IfNotPresent"},
        {"nginx ", "IfNotPresent"},
        {"", "IfNotPresent"},
        {"nginx@sha256:0123456789012345678901234567890123456789012345678901234567890123", "IfNotPresent"},
        {"nginx:latest@sha256:0123456789012345678901234567890123456789012345678901234567890123", "Always"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text yaml = {0};
        arena_init(&arena);
        text_printf(&yaml, "{metadata: {name: p}, spec: {containers: [{name: c, image: '%s'}]}}",
                    cases[i].image);
        const Core__Pod *pod = (const Core__Pod *)test_object(API_POD, text_str(&yaml), &arena);
        assert_string_equal(pod->spec->containers[0]->imagepullpolicy, cases[i].policy);
        text_done(&yaml);
        arena_done(&arena);
    }
}

/* A request's Service gets its families and addresses elsewhere; a manifest's gets them here. */
static void test_services(void **state)
{
    static const char yaml[] =
        "{metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 'fd00::1', ports: [{port: 80, "
        "targetPort: ''}], sessionAffinity: ClientIP}}";
    struct arena arena;
    check(API_SERVICE, yaml,
          "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\""
          "protocol\":\"TCP\",\"port\":80,\"targetPort\":80}],\"clusterIP\":\"fd00::1\",\"type\":\"LoadBalanc"
          "er\",\"sessionAffinity\":\"ClientIP\",\"externalTrafficPolicy\":\"Cluster\",\"sessionAffinityConfi"
          "g\":{\"clientIP\":{\"timeoutSeconds\":10800}},\"allocateLoadBalancerNodePorts\":true,\"internalTra"
          "fficPolicy\":\"Cluster\"},\"status\":{\"loadBalancer\":{}}}");
    arena_init(&arena);
    Core__Service *service = (Core__Service *)test_object(API_SERVICE, yaml, &arena);
    defaults_apply(API_SERVICE, &service->base, &arena);
    assert_string_equal(service->metadata->namespace_, "default");
    assert_string_equal(service->spec->clusterips[0], "fd00::1");
    assert_string_equal(service->spec->ipfamilies[0], "IPv6");
    assert_string_equal(service->spec->ipfamilypolicy, "SingleStack");
    arena_done(&arena);
}

static void test_others(void **state)
{
    check(API_NAMESPACE, "{metadata: {name: a}}",
          "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"labels\":{"
          "\"kubernetes.io/metadata.name\":\"a\"}},\"spec\":{},\"status\":{\"phase\":\"Active\"}}");
    check(API_LEASE, "{}",
          "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{},\"spec\":{}}");
    struct arena arena;
    arena_init(&arena);
    Core__Node *node = (Core__Node *)test_object(
        API_NODE, "{spec: {podCIDRs: [10.0.0.0/24, 'fd00::/64']}, status: {capacity: {cpu: 4}}}", &arena);
    assert_string_equal(node->spec->podcidr, "10.0.0.0/24");
    assert_int_equal(node->status->n_allocatable, 1);
    node = (Core__Node *)test_object(
        API_NODE, "{spec: {podCIDR: 10.0.1.0/24, podCIDRs: [10.0.0.0/24, 'fd00::/64']}}", &arena);
    assert_int_equal(node->spec->n_podcidrs, 1);
    assert_string_equal(node->spec->podcidrs[0], "10.0.1.0/24");
    arena_done(&arena);
    check(API_CONFIG_MAP, "{data: {a: b}}",
          "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{},\"data\":{\"a\":\"b\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pods),
        cmocka_unit_test(test_pull_policies),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
