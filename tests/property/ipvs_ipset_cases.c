/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_case.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/gather.h"
#include "dataplane/ipvs/ipset.h"

#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* The kernel's sets (dataplane/ipvs/ipset.h), and the messages that gather.h sends in bulk. */

static struct ipset_socket *open_ipsets(void)
{
    struct ipset_socket *socket;
    struct err err;
    expect_fine(ipset_open(&socket, &err), &err);
    return socket;
}

static void note_member(void *context, const struct ipset_member *member)
{
    struct lines *lines = context;
    ipset_member_format(lines->context, member, next_line(lines));
}

static void expect_members(struct ipset_socket *socket, const struct ipset *set, const char *const *expected,
                           unsigned count)
{
    struct lines lines = {.context = set};
    struct err err;
    expect_fine(ipset_list(socket, set, note_member, &lines, &err), &err);
    expect_lines(&lines, expected, count);
}

/* A member of each type and family, and how ipset(8) writes it; the second is another one. */
static const struct {
    enum ipset_type type;
    enum family family;
    const char *addresses[2], *other;
    uint16_t port;
    uint8_t protocol, len;
    const char *expected[2];
} kinds[] = {
    {IPSET_BITMAP_PORT, FAMILY_IPV4, {0}, NULL, 30080, 0, 0, {"30080", "30081"}},
    {IPSET_BITMAP_PORT, FAMILY_IPV6, {0}, NULL, 0, 0, 0, {"0", "1"}},
    {IPSET_HASH_IP, FAMILY_IPV4, {"10.96.0.10", "10.96.0.11"}, NULL, 0, 0, 0, {"10.96.0.10", "10.96.0.11"}},
    {IPSET_HASH_IP, FAMILY_IPV6, {"fd00::a", "fd00::b"}, NULL, 0, 0, 0, {"fd00::a", "fd00::b"}},
    {IPSET_HASH_IP_PORT,
     FAMILY_IPV4,
     {"10.96.0.10", "10.96.0.11"},
     NULL,
     80,
     PROTOCOL_TCP,
     0,
     {"10.96.0.10,tcp:80", "10.96.0.11,tcp:81"}},
    {IPSET_HASH_IP_PORT,
     FAMILY_IPV6,
     {"fd00::a", "fd00::b"},
     NULL,
     53,
     PROTOCOL_UDP,
     0,
     {"fd00::a,udp:53", "fd00::b,udp:54"}},
    {IPSET_HASH_IP_PORT_IP,
     FAMILY_IPV4,
     {"10.244.1.11", "10.244.1.12"},
     "10.244.1.13",
     7,
     PROTOCOL_SCTP,
     0,
     {"10.244.1.11,sctp:7,10.244.1.13", "10.244.1.12,sctp:8,10.244.1.13"}},
    {IPSET_HASH_IP_PORT_IP,
     FAMILY_IPV6,
     {"fd00:244::b", "fd00:244::c"},
     "fd00:244::d",
     7,
     PROTOCOL_TCP,
     0,
     {"fd00:244::b,tcp:7,fd00:244::d", "fd00:244::c,tcp:8,fd00:244::d"}},
    {IPSET_HASH_IP_PORT_NET,
     FAMILY_IPV4,
     {"192.0.2.7", "192.0.2.8"},
     "203.0.113.0",
     80,
     PROTOCOL_TCP,
     24,
     {"192.0.2.7,tcp:80,203.0.113.0/24", "192.0.2.8,tcp:81,203.0.113.0/24"}},
    {IPSET_HASH_IP_PORT_NET,
     FAMILY_IPV4,
     {"192.0.2.7", "192.0.2.8"},
     "203.0.113.9",
     80,
     PROTOCOL_TCP,
     32,
     {"192.0.2.7,tcp:80,203.0.113.9", "192.0.2.8,tcp:81,203.0.113.9"}},
    {IPSET_HASH_IP_PORT_NET,
     FAMILY_IPV6,
     {"2001:db8::7", "2001:db8::8"},
     "2001:db8:1::",
     80,
     PROTOCOL_UDP,
     48,
     {"2001:db8::7,udp:80,2001:db8:1::/48", "2001:db8::8,udp:81,2001:db8:1::/48"}},
};

static struct ipset_member member_of(unsigned kind, unsigned which)
{
    struct ipset_member member = {.protocol = kinds[kind].protocol, .len = kinds[kind].len};
    if (kinds[kind].addresses[which])
        member.address = at(kinds[kind].addresses[which]);
    if (kinds[kind].other)
        member.other = at(kinds[kind].other);
    if (kinds[kind].type != IPSET_HASH_IP)
        member.port = (uint16_t)(kinds[kind].port + which);
    return member;
}

/* Added, added again, removed, removed again: as said. */
static void check_kind(struct ipset_socket *socket, unsigned kind, bool has_marks)
{
    const struct ipset set = {.name = has_marks ? "KUBE-MARKS" : "KUBE-TEST",
                              .type = kinds[kind].type,
                              .family = kinds[kind].family,
                              .has_marks = has_marks};
    struct err err;
    char lines[2][200];
    const char *expected[2] = {lines[0], lines[1]};
    expect_fine(ipset_create(socket, &set, &err), &err);
    expect_fine(ipset_create(socket, &set, &err), &err);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned which = 0; which < 2; which++) {
            struct ipset_member member = member_of(kind, which);
            member.mark = has_marks ? 0x80000000u + round : 0;
            snprintf(lines[which], sizeof(lines[which]), "%s%s", kinds[kind].expected[which],
                     !has_marks ? ""
                     : round    ? " skbmark 0x80000001"
                                : " skbmark 0x80000000");
            ipset_add(socket, &set, &member);
        }
        expect_fine(ipset_flush(socket, &err), &err);
        expect_members(socket, &set, expected, 2);
    }
    struct ipset_member first = member_of(kind, 0);
    for (unsigned round = 0; round < 2; round++) {
        ipset_remove(socket, &set, &first);
        expect_fine(ipset_flush(socket, &err), &err);
        expect_members(socket, &set, expected + 1, 1);
    }
    expect_fine(ipset_destroy(socket, set.name, &err), &err);
    expect_fine(ipset_destroy(socket, set.name, &err), &err);
}

static void test_sets_of_every_type(void **state)
{
    struct ipset_socket *socket = open_ipsets();
    for (unsigned kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        check_kind(socket, kind, false);
        check_kind(socket, kind, true);
    }
    ipset_close(socket);
}

static void test_ipset_agrees_with_the_program(void **state)
{
    const struct ipset set = {"KUBE-TEST", IPSET_HASH_IP_PORT_NET, FAMILY_IPV4, true};
    struct ipset_socket *socket = open_ipsets();
    struct err err;
    struct ipset_member member = member_of(8, 0);
    member.mark = 0x12;
    expect_fine(ipset_create(socket, &set, &err), &err);
    ipset_add(socket, &set, &member);
    expect_fine(ipset_flush(socket, &err), &err);
    expect_shown("ipset list KUBE-TEST", "maxelem 65536 skbinfo");
    expect_shown("ipset list KUBE-TEST", "\n192.0.2.7,tcp:80,203.0.113.0/24 skbmark 0x12\n");
    shell("ipset add KUBE-TEST 192.0.2.9,udp:53,0.0.0.0/1 skbmark 0x10/0xff");
    shell("ipset add KUBE-TEST 192.0.2.9,udp:53,198.51.100.0/24 nomatch");
    const char *expected[] = {"192.0.2.7,tcp:80,203.0.113.0/24 skbmark 0x12",
                              "192.0.2.9,udp:53,0.0.0.0/1 skbmark 0x0"};
    expect_members(socket, &set, expected, 2);
    ipset_close(socket);
}

static void test_set_that_is_there_already(void **state)
{
    static const struct {
        const char *made, *words;
    } cases[] = {
        {"hash:ip", NULL},
        {"hash:ip hashsize 64 maxelem 8 counters comment", NULL},
        {"hash:net", "an ipset KUBE-TEST of another type is there already; it has to be of hash:ip"},
        {"hash:ip,port", "an ipset KUBE-TEST of hash:ip,port is there already; it has to be of hash:ip"},
        {"hash:ip family inet6",
         "an ipset KUBE-TEST of IPv6 addresses is there already; it has to be of IPv4"},
        {"hash:ip skbinfo", "an ipset KUBE-TEST is there already with marks (skbinfo); it has to be without"},
        {"hash:ip timeout 60", "an ipset KUBE-TEST is there already whose members time out"},
        {"hash:ip netmask 24", "an ipset KUBE-TEST is there already that holds a part only (netmask)"},
    };
    const struct ipset set = {"KUBE-TEST", IPSET_HASH_IP, FAMILY_IPV4, false};
    const struct ipset ports = {"KUBE-PORTS", IPSET_BITMAP_PORT, FAMILY_IPV4, false};
    struct ipset_socket *socket = open_ipsets();
    struct err err;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        char command[160];
        snprintf(command, sizeof(command), "ipset create KUBE-TEST %s", cases[i].made);
        shell(command);
        int code = ipset_create(socket, &set, &err);
        if (cases[i].words)
            expect_sentence(code, -EEXIST, &err, cases[i].words);
        else
            expect_fine(code, &err);
        expect_fine(ipset_destroy(socket, "KUBE-TEST", &err), &err);
    }
    shell("ipset create KUBE-PORTS bitmap:port range 30000-32767");
    expect_sentence(ipset_create(socket, &ports, &err), -EEXIST, &err,
                    "an ipset KUBE-PORTS is there already that holds a part only (range)");
    ipset_close(socket);
}

/* The one that does not fit is named, the others are in. */
static void test_full_set(void **state)
{
    const struct ipset set = {"KUBE-CLUSTER-IP", IPSET_HASH_IP_PORT, FAMILY_IPV4, false};
    struct ipset_socket *socket = open_ipsets();
    struct err err;
    struct lines lines = {.context = &set};
    shell("ipset create KUBE-CLUSTER-IP hash:ip,port maxelem 8");
    for (unsigned i = 0; i < 10; i++) {
        struct ipset_member member = {
            .address = numbered(FAMILY_IPV4, i), .port = 80, .protocol = PROTOCOL_TCP};
        ipset_add(socket, &set, &member);
    }
    expect_sentence(ipset_flush(socket, &err), -ENFILE, &err,
                    "the ipset KUBE-CLUSTER-IP is full: it has room for 8 members, and 10.64.0.8,tcp:80 is "
                    "one more");
    expect_fine(ipset_list(socket, &set, note_member, &lines, &err), &err);
    assert_int_equal(lines.count, 8);
    expect_fine(ipset_flush(socket, &err), &err);
    ipset_close(socket);
}

static void test_refused_members(void **state)
{
    const struct ipset none = {"KUBE-NONE", IPSET_HASH_IP, FAMILY_IPV4, false};
    const struct ipset set = {"KUBE-TEST", IPSET_HASH_IP, FAMILY_IPV4, false};
    const struct ipset ports = {"KUBE-TEST", IPSET_BITMAP_PORT, FAMILY_IPV4, false};
    const struct ipset marks = {"KUBE-TEST", IPSET_HASH_IP, FAMILY_IPV4, true};
    struct ipset_socket *socket = open_ipsets();
    struct err err;
    struct ipset_member member = member_of(2, 0), other = member_of(3, 0), port = {.port = 80};
    expect_fine(ipset_create(socket, &set, &err), &err);
    ipset_add(socket, &none, &member);
    ipset_add(socket, &set, &member);
    expect_sentence(ipset_flush(socket, &err), -ENOENT, &err,
                    "the ipset KUBE-NONE: 10.96.0.10 cannot be added: there is no such set");
    ipset_remove(socket, &none, &member);
    expect_sentence(ipset_flush(socket, &err), -ENOENT, &err,
                    "the ipset KUBE-NONE: 10.96.0.10 cannot be removed: there is no such set");
    ipset_add(socket, &set, &other);
    expect_sentence(ipset_flush(socket, &err), -EINVAL, &err,
                    "the ipset KUBE-TEST: fd00::a cannot be added: it does not fit that type of set");
    ipset_add(socket, &ports, &port);
    expect_sentence(ipset_flush(socket, &err), -EINVAL, &err,
                    "the ipset KUBE-TEST: 80 cannot be added: it does not fit that type of set");
    ipset_add(socket, &marks, &member);
    expect_sentence(ipset_flush(socket, &err), -EINVAL, &err,
                    "the ipset KUBE-TEST: 10.96.0.10 cannot be added: the set was made without marks");
    const char *expected[] = {"10.96.0.10"};
    expect_members(socket, &set, expected, 1);
    expect_sentence(ipset_list(socket, &none, note_member, NULL, &err), -ENOENT, &err,
                    "the ipset KUBE-NONE cannot be listed: there is no such set");
    shell("ipset create LIST list:set; ipset add LIST KUBE-TEST");
    expect_sentence(ipset_destroy(socket, "KUBE-TEST", &err), -EBUSY, &err,
                    "the ipset KUBE-TEST cannot be destroyed: a rule or another set uses it");
    ipset_close(socket);
}

static void count_member(void *context, const struct ipset_member *member)
{
    ++*(unsigned *)context;
}

static void test_many_members(void **state)
{
    enum { COUNT = 65536 }; /* as many as a set may have */
    const struct ipset set = {"KUBE-CLUSTER-IP", IPSET_HASH_IP_PORT_IP, FAMILY_IPV4, false};
    struct ipset_socket *socket = open_ipsets();
    struct err err;
    expect_fine(ipset_create(socket, &set, &err), &err);
    double start = now_s();
    for (unsigned i = 0; i < COUNT; i++) {
        struct ipset_member member = {
            .address = numbered(FAMILY_IPV4, i), .port = 80, .protocol = PROTOCOL_TCP};
        member.other = member.address;
        ipset_add(socket, &set, &member);
    }
    double gathered = now_s();
    expect_fine(ipset_flush(socket, &err), &err);
    double flushed = now_s();
    unsigned count = 0;
    expect_fine(ipset_list(socket, &set, count_member, &count, &err), &err);
    assert_int_equal(count, COUNT);
    print_message("%u members: gathered %.3f s, flushed %.3f s, listed %.3f s\n", count, gathered - start,
                  flushed - gathered, now_s() - flushed);
    for (unsigned i = 0; i < COUNT; i += 2) {
        struct ipset_member member = {
            .address = numbered(FAMILY_IPV4, i), .port = 80, .protocol = PROTOCOL_TCP};
        member.other = member.address;
        ipset_remove(socket, &set, &member);
    }
    expect_fine(ipset_flush(socket, &err), &err);
    count = 0;
    expect_fine(ipset_list(socket, &set, count_member, &count, &err), &err);
    assert_int_equal(count, COUNT / 2);
    ipset_close(socket);
}

/* --- more answers than the receive buffer takes --- */

static unsigned judged;

static enum gather_verdict judge_lost(struct nlmsghdr *message, int code)
{
    assert_int_equal(code, -ENOENT);
    judged++;
    return GATHER_REFUSED;
}

static void test_lost_answers(void **state)
{
    enum { COUNT = 2000 };
    const int least = 0;
    struct gather gather;
    struct gather_failure failure;
    struct err err;
    uint32_t first = 0;
    expect_fine(gather_open(&gather, NETLINK_NETFILTER, &err), &err);
    assert_int_equal(setsockopt(gather.fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        struct nlmsghdr *message =
            gather_message(&gather, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_DESTROY, NLM_F_EXCL);
        mnl_nlmsg_put_extra_header(message, sizeof(struct nfgenmsg));
        mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
        mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, "KUBE-NONE");
        first = first ? first : message->nlmsg_seq;
    }
    judged = 0;
    assert_int_equal(gather_flush(&gather, judge_lost, &failure), -ENOENT);
    assert_true(failure.has_message);
    assert_int_equal(failure.message.nlmsg_seq, first);
    assert_true(judged >= COUNT);
    gather_close(&gather);
}

#define CASE(name) cmocka_unit_test_setup(name, new_namespace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_sets_of_every_type),
        CASE(test_ipset_agrees_with_the_program),
        CASE(test_set_that_is_there_already),
        CASE(test_full_set),
        CASE(test_refused_members),
        CASE(test_many_members),
        CASE(test_lost_answers),
    };
    if (!can_run("ipset"))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
