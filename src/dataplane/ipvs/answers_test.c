/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "dataplane/ipvs/bound.h"
#include "dataplane/ipvs/ipset.h"
#include "dataplane/ipvs/servers.h"
#include "dataplane/ipvs/test_answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What the kernel's answers to dumps say, and how it is written. The answers are made up, as the kernel lays
 * them out; whether it does is what tests/property/ipvs_*_cases.c ask it. */

static struct address at(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return address;
}

/* --- ipsets --- */

struct words {
    struct text text;
    const struct ipset *set;
};

static void note_member(void *context, const struct ipset_member *member)
{
    struct words *words = context;
    char text[IPSET_MEMBER_TEXT_MAX];
    text_printf(&words->text, "%s\n", ipset_member_format(words->set, member, text));
}

static void expect_members(const struct ipset *set, const struct made *made, const char *expected)
{
    struct words words = {.set = set};
    ipset_parse_members(made->bytes, made->len, set, note_member, &words);
    assert_string_equal(text_str(&words.text), expected);
    text_done(&words.text);
}

static void test_members(void **state)
{
    const struct ipset set = {"S", IPSET_HASH_IP_PORT_NET, FAMILY_IPV4, true};
    struct made made = {0};
    const struct made_member whole = {.address = at("192.0.2.7"),
                                      .other = at("203.0.113.0"),
                                      .port = 80,
                                      .protocol = PROTOCOL_TCP,
                                      .len = 24,
                                      .mark = 0x12,
                                      .mask = 0xffffffff};
    struct made_member other = whole;
    made_begin_set(&made, "S");
    made_add_member(&made, &whole);
    other.len = 32;
    other.protocol = 47;
    other.mask = 0xff; /* of a part of the mark: none of ours */
    made_add_member(&made, &other);
    other.is_exception = true;
    made_add_member(&made, &other);
    made_end_set(&made);
    made_begin_set(&made, "S"); /* a long set comes in several messages */
    made_add_member(&made, &whole);
    made_end_set(&made);
    expect_members(&set, &made,
                   "192.0.2.7,tcp:80,203.0.113.0/24 skbmark 0x12\n192.0.2.7,47:80,203.0.113.0 skbmark 0x0\n"
                   "192.0.2.7,tcp:80,203.0.113.0/24 skbmark 0x12\n");
    /* Read as another type, each is what that one counts. */
    const struct ipset ip = {"S", IPSET_HASH_IP, FAMILY_IPV4, false},
                       port = {"S", IPSET_BITMAP_PORT, 0, false};
    expect_members(&ip, &made, "192.0.2.7\n192.0.2.7\n192.0.2.7\n");
    expect_members(&port, &made, "80\n80\n80\n");
}

static void test_senseless_members(void **state)
{
    const struct ipset set = {"S", IPSET_HASH_IP_PORT_IP, FAMILY_IPV6, false};
    struct made made = {0};
    struct made_member member = {.port = 80, .protocol = PROTOCOL_TCP};
    made_begin_set(&made, "S");
    made_add_member(&made, &member); /* without addresses */
    member.address = at("fd00::a");
    made_add_member(&made, &member); /* without the other one */
    member.other = at("fd00::b");
    made_add_member(&made, &member);
    made_end_set(&made);
    expect_members(&set, &made, "fd00::a,tcp:80,fd00::b\n");
}

static void test_type_names(void **state)
{
    static const char *const names[] = {"bitmap:port", "hash:ip", "hash:ip,port", "hash:ip,port,ip",
                                        "hash:ip,port,net"};
    for (int type = 0; type < IPSET_TYPE_COUNT; type++)
        assert_string_equal(ipset_type_name((enum ipset_type)type), names[type]);
}

/* --- servers --- */

static void note_virtual(void *context, const struct virtual_server *virtual,
                         const struct server_settings *settings)
{
    char text[VIRTUAL_SERVER_TEXT_MAX];
    text_printf(context, "%s %s %u%s\n", virtual_server_format(virtual, text), settings->scheduler,
                settings->persistence_s, settings->has_source_hash_port ? " sh-port" : "");
}

static void note_real(void *context, const struct real_server *real)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    const struct socket_address socket = {real->backend.address, real->backend.port};
    text_printf(context, "%s %u %u\n", socket_address_format(&socket, text), real->weight, real->connections);
}

static void test_servers(void **state)
{
    struct text text = {0};
    struct made made = {0};
    struct made_virtual virtual = {.address = at("10.96.0.10"),
                                   .port = 80,
                                   .protocol = PROTOCOL_TCP,
                                   .scheduler = "rr",
                                   .timeout_s = 300};
    made_add_virtual(&made, &virtual);
    virtual.is_persistent = true;
    virtual.has_second_flag = true;
    virtual.address = at("fd00:10:96::a");
    made_add_virtual(&made, &virtual);
    virtual.protocol = 51;
    virtual.scheduler = "a-name-as-long-as-can-be";
    made_add_virtual(&made, &virtual);
    virtual.mark = 4711;
    virtual.scheduler = NULL;
    made_add_virtual(&made, &virtual);
    servers_parse(made.bytes, made.len, note_virtual, &text);
    assert_string_equal(text_str(&text),
                        "TCP 10.96.0.10:80 rr 0\nTCP [fd00:10:96::a]:80 rr 300 sh-port\n"
                        "51 [fd00:10:96::a]:80 a-name-as-long- 300 sh-port\nFWM 4711 IPv6  300 sh-port\n");
    text_done(&text);
}

static void test_real_servers(void **state)
{
    struct text text = {0};
    struct made made = {0};
    struct made_real real = {
        .address = at("10.244.1.1"), .port = 8080, .weight = 1, .active = 2, .inactive = 3};
    made_add_real(&made, &real);
    real.address = at("fd00:244::1");
    made_add_real(&made, &real);
    real.family = 7; /* none of ours */
    made_add_real(&made, &real);
    servers_parse_real(made.bytes, made.len, note_real, &text);
    assert_string_equal(text_str(&text), "10.244.1.1:8080 1 5\n[fd00:244::1]:8080 1 5\n");
    text_done(&text);
    text = (struct text){0};
    servers_parse(made.bytes, made.len, note_virtual, &text);
    assert_string_equal(text_str(&text), ""); /* there is no virtual server in it */
    text_done(&text);
}

/* Two that differ in nothing that counts are the same bytes. */
static void keep_virtual(void *context, const struct virtual_server *virtual,
                         const struct server_settings *settings)
{
    memcpy(context, virtual, sizeof(*virtual));
}

static void test_servers_compare_as_bytes(void **state)
{
    struct made made = {0};
    struct virtual_server kept, said;
    const struct made_virtual virtual = {.mark = 4711, .address = at("10.96.0.10"), .scheduler = "rr"};
    memset(&kept, 0xff, sizeof(kept));
    memset(&said, 0, sizeof(said));
    said.mark = 4711;
    said.family = FAMILY_IPV4;
    made_add_virtual(&made, &virtual);
    servers_parse(made.bytes, made.len, keep_virtual, &kept);
    assert_memory_equal(&kept, &said, sizeof(kept));
}

/* --- addresses --- */

static void note_address(void *context, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    text_printf(context, "%s\n", address_format(address, text));
}

static void test_addresses(void **state)
{
    struct text text = {0};
    struct made made = {0};
    made_add_address(&made, 5, at("10.96.0.10"), true);
    made_add_address(&made, 6, at("10.96.0.11"), true); /* another interface's */
    made_add_address(&made, 5, at("fe80::1"), false);
    made_add_address(&made, 5, at("fd00::a"), false);
    made_add_address(&made, 5, at("169.254.1.1"), false);
    bound_parse(made.bytes, made.len, 5, note_address, &text);
    assert_string_equal(text_str(&text), "10.96.0.10\nfd00::a\n169.254.1.1\n");
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),      cmocka_unit_test(test_senseless_members),
        cmocka_unit_test(test_type_names),   cmocka_unit_test(test_servers),
        cmocka_unit_test(test_real_servers), cmocka_unit_test(test_servers_compare_as_bytes),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
