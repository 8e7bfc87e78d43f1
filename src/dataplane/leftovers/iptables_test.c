/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/leftovers/iptables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EVERYTHING ((struct iptables_scope){.goes = IPTABLES_BY_ANYBODY})
#define BESIDE_IPTABLES ((struct iptables_scope){.goes = IPTABLES_BY_ANYBODY, .stays = IPTABLES_BY_IPTABLES})
#define PORTALS "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"

/* What the first table of saved becomes. */
static struct iptables_removal first(const char *saved)
{
    struct iptables_removal removal;
    assert_true(iptables_next_removal(&saved, EVERYTHING, &removal));
    return removal;
}

static void assert_restore(const char *saved, const char *want)
{
    struct iptables_removal removal = first(saved);
    assert_string_equal(text_str(&removal.restore), want);
    iptables_removal_done(&removal);
}

static void takes_out_what_is_kube_proxys(void **state)
{
    static const char saved[] =
        "# Generated\n"
        "*nat\n"
        ":PREROUTING ACCEPT [12:34]\n"
        ":OUTPUT ACCEPT [0:0]\n"
        ":CNI-HOSTPORT-DNAT - [0:0]\n"
        ":KUBE-KUBELET-CANARY - [0:0]\n"
        ":KUBE-MARK-DROP - [0:0]\n"
        ":KUBE-MARK-MASQ - [0:0]\n"
        ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
        "-A PREROUTING " PORTALS "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        "-A OUTPUT " PORTALS "-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -j KUBE-SVC-AAAAAAAAAAAAAAAA\n"
        "-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA\n"
        "-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -j DNAT --to-destination 10.244.1.2:80\n"
        "COMMIT\n";
    const char *at = saved;
    struct iptables_removal removal;
    assert_true(iptables_next_removal(&at, EVERYTHING, &removal));
    assert_string_equal(text_str(&removal.restore),
                        "*nat\n"
                        ":KUBE-MARK-MASQ - [0:0]\n"
                        ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
                        ":KUBE-SERVICES - [0:0]\n"
                        ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
                        "-D PREROUTING " PORTALS "-D OUTPUT " PORTALS "-X KUBE-MARK-MASQ\n"
                        "-X KUBE-SEP-AAAAAAAAAAAAAAAA\n"
                        "-X KUBE-SERVICES\n"
                        "-X KUBE-SVC-AAAAAAAAAAAAAAAA\n"
                        "COMMIT\n");
    assert_int_equal(removal.jumps, 2);
    assert_int_equal(removal.chains, 4);
    assert_int_equal(removal.kept.len, 0);
    assert_memory_equal(removal.table, "nat", removal.table_len);
    iptables_removal_done(&removal);
    assert_false(iptables_next_removal(&at, EVERYTHING, &removal));
}

static void knows_the_jumps_of_every_mode(void **state)
{
    static const char saved[] =
        "*filter\n"
        ":FORWARD DROP [0:0]\n"
        ":INPUT ACCEPT [0:0]\n"
        ":KUBE-EXTERNAL-SERVICES - [0:0]\n"
        ":KUBE-FIREWALL - [0:0]\n"
        ":KUBE-FORWARD - [0:0]\n"
        ":KUBE-IPVS-FILTER - [0:0]\n"
        ":KUBE-NODEPORTS - [0:0]\n"
        ":KUBE-PROXY-FIREWALL - [0:0]\n"
        "-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j "
        "KUBE-PROXY-FIREWALL\n"
        "-A INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS\n"
        "-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service "
        "portals\" -j KUBE-EXTERNAL-SERVICES\n"
        "-A INPUT -j KUBE-FIREWALL\n"
        "-A INPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-FILTER\n"
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n"
        "COMMIT\n";
    struct iptables_removal removal = first(saved);
    assert_int_equal(removal.jumps, 5);
    assert_int_equal(removal.chains, 5);
    assert_null(strstr(text_str(&removal.restore), "KUBE-FIREWALL"));
    assert_null(strstr(text_str(&removal.restore), "FORWARD DROP"));
    assert_true(removal.leaves_forward_dropping);
    iptables_removal_done(&removal);
    assert_restore("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n"
                   ":KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n",
                   "*mangle\n:KUBE-PROXY-CANARY - [0:0]\n-X KUBE-PROXY-CANARY\nCOMMIT\n");
}

static void sees_who_needs_its_accepting_rules(void **state)
{
    static const struct {
        const char *policy, *chain;
        bool leaves_dropping;
    } cases[] = {{"DROP", "FORWARD", true}, {"ACCEPT", "FORWARD", false}, {"DROP", "INPUT", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct text saved = {0};
        text_printf(&saved,
                    "*filter\n:%s %s [0:0]\n:KUBE-FORWARD - [0:0]\n"
                    "-A %s -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\nCOMMIT\n",
                    cases[i].chain, cases[i].policy, cases[i].chain);
        struct iptables_removal removal = first(text_str(&saved));
        assert_int_equal(removal.leaves_forward_dropping, cases[i].leaves_dropping);
        iptables_removal_done(&removal);
        text_done(&saved);
    }
}

static void leaves_the_rules_of_others(void **state)
{
    /* Only a prefix, another table, nothing behind the prefix, another's comment that reads like a jump. */
    assert_restore(
        "*nat\n:KUBE-SVC- - [0:0]\n:KUBE-SERVICES-OF-MINE - [0:0]\n:KUBE-FORWARD - [0:0]\nCOMMIT\n", "");
    assert_restore("*raw\n:KUBE-SERVICES - [0:0]\nCOMMIT\n", "");
    assert_restore("*nat\n:KUBE-SERVICES - [0:0]\n"
                   "-A OUTPUT -m comment --comment \"before -j KUBE-SERVICES\" -j ACCEPT\nCOMMIT\n",
                   "*nat\n:KUBE-SERVICES - [0:0]\n-X KUBE-SERVICES\nCOMMIT\n");
}

static void keeps_what_others_lead_to(void **state)
{
    /* An operator's own jump: with a condition, or another comment, or none. The chain is emptied. */
    static const char *const rules[] = {
        "-A OUTPUT -d 10.96.0.1/32 -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n",
        "-A OUTPUT -m comment --comment mine -j KUBE-SERVICES\n", "-A OUTPUT -j KUBE-SERVICES\n",
        "-A OUTPUT -m comment --comment \"kubernetes service portals\" -g KUBE-SERVICES\n"};
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        struct text saved = {0};
        text_printf(&saved, "*nat\n:KUBE-SERVICES - [0:0]\n%s-A KUBE-SERVICES -j ACCEPT\nCOMMIT\n", rules[i]);
        struct iptables_removal removal = first(text_str(&saved));
        assert_string_equal(text_str(&removal.restore), "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n");
        assert_string_equal(text_str(&removal.kept), "KUBE-SERVICES");
        iptables_removal_done(&removal);
        text_done(&saved);
    }
}

static void keeps_the_masquerading_that_others_borrow(void **state)
{
    static const char saved[] =
        "*nat\n"
        ":CNI-DN-1 - [0:0]\n"
        ":KUBE-MARK-MASQ - [0:0]\n"
        ":KUBE-POSTROUTING - [0:0]\n"
        ":KUBE-SERVICES - [0:0]\n"
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
        "-A CNI-DN-1 -s 10.244.1.0/24 -p tcp -m tcp --dport 8080 -j KUBE-MARK-MASQ\n"
        "COMMIT\n";
    struct iptables_removal removal = first(saved);
    assert_string_equal(text_str(&removal.restore),
                        "*nat\n:KUBE-SERVICES - [0:0]\n-X KUBE-SERVICES\nCOMMIT\n");
    assert_string_equal(text_str(&removal.kept), "KUBE-MARK-MASQ, KUBE-POSTROUTING");
    iptables_removal_done(&removal);
}

static void reads_table_by_table(void **state)
{
    const char *at = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n"
                     "*mangle\n:KUBE-PROXY-CANARY - [0:0]\n"; /* and then it was cut off */
    struct iptables_removal removal;
    assert_true(iptables_next_removal(&at, EVERYTHING, &removal));
    assert_int_equal(removal.restore.len, 0);
    iptables_removal_done(&removal);
    assert_true(iptables_next_removal(&at, EVERYTHING, &removal));
    assert_string_equal(text_str(&removal.restore),
                        "*nat\n:KUBE-SERVICES - [0:0]\n-X KUBE-SERVICES\nCOMMIT\n");
    iptables_removal_done(&removal);
    assert_false(iptables_next_removal(&at, EVERYTHING, &removal));
}

/* The filter table as fairlead's mode iptables makes it; kube-proxy's has neither of the two last rules. */
#define FILTER_CHAINS                                                                                        \
    "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-EXTERNAL-SERVICES - [0:0]\n:KUBE-SERVICES - [0:0]\n"
#define OWN_CHAIN ":FAIRLEAD-CLUSTER-IPS - [0:0]\n"
#define PORTAL_JUMP                                                                                          \
    "-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service "      \
    "portals\" -j KUBE-EXTERNAL-SERVICES\n"
#define OWN_RULES                                                                                            \
    "-A FAIRLEAD-CLUSTER-IPS -d 10.96.0.0/16 -m comment --comment \"no service has this address\" -j DROP\n" \
    "-A KUBE-SERVICES -m comment --comment \"fairlead: the node itself is refused as well\" -j "             \
    "KUBE-EXTERNAL-SERVICES\n"                                                                               \
    "-A KUBE-SERVICES -d 10.96.0.0/16 -m comment --comment \"fairlead: what no service has\" -j "            \
    "FAIRLEAD-CLUSTER-IPS\n"

/* The filter table as fairlead's mode userspace makes it. */
#define LED                                                                                                  \
    "-m conntrack --ctstate INVALID,NEW,RELATED,UNTRACKED -m comment --comment \"fairlead: what was led to " \
    "the proxy\" -j KUBE-NODEPORT-NON-LOCAL"
#define PORTALS_OF_OURS                                                                                      \
    "*filter\n:INPUT ACCEPT [0:0]\n:FAIRLEAD-PORTALS - [0:0]\n:KUBE-NODEPORT-NON-LOCAL - [0:0]\n"            \
    "-A INPUT " LED "\n"                                                                                     \
    "-A INPUT -m conntrack --ctstate NEW -m comment --comment \"fairlead: refused portals\" -j "             \
    "FAIRLEAD-PORTALS\nCOMMIT\n"

/* Of two modes that have rules at once only those of the one that does not serve go. */
static void keeps_what_serves(void **state)
{
    const char *at = PORTALS_OF_OURS;
    struct iptables_removal removal;
    assert_restore(
        PORTALS_OF_OURS,
        "*filter\n:FAIRLEAD-PORTALS - [0:0]\n:KUBE-NODEPORT-NON-LOCAL - [0:0]\n"
        "-D INPUT " LED "\n"
        "-D INPUT -m conntrack --ctstate NEW -m comment --comment \"fairlead: refused portals\" -j "
        "FAIRLEAD-PORTALS\n"
        "-X FAIRLEAD-PORTALS\n-X KUBE-NODEPORT-NON-LOCAL\nCOMMIT\n");
    const struct iptables_scope by_userspace = {.goes = IPTABLES_BY_ANYBODY, .stays = IPTABLES_BY_USERSPACE};
    assert_true(iptables_next_removal(&at, by_userspace, &removal));
    assert_int_equal(removal.restore.len, 0);
    iptables_removal_done(&removal);
    at = "*nat\n:KUBE-NODE-PORT - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-SVC-A - [0:0]\nCOMMIT\n";
    const struct iptables_scope by_ipvs = {.goes = IPTABLES_BY_IPTABLES, .stays = IPTABLES_BY_IPVS};
    assert_true(iptables_next_removal(&at, by_ipvs, &removal));
    assert_string_equal(text_str(&removal.restore), "*nat\n:KUBE-SVC-A - [0:0]\n-X KUBE-SVC-A\nCOMMIT\n");
    iptables_removal_done(&removal);
}

static void tells_who_wrote_them(void **state)
{
    static const char fairleads[] = FILTER_CHAINS OWN_CHAIN PORTAL_JUMP OWN_RULES "COMMIT\n";
    static const char kube_proxys_after[] = FILTER_CHAINS OWN_CHAIN PORTAL_JUMP "COMMIT\n";
    static const char kube_proxys[] = FILTER_CHAINS PORTAL_JUMP "COMMIT\n";
    assert_int_equal(iptables_own_scope(fairleads).goes, IPTABLES_OWN | IPTABLES_BY_IPTABLES);
    assert_int_equal(iptables_own_scope(kube_proxys_after).goes, IPTABLES_OWN);
    assert_int_equal(iptables_own_scope(kube_proxys).goes, 0);
    assert_int_equal(iptables_own_scope("").goes, 0);
    assert_int_equal(iptables_own_scope(PORTALS_OF_OURS).goes, IPTABLES_BY_USERSPACE);
    /* Words of a Service in a chain of its own do not make it fairlead's. */
    assert_int_equal(
        iptables_own_scope("*nat\n:KUBE-SVC-A - [0:0]\n-A KUBE-SVC-A -m comment --comment \"fairlead: "
                           "mine\" -j ACCEPT\nCOMMIT\n")
            .goes,
        0);
    assert_restore(fairleads, "*filter\n:KUBE-EXTERNAL-SERVICES - [0:0]\n:KUBE-SERVICES - [0:0]\n" OWN_CHAIN
                              "-D INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes "
                              "externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
                              "-X KUBE-EXTERNAL-SERVICES\n-X KUBE-SERVICES\n"
                              "-X FAIRLEAD-CLUSTER-IPS\nCOMMIT\n");
}

/* Both programs have a chain KUBE-NODE-PORT, and a chain stays when another mode comes: its rule tells. */
static void tells_whose_ipvs_is(void **state)
{
    static const char chains[] = "*nat\n:KUBE-NODE-PORT - [0:0]\n:KUBE-SERVICES - [0:0]\n";
    static const char node_port[] = "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT\n";
    static const char fairleads[] =
        "-A KUBE-SERVICES -m comment --comment \"fairlead: endpoints of the whole "
        "cluster for pods and the node\" -m set --match-set FAIRLEAD-INSIDE "
        "dst,dst -j KUBE-MARK-MASQ\n";
    static const struct {
        const char *before, *behind;
        bool is_proxys;
    } cases[] = {
        {"", "", false}, {node_port, "", true}, {fairleads, node_port, false}, {node_port, fairleads, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char saved[1024];
        snprintf(saved, sizeof(saved), "%s%s%sCOMMIT\n", chains, cases[i].before, cases[i].behind);
        assert_int_equal(iptables_is_of_proxys_ipvs(saved), cases[i].is_proxys);
    }
}

static void tells_own_marks(void **state)
{
    static const struct {
        const char *rule;
        uint32_t tag, tag_mask; /* 0: none are told */
    } cases[] = {
        {"-A FAIRLEAD-UNMARK -m mark --mark 0xe6000000/0xffc00000 -j MARK --set-xmark 0x0/0xffffffff\n",
         0xe6000000, 0xffc00000},
        {"-A FAIRLEAD-UNMARK -m mark --mark 0xe6000000 -j MARK --set-xmark 0x0/0xffffffff\n", 0, 0},
        {"-A FAIRLEAD-UNMARK -j RETURN\n", 0, 0},
        {"-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char saved[512];
        uint32_t tag = 0, tag_mask = 0;
        snprintf(saved, sizeof(saved), "*mangle\n:FAIRLEAD-UNMARK - [0:0]\n%sCOMMIT\n", cases[i].rule);
        assert_int_equal(iptables_own_tag(saved, &tag, &tag_mask), cases[i].tag_mask != 0);
        assert_int_equal(tag_mask, cases[i].tag_mask);
        if (tag_mask)
            assert_int_equal(tag, cases[i].tag);
    }
}

static void takes_only_its_scope(void **state)
{
    const char *at = FILTER_CHAINS OWN_CHAIN PORTAL_JUMP "COMMIT\n";
    struct iptables_removal removal;
    assert_true(iptables_next_removal(&at, (struct iptables_scope){.goes = IPTABLES_OWN}, &removal));
    assert_string_equal(text_str(&removal.restore),
                        "*filter\n" OWN_CHAIN "-X FAIRLEAD-CLUSTER-IPS\nCOMMIT\n");
    iptables_removal_done(&removal);
    at = "*nat\n:KUBE-NODE-PORT - [0:0]\n:KUBE-SEP-A - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n"
         "-A OUTPUT " PORTALS "-A KUBE-NODE-PORT -j KUBE-MARK-MASQ\nCOMMIT\n";
    assert_true(iptables_next_removal(&at, BESIDE_IPTABLES, &removal));
    assert_string_equal(text_str(&removal.restore),
                        "*nat\n:KUBE-NODE-PORT - [0:0]\n-X KUBE-NODE-PORT\nCOMMIT\n");
    iptables_removal_done(&removal);
}

static void survives_any_text(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "*",
                                        "*\nCOMMIT",
                                        "*nat\n:\n-A\n-A X\n-A X -j\nCOMMIT\n",
                                        "*nat\n: KUBE-SERVICES\n[ -A\n[1:2]\n-A PREROUTING \"\nCOMMIT\n",
                                        "*nat\n:KUBE-SERVICES\n-A X --comment \"a\\\nCOMMIT\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const char *at = texts[i];
        struct iptables_removal removal;
        while (iptables_next_removal(&at, EVERYTHING, &removal))
            iptables_removal_done(&removal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_out_what_is_kube_proxys),
        cmocka_unit_test(knows_the_jumps_of_every_mode),
        cmocka_unit_test(sees_who_needs_its_accepting_rules),
        cmocka_unit_test(leaves_the_rules_of_others),
        cmocka_unit_test(keeps_what_others_lead_to),
        cmocka_unit_test(keeps_the_masquerading_that_others_borrow),
        cmocka_unit_test(reads_table_by_table),
        cmocka_unit_test(keeps_what_serves),
        cmocka_unit_test(tells_who_wrote_them),
        cmocka_unit_test(tells_whose_ipvs_is),
        cmocka_unit_test(tells_own_marks),
        cmocka_unit_test(takes_only_its_scope),
        cmocka_unit_test(survives_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
