/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/ip_vs.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* Answers to dumps, made up message by message as the kernel lays them out. What is not set is left out. */
struct made {
    char bytes[4096] __attribute__((aligned(8)));
    size_t len;
    struct nlmsghdr *message;
    struct nlattr *nest;
};

static inline void made_begin(struct made *made, uint16_t type, size_t header_len)
{
    made->message = mnl_nlmsg_put_header(made->bytes + made->len);
    made->message->nlmsg_type = type;
    made->message->nlmsg_flags = NLM_F_MULTI;
    mnl_nlmsg_put_extra_header(made->message, header_len);
}

static inline void made_end(struct made *made)
{
    made->len += MNL_ALIGN(made->message->nlmsg_len);
}

/* --- ipsets --- */

struct made_member {
    struct address address, other;
    uint16_t port;
    uint8_t protocol, len;
    uint32_t mark, mask;
    bool is_exception;
};

static inline void made_begin_set(struct made *made, const char *name)
{
    made_begin(made, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST, sizeof(struct nfgenmsg));
    mnl_attr_put_u8(made->message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    mnl_attr_put_strz(made->message, IPSET_ATTR_SETNAME, name);
    made->nest = mnl_attr_nest_start(made->message, IPSET_ATTR_ADT);
}

static inline void made_put_ip(struct made *made, uint16_t type, const struct address *address)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    if (!address_is_set(address))
        return;
    struct nlattr *nest = mnl_attr_nest_start(made->message, type);
    mnl_attr_put(made->message,
                 (len == 4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6) | NLA_F_NET_BYTEORDER, len,
                 wire);
    mnl_attr_nest_end(made->message, nest);
}

static inline void made_add_member(struct made *made, const struct made_member *member)
{
    struct nlattr *data = mnl_attr_nest_start(made->message, IPSET_ATTR_DATA);
    made_put_ip(made, IPSET_ATTR_IP, &member->address);
    made_put_ip(made, IPSET_ATTR_IP2, &member->other);
    mnl_attr_put_u16(made->message, IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, htons(member->port));
    mnl_attr_put_u8(made->message, IPSET_ATTR_PROTO, member->protocol);
    if (member->len)
        mnl_attr_put_u8(made->message, IPSET_ATTR_CIDR2, member->len);
    if (member->is_exception)
        mnl_attr_put_u32(made->message, IPSET_ATTR_CADT_FLAGS | NLA_F_NET_BYTEORDER,
                         htonl(IPSET_FLAG_NOMATCH));
    if (member->mask)
        mnl_attr_put_u64(made->message, IPSET_ATTR_SKBMARK | NLA_F_NET_BYTEORDER,
                         htobe64((uint64_t)member->mark << 32 | member->mask));
    mnl_attr_nest_end(made->message, data);
}

static inline void made_end_set(struct made *made)
{
    mnl_attr_nest_end(made->message, made->nest);
    made_end(made);
}

/* --- servers --- */

#define MADE_IPVS 32 /* generic netlink's number of the family, any */

static inline void made_put_server(struct made *made, uint16_t type, const struct address *address)
{
    uint8_t padded[16] = {0};
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    memcpy(padded, wire, len);
    mnl_attr_put(made->message, type, sizeof(padded), padded);
}

struct made_virtual {
    struct address address;
    uint32_t mark, timeout_s;
    uint16_t port, protocol;
    const char *scheduler;
    bool is_persistent, has_second_flag;
};

static inline void made_add_virtual(struct made *made, const struct made_virtual *virtual)
{
    struct ip_vs_flags flags = {.flags = IP_VS_SVC_F_HASHED, .mask = ~0u};
    flags.flags |= virtual->is_persistent ? IP_VS_SVC_F_PERSISTENT : 0;
    flags.flags |= virtual->has_second_flag ? IP_VS_SVC_F_SCHED2 : 0;
    made_begin(made, MADE_IPVS, sizeof(struct genlmsghdr));
    struct nlattr *nest = mnl_attr_nest_start(made->message, IPVS_CMD_ATTR_SERVICE);
    mnl_attr_put_u16(made->message, IPVS_SVC_ATTR_AF,
                     address_family(&virtual->address) == FAMILY_IPV4 ? AF_INET : AF_INET6);
    if (virtual->mark) {
        mnl_attr_put_u32(made->message, IPVS_SVC_ATTR_FWMARK, virtual->mark);
    } else {
        mnl_attr_put_u16(made->message, IPVS_SVC_ATTR_PROTOCOL, virtual->protocol);
        made_put_server(made, IPVS_SVC_ATTR_ADDR, &virtual->address);
        mnl_attr_put_u16(made->message, IPVS_SVC_ATTR_PORT, htons(virtual->port));
    }
    if (virtual->scheduler)
        mnl_attr_put_strz(made->message, IPVS_SVC_ATTR_SCHED_NAME, virtual->scheduler);
    mnl_attr_put(made->message, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags);
    mnl_attr_put_u32(made->message, IPVS_SVC_ATTR_TIMEOUT, virtual->timeout_s);
    mnl_attr_nest_end(made->message, nest);
    made_end(made);
}

struct made_real {
    struct address address;
    uint16_t port, family; /* 0: the address' own */
    uint32_t weight, active, inactive;
};

static inline void made_add_real(struct made *made, const struct made_real *real)
{
    uint16_t family = address_family(&real->address) == FAMILY_IPV4 ? AF_INET : AF_INET6;
    made_begin(made, MADE_IPVS, sizeof(struct genlmsghdr));
    struct nlattr *nest = mnl_attr_nest_start(made->message, IPVS_CMD_ATTR_DEST);
    made_put_server(made, IPVS_DEST_ATTR_ADDR, &real->address);
    mnl_attr_put_u16(made->message, IPVS_DEST_ATTR_PORT, htons(real->port));
    mnl_attr_put_u32(made->message, IPVS_DEST_ATTR_WEIGHT, real->weight);
    mnl_attr_put_u32(made->message, IPVS_DEST_ATTR_ACTIVE_CONNS, real->active);
    mnl_attr_put_u32(made->message, IPVS_DEST_ATTR_INACT_CONNS, real->inactive);
    mnl_attr_put_u16(made->message, IPVS_DEST_ATTR_ADDR_FAMILY, real->family ? real->family : family);
    mnl_attr_nest_end(made->message, nest);
    made_end(made);
}

/* --- addresses --- */

static inline void made_add_address(struct made *made, uint32_t index, struct address address, bool has_local)
{
    size_t len;
    const uint8_t *wire = address_wire(&address, &len);
    made_begin(made, RTM_NEWADDR, sizeof(struct ifaddrmsg));
    struct ifaddrmsg *header = mnl_nlmsg_get_payload(made->message);
    header->ifa_family = len == 4 ? AF_INET : AF_INET6;
    header->ifa_index = index;
    mnl_attr_put(made->message, IFA_ADDRESS, len, wire);
    if (has_local)
        mnl_attr_put(made->message, IFA_LOCAL, len, wire);
    made_end(made);
}
