/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/bound.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "dataplane/ipvs/gather.h"
#include "sys/attributes.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>

#define KIND "dummy"
#define WATCH_BUFFER (1 << 20)

struct carried {
    struct address address;
    UT_hash_handle hh;
};

/* carried is what the interface has as far as we know: whether it is so tells a change by somebody else from
 * the echo of ours, for the kernel does not say whose an IPv6 address' change is (net/ipv6/addrconf.c,
 * inet6_ifa_notify). */
struct bound {
    struct gather gather;
    int watch_fd;
    uint32_t index;
    struct carried *carried;
    bool is_doubtful;
};

/* --- what we know --- */

static struct carried *find(const struct bound *bound, const struct address *address)
{
    struct carried *found;
    HASH_FIND(hh, bound->carried, address, sizeof(*address), found);
    return found;
}

static void know(struct bound *bound, const struct address *address)
{
    if (find(bound, address))
        return;
    struct carried *carried = xcalloc(1, sizeof(*carried));
    carried->address = *address;
    HASH_ADD(hh, bound->carried, address, sizeof(carried->address), carried);
}

static void forget(struct bound *bound, struct carried *carried)
{
    if (!carried)
        return;
    HASH_DEL(bound->carried, carried);
    free(carried);
}

static void forget_all(struct bound *bound)
{
    struct carried *carried, *next;
    HASH_ITER (hh, bound->carried, carried, next) {
        forget(bound, carried);
    }
}

/* --- messages --- */

static struct nlmsghdr *begin_link(void *at, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(message, IFLA_IFNAME, BOUND_INTERFACE);
    return message;
}

static void gather_address(struct bound *bound, uint16_t type, uint16_t flags, const struct address *address)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    struct nlmsghdr *message = gather_message(&bound->gather, type, flags);
    struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ifa_family = len == 4 ? AF_INET : AF_INET6;
    header->ifa_prefixlen = (uint8_t)(len * 8);
    header->ifa_scope = RT_SCOPE_UNIVERSE;
    header->ifa_index = bound->index;
    mnl_attr_put(message, IFA_LOCAL, len, wire);
    mnl_attr_put(message, IFA_ADDRESS, len, wire);
    /* Without a route beside the one in the table local: there are as many to walk as there are addresses. */
    if (len != 4)
        mnl_attr_put_u32(message, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
}

void bound_add(struct bound *bound, const struct address *address)
{
    gather_address(bound, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

void bound_remove(struct bound *bound, const struct address *address)
{
    gather_address(bound, RTM_DELADDR, 0, address);
}

/* --- answers --- */

/* The address that a message tells of; false for another interface's, a link-local one of IPv6, or nonsense.
 */
static bool parse_address(const struct nlmsghdr *message, uint32_t index, struct address *ret)
{
    const struct nlattr *a[IFA_LOCAL + 1];
    uint8_t wire[16];
    if ((message->nlmsg_type != RTM_NEWADDR && message->nlmsg_type != RTM_DELADDR) ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct ifaddrmsg))
        return false;
    const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
    if (header->ifa_index != index || (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
        return false;
    attributes_of(message, sizeof(*header), a, ARRAY_LEN(a));
    enum family family = header->ifa_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
    if (!attribute_copy(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], wire, family == FAMILY_IPV4 ? 4 : 16))
        return false;
    *ret = address_from_wire(family, wire);
    return family == FAMILY_IPV4 || !address_is_link_local(ret);
}

void bound_parse(const void *bytes, size_t len, uint32_t index,
                 void (*visit)(void *context, const struct address *address), void *context)
{
    const struct answer answer = {.bytes = (char *)bytes, .len = len};
    for (const struct nlmsghdr *message = NULL; (message = answer_next(&answer, message));) {
        struct address address;
        if (message->nlmsg_type == RTM_NEWADDR && parse_address(message, index, &address))
            visit(context, &address);
    }
}

/* --- the interface --- */

static int parse_link(const struct nlmsghdr *message, uint32_t *ret_index, struct err *err)
{
    const struct nlattr *a[IFLA_LINKINFO + 1], *info[IFLA_INFO_KIND + 1];
    if (mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
        return err_set(err, EPROTO, "the interface %s cannot be looked up", BOUND_INTERFACE);
    const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
    attributes_of(message, sizeof(*header), a, ARRAY_LEN(a));
    attributes_in(a[IFLA_LINKINFO], info, ARRAY_LEN(info));
    const char *kind = attribute_text(info[IFLA_INFO_KIND]);
    if (!kind || strcmp(kind, KIND) != 0)
        return err_set(err, EEXIST, "an interface %s is there already, and it is no dummy but %s",
                       BOUND_INTERFACE, kind ? kind : "a real one");
    *ret_index = (uint32_t)header->ifi_index;
    return 0;
}

/* -ENODEV when it is not there. */
static int find_link(struct bound *bound, uint32_t *ret_index, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    int code = gather_ask(&bound->gather, begin_link(request, RTM_GETLINK, 0), &answer);
    const struct nlmsghdr *first = code == 0 ? answer_next(&answer, NULL) : NULL;
    if (code == 0)
        code = first ? parse_link(first, ret_index, err) : -ENODEV;
    else
        err_set(err, -code, "the interface %s cannot be looked up: %s", BOUND_INTERFACE, strerror(-code));
    free(answer.bytes);
    return code;
}

static void put_kind(struct nlmsghdr *message)
{
    struct nlattr *nest = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, KIND);
    mnl_attr_nest_end(message, nest);
}

/* Left down, as kube-proxy does: its addresses are the node's all the same, and no route leads to it. A dummy
 * has no ARP by itself (drivers/net/dummy.c). */
static int make_link(struct bound *bound, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct nlmsghdr *message = begin_link(request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
    header->ifi_flags = header->ifi_change = IFF_NOARP;
    put_kind(message);
    int code = gather_ask(&bound->gather, message, &answer);
    free(answer.bytes);
    if (code == -EOPNOTSUPP)
        return err_set(err, EOPNOTSUPP,
                       "the interface %s cannot be made: this kernel has no dummy interfaces",
                       BOUND_INTERFACE);
    if (code < 0 && code != -EEXIST)
        return err_set(err, -code, "the interface %s cannot be made: %s", BOUND_INTERFACE, strerror(-code));
    return 0;
}

/* The kernel looks for the kind, and loads its module, before the kind looks at the address: that is one of
 * many receivers, which no interface may have (dummy_validate). */
int bound_probe(struct err *err)
{
    static const uint8_t of_many[6] = {1};
    char request[GATHER_MESSAGE_MAX];
    struct gather gather;
    struct answer answer;
    int code = gather_open(&gather, NETLINK_ROUTE, err);
    if (code < 0)
        return code;
    struct nlmsghdr *message = begin_link(request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put(message, IFLA_ADDRESS, sizeof(of_many), of_many);
    put_kind(message);
    code = gather_ask(&gather, message, &answer);
    free(answer.bytes);
    gather_close(&gather);
    if (code == 0 || code == -EADDRNOTAVAIL || code == -EEXIST)
        return 0;
    return err_set(err, -code, "this kernel has no dummy interfaces (the module dummy): %s", strerror(-code));
}

/* Lets pass what is about our interface and was not asked for by our own request socket. */
static int attach_filter(struct bound *bound, struct err *err)
{
    enum {
        PORT_ID = offsetof(struct nlmsghdr, nlmsg_pid),
        INDEX = NLMSG_HDRLEN + offsetof(struct ifaddrmsg, ifa_index)
    };
    _Static_assert(offsetof(struct ifaddrmsg, ifa_index) == offsetof(struct ifinfomsg, ifi_index),
                   "the index of the interface is at the same place in both");
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PORT_ID),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(bound->gather.port_id), 3, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, INDEX),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(bound->index), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
    if (setsockopt(bound->watch_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return err_set(err, errno, "cannot filter the interfaces' events: %s", strerror(errno));
    return 0;
}

/* Has the interface, and the watch on it, whatever became of the last one. */
static int ensure_link(struct bound *bound, struct err *err)
{
    uint32_t index;
    int code = find_link(bound, &index, err);
    if (code == -ENODEV) {
        code = make_link(bound, err);
        if (code == 0)
            code = find_link(bound, &index, err);
    }
    if (code < 0 || index == bound->index)
        return code;
    bound->index = index;
    return attach_filter(bound, err);
}

static int open_watch(int *ret, struct err *err)
{
    *ret = netlink_open(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, WATCH_BUFFER);
    return *ret < 0 ? err_set(err, -*ret, "cannot listen to the interfaces' events: %s", strerror(-*ret)) : 0;
}

/* --- calls --- */

static void ask_strictly(struct bound *bound)
{
    const int on = 1; /* then a dump can be of one interface; without, more is told than asked for */
    setsockopt(bound->gather.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
}

/* Dropping what is asked: the caller frees the answer. */
static int dump(struct bound *bound, struct answer *ret, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct nlmsghdr *message = mnl_nlmsg_put_header(request);
    message->nlmsg_type = RTM_GETADDR;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ifa_index = bound->index;
    int code = gather_ask(&bound->gather, message, ret);
    if (code < 0)
        return err_set(err, -code, "the addresses of the interface %s cannot be listed: %s", BOUND_INTERFACE,
                       strerror(-code));
    return 0;
}

static void visit_known(void *context, const struct address *address)
{
    know(context, address);
}

int bound_open(struct bound **ret, struct err *err)
{
    struct bound *bound = xcalloc(1, sizeof(*bound));
    bound->watch_fd = bound->gather.fd = -1;
    int code = gather_open(&bound->gather, NETLINK_ROUTE, err);
    if (code == 0)
        code = open_watch(&bound->watch_fd, err);
    if (code == 0) {
        ask_strictly(bound);
        code = bound_list(bound, NULL, NULL, err);
    }
    if (code < 0) {
        bound_close(bound);
        return code;
    }
    *ret = bound;
    return 0;
}

void bound_close(struct bound *bound)
{
    if (!bound)
        return;
    forget_all(bound);
    gather_close(&bound->gather);
    if (bound->watch_fd >= 0)
        close(bound->watch_fd);
    free(bound);
}

static enum gather_verdict judge(struct nlmsghdr *message, int code)
{
    bool is_as_wanted = message->nlmsg_type == RTM_NEWADDR ? code == -EEXIST : code == -EADDRNOTAVAIL;
    return is_as_wanted ? GATHER_FINE : GATHER_REFUSED;
}

int bound_flush(struct bound *bound, struct err *err)
{
    struct gather_failure failure;
    struct address address = {0};
    char text[ADDRESS_TEXT_MAX];
    for (const struct nlmsghdr *message = NULL; (message = gather_next(&bound->gather, message));) {
        if (!parse_address(message, bound->index, &address))
            continue;
        if (message->nlmsg_type == RTM_NEWADDR)
            know(bound, &address);
        else
            forget(bound, find(bound, &address));
    }
    if (gather_flush(&bound->gather, judge, &failure) == 0)
        return 0;
    bound->is_doubtful = true;
    int code = failure.code;
    if (!failure.has_message)
        return err_set(err, -code, "the kernel does not take addresses of the interface %s: %s",
                       BOUND_INTERFACE, strerror(-code));
    parse_address(&failure.message, bound->index, &address);
    return err_set(err, -code, "the address %s cannot be %s the interface %s: %s",
                   address_format(&address, text),
                   failure.message.nlmsg_type == RTM_NEWADDR ? "bound to" : "removed from", BOUND_INTERFACE,
                   strerror(-code));
}

int bound_list(struct bound *bound, void (*visit)(void *context, const struct address *address),
               void *context, struct err *err)
{
    struct answer answer;
    int code = ensure_link(bound, err);
    if (code == 0)
        code = dump(bound, &answer, err);
    if (code < 0)
        return code;
    forget_all(bound);
    bound->is_doubtful = false;
    bound_parse(answer.bytes, answer.len, bound->index, visit_known, bound);
    if (visit)
        bound_parse(answer.bytes, answer.len, bound->index, visit, context);
    free(answer.bytes);
    return 0;
}

int bound_watch_fd(const struct bound *bound)
{
    return bound->watch_fd;
}

/* Whether an event is not what our own changes would lead to. */
static bool is_strange(const struct bound *bound, const struct nlmsghdr *message)
{
    struct address address;
    if (message->nlmsg_type == RTM_DELLINK)
        return true;
    if (!parse_address(message, bound->index, &address))
        return false;
    return (message->nlmsg_type == RTM_NEWADDR) != (find(bound, &address) != NULL);
}

struct comparison {
    const struct bound *bound;
    uint32_t count;
    bool has_stranger;
};

static void compare(void *context, const struct address *address)
{
    struct comparison *comparison = context;
    comparison->count++;
    comparison->has_stranger |= find(comparison->bound, address) == NULL;
}

static bool is_as_known(struct bound *bound)
{
    struct comparison comparison = {.bound = bound};
    struct answer answer;
    if (dump(bound, &answer, NULL) < 0)
        return false;
    bound_parse(answer.bytes, answer.len, bound->index, compare, &comparison);
    free(answer.bytes);
    return !comparison.has_stranger && comparison.count == HASH_COUNT(bound->carried);
}

bool bound_is_disturbed(struct bound *bound)
{
    char buffer[8192];
    for (;;) {
        ssize_t got = recv(bound->watch_fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != ENOBUFS)
            break;
        if (got < 0)
            bound->is_doubtful = true;
        const struct answer answer = {.bytes = buffer, .len = got < 0 ? 0 : (size_t)got};
        for (const struct nlmsghdr *message = NULL; (message = answer_next(&answer, message));)
            bound->is_doubtful |= is_strange(bound, message);
    }
    if (!bound->is_doubtful)
        return false;
    bound->is_doubtful = false;
    return !is_as_known(bound);
}
