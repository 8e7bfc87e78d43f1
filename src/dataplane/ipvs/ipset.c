/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/ipset.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "dataplane/ipvs/gather.h"
#include "sys/attributes.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/* Of sets that we make: kube-proxy's, which can go on with a set of its own size alone. To `ipset create
 * -exist` one of another maxelem is another set (ip_set_hash_gen.h, mtype_same_set), whatever else is the
 * same. */
#define MAXIMUM_SIZE 65536
#define INITIAL_HASHSIZE 1024 /* they grow by themselves */
#define WHOLE_MARK 0xffffffffu

/* With the revision that brought marks (skbinfo, Linux 3.18): later ones added nothing that we use. */
static const struct {
    const char *name;
    uint8_t revision;
} types[IPSET_TYPE_COUNT] = {
    [IPSET_BITMAP_PORT] = {"bitmap:port", 3},           [IPSET_HASH_IP] = {"hash:ip", 4},
    [IPSET_HASH_IP_PORT] = {"hash:ip,port", 5},         [IPSET_HASH_IP_PORT_IP] = {"hash:ip,port,ip", 5},
    [IPSET_HASH_IP_PORT_NET] = {"hash:ip,port,net", 7},
};

struct ipset_socket {
    struct gather gather;
};

/* What ip_set says, above the range of errno. */
static const struct refusal {
    int code, errno_code;
    const char *why;
} refusals[] = {
    {IPSET_ERR_PROTOCOL, EINVAL, "it does not fit that type of set"},
    {IPSET_ERR_FIND_TYPE, EOPNOTSUPP, "this kernel does not have that type of set"},
    {IPSET_ERR_MAX_SETS, ENFILE, "the kernel has as many sets as it can"},
    {IPSET_ERR_BUSY, EBUSY, "a rule or another set uses it"},
    {IPSET_ERR_TYPE_MISMATCH, EEXIST, "the set is of another type"},
    {IPSET_ERR_EXIST, EEXIST, "it is there already, or not there any more"},
    {IPSET_ERR_INVALID_CIDR, EINVAL, "the length of its network is out of range"},
    {IPSET_ERR_INVALID_FAMILY, EINVAL, "the set is of the other IP family"},
    {IPSET_ERR_IPADDR_IPV4, EINVAL, "the set holds IPv4 addresses"},
    {IPSET_ERR_IPADDR_IPV6, EINVAL, "the set holds IPv6 addresses"},
    {IPSET_ERR_SKBINFO, EINVAL, "the set was made without marks"},
    {IPSET_ERR_HASH_FULL, ENFILE, "the set is full"},
    {IPSET_ERR_HASH_ELEM, EINVAL, "it is an address of zeros"},
    {IPSET_ERR_INVALID_PROTO, EINVAL, "its protocol is not one"},
    {ENOENT, ENOENT, "there is no such set"},
};

/* code is -errno or one of ip_set's, negative. Returns a real -errno. */
static int explain(int code, const char **ret_why)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (refusals[i].code == -code) {
            *ret_why = refusals[i].why;
            return -refusals[i].errno_code;
        }
    }
    bool is_errno = -code < IPSET_ERR_PRIVATE;
    *ret_why = is_errno ? strerror(-code) : "the kernel's ip_set refuses it";
    return is_errno ? code : -EINVAL;
}

/* --- messages --- */

static void put_header(struct nlmsghdr *message, const char *set)
{
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->nfgen_family = NFPROTO_IPV4;
    header->version = NFNETLINK_V0;
    mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    if (set)
        mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, set);
}

static struct nlmsghdr *begin_request(void *at, uint8_t command, uint16_t flags, const char *set)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = NFNL_SUBSYS_IPSET << 8 | command;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    put_header(message, set);
    return message;
}

static void put_u16(struct nlmsghdr *message, uint16_t type, uint16_t value)
{
    mnl_attr_put_u16(message, type | NLA_F_NET_BYTEORDER, htons(value));
}

static void put_u32(struct nlmsghdr *message, uint16_t type, uint32_t value)
{
    mnl_attr_put_u32(message, type | NLA_F_NET_BYTEORDER, htonl(value));
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct address *address)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    struct nlattr *nest = mnl_attr_nest_start(message, type);
    mnl_attr_put(message, (len == 4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6) | NLA_F_NET_BYTEORDER,
                 len, wire);
    mnl_attr_nest_end(message, nest);
}

static void put_member(struct nlmsghdr *message, const struct ipset *set, const struct ipset_member *member)
{
    struct nlattr *data = mnl_attr_nest_start(message, IPSET_ATTR_DATA);
    if (set->type != IPSET_BITMAP_PORT)
        put_address(message, IPSET_ATTR_IP, &member->address);
    if (set->type != IPSET_HASH_IP)
        put_u16(message, IPSET_ATTR_PORT, member->port);
    if (set->type >= IPSET_HASH_IP_PORT)
        mnl_attr_put_u8(message, IPSET_ATTR_PROTO, member->protocol);
    if (set->type >= IPSET_HASH_IP_PORT_IP)
        put_address(message, IPSET_ATTR_IP2, &member->other);
    if (set->type == IPSET_HASH_IP_PORT_NET)
        mnl_attr_put_u8(message, IPSET_ATTR_CIDR2, member->len);
    if (set->has_marks)
        mnl_attr_put_u64(message, IPSET_ATTR_SKBMARK | NLA_F_NET_BYTEORDER,
                         htobe64((uint64_t)member->mark << 32 | WHOLE_MARK));
    mnl_attr_nest_end(message, data);
}

/* Without NLM_F_EXCL: what is there already, or gone already, is no error (ip_set_core.c, flag_exist). */
static void gather_member(struct ipset_socket *socket, uint8_t command, const struct ipset *set,
                          const struct ipset_member *member)
{
    struct nlmsghdr *message = gather_message(&socket->gather, NFNL_SUBSYS_IPSET << 8 | command, 0);
    put_header(message, set->name);
    put_member(message, set, member);
}

void ipset_add(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member)
{
    gather_member(socket, IPSET_CMD_ADD, set, member);
}

void ipset_remove(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member)
{
    gather_member(socket, IPSET_CMD_DEL, set, member);
}

/* --- answers --- */

static bool parse_address(const struct nlattr *nest, struct address *ret)
{
    const struct nlattr *inner[IPSET_ATTR_IPADDR_MAX + 1];
    uint8_t wire[16];
    attributes_in(nest, inner, ARRAY_LEN(inner));
    if (attribute_copy(inner[IPSET_ATTR_IPADDR_IPV4], wire, 4))
        *ret = address_from_wire(FAMILY_IPV4, wire);
    else if (attribute_copy(inner[IPSET_ATTR_IPADDR_IPV6], wire, 16))
        *ret = address_from_wire(FAMILY_IPV6, wire);
    else
        return false;
    return true;
}

static uint32_t parse_u32(const struct nlattr *attribute)
{
    uint32_t value;
    attribute_copy(attribute, &value, sizeof(value));
    return ntohl(value);
}

static uint16_t parse_u16(const struct nlattr *attribute)
{
    uint16_t value;
    attribute_copy(attribute, &value, sizeof(value));
    return ntohs(value);
}

/* One that has no address where its type has one makes no sense; an exception (nomatch) is no member. */
static bool parse_member(const struct nlattr *data, const struct ipset *set, struct ipset_member *ret)
{
    const struct nlattr *a[IPSET_ATTR_ADT_MAX + 1];
    uint64_t mark = 0;
    *ret = (struct ipset_member){0};
    attributes_in(data, a, ARRAY_LEN(a));
    if (parse_u32(a[IPSET_ATTR_CADT_FLAGS]) & IPSET_FLAG_NOMATCH)
        return false;
    if (set->type != IPSET_BITMAP_PORT && !parse_address(a[IPSET_ATTR_IP], &ret->address))
        return false;
    if (set->type != IPSET_HASH_IP)
        ret->port = parse_u16(a[IPSET_ATTR_PORT]);
    if (set->type >= IPSET_HASH_IP_PORT)
        attribute_copy(a[IPSET_ATTR_PROTO], &ret->protocol, 1);
    if (set->type >= IPSET_HASH_IP_PORT_IP && !parse_address(a[IPSET_ATTR_IP2], &ret->other))
        return false;
    if (set->type == IPSET_HASH_IP_PORT_NET)
        attribute_copy(a[IPSET_ATTR_CIDR2], &ret->len, 1);
    if (set->has_marks && attribute_copy(a[IPSET_ATTR_SKBMARK], &mark, sizeof(mark)) &&
        (uint32_t)be64toh(mark) == WHOLE_MARK)
        ret->mark = (uint32_t)(be64toh(mark) >> 32);
    return true;
}

static bool is_listing(const struct nlmsghdr *message)
{
    return message->nlmsg_type == (NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST);
}

void ipset_parse_members(const void *bytes, size_t len, const struct ipset *set,
                         void (*visit)(void *context, const struct ipset_member *member), void *context)
{
    const struct answer answer = {.bytes = (char *)bytes, .len = len};
    for (const struct nlmsghdr *message = NULL; (message = answer_next(&answer, message));) {
        const struct nlattr *top[IPSET_ATTR_CMD_MAX + 1], *data;
        struct ipset_member member;
        if (!is_listing(message))
            continue;
        attributes_of(message, sizeof(struct nfgenmsg), top, ARRAY_LEN(top));
        if (!top[IPSET_ATTR_ADT])
            continue;
        mnl_attr_for_each_nested(data, top[IPSET_ATTR_ADT])
        {
            if (mnl_attr_get_type(data) == IPSET_ATTR_DATA && parse_member(data, set, &member))
                visit(context, &member);
        }
    }
}

/* What kind of set the kernel has, for one that was there before us. */
struct header {
    enum ipset_type type; /* IPSET_TYPE_COUNT: none of ours */
    enum family family;
    uint32_t size;  /* how many members it can have; 0: not said */
    uint32_t count; /* how many it has */
    bool has_marks, has_timeout, is_partial;
};

static bool is_partial(const struct nlattr *const *data, const struct header *header)
{
    uint8_t netmask;
    if (header->type == IPSET_BITMAP_PORT)
        return parse_u16(data[IPSET_ATTR_PORT]) != 0 || parse_u16(data[IPSET_ATTR_PORT_TO]) != UINT16_MAX;
    return attribute_copy(data[IPSET_ATTR_NETMASK], &netmask, 1);
}

static void parse_header(const struct nlmsghdr *message, struct header *ret)
{
    const struct nlattr *top[IPSET_ATTR_CMD_MAX + 1], *data[IPSET_ATTR_CREATE_MAX + 1];
    uint8_t family;
    attributes_of(message, sizeof(struct nfgenmsg), top, ARRAY_LEN(top));
    attributes_in(top[IPSET_ATTR_DATA], data, ARRAY_LEN(data));
    attribute_copy(top[IPSET_ATTR_FAMILY], &family, 1);
    const char *name = attribute_text(top[IPSET_ATTR_TYPENAME]);
    ret->type = 0;
    while (ret->type < IPSET_TYPE_COUNT && (!name || strcmp(types[ret->type].name, name) != 0))
        ret->type++;
    ret->family = family == NFPROTO_IPV6 ? FAMILY_IPV6 : FAMILY_IPV4;
    ret->size = parse_u32(data[IPSET_ATTR_MAXELEM]);
    ret->count = parse_u32(data[IPSET_ATTR_ELEMENTS]);
    ret->has_marks = parse_u32(data[IPSET_ATTR_CADT_FLAGS]) & IPSET_FLAG_WITH_SKBINFO;
    ret->has_timeout = data[IPSET_ATTR_TIMEOUT] != NULL;
    ret->is_partial = is_partial(data, ret);
}

static int read_header(struct ipset_socket *socket, const char *name, struct header *ret)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct nlmsghdr *message = begin_request(request, IPSET_CMD_LIST, NLM_F_DUMP, name);
    put_u32(message, IPSET_ATTR_FLAGS, IPSET_FLAG_LIST_HEADER);
    int code = gather_ask(&socket->gather, message, &answer);
    if (code < 0)
        return code;
    const struct nlmsghdr *first = answer_next(&answer, NULL);
    code = first && is_listing(first) ? 0 : -EPROTO;
    if (code == 0)
        parse_header(first, ret);
    free(answer.bytes);
    return code;
}

/* --- calls --- */

int ipset_open(struct ipset_socket **ret, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct gather gather;
    int code = gather_open(&gather, NETLINK_NETFILTER, err);
    if (code < 0)
        return code;
    code = gather_ask(&gather, begin_request(request, IPSET_CMD_PROTOCOL, 0, NULL), &answer);
    free(answer.bytes);
    if (code < 0) {
        gather_close(&gather);
        if (code == -EPERM)
            return err_set(err, EPERM, "the right to use ipsets is missing (CAP_NET_ADMIN)");
        return err_set(err, ENOENT, "this kernel has no ipsets (the module ip_set)");
    }
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->gather = gather;
    return 0;
}

void ipset_close(struct ipset_socket *socket)
{
    if (!socket)
        return;
    gather_close(&socket->gather);
    free(socket);
}

static void put_shape(struct nlmsghdr *message, const struct ipset *set)
{
    bool is_bitmap = set->type == IPSET_BITMAP_PORT;
    uint8_t family = set->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    mnl_attr_put_strz(message, IPSET_ATTR_TYPENAME, types[set->type].name);
    mnl_attr_put_u8(message, IPSET_ATTR_REVISION, types[set->type].revision);
    mnl_attr_put_u8(message, IPSET_ATTR_FAMILY, is_bitmap ? NFPROTO_UNSPEC : family);
    struct nlattr *data = mnl_attr_nest_start(message, IPSET_ATTR_DATA);
    if (is_bitmap) {
        put_u16(message, IPSET_ATTR_PORT, 0);
        put_u16(message, IPSET_ATTR_PORT_TO, UINT16_MAX);
    } else {
        put_u32(message, IPSET_ATTR_HASHSIZE, INITIAL_HASHSIZE);
        put_u32(message, IPSET_ATTR_MAXELEM, MAXIMUM_SIZE);
    }
    if (set->has_marks)
        put_u32(message, IPSET_ATTR_CADT_FLAGS, IPSET_FLAG_WITH_SKBINFO);
    mnl_attr_nest_end(message, data);
}

static int compare_header(const struct ipset *set, const struct header *header, struct err *err)
{
    const char *has = header->type < IPSET_TYPE_COUNT ? types[header->type].name : "another type";
    if (header->type != set->type)
        return err_set(err, EEXIST, "an ipset %s of %s is there already; it has to be of %s", set->name, has,
                       types[set->type].name);
    if (header->family != set->family && set->type != IPSET_BITMAP_PORT)
        return err_set(err, EEXIST, "an ipset %s of %s addresses is there already; it has to be of %s",
                       set->name, family_name(header->family), family_name(set->family));
    if (header->has_marks != set->has_marks)
        return err_set(err, EEXIST,
                       "an ipset %s is there already with%s marks (skbinfo); it has to be with%s", set->name,
                       header->has_marks ? "" : "out", set->has_marks ? "" : "out");
    if (header->has_timeout)
        return err_set(err, EEXIST, "an ipset %s is there already whose members time out", set->name);
    if (header->is_partial)
        return err_set(err, EEXIST, "an ipset %s is there already that holds a part only (%s)", set->name,
                       set->type == IPSET_BITMAP_PORT ? "range" : "netmask");
    return 0;
}

int ipset_create(struct ipset_socket *socket, const struct ipset *set, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    struct header header;
    const char *why;
    struct nlmsghdr *message = begin_request(request, IPSET_CMD_CREATE, NLM_F_CREATE | NLM_F_EXCL, set->name);
    put_shape(message, set);
    int code = gather_ask(&socket->gather, message, &answer);
    free(answer.bytes);
    if (code == -EEXIST && (code = read_header(socket, set->name, &header)) == 0)
        return compare_header(set, &header, err);
    if (code < 0) {
        code = explain(code, &why);
        return err_set(err, -code, "the ipset %s (%s) cannot be made: %s", set->name, types[set->type].name,
                       why);
    }
    return 0;
}

int ipset_destroy(struct ipset_socket *socket, const char *name, struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    const char *why;
    int code = gather_ask(&socket->gather, begin_request(request, IPSET_CMD_DESTROY, 0, name), &answer);
    free(answer.bytes);
    if (code == 0)
        return 0;
    code = explain(code, &why);
    return err_set(err, -code, "the ipset %s cannot be destroyed: %s", name, why);
}

static enum gather_verdict judge(struct nlmsghdr *message, int code)
{
    return GATHER_REFUSED;
}

/* The set and the member that one of our own messages is about. */
static const char *parse_message(const struct nlmsghdr *message, struct ipset *ret_set,
                                 struct ipset_member *ret_member)
{
    const struct nlattr *top[IPSET_ATTR_CMD_MAX + 1], *a[IPSET_ATTR_ADT_MAX + 1];
    attributes_of(message, sizeof(struct nfgenmsg), top, ARRAY_LEN(top));
    attributes_in(top[IPSET_ATTR_DATA], a, ARRAY_LEN(a));
    *ret_set = (struct ipset){
        .name = attribute_text(top[IPSET_ATTR_SETNAME]),
        .type = a[IPSET_ATTR_CIDR2]  ? IPSET_HASH_IP_PORT_NET
                : a[IPSET_ATTR_IP2]  ? IPSET_HASH_IP_PORT_IP
                : !a[IPSET_ATTR_IP]  ? IPSET_BITMAP_PORT
                : a[IPSET_ATTR_PORT] ? IPSET_HASH_IP_PORT
                                     : IPSET_HASH_IP,
    };
    parse_member(top[IPSET_ATTR_DATA], ret_set, ret_member);
    return ret_set->name;
}

static int tell_refusal(struct ipset_socket *socket, const struct gather_failure *failure, struct err *err)
{
    struct ipset set;
    struct ipset_member member;
    struct header header;
    char text[IPSET_MEMBER_TEXT_MAX];
    const char *why;
    int code = explain(failure->code, &why);
    if (!failure->has_message)
        return err_set(err, -code, "the kernel does not take changes of ipsets: %s", why);
    const char *name = parse_message(&failure->message, &set, &member);
    bool is_removal = (failure->message.nlmsg_type & 0xff) == IPSET_CMD_DEL;
    ipset_member_format(&set, &member, text);
    if (code == -ENFILE && read_header(socket, name, &header) == 0)
        return err_set(err, ENFILE, "the ipset %s is full: it has room for %u members, and %s is one more",
                       name, header.size, text);
    return err_set(err, -code, "the ipset %s: %s cannot be %s: %s", name, text,
                   is_removal ? "removed" : "added", why);
}

int ipset_flush(struct ipset_socket *socket, struct err *err)
{
    struct gather_failure failure;
    if (gather_flush(&socket->gather, judge, &failure) == 0)
        return 0;
    return tell_refusal(socket, &failure, err);
}

int ipset_list(struct ipset_socket *socket, const struct ipset *set,
               void (*visit)(void *context, const struct ipset_member *member), void *context,
               struct err *err)
{
    char request[GATHER_MESSAGE_MAX];
    struct answer answer;
    const char *why;
    int code =
        gather_ask(&socket->gather, begin_request(request, IPSET_CMD_LIST, NLM_F_DUMP, set->name), &answer);
    if (code < 0) {
        code = explain(code, &why);
        return err_set(err, -code, "the ipset %s cannot be listed: %s", set->name, why);
    }
    ipset_parse_members(answer.bytes, answer.len, set, visit, context);
    free(answer.bytes);
    return 0;
}

int ipset_count(struct ipset_socket *socket, const struct ipset *set, uint32_t *ret, struct err *err)
{
    struct header header;
    const char *why;
    int code = read_header(socket, set->name, &header);
    if (code < 0) {
        code = explain(code, &why);
        return err_set(err, -code, "the ipset %s cannot be looked at: %s", set->name, why);
    }
    *ret = header.count;
    return 0;
}

/* --- words --- */

const char *ipset_type_name(enum ipset_type type)
{
    return types[type].name;
}

static size_t append_address(char *buffer, size_t len, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    return len + (size_t)snprintf(buffer + len, IPSET_MEMBER_TEXT_MAX - len, "%s%s", len ? "," : "",
                                  address_format(address, text));
}

static size_t append_port(char *buffer, size_t len, const struct ipset_member *member)
{
    const char *name = protocol_name_lower(member->protocol);
    bool is_known = member->protocol == PROTOCOL_TCP || member->protocol == PROTOCOL_UDP ||
                    member->protocol == PROTOCOL_SCTP;
    if (is_known)
        return len +
               (size_t)snprintf(buffer + len, IPSET_MEMBER_TEXT_MAX - len, ",%s:%u", name, member->port);
    return len + (size_t)snprintf(buffer + len, IPSET_MEMBER_TEXT_MAX - len, ",%u:%u", member->protocol,
                                  member->port);
}

const char *ipset_member_format(const struct ipset *set, const struct ipset_member *member,
                                char buffer[IPSET_MEMBER_TEXT_MAX])
{
    size_t len = 0;
    uint8_t whole = address_family(&member->other) == FAMILY_IPV4 ? 32 : 128;
    if (set->type == IPSET_BITMAP_PORT)
        len += (size_t)snprintf(buffer, IPSET_MEMBER_TEXT_MAX, "%u", member->port);
    else
        len = append_address(buffer, len, &member->address);
    if (set->type >= IPSET_HASH_IP_PORT)
        len = append_port(buffer, len, member);
    if (set->type >= IPSET_HASH_IP_PORT_IP)
        len = append_address(buffer, len, &member->other);
    if (set->type == IPSET_HASH_IP_PORT_NET && member->len != whole)
        len += (size_t)snprintf(buffer + len, IPSET_MEMBER_TEXT_MAX - len, "/%u", member->len);
    if (set->has_marks)
        snprintf(buffer + len, IPSET_MEMBER_TEXT_MAX - len, " skbmark 0x%x", member->mark);
    return buffer;
}
