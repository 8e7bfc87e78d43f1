/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/addresses.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct allocator_config make_config(const char *first, const char *second)
{
    struct allocator_config config = {
        .range_count = second ? 2 : 1, .node_port_first = 30000, .node_port_last = 32767};
    assert_int_equal(prefix_parse(first, &config.ranges[0], NULL), 0);
    if (second)
        assert_int_equal(prefix_parse(second, &config.ranges[1], NULL), 0);
    return config;
}

static struct allocator *make(const char *first, const char *second)
{
    struct allocator_config config = make_config(first, second);
    return allocator_new(&config);
}

static struct address read_address(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return address;
}

static void check_next(struct allocator *allocator, enum family family, uint64_t random, const char *wanted)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(allocator_next_address(allocator, family, random, &address, NULL), 0);
    assert_string_equal(address_format(&address, text), wanted);
}

static void bands_follow_the_range(void **state)
{
    /* KEP-3070's own examples, and what becomes of very large and very small ranges. */
    static const struct {
        const char *range, *first, *dynamic, *last;
    } cases[] = {
        {"10.0.0.0/24", "10.0.0.1", "10.0.0.17", "10.0.0.254"},
        {"10.0.0.0/20", "10.0.0.1", "10.0.1.1", "10.0.15.254"},
        {"10.0.0.0/16", "10.0.0.1", "10.0.1.1", "10.0.255.254"},
        {"10.0.0.0/28", "10.0.0.1", "10.0.0.2", "10.0.0.14"},
        {"10.0.0.0/8", "10.0.0.1", "10.0.1.1", "10.255.255.254"},
        {"fd00::/120", "fd00::1", "fd00::11", "fd00::ff"},
        {"fd00::/108", "fd00::1", "fd00::101", "fd00::f:ffff"},
        {"fd00::/64", "fd00::1", "fd00::101", "fd00::ffff:ffff:ffff:ffff"},
        {"fd00:0:0:7:8000::/65", "fd00::7:8000:0:0:1", "fd00::7:8000:0:0:101", "fd00::7:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct allocator *allocator = make(cases[i].range, NULL);
        struct address first = read_address(cases[i].first), last = read_address(cases[i].last);
        struct address beyond = last;
        enum family family = address_family(&first);
        assert_int_equal(allocator_take_address(allocator, &first, NULL), 0);
        check_next(allocator, family, 0, cases[i].dynamic);
        assert_int_equal(allocator_take_address(allocator, &last, NULL), 0);
        for (size_t at = 15; ++beyond.bytes[at] == 0;)
            at--;
        assert_int_equal(allocator_take_address(allocator, &beyond, NULL), -ERANGE);
        allocator_free(allocator);
    }
}

static void search_goes_round_and_then_down(void **state)
{
    struct allocator *allocator = make("10.0.0.0/27", NULL);
    struct err err;
    struct address address;
    /* 30 usable: 1 to 16 are the lower band, 17 to 30 the upper. */
    check_next(allocator, FAMILY_IPV4, 13, "10.0.0.30");
    check_next(allocator, FAMILY_IPV4, 13, "10.0.0.17");
    check_next(allocator, FAMILY_IPV4, 27, "10.0.0.18");
    for (int i = 0; i < 11; i++)
        assert_int_equal(allocator_next_address(allocator, FAMILY_IPV4, (uint64_t)i * 977, &address, NULL),
                         0);
    check_next(allocator, FAMILY_IPV4, 15, "10.0.0.16");
    /* The first address of the primary range is nobody's by chance. */
    check_next(allocator, FAMILY_IPV4, 0, "10.0.0.2");
    for (int i = 0; i < 13; i++)
        assert_int_equal(allocator_next_address(allocator, FAMILY_IPV4, 5, &address, NULL), 0);
    assert_int_equal(allocator_next_address(allocator, FAMILY_IPV4, 5, &address, &err), -ENOSPC);
    assert_string_equal(err.text, "range is full");
    address = read_address("10.0.0.1");
    assert_int_equal(allocator_take_address(allocator, &address, NULL), 0);
    assert_int_equal(allocator_address_count(allocator), 30);
    address = read_address("10.0.0.9");
    allocator_release_address(allocator, &address);
    check_next(allocator, FAMILY_IPV4, UINT64_MAX, "10.0.0.9");
    assert_int_equal(allocator_next_address(allocator, FAMILY_IPV6, 5, &address, &err), -ENOSPC);
    allocator_free(allocator);
}

static void a_large_range_has_no_edge_at_the_wrap(void **state)
{
    struct allocator *allocator = make("fd00::/64", NULL);
    /* The upper band has 2^64 - 1 - 256 addresses. */
    check_next(allocator, FAMILY_IPV6, UINT64_MAX - 257, "fd00::ffff:ffff:ffff:ffff");
    check_next(allocator, FAMILY_IPV6, UINT64_MAX - 257, "fd00::101");
    check_next(allocator, FAMILY_IPV6, UINT64_MAX - 256, "fd00::102");
    allocator_free(allocator);
}

static void refusals_have_upstreams_words(void **state)
{
    static const struct {
        const char *address, *taken, *tried;
        int code, try_code;
    } cases[] = {
        {"10.96.0.7", "", "", 0, 0},
        {"10.96.0.7", "provided IP is already allocated", "", -EEXIST, 0},
        {"10.96.0.0", "the provided network does not match the current range",
         "the provided IP (10.96.0.0) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
         -ERANGE, -ERANGE},
        {"10.96.255.255", "the provided network does not match the current range",
         "the provided IP (10.96.255.255) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
         -ERANGE, -ERANGE},
        {"10.97.0.1", "the provided network does not match the current range",
         "the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
         -ERANGE, -ERANGE},
        {"fd00::ffff", "", "", 0, 0}, /* IPv6 has no broadcast address */
        {"fd00::1:0", "the provided network does not match the current range",
         "the provided IP (fd00::1:0) is not in the valid range. The range of valid IPs is fd00::/112",
         -ERANGE, -ERANGE},
    };
    struct allocator *allocator = make("10.96.0.0/16", "fd00::/112");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address = read_address(cases[i].address);
        struct err err = {""};
        assert_int_equal(allocator_try_address(allocator, &address, &err), cases[i].try_code);
        assert_string_equal(err.text, cases[i].tried);
        err.text[0] = '\0';
        assert_int_equal(allocator_take_address(allocator, &address, &err), cases[i].code);
        assert_string_equal(err.text, cases[i].taken);
    }
    allocator_free(allocator);
}

static void ports_have_bands_and_words(void **state)
{
    struct allocator *allocator = make("10.96.0.0/16", NULL);
    struct err err;
    uint16_t port;
    assert_int_equal(allocator_next_port(allocator, 0, &port, NULL), 0);
    assert_int_equal(port, 30086);
    assert_int_equal(allocator_next_port(allocator, 2681, &port, NULL), 0);
    assert_int_equal(port, 32767);
    assert_int_equal(allocator_take_port(allocator, 30086, &err), -EEXIST);
    assert_string_equal(err.text, "provided port is already allocated");
    assert_int_equal(allocator_take_port(allocator, 29999, &err), -ERANGE);
    assert_string_equal(err.text,
                        "provided port is not in the valid range. The range of valid ports is 30000-32767");
    while (allocator_port_count(allocator) < 2768 - 86)
        assert_int_equal(allocator_next_port(allocator, 1234, &port, NULL), 0);
    assert_int_equal(allocator_next_port(allocator, 85, &port, NULL), 0);
    assert_int_equal(port, 30085);
    while (allocator_port_count(allocator) < 2768)
        assert_int_equal(allocator_next_port(allocator, 1, &port, NULL), 0);
    assert_int_equal(allocator_next_port(allocator, 1, &port, &err), -ENOSPC);
    assert_string_equal(err.text, "range is full");
    allocator_release_port(allocator, 31000);
    allocator_release_port(allocator, 31000);
    allocator_release_port(allocator, 80);
    assert_int_equal(allocator_port_count(allocator), 2767);
    assert_int_equal(allocator_next_port(allocator, 7, &port, NULL), 0);
    assert_int_equal(port, 31000);
    allocator_free(allocator);
}

static void a_single_port_is_a_range(void **state)
{
    struct allocator_config config = make_config("10.96.0.0/16", NULL);
    uint16_t port;
    config.node_port_first = config.node_port_last = 30000;
    struct allocator *allocator = allocator_new(&config);
    assert_int_equal(allocator_next_port(allocator, 99, &port, NULL), 0);
    assert_int_equal(port, 30000);
    assert_int_equal(allocator_next_port(allocator, 99, &port, NULL), -ENOSPC);
    allocator_free(allocator);
}

static void what_two_hold_one_does_not_free(void **state)
{
    struct allocator *allocator = make("10.96.0.0/16", NULL);
    struct address inside = read_address("10.96.0.7"), outside = read_address("192.0.2.1");
    assert_int_equal(allocator_adopt_address(allocator, &inside, NULL), 0);
    assert_int_equal(allocator_adopt_address(allocator, &inside, NULL), -EEXIST);
    assert_int_equal(allocator_adopt_address(allocator, &outside, NULL), -ERANGE);
    assert_int_equal(allocator_adopt_port(allocator, 80, NULL), -ERANGE);
    assert_true(allocator_has_address(allocator, &outside) && allocator_has_port(allocator, 80));
    allocator_release_address(allocator, &inside);
    assert_int_equal(allocator_take_address(allocator, &inside, NULL), -EEXIST);
    allocator_release_address(allocator, &inside);
    allocator_release_address(allocator, &inside);
    assert_int_equal(allocator_take_address(allocator, &inside, NULL), 0);
    allocator_release_address(allocator, &outside);
    assert_false(allocator_has_address(allocator, &outside));
    allocator_free(allocator);
}

static void configurations_are_checked(void **state)
{
    static const struct {
        const char *first, *second;
        int code;
    } cases[] = {
        {"10.96.0.0/16", NULL, 0},
        {"fd00::/64", "10.96.0.0/29", 0},
        {"fd00::/125", NULL, 0},
        {"fd00::/63", NULL, -EINVAL},
        {"10.96.0.0/30", NULL, -EINVAL},
        {"fd00::/126", NULL, -EINVAL},
        {"10.96.0.0/16", "10.97.0.0/16", -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct allocator_config config = make_config(cases[i].first, cases[i].second);
        assert_int_equal(allocator_config_check(&config, NULL), cases[i].code);
    }
    struct allocator_config config = make_config("10.96.0.0/16", NULL);
    config.node_port_first = 32768;
    assert_int_equal(allocator_config_check(&config, NULL), -EINVAL);
    config.node_port_first = 0;
    assert_int_equal(allocator_config_check(&config, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bands_follow_the_range),
        cmocka_unit_test(search_goes_round_and_then_down),
        cmocka_unit_test(a_large_range_has_no_edge_at_the_wrap),
        cmocka_unit_test(refusals_have_upstreams_words),
        cmocka_unit_test(ports_have_bands_and_words),
        cmocka_unit_test(a_single_port_is_a_range),
        cmocka_unit_test(what_two_hold_one_does_not_free),
        cmocka_unit_test(configurations_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
