/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a connected socket's client has made of the bytes that were written (struct tcp_info, linux/tcp.h). */
struct tcp_progress {
    uint64_t acked; /* bytes, ever */
    bool is_all_acked;
};

/* For a socket that sends small pieces for a long time: they leave at once, the kernel holds no more than
 * unsent_max bytes that were not sent (TCP_NOTSENT_LOWAT, tcp(7)), and a client whose machine died is found
 * out. Failures are ignored: the socket works without. */
void tcp_prepare_stream(int fd, int unsent_max);
/* A socket that is broken has nothing acknowledged and nothing to acknowledge. */
struct tcp_progress tcp_progress_get(int fd);
