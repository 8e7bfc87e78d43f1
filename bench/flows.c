/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts entries into a network namespace's conntrack, as destination NAT leaves them, without the packets:
 * connection I is of a client of its own, to service I modulo SERVICES, sent to one of its endpoints. */
#include "answer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFETIME_S 3600
#define FIRST_CLIENT 0x0ac00000U /* 10.192.0.0 */
#define FIRST_PORT 1024
#define PORTS 60000

struct plan {
    uint32_t count, services, first_service, first_endpoint, endpoints;
    uint16_t port, target_port;
};

static void put_tuple(struct nlmsghdr *message, uint16_t type, uint32_t source, uint16_t source_port,
                      uint32_t destination, uint16_t destination_port)
{
    struct nlattr *tuple = mnl_attr_nest_start(message, type);
    struct nlattr *inner = mnl_attr_nest_start(message, CTA_TUPLE_IP);

    mnl_attr_put_u32(message, CTA_IP_V4_SRC, htonl(source));
    mnl_attr_put_u32(message, CTA_IP_V4_DST, htonl(destination));
    mnl_attr_nest_end(message, inner);
    inner = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP);
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(source_port));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(destination_port));
    mnl_attr_nest_end(message, inner);
    mnl_attr_nest_end(message, tuple);
}

static void put_nat(struct nlmsghdr *message, uint32_t address, uint16_t port)
{
    struct nlattr *nat = mnl_attr_nest_start(message, CTA_NAT_DST), *range;

    mnl_attr_put_u32(message, CTA_NAT_V4_MINIP, htonl(address));
    mnl_attr_put_u32(message, CTA_NAT_V4_MAXIP, htonl(address));
    range = mnl_attr_nest_start(message, CTA_NAT_PROTO);
    mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MIN, htons(port));
    mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MAX, htons(port));
    mnl_attr_nest_end(message, range);
    mnl_attr_nest_end(message, nat);
}

/* The reply is told as without NAT; the kernel alters it by CTA_NAT_DST. */
static void put_entry(char *buffer, const struct plan *plan, uint32_t number)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *family;
    struct nlattr *info, *tcp;
    uint32_t index = number % plan->services;
    uint32_t client = FIRST_CLIENT + number / PORTS, service = plan->first_service + index;
    uint16_t client_port = (uint16_t)(FIRST_PORT + number % PORTS);
    uint32_t endpoint =
        plan->first_endpoint + index * plan->endpoints + number / plan->services % plan->endpoints;

    message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    message->nlmsg_seq = number + 1;
    family = mnl_nlmsg_put_extra_header(message, sizeof(*family));
    *family = (struct nfgenmsg){.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    put_tuple(message, CTA_TUPLE_ORIG, client, client_port, service, plan->port);
    put_tuple(message, CTA_TUPLE_REPLY, service, plan->port, client, client_port);
    mnl_attr_put_u32(message, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED));
    mnl_attr_put_u32(message, CTA_TIMEOUT, htonl(LIFETIME_S));
    put_nat(message, endpoint, plan->target_port);
    info = mnl_attr_nest_start(message, CTA_PROTOINFO);
    tcp = mnl_attr_nest_start(message, CTA_PROTOINFO_TCP);
    mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
    mnl_attr_nest_end(message, tcp);
    mnl_attr_nest_end(message, info);
}

static int put_all(struct mnl_socket *nl, const struct plan *plan, struct err *err)
{
    char buffer[1024], answer[4096];

    for (uint32_t number = 0; number < plan->count; number++) {
        const struct nlmsghdr *message = (void *)buffer;
        ssize_t got = 0;

        put_entry(buffer, plan, number);
        if (mnl_socket_sendto(nl, message, message->nlmsg_len) >= 0)
            got = mnl_socket_recvfrom(nl, answer, sizeof(answer));
        if (got < 0 || mnl_cb_run(answer, (size_t)got, number + 1, 0, NULL, NULL) < 0)
            return err_set(err, errno, "entry %u: %s", number + 1, strerror(errno));
    }
    return 0;
}

static int plan_parse(char **words, struct plan *ret, struct err *err)
{
    struct sockaddr_in service, endpoint;
    int result = endpoint_parse(words[2], &service, err);

    if (result >= 0)
        result = endpoint_parse(words[4], &endpoint, err);
    if (result < 0)
        return result;
    *ret = (struct plan){
        .count = (uint32_t)strtoul(words[1], NULL, 10),
        .services = (uint32_t)strtoul(words[3], NULL, 10),
        .first_service = ntohl(service.sin_addr.s_addr),
        .port = ntohs(service.sin_port),
        .first_endpoint = ntohl(endpoint.sin_addr.s_addr),
        .target_port = ntohs(endpoint.sin_port),
        .endpoints = (uint32_t)strtoul(words[5], NULL, 10),
    };
    if (ret->services == 0 || ret->endpoints == 0)
        return err_set(err, EINVAL, "there have to be services and endpoints");
    return 0;
}

int main(int argc, char **argv)
{
    struct mnl_socket *nl = NULL;
    struct plan plan;
    struct err err;

    if (argc != 7) {
        fprintf(stderr,
                "usage: bench-flows NETNS COUNT SERVICE:PORT SERVICES ENDPOINT:PORT ENDPOINTS_PER_SERVICE\n");
        return 2;
    }
    int result = plan_parse(argv + 1, &plan, &err);
    if (result >= 0)
        result = netns_enter(argv[1], &err);
    if (result >= 0)
        result = conntrack_flush(&err);
    if (result >= 0) {
        nl = mnl_socket_open(NETLINK_NETFILTER);
        if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
            result = err_set(&err, errno, "netlink: %s", strerror(errno));
    }
    if (result >= 0)
        result = put_all(nl, &plan, &err);
    if (nl)
        mnl_socket_close(nl);
    if (result < 0)
        log_error("%s", err.text);
    return result < 0 ? 1 : 0;
}
