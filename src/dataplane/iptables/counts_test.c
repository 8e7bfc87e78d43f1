/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/counts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void portions(void **state)
{
    uint64_t counts[DATAPLANE_TABLE_COUNT] = {0};
    struct own_chain chains[] = {{"KUBE-SVC-A", "-j KUBE-SEP-B\n-j KUBE-SEP-C\n"},
                                 {"KUBE-SEP-B", "-j DNAT\n"}};
    struct shared_rule shared[] = {{SHARED_NAT_SERVICES, "-j KUBE-SVC-A"},
                                   {SHARED_FILTER_CLUSTER_IPS, "-j REJECT"}};
    count_portion(&(struct portion){chains, 2, shared, 2}, counts);
    assert_int_equal(counts[DATAPLANE_TABLE_NAT], 4);
    assert_int_equal(counts[DATAPLANE_TABLE_FILTER], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
