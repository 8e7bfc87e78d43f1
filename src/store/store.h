/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "store/object.h"

#include <stddef.h>
#include <uthash.h>

/* Everything known about one service name: its Service object, the slices that name it, and the entry in
 * force that the walk hangs here. Lives while any of those is there. */
struct service_record {
    struct service *service; /* NULL while only slices are known */
    struct slice **slices;   /* sorted by name */
    uint32_t slice_count;
    /* Forwarding's results, set and freed by the walk alone: what the dataplane was last given, and what this
     * turn will give it. */
    struct entry *entry, *planned;
    bool is_planned;
    bool is_dirty;
    struct service_record *next_dirty;
    UT_hash_handle hh;
    char key[]; /* "namespace/name" */
};

struct slice_record {
    struct slice *slice;
    struct service_record *owner; /* NULL when the slice names no service */
    UT_hash_handle hh;
    char key[];
};

struct node_record {
    struct node *node;
    UT_hash_handle hh;
};

struct service_cidr_record {
    struct service_cidr *service_cidr;
    UT_hash_handle hh;
};

struct store {
    struct intern *names;
    struct service_record *services;
    struct slice_record *slices;
    struct node_record *nodes;
    struct service_cidr_record *service_cidrs;
    struct service_record *dirty, **dirty_tail;
    uint32_t dirty_count;
    uint32_t topology_service_count;           /* those that have topologyKeys */
    bool nodes_changed, service_cidrs_changed; /* cleared by the reader */
    bool node_labels_changed; /* of any node, or which nodes there are; cleared by the reader */
    uint64_t service_changes, endpoint_changes;
    /* Trigger times of the slices put since store_forget_triggers, for latency metrics (KEP-752). As in
     * kube-proxy (EndpointsChangeTracker), the removal of a slice takes back what was noted of its service in
     * its family. Beyond STORE_TRIGGERS_MAX, which only a kernel that refuses everything leads to, none is
     * noted. */
    struct slice_trigger {
        uint64_t time_ns;
        const struct service_record *owner; /* to be compared alone: it may be gone */
        enum family family;
    } * triggers;
    uint32_t trigger_count, trigger_capacity;
};

#define STORE_TRIGGERS_MAX 131072

struct store *store_new(void);
void store_free(struct store *store);

/* Each put takes ownership and replaces what had the same name; each remove forgets it. Services touched
 * become dirty. Nothing is compared here: an entry that comes out the same writes nothing. */
void store_service_put(struct store *store, struct service *service);
void store_service_remove(struct store *store, const char *namespace_, const char *name);
void store_slice_put(struct store *store, struct slice *slice);
void store_slice_remove(struct store *store, const char *namespace_, const char *name);
void store_node_put(struct store *store, struct node *node);
void store_node_remove(struct store *store, const char *name);
void store_service_cidr_put(struct store *store, struct service_cidr *service_cidr);
void store_service_cidr_remove(struct store *store, const char *name);

struct service_record *store_service_find(const struct store *store, const char *namespace_,
                                          const char *name);
const struct node *store_node_find(const struct store *store, const char *name);

void store_forget_triggers(struct store *store);
void store_mark_dirty(struct store *store, struct service_record *record);
/* For a change of the node itself: its zone, its addresses. */
void store_mark_all_dirty(struct store *store);
/* The services that have topologyKeys: for a change of any node's labels. */
void store_mark_topology_dirty(struct store *store);
/* Takes the oldest dirty record off the list, or NULL. The record may have neither service nor slices left:
 * the walk withdraws its entry and then calls store_record_release. */
struct service_record *store_take_dirty(struct store *store);
/* Frees the record when it is empty: no service, no slices, no entry, not dirty. */
void store_record_release(struct store *store, struct service_record *record);
