/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/slab.h"
#include "forwarding/claims.h"

#include "base/text.h"
#include "forwarding/describe.h"
#include "store/test_objects.h"

#include <stdlib.h>

/* Services a, b and c in the namespace default, each with the entry that it was last given. */
struct world {
    struct store *store;
    struct claims claims;
    struct entry *entries[3];
    struct text log;
};

static void on_moved(void *context, const char *owner)
{
    text_printf(&((struct world *)context)->log, "%s moved; ", owner + strlen("default/"));
}

static void on_lost(void *context, const struct frontend *frontend, const char *owner, const char *winner)
{
    struct world *world = context;
    text_printf(&world->log, "%s lost ", owner + strlen("default/"));
    describe_frontend_address(frontend, &world->log);
    text_printf(&world->log, " to %s; ", winner + strlen("default/"));
}

/* Gives the service this spec (NULL: takes it away) and says what claims_update reported. */
static void expect(struct world *world, const char *name, const char *spec, const char *expected)
{
    static const char *const owners[] = {"default/a", "default/b", "default/c"};
    struct text yaml = {0};
    struct arena scratch;
    struct entry *next = NULL, **entry = &world->entries[*name - 'a'];
    arena_init(&scratch);
    if (spec) {
        text_printf(&yaml, TEST_SERVICE("%s", "%s"), name, spec);
        test_put(world->store, yaml.data);
        const struct node_view node = {.has_family = {true, true}};
        next = entry_build(test_record(world->store, name)->service, NULL, 0, &node, &scratch);
    }
    text_done(&world->log);
    claims_update(&world->claims, owners[*name - 'a'], *entry, next, on_moved, on_lost, world);
    slab_free(*entry);
    *entry = next;
    assert_string_equal(text_str(&world->log), expected);
    text_done(&yaml);
    arena_done(&scratch);
}

static bool is_shadowed(const struct world *world, const char *name, uint32_t frontend)
{
    return world->entries[*name - 'a']->frontends[frontend].is_shadowed;
}

static int setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    world->store = store_new();
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    claims_done(&world->claims);
    for (int i = 0; i < 3; i++)
        slab_free(world->entries[i]);
    text_done(&world->log);
    store_free(world->store);
    free(world);
    return 0;
}

#define IP(cluster_ip, external_ip)                                                                          \
    "clusterIP: " cluster_ip ", externalIPs: [" external_ip "], ports: [{port: 80}]"
#define PORT(cluster_ip, node_port)                                                                          \
    "type: NodePort, clusterIP: " cluster_ip ", ports: [{port: 80, nodePort: " node_port "}]"

static void the_first_name_serves(void **state)
{
    struct world *world = *state;
    expect(world, "b", IP("10.0.0.2", "192.0.2.1"), "");
    expect(world, "c", IP("10.0.0.3", "192.0.2.1"), "c lost 192.0.2.1:80/TCP to b; ");
    assert_true(is_shadowed(world, "c", 1));
    assert_false(is_shadowed(world, "c", 0));
    assert_int_equal(world->claims.shadowed, 1);
    assert_string_equal(claims_winner(&world->claims, &world->entries[2]->frontends[1]), "default/b");
    /* A later comer with an earlier name takes it; the one that served is told to be built anew, */
    expect(world, "a", IP("10.0.0.1", "192.0.2.1"), "b moved; ");
    assert_false(is_shadowed(world, "a", 1));
    /* and finds that it lost. */
    expect(world, "b", IP("10.0.0.2", "192.0.2.1"), "b lost 192.0.2.1:80/TCP to a; ");
    assert_int_equal(world->claims.shadowed, 2);
}

static void the_next_name_inherits(void **state)
{
    struct world *world = *state;
    expect(world, "a", PORT("10.0.0.1", "30080"), "");
    expect(world, "c", PORT("10.0.0.3", "30080"), "c lost 30080/TCP (IPv4) to a; ");
    expect(world, "b", PORT("10.0.0.2", "30080"), "b lost 30080/TCP (IPv4) to a; ");
    expect(world, "a", NULL, "b moved; ");
    expect(world, "b", PORT("10.0.0.2", "30080"), "");
    assert_false(is_shadowed(world, "b", 1));
    assert_int_equal(world->claims.shadowed, 1);
    /* A loser that goes moves nobody. */
    expect(world, "c", NULL, "");
    assert_int_equal(world->claims.shadowed, 0);
    expect(world, "b", NULL, "");
    assert_null(world->claims.by_key);
}

static void giving_way_by_an_edit_counts_as_well(void **state)
{
    struct world *world = *state;
    expect(world, "a", PORT("10.0.0.1", "30080"), "");
    expect(world, "b", PORT("10.0.0.2", "30080"), "b lost 30080/TCP (IPv4) to a; ");
    expect(world, "a", PORT("10.0.0.1", "30081"), "b moved; ");
    expect(world, "b", PORT("10.0.0.2", "30080"), "");
    assert_int_equal(world->claims.shadowed, 0);
    /* Built anew without a change: nobody is disturbed. */
    expect(world, "a", PORT("10.0.0.1", "30081"), "");
    expect(world, "b", PORT("10.0.0.2", "30080"), "");
}

static void keys_tell_apart(void **state)
{
    struct world *world = *state;
#define TWO(ip, protocol)                                                                                    \
    "type: NodePort, clusterIP: " ip ", ports: [{port: 80, nodePort: 30080, protocol: " protocol "}]"
    expect(world, "a", TWO("10.0.0.1", "TCP"), "");
    expect(world, "b", TWO("10.0.0.2", "UDP"), "");
    expect(world, "c", "type: NodePort, clusterIP: 'fd00::3', ports: [{port: 80, nodePort: 30080}]",
           ""); /* other family */
    /* The same cluster IP on two Services, one port of two alike. */
    expect(world, "b", "clusterIP: 10.0.0.1, ports: [{name: a, port: 80}, {name: b, port: 81}]",
           "b lost 10.0.0.1:80/TCP to a; ");
    assert_true(is_shadowed(world, "b", 0));
    assert_false(is_shadowed(world, "b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_name_serves, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_name_inherits, setup, teardown),
        cmocka_unit_test_setup_teardown(giving_way_by_an_edit_counts_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_tell_apart, setup, teardown),
    };
    return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
