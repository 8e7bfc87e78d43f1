/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/numbers.h"
#include "dataplane/dataplane.h"
#include "dataplane/nftables/rules.h"

/* What goes into the sets, as values. Pure: an entry in, elements out. */

struct verdict {
    bool is_goto; /* else: drop in a pick map, return in the source map */
    char chain[CHAIN_NAME_MAX];
};

struct element {
    enum family family;
    enum set_id set;
    uint8_t key[KEY_MAX];
    uint8_t key_end[KEY_MAX]; /* intervals: the last key of the range, inclusive */
    bool is_bound_behind;     /* read back from service-cidrs: the first key behind a range */
    union {
        uint8_t
            data[DATA_MAX]; /* DATA_VALUE in host order, DATA_ENDPOINT as address and port in network order */
        struct verdict verdict;
    };
};

struct element_list {
    struct arena *arena;
    struct element *list;
    uint32_t count, capacity;
};

void element_list_add(struct element_list *list, const struct element *element);

/* The number of the endpoint set with affinity that the frontend uses; is_shortcut: that pods and the node
 * itself use. A service port has one for its cluster-wide set and one for its local set: a client remembered
 * in one is nobody in the other. */
uint32_t affinity_id(struct numbers *ids, const struct entry *entry, const struct frontend *frontend,
                     bool is_shortcut);

/* Elements of their own: keys that no other entry has (forwarding's claims see to that). Sorted by
 * element_cmp, without repeats. */
void elements_build_own(const struct entry *entry, struct numbers *ids, struct element_list *ret);
/* Elements that entries share, to be counted: cluster addresses, hairpin pairs. Without repeats within the
 * entry. */
void elements_build_shared(const struct entry *entry, struct element_list *ret);
/* Elements that come from the node. */
void elements_build_node(const struct dataplane_node *node, struct element_list *ret);
/* Gives an element of one of the verdict maps (the affinity ones aside) the verdict that its key, a value,
 * stands for. */
void element_set_verdict(struct element *element);

/* By set, family and key: the identity of an element in the kernel. */
int element_cmp(const struct element *a, const struct element *b);
bool element_same_data(const struct element *a, const struct element *b);
uint32_t element_value(const struct element *element); /* of a DATA_VALUE element */
bool set_holds_slots(enum set_id set);
/* "10.96.0.10 . tcp . 53 : 0:3", as the table's text form has it. */
void element_format(const struct element *element, struct text *ret);
