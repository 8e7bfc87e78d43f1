/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void addresses_round_trip(void **state)
{
    const char *good[] = {"10.96.0.10", "0.0.0.0", "255.255.255.255", "fd00::1", "::1", "2001:db8:100::a"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct address address;
        struct err err;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(good[i], &address, &err), 0);
        assert_string_equal(address_format(&address, text), good[i]);
        assert_int_equal(address_family(&address), strchr(good[i], ':') ? FAMILY_IPV6 : FAMILY_IPV4);
        size_t len;
        const uint8_t *wire = address_wire(&address, &len);
        struct address again = address_from_wire(len == 4 ? FAMILY_IPV4 : FAMILY_IPV6, wire);
        assert_int_equal(address_cmp(&address, &again), 0);
    }
    const char *bad[] = {
        "", "10.96.0", "10.96.0.010", "256.0.0.1", "::ffff:10.0.0.1", "fd00::1%eth0", " 10.0.0.1", "x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct address address;
        struct err err = {""};
        assert_true(address_parse(bad[i], &address, &err) < 0);
        assert_true(strlen(err.text) > 0);
    }
}

static void prefixes_contain(void **state)
{
    static const struct {
        const char *prefix, *address;
        bool inside;
    } cases[] = {
        {"10.244.0.0/16", "10.244.255.1", true},
        {"10.244.0.0/16", "10.245.0.1", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "fd00::1", false},
        {"::/0", "fd00::1", true},
        {"::/0", "10.0.0.1", false},
        {"fd00:10::/33", "fd00:10:8000::1", false},
        {"192.0.2.7/32", "192.0.2.7", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct prefix prefix;
        struct address address;
        char text[PREFIX_TEXT_MAX];
        assert_int_equal(prefix_parse(cases[i].prefix, &prefix, NULL), 0);
        assert_string_equal(prefix_format(&prefix, text), cases[i].prefix);
        assert_int_equal(address_parse(cases[i].address, &address, NULL), 0);
        assert_int_equal(prefix_contains(&prefix, &address), cases[i].inside);
    }
    struct prefix prefix;
    char text[PREFIX_TEXT_MAX];
    assert_int_equal(prefix_parse("10.1.2.3/12", &prefix, NULL), 0);
    assert_string_equal(prefix_format(&prefix, text), "10.0.0.0/12");
    struct address last = prefix_last(&prefix);
    char last_text[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&last, last_text), "10.15.255.255");
    const char *bad[] = {"10.0.0.0",    "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08",
                         "10.0.0.0/8x", "/8",          "fd00::/129"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(prefix_parse(bad[i], &prefix, NULL) < 0);
}

static void sockets_and_protocols(void **state)
{
    struct socket_address socket;
    char text[SOCKET_ADDRESS_TEXT_MAX];
    const char *good[] = {"127.0.0.1:10249", "[::1]:10249", "0.0.0.0:1", "[fd00::1]:65535"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(socket_address_parse(good[i], &socket, NULL), 0);
        assert_string_equal(socket_address_format(&socket, text), good[i]);
    }
    const char *bad[] = {"127.0.0.1",       "::1:80",         "[::1:80", "127.0.0.1:0",
                         "127.0.0.1:65536", "[127.0.0.1]:80", ":80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(socket_address_parse(bad[i], &socket, NULL) < 0);
    enum protocol protocol;
    assert_int_equal(protocol_parse("udp", &protocol, NULL), 0);
    assert_int_equal(protocol, PROTOCOL_UDP);
    assert_true(protocol_parse("icmp", &protocol, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_round_trip),
        cmocka_unit_test(prefixes_contain),
        cmocka_unit_test(sockets_and_protocols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
