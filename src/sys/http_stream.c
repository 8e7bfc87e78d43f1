/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_internal.h"

#include "base/arena.h"
#include "sys/tcp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A piece larger than this is not worth keeping memory for, once it was sent. */
#define KEPT_CAPACITY (16 * 1024)
/* libmicrohttpd's own buffer, used for HTTP/1.0 alone. */
#define BLOCK_SIZE 4096
/* What the kernel holds unsent of one stream; more waits in pull's hands, where the owner can bound it. */
#define UNSENT_MAX (128 * 1024)
/* Looks at a client that has bytes to take, in one stall_ms. */
#define CHECKS_PER_STALL 4

struct http_stream {
    struct http_stream *prev, *next; /* of all */
    struct http_stream *prev_draining, *next_draining;
    struct http_server *server;
    struct http_connection *connection;
    uv_poll_t poll; /* for the client's going while libmicrohttpd does not look */
    struct http_stream_ops ops;
    void *context;
    struct text piece;
    size_t sent; /* of piece, handed to libmicrohttpd */
    enum http_stream_state state;
    bool is_woken;     /* after the last pull began */
    bool is_suspended; /* libmicrohttpd waits for us */
    bool is_cut, is_draining, is_http_1_0;
    uint64_t acked; /* bytes that the client's kernel had acknowledged when we last looked */
    uint64_t progress_ms, check_ms;
};

static void on_poll_closed(uv_handle_t *handle)
{
    struct http_stream *stream = handle->data;
    http_server_release_handle(stream->server);
    free(stream);
}

static void resume(struct http_stream *stream)
{
    if (!stream->is_suspended)
        return;
    stream->is_suspended = false;
    MHD_resume_connection(stream->connection->mhd);
    http_server_hurry(stream->server);
}

static void stream_cut(struct http_stream *stream)
{
    stream->is_cut = true;
    http_connection_cut(stream->connection);
    resume(stream);
}

/* It says nothing but that the other end is closed, or broken. */
static void on_hangup(uv_poll_t *poll, int status, int events)
{
    uv_poll_stop(poll);
    stream_cut(poll->data);
}

/* From now on a look now and then tells whether the client takes what it gets. */
static void drain(struct http_stream *stream)
{
    if (stream->is_draining)
        return;
    struct http_server *server = stream->server;
    stream->is_draining = true;
    stream->progress_ms = uv_now(server->timer.loop);
    stream->check_ms = stream->progress_ms + http_stall_ms(server) / CHECKS_PER_STALL;
    DL_APPEND2(server->draining, stream, prev_draining, next_draining);
}

struct http_stream *http_stream_begin(const struct http_request *request, const struct http_stream_ops *ops,
                                      void *context)
{
    struct http_connection *connection = request->exchange->connection;
    struct http_server *server = connection->server;
    assert(!request->exchange->stream);
    if (server->stream_count >= server->limits.streams_max)
        return NULL;
    struct http_stream *stream = xcalloc(1, sizeof(*stream));
    if (uv_poll_init(server->timer.loop, &stream->poll, connection->fd) < 0) {
        free(stream);
        return NULL;
    }
    server->handles_open++;
    stream->poll.data = stream;
    stream->server = server;
    stream->connection = connection;
    stream->ops = *ops;
    stream->context = context;
    stream->state = HTTP_STREAM_MORE;
    stream->is_http_1_0 = request->exchange->is_http_1_0;
    uv_poll_start(&stream->poll, UV_DISCONNECT, on_hangup);
    tcp_prepare_stream(connection->fd, UNSENT_MAX);
    DL_APPEND(server->streams, stream);
    server->stream_count++;
    request->exchange->stream = stream;
    /* The headers may find no reader. */
    drain(stream);
    return stream;
}

void http_stream_wake(struct http_stream *stream)
{
    stream->is_woken = true;
    resume(stream);
}

static void drain_end(struct http_stream *stream)
{
    if (stream->is_draining)
        DL_DELETE2(stream->server->draining, stream, prev_draining, next_draining);
    stream->is_draining = false;
}

uint64_t http_streams_check(struct http_server *server, uint64_t now_ms)
{
    unsigned stall_ms = http_stall_ms(server);
    struct http_stream *stream;
    while ((stream = server->draining) && stream->check_ms <= now_ms) {
        struct tcp_progress progress = tcp_progress_get(stream->connection->fd);
        drain_end(stream);
        if (stream->is_cut || (stream->is_suspended && progress.is_all_acked))
            continue;
        uint64_t progress_ms = progress.acked == stream->acked ? stream->progress_ms : now_ms;
        stream->acked = progress.acked;
        if (now_ms - progress_ms >= stall_ms) {
            stream_cut(stream);
            continue;
        }
        drain(stream);
        stream->progress_ms = progress_ms;
        stream->check_ms = now_ms + stall_ms / CHECKS_PER_STALL + 1;
    }
    return server->draining ? server->draining->check_ms : UINT64_MAX;
}

/* libmicrohttpd (0.9.75 to 1.0.1) forgets a connection that ends in the content reader while its socket is
 * not in the epoll set, as after a suspension. One with a time limit of its own it looks at in every run. */
static ssize_t end_visibly(struct http_stream *stream, ssize_t how)
{
    MHD_set_connection_option(stream->connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 3600U);
    http_server_hurry(stream->server);
    return how;
}

static void pull(struct http_stream *stream)
{
    stream->piece.len = stream->sent = 0;
    stream->is_woken = false;
    stream->state = stream->ops.pull(stream->context, &stream->piece);
}

static ssize_t on_read(void *context, uint64_t position, char *buffer, size_t size)
{
    struct http_stream *stream = context;
    if (stream->is_cut)
        return end_visibly(stream, MHD_CONTENT_READER_END_WITH_ERROR);
    bool is_wanted =
        stream->state == HTTP_STREAM_MORE || (stream->state == HTTP_STREAM_WAIT && stream->is_woken);
    if (stream->sent == stream->piece.len && is_wanted)
        pull(stream);
    size_t len = stream->piece.len - stream->sent;
    if (len > 0) {
        if (len > size)
            len = size;
        memcpy(buffer, stream->piece.data + stream->sent, len);
        stream->sent += len;
        if (stream->sent == stream->piece.len && stream->piece.capacity > KEPT_CAPACITY) {
            text_done(&stream->piece);
            stream->sent = 0;
        }
        drain(stream);
        return (ssize_t)len;
    }
    if (stream->state == HTTP_STREAM_END)
        return stream->is_http_1_0 ? end_visibly(stream, MHD_CONTENT_READER_END_OF_STREAM)
                                   : MHD_CONTENT_READER_END_OF_STREAM;
    /* Otherwise libmicrohttpd asks again at its next run. */
    if (stream->state == HTTP_STREAM_WAIT && !stream->is_woken) {
        MHD_suspend_connection(stream->connection->mhd);
        stream->is_suspended = true;
    }
    return 0;
}

void http_stream_abandon(struct http_stream *stream)
{
    struct http_server *server = stream->server;
    drain_end(stream);
    DL_DELETE(server->streams, stream);
    server->stream_count--;
    text_done(&stream->piece);
    stream->ops.closed(stream->context);
    uv_close((uv_handle_t *)&stream->poll, on_poll_closed);
}

static void on_released(void *context)
{
    http_stream_abandon(context);
}

struct MHD_Response *http_stream_response(struct http_stream *stream)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, stream, on_released);
}

void http_streams_release(struct http_server *server)
{
    struct http_stream *stream;
    DL_FOREACH (server->streams, stream) {
        if (stream->is_suspended)
            MHD_resume_connection(stream->connection->mhd);
        stream->is_suspended = false;
    }
}
