/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/netlink.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BUFFER (64 << 10) /* the kernel fills up to 32 KiB of it with a dump's messages */

int netlink_open(int bus, uint32_t groups, int receive_buffer)
{
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus);
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    /* Beyond the system's limit it takes CAP_NET_ADMIN. */
    if (receive_buffer &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof(receive_buffer)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    return steal_fd(&fd);
}

uint32_t netlink_port_id(int fd)
{
    struct sockaddr_nl address = {0};
    socklen_t len = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &len);
    return address.nl_pid;
}

struct question {
    const struct nlmsghdr *request;
    netlink_visit_fn *visit;
    void *context;
    int code;
    bool is_disturbed, is_over;
};

/* A dump ends in NLMSG_DONE, which carries the dump's own error, if any; all else does in NLMSG_ERROR. */
static int error_in(const struct nlmsghdr *message)
{
    int code = 0;
    if (mnl_nlmsg_get_payload_len(message) >= sizeof(code))
        memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
    return code < 0 ? code : 0;
}

static void take_answer(struct question *question, const void *bytes, size_t len)
{
    const struct nlmsghdr *request = question->request;
    bool is_dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left) && !question->is_over;
         message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq != request->nlmsg_seq)
            continue;
        question->is_disturbed |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        bool is_end = message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR;
        int code = is_end            ? error_in(message)
                   : question->visit ? question->visit(message, question->context)
                                     : 0;
        if (question->code == 0)
            question->code = code;
        question->is_over = is_end || !(is_dump || request->nlmsg_flags & NLM_F_ACK);
    }
}

int netlink_ask(int fd, const struct nlmsghdr *request, netlink_visit_fn *visit, void *context)
{
    char bytes[READ_BUFFER];
    struct question question = {.request = request, .visit = visit, .context = context};
    if (send(fd, request, request->nlmsg_len, 0) < 0)
        return -errno;
    while (!question.is_over) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        take_answer(&question, bytes, (size_t)got);
    }
    return question.code < 0 ? question.code : question.is_disturbed ? -EINTR : 0;
}
