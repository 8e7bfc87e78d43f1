/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http.h"

#include "sys/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#define LARGE (8 * 1024 * 1024)

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    struct socket_address address;
    unsigned handled;
};

/* Echoes what it was given; /large is larger than any socket buffer. */
static void echo(void *context, const struct http_request *request, struct http_response *response)
{
    struct fixture *fixture = context;
    fixture->handled++;
    if (strcmp(request->path, "/large") == 0) {
        char *block = calloc(1, LARGE);
        memset(block, 'x', LARGE);
        text_add_bytes(&response->body, block, LARGE);
        free(block);
        return;
    }
    if (strcmp(request->path, "/empty") == 0) {
        response->status = 503;
        return;
    }
    http_response_set(response, 200, "text/plain", request->method);
    http_response_add_header(response, "X-Extra", "7");
    text_printf(&response->body, " %s ?%s %s", request->path, request->query, text_str(&request->body));
}

static struct socket_address loopback(enum family family)
{
    struct socket_address address = {0};
    address_parse(family == FAMILY_IPV4 ? "127.0.0.1" : "::1", &address.address, NULL);
    return address;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct socket_address any_port = loopback(FAMILY_IPV4);
    struct err err;
    uv_loop_init(&fixture->loop);
    assert_int_equal(http_server_open(&fixture->server, &fixture->loop, &any_port, echo, fixture, &err), 0);
    fixture->address = http_server_address(fixture->server);
    assert_true(fixture->address.port != 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    http_server_close(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture);
    return 0;
}

static void limit(struct fixture *fixture, unsigned connections_max, unsigned deadline_ms, size_t body_max)
{
    http_server_set_limits(fixture->server, &(struct http_limits){connections_max, deadline_ms, body_max});
}

static void answers_a_request(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &fixture->address, "/some%20path?verbose&x=%20", &text));
    assert_int_equal(strncmp(text.data, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(text.data, "Content-Type: text/plain\r\n"));
    assert_non_null(strstr(text.data, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(text.data, "X-Extra: 7\r\n"));
    assert_string_equal(test_body(&text), "GET /some path ?verbose&x=%20 ");
    text_done(&text);

    assert_true(test_get(&fixture->loop, &fixture->address, "/empty", &text));
    assert_int_equal(strncmp(text.data, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(text.data, "Content-Length: 0\r\n"));
    text_done(&text);

    assert_true(test_exchange(&fixture->loop, &fixture->address,
                              "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &text));
    assert_non_null(strstr(text.data, "Content-Length: 10\r\n"));
    assert_string_equal(test_body(&text), "");
    text_done(&text);
}

static void keeps_a_connection_for_more_requests(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    int fd = test_connect(&fixture->address);
    for (int i = 0; i < 100; i++) {
        char request[80], want[32];
        int len = snprintf(request, sizeof(request), "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        snprintf(want, sizeof(want), "GET /%d ?", i);
        assert_true(test_send(fd, request, (size_t)len));
        assert_true(test_receive(&fixture->loop, fd, &text, want, 2000));
    }
    assert_int_equal(http_server_connections(fixture->server), 1);
    close(fd);
    test_turn(&fixture->loop, 20);
    assert_int_equal(http_server_connections(fixture->server), 0);
    text_done(&text);
}

static void refuses_bodies_unless_wanted(void **state)
{
    struct fixture *fixture = *state;
    static const char *const post = "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    static const struct {
        size_t body_max;
        const char *rest, *status, *body;
    } cases[] = {
        {0, "Content-Length: 0\r\n\r\n", "HTTP/1.1 200", "POST /p ? "},
        {0, "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 413", NULL},
        {0, "Content-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 413", NULL},
        {0, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 413", NULL},
        {8, "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200", "POST /p ? hello"},
        {8, "Content-Length: 9\r\n\r\nhellohell", "HTTP/1.1 413", NULL},
        /* Told before the body comes, which it never does here. */
        {8, "Content-Length: 1000\r\n\r\n", "HTTP/1.1 413", NULL},
        {8, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n2\r\n!!\r\n0\r\n\r\n", "HTTP/1.1 200",
         "POST /p ? hello!!"},
        {8, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 413", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text request = {0}, text = {0};
        limit(fixture, 128, 15000, cases[i].body_max);
        text_printf(&request, "%s%s", post, cases[i].rest);
        assert_true(test_exchange(&fixture->loop, &fixture->address, request.data, &text));
        if (strncmp(text_str(&text), cases[i].status, 12) != 0)
            fail_msg("case %zu: %s", i, text_str(&text));
        if (cases[i].body)
            assert_string_equal(test_body(&text), cases[i].body);
        text_done(&request);
        text_done(&text);
    }
}

static void survives_nonsense(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "GET /%zz%00%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    };
    limit(fixture, 128, 200, 0);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct text text = {0};
        if (!test_exchange(&fixture->loop, &fixture->address, requests[i], &text))
            fail_msg("case %zu left the connection open: %s", i, text_str(&text));
        text_done(&text);
    }
    struct text huge = {0}, text = {0};
    text_add(&huge, "GET / HTTP/1.1\r\nHost: a\r\nX-Large: ");
    for (int i = 0; i < 40000; i++)
        text_add(&huge, "y");
    text_add(&huge, "\r\n\r\n");
    fixture->handled = 0;
    assert_true(test_exchange(&fixture->loop, &fixture->address, huge.data, &text));
    assert_int_equal(fixture->handled, 0);
    text_done(&text);
    text_done(&huge);
    limit(fixture, 128, 15000, 0);
    assert_true(test_get(&fixture->loop, &fixture->address, "/still", &text));
    assert_string_equal(test_body(&text), "GET /still ? ");
    text_done(&text);
}

static void ends_what_takes_too_long(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, 128, 300, 0);
    int slow = test_connect(&fixture->address);
    int half = test_connect(&fixture->address);
    assert_true(test_send(half, "GET / HT", 8));
    long long start = test_now_ms();
    bool is_cut = false;
    /* A byte now and then must not prolong anything. */
    while (!is_cut && test_now_ms() - start < 3000) {
        test_turn(&fixture->loop, 20);
        is_cut = !test_send(slow, "G", 1);
    }
    assert_true(is_cut);
    assert_in_range(test_now_ms() - start, 250, 1500);
    test_turn(&fixture->loop, 50);
    assert_int_equal(http_server_connections(fixture->server), 0);
    close(slow);
    close(half);
}

static void a_slow_reader_delays_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    limit(fixture, 128, 1000, 0);
    int slow = test_connect(&fixture->address);
    static const char get[] = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_true(test_send(slow, get, sizeof(get) - 1));
    test_turn(&fixture->loop, 50);
    assert_int_equal(http_server_connections(fixture->server), 1);
    assert_true(uv_backend_timeout(&fixture->loop) > 100);
    long long start = test_now_ms();
    assert_true(test_get(&fixture->loop, &fixture->address, "/quick", &text));
    assert_true(test_now_ms() - start < 500);
    text_done(&text);
    test_turn(&fixture->loop, 1300);
    assert_int_equal(http_server_connections(fixture->server), 0);
    close(slow);

    assert_true(test_get(&fixture->loop, &fixture->address, "/large", &text));
    assert_int_equal(strlen(test_body(&text)), LARGE);
    text_done(&text);
}

static void a_thousand_idle_connections_do_not_keep_a_probe_out(void **state)
{
    struct fixture *fixture = *state;
    int idle[900];
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
        idle[i] = test_connect(&fixture->address);
        assert_true(idle[i] >= 0);
        if (i % 20 == 0)
            uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    test_turn(&fixture->loop, 50);
    assert_int_equal(http_server_connections(fixture->server), 128);
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &fixture->address, "/healthz", &text));
    assert_string_equal(test_body(&text), "GET /healthz ? ");
    text_done(&text);
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        close(idle[i]);
    test_turn(&fixture->loop, 50);
    assert_int_equal(http_server_connections(fixture->server), 0);
}

/* Without connections the loop has no timer to wake for. */
static void is_quiet_when_idle(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &fixture->address, "/", &text));
    test_turn(&fixture->loop, 20);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
    text_done(&text);
}

static void outlives_a_lack_of_descriptors(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit all, none;
    struct text text = {0};
    int client = test_connect(&fixture->address);
    assert_true(test_send(client, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n", 31));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = all.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    test_turn(&fixture->loop, 20);
    int timeout = uv_backend_timeout(&fixture->loop);
    setrlimit(RLIMIT_NOFILE, &all);
    assert_in_range(timeout, 1, 100);
    assert_int_equal(http_server_connections(fixture->server), 0);
    assert_true(test_receive(&fixture->loop, client, &text, "GET /late ?", 2000));
    close(client);
    text_done(&text);
}

static void says_why_it_cannot_listen(void **state)
{
    struct fixture *fixture = *state;
    struct http_server *second = NULL;
    struct err err;
    char want[128], name[SOCKET_ADDRESS_TEXT_MAX];
    assert_int_equal(http_server_open(&second, &fixture->loop, &fixture->address, echo, fixture, &err),
                     -EADDRINUSE);
    snprintf(want, sizeof(want), "cannot listen on %s: Address already in use",
             socket_address_format(&fixture->address, name));
    assert_string_equal(err.text, want);
    struct socket_address foreign = {.port = 8080};
    address_parse("192.0.2.1", &foreign.address, NULL);
    assert_int_equal(http_server_open(&second, &fixture->loop, &foreign, echo, fixture, &err),
                     -EADDRNOTAVAIL);
    assert_string_equal(err.text, "cannot listen on 192.0.2.1:8080: Cannot assign requested address");
    assert_null(second);
}

/* 0.0.0.0 and :: on one port are two servers. */
static void families_do_not_meet(void **state)
{
    struct fixture *fixture = *state;
    struct http_server *v4 = NULL, *v6 = NULL;
    struct err err;
    struct socket_address any = {0};
    address_parse("0.0.0.0", &any.address, NULL);
    assert_int_equal(http_server_open(&v4, &fixture->loop, &any, echo, fixture, &err), 0);
    any = http_server_address(v4);
    address_parse("::", &any.address, NULL);
    int code = http_server_open(&v6, &fixture->loop, &any, echo, fixture, &err);
    if (code == -EAFNOSUPPORT || code == -EADDRNOTAVAIL) {
        http_server_close(v4);
        skip();
    }
    assert_int_equal(code, 0);
    struct socket_address to = loopback(FAMILY_IPV6);
    to.port = any.port;
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &to, "/six", &text));
    assert_string_equal(test_body(&text), "GET /six ? ");
    text_done(&text);
    http_server_close(v6);
    assert_int_equal(test_connect(&to), -ECONNREFUSED);
    to.address = loopback(FAMILY_IPV4).address;
    assert_true(test_get(&fixture->loop, &to, "/four", &text));
    text_done(&text);
    http_server_close(v4);
    http_server_close(NULL);
}

static void closing_ends_open_connections(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    int idle = test_connect(&fixture->address);
    int half = test_connect(&fixture->address);
    assert_true(test_send(half, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    test_turn(&fixture->loop, 20);
    http_server_close(fixture->server);
    fixture->server = NULL;
    assert_true(test_receive(&fixture->loop, idle, &text, NULL, 1000));
    assert_true(test_receive(&fixture->loop, half, &text, NULL, 1000));
    close(idle);
    close(half);
    text_done(&text);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_a_request),
        TEST(keeps_a_connection_for_more_requests),
        TEST(refuses_bodies_unless_wanted),
        TEST(survives_nonsense),
        TEST(ends_what_takes_too_long),
        TEST(a_slow_reader_delays_nobody),
        TEST(a_thousand_idle_connections_do_not_keep_a_probe_out),
        TEST(is_quiet_when_idle),
        TEST(outlives_a_lack_of_descriptors),
        TEST(says_why_it_cannot_listen),
        TEST(families_do_not_meet),
        TEST(closing_ends_open_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
