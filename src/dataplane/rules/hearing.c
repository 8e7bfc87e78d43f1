/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/hearing.h"

#include "base/cleanup.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER (8 << 20)
#define READ_BUFFER (64 << 10)
#define ANSWER_PATIENCE_S 2

static int open_socket(int *ret, struct err *err)
{
    *ret = netlink_open(NETLINK_NETFILTER, 0, RECEIVE_BUFFER);
    return *ret < 0 ? err_set(err, -*ret, "cannot open a netfilter netlink socket: %s", strerror(-*ret)) : 0;
}

int hearing_open(struct hearing *hearing, const struct own_rules *rules, struct err *err)
{
    const int group = NFNLGRP_NFTABLES;
    const struct timeval patience = {.tv_sec = ANSWER_PATIENCE_S};
    *hearing = (struct hearing){.fd = -1, .ask_fd = -1, .rules = rules};
    int code = open_socket(&hearing->fd, err);
    if (code == 0)
        code = open_socket(&hearing->ask_fd, err);
    if (code == 0 && setsockopt(hearing->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        code = err_set(err, errno, "cannot listen to nf_tables' events: %s", strerror(errno));
    if (code < 0) {
        hearing_close(hearing);
        return code;
    }
    setsockopt(hearing->ask_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return 0;
}

void hearing_close(struct hearing *hearing)
{
    if (hearing->fd >= 0)
        close(hearing->fd);
    if (hearing->ask_fd >= 0)
        close(hearing->ask_fd);
    hearing->fd = hearing->ask_fd = -1;
}

/* --- what a message is about --- */

/* Table and chain of a rule, chain or table message; NULL when it names none. */
struct subject {
    enum family family;
    const char *table, *chain;
};

static const char *text_of(const struct nlattr *attribute)
{
    return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(attribute) : NULL;
}

static bool find_subject(const struct nlmsghdr *message, struct subject *ret)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    bool is_of_chain =
        (message->nlmsg_type & 0xff) == NFT_MSG_NEWCHAIN || (message->nlmsg_type & 0xff) == NFT_MSG_DELCHAIN;
    *ret = (struct subject){0};
    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
        (header->nfgen_family != AF_INET && header->nfgen_family != AF_INET6))
        return false;
    ret->family = header->nfgen_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        uint16_t type = mnl_attr_get_type(attribute);
        if (type == NFTA_RULE_TABLE) /* the first attribute of all of them */
            ret->table = text_of(attribute);
        else if (type == (is_of_chain ? NFTA_CHAIN_NAME : NFTA_RULE_CHAIN))
            ret->chain = text_of(attribute);
    }
    return ret->table && layout_table_of(ret->table) >= 0;
}

/* table is one that we write to. */
static bool has_chain(const struct own_rules *rules, const char *table, const char *chain)
{
    return rules->has_chain((enum layout_table)layout_table_of(table), chain);
}

static bool leads_to_us(const struct own_rules *rules, const struct nlmsghdr *message, const char *table)
{
    struct nftnl_rule *rule = nftnl_rule_alloc();
    bool does = false;
    struct nftnl_expr_iter *iterator = NULL;
    if (rule && nftnl_rule_nlmsg_parse(message, rule) == 0)
        iterator = nftnl_expr_iter_create(rule);
    for (struct nftnl_expr *expr; iterator && (expr = nftnl_expr_iter_next(iterator));) {
        const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
        if (name && strcmp(name, "immediate") == 0 && nftnl_expr_is_set(expr, NFTNL_EXPR_IMM_CHAIN))
            does |= has_chain(rules, table, nftnl_expr_get_str(expr, NFTNL_EXPR_IMM_CHAIN));
    }
    if (iterator)
        nftnl_expr_iter_destroy(iterator);
    if (rule)
        nftnl_rule_free(rule);
    return does;
}

/* Of a rule that went away the kernel tells the number alone (since 6.4), so whether it was a jump of ours is
 * found by counting those that are left. */
static void take_rule(struct hearing *hearing, const struct nlmsghdr *message, const struct subject *subject)
{
    bool is_gone = (message->nlmsg_type & 0xff) == NFT_MSG_DELRULE;
    int base = subject->chain ? own_base(hearing->rules, subject->table, subject->chain) : -1;
    if (base >= 0 && is_gone)
        hearing->bases[subject->family][base].is_suspect = true;
    else if (base >= 0)
        hearing->is_disturbed |= leads_to_us(hearing->rules, message, subject->table);
    else
        hearing->is_disturbed |= subject->chain && has_chain(hearing->rules, subject->table, subject->chain);
}

static void take_message(struct hearing *hearing, const struct nlmsghdr *message)
{
    struct subject subject;
    if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || message->nlmsg_len % MNL_ALIGNTO ||
        (hearing->own && message->nlmsg_pid == (uint32_t)hearing->own))
        return;
    switch (message->nlmsg_type & 0xff) {
    case NFT_MSG_DELTABLE:
        hearing->is_disturbed |= find_subject(message, &subject);
        break;
    case NFT_MSG_DELCHAIN:
        if (find_subject(message, &subject) && subject.chain)
            hearing->is_disturbed |= has_chain(hearing->rules, subject.table, subject.chain) ||
                                     own_base(hearing->rules, subject.table, subject.chain) >= 0;
        break;
    case NFT_MSG_NEWRULE:
    case NFT_MSG_DELRULE:
        if (find_subject(message, &subject))
            take_rule(hearing, message, &subject);
        break;
    default:
        break;
    }
}

void hearing_take(struct hearing *hearing, const void *bytes, size_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left))
        take_message(hearing, message);
}

static void drain(struct hearing *hearing)
{
    static char buffer[READ_BUFFER];
    for (;;) {
        ssize_t got = recv(hearing->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != ENOBUFS)
            return;
        if (got < 0)
            hearing->is_disturbed = true; /* nobody knows what was lost */
        else
            hearing_take(hearing, buffer, (size_t)got);
    }
}

/* --- whose it is --- */

/* A first writing of many services would fill any buffer. All messages of one buffer are of one commit. */
static void drop_at_the_door(int fd, pid_t pid)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl((uint32_t)pid), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void hearing_own(struct hearing *hearing, pid_t pid)
{
    const int unused = 0;
    if (pid) {
        drain(hearing);
        hearing->own = pid;
        drop_at_the_door(hearing->fd, pid);
        return;
    }
    /* The program is gone, and its number may soon be another's. */
    setsockopt(hearing->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
    drain(hearing);
    hearing->own = 0;
}

void hearing_forget(struct hearing *hearing)
{
    drain(hearing);
    hearing->is_disturbed = false;
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int base = 0; base < OWN_BASES_MAX; base++)
            hearing->bases[family][base].is_suspect = false;
}

/* --- jumps --- */

struct counting {
    const struct own_rules *rules;
    const char *table;
    uint32_t jumps;
};

static int count_jump(const struct nlmsghdr *rule, void *context)
{
    struct counting *counting = context;
    counting->jumps += leads_to_us(counting->rules, rule, counting->table);
    return 0;
}

static int count_jumps(struct hearing *hearing, enum family family, int base, uint32_t *ret)
{
    static uint32_t sequence;
    char buffer[512];
    const char *chain;
    struct counting counting = {.rules = hearing->rules};
    own_base_name(hearing->rules, base, &counting.table, &chain);
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(
        buffer, NFT_MSG_GETRULE, family == FAMILY_IPV4 ? AF_INET : AF_INET6, NLM_F_DUMP, ++sequence);
    mnl_attr_put_strz(request, NFTA_RULE_TABLE, counting.table);
    mnl_attr_put_strz(request, NFTA_RULE_CHAIN, chain);
    int code = netlink_ask(hearing->ask_fd, request, count_jump, &counting);
    *ret = counting.jumps;
    return code;
}

void hearing_count_jumps(struct hearing *hearing)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int base = 0; base < own_base_count(hearing->rules); base++)
            if (count_jumps(hearing, (enum family)family, base, &hearing->bases[family][base].jumps) < 0)
                hearing->bases[family][base].is_suspect = true;
}

static bool has_lost_jumps(struct hearing *hearing, enum family family, int base)
{
    uint32_t jumps;
    hearing->bases[family][base].is_suspect = false;
    return count_jumps(hearing, family, base, &jumps) < 0 || jumps < hearing->bases[family][base].jumps;
}

bool hearing_is_disturbed(struct hearing *hearing)
{
    drain(hearing);
    bool is_disturbed = hearing->is_disturbed;
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int base = 0; base < own_base_count(hearing->rules); base++)
            if (hearing->bases[family][base].is_suspect)
                is_disturbed |= has_lost_jumps(hearing, (enum family)family, base);
    hearing->is_disturbed = false;
    return is_disturbed;
}
