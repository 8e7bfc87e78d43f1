/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/change.h"

#include "base/cleanup.h"
#include "dataplane/iptables/test_portions.h"

/* Names of chains: see portion_test.c. */
#define WEB "LOLE4ISW44XBNF3G"
#define HERE "VMEXME22RQOGLX54"
#define THERE "4E3AHGUXBG6AIQ5M"

#define ONE_IP "clusterIP: 10.96.0.1, ports: [{port: 80}]"
#define ONE TEST_HERE("10.0.1.5")
#define BOTH ONE ", " TEST_THERE("10.0.2.5")

#define REJECTED                                                                                             \
    "KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/web has no endpoints\" "            \
    "-m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable\n"
#define NO_SUCH_PORT                                                                                         \
    "FAIRLEAD-CLUSTER-IPS -d 10.96.0.1/32 -m comment --comment \"default/web has no such port\" "            \
    "-j REJECT --reject-with icmp-port-unreachable\n"
#define CLUSTER_IP                                                                                           \
    "KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/web cluster IP\" "                  \
    "-m tcp --dport 80 -j KUBE-SVC-" WEB "\n"
#define LONE_ENDPOINT                                                                                        \
    "-A KUBE-SVC-" WEB " -m comment --comment \"default/web -> 10.0.1.5:8080\" -j KUBE-SEP-" HERE "\n"
#define ENDPOINT(chain, address)                                                                             \
    "-A KUBE-SEP-" chain " -s " address "/32 -m comment --comment \"default/web\" -j KUBE-MARK-MASQ\n"       \
    "-A KUBE-SEP-" chain " -p tcp -m comment --comment \"default/web\" -m tcp -j DNAT "                      \
    "--to-destination " address ":8080\n"

struct counts {
    uint32_t adds, removes;
};

/* "" as spec: no Service. */
static struct counts expect(const struct test_objects *old, const struct test_objects *next,
                            const char *wanted)
{
    struct node_view view = {.local_detect = LOCAL_DETECT_NONE};
    struct portion before, after;
    struct arena arena;
    struct change change = {0};
    struct text text = {0};
    arena_init(&arena);
    struct entry *was = *old->spec ? test_entry(old, &view) : NULL;
    struct entry *is = *next->spec ? test_entry(next, &view) : NULL;
    portion_build(was, FAMILY_IPV4, &view, false, &arena, &before);
    portion_build(is, FAMILY_IPV4, &view, false, &arena, &after);
    change_add(&change, &before, &after);
    change_write(&change, &text);
    assert_string_equal(text_str(&text), wanted);
    struct counts counts = {change.adds, change.removes};
    change_done(&change);
    text_done(&text);
    arena_done(&arena);
    slab_free(was);
    slab_free(is);
    return counts;
}

static const struct test_objects nothing = {"", "", "", ""};
static const struct test_objects empty = {ONE_IP, "", "", ""};
static const struct test_objects one = {ONE_IP, "", ONE, ""};
static const struct test_objects both = {ONE_IP, "", BOTH, ""};

static void nothing_changed_is_nothing_to_do(void **state)
{
    struct counts counts = expect(&both, &both, "");
    assert_int_equal(counts.adds + counts.removes, 0);
    expect(&nothing, &nothing, "");
}

/* The chain that chooses, and the new endpoint's; what is shared and the other endpoint stay as they are. */
static void only_chains_that_changed_are_written(void **state)
{
    struct counts counts =
        expect(&one, &both,
               "*nat\n"
               ":KUBE-SVC-" WEB " - [0:0]\n"
               ":KUBE-SEP-" THERE " - [0:0]\n"
               "-A KUBE-SVC-" WEB " -m comment --comment \"default/web -> 10.0.1.5:8080\" "
               "-m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-" HERE "\n"
               "-A KUBE-SVC-" WEB " -m comment --comment \"default/web -> 10.0.2.5:8080\" "
               "-j KUBE-SEP-" THERE "\n" ENDPOINT(THERE, "10.0.2.5") "COMMIT\n");
    assert_int_equal(counts.adds, 4);
    assert_int_equal(counts.removes, 0);
}

/* Emptied ahead of everything, removed behind it: nobody may lead there any more then. */
static void chains_that_nobody_needs_go(void **state)
{
    struct counts counts = expect(&both, &one,
                                  "*nat\n"
                                  ":KUBE-SVC-" WEB " - [0:0]\n"
                                  ":KUBE-SEP-" THERE " - [0:0]\n" LONE_ENDPOINT "-X KUBE-SEP-" THERE "\n"
                                  "COMMIT\n");
    assert_int_equal(counts.adds, 1);
    assert_int_equal(counts.removes, 1);
}

/* Tables change one after the other. Packets that find no endpoint any more must find the refusal already. */
static void the_last_endpoint_goes_behind_the_refusal(void **state)
{
    expect(&one, &empty,
           "*filter\n"
           "-I " REJECTED "COMMIT\n"
           "*nat\n"
           ":KUBE-SVC-" WEB " - [0:0]\n"
           ":KUBE-SEP-" HERE " - [0:0]\n"
           "-D " CLUSTER_IP "-X KUBE-SVC-" WEB "\n"
           "-X KUBE-SEP-" HERE "\n"
           "COMMIT\n");
}

static void the_refusal_goes_behind_the_first_endpoint(void **state)
{
    expect(&empty, &one,
           "*nat\n"
           ":KUBE-SVC-" WEB " - [0:0]\n"
           ":KUBE-SEP-" HERE " - [0:0]\n" LONE_ENDPOINT ENDPOINT(HERE, "10.0.1.5") "-I " CLUSTER_IP "COMMIT\n"
                                                                                   "*filter\n"
                                                                                   "-D " REJECTED "COMMIT\n");
}

static void a_service_comes_and_goes_whole(void **state)
{
    expect(&nothing, &one,
           "*filter\n"
           "-I " NO_SUCH_PORT "COMMIT\n"
           "*nat\n"
           ":KUBE-SVC-" WEB " - [0:0]\n"
           ":KUBE-SEP-" HERE " - [0:0]\n" LONE_ENDPOINT ENDPOINT(HERE, "10.0.1.5") "-I " CLUSTER_IP
                                                                                   "COMMIT\n");
    expect(&one, &nothing,
           "*nat\n"
           ":KUBE-SVC-" WEB " - [0:0]\n"
           ":KUBE-SEP-" HERE " - [0:0]\n"
           "-D " CLUSTER_IP "-X KUBE-SVC-" WEB "\n"
           "-X KUBE-SEP-" HERE "\n"
           "COMMIT\n"
           "*filter\n"
           "-D " NO_SUCH_PORT "COMMIT\n");
}

/* Rules in shared chains go in at the head, since the last of nat's KUBE-SERVICES has to stay the last. */
static void shared_rules_go_in_at_the_head(void **state)
{
    static const struct test_objects outside = {ONE_IP ", externalIPs: [198.51.100.9]", "", ONE, ""};
    expect(&one, &outside,
           "*nat\n"
           ":KUBE-EXT-" WEB " - [0:0]\n"
           "-A KUBE-EXT-" WEB " -m comment --comment "
           "\"masquerade traffic for default/web external destinations\" -j KUBE-MARK-MASQ\n"
           "-A KUBE-EXT-" WEB " -j KUBE-SVC-" WEB "\n"
           "-I KUBE-SERVICES -d 198.51.100.9/32 -p tcp -m comment --comment "
           "\"default/web external IP\" -m tcp --dport 80 -j KUBE-EXT-" WEB "\n"
           "COMMIT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed_is_nothing_to_do),
        cmocka_unit_test(only_chains_that_changed_are_written),
        cmocka_unit_test(chains_that_nobody_needs_go),
        cmocka_unit_test(the_last_endpoint_goes_behind_the_refusal),
        cmocka_unit_test(the_refusal_goes_behind_the_first_endpoint),
        cmocka_unit_test(a_service_comes_and_goes_whole),
        cmocka_unit_test(shared_rules_go_in_at_the_head),
    };
    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
