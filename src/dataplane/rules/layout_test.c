/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/layout.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool has_chain(enum layout_table table, const char *chain)
{
    return table != TABLE_MANGLE && strncmp(chain, "OURS", 4) == 0;
}

static const struct own_jump jumps[] = {{TABLE_FILTER, "INPUT", "-j OURS-A"},
                                        {TABLE_NAT, "OUTPUT", "-j OURS"},
                                        {TABLE_FILTER, "INPUT", "-j OURS-B"},
                                        {TABLE_FILTER, "OUTPUT", "-j OURS-A"}};
static const struct own_rules own = {jumps, ARRAY_LEN(jumps), 0, has_chain};

static void bases_are_numbered_once(void **state)
{
    static const char *const wanted[][2] = {{"filter", "INPUT"}, {"nat", "OUTPUT"}, {"filter", "OUTPUT"}};
    (void)state;
    assert_int_equal(own_base_count(&own), ARRAY_LEN(wanted));
    for (int base = 0; base < own_base_count(&own); base++) {
        const char *table, *chain;
        own_base_name(&own, base, &table, &chain);
        assert_string_equal(table, wanted[base][0]);
        assert_string_equal(chain, wanted[base][1]);
        assert_int_equal(own_base(&own, table, chain), base);
    }
    assert_int_equal(own_base(&own, "nat", "INPUT"), -1);
    assert_int_equal(own_base(&own, "raw", "OUTPUT"), -1);
}

static void rules_come_last_in_a_chain_made_for_them(void **state)
{
    struct layout layout;
    struct text text = {0};
    char name[600];
    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    layout_init(&layout);
    layout_printf(&layout, TABLE_NAT, "OURS", "-p %s --dport %d -j DROP", "tcp", 80);
    layout_printf(&layout, TABLE_NAT, "OURS", "-m comment --comment \"%s\"", name);
    layout_printf(&layout, TABLE_FILTER, "OURS", "-j RETURN");
    text_printf(&text,
                "*mangle\nCOMMIT\n"
                "*nat\n:OURS - [0:0]\n-A OURS -p tcp --dport 80 -j DROP\n-A OURS -m comment --comment "
                "\"%s\"\nCOMMIT\n"
                "*filter\n:OURS - [0:0]\n-A OURS -j RETURN\nCOMMIT\n",
                name);
    struct text rendered = {0};
    layout_render(&layout, &rendered);
    assert_string_equal(text_str(&rendered), text_str(&text));
    text_done(&rendered);
    text_done(&text);
    layout_done(&layout);
}

static void expect(const char *saved, const struct layout *want, const char *wanted)
{
    struct layout have;
    struct text text = {0};
    struct err err;
    assert_int_equal(layout_parse(saved, &have, &err), 0);
    layout_difference(&have, want, &own, &text);
    assert_string_equal(text_str(&text), wanted);
    text_done(&text);
    layout_done(&have);
}

#define SAVED                                                                                                \
    "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:OURS-A - [0:0]\n:OURS-B - [0:0]\n:YOURS - [0:0]\n" \
    "-A INPUT -j YOURS\n-A INPUT -j OURS-B\n-A OUTPUT -j OURS-A\n-A OURS-A -j OURS-B\n-A YOURS -j DROP\n"    \
    "COMMIT\n*mangle\n:OURS - [0:0]\nCOMMIT\n"

static void chains_are_known_by_table_and_name(void **state)
{
    struct layout have;
    struct err err;
    assert_int_equal(layout_parse(SAVED, &have, &err), 0);
    assert_true(layout_has_chain(&have, TABLE_FILTER, "YOURS"));
    assert_true(layout_has_chain(&have, TABLE_MANGLE, "OURS"));
    assert_false(layout_has_chain(&have, TABLE_NAT, "YOURS"));
    assert_false(layout_has_chain(&have, TABLE_FILTER, "OURS"));
    layout_done(&have);
}

static void nothing_wanted_takes_out_what_is_ours_alone(void **state)
{
    struct layout nothing = {0};
    (void)state;
    expect(SAVED, &nothing,
           "*filter\n:OURS-A - [0:0]\n:OURS-B - [0:0]\n-D INPUT -j OURS-B\n-D OUTPUT -j OURS-A\n"
           "-X OURS-A\n-X OURS-B\nCOMMIT\n");
    expect("*filter\n:YOURS - [0:0]\nCOMMIT\n", &nothing, "");
}

static void what_is_not_wanted_any_more_goes(void **state)
{
    static const struct own_rules one = {jumps, ARRAY_LEN(jumps), ARRAY_LEN(jumps) - 1, has_chain};
    struct layout want;
    (void)state;
    layout_init(&want);
    layout_add_jumps(&want, &one);
    layout_add_rules(&want, layout_chain(&want, TABLE_FILTER, "OURS-A"), "-j DROP\n");
    layout_sort(&want);
    expect(SAVED, &want,
           "*filter\n:OURS-A - [0:0]\n:OURS-B - [0:0]\n-I INPUT -j OURS-A\n-A OURS-A -j DROP\n"
           "-D INPUT -j OURS-B\n-D OUTPUT -j OURS-A\n-X OURS-B\nCOMMIT\n");
    layout_done(&want);
}

/* Three groups of two chains, beside a chain that all lead to and one that leads to all. */
static void build_groups(struct layout *ret)
{
    layout_init(ret);
    layout_add_rules(ret, layout_chain(ret, TABLE_NAT, "OURS-MARK"), "-j MARK --set-xmark 0x1/0x1\n");
    struct layout_chain *all = layout_chain(ret, TABLE_NAT, "OURS");
    all->is_ordered = false;
    for (int group = 1; group <= 3; group++) {
        char outer[16], inner[16], rules[64];
        snprintf(outer, sizeof(outer), "OURS-B%d", group);
        snprintf(inner, sizeof(inner), "OURS-A%d", group);
        layout_begin_group(ret);
        snprintf(rules, sizeof(rules), "-j %s\n", inner);
        layout_add_rules(ret, layout_chain(ret, TABLE_NAT, outer), rules);
        layout_add_rules(ret, layout_chain(ret, TABLE_NAT, inner), "-j OURS-MARK\n");
        snprintf(rules, sizeof(rules), "-d 10.0.0.%d/32 -j %s\n", group, outer);
        layout_add_rules(ret, all, rules);
    }
    layout_sort(ret);
}

static void expect_prepared(const char *saved, uint32_t most, uint32_t rules, const char *wanted)
{
    struct layout have, want;
    struct text text = {0};
    struct err err;
    build_groups(&want);
    assert_int_equal(layout_parse(saved, &have, &err), 0);
    uint32_t added = layout_prepare(&have, &want, most, &text);
    added += layout_difference(&have, &want, &own, &text);
    assert_string_equal(text_str(&text), wanted);
    assert_int_equal(added, rules);
    text_done(&text);
    layout_done(&have);
    layout_done(&want);
}

#define GROUP(n)                                                                                             \
    ":OURS-A" n " - [0:0]\n:OURS-B" n " - [0:0]\n-A OURS-A" n " -j OURS-MARK\n-A OURS-B" n " -j OURS-A" n "\n"
#define LEADS(n) "-A OURS -d 10.0.0." n "/32 -j OURS-B" n "\n"
#define MARK ":OURS-MARK - [0:0]\n"
#define MARKS "-A OURS-MARK -j MARK --set-xmark 0x1/0x1\n"

/* Nothing leads to a new chain before the commit that leads to all of them. */
static void new_groups_are_made_ahead(void **state)
{
    (void)state;
    expect_prepared("", 2, 10,
                    "*nat\n" MARK ":OURS-A1 - [0:0]\n:OURS-B1 - [0:0]\n" MARKS
                    "-A OURS-A1 -j OURS-MARK\n-A OURS-B1 -j OURS-A1\nCOMMIT\n"
                    "*nat\n" GROUP("2") "COMMIT\n*nat\n" GROUP("3") "COMMIT\n"
                                                                    "*nat\n:OURS - [0:0]\n" LEADS("1")
                                                                        LEADS("2") LEADS("3") "COMMIT\n");
    /* What is there already may be in force, and changes with the rest. */
    expect_prepared(
        "*nat\n" MARK ":OURS - [0:0]\n:OURS-A2 - [0:0]\n" MARKS "-A OURS-A2 -j DROP\nCOMMIT\n", 2, 9,
        "*nat\n" GROUP(
            "1") "COMMIT\n"
                 "*nat\n:OURS-B2 - [0:0]\n:OURS-A3 - [0:0]\n:OURS-B3 - [0:0]\n-A OURS-B2 -j OURS-A2\n"
                 "-A OURS-A3 -j OURS-MARK\n-A OURS-B3 -j OURS-A3\nCOMMIT\n"
                 "*nat\n:OURS - [0:0]\n:OURS-A2 - [0:0]\n" LEADS("1") LEADS("2")
                     LEADS("3") "-A OURS-A2 -j OURS-MARK\nCOMMIT\n");
}

static void few_new_chains_are_one_commit(void **state)
{
    (void)state;
    expect_prepared("*nat\n" MARK MARKS GROUP("1") GROUP("2") "COMMIT\n", 2, 5,
                    "*nat\n:OURS - [0:0]\n:OURS-A3 - [0:0]\n:OURS-B3 - [0:0]\n" LEADS("1") LEADS("2")
                        LEADS("3") "-A OURS-A3 -j OURS-MARK\n-A OURS-B3 -j OURS-A3\nCOMMIT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bases_are_numbered_once),
        cmocka_unit_test(rules_come_last_in_a_chain_made_for_them),
        cmocka_unit_test(chains_are_known_by_table_and_name),
        cmocka_unit_test(nothing_wanted_takes_out_what_is_ours_alone),
        cmocka_unit_test(what_is_not_wanted_any_more_goes),
        cmocka_unit_test(new_groups_are_made_ahead),
        cmocka_unit_test(few_new_chains_are_one_commit),
    };
    return cmocka_run_group_tests_name("rules_layout", tests, NULL, NULL);
}
