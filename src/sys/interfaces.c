/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/interfaces.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "sys/netlink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct interface_watch {
    uv_poll_t poll;
    int fd;
    interface_changed_fn *changed;
    void *context;
};

static int open_socket(uint32_t groups, int *ret, struct err *err)
{
    *ret = netlink_open(NETLINK_ROUTE, groups, 0);
    return *ret < 0 ? err_set(err, -*ret, "cannot open a route netlink socket: %s", strerror(-*ret)) : 0;
}

bool interface_address_parse(const struct nlmsghdr *message, struct address *ret)
{
    const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute, *address = NULL, *local = NULL;
    char interface[IF_NAMESIZE];
    /* libmnl walks to the end rounded up: only a whole message may be walked. */
    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) || message->nlmsg_len % MNL_ALIGNTO)
        return false;
    if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6)
        return false;
    if (if_indextoname(header->ifa_index, interface) && strcmp(interface, "kube-ipvs0") == 0)
        return false;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
            address = attribute;
        if (mnl_attr_get_type(attribute) == IFA_LOCAL)
            local = attribute; /* on a point-to-point link IFA_ADDRESS is the other end */
    }
    const struct nlattr *own = local ? local : address;
    enum family family = header->ifa_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
    if (!own || mnl_attr_get_payload_len(own) != (family == FAMILY_IPV4 ? 4 : 16))
        return false;
    *ret = address_from_wire(family, mnl_attr_get_payload(own));
    return !address_is_loopback(ret) && !(family == FAMILY_IPV6 && address_is_link_local(ret));
}

static int order(const void *a, const void *b)
{
    return address_cmp(a, b);
}

static void finish(struct interface_addresses *addresses)
{
    uint32_t kept = 0;
    if (addresses->count > 1)
        qsort(addresses->list, addresses->count, sizeof(*addresses->list), order);
    for (uint32_t i = 0; i < addresses->count; i++)
        if (kept == 0 || address_cmp(&addresses->list[kept - 1], &addresses->list[i]) != 0)
            addresses->list[kept++] = addresses->list[i];
    addresses->count = kept;
}

struct listing {
    struct interface_addresses found;
    uint32_t capacity;
};

static int take_address(const struct nlmsghdr *message, void *context)
{
    struct listing *listing = context;
    struct interface_addresses *found = &listing->found;
    if (found->count == listing->capacity) {
        listing->capacity = listing->capacity ? listing->capacity * 2 : 16;
        found->list = xrealloc(found->list, listing->capacity * sizeof(*found->list));
    }
    if (message->nlmsg_type == RTM_NEWADDR && interface_address_parse(message, &found->list[found->count]))
        found->count++;
    return 0;
}

static int list_addresses(int fd, uint32_t sequence, struct listing *ret)
{
    char buffer[64];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = RTM_GETADDR;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = sequence;
    mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
    return netlink_ask(fd, request, take_address, ret);
}

int interface_addresses_read(struct interface_addresses *ret, struct err *err)
{
    cleanup_close int fd = -1;
    int code = open_socket(0, &fd, err);
    if (code < 0)
        return code;
    code = -EINTR;
    for (uint32_t attempt = 1; attempt <= 10 && code == -EINTR; attempt++) {
        struct listing listing = {0};
        code = list_addresses(fd, attempt, &listing);
        finish(&listing.found);
        if (code == 0)
            *ret = listing.found;
        else
            free(listing.found.list);
    }
    if (code == -EINTR)
        return err_set(err, EAGAIN, "the interfaces' addresses change faster than they can be listed");
    return code < 0 ? err_set(err, -code, "cannot list the interfaces' addresses: %s", strerror(-code)) : 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct interface_watch *watch = poll->data;
    char buffer[8192];
    while (recv(watch->fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
        ;
    watch->changed(watch->context);
}

int interface_watch_open(struct interface_watch **ret, uv_loop_t *loop, interface_changed_fn *changed,
                         void *context, struct err *err)
{
    int fd;
    int code = open_socket(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, &fd, err);
    if (code < 0)
        return code;
    struct interface_watch *watch = xcalloc(1, sizeof(*watch));
    *watch = (struct interface_watch){.fd = fd, .changed = changed, .context = context};
    uv_poll_init(loop, &watch->poll, fd);
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    *ret = watch;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct interface_watch *watch = handle->data;
    close(watch->fd);
    free(watch);
}

void interface_watch_close(struct interface_watch *watch)
{
    if (!watch)
        return;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
