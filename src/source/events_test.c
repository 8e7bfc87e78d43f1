/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/events.h"

#include "base/arena.h"
#include "base/text.h"
#include "sys/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 10000

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct http_server *server;
    struct cluster *cluster;
    struct events *events;
    struct text log, complaints; /* "POST path body\n" */
    unsigned status, calls, wanted_calls, wanted_complaints, complaint_count;
    bool is_late;
};

static void look(struct fixture *fixture)
{
    if (fixture->calls >= fixture->wanted_calls && fixture->complaint_count >= fixture->wanted_complaints)
        uv_stop(&fixture->loop);
}

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    struct fixture *fixture = context;
    text_printf(&fixture->log, "%s %s %s %s\n", request->method, request->path,
                http_request_header(request, "Content-Type"), text_str(&request->body));
    http_response_set(response, fixture->status, "application/json", "{}");
    fixture->calls++;
    look(fixture);
}

static void on_complaint(void *context, const char *sentence)
{
    struct fixture *fixture = context;
    text_printf(&fixture->complaints, "%s\n", sentence);
    fixture->complaint_count++;
    look(fixture);
}

static void on_late(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    fixture->is_late = true;
    uv_stop(&fixture->loop);
}

static void run(struct fixture *fixture, unsigned calls, unsigned complaints)
{
    fixture->wanted_calls = calls;
    fixture->wanted_complaints = complaints;
    uv_timer_start(&fixture->timer, on_late, WAIT_MS, 0);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&fixture->timer);
    if (fixture->is_late)
        fail_msg("%u calls, complaints: %s", fixture->calls, text_str(&fixture->complaints));
}

static int open_fixture(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct socket_address address = {0};
    char master[64];
    struct http_limits limits = {.connections_max = 16, .body_max = 1 << 20, .deadline_ms = 15000};
    struct err err;
    *state = fixture;
    fixture->status = 201;
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->timer);
    fixture->timer.data = fixture;
    address_parse("127.0.0.1", &address.address, NULL);
    if (http_server_open(&fixture->server, &fixture->loop, &address, handle, fixture, &err) < 0)
        fail_msg("%s", err.text);
    http_server_set_limits(fixture->server, &limits);
    snprintf(master, sizeof(master), "http://127.0.0.1:%u", http_server_address(fixture->server).port);
    if (cluster_open(&fixture->cluster, &fixture->loop, &(struct cluster_options){.master = master}, &err) <
        0)
        fail_msg("%s", err.text);
    fixture->events =
        events_open(fixture->cluster, &fixture->loop, "kube-proxy", "kube-proxy-n1", on_complaint, fixture);
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    events_close(fixture->events);
    cluster_close(fixture->cluster);
    http_server_close(fixture->server);
    uv_close((uv_handle_t *)&fixture->timer, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    text_done(&fixture->log);
    text_done(&fixture->complaints);
    free(fixture);
    return 0;
}

static void post(struct fixture *fixture, const char *name)
{
    const struct event event = {
        .reason = "Starting",
        .action = "Start",
        .note = "",
        .regarding = {"v1", "Node", "", name},
    };
    events_post(fixture->events, &event);
}

static unsigned count(const char *text, const char *piece)
{
    unsigned found = 0;
    for (; (text = strstr(text, piece)); text++)
        found++;
    return found;
}

static void events_come_to_the_server(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, "n1");
    post(fixture, "n2");
    run(fixture, 2, 0);
    const char *log = text_str(&fixture->log);
    assert_int_equal(count(log, "POST /apis/events.k8s.io/v1/namespaces/default/events application/json {"),
                     2);
    assert_non_null(strstr(log, "\"name\":\"n1\""));
    assert_non_null(strstr(log, "\"name\":\"n2\""));
    post(fixture, "n1");
    run(fixture, 3, 0);
    assert_non_null(
        strstr(text_str(&fixture->log), "PATCH /apis/events.k8s.io/v1/namespaces/default/events/n1."));
    assert_non_null(
        strstr(text_str(&fixture->log), "application/merge-patch+json {\"series\":{\"count\":2,"));
    assert_string_equal(text_str(&fixture->complaints), "");
}

static void a_server_without_events_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->status = 404;
    post(fixture, "n1");
    post(fixture, "n2");
    run(fixture, 1, 1);
    post(fixture, "n3");
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture->calls, 1);
    assert_string_equal(text_str(&fixture->complaints),
                        "the apiserver has no events (Starting of Node n1: status "
                        "404), none are told from now on\n");
}

static void a_refusal_is_said_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->status = 403;
    post(fixture, "n1");
    post(fixture, "n2");
    run(fixture, 2, 1);
    post(fixture, "n3");
    run(fixture, 3, 1);
    assert_string_equal(text_str(&fixture->complaints),
                        "the apiserver refused event Starting of Node n1 with status 403\n");
}

static void nothing_is_posted_by_nobody(void **state)
{
    static const struct event event = {
        .reason = "A", .action = "B", .note = "", .regarding = {"", "", "", ""}};
    (void)state;
    events_post(NULL, &event);
    events_close(NULL);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(events_come_to_the_server),
        WITH_SERVER(a_server_without_events_is_left_alone),
        WITH_SERVER(a_refusal_is_said_once),
        cmocka_unit_test(nothing_is_posted_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
