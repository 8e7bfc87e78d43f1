/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/inspect.h"

#include <errno.h>
#include <string.h>

struct comparison {
    const struct planned_server *want;
    struct text *ret;
    uint32_t found;
    bool differs;
};

static bool is_wanted(const struct planned_server *server, const struct backend *backend)
{
    for (uint32_t i = 0; server->backends && i < server->backends->count; i++)
        if (server->backends->list[i].port == backend->port &&
            address_cmp(&server->backends->list[i].address, &backend->address) == 0)
            return true;
    return false;
}

static void on_real(void *context, const struct real_server *real)
{
    struct comparison *comparison = context;
    struct socket_address socket = {.address = real->backend.address, .port = real->backend.port};
    bool wanted = is_wanted(comparison->want, &real->backend);
    bool is_leaving = !wanted && real->weight == 0;
    char text[SOCKET_ADDRESS_TEXT_MAX];
    text_printf(comparison->ret, "  -> %s weight %u, %u connections%s\n",
                socket_address_format(&socket, text), real->weight, real->connections,
                is_leaving          ? ", leaving"
                : !wanted           ? "; NOT WANTED by fairlead"
                : real->weight != 1 ? "; the weight DIFFERS from what fairlead wants"
                                    : "");
    comparison->found += wanted;
    comparison->differs |= !is_leaving && (!wanted || real->weight != 1);
}

static int say_server(struct holdings *holdings, const struct planned_server *server, struct text *ret,
                      bool *ret_differs, struct err *err)
{
    struct comparison comparison = {.want = server, .ret = ret};
    char name[VIRTUAL_SERVER_TEXT_MAX];
    uint32_t wanted = server->backends ? server->backends->count : 0;
    text_printf(ret, "%s\n", virtual_server_format(&server->id, name));
    int code = servers_list_real(holdings->servers, &server->id, on_real, &comparison, err);
    if (code == -ENOENT) {
        text_add(ret, "  MISSING in the kernel\n");
        *ret_differs = true;
        return 0;
    }
    if (comparison.found < wanted)
        text_printf(ret, "  %u real servers are MISSING in the kernel\n", wanted - comparison.found);
    *ret_differs |= comparison.differs || comparison.found < wanted;
    return code;
}

struct search {
    const struct ipset_member *wanted;
    bool is_found;
};

static void on_member(void *context, const struct ipset_member *member)
{
    struct search *search = context;
    search->is_found |= memcmp(member, search->wanted, sizeof(*member)) == 0;
}

static int say_member(struct holdings *holdings, const struct planned_member *member, struct text *ret,
                      bool *ret_differs, struct err *err)
{
    struct ipset set = catalog_set((enum set_name)member->set, (enum family)member->family);
    struct search search = {.wanted = &member->member};
    char text[IPSET_MEMBER_TEXT_MAX];
    int code = ipset_list(holdings->sets, &set, on_member, &search, err);
    if (code < 0 && code != -ENOENT)
        return code;
    text_printf(ret, "set %s: %s%s\n", set.name, ipset_member_format(&set, &member->member, text),
                search.is_found ? "" : " MISSING in the kernel");
    *ret_differs |= !search.is_found;
    return 0;
}

/* A node port is at each of the node's addresses, in sets of TCP and UDP at none. */
static bool is_of_frontend(const struct frontend *frontend, const struct address *address, uint16_t port,
                           uint8_t protocol)
{
    bool is_address = frontend->kind == FRONTEND_NODE_PORT || address_cmp(address, &frontend->address) == 0;
    return is_address && port == frontend->port && (protocol == frontend->protocol || protocol == 0);
}

static bool leads_to(const struct plan *plan, const struct frontend *frontend, uint32_t mark)
{
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct ipset_member *member = &plan->members[i].member;
        if (mark && member->mark == mark &&
            is_of_frontend(frontend, &member->address, member->port, member->protocol))
            return true;
    }
    return false;
}

static bool is_in_set(const struct planned_member *member, const struct frontend *frontend)
{
    return member->family == frontend->family && member->set != SET_LOOP_BACK &&
           member->set != SET_IPVS_IPS && member->set != SET_HEALTH_CHECK_NODE_PORT &&
           is_of_frontend(frontend, &member->member.address, member->member.port, member->member.protocol);
}

int inspect_servers(struct holdings *holdings, const struct dataplane_node *node, const struct entry *entry,
                    const struct frontend *frontend, struct text *ret, struct err *err)
{
    struct plan plan;
    struct arena arena;
    bool differs = false;
    int code = 0;
    if (!holdings->servers)
        return err_set(err, EAGAIN, "IPVS is not programmed yet");
    arena_init(&arena);
    plan_build(entry, node, &holdings->numbers, &arena, &plan);
    for (uint32_t i = 0; i < plan.server_count && code == 0; i++) {
        const struct virtual_server *id = &plan.servers[i].id;
        if (id->family == frontend->family &&
            (id->mark ? leads_to(&plan, frontend, id->mark)
                      : is_of_frontend(frontend, &id->address, id->port, id->protocol)))
            code = say_server(holdings, &plan.servers[i], ret, &differs, err);
    }
    for (uint32_t i = 0; i < plan.member_count && code == 0; i++)
        if (is_in_set(&plan.members[i], frontend))
            code = say_member(holdings, &plan.members[i], ret, &differs, err);
    arena_done(&arena);
    return code < 0 ? code : differs;
}
