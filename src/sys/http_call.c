/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "sys/http_client_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define URL_MAX 16384
#define VALUE_MAX 65536
#define HTTP_FINAL 200

void http_call_free(struct http_call *call)
{
    if (call->session)
        curl_multi_remove_handle(call->session->multi, call->easy);
    if (call->session)
        DL_DELETE(call->session->calls, call);
    else
        DL_DELETE(call->client->waiting, call);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    free(call->authorization);
    free(call->url);
    free(call->method);
    free(call->host);
    free(call);
}

static struct http_call_report report_of(const struct http_call *call)
{
    return (struct http_call_report){
        .method = call->method,
        .host = call->host,
        .tag = call->tag,
        .status = call->status,
        .seconds = call->session ? (double)(uv_now(call->client->loop) - call->started_ms) / 1000 : 0,
        .sent_bytes = call->sent_bytes,
        .received_bytes = call->received_bytes,
    };
}

void http_call_answered(struct http_call *call, unsigned status)
{
    const struct http_client_observer *observer = &call->client->observer;
    call->status = status;
    const struct http_call_report report = report_of(call);
    if (observer->answered)
        observer->answered(observer->context, &report);
}

void http_call_over(struct http_call *call)
{
    const struct http_client_observer *observer = &call->client->observer;
    const struct http_call_report report = report_of(call);
    if (observer->over)
        observer->over(observer->context, &report);
}

/* --- what libcurl tells --- */

static void note_moved(struct http_call *call)
{
    struct http_call *each;
    call->moved_ms = uv_now(call->client->loop);
    DL_FOREACH (call->session->calls, each) {
        if (http_call_same_origin(each, call))
            each->server_moved_ms = call->moved_ms;
    }
}

static size_t on_data(char *bytes, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    size_t len = size * count;
    note_moved(call);
    if (call->is_cancelled)
        return 0;
    call->received_bytes += len;
    if (call->ops.data && !call->ops.data(call->context, bytes, len)) {
        call->is_given_up = true;
        return 0;
    }
    return call->is_cancelled ? 0 : len;
}

static void tell_headers(struct http_call *call, long status)
{
    const char *content_type = NULL;
    curl_off_t retry_after_s = 0;
    long version = 0;
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
    call->has_headers = true;
    call->session->is_http2 = version == CURL_HTTP_VERSION_2_0;
    http_call_answered(call, (unsigned)status);
    if (call->ops.headers)
        call->ops.headers(call->context,
                          &(struct http_call_headers){
                              .status = (unsigned)status,
                              .content_type = content_type ? content_type : "",
                              .retry_after_s = retry_after_s > UINT_MAX ? UINT_MAX : (unsigned)retry_after_s,
                          });
}

/* Once for each line; an empty one ends the headers of an interim answer (1xx) too, and the trailers. */
static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    size_t len = size * count;
    long status = 0;
    note_moved(call);
    if (call->is_cancelled)
        return 0;
    if (call->has_headers || (bytes[0] != '\r' && bytes[0] != '\n'))
        return len;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= HTTP_FINAL)
        tell_headers(call, status);
    return call->is_cancelled ? 0 : len;
}

/* --- the request --- */

static bool is_sendable(const char *value)
{
    for (const char *each = value; each && *each; each++)
        if ((unsigned char)*each < ' ' || *each == 127)
            return false;
    return true;
}

static void add_header(struct http_call *call, const char *name, const char *value)
{
    struct text line = {0};
    text_printf(&line, "%s:%s%s", name, value ? " " : "", value ? value : "");
    call->headers = curl_slist_append(call->headers, text_str(&line));
    text_done(&line);
    if (!call->headers)
        abort();
}

void http_call_authorize(struct http_call *call, const char *authorization)
{
    if (!authorization || !is_sendable(authorization) || call->authorization)
        return;
    add_header(call, "Authorization", authorization);
    call->authorization = xstrdup(authorization);
}

/* A value of NULL keeps libcurl from sending one of its own. */
static void add_headers(struct http_call *call, const struct http_call_request *request)
{
    add_header(call, "Accept", request->accept);
    add_header(call, "Content-Type", request->content_type);
    add_header(call, "Expect", NULL);
    http_call_authorize(call, request->authorization);
}

static void set_method(CURL *easy, const struct http_call_request *request)
{
    if (request->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
    } else if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* libcurl verifies the URL's host: it becomes the name, and the connection goes to where the host was. */
static void rename_host(struct http_call *call, CURLU *url, const char *name, const char *host,
                        const char *port)
{
    struct text to = {0};
    text_printf(&to, "::%s:%s", host, port);
    call->connect_to = curl_slist_append(NULL, text_str(&to));
    text_done(&to);
    text_printf(&to, "%s:%s", host, port);
    add_header(call, "Host", text_str(&to));
    text_done(&to);
    curl_url_set(url, CURLUPART_HOST, name, 0);
    curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
}

static int set_url(struct http_call *call, const struct http_client_options *options, struct err *err)
{
    const char *server_name = options->server_name;
    char *scheme = NULL, *host = NULL, *port = NULL, *whole = NULL;
    CURLU *url = curl_url();
    int code = 0;
    if (curl_url_set(url, CURLUPART_URL, call->url, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        code = err_set(err, EINVAL, "\"%.200s\" is no URL of a server", call->url);
    } else {
        /* Rules for given proxies too. */
        if (!options->proxy_url && is_loopback(host))
            curl_easy_setopt(call->easy, CURLOPT_NOPROXY, "*");
        if (server_name && strcmp(scheme, "https") == 0)
            rename_host(call, url, server_name, host, port);
        if (curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
            code = err_set(err, EINVAL, "\"%.200s\" is no name of a server", server_name);
        curl_easy_setopt(call->easy, CURLOPT_URL, whole);
        curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(whole);
    curl_url_cleanup(url);
    return code;
}

static int check_request(const struct http_call_request *request, struct err *err)
{
    const char *const values[] = {request->method, request->accept, request->content_type,
                                  request->authorization};
    if (strlen(request->url) > URL_MAX)
        return err_set(err, ENAMETOOLONG, "a URL is limited to %d bytes", URL_MAX);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (values[i] && strlen(values[i]) > VALUE_MAX)
            return err_set(err, ENAMETOOLONG, "a header's value is limited to %d bytes", VALUE_MAX);
        if (!is_sendable(values[i]))
            return err_set(err, EINVAL, "a header's value has control characters in it");
    }
    return is_sendable(request->url) ? 0 : err_set(err, EINVAL, "the URL has control characters in it");
}

static const char *host_of(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? host + 3 : url;
}

/* --- the call --- */

int http_call_new(struct http_call **ret, struct http_client *client, const struct http_call_request *request,
                  const struct http_call_ops *ops, void *context, const struct http_client_options *options,
                  struct err *err)
{
    int code = check_request(request, err);
    if (code < 0)
        return code;
    struct http_call *call = xcalloc(1, sizeof(*call));
    call->client = client;
    call->easy = curl_easy_init();
    if (!call->easy)
        abort();
    call->url = xstrdup(request->url);
    call->method = xstrdup(request->method);
    const char *host = host_of(call->url);
    call->origin_len = (size_t)(host - call->url) + strcspn(host, "/?#");
    call->host = strndup(host, strcspn(host, "/?#"));
    if (!call->host)
        abort();
    call->sent_bytes = request->body ? request->body_len : 0;
    call->tag = request->tag;
    call->ops = *ops;
    call->context = context;
    call->timeout_ms = request->timeout_ms;
    DL_APPEND(client->waiting, call);
    code = set_url(call, options, err);
    if (code < 0) {
        http_call_free(call);
        return code;
    }
    add_headers(call, request);
    set_method(call->easy, request);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    *ret = call;
    return 0;
}

bool http_call_same_origin(const struct http_call *a, const struct http_call *b)
{
    return a->origin_len == b->origin_len && strncmp(a->url, b->url, a->origin_len) == 0;
}

void http_call_begin(struct http_call *call, struct http_session *session)
{
    struct http_client *client = call->client;
    DL_DELETE(client->waiting, call);
    call->session = session;
    /* The loop's time may be that of its last turn, and all times given count from here. */
    uv_update_time(client->loop);
    call->started_ms = uv_now(client->loop);
    DL_APPEND(call->session->calls, call);
    http_session_prepare(call->session, call->easy);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    if (curl_multi_add_handle(call->session->multi, call->easy) != CURLM_OK)
        abort();
}
