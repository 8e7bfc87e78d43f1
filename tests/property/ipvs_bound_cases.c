/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_case.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/bound.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* kube-ipvs0 and its addresses (dataplane/ipvs/bound.h). Skipped where the kernel has no dummy interfaces:
 * tests/vm has such a kernel. */

static struct bound *open_bound(void)
{
    struct bound *bound;
    struct err err;
    expect_fine(bound_open(&bound, &err), &err);
    return bound;
}

static void note_address(void *context, const struct address *address)
{
    address_format(address, next_line(context));
}

static void expect_addresses(struct bound *bound, const char *const *expected, unsigned count)
{
    struct lines lines = {0};
    struct err err;
    expect_fine(bound_list(bound, note_address, &lines, &err), &err);
    expect_lines(&lines, expected, count);
}

static void change(struct bound *bound, const char *added, const char *removed)
{
    struct address address;
    struct err err;
    if (added)
        bound_add(bound, (address = at(added), &address));
    if (removed)
        bound_remove(bound, (address = at(removed), &address));
    expect_fine(bound_flush(bound, &err), &err);
}

static void test_interface(void **state)
{
    struct bound *bound = open_bound();
    expect_shown("ip -d link show dev kube-ipvs0", "<BROADCAST,NOARP>");
    expect_shown("ip -d link show dev kube-ipvs0", " dummy ");
    change(bound, "10.96.0.10", NULL);
    change(bound, "fd00:10:96::a", "10.96.0.11");
    change(bound, "10.96.0.10", NULL);
    change(bound, "fd00:10:96::a", NULL);
    expect_shown("ip addr show dev kube-ipvs0", "inet 10.96.0.10/32 ");
    expect_shown("ip addr show dev kube-ipvs0", "inet6 fd00:10:96::a/128 scope global nodad");
    expect_addresses(bound, (const char *const[]){"10.96.0.10", "fd00:10:96::a"}, 2);
    bound_close(bound);
    bound = open_bound(); /* adopted, with all that is on it */
    expect_addresses(bound, (const char *const[]){"10.96.0.10", "fd00:10:96::a"}, 2);
    change(bound, "10.96.0.12", "10.96.0.10");
    change(bound, NULL, "fd00:10:96::a");
    shell("ip link set kube-ipvs0 up"); /* gives it a link-local address */
    expect_addresses(bound, (const char *const[]){"10.96.0.12"}, 1);
    bound_close(bound);
}

static void test_interface_of_another_kind(void **state)
{
    struct bound *bound = NULL;
    struct err err;
    shell("ip link add kube-ipvs0 type veth peer name other");
    expect_sentence(bound_open(&bound, &err), -EEXIST, &err,
                    "an interface kube-ipvs0 is there already, and it is no dummy but veth");
    assert_null(bound);
}

/* Whether the descriptor says something soon, and what it means. */
static bool is_disturbed(struct bound *bound)
{
    struct pollfd poll_fd = {.fd = bound_watch_fd(bound), .events = POLLIN};
    if (poll(&poll_fd, 1, 300) == 0)
        return false;
    return bound_is_disturbed(bound);
}

static void test_watch(void **state)
{
    struct bound *bound = open_bound();
    struct err err;
    change(bound, "10.96.0.10", NULL);
    change(bound, "fd00:10:96::a", NULL);
    change(bound, "fd00:10:96::b", NULL);
    change(bound, NULL, "fd00:10:96::b");
    for (int i = 0; i < 3; i++)
        assert_false(is_disturbed(bound));
    shell("ip link add elsewhere type dummy && ip addr add 192.0.2.1/32 dev elsewhere");
    shell("ip link set kube-ipvs0 up");
    assert_false(is_disturbed(bound));
    shell("ip link set kube-ipvs0 down"); /* takes the addresses of IPv6 away */
    assert_true(is_disturbed(bound));
    expect_addresses(bound, (const char *const[]){"10.96.0.10"}, 1);
    change(bound, "fd00:10:96::a", NULL);
    shell("ip addr del 10.96.0.10/32 dev kube-ipvs0");
    assert_true(is_disturbed(bound));
    assert_false(is_disturbed(bound));
    expect_addresses(bound, (const char *const[]){"fd00:10:96::a"}, 1);
    shell("ip addr add fd00:10:96::c/128 dev kube-ipvs0");
    assert_true(is_disturbed(bound));
    expect_fine(bound_list(bound, NULL, NULL, &err), &err);
    shell("ip addr del fd00:10:96::c/128 dev kube-ipvs0");
    assert_true(is_disturbed(bound));
    expect_fine(bound_list(bound, NULL, NULL, &err), &err);
    shell("ip addr add 10.96.0.9/32 dev kube-ipvs0 && ip addr del 10.96.0.9/32 dev kube-ipvs0");
    assert_false(is_disturbed(bound)); /* nothing is other than before */
    bound_close(bound);
}

/* The echo of our own changes fills the room for events; what somebody else does then is noticed all the
 * same. */
static void test_lost_events(void **state)
{
    const int least = 0;
    struct bound *bound = open_bound();
    struct err err;
    assert_int_equal(setsockopt(bound_watch_fd(bound), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct address address = numbered(FAMILY_IPV6, i);
        bound_add(bound, &address);
    }
    expect_fine(bound_flush(bound, &err), &err);
    usleep(200000); /* they come behind the change */
    assert_false(is_disturbed(bound));
    for (unsigned i = 50; i < 100; i++) {
        struct address address = numbered(FAMILY_IPV6, i);
        bound_add(bound, &address);
    }
    expect_fine(bound_flush(bound, &err), &err);
    usleep(200000);
    shell("ip addr del fd00:10:96::1:0/128 dev kube-ipvs0");
    assert_true(is_disturbed(bound));
    bound_close(bound);
}

static void test_deleted_interface(void **state)
{
    struct bound *bound = open_bound();
    struct err err;
    struct address address = at("10.96.0.10");
    shell("ip link del kube-ipvs0"); /* with no address on it */
    assert_true(is_disturbed(bound));
    expect_addresses(bound, NULL, 0);
    change(bound, "10.96.0.10", NULL);
    shell("ip link del kube-ipvs0");
    assert_true(is_disturbed(bound));
    bound_add(bound, &address);
    expect_sentence(bound_flush(bound, &err), -ENODEV, &err,
                    "the address 10.96.0.10 cannot be bound to the interface kube-ipvs0: No such device");
    expect_addresses(bound, NULL, 0);
    change(bound, "10.96.0.10", NULL);
    expect_shown("ip addr show dev kube-ipvs0", "inet 10.96.0.10/32 ");
    assert_false(is_disturbed(bound));
    shell("ip addr flush dev kube-ipvs0");
    assert_true(is_disturbed(bound));
    bound_close(bound);
}

static void count_address(void *context, const struct address *address)
{
    ++*(unsigned *)context;
}

/* For each one more, and each one less, the kernel walks all that are there: longer for IPv6. */
static void test_many_addresses(void **state)
{
    static const unsigned counts[FAMILY_COUNT] = {10000, 2000};
    enum { REMOVED = 100 };
    struct bound *bound = open_bound();
    struct err err;
    unsigned count = 0;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        double start = now_s();
        for (unsigned i = 0; i < counts[family]; i++) {
            struct address address = numbered((enum family)family, i);
            bound_add(bound, &address);
        }
        expect_fine(bound_flush(bound, &err), &err);
        print_message("%u addresses of %s: %.3f s\n", counts[family], family_name((enum family)family),
                      now_s() - start);
        assert_false(is_disturbed(bound));
    }
    expect_fine(bound_list(bound, count_address, &count, &err), &err);
    assert_int_equal(count, counts[0] + counts[1]);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        double start = now_s();
        for (unsigned i = 0; i < REMOVED; i++) {
            struct address address = numbered((enum family)family, i);
            bound_remove(bound, &address);
        }
        expect_fine(bound_flush(bound, &err), &err);
        print_message("%u of them removed: %.3f s\n", REMOVED, now_s() - start);
        assert_false(is_disturbed(bound));
    }
    count = 0;
    expect_fine(bound_list(bound, count_address, &count, &err), &err);
    assert_int_equal(count, counts[0] + counts[1] - 2 * REMOVED);
    bound_close(bound);
}

#define CASE(name) cmocka_unit_test_setup(name, new_namespace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_interface),   CASE(test_interface_of_another_kind), CASE(test_watch),
        CASE(test_lost_events), CASE(test_deleted_interface),         CASE(test_many_addresses),
    };
    struct bound *bound = NULL;
    struct err err;
    if (!can_run("ip"))
        return 77;
    if (bound_open(&bound, &err) == -EOPNOTSUPP) {
        printf("skipped: %s\n", err.text);
        return 77;
    }
    bound_close(bound);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
