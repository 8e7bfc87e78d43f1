/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

/* The connections that destination NAT has sent somewhere, from conntrack over netlink (nfnetlink(7),
 * net/netfilter/nf_conntrack_netlink.c), listed piece by piece: the kernel goes on only when it is read. */

struct flow {
    enum family family;
    uint8_t protocol;                  /* IPPROTO_* */
    uint16_t port;                     /* that the client asked for; 0 where the protocol has none */
    uint16_t source_port, answer_port; /* the client's, and where it is answered from */
    struct address source;             /* the client, as it came in */
    struct address destination;        /* that the client asked for */
    struct address answerer;           /* who answers: the reply's source */
};

struct nlmsghdr;
/* False for what is no entry, lacks an address, or was not sent elsewhere. Never reads past the message. */
bool flow_parse(const struct nlmsghdr *message, struct flow *ret);

struct flows {
    int fd;           /* readable as long as the listing goes on; -1: none */
    uint64_t entries; /* told so far, wherever they were sent */
};

typedef void flows_visit_fn(void *context, const struct flow *flow);

/* Asks for the whole list, in all families; what NAT has not sent elsewhere is left out here. The kernel
 * could leave it out (CTA_STATUS, Linux 5.17), and must not: it walks until a piece is full, softirqs held
 * off, and with nothing to fill a piece with that is the whole table: 30 ms for 100,000 entries that do not
 * match, where a full piece takes 0.3 ms. -errno and a sentence; -EPERM without CAP_NET_ADMIN. */
int flows_open(struct flows *ret, struct err *err);
/* Reads one piece, some hundred entries: 1 when there is more, 0 when that was the last, else -errno and a
 * sentence. Does not wait: where nothing is at hand it returns 1. Entries that come while the listing goes on
 * may be in it or not; one that goes may make another one be told twice. */
int flows_read(struct flows *flows, flows_visit_fn *visit, void *context, struct err *err);
/* Also in the middle of a listing, and more than once. */
void flows_close(struct flows *flows);
