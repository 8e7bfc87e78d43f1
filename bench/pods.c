/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every pod of the benchmark in one process: its namespace routes the whole pod range to itself, and each
 * connection is told at which address it arrived (struct answer), then closed. */
#include "answer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int listener_open(const char *port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 4096) < 0)
        return -errno;
    return steal_fd(&fd);
}

static void clients_serve(int listener)
{
    struct answer answer = {.letter = ANSWER_LETTER};
    struct sockaddr_in here;

    for (;;) {
        cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        socklen_t len = sizeof(here);

        if (fd < 0)
            return;
        if (getsockname(fd, (struct sockaddr *)&here, &len) < 0)
            continue;
        memcpy(answer.address, &here.sin_addr, sizeof(answer.address));
        memcpy(answer.port, &here.sin_port, sizeof(answer.port));
        if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
            log_debug("a client left: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    struct epoll_event ready[16];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (argc < 2) {
        fprintf(stderr, "usage: bench-pods PORT...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 1; i < argc; i++) {
        int fd = listener_open(argv[i]);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
            log_error("port %s: %s", argv[i], strerror(fd < 0 ? -fd : errno));
            return 1;
        }
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, ready, ARRAY_LEN(ready), -1);

        for (int i = 0; i < count; i++)
            clients_serve(ready[i].data.fd);
    }
}
