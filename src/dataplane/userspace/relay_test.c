/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/relay.h"

#include "dataplane/userspace/test_sockets.h"

#include <signal.h>

struct world {
    uv_loop_t loop;
    struct relay relay;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&world->loop);
    relay_init(&world->relay, &world->loop);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    relay_done(&world->relay);
    assert_int_equal(world->relay.connection_count + world->relay.flow_count + world->relay.server_count, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static struct server *open_server(struct world *world, enum protocol protocol)
{
    struct server *server = NULL;
    assert_int_equal(server_open(&server, &world->relay, FAMILY_IPV4, protocol, NULL), 0);
    assert_true(server_port(server) > 0);
    return server;
}

static void set(struct server *server, const uint16_t *ports, uint32_t count, uint32_t affinity_seconds)
{
    struct backend list[4];
    struct backend_set set = {.count = count, .list = list};
    for (uint32_t i = 0; i < count; i++) {
        list[i].port = ports[i];
        assert_int_equal(address_parse("127.0.0.1", &list[i].address, NULL), 0);
    }
    server_set(server, &set, NULL, affinity_seconds);
}

/* A port on which nobody is. */
static uint16_t closed_port(int type)
{
    int fd = bound_socket(type);
    uint16_t port = port_of_socket(fd);
    close(fd);
    return port;
}

static int accept_from(struct world *world, int listener)
{
    int fd = -1;
    for (int i = 0; i < 50000 && fd < 0; i++) {
        turn(&world->loop);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    assert_true(fd >= 0);
    return fd;
}

/* Whether the server knows whom it passes this client's on to; they are all on 127.0.0.1. */
static void expect_endpoint(const struct server *server, int client, bool is_known)
{
    struct address loopback_address, found = {0};
    assert_int_equal(address_parse("127.0.0.1", &loopback_address, NULL), 0);
    bool is_found =
        server_find_endpoint(server, &loopback_address, port_of_socket(client), &loopback_address, &found);
    assert_int_equal(is_found, is_known);
    assert_int_equal(address_cmp(&found, &loopback_address) == 0, is_known);
}

static void test_dials_until_one_answers(void **state)
{
    struct world *world = *state;
    int listener = bound_socket(SOCK_STREAM);
    uint16_t ports[] = {closed_port(SOCK_STREAM), port_of_socket(listener), closed_port(SOCK_STREAM)};
    struct server *server = open_server(world, PROTOCOL_TCP);
    for (uint32_t affinity = 0; affinity < 20; affinity += 10) {
        set(server, ports, 3, affinity);
        for (int i = 0; i < 6; i++) {
            int client = connected_socket(SOCK_STREAM, server_port(server));
            int backend = accept_from(world, listener);
            assert_int_equal(send(backend, "hello", 5, 0), 5);
            expect_text(&world->loop, client, "hello");
            expect_endpoint(server, client, true);
            close(client);
            close(backend);
        }
    }
    close(listener);
}

static void test_nobody_answers(void **state)
{
    struct world *world = *state;
    uint16_t ports[] = {closed_port(SOCK_STREAM), closed_port(SOCK_STREAM)};
    struct server *server = open_server(world, PROTOCOL_TCP);
    char byte;
    for (uint32_t count = 0; count <= 2; count += 2) {
        set(server, ports, count, 0);
        int client = connected_socket(SOCK_STREAM, server_port(server));
        assert_int_equal(receive(&world->loop, client, &byte, 1), -ECONNRESET);
        close(client);
    }
    assert_int_equal(world->relay.connection_count, 0);
}

static void test_established_goes_on(void **state)
{
    struct world *world = *state;
    int listener = bound_socket(SOCK_STREAM);
    uint16_t port = port_of_socket(listener);
    struct server *server = open_server(world, PROTOCOL_TCP);
    set(server, &port, 1, 0);
    int client = connected_socket(SOCK_STREAM, server_port(server));
    int backend = accept_from(world, listener);
    int late = connected_socket(SOCK_STREAM, server_port(server)); /* still in the queue */
    server_close(server);
    int other = accept_from(world, listener);
    for (int i = 0; i < 2; i++)
        assert_int_equal(send(i ? backend : other, "still here", 10, 0), 10);
    expect_text(&world->loop, client, "still here");
    expect_text(&world->loop, late, "still here");
    close(client);
    close(late);
    close(backend);
    close(other);
    close(listener);
}

/* What the backend hears; the sender's address. */
static struct sockaddr_in hear(struct world *world, int backend, const char *text)
{
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char buffer[64] = "";
    ssize_t count = -1;
    for (int i = 0; i < 50000 && count < 0; i++) {
        turn(&world->loop);
        count = recvfrom(backend, buffer, sizeof(buffer) - 1, 0, (struct sockaddr *)&from, &len);
    }
    assert_string_equal(buffer, text);
    return from;
}

static void test_datagrams(void **state)
{
    struct world *world = *state;
    int backend = bound_socket(SOCK_DGRAM);
    uint16_t port = port_of_socket(backend);
    struct server *server = open_server(world, PROTOCOL_UDP);
    set(server, &port, 1, 0);
    int clients[2];
    struct sockaddr_in from[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = connected_socket(SOCK_DGRAM, server_port(server));
        assert_int_equal(send(clients[i], i ? "two" : "one", 3, 0), 3);
        from[i] = hear(world, backend, i ? "two" : "one");
    }
    assert_int_equal(world->relay.flow_count, 2);
    assert_int_not_equal(from[0].sin_port, from[1].sin_port);
    for (int i = 0; i < 2; i++) {
        sendto(backend, i ? "TWO" : "ONE", 3, 0, (struct sockaddr *)&from[i], sizeof(from[i]));
        expect_text(&world->loop, clients[i], i ? "TWO" : "ONE");
    }
    uint16_t served = server_port(server);
    assert_ptr_equal(relay_find(&world->relay, FAMILY_IPV4, PROTOCOL_UDP, served), server);
    assert_null(relay_find(&world->relay, FAMILY_IPV6, PROTOCOL_UDP, served));
    assert_null(relay_find(&world->relay, FAMILY_IPV4, PROTOCOL_TCP, served));
    expect_endpoint(server, clients[0], true);
    set(server, NULL, 0, 0); /* the endpoint is gone */
    assert_int_equal(world->relay.flow_count, 0);
    expect_endpoint(server, clients[0], false);
    server_close(server);
    assert_null(relay_find(&world->relay, FAMILY_IPV4, PROTOCOL_UDP, served));
    close(clients[0]);
    close(clients[1]);
    close(backend);
}

/* An endpoint that nobody new is sent to, but which still serves. */
static void test_flows_to_who_still_serves_stay(void **state)
{
    struct world *world = *state;
    int old = bound_socket(SOCK_DGRAM), other = bound_socket(SOCK_DGRAM);
    struct backend backends[2] = {{.port = port_of_socket(old)}, {.port = port_of_socket(other)}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(address_parse("127.0.0.1", &backends[i].address, NULL), 0);
    const struct backend_set both = {.count = 2, .list = backends}, next = {.count = 1, .list = backends + 1};
    struct server *server = open_server(world, PROTOCOL_UDP);
    set(server, &backends[0].port, 1, 0);
    int client = connected_socket(SOCK_DGRAM, server_port(server));
    assert_int_equal(send(client, "one", 3, 0), 3);
    hear(world, old, "one");
    server_set(server, &next, &both, 0);
    assert_int_equal(send(client, "two", 3, 0), 3);
    hear(world, old, "two");
    server_set(server, &next, &next, 0);
    assert_int_equal(send(client, "three", 5, 0), 5);
    hear(world, other, "three");
    close(client);
    close(old);
    close(other);
}

/* A connected client hears an answer only from where it asked. */
static void test_answers_from_where_it_was_asked(void **state)
{
    struct world *world = *state;
    int backend = bound_socket(SOCK_DGRAM);
    uint16_t port = port_of_socket(backend);
    struct server *server = open_server(world, PROTOCOL_UDP);
    set(server, &port, 1, 0);
    struct sockaddr_in to = loopback(server_port(server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 */
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(client, "ask", 3, 0), 3);
    struct sockaddr_in from = hear(world, backend, "ask");
    sendto(backend, "tell", 4, 0, (struct sockaddr *)&from, sizeof(from));
    expect_text(&world->loop, client, "tell");
    close(client);
    close(backend);
}

static void test_idle_flows_end(void **state)
{
    struct world *world = *state;
    int backend = bound_socket(SOCK_DGRAM), client;
    uint16_t port = port_of_socket(backend);
    struct server *server = open_server(world, PROTOCOL_UDP);
    world->relay.udp_idle_ms = 20;
    world->relay.udp_flow_max = 2;
    set(server, &port, 1, 0);
    for (int i = 0; i < 3; i++) {
        client = connected_socket(SOCK_DGRAM, server_port(server));
        assert_int_equal(send(client, "x", 1, 0), 1);
        hear(world, backend, "x");
        assert_true(world->relay.flow_count <= 2);
        close(client);
    }
    for (int i = 0; i < 50000 && world->relay.flow_count; i++)
        turn(&world->loop);
    assert_int_equal(world->relay.flow_count, 0);
    close(backend);
}

static void test_next_datagram_goes_to_another(void **state)
{
    struct world *world = *state;
    int backend = bound_socket(SOCK_DGRAM);
    uint16_t ports[] = {closed_port(SOCK_DGRAM), port_of_socket(backend)};
    struct server *server = open_server(world, PROTOCOL_UDP);
    char buffer[8];
    ssize_t count = -1;
    set(server, ports, 2, 10);
    int client = connected_socket(SOCK_DGRAM, server_port(server));
    for (int i = 0; i < 200 && count < 0; i++) {
        send(client, "try", 3, 0);
        for (int j = 0; j < 20 && count < 0; j++) {
            turn(&world->loop);
            count = recv(backend, buffer, sizeof(buffer), 0);
        }
    }
    assert_int_equal(count, 3);
    close(client);
    close(backend);
}

static void test_no_sctp(void **state)
{
    struct world *world = *state;
    struct server *server = NULL;
    struct err err;
    assert_int_equal(server_open(&server, &world->relay, FAMILY_IPV4, PROTOCOL_SCTP, &err), -EPROTONOSUPPORT);
    assert_null(server);
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_dials_until_one_answers),
        IN_WORLD(test_nobody_answers),
        IN_WORLD(test_established_goes_on),
        IN_WORLD(test_datagrams),
        IN_WORLD(test_flows_to_who_still_serves_stay),
        IN_WORLD(test_answers_from_where_it_was_asked),
        IN_WORLD(test_idle_flows_end),
        IN_WORLD(test_next_datagram_goes_to_another),
        IN_WORLD(test_no_sctp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
