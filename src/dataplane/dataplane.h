/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "forwarding/entry.h"

#include <uv.h>

/* What every dataplane promises. sync and load take effect on packets in one transaction each: all of it or
 * nothing. When one fails, the kernel's state counts as unknown and the caller calls load with everything,
 * later, until it succeeds; packets go on by what was in force. Nothing outside the dataplane's own table is
 * read or written. */

struct dataplane;
struct flow;

struct dataplane_change {
    const struct entry *old;  /* in force, NULL when new */
    const struct entry *next; /* NULL when withdrawn */
};

/* Of mode ipvs alone (KubeProxyIPVSConfiguration). Borrowed. */
#define IPVS_SCHEDULER_DEFAULT "rr"
struct dataplane_ipvs {
    const char *scheduler;              /* "rr" */
    const struct prefix *exclude_cidrs; /* virtual servers in these are not removed */
    uint32_t exclude_cidr_count;
    uint32_t tcp_s, tcp_fin_s, udp_s; /* time-outs; 0 leaves the kernel's */
};

/* What of the node a dataplane needs beside the entries. Borrowed for the call. */
struct dataplane_node {
    const struct node_view *view;
    const struct address *node_port_addresses; /* that node ports answer on; of loopback 127.0.0.1 at most */
    uint32_t node_port_address_count;
    /* The rest is for the iptables and IPVS layouts. */
    bool are_node_ports_everywhere[FAMILY_COUNT]; /* on every local address; the list is not asked then */
    bool has_localhost_node_ports;                /* IPv4 loopback too */
    bool is_conntrack_liberal;                    /* net.netfilter.nf_conntrack_tcp_be_liberal is not 0 */
    uint32_t masquerade_mark;                     /* one bit */
    const struct prefix *service_cidrs; /* an unallocated address in one of these is dropped (KEP-1880) */
    uint32_t service_cidr_count;
    const struct address *node_addresses; /* this node's and every other's, with mode ipvs */
    uint32_t node_address_count;
    struct dataplane_ipvs ipvs;
};

struct dataplane_result {
    uint32_t element_adds, element_deletes; /* what the transactions held */
    uint32_t transactions;
    bool was_disturbed; /* somebody else wrote at the same moment: load should compare everything again */
    bool was_full;      /* everything was compared or written, not the change alone */
};

/* What kube-proxy's metrics tell of iptables. */
enum dataplane_table { DATAPLANE_TABLE_FILTER, DATAPLANE_TABLE_NAT, DATAPLANE_TABLE_COUNT };
struct dataplane_restores {
    uint64_t rules[FAMILY_COUNT][DATAPLANE_TABLE_COUNT];      /* in force */
    uint64_t last_rules[FAMILY_COUNT][DATAPLANE_TABLE_COUNT]; /* that were written last */
    uint64_t failures[FAMILY_COUNT],
        partial_failures[FAMILY_COUNT]; /* of iptables-restore, since it is open */
};

/* Whom a dataplane tells that load or sync is over, where that takes longer than their call. */
struct dataplane_owner {
    uv_loop_t *loop;
    /* From the loop: 0, or -errno with a sentence. result is borrowed. */
    void (*finished)(void *context, int code, const struct dataplane_result *result, const struct err *err);
    void *context;
};

struct dataplane_ops {
    const char *name;     /* as --proxy-mode says it */
    bool starts_programs; /* of the host's, iptables, for as long as it is open */
    bool is_of_iptables;  /* its rules are where kube-proxy's iptables mode has them */
    /* 0 when this kernel can do it, else -errno with the reason. */
    int (*probe)(struct err *err);
    int (*open)(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err);
    /* Leaves the kernel state in place. */
    void (*close)(struct dataplane *dataplane);
    /* Before an orderly close: takes its rules out of the kernel, because nobody serves by them without the
     * process. Returns and ends as load. NULL: they go on serving. */
    int (*withdraw)(struct dataplane *dataplane, struct dataplane_result *ret, struct err *err);
    /* Makes the kernel hold exactly entries: adopts what it finds, repairs, adds and removes. May return
     * -EINPROGRESS, as sync may: then *ret is not set, the owner hears when it is over, and neither is called
     * before. What was handed in need not live that long. */
    int (*load)(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err);
    /* Applies changes to what the last successful call left. */
    int (*sync)(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                struct err *err);
    /* Work left for later (slots that a packet in flight may still look up). Returns milliseconds until
     * collect wants to be called, or -1 when nothing is left. */
    int (*collect_delay_ms)(const struct dataplane *dataplane);
    int (*collect)(struct dataplane *dataplane, struct dataplane_result *ret, struct err *err);
    /* A descriptor that becomes readable when somebody else changes the table, or -1; and whether that is so
     * (reads the descriptor dry). */
    int (*watch_fd)(const struct dataplane *dataplane);
    bool (*is_disturbed)(struct dataplane *dataplane);
    /* How many elements each map and set holds, both families together. */
    void (*count_elements)(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context);
    /* Whether UDP of this family is led to this port of the node's own, where a socket of the dataplane's
     * passes it on; conntrack knows no endpoint then. NULL: the dataplane has no sockets. */
    bool (*has_udp_socket)(const struct dataplane *dataplane, enum family family, uint16_t port);
    /* Who is behind a connection that conntrack knows: the answerer, or whom a socket of the dataplane's
     * passes it on to; false where it passes it on to nobody. NULL as well: the answerer. */
    bool (*find_endpoint)(const struct dataplane *dataplane, const struct flow *flow, struct address *ret);
    /* NULL where there is no iptables in it. */
    const struct dataplane_restores *(*restores)(const struct dataplane *dataplane);
    /* The text form of what entries would make of the kernel, for dump, dry runs and golden tests. Pure. */
    void (*render)(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                   struct text *ret);
    /* Says in words what the kernel holds for one frontend of entry at this moment. 0 when it agrees with
     * entry, 1 when it differs. */
    int (*inspect)(struct dataplane *dataplane, const struct dataplane_node *node, const struct entry *entry,
                   const struct frontend *frontend, const struct address *from, struct text *ret,
                   struct err *err);
    /* Removes everything that this dataplane ever makes in this network namespace. Not being there is
     * success. */
    int (*cleanup)(struct err *err);
};

struct dataplane {
    const struct dataplane_ops *ops;
};

extern const struct dataplane_ops nftables_dataplane;
