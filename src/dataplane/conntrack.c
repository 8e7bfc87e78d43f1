/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A UDP frontend of a changed service, and who may be behind it. */
struct target {
    struct {
        struct address address; /* unset for a node port */
        uint16_t port;
    } key;
    const struct backend_set *serving; /* NULL: nobody */
    UT_hash_handle hh;
};

struct stale {
    struct nf_conntrack *flow;
    struct stale *next;
};

struct reconciler {
    const struct dataplane *dataplane;
    struct target *targets;
    const struct dataplane_node *node;
    enum family family;
    struct stale *stale;
};

static const struct backend_set *serving_of(const struct entry *entry, const struct frontend *frontend)
{
    for (uint32_t i = 0; i < entry->serving_count; i++)
        if (entry->serving[i].family == frontend->family &&
            entry->serving[i].port_index == frontend->port_index)
            return &entry->serving[i].backends;
    return NULL;
}

/* next's frontends come after old's: what both have is judged by next. */
static void add_targets(struct reconciler *reconciler, const struct entry *entry, bool is_withdrawn)
{
    for (uint32_t i = 0; entry && i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        struct target probe, *target;
        if (frontend->protocol != PROTOCOL_UDP || frontend->family != reconciler->family ||
            frontend->is_shadowed)
            continue;
        memset(&probe, 0, sizeof(probe));
        probe.key.address = frontend->address;
        probe.key.port = frontend->port;
        HASH_FIND(hh, reconciler->targets, &probe.key, sizeof(probe.key), target);
        if (!target) {
            target = xcalloc(1, sizeof(*target));
            target->key = probe.key;
            HASH_ADD(hh, reconciler->targets, key, sizeof(target->key), target);
        }
        target->serving = is_withdrawn ? NULL : serving_of(entry, frontend);
    }
}

static const struct target *find_target(const struct reconciler *reconciler, const struct address *address,
                                        uint16_t port)
{
    struct target probe, *found;
    memset(&probe, 0, sizeof(probe));
    probe.key.address = *address;
    probe.key.port = port;
    HASH_FIND(hh, reconciler->targets, &probe.key, sizeof(probe.key), found);
    if (found)
        return found;
    const struct dataplane_node *node = reconciler->node;
    bool is_ours = false;
    for (uint32_t i = 0; i < node->node_port_address_count; i++)
        is_ours |= address_cmp(&node->node_port_addresses[i], address) == 0;
    if (!is_ours)
        return NULL;
    memset(&probe.key.address, 0, sizeof(probe.key.address));
    HASH_FIND(hh, reconciler->targets, &probe.key, sizeof(probe.key), found);
    return found;
}

static bool serves(const struct reconciler *reconciler, const struct backend_set *serving,
                   const struct address *address, uint16_t port)
{
    const struct dataplane *dataplane = reconciler->dataplane;
    if (serving && serving->count > 0 && dataplane->ops->has_udp_socket &&
        dataplane->ops->has_udp_socket(dataplane, reconciler->family, port))
        return true;
    for (uint32_t i = 0; serving && i < serving->count; i++)
        if (serving->list[i].port == port && address_cmp(&serving->list[i].address, address) == 0)
            return true;
    return false;
}

static struct address flow_address(const struct nf_conntrack *flow, enum family family, bool is_reply_source)
{
    enum nf_conntrack_attr v4 = is_reply_source ? ATTR_REPL_IPV4_SRC : ATTR_ORIG_IPV4_DST;
    enum nf_conntrack_attr v6 = is_reply_source ? ATTR_REPL_IPV6_SRC : ATTR_ORIG_IPV6_DST;
    const void *wire = nfct_get_attr(flow, family == FAMILY_IPV4 ? v4 : v6);
    return wire ? address_from_wire(family, wire) : (struct address){0};
}

static int judge(enum nf_conntrack_msg_type type, struct nf_conntrack *flow, void *context)
{
    (void)type;
    struct reconciler *reconciler = context;
    if (nfct_get_attr_u8(flow, ATTR_L4PROTO) != IPPROTO_UDP)
        return NFCT_CB_CONTINUE;
    struct address to = flow_address(flow, reconciler->family, false);
    const struct target *target =
        find_target(reconciler, &to, ntohs(nfct_get_attr_u16(flow, ATTR_ORIG_PORT_DST)));
    struct address behind = flow_address(flow, reconciler->family, true);
    if (!target ||
        serves(reconciler, target->serving, &behind, ntohs(nfct_get_attr_u16(flow, ATTR_REPL_PORT_SRC))))
        return NFCT_CB_CONTINUE;
    struct stale *stale = xcalloc(1, sizeof(*stale));
    *stale = (struct stale){.flow = flow, .next = reconciler->stale};
    reconciler->stale = stale;
    return NFCT_CB_STOLEN;
}

static int dump(struct reconciler *reconciler, struct err *err)
{
    const uint32_t family = reconciler->family == FAMILY_IPV4 ? AF_INET : AF_INET6;
    struct nfct_handle *handle = nfct_open(CONNTRACK, 0);
    if (!handle)
        return err_set(err, errno, "cannot open conntrack: %s", strerror(errno));
    nfct_callback_register(handle, NFCT_T_ALL, judge, reconciler);
    int code;
    do
        code = nfct_query(handle, NFCT_Q_DUMP, &family);
    while (code < 0 && errno == EINTR);
    /* A dump that lost messages is taken for what it has; the rest comes with the next change. */
    if (code < 0 && errno != ENOBUFS)
        code = err_set(err, errno, "cannot list conntrack entries: %s", strerror(errno));
    else
        code = 0;
    nfct_close(handle);
    return code;
}

static uint32_t delete_stale(struct reconciler *reconciler)
{
    uint32_t deleted = 0;
    struct nfct_handle *handle = reconciler->stale ? nfct_open(CONNTRACK, 0) : NULL;
    for (struct stale *stale = reconciler->stale, *next; stale; stale = next) {
        next = stale->next;
        /* Gone by itself meanwhile is as good. */
        if (handle && nfct_query(handle, NFCT_Q_DESTROY, stale->flow) == 0)
            deleted++;
        nfct_destroy(stale->flow);
        free(stale);
    }
    if (handle)
        nfct_close(handle);
    return deleted;
}

static bool same_backends(const struct backend_set *a, const struct backend_set *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->list[i].port != b->list[i].port || address_cmp(&a->list[i].address, &b->list[i].address) != 0)
            return false;
    return true;
}

static bool has_udp(const struct entry *entry)
{
    return entry && entry->serving_count > 0;
}

/* Who serves which UDP frontend did not change: nobody's flow is stale by it. Listing a machine's conntrack
 * table is not for nothing. */
static bool is_same_for_udp(const struct entry *old, const struct entry *next)
{
    if (!has_udp(old) && !has_udp(next))
        return true;
    if (!old || !next || old->serving_count != next->serving_count ||
        old->frontend_count != next->frontend_count)
        return false;
    for (uint32_t i = 0; i < old->serving_count; i++)
        if (old->serving[i].family != next->serving[i].family ||
            old->serving[i].port_index != next->serving[i].port_index ||
            !same_backends(&old->serving[i].backends, &next->serving[i].backends))
            return false;
    for (uint32_t i = 0; i < old->frontend_count; i++) {
        const struct frontend *a = &old->frontends[i], *b = &next->frontends[i];
        if (a->kind != b->kind || a->port != b->port || a->protocol != b->protocol ||
            a->port_index != b->port_index || a->is_shadowed != b->is_shadowed ||
            address_cmp(&a->address, &b->address) != 0)
            return false;
    }
    return true;
}

int conntrack_reconcile(const struct dataplane *dataplane, const struct dataplane_change *changes,
                        size_t count, const struct dataplane_node *node, struct conntrack_result *ret,
                        struct err *err)
{
    struct conntrack_result result = {0};
    int code = 0;
    for (int family = 0; family < FAMILY_COUNT && code == 0; family++) {
        struct reconciler reconciler = {.dataplane = dataplane, .node = node, .family = (enum family)family};
        for (size_t i = 0; i < count; i++)
            if (!is_same_for_udp(changes[i].old, changes[i].next))
                add_targets(&reconciler, changes[i].old, true);
        for (size_t i = 0; i < count; i++)
            if (!is_same_for_udp(changes[i].old, changes[i].next))
                add_targets(&reconciler, changes[i].next, false);
        if (reconciler.targets) {
            result.was_needed = true;
            code = dump(&reconciler, err);
            result.deleted[family] = delete_stale(&reconciler);
        }
        struct target *target, *next;
        HASH_ITER (hh, reconciler.targets, target, next) {
            HASH_DEL(reconciler.targets, target);
            free(target);
        }
    }
    *ret = result;
    return code;
}

/* A question for a flow that cannot be; asking is what loads the module (net/netfilter/nfnetlink.c,
 * nfnetlink_rcv_msg). */
void conntrack_load(void)
{
    struct nfct_handle *handle = nfct_open(CONNTRACK, 0);
    struct nf_conntrack *flow = nfct_new();
    if (handle && flow) {
        nfct_set_attr_u8(flow, ATTR_L3PROTO, AF_INET);
        nfct_set_attr_u8(flow, ATTR_L4PROTO, IPPROTO_UDP);
        nfct_set_attr_u32(flow, ATTR_IPV4_SRC, 0);
        nfct_set_attr_u32(flow, ATTR_IPV4_DST, 0);
        nfct_set_attr_u16(flow, ATTR_PORT_SRC, 0);
        nfct_set_attr_u16(flow, ATTR_PORT_DST, 0);
        nfct_query(handle, NFCT_Q_GET, flow);
    }
    if (flow)
        nfct_destroy(flow);
    if (handle)
        nfct_close(handle);
}
