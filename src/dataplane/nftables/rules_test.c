/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/rules.h"

#include "base/cleanup.h"
#include "forwarding/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void values_lead_to_chains(void **state)
{
#define MASQUERADED(how, count) ((uint32_t)(how) << VALUE_MASQUERADE_SHIFT | (count))
    static const struct {
        uint32_t value;
        const char *chain, *node_chain, *source_chain; /* NULL: drop; for the source: it is kept */
    } cases[] = {
        {VALUE_DROP, NULL, NULL, NULL},
        {VALUE_REJECT, "rejected", "rejected", NULL},
        {VALUE_EXTERNAL_LOCAL, "external-local", "node-external-local", "masquerade-local-sources"},
        {VALUE_GUARDED, "guarded", "guarded", "source-guarded"},
        {1, "pick-1", "node-pick-1", NULL},
        {VALUE_COUNT_MASK, "pick-65535", "node-pick-65535", NULL},
        {VALUE_AFFINITY | 3, "affine-3", "node-affine-3", NULL},
        {VALUE_SHORTCUT | 3, "shortcut-pick-3", "node-shortcut-pick-3", NULL},
        {VALUE_SHORTCUT | VALUE_AFFINITY | 3, "shortcut-affine-3", "node-shortcut-affine-3", NULL},
        {MASQUERADED(MASQUERADE_ALWAYS, 2), "pick-2", "node-pick-2", "masquerade-always"},
        {MASQUERADED(MASQUERADE_OFF_CLUSTER, 2), "pick-2", "node-pick-2", "masquerade-off-cluster"},
        {MASQUERADED(MASQUERADE_LOCAL_SOURCES, 2), "pick-2", "node-pick-2", "masquerade-local-sources"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[CHAIN_NAME_MAX];
        const char *const expected[] = {cases[i].chain, cases[i].node_chain};
        for (int for_node_port = 0; for_node_port < 2; for_node_port++) {
            const char *chain = rules_value_chain(cases[i].value, for_node_port, name);
            assert_int_equal(chain != NULL, expected[for_node_port] != NULL);
            if (chain)
                assert_string_equal(chain, expected[for_node_port]);
        }
        const char *source = rules_value_source_chain(cases[i].value);
        assert_int_equal(source != NULL, cases[i].source_chain != NULL);
        if (source)
            assert_string_equal(source, cases[i].source_chain);
    }
}

static void expect_rules(const struct chain *chain, enum family family, const char *expected)
{
    struct text text = {0};
    chain_format(chain, family, &text);
    assert_string_equal(text.data, expected);
    text_done(&text);
}

static void picks_end_in_a_drop(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct chain chain = rules_build_pick(3, false, &arena);
    expect_rules(&chain, FAMILY_IPV6,
                 "\tchain pick-3 {\n"
                 "\t\tdnat to ip6 daddr . meta l4proto . th dport . numgen random mod 3 map @endpoints\n"
                 "\t\tdrop\n"
                 "\t}\n");
    chain = rules_build_pick(VALUE_SHORTCUT | VALUE_AFFINITY | 2, true, &arena);
    expect_rules(
        &chain, FAMILY_IPV4,
        "\tchain node-shortcut-affine-2 {\n"
        "\t\tmeta priority set meta l4proto . th dport map @node-shortcut-affinity-ids dnat to ip saddr . "
        "meta "
        "l4proto . meta priority map @affinity\n"
        "\t\tdnat to meta l4proto . th dport . numgen random mod 2 offset 65536 map @node-endpoints\n"
        "\t\tdrop\n"
        "\t}\n");
    chain = rules_build_learn(86400, &arena);
    expect_rules(
        &chain, FAMILY_IPV4,
        "\tchain learn-86400 {\n"
        "\t\tupdate @affinity { ip saddr . meta l4proto . meta priority timeout 86400s : ip daddr . th "
        "dport }\n"
        "\t}\n");
    arena_done(&arena);
}

/* Every way in which a node may look. */
static const struct node_view *some_view(unsigned number, struct node_view *ret)
{
    *ret = (struct node_view){.local_detect = (enum local_detect)(number % 4)};
    ret->has_cluster_cidr[FAMILY_IPV4] = number & 4;
    ret->has_cluster_cidr[FAMILY_IPV6] = number & 8;
    prefix_parse("10.0.0.0/16", &ret->cluster_cidr[FAMILY_IPV4], NULL);
    prefix_parse("fd00::/48", &ret->cluster_cidr[FAMILY_IPV6], NULL);
    strcpy(ret->interface, "abcdefghijklmn"); /* the longest prefix: a `*` has to fit behind it */
    return ret;
}
#define VIEWS 16

static int find_chain(const struct chain_list *chains, const char *name)
{
    for (unsigned i = 0; i < chains->count; i++)
        if (strcmp(chains->list[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void fixed_chains_are_sound(void **state)
{
    for (unsigned number = 0; number < VIEWS * FAMILY_COUNT; number++) {
        struct arena arena;
        struct node_view view;
        arena_init(&arena);
        struct chain_list chains =
            rules_build_fixed((enum family)(number / VIEWS), some_view(number % VIEWS, &view), &arena);
        for (unsigned i = 0; i < chains.count; i++) {
            const struct chain *chain = &chains.list[i];
            assert_true(chain->count <= chain->capacity);
            assert_int_equal(find_chain(&chains, chain->name), i); /* no name twice */
            for (unsigned r = 0; r < chain->count; r++) {
                assert_true(chain->rules[r].count <= STATEMENTS_MAX);
                for (unsigned s = 0; s < chain->rules[r].count; s++) {
                    const struct statement *statement = &chain->rules[r].statements[s];
                    /* The kernel takes the chains in this order: whom a rule names has to be there. */
                    if (statement->kind == STATEMENT_GOTO || statement->kind == STATEMENT_JUMP)
                        assert_in_range(find_chain(&chains, statement->chain), 0, i - 1);
                }
            }
        }
        /* What values lead to beside the picks. */
        static const uint32_t values[] = {VALUE_REJECT, VALUE_EXTERNAL_LOCAL, VALUE_GUARDED};
        char name[CHAIN_NAME_MAX];
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            assert_true(find_chain(&chains, rules_value_chain(values[v], false, name)) >= 0);
            assert_true(find_chain(&chains, rules_value_chain(values[v], true, name)) >= 0);
        }
        for (uint32_t how = MASQUERADE_ALWAYS; how <= MASQUERADE_LOCAL_SOURCES; how++)
            assert_true(find_chain(&chains, rules_value_source_chain(MASQUERADED(how, 1))) >= 0);
        arena_done(&arena);
    }
}

/* The kernel refuses a table in which a chain could lead to itself, through verdict maps too, whatever the
 * key: so each map may hold only what lies behind its place. */
static void no_way_leads_back(void **state)
{
    static const struct {
        enum set_id map;
        const char *targets[4];
    } maps[] = {
        {SET_VERDICTS, {"rejected", "external-local", "guarded"}},
        {SET_NODE_VERDICTS, {"rejected", "node-external-local"}},
        {SET_GUARDED_VERDICTS, {"rejected", "external-local"}},
        {SET_SOURCE_VERDICTS,
         {"masquerade-always", "masquerade-off-cluster", "masquerade-local-sources", "source-guarded"}},
        {SET_SOURCE_GUARDED_VERDICTS,
         {"masquerade-always", "masquerade-off-cluster", "masquerade-local-sources"}},
    };
    struct arena arena;
    struct node_view view;
    arena_init(&arena);
    struct chain_list chains = rules_build_fixed(FAMILY_IPV4, some_view(5, &view), &arena);
    for (unsigned i = 0; i < chains.count; i++)
        for (unsigned r = 0; r < chains.list[i].count; r++)
            for (unsigned s = 0; s < chains.list[i].rules[r].count; s++)
                for (size_t m = 0; m < ARRAY_LEN(maps); m++)
                    for (size_t t = 0; t < ARRAY_LEN(maps[m].targets) && maps[m].targets[t]; t++)
                        if (chains.list[i].rules[r].statements[s].kind == STATEMENT_VALUE_VERDICT &&
                            chains.list[i].rules[r].statements[s].set == maps[m].map)
                            assert_in_range(find_chain(&chains, maps[m].targets[t]), 0, i - 1);
    arena_done(&arena);
}

static void fingerprints_tell_rules_apart(void **state)
{
    struct arena arena;
    struct node_view view;
    uint64_t seen[256];
    const char *texts[256];
    size_t count = 0;
    arena_init(&arena);
    struct chain_list chains = rules_build_fixed(FAMILY_IPV4, some_view(5, &view), &arena);
    for (unsigned i = 0; i < chains.count; i++) {
        for (unsigned r = 0; r < chains.list[i].count; r++) {
            const struct rule *rule = &chains.list[i].rules[r];
            struct text text = {0};
            rule_format(rule, FAMILY_IPV4, &text);
            assert_true(count < ARRAY_LEN(seen));
            seen[count] = rule_fingerprint(rule, FAMILY_IPV4);
            texts[count++] = arena_strdup(&arena, text.data);
            text_done(&text);
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(seen[i] == seen[k], strcmp(texts[i], texts[k]) == 0);
    struct chain four = rules_build_pick(4, false, &arena), five = rules_build_pick(5, false, &arena);
    assert_true(rule_fingerprint(&four.rules[0], FAMILY_IPV4) !=
                rule_fingerprint(&five.rules[0], FAMILY_IPV4));
    assert_true(rule_fingerprint(&four.rules[0], FAMILY_IPV4) !=
                rule_fingerprint(&four.rules[0], FAMILY_IPV6));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_lead_to_chains),         cmocka_unit_test(picks_end_in_a_drop),
        cmocka_unit_test(fixed_chains_are_sound),        cmocka_unit_test(no_way_leads_back),
        cmocka_unit_test(fingerprints_tell_rules_apart),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
