/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/relay.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTS 64 /* in one go, then others have their turn */

static const unsigned dial_ms[] = {250, 500, 1000, 2000};

struct connection {
    struct relay *relay;
    struct server *server; /* NULL once it is closed: then no further endpoint is tried */
    /* Two from one port of a client to different addresses of the node have the same: either is found. */
    struct connection_key {
        struct address client;
        uint32_t client_port, server_port;
    } key;
    int client_fd, dial_fd;
    unsigned attempt;
    struct backend backend; /* of the attempt */
    uv_poll_t *dial;        /* of its own: it is still closing while the next is tried */
    uv_timer_t timer;
    struct pump *pump; /* when it is established */
    UT_hash_handle hh;
};

static void cut(int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_dial_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_dial(struct connection *connection)
{
    if (connection->dial) {
        uv_poll_stop(connection->dial);
        uv_close((uv_handle_t *)connection->dial, on_dial_closed);
        connection->dial = NULL;
    }
    uv_timer_stop(&connection->timer);
}

/* The descriptors that are still its own are cut off. */
static void drop(struct connection *connection)
{
    stop_dial(connection);
    if (connection->pump)
        pump_cancel(connection->pump);
    if (connection->dial_fd >= 0)
        close(connection->dial_fd);
    if (connection->client_fd >= 0)
        cut(connection->client_fd);
    HASH_DEL(connection->relay->connections, connection);
    connection->relay->connection_count--;
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
}

static void on_pumped(void *context, bool is_reset)
{
    struct connection *connection = context;
    (void)is_reset;
    connection->pump = NULL;
    drop(connection);
}

static void set_options(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void establish(struct connection *connection)
{
    int fds[2] = {connection->client_fd, connection->dial_fd};
    stop_dial(connection);
    connection->client_fd = connection->dial_fd = -1;
    set_options(fds[0]);
    set_options(fds[1]);
    if (pump_start(&connection->pump, connection->relay->loop, &connection->relay->pipes, fds, on_pumped,
                   connection) < 0)
        drop(connection);
}

static void dial_on(struct connection *connection);

/* The endpoint did not answer. */
static void fail_dial(struct connection *connection)
{
    stop_dial(connection);
    if (connection->dial_fd >= 0)
        close(connection->dial_fd);
    connection->dial_fd = -1;
    connection->attempt++;
    dial_on(connection);
}

static void on_dialled(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    int code = 0;
    socklen_t len = sizeof(code);
    (void)events;
    if (status < 0 || getsockopt(connection->dial_fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code != 0)
        fail_dial(connection);
    else
        establish(connection);
}

static void on_late(uv_timer_t *timer)
{
    fail_dial(timer->data);
}

static int dial(struct connection *connection, const struct backend *backend)
{
    struct sockaddr_storage to;
    socklen_t len = endpoint_sockaddr(&backend->address, backend->port, &to);
    connection->dial_fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->dial_fd < 0)
        return -errno;
    if (connect(connection->dial_fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
        return -errno;
    uv_poll_t *poll = xcalloc(1, sizeof(*poll));
    int code = uv_poll_init(connection->relay->loop, poll, connection->dial_fd);
    if (code < 0) {
        free(poll);
        return code;
    }
    connection->dial = poll;
    poll->data = connection;
    uv_poll_start(poll, UV_WRITABLE, on_dialled);
    uv_timer_start(&connection->timer, on_late, dial_ms[connection->attempt], 0);
    return 0;
}

static bool choose(struct connection *connection)
{
    struct server *server = connection->server;
    uint64_t now = uv_now(connection->relay->loop);
    if (!server)
        return false;
    if (connection->attempt == 0)
        return choice_take(&server->choice, &connection->key.client, now, &connection->backend);
    struct backend failed = connection->backend;
    return choice_retry(&server->choice, &connection->key.client, &failed, now, &connection->backend);
}

static void dial_on(struct connection *connection)
{
    for (; connection->attempt < ARRAY_LEN(dial_ms) && choose(connection); connection->attempt++) {
        if (dial(connection, &connection->backend) == 0)
            return;
        if (connection->dial_fd >= 0)
            close(connection->dial_fd);
        connection->dial_fd = -1;
    }
    if (connection->server) /* nobody is worth keeping to */
        choice_reset(&connection->server->choice, &connection->key.client);
    drop(connection);
}

/* Out of descriptors: the client is told at once, instead of being left in the queue for ever. */
static void refuse(struct server *server)
{
    struct relay *relay = server->relay;
    if (relay->reserve_fd < 0)
        return;
    close(relay->reserve_fd);
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        cut(fd);
    relay->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void tcp_accept(struct server *server)
{
    struct relay *relay = server->relay;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(server->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            refuse(server);
        if (fd < 0)
            return;
        struct connection *connection = xcalloc(1, sizeof(*connection));
        *connection = (struct connection){.relay = relay,
                                          .server = server,
                                          .key = {.client = endpoint_address(&from),
                                                  .client_port = endpoint_port(&from),
                                                  .server_port = server->port},
                                          .client_fd = fd,
                                          .dial_fd = -1};
        uv_timer_init(relay->loop, &connection->timer);
        connection->timer.data = connection;
        HASH_ADD(hh, relay->connections, key, sizeof(connection->key), connection);
        relay->connection_count++;
        dial_on(connection);
    }
}

void tcp_forget_server(struct relay *relay, const struct server *server)
{
    for (struct connection *connection = relay->connections; connection; connection = connection->hh.next)
        if (connection->server == server)
            connection->server = NULL;
}

void tcp_cut_all(struct relay *relay)
{
    while (relay->connections)
        drop(relay->connections);
}

bool tcp_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                       struct address *ret)
{
    const struct connection_key key = {
        .client = *client, .client_port = client_port, .server_port = server->port};
    const struct connection *connection;
    HASH_FIND(hh, server->relay->connections, &key, sizeof(key), connection);
    if (connection && connection->pump)
        *ret = connection->backend.address;
    return connection && connection->pump;
}
