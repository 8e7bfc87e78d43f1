/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/watch.h"

#include "base/arena.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct folder_watch {
    uv_poll_t poll;
    int fd;
    folder_changed_fn *changed;
    void *context;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct folder_watch *watch = poll->data;
    _Alignas(struct inotify_event) char buffer[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    ssize_t got;
    while ((got = read(watch->fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + got;) {
            const struct inotify_event *event = (const void *)at;
            bool is_lost = event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED);
            if (is_lost)
                watch->changed(watch->context, NULL);
            else if (event->len > 0)
                watch->changed(watch->context, event->name);
            at += sizeof(*event) + event->len;
        }
    }
}

int folder_watch_open(struct folder_watch **ret, uv_loop_t *loop, const char *path,
                      folder_changed_fn *changed, void *context, struct err *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "cannot watch files: inotify: %s", strerror(errno));
    const uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(fd, path, mask) < 0) {
        int code = errno;
        close(fd);
        return err_set(err, code, "cannot watch the folder %s: %s", path, strerror(code));
    }
    struct folder_watch *watch = xcalloc(1, sizeof(*watch));
    *watch = (struct folder_watch){.fd = fd, .changed = changed, .context = context};
    uv_poll_init(loop, &watch->poll, fd);
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    *ret = watch;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct folder_watch *watch = handle->data;
    close(watch->fd);
    free(watch);
}

void folder_watch_close(struct folder_watch *watch)
{
    if (!watch)
        return;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
