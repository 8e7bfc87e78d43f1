/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/gather.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "sys/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* A datagram fits into any socket's send buffer, and when every message of it is refused, the answers fit
 * into the receive buffer. */
#define CHUNK_MESSAGES 512
#define CHUNK_BYTES (96 << 10)
#define RECEIVE_BUFFER (1 << 20)
#define READ_BUFFER (64 << 10)
#define ROUNDS_MAX 8
#define DUMPS_MAX 10

int gather_open(struct gather *gather, int bus, struct err *err)
{
    const int on = 1;
    int fd = netlink_open(bus, 0, RECEIVE_BUFFER);
    if (fd < 0)
        return err_set(err, -fd, "cannot open a netlink socket: %s", strerror(-fd));
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    *gather = (struct gather){.fd = fd, .port_id = netlink_port_id(fd)};
    return 0;
}

static void clear(struct gather *gather)
{
    free(gather->bytes);
    gather->bytes = NULL;
    gather->used = gather->last = gather->capacity = 0;
}

void gather_close(struct gather *gather)
{
    clear(gather);
    if (gather->fd >= 0)
        close(gather->fd);
    gather->fd = -1;
}

/* The last message may have grown since it was begun. */
static size_t waiting(const struct gather *gather)
{
    if (gather->used == 0)
        return 0;
    const struct nlmsghdr *last = (const struct nlmsghdr *)(gather->bytes + gather->last);
    return gather->last + MNL_ALIGN(last->nlmsg_len);
}

struct nlmsghdr *gather_message(struct gather *gather, uint16_t type, uint16_t flags)
{
    gather->last = waiting(gather);
    gather->used = gather->last + GATHER_MESSAGE_MAX;
    if (gather->used > gather->capacity) {
        gather->capacity = gather->capacity ? gather->capacity * 2 : (size_t)GATHER_MESSAGE_MAX * 8;
        gather->bytes = xrealloc(gather->bytes, gather->capacity);
    }
    struct nlmsghdr *message = mnl_nlmsg_put_header(gather->bytes + gather->last);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = ++gather->sequence;
    return message;
}

const struct nlmsghdr *gather_next(const struct gather *gather, const struct nlmsghdr *message)
{
    const char *next = message ? (const char *)message + MNL_ALIGN(message->nlmsg_len) : gather->bytes;
    return next && next < gather->bytes + waiting(gather) ? (const struct nlmsghdr *)next : NULL;
}

/* One datagram and what is said to it. */
struct round {
    char *begin, *end;
    char *next;  /* the answers come in the order of the messages */
    char *again; /* the first message that is to be sent again */
    gather_judge_fn *judge;
    bool is_last_round, is_answered;
    struct gather_failure *failure;
};

static struct nlmsghdr *find_message(struct round *round, uint32_t sequence)
{
    for (char *at = round->next; at < round->end; at += MNL_ALIGN(((struct nlmsghdr *)at)->nlmsg_len)) {
        if (((struct nlmsghdr *)at)->nlmsg_seq != sequence)
            continue;
        round->next = at;
        return (struct nlmsghdr *)at;
    }
    return NULL;
}

static void fail(struct gather_failure *failure, int code, const struct nlmsghdr *message)
{
    if (failure->code < 0)
        return;
    failure->code = code;
    failure->has_message = message != NULL;
    if (message)
        memcpy(failure->bytes, message, message->nlmsg_len);
}

/* Behind a message that comes again everything is judged anew. */
static void take_refusal(struct round *round, struct nlmsghdr *message, int code)
{
    enum gather_verdict verdict = round->judge(message, code);
    if (verdict == GATHER_AGAIN && !round->is_last_round && !round->again)
        round->again = (char *)message;
    else if (verdict != GATHER_FINE && !round->again)
        fail(round->failure, code, message);
}

static void take_answers(struct round *round, const void *bytes, size_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *answer = bytes; netlink_is_whole(answer, left);
         answer = mnl_nlmsg_next(answer, &left)) {
        if (answer->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(answer) < sizeof(struct nlmsgerr))
            continue;
        const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
        struct nlmsghdr *message = find_message(round, answer->nlmsg_seq);
        if (!message)
            continue;
        round->is_answered |= (char *)message + MNL_ALIGN(message->nlmsg_len) == round->end;
        if (error->error < 0)
            take_refusal(round, message, error->error);
    }
}

/* 0, or -errno of the socket; -ENOBUFS when answers were lost. */
static int send_round(struct gather *gather, struct round *round)
{
    char answer[READ_BUFFER];
    bool is_overrun = false;
    ssize_t got;
    do
        got = send(gather->fd, round->begin, (size_t)(round->end - round->begin), 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    for (;;) {
        got = recv(gather->fd, answer, sizeof(answer), MSG_DONTWAIT);
        if (got >= 0)
            take_answers(round, answer, (size_t)got);
        else if (errno == EAGAIN)
            return is_overrun ? -ENOBUFS : round->is_answered ? 0 : -EPROTO;
        else if (errno == ENOBUFS)
            is_overrun = true;
        else if (errno != EINTR)
            return -errno;
    }
}

/* How much of it is one datagram. Its last message asks for an answer. */
static size_t chunk_len(char *bytes, size_t len, unsigned messages_max, unsigned *ret_messages)
{
    size_t used = 0;
    struct nlmsghdr *message = NULL;
    for (*ret_messages = 0; used < len && *ret_messages < messages_max; ++*ret_messages) {
        const struct nlmsghdr *next = (const struct nlmsghdr *)(bytes + used);
        if (message && used + MNL_ALIGN(next->nlmsg_len) > CHUNK_BYTES)
            break;
        message = (struct nlmsghdr *)(bytes + used);
        used += MNL_ALIGN(message->nlmsg_len);
    }
    if (message)
        message->nlmsg_flags |= NLM_F_ACK;
    return used;
}

/* Sends one chunk until nothing of it has to come again. */
static int send_chunk(struct gather *gather, char *bytes, size_t len, gather_judge_fn *judge,
                      struct gather_failure *failure)
{
    char *end = bytes + len;
    for (int rounds = 1; bytes; rounds++) {
        struct round round = {.begin = bytes,
                              .end = end,
                              .next = bytes,
                              .judge = judge,
                              .is_last_round = rounds == ROUNDS_MAX,
                              .failure = failure};
        int code = send_round(gather, &round);
        if (code < 0)
            return code;
        bytes = round.again;
    }
    return 0;
}

int gather_flush(struct gather *gather, gather_judge_fn *judge, struct gather_failure *ret)
{
    size_t done = 0, len = waiting(gather);
    unsigned messages_max = CHUNK_MESSAGES;
    *ret = (struct gather_failure){0};
    while (done < len) {
        unsigned messages;
        struct gather_failure before = *ret;
        size_t chunk = chunk_len(gather->bytes + done, len - done, messages_max, &messages);
        int code = send_chunk(gather, gather->bytes + done, chunk, judge, ret);
        /* Answers were lost: once more, and so few that they fit. */
        if (code == -ENOBUFS && messages > 1) {
            messages_max = messages / 2;
            *ret = before;
            continue;
        }
        if (code < 0) {
            fail(ret, code, NULL);
            break;
        }
        done += chunk;
    }
    clear(gather);
    return ret->code;
}

int gather_parse_answers(struct gather *gather, const void *bytes, size_t len, gather_judge_fn *judge,
                         struct gather_failure *ret)
{
    char *begin = gather->bytes;
    struct round round = {
        .begin = begin, .end = begin + waiting(gather), .next = begin, .judge = judge, .failure = ret};
    *ret = (struct gather_failure){0};
    take_answers(&round, bytes, len);
    return ret->code;
}

/* --- questions --- */

struct keeping {
    struct answer answer;
    size_t capacity;
};

static int keep(const struct nlmsghdr *message, void *context)
{
    struct keeping *keeping = context;
    struct answer *answer = &keeping->answer;
    size_t len = MNL_ALIGN(message->nlmsg_len);
    if (answer->len + len > keeping->capacity) {
        keeping->capacity = (answer->len + len) * 2;
        answer->bytes = xrealloc(answer->bytes, keeping->capacity);
    }
    memset(answer->bytes + answer->len, 0, len);
    memcpy(answer->bytes + answer->len, message, message->nlmsg_len);
    answer->len += len;
    return 0;
}

int gather_ask(struct gather *gather, struct nlmsghdr *request, struct answer *ret)
{
    int code = -EINTR;
    /* A dump ends by itself, and would be acknowledged twice (net/netfilter/ipset/ip_set_core.c). */
    if ((request->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        request->nlmsg_flags |= NLM_F_ACK;
    *ret = (struct answer){0};
    for (int dumps = 0; dumps < DUMPS_MAX && code == -EINTR; dumps++) {
        struct keeping keeping = {0};
        request->nlmsg_seq = ++gather->sequence;
        code = netlink_ask(gather->fd, request, keep, &keeping);
        if (code == 0)
            *ret = keeping.answer;
        else
            free(keeping.answer.bytes);
    }
    return code;
}

const struct nlmsghdr *answer_next(const struct answer *answer, const struct nlmsghdr *message)
{
    const char *next = message ? (const char *)message + MNL_ALIGN(message->nlmsg_len) : answer->bytes;
    const char *end = answer->bytes + answer->len;
    if (!next || next >= end || !netlink_is_whole((const struct nlmsghdr *)next, (int)(end - next)))
        return NULL;
    return (const struct nlmsghdr *)next;
}
