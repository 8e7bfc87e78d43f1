/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/iptables.h"

#include "dataplane/iptables/change.h"
#include "dataplane/iptables/counts.h"
#include "dataplane/iptables/inspect.h"
#include "dataplane/rules/writer.h"

#include <errno.h>
#include <stdlib.h>

/* Above so many endpoints kube-proxy leaves out the comments of rules that are as many. */
#define BRIEF_ENDPOINTS 1000

struct iptables {
    struct dataplane base;
    struct dataplane_owner owner;
    struct writer *writer;
    uint64_t endpoints;
    struct counts counts; /* after what is under way, when it succeeds */
};

static void on_written(void *context, int code, const struct dataplane_result *result, const struct err *err)
{
    struct iptables *iptables = context;
    iptables->owner.finished(iptables->owner.context, code, result, err);
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    struct iptables *iptables = xcalloc(1, sizeof(*iptables));
    iptables->base.ops = &iptables_dataplane;
    iptables->owner = *owner;
    int code = writer_open(&iptables->writer, owner->loop, &iptables_own_rules, on_written, iptables, err);
    if (code < 0) {
        free(iptables);
        return code;
    }
    *ret = &iptables->base;
    return 0;
}

static void close_(struct dataplane *dataplane)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    writer_close(iptables->writer);
    free(iptables);
}

/* --- what the walk asks for --- */

static bool is_brief(const struct iptables *iptables)
{
    return iptables->endpoints > BRIEF_ENDPOINTS;
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    struct layout want[FAMILY_COUNT] = {0};
    iptables->endpoints = 0;
    for (size_t i = 0; i < count; i++)
        iptables->endpoints += entries[i]->endpoint_count;
    iptables->counts = (struct counts){0};
    for (int family = 0; family < FAMILY_COUNT; family++) {
        if (!writer_has_family(iptables->writer, (enum family)family))
            continue;
        layout_build(node, entries, count, (enum family)family, is_brief(iptables), &want[family]);
        counts_add_layout(&iptables->counts, &want[family]);
    }
    return writer_compare(iptables->writer, want, ret, err);
}

static void add_changes(struct iptables *iptables, const struct dataplane_node *node, enum family family,
                        const struct dataplane_change *changes, size_t count, struct writer_change *ret)
{
    uint64_t more_rules[DATAPLANE_TABLE_COUNT];
    struct counts more = {0};
    struct change change = {0};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        struct portion old, next;
        arena_reset(&arena);
        portion_build(changes[i].old, family, node->view, is_brief(iptables), &arena, &old);
        portion_build(changes[i].next, family, node->view, is_brief(iptables), &arena, &next);
        change_add(&change, &old, &next);
        counts_replace(&more, &old, &next);
    }
    counts_add(&iptables->counts, &more);
    counts_by_table(&more, more_rules);
    for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++)
        ret->rules[family][table] = (int64_t)more_rules[table];
    change_write(&change, &ret->input[family]);
    ret->adds += change.adds;
    ret->removes += change.removes;
    change_done(&change);
    arena_done(&arena);
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    struct writer_change change = {0};
    for (size_t i = 0; i < count; i++) {
        iptables->endpoints += changes[i].next ? changes[i].next->endpoint_count : 0;
        iptables->endpoints -= changes[i].old ? changes[i].old->endpoint_count : 0;
    }
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (writer_has_family(iptables->writer, (enum family)family))
            add_changes(iptables, node, (enum family)family, changes, count, &change);
    return writer_restore(iptables->writer, &change, ret, err);
}

static void render(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                   struct text *ret)
{
    uint64_t endpoints = 0;
    for (size_t i = 0; i < count; i++)
        endpoints += entries[i]->endpoint_count;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct layout layout;
        layout_build(node, entries, count, (enum family)family, endpoints > BRIEF_ENDPOINTS, &layout);
        text_printf(ret, "# %s\n", family_name((enum family)family));
        layout_render(&layout, ret);
        layout_done(&layout);
    }
}

/* --- the small ones --- */

static int collect_delay_ms(const struct dataplane *dataplane)
{
    (void)dataplane;
    return -1;
}

static int watch_fd(const struct dataplane *dataplane)
{
    return writer_watch_fd(((const struct iptables *)dataplane)->writer);
}

static bool is_disturbed(struct dataplane *dataplane)
{
    return writer_is_disturbed(((struct iptables *)dataplane)->writer);
}

static void count_elements(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context)
{
    counts_visit(&((const struct iptables *)dataplane)->counts, visit, context);
}

static int inspect(struct dataplane *dataplane, const struct dataplane_node *node, const struct entry *entry,
                   const struct frontend *frontend, const struct address *from, struct text *ret,
                   struct err *err)
{
    return inspect_frontend(entry, frontend, node->view, is_brief((struct iptables *)dataplane), from, ret,
                            err);
}

static const struct dataplane_restores *restores(const struct dataplane *dataplane)
{
    return writer_restores(((const struct iptables *)dataplane)->writer);
}

const struct dataplane_ops iptables_dataplane = {
    .name = "iptables",
    .starts_programs = true,
    .is_of_iptables = true,
    .probe = writer_probe,
    .open = open_,
    .close = close_,
    .load = load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .watch_fd = watch_fd,
    .is_disturbed = is_disturbed,
    .count_elements = count_elements,
    .restores = restores,
    .render = render,
    .inspect = inspect,
};
