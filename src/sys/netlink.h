/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether a whole message lies in what is left. mnl_nlmsg_ok alone takes a length of 2 GiB and more for a
 * negative one, which fits everywhere (libmnl, src/nlmsg.c). */
static inline bool netlink_is_whole(const struct nlmsghdr *message, int left)
{
    return mnl_nlmsg_ok(message, left) && message->nlmsg_len <= (uint32_t)left;
}

/* A socket to a bus of the kernel's (NETLINK_ROUTE and so on), which hears the groups whose bits are set in
 * groups. Up to receive_buffer bytes may wait in it, as far as this process may say so; 0: as many as in any
 * socket. Returns the fd, to be closed, or -errno. */
int netlink_open(int bus, uint32_t groups, int receive_buffer);
/* What the kernel calls an open socket: nlmsg_pid of messages that come of its requests. */
uint32_t netlink_port_id(int fd);

/* A message of an answer; 0 or -errno. */
typedef int netlink_visit_fn(const struct nlmsghdr *message, void *context);

/* Asks by the netlink socket fd, and hands the answer to visit (NULL: nobody wants it) until it is over: that
 * is the end of a dump (NLM_F_DUMP), else the acknowledgement where one was asked for (NLM_F_ACK), else the
 * first message. request is complete; by its sequence number its answer is told from what is left of others,
 * so fd has none of that number before it. Waits for as long as the kernel takes, or fd does.
 *
 * 0, or -errno: the socket's; or the first failure of visit, after which the rest is visited all the same; or
 * the answer's; or -EINTR for a dump that was disturbed: what was visited may be incomplete. */
int netlink_ask(int fd, const struct nlmsghdr *request, netlink_visit_fn *visit, void *context);
