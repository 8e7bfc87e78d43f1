/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate.h"
#include "apiserver/services.h"
#include "apiserver/test_objects.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Random writes against a world so small that it is often full. After each one: what the allocator holds is
 * what the stored Services name, each thing once; and an allocator made anew from them is the same. */

#define SERVICES_MAX 12
#define ROUNDS 160
#define STEPS 120

struct world {
    uint64_t state;
    struct allocator *allocator;
    struct stored {
        uint8_t *data;
        size_t len;
    } stored[SERVICES_MAX];
    struct arena arena;
    unsigned done, refused;
};

/* splitmix64 */
static uint64_t next_random(void *context)
{
    struct world *world = context;
    uint64_t value = world->state += 0x9e3779b97f4a7c15U;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

static unsigned choose(struct world *world, unsigned count)
{
    return (unsigned)(next_random(world) % count);
}

static void *new_message(struct world *world, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(&world->arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static void *allocate(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void forget(void *context, void *piece)
{
}

static Core__Service *stored_service(struct world *world, size_t index)
{
    ProtobufCAllocator allocator = {allocate, forget, &world->arena};
    const struct stored *stored = &world->stored[index];
    return stored->data ? core__service__unpack(&allocator, stored->len, stored->data) : NULL;
}

static void store(struct world *world, size_t index, const Core__Service *service)
{
    struct stored *stored = &world->stored[index];
    free(stored->data);
    *stored = (struct stored){0};
    if (!service)
        return;
    stored->len = core__service__get_packed_size(service);
    stored->data = xmalloc(stored->len + 1);
    core__service__pack(service, stored->data);
}

static char *random_address(struct world *world, bool is_ipv6)
{
    return arena_printf(&world->arena, is_ipv6 ? "fd00::%x" : "10.96.0.%u", choose(world, 17));
}

static int random_port(struct world *world)
{
    return 29999 + (int)choose(world, 10);
}

static void random_cluster_ips(struct world *world, Core__ServiceSpec *spec)
{
    bool is_ipv6 = choose(world, 2);
    unsigned kind = choose(world, 8);
    spec->clusterip = NULL;
    spec->n_clusterips = 0;
    if (kind > 3)
        return;
    spec->clusterip = kind == 0 ? arena_strdup(&world->arena, "None") : random_address(world, is_ipv6);
    spec->clusterips = arena_array(&world->arena, char *, 2);
    if (kind > 1)
        spec->clusterips[spec->n_clusterips++] = spec->clusterip;
    if (kind > 2)
        spec->clusterips[spec->n_clusterips++] = random_address(world, !is_ipv6);
}

static void random_families(struct world *world, Core__ServiceSpec *spec)
{
    static const char *const policies[] = {NULL, "SingleStack", "PreferDualStack", "RequireDualStack"};
    static const char *const families[] = {"IPv4", "IPv6", "IPv4"};
    unsigned first = choose(world, 2);
    spec->ipfamilypolicy = (char *)policies[choose(world, 4)];
    spec->n_ipfamilies = choose(world, 2) ? 0 : choose(world, 3);
    spec->ipfamilies = (char **)&families[first];
}

static void random_ports(struct world *world, Core__ServiceSpec *spec)
{
    static const char *const names[] = {"a", "b", "c"};
    static const char *const protocols[] = {"TCP", "UDP"};
    spec->n_ports = 1 + choose(world, 3);
    spec->ports = arena_array(&world->arena, Core__ServicePort *, 3);
    for (size_t i = 0; i < spec->n_ports; i++) {
        Core__ServicePort *port = spec->ports[i] = new_message(world, &core__service_port__descriptor);
        port->name = (char *)names[i];
        port->protocol = (char *)protocols[choose(world, 2)];
        port->has_port = true;
        port->port = 53 + (int)choose(world, 2);
        port->has_nodeport = choose(world, 3) == 0;
        port->nodeport = port->has_nodeport ? random_port(world) : 0;
    }
}

static void random_balancer(struct world *world, Core__ServiceSpec *spec)
{
    spec->externaltrafficpolicy = choose(world, 2) ? (char *)"Local" : NULL;
    spec->has_healthchecknodeport = choose(world, 4) == 0;
    spec->healthchecknodeport = spec->has_healthchecknodeport ? random_port(world) : 0;
    spec->has_allocateloadbalancernodeports = choose(world, 3) == 0;
    spec->allocateloadbalancernodeports = spec->has_allocateloadbalancernodeports && choose(world, 2);
}

/* Anything, or what was stored with something of it changed. */
static Core__Service *random_service(struct world *world, size_t index)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
    Core__Service *service = choose(world, 3) ? stored_service(world, index) : NULL;
    bool is_fresh = !service;
    if (is_fresh) {
        service = new_message(world, &core__service__descriptor);
        service->metadata = new_message(world, &meta__object_meta__descriptor);
        service->spec = new_message(world, &core__service_spec__descriptor);
        service->metadata->name = arena_printf(&world->arena, "web-%zu", index);
        service->metadata->resourceversion = (char *)"1";
        service->spec->externalname = (char *)"a.example";
    }
    Core__ServiceSpec *spec = service->spec;
    if (is_fresh || choose(world, 2))
        spec->type = (char *)types[choose(world, 4)];
    if (is_fresh || choose(world, 4) == 0)
        random_cluster_ips(world, spec);
    if (is_fresh || choose(world, 3) == 0)
        random_families(world, spec);
    if (is_fresh || choose(world, 3) == 0)
        random_ports(world, spec);
    if (is_fresh || choose(world, 3) == 0)
        random_balancer(world, spec);
    test_default_service(service, &world->arena);
    return service;
}

static void note(const char *what, const char **list, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i], what) == 0)
            fail_msg("%s is held twice", what);
    list[(*count)++] = what;
}

/* By the objects alone, and apart from the code that is tested. */
static void collect(struct world *world, const Core__ServiceSpec *spec, const char **addresses,
                    size_t *address_count, const char **ports, size_t *port_count)
{
    bool is_exposed = strcmp(spec->type, "LoadBalancer") == 0 || strcmp(spec->type, "NodePort") == 0;
    int own[4], own_count = 0;
    for (size_t i = 0; i < spec->n_clusterips; i++)
        if (strcmp(spec->clusterips[i], "None") != 0)
            note(spec->clusterips[i], addresses, address_count);
    for (size_t i = 0; i < spec->n_ports && is_exposed; i++)
        own[own_count++] = spec->ports[i]->nodeport;
    own[own_count++] = spec->healthchecknodeport;
    for (int i = 0; i < own_count; i++) {
        bool is_shared = false;
        for (int j = 0; j < i; j++)
            is_shared |= own[i] == own[j];
        if (own[i] && !is_shared)
            note(arena_printf(&world->arena, "%d", own[i]), ports, port_count);
    }
}

static void check_allocator(const struct allocator *allocator, const char *const *addresses,
                            size_t address_count, const char *const *ports, size_t port_count)
{
    assert_int_equal(allocator_address_count(allocator), address_count);
    assert_int_equal(allocator_port_count(allocator), port_count);
    for (size_t i = 0; i < address_count; i++) {
        struct address address;
        assert_int_equal(address_parse(addresses[i], &address, NULL), 0);
        assert_true(allocator_has_address(allocator, &address));
    }
    for (size_t i = 0; i < port_count; i++)
        assert_true(allocator_has_port(allocator, (uint16_t)atoi(ports[i])));
}

static void check_world(struct world *world)
{
    const char *addresses[SERVICES_MAX * 2], *ports[SERVICES_MAX * 4];
    size_t address_count = 0, port_count = 0;
    struct allocator *anew = allocator_new(allocator_config(world->allocator));
    for (size_t i = 0; i < SERVICES_MAX; i++) {
        const Core__Service *service = stored_service(world, i);
        if (!service)
            continue;
        collect(world, service->spec, addresses, &address_count, ports, &port_count);
        assert_int_equal(services_adopt(service, anew, NULL), 0);
    }
    check_allocator(world->allocator, addresses, address_count, ports, port_count);
    check_allocator(anew, addresses, address_count, ports, port_count);
    allocator_free(anew);
}

/* What a stored Service of this type must have by now. */
static void check_filled(const Core__ServiceSpec *spec, const struct allocator_config *config)
{
    if (strcmp(spec->type, "ExternalName") == 0) {
        assert_int_equal(spec->n_clusterips + spec->n_ipfamilies, 0);
        return;
    }
    assert_true(spec->n_ipfamilies > 0);
    bool is_headless = strcmp(spec->clusterips[0], "None") == 0;
    assert_int_equal(spec->n_clusterips, is_headless ? 1 : spec->n_ipfamilies);
    assert_string_equal(spec->clusterip, spec->clusterips[0]);
    if (strcmp(spec->ipfamilypolicy, "SingleStack") == 0)
        assert_int_equal(spec->n_ipfamilies, 1);
    if (strcmp(spec->ipfamilypolicy, "RequireDualStack") == 0)
        assert_int_equal(spec->n_ipfamilies, 2);
    bool has_all = strcmp(spec->type, "NodePort") == 0 ||
                   (strcmp(spec->type, "LoadBalancer") == 0 && spec->allocateloadbalancernodeports);
    for (size_t i = 0; i < spec->n_ports && has_all; i++)
        assert_in_range(spec->ports[i]->nodeport, config->node_port_first, config->node_port_last);
    if (strcmp(spec->type, "LoadBalancer") == 0 && strcmp(spec->externaltrafficpolicy, "Local") == 0)
        assert_in_range(spec->healthchecknodeport, config->node_port_first, config->node_port_last);
}

static void write_service(struct world *world, size_t index)
{
    struct faults *faults = arena_new(&world->arena, struct faults);
    struct services_plan plan = {0};
    struct err err;
    Core__Service *before = stored_service(world, index), *after = random_service(world, index);
    bool is_dry_run = choose(world, 8) == 0, is_failing = choose(world, 8) == 0;
    const struct allocator_config *config = allocator_config(world->allocator);
    faults_init(faults, &world->arena);
    services_prepare(before, after, config, &world->arena, faults);
    int code = faults->count ? -EINVAL : 0;
    if (code == 0)
        code = services_plan(before, after, world->allocator, is_dry_run, next_random, world, &world->arena,
                             faults, &plan, &err);
    if (code == 0 && before)
        validate_update(faults, API_SERVICE, &after->base, &before->base);
    else if (code == 0)
        validate_create(faults, API_SERVICE, &after->base);
    if (code < 0 || faults->count || is_dry_run || is_failing) {
        services_rollback(&plan);
        world->refused++;
        return;
    }
    check_filled(after->spec, config);
    store(world, index, after);
    services_commit(&plan);
    world->done++;
}

static void step(struct world *world)
{
    size_t index = choose(world, SERVICES_MAX);
    const Core__Service *before = stored_service(world, index);
    if (before && choose(world, 6) == 0) {
        services_release(before, world->allocator);
        store(world, index, NULL);
        return;
    }
    write_service(world, index);
}

static void random_writes_agree_with_the_model(void **state)
{
    static const char *const ranges[][2] = {{"10.96.0.0/28", "fd00::/124"},
                                            {"fd00::/124", "10.96.0.0/28"},
                                            {"10.96.0.0/29", NULL},
                                            {"fd00::/125", NULL}};
    unsigned done = 0, refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world world = {.state = round};
        struct allocator_config config = {.node_port_first = 30000, .node_port_last = 30007};
        for (; config.range_count < 2 && ranges[round % 4][config.range_count]; config.range_count++)
            assert_int_equal(
                prefix_parse(ranges[round % 4][config.range_count], &config.ranges[config.range_count], NULL),
                0);
        arena_init(&world.arena);
        world.allocator = allocator_new(&config);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&world);
            check_world(&world);
            arena_reset(&world.arena);
        }
        for (size_t i = 0; i < SERVICES_MAX; i++) {
            const Core__Service *service = stored_service(&world, i);
            if (service)
                services_release(service, world.allocator);
            store(&world, i, NULL);
        }
        assert_int_equal(allocator_address_count(world.allocator) + allocator_port_count(world.allocator), 0);
        done += world.done;
        refused += world.refused;
        allocator_free(world.allocator);
        arena_done(&world.arena);
    }
    /* Both ends of the code were reached often. */
    assert_true(done > ROUNDS * STEPS / 10 && refused > ROUNDS * STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_writes_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
