/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table_cells.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

static void balancer_addresses(const Core__ServiceStatus *status, struct text *ret)
{
    const Core__LoadBalancerStatus *balancer = status ? status->loadbalancer : NULL;
    size_t count = 0;
    cleanup_free const char **names = xcalloc(balancer ? balancer->n_ingress : 0, sizeof(*names));
    for (size_t i = 0; balancer && i < balancer->n_ingress; i++) {
        const Core__LoadBalancerIngress *ingress = balancer->ingress[i];
        const char *name = *api_text(ingress->ip) ? ingress->ip : api_text(ingress->hostname);
        if (*name)
            names[count++] = name;
    }
    text_join_set(names, count, ret);
}

static void external_cell(json_t *cells, const Core__Service *service)
{
    const Core__ServiceSpec *spec = service->spec;
    const char *type = api_text(spec->type), *fallback = "<none>";
    struct text text = {0};
    if (strcmp(type, "ExternalName") == 0) {
        cell_text(cells, spec->externalname);
        return;
    }
    if (strcmp(type, "LoadBalancer") == 0) {
        balancer_addresses(service->status, &text);
        fallback = "<pending>";
    } else if (strcmp(type, "ClusterIP") != 0 && strcmp(type, "NodePort") != 0) {
        cell_text(cells, "<unknown>");
        return;
    }
    text_join_list(spec->externalips, spec->n_externalips, &text);
    cell_text_or(cells, text_str(&text), fallback);
    text_done(&text);
}

static void selector_cell(json_t *cells, Meta__StringEntry *const *entries, size_t count)
{
    cleanup_free char **pairs = xcalloc(count, sizeof(*pairs));
    struct text text = {0};
    for (size_t i = 0; i < count; i++) {
        struct text pair = {0};
        text_printf(&pair, "%s=%s", api_text(entries[i]->key), api_text(entries[i]->value));
        pairs[i] = pair.data;
    }
    text_join_set((const char **)pairs, count, &text);
    for (size_t i = 0; i < count; i++)
        free(pairs[i]);
    cell_text_or(cells, text_str(&text), "<none>");
    text_done(&text);
}

void table_service_cells(json_t *cells, const Core__Service *service, int64_t now)
{
    static const Core__ServiceSpec no_spec = CORE__SERVICE_SPEC__INIT;
    const Core__ServiceSpec *spec = service->spec ? service->spec : &no_spec;
    cell_text(cells, spec->type);
    cell_text_or(cells, spec->n_clusterips ? spec->clusterips[0] : spec->clusterip, "<none>");
    if (service->spec)
        external_cell(cells, service);
    else
        cell_text(cells, "<unknown>");
    struct text ports = {0};
    for (size_t i = 0; i < spec->n_ports; i++) {
        const Core__ServicePort *port = spec->ports[i];
        text_printf(&ports, "%s%d", i ? "," : "", port->port);
        if (port->nodeport > 0)
            text_printf(&ports, ":%d", port->nodeport);
        text_printf(&ports, "/%s", api_text(port->protocol));
    }
    cell_text_or(cells, text_str(&ports), "<none>");
    text_done(&ports);
    cell_since(cells, service->metadata ? service->metadata->creationtimestamp : NULL, now);
    selector_cell(cells, spec->selector, spec->n_selector);
}

void table_endpoint_slice_cells(json_t *cells, const Discovery__EndpointSlice *slice)
{
    struct excerpt ports = {0}, endpoints = {0};
    cell_text(cells, slice->addresstype);
    for (size_t i = 0; i < slice->n_ports; i++) {
        const Discovery__EndpointPort *port = slice->ports[i];
        char number[12];
        snprintf(number, sizeof(number), "%d", port->port);
        excerpt_add(&ports, port->has_port ? number : port->name ? port->name : "*");
    }
    excerpt_cell(cells, &ports, "<unset>");
    for (size_t i = 0; i < slice->n_endpoints; i++)
        for (size_t j = 0; j < slice->endpoints[i]->n_addresses; j++)
            excerpt_add(&endpoints, slice->endpoints[i]->addresses[j]);
    excerpt_cell(cells, &endpoints, "<unset>");
}

void table_endpoints_cell(json_t *cells, const Core__Endpoints *endpoints)
{
    struct excerpt excerpt = {0};
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        /* Without ports, as a headless Service may be, the addresses alone. */
        size_t count = subset->n_addresses * (subset->n_ports ? subset->n_ports : 1), j = 0;
        for (; j < count && excerpt.count < EXCERPT_SHOWN; j++) {
            const char *address = api_text(subset->addresses[j % subset->n_addresses]->ip);
            struct text text = {0};
            text_printf(&text, subset->n_ports && strchr(address, ':') ? "[%s]" : "%s", address);
            if (subset->n_ports)
                text_printf(&text, ":%d", subset->ports[j / subset->n_addresses]->port);
            excerpt_add(&excerpt, text_str(&text));
            text_done(&text);
        }
        excerpt.count += count - j;
    }
    excerpt_cell(cells, &excerpt, endpoints->n_subsets ? "" : "<none>");
}

void table_service_cidr_cell(json_t *cells, const Networking__ServiceCIDR *range)
{
    struct text text = {0};
    if (range->spec)
        text_join_list(range->spec->cidrs, range->spec->n_cidrs, &text);
    cell_take(cells, &text);
}
