/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_client.h"

#include "sys/http_client_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

uv_loop_t *http_client_loop(const struct http_client *client)
{
    return client->loop;
}

void http_client_keep(struct http_client *client)
{
    client->kept++;
}

void http_client_unkeep(struct http_client *client)
{
    if (--client->kept > 0)
        return;
    free(client);
    curl_global_cleanup();
}

/* --- a call's end --- */

static void call_end(struct http_call *call, int code, const struct err *err)
{
    struct http_call_ops ops = call->ops;
    void *context = call->context;
    assert(call->client->entered > 0);
    if (!call->has_headers && !call->is_cancelled)
        http_call_answered(call, 0);
    if (!call->is_cancelled)
        http_call_over(call);
    bool is_told = !call->is_cancelled && ops.ended;
    call->is_cancelled = true;
    if (is_told)
        ops.ended(context, code, err);
    http_call_free(call);
}

static int code_of_connect(const struct http_call *call)
{
    long number = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    return number > 0 ? (int)number : ECONNREFUSED;
}

static int code_of(const struct http_call *call, CURLcode result)
{
    /* libcurl's own codes are too many to name: what is not here went wrong in TLS or HTTP. */
    if (call->is_given_up)
        return ECANCELED;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return ETIMEDOUT;
    if (result == CURLE_COULDNT_CONNECT)
        return code_of_connect(call);
    if (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY)
        return EHOSTUNREACH;
    if (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING ||
        result == CURLE_PARTIAL_FILE)
        return ECONNRESET;
    return EPROTO;
}

static bool was_sent(const struct http_call *call, uint64_t *ret_sent_ms)
{
    curl_off_t sent_us = 0;
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    *ret_sent_ms = call->started_ms + (uint64_t)sent_us / 1000;
    return sent_us > 0;
}

/* Whether the server's program had to do with the call, and since when. Who greets a pulse by TCP alone is
 * a kernel whose program hangs; without that nothing is said of the connections that stand. */
static bool was_expected(const struct http_call *call, uint64_t *ret_since_ms)
{
    if (was_sent(call, ret_since_ms))
        return true;
    *ret_since_ms = call->started_ms;
    return call->is_pulse && call->is_greeted;
}

/* A request went unanswered: where nothing else came from its server since, later calls take new connections,
 * and those that shared this one (HTTP/2) end as well. Over HTTP/1.1 each has its own, and one that is in the
 * middle of an answer is judged by a pulse alone. */
static void suspect(struct http_call *silent)
{
    struct http_session *session = silent->session, *fresh;
    struct http_call *call, *next;
    uint64_t since_ms;
    struct err err;
    if (!was_expected(silent, &since_ms) || silent->server_moved_ms >= since_ms)
        return;
    DL_FOREACH_SAFE(session->calls, call, next)
    {
        bool is_dead = session->is_http2 || (silent->is_pulse && call->has_headers);
        if (!is_dead || call == silent || !http_call_same_origin(call, silent))
            continue;
        err_set(&err, ETIMEDOUT, "%.*s: the connection is dead", (int)call->origin_len, call->url);
        call_end(call, -ETIMEDOUT, &err);
    }
    if (session == session->client->session &&
        http_session_new(&fresh, session->client, &session->options, NULL) == 0) {
        DL_APPEND(session->client->sessions, fresh);
        session->client->session = fresh;
    }
}

/* libcurl with GnuTLS names the file descriptor that holds the authorities, and not what is wrong. */
static const char *sentence_of(const struct http_call *call, CURLcode result)
{
    if (call->is_given_up)
        return "the answer was given up";
    if (result == CURLE_PEER_FAILED_VERIFICATION && strstr(call->error, "CAfile: "))
        return "the server's certificate is not valid: expired, or signed by no authority that is trusted "
               "here";
    return *call->error ? call->error : curl_easy_strerror(result);
}

static void call_done(struct http_call *call, CURLcode result)
{
    struct err err = {""};
    int code = 0;
    if (result != CURLE_OK)
        code = err_set(&err, code_of(call, result), "%.*s: %s", (int)call->origin_len, call->url,
                       sentence_of(call, result));
    if (result == CURLE_OPERATION_TIMEDOUT && !call->has_headers)
        suspect(call);
    call_end(call, code, &err);
}

/* --- calls without an answer, or without the rest of it --- */

static void on_silence(uv_timer_t *timer);

/* 0 for a call that has no such time. */
static uint64_t silence_ends(const struct http_call *call)
{
    uint64_t sent_ms;
    if (call->timeout_ms || call->has_headers || call->is_cancelled)
        return 0;
    /* While it is being connected libcurl has a time for it. */
    if (!was_sent(call, &sent_ms))
        sent_ms = uv_now(call->client->loop);
    return sent_ms + call->session->options.dead_after_ms;
}

static void take_earlier(uint64_t *first, uint64_t time)
{
    if (time > 0 && (*first == 0 || time < *first))
        *first = time;
}

static void watch_silence(struct http_client *client)
{
    uint64_t first = 0, now = uv_now(client->loop);
    struct http_session *session;
    struct http_call *call;
    DL_FOREACH (client->sessions, session) {
        DL_FOREACH (session->calls, call) {
            take_earlier(&first, silence_ends(call));
            take_earlier(&first, http_pulse_due(call));
        }
    }
    if (first == 0)
        uv_timer_stop(&client->silence);
    else
        uv_timer_start(&client->silence, on_silence, first > now ? first - now : 1, 0);
}

/* The session's first call for which that time has come; NULL: none. */
static struct http_call *find_overdue(const struct http_session *session,
                                      uint64_t (*time_of)(const struct http_call *call))
{
    struct http_call *call = session->calls;
    while (call && !(time_of(call) > 0 && time_of(call) <= uv_now(session->client->loop)))
        call = call->next;
    return call;
}

static void on_silence(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    struct http_session *session;
    http_client_enter(client);
    DL_FOREACH (client->sessions, session) {
        struct http_call *call = find_overdue(session, http_pulse_due);
        if (call)
            http_pulse_start(call);
        call = find_overdue(session, silence_ends);
        if (!call)
            continue;
        snprintf(call->error, sizeof(call->error), "no answer for %u ms", session->options.dead_after_ms);
        call_done(call, CURLE_OPERATION_TIMEDOUT);
    }
    http_client_leave(client);
}

/* --- the client --- */

int http_call_start(struct http_client *client, const struct http_call_request *request,
                    const struct http_call_ops *ops, void *context, struct http_call **ret, struct err *err)
{
    int code = http_call_new(ret, client, request, ops, context, &client->session->options, err);
    if (code < 0)
        return code;
    http_client_enter(client);
    http_client_leave(client);
    return 0;
}

void http_call_cancel(struct http_call *call)
{
    struct http_client *client = call->client;
    if (!call->has_headers && !call->is_cancelled)
        http_call_answered(call, 0);
    call->is_cancelled = true;
    http_client_enter(client);
    http_client_leave(client);
}

static void on_client_closed(uv_handle_t *handle)
{
    http_client_unkeep(handle->data);
}

static void end_all(struct http_client *client)
{
    struct http_session *session, *next;
    DL_FOREACH_SAFE(client->sessions, session, next)
    {
        while (session->calls)
            http_call_free(session->calls);
        DL_DELETE(client->sessions, session);
        http_session_close(session);
    }
    while (client->waiting)
        http_call_free(client->waiting);
    uv_close((uv_handle_t *)&client->silence, on_client_closed);
}

static void drop_cancelled(struct http_call *calls)
{
    struct http_call *call, *next;
    DL_FOREACH_SAFE(calls, call, next)
    {
        if (call->is_cancelled)
            http_call_free(call);
    }
}

/* The calls that libcurl is done with. */
static void take_results(struct http_session *session)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(session->multi, &left))) {
        struct http_call *call = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        if (message->msg == CURLMSG_DONE)
            call_done(call, result);
    }
}

static void begin_waiting(struct http_client *client)
{
    struct http_call *call, *next;
    DL_FOREACH_SAFE(client->waiting, call, next)
    {
        http_call_begin(call, client->session);
    }
}

void http_client_enter(struct http_client *client)
{
    client->entered++;
}

void http_client_leave(struct http_client *client)
{
    struct http_session *session, *next;
    if (client->entered > 1) {
        client->entered--;
        return;
    }
    DL_FOREACH (client->sessions, session) {
        take_results(session);
    }
    DL_FOREACH_SAFE(client->sessions, session, next)
    {
        drop_cancelled(session->calls);
        if (session->calls || session == client->session)
            continue;
        DL_DELETE(client->sessions, session);
        http_session_close(session);
    }
    drop_cancelled(client->waiting);
    if (!client->is_held && !client->is_closing)
        begin_waiting(client);
    watch_silence(client);
    client->entered--;
    if (client->is_closing)
        end_all(client);
}

int http_client_new(struct http_client **ret, uv_loop_t *loop, const struct http_client_options *options,
                    struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ENOMEM, "libcurl does not start");
    struct http_client *client = xcalloc(1, sizeof(*client));
    client->loop = loop;
    uv_timer_init(loop, &client->silence);
    client->silence.data = client;
    http_client_keep(client);
    int code = http_session_new(&client->session, client, options, err);
    if (code < 0) {
        uv_close((uv_handle_t *)&client->silence, on_client_closed);
        return code;
    }
    DL_APPEND(client->sessions, client->session);
    *ret = client;
    return 0;
}

int http_client_set_options(struct http_client *client, const struct http_client_options *options,
                            struct err *err)
{
    struct http_session *fresh;
    if (http_session_has(client->session, options))
        return 0;
    int code = http_session_new(&fresh, client, options, err);
    if (code < 0)
        return code;
    http_client_enter(client);
    DL_APPEND(client->sessions, fresh);
    client->session = fresh;
    http_client_leave(client);
    return 0;
}

void http_client_close(struct http_client *client)
{
    struct http_session *session;
    struct http_call *call;
    if (!client || client->is_closing)
        return;
    http_client_enter(client);
    client->is_closing = true;
    DL_FOREACH (client->sessions, session) {
        DL_FOREACH (session->calls, call) {
            call->is_cancelled = true;
        }
    }
    DL_FOREACH (client->waiting, call) {
        call->is_cancelled = true;
    }
    http_client_leave(client);
}

void http_client_hold(struct http_client *client)
{
    client->is_held = true;
}

void http_client_release(struct http_client *client, const char *authorization)
{
    struct http_call *call;
    DL_FOREACH (client->waiting, call) {
        http_call_authorize(call, authorization);
    }
    client->is_held = false;
    http_client_enter(client);
    http_client_leave(client);
}

void http_client_refuse(struct http_client *client, int code, const struct err *err)
{
    struct http_call *call;
    http_client_enter(client);
    client->is_held = false;
    /* Calls that are started meanwhile go their way. */
    DL_FOREACH (client->waiting, call) {
        call->is_refused = true;
    }
    do {
        call = client->waiting;
        while (call && !call->is_refused)
            call = call->next;
        if (call) {
            call->is_refused = false;
            call_end(call, code, err);
        }
    } while (call);
    http_client_leave(client);
}

void http_client_observe(struct http_client *client, const struct http_client_observer *observer)
{
    client->observer = *observer;
}
