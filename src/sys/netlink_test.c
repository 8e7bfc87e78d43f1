/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/netlink.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SEQUENCE 7
#define SOME_TYPE 16
#define DUMP (NLM_F_REQUEST | NLM_F_DUMP)
#define ANSWER(...)                                                                                          \
    {                                                                                                        \
        SOME_TYPE, SEQUENCE, __VA_ARGS__                                                                     \
    }

struct said {
    uint16_t type;
    uint32_t sequence;
    int number; /* what it carries */
    uint16_t flags;
};

struct visits {
    int numbers[8];
    unsigned count;
    int codes[8]; /* what is said to each */
};

static int visit(const struct nlmsghdr *message, void *context)
{
    struct visits *visits = context;
    assert_int_equal(message->nlmsg_type, SOME_TYPE);
    visits->numbers[visits->count] = *(const int *)mnl_nlmsg_get_payload(message);
    return visits->codes[visits->count++];
}

/* The kernel's part: all of it is in one datagram, or each message in one of its own. */
static void say(int fd, const struct said *said, bool is_together, size_t cut)
{
    char bytes[512];
    size_t len = 0;
    for (; said->type; said++) {
        struct nlmsghdr *message = mnl_nlmsg_put_header(bytes + len);
        message->nlmsg_type = said->type;
        message->nlmsg_seq = said->sequence;
        message->nlmsg_flags = said->flags;
        memcpy(mnl_nlmsg_put_extra_header(message, sizeof(int)), &said->number, sizeof(int));
        len += MNL_ALIGN(message->nlmsg_len);
        if (is_together && said[1].type)
            continue;
        assert_true(send(fd, bytes, len - cut, 0) == (ssize_t)(len - cut));
        len = 0;
    }
}

static int ask(const struct said *said, uint16_t flags, bool is_together, size_t cut, struct visits *visits)
{
    const struct timeval patience = {.tv_usec = 1000}; /* what is missing will not come */
    struct nlmsghdr request = {
        .nlmsg_len = sizeof(request), .nlmsg_type = SOME_TYPE, .nlmsg_flags = flags, .nlmsg_seq = SEQUENCE};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    cleanup_close int fd = fds[0], kernel = fds[1];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    say(kernel, said, is_together, cut);
    int code = netlink_ask(fd, &request, visits ? visit : NULL, visits);
    struct nlmsghdr heard = {0};
    assert_true(recv(kernel, &heard, sizeof(heard), MSG_DONTWAIT) == sizeof(heard));
    assert_memory_equal(&heard, &request, sizeof(request));
    return code;
}

static void an_answer_has_its_end(void **state)
{
    static const struct {
        struct said said[6];
        uint16_t flags;
        int code;
        unsigned visited; /* so many, numbered from 1 */
    } cases[] = {
        {{ANSWER(1), ANSWER(2), {NLMSG_DONE, SEQUENCE}}, DUMP, 0, 2},
        {{{NLMSG_DONE, SEQUENCE}}, DUMP, 0, 0},
        {{ANSWER(1), ANSWER(2)}, DUMP, -EAGAIN, 2},
        {{ANSWER(1), {NLMSG_DONE, SEQUENCE}, ANSWER(2)}, DUMP, 0, 1},
        {{ANSWER(1), {NLMSG_DONE, SEQUENCE, -ENOMEM}}, DUMP, -ENOMEM, 1},
        {{ANSWER(1), ANSWER(2, NLM_F_DUMP_INTR), {NLMSG_DONE, SEQUENCE}}, DUMP, -EINTR, 2},
        {{{NLMSG_DONE, SEQUENCE, 0, NLM_F_DUMP_INTR}}, DUMP, -EINTR, 0},
        {{{NLMSG_ERROR, SEQUENCE, -EPERM}}, DUMP, -EPERM, 0},
        {{ANSWER(1), ANSWER(2)}, NLM_F_REQUEST, 0, 1},
        {{{NLMSG_ERROR, SEQUENCE, -ENOENT}}, NLM_F_REQUEST, -ENOENT, 0},
        {{ANSWER(1), {NLMSG_ERROR, SEQUENCE}}, NLM_F_REQUEST | NLM_F_ACK, 0, 1},
        {{ANSWER(1)}, NLM_F_REQUEST | NLM_F_ACK, -EAGAIN, 1},
        {{ANSWER(1)}, NLM_F_REQUEST | NLM_F_EXCL, 0, 1}, /* a flag that is half of NLM_F_DUMP */
        {{{SOME_TYPE, 6, 9}, {NLMSG_ERROR, 6, -EPERM}, ANSWER(1), {NLMSG_DONE, SEQUENCE}}, DUMP, 0, 1},
        {{{NLMSG_DONE, 8}, ANSWER(1)}, DUMP, -EAGAIN, 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int is_together = 0; is_together < 2; is_together++) {
            struct visits visits = {0};
            assert_int_equal(ask(cases[i].said, cases[i].flags, is_together, 0, &visits), cases[i].code);
            assert_int_equal(visits.count, cases[i].visited);
            for (unsigned v = 0; v < visits.count; v++)
                assert_int_equal(visits.numbers[v], v + 1);
            assert_int_equal(ask(cases[i].said, cases[i].flags, is_together, 0, NULL), cases[i].code);
        }
    }
}

static void the_first_failure_counts_and_all_is_visited(void **state)
{
    static const struct said said[] = {ANSWER(1), ANSWER(2), ANSWER(3), {NLMSG_DONE, SEQUENCE, -ENOMEM}, {0}};
    struct visits visits = {.codes = {0, -EINVAL, -ENOENT}};
    (void)state;
    assert_int_equal(ask(said, DUMP, true, 0, &visits), -EINVAL);
    assert_int_equal(visits.count, 3);
}

/* Every way to cut a message off: it is not visited. */
static void half_a_message_is_none(void **state)
{
    static const struct said said[] = {ANSWER(1), {0}};
    (void)state;
    for (size_t cut = 1; cut <= sizeof(struct nlmsghdr) + sizeof(int); cut++) {
        struct visits visits = {0};
        assert_int_equal(ask(said, NLM_F_REQUEST, true, cut, &visits), -EAGAIN);
        assert_int_equal(visits.count, 0);
    }
}

static void no_socket_is_said(void **state)
{
    const struct nlmsghdr request = {.nlmsg_len = sizeof(request)};
    (void)state;
    assert_int_equal(netlink_ask(-1, &request, NULL, NULL), -EBADF);
}

/* The kernel's own answer, which takes no right: the loopback interface, and nobody else's question. */
static int take_link(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
    assert_int_equal(message->nlmsg_type, RTM_NEWLINK);
    assert_int_equal(message->nlmsg_pid, netlink_port_id(*(const int *)context));
    return header->ifi_index == 1 ? -EXFULL : 0;
}

static void the_kernel_answers(void **state)
{
    cleanup_close int fd = netlink_open(NETLINK_ROUTE, 0, 1 << 16), other = netlink_open(NETLINK_ROUTE, 0, 0);
    char buffer[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    (void)state;
    assert_true(fd >= 0 && other >= 0);
    assert_int_not_equal(netlink_port_id(fd), netlink_port_id(other));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = DUMP;
    request->nlmsg_seq = 1;
    assert_int_equal(netlink_ask(fd, request, take_link, &fd), -EXFULL);
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request->nlmsg_seq = 2;
    header->ifi_index = INT_MAX;
    assert_int_equal(netlink_ask(fd, request, take_link, &fd), -ENODEV);
}

static void a_socket_hears_its_groups(void **state)
{
    cleanup_close int fd = netlink_open(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV6_IFADDR, 0);
    struct sockaddr_nl address = {0};
    socklen_t len = sizeof(address);
    (void)state;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(address.nl_groups, RTMGRP_LINK | RTMGRP_IPV6_IFADDR);
}

static size_t buffer_of(int receive_buffer)
{
    cleanup_close int fd = netlink_open(NETLINK_ROUTE, 0, receive_buffer);
    int size = 0;
    socklen_t len = sizeof(size);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len), 0);
    return (size_t)size;
}

static void a_socket_has_the_buffer_asked_for(void **state)
{
    (void)state;
    assert_int_equal(buffer_of(1 << 16), 2 << 16); /* the kernel's books take as much again (socket(7)) */
    assert_true(buffer_of(0) > 0);
    assert_int_equal(netlink_open(9999, 0, 0), -EPROTONOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_its_end),
        cmocka_unit_test(the_first_failure_counts_and_all_is_visited),
        cmocka_unit_test(half_a_message_is_none),
        cmocka_unit_test(no_socket_is_said),
        cmocka_unit_test(the_kernel_answers),
        cmocka_unit_test(a_socket_hears_its_groups),
        cmocka_unit_test(a_socket_has_the_buffer_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
