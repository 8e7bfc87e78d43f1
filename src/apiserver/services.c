/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/services.h"

#include "apiserver/services_parts.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>

/* What a stored Service keeps from others: each thing once. */
struct holdings {
    struct address addresses[2];
    size_t address_count;
    struct port_set ports;
};

static void collect(const Core__ServiceSpec *spec, struct holdings *ret)
{
    size_t count = spec->n_clusterips ? spec->n_clusterips : 1;
    char *const *list = spec->n_clusterips ? spec->clusterips : &spec->clusterip;
    services_collect_held_ports(spec, &ret->ports);
    if (services_has_health_port(spec))
        port_set_add(&ret->ports, spec->healthchecknodeport);
    ret->address_count = 0;
    if (!services_needs_addresses(spec))
        return;
    for (size_t i = 0; i < count && ret->address_count < ARRAY_LEN(ret->addresses); i++)
        if (address_parse(api_text(list[i]), &ret->addresses[ret->address_count], NULL) == 0)
            ret->address_count++;
}

static bool holds_address(const struct holdings *holdings, const struct address *address)
{
    for (size_t i = 0; i < holdings->address_count; i++)
        if (address_cmp(&holdings->addresses[i], address) == 0)
            return true;
    return false;
}

/* All of old that is not in now. */
static void free_later(struct services_plan *plan, const struct holdings *old, const struct holdings *now,
                       struct arena *arena)
{
    size_t count = 0;
    plan->freed_addresses = arena_array(arena, struct address, old->address_count);
    for (size_t i = 0; i < old->address_count; i++)
        if (!holds_address(now, &old->addresses[i]))
            plan->freed_addresses[plan->freed_address_count++] = old->addresses[i];
    for (int port = 0; (port = port_set_next(&old->ports, port));)
        count++;
    plan->freed_ports = arena_array(arena, uint16_t, count);
    for (int port = 0; (port = port_set_next(&old->ports, port));)
        if (!port_set_has(&now->ports, port))
            plan->freed_ports[plan->freed_port_count++] = (uint16_t)port;
}

void services_prepare(const Core__Service *before, Core__Service *after,
                      const struct allocator_config *config, struct arena *arena, struct faults *faults)
{
    const Core__ServiceSpec *old = before ? before->spec : NULL;
    services_patch(old, after->spec, arena);
    services_settle_families(old, after->spec, config, arena, faults);
    if (before)
        services_drop(before, after, arena);
    /* Defaulting gave it while the type was another one; upstream drops it whenever it reads. */
    if (text_equal(api_text(after->spec->type), "ExternalName"))
        after->spec->internaltrafficpolicy = NULL;
}

int services_plan(const Core__Service *before, Core__Service *after, struct allocator *allocator,
                  bool is_dry_run, uint64_t (*random)(void *context), void *context, struct arena *arena,
                  struct faults *faults, struct services_plan *ret, struct err *err)
{
    struct services_plan plan = {.allocator = allocator};
    struct services_work work = {&plan, allocator, is_dry_run, random, context, arena, faults, err};
    plan.taken_addresses = arena_array(arena, struct address, 2);
    plan.taken_ports = arena_array(arena, uint16_t, after->spec->n_ports + 1);
    *ret = (struct services_plan){.allocator = allocator};
    int code = services_plan_addresses(&work, before, after);
    if (code == 0)
        code = services_plan_ports(&work, before ? before->spec : NULL, after->spec);
    if (code < 0) {
        services_rollback(&plan);
        return code;
    }
    if (before && !is_dry_run) {
        struct holdings old, now;
        collect(before->spec, &old);
        collect(after->spec, &now);
        free_later(&plan, &old, &now, arena);
    }
    *ret = plan;
    return 0;
}

static void release(struct services_plan *plan, const struct address *addresses, size_t address_count,
                    const uint16_t *ports, size_t port_count)
{
    for (size_t i = 0; i < address_count; i++)
        allocator_release_address(plan->allocator, &addresses[i]);
    for (size_t i = 0; i < port_count; i++)
        allocator_release_port(plan->allocator, ports[i]);
    *plan = (struct services_plan){.allocator = plan->allocator};
}

void services_commit(struct services_plan *plan)
{
    release(plan, plan->freed_addresses, plan->freed_address_count, plan->freed_ports,
            plan->freed_port_count);
}

void services_rollback(struct services_plan *plan)
{
    release(plan, plan->taken_addresses, plan->taken_address_count, plan->taken_ports,
            plan->taken_port_count);
}

void services_release(const Core__Service *service, struct allocator *allocator)
{
    struct holdings holdings;
    collect(service->spec, &holdings);
    for (size_t i = 0; i < holdings.address_count; i++)
        allocator_release_address(allocator, &holdings.addresses[i]);
    for (int port = 0; (port = port_set_next(&holdings.ports, port));)
        allocator_release_port(allocator, (uint16_t)port);
}

int services_adopt(const Core__Service *service, struct allocator *allocator, struct err *err)
{
    struct holdings holdings;
    struct err why;
    char text[ADDRESS_TEXT_MAX];
    const char *namespace_ = api_text(service->metadata->namespace_),
               *name = api_text(service->metadata->name);
    int first = 0;
    collect(service->spec, &holdings);
    for (size_t i = 0; i < holdings.address_count; i++) {
        int code = allocator_adopt_address(allocator, &holdings.addresses[i], &why);
        if (code < 0 && first == 0)
            first = err_set(err, -code, "Service %s/%s, cluster IP %s: %s", namespace_, name,
                            address_format(&holdings.addresses[i], text), why.text);
    }
    for (int port = 0; (port = port_set_next(&holdings.ports, port));) {
        int code = allocator_adopt_port(allocator, (uint16_t)port, &why);
        if (code < 0 && first == 0)
            first = err_set(err, -code, "Service %s/%s, node port %d: %s", namespace_, name, port, why.text);
    }
    return first;
}
