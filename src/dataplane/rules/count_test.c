/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/count.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INPUT                                                                                                \
    "*filter\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -d 10.96.0.9/32 -j REJECT\nCOMMIT\n"                  \
    "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n"                                                          \
    "*nat\n:KUBE-SVC-A - [0:0]\n:KUBE-SEP-B - [0:0]\n-A KUBE-SVC-A -j KUBE-SEP-C\n-D KUBE-SERVICES -j X\n"   \
    "-I KUBE-SERVICES -j KUBE-SVC-A\n-X KUBE-SEP-B\nCOMMIT\n"

static void inputs(void **state)
{
    uint64_t counts[DATAPLANE_TABLE_COUNT] = {0};
    count_input(INPUT, counts);
    assert_int_equal(counts[DATAPLANE_TABLE_FILTER], 1);
    assert_int_equal(counts[DATAPLANE_TABLE_NAT], 3);
    count_input("", counts);
    assert_int_equal(counts[DATAPLANE_TABLE_NAT], 3);
}

static void layouts_without_the_kernels_chains(void **state)
{
    uint64_t counts[DATAPLANE_TABLE_COUNT] = {0};
    struct layout layout;
    struct err err;
    assert_int_equal(layout_parse("*nat\n:KUBE-A - [0:0]\n-A KUBE-A -j RETURN\n-A KUBE-A -j DROP\nCOMMIT\n"
                                  "*filter\n:KUBE-B - [0:0]\n-A KUBE-B -j DROP\nCOMMIT\n",
                                  &layout, &err),
                     0);
    for (struct layout_chain *chain = layout.chains; chain; chain = chain->hh.next)
        chain->is_base = chain->table == TABLE_FILTER;
    count_layout(&layout, counts);
    assert_int_equal(counts[DATAPLANE_TABLE_NAT], 2);
    assert_int_equal(counts[DATAPLANE_TABLE_FILTER], 0);
    layout_done(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs),
        cmocka_unit_test(layouts_without_the_kernels_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
