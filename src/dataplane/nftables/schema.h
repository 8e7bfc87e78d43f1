/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <stdint.h>

/* The sets and maps of the table `fairlead` (one in each family), and the number that stands in them. */

#define TABLE_NAME "fairlead"

enum set_id {
    SET_SERVICES,    /* frontend -> value */
    SET_NODE_PORTS,  /* node port -> value */
    SET_GUARDED,     /* frontend with source ranges -> value behind them */
    SET_LOCALS,      /* frontend with externalTrafficPolicy Local -> value for true external sources */
    SET_NODE_LOCALS, /* the same for node ports */
    SET_SHORTCUTS,   /* and -> value for pods and the node itself */
    SET_NODE_SHORTCUTS,
    SET_ENDPOINTS,      /* frontend . slot -> endpoint */
    SET_NODE_ENDPOINTS, /* node port . slot -> endpoint */
    /* value -> chain that picks. One for each place of lookup: the kernel refuses a chain that could lead to
       itself. */
    SET_VERDICTS,
    SET_NODE_VERDICTS,
    SET_GUARDED_VERDICTS,
    SET_PICK_VERDICTS,
    SET_NODE_PICK_VERDICTS,
    SET_SOURCE_VERDICTS, /* value -> chain that decides about masquerading */
    SET_SOURCE_GUARDED_VERDICTS,
    SET_SOURCE_RANGES, /* frontend . source range */
    SET_AFFINITY_IDS,  /* frontend -> number of the endpoint set */
    SET_NODE_AFFINITY_IDS,
    SET_SHORTCUT_AFFINITY_IDS, /* the same for pods and the node itself, past externalTrafficPolicy Local */
    SET_NODE_SHORTCUT_AFFINITY_IDS,
    SET_AFFINITY_LEARNS, /* number of the endpoint set -> chain that remembers */
    SET_AFFINITY, /* source . protocol . number of the endpoint set -> endpoint; filled by packets, with
                     time-outs */
    SET_CLUSTER_IPS,
    SET_NODE_IPS, /* addresses that node ports answer on */
    SET_HAIRPIN,  /* endpoint . endpoint */
    SET_SERVICE_CIDRS,
};
#define SET_COUNT 27

enum field {
    FIELD_NONE,
    FIELD_DADDR,
    FIELD_SADDR,
    FIELD_PROTOCOL,
    FIELD_DPORT,
    FIELD_SLOT,  /* numgen, in a rule; four bytes, host order */
    FIELD_VALUE, /* meta priority, in a rule; four bytes, host order */
    FIELD_ORIGINAL_DADDR,
    FIELD_ORIGINAL_DPORT,
};
#define KEY_FIELDS_MAX 4
/* Four bytes for each field and sixteen for an IPv6 address: frontend . source range is the longest. */
#define KEY_MAX 40
#define DATA_MAX 20

enum set_data { DATA_NONE, DATA_VALUE, DATA_ENDPOINT, DATA_VERDICT };

struct set_schema {
    const char *name;
    enum field key[KEY_FIELDS_MAX];
    enum set_data data;
    bool is_interval; /* elements are ranges */
    bool is_dynamic;  /* filled by packets, elements time out */
    uint32_t size;    /* 0: grows */
    bool is_for_node_port;
    /* For a map of values: the maps in which its values need a verdict. SET_SERVICES, 0, stands for none. */
    enum set_id verdicts, source_verdicts;
};

const struct set_schema *set_schema(enum set_id set);
/* Its verdicts decide about sources: without a chain they return, elsewhere they drop. */
bool set_is_source_verdicts(enum set_id set);
unsigned field_len(enum field field, enum family family);
unsigned set_key_len(enum set_id set, enum family family);
unsigned set_data_len(enum set_id set, enum family family);

/* What a frontend does, as the number that the maps hold. The low 16 bits count the endpoints. The number is
 * carried in the first packet's priority between two lookups of one rule, and put back to 0 afterwards: see
 * docs/decisions/0002-scratch-register.md. */
enum {
    VALUE_COUNT_MASK = 0xffff,
    VALUE_AFFINITY = 1 << 16,    /* look into the affinity map first */
    VALUE_SHORTCUT = 1 << 17,    /* the second range of slots */
    VALUE_MASQUERADE_SHIFT = 20, /* enum masquerade */
    VALUE_MASQUERADE_MASK = 3 << VALUE_MASQUERADE_SHIFT,
    VALUE_DROP = 0,
    VALUE_REJECT = 1 << 24,
    VALUE_EXTERNAL_LOCAL = 2 << 24,
    VALUE_GUARDED = 3 << 24,
};
#define SHORTCUT_SLOT_OFFSET 65536u

/* True for a number that stands for a pick among endpoints. */
static inline bool value_is_pick(uint32_t value)
{
    return value != VALUE_DROP && value < (uint32_t)VALUE_REJECT;
}
