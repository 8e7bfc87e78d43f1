/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/iptables.h"

#include "base/cleanup.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/x_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/netfilter_ipv4/ip_tables.h, which does not go with netinet/in.h */
#define GET_REVISION_MATCH 66
#define GET_REVISION_TARGET 67

/* Of those that every configuration needs. */
static const struct extension {
    const char *name, *module;
    bool is_target;
} extensions[] = {
    {"comment", "xt_comment", false},
    {"conntrack", "xt_conntrack", false},
    {"addrtype", "xt_addrtype", false},
    {"statistic", "xt_statistic", false},
    {"MARK", "xt_mark", true},
    {"DNAT", "xt_nat", true},
    {"MASQUERADE", "xt_MASQUERADE", true},
};

struct iptables_backend iptables_backend_of(const char *restore)
{
    char path[PATH_MAX];
    const char *name = realpath(restore, path) ? strrchr(path, '/') : "";
    return (struct iptables_backend){
        .may_be_nft = !strstr(name, "-legacy") && !strstr(name, "xtables-multi"),
        .may_be_legacy = !strstr(name, "-nft"),
    };
}

static int lacks_extension(const struct extension *extension, struct err *err)
{
    return err_set(err, ENOENT, "the kernel has no %s %s (module %s)",
                   extension->is_target ? "target" : "match", extension->name, extension->module);
}

static int lacks_admin(struct err *err)
{
    return err_set(err, EPERM, "that takes root, or CAP_NET_ADMIN in this network namespace");
}

/* --- the nft backend --- */

/* 0, or -errno as the kernel says it; -EPROTONOSUPPORT says that it has another revision. */
static int ask_nft(int fd, const struct extension *extension)
{
    char buffer[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = NFNL_SUBSYS_NFT_COMPAT << 8 | NFNL_MSG_COMPAT_GET;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->nfgen_family = AF_INET;
    header->version = NFNETLINK_V0;
    mnl_attr_put_strz(request, NFTA_COMPAT_NAME, extension->name);
    mnl_attr_put_u32(request, NFTA_COMPAT_REV, htonl(0));
    mnl_attr_put_u32(request, NFTA_COMPAT_TYPE, htonl(extension->is_target));
    return netlink_ask(fd, request, NULL, NULL);
}

static int check_nft(struct err *err)
{
    cleanup_close int fd = netlink_open(NETLINK_NETFILTER, 0, 0);
    if (fd < 0)
        return err_set(err, -fd, "cannot open a netfilter netlink socket: %s", strerror(-fd));
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        int code = ask_nft(fd, &extensions[i]);
        if (code == -EPERM)
            return lacks_admin(err);
        if (code == -EINVAL || code == -EOPNOTSUPP)
            return err_set(
                err, ENOENT,
                "the kernel has no nft_compat (the module of that name), which the nft backend needs");
        if (code == -ENOENT)
            return lacks_extension(&extensions[i], err);
        if (code < 0 && code != -EPROTONOSUPPORT)
            return err_set(err, -code, "the kernel does not tell its %s: %s", extensions[i].name,
                           strerror(-code));
    }
    return 0;
}

struct chain_search {
    iptables_chain_fn *is_wanted;
    bool is_found;
};

static int take_chain(const struct nlmsghdr *message, void *context)
{
    struct chain_search *search = context;
    const char *table = NULL, *chain = NULL;
    const struct nlattr *attribute;
    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN))
        return 0;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attribute) == NFTA_CHAIN_TABLE)
            table = mnl_attr_get_str(attribute);
        if (mnl_attr_get_type(attribute) == NFTA_CHAIN_NAME)
            chain = mnl_attr_get_str(attribute);
    }
    search->is_found |= table && chain && search->is_wanted(table, chain);
    return 0;
}

#define LIST_ATTEMPTS 10

int iptables_nft_has_chain(enum family family, iptables_chain_fn *is_wanted, bool *ret, struct err *err)
{
    char buffer[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->nfgen_family = family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    header->version = NFNETLINK_V0;
    cleanup_close int fd = netlink_open(NETLINK_NETFILTER, 0, 0);
    int code = fd < 0 ? fd : -EINTR;
    for (int attempts = 0; attempts < LIST_ATTEMPTS && code == -EINTR; attempts++) {
        struct chain_search search = {.is_wanted = is_wanted};
        request->nlmsg_seq++;
        code = netlink_ask(fd, request, take_chain, &search);
        *ret = search.is_found;
    }
    return code < 0 ? err_set(err, -code, "the chains of nftables for IPv%d cannot be listed: %s",
                              family == FAMILY_IPV4 ? 4 : 6, strerror(-code))
                    : 0;
}

/* --- the legacy backend --- */

/* The program has ip_tables loaded where it may; so could whoever loads modules. */
static bool may_load_modules(void)
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_MODULE);
}

static int check_legacy(struct err *err)
{
    cleanup_close int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0)
        return errno == EPERM ? err_set(err, EPERM, "its legacy backend takes CAP_NET_RAW")
                              : err_set(err, errno, "cannot open a raw socket: %s", strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        struct xt_get_revision revision = {0};
        socklen_t len = sizeof(revision);
        snprintf(revision.name, sizeof(revision.name), "%s", extensions[i].name);
        int option = extensions[i].is_target ? GET_REVISION_TARGET : GET_REVISION_MATCH;
        if (getsockopt(fd, IPPROTO_IP, option, &revision, &len) == 0 || errno == EPROTONOSUPPORT)
            continue;
        if (errno == EPERM)
            return lacks_admin(err);
        if (errno == ENOENT)
            return lacks_extension(&extensions[i], err);
        if (errno != ENOPROTOOPT)
            return err_set(err, errno, "the kernel does not tell its %s: %s", extensions[i].name,
                           strerror(errno));
        return may_load_modules() ? 0
                                  : err_set(err, ENOENT,
                                            "the kernel has no ip_tables (the module of that name), which "
                                            "the legacy backend needs");
    }
    return 0;
}

int iptables_check(const char *restore, struct err *err)
{
    struct iptables_backend backend = iptables_backend_of(restore);
    if (backend.may_be_nft && backend.may_be_legacy)
        return 0;
    return backend.may_be_nft ? check_nft(err) : check_legacy(err);
}
