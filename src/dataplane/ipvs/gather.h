/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A netlink socket to which many small commands go quickly: they are gathered, and sent some hundred in one
 * datagram. The kernel carries out each of them before the call that sends it returns, refuses each by
 * itself, and acknowledges the last one only (net/netlink/af_netlink.c, netlink_rcv_skb). */

struct gather {
    int fd;
    uint32_t port_id;
    uint32_t sequence;
    char *bytes; /* whole messages; the last one may still grow */
    size_t used, last, capacity;
};

/* What bus is one of, NETLINK_ROUTE and so on. On failure nothing is left to close. */
int gather_open(struct gather *gather, int bus, struct err *err);
void gather_close(struct gather *gather);

/* A new message behind those that wait, complete with the next one or with gather_flush: borrowed until then.
 * It may become GATHER_MESSAGE_MAX long. */
#define GATHER_MESSAGE_MAX 512
struct nlmsghdr *gather_message(struct gather *gather, uint16_t type, uint16_t flags);
/* The messages that wait, one after the other: NULL to begin, NULL at the end. */
const struct nlmsghdr *gather_next(const struct gather *gather, const struct nlmsghdr *message);

/* What a refusal means. AGAIN: message has been changed, and it and everything behind it is sent once more,
 * so messages have to be such that what they lead to stays the same. Not for ever: then it is a refusal. */
enum gather_verdict { GATHER_FINE, GATHER_AGAIN, GATHER_REFUSED };
typedef enum gather_verdict gather_judge_fn(struct nlmsghdr *message, int code); /* code is -errno */

/* The first refusal. A refused message does not keep the others from being sent. */
struct gather_failure {
    int code;         /* -errno; 0: none */
    bool has_message; /* else it is the socket's */
    union {
        struct nlmsghdr message;
        char bytes[GATHER_MESSAGE_MAX];
    };
};
/* Sends all that waits; nothing waits afterwards, whatever comes of it. Returns ret->code. */
int gather_flush(struct gather *gather, gather_judge_fn *judge, struct gather_failure *ret);
/* Lets the answers in bytes judge the messages that wait. For fuzzing; never reads past len. */
int gather_parse_answers(struct gather *gather, const void *bytes, size_t len, gather_judge_fn *judge,
                         struct gather_failure *ret);

/* What came back: whole messages. free() the bytes. */
struct answer {
    char *bytes;
    size_t len;
};
/* Asks at once, past what waits. request is complete but for its sequence number and NLM_F_ACK. A dump that
 * was disturbed is repeated some times, then -EINTR. 0 or -errno of the answer, unsaid. */
int gather_ask(struct gather *gather, struct nlmsghdr *request, struct answer *ret);
/* Each message in the answer: NULL to begin, NULL at the end. Never one that reaches past len. */
const struct nlmsghdr *answer_next(const struct answer *answer, const struct nlmsghdr *message);
