/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/flows.h"

#include "base/arena.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a made-up entry is like; the message is written with libmnl, as the kernel lays it out. */
struct shape {
    const char *source, *destination, *answerer;
    uint8_t protocol;
    uint16_t port;
    uint32_t status;
    bool lacks_protocol, lacks_reply, is_other_message;
};

static void put_tuple(struct nlmsghdr *message, uint16_t type, const struct shape *shape, const char *source,
                      const char *destination)
{
    bool is_v4 = !strchr(source, ':');
    uint8_t bytes[16];
    struct nlattr *tuple = mnl_attr_nest_start(message, type);
    struct nlattr *ip = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    assert_int_equal(inet_pton(is_v4 ? AF_INET : AF_INET6, source, bytes), 1);
    mnl_attr_put(message, is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, is_v4 ? 4 : 16, bytes);
    assert_int_equal(inet_pton(is_v4 ? AF_INET : AF_INET6, destination, bytes), 1);
    mnl_attr_put(message, is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, is_v4 ? 4 : 16, bytes);
    mnl_attr_nest_end(message, ip);
    struct nlattr *proto = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    if (!shape->lacks_protocol)
        mnl_attr_put_u8(message, CTA_PROTO_NUM, shape->protocol);
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(type == CTA_TUPLE_ORIG ? 4711 : 4712));
    if (shape->port)
        mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(shape->port));
    mnl_attr_nest_end(message, proto);
    mnl_attr_nest_end(message, tuple);
}

static struct nlmsghdr *write_message(char *buffer, const struct shape *shape)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type =
        NFNL_SUBSYS_CTNETLINK << 8 | (shape->is_other_message ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->nfgen_family = strchr(shape->source, ':') ? AF_INET6 : AF_INET;
    put_tuple(message, CTA_TUPLE_ORIG, shape, shape->source, shape->destination);
    if (!shape->lacks_reply)
        put_tuple(message, CTA_TUPLE_REPLY, shape, shape->answerer, shape->source);
    mnl_attr_put_u32(message, CTA_STATUS, htonl(shape->status));
    return message;
}

#define SENT_ON (IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_DST_NAT)

static void expect_address(const struct address *address, const char *text)
{
    char buffer[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(address, buffer), text);
}

static void test_parse(void **state)
{
    static const struct shape shapes[] = {
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, SENT_ON},
        {"fd00::9", "fd00:96::1", "fd00:244::5", IPPROTO_UDP, 53, SENT_ON},
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_ICMP, 0, SENT_ON},
    };
    char buffer[1024];
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct flow flow;
        assert_true(flow_parse(write_message(buffer, &shapes[i]), &flow));
        assert_int_equal(flow.family, strchr(shapes[i].source, ':') ? FAMILY_IPV6 : FAMILY_IPV4);
        assert_int_equal(flow.protocol, shapes[i].protocol);
        assert_int_equal(flow.port, shapes[i].port);
        assert_int_equal(flow.source_port, 4711);
        assert_int_equal(flow.answer_port, 4712);
        expect_address(&flow.source, shapes[i].source);
        expect_address(&flow.destination, shapes[i].destination);
        expect_address(&flow.answerer, shapes[i].answerer);
    }
}

static void test_left_out(void **state)
{
    static const struct shape shapes[] = {
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, IPS_CONFIRMED | IPS_SRC_NAT},
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, SENT_ON, .lacks_protocol = true},
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, SENT_ON, .lacks_reply = true},
        {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, SENT_ON, .is_other_message = true},
    };
    char buffer[1024];
    struct flow flow;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        assert_false(flow_parse(write_message(buffer, &shapes[i]), &flow));
}

/* Cut anywhere, in a block of exactly that size, so that a sanitizer sees a byte too far; and with every byte
 * spoilt. */
static void test_damaged(void **state)
{
    static const struct shape shape = {"10.0.0.9", "10.96.0.1", "10.244.1.5", IPPROTO_TCP, 80, SENT_ON};
    char buffer[1024];
    struct nlmsghdr *whole = write_message(buffer, &shape);
    struct flow flow;
    for (uint32_t len = sizeof(*whole); len < whole->nlmsg_len; len++) {
        struct nlmsghdr *cut = xmalloc(len);
        memcpy(cut, whole, len);
        cut->nlmsg_len = len;
        assert_false(flow_parse(cut, &flow));
        free(cut);
    }
    for (uint32_t at = sizeof(*whole); at < whole->nlmsg_len; at++) {
        for (int value = 0; value < 256; value += 15) {
            struct nlmsghdr *spoilt = xmalloc(whole->nlmsg_len);
            memcpy(spoilt, whole, whole->nlmsg_len);
            ((uint8_t *)spoilt)[at] = (uint8_t)value;
            flow_parse(spoilt, &flow);
            free(spoilt);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_left_out),
                                       cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
