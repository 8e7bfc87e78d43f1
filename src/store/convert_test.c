/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/convert.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "store/test_objects.h"

#define FULL_SERVICE                                                                                         \
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop, annotations: "                    \
    "{service.kubernetes.io/topology-mode: Auto}}\n"                                                         \
    "spec:\n"                                                                                                \
    "  type: LoadBalancer\n"                                                                                 \
    "  clusterIP: 10.96.0.1\n"                                                                               \
    "  clusterIPs: [10.96.0.1, 'fd00:96::1']\n"                                                              \
    "  ipFamilies: [IPv4, IPv6]\n"                                                                           \
    "  ipFamilyPolicy: RequireDualStack\n"                                                                   \
    "  externalIPs: [198.51.100.9, '2001:db8::9']\n"                                                         \
    "  externalTrafficPolicy: Local\n"                                                                       \
    "  internalTrafficPolicy: Local\n"                                                                       \
    "  healthCheckNodePort: 30100\n"                                                                         \
    "  sessionAffinity: ClientIP\n"                                                                          \
    "  sessionAffinityConfig: {clientIP: {timeoutSeconds: 77}}\n"                                            \
    "  loadBalancerSourceRanges: [' 203.0.113.0/24 ', '2001:db8::/32']\n"                                    \
    "  ports:\n"                                                                                             \
    "  - {name: http, port: 80, targetPort: web, nodePort: 30080}\n"                                         \
    "  - {name: dns, port: 53, protocol: UDP, targetPort: 5353}\n"                                           \
    "  - {name: sig, port: 99, protocol: SCTP}\n"                                                            \
    "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {ip: 192.0.2.2, ipMode: Proxy}, {hostname: "         \
    "a.test}, "                                                                                              \
    "{ip: '2001:db8::1', ipMode: VIP}]}}\n---\n"

static void a_full_service_is_taken_over(void **state)
{
    struct store *store = test_store(FULL_SERVICE);
    const struct service *service = store_service_find(store, "shop", "web")->service;
    char text[PREFIX_TEXT_MAX];
    assert_int_equal(service->type, SERVICE_LOAD_BALANCER);
    assert_true(service->is_proxied && service->external_local && service->internal_local);
    assert_null(service->not_proxied_because);
    assert_string_equal(service->distribution, "Auto");
    assert_int_equal(service->affinity_seconds, 77);
    assert_int_equal(service->health_check_node_port, 30100);
    assert_int_equal(service->port_count, 3);
    assert_string_equal(service->ports[0].name, "http");
    assert_string_equal(service->ports[0].target_port, "web");
    assert_int_equal(service->ports[0].node_port, 30080);
    assert_int_equal(service->ports[0].protocol, PROTOCOL_TCP);
    assert_string_equal(service->ports[1].target_port, "5353");
    assert_int_equal(service->ports[1].protocol, PROTOCOL_UDP);
    assert_string_equal(service->ports[2].target_port, "99");
    assert_int_equal(service->ports[2].protocol, PROTOCOL_SCTP);
    assert_int_equal(service->cluster_ip_count, 2);
    assert_int_equal(address_family(&service->cluster_ips[1]), FAMILY_IPV6);
    assert_int_equal(service->external_ip_count, 2);
    assert_int_equal(service->vip_count, 2); /* not the one of ipMode Proxy, not the host name */
    assert_string_equal(address_format(&service->vips[0], text), "192.0.2.1");
    assert_string_equal(address_format(&service->vips[1], text), "2001:db8::1");
    assert_int_equal(service->source_range_count, 2);
    assert_string_equal(prefix_format(&service->source_ranges[0], text), "203.0.113.0/24");
    store_free(store);
}

static void who_is_proxied(void **state)
{
    static const struct {
        const char *labels, *spec, *because; /* NULL: it is proxied */
    } cases[] = {
        {"", "clusterIP: 10.96.0.1, ports: [{port: 80}]", NULL},
        {"", "clusterIP: 'fd00::1', ports: [{port: 80}]", NULL},
        {"", "clusterIP: None", "headless"},
        {"", "type: ExternalName, externalName: a.test", "ExternalName"},
        {"service.kubernetes.io/service-proxy-name: other", "clusterIP: 10.96.0.1, ports: [{port: 80}]",
         "another proxy"},
        {"service.kubernetes.io/service-proxy-name: ''", "clusterIP: 10.96.0.1, ports: [{port: 80}]",
         "another proxy"},
        /* A headless service's own label is for its slices, not for the Service (A1). */
        {"service.kubernetes.io/headless: ''", "clusterIP: 10.96.0.1, ports: [{port: 80}]", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text yaml = {0};
        text_printf(&yaml, "apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {%s}}\nspec: {%s}\n",
                    cases[i].labels, cases[i].spec);
        struct store *store = test_store(yaml.data);
        const struct service *service = test_record(store, "web")->service;
        assert_int_equal(service->is_proxied, cases[i].because == NULL);
        if (cases[i].because && !strstr(service->not_proxied_because, cases[i].because))
            fail_msg("\"%s\" does not speak of %s", service->not_proxied_because, cases[i].because);
        text_done(&yaml);
        store_free(store);
    }
}

static void defaults_of_a_bare_service(void **state)
{
    struct store *store =
        test_store(TEST_SERVICE("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]")
                       TEST_SERVICE("sticky", "clusterIP: 10.96.0.2, sessionAffinity: ClientIP, "
                                              "ports: [{port: 80}]"));
    const struct service *service = test_record(store, "web")->service;
    assert_int_equal(service->type, SERVICE_CLUSTER_IP);
    assert_false(service->external_local || service->internal_local);
    assert_int_equal(service->affinity_seconds, 0);
    assert_string_equal(service->distribution, "");
    assert_string_equal(service->ports[0].name, "");
    assert_string_equal(service->ports[0].target_port, "80");
    assert_int_equal(service->vip_count + service->external_ip_count + service->source_range_count, 0);
    assert_int_equal(service->topology_key_count, 0);
    assert_int_equal(test_record(store, "sticky")->service->affinity_seconds, 10800);
    store_free(store);
}

static void topology_keys_keep_their_order(void **state)
{
    static const char *const expected[] = {"topology.kubernetes.io/zone", "kubernetes.io/hostname", "*"};
    struct store *store = test_store(
        TEST_SERVICE("web", "clusterIP: 10.96.0.1, ports: [{name: a, port: 80}, {name: b, port: 81}], "
                            "topologyKeys: [topology.kubernetes.io/zone, kubernetes.io/hostname, '*']"));
    const struct service *service = test_record(store, "web")->service;
    assert_int_equal(service->topology_key_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(service->topology_keys[i], expected[i]);
    assert_string_equal(service->ports[1].name, "b"); /* what lies behind them in the block */
    store_free(store);
}

static void pods_names_are_cut_where_they_part(void **state)
{
    static const char *const behind[] = {"1", "10", NULL, "2"};
    struct store *store =
        test_store("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s1, labels: "
                   "{kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{port: 80}]\nendpoints:\n"
                   "- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: web-1}}\n"
                   "- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: web-10}}\n"
                   "- {addresses: [10.0.0.3]}\n"
                   "- {addresses: [10.0.0.4], targetRef: {kind: Pod, name: web-2}}\n");
    const struct slice *slice = test_record(store, "web")->slices[0];
    assert_string_equal(slice->strings + slice->target_prefix, "web-");
    for (size_t i = 0; i < ARRAY_LEN(behind); i++)
        if (behind[i])
            assert_string_equal(slice->strings + slice->endpoints[i].target, behind[i]);
        else
            assert_int_equal(slice->endpoints[i].target, 0);
    store_free(store);
}

static void a_full_slice_is_taken_over(void **state)
{
    struct store *store = test_store(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s1, labels: "
        "{kubernetes.io/service-name: web}, annotations: {endpoints.kubernetes.io/last-change-trigger-time: "
        "'2024-01-02T03:04:05.5Z'}}\naddressType: IPv4\n"
        "ports: [{name: http, port: 8080}, {name: all}, {name: dns, port: 53, protocol: UDP}]\n"
        "endpoints:\n"
        "- {addresses: [10.0.0.1], nodeName: n1, zone: a, targetRef: {kind: Pod, name: pod-1}, hints: "
        "{forZones: "
        "[{name: a}, {name: b}], forNodes: [{name: n1}]}}\n"
        "- {addresses: [10.0.0.2, 10.0.0.3], nodeName: n2, zone: a, conditions: {ready: false, serving: "
        "true, "
        "terminating: true}}\n");
    const struct slice *slice = test_record(store, "web")->slices[0];
    const struct intern *names = store->names;
    assert_int_equal(slice->trigger_time_ns, 1704164645500000000u);
    assert_int_equal(slice->port_count, 2); /* a port without number is none */
    assert_string_equal(slice->ports[0].name, "http");
    assert_int_equal(slice->ports[1].port, 53);
    assert_int_equal(slice->ports[1].protocol, PROTOCOL_UDP);
    assert_int_equal(slice->endpoint_count, 2);
    const struct endpoint *one = &slice->endpoints[0], *two = &slice->endpoints[1];
    assert_int_equal(one->flags, ENDPOINT_READY | ENDPOINT_SERVING);
    assert_int_equal(two->flags, ENDPOINT_SERVING | ENDPOINT_TERMINATING);
    assert_string_equal(intern_text(names, one->node), "n1");
    assert_int_equal(one->zone, two->zone);
    assert_string_equal(slice->strings + slice->target_prefix, "pod-1");
    assert_int_not_equal(one->target, 0);
    assert_string_equal(slice->strings + one->target, "");
    assert_int_equal(two->target, 0);
    assert_int_equal(slice_list_count(slice, slice_hints(slice, one).zones), 2);
    assert_true(slice_list_has(slice, slice_hints(slice, one).zones, intern_find(names, "b")));
    assert_false(slice_list_has(slice, slice_hints(slice, one).zones, intern_find(names, "n1")));
    assert_true(slice_list_has(slice, slice_hints(slice, one).nodes, intern_find(names, "n1")));
    assert_int_equal(slice_list_count(slice, slice_hints(slice, two).zones), 0);
    assert_false(slice_list_has(slice, slice_hints(slice, two).zones, 0));
    store_free(store);
}

/* discovery/v1: what is not set counts as true, true, false. */
static void conditions_have_defaults(void **state)
{
    static const struct {
        const char *conditions;
        unsigned flags;
    } cases[] = {
        {"", ENDPOINT_READY | ENDPOINT_SERVING},
        {"ready: true", ENDPOINT_READY | ENDPOINT_SERVING},
        {"ready: false", ENDPOINT_SERVING},
        {"ready: false, serving: false", 0},
        {"terminating: true", ENDPOINT_READY | ENDPOINT_SERVING | ENDPOINT_TERMINATING},
        {"ready: false, terminating: true", ENDPOINT_SERVING | ENDPOINT_TERMINATING},
        {"ready: false, serving: false, terminating: true", ENDPOINT_TERMINATING},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text yaml = {0};
        text_printf(&yaml, TEST_SLICE("s1", "web", "IPv4", "", "{addresses: [10.0.0.1], conditions: {%s}}"),
                    cases[i].conditions);
        struct store *store = test_store(yaml.data);
        if (test_record(store, "web")->slices[0]->endpoints[0].flags != cases[i].flags)
            fail_msg("{%s}: flags %u", cases[i].conditions,
                     test_record(store, "web")->slices[0]->endpoints[0].flags);
        text_done(&yaml);
        store_free(store);
    }
}

static void a_node_says_where_it_is_and_whether_it_stays(void **state)
{
    struct store *store = test_store(
        TEST_NODE(
            "n1", "topology.kubernetes.io/zone: a", "podCIDRs: [10.0.1.0/24, 'fd00:1::/64']",
            "{type: ExternalIP, address: 203.0.113.1}, {type: Hostname, address: n1}, {type: InternalIP, "
            "address: 192.0.2.1}, {type: InternalIP, address: '2001:db8::1'}")
            TEST_NODE("n2", "failure-domain.beta.kubernetes.io/zone: b", "podCIDR: 10.0.2.0/24", "")
                TEST_NODE("n3", "", "taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", "")
                    TEST_NODE("n4", "", "taints: [{key: other, effect: NoSchedule}]",
                              "") "apiVersion: v1\nkind: Node\nmetadata: {name: n5, deletionTimestamp: "
                                  "'2024-01-02T03:04:05Z'}\n");
    const struct node *n1 = store_node_find(store, "n1"), *n2 = store_node_find(store, "n2");
    char text[PREFIX_TEXT_MAX];
    assert_string_equal(intern_text(store->names, n1->zone), "a");
    assert_string_equal(intern_text(store->names, n2->zone), "b");
    assert_int_equal(n1->address_count, 3); /* InternalIP goes first */
    assert_string_equal(address_format(&n1->addresses[0], text), "192.0.2.1");
    assert_string_equal(address_format(&n1->addresses[1], text), "2001:db8::1");
    assert_string_equal(address_format(&n1->addresses[2], text), "203.0.113.1");
    assert_int_equal(n1->pod_cidr_count, 2);
    assert_string_equal(node_label(n1, "topology.kubernetes.io/zone"), "a");
    assert_null(node_label(store_node_find(store, "n3"), "topology.kubernetes.io/zone"));
    assert_string_equal(prefix_format(&n2->pod_cidrs[0], text), "10.0.2.0/24");
    assert_false(n1->is_leaving || store_node_find(store, "n4")->is_leaving);
    assert_true(store_node_find(store, "n3")->is_leaving);
    assert_true(store_node_find(store, "n5")->is_leaving);
    assert_int_equal(store_node_find(store, "n3")->zone, 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_service_is_taken_over),
        cmocka_unit_test(who_is_proxied),
        cmocka_unit_test(defaults_of_a_bare_service),
        cmocka_unit_test(topology_keys_keep_their_order),
        cmocka_unit_test(pods_names_are_cut_where_they_part),
        cmocka_unit_test(a_full_slice_is_taken_over),
        cmocka_unit_test(conditions_have_defaults),
        cmocka_unit_test(a_node_says_where_it_is_and_whether_it_stays),
    };
    return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
