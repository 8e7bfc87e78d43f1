/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/services.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICIES 2 /* Cluster, Local */

struct hold {
    enum family family;
    uint8_t protocol;
    uint16_t port;
    int fd;
};

struct proxied {
    char *name;
    struct server **servers; /* by port index, family and policy; NULL: none */
    char **port_names;       /* by port index */
    uint32_t port_count;
    struct hold *holds;
    uint32_t hold_count;
    struct portals portals;
    uint64_t round;
    UT_hash_handle hh;
};

static uint32_t slot_of(enum family family, uint32_t port_index, bool is_local)
{
    return (port_index * FAMILY_COUNT + (uint32_t)family) * POLICIES + is_local;
}

/* The endpoints behind one socket, NULL when no frontend leads to it; and the frontend that does. */
static const struct backend_set *set_of(const struct entry *entry, enum family family, uint32_t port_index,
                                        bool is_local, const struct frontend **ret)
{
    for (uint32_t i = 0; i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        if (frontend->family != family || frontend->port_index != port_index || frontend->is_shadowed ||
            frontend->verdict == FRONTEND_REJECT || frontend->protocol == PROTOCOL_SCTP)
            continue;
        *ret = frontend;
        if (frontend->verdict == FRONTEND_FORWARD && frontend->is_local == is_local &&
            frontend->backends->count > 0)
            return frontend->backends;
        if (frontend->short_circuits && !is_local && frontend->shortcut->count > 0)
            return frontend->shortcut;
    }
    return NULL;
}

/* Whom UDP flows may still go to; NULL for other protocols. */
static const struct backend_set *serving_of(const struct entry *entry, enum family family,
                                            uint32_t port_index)
{
    for (uint32_t i = 0; i < entry->serving_count; i++)
        if (entry->serving[i].family == family && entry->serving[i].port_index == port_index)
            return &entry->serving[i].backends;
    return NULL;
}

/* --- holding node ports --- */

static void hold_node_port(struct proxied *proxied, const struct frontend *frontend)
{
    bool is_ipv4 = frontend->family == FAMILY_IPV4, is_tcp = frontend->protocol == PROTOCOL_TCP;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(frontend->port)};
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(frontend->port)};
    const struct sockaddr *at = is_ipv4 ? (struct sockaddr *)&any : (struct sockaddr *)&any6;
    int on = 1;
    int fd = socket(at->sa_family, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if ((!is_ipv4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, at, is_ipv4 ? sizeof(any) : sizeof(any6)) < 0 || (is_tcp && listen(fd, 1) < 0)) {
        close(fd); /* somebody has it: the portal goes before them, as in all modes */
        return;
    }
    proxied->holds[proxied->hold_count++] = (struct hold){
        .family = frontend->family, .protocol = frontend->protocol, .port = frontend->port, .fd = fd};
}

static bool is_hold_of(const struct hold *hold, const struct frontend *frontend)
{
    return frontend->kind == FRONTEND_NODE_PORT && !frontend->is_shadowed &&
           hold->family == frontend->family && hold->protocol == frontend->protocol &&
           hold->port == frontend->port;
}

static bool is_held(void *context, const struct frontend *frontend)
{
    const struct proxied *proxied = context;
    for (uint32_t i = 0; i < proxied->hold_count; i++)
        if (is_hold_of(&proxied->holds[i], frontend))
            return true;
    return false;
}

static void take_holds(struct proxied *proxied, const struct entry *entry)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < proxied->hold_count; i++) {
        bool is_wanted = false;
        for (uint32_t j = 0; j < entry->frontend_count; j++)
            is_wanted |= is_hold_of(&proxied->holds[i], &entry->frontends[j]);
        if (is_wanted)
            proxied->holds[kept++] = proxied->holds[i];
        else
            close(proxied->holds[i].fd);
    }
    proxied->hold_count = kept;
    proxied->holds = xrealloc(proxied->holds, (kept + entry->frontend_count + 1) * sizeof(*proxied->holds));
    for (uint32_t j = 0; j < entry->frontend_count; j++) {
        const struct frontend *frontend = &entry->frontends[j];
        if (frontend->kind == FRONTEND_NODE_PORT && !frontend->is_shadowed &&
            frontend->protocol != PROTOCOL_SCTP && !is_held(proxied, frontend))
            hold_node_port(proxied, frontend);
    }
}

/* --- sockets --- */

static void retire(struct services *services, struct server *server)
{
    if (!server)
        return;
    if (services->retired_count == services->retired_capacity) {
        services->retired_capacity = services->retired_capacity ? services->retired_capacity * 2 : 16;
        services->retired = xrealloc(services->retired, services->retired_capacity * sizeof(struct server *));
    }
    services->retired[services->retired_count++] = server;
}

void services_retire(struct services *services)
{
    while (services->retired_count > 0)
        server_close(services->retired[--services->retired_count]);
}

static void forget_ports(struct proxied *proxied)
{
    for (uint32_t i = 0; i < proxied->port_count; i++)
        free(proxied->port_names[i]);
    free(proxied->port_names);
    free(proxied->servers);
}

/* Sockets stay with the port of the same name, wherever it is in the list now. */
static void match_ports(struct services *services, struct proxied *proxied, const struct entry *entry)
{
    uint32_t per_port = FAMILY_COUNT * POLICIES;
    struct server **servers = xcalloc(entry->port_count * per_port + 1, sizeof(struct server *));
    char **names = xcalloc(entry->port_count + 1, sizeof(*names));
    for (uint32_t to = 0; to < entry->port_count; to++) {
        names[to] = xstrdup(entry->port_names[to]);
        for (uint32_t from = 0; from < proxied->port_count; from++) {
            if (strcmp(names[to], proxied->port_names[from]) != 0)
                continue;
            memcpy(servers + to * per_port, proxied->servers + from * per_port,
                   per_port * sizeof(struct server *));
            memset(proxied->servers + from * per_port, 0, per_port * sizeof(struct server *));
        }
    }
    for (uint32_t i = 0; i < proxied->port_count * per_port; i++)
        retire(services, proxied->servers[i]);
    forget_ports(proxied);
    proxied->servers = servers;
    proxied->port_names = names;
    proxied->port_count = entry->port_count;
}

static int take_socket(struct services *services, struct proxied *proxied, const struct entry *entry,
                       uint32_t slot, struct err *err)
{
    enum family family = (enum family)(slot / POLICIES % FAMILY_COUNT);
    uint32_t port_index = slot / POLICIES / FAMILY_COUNT;
    const struct frontend *frontend = NULL;
    const struct backend_set *set = set_of(entry, family, port_index, slot % POLICIES, &frontend);
    struct server **server = &proxied->servers[slot];
    if (!set) {
        retire(services, *server);
        *server = NULL;
        return 0;
    }
    if (!*server) {
        int code = server_open(server, services->relay, family, (enum protocol)frontend->protocol, err);
        if (code < 0)
            return err_prefix(err, code, "Service %s", entry->name);
    }
    server_set(*server, set, serving_of(entry, family, port_index), frontend->affinity_seconds);
    return 0;
}

static uint16_t port_of(void *context, enum family family, uint32_t port_index, bool is_local)
{
    const struct proxied *proxied = context;
    const struct server *server = proxied->servers[slot_of(family, port_index, is_local)];
    return server ? server_port(server) : 0;
}

/* --- services --- */

static struct proxied *find(const struct services *services, const char *name)
{
    struct proxied *proxied;
    HASH_FIND_STR(services->list, name, proxied);
    return proxied;
}

/* Where the portals of the service are others than before, it becomes the last of the list. */
static void take_portals(struct services *services, struct proxied *proxied, const struct entry *entry,
                         const struct dataplane_node *node, struct portals_change *change)
{
    const struct portal_sockets sockets = {.port_of = port_of, .is_held = is_held, .context = proxied};
    struct portals next = {0};
    portals_build(entry, node, &sockets, &next);
    if (!portals_is_same(&proxied->portals, &next)) {
        if (change)
            portals_change_add(change, &proxied->portals, &next);
        HASH_DEL(services->list, proxied);
        HASH_ADD_KEYPTR(hh, services->list, proxied->name, strlen(proxied->name), proxied);
    }
    portals_done(&proxied->portals);
    proxied->portals = next;
}

int services_put(struct services *services, const struct dataplane_node *node, const struct entry *entry,
                 struct portals_change *change, struct err *err)
{
    struct proxied *proxied = find(services, entry->name);
    if (!proxied) {
        proxied = xcalloc(1, sizeof(*proxied));
        proxied->name = xstrdup(entry->name);
        HASH_ADD_KEYPTR(hh, services->list, proxied->name, strlen(proxied->name), proxied);
    }
    proxied->round = services->round;
    match_ports(services, proxied, entry);
    int code = 0;
    for (uint32_t slot = 0; code == 0 && slot < entry->port_count * FAMILY_COUNT * POLICIES; slot++)
        code = take_socket(services, proxied, entry, slot, err);
    if (code < 0)
        return code;
    take_holds(proxied, entry);
    take_portals(services, proxied, entry, node, change);
    return 0;
}

static void drop(struct services *services, struct proxied *proxied)
{
    for (uint32_t i = 0; i < proxied->port_count * FAMILY_COUNT * POLICIES; i++)
        retire(services, proxied->servers[i]);
    for (uint32_t i = 0; i < proxied->hold_count; i++)
        close(proxied->holds[i].fd);
    HASH_DEL(services->list, proxied);
    forget_ports(proxied);
    portals_done(&proxied->portals);
    free(proxied->holds);
    free(proxied->name);
    free(proxied);
}

void services_remove(struct services *services, const char *name, struct portals_change *change)
{
    struct proxied *proxied = find(services, name);
    if (!proxied)
        return;
    portals_change_add(change, &proxied->portals, &(struct portals){0});
    drop(services, proxied);
}

int services_load(struct services *services, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct err *err)
{
    struct proxied *proxied, *next;
    int code = 0;
    services->round++;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = services_put(services, node, entries[i], NULL, err);
    if (code < 0)
        return code;
    HASH_ITER (hh, services->list, proxied, next)
        if (proxied->round != services->round)
            drop(services, proxied);
    return 0;
}

void services_done(struct services *services)
{
    struct proxied *proxied, *next;
    HASH_ITER (hh, services->list, proxied, next)
        drop(services, proxied);
    services_retire(services);
    free(services->retired);
}

void services_layout(const struct services *services, enum family family, struct layout *layout)
{
    const struct proxied *last =
        services->list ? ELMT_FROM_HH(services->list->hh.tbl, services->list->hh.tbl->tail) : NULL;
    for (const struct proxied *proxied = last; proxied; proxied = proxied->hh.prev)
        portals_layout_add(layout, family, &proxied->portals);
}

/* --- for people --- */

struct plan {
    const struct entry *entry;
    uint16_t first;
};

static uint16_t planned_port(void *context, enum family family, uint32_t port_index, bool is_local)
{
    const struct plan *plan = context;
    const struct frontend *frontend = NULL;
    const struct backend_set *set = set_of(plan->entry, family, port_index, is_local, &frontend);
    return set ? (uint16_t)(plan->first + slot_of(family, port_index, is_local)) : 0;
}

static bool planned_hold(void *context, const struct frontend *frontend)
{
    (void)context;
    return frontend->protocol != PROTOCOL_SCTP;
}

void services_layout_planned(const struct entry *const *entries, size_t count,
                             const struct dataplane_node *node, enum family family, struct layout *layout)
{
    struct plan plan = {.first = 1};
    const struct portal_sockets sockets = {
        .port_of = planned_port, .is_held = planned_hold, .context = &plan};
    for (size_t i = 0; i < count; i++) {
        struct portals portals = {0};
        plan.entry = entries[i];
        portals_build(entries[i], node, &sockets, &portals);
        portals_layout_add(layout, family, &portals);
        portals_done(&portals);
        plan.first = (uint16_t)(plan.first + entries[i]->port_count * FAMILY_COUNT * POLICIES);
    }
}

static void describe_socket(const struct plan *plan, enum family family, uint32_t port_index, bool is_local,
                            struct text *ret)
{
    const struct frontend *frontend = NULL;
    const struct backend_set *set = set_of(plan->entry, family, port_index, is_local, &frontend);
    if (!set)
        return;
    text_printf(ret, "%u: %s %s %s", plan->first + slot_of(family, port_index, is_local),
                plan->entry->port_names[port_index], family_name(family),
                is_local ? "local endpoints" : "endpoints");
    for (uint32_t i = 0; i < set->count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&set->list[i].address, text);
        text_printf(ret, family == FAMILY_IPV4 ? " %s:%u" : " [%s]:%u", text, set->list[i].port);
    }
    if (frontend->affinity_seconds)
        text_printf(ret, ", clients stay for %u s", frontend->affinity_seconds);
    text_add(ret, "\n");
}

void services_describe_planned(const struct entry *const *entries, size_t count, struct text *ret)
{
    struct plan plan = {.first = 1};
    for (size_t i = 0; i < count; i++) {
        plan.entry = entries[i];
        for (uint32_t slot = 0; slot < entries[i]->port_count * FAMILY_COUNT * POLICIES; slot++)
            describe_socket(&plan, (enum family)(slot / POLICIES % FAMILY_COUNT),
                            slot / POLICIES / FAMILY_COUNT, slot % POLICIES, ret);
        plan.first = (uint16_t)(plan.first + entries[i]->port_count * FAMILY_COUNT * POLICIES);
    }
}

int services_inspect(const struct services *services, const struct entry *entry,
                     const struct frontend *frontend, struct text *ret)
{
    const struct proxied *proxied = find(services, entry->name);
    const struct backend_set *set = frontend_set(frontend);
    bool is_served = set && set->count > 0 && frontend->protocol != PROTOCOL_SCTP;
    if (frontend->protocol == PROTOCOL_SCTP)
        text_add(ret, "SCTP is not served in this mode\n");
    if (!proxied || frontend->port_index >= proxied->port_count) {
        text_add(ret, "the proxy does not have this service\n");
        return is_served;
    }
    const struct server *server =
        proxied->servers[slot_of(frontend->family, frontend->port_index, frontend->is_local)];
    if (!server || !is_served) {
        text_printf(ret, "%s\n", is_served ? "no socket serves it" : "no socket is needed for it");
        return is_served;
    }
    text_printf(ret, "led to port %u of this process, which has %u endpoints\n", server_port(server),
                server->choice.count);
    return server->choice.count != set->count;
}
