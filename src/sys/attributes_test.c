/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/attributes.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void are_found_by_type(void **state)
{
    char bytes[256];
    const struct nlattr *a[4];
    uint32_t number;
    uint16_t half;
    struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
    (void)state;
    mnl_attr_put_u32(message, 1, 4711);
    mnl_attr_put(message, 2, 3, "abc"); /* no end */
    mnl_attr_put_u32(message, 9, 1);
    mnl_attr_put_strz(message, 3 | NLA_F_NET_BYTEORDER, "text");
    attributes_of(message, 0, a, ARRAY_LEN(a));
    assert_null(a[0]);
    assert_true(attribute_copy(a[1], &number, sizeof(number)));
    assert_int_equal(number, 4711);
    assert_false(attribute_copy(a[1], &half, sizeof(half)));
    assert_int_equal(half, 0);
    assert_false(attribute_copy(NULL, &number, sizeof(number)));
    assert_int_equal(number, 0);
    assert_null(attribute_text(a[2]));
    assert_string_equal(attribute_text(a[3]), "text");
    assert_null(attribute_text(NULL));
    attributes_in(NULL, a, ARRAY_LEN(a));
    assert_null(a[1]);
}

/* Every way to cut it off, in memory that ends there: only what is whole is found. */
static void only_whole_ones_are_found(void **state)
{
    char bytes[64];
    struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
    (void)state;
    mnl_attr_put_u32(message, 1, 1);
    mnl_attr_put_u8(message, 2, 2);
    mnl_attr_put_u32(message, 3, 3);
    const char *payload = mnl_nlmsg_get_payload(message);
    for (size_t len = 0; len <= mnl_nlmsg_get_payload_len(message); len++) {
        const struct nlattr *a[4];
        char *exact = xmalloc(len ? len : 1);
        memcpy(exact, payload, len);
        attributes_parse(exact, len, a, ARRAY_LEN(a));
        assert_int_equal(a[1] != NULL, len >= 8);
        assert_int_equal(a[2] != NULL, len >= 13);
        assert_int_equal(a[3] != NULL, len >= 24);
        free(exact);
    }
}

static void nested_ones_are_behind_a_header(void **state)
{
    char bytes[256];
    const struct nlattr *outer[3], *inner[3];
    uint32_t number;
    struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
    (void)state;
    memset(mnl_nlmsg_put_extra_header(message, 6), 0xff, 6);
    struct nlattr *nest = mnl_attr_nest_start(message, 2);
    mnl_attr_put_u32(message, 1, 4711);
    mnl_attr_put_u32(message, 1, 4712);
    mnl_attr_nest_end(message, nest);
    attributes_of(message, 6, outer, ARRAY_LEN(outer));
    assert_null(outer[1]);
    attributes_in(outer[2], inner, ARRAY_LEN(inner));
    assert_true(attribute_copy(inner[1], &number, sizeof(number)));
    assert_int_equal(number, 4712);                      /* the last of a type */
    attributes_of(message, 60, outer, ARRAY_LEN(outer)); /* the message has no such header */
    assert_null(outer[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_found_by_type),
        cmocka_unit_test(only_whole_ones_are_found),
        cmocka_unit_test(nested_ones_are_behind_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
