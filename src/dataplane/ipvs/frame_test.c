/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/frame.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/catalog.h"
#include "dataplane/ipvs/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct node_view view;
    struct dataplane_node node;
};

static void fixture_init(struct fixture *fixture, enum local_detect detect)
{
    *fixture = (struct fixture){.view = {.local_detect = detect, .interface = "cni"}};
    fixture->node = (struct dataplane_node){.view = &fixture->view, .masquerade_mark = 0x4000};
    assert_int_equal(prefix_parse("10.244.0.0/16", &fixture->view.cluster_cidr[FAMILY_IPV4], NULL), 0);
    fixture->view.has_cluster_cidr[FAMILY_IPV4] = true;
}

static char *rules_of(const struct fixture *fixture, enum family family)
{
    struct layout layout;
    struct text text = {0};
    frame_build(&fixture->node, family, &layout);
    layout_render(&layout, &text);
    layout_done(&layout);
    return text.data;
}

static bool has(const char *rules, const char *line)
{
    const char *at = strstr(rules, line);
    return at && at[strlen(line)] == '\n' && (at == rules || at[-1] == '\n');
}

static void expect_line(const struct fixture *fixture, enum family family, const char *line)
{
    cleanup_free char *rules = rules_of(fixture, family);
    if (!has(rules, line))
        fail_msg("\"%s\" is not in\n%s", line, rules);
}

/* Where part is in the rules; it has to be there once. */
static const char *place(const char *rules, const char *part)
{
    const char *at = strstr(rules, part);
    if (!at || strstr(at + 1, part))
        fail_msg("\"%s\" is not once in\n%s", part, rules);
    return at;
}

/* A set that no rule asks for would be kept for nobody. */
static void every_set_is_asked_for_in_its_family(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_CIDR);
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        cleanup_free char *rules = rules_of(&fixture, family);
        for (enum set_name name = 0; name < SET_NAME_COUNT; name++) {
            char ours[64], others[64];
            snprintf(ours, sizeof(ours), "-set %s ", catalog_set(name, family).name);
            snprintf(others, sizeof(others), "-set %s ", catalog_set(name, !family).name);
            if (!strstr(rules, ours))
                fail_msg("%s is asked for by no rule of\n%s", ours, rules);
            assert_null(strstr(rules, others));
        }
    }
}

/* The kernel takes 31 characters for a set, iptables 28 for a chain. */
static void names_are_short_enough(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct layout layout;
        for (enum set_name name = 0; name < SET_NAME_COUNT; name++) {
            assert_true(strlen(catalog_set(name, family).name) <= 31);
            for (enum set_name other = 0; other < name; other++)
                assert_string_not_equal(catalog_set(name, family).name, catalog_set(other, family).name);
        }
        frame_build(&fixture.node, family, &layout);
        for (struct layout_chain *chain = layout.chains; chain; chain = chain->hh.next)
            assert_true(strlen(chain->name) <= 28);
        layout_done(&layout);
    }
}

/* Who is asked by a chain without a jump is asked by nobody, and what is not ours is not taken for ours. */
static void every_chain_is_known_and_led_to(void **state)
{
    struct fixture fixture;
    struct layout layout;
    fixture_init(&fixture, LOCAL_DETECT_CIDR);
    cleanup_free char *rules = rules_of(&fixture, FAMILY_IPV4);
    frame_build(&fixture.node, FAMILY_IPV4, &layout);
    for (struct layout_chain *chain = layout.chains; chain; chain = chain->hh.next) {
        char jump[64];
        snprintf(jump, sizeof(jump), "-j %s\n", chain->name);
        assert_int_equal(frame_own_rules.has_chain(chain->table, chain->name), !chain->is_base);
        if (!chain->is_base && !strstr(rules, jump))
            fail_msg("nothing leads to %s in\n%s", chain->name, rules);
    }
    assert_false(frame_own_rules.has_chain(TABLE_NAT, "KUBE-ROUTER"));
    assert_false(frame_own_rules.has_chain(TABLE_NAT, "KUBE-FORWARD"));
    layout_done(&layout);
}

#define CLUSTER_IP                                                                                           \
    "-m comment --comment \"Kubernetes service cluster ip + port for masquerade purpose\" -m set "           \
    "--match-set KUBE-CLUSTER-IP "

static void who_is_masqueraded_goes_by_the_local_detector(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_CIDR);
    expect_line(&fixture, FAMILY_IPV4,
                "-A KUBE-SERVICES ! -s 10.244.0.0/16 " CLUSTER_IP "dst,dst -j KUBE-MARK-MASQ");
    fixture_init(&fixture, LOCAL_DETECT_BRIDGE);
    expect_line(&fixture, FAMILY_IPV4, "-A KUBE-SERVICES ! -i cni " CLUSTER_IP "dst,dst -j KUBE-MARK-MASQ");
    fixture_init(&fixture, LOCAL_DETECT_INTERFACE_PREFIX);
    expect_line(&fixture, FAMILY_IPV4, "-A KUBE-SERVICES ! -i cni+ " CLUSTER_IP "dst,dst -j KUBE-MARK-MASQ");
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    expect_line(&fixture, FAMILY_IPV4, "-A KUBE-SERVICES " CLUSTER_IP "src,dst -j KUBE-MARK-MASQ");
    fixture.view.masquerade_all = true;
    expect_line(&fixture, FAMILY_IPV4, "-A KUBE-SERVICES " CLUSTER_IP "dst,dst -j KUBE-MARK-MASQ");
    fixture_init(&fixture, LOCAL_DETECT_CIDR); /* IPv6 has no range here: as without a detector */
    cleanup_free char *six = rules_of(&fixture, FAMILY_IPV6);
    assert_non_null(strstr(six, "--match-set KUBE-6-CLUSTER-IP src,dst -j KUBE-MARK-MASQ"));
}

/* Without a way to tell pods, the node itself is who comes from inside. */
static void pods_are_marked_where_they_can_be_told(void **state)
{
    static const char pods[] =
        "-A FAIRLEAD-IPVS -s 10.244.0.0/16 -j SET --map-set FAIRLEAD-INSIDE dst,dst --map-mark";
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_CIDR);
    expect_line(&fixture, FAMILY_IPV4, pods);
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    cleanup_free char *rules = rules_of(&fixture, FAMILY_IPV4);
    assert_null(strstr(rules, "10.244.0.0/16"));
    place(rules, "--src-type LOCAL -j SET --map-set FAIRLEAD-INSIDE");
}

/* Who has a mark is not asked about the address any more, and of two marks the last one is in force. */
static void rules_are_in_the_order_that_they_need(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_CIDR);
    cleanup_free char *rules = rules_of(&fixture, FAMILY_IPV4);
    static const char *const orders[][2] = {
        {"--src-type LOCAL -j SET --map-set FAIRLEAD-INSIDE",
         "--src-type LOCAL -j SET --map-set FAIRLEAD-SELF"},
        {"--src-type LOCAL -j SET --map-set FAIRLEAD-SELF",
         "-j RETURN\n-A FAIRLEAD-IPVS -m conntrack --ctstate NEW"},
        {"--match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -j RETURN", "-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ"},
        {"--match-set KUBE-NODE-PORT-LOCAL-TCP dst -j RETURN", "--match-set KUBE-NODE-PORT-TCP dst -j"},
        {"--match-set KUBE-NODE-PORT-LOCAL-SCTP-HASH dst,dst -j",
         "--match-set KUBE-NODE-PORT-SCTP-HASH dst,dst"},
        {"-A KUBE-SOURCE-RANGES-FIREWALL -m comment --comment \"Kubernetes service load balancer ip + port + "
         "source IP",
         "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP"},
        {"-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN",
         "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW"},
        {"-A OUTPUT -m comment --comment \"fairlead: source ranges\"",
         "-A OUTPUT -m comment --comment \"fairlead: marks"},
        {"-A INPUT -m comment --comment \"kube-proxy firewall rules\"",
         "-A INPUT -m comment --comment \"kubernetes ipvs access filter\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        if (place(rules, orders[i][0]) > place(rules, orders[i][1]))
            fail_msg("\"%s\" comes after \"%s\" in\n%s", orders[i][0], orders[i][1], rules);
}

static void unallocated_addresses_are_dropped_in_their_family(void **state)
{
    struct fixture fixture;
    struct prefix ranges[2];
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    cleanup_free char *without = rules_of(&fixture, FAMILY_IPV4);
    assert_null(strstr(without, "no service has this address"));
    assert_int_equal(prefix_parse("10.96.0.0/16", &ranges[0], NULL), 0);
    assert_int_equal(prefix_parse("fd00:10:96::/112", &ranges[1], NULL), 0);
    fixture.node.service_cidrs = ranges;
    fixture.node.service_cidr_count = 2;
#define DROPPED(chain, range, six)                                                                           \
    "-A " chain " -d " range                                                                                 \
    " -m comment --comment \"fairlead: no service has this address\" -m set ! --match-set KUBE-" six         \
    "IPVS-IPS dst -j DROP"
    expect_line(&fixture, FAMILY_IPV4, DROPPED("KUBE-FORWARD", "10.96.0.0/16", ""));
    expect_line(&fixture, FAMILY_IPV4, DROPPED("KUBE-IPVS-OUT-FILTER", "10.96.0.0/16", ""));
    expect_line(&fixture, FAMILY_IPV6, DROPPED("KUBE-FORWARD", "fd00:10:96::/112", "6-"));
    cleanup_free char *rules = rules_of(&fixture, FAMILY_IPV4);
    assert_null(strstr(rules, "fd00:10:96::"));
}

/* A virtual server is found by the whole mark: what is to be masqueraded is not noted in one of ours. */
static void masquerading_leaves_marks_alone(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t mark = 1u << bit;
        char line[256];
        fixture.node.masquerade_mark = mark;
        snprintf(line, sizeof(line),
                 "-A KUBE-MARK-MASQ -m mark ! --mark 0x%x/0x%x -j MARK --set-xmark 0x%x/0x%x", mark_tag(mark),
                 mark_tag_mask(mark), mark, mark);
        expect_line(&fixture, FAMILY_IPV4, line);
        snprintf(line, sizeof(line),
                 "-A FAIRLEAD-UNMARK -m mark --mark 0x%x/0x%x -j MARK --set-xmark 0x0/0xffffffff",
                 mark_tag(mark), mark_tag_mask(mark));
        expect_line(&fixture, FAMILY_IPV4, line);
    }
}

/* Whatever has ports gets one that no socket of the node has by itself, along both ways to masquerading. */
static void masquerading_keeps_off_the_ports_of_sockets(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, LOCAL_DETECT_NONE);
    cleanup_free char *rules = rules_of(&fixture, FAMILY_IPV6);
    const char *any = place(rules, "-A FAIRLEAD-MASQUERADE -j MASQUERADE --random-fully\n");
    for (int i = 0; i < 3; i++) {
        char line[128];
        snprintf(line, sizeof(line),
                 "-A FAIRLEAD-MASQUERADE -p %s -j MASQUERADE --to-ports 1024-32767 --random-fully\n",
                 (const char *const[]){"tcp", "udp", "sctp"}[i]);
        assert_true(place(rules, line) < any);
    }
    place(rules, "-m connmark --mark 0x4000/0x4000 -j FAIRLEAD-MASQUERADE\n");
    place(rules, "\"kubernetes service traffic requiring SNAT\" -j FAIRLEAD-MASQUERADE\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_is_asked_for_in_its_family),
        cmocka_unit_test(names_are_short_enough),
        cmocka_unit_test(every_chain_is_known_and_led_to),
        cmocka_unit_test(who_is_masqueraded_goes_by_the_local_detector),
        cmocka_unit_test(pods_are_marked_where_they_can_be_told),
        cmocka_unit_test(rules_are_in_the_order_that_they_need),
        cmocka_unit_test(unallocated_addresses_are_dropped_in_their_family),
        cmocka_unit_test(masquerading_leaves_marks_alone),
        cmocka_unit_test(masquerading_keeps_off_the_ports_of_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
