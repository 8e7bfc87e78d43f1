/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/flows.h"

#include "base/cleanup.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BUFFER (32 << 10)

/* libmnl walks to the end rounded up: only whole attributes may be walked. */
static const struct nlattr *find(const void *bytes, size_t len, uint16_t type)
{
    const struct nlattr *attribute = bytes;
    int left = (int)len;
    if (len % MNL_ALIGNTO)
        return NULL;
    for (; mnl_attr_ok(attribute, left); attribute = mnl_attr_next(attribute)) {
        if (mnl_attr_get_type(attribute) == type)
            return attribute;
        left -= (int)MNL_ALIGN(attribute->nla_len);
    }
    return NULL;
}

static const struct nlattr *find_in(const struct nlattr *nest, uint16_t type)
{
    return nest ? find(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), type) : NULL;
}

static bool take_address(const struct nlattr *tuple, enum family family, bool is_source, struct address *ret)
{
    static const uint16_t types[FAMILY_COUNT][2] = {
        [FAMILY_IPV4] = {CTA_IP_V4_DST, CTA_IP_V4_SRC},
        [FAMILY_IPV6] = {CTA_IP_V6_DST, CTA_IP_V6_SRC},
    };
    const struct nlattr *found = find_in(find_in(tuple, CTA_TUPLE_IP), types[family][is_source]);
    if (!found || mnl_attr_get_payload_len(found) != (family == FAMILY_IPV4 ? 4 : 16))
        return false;
    *ret = address_from_wire(family, mnl_attr_get_payload(found));
    return true;
}

static uint16_t port_in(const struct nlattr *transport, uint16_t type)
{
    const struct nlattr *port = find_in(transport, type);
    return port && mnl_attr_get_payload_len(port) == sizeof(uint16_t) ? ntohs(mnl_attr_get_u16(port)) : 0;
}

bool flow_parse(const struct nlmsghdr *message, struct flow *ret)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW) ||
        mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
        (header->nfgen_family != AF_INET && header->nfgen_family != AF_INET6))
        return false;
    const char *bytes = mnl_nlmsg_get_payload_offset(message, sizeof(*header));
    size_t len = mnl_nlmsg_get_payload_len(message) - sizeof(*header);
    const struct nlattr *status = find(bytes, len, CTA_STATUS);
    if (!status || mnl_attr_get_payload_len(status) != sizeof(uint32_t) ||
        !(ntohl(mnl_attr_get_u32(status)) & IPS_DST_NAT))
        return false;
    const struct nlattr *sent = find(bytes, len, CTA_TUPLE_ORIG), *answer = find(bytes, len, CTA_TUPLE_REPLY);
    const struct nlattr *transport = find_in(sent, CTA_TUPLE_PROTO);
    const struct nlattr *protocol = find_in(transport, CTA_PROTO_NUM);
    if (!protocol || mnl_attr_get_payload_len(protocol) != sizeof(uint8_t))
        return false;
    struct flow flow = {.family = header->nfgen_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6,
                        .protocol = mnl_attr_get_u8(protocol)};
    flow.port = port_in(transport, CTA_PROTO_DST_PORT);
    flow.source_port = port_in(transport, CTA_PROTO_SRC_PORT);
    flow.answer_port = port_in(find_in(answer, CTA_TUPLE_PROTO), CTA_PROTO_SRC_PORT);
    if (!take_address(sent, flow.family, true, &flow.source) ||
        !take_address(sent, flow.family, false, &flow.destination) ||
        !take_address(answer, flow.family, true, &flow.answerer))
        return false;
    *ret = flow;
    return true;
}

static int ask(int fd)
{
    char buffer[256] = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    *header = (struct nfgenmsg){.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    return send(fd, request, request->nlmsg_len, 0) < 0 ? -errno : 0;
}

int flows_open(struct flows *ret, struct err *err)
{
    *ret = (struct flows){.fd = -1};
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    if (fd < 0)
        return err_set(err, errno, "cannot open conntrack: %s", strerror(errno));
    int code = ask(fd);
    if (code < 0)
        return err_set(err, -code, "cannot list conntrack entries: %s", strerror(-code));
    ret->fd = steal_fd(&fd);
    return 0;
}

/* The errno of an answer that is an error or the end; both begin with a number that is 0 or negative. */
static int answer_code(const struct nlmsghdr *message)
{
    if (mnl_nlmsg_get_payload_len(message) < sizeof(int))
        return message->nlmsg_type == NLMSG_DONE ? 0 : -EPROTO;
    int code = *(const int *)mnl_nlmsg_get_payload(message);
    return code == 0 && message->nlmsg_type == NLMSG_ERROR ? -EPROTO : code;
}

int flows_read(struct flows *flows, flows_visit_fn *visit, void *context, struct err *err)
{
    char buffer[READ_BUFFER] __attribute__((aligned(MNL_ALIGNTO)));
    ssize_t got = recv(flows->fd, buffer, sizeof(buffer), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (got < 0)
        return err_set(err, errno, "cannot list conntrack entries: %s", strerror(errno));
    int left = (int)got;
    for (const struct nlmsghdr *message = (void *)buffer; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        struct flow flow;
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
            int code = answer_code(message);
            if (code < 0)
                err_set(err, -code, "cannot list conntrack entries: %s", strerror(-code));
            return code < 0 ? code : 0;
        }
        flows->entries++;
        if (flow_parse(message, &flow))
            visit(context, &flow);
    }
    return 1;
}

void flows_close(struct flows *flows)
{
    if (flows->fd >= 0)
        close(flows->fd);
    flows->fd = -1;
}
