/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/userspace.h"

#include "base/cleanup.h"
#include "dataplane/userspace/services.h"
#include "dataplane/userspace/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

struct userspace {
    struct dataplane base;
    struct dataplane_owner owner;
    struct relay relay;
    struct services services;
    struct writer writer;
    bool is_known; /* iptables holds what services have */
    struct dataplane_result result;
};

static int probe(struct err *err)
{
    struct writer writer;
    return writer_init(&writer, NULL, err);
}

/* A connection costs two descriptors, four while bytes are under way: as many as the administrator allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_written(void *context, int code, const struct err *err)
{
    struct userspace *userspace = context;
    struct dataplane_result result = userspace->result;
    result.element_adds = userspace->writer.adds;
    result.transactions = userspace->writer.transactions;
    userspace->is_known = code == 0;
    if (code == 0)
        services_retire(&userspace->services);
    userspace->owner.finished(userspace->owner.context, code, &result, err);
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    struct userspace *userspace = xcalloc(1, sizeof(*userspace));
    int code = writer_init(&userspace->writer, owner->loop, err);
    if (code < 0) {
        free(userspace);
        return code;
    }
    userspace->base.ops = &userspace_dataplane;
    userspace->owner = *owner;
    userspace->writer.done = on_written;
    userspace->writer.context = userspace;
    raise_descriptors();
    relay_init(&userspace->relay, owner->loop);
    userspace->services.relay = &userspace->relay;
    *ret = &userspace->base;
    return 0;
}

/* Portals that lead to nobody refuse everything, so they go first; the connections end with their process. */
static void close_(struct dataplane *dataplane)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    struct err err;
    writer_done(&userspace->writer);
    (void)writer_remove(&err); /* the next start replaces what stays */
    services_done(&userspace->services);
    relay_done(&userspace->relay);
    free(userspace);
}

static int write_rules(struct userspace *userspace, const struct dataplane_node *node, struct err *err)
{
    struct layout want[FAMILY_COUNT];
    userspace->is_known = false;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        portals_layout_begin(&want[family]);
        services_layout(&userspace->services, (enum family)family, &want[family]);
        portals_layout_end(&want[family], (enum family)family, node);
    }
    return writer_begin(&userspace->writer, want, err);
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    (void)ret;
    userspace->result = (struct dataplane_result){.was_full = true};
    int code = services_load(&userspace->services, node, entries, count, err);
    return code < 0 ? code : write_rules(userspace, node, err);
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct userspace *userspace = (struct userspace *)dataplane;
    bool has_new_rules = false;
    if (!userspace->is_known)
        return err_set(err, ESTALE, "what iptables holds is not known");
    userspace->result = (struct dataplane_result){0};
    for (size_t i = 0; i < count; i++) {
        const struct entry *next = changes[i].next;
        int code = 0;
        if (next)
            code = services_put(&userspace->services, node, next, &has_new_rules, err);
        else if (changes[i].old)
            has_new_rules |= services_remove(&userspace->services, changes[i].old->name);
        if (code < 0) {
            userspace->is_known = false;
            return code;
        }
    }
    if (has_new_rules)
        return write_rules(userspace, node, err);
    *ret = userspace->result; /* endpoints alone: the sockets know already */
    return 0;
}

static int collect_delay_ms(const struct dataplane *dataplane)
{
    (void)dataplane;
    return -1;
}

static int watch_fd(const struct dataplane *dataplane)
{
    (void)dataplane;
    return -1;
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

static int cleanup(struct err *err)
{
    return writer_remove(err);
}

const struct dataplane_ops userspace_dataplane = {
    .name = "userspace",
    .starts_programs = true,
    .probe = probe,
    .open = open_,
    .close = close_,
    .load = load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .watch_fd = watch_fd,
    .count_elements = count_elements,
    .render = render,
    .inspect = inspect,
    .cleanup = cleanup,
};
