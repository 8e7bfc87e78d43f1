/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/pump.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPARE_MAX 64
#define PIPE_BYTES (256 * 1024)
#define COPY_BYTES (64 * 1024)
#define ROUNDS 16 /* then others have their turn */

/* From ends[n] to ends[1 - n]. */
struct direction {
    int pipe[2]; /* -1: none is needed at the moment */
    size_t held; /* bytes in it */
    bool is_ended, is_shut;
    bool is_blocked; /* there is no pipe, and the far side takes nothing at the moment */
};

struct pump {
    uv_loop_t *loop;
    struct pump_pipes *pipes;
    int fds[2];
    uv_poll_t polls[2];
    int events[2];
    struct direction directions[2];
    int open_polls;
    pump_done_fn *done;
    void *context;
};

/* --- pipes --- */

static int take_pipe(struct pump_pipes *pipes, int ret[2])
{
    if (pipes->count > 0) {
        pipes->count--;
        ret[0] = pipes->spare[pipes->count][0];
        ret[1] = pipes->spare[pipes->count][1];
        return 0;
    }
    if (pipe2(ret, O_CLOEXEC | O_NONBLOCK) < 0) {
        ret[0] = ret[1] = -1;
        return -errno;
    }
    /* Where there are too many pipes already the kernel leaves it small. */
    (void)fcntl(ret[1], F_SETPIPE_SZ, PIPE_BYTES);
    return 0;
}

static void close_pipe(int pipe[2])
{
    if (pipe[0] >= 0) {
        close(pipe[0]);
        close(pipe[1]);
    }
    pipe[0] = pipe[1] = -1;
}

static void give_pipe(struct pump_pipes *pipes, int pipe[2])
{
    if (pipes->count == SPARE_MAX) {
        close_pipe(pipe);
        return;
    }
    if (!pipes->spare)
        pipes->spare = xcalloc(SPARE_MAX, sizeof(*pipes->spare));
    pipes->spare[pipes->count][0] = pipe[0];
    pipes->spare[pipes->count][1] = pipe[1];
    pipes->count++;
    pipe[0] = pipe[1] = -1;
}

void pump_pipes_done(struct pump_pipes *pipes)
{
    while (pipes->count > 0)
        close_pipe(pipes->spare[--pipes->count]);
    free(pipes->spare);
    *pipes = (struct pump_pipes){0};
}

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct pump *pump = handle->data;
    if (--pump->open_polls == 0)
        free(pump);
}

static void finish(struct pump *pump, bool is_reset)
{
    const struct linger cut = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 2; i++) {
        struct direction *direction = &pump->directions[i];
        if (direction->pipe[0] >= 0 && direction->held == 0)
            give_pipe(pump->pipes, direction->pipe);
        close_pipe(direction->pipe);
        uv_poll_stop(&pump->polls[i]);
        uv_close((uv_handle_t *)&pump->polls[i], on_closed);
        if (is_reset)
            (void)setsockopt(pump->fds[i], SOL_SOCKET, SO_LINGER, &cut, sizeof(cut));
        close(pump->fds[i]);
    }
    if (pump->done)
        pump->done(pump->context, is_reset);
}

void pump_cancel(struct pump *pump)
{
    pump->done = NULL;
    finish(pump, true);
}

/* --- the work --- */

/* Where descriptors are out: what the far side takes is copied, the rest stays where it is. Returns as fill.
 */
static int copy(struct pump *pump, int from)
{
    static char buffer[COPY_BYTES]; /* one thread, and nobody keeps it */
    struct direction *direction = &pump->directions[from];
    ssize_t count = recv(pump->fds[from], buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    direction->is_ended = count == 0;
    if (count == 0)
        return 1;
    ssize_t sent = send(pump->fds[1 - from], buffer, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    direction->is_blocked = sent < count;
    if (sent > 0 && recv(pump->fds[from], buffer, (size_t)sent, MSG_DONTWAIT) != sent)
        return -EIO; /* it was there a moment ago */
    return !direction->is_blocked;
}

/* 1: some bytes came in, or the end; 0: nothing at the moment; -errno. */
static int fill(struct pump *pump, int from)
{
    struct direction *direction = &pump->directions[from];
    if (direction->is_ended || direction->held > 0)
        return 0;
    int code = direction->pipe[0] < 0 ? take_pipe(pump->pipes, direction->pipe) : 0;
    if (code == -EMFILE || code == -ENFILE)
        return copy(pump, from);
    if (code < 0)
        return code;
    ssize_t count = splice(pump->fds[from], NULL, direction->pipe[1], NULL, PIPE_BYTES,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    direction->is_ended = count == 0;
    direction->held = (size_t)count;
    return 1;
}

static int drain(struct pump *pump, int from)
{
    struct direction *direction = &pump->directions[from];
    while (direction->held > 0) {
        ssize_t count = splice(direction->pipe[0], NULL, pump->fds[1 - from], NULL, direction->held,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        direction->held -= (size_t)count;
    }
    if (direction->is_ended && !direction->is_shut) {
        direction->is_shut = true;
        if (shutdown(pump->fds[1 - from], SHUT_WR) < 0)
            return -errno;
    }
    return 0;
}

static int advance(struct pump *pump, int from)
{
    struct direction *direction = &pump->directions[from];
    direction->is_blocked = false;
    int code = drain(pump, from);
    for (int round = 0; code == 0 && round < ROUNDS && direction->held == 0; round++) {
        code = fill(pump, from);
        if (code <= 0)
            break;
        code = drain(pump, from);
    }
    if (direction->pipe[0] >= 0 && direction->held == 0)
        give_pipe(pump->pipes, direction->pipe);
    return code;
}

static void on_event(uv_poll_t *poll, int status, int events);

static bool waits(const struct direction *direction)
{
    return direction->held > 0 || direction->is_blocked;
}

/* A side is read while nothing that it sent waits, and written to while something does. A side that is not
 * waited for at all would not be heard when it is cut off: urgent data, which nobody sends, stands for that.
 * But one that was told the end may have sent its own behind what waits, and would never cease to say so: it
 * is cut off for us when it is read again. */
static void watch(struct pump *pump)
{
    for (int i = 0; i < 2; i++) {
        const struct direction *out = &pump->directions[i], *in = &pump->directions[1 - i];
        int events = (!out->is_ended && !waits(out) ? UV_READABLE : 0) | (waits(in) ? UV_WRITABLE : 0);
        if (!events && !in->is_shut)
            events = UV_PRIORITIZED;
        if (events == pump->events[i])
            continue;
        pump->events[i] = events;
        if (events)
            uv_poll_start(&pump->polls[i], events, on_event);
        else
            uv_poll_stop(&pump->polls[i]);
    }
}

static bool is_cut(int fd)
{
    int code = 0;
    socklen_t len = sizeof(code);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code != 0;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct pump *pump = poll->data;
    int side = poll == &pump->polls[1];
    bool is_failed = status < 0 || ((events & UV_PRIORITIZED) && is_cut(pump->fds[side]));
    if (is_failed || ((events & UV_READABLE) && advance(pump, side) < 0) ||
        ((events & UV_WRITABLE) && advance(pump, 1 - side) < 0))
        finish(pump, true);
    else if (pump->directions[0].is_shut && pump->directions[1].is_shut)
        finish(pump, false);
    else
        watch(pump);
}

int pump_start(struct pump **ret, uv_loop_t *loop, struct pump_pipes *pipes, const int fds[2],
               pump_done_fn *done, void *context)
{
    struct pump *pump = xcalloc(1, sizeof(*pump));
    int code = 0;
    *pump = (struct pump){.loop = loop, .pipes = pipes, .done = done, .context = context};
    for (int i = 0; i < 2; i++) {
        pump->fds[i] = fds[i];
        pump->directions[i].pipe[0] = pump->directions[i].pipe[1] = -1;
        if (code == 0)
            code = uv_poll_init(loop, &pump->polls[i], fds[i]);
        if (code == 0)
            pump->open_polls++;
        pump->polls[i].data = pump;
    }
    if (code < 0) {
        if (pump->open_polls > 0)
            uv_close((uv_handle_t *)&pump->polls[0], on_closed);
        else
            free(pump);
        close(fds[0]);
        close(fds[1]);
        return code;
    }
    watch(pump);
    *ret = pump;
    return 0;
}
