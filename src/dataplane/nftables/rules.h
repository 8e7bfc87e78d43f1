/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/text.h"
#include "dataplane/nftables/schema.h"
#include "forwarding/view.h"

/* Chains and rules as values. A rule is a short list of statements; it has a text form (text.c) and a netlink
 * form (encode.c), and nothing else knows how a rule looks. */

enum statement_kind {
    STATEMENT_LOOKUP_VALUE,  /* the packet's scratch value := map[key]; ends the rule when key is not in it */
    STATEMENT_VALUE_VERDICT, /* verdict := map[scratch value] */
    STATEMENT_CLEAR_VALUE,
    STATEMENT_IN_SET,     /* key is in set */
    STATEMENT_NOT_IN_SET, /* key is not in set */
    STATEMENT_DNAT,       /* to map[key]; ends the rule when key is not in it */
    STATEMENT_GOTO,
    STATEMENT_JUMP,
    STATEMENT_DROP,
    STATEMENT_REJECT, /* ICMP port unreachable */
    STATEMENT_RESET,  /* TCP alone: a reset, which a client sees at once in both families */
    STATEMENT_MASQUERADE,
    STATEMENT_FROM_PREFIX,
    STATEMENT_NOT_FROM_PREFIX,
    STATEMENT_FROM_INTERFACE, /* of this name, or with `*` at its end of this prefix */
    STATEMENT_NOT_FROM_INTERFACE,
    STATEMENT_FROM_THIS_NODE, /* the source is one of the node's addresses */
    STATEMENT_IS_DNAT,
    STATEMENT_LEARN_AFFINITY, /* affinity[source . protocol . scratch value] := endpoint, for number seconds
                               */
};

struct statement {
    enum statement_kind kind;
    enum set_id set;
    enum field key[KEY_FIELDS_MAX];
    uint32_t number, offset; /* FIELD_SLOT: random below number, plus offset; or seconds */
    const char *chain;
    struct prefix prefix;
    char interface[IFNAMSIZ];
};

#define STATEMENTS_MAX 5
struct rule {
    struct statement statements[STATEMENTS_MAX];
    unsigned count;
    const char *comment; /* shown by `nft list ruleset`; NULL for none */
};

enum chain_hook {
    HOOK_NONE,
    HOOK_PREROUTING,
    HOOK_INPUT,
    HOOK_OUTPUT,
    HOOK_POSTROUTING,
    HOOK_OTHER, /* never ours */
};

#define CHAIN_NAME_MAX 32
struct chain {
    char name[CHAIN_NAME_MAX];
    enum chain_hook
        hook; /* all our base chains are of type nat: they see the first packet of a connection alone */
    int priority;
    struct rule *rules;
    unsigned count, capacity;
};

struct chain_list {
    struct chain *list;
    unsigned count;
};

/* The chains that are always there. Pure; in the arena. */
struct chain_list rules_build_fixed(enum family family, const struct node_view *view, struct arena *arena);

/* The name of the chain that value's verdict goes to, or NULL when the verdict is to drop. name holds the
 * text when it is made up. for_node_port tells the two key forms apart. */
const char *rules_value_chain(uint32_t value, bool for_node_port, char name[CHAIN_NAME_MAX]);
/* The chain which decides about the source of value's connections; NULL: they keep theirs. */
const char *rules_value_source_chain(uint32_t value);
/* The other way round, for a name that rules_build_pick or rules_build_learn gives: 0 when it is none of
 * theirs. */
uint32_t rules_parse_chain_name(const char *name, bool *ret_for_node_port, bool *ret_is_learn);
/* A new chain that looks into the endpoints makes the kernel check every endpoint against it
 * (nf_tables_bind_set), 8 ms at 100,000. So the chains for the usual counts are always there. */
#define RESERVED_PICKS 16
/* True when value's chain is one of those. */
bool rules_is_reserved_pick(uint32_t value, bool for_node_port);
/* The chain of a value_is_pick value. Pure; in the arena. */
struct chain rules_build_pick(uint32_t value, bool for_node_port, struct arena *arena);
/* The chain that remembers endpoints for seconds. */
struct chain rules_build_learn(uint32_t seconds, struct arena *arena);
void rules_learn_chain_name(uint32_t seconds, char name[CHAIN_NAME_MAX]);
/* A number that changes when the rule does, kept in the kernel's rule to recognise it. */
uint64_t rule_fingerprint(const struct rule *rule, enum family family);

/* Text form, as `nft list ruleset` has it. */
void rule_format(const struct rule *rule, enum family family, struct text *ret);
void chain_format(const struct chain *chain, enum family family, struct text *ret);
