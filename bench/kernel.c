/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel.h"
#include "answer.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

/* Linux 6.16 added it; the headers of Debian 12 do not know it. */
#define SET_COUNT_ATTRIBUTE 20
#define BUFFER_SIZE (64 * 1024)

int netns_enter(const char *path, struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set(err, errno, "%s: %s", path, strerror(errno));
    if (setns(fd, CLONE_NEWNET) < 0)
        return err_set(err, errno, "entering %s: %s", path, strerror(errno));
    return 0;
}

static struct mnl_socket *socket_open(unsigned groups, const struct sock_fprog *filter, struct err *err)
{
    struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
    int code;

    if (!nl) {
        err_set(err, errno, "netlink: %s", strerror(errno));
        return NULL;
    }
    if ((filter &&
         setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) < 0) ||
        mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
        code = errno;
        mnl_socket_close(nl);
        err_set(err, code, "netlink: %s", strerror(code));
        return NULL;
    }
    return nl;
}

int watch_open(struct watch *watch, enum watch_mode mode, struct err *err)
{
    /* The filter reads in network order what netlink writes in the host's. */
    struct sock_filter only_newgen[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ~0U),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {ARRAY_LEN(only_newgen), only_newgen};
    struct watch opened = {.mode = mode};

    opened.query = socket_open(0, NULL, err);
    if (!opened.query)
        return -EIO;
    if (mode == WATCH_EVENT) {
        opened.events = socket_open(1U << (NFNLGRP_NFTABLES - 1), &filter, err);
        if (!opened.events) {
            watch_done(&opened);
            return -EIO;
        }
    }
    *watch = opened;
    return 0;
}

void watch_done(struct watch *watch)
{
    if (watch->events)
        mnl_socket_close(watch->events);
    if (watch->query)
        mnl_socket_close(watch->query);
    *watch = (struct watch){0};
}

static struct nlmsghdr *message_start(char *buffer, int type, int flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *family;

    message->nlmsg_type = (uint16_t)type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    family = mnl_nlmsg_put_extra_header(message, sizeof(*family));
    family->version = NFNETLINK_V0;
    return message;
}

static int generation_parse(const char *buffer, size_t len, uint32_t *ret_generation)
{
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    const struct nlattr *attr;

    if (!mnl_nlmsg_ok(message, (int)len) || (message->nlmsg_type & 0xff) != NFT_MSG_NEWGEN)
        return -EPROTO;
    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attr) == NFTA_GEN_ID) {
            *ret_generation = ntohl(mnl_attr_get_u32(attr));
            return 0;
        }
    }
    return -EPROTO;
}

int watch_read(struct watch *watch, uint32_t *ret_generation, struct err *err)
{
    char buffer[1024];
    struct nlmsghdr *message = message_start(buffer, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0);
    ssize_t got;

    if (mnl_socket_sendto(watch->query, message, message->nlmsg_len) < 0)
        return err_set(err, errno, "asking for the generation: %s", strerror(errno));
    got = mnl_socket_recvfrom(watch->query, buffer, sizeof(buffer));
    if (got < 0)
        return err_set(err, errno, "asking for the generation: %s", strerror(errno));
    if (generation_parse(buffer, (size_t)got, ret_generation) < 0)
        return err_set(err, EPROTO, "the kernel's answer holds no generation");
    return 0;
}

static int poll_wait(struct watch *watch, uint32_t last, int64_t deadline_ns, uint32_t *ret_generation,
                     int64_t *ret_at_ns, struct err *err)
{
    for (;;) {
        uint32_t generation;
        int result = watch_read(watch, &generation, err);
        int64_t now = clock_now();

        if (result < 0)
            return result;
        if (generation != last) {
            *ret_generation = generation;
            *ret_at_ns = now;
            return 0;
        }
        if (now > deadline_ns)
            return -ETIMEDOUT;
        if (watch->pause_us)
            usleep(watch->pause_us);
    }
}

static int event_wait(struct watch *watch, uint32_t last, int64_t deadline_ns, uint32_t *ret_generation,
                      int64_t *ret_at_ns, struct err *err)
{
    struct pollfd ready = {.fd = mnl_socket_get_fd(watch->events), .events = POLLIN};
    char buffer[1024];

    for (;;) {
        int64_t left_ns = deadline_ns - clock_now();
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        uint32_t generation;
        ssize_t got;
        int64_t now;

        if (left_ns <= 0 || ppoll(&ready, 1, &left, NULL) == 0)
            return -ETIMEDOUT;
        got = recv(ready.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        now = clock_now();
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got < 0)
            return err_set(err, errno, "listening for commits: %s", strerror(errno));
        /* Events of earlier commits may still be queued. */
        if (generation_parse(buffer, (size_t)got, &generation) == 0 && (int32_t)(generation - last) > 0) {
            *ret_generation = generation;
            *ret_at_ns = now;
            return 0;
        }
    }
}

int watch_wait(struct watch *watch, uint32_t last, int64_t deadline_ns, uint32_t *ret_generation,
               int64_t *ret_at_ns, struct err *err)
{
    return watch->mode == WATCH_EVENT ? event_wait(watch, last, deadline_ns, ret_generation, ret_at_ns, err)
                                      : poll_wait(watch, last, deadline_ns, ret_generation, ret_at_ns, err);
}

/* Sends one request and hands every message of the answer to each(). */
static int request(struct nlmsghdr *message, mnl_cb_t each, void *context, const char *what, struct err *err)
{
    struct mnl_socket *nl = socket_open(0, NULL, err);
    cleanup_free char *buffer = xmalloc(BUFFER_SIZE);
    int result = 1;

    if (!nl)
        return -EIO;
    message->nlmsg_seq = 1;
    if (mnl_socket_sendto(nl, message, message->nlmsg_len) < 0)
        result = -1;
    while (result > 0) {
        ssize_t got = mnl_socket_recvfrom(nl, buffer, BUFFER_SIZE);

        result = got < 0 ? -1 : mnl_cb_run(buffer, (size_t)got, 1, mnl_socket_get_portid(nl), each, context);
    }
    if (result < 0)
        result = err_set(err, errno, "%s: %s", what, strerror(errno));
    mnl_socket_close(nl);
    return result;
}

int conntrack_flush(struct err *err)
{
    char buffer[256];
    struct nlmsghdr *message =
        message_start(buffer, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK);

    return request(message, NULL, NULL, "flushing conntrack", err);
}

struct set_entry {
    char *table, *name;
    uint8_t family;
    bool has_count;
    uint64_t count;
};

struct set_list {
    struct arena arena;
    struct set_entry *entries;
    size_t count;
};

static int set_add(const struct nlmsghdr *message, void *context)
{
    struct set_list *list = context;
    const struct nfgenmsg *family = mnl_nlmsg_get_payload(message);
    struct set_entry entry = {.family = family->nfgen_family};
    const struct nlattr *attr;
    uint32_t flags = 0;

    mnl_attr_for_each(attr, message, sizeof(*family))
    {
        switch (mnl_attr_get_type(attr)) {
        case NFTA_SET_TABLE:
            entry.table = arena_strdup(&list->arena, mnl_attr_get_str(attr));
            break;
        case NFTA_SET_NAME:
            entry.name = arena_strdup(&list->arena, mnl_attr_get_str(attr));
            break;
        case NFTA_SET_FLAGS:
            flags = ntohl(mnl_attr_get_u32(attr));
            break;
        case SET_COUNT_ATTRIBUTE:
            entry.has_count = true;
            entry.count = ntohl(mnl_attr_get_u32(attr));
            break;
        default:
            break;
        }
    }
    if (entry.table && entry.name && !(flags & NFT_SET_ANONYMOUS)) {
        list->entries = xrealloc(list->entries, (list->count + 1) * sizeof(entry));
        list->entries[list->count++] = entry;
    }
    return MNL_CB_OK;
}

static int elements_add(const struct nlmsghdr *message, void *context)
{
    uint64_t *count = context;
    const struct nlattr *attr, *element;

    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS)
            continue;
        mnl_attr_for_each_nested(element, attr)++ *count;
    }
    return MNL_CB_OK;
}

static int elements_count(struct set_entry *entry, struct err *err)
{
    char buffer[1024];
    struct nlmsghdr *message =
        message_start(buffer, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, NLM_F_DUMP);
    struct nfgenmsg *family = mnl_nlmsg_get_payload(message);

    family->nfgen_family = entry->family;
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, entry->table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, entry->name);
    return request(message, elements_add, &entry->count, "reading a set's elements", err);
}

int sets_count(set_count_fn *callback, void *context, struct err *err)
{
    char buffer[256];
    struct nlmsghdr *message = message_start(buffer, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET, NLM_F_DUMP);
    struct set_list list = {0};
    int result;

    arena_init(&list.arena);
    result = request(message, set_add, &list, "reading the sets", err);
    for (size_t i = 0; result >= 0 && i < list.count; i++) {
        if (!list.entries[i].has_count)
            result = elements_count(&list.entries[i], err);
        if (result >= 0)
            callback(context, list.entries[i].table, list.entries[i].name, list.entries[i].count);
    }
    free(list.entries);
    arena_done(&list.arena);
    return result;
}
