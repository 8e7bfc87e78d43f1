/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/single.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int single_claim(const char *name, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", name);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, errno, "cannot open a socket: %s", strerror(errno));
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (bind(fd, (const struct sockaddr *)&address, size) == 0) {
        *ret_fd = steal_fd(&fd);
        return 0;
    }
    if (errno == EADDRINUSE)
        return err_set(err, EADDRINUSE, "another %s daemon serves this network namespace already", name);
    return err_set(err, errno, "cannot claim this network namespace for %s: %s", name, strerror(errno));
}
