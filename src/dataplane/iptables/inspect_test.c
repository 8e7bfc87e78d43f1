/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/inspect.h"

#include "base/cleanup.h"
#include "dataplane/iptables/counts.h"
#include "dataplane/iptables/test_portions.h"

#define BALANCER                                                                                             \
    "type: LoadBalancer, clusterIP: 10.96.0.1, externalTrafficPolicy: Local, healthCheckNodePort: 30100, "   \
    "loadBalancerSourceRanges: [192.0.2.0/24], ports: [{port: 80, nodePort: 30080}]"

static const struct test_objects two = {BALANCER, "{ip: 203.0.113.9}",
                                        TEST_HERE("10.0.1.5") ", " TEST_THERE("10.0.2.5"), ""};
static const struct test_objects none = {BALANCER, "{ip: 203.0.113.9}", "", ""};

struct fixture {
    struct node_view view;
    struct entry *entry;
    struct arena arena;
    struct portion portion; /* of the frontend */
    struct layout held;     /* by the kernel: everything that should be there */
};

static void fixture_init(struct fixture *fixture, const struct test_objects *objects, enum frontend_kind kind)
{
    const struct frontend *frontend = NULL;
    *fixture = (struct fixture){.view = {.local_detect = LOCAL_DETECT_CIDR, .masquerade_all = true}};
    const struct dataplane_node node = {
        .view = &fixture->view, .are_node_ports_everywhere = {true, true}, .masquerade_mark = 0x4000};
    arena_init(&fixture->arena);
    fixture->entry = test_entry(objects, &fixture->view);
    for (uint32_t i = 0; i < fixture->entry->frontend_count; i++)
        if (fixture->entry->frontends[i].kind == kind)
            frontend = &fixture->entry->frontends[i];
    assert_non_null(frontend);
    inspect_select(fixture->entry, frontend, &fixture->view, false, &fixture->arena, &fixture->portion);
    layout_build(&node, (const struct entry *const *)&fixture->entry, 1, FAMILY_IPV4, false, &fixture->held);
}

static void fixture_done(struct fixture *fixture)
{
    layout_done(&fixture->held);
    arena_done(&fixture->arena);
    slab_free(fixture->entry);
}

static const enum frontend_kind kinds[] = {FRONTEND_CLUSTER_IP, FRONTEND_LOAD_BALANCER, FRONTEND_NODE_PORT};

/* Also where a chain has rules for the sake of another frontend: the cluster IP's masquerading is in the
 * chain that the others lead to. */
static void a_whole_kernel_agrees(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct fixture fixture;
        struct text text = {0};
        fixture_init(&fixture, i == 0 ? &two : &none, kinds[i]);
        assert_true(inspect_compare(&fixture.held, &fixture.portion, &text));
        fixture_done(&fixture);
        fixture_init(&fixture, &two, kinds[i]);
        assert_true(inspect_compare(&fixture.held, &fixture.portion, &text));
        assert_null(strstr(text_str(&text), "MISSING"));
        assert_null(strstr(text_str(&text), "DIFFERS"));
        text_done(&text);
        fixture_done(&fixture);
    }
}

static void only_chains_of_the_frontend_are_asked_for(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, &two, FRONTEND_NODE_PORT);
    for (uint32_t i = 0; i < fixture.portion.chain_count; i++)
        assert_null(strstr(fixture.portion.chains[i].name, "KUBE-FW-"));
    assert_int_equal(fixture.portion.shared_count, 1);
    assert_int_equal(fixture.portion.shared[0].chain, SHARED_NAT_NODE_PORTS);
    fixture_done(&fixture);
}

static struct layout_chain *held_chain(struct fixture *fixture, const char *prefix)
{
    for (struct layout_chain *chain = fixture->held.chains; chain; chain = chain->hh.next)
        if (strncmp(chain->key, prefix, strlen(prefix)) == 0)
            return chain;
    fail_msg("no chain %s", prefix);
    return NULL;
}

static void expect_words(struct fixture *fixture, const char *words)
{
    struct text text = {0};
    assert_false(inspect_compare(&fixture->held, &fixture->portion, &text));
    if (!strstr(text_str(&text), words))
        fail_msg("\"%s\" is not in\n%s", words, text_str(&text));
    text_done(&text);
    fixture_done(fixture);
}

static void what_is_missing_is_named(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, &two, FRONTEND_LOAD_BALANCER);
    held_chain(&fixture, "filter KUBE-PROXY-FIREWALL")->count = 0;
    expect_words(&fixture, "MISSING in the kernel: filter KUBE-PROXY-FIREWALL: -d 203.0.113.9/32 ");
    fixture_init(&fixture, &two, FRONTEND_CLUSTER_IP);
    struct layout_chain *chain = held_chain(&fixture, "nat KUBE-SVC-");
    HASH_DEL(fixture.held.chains, chain);
    expect_words(&fixture, "MISSING in the kernel: nat KUBE-SVC-LOLE4ISW44XBNF3G\n");
}

static void what_differs_is_shown_twice(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, &two, FRONTEND_CLUSTER_IP);
    held_chain(&fixture, "nat KUBE-SEP-VMEXME22RQOGLX54")->rules[1] = "-j ACCEPT";
    expect_words(&fixture, "  nat KUBE-SEP-VMEXME22RQOGLX54: -j ACCEPT\n"
                           "  nat KUBE-SEP-VMEXME22RQOGLX54 DIFFERS from what fairlead wants:\n"
                           "    -s 10.0.1.5/32 -m comment --comment \"default/web\" -j KUBE-MARK-MASQ\n"
                           "    -p tcp -m comment --comment \"default/web\" -m tcp -j DNAT "
                           "--to-destination 10.0.1.5:8080\n");
    /* A rule too many, too. */
    fixture_init(&fixture, &two, FRONTEND_CLUSTER_IP);
    held_chain(&fixture, "nat KUBE-SEP-VMEXME22RQOGLX54")->count = 1;
    expect_words(&fixture, "KUBE-SEP-VMEXME22RQOGLX54 DIFFERS");
}

struct tally {
    uint64_t services, endpoints, all;
};

static void take_count(void *context, const char *chain, uint64_t rules)
{
    struct tally *tally = context;
    tally->all += rules;
    if (strcmp(chain, "nat KUBE-SERVICES") == 0)
        tally->services = rules;
    if (strcmp(chain, "nat KUBE-SEP") == 0)
        tally->endpoints = rules;
}

/* Counted from a whole layout or change by change: the same. */
static void counts_follow_changes(void **state)
{
    struct fixture from, to;
    struct counts grown = {0}, fresh = {0};
    struct portion old, next;
    struct tally tally = {0};
    fixture_init(&from, &none, FRONTEND_CLUSTER_IP);
    fixture_init(&to, &two, FRONTEND_CLUSTER_IP);
    counts_add_layout(&grown, &from.held);
    counts_add_layout(&fresh, &to.held);
    assert_memory_not_equal(&grown, &fresh, sizeof(grown));
    portion_build(from.entry, FAMILY_IPV4, &from.view, false, &from.arena, &old);
    portion_build(to.entry, FAMILY_IPV4, &to.view, false, &to.arena, &next);
    counts_replace(&grown, &old, &next);
    assert_memory_equal(&grown, &fresh, sizeof(grown));
    counts_visit(&fresh, take_count, &tally);
    assert_int_equal(tally.services, 3); /* cluster IP, balancer, and the one for node ports */
    assert_int_equal(tally.endpoints, 4);
    fixture_done(&from);
    fixture_done(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_kernel_agrees),
        cmocka_unit_test(only_chains_of_the_frontend_are_asked_for),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(what_differs_is_shown_twice),
        cmocka_unit_test(counts_follow_changes),
    };
    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
