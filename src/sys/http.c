/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

/* Per connection: request line, headers and our own answer's headers live in this much memory. */
#define CONNECTION_MEMORY (16 * 1024)
#define BACKLOG 128
/* Connections taken per turn of the loop, so that a flood of them cannot starve the rest of the program. */
#define ACCEPTS_PER_TURN 32
/* After the process ran out of file descriptors: the pending connection would wake the loop at once, again
 * and again. */
#define ACCEPT_PAUSE_MS 100
/* libmicrohttpd's own bound, out of reach: ours acts first. */
#define MHD_CONNECTIONS_MAX 65536

struct connection {
    struct http_server *server;
    struct connection *prev, *next;
    int fd;
    uint64_t since_ms; /* accepted, or answered last */
    struct text uri;   /* raw, of the request in hand */
    struct text body;
    bool is_body_too_large;
};

struct http_server {
    struct MHD_Daemon *daemon;
    uv_poll_t listen_poll, work_poll;
    uv_timer_t timer;
    int handles_open;
    int listen_fd;
    bool is_accept_paused;
    struct connection *connections; /* longest waiting first */
    unsigned connection_count;
    struct http_limits limits;
    http_handler_fn *handler;
    void *context;
};

static int socket_open(const struct socket_address *address, struct err *err)
{
    char name[SOCKET_ADDRESS_TEXT_MAX];
    socket_address_format(address, name);
    bool is_v6 = address_family(&address->address) == FAMILY_IPV6;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    size_t len;
    const uint8_t *wire = address_wire(&address->address, &len);
    memcpy(is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, wire, len);
    const struct sockaddr *where = is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;

    cleanup_close int fd =
        socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, where, is_v6 ? sizeof(v6) : sizeof(v4)) < 0 || listen(fd, BACKLOG) < 0) {
        int code = errno;
        return err_set(err, code, "cannot listen on %s: %s", name, strerror(code));
    }
    return steal_fd(&fd);
}

/* The stream ends both ways; libmicrohttpd sees that at its next run, and frees the connection. */
static void connection_cut(struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

static void connection_touch(struct connection *connection)
{
    struct http_server *server = connection->server;
    connection->since_ms = uv_now(server->timer.loop);
    DL_DELETE(server->connections, connection);
    DL_APPEND(server->connections, connection);
}

static void on_timer(uv_timer_t *timer);
static void on_listen(uv_poll_t *poll, int status, int events);

/* Lets libmicrohttpd work, and sees to it that we come back when it, a deadline or a pause needs that.
 * Without any of these no timer runs. */
static void drive(struct http_server *server)
{
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG mhd_wait_ms;
    uint64_t now = uv_now(server->timer.loop), wait_ms = UINT64_MAX;
    if (server->connections) {
        uint64_t due = server->connections->since_ms + server->limits.deadline_ms;
        wait_ms = due > now ? due - now : 0;
    }
    if (server->is_accept_paused && wait_ms > ACCEPT_PAUSE_MS)
        wait_ms = ACCEPT_PAUSE_MS;
    if (MHD_get_timeout(server->daemon, &mhd_wait_ms) == MHD_YES && wait_ms > mhd_wait_ms)
        wait_ms = mhd_wait_ms;
    if (wait_ms == UINT64_MAX)
        uv_timer_stop(&server->timer);
    else
        uv_timer_start(&server->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(timer->loop);
    /* Each one that is cut goes to the end with a fresh time, so the walk ends. */
    while (server->connections && server->connections->since_ms + server->limits.deadline_ms <= now) {
        connection_cut(server->connections);
        connection_touch(server->connections);
    }
    if (server->is_accept_paused) {
        server->is_accept_paused = false;
        uv_poll_start(&server->listen_poll, UV_READABLE, on_listen);
    }
    drive(server);
}

static void on_work(uv_poll_t *poll, int status, int events)
{
    drive(poll->data);
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int fd = accept4(server->listen_fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            uv_poll_stop(poll);
            server->is_accept_paused = true;
        }
        if (fd < 0)
            break;
        if (server->connection_count >= server->limits.connections_max && server->connections) {
            connection_cut(server->connections);
            connection_touch(server->connections);
        }
        /* It closes fd itself when it refuses. libmicrohttpd 1.0 queues the newcomer until it next runs, and
         * our count is of those that have started. */
        MHD_add_connection(server->daemon, fd, (struct sockaddr *)&peer, len);
        MHD_run(server->daemon);
    }
    drive(server);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **ret_connection,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct connection *connection = xcalloc(1, sizeof(*connection));
        connection->server = server;
        connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        connection->since_ms = uv_now(server->timer.loop);
        DL_APPEND(server->connections, connection);
        server->connection_count++;
        *ret_connection = connection;
    } else if (*ret_connection) {
        struct connection *connection = *ret_connection;
        DL_DELETE(server->connections, connection);
        server->connection_count--;
        text_done(&connection->uri);
        text_done(&connection->body);
        free(connection);
        *ret_connection = NULL;
    }
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void *on_uri(void *context, const char *uri, struct MHD_Connection *mhd)
{
    struct connection *connection = connection_of(mhd);
    text_done(&connection->uri);
    text_add(&connection->uri, uri);
    return NULL;
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct connection *connection = connection_of(mhd);
    text_done(&connection->body);
    connection->is_body_too_large = false;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        connection_touch(connection);
}

static enum MHD_Result answer(struct MHD_Connection *mhd, struct http_response *response)
{
    bool is_empty = response->body.len == 0;
    struct MHD_Response *reply =
        MHD_create_response_from_buffer(response->body.len, is_empty ? (void *)"" : response->body.data,
                                        is_empty ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (!reply) {
        text_done(&response->body);
        return MHD_NO;
    }
    if (is_empty)
        text_done(&response->body);
    else
        response->body = (struct text){0};
    if (response->content_type)
        MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(reply, response->headers[i].name, response->headers[i].value);
    enum MHD_Result result = MHD_queue_response(mhd, response->status, reply);
    MHD_destroy_response(reply);
    return result;
}

static enum MHD_Result refuse_body(struct MHD_Connection *mhd)
{
    struct http_response response = {0};
    http_response_set(&response, MHD_HTTP_CONTENT_TOO_LARGE, "text/plain; charset=utf-8",
                      "the request's body is larger than this server takes\n");
    return answer(mhd, &response);
}

/* From the headers alone, before a byte of the body is read. */
static bool is_body_refused(struct MHD_Connection *mhd, size_t body_max)
{
    const char *length = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length)
        return strtoumax(length, NULL, 10) > body_max;
    return body_max == 0 &&
           MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request)
{
    struct http_server *server = context;
    struct connection *connection = connection_of(mhd);
    size_t body_max = server->limits.body_max;
    if (!*request) {
        /* Only the headers are there. An answer given now would end the connection. */
        *request = connection;
        return is_body_refused(mhd, body_max) ? refuse_body(mhd) : MHD_YES;
    }
    if (*upload_len > 0) {
        if (connection->body.len + *upload_len > body_max)
            connection->is_body_too_large = true;
        if (!connection->is_body_too_large)
            text_add_bytes(&connection->body, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (connection->is_body_too_large)
        return refuse_body(mhd);
    const char *mark = strchr(text_str(&connection->uri), '?');
    struct http_request given = {
        .method = method, .path = path, .query = mark ? mark + 1 : "", .body = connection->body};
    struct http_response response = {.status = MHD_HTTP_OK};
    server->handler(server->context, &given, &response);
    return answer(mhd, &response);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->handles_open == 0)
        free(server);
}

static void handle_close(uv_handle_t *handle)
{
    uv_close(handle, on_handle_closed);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    uv_poll_stop(&server->listen_poll);
    uv_poll_stop(&server->work_poll);
    close(server->listen_fd);
    MHD_stop_daemon(server->daemon);
    handle_close((uv_handle_t *)&server->listen_poll);
    handle_close((uv_handle_t *)&server->work_poll);
    handle_close((uv_handle_t *)&server->timer);
}

static struct MHD_Daemon *daemon_start(struct http_server *server)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MHD_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_END);
}

/* An initialised handle must be closed by the loop, so a half-built server is closed with those it has. */
static int poll_open(struct http_server *server, uv_loop_t *loop, uv_poll_t *poll, int fd,
                     uv_poll_cb callback)
{
    int code = uv_poll_init(loop, poll, fd);
    if (code < 0)
        return code;
    poll->data = server;
    server->handles_open++;
    return uv_poll_start(poll, UV_READABLE, callback);
}

static int server_join(struct http_server *server, uv_loop_t *loop)
{
    uv_timer_init(loop, &server->timer);
    server->timer.data = server;
    server->handles_open = 1;
    int work_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int code = poll_open(server, loop, &server->listen_poll, server->listen_fd, on_listen);
    if (code == 0)
        code = poll_open(server, loop, &server->work_poll, work_fd, on_work);
    if (code == 0)
        return 0;
    if (server->handles_open > 1)
        handle_close((uv_handle_t *)&server->listen_poll);
    if (server->handles_open > 2)
        handle_close((uv_handle_t *)&server->work_poll);
    handle_close((uv_handle_t *)&server->timer);
    MHD_stop_daemon(server->daemon);
    return code;
}

int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                     http_handler_fn *handler, void *context, struct err *err)
{
    char name[SOCKET_ADDRESS_TEXT_MAX];
    cleanup_close int fd = socket_open(address, err);
    if (fd < 0)
        return fd;
    cleanup_free struct http_server *server = xcalloc(1, sizeof(*server));
    server->listen_fd = fd;
    server->limits = HTTP_LIMITS_DEFAULT;
    server->handler = handler;
    server->context = context;
    server->daemon = daemon_start(server);
    if (!server->daemon)
        return err_set(err, EMFILE, "cannot serve HTTP on %s: libmicrohttpd does not start",
                       socket_address_format(address, name));
    int code = server_join(server, loop);
    struct http_server *joined = steal_pointer(&server);
    if (code < 0)
        return err_set(err, -code, "cannot serve HTTP on %s: %s", socket_address_format(address, name),
                       uv_strerror(code));
    steal_fd(&fd);
    *ret = joined;
    return 0;
}

void http_server_set_limits(struct http_server *server, const struct http_limits *limits)
{
    assert(limits->connections_max > 0 && limits->deadline_ms > 0);
    server->limits = *limits;
}

struct socket_address http_server_address(const struct http_server *server)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    socklen_t len = sizeof(name);
    getsockname(server->listen_fd, &name.any, &len);
    if (name.any.sa_family == AF_INET)
        return (struct socket_address){.address = address_from_wire(FAMILY_IPV4, &name.v4.sin_addr),
                                       .port = ntohs(name.v4.sin_port)};
    return (struct socket_address){.address = address_from_wire(FAMILY_IPV6, &name.v6.sin6_addr),
                                   .port = ntohs(name.v6.sin6_port)};
}

unsigned http_server_connections(const struct http_server *server)
{
    return server->connection_count;
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
