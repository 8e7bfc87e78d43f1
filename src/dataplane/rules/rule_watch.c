/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/rule_watch.h"

#include "base/arena.h"
#include "dataplane/rules/hearing.h"
#include "dataplane/rules/sizes.h"
#include "sys/iptables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct rule_watch {
    int fd; /* epoll: of the two below */
    bool has_hearing, has_sizes;
    bool is_writing; /* the sizes are moving by our own hand */
    struct hearing hearing;
    struct sizes sizes;
};

static int add(struct rule_watch *watch, int fd, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(watch->fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return err_set(err, errno, "cannot watch the rules: %s", strerror(errno));
    return 0;
}

static int open_all(struct rule_watch *watch, const char *restore, const struct own_rules *own,
                    struct err *err)
{
    struct iptables_backend backend = iptables_backend_of(restore);
    watch->fd = epoll_create1(EPOLL_CLOEXEC);
    if (watch->fd < 0)
        return err_set(err, errno, "cannot watch the rules: %s", strerror(errno));
    int code = 0;
    if (backend.may_be_nft) {
        code = hearing_open(&watch->hearing, own, err);
        watch->has_hearing = code == 0;
        if (code == 0)
            code = add(watch, watch->hearing.fd, err);
    }
    if (code == 0 && backend.may_be_legacy) {
        code = sizes_open(&watch->sizes, err);
        watch->has_sizes = code == 0;
        if (code == 0)
            code = add(watch, watch->sizes.timer_fd, err);
    }
    return code;
}

int rule_watch_open(const char *restore, const struct own_rules *own, struct rule_watch **ret,
                    struct err *err)
{
    struct rule_watch *watch = xcalloc(1, sizeof(*watch));
    int code = open_all(watch, restore, own, err);
    if (code < 0) {
        rule_watch_close(watch);
        return code;
    }
    *ret = watch;
    return 0;
}

void rule_watch_close(struct rule_watch *watch)
{
    if (!watch)
        return;
    if (watch->has_hearing)
        hearing_close(&watch->hearing);
    if (watch->has_sizes)
        sizes_close(&watch->sizes);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}

int rule_watch_fd(const struct rule_watch *watch)
{
    return watch->fd;
}

void rule_watch_forget(struct rule_watch *watch)
{
    if (watch->has_hearing)
        hearing_forget(&watch->hearing);
    if (watch->has_sizes)
        sizes_remember(&watch->sizes);
}

/* The program may have begun, but it needs longer to write than we to ask. */
bool rule_watch_begin(struct rule_watch *watch, pid_t pid)
{
    bool is_disturbed = false;
    if (watch->has_sizes)
        is_disturbed = sizes_have_changed(&watch->sizes);
    if (watch->has_hearing)
        hearing_own(&watch->hearing, pid);
    watch->is_writing = true;
    return is_disturbed;
}

bool rule_watch_end(struct rule_watch *watch)
{
    bool is_disturbed = false;
    if (watch->has_hearing) {
        hearing_own(&watch->hearing, 0);
        is_disturbed = hearing_is_disturbed(&watch->hearing);
    }
    if (watch->has_sizes)
        sizes_remember(&watch->sizes);
    watch->is_writing = false;
    return is_disturbed;
}

bool rule_watch_remember(struct rule_watch *watch, bool was_written)
{
    if (watch->has_hearing)
        hearing_count_jumps(&watch->hearing);
    return watch->has_sizes && was_written;
}

bool rule_watch_is_disturbed(struct rule_watch *watch)
{
    bool is_disturbed = false;
    if (watch->has_hearing)
        is_disturbed = hearing_is_disturbed(&watch->hearing);
    if (watch->has_sizes) {
        sizes_rest(&watch->sizes);
        if (!watch->is_writing && sizes_have_changed(&watch->sizes)) {
            sizes_remember(&watch->sizes);
            is_disturbed = true;
        }
    }
    return is_disturbed;
}
