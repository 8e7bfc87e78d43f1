/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/watch.h"

#include "base/arena.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder_watch {
    uv_poll_t poll;
    int fd, folder_id, parent_id; /* inotify's numbers for what is watched */
    char *path;
    const char *base; /* the folder's name in its parent; inside path */
    folder_changed_fn *changed;
    void *context;
};

/* A file being created is not yet written, but a link that is created is all there. */
static bool is_link(const struct folder_watch *watch, const char *name)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof(path), "%s/%s", watch->path, name);
    return lstat(path, &info) == 0 && (S_ISLNK(info.st_mode) || (S_ISREG(info.st_mode) && info.st_nlink > 1));
}

static void take_event(struct folder_watch *watch, const struct inotify_event *event)
{
    if (event->wd == watch->parent_id && watch->parent_id != watch->folder_id) {
        if (event->len > 0 && strcmp(event->name, watch->base) == 0)
            watch->changed(watch->context, NULL);
        return;
    }
    if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
        watch->changed(watch->context, NULL);
    else if (event->len > 0 && (!(event->mask & IN_CREATE) || is_link(watch, event->name)))
        watch->changed(watch->context, event->name);
}

/* One helping for each time around the loop: others have their turn between. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct folder_watch *watch = poll->data;
    _Alignas(struct inotify_event) char buffer[65536];
    ssize_t got = read(watch->fd, buffer, sizeof(buffer));
    for (char *at = buffer; at < buffer + got;) {
        const struct inotify_event *event = (const void *)at;
        take_event(watch, event);
        at += sizeof(*event) + event->len;
    }
}

static int watch_both(struct folder_watch *watch, struct err *err)
{
    const uint32_t names = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
    watch->folder_id =
        inotify_add_watch(watch->fd, watch->path, names | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF);
    if (watch->folder_id < 0)
        return err_set(err, errno, "cannot watch the folder %s: %s", watch->path, strerror(errno));
    char parent[4096];
    snprintf(parent, sizeof(parent), "%.*s", (int)(watch->base - watch->path), watch->path);
    /* A parent that may not be read is no reason to refuse. IN_MASK_CREATE: never narrow the folder's own
     * watch. */
    watch->parent_id = inotify_add_watch(watch->fd, *parent ? parent : ".", names | IN_MASK_CREATE);
    return 0;
}

static void watch_free(struct folder_watch *watch)
{
    close(watch->fd);
    free(watch->path);
    free(watch);
}

int folder_watch_open(struct folder_watch **ret, uv_loop_t *loop, const char *path,
                      folder_changed_fn *changed, void *context, struct err *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "cannot watch files: inotify: %s", strerror(errno));
    struct folder_watch *watch = xcalloc(1, sizeof(*watch));
    *watch = (struct folder_watch){.fd = fd, .path = xstrdup(path), .changed = changed, .context = context};
    for (size_t len = strlen(watch->path); len > 1 && watch->path[len - 1] == '/'; len--)
        watch->path[len - 1] = '\0';
    const char *slash = strrchr(watch->path, '/');
    watch->base = slash ? slash + 1 : watch->path;
    int code = watch_both(watch, err);
    if (code < 0) {
        watch_free(watch);
        return code;
    }
    uv_poll_init(loop, &watch->poll, fd);
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    *ret = watch;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    watch_free(handle->data);
}

void folder_watch_close(struct folder_watch *watch)
{
    if (!watch)
        return;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
