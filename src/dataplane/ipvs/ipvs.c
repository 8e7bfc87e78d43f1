/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/ipvs.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/frame.h"
#include "dataplane/ipvs/holdings.h"
#include "dataplane/ipvs/inspect.h"
#include "dataplane/ipvs/probe.h"
#include "dataplane/ipvs/render.h"
#include "dataplane/rules/writer.h"
#include "sys/iptables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* How often real servers that leave are asked for their connections (kube-proxy: every 60 s), and how often
 * what nobody tells of is counted. */
#define LEAVING_CHECK_MS 10000
#define COUNT_MS 30000

struct ipvs {
    struct dataplane base;
    struct dataplane_owner owner;
    struct writer *writer;
    struct holdings holdings;
    int watch_fd;  /* an epoll of all that tells of others' hands */
    bool is_known; /* the kernel has what the last success left */
};

static int finish(struct ipvs *ipvs, struct dataplane_result *result, struct err *err)
{
    int code = holdings_finish(&ipvs->holdings, err);
    ipvs->is_known = code == 0;
    result->element_adds += ipvs->holdings.adds;
    result->element_deletes += ipvs->holdings.removes;
    result->transactions += ipvs->holdings.adds + ipvs->holdings.removes > 0;
    return code;
}

static void on_written(void *context, int code, const struct dataplane_result *result, const struct err *err)
{
    struct ipvs *ipvs = context;
    struct dataplane_result whole = *result;
    struct err failure = *err;
    if (code == 0) /* nothing is left to do where it was done ahead */
        code = finish(ipvs, &whole, &failure);
    ipvs->owner.finished(ipvs->owner.context, code, &whole, &failure);
}

static void close_(struct dataplane *dataplane)
{
    struct ipvs *ipvs = (struct ipvs *)dataplane;
    writer_close(ipvs->writer);
    holdings_done(&ipvs->holdings);
    if (ipvs->watch_fd >= 0)
        close(ipvs->watch_fd);
    free(ipvs);
}

static int watch(struct ipvs *ipvs, int fd)
{
    return epoll_ctl(ipvs->watch_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
}

/* Mode iptables has its rules in chains of the same names, so these cease to serve when ours are written: by
 * then all else has to be there. Where nobody serves yet it comes behind the rules, so that no connection
 * begins without its masquerading. */
static int on_read(void *context, const struct layout *have, struct err *err)
{
    struct ipvs *ipvs = context;
    return layout_has_chain(have, TABLE_NAT, "KUBE-NODEPORTS") ? holdings_finish(&ipvs->holdings, err) : 0;
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    struct ipvs *ipvs = xcalloc(1, sizeof(*ipvs));
    ipvs->base.ops = &ipvs_dataplane;
    ipvs->owner = *owner;
    ipvs->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    int code = ipvs->watch_fd < 0 ? err_set(err, errno, "no epoll for mode ipvs") : 0;
    code = code < 0 ? code : writer_open(&ipvs->writer, owner->loop, &frame_own_rules, on_written, ipvs, err);
    if (code == 0 && writer_watch_fd(ipvs->writer) >= 0 && watch(ipvs, writer_watch_fd(ipvs->writer)) < 0)
        code = err_set(err, errno, "the rules of mode ipvs cannot be watched");
    if (code == 0)
        writer_set_read(ipvs->writer, on_read);
    for (int family = 0; family < FAMILY_COUNT && code == 0; family++)
        ipvs->holdings.has_family[family] =
            writer_has_family(ipvs->writer, (enum family)family) && probe_has_family((enum family)family);
    if (code < 0) {
        close_(&ipvs->base);
        return code;
    }
    *ret = &ipvs->base;
    return 0;
}

/* The kernel's sides are opened anew by every load, and with them what tells of the interface. */
static int load_state(struct ipvs *ipvs, const struct dataplane_node *node,
                      const struct entry *const *entries, size_t count, struct err *err)
{
    int code = holdings_load(&ipvs->holdings, node, entries, count, err);
    if (code == 0)
        code = servers_set_timeouts(ipvs->holdings.servers, node->ipvs.tcp_s, node->ipvs.tcp_fin_s,
                                    node->ipvs.udp_s, err);
    if (code == 0 && watch(ipvs, bound_watch_fd(ipvs->holdings.bound)) < 0)
        code = err_set(err, errno, "the interface " BOUND_INTERFACE " cannot be watched");
    return code;
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct ipvs *ipvs = (struct ipvs *)dataplane;
    struct layout want[FAMILY_COUNT] = {0};
    ipvs->is_known = false;
    int code = load_state(ipvs, node, entries, count, err);
    if (code < 0)
        return code;
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (ipvs->holdings.has_family[family])
            frame_build(node, (enum family)family, &want[family]);
    code = writer_compare(ipvs->writer, want, ret, err);
    return code < 0 ? code : finish(ipvs, ret, err);
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct ipvs *ipvs = (struct ipvs *)dataplane;
    if (!ipvs->is_known)
        return err_set(err, ESTALE, "what IPVS holds is not known");
    *ret = (struct dataplane_result){0};
    ipvs->is_known = false;
    int code = holdings_change(&ipvs->holdings, node, changes, count, err);
    return code < 0 ? code : finish(ipvs, ret, err);
}

static int collect_delay_ms(const struct dataplane *dataplane)
{
    return holdings_has_leaving(&((const struct ipvs *)dataplane)->holdings) ? LEAVING_CHECK_MS : COUNT_MS;
}

static int collect(struct dataplane *dataplane, struct dataplane_result *ret, struct err *err)
{
    struct ipvs *ipvs = (struct ipvs *)dataplane;
    *ret = (struct dataplane_result){0};
    if (!ipvs->is_known)
        return 0;
    int code = holdings_collect(&ipvs->holdings, err);
    return code < 0 ? code : holdings_is_disturbed(&ipvs->holdings, &ret->was_disturbed, err);
}

static int watch_fd(const struct dataplane *dataplane)
{
    return ((const struct ipvs *)dataplane)->watch_fd;
}

static bool is_disturbed(struct dataplane *dataplane)
{
    struct ipvs *ipvs = (struct ipvs *)dataplane;
    bool rules = writer_is_disturbed(ipvs->writer);
    bool addresses = ipvs->holdings.bound && bound_is_disturbed(ipvs->holdings.bound);
    return rules || addresses;
}

static const struct dataplane_restores *restores(const struct dataplane *dataplane)
{
    return writer_restores(((const struct ipvs *)dataplane)->writer);
}

static void count_elements(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context)
{
    const struct holdings *holdings = &((const struct ipvs *)dataplane)->holdings;
    visit(context, "virtual-servers", holdings->server_count);
    visit(context, "real-servers", holdings->real_server_count);
    for (int set = 0; set < SET_NAME_COUNT; set++)
        visit(context, catalog_set((enum set_name)set, FAMILY_IPV4).name,
              holdings->member_counts[FAMILY_IPV4][set] + holdings->member_counts[FAMILY_IPV6][set]);
}

static int inspect(struct dataplane *dataplane, const struct dataplane_node *node, const struct entry *entry,
                   const struct frontend *frontend, const struct address *from, struct text *ret,
                   struct err *err)
{
    (void)from;
    return inspect_servers(&((struct ipvs *)dataplane)->holdings, node, entry, frontend, ret, err);
}

const struct dataplane_ops ipvs_dataplane = {
    .name = "ipvs",
    .starts_programs = true,
    .probe = probe_ipvs,
    .open = open_,
    .close = close_,
    .load = load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .collect = collect,
    .watch_fd = watch_fd,
    .is_disturbed = is_disturbed,
    .count_elements = count_elements,
    .restores = restores,
    .render = render_ipvs,
    .inspect = inspect,
};
