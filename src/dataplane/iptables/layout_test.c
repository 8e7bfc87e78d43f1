/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/layout.h"

#include "base/cleanup.h"
#include "dataplane/iptables/test_portions.h"

#include <errno.h>

#define NODE_PORTS_LAST                                                                                      \
    "-A KUBE-SERVICES ! -d 127.0.0.0/8 -m comment --comment \"kubernetes service nodeports; NOTE: this "     \
    "must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"

/* A world of one Service with every kind of frontend, or of none. */
struct fixture {
    struct node_view view;
    struct dataplane_node node;
    struct entry *entry;
    struct layout want;
};

static void fixture_init(struct fixture *fixture, bool has_service)
{
    static const struct test_objects objects = {
        "type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [198.51.100.9], loadBalancerSourceRanges: "
        "[192.0.2.0/24], ports: [{port: 80, nodePort: 30080, targetPort: 8080}]",
        "{ip: 203.0.113.9}", TEST_HERE("10.0.1.5") ", " TEST_THERE("10.0.2.5"), ""};
    *fixture = (struct fixture){.view = {.local_detect = LOCAL_DETECT_NONE}};
    fixture->node = (struct dataplane_node){
        .view = &fixture->view, .are_node_ports_everywhere = {true, true}, .masquerade_mark = 0x4000};
    fixture->entry = has_service ? test_entry(&objects, &fixture->view) : NULL;
    layout_build(&fixture->node, (const struct entry *const *)&fixture->entry, has_service, FAMILY_IPV4,
                 false, &fixture->want);
}

static void fixture_done(struct fixture *fixture)
{
    layout_done(&fixture->want);
    slab_free(fixture->entry);
}

static char *saved_of(const struct layout *layout)
{
    struct text text = {0};
    layout_render(layout, &text);
    return text.data;
}

/* Takes one copy of part out of text, which has to have it, and puts instead in its place. */
static char *with(const char *text, const char *part, const char *instead)
{
    const char *at = strstr(text, part);
    if (!at)
        fail_msg("\"%s\" is not in\n%s", part, text);
    struct text made = {0};
    text_add_bytes(&made, text, (size_t)(at - text));
    text_printf(&made, "%s%s", instead, at + strlen(part));
    return made.data;
}

static void expect_difference(const char *saved, const struct layout *want, const char *wanted,
                              uint32_t wanted_adds)
{
    struct layout have;
    struct text text = {0};
    struct err err;
    assert_int_equal(layout_parse(saved, &have, &err), 0);
    assert_int_equal(layout_difference(&have, want, &iptables_own_rules, &text), wanted_adds);
    assert_string_equal(text_str(&text), wanted);
    text_done(&text);
    layout_done(&have);
}

static void what_is_there_already_needs_nothing(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, true);
    cleanup_free char *saved = saved_of(&fixture.want);
    expect_difference(saved, &fixture.want, "", 0);
    fixture_done(&fixture);
}

static void what_is_saved_parses_to_the_same(void **state)
{
    struct fixture fixture;
    struct layout parsed;
    struct err err;
    fixture_init(&fixture, true);
    cleanup_free char *saved = saved_of(&fixture.want);
    assert_int_equal(layout_parse(saved, &parsed, &err), 0);
    assert_int_equal(HASH_CNT(hh, parsed.chains), HASH_CNT(hh, fixture.want.chains));
    for (const struct layout_chain *chain = fixture.want.chains; chain; chain = chain->hh.next) {
        const struct layout_chain *found;
        HASH_FIND(hh, parsed.chains, chain->key, strlen(chain->key), found);
        assert_non_null(found);
        assert_int_equal(found->count, chain->count);
        for (uint32_t i = 0; i < chain->count; i++)
            assert_string_equal(found->rules[i], chain->rules[i]);
    }
    layout_done(&parsed);
    fixture_done(&fixture);
}

#define VIP_RULE                                                                                             \
    "-A KUBE-SERVICES -d 203.0.113.9/32 -p tcp -m comment --comment \"default/web loadbalancer IP\" "        \
    "-m tcp --dport 80 -j KUBE-FW-"
#define EXTERNAL_RULE                                                                                        \
    "-A KUBE-SERVICES -d 198.51.100.9/32 -p tcp -m comment --comment \"default/web external IP\" "           \
    "-m tcp --dport 80 -j KUBE-EXT-"
#define HASH "LOLE4ISW44XBNF3G" /* see portion_test.c */

/* The incremental path puts rules in at the head, so that their order is nobody's. */
static void shared_rules_may_come_in_any_order(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, true);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *without = with(saved, EXTERNAL_RULE HASH "\n", "");
    cleanup_free char *turned = with(without, VIP_RULE HASH "\n", EXTERNAL_RULE HASH "\n" VIP_RULE HASH "\n");
    assert_string_not_equal(saved, turned);
    expect_difference(turned, &fixture.want, "", 0);
    fixture_done(&fixture);
}

static void chain_rules(const struct layout *layout, const char *key, struct text *ret)
{
    const struct layout_chain *chain;
    HASH_FIND(hh, layout->chains, key, strlen(key), chain);
    assert_non_null(chain);
    for (uint32_t i = 0; i < chain->count; i++)
        text_printf(ret, "-A %s %s\n", chain->name, chain->rules[i]);
}

/* A node port that is also a cluster IP's would be taken for the node's; kube-proxy's own note says so. */
static void the_rule_for_node_ports_stays_the_last(void **state)
{
    struct fixture fixture;
    struct text rules = {0};
    fixture_init(&fixture, true);
    chain_rules(&fixture.want, "nat KUBE-SERVICES", &rules);
    assert_true(rules.len > strlen(NODE_PORTS_LAST));
    assert_string_equal(text_str(&rules) + rules.len - strlen(NODE_PORTS_LAST), NODE_PORTS_LAST);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *without = with(saved, NODE_PORTS_LAST, "");
    cleanup_free char *first = with(without, VIP_RULE HASH "\n", NODE_PORTS_LAST VIP_RULE HASH "\n");
    struct text wanted = {0};
    struct layout have;
    struct err err;
    assert_int_equal(layout_parse(first, &have, &err), 0);
    assert_int_equal(layout_difference(&have, &fixture.want, &iptables_own_rules, &wanted), 4);
    /* The chain is written anew, in the order that is wanted; which is the order that rules have by then. */
    rules.len = 0;
    chain_rules(&fixture.want, "nat KUBE-SERVICES", &rules);
    cleanup_free char *whole = with("*nat\n:KUBE-SERVICES - [0:0]\n@COMMIT\n", "@", text_str(&rules));
    assert_string_equal(text_str(&wanted), whole);
    assert_string_equal(text_str(&rules) + rules.len - strlen(NODE_PORTS_LAST), NODE_PORTS_LAST);
    layout_done(&have);
    text_done(&wanted);
    text_done(&rules);
    fixture_done(&fixture);
}

#define FOREIGN "-A INPUT -i lo -j ACCEPT\n"
#define FIREWALL_JUMP "-A INPUT -j KUBE-FIREWALL\n"
#define HEALTH_JUMP "INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS\n"

static void rules_of_others_stay(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *ahead = with(saved, FIREWALL_JUMP, FOREIGN FIREWALL_JUMP);
    expect_difference(ahead, &fixture.want, "", 0);
    cleanup_free char *chain =
        with(saved, ":KUBE-FORWARD - [0:0]\n",
             ":KUBE-FORWARD - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n:MINE - [7:8]\n-A MINE -j DROP\n");
    expect_difference(chain, &fixture.want, "", 0);
    fixture_done(&fixture);
}

static void missing_jumps_go_in_front(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *one = with(saved, "-A " HEALTH_JUMP, FOREIGN);
    expect_difference(one, &fixture.want, "*filter\n-I " HEALTH_JUMP "COMMIT\n", 1);
    /* Of several, the one that shall be first is put in last. */
    cleanup_free char *two = with(one, FIREWALL_JUMP, "");
    expect_difference(two, &fixture.want, "*filter\n-I " HEALTH_JUMP "-I INPUT -j KUBE-FIREWALL\nCOMMIT\n",
                      2);
    fixture_done(&fixture);
}

/* At the end of a chain of kube-proxy's; with another range the chain is written anew. */
static void our_own_rules_follow_the_service_ranges(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *with_old = with(
        saved, "-j KUBE-EXTERNAL-SERVICES\n-A OUTPUT",
        "-j KUBE-EXTERNAL-SERVICES\n-A KUBE-SERVICES -d 10.50.0.0/16 -m comment --comment \"fairlead: what "
        "no service has\" -j FAIRLEAD-CLUSTER-IPS\n-A OUTPUT");
    expect_difference(
        with_old, &fixture.want,
        "*filter\n"
        ":KUBE-SERVICES - [0:0]\n"
        "-A KUBE-SERVICES -m comment --comment \"fairlead: the node itself is refused as well\" "
        "-j KUBE-EXTERNAL-SERVICES\n"
        "COMMIT\n",
        1);
    fixture_done(&fixture);
}

static void chains_of_services_that_are_gone_go(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *stale = with(
        saved, ":KUBE-SERVICES - [0:0]\n",
        ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
        "-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA\n");
    expect_difference(stale, &fixture.want,
                      "*nat\n"
                      ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
                      ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
                      "-X KUBE-SEP-AAAAAAAAAAAAAAAA\n"
                      "-X KUBE-SVC-AAAAAAAAAAAAAAAA\n"
                      "COMMIT\n",
                      0);
    fixture_done(&fixture);
}

static void a_chain_that_differs_is_written_whole(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    cleanup_free char *saved = saved_of(&fixture.want);
    cleanup_free char *other = with(saved, "--set-xmark 0x4000/0x4000", "--set-xmark 0x8000/0x8000");
    expect_difference(other, &fixture.want,
                      "*nat\n"
                      ":KUBE-MARK-MASQ - [0:0]\n"
                      "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n"
                      "COMMIT\n",
                      1);
    /* Order means something in every chain that is not shared. */
    cleanup_free char *first = with(saved, "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n", "");
    cleanup_free char *turned = with(first, "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n",
                                     "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
                                     "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n");
    expect_difference(turned, &fixture.want,
                      "*nat\n"
                      ":KUBE-POSTROUTING - [0:0]\n"
                      "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
                      "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
                      "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring "
                      "SNAT\" -j MASQUERADE --random-fully\n"
                      "COMMIT\n",
                      3);
    fixture_done(&fixture);
}

static void an_empty_kernel_gets_everything(void **state)
{
    struct fixture fixture;
    struct layout have;
    struct text text = {0};
    struct err err;
    fixture_init(&fixture, true);
    assert_int_equal(layout_parse("", &have, &err), 0);
    assert_true(layout_difference(&have, &fixture.want, &iptables_own_rules, &text) > 20);
    /* Canaries, which hold no rule, too. */
    assert_non_null(strstr(text_str(&text), "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n"));
    layout_done(&have);
    text_done(&text);
    fixture_done(&fixture);
}

static void what_is_not_iptables_save_is_refused(void **state)
{
    static const char *const bad[] = {
        "*nat\nPREROUTING\n",
        "*filter\n-A\n",
        "*filter\n-A INPUT\n",
        "*nat\n:KUBE-SERVICES\n",
        "*nat\n-I INPUT -j KUBE-FIREWALL\n",
        "*nat\n:AVERYLONGNAMEAVERYLONGNAMEAVERYLONGNAMEAVERYLONGNAMEAVERYLONGNAME - [0:0]\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct layout layout;
        struct err err = {0};
        assert_int_equal(layout_parse(bad[i], &layout, &err), -EINVAL);
        assert_non_null(strstr(err.text, "iptables-save printed \""));
        assert_non_null(strstr(err.text, "which is neither chain nor rule"));
    }
}

static void other_tables_and_comments_are_passed_over(void **state)
{
    struct layout layout;
    struct err err;
    assert_int_equal(
        layout_parse("# by hand\n\n*raw\nwhatever\nCOMMIT\n*security\n:X\nCOMMIT\n", &layout, &err), 0);
    assert_null(layout.chains);
    layout_done(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_already_needs_nothing),
        cmocka_unit_test(what_is_saved_parses_to_the_same),
        cmocka_unit_test(shared_rules_may_come_in_any_order),
        cmocka_unit_test(the_rule_for_node_ports_stays_the_last),
        cmocka_unit_test(rules_of_others_stay),
        cmocka_unit_test(missing_jumps_go_in_front),
        cmocka_unit_test(our_own_rules_follow_the_service_ranges),
        cmocka_unit_test(chains_of_services_that_are_gone_go),
        cmocka_unit_test(a_chain_that_differs_is_written_whole),
        cmocka_unit_test(an_empty_kernel_gets_everything),
        cmocka_unit_test(what_is_not_iptables_save_is_refused),
        cmocka_unit_test(other_tables_and_comments_are_passed_over),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
