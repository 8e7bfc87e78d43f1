/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->exchange->connection->mhd, MHD_HEADER_KIND, name);
}

void http_response_add_header(struct http_response *response, const char *name, const char *value)
{
    assert(response->header_count < HTTP_HEADERS_MAX);
    size_t i = response->header_count++;
    response->headers[i].name = name;
    snprintf(response->headers[i].value, sizeof(response->headers[i].value), "%s", value);
}

void http_response_set(struct http_response *response, unsigned status, const char *content_type,
                       const char *body)
{
    response->status = status;
    response->content_type = content_type;
    http_response_add_header(response, "X-Content-Type-Options", "nosniff");
    text_add(&response->body, body);
}

void *http_exchange_on_uri(void *context, const char *uri, struct MHD_Connection *mhd)
{
    struct http_connection *connection = http_connection_of(mhd);
    text_done(&connection->uri);
    text_add(&connection->uri, uri);
    http_connection_shook_hands(connection);
    /* The clock of the first headers has run since accept. */
    if (connection->phase == HTTP_PHASE_IDLE)
        http_connection_enter(connection, HTTP_PHASE_HEADERS);
    return NULL;
}

static void body_forget(struct http_connection *connection)
{
    connection->server->bodies_reserved -= connection->body_reserved;
    connection->body_reserved = 0;
    text_done(&connection->body);
}

/* How much of an answer this connection holds. */
static void answer_count(struct http_connection *connection, size_t bytes)
{
    connection->server->answers_bytes += bytes - connection->answer_bytes;
    connection->answer_bytes = bytes;
}

void http_exchange_forget(struct http_connection *connection)
{
    body_forget(connection);
    answer_count(connection, 0);
    text_done(&connection->uri);
}

void http_exchange_on_completed(void *context, struct MHD_Connection *mhd, void **request,
                                enum MHD_RequestTerminationCode code)
{
    struct http_connection *connection = http_connection_of(mhd);
    http_exchange_forget(connection);
    http_connection_enter(connection, HTTP_PHASE_IDLE);
}

/* The share of bodies_total_max grows to size, where there is room. */
static bool body_reserve(struct http_connection *connection, size_t size)
{
    struct http_server *server = connection->server;
    size_t most = server->limits.bodies_total_max;
    if (size <= connection->body_reserved)
        return true;
    size_t others = server->bodies_reserved - connection->body_reserved;
    if (most > 0 && (others > most || size > most - others))
        return false;
    connection->body_reserved = size;
    server->bodies_reserved = others + size;
    return true;
}

static struct MHD_Response *reply_from_body(struct http_response *response)
{
    bool is_empty = response->body.len == 0;
    struct MHD_Response *reply =
        MHD_create_response_from_buffer(response->body.len, is_empty ? (void *)"" : response->body.data,
                                        is_empty ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (reply && !is_empty)
        response->body = (struct text){0};
    return reply;
}

/* stream may be NULL; the response's body goes either way. */
static enum MHD_Result answer(struct MHD_Connection *mhd, struct http_response *response,
                              struct http_stream *stream)
{
    struct MHD_Response *reply = stream ? http_stream_response(stream) : reply_from_body(response);
    text_done(&response->body);
    if (!reply && stream)
        http_stream_abandon(stream);
    if (!reply)
        return MHD_NO;
    if (response->content_type)
        MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(reply, response->headers[i].name, response->headers[i].value);
    enum MHD_Result result = MHD_queue_response(mhd, response->status, reply);
    MHD_destroy_response(reply);
    return result;
}

static void refusal_fill(struct http_server *server, const struct http_request *request, unsigned status,
                         struct http_response *response)
{
    bool is_late = status == MHD_HTTP_TOO_MANY_REQUESTS;
    http_response_set(response, status, "text/plain; charset=utf-8",
                      is_late ? "too much is being sent to this server; try again later\n"
                              : "the request's body is larger than this server takes\n");
    if (is_late)
        http_response_add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (server->refusal)
        server->refusal(server->context, request, response);
}

/* In the middle of a body libmicrohttpd takes no answer: it would read on to the body's end, which may never
 * come. So this one answer is written past it, and as nothing of this exchange was, it is well-formed. */
static void answer_past_library(struct http_connection *connection, struct http_response *response)
{
    struct text wire = {0};
    text_printf(&wire, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", response->status,
                MHD_get_reason_phrase_for(response->status), response->body.len);
    if (response->content_type)
        text_printf(&wire, "Content-Type: %s\r\n", response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        if (!strpbrk(response->headers[i].value, "\r\n"))
            text_printf(&wire, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
    text_add(&wire, "\r\n");
    text_add_bytes(&wire, text_str(&response->body), response->body.len);
    /* One attempt: the socket is empty, or its reader has other troubles. */
    if (connection->server->is_tls)
        gnutls_record_send(http_tls_session(connection->mhd), wire.data, wire.len);
    else if (send(connection->fd, wire.data, wire.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        connection->is_refused = false;
    text_done(&wire);
}

static enum MHD_Result refuse(struct http_connection *connection, const struct http_request *request,
                              unsigned status, bool is_in_body)
{
    struct http_response response = {.status = status};
    body_forget(connection);
    connection->is_refused = true;
    refusal_fill(connection->server, request, status, &response);
    if (!is_in_body)
        return answer(connection->mhd, &response, NULL);
    answer_past_library(connection, &response);
    text_done(&response.body);
    return MHD_NO;
}

/* From the headers alone, before a byte of the body is read: 0, or the status to refuse with. */
static unsigned headers_judge(struct http_connection *connection)
{
    size_t body_max = connection->server->limits.body_max;
    const char *length =
        MHD_lookup_connection_value(connection->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *coding =
        MHD_lookup_connection_value(connection->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (coding && body_max == 0)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (coding || !length)
        return 0;
    uintmax_t announced = strtoumax(length, NULL, 10);
    if (announced > body_max)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    return body_reserve(connection, (size_t)announced) ? 0 : MHD_HTTP_TOO_MANY_REQUESTS;
}

/* Takes a piece of the body in: 0, or the status to refuse with. */
static unsigned body_add(struct http_connection *connection, const char *piece, size_t len)
{
    size_t body_max = connection->server->limits.body_max;
    if (len > body_max || connection->body.len > body_max - len)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (!body_reserve(connection, connection->body.len + len))
        return MHD_HTTP_TOO_MANY_REQUESTS;
    text_add_bytes(&connection->body, piece, len);
    return 0;
}

static void peer_know(struct http_connection *connection)
{
    if (connection->server->asks_certificates && !connection->is_peer_known)
        http_tls_identify(http_tls_session(connection->mhd), &connection->peer);
    connection->is_peer_known = true;
}

static enum MHD_Result request_handle(struct http_connection *connection, struct http_request *request)
{
    struct http_server *server = connection->server;
    struct http_response response = {.status = MHD_HTTP_OK};
    if (server->limits.answers_total_max && server->answers_bytes > server->limits.answers_total_max) {
        body_forget(connection);
        refusal_fill(server, request, MHD_HTTP_TOO_MANY_REQUESTS, &response);
        return answer(connection->mhd, &response, NULL);
    }
    request->body = connection->body;
    server->handler(server->context, request, &response);
    /* Not kept for the time that the client takes to read. */
    body_forget(connection);
    struct http_stream *stream = request->exchange->stream;
    if (stream)
        http_connection_enter(connection, HTTP_PHASE_STREAM);
    else
        answer_count(connection, response.body.len);
    return answer(connection->mhd, &response, stream);
}

enum MHD_Result http_exchange_on_request(void *context, struct MHD_Connection *mhd, const char *path,
                                         const char *method, const char *version, const char *upload,
                                         size_t *upload_len, void **request)
{
    struct http_connection *connection = http_connection_of(mhd);
    const char *mark = strchr(text_str(&connection->uri), '?');
    struct http_exchange exchange = {.connection = connection,
                                     .is_http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_0) == 0};
    struct http_request given = {.method = method,
                                 .path = path,
                                 .query = mark ? mark + 1 : "",
                                 .peer = &connection->peer,
                                 .exchange = &exchange};
    unsigned refusal;
    bool is_in_body = *upload_len > 0;
    if (!*request) {
        /* Only the headers are there. An answer given now ends the connection. */
        *request = connection;
        http_connection_enter(connection, HTTP_PHASE_EXCHANGE);
        peer_know(connection);
        refusal = headers_judge(connection);
    } else if (is_in_body) {
        refusal = body_add(connection, upload, *upload_len);
        *upload_len = 0;
    } else {
        return request_handle(connection, &given);
    }
    return refusal ? refuse(connection, &given, refusal, is_in_body) : MHD_YES;
}
