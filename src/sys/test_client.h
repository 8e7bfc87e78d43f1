/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a plain-socket client in the same thread as the server that it talks to. */
#include "base/text.h"
#include "net/address.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static inline long long test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lets the loop run for this long. */
static inline void test_turn(uv_loop_t *loop, int ms)
{
    long long end = test_now_ms() + ms;
    do {
        uv_run(loop, UV_RUN_NOWAIT);
        usleep(200);
    } while (test_now_ms() < end);
}

/* A blocking socket connected to the address, or -errno. */
static inline int test_connect(const struct socket_address *to)
{
    bool is_v6 = address_family(&to->address) == FAMILY_IPV6;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};
    size_t len;
    const uint8_t *wire = address_wire(&to->address, &len);
    memcpy(is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, wire, len);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, is_v6 ? (void *)&v6 : (void *)&v4, is_v6 ? sizeof(v6) : sizeof(v4)) < 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

static inline bool test_send(int fd, const char *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* Adds what comes to text, with the loop running, until the other end closes or, when until is set, that
 * string has come. False after wait_ms. */
static inline bool test_receive(uv_loop_t *loop, int fd, struct text *text, const char *until, int wait_ms)
{
    long long end = test_now_ms() + wait_ms;
    char buffer[65536];
    while (test_now_ms() < end) {
        uv_run(loop, UV_RUN_NOWAIT);
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, 1) <= 0)
            continue;
        ssize_t len = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (len < 0 && errno == EAGAIN)
            continue;
        if (len <= 0)
            return !until;
        text_add_bytes(text, buffer, (size_t)len);
        if (until && strstr(text->data, until))
            return true;
    }
    return false;
}

/* One request on a connection of its own, which the server is asked to close; the whole answer in text. */
static inline bool test_exchange(uv_loop_t *loop, const struct socket_address *to, const char *request,
                                 struct text *text)
{
    int fd = test_connect(to);
    if (fd < 0)
        return false;
    bool is_done = test_send(fd, request, strlen(request)) && test_receive(loop, fd, text, NULL, 5000);
    close(fd);
    return is_done;
}

static inline bool test_get(uv_loop_t *loop, const struct socket_address *to, const char *path,
                            struct text *text)
{
    struct text request = {0};
    text_printf(&request, "GET %s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n", path);
    bool is_done = test_exchange(loop, to, request.data, text);
    text_done(&request);
    return is_done;
}

/* What follows the empty line; "" without one. */
static inline const char *test_body(const struct text *answer)
{
    const char *end = strstr(text_str(answer), "\r\n\r\n");
    return end ? end + 4 : "";
}
