/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/service_health.h"

#include "base/arena.h"
#include "sys/http.h"
#include "sys/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct service_health *services;
    bool is_proxy_healthy;
    struct address loopback;
    uint16_t ports[2];
    struct text reports;
};

static bool is_healthy(void *context)
{
    return ((struct fixture *)context)->is_proxy_healthy;
}

static void report(void *context, const struct service_health_want *want, const char *sentence)
{
    struct fixture *fixture = context;
    text_printf(&fixture->reports, "%s %s\n", want->name, sentence);
}

static void no_request(void *context, const struct http_request *request, struct http_response *response)
{
}

static struct http_server *occupy(struct fixture *fixture, uint16_t port)
{
    struct http_server *server = NULL;
    struct socket_address address = {.address = fixture->loopback, .port = port};
    assert_int_equal(http_server_open(&server, &fixture->loop, &address, no_request, NULL, NULL), 0);
    return server;
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    uv_loop_init(&fixture->loop);
    fixture->is_proxy_healthy = true;
    address_parse("127.0.0.1", &fixture->loopback, NULL);
    fixture->services = service_health_new(&fixture->loop, is_healthy, report, fixture);
    for (int i = 0; i < 2; i++) {
        struct http_server *server = occupy(fixture, 0);
        fixture->ports[i] = http_server_address(server).port;
        http_server_close(server);
    }
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    service_health_free(fixture->services);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    text_done(&fixture->reports);
    free(fixture);
    return 0;
}

static struct service_health_want want(struct fixture *fixture, const char *name, int port,
                                       unsigned endpoints)
{
    return (struct service_health_want){.namespace = "shop",
                                        .name = name,
                                        .port = fixture->ports[port],
                                        .local_endpoints = endpoints,
                                        .addresses = &fixture->loopback,
                                        .address_count = 1};
}

static void expect(struct fixture *fixture, int port, const char *status, const char *weight,
                   const char *body)
{
    struct text text = {0};
    struct socket_address to = {.address = fixture->loopback, .port = fixture->ports[port]};
    assert_true(test_get(&fixture->loop, &to, "/any/path", &text));
    assert_int_equal(strncmp(text.data, status, strlen(status)), 0);
    assert_non_null(strstr(text.data, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(text.data, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(text.data, weight));
    assert_string_equal(test_body(&text), body);
    text_done(&text);
}

static void expect_refused(struct fixture *fixture, int port)
{
    struct socket_address to = {.address = fixture->loopback, .port = fixture->ports[port]};
    assert_int_equal(test_connect(&to), -ECONNREFUSED);
}

#define BODY(name, endpoints, healthy)                                                                       \
    "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"" name                               \
    "\"\n\t},\n\t\"localEndpoints\": " endpoints ",\n\t\"serviceProxyHealthy\": " healthy "\n}"
#define WEIGHT(endpoints) "\r\nX-Load-Balancing-Endpoint-Weight: " endpoints "\r\n"

static void says_whether_the_node_has_endpoints(void **state)
{
    struct fixture *fixture = *state;
    struct service_health_want one = want(fixture, "web", 0, 2);
    service_health_sync(fixture->services, &one, 1);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("2"), BODY("web", "2", "true"));
    fixture->is_proxy_healthy = false;
    expect(fixture, 0, "HTTP/1.1 503 ", WEIGHT("2"), BODY("web", "2", "false"));
    fixture->is_proxy_healthy = true;
    one.local_endpoints = 0;
    service_health_sync(fixture->services, &one, 1);
    expect(fixture, 0, "HTTP/1.1 503 ", WEIGHT("0"), BODY("web", "0", "true"));
}

/* A client's connection outlives a sync that changes the count alone. */
static void what_stays_is_left_open(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    struct service_health_want one = want(fixture, "web", 0, 2);
    service_health_sync(fixture->services, &one, 1);
    struct socket_address to = {.address = fixture->loopback, .port = fixture->ports[0]};
    int fd = test_connect(&to);
    test_turn(&fixture->loop, 10);
    one.local_endpoints = 3;
    service_health_sync(fixture->services, &one, 1);
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_true(test_send(fd, get, sizeof(get) - 1));
    assert_true(test_receive(&fixture->loop, fd, &text, "\"localEndpoints\": 3", 1000));
    close(fd);
    text_done(&text);
}

static void ports_come_move_and_go(void **state)
{
    struct fixture *fixture = *state;
    struct service_health_want wants[] = {want(fixture, "a", 0, 1), want(fixture, "b", 1, 1)};
    service_health_sync(fixture->services, wants, 2);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("a", "1", "true"));
    expect(fixture, 1, "HTTP/1.1 200 ", WEIGHT("1"), BODY("b", "1", "true"));
    wants[0].port = fixture->ports[1];
    wants[1].port = fixture->ports[0];
    service_health_sync(fixture->services, wants, 2);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("b", "1", "true"));
    expect(fixture, 1, "HTTP/1.1 200 ", WEIGHT("1"), BODY("a", "1", "true"));
    service_health_sync(fixture->services, wants, 1);
    expect_refused(fixture, 0);
    service_health_sync(fixture->services, NULL, 0);
    expect_refused(fixture, 1);
    assert_string_equal(text_str(&fixture->reports), "");
}

static void a_port_in_use_is_told_once_and_tried_again(void **state)
{
    struct fixture *fixture = *state;
    char line[256];
    struct http_server *squatter = occupy(fixture, fixture->ports[0]);
    struct service_health_want wants[] = {want(fixture, "web", 0, 1), want(fixture, "other", 1, 1)};
    for (int i = 0; i < 3; i++)
        service_health_sync(fixture->services, wants, 2);
    snprintf(line, sizeof(line),
             "web failed to start healthcheck \"shop/web\" on port %u: cannot listen on 127.0.0.1:%u: "
             "Address already in use\n",
             fixture->ports[0], fixture->ports[0]);
    assert_string_equal(text_str(&fixture->reports), line);
    expect(fixture, 1, "HTTP/1.1 200 ", WEIGHT("1"), BODY("other", "1", "true"));
    http_server_close(squatter);
    service_health_sync(fixture->services, wants, 2);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("web", "1", "true"));
    assert_string_equal(text_str(&fixture->reports), line);
}

/* All of a Service's addresses or none; a second family is a server of its own with its own count. */
static void addresses_and_families(void **state)
{
    struct fixture *fixture = *state;
    struct address both[2] = {fixture->loopback}, six;
    address_parse("192.0.2.1", &both[1], NULL);
    address_parse("::1", &six, NULL);
    struct service_health_want wants[] = {want(fixture, "web", 0, 1), want(fixture, "web", 0, 4)};
    wants[0].addresses = both;
    wants[0].address_count = 2;
    service_health_sync(fixture->services, wants, 1);
    assert_non_null(strstr(text_str(&fixture->reports), "cannot listen on 192.0.2.1:"));
    expect_refused(fixture, 0);
    address_parse("127.0.0.2", &both[1], NULL);
    service_health_sync(fixture->services, wants, 1);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("web", "1", "true"));
    fixture->loopback = both[1];
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("web", "1", "true"));
    struct socket_address to = {.address = six};
    struct http_server *probe = NULL;
    if (http_server_open(&probe, &fixture->loop, &to, no_request, NULL, NULL) < 0)
        skip();
    http_server_close(probe);
    wants[1].family = FAMILY_IPV6;
    wants[1].addresses = &six;
    service_health_sync(fixture->services, wants, 2);
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("1"), BODY("web", "1", "true"));
    fixture->loopback = six;
    expect(fixture, 0, "HTTP/1.1 200 ", WEIGHT("4"), BODY("web", "4", "true"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(says_whether_the_node_has_endpoints),
        TEST(what_stays_is_left_open),
        TEST(ports_come_move_and_go),
        TEST(a_port_in_use_is_told_once_and_tried_again),
        TEST(addresses_and_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
