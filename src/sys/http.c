/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
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
/* A woken stream is resumed in one run of libmicrohttpd, and written in the next. */
#define RUNS_PER_TURN 2
/* libmicrohttpd (0.9.75 to 1.0.1) takes a TLS connection for readable until its handshake is over, and asks
 * for another run at once as long as that lasts. What comes wakes us by itself; so after some turns for
 * nothing the runs are spaced, ever wider, but never so that a long answer beside it would suffer. */
#define VAIN_TURNS_MAX 3
#define SPACE_MAX_LOG2 5
/* libmicrohttpd's own bound, out of reach: ours acts first. */
#define MHD_CONNECTIONS_MAX 65536

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

static struct socket_address socket_address_of(const struct sockaddr *name)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)name;
    if (name->sa_family == AF_INET)
        return (struct socket_address){.address = address_from_wire(FAMILY_IPV4, &v4->sin_addr),
                                       .port = ntohs(v4->sin_port)};
    return (struct socket_address){.address = address_from_wire(FAMILY_IPV6, &v6->sin6_addr),
                                   .port = ntohs(v6->sin6_port)};
}

struct http_connection *http_connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void http_connection_enter(struct http_connection *connection, enum http_phase phase)
{
    struct http_server *server = connection->server;
    DL_DELETE(server->connections[connection->phase], connection);
    connection->phase = phase;
    connection->since_ms = uv_now(server->timer.loop);
    DL_APPEND(server->connections[phase], connection);
}

void http_connection_shook_hands(struct http_connection *connection)
{
    connection->server->vain_turns = 0;
    connection->server->shaking_count -= connection->is_shaking_hands;
    connection->is_shaking_hands = false;
}

void http_connection_cut(struct http_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    /* Cut once: it is the last again to have its time end. */
    http_connection_enter(connection, connection->phase);
}

static unsigned phase_ms(const struct http_server *server, enum http_phase phase)
{
    const struct http_limits *limits = &server->limits;
    switch (phase) {
    case HTTP_PHASE_IDLE:
        return limits->idle_ms ? limits->idle_ms : limits->deadline_ms;
    case HTTP_PHASE_HEADERS:
        return limits->header_ms ? limits->header_ms : limits->deadline_ms;
    case HTTP_PHASE_EXCHANGE:
        return limits->deadline_ms;
    case HTTP_PHASE_STREAM:
        break;
    }
    return 0;
}

unsigned http_stall_ms(const struct http_server *server)
{
    return server->limits.stall_ms ? server->limits.stall_ms : server->limits.deadline_ms;
}

/* Ends what took too long; returns when the next may have, UINT64_MAX for never. */
static uint64_t connections_check(struct http_server *server, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    for (enum http_phase phase = HTTP_PHASE_IDLE; phase < HTTP_PHASE_STREAM; phase++) {
        struct http_connection *first;
        while ((first = server->connections[phase]) && first->since_ms + phase_ms(server, phase) <= now_ms)
            http_connection_cut(first);
        if (first && first->since_ms + phase_ms(server, phase) < next_ms)
            next_ms = first->since_ms + phase_ms(server, phase);
    }
    return next_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void on_timer(uv_timer_t *timer);
static void on_idle(uv_idle_t *idle);
static void on_listen(uv_poll_t *poll, int status, int events);

/* Not by a timer of 0: libuv would run one that starts itself for ever, without a look at any socket. */
void http_server_hurry(struct http_server *server)
{
    if (!server->is_closing)
        uv_idle_start(&server->idle, on_idle);
}

/* For how long a run that libmicrohttpd wants at once may wait. */
static unsigned space_ms(struct http_server *server)
{
    if (server->shaking_count == 0 || server->vain_turns++ < VAIN_TURNS_MAX)
        return 0;
    unsigned log2 = server->vain_turns - VAIN_TURNS_MAX - 1;
    if (server->connections[HTTP_PHASE_EXCHANGE])
        return 1;
    return 1U << (log2 < SPACE_MAX_LOG2 ? log2 : SPACE_MAX_LOG2);
}

/* Lets libmicrohttpd work, and sees to it that we come back when it, a deadline or a pause needs that.
 * Without any of these no timer runs. */
static void drive(struct http_server *server)
{
    uint64_t now_ms = uv_now(server->timer.loop);
    MHD_UNSIGNED_LONG_LONG mhd_wait_ms = 0;
    uv_idle_stop(&server->idle);
    connections_check(server, now_ms);
    http_streams_check(server, now_ms);
    bool is_waiting = false;
    for (int i = 0; i < RUNS_PER_TURN && (i == 0 || (is_waiting && mhd_wait_ms == 0)); i++) {
        MHD_run(server->daemon);
        is_waiting = MHD_get_timeout(server->daemon, &mhd_wait_ms) == MHD_YES;
    }
    if (is_waiting && mhd_wait_ms == 0)
        mhd_wait_ms = space_ms(server);
    if (is_waiting && mhd_wait_ms == 0)
        http_server_hurry(server);
    uint64_t next_ms = is_waiting ? now_ms + mhd_wait_ms : UINT64_MAX;
    next_ms = earlier(next_ms, connections_check(server, now_ms));
    next_ms = earlier(next_ms, http_streams_check(server, now_ms));
    next_ms = earlier(next_ms, http_linger_check(server, now_ms));
    if (server->is_accept_paused)
        next_ms = earlier(next_ms, now_ms + ACCEPT_PAUSE_MS);
    if (next_ms == UINT64_MAX)
        uv_timer_stop(&server->timer);
    else
        uv_timer_start(&server->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    if (server->is_accept_paused) {
        server->is_accept_paused = false;
        uv_poll_start(&server->listen_poll, UV_READABLE, on_listen);
    }
    drive(server);
}

static void on_idle(uv_idle_t *idle)
{
    drive(idle->data);
}

static void on_work(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    server->vain_turns = 0;
    drive(server);
}

static unsigned peer_connections(const struct http_server *server, const struct address *address)
{
    unsigned count = 0;
    const struct http_connection *connection;
    for (enum http_phase phase = HTTP_PHASE_IDLE; phase < HTTP_PHASE_COUNT; phase++)
        DL_FOREACH (server->connections[phase], connection)
            count += address_cmp(&connection->peer.address, address) == 0;
    return count;
}

/* The connection that is missed least; NULL where all are streams. */
static struct http_connection *connection_to_spare(const struct http_server *server)
{
    struct http_connection *idle = server->connections[HTTP_PHASE_IDLE];
    struct http_connection *fresh = server->connections[HTTP_PHASE_HEADERS];
    if (idle && fresh)
        return fresh->since_ms < idle->since_ms ? fresh : idle;
    if (idle || fresh)
        return idle ? idle : fresh;
    return server->connections[HTTP_PHASE_EXCHANGE];
}

static bool newcomer_has_room(struct http_server *server, const struct sockaddr *name)
{
    const struct http_limits *limits = &server->limits;
    struct address address = socket_address_of(name).address;
    if (limits->connections_per_peer_max > 0 &&
        peer_connections(server, &address) >= limits->connections_per_peer_max)
        return false;
    if (server->connection_count < limits->connections_max)
        return true;
    struct http_connection *spare = connection_to_spare(server);
    if (spare)
        http_connection_cut(spare);
    return spare != NULL;
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
        if (!newcomer_has_room(server, (struct sockaddr *)&peer)) {
            close(fd);
            continue;
        }
        /* It closes fd itself when it refuses. libmicrohttpd 1.0 queues the newcomer until it next runs, and
         * our count is of those that have started. */
        MHD_add_connection(server->daemon, fd, (struct sockaddr *)&peer, len);
        MHD_run(server->daemon);
    }
    drive(server);
}

static void connection_start(struct http_server *server, struct MHD_Connection *mhd, void **ret_connection)
{
    struct http_connection *connection = xcalloc(1, sizeof(*connection));
    connection->server = server;
    connection->mhd = mhd;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->phase = HTTP_PHASE_HEADERS;
    connection->since_ms = uv_now(server->timer.loop);
    const struct sockaddr *name =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    connection->peer.address = socket_address_of(name).address;
    http_tls_forget_peer(&connection->peer);
    DL_APPEND(server->connections[connection->phase], connection);
    server->connection_count++;
    connection->is_shaking_hands = server->is_tls;
    server->shaking_count += server->is_tls;
    server->vain_turns = 0;
    *ret_connection = connection;
}

static void connection_end(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->is_refused && !server->is_closing)
        http_linger_begin(server, connection->fd);
    DL_DELETE(server->connections[connection->phase], connection);
    server->connection_count--;
    http_connection_shook_hands(connection);
    http_exchange_forget(connection);
    http_tls_forget_peer(&connection->peer);
    free(connection);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **ret_connection,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_start(context, mhd, ret_connection);
    else if (*ret_connection)
        connection_end(steal_pointer((struct http_connection **)ret_connection));
}

void http_server_release_handle(struct http_server *server)
{
    if (--server->handles_open == 0)
        free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    http_server_release_handle(handle->data);
}

static void handle_close(uv_handle_t *handle)
{
    uv_close(handle, on_handle_closed);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    server->is_closing = true;
    uv_poll_stop(&server->listen_poll);
    uv_poll_stop(&server->work_poll);
    close(server->listen_fd);
    http_streams_release(server);
    MHD_stop_daemon(server->daemon);
    http_linger_end(server);
    handle_close((uv_handle_t *)&server->listen_poll);
    handle_close((uv_handle_t *)&server->work_poll);
    handle_close((uv_handle_t *)&server->idle);
    handle_close((uv_handle_t *)&server->timer);
}

static struct MHD_Daemon *daemon_start(struct http_server *server, const struct http_tls *tls)
{
    struct MHD_OptionItem with_tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)http_tls_priorities},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? (void *)tls->certificate_pem : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? (void *)tls->key_pem : NULL},
        {server->asks_certificates ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0,
         tls ? (void *)tls->client_ca_pem : NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
    return MHD_start_daemon(
        tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, http_exchange_on_request, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MHD_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        http_exchange_on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, http_exchange_on_uri, server,
        MHD_OPTION_ARRAY, tls ? with_tls : none, MHD_OPTION_END);
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
    uv_idle_init(loop, &server->idle);
    server->timer.data = server->idle.data = server;
    server->handles_open = 2;
    int work_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int code = poll_open(server, loop, &server->listen_poll, server->listen_fd, on_listen);
    if (code == 0)
        code = poll_open(server, loop, &server->work_poll, work_fd, on_work);
    if (code == 0)
        return 0;
    if (server->handles_open > 2)
        handle_close((uv_handle_t *)&server->listen_poll);
    if (server->handles_open > 3)
        handle_close((uv_handle_t *)&server->work_poll);
    handle_close((uv_handle_t *)&server->idle);
    handle_close((uv_handle_t *)&server->timer);
    MHD_stop_daemon(server->daemon);
    return code;
}

/* tls may be NULL. */
static int server_open(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                       const struct http_tls *tls, http_handler_fn *handler, void *context, struct err *err)
{
    char name[SOCKET_ADDRESS_TEXT_MAX];
    socket_address_format(address, name);
    int code = tls ? http_tls_check(tls, err) : 0;
    if (code < 0)
        return err_prefix(err, code, "cannot serve HTTPS on %s", name);
    cleanup_close int fd = socket_open(address, err);
    if (fd < 0)
        return fd;
    cleanup_free struct http_server *server = xcalloc(1, sizeof(*server));
    server->listen_fd = fd;
    server->limits = HTTP_LIMITS_DEFAULT;
    server->handler = handler;
    server->context = context;
    server->is_tls = tls != NULL;
    server->asks_certificates = tls && tls->client_ca_pem;
    server->daemon = daemon_start(server, tls);
    if (!server->daemon)
        return err_set(err, EMFILE, "cannot serve HTTP on %s: libmicrohttpd does not start", name);
    code = server_join(server, loop);
    struct http_server *joined = steal_pointer(&server);
    if (code < 0)
        return err_set(err, -code, "cannot serve HTTP on %s: %s", name, uv_strerror(code));
    steal_fd(&fd);
    *ret = joined;
    return 0;
}

int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                     http_handler_fn *handler, void *context, struct err *err)
{
    return server_open(ret, loop, address, NULL, handler, context, err);
}

int http_server_open_tls(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                         const struct http_tls *tls, http_handler_fn *handler, void *context, struct err *err)
{
    return server_open(ret, loop, address, tls, handler, context, err);
}

void http_server_set_limits(struct http_server *server, const struct http_limits *limits)
{
    assert(limits->connections_max > 0 && limits->deadline_ms > 0);
    server->limits = *limits;
}

void http_server_set_refusals(struct http_server *server, http_refusal_fn *refusal)
{
    server->refusal = refusal;
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
    return socket_address_of(&name.any);
}

unsigned http_server_connections(const struct http_server *server)
{
    return server->connection_count;
}

unsigned http_server_streams(const struct http_server *server)
{
    return server->stream_count;
}
