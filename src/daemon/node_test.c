/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/node.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "store/test_objects.h"

#define ADDRESSES_MAX 8

static void set_interfaces(struct interface_addresses *interfaces, struct address list[ADDRESSES_MAX],
                           const char *texts)
{
    char *copy = xstrdup(texts), *rest = copy;
    interfaces->list = list;
    interfaces->count = 0;
    for (char *piece; (piece = strsep(&rest, " "));)
        if (*piece)
            assert_int_equal(address_parse(piece, &list[interfaces->count++], NULL), 0);
    free(copy);
}

static const char *format(const struct address *list, uint32_t count, struct text *text)
{
    char address[ADDRESS_TEXT_MAX];
    text_done(text);
    text_add(text, "");
    for (uint32_t i = 0; i < count; i++)
        text_printf(text, "%s%s", i ? " " : "", address_format(&list[i], address));
    return text_str(text);
}

static void parse(const char *flags, struct arena *arena, struct options *ret)
{
    char *argv[8] = {"--manifests", "/m", "--hostname-override", "here"};
    int argc = 4;
    struct err err;
    char *rest = arena_strdup(arena, flags);
    for (char *piece; (piece = strsep(&rest, " "));)
        if (*piece)
            argv[argc++] = piece;
    if (options_parse(argc, argv, arena, ret, &err) < 0)
        fail_msg("%s", err.text);
}

#define NODE_OBJECT                                                                                          \
    TEST_NODE("here", "topology.kubernetes.io/zone: a", "podCIDRs: [10.0.1.0/24, 'fd00:1::/64']",            \
              "{type: ExternalIP, address: 203.0.113.1}, {type: InternalIP, address: 192.0.2.1}, {type: "    \
              "InternalIP, address: '2001:db8::1'}, {type: InternalIP, address: 192.0.2.2}")
#define INTERFACES "192.0.2.1 192.0.2.7 198.51.100.1 2001:db8::1 2001:db8:1::1"

/* What the daemon takes for the node's addresses, and on which of them node ports answer (A1, A9). */
static void addresses_come_from_flags_object_and_interfaces(void **state)
{
    static const struct {
        const char *flags, *objects, *node_ips, *node_port_addresses;
    } cases[] = {
        {"", NODE_OBJECT, "192.0.2.1 2001:db8::1", "192.0.2.1 2001:db8::1"},
        {"--bind-address 192.0.2.9", NODE_OBJECT, "192.0.2.9 2001:db8::1", "192.0.2.9 2001:db8::1"},
        {"--bind-address 192.0.2.9", "", "192.0.2.9", "192.0.2.9"},
        {"--bind-address 0.0.0.0", NODE_OBJECT, "192.0.2.1 2001:db8::1", "192.0.2.1 2001:db8::1"},
        {"--bind-address ::", NODE_OBJECT, "192.0.2.1 2001:db8::1", "192.0.2.1 2001:db8::1"},
        {"", TEST_NODE("here", "", "", "{type: ExternalIP, address: 203.0.113.1}"), "203.0.113.1",
         "203.0.113.1"},
        {"", TEST_NODE("other", "", "", "{type: InternalIP, address: 203.0.113.1}"), "", INTERFACES},
        {"--nodeport-addresses 192.0.2.0/24,2001:db8:1::/48", NODE_OBJECT, "192.0.2.1 2001:db8::1",
         "192.0.2.1 192.0.2.7 2001:db8:1::1"},
        {"--nodeport-addresses 192.0.2.7/32", NODE_OBJECT, "192.0.2.1 2001:db8::1",
         "192.0.2.7 2001:db8::1 2001:db8:1::1"},
        {"--nodeport-addresses 0.0.0.0/0,2001:db8:2::/48", NODE_OBJECT, "192.0.2.1 2001:db8::1",
         "192.0.2.1 192.0.2.7 198.51.100.1"},
        {"--bind-address 127.0.0.1", "", "127.0.0.1", ""},
        {"--iptables-localhost-nodeports --nodeport-addresses=127.0.0.0/8,2001:db8:1::/48", "", "",
         "2001:db8:1::1 127.0.0.1"},
        {"--nodeport-addresses=127.0.0.0/8,2001:db8:1::/48", "", "", "2001:db8:1::1"},
        {"--iptables-localhost-nodeports --nodeport-addresses=192.0.2.7/32,2001:db8:1::/48", "", "",
         "192.0.2.7 2001:db8:1::1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interface_addresses interfaces;
        struct address list[ADDRESSES_MAX];
        struct options options;
        struct node_facts facts;
        struct arena arena;
        struct text text = {0};
        arena_init(&arena);
        parse(cases[i].flags, &arena, &options);
        set_interfaces(&interfaces, list, INTERFACES);
        struct store *store = test_store(cases[i].objects);
        node_build(&options, store, &interfaces, &facts);
        assert_string_equal(format(facts.view.node_ips, facts.view.node_ip_count, &text), cases[i].node_ips);
        assert_string_equal(
            format(facts.dataplane.node_port_addresses, facts.dataplane.node_port_address_count, &text),
            cases[i].node_port_addresses);
        node_done(&facts);
        store_free(store);
        text_done(&text);
        arena_done(&arena);
    }
}

static void the_local_detector_takes_the_nodes_own_ranges(void **state)
{
    static const struct {
        const char *flags, *objects, *v4, *v6; /* NULL: none of this family */
        enum local_detect detect;
    } cases[] = {
        {"", NODE_OBJECT, NULL, NULL, LOCAL_DETECT_NONE},
        {"--cluster-cidr 10.0.0.0/16", NODE_OBJECT, "10.0.0.0/16", NULL, LOCAL_DETECT_CIDR},
        {"--detect-local-mode NodeCIDR", NODE_OBJECT, "10.0.1.0/24", "fd00:1::/64", LOCAL_DETECT_CIDR},
        {"--detect-local-mode NodeCIDR", TEST_NODE("here", "", "podCIDR: 10.0.2.0/24", ""), "10.0.2.0/24",
         NULL, LOCAL_DETECT_CIDR},
        {"--detect-local-mode NodeCIDR", "", NULL, NULL, LOCAL_DETECT_CIDR},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interface_addresses interfaces = {0};
        struct options options;
        struct node_facts facts;
        struct arena arena;
        char text[PREFIX_TEXT_MAX];
        arena_init(&arena);
        parse(cases[i].flags, &arena, &options);
        struct store *store = test_store(cases[i].objects);
        node_build(&options, store, &interfaces, &facts);
        const char *const expected[FAMILY_COUNT] = {cases[i].v4, cases[i].v6};
        assert_int_equal(facts.view.local_detect, cases[i].detect);
        for (int family = 0; family < FAMILY_COUNT; family++) {
            assert_int_equal(facts.view.has_cluster_cidr[family], expected[family] != NULL);
            if (expected[family])
                assert_string_equal(prefix_format(&facts.view.cluster_cidr[family], text), expected[family]);
        }
        node_done(&facts);
        store_free(store);
        arena_done(&arena);
    }
}

static void service_cidrs_are_gathered_without_overlaps(void **state)
{
    struct store *store =
        test_store(TEST_SERVICE_CIDR("one", "10.96.0.0/16, 'fd00:96::/112'")
                       TEST_SERVICE_CIDR("two", "10.96.1.0/24") TEST_SERVICE_CIDR("six", "10.97.0.0/16"));
    struct interface_addresses interfaces = {0};
    struct options options;
    struct node_facts facts;
    struct arena arena;
    struct text got = {0};
    char text[PREFIX_TEXT_MAX];
    arena_init(&arena);
    parse("", &arena, &options);
    node_build(&options, store, &interfaces, &facts);
    for (uint32_t i = 0; i < facts.dataplane.service_cidr_count; i++)
        text_printf(&got, "%s ", prefix_format(&facts.dataplane.service_cidrs[i], text));
    assert_string_equal(text_str(&got), "10.96.0.0/16 fd00:96::/112 10.97.0.0/16 ");
    node_done(&facts);
    store_free(store);
    text_done(&got);
    arena_done(&arena);
}

/* KEP-3836: a load balancer keeps away from a node that is about to go, or that its cluster does not know. */
static void a_node_is_eligible_while_its_cluster_means_to_keep_it(void **state)
{
    static const struct {
        enum role role;
        const char *objects;
        bool is_eligible;
    } cases[] = {
        {ROLE_PROXY, NODE_OBJECT, true},
        {ROLE_PROXY, TEST_NODE("other", "", "", ""), false},
        {ROLE_PROXY,
         TEST_NODE("here", "", "taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", ""),
         false},
        {ROLE_PROXY, TEST_NODE("here", "", "taints: [{key: other, effect: NoSchedule}]", ""), true},
        {ROLE_STANDALONE, "", true},
        {ROLE_STANDALONE,
         TEST_NODE("here", "", "taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", ""),
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interface_addresses interfaces = {0};
        struct options options;
        struct node_facts facts;
        struct arena arena;
        arena_init(&arena);
        parse("", &arena, &options);
        options.role = cases[i].role;
        struct store *store = test_store(cases[i].objects);
        node_build(&options, store, &interfaces, &facts);
        if (facts.is_eligible != cases[i].is_eligible)
            fail_msg("row %zu: eligible %d", i, facts.is_eligible);
        node_done(&facts);
        store_free(store);
        arena_done(&arena);
    }
}

/* Each edit is one that changes what some entry or the table's rules come out as, but for the last ones. */
static void changes_that_matter_are_seen(void **state)
{
    static const struct {
        const char *flags, *objects, *interfaces;
        bool is_same;
    } cases[] = {
        {"", NODE_OBJECT, INTERFACES, true},
        {"",
         TEST_NODE("here", "topology.kubernetes.io/zone: b", "podCIDRs: [10.0.1.0/24, 'fd00:1::/64']", ""),
         INTERFACES, false},
        {"", NODE_OBJECT TEST_SERVICE_CIDR("c", "10.96.0.0/16"), INTERFACES, false},
        {"--bind-address 192.0.2.9", NODE_OBJECT, INTERFACES, false},
        {"--masquerade-all", NODE_OBJECT, INTERFACES, false},
        {"--detect-local-mode NodeCIDR", NODE_OBJECT, INTERFACES, false},
        {"--detect-local-mode BridgeInterface --pod-bridge-interface b", NODE_OBJECT, INTERFACES, false},
        {"", "", "192.0.2.1", false},
        {"", NODE_OBJECT, "192.0.2.1", true}, /* node ports are on the object's addresses */
        {"", NODE_OBJECT TEST_NODE("other", "", "", "{type: InternalIP, address: 192.0.2.3}"), INTERFACES,
         true},
    };
    struct arena arena;
    struct interface_addresses interfaces;
    struct address list[ADDRESSES_MAX];
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options options;
        struct node_facts before, after;
        /* One store for both: names are numbers of their store. */
        struct store *store = test_store(NODE_OBJECT);
        parse("", &arena, &options);
        set_interfaces(&interfaces, list, INTERFACES);
        node_build(&options, store, &interfaces, &before);
        store_node_remove(store, "here");
        test_put(store, cases[i].objects);
        parse(cases[i].flags, &arena, &options);
        set_interfaces(&interfaces, list, cases[i].interfaces);
        node_build(&options, store, &interfaces, &after);
        if (node_is_same(&before, &after) != cases[i].is_same)
            fail_msg("row %zu (%s): same %d", i, cases[i].flags, !cases[i].is_same);
        node_done(&before);
        node_done(&after);
        store_free(store);
    }
    arena_done(&arena);
}

static void a_node_that_leaves_is_not_eligible(void **state)
{
    static const struct {
        const char *objects;
        bool is_eligible;
    } cases[] = {
        {"", true}, /* without a Node object there is nothing to leave by */
        {NODE_OBJECT, true},
        {TEST_NODE("here", "", "taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", ""),
         false},
        {TEST_NODE("other", "", "taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", ""),
         true},
    };
    struct interface_addresses interfaces = {0};
    struct arena arena;
    struct options options;
    arena_init(&arena);
    parse("", &arena, &options);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_facts facts;
        struct store *store = test_store(cases[i].objects);
        node_build(&options, store, &interfaces, &facts);
        assert_int_equal(facts.is_eligible, cases[i].is_eligible);
        node_done(&facts);
        store_free(store);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_from_flags_object_and_interfaces),
        cmocka_unit_test(the_local_detector_takes_the_nodes_own_ranges),
        cmocka_unit_test(service_cidrs_are_gathered_without_overlaps),
        cmocka_unit_test(a_node_is_eligible_while_its_cluster_means_to_keep_it),
        cmocka_unit_test(changes_that_matter_are_seen),
        cmocka_unit_test(a_node_that_leaves_is_not_eligible),
    };
    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
