/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/holdings.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct held_member {
    struct planned_member key; /* with mark 0 */
    uint32_t mark, count;      /* services that want it */
    bool is_in_set, is_bound;  /* the kernel has it */
    UT_hash_handle hh;
};

struct held_server {
    struct virtual_server id;
    uint32_t count;
    UT_hash_handle hh;
};

struct listed_server {
    struct planned_server planned;
    struct server_settings settings;
};

/* Virtual servers of one side of a comparison, sorted. Everything is in the arena. */
struct server_list {
    struct arena *arena;
    struct listed_server *list;
    uint32_t count, capacity;
};

int holdings_open(struct holdings *holdings, struct err *err)
{
    int code = ipset_open(&holdings->sets, err);
    code = code < 0 ? code : servers_open(&holdings->servers, err);
    return code < 0 ? code : bound_open(&holdings->bound, err);
}

static void close_sides(struct holdings *holdings)
{
    ipset_close(holdings->sets);
    servers_close(holdings->servers);
    bound_close(holdings->bound);
    holdings->sets = NULL;
    holdings->servers = NULL;
    holdings->bound = NULL;
}

static void forget_holdings(struct holdings *holdings)
{
    struct held_member *member, *next_member;
    struct held_server *server, *next_server;
    HASH_ITER (hh, holdings->members, member, next_member) {
        HASH_DEL(holdings->members, member);
        free(member);
    }
    HASH_ITER (hh, holdings->held, server, next_server) {
        HASH_DEL(holdings->held, server);
        free(server);
    }
    leaving_done(&holdings->leaving);
    memset(holdings->member_counts, 0, sizeof(holdings->member_counts));
    holdings->server_count = holdings->real_server_count = holdings->twice = 0;
}

void holdings_done(struct holdings *holdings)
{
    close_sides(holdings);
    forget_holdings(holdings);
    numbers_done(&holdings->numbers);
}

/* --- members of sets, addresses --- */

static struct held_member *hold(struct holdings *holdings, const struct planned_member *member)
{
    struct planned_member key = *member;
    struct held_member *held;
    key.member.mark = 0;
    HASH_FIND(hh, holdings->members, &key, sizeof(key), held);
    if (held)
        return held;
    held = xcalloc(1, sizeof(*held));
    held->key = key;
    held->mark = member->member.mark;
    HASH_ADD(hh, holdings->members, key, sizeof(held->key), held);
    return held;
}

static void want(struct holdings *holdings, const struct planned_member *member)
{
    struct held_member *held = hold(holdings, member);
    struct ipset set = catalog_set((enum set_name)member->set, (enum family)member->family);
    if (held->count++ == 0)
        holdings->member_counts[member->family][member->set]++;
    if (!held->is_in_set || held->mark != member->member.mark) {
        ipset_add(holdings->sets, &set, &member->member);
        holdings->adds++;
    }
    if (member->set == SET_IPVS_IPS && !held->is_bound)
        bound_add(holdings->bound, &member->member.address);
    held->mark = member->member.mark;
    held->is_in_set = held->is_bound = true;
}

static void release(struct holdings *holdings, const struct planned_member *member)
{
    struct held_member *held = hold(holdings, member);
    if (--held->count == 0)
        holdings->member_counts[member->family][member->set]--;
}

static void drop_unwanted(struct holdings *holdings, struct held_member *held)
{
    struct ipset set = catalog_set((enum set_name)held->key.set, (enum family)held->key.family);
    if (held->count > 0)
        return;
    if (held->is_in_set) {
        ipset_remove(holdings->sets, &set, &held->key.member);
        holdings->removes++;
    }
    if (held->key.set == SET_IPVS_IPS && held->is_bound &&
        !leaving_has_address(&holdings->leaving, &held->key.member.address))
        bound_remove(holdings->bound, &held->key.member.address);
    HASH_DEL(holdings->members, held);
    free(held);
}

/* --- virtual servers --- */

static void list_add(struct server_list *list, const struct planned_server *server,
                     const struct server_settings *settings)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 32;
        struct listed_server *larger = arena_array(list->arena, struct listed_server, capacity);
        if (list->count)
            memcpy(larger, list->list, list->count * sizeof(*larger));
        list->list = larger;
        list->capacity = capacity;
    }
    list->list[list->count++] = (struct listed_server){*server, *settings};
}

static int server_order(const void *a, const void *b)
{
    return virtual_server_cmp(&((const struct listed_server *)a)->planned.id,
                              &((const struct listed_server *)b)->planned.id);
}

static void list_sort(struct server_list *list)
{
    uint32_t kept = 0;
    if (list->count > 1)
        qsort(list->list, list->count, sizeof(*list->list), server_order);
    for (uint32_t i = 0; i < list->count; i++)
        if (kept == 0 || server_order(&list->list[kept - 1], &list->list[i]) != 0)
            list->list[kept++] = list->list[i];
    list->count = kept;
}

/* Returns how many more than one want it now, compared with before. */
static int count_server(struct holdings *holdings, const struct virtual_server *id, int step)
{
    struct held_server *held;
    HASH_FIND(hh, holdings->held, id, sizeof(*id), held);
    if (!held) {
        held = xcalloc(1, sizeof(*held));
        held->id = *id;
        HASH_ADD(hh, holdings->held, id, sizeof(held->id), held);
    }
    uint32_t before = held->count;
    held->count += (uint32_t)step;
    int more = (int)(held->count > 1) - (int)(before > 1);
    if (held->count == 0) {
        HASH_DEL(holdings->held, held);
        free(held);
    }
    return more;
}

static struct server_settings settings_of(const struct dataplane_node *node,
                                          const struct planned_server *server)
{
    struct server_settings settings = {.persistence_s = server->persistence_s};
    const char *scheduler = server->scheduler ? server->scheduler : node->ipvs.scheduler;
    snprintf(settings.scheduler, sizeof(settings.scheduler), "%s", scheduler);
    /* As kube-proxy has it; not where the hash stands for affinity. */
    settings.has_source_hash_port = !server->scheduler && strcmp(scheduler, "mh") == 0;
    return settings;
}

static int backend_order(const void *a, const void *b)
{
    const struct backend *x = a, *y = b;
    int by_address = address_cmp(&x->address, &y->address);
    return by_address ? by_address : (int)x->port - (int)y->port;
}

static const struct backend *sorted(const struct backend_set *set, struct arena *arena, uint32_t *ret_count)
{
    *ret_count = set ? set->count : 0;
    struct backend *list = arena_array(arena, struct backend, *ret_count);
    if (*ret_count > 0) {
        memcpy(list, set->list, *ret_count * sizeof(*list));
        qsort(list, *ret_count, sizeof(*list), backend_order);
    }
    return list;
}

static void add_real(struct holdings *holdings, const struct planned_server *next,
                     const struct backend *backend)
{
    bool is_new = !leaving_keep(&holdings->leaving, &next->id, backend);
    servers_set_real(holdings->servers, &next->id, backend, 1, is_new);
    holdings->adds++;
}

/* With its connections, where those know an end. A flow of datagrams would go to it for ever. */
static void remove_real(struct holdings *holdings, const struct planned_server *old,
                        const struct backend *backend)
{
    if (old->protocol == PROTOCOL_TCP) {
        servers_set_real(holdings->servers, &old->id, backend, 0, false);
        leaving_add(&holdings->leaving, &old->id, backend);
    } else
        servers_remove_real(holdings->servers, &old->id, backend);
    holdings->removes++;
}

static void replace_reals(struct holdings *holdings, const struct planned_server *old,
                          const struct planned_server *next, struct arena *arena)
{
    uint32_t i = 0, j = 0, old_count, next_count;
    if (old->backends && next->backends && old->backends->count == next->backends->count &&
        memcmp(old->backends->list, next->backends->list,
               old->backends->count * sizeof(*old->backends->list)) == 0)
        return;
    const struct backend *olds = sorted(old->backends, arena, &old_count);
    const struct backend *nexts = sorted(next->backends, arena, &next_count);
    for (uint32_t pass = 0; pass < 2; pass++) /* nobody leaves before somebody has come */
        for (i = j = 0; i < old_count || j < next_count;) {
            int order = i == old_count ? 1 : j == next_count ? -1 : backend_order(&olds[i], &nexts[j]);
            if (order < 0 && pass == 1)
                remove_real(holdings, old, &olds[i]);
            if (order > 0 && pass == 0)
                add_real(holdings, next, &nexts[j]);
            i += order <= 0;
            j += order >= 0;
        }
}

static void add_server(struct holdings *holdings, const struct listed_server *next, struct arena *arena)
{
    bool is_new = !leaving_keep_whole(&holdings->leaving, &next->planned.id);
    servers_set(holdings->servers, &next->planned.id, &next->settings, is_new);
    holdings->adds++;
    replace_reals(holdings, &(struct planned_server){.id = next->planned.id}, &next->planned, arena);
}

static void remove_server(struct holdings *holdings, const struct planned_server *old, struct arena *arena)
{
    if (old->protocol == PROTOCOL_TCP)
        replace_reals(holdings, old, &(struct planned_server){.id = old->id}, arena);
    if (!leaving_add_whole(&holdings->leaving, &old->id))
        servers_remove(holdings->servers, &old->id);
    holdings->removes++;
}

static bool same_settings(const struct server_settings *a, const struct server_settings *b)
{
    return strcmp(a->scheduler, b->scheduler) == 0 && a->persistence_s == b->persistence_s &&
           a->has_source_hash_port == b->has_source_hash_port;
}

static void replace_server(struct holdings *holdings, const struct listed_server *old,
                           const struct listed_server *next, struct arena *arena)
{
    struct planned_server known = old->planned;
    known.protocol = next->planned.protocol; /* which listing could not tell of one with a mark */
    if (!same_settings(&old->settings, &next->settings)) {
        servers_set(holdings->servers, &next->planned.id, &next->settings, false);
        holdings->adds++;
    }
    replace_reals(holdings, &known, &next->planned, arena);
}

static void replace_servers(struct holdings *holdings, const struct server_list *olds,
                            const struct server_list *nexts)
{
    struct arena arena;
    arena_init(&arena);
    for (uint32_t i = 0, j = 0; i < olds->count || j < nexts->count;) {
        const struct listed_server *old = &olds->list[i], *next = &nexts->list[j];
        int order = i == olds->count ? 1 : j == nexts->count ? -1 : server_order(old, next);
        arena_reset(&arena);
        if (order < 0)
            remove_server(holdings, &old->planned, &arena);
        else if (order > 0)
            add_server(holdings, next, &arena);
        else
            replace_server(holdings, old, next, &arena);
        i += order <= 0;
        j += order >= 0;
    }
    arena_done(&arena);
}

/* --- what the kernel has --- */

struct listing {
    struct holdings *holdings;
    const struct dataplane_node *node;
    struct server_list *list;
    struct planned_member member; /* the set and the family that are listed */
    struct planned_server server; /* the virtual server whose real servers are listed */
    struct backend_set *backends;
    uint32_t capacity;
};

static void on_member(void *context, const struct ipset_member *member)
{
    struct listing *listing = context;
    listing->member.member = *member;
    hold(listing->holdings, &listing->member)->is_in_set = true;
}

static void on_bound(void *context, const struct address *address)
{
    struct listing *listing = context;
    listing->member = (struct planned_member){
        .member.address = *address, .set = SET_IPVS_IPS, .family = address_family(address)};
    hold(listing->holdings, &listing->member)->is_bound = true;
}

static int list_members(struct listing *listing, struct err *err)
{
    struct holdings *holdings = listing->holdings;
    int code = 0;
    for (uint32_t family = 0; family < FAMILY_COUNT; family++)
        for (uint32_t name = 0; name < SET_NAME_COUNT && code == 0 && holdings->has_family[family]; name++) {
            struct ipset set = catalog_set((enum set_name)name, (enum family)family);
            listing->member = (struct planned_member){.set = name, .family = family};
            code = ipset_create(holdings->sets, &set, err);
            code = code < 0 ? code : ipset_list(holdings->sets, &set, on_member, listing, err);
        }
    return code < 0 ? code : bound_list(holdings->bound, on_bound, listing, err);
}

static void on_server(void *context, const struct virtual_server *id, const struct server_settings *settings)
{
    struct listing *listing = context;
    uint32_t masquerade_mark = listing->node->masquerade_mark;
    bool is_ours = id->mark == 0 ? id->protocol == PROTOCOL_TCP || id->protocol == PROTOCOL_UDP ||
                                       id->protocol == PROTOCOL_SCTP
                                 : (id->mark & mark_tag_mask(masquerade_mark)) == mark_tag(masquerade_mark);
    for (uint32_t i = 0; i < listing->node->ipvs.exclude_cidr_count; i++)
        is_ours &= id->mark != 0 || !prefix_contains(&listing->node->ipvs.exclude_cidrs[i], &id->address);
    if (!is_ours || !listing->holdings->has_family[id->family])
        return;
    list_add(listing->list,
             &(struct planned_server){.id = *id, .protocol = id->mark ? PROTOCOL_TCP : id->protocol},
             settings);
}

/* Without new connections: it leaves already, unless somebody wants it. */
static void on_real(void *context, const struct real_server *real)
{
    struct listing *listing = context;
    struct backend_set *set = listing->backends;
    if (real->weight > 1)
        servers_set_real(listing->holdings->servers, &listing->server.id, &real->backend, 1, false);
    if (real->weight == 0) {
        leaving_add(&listing->holdings->leaving, &listing->server.id, &real->backend);
        return;
    }
    if (set->count == listing->capacity) {
        listing->capacity = listing->capacity ? listing->capacity * 2 : 8;
        struct backend *larger = arena_array(listing->list->arena, struct backend, listing->capacity);
        if (set->count)
            memcpy(larger, set->list, set->count * sizeof(*larger));
        set->list = larger;
    }
    set->list[set->count++] = real->backend;
}

static int list_servers(struct listing *listing, struct err *err)
{
    struct server_list *list = listing->list;
    int code = servers_list(listing->holdings->servers, on_server, listing, err);
    for (uint32_t i = 0; i < list->count && code == 0; i++) {
        listing->server = list->list[i].planned;
        listing->backends = arena_new(list->arena, struct backend_set);
        listing->capacity = 0;
        code = servers_list_real(listing->holdings->servers, &listing->server.id, on_real, listing, err);
        list->list[i].planned.backends = listing->backends;
    }
    list_sort(list);
    return code;
}

/* --- the two steps --- */

/* The servers of entry's plan; its members are wanted or released. */
static void take_plan(struct holdings *holdings, const struct dataplane_node *node, const struct entry *entry,
                      struct server_list *ret, void (*take)(struct holdings *, const struct planned_member *))
{
    struct plan plan;
    plan_build(entry, node, &holdings->numbers, ret->arena, &plan);
    for (uint32_t i = 0; i < plan.server_count; i++)
        if (holdings->has_family[plan.servers[i].id.family]) {
            struct server_settings settings = settings_of(node, &plan.servers[i]);
            list_add(ret, &plan.servers[i], &settings);
        }
    for (uint32_t i = 0; i < plan.member_count; i++)
        if (holdings->has_family[plan.members[i].family])
            take(holdings, &plan.members[i]);
}

static void count_reals(struct holdings *holdings, const struct server_list *list, int step)
{
    for (uint32_t i = 0; i < list->count; i++) {
        holdings->server_count += (uint64_t)step;
        holdings->real_server_count +=
            (uint64_t)step * (list->list[i].planned.backends ? list->list[i].planned.backends->count : 0);
    }
}

/* Counts who wants which virtual server. */
static void count_servers(struct holdings *holdings, const struct server_list *list, int step)
{
    for (uint32_t i = 0; i < list->count; i++)
        holdings->twice += (uint32_t)count_server(holdings, &list->list[i].planned.id, step);
}

int holdings_load(struct holdings *holdings, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct err *err)
{
    struct arena arena;
    struct server_list haves = {.arena = &arena}, wants = {.arena = &arena};
    struct listing listing = {.holdings = holdings, .node = node, .list = &haves};
    struct held_member *held, *next;
    forget_holdings(holdings);
    close_sides(holdings); /* and with them what an earlier failure left unsent */
    int code = holdings_open(holdings, err);
    arena_init(&arena);
    holdings->adds = holdings->removes = 0;
    code = code < 0 ? code : list_members(&listing, err);
    code = code < 0 ? code : list_servers(&listing, err);
    for (size_t i = 0; i < count && code == 0; i++)
        take_plan(holdings, node, entries[i], &wants, want);
    if (code == 0) {
        count_servers(holdings, &wants, 1);
        list_sort(&wants);
        count_reals(holdings, &wants, 1);
        replace_servers(holdings, &haves, &wants);
        code = ipset_flush(holdings->sets, err);
    }
    if (code == 0)
        HASH_ITER (hh, holdings->members, held, next)
            drop_unwanted(holdings, held);
    arena_done(&arena);
    return code;
}

static void drop_released(struct holdings *holdings, const struct dataplane_node *node,
                          const struct dataplane_change *changes, size_t count, struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        struct plan plan;
        plan_build(changes[i].old, node, &holdings->numbers, arena, &plan);
        for (uint32_t m = 0; m < plan.member_count; m++)
            if (holdings->has_family[plan.members[m].family])
                drop_unwanted(holdings, hold(holdings, &plan.members[m]));
    }
}

int holdings_change(struct holdings *holdings, const struct dataplane_node *node,
                    const struct dataplane_change *changes, size_t count, struct err *err)
{
    struct arena arena;
    struct server_list olds = {.arena = &arena}, nexts = {.arena = &arena};
    if (holdings->twice > 0)
        return err_set(err, EXFULL, "several services want the same virtual server");
    arena_init(&arena);
    holdings->adds = holdings->removes = 0;
    for (size_t i = 0; i < count; i++) /* all wishes before the first release: what stays is not touched */
        take_plan(holdings, node, changes[i].next, &nexts, want);
    for (size_t i = 0; i < count; i++)
        take_plan(holdings, node, changes[i].old, &olds, release);
    count_servers(holdings, &nexts, 1);
    count_servers(holdings, &olds, -1);
    int code =
        holdings->twice > 0 ? err_set(err, EXFULL, "several services want the same virtual server") : 0;
    if (code == 0) {
        list_sort(&olds);
        list_sort(&nexts);
        count_reals(holdings, &nexts, 1);
        count_reals(holdings, &olds, -1);
        replace_servers(holdings, &olds, &nexts);
        code = ipset_flush(holdings->sets, err);
    }
    if (code == 0)
        drop_released(holdings, node, changes, count, &arena);
    arena_done(&arena);
    return code;
}

int holdings_finish(struct holdings *holdings, struct err *err)
{
    int code = servers_flush(holdings->servers, err);
    code = code < 0 ? code : bound_flush(holdings->bound, err);
    code = code < 0 ? code : ipset_flush(holdings->sets, err);
    return code < 0 ? code : holdings_collect(holdings, err);
}

/* An address that nobody wants goes with the last virtual server that had connections there. */
static void on_gone(void *context, const struct virtual_server *id)
{
    struct holdings *holdings = context;
    const struct planned_member key = {
        .member.address = id->address, .set = SET_IPVS_IPS, .family = id->family};
    struct held_member *held;
    HASH_FIND(hh, holdings->members, &key, sizeof(key), held);
    if (id->mark == 0 && !held && !leaving_has_address(&holdings->leaving, &id->address))
        bound_remove(holdings->bound, &id->address);
}

int holdings_collect(struct holdings *holdings, struct err *err)
{
    int code = leaving_collect(&holdings->leaving, holdings->servers, on_gone, holdings, err);
    return code < 0 ? code : bound_flush(holdings->bound, err);
}

struct count {
    const struct holdings *holdings;
    uint32_t found;
};

static void on_counted(void *context, const struct virtual_server *id, const struct server_settings *settings)
{
    struct count *count = context;
    const struct held_server *held;
    HASH_FIND(hh, count->holdings->held, id, sizeof(*id), held);
    count->found += held != NULL;
}

int holdings_is_disturbed(struct holdings *holdings, bool *ret, struct err *err)
{
    struct count count = {.holdings = holdings};
    int code = servers_list(holdings->servers, on_counted, &count, err);
    *ret = code == 0 && count.found != HASH_COUNT(holdings->held);
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int name = 0; name < SET_NAME_COUNT && code == 0 && holdings->has_family[family]; name++) {
            struct ipset set = catalog_set((enum set_name)name, (enum family)family);
            uint32_t members;
            code = ipset_count(holdings->sets, &set, &members, err);
            *ret |= code == 0 && members != holdings->member_counts[family][name];
        }
    if (code != -ENOENT)
        return code;
    *ret = true; /* a set is gone */
    return 0;
}

bool holdings_has_leaving(const struct holdings *holdings)
{
    return holdings->leaving.servers != NULL;
}
