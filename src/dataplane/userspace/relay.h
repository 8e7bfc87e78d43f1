/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/userspace/choice.h"
#include "dataplane/userspace/pump.h"

#include <sys/socket.h>

/* The proxy itself: a server is one listening socket, on any local address, whose connections and flows go to
 * the endpoints of one choice. Which packets come to it is the portals' affair. */

struct server;
struct connection;

/* What all servers of one loop share. */
struct relay {
    uv_loop_t *loop;
    struct pump_pipes pipes;
    struct connection *connections;
    struct server *servers;
    uint64_t connection_count, flow_count, server_count;
    int reserve_fd;        /* given up to refuse a connection where descriptors are out; -1 */
    uint64_t udp_idle_ms;  /* a UDP flow without datagrams for so long ends */
    uint32_t udp_flow_max; /* of one server; the one that is idle for longest goes */
};

void relay_init(struct relay *relay, uv_loop_t *loop);
/* Cuts off what is under way, and closes the servers. The loop has to run until it has nothing to do. */
void relay_done(struct relay *relay);

/* A TCP connection is accepted first; then endpoints are tried, four at most, for 250, 500, 1000 and 2000 ms
 * (pkg/proxy/userspace/proxysocket.go of 1.21). Where none answers the client is reset. UDP flows end when
 * idle, or when the endpoint says that nobody is there. -EPROTONOSUPPORT for SCTP, else -errno. */
int server_open(struct server **ret, struct relay *relay, enum family family, enum protocol protocol,
                struct err *err);
/* Established connections go on; UDP flows end. */
void server_close(struct server *server);
/* The endpoints of new connections and flows from now on (copied). UDP flows go on to all that are in serving
 * (NULL: in set), though it may be that nobody new is sent there; the others end. */
void server_set(struct server *server, const struct backend_set *set, const struct backend_set *serving,
                uint32_t affinity_seconds);
uint16_t server_port(const struct server *server); /* host order */
/* The server that has this port; NULL: none of these. */
struct server *relay_find(const struct relay *relay, enum family family, enum protocol protocol,
                          uint16_t port);
/* Whom the server passes this client's connection or flow on to; local is the address of the node's that it
 * came to. False: nobody, as yet or any more. */
bool server_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                          const struct address *local, struct address *ret);

/* --- between the files of the relay --- */

#define DATAGRAM_MAX 65535

struct udp_flow;

struct server {
    struct relay *relay;
    enum family family;
    enum protocol protocol;
    int fd;
    uint16_t port;
    struct server_key {
        uint32_t family, protocol, port;
    } key;
    struct choice choice;
    uv_poll_t poll;
    uv_timer_t timer; /* UDP: when the oldest flow is over */
    int open_handles;
    struct udp_flow *flows; /* UDP: the one that is idle for longest first */
    UT_hash_handle hh;
};

socklen_t endpoint_sockaddr(const struct address *address, uint16_t port, struct sockaddr_storage *ret);
struct address endpoint_address(const struct sockaddr_storage *from);
uint16_t endpoint_port(const struct sockaddr_storage *from);

void tcp_accept(struct server *server);
void tcp_forget_server(struct relay *relay, const struct server *server);
void tcp_cut_all(struct relay *relay);
bool tcp_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                       struct address *ret);
void udp_receive(struct server *server);
bool udp_find_endpoint(const struct server *server, const struct address *client, uint16_t client_port,
                       const struct address *local, struct address *ret);
/* Those alone whose endpoint is not in set; NULL: all. */
void udp_end_flows(struct server *server, const struct backend_set *set);
