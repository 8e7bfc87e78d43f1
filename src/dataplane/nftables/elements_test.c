/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/elements.h"

#include "base/cleanup.h"
#include "base/slab.h"
#include "dataplane/nftables/readback.h"
#include "dataplane/nftables/test_entries.h"

#define BALANCED                                                                                             \
    "type: LoadBalancer, clusterIP: 10.96.0.1, externalTrafficPolicy: Local, sessionAffinity: ClientIP, "    \
    "loadBalancerSourceRanges: [198.51.100.0/24, 10.0.0.0/8], ports: [{port: 80, nodePort: 30080}]"
#define ENDPOINTS "{addresses: [10.0.0.1], nodeName: here}, {addresses: [10.0.0.2], nodeName: there}"

static void format_all(const struct element_list *list, struct text *ret)
{
    for (uint32_t i = 0; i < list->count; i++) {
        text_printf(ret, "%s ", set_schema(list->list[i].set)->name);
        element_format(&list->list[i], ret);
        text_add(ret, "\n");
    }
}

static void an_entry_becomes_elements(void **state)
{
    static const struct {
        const char *spec, *ingress, *endpoints, *own, *shared;
    } cases[] = {
        {"clusterIP: 10.96.0.1, ports: [{port: 80}]", "", "", "services 10.96.0.1 . tcp . 80 : 100:0\n",
         "cluster-ips 10.96.0.1\n"},
        {"clusterIP: 10.96.0.1, internalTrafficPolicy: Local, ports: [{port: 80}]", "",
         "{addresses: [10.0.0.2]}", "services 10.96.0.1 . tcp . 80 : 0:0\n", "cluster-ips 10.96.0.1\n"},
        {"clusterIP: 10.96.0.1, ports: [{port: 80, protocol: SCTP}]", "", "",
         "services 10.96.0.1 . sctp . 80 : 100:0\n", "cluster-ips 10.96.0.1\n"},
        {"clusterIP: 10.96.0.1, ports: [{port: 80}]", "", ENDPOINTS,
         "services 10.96.0.1 . tcp . 80 : 0:2\n"
         "endpoints 10.96.0.1 . tcp . 80 . 0:0 : 10.0.0.1 . 8080\n"
         "endpoints 10.96.0.1 . tcp . 80 . 0:1 : 10.0.0.2 . 8080\n",
         "cluster-ips 10.96.0.1\nhairpin 10.0.0.1 . 10.0.0.1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text text = {0};
        struct numbers ids = {0};
        arena_init(&arena);
        struct element_list own = {.arena = &arena}, shared = {.arena = &arena};
        cleanup_slab struct entry *entry =
            test_entry("web", cases[i].spec, cases[i].ingress, cases[i].endpoints);
        elements_build_own(entry, &ids, &own);
        elements_build_shared(entry, &shared);
        format_all(&own, &text);
        assert_string_equal(text.data, cases[i].own);
        text_done(&text);
        format_all(&shared, &text);
        assert_string_equal(text.data, cases[i].shared);
        text_done(&text);
        numbers_done(&ids);
        arena_done(&arena);
    }
}

static void no_entry_has_no_elements(void **state)
{
    struct arena arena;
    struct numbers ids = {0};
    arena_init(&arena);
    struct element_list list = {.arena = &arena};
    elements_build_own(NULL, &ids, &list);
    elements_build_shared(NULL, &list);
    assert_int_equal(list.count, 0);
    arena_done(&arena);
}

static void shadowed_frontends_are_left_out(void **state)
{
    struct arena arena;
    struct numbers ids = {0};
    arena_init(&arena);
    cleanup_slab struct entry *entry = test_entry("web", BALANCED, "{ip: 203.0.113.9}", ENDPOINTS);
    for (uint32_t i = 0; i < entry->frontend_count; i++)
        entry->frontends[i].is_shadowed = true;
    struct element_list list = {.arena = &arena};
    elements_build_own(entry, &ids, &list);
    assert_int_equal(list.count, 0);
    numbers_done(&ids);
    arena_done(&arena);
}

static void lists_are_sorted_and_free_of_repeats(void **state)
{
    struct arena arena;
    struct numbers ids = {0};
    arena_init(&arena);
    cleanup_slab struct entry *entry = test_entry("web", BALANCED, "{ip: 203.0.113.9}", ENDPOINTS);
    struct element_list list = {.arena = &arena};
    elements_build_own(entry, &ids, &list);
    assert_true(list.count > 15);
    for (uint32_t i = 1; i < list.count; i++)
        assert_true(element_cmp(&list.list[i - 1], &list.list[i]) < 0);
    assert_int_equal(element_cmp(&list.list[3], &list.list[3]), 0);
    numbers_done(&ids);
    arena_done(&arena);
}

static void the_node_becomes_elements(void **state)
{
    struct arena arena;
    struct text text = {0};
    struct address addresses[3];
    struct prefix cidrs[2];
    arena_init(&arena);
    address_parse("192.0.2.2", &addresses[0], NULL);
    address_parse("2001:db8::1", &addresses[1], NULL);
    address_parse("192.0.2.2", &addresses[2], NULL);
    prefix_parse("10.96.0.0/16", &cidrs[0], NULL);
    prefix_parse("fd00:96::/112", &cidrs[1], NULL);
    const struct dataplane_node node = {.node_port_addresses = addresses,
                                        .node_port_address_count = 3,
                                        .service_cidrs = cidrs,
                                        .service_cidr_count = 2};
    struct element_list list = {.arena = &arena};
    elements_build_node(&node, &list);
    format_all(&list, &text);
    assert_string_equal(text.data, "node-ips 192.0.2.2\nnode-ips 2001:db8::1\n"
                                   "service-cidrs 10.96.0.0 - 10.96.255.255\n"
                                   "service-cidrs fd00:96:: - fd00:96::ffff\n");
    text_done(&text);
    arena_done(&arena);
}

static void take_parsed(const struct element *element, void *context)
{
    element_list_add(context, element);
}

/* What goes to the kernel says what the value said: parse(encode(x)) = x, for both families and every set
 * that entries fill. */
static void the_wire_carries_the_value(void **state)
{
    static const char six[] =
        "type: LoadBalancer, clusterIP: 'fd00:96::1', externalTrafficPolicy: Local, "
        "sessionAffinity: ClientIP, loadBalancerSourceRanges: ['2001:db8::/32'], ports: "
        "[{port: 80, nodePort: 30080, protocol: UDP}]";
    bool was_seen[SET_COUNT] = {false};
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct arena arena;
        struct batch batch;
        struct numbers ids = {0};
        arena_init(&arena);
        batch_init(&batch);
        cleanup_slab struct entry *entry =
            test_entry("web", family ? six : BALANCED, family ? "{ip: '2001:db8::9'}" : "{ip: 203.0.113.9}",
                       family ? "" : ENDPOINTS);
        struct element_list sent = {.arena = &arena};
        elements_build_own(entry, &ids, &sent);
        elements_build_shared(entry, &sent);
        for (uint32_t i = 0; i < sent.count; i++)
            batch_add_element(&batch, &sent.list[i]);
        assert_int_equal(batch.element_adds, sent.count);
        for (uint32_t i = 0; i < sent.count; i++) {
            const struct segment *segment = &batch.sets[1][family][sent.list[i].set];
            struct element_list parsed = {.arena = &arena};
            readback_parse_elements((const struct nlmsghdr *)(const void *)segment->data, (enum family)family,
                                    sent.list[i].set, take_parsed, &parsed);
            bool is_there = false;
            for (uint32_t k = 0; k < parsed.count; k++)
                is_there |= element_cmp(&parsed.list[k], &sent.list[i]) == 0 &&
                            element_same_data(&parsed.list[k], &sent.list[i]);
            if (!is_there)
                fail_msg("an element of %s does not come back", set_schema(sent.list[i].set)->name);
            was_seen[sent.list[i].set] = true;
        }
        batch_done(&batch);
        numbers_done(&ids);
        arena_done(&arena);
    }
    static const enum set_id expected[] = {
        SET_SERVICES,     SET_NODE_PORTS,      SET_GUARDED,     SET_LOCALS,         SET_NODE_LOCALS,
        SET_SHORTCUTS,    SET_NODE_SHORTCUTS,  SET_ENDPOINTS,   SET_NODE_ENDPOINTS, SET_SOURCE_RANGES,
        SET_AFFINITY_IDS, SET_AFFINITY_LEARNS, SET_CLUSTER_IPS, SET_HAIRPIN};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(was_seen[expected[i]]);
}

static void verdicts_follow_from_the_key(void **state)
{
    static const struct {
        enum set_id set;
        uint32_t value;
        const char *text;
    } cases[] = {
        {SET_VERDICTS, 2, "0:2 : goto pick-2"},
        {SET_VERDICTS, VALUE_DROP, "0:0 : drop"},
        {SET_NODE_VERDICTS, VALUE_EXTERNAL_LOCAL, "200:0 : goto node-external-local"},
        {SET_SOURCE_VERDICTS, 2, "0:2 : return"},
        {SET_SOURCE_VERDICTS, 2 | 1u << VALUE_MASQUERADE_SHIFT, "10:2 : goto masquerade-always"},
        {SET_SOURCE_GUARDED_VERDICTS, VALUE_REJECT, "100:0 : return"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct element element = {.set = cases[i].set}, other = element;
        struct text text = {0};
        memcpy(element.key, &cases[i].value, sizeof(cases[i].value));
        element_set_verdict(&element);
        element_format(&element, &text);
        assert_string_equal(text.data, cases[i].text);
        other.verdict = (struct verdict){.is_goto = true, .chain = "elsewhere"};
        assert_false(element_same_data(&element, &other));
        text_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_becomes_elements),
        cmocka_unit_test(no_entry_has_no_elements),
        cmocka_unit_test(shadowed_frontends_are_left_out),
        cmocka_unit_test(lists_are_sorted_and_free_of_repeats),
        cmocka_unit_test(the_node_becomes_elements),
        cmocka_unit_test(the_wire_carries_the_value),
        cmocka_unit_test(verdicts_follow_from_the_key),
    };
    return cmocka_run_group_tests_name("elements", tests, NULL, NULL);
}
