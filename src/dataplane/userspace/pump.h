/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Bytes between two connected stream sockets, both ways, by splice(2): they do not pass through this process'
 * memory. An end of one direction is passed on alone (half-close); who reads slowly is read for slowly; a
 * reset of one side is a reset of the other. SIGPIPE has to be ignored by the process. */

/* Pipes are taken by a direction while it has bytes under way, and are shared otherwise: a connection that
 * waits costs two descriptors. Where there are no more descriptors, bytes are copied. Start from {0}. */
struct pump_pipes {
    int (*spare)[2];
    uint32_t count, capacity;
};
void pump_pipes_done(struct pump_pipes *pipes);

struct pump;

/* Once, from the loop: both directions are over, or (is_reset) one side was cut off. The sockets are closed
 * and the pump is freed behind it. */
typedef void pump_done_fn(void *context, bool is_reset);

/* Takes the two sockets, which are connected and do not block; they are closed on failure too (then -errno,
 * and done is not called). */
int pump_start(struct pump **ret, uv_loop_t *loop, struct pump_pipes *pipes, const int fds[2],
               pump_done_fn *done, void *context);
/* Cuts both sides off; done is not called any more. */
void pump_cancel(struct pump *pump);
