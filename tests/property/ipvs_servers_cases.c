/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_case.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/servers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The kernel's virtual and real servers (dataplane/ipvs/servers.h). Skipped where it has no IPVS: tests/vm
 * has such a kernel. */

static struct servers *open_servers(void)
{
    struct servers *servers;
    struct err err;
    expect_fine(servers_open(&servers, &err), &err);
    return servers;
}

static void note_virtual(void *context, const struct virtual_server *virtual,
                         const struct server_settings *settings)
{
    char text[VIRTUAL_SERVER_TEXT_MAX];
    snprintf(next_line(context), 160, "%s %s %u%s", virtual_server_format(virtual, text), settings->scheduler,
             settings->persistence_s, settings->has_source_hash_port ? " sh-port" : "");
}

static void note_real(void *context, const struct real_server *real)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    const struct socket_address socket = {real->backend.address, real->backend.port};
    snprintf(next_line(context), 160, "%s %u %u", socket_address_format(&socket, text), real->weight,
             real->connections);
}

static void expect_virtual(struct servers *servers, const char *const *expected, unsigned count)
{
    struct lines lines = {0};
    struct err err;
    expect_fine(servers_list(servers, note_virtual, &lines, &err), &err);
    expect_lines(&lines, expected, count);
}

static void expect_real(struct servers *servers, const struct virtual_server *virtual,
                        const char *const *expected, unsigned count)
{
    struct lines lines = {0};
    struct err err;
    expect_fine(servers_list_real(servers, virtual, note_real, &lines, &err), &err);
    expect_lines(&lines, expected, count);
}

static struct virtual_server virtual_at(const char *address, uint8_t protocol)
{
    struct virtual_server virtual = {.address = at(address), .port = 80, .protocol = protocol};
    virtual.family = (uint8_t)address_family(&virtual.address);
    return virtual;
}

static struct backend backend_at(const char *address)
{
    return (struct backend){.address = at(address), .port = 8080};
}

static void flush(struct servers *servers)
{
    struct err err;
    expect_fine(servers_flush(servers, &err), &err);
}

static void test_schedulers(void **state)
{
    static const char *const schedulers[] = {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh",
                                             "dh", "sed", "nq", "mh",  "fo",   "ovf"};
    struct servers *servers = open_servers();
    struct err err;
    for (unsigned i = 0; i < ARRAY_LEN(schedulers); i++)
        expect_fine(servers_probe_scheduler(servers, schedulers[i], &err), &err);
    expect_virtual(servers, NULL, 0); /* nothing stays of it */
    expect_sentence(servers_probe_scheduler(servers, "fastest", &err), -ENOENT, &err,
                    "this kernel has no IPVS scheduler fastest");
    expect_sentence(servers_probe_scheduler(servers, "a-name-that-is-too-long", &err), -ENOENT, &err,
                    "this kernel has no IPVS scheduler a-name-that-is-too-long");
    expect_virtual(servers, NULL, 0);
    servers_close(servers);
}

static void test_virtual_servers(void **state)
{
    static const char *const addresses[] = {"10.96.0.10", "fd00:10:96::a"};
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};
    static const char *const expected[] = {
        "FWM 4294967295 wrr 0",         "FWM 4711 IPv6 rr 10800",      "SCTP 10.96.0.10:80 rr 0",
        "SCTP [fd00:10:96::a]:80 rr 0", "TCP 10.96.0.10:80 rr 0",      "TCP [fd00:10:96::a]:80 rr 0",
        "UDP 10.96.0.10:80 rr 0",       "UDP [fd00:10:96::a]:80 rr 0",
    };
    static const char *const changed[] = {"TCP 10.96.0.10:80 sh 1 sh-port"};
    struct servers *servers = open_servers();
    struct server_settings settings = {.scheduler = "rr"}, other = {.scheduler = "wrr"};
    struct virtual_server mark = {.mark = 4711, .family = FAMILY_IPV6},
                          highest = {.mark = UINT32_MAX, .family = FAMILY_IPV4};
    for (unsigned a = 0; a < 2; a++) {
        for (unsigned p = 0; p < 3; p++) {
            struct virtual_server virtual = virtual_at(addresses[a], protocols[p]);
            servers_set(servers, &virtual, &settings, true);
        }
    }
    settings.persistence_s = 10800;
    servers_set(servers, &mark, &settings, true);
    servers_set(servers, &highest, &other, true);
    flush(servers);
    expect_virtual(servers, expected, ARRAY_LEN(expected));
    for (unsigned a = 0; a < 2; a++) {
        for (unsigned p = a == 0; p < 3; p++) {
            struct virtual_server virtual = virtual_at(addresses[a], protocols[p]);
            servers_remove(servers, &virtual);
        }
    }
    servers_remove(servers, &mark);
    servers_remove(servers, &highest);
    servers_remove(servers, &highest);
    struct virtual_server kept = virtual_at(addresses[0], PROTOCOL_TCP);
    struct server_settings sticky = {.scheduler = "sh", .persistence_s = 1, .has_source_hash_port = true};
    servers_set(servers, &kept, &sticky, false);
    flush(servers);
    expect_virtual(servers, changed, 1);
    sticky = (struct server_settings){.scheduler = "sh"};
    servers_set(servers, &kept, &sticky, false);
    flush(servers);
    expect_virtual(servers, (const char *const[]){"TCP 10.96.0.10:80 sh 0"}, 1);
    servers_close(servers);
}

static void test_real_servers(void **state)
{
    static const char *const virtuals[] = {"10.96.0.10", "fd00:10:96::a"};
    static const char *const reals[2][3] = {{"10.244.1.1", "10.244.1.2", "10.244.1.3"},
                                            {"fd00:244::1", "fd00:244::2", "fd00:244::3"}};
    static const char *const added[2][3] = {
        {"10.244.1.1:8080 1 0", "10.244.1.2:8080 1 0", "10.244.1.3:8080 1 0"},
        {"[fd00:244::1]:8080 1 0", "[fd00:244::2]:8080 1 0", "[fd00:244::3]:8080 1 0"}};
    static const char *const changed[2][2] = {{"10.244.1.1:8080 0 0", "10.244.1.3:8080 7 0"},
                                              {"[fd00:244::1]:8080 0 0", "[fd00:244::3]:8080 7 0"}};
    struct servers *servers = open_servers();
    const struct server_settings settings = {.scheduler = "rr"};
    for (unsigned family = 0; family < 4; family++) {
        unsigned f = family % 2;
        struct virtual_server virtual = virtual_at(virtuals[f], PROTOCOL_TCP);
        if (family >= 2)
            virtual = (struct virtual_server){.mark = 4711, .family = (uint8_t)f};
        struct backend backends[3];
        servers_set(servers, &virtual, &settings, true);
        for (unsigned i = 0; i < 3; i++) {
            backends[i] = backend_at(reals[f][i]);
            servers_set_real(servers, &virtual, &backends[i], 1, true);
        }
        flush(servers);
        expect_real(servers, &virtual, added[f], 3);
        servers_set_real(servers, &virtual, &backends[0], 0, false);
        servers_remove_real(servers, &virtual, &backends[1]);
        servers_remove_real(servers, &virtual, &backends[1]);
        servers_set_real(servers, &virtual, &backends[2], 7, false);
        flush(servers);
        expect_real(servers, &virtual, changed[f], 2);
    }
    servers_close(servers);
}

/* What is there and what is not is other than was thought: the result is what was said, in its order. */
static void test_wrong_expectations(void **state)
{
    struct servers *servers = open_servers();
    const struct server_settings rr = {.scheduler = "rr"}, wrr = {.scheduler = "wrr"};
    struct virtual_server a = virtual_at("10.96.0.10", PROTOCOL_TCP),
                          b = virtual_at("10.96.0.11", PROTOCOL_TCP);
    struct backend one = backend_at("10.244.1.1"), two = backend_at("10.244.1.2");
    servers_set(servers, &a, &rr, false);
    servers_set_real(servers, &a, &one, 1, false);
    servers_set_real(servers, &a, &two, 1, true);
    servers_set(servers, &b, &rr, false);
    servers_remove(servers, &b);
    flush(servers);
    expect_virtual(servers, (const char *const[]){"TCP 10.96.0.10:80 rr 0"}, 1);
    expect_real(servers, &a, (const char *const[]){"10.244.1.1:8080 1 0", "10.244.1.2:8080 1 0"}, 2);
    servers_set(servers, &a, &wrr, true);
    servers_set_real(servers, &a, &one, 2, true);
    servers_remove_real(servers, &a, &two);
    servers_set_real(servers, &a, &two, 3, false);
    servers_remove_real(servers, &b, &two);
    servers_set(servers, &b, &rr, true);
    flush(servers);
    expect_virtual(servers, (const char *const[]){"TCP 10.96.0.10:80 wrr 0", "TCP 10.96.0.11:80 rr 0"}, 2);
    expect_real(servers, &a, (const char *const[]){"10.244.1.1:8080 2 0", "10.244.1.2:8080 3 0"}, 2);
    servers_close(servers);
}

static void test_refused_servers(void **state)
{
    struct servers *servers = open_servers();
    struct err err;
    const struct server_settings rr = {.scheduler = "rr"}, fastest = {.scheduler = "fastest"};
    struct virtual_server a = virtual_at("10.96.0.10", PROTOCOL_TCP),
                          b = virtual_at("fd00:10:96::a", PROTOCOL_UDP);
    struct backend one = backend_at("10.244.1.1"), six = backend_at("fd00:244::1");
    servers_set(servers, &a, &fastest, true);
    servers_set_real(servers, &a, &one, 1, true);
    servers_set(servers, &b, &rr, true);
    expect_sentence(servers_flush(servers, &err), -ENOENT, &err,
                    "the virtual server TCP 10.96.0.10:80 cannot be added: this kernel has no scheduler "
                    "fastest");
    expect_virtual(servers, (const char *const[]){"UDP [fd00:10:96::a]:80 rr 0"}, 1);
    expect_sentence(servers_list_real(servers, &a, note_real, NULL, &err), -ENOENT, &err,
                    "the virtual server TCP 10.96.0.10:80 is not there");
    expect_real(servers, &b, NULL, 0);
    servers_set_real(servers, &a, &one, 1, true);
    expect_sentence(servers_flush(servers, &err), -ESRCH, &err,
                    "the real server 10.244.1.1:8080 of TCP 10.96.0.10:80 cannot be added: that virtual "
                    "server is not there");
    servers_set(servers, &a, &rr, true);
    servers_set_real(servers, &a, &six, 1, true);
    expect_sentence(servers_flush(servers, &err), -EINVAL, &err,
                    "the real server [fd00:244::1]:8080 of TCP 10.96.0.10:80 cannot be added: Invalid "
                    "argument");
    servers_set(servers, &a, &fastest, false);
    expect_sentence(servers_flush(servers, &err), -ENOENT, &err,
                    "the virtual server TCP 10.96.0.10:80 cannot be changed: this kernel has no scheduler "
                    "fastest");
    flush(servers);
    servers_close(servers);
}

static void test_servers_agree_with_the_program(void **state)
{
    struct servers *servers = open_servers();
    struct err err;
    const struct server_settings sticky = {
        .scheduler = "mh", .persistence_s = 10800, .has_source_hash_port = true};
    struct virtual_server a = virtual_at("10.96.0.10", PROTOCOL_TCP);
    struct backend one = backend_at("10.244.1.1");
    servers_set(servers, &a, &sticky, true);
    servers_set_real(servers, &a, &one, 1, true);
    flush(servers);
    expect_shown("ipvsadm -Sn", "-A -t 10.96.0.10:80 -s mh -p 10800 -b mh-port\n");
    expect_shown("ipvsadm -Sn", "-a -t 10.96.0.10:80 -r 10.244.1.1:8080 -m -w 1\n");
    shell("ipvsadm -A -f 7 -6 -s lc && ipvsadm -a -f 7 -6 -r [fd00:244::1]:80 -g -w 5");
    struct virtual_server mark = {.mark = 7, .family = FAMILY_IPV6};
    expect_real(servers, &mark, (const char *const[]){"[fd00:244::1]:80 5 0"}, 1);
    expect_fine(servers_set_timeouts(servers, 901, 121, 301, &err), &err);
    expect_shown("ipvsadm -l --timeout", ": 901 121 301");
    expect_fine(servers_set_timeouts(servers, 0, 122, 0, &err), &err);
    expect_shown("ipvsadm -l --timeout", ": 901 122 301");
    servers_close(servers);
}

static void count_virtual(void *context, const struct virtual_server *virtual,
                          const struct server_settings *settings)
{
    ++*(unsigned *)context;
}

static void count_real(void *context, const struct real_server *real)
{
    ++*(unsigned *)context;
}

static struct virtual_server virtual_numbered(unsigned number)
{
    return (struct virtual_server){
        .address = numbered(FAMILY_IPV4, number), .port = 80, .protocol = PROTOCOL_TCP};
}

static void test_many_servers(void **state)
{
    enum { VIRTUAL = 10000, REAL = 10 };
    struct servers *servers = open_servers();
    const struct server_settings rr = {.scheduler = "rr"};
    struct err err;
    unsigned count = 0, reals = 0;
    double start = now_s();
    for (unsigned i = 0; i < VIRTUAL; i++) {
        struct virtual_server virtual = virtual_numbered(i);
        servers_set(servers, &virtual, &rr, true);
        for (unsigned j = 0; j < REAL; j++) {
            struct backend backend = {.address = numbered(FAMILY_IPV4, 100000 + i * REAL + j), .port = 8080};
            servers_set_real(servers, &virtual, &backend, 1, true);
        }
    }
    double gathered = now_s();
    flush(servers);
    double flushed = now_s();
    expect_fine(servers_list(servers, count_virtual, &count, &err), &err);
    double listed = now_s();
    for (unsigned i = 0; i < VIRTUAL; i++) {
        struct virtual_server virtual = virtual_numbered(i);
        expect_fine(servers_list_real(servers, &virtual, count_real, &reals, &err), &err);
    }
    double all = now_s();
    print_message("%u virtual servers, %u real: gathered %.3f s, flushed %.3f s, listed %.3f s and %.3f s\n",
                  count, reals, gathered - start, flushed - gathered, listed - flushed, all - listed);
    assert_int_equal(count, VIRTUAL);
    assert_int_equal(reals, VIRTUAL * REAL);
    for (unsigned i = 0; i < VIRTUAL; i++) {
        struct virtual_server virtual = virtual_numbered(i);
        servers_remove(servers, &virtual);
    }
    flush(servers);
    print_message("removed %.3f s\n", now_s() - all);
    expect_virtual(servers, NULL, 0);
    servers_close(servers);
}

#define CASE(name) cmocka_unit_test_setup(name, new_namespace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_schedulers),         CASE(test_virtual_servers), CASE(test_real_servers),
        CASE(test_wrong_expectations), CASE(test_refused_servers), CASE(test_servers_agree_with_the_program),
        CASE(test_many_servers),
    };
    struct servers *servers = NULL;
    struct err err;
    if (!can_run("ipvsadm"))
        return 77;
    if (servers_open(&servers, &err) == -ENOENT) {
        printf("skipped: %s\n", err.text);
        return 77;
    }
    servers_close(servers);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
