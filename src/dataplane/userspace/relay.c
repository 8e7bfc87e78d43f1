/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/relay.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define UDP_IDLE_MS 10000
#define UDP_FLOW_MAX 8192

void relay_init(struct relay *relay, uv_loop_t *loop)
{
    *relay = (struct relay){.loop = loop, .udp_idle_ms = UDP_IDLE_MS, .udp_flow_max = UDP_FLOW_MAX};
    relay->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void relay_done(struct relay *relay)
{
    tcp_cut_all(relay);
    while (relay->servers)
        server_close(relay->servers);
    pump_pipes_done(&relay->pipes);
    if (relay->reserve_fd >= 0)
        close(relay->reserve_fd);
    relay->reserve_fd = -1;
}

socklen_t endpoint_sockaddr(const struct address *address, uint16_t port, struct sockaddr_storage *ret)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    *ret = (struct sockaddr_storage){0};
    if (address_family(address) == FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, wire, len);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, wire, len);
    return sizeof(*in6);
}

struct address endpoint_address(const struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET)
        return address_from_wire(FAMILY_IPV4, &((const struct sockaddr_in *)from)->sin_addr);
    return address_from_wire(FAMILY_IPV6, &((const struct sockaddr_in6 *)from)->sin6_addr);
}

uint16_t endpoint_port(const struct sockaddr_storage *from)
{
    return ntohs(from->ss_family == AF_INET ? ((const struct sockaddr_in *)from)->sin_port
                                            : ((const struct sockaddr_in6 *)from)->sin6_port);
}

/* Any address, any port: the kernel chooses one from ip_local_port_range. */
static int bind_any(int fd, enum family family, uint16_t *ret_port)
{
    struct sockaddr_storage any = {.ss_family = family == FAMILY_IPV4 ? AF_INET : AF_INET6};
    socklen_t len = family == FAMILY_IPV4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int on = 1;
    if (family == FAMILY_IPV6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&any, len) < 0 || getsockname(fd, (struct sockaddr *)&any, &len) < 0)
        return -errno;
    *ret_port = ntohs(family == FAMILY_IPV4 ? ((struct sockaddr_in *)&any)->sin_port
                                            : ((struct sockaddr_in6 *)&any)->sin6_port);
    return 0;
}

/* UDP answers have to leave from the very address that the question came to. */
static int prepare(int fd, enum family family, enum protocol protocol)
{
    int on = 1, code = 0;
    if (protocol == PROTOCOL_TCP)
        code = listen(fd, SOMAXCONN);
    else if (family == FAMILY_IPV4)
        code = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    else
        code = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    return code < 0 ? -errno : 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status; /* what an error was about is said by the call that follows */
    (void)events;
    if (server->protocol == PROTOCOL_TCP)
        tcp_accept(server);
    else
        udp_receive(server);
}

static int open_socket(struct server *server)
{
    int domain = server->family == FAMILY_IPV4 ? AF_INET : AF_INET6;
    int type = server->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    server->fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0)
        return -errno;
    int code = bind_any(server->fd, server->family, &server->port);
    if (code == 0)
        code = prepare(server->fd, server->family, server->protocol);
    if (code == 0)
        code = uv_poll_init(server->relay->loop, &server->poll, server->fd);
    if (code < 0)
        close(server->fd);
    return code;
}

int server_open(struct server **ret, struct relay *relay, enum family family, enum protocol protocol,
                struct err *err)
{
    if (protocol == PROTOCOL_SCTP)
        return err_set(err, EPROTONOSUPPORT, "SCTP cannot be proxied in user space");
    struct server *server = xcalloc(1, sizeof(*server));
    uint64_t seed = 0;
    *server = (struct server){.relay = relay, .family = family, .protocol = protocol};
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
        seed = uv_hrtime();
    choice_roll(&server->choice, seed);
    int code = open_socket(server);
    if (code < 0) {
        free(server);
        return err_set(err, -code, "cannot listen for %s of a service: %s", protocol_name(protocol),
                       strerror(-code));
    }
    uv_timer_init(relay->loop, &server->timer);
    server->open_handles = 2;
    server->poll.data = server->timer.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    server->key = (struct server_key){family, protocol, server->port};
    HASH_ADD(hh, relay->servers, key, sizeof(server->key), server);
    relay->server_count++;
    *ret = server;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    if (--server->open_handles > 0)
        return;
    choice_done(&server->choice);
    free(server);
}

void server_close(struct server *server)
{
    /* Who came before the rules led elsewhere is still served. */
    if (server->protocol == PROTOCOL_TCP)
        tcp_accept(server);
    tcp_forget_server(server->relay, server);
    udp_end_flows(server, NULL);
    HASH_DEL(server->relay->servers, server);
    server->relay->server_count--;
    uv_poll_stop(&server->poll);
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
    close(server->fd);
}

void server_set(struct server *server, const struct backend_set *set, const struct backend_set *serving,
                uint32_t affinity_seconds)
{
    choice_set(&server->choice, set, affinity_seconds);
    udp_end_flows(server, serving ? serving : set);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

struct server *relay_find(const struct relay *relay, enum family family, enum protocol protocol,
                          uint16_t port)
{
    const struct server_key key = {family, protocol, port};
    struct server *server;
    HASH_FIND(hh, relay->servers, &key, sizeof(key), server);
    return server;
}

bool server_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                          const struct address *local, struct address *ret)
{
    return server->protocol == PROTOCOL_TCP ? tcp_find_endpoint(server, client, client_port, ret)
                                            : udp_find_endpoint(server, client, client_port, local, ret);
}
