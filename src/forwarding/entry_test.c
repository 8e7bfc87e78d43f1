/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/slab.h"
#include "forwarding/entry.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "store/test_objects.h"

#include <stdlib.h>

/* The decision table of service networking (kube-proxy's, for every mode): destination by policy by
 * endpoints. The node is "here"; endpoint 10.0.0.1 is on it, 10.0.0.2 is not. */

#define PORTS "ports: [{port: 80}]"
#define NODE_PORTS "ports: [{port: 80, nodePort: 30080}]"
#define CLUSTER "clusterIP: 10.96.0.1, " PORTS
#define NODE_PORT "type: NodePort, clusterIP: 10.96.0.1, " NODE_PORTS
#define EXTERNAL "clusterIP: 10.96.0.1, externalIPs: [198.51.100.9], " PORTS
#define BALANCED "type: LoadBalancer, clusterIP: 10.96.0.1, " PORTS
#define ETP_LOCAL ", externalTrafficPolicy: Local"
#define ITP_LOCAL ", internalTrafficPolicy: Local"
#define HERE "{addresses: [10.0.0.1], nodeName: here},"
#define THERE "{addresses: [10.0.0.2], nodeName: there},"
#define UNREADY "{addresses: [10.0.0.3], nodeName: here, conditions: {ready: false}},"
#define SLICE(endpoints) TEST_SLICE("s1", "web", "IPv4", "{port: 8080}", endpoints)
#define WITH_VIPS(spec, ingress)                                                                             \
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {" spec                                     \
    "}\nstatus: {loadBalancer: {ingress: [" ingress "]}}\n---\n"
#define VIP "{ip: 203.0.113.9}"

static void format_set(const struct backend_set *set, struct text *ret)
{
    char socket_text[SOCKET_ADDRESS_TEXT_MAX];
    text_add(ret, " [");
    for (uint32_t i = 0; i < set->count; i++) {
        const struct socket_address socket = {set->list[i].address, set->list[i].port};
        text_printf(ret, "%s%s", i ? " " : "", socket_address_format(&socket, socket_text));
    }
    text_add(ret, "]");
}

static void format_frontend(const struct frontend *frontend, struct text *ret)
{
    static const char *const verdicts[] = {"forward", "reject", "drop"};
    static const char *const masquerades[] = {"keep", "masquerade", "off-cluster", "own"};
    const struct socket_address socket = {frontend->address, frontend->port};
    char socket_text[SOCKET_ADDRESS_TEXT_MAX];
    if (frontend->kind == FRONTEND_NODE_PORT)
        text_printf(ret, "%s :%u", frontend->family == FAMILY_IPV4 ? "node4" : "node6", frontend->port);
    else
        text_printf(ret, "%s %s",
                    frontend->kind == FRONTEND_CLUSTER_IP    ? "cluster"
                    : frontend->kind == FRONTEND_EXTERNAL_IP ? "external"
                                                             : "vip",
                    socket_address_format(&socket, socket_text));
    text_printf(ret, "/%s %s %s", protocol_name(frontend->protocol), verdicts[frontend->verdict],
                masquerades[frontend->masquerade]);
    if (frontend->is_source_ranged)
        text_add(ret, " ranged");
    if (frontend->affinity_seconds)
        text_printf(ret, " affine %u", frontend->affinity_seconds);
    format_set(frontend->backends, ret);
    if (frontend->short_circuits) {
        text_add(ret, " inside");
        format_set(frontend->shortcut, ret);
    }
    if (frontend->is_topology_unserved)
        text_add(ret, " keyed");
    text_add(ret, "\n");
}

static void format(const struct entry *entry, struct text *ret)
{
    char prefix[PREFIX_TEXT_MAX];
    if (!entry) {
        text_add(ret, "none\n");
        return;
    }
    for (uint32_t i = 0; i < entry->frontend_count; i++)
        format_frontend(&entry->frontends[i], ret);
    for (uint32_t i = 0; i < entry->source_range_count; i++)
        text_printf(ret, "%s%s%s", i ? " " : "from ", prefix_format(&entry->source_ranges[i], prefix),
                    i + 1 == entry->source_range_count ? "\n" : "");
}

static struct entry *build(const struct store *store, const struct node_view *node)
{
    struct arena scratch;
    arena_init(&scratch);
    const struct service_record *record = test_record(store, "web");
    struct entry *entry = entry_build(record->service, record->slices, record->slice_count, node, &scratch);
    arena_done(&scratch); /* what the entry borrowed from it, the sanitizer will see */
    return entry;
}

static struct node_view view(struct store *store)
{
    return (struct node_view){
        .name = intern_id(store->names, "here"), .store = store, .has_family = {true, true}};
}

struct building {
    const char *label, *yaml, *expected;
};

static void check(const struct building *cases, size_t count, const struct node_view *changes)
{
    for (size_t i = 0; i < count; i++) {
        struct store *store = test_store(cases[i].yaml);
        struct node_view node = changes ? *changes : view(store);
        struct text got = {0};
        node.name = intern_id(store->names, "here");
        cleanup_slab struct entry *entry = build(store, &node);
        format(entry, &got);
        if (strcmp(got.data, cases[i].expected) != 0)
            fail_msg("%s\nexpected\n%sgot\n%s", cases[i].label, cases[i].expected, got.data);
        text_done(&got);
        store_free(store);
    }
}

#define CHECK(cases) check(cases, ARRAY_LEN(cases), NULL)
#define WEB(spec, endpoints) TEST_SERVICE("web", spec) SLICE(endpoints)

static void the_cluster_ip_follows_the_internal_policy(void **state)
{
    static const struct building cases[] = {
        {"no endpoint: reject", WEB(CLUSTER, ""), "cluster 10.96.0.1:80/TCP reject keep []\n"},
        {"no ready endpoint: reject", WEB(CLUSTER, UNREADY), "cluster 10.96.0.1:80/TCP reject keep []\n"},
        {"everybody", WEB(CLUSTER, HERE THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080 10.0.0.2:8080]\n"},
        {"Local: those here", WEB(CLUSTER ITP_LOCAL, HERE THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"},
        {"Local and nobody here: drop", WEB(CLUSTER ITP_LOCAL, THERE),
         "cluster 10.96.0.1:80/TCP drop keep []\n"},
        {"Local and nobody anywhere: reject", WEB(CLUSTER ITP_LOCAL, UNREADY),
         "cluster 10.96.0.1:80/TCP reject keep []\n"},
        {"eTP Local does not touch it", WEB(NODE_PORT ETP_LOCAL, THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.2:8080]\n"
         "node4 :30080/TCP forward own [] inside [10.0.0.2:8080]\n"},
    };
    CHECK(cases);
}

static void topology_keys_that_lead_to_nobody_reject(void **state)
{
#define KEYED ", topologyKeys: [kubernetes.io/hostname]"
#define SELF TEST_NODE("here", "kubernetes.io/hostname: here", "", "")
    static const struct building cases[] = {
        {"those that match", WEB(NODE_PORT KEYED, HERE THERE) SELF,
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward masquerade [10.0.0.1:8080]\n"},
        {"nobody matches: reject everywhere", WEB(NODE_PORT KEYED, THERE) SELF,
         "cluster 10.96.0.1:80/TCP reject keep [] keyed\nnode4 :30080/TCP reject masquerade [] keyed\n"},
        {"nobody anywhere: reject for that", WEB(NODE_PORT KEYED, UNREADY) SELF,
         "cluster 10.96.0.1:80/TCP reject keep []\nnode4 :30080/TCP reject masquerade []\n"},
        {"the policy Local drops as ever", WEB(NODE_PORT KEYED ITP_LOCAL, THERE) SELF,
         "cluster 10.96.0.1:80/TCP drop keep []\nnode4 :30080/TCP reject masquerade [] keyed\n"},
    };
    CHECK(cases);
}

static void external_frontends_follow_the_external_policy(void **state)
{
    static const struct building cases[] = {
        {"node port", WEB(NODE_PORT, HERE THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080 10.0.0.2:8080]\n"
         "node4 :30080/TCP forward masquerade [10.0.0.1:8080 10.0.0.2:8080]\n"},
        {"node port without endpoints", WEB(NODE_PORT, ""),
         "cluster 10.96.0.1:80/TCP reject keep []\nnode4 :30080/TCP reject masquerade []\n"},
        {"external IP", WEB(EXTERNAL, HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "external 198.51.100.9:80/TCP forward masquerade [10.0.0.1:8080]\n"},
        {"external IP, eTP Local", WEB(EXTERNAL ETP_LOCAL, HERE THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080 10.0.0.2:8080]\n"
         "external 198.51.100.9:80/TCP forward own [10.0.0.1:8080] inside [10.0.0.1:8080 10.0.0.2:8080]\n"},
        {"VIP", WITH_VIPS(BALANCED, VIP) SLICE(HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "vip 203.0.113.9:80/TCP forward masquerade [10.0.0.1:8080]\n"},
        {"VIP, eTP Local, nobody here: pods still get through",
         WITH_VIPS(BALANCED ETP_LOCAL, VIP) SLICE(THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.2:8080]\n"
         "vip 203.0.113.9:80/TCP forward own [] inside [10.0.0.2:8080]\n"},
        {"VIP, eTP Local, nobody anywhere: reject", WITH_VIPS(BALANCED ETP_LOCAL, VIP) SLICE(UNREADY),
         "cluster 10.96.0.1:80/TCP reject keep []\nvip 203.0.113.9:80/TCP reject own [] inside []\n"},
        {"iTP Local leaves the external ones the whole cluster", WEB(NODE_PORT ITP_LOCAL, THERE),
         "cluster 10.96.0.1:80/TCP drop keep []\n"
         "node4 :30080/TCP forward masquerade [10.0.0.2:8080]\n"},
        {"both Local", WEB(NODE_PORT ETP_LOCAL ITP_LOCAL, HERE THERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward own [10.0.0.1:8080] inside [10.0.0.1:8080 10.0.0.2:8080]\n"},
        {"ipMode Proxy is not ours, VIP is",
         WITH_VIPS(BALANCED, "{ip: 203.0.113.9, ipMode: Proxy}, {ip: "
                             "203.0.113.8, ipMode: VIP}, {hostname: lb.test}") SLICE(HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "vip 203.0.113.8:80/TCP forward masquerade [10.0.0.1:8080]\n"},
    };
    CHECK(cases);
}

/* One address may stand in several places of one Service. The stricter meaning wins: the cluster IP is
 * internal, and the VIP's source ranges hold whatever else names the address (kube-proxy filters by
 * destination, whoever listed it). */
static void an_address_named_twice_is_one_frontend(void **state)
{
#define SAME(ips, ranges)                                                                                    \
    "type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [" ips "], loadBalancerSourceRanges: [" ranges   \
    "], " PORTS
    static const struct building cases[] = {
        {"external IP and VIP", WITH_VIPS(SAME("203.0.113.9", "192.0.2.0/24"), VIP) SLICE(HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "vip 203.0.113.9:80/TCP forward masquerade ranged [10.0.0.1:8080]\nfrom 192.0.2.0/24\n"},
        {"external IP and cluster IP", WEB("clusterIP: 10.96.0.1, externalIPs: [10.96.0.1], " PORTS, HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"},
        {"the same external IP again",
         WEB("clusterIP: 10.96.0.1, externalIPs: [192.0.2.1, 192.0.2.1], " PORTS, HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "external 192.0.2.1:80/TCP forward masquerade [10.0.0.1:8080]\n"},
    };
    CHECK(cases);
}

static void services_that_are_not_proxied_have_no_entry(void **state)
{
    static const struct building cases[] = {
        {"headless", TEST_SERVICE("web", "clusterIP: None, " PORTS), "none\n"},
        {"ExternalName", TEST_SERVICE("web", "type: ExternalName, externalName: a.test"), "none\n"},
        {"another proxy's",
         "apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: "
         "{service.kubernetes.io/service-proxy-name: "
         "x}}\nspec: {" CLUSTER "}\n",
         "none\n"},
        {"another proxy's, by a label without a value",
         "apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: "
         "{service.kubernetes.io/service-proxy-name: "
         "''}}\nspec: {" CLUSTER "}\n",
         "none\n"},
    };
    CHECK(cases);
}

static void families_stay_apart(void **state)
{
#define DUAL                                                                                                 \
    "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00:96::1'], ipFamilies: [IPv4, IPv6], "                \
    "ipFamilyPolicy: "                                                                                       \
    "RequireDualStack, "
#define SIX TEST_SLICE("s6", "web", "IPv6", "{port: 8080}", "{addresses: ['fd00::1'], nodeName: here}")
    static const struct building cases[] = {
        {"dual stack", WEB(DUAL PORTS, HERE) SIX,
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "cluster [fd00:96::1]:80/TCP forward keep [[fd00::1]:8080]\n"},
        {"one family without endpoints", WEB("type: NodePort, " DUAL NODE_PORTS, HERE),
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward masquerade [10.0.0.1:8080]\n"
         "cluster [fd00:96::1]:80/TCP reject keep []\nnode6 :30080/TCP reject masquerade []\n"},
        {"single stack: nothing of the other family, external IPs neither",
         WEB("type: NodePort, clusterIP: 10.96.0.1, externalIPs: ['2001:db8::9'], " NODE_PORTS, HERE) SIX,
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward masquerade [10.0.0.1:8080]\n"},
        {"eTP Local, externally reachable in one family alone",
         WEB(DUAL "externalIPs: [198.51.100.9], " PORTS ETP_LOCAL, THERE) SIX,
         "cluster 10.96.0.1:80/TCP forward keep [10.0.0.2:8080]\n"
         "external 198.51.100.9:80/TCP forward own [] inside [10.0.0.2:8080]\n"
         "cluster [fd00:96::1]:80/TCP forward keep [[fd00::1]:8080]\n"},
    };
    CHECK(cases);
}

static void ports_and_protocols_stay_apart(void **state)
{
    static const struct building cases[] = {
        {"one number, three protocols",
         TEST_SERVICE("web",
                      "clusterIP: 10.96.0.1, ports: [{name: t, port: 53}, {name: u, port: 53, protocol: "
                      "UDP}, {name: s, port: 53, protocol: SCTP}]")
             TEST_SLICE(
                 "s1", "web", "IPv4",
                 "{name: t, port: 53}, {name: u, port: 5353, protocol: UDP}, {name: s, port: 54, protocol: "
                 "SCTP}",
                 HERE),
         "cluster 10.96.0.1:53/TCP forward keep [10.0.0.1:53]\n"
         "cluster 10.96.0.1:53/UDP forward keep [10.0.0.1:5353]\n"
         "cluster 10.96.0.1:53/SCTP forward keep [10.0.0.1:54]\n"},
        {"affinity with its default time", WEB("sessionAffinity: ClientIP, " CLUSTER, HERE),
         "cluster 10.96.0.1:80/TCP forward keep affine 10800 [10.0.0.1:8080]\n"},
        {"affinity for as long as told",
         WEB("sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, " NODE_PORT,
             HERE),
         "cluster 10.96.0.1:80/TCP forward keep affine 60 [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward masquerade affine 60 [10.0.0.1:8080]\n"},
    };
    CHECK(cases);
}

static void the_local_detector_decides_about_sources(void **state)
{
    static const struct building off_cluster[] = {
        {"sources that are no pods'", WEB(NODE_PORT, HERE),
         "cluster 10.96.0.1:80/TCP forward off-cluster [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward masquerade [10.0.0.1:8080]\n"}};
    static const struct building kept[] = {{"nothing configured", WEB(CLUSTER, HERE),
                                            "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"}};
    static const struct building always[] = {
        {"masquerade-all", WEB(NODE_PORT ETP_LOCAL, HERE),
         "cluster 10.96.0.1:80/TCP forward masquerade [10.0.0.1:8080]\n"
         "node4 :30080/TCP forward own [10.0.0.1:8080] inside [10.0.0.1:8080]\n"}};
    struct node_view node = {.has_family = {true, true}, .local_detect = LOCAL_DETECT_CIDR};
    check(kept, 1, &node);
    node.has_cluster_cidr[FAMILY_IPV6] = true;
    check(kept, 1, &node);
    node.has_cluster_cidr[FAMILY_IPV4] = true;
    check(off_cluster, 1, &node);
    node.local_detect = LOCAL_DETECT_BRIDGE;
    check(off_cluster, 1, &node);
    node.local_detect = LOCAL_DETECT_INTERFACE_PREFIX;
    check(off_cluster, 1, &node);
    node.masquerade_all = true;
    check(always, 1, &node);
}

static void source_ranges_guard_vips_alone(void **state)
{
#define RANGED(ranges) BALANCED ", loadBalancerSourceRanges: [" ranges "]"
#define CLUSTER_LINE "cluster 10.96.0.1:80/TCP forward keep [10.0.0.1:8080]\n"
#define RANGED_LINE "vip 203.0.113.9:80/TCP forward masquerade ranged [10.0.0.1:8080]\n"
#define OPEN_LINE "vip 203.0.113.9:80/TCP forward masquerade [10.0.0.1:8080]\n"
#define CASE(label, ranges, expected)                                                                        \
    {                                                                                                        \
        label, WITH_VIPS(RANGED(ranges), VIP) SLICE(HERE), CLUSTER_LINE expected                             \
    }
    static const struct building cases[] = {
        CASE("one", "198.51.100.0/24", RANGED_LINE "from 198.51.100.0/24\n"),
        CASE("spaces do not count", "' 198.51.100.0/24 '", RANGED_LINE "from 198.51.100.0/24\n"),
        CASE("one inside another, and repeated", "198.51.100.128/25, 198.51.100.0/24, 198.51.100.0/24",
             RANGED_LINE "from 198.51.100.0/24\n"),
        CASE("everything among them: no restriction", "198.51.100.0/24, 0.0.0.0/0", OPEN_LINE),
        CASE("the other family's everything does not open this one", "198.51.100.0/24, '::/0'",
             RANGED_LINE "from 198.51.100.0/24\n"),
        CASE("ranges of the other family alone do not guard this one", "'2001:db8::/32'",
             OPEN_LINE "from 2001:db8::/32\n"),
        CASE("the node inside one: the VIP itself may come in", "192.0.2.0/24",
             RANGED_LINE "from 192.0.2.0/24 203.0.113.9/32\n"),
        CASE("the VIP inside one already", "192.0.2.0/24, 203.0.113.0/24",
             RANGED_LINE "from 192.0.2.0/24 203.0.113.0/24\n"),
    };
    struct address node_ip;
    address_parse("192.0.2.1", &node_ip, NULL);
    const struct node_view node = {.has_family = {true, true}, .node_ips = &node_ip, .node_ip_count = 1};
    check(cases, ARRAY_LEN(cases), &node);
    static const struct building others[] = {
        {"node ports and external IPs are not guarded",
         WITH_VIPS("type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [198.51.100.9], "
                   "loadBalancerSourceRanges: "
                   "[198.51.100.0/24], " NODE_PORTS,
                   VIP) SLICE(""),
         "cluster 10.96.0.1:80/TCP reject keep []\nvip 203.0.113.9:80/TCP reject masquerade ranged []\n"
         "external 198.51.100.9:80/TCP reject masquerade []\nnode4 :30080/TCP reject masquerade []\n"
         "from 198.51.100.0/24\n"},
    };
    check(others, 1, &node);
}

/* Per family, as kube-proxy runs one server for each (A5); an address on two ports counts once. */
static void health_checks_count_local_ready_addresses(void **state)
{
#define HEALTH(more)                                                                                         \
    "type: LoadBalancer, healthCheckNodePort: 30100, " DUAL                                                  \
    "ports: [{name: a, port: 80}, {name: b, port: 81}]" more
    static const char slices[] = TEST_SLICE("s4", "web", "IPv4",
                                            "{name: a, port: 8080}, {name: b, port: 8081}",
                                            HERE THERE UNREADY "{addresses: [10.0.0.4], nodeName: here}")
        TEST_SLICE("s6", "web", "IPv6", "{name: a, port: 8080}", "{addresses: ['fd00::1'], nodeName: here}");
    struct text yaml = {0};
    text_printf(&yaml, TEST_SERVICE("web", HEALTH(ETP_LOCAL)) "%s", slices);
    struct store *store = test_store(yaml.data);
    const struct node_view node = view(store);
    struct entry *entry = build(store, &node);
    assert_int_equal(entry->health_check_node_port, 30100);
    assert_int_equal(entry->local_endpoint_count[FAMILY_IPV4], 2);
    assert_int_equal(entry->local_endpoint_count[FAMILY_IPV6], 1);
    slab_free(entry);
    text_done(&yaml);
    store_free(store);
}

static void hairpins_are_the_local_endpoints_in_use(void **state)
{
    struct store *store = test_store(WEB(NODE_PORT ITP_LOCAL, HERE THERE UNREADY "{addresses: [10.0.0.9]},"));
    const struct node_view node = view(store);
    struct entry *entry = build(store, &node);
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(entry->hairpin_count, 2);
    assert_string_equal(address_format(&entry->hairpins[0], text), "10.0.0.1");
    assert_string_equal(address_format(&entry->hairpins[1], text), "10.0.0.9"); /* its node is not told */
    slab_free(entry);
    store_free(store);
}

/* What UDP flows may point at takes no notice of policies and topology (A13). */
static void udp_ports_list_whoever_serves(void **state)
{
    struct store *store = test_store(
        TEST_SERVICE("web", "clusterIP: 10.96.0.1, internalTrafficPolicy: Local, ports: [{name: u, port: "
                            "53, protocol: UDP}, {name: t, port: 53}]")
            TEST_SLICE("s1", "web", "IPv4", "{name: u, port: 53, protocol: UDP}, {name: t, port: 53}",
                       HERE THERE UNREADY "{addresses: [10.0.0.4], conditions: {ready: false, "
                                          "terminating: true}}"));
    const struct node_view node = view(store);
    struct entry *entry = build(store, &node);
    struct text got = {0};
    assert_int_equal(entry->serving_count, 1);
    assert_int_equal(entry->serving[0].port_index, 0);
    format_set(&entry->serving[0].backends, &got);
    assert_string_equal(got.data, " [10.0.0.1:53 10.0.0.2:53 10.0.0.4:53]");
    text_done(&got);
    slab_free(entry);
    store_free(store);
}

/* Rows for the metric sync_proxy_rules_no_local_endpoints_total (A6). */
static void empty_locals_are_told(void **state)
{
    static const struct {
        const char *yaml;
        bool internal, external;
    } cases[] = {
        {WEB(NODE_PORT ITP_LOCAL, THERE), true, false},
        {WEB(NODE_PORT ETP_LOCAL, THERE), false, true},
        {WEB(NODE_PORT ETP_LOCAL ITP_LOCAL, THERE), true, true},
        {WEB(NODE_PORT ETP_LOCAL ITP_LOCAL, HERE), false, false},
        {WEB(NODE_PORT ETP_LOCAL ITP_LOCAL, UNREADY), false, false},
        {WEB(NODE_PORT, THERE), false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store *store = test_store(cases[i].yaml);
        const struct node_view node = view(store);
        struct entry *entry = build(store, &node);
        assert_int_equal(entry->has_empty_internal_local[FAMILY_IPV4], cases[i].internal);
        assert_int_equal(entry->has_empty_external_local[FAMILY_IPV4], cases[i].external);
        assert_false(entry->has_empty_internal_local[FAMILY_IPV6]);
        slab_free(entry);
        store_free(store);
    }
}

/* Before and after as lists of last bytes; the slots that the second entry gets. */
static void kept_endpoints_keep_their_slots(void **state)
{
    static const struct {
        const char *before, *after, *slots;
    } cases[] = {
        {"1 2 3", "1 2 3", "1 2 3"},
        {"1 2 3", "1 2 3 4", "1 2 3 4"},
        {"2 3 4", "1 2 3 4", "2 3 4 1"},
        {"1 2 3", "1 3", "1 3"},
        {"1 2 3", "2 3", "3 2"},
        {"1 2 3", "4 2 3", "4 2 3"},
        {"1 2 3", "4 5", "4 5"},
        {"1", "", ""},
        {"", "1 2", "1 2"},
        {"1 2 3 4", "1 4", "1 4"},
        {"1 2 3 4", "2 5 4 6", "5 2 6 4"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct entry *entries[2];
        struct arena scratch;
        arena_init(&scratch);
        for (int half = 0; half < 2; half++) {
            struct text yaml = {0};
            text_add(&yaml, TEST_SERVICE("web", CLUSTER));
            text_add(&yaml,
                     "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: "
                     "{kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{port: 80}]\n"
                     "endpoints: [");
            for (const char *at = half ? cases[i].after : cases[i].before; *at; at++)
                if (*at != ' ')
                    text_printf(&yaml, "{addresses: [10.0.0.%c]},", *at);
            text_add(&yaml, "]\n");
            struct store *store = test_store(yaml.data);
            const struct node_view node = view(store);
            entries[half] = build(store, &node);
            text_done(&yaml);
            store_free(store);
        }
        entry_keep_slots(entries[0], entries[1], &scratch);
        struct text got = {0};
        const struct backend_set *set = entries[1]->frontends[0].backends;
        text_add(&got, "");
        for (uint32_t slot = 0; slot < set->count; slot++)
            text_printf(&got, "%s%u", slot ? " " : "", set->list[slot].address.bytes[15]);
        if (strcmp(text_str(&got), cases[i].slots) != 0)
            fail_msg("%s to %s: expected slots %s, got %s", cases[i].before, cases[i].after, cases[i].slots,
                     text_str(&got));
        text_done(&got);
        slab_free(entries[0]);
        slab_free(entries[1]);
        arena_done(&scratch);
    }
}

/* The same names and set counts, but the ports' meaning moved: slots of another port are no slots to keep. */
static void slots_are_not_kept_across_other_ports(void **state)
{
#define TWO(a, b) "clusterIP: 10.96.0.1, ports: [{name: " a ", port: 80}, {name: " b ", port: 81}]"
#define TWO_SLICE                                                                                            \
    TEST_SLICE("s1", "web", "IPv4", "{name: one, port: 80}, {name: two, port: 81}",                          \
               "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}")
    struct store *store = test_store(TEST_SERVICE("web", TWO("one", "two")) TWO_SLICE);
    const struct node_view node = view(store);
    struct arena scratch;
    arena_init(&scratch);
    struct entry *old = build(store, &node);
    struct backend first = old->sets[0].list[0];
    old->sets[0].list[0] = old->sets[0].list[1];
    old->sets[0].list[1] = first;
    test_put(store, TEST_SERVICE("web", TWO("two", "one")));
    struct entry *next = build(store, &node);
    entry_keep_slots(old, next, &scratch);
    assert_int_equal(next->sets[0].list[0].address.bytes[15], 1);
    entry_keep_slots(NULL, next, &scratch);
    entry_keep_slots(old, NULL, &scratch);
    slab_free(old);
    slab_free(next);
    arena_done(&scratch);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_ip_follows_the_internal_policy),
        cmocka_unit_test(topology_keys_that_lead_to_nobody_reject),
        cmocka_unit_test(external_frontends_follow_the_external_policy),
        cmocka_unit_test(an_address_named_twice_is_one_frontend),
        cmocka_unit_test(services_that_are_not_proxied_have_no_entry),
        cmocka_unit_test(families_stay_apart),
        cmocka_unit_test(ports_and_protocols_stay_apart),
        cmocka_unit_test(the_local_detector_decides_about_sources),
        cmocka_unit_test(source_ranges_guard_vips_alone),
        cmocka_unit_test(health_checks_count_local_ready_addresses),
        cmocka_unit_test(hairpins_are_the_local_endpoints_in_use),
        cmocka_unit_test(udp_ports_list_whoever_serves),
        cmocka_unit_test(empty_locals_are_told),
        cmocka_unit_test(kept_endpoints_keep_their_slots),
        cmocka_unit_test(slots_are_not_kept_across_other_ports),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
