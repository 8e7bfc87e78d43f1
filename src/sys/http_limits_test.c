/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/test_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#define MIB (1024 * 1024)
#define GIB (1024 * (size_t)MIB)

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    bool is_tls;
    unsigned handled;
};

/* "METHOD LENGTH;" and the header X-Ask. */
static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    struct fixture *fixture = context;
    const char *asked = http_request_header(request, "x-ASK");
    fixture->handled++;
    http_response_set(response, 200, "text/plain", "");
    text_printf(&response->body, "%s %zu %s;", request->method, request->body.len, asked ? asked : "-");
}

static int setup_for(void **state, bool is_tls)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct err err;
    uv_loop_init(&fixture->loop);
    fixture->is_tls = is_tls;
    if (test_server_open(&fixture->server, &fixture->loop, is_tls, handle, fixture, &err) < 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int setup_plain(void **state)
{
    return setup_for(state, false);
}

static int setup_tls(void **state)
{
    return setup_for(state, true);
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

/* Those that matter to a test; the rest is large. */
static void limit(struct fixture *fixture, struct http_limits limits)
{
    limits.connections_max = 100;
    if (limits.deadline_ms == 0)
        limits.deadline_ms = 5000;
    http_server_set_limits(fixture->server, &limits);
}

static struct test_client open_client(struct fixture *fixture)
{
    struct test_client client;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
    return client;
}

/* Sends a byte now and then, and returns after how many milliseconds it was cut. */
static long long dribble(struct fixture *fixture, struct test_client *client, const char *byte)
{
    long long start = test_now_ms();
    while (!client->is_ended && test_now_ms() - start < 3000) {
        test_client_write(client, byte, 1);
        test_turn(&fixture->loop, 10);
        test_client_read(client);
    }
    return test_now_ms() - start;
}

static void slow_headers_are_cut(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.header_ms = 200});
    struct test_client first = open_client(fixture);
    assert_true(test_client_send(&first, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "));
    assert_in_range(dribble(fixture, &first, "y"), 150, 2000);
    test_client_close(&first);
    /* On a connection that was good before too, where the clock starts with the request line. */
    struct test_client later = open_client(fixture);
    assert_true(test_client_send(&later, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &later, "GET 0 -;", 1000));
    test_turn(&fixture->loop, 400);
    assert_true(test_client_send(&later, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "));
    assert_in_range(dribble(fixture, &later, "y"), 150, 2000);
    test_client_close(&later);
    assert_int_equal(fixture->handled, 1);
    assert_int_equal(http_server_connections(fixture->server), 0);
}

static void idle_connections_have_their_own_time(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.deadline_ms = 100, .idle_ms = 400});
    struct test_client client = open_client(fixture);
    for (int i = 0; i < 2; i++) {
        text_done(&client.got);
        assert_true(test_client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_true(test_client_wait(&fixture->loop, &client, "GET 0 -;", 1000));
        test_turn(&fixture->loop, 250);
        assert_int_equal(http_server_connections(fixture->server), 1);
    }
    assert_true(test_client_wait(&fixture->loop, &client, NULL, 400));
    test_client_close(&client);
}

static void slow_bodies_are_cut(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.deadline_ms = 300, .body_max = 1000});
    struct test_client client = open_client(fixture);
    assert_true(test_client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"));
    assert_in_range(dribble(fixture, &client, "y"), 250, 2000);
    assert_int_equal(fixture->handled, 0);
    test_client_close(&client);
    /* What it had announced is free again. */
    limit(fixture, (struct http_limits){.body_max = 1000, .bodies_total_max = 1000});
    client = open_client(fixture);
    assert_true(test_client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
    assert_true(test_client_wait(&fixture->loop, &client, "POST 3 -;", 1000));
    test_client_close(&client);
}

static void a_large_body_is_refused_when_announced(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.body_max = MIB});
    for (int is_expecting = 0; is_expecting < 2; is_expecting++) {
        struct test_client client = open_client(fixture);
        struct text head = {0};
        text_printf(&head, "POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                    is_expecting ? "Expect: 100-continue\r\n" : "", GIB);
        assert_true(test_client_send(&client, head.data));
        assert_true(test_client_wait(&fixture->loop, &client, NULL, 1000));
        assert_int_equal(strncmp(text_str(&client.got), "HTTP/1.1 413 ", 13), 0);
        assert_non_null(strstr(client.got.data, "Connection: close\r\n"));
        assert_non_null(strstr(client.got.data, "larger than this server takes"));
        test_turn(&fixture->loop, 20);
        assert_int_equal(http_server_connections(fixture->server), 0);
        test_client_close(&client);
        text_done(&head);
    }
    assert_int_equal(fixture->handled, 0);
}

/* Writes until the server has enough; how much that was. */
static size_t pour(struct fixture *fixture, struct test_client *client, const char *piece, size_t most)
{
    size_t written = 0;
    long long end = test_now_ms() + 5000;
    while (written < most && test_now_ms() < end) {
        ssize_t len = test_client_write(client, piece, strlen(piece));
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        if (len < 0)
            break;
        /* A piece that went in part would break the chunks; with TLS none does. */
        assert_true(len == 0 || len == (ssize_t)strlen(piece));
        written += (size_t)len;
        if (http_server_connections(fixture->server) == 0)
            break;
    }
    return written;
}

static long memory_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void a_large_body_in_chunks_is_refused_where_it_passes(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.body_max = MIB});
    struct test_client client = open_client(fixture);
    struct text piece = {0};
    text_add(&piece, "1000\r\n");
    for (int i = 0; i < 0x1000; i++)
        text_add_bytes(&piece, "z", 1);
    text_add(&piece, "\r\n");
    long before = memory_kib();
    assert_true(
        test_client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    size_t written = pour(fixture, &client, piece.data, GIB);
    assert_in_range(written, MIB, 8 * MIB);
    assert_in_range(memory_kib() - before, 0, 64 * 1024);
    assert_true(test_client_wait(&fixture->loop, &client, NULL, 2000));
    assert_int_equal(strncmp(text_str(&client.got), "HTTP/1.1 413 Content Too Large\r\n", 32), 0);
    assert_non_null(strstr(client.got.data, "Connection: close\r\n"));
    assert_non_null(strstr(client.got.data, "X-Content-Type-Options: nosniff\r\n"));
    assert_string_equal(test_body(&client.got), "the request's body is larger than this server takes\n");
    assert_int_equal(fixture->handled, 0);
    test_client_close(&client);
    text_done(&piece);
}

static void bodies_share_their_room(void **state)
{
    struct fixture *fixture = *state;
    limit(fixture, (struct http_limits){.body_max = 1000, .bodies_total_max = 1500});
    struct test_client holder = open_client(fixture);
    assert_true(test_client_send(&holder, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"));
    test_turn(&fixture->loop, 20);
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600\r\n\r\n", "HTTP/1.1 429 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 200 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "HTTP/1.1 200 "},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_client client = open_client(fixture);
        assert_true(test_client_send(&client, cases[i].request));
        assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 1000));
        if (strncmp(client.got.data, cases[i].status, 13) != 0)
            fail_msg("case %zu: %s", i, client.got.data);
        if (strstr(cases[i].status, "429"))
            assert_non_null(strstr(client.got.data, "Retry-After: 1\r\n"));
        test_client_close(&client);
    }
    /* In chunks, the room ends on the way. */
    struct test_client client = open_client(fixture);
    char chunk[700];
    memset(chunk, 'c', sizeof(chunk));
    memcpy(chunk, "28b\r\n", 5); /* 651 bytes, the rest is of the chunk's end and the next */
    memcpy(chunk + 5 + 651, "\r\n20\r\n", 6);
    assert_true(test_client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          "40\r\n0123456789012345678901234567890123456789012345678901234567"
                                          "890123\r\n"));
    test_turn(&fixture->loop, 10);
    assert_int_equal(test_client_write(&client, chunk, sizeof(chunk)), sizeof(chunk));
    assert_true(test_client_wait(&fixture->loop, &client, "HTTP/1.1 429 Too Many Requests\r\n", 1000));
    assert_non_null(strstr(client.got.data, "Retry-After: 1\r\n"));
    test_client_close(&client);
    /* The holder's share was its own all the time, and is free once it is answered. */
    char rest[998];
    memset(rest, 'r', 997);
    rest[997] = '\0';
    assert_true(test_client_send(&holder, rest));
    assert_true(test_client_wait(&fixture->loop, &holder, "POST 1000 -;", 1000));
    client = open_client(fixture);
    assert_true(test_client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n"
                                          "Expect: 100-continue\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "HTTP/1.1 100 Continue\r\n\r\n", 1000));
    test_client_close(&client);
    test_client_close(&holder);
}

static void refuse(void *context, const struct http_request *request, struct http_response *response)
{
    struct text words = {0};
    text_printf(&words, "{\"code\":%u,\"method\":\"%s\",\"path\":\"%s\",\"query\":\"%s\",\"ask\":\"%s\"}",
                response->status, request->method, request->path, request->query,
                http_request_header(request, "X-Ask"));
    text_done(&response->body);
    response->body = words;
    response->content_type = "application/json";
    http_response_add_header(response, "X-Mine", "yes");
}

static void refusals_are_in_the_owners_form(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {
        "PUT /p?q=1 HTTP/1.1\r\nHost: a\r\nX-Ask: me\r\nContent-Length: 11\r\n\r\n",
        "PUT /p?q=1 HTTP/1.1\r\nHost: a\r\nX-Ask: me\r\nTransfer-Encoding: chunked\r\n\r\n"
        "8\r\n01234567\r\n3\r\n890\r\n0\r\n\r\n",
        "PUT /p?q=1 HTTP/1.1\r\nHost: a\r\nX-Ask: me\r\nTransfer-Encoding: chunked\r\n\r\n"
        "b\r\n01234567890\r\n0\r\n\r\n",
    };
    limit(fixture, (struct http_limits){.body_max = 10});
    http_server_set_refusals(fixture->server, refuse);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct test_client client = open_client(fixture);
        assert_true(test_client_send(&client, requests[i]));
        assert_true(test_client_wait(&fixture->loop, &client, NULL, 1000));
        assert_int_equal(strncmp(text_str(&client.got), "HTTP/1.1 413 ", 13), 0);
        assert_non_null(strstr(client.got.data, "Content-Type: application/json\r\n"));
        assert_non_null(strstr(client.got.data, "X-Mine: yes\r\n"));
        assert_string_equal(
            test_body(&client.got),
            "{\"code\":413,\"method\":\"PUT\",\"path\":\"/p\",\"query\":\"q=1\",\"ask\":\"me\"}");
        test_client_close(&client);
    }
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* The client sends on for a while, and still gets to read why nobody listens. */
static void a_refusal_is_not_lost_in_a_reset(void **state)
{
    struct fixture *fixture = *state;
    unsigned descriptors = open_descriptors();
    limit(fixture, (struct http_limits){.body_max = 10});
    struct test_client client = open_client(fixture);
    assert_true(test_client_send(&client, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"));
    for (int i = 0; i < 10; i++) {
        test_turn(&fixture->loop, 10);
        char piece[1000];
        memset(piece, 'p', sizeof(piece));
        assert_int_equal(test_client_write(&client, piece, sizeof(piece)), sizeof(piece));
    }
    assert_int_equal(http_server_connections(fixture->server), 0);
    assert_true(test_client_wait(&fixture->loop, &client, "larger than this server takes", 1000));
    test_client_close(&client);
    /* The socket does not stay for ever, nor does the loop wake for it. */
    assert_int_equal(open_descriptors(), descriptors + 1);
    test_turn(&fixture->loop, 600);
    assert_int_equal(open_descriptors(), descriptors);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
}

static void one_address_has_its_share(void **state)
{
    struct fixture *fixture = *state;
    struct test_client clients[3], other;
    http_server_set_limits(
        fixture->server,
        &(struct http_limits){.connections_max = 100, .deadline_ms = 5000, .connections_per_peer_max = 3});
    for (size_t i = 0; i < 3; i++)
        clients[i] = open_client(fixture);
    assert_true(test_client_connect(fixture->server, &other));
    assert_true(test_client_wait(&fixture->loop, &other, NULL, 500));
    test_client_close(&other);
    assert_int_equal(http_server_connections(fixture->server), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(test_client_send(&clients[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_true(test_client_wait(&fixture->loop, &clients[i], "GET 0 -;", 1000));
    }
    /* From another address, which is loopback's too. */
    struct socket_address to = http_server_address(fixture->server);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002)};
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001), .sin_port = htons(to.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof(server)), 0);
    test_turn(&fixture->loop, 20);
    assert_int_equal(http_server_connections(fixture->server), 4);
    close(fd);
    test_client_close(&clients[0]);
    test_turn(&fixture->loop, 20);
    clients[0] = open_client(fixture);
    assert_true(test_client_send(&clients[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &clients[0], "GET 0 -;", 1000));
    for (size_t i = 0; i < 3; i++)
        test_client_close(&clients[i]);
}

/* Who is being served stays; who waits goes. */
static void the_busy_do_not_give_way(void **state)
{
    struct fixture *fixture = *state;
    struct test_client busy, idle[10];
    http_server_set_limits(fixture->server,
                           &(struct http_limits){.connections_max = 4, .deadline_ms = 5000, .body_max = 100});
    busy = open_client(fixture);
    assert_true(test_client_send(&busy, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"));
    test_turn(&fixture->loop, 10);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        assert_true(test_client_connect(fixture->server, &idle[i]));
        test_turn(&fixture->loop, 2);
    }
    assert_int_equal(http_server_connections(fixture->server), 4);
    assert_true(test_client_send(&busy, "def"));
    assert_true(test_client_wait(&fixture->loop, &busy, "POST 6 -;", 1000));
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        test_client_close(&idle[i]);
    test_client_close(&busy);
}

static void finds_headers(void **state)
{
    struct fixture *fixture = *state;
    struct test_client client = open_client(fixture);
    assert_true(
        test_client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\nX-Ask: first\r\nX-Ask: second\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "GET 0 first;", 1000));
    assert_true(test_client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\nX-Asks: no\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "GET 0 -;", 1000));
    test_client_close(&client);
}

int main(void)
{
#define TEST(function)                                                                                       \
    {#function " (plain)", function, setup_plain, teardown, NULL},                                           \
    {                                                                                                        \
#function " (TLS)", function, setup_tls, teardown, NULL                                              \
    }
    const struct CMUnitTest tests[] = {
        TEST(slow_headers_are_cut),
        TEST(idle_connections_have_their_own_time),
        TEST(slow_bodies_are_cut),
        TEST(a_large_body_is_refused_when_announced),
        TEST(a_large_body_in_chunks_is_refused_where_it_passes),
        TEST(bodies_share_their_room),
        TEST(refusals_are_in_the_owners_form),
        TEST(a_refusal_is_not_lost_in_a_reset),
        TEST(one_address_has_its_share),
        TEST(the_busy_do_not_give_way),
        TEST(finds_headers),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
