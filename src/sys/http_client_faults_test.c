/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/test_http_client.h"

static void finds_the_deaf(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *scheme;
        unsigned timeout_ms, least_ms;
    } cases[] = {{"http", 0, DEAF_MS}, {"https", 0, DEAF_MS}, {"http", 300, 300}, {"https", 300, 300}};
    char url[256];
    struct http_client_options options = usual();
    unsigned short port = listen_raw(fixture);
    options.connect_timeout_ms = options.dead_after_ms = DEAF_MS;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        long long begin = test_now_ms();
        raw_url(cases[i].scheme, port, url);
        struct seen *seen = fetch(fixture, url, cases[i].timeout_ms);
        assert_int_equal(seen->code, -ETIMEDOUT);
        assert_in_range(test_now_ms() - begin, cases[i].least_ms - 10, cases[i].least_ms + 2000);
        seen_free(seen);
    }
    /* And the client is none the worse for it. */
    options = usual();
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    url_of(fixture, "/a", true, url);
    seen_free(fetch(fixture, url, WAIT_MS));
    assert_int_equal(fixture->answered[200], 1);
}

static void count_timer(uv_handle_t *handle, void *context)
{
    if (handle->type == UV_TIMER && uv_is_active(handle))
        ++*(unsigned *)context;
}

/* The client's own end of a connection to that port. */
static int find_socket(unsigned short port)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port)
            return fd;
    }
    return -1;
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    getsockopt(fd, level, name, &value, &len);
    return value;
}

static void leaves_idleness_to_the_kernel(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    struct seen seen = {0};
    char url[256];
    unsigned timers = 0;
    unsigned short port = listen_raw(fixture);
    static const char reply[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none;\r\n";
    http_server_close(fixture->server);
    fixture->server = NULL;
    options.dead_after_ms = 10000;
    options.connect_timeout_ms = DEAF_MS;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    raw_url("http", port, url);
    get(&seen, fixture, url, 0);
    cleanup_close int fd = accept_raw(fixture);
    assert_true(test_send(fd, reply, strlen(reply)));
    assert_true(turn_until_text(fixture, &seen.body, "one;"));
    /* The time to connect still runs out, once. */
    test_turn(&fixture->loop, DEAF_MS + 100);
    uv_walk(&fixture->loop, count_timer, &timers);
    assert_int_equal(timers, 0);
    int own = find_socket(port);
    assert_int_equal(option_of(own, SOL_SOCKET, SO_KEEPALIVE), 1);
    /* Asked after 4 s, 6 s, 8 s; at 10 s more than 9 have passed. */
    assert_int_equal(option_of(own, IPPROTO_TCP, TCP_KEEPIDLE), 4);
    assert_int_equal(option_of(own, IPPROTO_TCP, TCP_KEEPINTVL), 2);
    assert_int_equal(option_of(own, IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
    /* Cut in the middle. */
    close(steal_fd(&fd));
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_int_equal(seen.code, -ECONNRESET);
    text_done(&seen.body);
}

static void survives_odd_answers(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *reply;
        int code;
    } cases[] = {
        {"", -ECONNRESET},
        {"SSH-2.0-OpenSSH_9.2\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", -EPROTO},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n", 0},
        {"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0},
        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", 0},
    };
    char url[256];
    raw_url("http", listen_raw(fixture), url);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen seen = {0};
        get(&seen, fixture, url, WAIT_MS);
        int fd = accept_raw(fixture);
        char request[1024];
        test_turn(&fixture->loop, 20);
        assert_true(recv(fd, request, sizeof(request), MSG_DONTWAIT) > 0);
        test_send(fd, cases[i].reply, strlen(cases[i].reply));
        close(fd);
        assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
        if ((cases[i].code < 0) != (seen.code < 0) || (seen.code != cases[i].code && seen.code != -EPROTO) ||
            seen.headers > 1 || (seen.headers && seen.status < 200))
            fail_msg("case %zu: %d %s", i, seen.code, seen.err.text);
        text_done(&seen.body);
    }
}

static void survives_endless_headers(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    char url[256], line[4096];
    raw_url("http", listen_raw(fixture), url);
    get(&seen, fixture, url, WAIT_MS);
    cleanup_close int fd = accept_raw(fixture);
    memset(line, 'a', sizeof(line));
    memcpy(line, "X: ", 3);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    test_send(fd, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < 4096 && !seen.ended; i++) {
        test_send(fd, line, sizeof(line));
        test_turn(&fixture->loop, 1);
    }
    assert_int_equal(seen.ended, 1);
    assert_true(seen.code < 0);
    assert_int_equal(seen.headers, 0);
}

static void refuses_what_cannot_be_sent(void **state)
{
    struct fixture *fixture = *state;
    char *long_url = malloc(20000);
    memset(long_url, 'a', 19999);
    memcpy(long_url, "http://a/", 9);
    long_url[19999] = '\0';
    const struct {
        struct http_call_request request;
        int code;
    } cases[] = {
        {{.method = "GET", .url = long_url}, -ENAMETOOLONG},
        {{.method = "GET", .url = ""}, -EINVAL},
        {{.method = "GET", .url = "ftp://a/"}, -EINVAL},
        {{.method = "GET", .url = "file:///etc/passwd"}, -EINVAL},
        {{.method = "GET", .url = "http://a/\r\nX: y"}, -EINVAL},
        {{.method = "GET", .url = "http://a/", .authorization = "Bearer a\nX: y"}, -EINVAL},
        {{.method = "GET /x HTTP/1.1\r\n", .url = "http://a/"}, -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_call *call;
        struct err err = {""};
        int code = http_call_start(fixture->client, &cases[i].request, &ops, NULL, &call, &err);
        if (code != cases[i].code || !*err.text)
            fail_msg("case %zu: %d", i, code);
    }
    free(long_url);
    struct seen *seen = fetch(fixture, "http://127.0.0.1:1/", 0);
    assert_int_equal(seen->code, -ECONNREFUSED);
    assert_non_null(strstr(seen->err.text, "http://127.0.0.1:1: "));
    seen_free(seen);
    seen = fetch(fixture, "http://nowhere.invalid/", 0);
    assert_true(seen->code == -EHOSTUNREACH || seen->code == -ETIMEDOUT);
    seen_free(seen);
}

static void goes_through_a_proxy(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    struct seen seen = {0}, refused = {0};
    struct text request = {0};
    char url[256], proxy[256], expected[64];
    /* Loopback is spared by the environment's proxy alone. */
    raw_url("http", listen_raw(fixture), proxy);
    options.proxy_url = proxy;
    options.server_name = "localhost";
    options.connect_timeout_ms = WAIT_MS;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    url_of(fixture, "/host", true, url);
    get(&seen, fixture, url, WAIT_MS);
    cleanup_close int fd = accept_raw(fixture);
    assert_true(test_receive(&fixture->loop, fd, &request, "\r\n\r\n", WAIT_MS));
    snprintf(expected, sizeof(expected), "CONNECT 127.0.0.1:%u HTTP",
             http_server_address(fixture->server).port);
    assert_non_null(strstr(text_str(&request), expected));
    struct socket_address to = http_server_address(fixture->server);
    cleanup_close int onwards = test_connect(&to);
    test_send(fd, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", 25);
    carry(fixture, fd, onwards, &seen.ended);
    assert_int_equal(seen.code, 0);
    assert_int_equal(seen.headers, 1);
    assert_int_equal(seen.status, 200);
    options.server_name = NULL;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    get(&refused, fixture, url, WAIT_MS);
    cleanup_close int second = accept_raw(fixture);
    test_send(second, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 38);
    assert_true(turn_until(fixture, &refused.ended, 1, WAIT_MS));
    assert_true(refused.code < 0);
    assert_non_null(strstr(refused.err.text, "403"));
    assert_int_equal(refused.headers, 0);
    text_done(&request);
    text_done(&seen.body);
}

static void follows_the_environment(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    char url[256];
    options.proxy_url = NULL;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    struct seen *seen = fetch(fixture, "http://192.0.2.1/", 0);
    assert_int_equal(seen->code, -ECONNREFUSED);
    seen_free(seen);
    url_of(fixture, "/a", true, url);
    seen = fetch(fixture, url, 0);
    assert_int_equal(seen->code, 0);
    seen_free(seen);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
}

static void closes_while_connecting(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[3] = {0};
    char url[256];
    raw_url("https", listen_raw(fixture), url);
    get(&seen[0], fixture, url, 0);
    test_turn(&fixture->loop, 50);
    get(&seen[1], fixture, "http://nowhere.invalid/", 0);
    get(&seen[2], fixture, url, 0);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    http_client_close(steal_pointer(&fixture->client));
    test_turn(&fixture->loop, 20);
    assert_int_equal(seen[0].ended + seen[1].ended + seen[2].ended, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_deaf, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_idleness_to_the_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_odd_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_endless_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(closes_while_connecting, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_through_a_proxy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
