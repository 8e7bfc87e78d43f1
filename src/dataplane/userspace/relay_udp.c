/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/relay.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAMS 64 /* in one go, then others have their turn */

/* Whose datagrams: where from, and to which of the node's addresses. Without padding, zeroed. */
struct flow_key {
    struct address client, local;
    uint32_t client_port, scope;
};

struct udp_flow {
    struct flow_key key;
    struct server *server;
    struct backend backend;
    uint64_t last_ms;
    int fd; /* connected to the endpoint */
    uv_poll_t poll;
    UT_hash_handle hh;
};

static char datagram[DATAGRAM_MAX]; /* one thread, and nobody keeps it */

static void on_flow_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void end_flow(struct udp_flow *flow)
{
    HASH_DEL(flow->server->flows, flow);
    flow->server->relay->flow_count--;
    uv_poll_stop(&flow->poll);
    uv_close((uv_handle_t *)&flow->poll, on_flow_closed);
    close(flow->fd);
}

static bool has(const struct backend_set *set, const struct backend *backend)
{
    for (uint32_t i = 0; set && i < set->count; i++)
        if (set->list[i].port == backend->port && address_cmp(&set->list[i].address, &backend->address) == 0)
            return true;
    return false;
}

void udp_end_flows(struct server *server, const struct backend_set *set)
{
    struct udp_flow *flow, *next;
    HASH_ITER (hh, server->flows, flow, next)
        if (!has(set, &flow->backend))
            end_flow(flow);
}

/* --- idle flows --- */

static void on_idle(uv_timer_t *timer)
{
    struct server *server = timer->data;
    uint64_t now = uv_now(server->relay->loop), idle = server->relay->udp_idle_ms;
    while (server->flows && now - server->flows->last_ms >= idle)
        end_flow(server->flows);
    if (server->flows)
        uv_timer_start(timer, on_idle, idle - (now - server->flows->last_ms), 0);
}

/* Puts the flow last. */
static void touch(struct udp_flow *flow)
{
    struct server *server = flow->server;
    if (flow->last_ms) /* else it is not in yet */
        HASH_DEL(server->flows, flow);
    flow->last_ms = uv_now(server->relay->loop);
    HASH_ADD(hh, server->flows, key, sizeof(flow->key), flow);
    if (!uv_is_active((uv_handle_t *)&server->timer))
        uv_timer_start(&server->timer, on_idle, server->relay->udp_idle_ms, 0);
}

/* --- answers --- */

union control {
    char in[CMSG_SPACE(sizeof(struct in_pktinfo))];
    char in6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
};

/* From the address that the client wrote to: the kernel's translation goes by it. */
static void answer(const struct udp_flow *flow, size_t len)
{
    struct sockaddr_storage to;
    union control control = {0};
    struct iovec data = {.iov_base = datagram, .iov_len = len};
    struct msghdr message = {.msg_name = &to, .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
    message.msg_namelen = endpoint_sockaddr(&flow->key.client, (uint16_t)flow->key.client_port, &to);
    size_t wire_len;
    const uint8_t *local = address_wire(&flow->key.local, &wire_len);
    bool is_ipv4 = flow->server->family == FAMILY_IPV4;
    message.msg_controllen = is_ipv4 ? sizeof(control.in) : sizeof(control.in6);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (is_ipv4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local, wire_len);
        *header = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(header), &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = flow->key.scope};
        memcpy(&info.ipi6_addr, local, wire_len);
        ((struct sockaddr_in6 *)&to)->sin6_scope_id = flow->key.scope;
        *header = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(header), &info, sizeof(info));
    }
    (void)sendmsg(flow->server->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); /* a datagram may get lost */
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    struct udp_flow *flow = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < DATAGRAMS; i++) {
        ssize_t len = recv(flow->fd, datagram, sizeof(datagram), MSG_DONTWAIT);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len < 0) { /* nobody is there: the client's next datagram goes to another */
            choice_reset(&flow->server->choice, &flow->key.client);
            end_flow(flow);
            return;
        }
        touch(flow);
        answer(flow, (size_t)len);
    }
}

/* --- questions --- */

static int connect_flow(const struct backend *backend)
{
    struct sockaddr_storage to;
    socklen_t len = endpoint_sockaddr(&backend->address, backend->port, &to);
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, len) == 0)
        return fd;
    int code = -errno;
    close(fd);
    return code;
}

static struct udp_flow *flow_new(struct server *server, const struct flow_key *key)
{
    struct relay *relay = server->relay;
    struct backend backend;
    if (!choice_take(&server->choice, &key->client, uv_now(relay->loop), &backend))
        return NULL;
    if (HASH_COUNT(server->flows) >= relay->udp_flow_max)
        end_flow(server->flows);
    int fd = connect_flow(&backend);
    if ((fd == -EMFILE || fd == -ENFILE) && server->flows) {
        end_flow(server->flows);
        fd = connect_flow(&backend);
    }
    if (fd < 0) {
        choice_reset(&server->choice, &key->client);
        return NULL;
    }
    struct udp_flow *flow = xcalloc(1, sizeof(*flow));
    *flow = (struct udp_flow){.key = *key, .server = server, .backend = backend, .fd = fd};
    if (uv_poll_init(relay->loop, &flow->poll, fd) < 0) {
        close(fd);
        free(flow);
        return NULL;
    }
    relay->flow_count++;
    flow->poll.data = flow;
    uv_poll_start(&flow->poll, UV_READABLE, on_answer);
    return flow;
}

static struct flow_key key_of(const struct sockaddr_storage *from, struct msghdr *message)
{
    struct flow_key key = {.client = endpoint_address(from)};
    key.client_port = endpoint_port(from);
    if (from->ss_family == AF_INET6)
        key.scope = ((const struct sockaddr_in6 *)from)->sin6_scope_id;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        struct in_pktinfo info;
        struct in6_pktinfo info6;
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(header), sizeof(info));
            key.local = address_from_wire(FAMILY_IPV4, &info.ipi_addr);
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(header), sizeof(info6));
            key.local = address_from_wire(FAMILY_IPV6, &info6.ipi6_addr);
        }
    }
    return key;
}

/* Those of a link alone, which have a scope, are no addresses of a service's clients. */
bool udp_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                       const struct address *local, struct address *ret)
{
    const struct flow_key key = {.client = *client, .local = *local, .client_port = client_port};
    const struct udp_flow *flow;
    HASH_FIND(hh, server->flows, &key, sizeof(key), flow);
    if (flow)
        *ret = flow->backend.address;
    return flow != NULL;
}

void udp_receive(struct server *server)
{
    for (int i = 0; i < DATAGRAMS; i++) {
        struct sockaddr_storage from = {0};
        union control control;
        struct iovec data = {.iov_base = datagram, .iov_len = sizeof(datagram)};
        struct msghdr message = {.msg_name = &from,
                                 .msg_namelen = sizeof(from),
                                 .msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t len = recvmsg(server->fd, &message, MSG_DONTWAIT);
        if (len < 0)
            return;
        struct flow_key key = key_of(&from, &message);
        struct udp_flow *flow;
        HASH_FIND(hh, server->flows, &key, sizeof(key), flow);
        if (!flow)
            flow = flow_new(server, &key);
        if (!flow)
            continue;
        touch(flow);
        (void)send(flow->fd, datagram, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}
