/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/layout.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
static const struct own_rules own = {jumps, ARRAY_LEN(jumps), has_chain};

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
    static const struct own_rules one = {jumps, 1, has_chain};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bases_are_numbered_once),
        cmocka_unit_test(nothing_wanted_takes_out_what_is_ours_alone),
        cmocka_unit_test(what_is_not_wanted_any_more_goes),
    };
    return cmocka_run_group_tests_name("rules_layout", tests, NULL, NULL);
}
