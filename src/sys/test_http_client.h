/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a client, a server of ours that it talks to, and peers that are no server. */
#include "sys/http_client.h"
#include "sys/test_http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define WAIT_MS 5000
#define DEAF_MS 600

struct stream {
    struct http_stream *stream;
    struct text next; /* what pull brings */
    bool is_ending, is_gone;
};

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    struct http_client *client;
    struct stream streams[4], *stream; /* the newest */
    unsigned answered[600], overs;
    struct http_call_report last; /* of what is over; method and host are in last_names */
    char last_names[256];
    int listener; /* of a peer that never reads */
};

/* One call and what became of it. */
struct seen {
    struct fixture *fixture;
    struct http_call *call;
    unsigned status, retry_after_s, headers, ended;
    char content_type[64];
    struct text body;
    int code;
    struct err err;
    bool gives_up, cancels_itself, closes_client;
    struct seen *starts, *cancels; /* another call, once data come */
};

static inline enum http_stream_state pull(void *context, struct text *out)
{
    struct stream *stream = context;
    text_add_bytes(out, text_str(&stream->next), stream->next.len);
    text_done(&stream->next);
    return stream->is_ending ? HTTP_STREAM_END : HTTP_STREAM_WAIT;
}

static inline void stream_closed(void *context)
{
    struct stream *stream = context;
    stream->is_gone = true;
    text_done(&stream->next);
}

static inline void answer(void *context, const struct http_request *request, struct http_response *response)
{
    struct fixture *fixture = context;
    static const struct http_stream_ops ops = {pull, stream_closed};
    const char *accept = http_request_header(request, "Accept");
    const char *authorization = http_request_header(request, "Authorization");
    const char *content_type = http_request_header(request, "Content-Type");
    const char *host = http_request_header(request, "Host");
    http_response_set(response, 200, "text/plain", "");
    if (strcmp(request->path, "/watch") == 0) {
        fixture->stream->stream = http_stream_begin(request, &ops, fixture->stream);
        return;
    }
    if (strcmp(request->path, "/busy") == 0) {
        http_response_set(response, 429, "application/json", "{}");
        http_response_add_header(response, "Retry-After", "7");
        return;
    }
    if (strcmp(request->path, "/host") == 0) {
        text_add(&response->body, host ? host : "");
        return;
    }
    text_printf(&response->body, "%s %s?%s accept=%s authorization=%s type=%s expect=%s body=%s user=%s",
                request->method, request->path, request->query, accept ? accept : "",
                authorization ? authorization : "", content_type ? content_type : "",
                http_request_header(request, "Expect") ? "yes" : "", text_str(&request->body),
                request->peer->common_name ? request->peer->common_name : "");
}

static inline void saw_headers(void *context, const struct http_call_headers *headers)
{
    struct seen *seen = context;
    seen->headers++;
    seen->status = headers->status;
    seen->retry_after_s = headers->retry_after_s;
    snprintf(seen->content_type, sizeof(seen->content_type), "%s", headers->content_type);
}

static const struct http_call_ops ops;

static inline void get(struct seen *seen, struct fixture *fixture, const char *url, unsigned timeout_ms)
{
    struct err err;
    seen->fixture = fixture;
    if (http_call_start(fixture->client,
                        &(struct http_call_request){.method = "GET", .url = url, .timeout_ms = timeout_ms},
                        &ops, seen, &seen->call, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void url_of(const struct fixture *fixture, const char *path, bool is_tls, char url[256])
{
    snprintf(url, 256, "http%s://127.0.0.1:%u%s", is_tls ? "s" : "",
             http_server_address(fixture->server).port, path);
}

static inline bool saw_data(void *context, const char *bytes, size_t len)
{
    struct seen *seen = context;
    char url[256];
    text_add_bytes(&seen->body, bytes, len);
    if (seen->starts && !seen->starts->call) {
        url_of(seen->fixture, "/started", true, url);
        get(seen->starts, seen->fixture, url, 0);
    }
    if (seen->cancels)
        http_call_cancel(steal_pointer(&seen->cancels)->call);
    if (seen->cancels_itself)
        http_call_cancel(seen->call);
    if (seen->closes_client)
        http_client_close(steal_pointer(&seen->fixture->client));
    return !seen->gives_up;
}

static inline void saw_end(void *context, int code, const struct err *err)
{
    struct seen *seen = context;
    seen->ended++;
    seen->code = code;
    seen->err = *err;
}

static const struct http_call_ops ops = {saw_headers, saw_data, saw_end};

static inline void answered(void *context, const struct http_call_report *report)
{
    struct fixture *fixture = context;
    assert_true(report->seconds >= 0 && report->seconds < 60);
    fixture->answered[report->status]++;
}

static inline void over(void *context, const struct http_call_report *report)
{
    struct fixture *fixture = context;
    fixture->overs++;
    fixture->last = *report;
    snprintf(fixture->last_names, sizeof(fixture->last_names), "%s %s", report->method, report->host);
}

/* Until *what is at least as large, or too long. */
static inline bool turn_until(struct fixture *fixture, const unsigned *what, unsigned least, int wait_ms)
{
    long long end = test_now_ms() + wait_ms;
    while (*what < least && test_now_ms() < end) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    return *what >= least;
}

static inline bool turn_until_text(struct fixture *fixture, const struct text *text, const char *part)
{
    long long end = test_now_ms() + WAIT_MS;
    while (!strstr(text_str(text), part) && test_now_ms() < end) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    return strstr(text_str(text), part) != NULL;
}

static inline void open_client(struct fixture *fixture, const struct http_client_options *options)
{
    struct err err;
    if (http_client_new(&fixture->client, &fixture->loop, options, &err) < 0)
        fail_msg("%s", err.text);
    http_client_observe(fixture->client, &(struct http_client_observer){answered, over, fixture});
}

static inline struct http_client_options usual(void)
{
    return (struct http_client_options){.ca_pem = test_pki.ca_certificate,
                                        .proxy_url = "",
                                        .user_agent = "test",
                                        .dead_after_ms = WAIT_MS,
                                        .connect_timeout_ms = WAIT_MS};
}

static inline void open_server(struct fixture *fixture, bool is_tls)
{
    struct err err;
    struct http_limits limits = {
        .connections_max = 16, .deadline_ms = 15000, .body_max = 1 << 20, .streams_max = 8};
    if (test_server_open(&fixture->server, &fixture->loop, is_tls, answer, fixture, &err) < 0)
        fail_msg("%s", err.text);
    http_server_set_limits(fixture->server, &limits);
}

static inline int setup_with(void **state, bool is_tls)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct http_client_options options = usual();
    uv_loop_init(&fixture->loop);
    fixture->listener = -1;
    fixture->stream = fixture->streams;
    open_server(fixture, is_tls);
    open_client(fixture, &options);
    *state = fixture;
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, true);
}

static inline int setup_plain(void **state)
{
    return setup_with(state, false);
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    http_client_close(fixture->client);
    http_server_close(fixture->server);
    if (fixture->listener >= 0)
        close(fixture->listener);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture);
    return 0;
}

/* One call to path and its end. */
static inline struct seen *fetch(struct fixture *fixture, const char *url, unsigned timeout_ms)
{
    struct seen *seen = calloc(1, sizeof(*seen));
    get(seen, fixture, url, timeout_ms);
    assert_true(turn_until(fixture, &seen->ended, 1, WAIT_MS));
    assert_int_equal(seen->ended, 1);
    return seen;
}

static inline void seen_free(struct seen *seen)
{
    text_done(&seen->body);
    free(seen);
}

static inline void expect(struct fixture *fixture, const char *path, int code, unsigned status,
                          const char *part)
{
    char url[256];
    url_of(fixture, path, true, url);
    struct seen *seen = fetch(fixture, url, WAIT_MS);
    if (seen->code != code || seen->status != status ||
        !strstr(code < 0 ? seen->err.text : text_str(&seen->body), part))
        fail_msg("%s: code %d, status %u, %s, %s", path, seen->code, seen->status, seen->err.text,
                 text_str(&seen->body));
    seen_free(seen);
}

/* --- peers of their own kind --- */

/* Listens, and answers with what is given, if anything, to whatever comes. */
static inline unsigned short listen_raw(struct fixture *fixture)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    fixture->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fixture->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fixture->listener, 16), 0);
    assert_int_equal(getsockname(fixture->listener, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static inline int accept_raw(struct fixture *fixture)
{
    int fd = -1;
    for (long long end = test_now_ms() + WAIT_MS; fd < 0 && test_now_ms() < end;) {
        test_turn(&fixture->loop, 1);
        fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_true(fd >= 0);
    return fd;
}

static inline void raw_url(const char *scheme, unsigned short port, char url[256])
{
    snprintf(url, 256, "%s://127.0.0.1:%u/", scheme, port);
}

/* Carries bytes both ways for a while, as a proxy does. */
static inline void carry(struct fixture *fixture, int a, int b, const unsigned *until)
{
    char buffer[16384];
    for (long long end = test_now_ms() + WAIT_MS; !*until && test_now_ms() < end;) {
        test_turn(&fixture->loop, 1);
        ssize_t len = recv(a, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (len > 0)
            test_send(b, buffer, (size_t)len);
        len = recv(b, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (len > 0)
            test_send(a, buffer, (size_t)len);
    }
}
