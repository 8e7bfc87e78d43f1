/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/connections.h"

#include "base/arena.h"
#include "base/slab.h"
#include "base/text.h"
#include "store/test_objects.h"

#include <stdio.h>
#include <stdlib.h>

/* A node in the zone east with two Services; endpoints in two zones, in none, and gone. */
static const char objects[] = TEST_NODE("here", "topology.kubernetes.io/zone: east",
                                        "podCIDRs: [10.244.1.0/24]",
                                        "{type: InternalIP, address: 172.18.0.11}")
    TEST_NODE("there", "topology.kubernetes.io/zone: west", "podCIDRs: [10.244.2.0/24]",
              "{type: InternalIP, address: 172.18.0.12}")
        TEST_SERVICE("dns", "clusterIP: 10.96.0.10, ports: [{name: udp, port: 53, protocol: UDP}]")
            TEST_SERVICE("web", "type: NodePort, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "
                                "\"fd00:96::1\"], ipFamilyPolicy: RequireDualStack, "
                                "externalIPs: [203.0.113.7], ports: [{port: 80, nodePort: 30080}]")
                TEST_SLICE("web-4", "web", "IPv4", "{port: 8080}",
                           "{addresses: [10.244.1.5], zone: east}, {addresses: [10.244.2.5], zone: west}, "
                           "{addresses: [10.9.9.9]}") TEST_SLICE("web-6", "web", "IPv6", "{port: 8080}",
                                                                 "{addresses: [\"fd00:2::5\"], zone: west}")
                    TEST_SLICE("dns-4", "dns", "IPv4", "{name: udp, port: 5353, protocol: UDP}",
                               "{addresses: [10.244.2.53], zone: west}");

struct world {
    struct store *store;
    struct claims claims;
    struct node_view view;
    struct dataplane_node node;
    struct address node_port_addresses[2];
    struct places *places;
    struct connections connections;
};

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return address;
}

static void on_moved(void *context, const char *owner)
{
    (void)context;
    (void)owner;
}

static void on_lost(void *context, const struct frontend *frontend, const char *owner, const char *winner)
{
    (void)context;
    (void)frontend;
    fail_msg("%s lost a frontend to %s", owner, winner);
}

static int setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    struct arena scratch = {0};
    world->store = test_store(objects);
    world->view = (struct node_view){.name = intern_id(world->store->names, "here"),
                                     .zone = intern_id(world->store->names, "east"),
                                     .store = world->store,
                                     .has_family = {true, true}};
    world->node_port_addresses[0] = address_of("172.18.0.11");
    world->node_port_addresses[1] = address_of("fd00:18::11");
    world->node = (struct dataplane_node){.view = &world->view,
                                          .node_port_addresses = world->node_port_addresses,
                                          .node_port_address_count = 2};
    for (struct service_record *record = world->store->services; record; record = record->hh.next) {
        record->entry =
            entry_build(record->service, record->slices, record->slice_count, &world->view, &scratch);
        claims_update(&world->claims, record->key, NULL, record->entry, on_moved, on_lost, NULL);
    }
    arena_done(&scratch);
    world->places = places_new(&world->view, world->node_port_addresses, 2);
    connections_init(&world->connections);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    connections_done(&world->connections);
    places_free(world->places);
    claims_done(&world->claims);
    store_free(world->store);
    free(world);
    return 0;
}

static void add(struct world *world, const char *source, const char *destination, uint8_t protocol,
                uint16_t port, const char *answerer)
{
    const struct connections_facts facts = {
        .claims = &world->claims, .node = &world->node, .places = world->places};
    const struct flow flow = {.family = strchr(source, ':') ? FAMILY_IPV6 : FAMILY_IPV4,
                              .protocol = protocol,
                              .port = port,
                              .source = address_of(source),
                              .destination = address_of(destination),
                              .answerer = address_of(answerer)};
    connections_add(&world->connections, &facts, &flow);
}

/* "SOURCE>DESTINATION COUNT; " for each pair; Services in the order in which they came. */
static void expect(struct world *world, const char *by_zone, const char *by_service)
{
    const struct connections *connections = &world->connections;
    const struct intern *names = world->store->names;
    struct text zones = {0}, services = {0};
    connections_sort(&world->connections, names);
    for (const struct connection_pair *pair = connections->by_zone; pair; pair = pair->hh.next)
        text_printf(&zones, "%s>%s %llu; ", intern_text(names, pair->key.source_zone),
                    intern_text(names, pair->key.destination_zone), (unsigned long long)pair->count);
    for (const struct connection_pair *pair = connections->by_service; pair; pair = pair->hh.next)
        text_printf(&services, "%s %s>%s %llu; ", intern_text(connections->services, pair->key.service),
                    intern_text(names, pair->key.source_zone), intern_text(names, pair->key.destination_zone),
                    (unsigned long long)pair->count);
    assert_string_equal(text_str(&zones), by_zone);
    assert_string_equal(text_str(&services), by_service);
    text_done(&zones);
    text_done(&services);
}

static void expect_localities(const struct world *world, uint64_t same, uint64_t cross, uint64_t unknown)
{
    assert_int_equal(world->connections.by_locality[LOCALITY_SAME_ZONE], same);
    assert_int_equal(world->connections.by_locality[LOCALITY_CROSS_ZONE], cross);
    assert_int_equal(world->connections.by_locality[LOCALITY_UNKNOWN_ZONE], unknown);
}

static void test_cluster_ip(void **state)
{
    struct world *world = *state;
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, "10.244.1.5");
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, "10.244.1.5");
    add(world, "172.18.0.11", "10.96.0.1", IPPROTO_TCP, 80, "10.244.2.5"); /* a process of the node itself */
    add(world, "10.50.0.3", "10.96.0.1", IPPROTO_TCP, 80, "10.244.2.5");   /* a pod that no object tells of */
    add(world, "10.244.2.9", "10.96.0.1", IPPROTO_TCP, 80,
        "10.244.1.5"); /* somebody routes cluster IPs here */
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, "10.9.9.9"); /* an endpoint without a zone */
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80,
        "10.8.8.8"); /* it went, its connection lives on */
    expect(
        world, "east> 2; east>east 2; east>west 2; west>east 1; ",
        "default/web east>east 2; default/web east>west 2; default/web west>east 1; default/web east> 2; ");
    expect_localities(world, 2, 3, 2);
}

static void test_protocols_and_families(void **state)
{
    struct world *world = *state;
    add(world, "10.244.1.77", "10.96.0.10", IPPROTO_UDP, 53, "10.244.2.53");
    add(world, "fd00:1::77", "fd00:96::1", IPPROTO_TCP, 80, "fd00:2::5");
    expect(world, "east>west 2; ", "default/dns east>west 1; default/web east>west 1; ");
}

/* Anybody may come to a node port or an external IP: who is not known is from nowhere. */
static void test_outside(void **state)
{
    struct world *world = *state;
    add(world, "198.51.100.1", "172.18.0.11", IPPROTO_TCP, 30080, "10.244.1.5");
    add(world, "172.18.0.12", "172.18.0.11", IPPROTO_TCP, 30080, "10.244.1.5");
    add(world, "10.244.1.77", "203.0.113.7", IPPROTO_TCP, 80, "10.244.2.5");
    add(world, "2001:db8::1", "fd00:18::11", IPPROTO_TCP, 30080, "fd00:2::5");
    expect(world, ">east 1; >west 1; east>west 1; west>east 1; ",
           "default/web >east 1; default/web west>east 1; default/web east>west 1; default/web >west 1; ");
    expect_localities(world, 0, 2, 2);
}

static void test_not_ours(void **state)
{
    struct world *world = *state;
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 81, "10.244.1.5");      /* another port */
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_UDP, 80, "10.244.1.5");      /* another protocol */
    add(world, "10.244.1.77", "172.18.0.12", IPPROTO_TCP, 30080, "10.244.1.5"); /* another node's node port */
    add(world, "10.244.1.77", "172.18.0.11", IPPROTO_TCP, 8443, "10.244.1.5");  /* a host port */
    add(world, "10.244.1.77", "10.96.0.99", IPPROTO_TCP, 80, "10.244.1.5");     /* somebody else's address */
    expect(world, "", "");
    expect_localities(world, 0, 0, 0);
}

/* The caps leave out new pairs, not more of the old ones. */
static void test_caps(void **state)
{
    struct world *world = *state;
    struct text slices = {0};
    text_printf(
        &slices,
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: many, namespace: default}\n"
        "addressType: IPv4\nports: []\nendpoints:\n");
    for (int i = 0; i < CONNECTIONS_ZONE_PAIRS_MAX; i++)
        text_printf(&slices, "- {addresses: [10.7.%d.%d], zone: z%d}\n", i / 250, i % 250 + 1, i);
    test_put(world->store, slices.data);
    text_done(&slices);
    places_free(world->places);
    world->places = places_new(&world->view, world->node_port_addresses, 2);
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, "10.244.1.5");
    for (int i = 0; i < CONNECTIONS_ZONE_PAIRS_MAX; i++) {
        char answerer[32];
        snprintf(answerer, sizeof(answerer), "10.7.%d.%d", i / 250, i % 250 + 1);
        add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, answerer);
    }
    assert_int_equal(world->connections.left_out, 1);
    assert_int_equal(world->connections.left_out_of_services, 0);
    add(world, "10.244.1.77", "10.96.0.1", IPPROTO_TCP, 80, "10.244.1.5");
    assert_int_equal(world->connections.left_out, 1);
    assert_int_equal(HASH_COUNT(world->connections.by_zone), CONNECTIONS_ZONE_PAIRS_MAX);
    expect_localities(world, 2, CONNECTIONS_ZONE_PAIRS_MAX, 0);
    assert_int_equal(HASH_COUNT(world->connections.by_service), CONNECTIONS_ZONE_PAIRS_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cluster_ip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protocols_and_families, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
