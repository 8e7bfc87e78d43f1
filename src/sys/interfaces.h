/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <uv.h>

/* The addresses of this network namespace's interfaces, from rtnetlink(7), and word of their change. */

struct interface_addresses {
    struct address *list; /* sorted, without repeats; free() */
    uint32_t count;
};

/* Loopback addresses, IPv6 link-local ones and the interface kube-ipvs0 are left out: node ports answer on
 * none of them. */
int interface_addresses_read(struct interface_addresses *ret, struct err *err);

struct nlmsghdr;
/* The address that an RTM_NEWADDR message tells of; false for one that is left out, or makes no sense. For
 * fuzzing; never reads past the message. */
bool interface_address_parse(const struct nlmsghdr *message, struct address *ret);

struct interface_watch;
typedef void interface_changed_fn(void *context);
int interface_watch_open(struct interface_watch **ret, uv_loop_t *loop, interface_changed_fn *changed,
                         void *context, struct err *err);
/* The memory goes when the loop next turns. NULL is allowed. */
void interface_watch_close(struct interface_watch *watch);
