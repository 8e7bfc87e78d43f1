/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/render.h"

#include "dataplane/ipvs/frame.h"

#include <stdlib.h>
#include <string.h>

void render_server(const struct planned_server *server, const char *scheduler, struct text *ret)
{
    char name[VIRTUAL_SERVER_TEXT_MAX];
    virtual_server_format(&server->id, name);
    size_t kind = strcspn(name, " ");
    text_printf(ret, "%-4.*s %s %s", (int)kind, name, name + kind + 1,
                server->scheduler ? server->scheduler : scheduler);
    if (server->persistence_s)
        text_printf(ret, " persistent %u", server->persistence_s);
    text_add(ret, "\n");
    for (uint32_t i = 0; server->backends && i < server->backends->count; i++) {
        const struct backend *backend = &server->backends->list[i];
        struct socket_address socket = {.address = backend->address, .port = backend->port};
        char text[SOCKET_ADDRESS_TEXT_MAX];
        text_printf(ret, "  -> %-28s Masq    1\n", socket_address_format(&socket, text));
    }
}

static int server_order(const void *a, const void *b)
{
    return virtual_server_cmp(&((const struct planned_server *)a)->id,
                              &((const struct planned_server *)b)->id);
}

static int member_order(const void *a, const void *b)
{
    const struct planned_member *x = a, *y = b;
    if (x->family != y->family || x->set != y->set)
        return x->family != y->family ? (int)x->family - (int)y->family : (int)x->set - (int)y->set;
    return planned_member_cmp(x, y);
}

/* All that entries want, in order, once. */
static void gather(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                   struct arena *arena, struct plan *ret)
{
    struct numbers numbers = {0};
    struct plan *plans = arena_array(arena, struct plan, count);
    uint32_t servers = 0, members = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        plan_build(entries[i], node, &numbers, arena, &plans[i]);
        servers += plans[i].server_count;
        members += plans[i].member_count;
    }
    numbers_done(&numbers);
    *ret = (struct plan){.servers = arena_array(arena, struct planned_server, servers),
                         .members = arena_array(arena, struct planned_member, members)};
    for (size_t i = 0; i < count; i++) {
        for (uint32_t s = 0; s < plans[i].server_count; s++)
            ret->servers[ret->server_count++] = plans[i].servers[s];
        for (uint32_t m = 0; m < plans[i].member_count; m++)
            ret->members[ret->member_count++] = plans[i].members[m];
    }
    qsort(ret->servers, ret->server_count, sizeof(*ret->servers), server_order);
    qsort(ret->members, ret->member_count, sizeof(*ret->members), member_order);
    for (uint32_t m = 0; m < ret->member_count; m++)
        if (kept == 0 || planned_member_cmp(&ret->members[kept - 1], &ret->members[m]) != 0)
            ret->members[kept++] = ret->members[m];
    ret->member_count = kept;
}

static void render_sets(const struct plan *plan, enum family family, struct text *ret)
{
    for (uint32_t m = 0; m < plan->member_count; m++) {
        const struct planned_member *member = &plan->members[m];
        struct ipset set = catalog_set((enum set_name)member->set, family);
        char text[IPSET_MEMBER_TEXT_MAX];
        if (member->family == family)
            text_printf(ret, "add %s %s\n", set.name, ipset_member_format(&set, &member->member, text));
    }
}

void render_ipvs(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                 struct text *ret)
{
    struct arena arena;
    struct plan plan;
    arena_init(&arena);
    gather(node, entries, count, &arena, &plan);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct layout layout;
        text_printf(ret, "# %s\n", family_name((enum family)family));
        for (uint32_t s = 0; s < plan.server_count; s++)
            if (plan.servers[s].id.family == family)
                render_server(&plan.servers[s], node->ipvs.scheduler, ret);
        render_sets(&plan, (enum family)family, ret);
        frame_build(node, (enum family)family, &layout);
        layout_render(&layout, ret);
        layout_done(&layout);
    }
    arena_done(&arena);
}
