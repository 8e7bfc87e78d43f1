/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apiserver.h"

#include "base/cleanup.h"
#include "source/test_frames.h"
#include "sys/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WAIT_MS 10000
#define REPLIES_MAX 16
#define PROTOBUF "application/vnd.kubernetes.protobuf"

/* What the server answers to one call; the calls come in a known order. */
struct reply {
    const char *wants; /* has to be in the query */
    unsigned status, retry_after_s;
    struct text body;
    size_t piece, at; /* bytes that go out at once; 0: all */
    bool stays;       /* the stream stays open behind the body */
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct http_server *server;
    struct cluster *cluster;
    struct apiserver_source *source;
    struct reply replies[REPLIES_MAX];
    unsigned reply_count, calls;
    uint64_t called_ms[REPLIES_MAX];
    struct text log; /* "+name=value", "-name", "!" synced, ";" settled */
    const char *awaited;
    unsigned puts, settles, complaints, awaited_puts;
    bool is_late;
};

/* --- the server --- */

static enum http_stream_state pull(void *context, struct text *out)
{
    struct reply *reply = context;
    size_t left = reply->body.len - reply->at, len = reply->piece ? reply->piece : 60000;
    len = len < left ? len : left;
    text_add_bytes(out, text_str(&reply->body) + reply->at, len);
    reply->at += len;
    if (reply->at < reply->body.len)
        return HTTP_STREAM_MORE;
    return reply->stays ? HTTP_STREAM_WAIT : HTTP_STREAM_END;
}

static void closed(void *context)
{
}

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    static const struct http_stream_ops ops = {pull, closed};
    struct fixture *fixture = context;
    char seconds[16];
    assert_string_equal(request->path, "/api/v1/configmaps");
    if (fixture->calls >= fixture->reply_count)
        fail_msg("an unexpected call: %s", request->query);
    struct reply *reply = &fixture->replies[fixture->calls];
    fixture->called_ms[fixture->calls++] = uv_now(&fixture->loop);
    if (!strstr(request->query, reply->wants))
        fail_msg("call %u has no %s: %s", fixture->calls, reply->wants, request->query);
    response->status = reply->status;
    response->content_type = PROTOBUF;
    snprintf(seconds, sizeof(seconds), "%u", reply->retry_after_s);
    if (reply->retry_after_s)
        http_response_add_header(response, "Retry-After", seconds);
    assert_non_null(http_stream_begin(request, &ops, reply));
}

static struct text *expect_call(struct fixture *fixture, const char *wants, unsigned status)
{
    assert_true(fixture->reply_count < REPLIES_MAX);
    struct reply *reply = &fixture->replies[fixture->reply_count++];
    *reply = (struct reply){.wants = wants, .status = status};
    return &reply->body;
}

static struct reply *last_reply(struct fixture *fixture)
{
    return &fixture->replies[fixture->reply_count - 1];
}

static void open_server(struct fixture *fixture, uint16_t port)
{
    struct socket_address address = {.port = port};
    struct http_limits limits = {.connections_max = 16, .deadline_ms = 15000, .streams_max = 16};
    struct err err;
    address_parse("127.0.0.1", &address.address, NULL);
    if (http_server_open(&fixture->server, &fixture->loop, &address, handle, fixture, &err) < 0)
        fail_msg("%s", err.text);
    http_server_set_limits(fixture->server, &limits);
}

/* --- the sink --- */

static void look(struct fixture *fixture)
{
    bool has_all = fixture->awaited ? strstr(text_str(&fixture->log), fixture->awaited) != NULL
                                    : fixture->puts >= fixture->awaited_puts;
    if (has_all)
        uv_stop(&fixture->loop);
}

static void on_put(void *context, const struct api_object *object)
{
    struct fixture *fixture = context;
    fixture->puts++;
    if (fixture->awaited)
        text_printf(&fixture->log, "+%s=%s", object->name, api_config_map(object)->data[0]->value);
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    text_printf(&((struct fixture *)context)->log, "-%s", name);
}

static void on_settled(void *context)
{
    struct fixture *fixture = context;
    text_add(&fixture->log, ";");
    fixture->settles++;
    look(fixture);
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    ((struct fixture *)context)->complaints++;
}

static void on_synced(void *context)
{
    text_add(&((struct fixture *)context)->log, "!");
}

/* --- the run --- */

static void on_late(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    fixture->is_late = true;
    uv_stop(timer->loop);
}

static void run(struct fixture *fixture)
{
    uv_timer_start(&fixture->timer, on_late, WAIT_MS, 0);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&fixture->timer);
    if (fixture->is_late)
        fail_msg("too late: %s after %u calls, %u puts", text_str(&fixture->log), fixture->calls,
                 fixture->puts);
}

static void run_until(struct fixture *fixture, const char *log)
{
    fixture->awaited = log;
    if (!fixture->source) {
        static const struct apiserver_selection maps[] = {{API_CONFIG_MAP, "", "", false}};
        const struct apiserver_source_options options = {
            .selections = maps, .selection_count = 1, .qps = -1, .page = 2};
        const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complaint};
        assert_int_equal(apiserver_source_open(&fixture->source, fixture->cluster, &fixture->loop, &options,
                                               &sink, on_synced, NULL),
                         0);
    }
    run(fixture);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    char master[64];
    struct err err = {0};
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->timer);
    fixture->timer.data = fixture;
    open_server(fixture, 0);
    snprintf(master, sizeof(master), "http://127.0.0.1:%u", http_server_address(fixture->server).port);
    if (cluster_open(&fixture->cluster, &fixture->loop, &(struct cluster_options){.master = master}, &err) <
        0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    apiserver_source_close(fixture->source);
    cluster_close(fixture->cluster);
    http_server_close(fixture->server);
    uv_close((uv_handle_t *)&fixture->timer, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    for (unsigned i = 0; i < fixture->reply_count; i++)
        text_done(&fixture->replies[i].body);
    text_done(&fixture->log);
    free(fixture);
    return 0;
}

static void expect_stream(struct fixture *fixture)
{
    struct text *body = expect_call(fixture, "sendInitialEvents=true", 200);
    test_event("ADDED", "a", 3, "1", true, body);
    test_event("ADDED", "b", 4, "1", true, body);
    test_bookmark(10, true, true, body);
    last_reply(fixture)->stays = true;
}

static uint64_t between(const struct fixture *fixture, unsigned call)
{
    return fixture->called_ms[call] - fixture->called_ms[call - 1];
}

/* Without streams the list comes in pages; what was refused as a stream is asked for at once in the other
 * way. */
static void test_pages(void **state)
{
    struct fixture *fixture = *state;
    struct text items = {0};
    test_status(422, "Invalid", NULL, 0, true, expect_call(fixture, "sendInitialEvents", 422));
    test_message("a", 3, "1", false, true, true, &items);
    test_message("b", 4, "1", false, true, true, &items);
    test_page(10, "next", &items, true, expect_call(fixture, "limit=2&resourceVersion=0", 200));
    last_reply(fixture)->piece = 7;
    items.len = 0;
    test_message("c", 5, "1", false, true, true, &items);
    test_page(10, "", &items, true, expect_call(fixture, "continue=next", 200));
    test_event("MODIFIED", "a", 11, "2", true, expect_call(fixture, "resourceVersion=10", 200));
    last_reply(fixture)->stays = true;
    run_until(fixture, "+a=1+b=1+c=1!;+a=2;");
    assert_int_equal(apiserver_source_status(fixture->source)->objects[API_CONFIG_MAP], 3);
    assert_int_equal(fixture->complaints, 0);
    text_done(&items);
}

/* A page that breaks off, and one whose token expired in between: again, and nothing is told twice. */
static void test_list_is_cut(void **state)
{
    struct fixture *fixture = *state;
    struct text items = {0};
    test_status(400, "BadRequest", NULL, 0, true, expect_call(fixture, "sendInitialEvents", 400));
    test_message("a", 3, "1", false, true, true, &items);
    test_message("b", 4, "1", false, true, true, &items);
    struct text *cut = expect_call(fixture, "limit=2", 200);
    test_page(10, "next", &items, true, cut);
    cut->len -= 20;
    test_page(12, "next", &items, true, expect_call(fixture, "limit=2&resourceVersion=3", 200));
    test_status(410, "Expired", NULL, 0, true, expect_call(fixture, "continue=next", 410));
    items.len = 0;
    test_message("b", 15, "2", false, true, true, &items);
    test_page(16, "", &items, true, expect_call(fixture, "resourceVersion=12", 200));
    expect_call(fixture, "resourceVersion=16", 200);
    last_reply(fixture)->stays = true;
    run_until(fixture, "+a=1+b=1+b=2-a!;");
    assert_null(strstr(fixture->replies[4].wants, "limit"));
    assert_true(between(fixture, 2) >= 400 && between(fixture, 4) >= 400);
    text_done(&items);
}

/* 500, then 429 with Retry-After: no call comes too early. */
static void test_server_is_busy(void **state)
{
    struct fixture *fixture = *state;
    test_status(500, "InternalError", NULL, 0, true, expect_call(fixture, "sendInitialEvents", 500));
    test_status(429, "TooManyRequests", NULL, 0, true, expect_call(fixture, "sendInitialEvents", 429));
    last_reply(fixture)->retry_after_s = 2;
    expect_stream(fixture);
    run_until(fixture, "+a=1+b=1!;");
    assert_true(between(fixture, 1) >= 400);
    assert_true(between(fixture, 2) >= 2000);
}

/* A watch that is cut in the middle of a frame goes on where it was; garbage leads to a list. */
static void test_watch_is_cut(void **state)
{
    struct fixture *fixture = *state;
    expect_stream(fixture);
    struct reply *first = last_reply(fixture);
    first->stays = false;
    test_event("MODIFIED", "a", 11, "2", true, &first->body);
    test_event("MODIFIED", "b", 12, "2", true, &first->body);
    first->body.len -= 5;
    struct text *body = expect_call(fixture, "&resourceVersion=11", 200);
    test_event("MODIFIED", "b", 12, "2", true, body);
    test_bookmark(14, false, true, body);
    last_reply(fixture)->piece = 3;
    body = expect_call(fixture, "&resourceVersion=14", 200);
    test_error_frame(410, "Expired", 0, true, body);
    body = expect_call(fixture, "resourceVersionMatch=NotOlderThan&resourceVersion=14", 200);
    test_event("ADDED", "b", 12, "2", true, body);
    test_bookmark(20, true, true, body);
    text_add_bytes(body, "\0\0\0\3abc", 7);
    body = expect_call(fixture, "resourceVersionMatch=NotOlderThan&resourceVersion=20", 200);
    test_event("ADDED", "b", 21, "3", true, body);
    test_bookmark(21, true, true, body);
    last_reply(fixture)->stays = true;
    run_until(fixture, "+b=3;");
    assert_non_null(strstr(fixture->log.data, "+a=2"));
    assert_non_null(strstr(fixture->log.data, "+b=2;-a;+b=3;"));
    assert_int_equal(fixture->calls, 5);
}

/* The server goes and comes back: nothing is taken back meanwhile, and the watch goes on. */
static void test_server_restarts(void **state)
{
    struct fixture *fixture = *state;
    expect_stream(fixture);
    run_until(fixture, "!;");
    uint16_t port = http_server_address(fixture->server).port;
    http_server_close(fixture->server);
    test_event("DELETED", "a", 11, "1", true, expect_call(fixture, "&resourceVersion=10", 200));
    last_reply(fixture)->stays = true;
    open_server(fixture, port);
    run_until(fixture, "-a;");
    assert_string_equal(fixture->log.data, "+a=1+b=1!;-a;");
}

/* Many events in a row are few turns, in however many pieces they come. */
static void test_ten_thousand_events(void **state)
{
    struct fixture *fixture = *state;
    expect_stream(fixture);
    struct text *body = &last_reply(fixture)->body;
    for (unsigned i = 0; i < 10000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i % 1000);
        test_event("MODIFIED", name, 11 + i, "x", true, body);
    }
    last_reply(fixture)->piece = 500;
    fixture->awaited_puts = 10002;
    run_until(fixture, NULL);
    assert_int_equal(fixture->puts, 10002);
    assert_true(fixture->settles < 100);
    assert_int_equal(apiserver_source_status(fixture->source)->objects[API_CONFIG_MAP], 1002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_is_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_thousand_events, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
