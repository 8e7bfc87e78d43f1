/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/tcp.h"

/* Not netinet/tcp.h, whose struct tcp_info ends before the bytes that were acknowledged. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* As net/http of Go finds out about a dead client (net.KeepAliveConfig). */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT 9

void tcp_prepare_stream(int fd, int unsent_max)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_max},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

struct tcp_progress tcp_progress_get(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return (struct tcp_progress){.acked = info.tcpi_bytes_acked,
                                 .is_all_acked = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0};
}
