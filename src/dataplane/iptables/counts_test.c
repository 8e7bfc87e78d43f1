/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/counts.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct own_chain chains[] = {{"KUBE-SVC-A", "-j KUBE-SEP-B\n-j KUBE-SEP-C\n"},
                                    {"KUBE-SEP-B", "-j DNAT\n"},
                                    {"KUBE-SEP-C", "-j DNAT\n"}};
static struct shared_rule shared[] = {{SHARED_NAT_SERVICES, "-j KUBE-SVC-A"},
                                      {SHARED_FILTER_CLUSTER_IPS, "-j REJECT"},
                                      {SHARED_FILTER_SERVICES, "-j REJECT"}};
static const struct portion nothing, all = {chains, 3, shared, 3}, some = {chains, 1, shared, 1};

static void expect(const struct portion *old, const struct portion *next, int64_t nat, int64_t filter)
{
    struct counts counts = {0};
    uint64_t tables[DATAPLANE_TABLE_COUNT];
    counts_replace(&counts, old, next);
    counts_by_table(&counts, tables);
    assert_int_equal((int64_t)tables[DATAPLANE_TABLE_NAT], nat);
    assert_int_equal((int64_t)tables[DATAPLANE_TABLE_FILTER], filter);
}

static void tables_have_more_and_less(void **state)
{
    expect(&nothing, &all, 5, 2);
    expect(&all, &all, 0, 0);
    expect(&all, &some, -2, -2);
    expect(&some, &nothing, -3, 0);
}

static void visit(void *context, const char *chain, uint64_t rules)
{
    if (rules)
        text_printf(context, "%s %lu\n", chain, (unsigned long)rules);
}

/* Two services, of which one goes. */
static void chains_keep_what_is_left(void **state)
{
    struct counts counts = {0}, more = {0};
    struct text text = {0};
    counts_replace(&counts, &nothing, &all);
    counts_replace(&counts, &nothing, &all);
    counts_replace(&more, &all, &nothing);
    counts_add(&counts, &more);
    counts_visit(&counts, visit, &text);
    assert_string_equal(text_str(&text), "nat KUBE-SERVICES 1\nfilter KUBE-SERVICES 1\n"
                                         "filter FAIRLEAD-CLUSTER-IPS 1\nnat KUBE-SVC 2\nnat KUBE-SEP 2\n");
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_have_more_and_less),
        cmocka_unit_test(chains_keep_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
