/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/services_parts.h"
#include "base/cleanup.h"

#include <errno.h>

/* What upstream's dry run gives out first (portallocator/operation.go). */
#define DRY_RUN_PORT_FIRST 32769

static int take_port(struct services_work *work, int port, struct err *err)
{
    const struct allocator_config *config = allocator_config(work->allocator);
    if (!is_port_number(port))
        return err_set(err, ERANGE,
                       "provided port is not in the valid range. The range of valid ports is %u-%u",
                       config->node_port_first, config->node_port_last);
    if (!work->is_dry_run) {
        int code = allocator_take_port(work->allocator, (uint16_t)port, err);
        if (code == 0)
            work->plan->taken_ports[work->plan->taken_port_count++] = (uint16_t)port;
        return code;
    }
    if (allocator_has_port(work->allocator, (uint16_t)port) || port_set_has(&work->dry_run_ports, port))
        return err_set(err, EEXIST, "provided port is already allocated");
    port_set_add(&work->dry_run_ports, port);
    work->dry_run_last = port > work->dry_run_last ? port : work->dry_run_last;
    return 0;
}

static int next_port(struct services_work *work, int *ret, struct err *err)
{
    uint16_t port;
    if (work->is_dry_run) {
        *ret = work->dry_run_last = work->dry_run_last ? work->dry_run_last + 1 : DRY_RUN_PORT_FIRST;
        port_set_add(&work->dry_run_ports, *ret);
        return 0;
    }
    int code = allocator_next_port(work->allocator, work->random(work->context), &port, err);
    if (code < 0)
        return code;
    work->plan->taken_ports[work->plan->taken_port_count++] = port;
    *ret = port;
    return 0;
}

static int refuse(struct services_work *work, size_t index, int port, const struct err *why)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "ports");
    fault_invalid_number(work->faults, path_field(path_index(path, index), "nodePort"), port, why->text);
    return -EINVAL;
}

static int take_named(struct services_work *work, size_t index, int port)
{
    struct err err;
    return take_port(work, port, &err) < 0 ? refuse(work, index, port, &err) : 0;
}

static int take_any(struct services_work *work, Core__ServicePort *port)
{
    struct err err;
    int number = 0, code = next_port(work, &number, &err);
    if (code < 0)
        return err_set(work->err, -code, "failed to allocate a nodePort: %s", err.text);
    services_set_node_port(port, number);
    return 0;
}

static bool is_given_any(const Core__ServiceSpec *spec)
{
    return services_is_type(spec, "NodePort") || !spec->has_allocateloadbalancernodeports ||
           spec->allocateloadbalancernodeports;
}

/* Ports of one number (TCP and UDP) share a node port, the first that one of them names. wanted and given are
 * indexed by the port's number. */
static int create_port(struct services_work *work, Core__ServiceSpec *spec, size_t index, const int *wanted,
                       int *given)
{
    Core__ServicePort *port = spec->ports[index];
    int code = 0, number = port->port;
    if (!is_port_number(number) || (port->nodeport == 0 && !is_given_any(spec)))
        return 0;
    if (given[number] && port->nodeport && port->nodeport != given[number])
        return take_named(work, index, port->nodeport);
    if (given[number]) {
        services_set_node_port(port, given[number]);
        return 0;
    }
    if (wanted[number]) {
        code = take_named(work, index, wanted[number]);
        services_set_node_port(port, wanted[number]);
    } else {
        code = take_any(work, port);
    }
    given[number] = port->nodeport;
    return code;
}

static int create_ports(struct services_work *work, Core__ServiceSpec *spec)
{
    cleanup_free int *wanted = xcalloc(UINT16_MAX + 1, sizeof(*wanted));
    cleanup_free int *given = xcalloc(UINT16_MAX + 1, sizeof(*given));
    for (size_t i = spec->n_ports; i > 0; i--) {
        const Core__ServicePort *port = spec->ports[i - 1];
        if (is_port_number(port->port) && port->nodeport != 0)
            wanted[port->port] = port->nodeport;
    }
    for (size_t i = 0; i < spec->n_ports; i++) {
        int code = create_port(work, spec, i, wanted, given);
        if (code < 0)
            return code;
    }
    return 0;
}

static const char *const protocols[] = {"TCP", "UDP", "SCTP"};

/* Upstream finds this before validation does, and has no field for it. */
static int check_repeated(struct services_work *work, struct port_set *seen, const Core__ServicePort *port)
{
    const char *protocol = api_text(port->protocol);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        if (!text_equal(protocol, protocols[i]))
            continue;
        if (port_set_has(&seen[i], port->nodeport))
            return err_set(work->err, EEXIST, "duplicate nodePort: {%s %d}", protocol, port->nodeport);
        port_set_add(&seen[i], port->nodeport);
    }
    return 0;
}

/* Here ports of one number do not share what they did not name. Two protocols may name one node port, held or
 * new. */
static int update_ports(struct services_work *work, const Core__ServiceSpec *before, Core__ServiceSpec *after)
{
    struct port_set held, seen[ARRAY_LEN(protocols)] = {0};
    services_collect_held_ports(before, &held);
    for (size_t i = 0; i < after->n_ports; i++) {
        Core__ServicePort *port = after->ports[i];
        int code = 0, named = port->nodeport;
        if (named == 0 && !is_given_any(after))
            continue;
        if (named == 0)
            code = take_any(work, port);
        else if (!port_set_has(&held, named))
            code = take_named(work, i, named);
        if (code == 0)
            code = check_repeated(work, seen, port);
        if (code < 0)
            return code;
        port_set_add(&held, named);
    }
    return 0;
}

static int plan_health_port(struct services_work *work, Core__ServiceSpec *spec)
{
    int port = spec->healthchecknodeport;
    struct err err;
    if (port) {
        int code = take_port(work, port, &err);
        return code < 0 ? err_set(work->err, -code,
                                  "failed to allocate requested HealthCheck NodePort %d: %s", port, err.text)
                        : 0;
    }
    int code = next_port(work, &port, &err);
    if (code < 0)
        return err_set(work->err, -code, "failed to allocate a HealthCheck NodePort 0: %s", err.text);
    services_set_health_port(spec, port);
    return 0;
}

int services_plan_ports(struct services_work *work, const Core__ServiceSpec *before, Core__ServiceSpec *after)
{
    int code = 0;
    if (services_has_node_ports(after))
        code = before ? update_ports(work, before, after) : create_ports(work, after);
    if (code == 0 && services_has_health_port(after) && !(before && services_has_health_port(before)))
        code = plan_health_port(work, after);
    return code;
}
