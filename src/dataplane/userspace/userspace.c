/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/userspace.h"

#include "base/cleanup.h"
#include "dataplane/flows.h"
#include "dataplane/rules/writer.h"
#include "dataplane/userspace/services.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

struct userspace {
    struct dataplane base;
    struct dataplane_owner owner;
    struct relay relay;
    struct services services;
    struct writer *writer;
    bool is_known; /* the sockets are those of the services */
};

/* A connection costs two descriptors, four while bytes are under way: as many as the administrator allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_written(void *context, int code, const struct dataplane_result *result, const struct err *err)
{
    struct userspace *userspace = context;
    if (code == 0)
        services_retire(&userspace->services);
    userspace->owner.finished(userspace->owner.context, code, result, err);
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    struct userspace *userspace = xcalloc(1, sizeof(*userspace));
    int code = writer_open(&userspace->writer, owner->loop, &portals_own_rules, on_written, userspace, err);
    if (code < 0) {
        free(userspace);
        return code;
    }
    userspace->base.ops = &userspace_dataplane;
    userspace->owner = *owner;
    raise_descriptors();
    relay_init(&userspace->relay, owner->loop);
    userspace->services.relay = &userspace->relay;
    *ret = &userspace->base;
    return 0;
}

/* The connections end with their process. */
static void close_(struct dataplane *dataplane)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    writer_close(userspace->writer);
    services_done(&userspace->services);
    relay_done(&userspace->relay);
    free(userspace);
}

/* Portals that lead to nobody would refuse everything. What is established is passed on meanwhile. */
static int withdraw(struct dataplane *dataplane, struct dataplane_result *ret, struct err *err)
{
    struct layout nothing[FAMILY_COUNT] = {0};
    return writer_compare(((struct userspace *)dataplane)->writer, nothing, ret, err);
}

static int write_rules(struct userspace *userspace, const struct dataplane_node *node,
                       struct dataplane_result *ret, struct err *err)
{
    struct layout want[FAMILY_COUNT];
    for (int family = 0; family < FAMILY_COUNT; family++) {
        portals_layout_begin(&want[family]);
        services_layout(&userspace->services, (enum family)family, &want[family]);
        portals_layout_end(&want[family], (enum family)family, node);
    }
    int code = writer_compare(userspace->writer, want, ret, err);
    if (code == 0)
        services_retire(&userspace->services);
    return code;
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    int code = services_load(&userspace->services, node, entries, count, err);
    userspace->is_known = code == 0;
    return code < 0 ? code : write_rules(userspace, node, ret, err);
}

static int take_changes(struct userspace *userspace, const struct dataplane_node *node,
                        const struct dataplane_change *changes, size_t count, struct portals_change *ret,
                        struct err *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (changes[i].next)
            code = services_put(&userspace->services, node, changes[i].next, ret, err);
        else if (changes[i].old)
            services_remove(&userspace->services, changes[i].old->name, ret);
    }
    return code;
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    struct portals_change change = {0};
    struct writer_change written = {0};
    if (!userspace->is_known || !writer_is_known(userspace->writer))
        return err_set(err, ESTALE, "what iptables holds is not known");
    int code = take_changes(userspace, node, changes, count, &change, err);
    userspace->is_known = code == 0;
    *ret = (struct dataplane_result){0}; /* endpoints alone: the sockets know already */
    if (code == 0 && !portals_change_is_empty(&change)) {
        portals_change_write(&change, &written);
        code = writer_restore(userspace->writer, &written, ret, err);
    }
    portals_change_done(&change);
    return code;
}

static int collect_delay_ms(const struct dataplane *dataplane)
{
    (void)dataplane;
    return -1;
}

static int watch_fd(const struct dataplane *dataplane)
{
    return writer_watch_fd(((const struct userspace *)dataplane)->writer);
}

static bool is_disturbed(struct dataplane *dataplane)
{
    return writer_is_disturbed(((struct userspace *)dataplane)->writer);
}

static bool has_udp_socket(const struct dataplane *dataplane, enum family family, uint16_t port)
{
    return relay_find(&((const struct userspace *)dataplane)->relay, family, PROTOCOL_UDP, port) != NULL;
}

/* What no socket of ours answers was led there by another mode, before this one. */
static bool find_endpoint(const struct dataplane *dataplane, const struct flow *flow, struct address *ret)
{
    const struct relay *relay = &((const struct userspace *)dataplane)->relay;
    enum protocol protocol = flow->protocol == IPPROTO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
    const struct server *server = relay_find(relay, flow->family, protocol, flow->answer_port);
    *ret = flow->answerer;
    return !server || (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP) ||
           server_find_endpoint(server, &flow->source, flow->source_port, &flow->answerer, ret);
}

static const struct dataplane_restores *restores(const struct dataplane *dataplane)
{
    return writer_restores(((const struct userspace *)dataplane)->writer);
}

static void count_elements(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context)
{
    const struct userspace *userspace = (const struct userspace *)dataplane;
    visit(context, "proxy-sockets", userspace->relay.server_count);
    visit(context, "proxy-connections", userspace->relay.connection_count);
    visit(context, "proxy-flows", userspace->relay.flow_count);
}

static void render(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                   struct text *ret)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct layout layout;
        portals_layout_begin(&layout);
        services_layout_planned(entries, count, node, (enum family)family, &layout);
        portals_layout_end(&layout, (enum family)family, node);
        text_printf(ret, "# %s\n", family_name((enum family)family));
        layout_render(&layout, ret);
        layout_done(&layout);
    }
    text_add(ret, "# sockets\n");
    services_describe_planned(entries, count, ret);
}

static int inspect(struct dataplane *dataplane, const struct dataplane_node *node, const struct entry *entry,
                   const struct frontend *frontend, const struct address *from, struct text *ret,
                   struct err *err)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    (void)node;
    (void)from;
    (void)err;
    return services_inspect(&userspace->services, entry, frontend, ret);
}

const struct dataplane_ops userspace_dataplane = {
    .name = "userspace",
    .starts_programs = true,
    .probe = writer_probe,
    .open = open_,
    .close = close_,
    .withdraw = withdraw,
    .load = load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .watch_fd = watch_fd,
    .is_disturbed = is_disturbed,
    .count_elements = count_elements,
    .has_udp_socket = has_udp_socket,
    .find_endpoint = find_endpoint,
    .restores = restores,
    .render = render,
    .inspect = inspect,
};
