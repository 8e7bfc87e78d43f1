/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/kernel.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RECEIVE_BUFFER (8 << 20)
#define READ_BUFFER (64 << 10)
#define TRANSACTION_MAX                                                                                      \
    ((size_t)1 << 30) /* net/core/sock.c keeps a send buffer below 2 GiB, its books included */

static int open_socket(int *ret, struct err *err)
{
    const int on = 1;
    int fd = netlink_open(NETLINK_NETFILTER, 0, RECEIVE_BUFFER);
    if (fd < 0)
        return err_set(err, -fd, "cannot open a netfilter netlink socket: %s", strerror(-fd));
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    *ret = fd;
    return 0;
}

int kernel_open(struct kernel *kernel, struct err *err)
{
    *kernel = (struct kernel){.fd = -1, .watch_fd = -1};
    int code = open_socket(&kernel->fd, err);
    if (code == 0)
        kernel->port_id = netlink_port_id(kernel->fd);
    return code;
}

void kernel_close(struct kernel *kernel)
{
    if (kernel->watch_fd >= 0)
        close(kernel->watch_fd);
    if (kernel->fd >= 0)
        close(kernel->fd);
    kernel->fd = kernel->watch_fd = -1;
}

/* Everything that is sent, in the order in which the kernel shall take it. */
#define PIECES_MAX (2 * FAMILY_COUNT * SET_COUNT + 4)
struct pieces {
    struct iovec list[PIECES_MAX];
    unsigned count;
    size_t bytes;
};

static void pieces_add(struct pieces *pieces, void *data, size_t len)
{
    if (len == 0)
        return;
    pieces->list[pieces->count++] = (struct iovec){.iov_base = data, .iov_len = len};
    pieces->bytes += len;
}

static void gather(struct batch *batch, struct pieces *pieces)
{
    pieces_add(pieces, batch->head.data, batch->head.len);
    for (int op = 0; op < 2; op++)
        for (int family = 0; family < FAMILY_COUNT; family++)
            for (int set = 0; set < SET_COUNT; set++)
                pieces_add(pieces, batch->sets[op][family][set].data, batch->sets[op][family][set].len);
    pieces_add(pieces, batch->tail.data, batch->tail.len);
}

static struct nlmsghdr *last_message(const struct iovec *piece)
{
    struct nlmsghdr *message = piece->iov_base;
    int left = (int)piece->iov_len;
    for (;;) {
        int rest = left;
        struct nlmsghdr *next = mnl_nlmsg_next(message, &rest);
        if (rest <= 0)
            return message;
        message = next;
        left = rest;
    }
}

static const struct nlmsghdr *find_message(const struct pieces *pieces, uint32_t sequence)
{
    for (unsigned i = 0; i < pieces->count; i++) {
        int left = (int)pieces->list[i].iov_len;
        for (const struct nlmsghdr *message = pieces->list[i].iov_base; mnl_nlmsg_ok(message, left);
             message = mnl_nlmsg_next(message, &left))
            if (message->nlmsg_seq == sequence)
                return message;
    }
    return NULL;
}

static enum set_id set_by_name(const char *name)
{
    int set = 0;
    while (set < SET_COUNT && strcmp(set_schema(set)->name, name) != 0)
        set++;
    return (enum set_id)set;
}

/* The element that the failing attribute at offset belongs to, from our own bytes. An offset that lies in
 * none of them blames nobody. */
static void blame(const struct nlmsghdr *message, uint32_t offset, struct element *ret)
{
    uint16_t type = message->nlmsg_type & 0xff;
    if (type != NFT_MSG_NEWSETELEM && type != NFT_MSG_DELSETELEM)
        return;
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute, *list = NULL, *found = NULL;
    enum family family = header->nfgen_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
    enum set_id set = SET_COUNT;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_LIST_SET)
            set = set_by_name(mnl_attr_get_str(attribute));
        if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_LIST_ELEMENTS)
            list = attribute;
    }
    if (!list || set == SET_COUNT)
        return;
    mnl_attr_for_each_nested(attribute, list)
    {
        if ((size_t)((const char *)attribute - (const char *)message) > offset)
            break;
        found = attribute;
    }
    if (!found)
        return;
    const struct nlattr *key = mnl_attr_get_payload(found);
    const struct nlattr *value = mnl_attr_get_payload(key);
    ret->family = family;
    ret->set = set;
    memcpy(ret->key, mnl_attr_get_payload(value), set_key_len(set, family));
}

/* Where in our message the refused attribute stands (NLMSGERR_ATTR_OFFS), or 0. */
static uint32_t error_offset(const struct nlmsghdr *answer)
{
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
    const struct nlattr *attribute;
    size_t head = sizeof(*error), len = mnl_nlmsg_get_payload_len(answer);
    /* libmnl walks to the end rounded up: only a whole message may be walked. */
    if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS) || answer->nlmsg_len % MNL_ALIGNTO)
        return 0;
    if (!(answer->nlmsg_flags & NLM_F_CAPPED))
        head += error->msg.nlmsg_len - MNL_NLMSG_HDRLEN;
    if (error->msg.nlmsg_len < MNL_NLMSG_HDRLEN || head > len)
        return 0;
    mnl_attr_for_each(attribute, answer, head)
    {
        if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_OFFS &&
            mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
            return mnl_attr_get_u32(attribute);
    }
    return 0;
}

struct answers {
    const struct pieces *pieces;
    uint32_t last_sequence;
    bool is_answered;
    int failure;
    struct element *blamed;
};

/* The first error is the cause; messages behind it may still be acknowledged though nothing is committed. */
static void take_answers(struct answers *answers, const void *bytes, size_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *answer = bytes; netlink_is_whole(answer, left);
         answer = mnl_nlmsg_next(answer, &left)) {
        if (answer->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(answer) < sizeof(struct nlmsgerr))
            continue;
        const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
        answers->is_answered |= answer->nlmsg_seq == answers->last_sequence;
        if (error->error >= 0 || answers->failure)
            continue;
        answers->failure = error->error;
        const struct nlmsghdr *refused = find_message(answers->pieces, answer->nlmsg_seq);
        if (refused)
            blame(refused, error_offset(answer), answers->blamed);
    }
}

static int read_answers(struct kernel *kernel, const struct pieces *pieces, uint32_t last_sequence,
                        struct element *ret_blamed)
{
    char buffer[READ_BUFFER];
    struct answers answers = {.pieces = pieces, .last_sequence = last_sequence, .blamed = ret_blamed};
    for (;;) {
        ssize_t got = recv(kernel->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return answers.failure ? answers.failure : answers.is_answered ? 0 : -EPROTO;
        if (got < 0) {
            answers.failure = answers.failure ? answers.failure : -errno;
            if (errno != ENOBUFS)
                return answers.failure;
            continue;
        }
        take_answers(&answers, buffer, (size_t)got);
    }
}

int kernel_parse_answers(struct batch *batch, const void *bytes, size_t len, struct element *ret_blamed)
{
    struct pieces pieces = {0};
    *ret_blamed = (struct element){.set = SET_COUNT};
    gather(batch, &pieces);
    struct answers answers = {.pieces = &pieces, .last_sequence = batch->sequence - 1, .blamed = ret_blamed};
    take_answers(&answers, bytes, len);
    return answers.failure ? answers.failure : answers.is_answered ? 0 : -EPROTO;
}

static size_t batch_mark(char *at, uint16_t type, uint32_t sequence, uint32_t generation)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(at);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST;
    message->nlmsg_seq = sequence;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->version = NFNETLINK_V0;
    header->res_id = htons(NFNL_SUBSYS_NFTABLES);
    if (generation)
        mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(generation));
    return MNL_ALIGN(message->nlmsg_len);
}

int kernel_commit(struct kernel *kernel, struct batch *batch, uint32_t generation, struct element *ret_blamed,
                  struct err *err)
{
    char begin[64], end[64];
    struct pieces pieces = {0};
    *ret_blamed = (struct element){.set = SET_COUNT};
    pieces_add(&pieces, begin, batch_mark(begin, NFNL_MSG_BATCH_BEGIN, batch->sequence++, generation));
    gather(batch, &pieces);
    if (pieces.count < 2)
        return 0;
    /* Asking for the acknowledgement of the last message works on every kernel; BATCH_END answers only
     * since 6.10. */
    struct nlmsghdr *last = last_message(&pieces.list[pieces.count - 1]);
    last->nlmsg_flags |= NLM_F_ACK;
    pieces_add(&pieces, end, batch_mark(end, NFNL_MSG_BATCH_END, batch->sequence++, 0));
    if (pieces.bytes > TRANSACTION_MAX)
        return err_set(err, EMSGSIZE, "a transaction of %zu bytes is more than a netlink socket takes",
                       pieces.bytes);

    int size = (int)(pieces.bytes + (64 << 10));
    setsockopt(kernel->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    struct msghdr message = {
        .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = pieces.list, .msg_iovlen = pieces.count};
    ssize_t sent;
    do
        sent = sendmsg(kernel->fd, &message, 0);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return err_set(err, errno, "cannot send a transaction of %zu bytes to nf_tables: %s", pieces.bytes,
                       strerror(errno));
    int code = read_answers(kernel, &pieces, last->nlmsg_seq, ret_blamed);
    if (code < 0)
        return err_set(err, -code, "nf_tables refused the transaction: %s", strerror(-code));
    return 0;
}

int kernel_ask(struct kernel *kernel, struct nlmsghdr *request, netlink_visit_fn *visit, void *context,
               struct err *err)
{
    static uint32_t sequence;
    request->nlmsg_seq = ++sequence | 0x80000000u;
    int code = netlink_ask(kernel->fd, request, visit, context);
    if (code == -EINTR)
        return err_set(err, EINTR, "nf_tables changed while it was read");
    return code < 0 ? err_set(err, -code, "nf_tables does not answer: %s", strerror(-code)) : 0;
}

static int visit_generation(const struct nlmsghdr *message, void *context)
{
    const struct nlattr *attribute;
    if (message->nlmsg_len % MNL_ALIGNTO)
        return 0;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attribute) == NFTA_GEN_ID && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
            *(uint32_t *)context = ntohl(mnl_attr_get_u32(attribute));
    }
    return 0;
}

int kernel_generation(struct kernel *kernel, uint32_t *ret, struct err *err)
{
    char buffer[128];
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETGEN, AF_UNSPEC, 0, 0);
    return kernel_ask(kernel, request, visit_generation, ret, err);
}

/* Lets pass what is not from our own request socket and names our table: its name is the first attribute of
 * every table, chain, rule, set and element message. */
static int attach_filter(int fd, uint32_t own_port_id)
{
    enum {
        PORT_ID = offsetof(struct nlmsghdr, nlmsg_pid),
        ATTRIBUTE = NLMSG_HDRLEN + sizeof(struct nfgenmsg)
    };
    char name[8];
    uint32_t name_words[2];
    memcpy(name, TABLE_NAME, sizeof(name)); /* eight letters: exactly two words */
    memcpy(name_words, name, sizeof(name));
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PORT_ID),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port_id), 7, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ATTRIBUTE + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(name_words[0]), 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ATTRIBUTE + 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(name_words[1]), 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ATTRIBUTE + 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void kernel_watch_leave(struct kernel *kernel)
{
    if (kernel->watch_fd < 0)
        return;
    const int group = NFNLGRP_NFTABLES;
    setsockopt(kernel->watch_fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group));
    kernel->is_watching = false;
}

int kernel_watch_join(struct kernel *kernel, struct err *err)
{
    if (kernel->watch_fd < 0) {
        cleanup_close int fd = -1;
        int code = open_socket(&fd, err);
        if (code < 0)
            return code;
        if (attach_filter(fd, kernel->port_id) < 0)
            return err_set(err, errno, "cannot filter nf_tables' events: %s", strerror(errno));
        kernel->watch_fd = steal_fd(&fd);
    }
    const int group = NFNLGRP_NFTABLES;
    if (setsockopt(kernel->watch_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return err_set(err, errno, "cannot listen to nf_tables' events: %s", strerror(errno));
    kernel->is_watching = true;
    return 0;
}

int kernel_commit_unheard(struct kernel *kernel, struct batch *batch, struct element *ret_blamed,
                          bool *ret_disturbed, struct err *err)
{
    uint32_t before = 0, after = 0;
    *ret_disturbed = false;
    if (!kernel->is_watching)
        return kernel_commit(kernel, batch, 0, ret_blamed, err);
    int code = kernel_generation(kernel, &before, err);
    if (code < 0)
        return code;
    kernel_watch_leave(kernel);
    code = kernel_commit(kernel, batch, before, ret_blamed, err);
    int joined = kernel_watch_join(kernel, code < 0 ? NULL : err);
    if (joined == 0)
        joined = kernel_generation(kernel, &after, code < 0 ? NULL : err);
    *ret_disturbed = joined < 0 || after != before + (code == 0);
    /* Somebody was between the question and the commit: once more, heard this time. */
    if (code == -ERESTART)
        code = kernel_commit(kernel, batch, 0, ret_blamed, err);
    return code < 0 ? code : joined;
}

bool kernel_watch_is_disturbed(struct kernel *kernel)
{
    char buffer[4096];
    bool is_disturbed = false;
    for (;;) {
        ssize_t got = recv(kernel->watch_fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != ENOBUFS)
            return is_disturbed;
        is_disturbed = true;
    }
}
