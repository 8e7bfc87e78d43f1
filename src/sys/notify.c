/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/notify.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

const char *notify_message(enum notify_state state, const char *sentence, uint64_t monotonic_us,
                           char ret[NOTIFY_MESSAGE_MAX])
{
    static const char *const lines[] = {[NOTIFY_STATUS] = "",
                                        [NOTIFY_READY] = "READY=1\n",
                                        [NOTIFY_RELOADING] = "RELOADING=1\n",
                                        [NOTIFY_STOPPING] = "STOPPING=1\n"};
    char when[48] = "";
    if (state == NOTIFY_RELOADING)
        snprintf(when, sizeof(when), "MONOTONIC_USEC=%" PRIu64 "\n", monotonic_us);
    snprintf(ret, NOTIFY_MESSAGE_MAX, "%s%sSTATUS=%.*s", lines[state], when, (int)strcspn(sentence, "\n"),
             sentence);
    return ret;
}

int notify_send(const char *address, const char *message, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!address || !*address)
        return 0;
    size_t len = strlen(address);
    bool is_abstract = *address == '@';
    if (!is_abstract && *address != '/')
        return err_set(err, EPROTONOSUPPORT,
                       "NOTIFY_SOCKET is \"%.64s\", neither a path nor the name of an abstract socket",
                       address);
    if (len > sizeof(to.sun_path) - !is_abstract)
        return err_set(err, ENAMETOOLONG, "NOTIFY_SOCKET is longer than a socket's address can be");
    memcpy(to.sun_path, address, len);
    if (is_abstract)
        to.sun_path[0] = '\0';
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !is_abstract);
    if (fd < 0 || sendto(fd, message, strlen(message), MSG_DONTWAIT | MSG_NOSIGNAL,
                         (const struct sockaddr *)&to, size) < 0)
        return err_set(err, errno, "the service manager cannot be told at %s: %s", address, strerror(errno));
    return 0;
}
