/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/test_portions.h"

#include "base/cleanup.h"

/* The names of chains are Python's, base64.b32encode(hashlib.sha256(WHAT).digest())[:16] of
 * b"default/webtcp"                     LOLE4ISW44XBNF3G
 * b"default/webtcp" b"10.0.1.5:8080"    VMEXME22RQOGLX54
 * b"default/webtcp" b"10.0.2.5:8080"    4E3AHGUXBG6AIQ5M
 * b"default/webtcp" b"[fd00:1::5]:8080" 3KH7NNTNMGXUMR7N */
#define WEB "LOLE4ISW44XBNF3G"
#define HERE "VMEXME22RQOGLX54"
#define THERE "4E3AHGUXBG6AIQ5M"
#define SIX "3KH7NNTNMGXUMR7N"

#define IS "-m comment --comment "
#define PORT_80 "-m tcp --dport 80 "
#define NO_SUCH_PORT                                                                                         \
    "filter FAIRLEAD-CLUSTER-IPS: -d 10.96.0.1/32 " IS                                                       \
    "\"default/web has no such port\" -j REJECT --reject-with icmp-port-unreachable\n"
#define CLUSTER_IP                                                                                           \
    "nat KUBE-SERVICES: -d 10.96.0.1/32 -p tcp " IS "\"default/web cluster IP\" " PORT_80 "-j KUBE-SVC-" WEB \
    "\n"
#define ENDPOINT(chain, address)                                                                             \
    "KUBE-SEP-" chain ": -s " address "/32 " IS "\"default/web\" -j KUBE-MARK-MASQ\n"                        \
    "KUBE-SEP-" chain ": -p tcp " IS "\"default/web\" -m tcp -j DNAT --to-destination " address ":8080\n"
#define ENDPOINTS ENDPOINT(HERE, "10.0.1.5") ENDPOINT(THERE, "10.0.2.5")
#define BALANCED                                                                                             \
    "KUBE-SVC-" WEB ": " IS "\"default/web -> 10.0.1.5:8080\" "                                              \
    "-m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-" HERE "\n"                          \
    "KUBE-SVC-" WEB ": " IS "\"default/web -> 10.0.2.5:8080\" -j KUBE-SEP-" THERE "\n"
#define LOCAL_ONE "KUBE-SVL-" WEB ": " IS "\"default/web -> 10.0.1.5:8080\" -j KUBE-SEP-" HERE "\n"
#define FROM_OUTSIDE                                                                                         \
    "KUBE-EXT-" WEB ": " IS "\"masquerade traffic for default/web external destinations\" -j KUBE-MARK-"     \
    "MASQ\n"                                                                                                 \
    "KUBE-EXT-" WEB ": -j KUBE-SVC-" WEB "\n"
#define NODE_ITSELF                                                                                          \
    "KUBE-EXT-" WEB ": " IS "\"masquerade LOCAL traffic for default/web external destinations\" "            \
    "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n"                                                       \
    "KUBE-EXT-" WEB ": " IS "\"route LOCAL traffic for default/web external destinations\" "                 \
    "-m addrtype --src-type LOCAL -j KUBE-SVC-" WEB "\n"

#define ONE_IP "clusterIP: 10.96.0.1, ports: [{port: 80}]"
#define NODE_PORT "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]"
#define BALANCER                                                                                             \
    "type: LoadBalancer, allocateLoadBalancerNodePorts: false, clusterIP: 10.96.0.1, "                       \
    "ports: [{port: 80}]"
#define BOTH TEST_HERE("10.0.1.5") ", " TEST_THERE("10.0.2.5")

static struct node_view view_of(const char *how)
{
    struct node_view view = {.local_detect = LOCAL_DETECT_NONE};
    if (strcmp(how, "cidr") == 0) {
        view.local_detect = LOCAL_DETECT_CIDR;
        view.has_cluster_cidr[FAMILY_IPV4] = true;
        assert_int_equal(prefix_parse("10.0.0.0/16", &view.cluster_cidr[FAMILY_IPV4], NULL), 0);
    } else if (strcmp(how, "bridge") == 0) {
        view.local_detect = LOCAL_DETECT_BRIDGE;
        strcpy(view.interface, "cni0");
    } else if (strcmp(how, "prefix") == 0) {
        view.local_detect = LOCAL_DETECT_INTERFACE_PREFIX;
        strcpy(view.interface, "veth");
    } else if (strcmp(how, "all") == 0) {
        view.masquerade_all = true;
    }
    return view;
}

static void expect(const struct test_objects *objects, const char *how, enum family family, bool is_brief,
                   const char *wanted)
{
    struct node_view view = view_of(how);
    struct portion portion;
    struct arena arena;
    struct text text = {0};
    arena_init(&arena);
    struct entry *entry = test_entry(objects, &view);
    portion_build(entry, family, &view, is_brief, &arena, &portion);
    test_portion_format(&portion, &text);
    assert_string_equal(text_str(&text), wanted);
    text_done(&text);
    arena_done(&arena);
    slab_free(entry);
}

static void every_kind_of_frontend(void **state)
{
    static const struct {
        struct test_objects objects;
        const char *wanted;
    } cases[] = {
        {{ONE_IP, "", BOTH, ""}, NO_SUCH_PORT CLUSTER_IP BALANCED ENDPOINTS},
        {{NODE_PORT, "", BOTH, ""},
         NO_SUCH_PORT CLUSTER_IP "nat KUBE-NODEPORTS: -p tcp " IS
                                 "\"default/web\" -m tcp --dport 30080 -j KUBE-EXT-" WEB
                                 "\n" FROM_OUTSIDE BALANCED ENDPOINTS},
        {{BALANCER, "{ip: 203.0.113.9}", BOTH, ""},
         NO_SUCH_PORT CLUSTER_IP "nat KUBE-SERVICES: -d 203.0.113.9/32 -p tcp " IS
                                 "\"default/web loadbalancer IP\" " PORT_80 "-j KUBE-EXT-" WEB
                                 "\n" FROM_OUTSIDE BALANCED ENDPOINTS},
        {{ONE_IP ", externalIPs: [198.51.100.9]", "", BOTH, ""},
         NO_SUCH_PORT CLUSTER_IP "nat KUBE-SERVICES: -d 198.51.100.9/32 -p tcp " IS
                                 "\"default/web external IP\" " PORT_80 "-j KUBE-EXT-" WEB
                                 "\n" FROM_OUTSIDE BALANCED ENDPOINTS},
        {{"clusterIP: None, ports: [{port: 80}]", "", BOTH, ""}, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(&cases[i].objects, "", FAMILY_IPV4, false, cases[i].wanted);
}

static void nobody_to_serve(void **state)
{
    expect(&(struct test_objects){ONE_IP, "", "", ""}, "", FAMILY_IPV4, false,
           NO_SUCH_PORT "filter KUBE-SERVICES: -d 10.96.0.1/32 -p tcp " IS
                        "\"default/web has no endpoints\" " PORT_80
                        "-j REJECT --reject-with icmp-port-unreachable\n");
    expect(&(struct test_objects){ONE_IP ", internalTrafficPolicy: Local", "", TEST_THERE("10.0.2.5"), ""},
           "", FAMILY_IPV4, false,
           NO_SUCH_PORT "filter KUBE-SERVICES: -d 10.96.0.1/32 -p tcp " IS
                        "\"default/web has no local endpoints\" " PORT_80 "-j DROP\n");
    expect(&(struct test_objects){NODE_PORT, "", "", ""}, "", FAMILY_IPV4, false,
           NO_SUCH_PORT "filter KUBE-SERVICES: -d 10.96.0.1/32 -p tcp " IS
                        "\"default/web has no endpoints\" " PORT_80
                        "-j REJECT --reject-with icmp-port-unreachable\n"
                        "filter KUBE-EXTERNAL-SERVICES: -p tcp " IS "\"default/web has no endpoints\" "
                        "-m addrtype --dst-type LOCAL -m tcp --dport 30080 "
                        "-j REJECT --reject-with icmp-port-unreachable\n");
}

static void each_family_has_its_own(void **state)
{
    static const struct test_objects both = {
        "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6], clusterIP: 10.96.0.1, "
        "clusterIPs: [10.96.0.1, \"fd00:96::1\"], ports: [{port: 80}], "
        "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}",
        "", BOTH, TEST_HERE("fd00:1::5")};
    static const char six[] =
        "filter FAIRLEAD-CLUSTER-IPS: -d fd00:96::1/128 " IS
        "\"default/web has no such port\" -j REJECT --reject-with "
        "icmp6-port-unreachable\n"
        "nat KUBE-SERVICES: -d fd00:96::1/128 -p tcp " IS "\"default/web cluster IP\" " PORT_80
        "-j KUBE-SVC-" WEB "\n"
        "KUBE-SVC-" WEB ": " IS "\"default/web -> [fd00:1::5]:8080\" "
        "-m recent --rcheck --seconds 60 --reap --name KUBE-SEP-" SIX
        " --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j KUBE-SEP-" SIX "\n"
        "KUBE-SVC-" WEB ": " IS "\"default/web -> [fd00:1::5]:8080\" "
        "-j KUBE-SEP-" SIX "\n"
        "KUBE-SEP-" SIX ": -s fd00:1::5/128 " IS "\"default/web\" -j KUBE-MARK-MASQ\n"
        "KUBE-SEP-" SIX ": -p tcp " IS "\"default/web\" "
        "-m recent --set --name KUBE-SEP-" SIX " --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource "
        "-m tcp -j DNAT --to-destination [fd00:1::5]:8080\n";
    expect(&both, "", FAMILY_IPV6, false, six);
    expect(&(struct test_objects){ONE_IP, "", BOTH, ""}, "", FAMILY_IPV6, false, "");
}

/* As kube-proxy does where there are more than 1,000 endpoints: what is as many as they has no comment. */
static void brief_rules_have_no_comments(void **state)
{
    static const struct test_objects affine = {
        ONE_IP ", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}", "",
        BOTH, ""};
#define MASK " --mask 255.255.255.255 --rsource "
    expect(&affine, "", FAMILY_IPV4, true,
           NO_SUCH_PORT CLUSTER_IP
           "KUBE-SVC-" WEB ": -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-" HERE MASK
           "-j KUBE-SEP-" HERE "\n"
           "KUBE-SVC-" WEB ": -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-" THERE MASK
           "-j KUBE-SEP-" THERE "\n"
           "KUBE-SVC-" WEB ": -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-" HERE "\n"
           "KUBE-SVC-" WEB ": -j KUBE-SEP-" THERE "\n"
           "KUBE-SEP-" HERE ": -s 10.0.1.5/32 -j KUBE-MARK-MASQ\n"
           "KUBE-SEP-" HERE ": -p tcp -m recent --set --name KUBE-SEP-" HERE MASK
           "-m tcp -j DNAT --to-destination 10.0.1.5:8080\n"
           "KUBE-SEP-" THERE ": -s 10.0.2.5/32 -j KUBE-MARK-MASQ\n"
           "KUBE-SEP-" THERE ": -p tcp -m recent --set --name KUBE-SEP-" THERE MASK
           "-m tcp -j DNAT --to-destination 10.0.2.5:8080\n");
}

/* What is asked of a packet's source, and where it stands in a rule as iptables-save prints it. */
static void detectors_tell_whose_packets_are_masqueraded(void **state)
{
    static const struct {
        const char *how, *masqueraded; /* before "-p tcp"; NULL: nobody */
        const char *pods;              /* ahead of the comment; NULL: pods are not told apart */
    } cases[] = {
        {"", NULL, NULL},
        {"cidr", "! -s 10.0.0.0/16 -d 10.96.0.1/32 ", "-s 10.0.0.0/16 "},
        {"bridge", "-d 10.96.0.1/32 ! -i cni0 ", "-i cni0 "},
        {"prefix", "-d 10.96.0.1/32 ! -i veth+ ", "-i veth+ "},
        {"all", "-d 10.96.0.1/32 ", NULL},
    };
    static const struct test_objects local = {NODE_PORT ", externalTrafficPolicy: Local", "", BOTH, ""};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text wanted = {0};
        text_add(&wanted,
                 NO_SUCH_PORT CLUSTER_IP "nat KUBE-NODEPORTS: -p tcp " IS
                                         "\"default/web\" -m tcp --dport 30080 -j KUBE-EXT-" WEB "\n");
        if (cases[i].pods)
            text_printf(&wanted,
                        "KUBE-EXT-" WEB ": %s" IS
                        "\"pod traffic for default/web external destinations\" -j KUBE-SVC-" WEB "\n",
                        cases[i].pods);
        text_add(&wanted, NODE_ITSELF "KUBE-EXT-" WEB ": -j KUBE-SVL-" WEB "\n");
        if (cases[i].masqueraded)
            text_printf(&wanted,
                        "KUBE-SVC-" WEB ": %s-p tcp " IS "\"default/web cluster IP\" " PORT_80
                        "-j KUBE-MARK-MASQ\n",
                        cases[i].masqueraded);
        text_add(&wanted, BALANCED LOCAL_ONE ENDPOINTS);
        expect(&local, cases[i].how, FAMILY_IPV4, false, text_str(&wanted));
        text_done(&wanted);
    }
}

static void source_ranges_guard_the_load_balancer_alone(void **state)
{
    static const struct test_objects ranged = {
        BALANCER ", externalIPs: [198.51.100.9], loadBalancerSourceRanges: [192.0.2.0/24, \"2001:db8::/32\"]",
        "{ip: 203.0.113.9}", BOTH, ""};
    expect(&ranged, "", FAMILY_IPV4, false,
           NO_SUCH_PORT CLUSTER_IP
           "nat KUBE-SERVICES: -d 203.0.113.9/32 -p tcp " IS "\"default/web loadbalancer IP\" " PORT_80
           "-j KUBE-FW-" WEB "\n"
           "filter KUBE-PROXY-FIREWALL: -d 203.0.113.9/32 -p tcp " IS
           "\"default/web traffic not accepted by KUBE-FW-" WEB "\" " PORT_80 "-j DROP\n"
           "nat KUBE-SERVICES: -d 198.51.100.9/32 -p tcp " IS "\"default/web external IP\" " PORT_80
           "-j KUBE-EXT-" WEB "\n" FROM_OUTSIDE "KUBE-FW-" WEB ": -s 192.0.2.0/24 " IS
           "\"default/web loadbalancer IP\" -j KUBE-EXT-" WEB "\n"
           "KUBE-FW-" WEB ": " IS
           "\"other traffic to default/web will be dropped by KUBE-PROXY-FIREWALL\"\n" BALANCED ENDPOINTS);
}

static void a_health_check_port_is_let_in(void **state)
{
    static const struct test_objects local = {BALANCER
                                              ", externalTrafficPolicy: Local, healthCheckNodePort: 30100",
                                              "{ip: 203.0.113.9}", TEST_HERE("10.0.1.5"), ""};
    expect(&local, "", FAMILY_IPV4, false,
           NO_SUCH_PORT CLUSTER_IP
           "nat KUBE-SERVICES: -d 203.0.113.9/32 -p tcp " IS "\"default/web loadbalancer IP\" " PORT_80
           "-j KUBE-EXT-" WEB "\n"
           "filter KUBE-NODEPORTS: -p tcp " IS
           "\"default/web health check node port\" -m tcp --dport 30100 -j ACCEPT\n" NODE_ITSELF
           "KUBE-EXT-" WEB ": -j KUBE-SVL-" WEB "\n"
           "KUBE-SVC-" WEB ": " IS "\"default/web -> 10.0.1.5:8080\" -j KUBE-SEP-" HERE
           "\n" LOCAL_ONE ENDPOINT(HERE, "10.0.1.5"));
}

static void no_entry_is_nothing(void **state)
{
    struct node_view view = view_of("");
    struct portion portion;
    struct arena arena;
    arena_init(&arena);
    portion_build(NULL, FAMILY_IPV4, &view, false, &arena, &portion);
    assert_int_equal(portion.chain_count, 0);
    assert_int_equal(portion.shared_count, 0);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_frontend),
        cmocka_unit_test(nobody_to_serve),
        cmocka_unit_test(each_family_has_its_own),
        cmocka_unit_test(brief_rules_have_no_comments),
        cmocka_unit_test(detectors_tell_whose_packets_are_masqueraded),
        cmocka_unit_test(source_ranges_guard_the_load_balancer_alone),
        cmocka_unit_test(a_health_check_port_is_let_in),
        cmocka_unit_test(no_entry_is_nothing),
    };
    return cmocka_run_group_tests_name("portion", tests, NULL, NULL);
}
