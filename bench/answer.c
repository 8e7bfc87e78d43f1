/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

int64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int endpoint_parse(const char *text, struct sockaddr_in *ret_address, struct err *err)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *end = NULL;
    unsigned long port;

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return err_set(err, EINVAL, "\"%s\" is not address:port", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    port = strtoul(colon + 1, &end, 10);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || *end || end == colon + 1 || port == 0 ||
        port > 65535)
        return err_set(err, EINVAL, "\"%s\" is not address:port", text);
    address.sin_port = htons((uint16_t)port);
    *ret_address = address;
    return 0;
}

/* A refusal by ICMP that arrives while connect() still holds the socket, as it does from a namespace of the
 * same machine, only becomes a "soft" error, after which connect() would wait for its next try a second
 * later. SO_ERROR shows it. */
static int connect_within(int fd, const struct sockaddr_in *to, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int code = 0;
    socklen_t len = sizeof(code);

    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code)
        return code ? -code : -errno;
    if (poll(&ready, 1, timeout_ms) == 0)
        return -ETIMEDOUT;
    return 0;
}

static int answer_read(int fd, struct in_addr *ret_endpoint)
{
    struct answer answer;
    ssize_t got = recv(fd, &answer, sizeof(answer), MSG_WAITALL);

    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (got != (ssize_t)sizeof(answer) || answer.letter != ANSWER_LETTER)
        return -EPROTO;
    memcpy(&ret_endpoint->s_addr, answer.address, sizeof(answer.address));
    return 0;
}

int answer_check(const struct sockaddr_in *to, int timeout_ms, struct in_addr *ret_endpoint)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    result = connect_within(fd, to, timeout_ms);
    return result < 0 ? result : answer_read(fd, ret_endpoint);
}

int answer_time(const struct sockaddr_in *to, int timeout_ms, struct in_addr *ret_endpoint,
                int64_t *ret_first_byte_ns)
{
    struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int64_t start;
    int result;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    start = clock_now();
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
        return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    result = answer_read(fd, ret_endpoint);
    *ret_first_byte_ns = clock_now() - start;
    return result;
}
