/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_internal.h"

#include "base/arena.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define LINGER_MS 500
/* Beyond it the eldest goes early. */
#define LINGERERS_MAX 64

struct http_lingerer {
    struct http_lingerer *prev, *next;
    int fd;
    uint64_t end_ms;
};

static void lingerer_end(struct http_server *server, struct http_lingerer *lingerer)
{
    DL_DELETE(server->lingerers, lingerer);
    server->lingerer_count--;
    close(lingerer->fd);
    free(lingerer);
}

void http_linger_begin(struct http_server *server, int fd)
{
    /* A second descriptor, for libmicrohttpd closes its own. */
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return;
    if (server->lingerer_count == LINGERERS_MAX)
        lingerer_end(server, server->lingerers);
    shutdown(own, SHUT_WR);
    struct http_lingerer *lingerer = xcalloc(1, sizeof(*lingerer));
    lingerer->fd = own;
    lingerer->end_ms = uv_now(server->timer.loop) + LINGER_MS;
    DL_APPEND(server->lingerers, lingerer);
    server->lingerer_count++;
}

uint64_t http_linger_check(struct http_server *server, uint64_t now_ms)
{
    while (server->lingerers && server->lingerers->end_ms <= now_ms)
        lingerer_end(server, server->lingerers);
    return server->lingerers ? server->lingerers->end_ms : UINT64_MAX;
}

void http_linger_end(struct http_server *server)
{
    while (server->lingerers)
        lingerer_end(server, server->lingerers);
}
