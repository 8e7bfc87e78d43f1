/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Updates in any order, with turns in between and a kernel that refuses now and then, leave what one full
 * load of the final objects makes. The world is small, so that services meet: over ports, addresses, slices.
 */
#include "daemon/sync.h"

#include "base/cleanup.h"
#include "recorder.h"
#include "store/test_objects.h"

#include <errno.h>
#include <stdio.h>

#define SEEDS 400
#define STEPS 40
#define SERVICES 5
#define SLICES 8
#define OBJECTS (SERVICES + SLICES + 2) /* and the node, and a ServiceCIDR */

struct world {
    uint64_t dice;
    char *objects[OBJECTS]; /* the YAML in force; NULL: the object is not there */
    struct store *store;
    struct recorder recorder;
    struct sync sync;
};

/* splitmix64: small, and the same on every machine. */
static uint32_t roll(struct world *world, uint32_t sides)
{
    uint64_t mixed = (world->dice += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((mixed ^ (mixed >> 31)) % sides);
}

static bool chance(struct world *world, uint32_t percent)
{
    return roll(world, 100) < percent;
}

static void write_service(struct world *world, unsigned number, struct text *ret)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer"};
    const char *type = types[roll(world, 3)];
    bool is_reachable = *type != 'C', is_balancer = *type == 'L', is_dual = chance(world, 30);
    text_printf(ret, "apiVersion: v1\nkind: Service\nmetadata: {name: svc-%u%s}\nspec:\n  type: %s\n", number,
                chance(world, 10) ? ", labels: {service.kubernetes.io/service-proxy-name: other}" : "", type);
    /* Now and then two have one cluster IP, or none has any. */
    unsigned host = chance(world, 10) ? 1 : number + 1;
    if (!is_reachable && chance(world, 10)) {
        text_add(ret, "  clusterIP: None\n");
        return;
    }
    text_printf(ret, "  clusterIP: 10.96.0.%u\n", host);
    if (is_dual)
        text_printf(ret,
                    "  clusterIPs: [10.96.0.%u, 'fd00:96::%u']\n  ipFamilies: [IPv4, IPv6]\n"
                    "  ipFamilyPolicy: RequireDualStack\n",
                    host, host);
    bool has_external_ip = chance(world, 40);
    if (has_external_ip)
        text_printf(ret, "  externalIPs: [198.51.100.%u]\n", 1 + roll(world, 2));
    if ((is_reachable || has_external_ip) && chance(world, 40)) {
        text_add(ret, "  externalTrafficPolicy: Local\n");
        if (is_balancer)
            text_printf(ret, "  healthCheckNodePort: %u\n", 31000 + number);
    }
    if (chance(world, 40))
        text_add(ret, "  internalTrafficPolicy: Local\n");
    if (chance(world, 30))
        text_printf(
            ret, "  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: %u}}\n",
            60 * (1 + roll(world, 2)));
    if (is_balancer && chance(world, 50))
        text_add(ret, "  loadBalancerSourceRanges: [203.0.113.0/24, 192.0.2.0/24]\n");
    text_add(ret, "  ports:\n");
    for (unsigned port = 0; port < 1 + roll(world, 2); port++) {
        text_printf(ret, "  - {name: p%u, port: %u, protocol: %s", port, 80 + port, port ? "UDP" : "TCP");
        if (is_reachable)
            text_printf(ret, ", nodePort: %u", 30080 + port * 4 + roll(world, 3));
        text_add(ret, "}\n");
    }
    if (is_balancer)
        text_printf(ret, "status: {loadBalancer: {ingress: [{ip: 198.51.100.%u}]}}\n", 1 + roll(world, 3));
}

static void write_slice(struct world *world, unsigned number, struct text *ret)
{
    bool is_v6 = chance(world, 25);
    text_printf(ret,
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: slice-%u, labels: "
                "{kubernetes.io/service-name: svc-%u}}\naddressType: %s\n"
                "ports: [{name: p0, port: 8080}, {name: p1, port: %u, protocol: UDP}]\nendpoints:\n",
                number, roll(world, SERVICES + 1), is_v6 ? "IPv6" : "IPv4", 5300 + roll(world, 2));
    for (unsigned endpoint = 0; endpoint < roll(world, 5); endpoint++) {
        static const char *const conditions[] = {"", "ready: false", "ready: false, terminating: true",
                                                 "ready: false, serving: false, terminating: true"};
        static const char *const zones[] = {"east", "west"};
        text_printf(ret, "- {addresses: ['%s%u'], nodeName: %s, conditions: {%s}",
                    is_v6 ? "fd00::" : "10.0.0.", 1 + roll(world, 6), chance(world, 50) ? "here" : "there",
                    conditions[roll(world, 6) % 4]);
        if (chance(world, 60))
            text_printf(ret, ", hints: {forZones: [{name: %s}]}", zones[roll(world, 2)]);
        text_add(ret, "}\n");
    }
}

static void write_object(struct world *world, unsigned number, struct text *ret)
{
    static const char *const zones[] = {"east", "west"};
    if (number < SERVICES)
        write_service(world, number, ret);
    else if (number < SERVICES + SLICES)
        write_slice(world, number - SERVICES, ret);
    else if (number == SERVICES + SLICES)
        text_printf(
            ret,
            "apiVersion: v1\nkind: Node\nmetadata: {name: here, labels: {topology.kubernetes.io/zone: "
            "%s}}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.%u}]}\n",
            zones[roll(world, 2)], 1 + roll(world, 2));
    else
        text_printf(ret,
                    "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: "
                    "kubernetes}\nspec: {cidrs: "
                    "[10.%u.0.0/16]}\n",
                    96 + roll(world, 2));
}

static void remove_object(struct store *store, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), number < SERVICES ? "svc-%u" : "slice-%u",
             number < SERVICES ? number : number - SERVICES);
    if (number < SERVICES)
        store_service_remove(store, "default", name);
    else if (number < SERVICES + SLICES)
        store_slice_remove(store, "default", name);
    else if (number == SERVICES + SLICES)
        store_node_remove(store, "here");
    else
        store_service_cidr_remove(store, "kubernetes");
}

static void change_something(struct world *world)
{
    /* The node seldom: its change is a load of everything, which hides mistakes of the turns before. */
    unsigned number = chance(world, 95) ? roll(world, SERVICES + SLICES) : SERVICES + SLICES + roll(world, 2);
    free(world->objects[number]);
    world->objects[number] = NULL;
    if (chance(world, 25)) {
        remove_object(world->store, number);
        return;
    }
    struct text yaml = {0};
    write_object(world, number, &yaml);
    world->objects[number] = yaml.data;
    test_put(world->store, yaml.data);
}

static void take_turn(struct world *world, bool may_fail)
{
    struct sync_result result;
    struct err err;
    world->recorder.failures[0] = !may_fail || chance(world, 85) ? 0 : chance(world, 50) ? -EIO : -EXFULL;
    world->recorder.failures[1] = 0;
    sync_turn(&world->sync, &result, &err);
    if (!may_fail)
        assert_int_equal(world->sync.failures, 0);
}

static const struct options options = {.node_name = "here", .node_ports_on_primary = true};
static struct interface_addresses interfaces;

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.dice = seed, .store = store_new()};
    recorder_init(&world->recorder);
    sync_init(&world->sync, world->store, &world->recorder.base, &options, &interfaces);
    world->sync.is_source_synced = true;
}

static void world_done(struct world *world)
{
    sync_done(&world->sync);
    store_free(world->store);
    recorder_done(&world->recorder);
}

/* The final objects of world, shuffled, in one load. */
static void load_fresh(struct world *world, struct world *fresh)
{
    unsigned order[OBJECTS];
    for (unsigned i = 0; i < OBJECTS; i++) {
        unsigned at = roll(world, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        if (world->objects[order[i]])
            test_put(fresh->store, world->objects[order[i]]);
    take_turn(fresh, false);
}

static void compare(const struct world *world, const struct world *fresh, unsigned seed)
{
    const struct holding *at;
    for (at = fresh->recorder.now; at; at = at->hh.next) {
        const char *got = recorder_find(world->recorder.now, at->name);
        if (!got || strcmp(got, at->text) != 0)
            fail_msg("seed %u, %s: one load makes\n%sthe turns made\n%s", seed, at->name, at->text,
                     got ? got : "nothing");
    }
    if (HASH_COUNT(world->recorder.now) != HASH_COUNT(fresh->recorder.now))
        fail_msg("seed %u: the turns left services that are gone", seed);
    assert_int_equal(world->sync.claims.shadowed, fresh->sync.claims.shadowed);
    assert_memory_equal(world->sync.empty_locals, fresh->sync.empty_locals, sizeof(fresh->sync.empty_locals));
}

static void turns_in_any_order_equal_one_load(void **state)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        struct world world, fresh;
        world_init(&world, seed);
        world_init(&fresh, 0);
        for (unsigned step = 0; step < STEPS; step++) {
            change_something(&world);
            if (chance(&world, 60))
                take_turn(&world, true);
        }
        take_turn(&world, false);
        load_fresh(&world, &fresh);
        compare(&world, &fresh, seed);
        for (unsigned i = 0; i < OBJECTS; i++)
            free(world.objects[i]);
        world_done(&world);
        world_done(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_in_any_order_equal_one_load),
    };
    return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
