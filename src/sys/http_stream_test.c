/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/test_http.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MANY 200
#define GET_STREAM "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"

/* One stream's owner, and what it saw. */
struct watcher {
    struct fixture *fixture;
    struct http_stream *stream;
    struct text next; /* what the next pull brings */
    enum http_stream_state state;
    unsigned pulls, closes;
    size_t pulled;
    size_t flood; /* bytes that each pull brings, without end */
    struct watcher *woken_when_closed;
    bool wakes_itself;
};

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    bool is_tls, is_waking;
    struct watcher watchers[MANY];
    unsigned watcher_count;
    unsigned heads_begun, heads_closed;
};

static enum http_stream_state pull(void *context, struct text *out)
{
    static const char block[65536];
    struct watcher *watcher = context;
    assert_false(watcher->fixture->is_waking);
    assert_int_equal(watcher->closes, 0);
    assert_int_equal(out->len, 0);
    watcher->pulls++;
    if (watcher->flood > 0)
        text_add_bytes(out, block, watcher->flood);
    text_add_bytes(out, text_str(&watcher->next), watcher->next.len);
    watcher->pulled += out->len;
    text_done(&watcher->next);
    if (watcher->wakes_itself)
        http_stream_wake(watcher->stream);
    return watcher->state;
}

static void closed(void *context)
{
    struct watcher *watcher = context;
    watcher->closes++;
    watcher->stream = NULL;
    if (watcher->woken_when_closed && watcher->woken_when_closed->stream)
        http_stream_wake(watcher->woken_when_closed->stream);
}

static void head_closed(void *context)
{
    struct fixture *fixture = context;
    fixture->heads_closed++;
}

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    static const struct http_stream_ops ops = {pull, closed};
    static const struct http_stream_ops head_ops = {pull, head_closed};
    struct fixture *fixture = context;
    if (strcmp(request->path, "/head") == 0) {
        assert_non_null(http_stream_begin(request, &head_ops, fixture));
        fixture->heads_begun++;
        return;
    }
    if (strcmp(request->path, "/stream") != 0) {
        http_response_set(response, 200, "text/plain", "plain answer");
        return;
    }
    struct watcher *watcher = &fixture->watchers[fixture->watcher_count];
    watcher->fixture = fixture;
    response->content_type = "application/json";
    http_response_add_header(response, "X-Extra", "7");
    watcher->stream = http_stream_begin(request, &ops, watcher);
    if (!watcher->stream)
        http_response_set(response, 429, "text/plain", "too many streams");
    else
        fixture->watcher_count++;
}

static int setup_for(void **state, bool is_tls)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct err err;
    uv_loop_init(&fixture->loop);
    fixture->is_tls = is_tls;
    for (size_t i = 0; i < MANY; i++)
        fixture->watchers[i].state = HTTP_STREAM_WAIT;
    if (test_server_open(&fixture->server, &fixture->loop, is_tls, handle, fixture, &err) < 0)
        fail_msg("%s", err.text);
    http_server_set_limits(
        fixture->server,
        &(struct http_limits){.connections_max = MANY + 10, .deadline_ms = 5000, .streams_max = MANY});
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
    for (size_t i = 0; i < fixture->watcher_count; i++) {
        assert_int_equal(fixture->watchers[i].closes, 1);
        text_done(&fixture->watchers[i].next);
    }
    free(fixture);
    return 0;
}

static void limit_stall(struct fixture *fixture, unsigned stall_ms)
{
    http_server_set_limits(fixture->server, &(struct http_limits){.connections_max = MANY + 10,
                                                                  .deadline_ms = 5000,
                                                                  .stall_ms = stall_ms,
                                                                  .streams_max = MANY});
}

static void wake(struct watcher *watcher, const char *text)
{
    text_add(&watcher->next, text);
    watcher->fixture->is_waking = true;
    http_stream_wake(watcher->stream);
    watcher->fixture->is_waking = false;
}

/* Has something to wait for, and does not turn in circles meanwhile. */
static bool is_at_rest(struct fixture *fixture)
{
    for (int i = 0; i < 20; i++) {
        if (uv_backend_timeout(&fixture->loop) > 0)
            return true;
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    return false;
}

/* A client whose stream has begun. */
static struct test_client begin(struct fixture *fixture)
{
    struct test_client client;
    unsigned before = fixture->watcher_count;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
    assert_true(test_client_send(&client, GET_STREAM));
    assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 2000));
    assert_int_equal(fixture->watcher_count, before + 1);
    return client;
}

static void answers_piece_by_piece(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = &fixture->watchers[0];
    struct test_client client = begin(fixture);
    /* The headers did not wait for the first piece. */
    assert_int_equal(strncmp(client.got.data, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(client.got.data, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(client.got.data, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(client.got.data, "X-Extra: 7\r\n"));
    assert_int_equal(watcher->pulls, 1);
    wake(watcher, "hello");
    assert_int_equal(watcher->pulls, 1);
    assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n5\r\nhello\r\n", 2000));
    assert_int_equal(watcher->pulls, 2);
    wake(watcher, "one,");
    wake(watcher, "two");
    assert_true(test_client_wait(&fixture->loop, &client, "7\r\none,two\r\n", 2000));
    assert_int_equal(watcher->pulls, 3);
    test_turn(&fixture->loop, 20);
    assert_int_equal(watcher->pulls, 3);
    watcher->state = HTTP_STREAM_END;
    wake(watcher, "last");
    assert_true(test_client_wait(&fixture->loop, &client, "4\r\nlast\r\n0\r\n\r\n", 2000));
    assert_int_equal(watcher->closes, 1);
    assert_int_equal(http_server_streams(fixture->server), 0);
    /* And the connection lives. */
    assert_true(test_client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "plain answer", 2000));
    assert_true(test_client_send(&client, GET_STREAM));
    text_done(&client.got);
    assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 2000));
    wake(&fixture->watchers[1], "again");
    assert_true(test_client_wait(&fixture->loop, &client, "5\r\nagain\r\n", 2000));
    test_client_close(&client);
}

static void a_long_piece_arrives_whole(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = &fixture->watchers[0];
    watcher->flood = 65536;
    watcher->state = HTTP_STREAM_MORE;
    struct test_client client = begin(fixture);
    for (int i = 0; i < 3000 && client.got.len < 8 * 65536; i++) {
        test_turn(&fixture->loop, 1);
        test_client_read(&client);
    }
    watcher->flood = 0;
    watcher->state = HTTP_STREAM_END;
    assert_true(test_client_wait(&fixture->loop, &client, NULL, 100) || !client.is_ended);
    size_t content = 0;
    const char *at = strstr(client.got.data, "\r\n\r\n") + 4;
    while (true) {
        char *end;
        size_t size = strtoul(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        content += size;
        at = end + 2 + size;
        assert_true(at < client.got.data + client.got.len);
        assert_memory_equal(at, "\r\n", 2);
        at += 2;
        if (size == 0)
            break;
    }
    assert_ptr_equal(at, client.got.data + client.got.len);
    assert_int_equal(content, watcher->pulled);
    assert_int_equal(watcher->closes, 1);
    test_client_close(&client);
}

static void a_wake_reaches_two_hundred(void **state)
{
    struct fixture *fixture = *state;
    struct test_client clients[MANY];
    for (size_t i = 0; i < MANY; i++)
        clients[i] = begin(fixture);
    assert_int_equal(http_server_streams(fixture->server), MANY);
    test_turn(&fixture->loop, 20);
    for (int round = 0; round < 20; round++) {
        char text[32], wanted[64];
        int len = snprintf(text, sizeof(text), "event-%d;", round);
        snprintf(wanted, sizeof(wanted), "%x\r\n%s\r\n", (unsigned)len, text);
        for (size_t i = 0; i < MANY; i++)
            wake(&fixture->watchers[i], text);
        /* Everything is on its way after a turn: the clients look only then. */
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        for (size_t i = 0; i < MANY; i++) {
            test_client_read(&clients[i]);
            assert_non_null(strstr(text_str(&clients[i].got), wanted));
            assert_int_equal(fixture->watchers[i].pulls, round + 2);
        }
    }
    for (size_t i = 0; i < MANY; i++)
        test_client_close(&clients[i]);
    test_turn(&fixture->loop, 100);
    assert_int_equal(http_server_streams(fixture->server), 0);
    assert_int_equal(http_server_connections(fixture->server), 0);
}

static void is_quiet_while_streams_wait(void **state)
{
    struct fixture *fixture = *state;
    limit_stall(fixture, 100);
    struct test_client client = begin(fixture);
    wake(&fixture->watchers[0], "some");
    assert_true(test_client_wait(&fixture->loop, &client, "some", 1000));
    test_turn(&fixture->loop, 200);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
    assert_int_equal(http_server_streams(fixture->server), 1);
    test_client_close(&client);
}

static void a_client_that_goes_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    enum { CLOSES, RESETS, SHUTS_DOWN, GOES_WHILE_WRITTEN_TO, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct watcher *watcher = &fixture->watchers[fixture->watcher_count];
        if (way == GOES_WHILE_WRITTEN_TO) {
            watcher->flood = 65536;
            watcher->state = HTTP_STREAM_MORE;
        }
        struct test_client client = begin(fixture);
        struct linger at_once = {.l_onoff = 1};
        test_turn(&fixture->loop, 20);
        assert_int_equal(watcher->closes, 0);
        if (way == RESETS)
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        if (way == SHUTS_DOWN)
            shutdown(client.fd, SHUT_WR);
        else
            test_client_close(&client);
        test_turn(&fixture->loop, 50);
        if (watcher->closes != 1 || http_server_connections(fixture->server) != 0)
            fail_msg("way %d: %u closes, %u connections", way, watcher->closes,
                     http_server_connections(fixture->server));
        test_client_close(&client);
    }
}

/* A client reads nothing while its stream has ever more: it costs little, and is cut. */
static void a_reader_that_never_reads_is_cut(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = &fixture->watchers[0];
    int small = 16384;
    limit_stall(fixture, 400);
    watcher->flood = 65536;
    watcher->state = HTTP_STREAM_MORE;
    struct test_client client, other;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_true(test_client_send(&client, GET_STREAM));
    long long start = test_now_ms();
    test_turn(&fixture->loop, 300);
    assert_int_equal(watcher->closes, 0);
    assert_in_range(watcher->pulled, 65536, 1024 * 1024);
    /* Others are answered meanwhile. */
    assert_true(is_at_rest(fixture));
    size_t pulled = watcher->pulled;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &other));
    assert_true(test_client_send(&other, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &other, "plain answer", 1000));
    assert_int_equal(watcher->pulled, pulled);
    while (watcher->closes == 0 && test_now_ms() - start < 3000)
        test_turn(&fixture->loop, 10);
    assert_in_range(test_now_ms() - start, 390, 2000);
    assert_int_equal(watcher->closes, 1);
    test_turn(&fixture->loop, 20);
    assert_int_equal(http_server_connections(fixture->server), 1);
    test_client_close(&client);
    test_client_close(&other);
}

/* The same with pieces so small and few that they fit into the socket's buffers. */
static void a_reader_that_stops_is_cut_though_little_is_unsent(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = &fixture->watchers[0];
    int tiny = 1;
    limit_stall(fixture, 300);
    struct test_client client;
    assert_true(test_client_connect(fixture->server, &client));
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny));
    assert_true(!fixture->is_tls || test_client_tls(&fixture->loop, &client, NULL, NULL, NULL));
    assert_true(test_client_send(&client, GET_STREAM));
    assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 2000));
    char piece[30000];
    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    wake(watcher, piece);
    test_turn(&fixture->loop, 50);
    wake(watcher, piece);
    test_turn(&fixture->loop, 150);
    assert_int_equal(watcher->closes, 0);
    test_turn(&fixture->loop, 500);
    assert_int_equal(watcher->closes, 1);
    test_client_close(&client);
}

/* Nor does a stream wait for ever that cannot even send its headers. */
static void a_reader_that_takes_no_headers_is_cut(void **state)
{
    struct fixture *fixture = *state;
    static const char head[] = "HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n";
    int tiny = 1;
    limit_stall(fixture, 300);
    struct test_client client;
    struct text many = {0};
    assert_true(test_client_connect(fixture->server, &client));
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny));
    assert_true(!fixture->is_tls || test_client_tls(&fixture->loop, &client, NULL, NULL, NULL));
    for (int i = 0; i < 100; i++)
        text_add(&many, head);
    /* Where nothing goes on any more between two streams, a little is read: so it ends within one. */
    unsigned before = UINT_MAX;
    for (int i = 0; i < 200 && (before != fixture->heads_begun || before == fixture->heads_closed); i++) {
        char some[512];
        if (before == fixture->heads_begun)
            recv(client.fd, some, sizeof(some), MSG_DONTWAIT);
        before = fixture->heads_begun;
        test_client_write(&client, many.data, many.len);
        test_turn(&fixture->loop, 100);
    }
    assert_int_equal(fixture->heads_begun, fixture->heads_closed + 1);
    assert_int_equal(http_server_connections(fixture->server), 1);
    test_turn(&fixture->loop, 600);
    assert_int_equal(fixture->heads_begun, fixture->heads_closed);
    assert_int_equal(http_server_connections(fixture->server), 0);
    test_client_close(&client);
    text_done(&many);
}

static void a_reader_that_is_slow_is_not_cut(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = &fixture->watchers[0];
    int small = 65536;
    size_t taken = 0;
    limit_stall(fixture, 300);
    watcher->flood = 65536;
    watcher->state = HTTP_STREAM_MORE;
    struct test_client client;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_true(test_client_send(&client, GET_STREAM));
    for (int i = 0; i < 10; i++) {
        static char bytes[256 * 1024];
        test_turn(&fixture->loop, 100);
        ssize_t len = recv(client.fd, bytes, sizeof(bytes), 0);
        taken += len > 0 ? (size_t)len : 0;
    }
    assert_true(taken > 0);
    assert_int_equal(watcher->closes, 0);
    test_client_close(&client);
}

/* A stream has no deadline of its own, as an answer has. */
static void a_stream_outlives_the_deadlines(void **state)
{
    struct fixture *fixture = *state;
    http_server_set_limits(fixture->server,
                           &(struct http_limits){.connections_max = 4, .deadline_ms = 100, .streams_max = 2});
    struct test_client client = begin(fixture);
    test_turn(&fixture->loop, 400);
    wake(&fixture->watchers[0], "alive");
    assert_true(test_client_wait(&fixture->loop, &client, "5\r\nalive\r\n", 1000));
    /* And gives way to nobody. */
    struct test_client second = begin(fixture), others[6];
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_true(test_client_connect(fixture->server, &others[i]));
        test_turn(&fixture->loop, 2);
    }
    assert_int_equal(http_server_connections(fixture->server), 4);
    assert_int_equal(http_server_streams(fixture->server), 2);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        test_client_close(&others[i]);
    test_client_close(&second);
    test_client_close(&client);
}

static void where_all_are_streams_newcomers_are_turned_away(void **state)
{
    struct fixture *fixture = *state;
    http_server_set_limits(
        fixture->server, &(struct http_limits){.connections_max = 2, .deadline_ms = 5000, .streams_max = 2});
    struct test_client first = begin(fixture), second = begin(fixture), third;
    assert_true(test_client_connect(fixture->server, &third));
    assert_true(test_client_wait(&fixture->loop, &third, NULL, 500));
    assert_int_equal(http_server_streams(fixture->server), 2);
    test_client_close(&first);
    test_client_close(&second);
    test_client_close(&third);
}

static void streams_have_a_limit(void **state)
{
    struct fixture *fixture = *state;
    http_server_set_limits(
        fixture->server, &(struct http_limits){.connections_max = 10, .deadline_ms = 5000, .streams_max = 1});
    struct test_client first = begin(fixture), second;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &second));
    assert_true(test_client_send(&second, GET_STREAM));
    assert_true(test_client_wait(&fixture->loop, &second, "too many streams", 1000));
    assert_int_equal(strncmp(second.got.data, "HTTP/1.1 429 ", 13), 0);
    test_client_close(&first);
    test_turn(&fixture->loop, 50);
    text_done(&second.got);
    assert_true(test_client_send(&second, GET_STREAM));
    assert_true(test_client_wait(&fixture->loop, &second, "HTTP/1.1 200 ", 1000));
    test_client_close(&second);
}

static void heads_and_pipelines(void **state)
{
    struct fixture *fixture = *state;
    struct test_client client;
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
    assert_true(test_client_send(&client, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 1000));
    test_turn(&fixture->loop, 20);
    assert_int_equal(fixture->watchers[0].pulls, 0);
    assert_int_equal(fixture->watchers[0].closes, 1);

    /* Three at once: the third waits for the stream's end, and is then not forgotten, though no byte comes.
     */
    text_done(&client.got);
    assert_true(test_client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n" GET_STREAM
                                          "GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &client, "chunked", 1000));
    test_turn(&fixture->loop, 20);
    text_done(&client.got);
    wake(&fixture->watchers[1], "x");
    assert_true(test_client_wait(&fixture->loop, &client, "1\r\nx\r\n", 1000));
    fixture->watchers[1].state = HTTP_STREAM_END;
    wake(&fixture->watchers[1], "");
    assert_true(test_client_wait(&fixture->loop, &client, NULL, 1000));
    assert_non_null(strstr(client.got.data, "0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(client.got.data, "plain answer"));
    test_client_close(&client);
}

static void ends_for_old_clients_with_the_connection(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3; i++) {
        struct test_client client, other;
        assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &client));
        assert_true(test_client_send(&client, "GET /stream HTTP/1.0\r\n\r\n"));
        assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\n", 1000));
        /* So that the one that ends is not the eldest. */
        assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &other));
        wake(&fixture->watchers[i], "piece");
        assert_true(test_client_wait(&fixture->loop, &client, "\r\n\r\npiece", 1000));
        fixture->watchers[i].state = HTTP_STREAM_END;
        wake(&fixture->watchers[i], i == 1 ? "" : "end");
        assert_true(test_client_wait(&fixture->loop, &client, NULL, 1000));
        assert_non_null(strstr(client.got.data, i == 1 ? "\r\n\r\npiece" : "\r\n\r\npieceend"));
        test_turn(&fixture->loop, 20);
        assert_int_equal(fixture->watchers[i].closes, 1);
        assert_int_equal(http_server_connections(fixture->server), 1);
        test_client_close(&client);
        test_client_close(&other);
        test_turn(&fixture->loop, 20);
    }
}

/* Owners that never rest take turns with everybody else. */
static void a_restless_stream_starves_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct test_client restless = {.fd = -1}, waking = {.fd = -1}, other;
    fixture->watchers[0].state = HTTP_STREAM_MORE;
    fixture->watchers[1].wakes_itself = true;
    restless = begin(fixture);
    waking = begin(fixture);
    assert_true(test_client_open(&fixture->loop, fixture->server, fixture->is_tls, &other));
    assert_true(test_client_send(&other, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_wait(&fixture->loop, &other, "plain answer", 1000));
    assert_true(fixture->watchers[0].pulls > 2);
    assert_true(fixture->watchers[1].pulls > 2);
    test_client_close(&restless);
    test_client_close(&waking);
    test_client_close(&other);
}

static void closing_ends_streams(void **state)
{
    struct fixture *fixture = *state;
    fixture->watchers[1].flood = 65536;
    fixture->watchers[1].state = HTTP_STREAM_MORE;
    struct test_client waiting = begin(fixture), blocked = begin(fixture), woken = begin(fixture);
    fixture->watchers[0].woken_when_closed = &fixture->watchers[2];
    fixture->watchers[2].woken_when_closed = &fixture->watchers[0];
    test_turn(&fixture->loop, 50);
    wake(&fixture->watchers[2], "never seen");
    unsigned pulls = fixture->watchers[2].pulls;
    http_server_close(fixture->server);
    fixture->server = NULL;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fixture->watchers[i].closes, 1);
    assert_int_equal(fixture->watchers[2].pulls, pulls);
    assert_true(test_client_wait(&fixture->loop, &waiting, NULL, 1000));
    assert_true(test_client_wait(&fixture->loop, &woken, NULL, 1000));
    assert_null(strstr(waiting.got.data, "0\r\n\r\n"));
    test_client_close(&waiting);
    test_client_close(&blocked);
    test_client_close(&woken);
}

int main(void)
{
#define TEST(function)                                                                                       \
    {#function " (plain)", function, setup_plain, teardown, NULL},                                           \
    {                                                                                                        \
#function " (TLS)", function, setup_tls, teardown, NULL                                              \
    }
    const struct CMUnitTest tests[] = {
        TEST(answers_piece_by_piece),
        TEST(a_long_piece_arrives_whole),
        TEST(a_wake_reaches_two_hundred),
        TEST(is_quiet_while_streams_wait),
        TEST(a_client_that_goes_is_noticed),
        TEST(a_reader_that_never_reads_is_cut),
        TEST(a_reader_that_stops_is_cut_though_little_is_unsent),
        TEST(a_reader_that_takes_no_headers_is_cut),
        TEST(a_reader_that_is_slow_is_not_cut),
        TEST(a_stream_outlives_the_deadlines),
        TEST(where_all_are_streams_newcomers_are_turned_away),
        TEST(streams_have_a_limit),
        TEST(heads_and_pipelines),
        TEST(ends_for_old_clients_with_the_connection),
        TEST(a_restless_stream_starves_nobody),
        TEST(closing_ends_streams),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
