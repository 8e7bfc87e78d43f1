/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/words.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LONG_RANGE "2001:db8:1234:5678:9abc:def0:1234:5678/128"

static void pods_are_told_from_others(void **state)
{
    static const struct {
        enum local_detect detect;
        const char *range, *interface;
        enum family family;
        bool is_pods;
        const char *source, *by; /* NULL: cannot be told */
    } cases[] = {
        {LOCAL_DETECT_NONE, "10.244.0.0/16", "cni0", FAMILY_IPV4, true, NULL, NULL},
        {LOCAL_DETECT_NONE, "10.244.0.0/16", "cni0", FAMILY_IPV4, false, NULL, NULL},
        {LOCAL_DETECT_CIDR, "10.244.0.0/16", "cni0", FAMILY_IPV4, true, "-s 10.244.0.0/16 ", ""},
        {LOCAL_DETECT_CIDR, "10.244.0.0/16", "cni0", FAMILY_IPV4, false, "! -s 10.244.0.0/16 ", ""},
        {LOCAL_DETECT_CIDR, "10.244.0.0/16", "cni0", FAMILY_IPV6, false, NULL, NULL},
        {LOCAL_DETECT_CIDR, LONG_RANGE, "", FAMILY_IPV6, false, "! -s " LONG_RANGE " ", ""},
        {LOCAL_DETECT_BRIDGE, "10.244.0.0/16", "cni0", FAMILY_IPV4, true, "", "-i cni0 "},
        {LOCAL_DETECT_BRIDGE, "10.244.0.0/16", "cni0", FAMILY_IPV6, false, "", "! -i cni0 "},
        {LOCAL_DETECT_INTERFACE_PREFIX, "10.244.0.0/16", "veth", FAMILY_IPV4, true, "", "-i veth+ "},
        {LOCAL_DETECT_INTERFACE_PREFIX, "10.244.0.0/16", "fifteen-letters", FAMILY_IPV6, false, "",
         "! -i fifteen-letters+ "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_view view = {.local_detect = cases[i].detect};
        struct words_pods pods;
        struct prefix range;
        assert_int_equal(prefix_parse(cases[i].range, &range, NULL), 0);
        view.cluster_cidr[address_family(&range.address)] = range;
        view.has_cluster_cidr[address_family(&range.address)] = true;
        strcpy(view.interface, cases[i].interface);
        memset(&pods, 'x', sizeof(pods));
        assert_int_equal(words_pods(&view, cases[i].family, cases[i].is_pods, &pods),
                         cases[i].source != NULL);
        assert_string_equal(pods.source, cases[i].source ? cases[i].source : "");
        assert_string_equal(pods.interface, cases[i].by ? cases[i].by : "");
    }
}

static void refusals_are_of_the_family(void **state)
{
    (void)state;
    assert_string_equal(words_unreachable(FAMILY_IPV4), "icmp-port-unreachable");
    assert_string_equal(words_unreachable(FAMILY_IPV6), "icmp6-port-unreachable");
}

static void node_ports_are_at_loopback_where_it_works(void **state)
{
    static const struct {
        bool has_localhost;
        enum family family;
        const char *except, *address;
        bool has;
    } cases[] = {
        {false, FAMILY_IPV4, "! -d 127.0.0.0/8 ", "127.0.0.1", false},
        {false, FAMILY_IPV4, "! -d 127.0.0.0/8 ", "192.0.2.1", true},
        {true, FAMILY_IPV4, "", "127.0.0.1", true},
        {true, FAMILY_IPV4, "", "2001:db8::1", false},
        {true, FAMILY_IPV6, "! -d ::1/128 ", "::1", false},
        {false, FAMILY_IPV6, "! -d ::1/128 ", "2001:db8::1", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct dataplane_node node = {.has_localhost_node_ports = cases[i].has_localhost};
        struct address address;
        assert_int_equal(address_parse(cases[i].address, &address, NULL), 0);
        assert_string_equal(words_except_loopback(&node, cases[i].family), cases[i].except);
        assert_int_equal(words_has_node_ports(&node, cases[i].family, &address), cases[i].has);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_are_told_from_others),
        cmocka_unit_test(refusals_are_of_the_family),
        cmocka_unit_test(node_ports_are_at_loopback_where_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
