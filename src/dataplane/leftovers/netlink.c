/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/leftovers/netlink.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define TABLE "kube-proxy"
#define INTERFACE "kube-ipvs0"
#define MESSAGE_MAX 4096
#define SEQUENCE 1

static void close_socket(struct mnl_socket **socket)
{
    if (*socket)
        mnl_socket_close(*socket);
}

/* Sends len bytes and gives what comes back to visit until the answer to SEQUENCE is over. */
static int ask(int bus, const void *bytes, size_t len, mnl_cb_t visit, void *context)
{
    char answer[32768];
    cleanup_with(close_socket) struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
    if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(socket, bytes, len) < 0)
        return -errno;
    for (;;) {
        ssize_t got = mnl_socket_recvfrom(socket, answer, sizeof(answer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        int code = mnl_cb_run(answer, (size_t)got, 0, 0, visit, context);
        if (code < 0)
            return -errno;
        if (code == MNL_CB_STOP)
            return 0;
    }
}

static struct nlmsghdr *netfilter_message(void *at, uint16_t type, uint16_t flags, uint8_t family)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = SEQUENCE;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    return message;
}

static uint8_t wire_family(enum family family)
{
    return family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

static int family_number(enum family family)
{
    return family == FAMILY_IPV4 ? 4 : 6;
}

/* 0 and false for what is not there. */
static int removed(int code, bool *ret_was_there)
{
    *ret_was_there = code == 0;
    return code == -ENOENT || code == -ENODEV ? 0 : code;
}

/* --- nftables --- */

static void add_edge(struct mnl_nlmsg_batch *batch, uint16_t type)
{
    struct nlmsghdr *message = netfilter_message(mnl_nlmsg_batch_current(batch), type, 0, AF_UNSPEC);
    ((struct nfgenmsg *)mnl_nlmsg_get_payload(message))->res_id = htons(NFNL_SUBSYS_NFTABLES);
    mnl_nlmsg_batch_next(batch);
}

int netlink_remove_table(enum family family, bool *ret_was_there, struct err *err)
{
    char bytes[MESSAGE_MAX];
    struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(bytes, sizeof(bytes));
    if (!batch)
        return err_set(err, ENOMEM, "no memory for a netlink batch");
    add_edge(batch, NFNL_MSG_BATCH_BEGIN);
    struct nlmsghdr *message =
        netfilter_message(mnl_nlmsg_batch_current(batch), NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
                          NLM_F_ACK, wire_family(family));
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, TABLE);
    mnl_nlmsg_batch_next(batch);
    add_edge(batch, NFNL_MSG_BATCH_END);
    int code = ask(NETLINK_NETFILTER, bytes, mnl_nlmsg_batch_size(batch), NULL, NULL);
    mnl_nlmsg_batch_stop(batch);
    code = removed(code, ret_was_there);
    return code < 0
               ? err_set(err, -code, "the nftables table %s of kube-proxy for IPv%d cannot be removed: %s",
                         TABLE, family_number(family), strerror(-code))
               : 0;
}

/* --- ipvs --- */

static struct nlmsghdr *interface_message(void *at, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = SEQUENCE;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, INTERFACE);
    return message;
}

static int on_interface(const struct nlmsghdr *message, void *context)
{
    const struct nlattr *attribute, *inner;
    mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
    {
        if (mnl_attr_get_type(attribute) != IFLA_LINKINFO)
            continue;
        mnl_attr_for_each_nested(inner, attribute)
        {
            if (mnl_attr_get_type(inner) == IFLA_INFO_KIND && strcmp(mnl_attr_get_str(inner), "dummy") == 0)
                *(bool *)context = true;
        }
    }
    return MNL_CB_OK;
}

int netlink_has_ipvs_interface(bool *ret, struct err *err)
{
    char bytes[MESSAGE_MAX];
    const struct nlmsghdr *message = interface_message(bytes, RTM_GETLINK, NLM_F_ACK);
    *ret = false;
    int code = ask(NETLINK_ROUTE, message, message->nlmsg_len, on_interface, ret);
    if (code == 0 || code == -ENODEV)
        return 0;
    return err_set(err, -code, "the interface %s cannot be looked up: %s", INTERFACE, strerror(-code));
}

/* Of version 1, which is that of IPVS and of what tells about families. */
static struct nlmsghdr *generic_message(void *at, uint16_t type, uint8_t command, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = SEQUENCE;
    struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->cmd = command;
    header->version = IPVS_GENL_VERSION;
    return message;
}

static int on_family(const struct nlmsghdr *message, void *context)
{
    const struct nlattr *attribute;
    mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
    {
        if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
            *(uint16_t *)context = mnl_attr_get_u16(attribute);
    }
    return MNL_CB_OK;
}

/* 0 in ret where ip_vs is not there: asking for the family of such a module would load it, so its file in
 * /proc is looked at first. */
static int find_ipvs(uint16_t *ret)
{
    char bytes[MESSAGE_MAX];
    *ret = 0;
    if (access("/proc/net/ip_vs", F_OK) < 0)
        return 0;
    struct nlmsghdr *message = generic_message(bytes, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
    mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
    return ask(NETLINK_GENERIC, message, message->nlmsg_len, on_family, ret);
}

static int flush_ipvs(struct err *err)
{
    char bytes[MESSAGE_MAX];
    uint16_t family;
    int code = find_ipvs(&family);
    if (code == 0 && family) {
        const struct nlmsghdr *message = generic_message(bytes, family, IPVS_CMD_FLUSH, NLM_F_ACK);
        code = ask(NETLINK_GENERIC, message, message->nlmsg_len, NULL, NULL);
    }
    return code < 0
               ? err_set(err, -code, "the virtual services of ipvs cannot be removed: %s", strerror(-code))
               : 0;
}

int netlink_remove_ipvs(bool *ret_was_there, struct err *err)
{
    char bytes[MESSAGE_MAX];
    int code = netlink_has_ipvs_interface(ret_was_there, err);
    if (code < 0 || !*ret_was_there)
        return code;
    code = flush_ipvs(err);
    if (code < 0)
        return code;
    const struct nlmsghdr *message = interface_message(bytes, RTM_DELLINK, NLM_F_ACK);
    code = removed(ask(NETLINK_ROUTE, message, message->nlmsg_len, NULL, NULL), ret_was_there);
    return code < 0
               ? err_set(err, -code, "the interface %s cannot be deleted: %s", INTERFACE, strerror(-code))
               : 0;
}

/* --- virtual services that are found by a mark --- */

struct marked {
    uint16_t address_family;
    uint32_t mark;
};

struct marked_search {
    uint32_t tag, tag_mask;
    struct marked *list;
    unsigned count;
};

static int on_service(const struct nlmsghdr *message, void *context)
{
    struct marked_search *search = context;
    struct marked found = {0};
    const struct nlattr *attribute, *inner;
    mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
    {
        if (mnl_attr_get_type(attribute) != IPVS_CMD_ATTR_SERVICE)
            continue;
        mnl_attr_for_each_nested(inner, attribute)
        {
            if (mnl_attr_get_type(inner) == IPVS_SVC_ATTR_AF)
                found.address_family = mnl_attr_get_u16(inner);
            if (mnl_attr_get_type(inner) == IPVS_SVC_ATTR_FWMARK)
                found.mark = mnl_attr_get_u32(inner);
        }
    }
    if (found.mark == 0 || (found.mark & search->tag_mask) != search->tag)
        return MNL_CB_OK;
    search->list = xrealloc(search->list, (search->count + 1) * sizeof(*search->list));
    search->list[search->count++] = found;
    return MNL_CB_OK;
}

static int on_destination(const struct nlmsghdr *message, void *context)
{
    const struct nlattr *attribute, *inner;
    mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
    {
        if (mnl_attr_get_type(attribute) != IPVS_CMD_ATTR_DEST)
            continue;
        mnl_attr_for_each_nested(inner, attribute)
        {
            uint16_t type = mnl_attr_get_type(inner);
            if (type == IPVS_DEST_ATTR_ACTIVE_CONNS || type == IPVS_DEST_ATTR_INACT_CONNS)
                *(uint64_t *)context += mnl_attr_get_u32(inner);
        }
    }
    return MNL_CB_OK;
}

static int ask_about(uint16_t family, const struct marked *marked, uint8_t command, uint16_t flags,
                     mnl_cb_t visit, void *context)
{
    char bytes[MESSAGE_MAX];
    struct nlmsghdr *message = generic_message(bytes, family, command, flags);
    struct nlattr *nest = mnl_attr_nest_start(message, IPVS_CMD_ATTR_SERVICE);
    mnl_attr_put_u16(message, IPVS_SVC_ATTR_AF, marked->address_family);
    mnl_attr_put_u32(message, IPVS_SVC_ATTR_FWMARK, marked->mark);
    mnl_attr_nest_end(message, nest);
    return ask(NETLINK_GENERIC, message, message->nlmsg_len, visit, context);
}

int netlink_remove_marked(uint32_t tag, uint32_t tag_mask, unsigned *ret_removed, unsigned *ret_kept,
                          struct err *err)
{
    char bytes[MESSAGE_MAX];
    struct marked_search search = {.tag = tag, .tag_mask = tag_mask};
    uint16_t family;
    *ret_removed = *ret_kept = 0;
    int code = find_ipvs(&family);
    if (code == 0 && family) {
        const struct nlmsghdr *message = generic_message(bytes, family, IPVS_CMD_GET_SERVICE, NLM_F_DUMP);
        code = ask(NETLINK_GENERIC, message, message->nlmsg_len, on_service, &search);
    }
    for (unsigned i = 0; i < search.count && code == 0; i++) {
        uint64_t connections = 0;
        code =
            ask_about(family, &search.list[i], IPVS_CMD_GET_DEST, NLM_F_DUMP, on_destination, &connections);
        if (code == 0 && connections == 0)
            code = ask_about(family, &search.list[i], IPVS_CMD_DEL_SERVICE, NLM_F_ACK, NULL, NULL);
        *ret_removed += connections == 0;
        *ret_kept += connections > 0;
    }
    free(search.list);
    return code < 0 ? err_set(err, -code, "the virtual services of ipvs by marks cannot be removed: %s",
                              strerror(-code))
                    : 0;
}

/* --- ipsets --- */

bool netlink_has_ipsets(void)
{
    return access("/sys/module/ip_set", F_OK) == 0;
}

bool netlink_has_ipset(const char *name)
{
    char bytes[MESSAGE_MAX];
    struct nlmsghdr *message =
        netfilter_message(bytes, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_HEADER, NLM_F_ACK, NFPROTO_IPV4);
    mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, name);
    return ask(NETLINK_NETFILTER, message, message->nlmsg_len, NULL, NULL) == 0;
}

int netlink_remove_ipset(const char *name, bool *ret_was_there, struct err *err)
{
    char bytes[MESSAGE_MAX];
    /* Without NLM_F_EXCL a set that is not there would count as destroyed (net/netfilter/ipset, flag_exist).
     */
    struct nlmsghdr *message = netfilter_message(bytes, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_DESTROY,
                                                 NLM_F_ACK | NLM_F_EXCL, NFPROTO_IPV4);
    mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, name);
    int code = ask(NETLINK_NETFILTER, message, message->nlmsg_len, NULL, NULL);
    if (code == -IPSET_ERR_BUSY)
        code = -EBUSY;
    code = removed(code, ret_was_there);
    return code < 0 ? err_set(err, -code, "the ipset %s cannot be destroyed: %s", name, strerror(-code)) : 0;
}
