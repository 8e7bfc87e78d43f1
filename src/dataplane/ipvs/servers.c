/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/servers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "dataplane/ipvs/gather.h"
#include "sys/attributes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct servers {
    struct gather gather;
    uint16_t family; /* of generic netlink */
};

/* --- messages --- */

static void put_command(struct nlmsghdr *message, uint8_t command)
{
    struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->cmd = command;
    header->version = IPVS_GENL_VERSION;
}

static struct nlmsghdr *begin_request(void *at, uint16_t family, uint8_t command, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = family;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    put_command(message, command);
    return message;
}

static uint16_t wire_family(uint8_t family)
{
    return family == FAMILY_IPV4 ? AF_INET : AF_INET6;
}

/* The kernel's union nf_inet_addr. */
static void put_address(struct nlmsghdr *message, uint16_t type, const struct address *address)
{
    uint8_t padded[16] = {0};
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    memcpy(padded, wire, len);
    mnl_attr_put(message, type, sizeof(padded), padded);
}

static void put_settings(struct nlmsghdr *message, uint8_t family, const struct server_settings *settings)
{
    struct ip_vs_flags flags = {.mask = ~0u};
    if (settings->persistence_s)
        flags.flags |= IP_VS_SVC_F_PERSISTENT;
    if (settings->has_source_hash_port)
        flags.flags |= IP_VS_SVC_F_SCHED_SH_PORT;
    mnl_attr_put_strz(message, IPVS_SVC_ATTR_SCHED_NAME, settings->scheduler);
    mnl_attr_put(message, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags);
    mnl_attr_put_u32(message, IPVS_SVC_ATTR_TIMEOUT, settings->persistence_s);
    /* A mask of IPv4, but a length of IPv6 (ip_vs_ctl.c, ip_vs_add_service). */
    mnl_attr_put_u32(message, IPVS_SVC_ATTR_NETMASK, family == FAMILY_IPV4 ? 0xffffffff : 128);
}

static void put_virtual(struct nlmsghdr *message, const struct virtual_server *virtual,
                        const struct server_settings *settings)
{
    struct nlattr *nest = mnl_attr_nest_start(message, IPVS_CMD_ATTR_SERVICE);
    mnl_attr_put_u16(message, IPVS_SVC_ATTR_AF, wire_family(virtual->family));
    if (virtual->mark) {
        mnl_attr_put_u32(message, IPVS_SVC_ATTR_FWMARK, virtual->mark);
    } else {
        mnl_attr_put_u16(message, IPVS_SVC_ATTR_PROTOCOL, virtual->protocol);
        put_address(message, IPVS_SVC_ATTR_ADDR, &virtual->address);
        mnl_attr_put_u16(message, IPVS_SVC_ATTR_PORT, htons(virtual->port));
    }
    if (settings)
        put_settings(message, virtual->family, settings);
    mnl_attr_nest_end(message, nest);
}

static struct nlmsghdr *gather_command(struct servers *servers, uint8_t command,
                                       const struct virtual_server *virtual,
                                       const struct server_settings *settings)
{
    struct nlmsghdr *message = gather_message(&servers->gather, servers->family, 0);
    put_command(message, command);
    put_virtual(message, virtual, settings);
    return message;
}

void servers_set(struct servers *servers, const struct virtual_server *virtual,
                 const struct server_settings *settings, bool is_new)
{
    gather_command(servers, is_new ? IPVS_CMD_NEW_SERVICE : IPVS_CMD_SET_SERVICE, virtual, settings);
}

void servers_remove(struct servers *servers, const struct virtual_server *virtual)
{
    gather_command(servers, IPVS_CMD_DEL_SERVICE, virtual, NULL);
}

static struct nlattr *begin_real(struct nlmsghdr *message, const struct backend *backend)
{
    struct nlattr *nest = mnl_attr_nest_start(message, IPVS_CMD_ATTR_DEST);
    mnl_attr_put_u16(message, IPVS_DEST_ATTR_ADDR_FAMILY,
                     wire_family((uint8_t)address_family(&backend->address)));
    put_address(message, IPVS_DEST_ATTR_ADDR, &backend->address);
    mnl_attr_put_u16(message, IPVS_DEST_ATTR_PORT, htons(backend->port));
    return nest;
}

void servers_set_real(struct servers *servers, const struct virtual_server *virtual,
                      const struct backend *backend, uint32_t weight, bool is_new)
{
    struct nlmsghdr *message =
        gather_command(servers, is_new ? IPVS_CMD_NEW_DEST : IPVS_CMD_SET_DEST, virtual, NULL);
    struct nlattr *nest = begin_real(message, backend);
    mnl_attr_put_u32(message, IPVS_DEST_ATTR_FWD_METHOD, IP_VS_CONN_F_MASQ);
    mnl_attr_put_u32(message, IPVS_DEST_ATTR_WEIGHT, weight);
    mnl_attr_put_u32(message, IPVS_DEST_ATTR_U_THRESH, 0);
    mnl_attr_put_u32(message, IPVS_DEST_ATTR_L_THRESH, 0);
    mnl_attr_nest_end(message, nest);
}

void servers_remove_real(struct servers *servers, const struct virtual_server *virtual,
                         const struct backend *backend)
{
    struct nlmsghdr *message = gather_command(servers, IPVS_CMD_DEL_DEST, virtual, NULL);
    mnl_attr_nest_end(message, begin_real(message, backend));
}

/* --- answers --- */

static bool parse_address(const struct nlattr *attribute, uint16_t wire, struct address *ret)
{
    uint8_t bytes[16];
    if (!attribute_copy(attribute, bytes, sizeof(bytes)) || (wire != AF_INET && wire != AF_INET6))
        return false;
    *ret = address_from_wire(wire == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6, bytes);
    return true;
}

static bool parse_virtual(const struct nlattr *nest, struct virtual_server *ret,
                          struct server_settings *ret_settings)
{
    const struct nlattr *a[IPVS_SVC_ATTR_MAX + 1];
    uint16_t family, protocol, port;
    struct ip_vs_flags flags;
    *ret = (struct virtual_server){0};
    *ret_settings = (struct server_settings){0};
    attributes_in(nest, a, ARRAY_LEN(a));
    if (!attribute_copy(a[IPVS_SVC_ATTR_AF], &family, sizeof(family)))
        return false;
    ret->family = family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
    attribute_copy(a[IPVS_SVC_ATTR_FWMARK], &ret->mark, sizeof(ret->mark));
    if (!ret->mark) {
        if (!parse_address(a[IPVS_SVC_ATTR_ADDR], family, &ret->address))
            return false;
        attribute_copy(a[IPVS_SVC_ATTR_PROTOCOL], &protocol, sizeof(protocol));
        attribute_copy(a[IPVS_SVC_ATTR_PORT], &port, sizeof(port));
        ret->protocol = (uint8_t)protocol;
        ret->port = ntohs(port);
    }
    const char *scheduler = attribute_text(a[IPVS_SVC_ATTR_SCHED_NAME]);
    strncpy(ret_settings->scheduler, scheduler ? scheduler : "", sizeof(ret_settings->scheduler) - 1);
    attribute_copy(a[IPVS_SVC_ATTR_FLAGS], &flags, sizeof(flags));
    ret_settings->has_source_hash_port = flags.flags & IP_VS_SVC_F_SCHED_SH_PORT;
    if (flags.flags & IP_VS_SVC_F_PERSISTENT)
        attribute_copy(a[IPVS_SVC_ATTR_TIMEOUT], &ret_settings->persistence_s,
                       sizeof(ret_settings->persistence_s));
    return true;
}

static bool parse_real(const struct nlattr *nest, struct real_server *ret)
{
    const struct nlattr *a[IPVS_DEST_ATTR_MAX + 1];
    uint16_t family, port;
    uint32_t active, inactive;
    *ret = (struct real_server){0};
    attributes_in(nest, a, ARRAY_LEN(a));
    attribute_copy(a[IPVS_DEST_ATTR_ADDR_FAMILY], &family, sizeof(family));
    if (!parse_address(a[IPVS_DEST_ATTR_ADDR], family, &ret->backend.address))
        return false;
    attribute_copy(a[IPVS_DEST_ATTR_PORT], &port, sizeof(port));
    attribute_copy(a[IPVS_DEST_ATTR_WEIGHT], &ret->weight, sizeof(ret->weight));
    attribute_copy(a[IPVS_DEST_ATTR_ACTIVE_CONNS], &active, sizeof(active));
    attribute_copy(a[IPVS_DEST_ATTR_INACT_CONNS], &inactive, sizeof(inactive));
    ret->backend.port = ntohs(port);
    ret->connections = active + inactive;
    return true;
}

static const struct nlattr *top_attribute(const struct nlmsghdr *message, unsigned type)
{
    const struct nlattr *top[IPVS_CMD_ATTR_MAX + 1];
    attributes_of(message, sizeof(struct genlmsghdr), top, ARRAY_LEN(top));
    return top[type];
}

void servers_parse(const void *bytes, size_t len,
                   void (*visit)(void *context, const struct virtual_server *virtual,
                                 const struct server_settings *settings),
                   void *context)
{
    const struct answer answer = {.bytes = (char *)bytes, .len = len};
    for (const struct nlmsghdr *message = NULL; (message = answer_next(&answer, message));) {
        struct virtual_server virtual;
        struct server_settings settings;
        if (parse_virtual(top_attribute(message, IPVS_CMD_ATTR_SERVICE), &virtual, &settings))
            visit(context, &virtual, &settings);
    }
}

void servers_parse_real(const void *bytes, size_t len,
                        void (*visit)(void *context, const struct real_server *real), void *context)
{
    const struct answer answer = {.bytes = (char *)bytes, .len = len};
    for (const struct nlmsghdr *message = NULL; (message = answer_next(&answer, message));) {
        struct real_server real;
        if (parse_real(top_attribute(message, IPVS_CMD_ATTR_DEST), &real))
            visit(context, &real);
    }
}

/* --- calls --- */

static int find_family(struct gather *gather, uint16_t *ret, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct nlmsghdr *message = begin_request(request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
    mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
    int code = gather_ask(gather, message, &answer);
    const struct nlmsghdr *first = code == 0 ? answer_next(&answer, NULL) : NULL;
    const struct nlattr *a[CTRL_ATTR_FAMILY_ID + 1] = {0};
    if (first)
        attributes_of(first, sizeof(struct genlmsghdr), a, ARRAY_LEN(a));
    bool is_found = attribute_copy(a[CTRL_ATTR_FAMILY_ID], ret, sizeof(*ret));
    free(answer.bytes);
    if (code == 0 && is_found)
        return 0;
    if (code == 0 || code == -ENOENT)
        return err_set(err, ENOENT, "this kernel has no IPVS, or its module ip_vs is not loaded");
    return err_set(err, -code, "IPVS cannot be asked for: %s", strerror(-code));
}

int servers_open(struct servers **ret, struct err *err)
{
    struct gather gather;
    uint16_t family;
    int code = gather_open(&gather, NETLINK_GENERIC, err);
    if (code < 0)
        return code;
    code = find_family(&gather, &family, err);
    if (code < 0) {
        gather_close(&gather);
        return code;
    }
    *ret = xcalloc(1, sizeof(**ret));
    **ret = (struct servers){.gather = gather, .family = family};
    return 0;
}

void servers_close(struct servers *servers)
{
    if (!servers)
        return;
    gather_close(&servers->gather);
    free(servers);
}

/* ESRCH is the virtual server that is not there, ENOENT the real one, or the scheduler (ip_vs_ctl.c). What
 * cannot be changed because it is not there is added, and the other way round. What is refused behind that,
 * because its virtual server was not there, comes again with it. */
static enum gather_verdict judge(struct nlmsghdr *message, int code)
{
    struct genlmsghdr *header = mnl_nlmsg_get_payload(message);
    switch (header->cmd) {
    case IPVS_CMD_DEL_SERVICE:
    case IPVS_CMD_DEL_DEST:
        return code == -ESRCH || code == -ENOENT ? GATHER_FINE : GATHER_REFUSED;
    case IPVS_CMD_NEW_SERVICE:
        if (code != -EEXIST)
            return GATHER_REFUSED;
        header->cmd = IPVS_CMD_SET_SERVICE;
        return GATHER_AGAIN;
    case IPVS_CMD_SET_SERVICE:
        if (code != -ESRCH)
            return GATHER_REFUSED;
        header->cmd = IPVS_CMD_NEW_SERVICE;
        return GATHER_AGAIN;
    case IPVS_CMD_NEW_DEST:
        if (code != -EEXIST)
            return GATHER_REFUSED;
        header->cmd = IPVS_CMD_SET_DEST;
        return GATHER_AGAIN;
    case IPVS_CMD_SET_DEST:
        if (code != -ENOENT)
            return GATHER_REFUSED;
        header->cmd = IPVS_CMD_NEW_DEST;
        return GATHER_AGAIN;
    default:
        return GATHER_REFUSED;
    }
}

static const char *describe(uint8_t command)
{
    switch (command) {
    case IPVS_CMD_NEW_SERVICE:
    case IPVS_CMD_NEW_DEST:
        return "added";
    case IPVS_CMD_DEL_SERVICE:
    case IPVS_CMD_DEL_DEST:
        return "removed";
    default:
        return "changed";
    }
}

static int tell_refusal(const struct gather_failure *failure, struct err *err)
{
    struct virtual_server virtual;
    struct server_settings settings;
    struct real_server real;
    char name[VIRTUAL_SERVER_TEXT_MAX], socket[SOCKET_ADDRESS_TEXT_MAX];
    int code = failure->code;
    if (!failure->has_message)
        return err_set(err, -code, "the kernel does not take changes of IPVS: %s", strerror(-code));
    const struct genlmsghdr *header = mnl_nlmsg_get_payload(&failure->message);
    const char *verb = describe(header->cmd);
    parse_virtual(top_attribute(&failure->message, IPVS_CMD_ATTR_SERVICE), &virtual, &settings);
    virtual_server_format(&virtual, name);
    if (parse_real(top_attribute(&failure->message, IPVS_CMD_ATTR_DEST), &real)) {
        struct socket_address at = {real.backend.address, real.backend.port};
        return err_set(err, -code, "the real server %s of %s cannot be %s: %s",
                       socket_address_format(&at, socket), name, verb,
                       code == -ESRCH ? "that virtual server is not there" : strerror(-code));
    }
    if (code == -ENOENT)
        return err_set(err, ENOENT, "the virtual server %s cannot be %s: this kernel has no scheduler %s",
                       name, verb, settings.scheduler);
    return err_set(err, -code, "the virtual server %s cannot be %s: %s", name, verb, strerror(-code));
}

int servers_flush(struct servers *servers, struct err *err)
{
    struct gather_failure failure;
    if (gather_flush(&servers->gather, judge, &failure) == 0)
        return 0;
    return tell_refusal(&failure, err);
}

int servers_list(struct servers *servers,
                 void (*visit)(void *context, const struct virtual_server *virtual,
                               const struct server_settings *settings),
                 void *context, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    int code = gather_ask(&servers->gather,
                          begin_request(request, servers->family, IPVS_CMD_GET_SERVICE, NLM_F_DUMP), &answer);
    if (code < 0)
        return err_set(err, -code, "the virtual servers cannot be listed: %s", strerror(-code));
    servers_parse(answer.bytes, answer.len, visit, context);
    free(answer.bytes);
    return 0;
}

static int ask_about(struct servers *servers, uint8_t command, uint16_t flags,
                     const struct virtual_server *virtual, struct answer *ret)
{
    char request[GATHER_MESSAGE_MAX];
    struct nlmsghdr *message = begin_request(request, servers->family, command, flags);
    put_virtual(message, virtual, NULL);
    return gather_ask(&servers->gather, message, ret);
}

int servers_list_real(struct servers *servers, const struct virtual_server *virtual,
                      void (*visit)(void *context, const struct real_server *real), void *context,
                      struct err *err)
{
    char name[VIRTUAL_SERVER_TEXT_MAX];
    struct answer answer;
    int code = ask_about(servers, IPVS_CMD_GET_DEST, NLM_F_DUMP, virtual, &answer);
    /* The kernel says nothing about none and about those of nobody. */
    if (code == 0 && answer.len == 0) {
        free(answer.bytes);
        code = ask_about(servers, IPVS_CMD_GET_SERVICE, 0, virtual, &answer);
    }
    if (code < 0) {
        virtual_server_format(virtual, name);
        if (code == -ESRCH)
            return err_set(err, ENOENT, "the virtual server %s is not there", name);
        return err_set(err, -code, "the real servers of %s cannot be listed: %s", name, strerror(-code));
    }
    servers_parse_real(answer.bytes, answer.len, visit, context);
    free(answer.bytes);
    return 0;
}

int servers_set_timeouts(struct servers *servers, uint32_t tcp_s, uint32_t tcp_fin_s, uint32_t udp_s,
                         struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct nlmsghdr *message = begin_request(request, servers->family, IPVS_CMD_SET_CONFIG, 0);
    mnl_attr_put_u32(message, IPVS_CMD_ATTR_TIMEOUT_TCP, tcp_s);
    mnl_attr_put_u32(message, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, tcp_fin_s);
    mnl_attr_put_u32(message, IPVS_CMD_ATTR_TIMEOUT_UDP, udp_s);
    int code = gather_ask(&servers->gather, message, &answer);
    free(answer.bytes);
    if (code < 0)
        return err_set(err, -code, "IPVS' timeouts (TCP %u s, TCP FIN %u s, UDP %u s) cannot be set: %s",
                       tcp_s, tcp_fin_s, udp_s, strerror(-code));
    return 0;
}

/* TCP to the limited broadcast address is no packet that a host takes. */
int servers_probe_scheduler(struct servers *servers, const char *scheduler, struct err *err)
{
    static const uint8_t broadcast[] = {255, 255, 255, 255};
    const struct virtual_server virtual = {.address = address_from_wire(FAMILY_IPV4, broadcast),
                                           .port = 1,
                                           .protocol = PROTOCOL_TCP,
                                           .family = FAMILY_IPV4};
    char request[GATHER_MESSAGE_MAX];
    struct server_settings settings = {0};
    struct answer answer;
    if (strlen(scheduler) >= sizeof(settings.scheduler))
        return err_set(err, ENOENT, "this kernel has no IPVS scheduler %.64s", scheduler);
    strcpy(settings.scheduler, scheduler);
    /* One may be left of an attempt that was cut short. */
    ask_about(servers, IPVS_CMD_DEL_SERVICE, 0, &virtual, &answer);
    free(answer.bytes);
    struct nlmsghdr *message = begin_request(request, servers->family, IPVS_CMD_NEW_SERVICE, 0);
    put_virtual(message, &virtual, &settings);
    int code = gather_ask(&servers->gather, message, &answer);
    free(answer.bytes);
    if (code == -ENOENT)
        return err_set(err, ENOENT, "this kernel has no IPVS scheduler %s", scheduler);
    if (code < 0)
        return err_set(err, -code, "the IPVS scheduler %s cannot be used: %s", scheduler, strerror(-code));
    code = ask_about(servers, IPVS_CMD_DEL_SERVICE, 0, &virtual, &answer);
    free(answer.bytes);
    if (code < 0 && code != -ESRCH)
        return err_set(err, -code, "the virtual server that tried the scheduler %s cannot be removed: %s",
                       scheduler, strerror(-code));
    return 0;
}

/* --- words --- */

const char *virtual_server_format(const struct virtual_server *virtual, char buffer[VIRTUAL_SERVER_TEXT_MAX])
{
    char text[SOCKET_ADDRESS_TEXT_MAX], number[8];
    const struct socket_address socket = {virtual->address, virtual->port};
    bool is_known = virtual->protocol == PROTOCOL_TCP || virtual->protocol == PROTOCOL_UDP ||
                    virtual->protocol == PROTOCOL_SCTP;
    snprintf(number, sizeof(number), "%u", virtual->protocol);
    if (virtual->mark)
        snprintf(buffer, VIRTUAL_SERVER_TEXT_MAX, "FWM %u%s", virtual->mark,
                 virtual->family == FAMILY_IPV6 ? " IPv6" : "");
    else
        snprintf(buffer, VIRTUAL_SERVER_TEXT_MAX, "%s %s",
                 is_known ? protocol_name(virtual->protocol) : number, socket_address_format(&socket, text));
    return buffer;
}
