/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <libmnl/libmnl.h>
#include <stdbool.h>

/* Whether a whole message lies in what is left. mnl_nlmsg_ok alone takes a length of 2 GiB and more for a
 * negative one, which fits everywhere (libmnl, src/nlmsg.c). */
static inline bool netlink_is_whole(const struct nlmsghdr *message, int left)
{
    return mnl_nlmsg_ok(message, left) && message->nlmsg_len <= (uint32_t)left;
}
