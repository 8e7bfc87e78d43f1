/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

/* Sockets on 127.0.0.1 for the tests of the proxy; they do not block, and the loop runs in between. */

static inline struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline uint16_t port_of_socket(int fd)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static inline int bound_socket(int type)
{
    struct sockaddr_in at = loopback(0);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 4096), 0);
    return fd;
}

static inline int connected_socket(int type, uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void turn(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_NOWAIT);
    usleep(200);
}

/* What recv says once it says something; the loop runs meanwhile. -errno. */
static inline ssize_t receive(uv_loop_t *loop, int fd, void *buffer, size_t size)
{
    for (int i = 0; i < 50000; i++) {
        ssize_t count = recv(fd, buffer, size, 0);
        if (count >= 0 || errno != EAGAIN)
            return count < 0 ? -errno : count;
        turn(loop);
    }
    return -ETIMEDOUT;
}

static inline void expect_text(uv_loop_t *loop, int fd, const char *text)
{
    char buffer[256];
    ssize_t count = receive(loop, fd, buffer, sizeof(buffer) - 1);
    assert_true(count >= 0);
    buffer[count] = '\0';
    assert_string_equal(buffer, text);
}

static inline void cut_socket(int fd)
{
    const struct linger cut = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut)), 0);
    close(fd);
}

/* How many descriptors there may be. */
static inline uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}
