/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/rules.h"

#include "forwarding/entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRONTEND                                                                                             \
    {                                                                                                        \
        FIELD_DADDR, FIELD_PROTOCOL, FIELD_DPORT                                                             \
    }
#define NODE_PORT                                                                                            \
    {                                                                                                        \
        FIELD_PROTOCOL, FIELD_DPORT                                                                          \
    }
#define ORIGINAL_FRONTEND                                                                                    \
    {                                                                                                        \
        FIELD_ORIGINAL_DADDR, FIELD_PROTOCOL, FIELD_ORIGINAL_DPORT                                           \
    }
#define ORIGINAL_NODE_PORT                                                                                   \
    {                                                                                                        \
        FIELD_PROTOCOL, FIELD_ORIGINAL_DPORT                                                                 \
    }

#define LOOKUP_VALUE(map, ...)                                                                               \
    {                                                                                                        \
        .kind = STATEMENT_LOOKUP_VALUE, .set = (map), .key = __VA_ARGS__                                     \
    }
#define VALUE_VERDICT(map)                                                                                   \
    {                                                                                                        \
        .kind = STATEMENT_VALUE_VERDICT, .set = (map)                                                        \
    }
#define IN_SET(which, ...)                                                                                   \
    {                                                                                                        \
        .kind = STATEMENT_IN_SET, .set = (which), .key = __VA_ARGS__                                         \
    }
#define GOTO(name)                                                                                           \
    {                                                                                                        \
        .kind = STATEMENT_GOTO, .chain = (name)                                                              \
    }
#define JUMP(name)                                                                                           \
    {                                                                                                        \
        .kind = STATEMENT_JUMP, .chain = (name)                                                              \
    }
#define SIMPLE(which)                                                                                        \
    {                                                                                                        \
        .kind = (which)                                                                                      \
    }

#define NAT_DESTINATION_PRIORITY (-100) /* NF_IP_PRI_NAT_DST */
#define NAT_SOURCE_PRIORITY 100         /* NF_IP_PRI_NAT_SRC */

struct builder {
    struct arena *arena;
    struct chain *chain;
};

static void chain_init(struct builder *builder, struct chain *chain, const char *name)
{
    *chain = (struct chain){.capacity = 6, .rules = arena_array(builder->arena, struct rule, 6)};
    snprintf(chain->name, sizeof(chain->name), "%s", name);
    builder->chain = chain;
}

static void add_statements(struct builder *builder, const char *comment, const struct statement *statements,
                           unsigned count)
{
    struct rule *rule = &builder->chain->rules[builder->chain->count++];
    memcpy(rule->statements, statements, count * sizeof(*statements));
    rule->count = count;
    rule->comment = comment;
}

#define RULE(builder, comment, ...)                                                                          \
    do {                                                                                                     \
        const struct statement statements_[] = {__VA_ARGS__};                                                \
        add_statements((builder), (comment), statements_, sizeof(statements_) / sizeof(statements_[0]));     \
    } while (0)

/* The statement that recognises (or, negated, does not recognise) a pod of this node; false when there is no
 * way. */
static bool local_statement(const struct node_view *view, enum family family, bool negated,
                            struct statement *ret)
{
    *ret = (struct statement){0};
    switch (view->local_detect) {
    case LOCAL_DETECT_NONE:
        return false;
    case LOCAL_DETECT_CIDR:
        ret->kind = negated ? STATEMENT_NOT_FROM_PREFIX : STATEMENT_FROM_PREFIX;
        ret->prefix = view->cluster_cidr[family];
        return view->has_cluster_cidr[family];
    case LOCAL_DETECT_BRIDGE:
    case LOCAL_DETECT_INTERFACE_PREFIX:
        ret->kind = negated ? STATEMENT_NOT_FROM_INTERFACE : STATEMENT_FROM_INTERFACE;
        snprintf(ret->interface, sizeof(ret->interface), "%s%s", view->interface,
                 view->local_detect == LOCAL_DETECT_INTERFACE_PREFIX ? "*" : "");
        return true;
    }
    return false;
}

static void build_dispatch(struct builder *builder, struct chain *chain)
{
    chain_init(builder, chain, "dispatch");
    RULE(builder, NULL, LOOKUP_VALUE(SET_SERVICES, FRONTEND), VALUE_VERDICT(SET_VERDICTS));
    RULE(builder, "ports that no Service has", IN_SET(SET_CLUSTER_IPS, {FIELD_DADDR}), GOTO("rejected"));
    RULE(builder, "addresses that no Service has", IN_SET(SET_SERVICE_CIDRS, {FIELD_DADDR}),
         SIMPLE(STATEMENT_DROP));
    RULE(builder, NULL, IN_SET(SET_NODE_IPS, {FIELD_DADDR}), LOOKUP_VALUE(SET_NODE_PORTS, NODE_PORT),
         VALUE_VERDICT(SET_NODE_VERDICTS));
}

static void build_external_local(struct builder *builder, struct chain *chain, const struct node_view *view,
                                 enum family family, bool for_node_port)
{
    const char *shortcut = for_node_port ? "node-shortcut" : "shortcut";
    struct statement from_pod;
    chain_init(builder, chain, for_node_port ? "node-external-local" : "external-local");
    if (local_statement(view, family, false, &from_pod))
        RULE(builder, "pods use every endpoint", from_pod, GOTO(shortcut));
    RULE(builder, "so does the node itself", SIMPLE(STATEMENT_FROM_THIS_NODE), GOTO(shortcut));
    if (for_node_port)
        RULE(builder, NULL, LOOKUP_VALUE(SET_NODE_LOCALS, NODE_PORT), VALUE_VERDICT(SET_NODE_PICK_VERDICTS));
    else
        RULE(builder, NULL, LOOKUP_VALUE(SET_LOCALS, FRONTEND), VALUE_VERDICT(SET_PICK_VERDICTS));
    RULE(builder, NULL, SIMPLE(STATEMENT_DROP));
}

static void build_shortcut(struct builder *builder, struct chain *chain, bool for_node_port)
{
    chain_init(builder, chain, for_node_port ? "node-shortcut" : "shortcut");
    if (for_node_port)
        RULE(builder, NULL, LOOKUP_VALUE(SET_NODE_SHORTCUTS, NODE_PORT),
             VALUE_VERDICT(SET_NODE_PICK_VERDICTS));
    else
        RULE(builder, NULL, LOOKUP_VALUE(SET_SHORTCUTS, FRONTEND), VALUE_VERDICT(SET_PICK_VERDICTS));
    RULE(builder, NULL, SIMPLE(STATEMENT_DROP));
}

static void build_guarded(struct builder *builder, struct chain *chain)
{
    chain_init(builder, chain, "guarded");
    RULE(builder, "loadBalancerSourceRanges",
         {.kind = STATEMENT_NOT_IN_SET,
          .set = SET_SOURCE_RANGES,
          .key = {FIELD_DADDR, FIELD_PROTOCOL, FIELD_DPORT, FIELD_SADDR}},
         SIMPLE(STATEMENT_DROP));
    RULE(builder, NULL, LOOKUP_VALUE(SET_GUARDED, FRONTEND), VALUE_VERDICT(SET_GUARDED_VERDICTS));
    RULE(builder, NULL, SIMPLE(STATEMENT_DROP));
}

static void build_masquerades(struct builder *builder, struct chain chains[3], const struct node_view *view,
                              enum family family)
{
    struct statement off_cluster;
    chain_init(builder, &chains[0], "masquerade-always");
    RULE(builder, NULL, SIMPLE(STATEMENT_CLEAR_VALUE), SIMPLE(STATEMENT_MASQUERADE));
    chain_init(builder, &chains[1], "masquerade-off-cluster");
    if (local_statement(view, family, true, &off_cluster))
        RULE(builder, NULL, off_cluster, SIMPLE(STATEMENT_CLEAR_VALUE), SIMPLE(STATEMENT_MASQUERADE));
    chain_init(builder, &chains[2], "masquerade-local-sources");
    RULE(builder, NULL, SIMPLE(STATEMENT_FROM_THIS_NODE), SIMPLE(STATEMENT_CLEAR_VALUE),
         SIMPLE(STATEMENT_MASQUERADE));
}

static void build_source(struct builder *builder, struct chain *chain)
{
    chain_init(builder, chain, "source");
    RULE(builder, "an endpoint that reaches itself", IN_SET(SET_HAIRPIN, {FIELD_SADDR, FIELD_DADDR}),
         SIMPLE(STATEMENT_CLEAR_VALUE), SIMPLE(STATEMENT_MASQUERADE));
    RULE(builder, NULL, LOOKUP_VALUE(SET_SERVICES, ORIGINAL_FRONTEND), VALUE_VERDICT(SET_SOURCE_VERDICTS));
    RULE(builder, NULL, IN_SET(SET_NODE_IPS, {FIELD_ORIGINAL_DADDR}),
         LOOKUP_VALUE(SET_NODE_PORTS, ORIGINAL_NODE_PORT), VALUE_VERDICT(SET_SOURCE_VERDICTS));
}

static void build_source_guarded(struct builder *builder, struct chain *chain)
{
    chain_init(builder, chain, "source-guarded");
    RULE(builder, NULL, LOOKUP_VALUE(SET_GUARDED, ORIGINAL_FRONTEND),
         VALUE_VERDICT(SET_SOURCE_GUARDED_VERDICTS));
}

/* Those whom dispatch sends past externalTrafficPolicy Local are remembered for the set that they use. */
static void add_shortcut_learns(struct builder *builder, const struct statement *from)
{
    RULE(builder, NULL, *from, LOOKUP_VALUE(SET_SHORTCUT_AFFINITY_IDS, ORIGINAL_FRONTEND),
         VALUE_VERDICT(SET_AFFINITY_LEARNS));
    RULE(builder, NULL, *from, IN_SET(SET_NODE_IPS, {FIELD_ORIGINAL_DADDR}),
         LOOKUP_VALUE(SET_NODE_SHORTCUT_AFFINITY_IDS, ORIGINAL_NODE_PORT),
         VALUE_VERDICT(SET_AFFINITY_LEARNS));
}

static void build_learn(struct builder *builder, struct chain *chain, const struct node_view *view,
                        enum family family)
{
    const struct statement from_this_node = SIMPLE(STATEMENT_FROM_THIS_NODE);
    struct statement from_pod;
    chain_init(builder, chain, "learn");
    if (local_statement(view, family, false, &from_pod))
        add_shortcut_learns(builder, &from_pod);
    add_shortcut_learns(builder, &from_this_node);
    RULE(builder, NULL, LOOKUP_VALUE(SET_AFFINITY_IDS, ORIGINAL_FRONTEND),
         VALUE_VERDICT(SET_AFFINITY_LEARNS));
    RULE(builder, NULL, IN_SET(SET_NODE_IPS, {FIELD_ORIGINAL_DADDR}),
         LOOKUP_VALUE(SET_NODE_AFFINITY_IDS, ORIGINAL_NODE_PORT), VALUE_VERDICT(SET_AFFINITY_LEARNS));
}

static void build_base(struct builder *builder, struct chain *chain, const char *name, enum chain_hook hook,
                       int priority)
{
    chain_init(builder, chain, name);
    chain->hook = hook;
    chain->priority = priority;
}

#define FIXED_CHAINS (18 + RESERVED_PICKS)

struct chain_list rules_build_fixed(enum family family, const struct node_view *view, struct arena *arena)
{
    struct chain *list = arena_array(arena, struct chain, FIXED_CHAINS);
    struct builder builder = {.arena = arena};
    unsigned n = 0;
    for (uint32_t count = 1; count <= RESERVED_PICKS; count++)
        list[n++] = rules_build_pick(count, false, arena);
    chain_init(&builder, &list[n++], "rejected");
    RULE(&builder, NULL, SIMPLE(STATEMENT_RESET));
    RULE(&builder, NULL, SIMPLE(STATEMENT_REJECT));
    build_shortcut(&builder, &list[n++], false);
    build_shortcut(&builder, &list[n++], true);
    build_external_local(&builder, &list[n++], view, family, false);
    build_external_local(&builder, &list[n++], view, family, true);
    build_guarded(&builder, &list[n++]);
    build_dispatch(&builder, &list[n++]);
    build_masquerades(&builder, &list[n], view, family);
    n += 3;
    build_source_guarded(&builder, &list[n++]);
    build_source(&builder, &list[n++]);
    build_learn(&builder, &list[n++], view, family);
    build_base(&builder, &list[n++], "nat-prerouting", HOOK_PREROUTING, NAT_DESTINATION_PRIORITY);
    RULE(&builder, NULL, GOTO("dispatch"));
    build_base(&builder, &list[n++], "nat-output", HOOK_OUTPUT, NAT_DESTINATION_PRIORITY);
    RULE(&builder, NULL, GOTO("dispatch"));
    build_base(&builder, &list[n++], "nat-input", HOOK_INPUT, NAT_SOURCE_PRIORITY);
    RULE(&builder, NULL, SIMPLE(STATEMENT_IS_DNAT), JUMP("learn"));
    RULE(&builder, NULL, SIMPLE(STATEMENT_IS_DNAT), SIMPLE(STATEMENT_CLEAR_VALUE));
    build_base(&builder, &list[n++], "nat-postrouting", HOOK_POSTROUTING, NAT_SOURCE_PRIORITY);
    RULE(&builder, NULL, SIMPLE(STATEMENT_IS_DNAT), JUMP("learn"));
    RULE(&builder, NULL, SIMPLE(STATEMENT_IS_DNAT), JUMP("source"));
    RULE(&builder, "give the scratch value back", SIMPLE(STATEMENT_IS_DNAT), SIMPLE(STATEMENT_CLEAR_VALUE));
    return (struct chain_list){.list = list, .count = n};
}

const char *rules_value_chain(uint32_t value, bool for_node_port, char name[CHAIN_NAME_MAX])
{
    if (value == VALUE_DROP)
        return NULL;
    if (value == VALUE_REJECT)
        return "rejected";
    if (value == VALUE_EXTERNAL_LOCAL)
        return for_node_port ? "node-external-local" : "external-local";
    if (value == VALUE_GUARDED)
        return "guarded";
    snprintf(name, CHAIN_NAME_MAX, "%s%s%s-%u", for_node_port ? "node-" : "",
             value & VALUE_SHORTCUT ? "shortcut-" : "", value & VALUE_AFFINITY ? "affine" : "pick",
             value & VALUE_COUNT_MASK);
    return name;
}

const char *rules_value_source_chain(uint32_t value)
{
    if (value == VALUE_EXTERNAL_LOCAL)
        return "masquerade-local-sources";
    if (value == VALUE_GUARDED)
        return "source-guarded";
    if (!value_is_pick(value))
        return NULL;
    switch ((enum masquerade)((value & VALUE_MASQUERADE_MASK) >> VALUE_MASQUERADE_SHIFT)) {
    case MASQUERADE_NONE:
        return NULL;
    case MASQUERADE_ALWAYS:
        return "masquerade-always";
    case MASQUERADE_OFF_CLUSTER:
        return "masquerade-off-cluster";
    case MASQUERADE_LOCAL_SOURCES:
        return "masquerade-local-sources";
    }
    return NULL;
}

struct chain rules_build_pick(uint32_t value, bool for_node_port, struct arena *arena)
{
    struct builder builder = {.arena = arena};
    struct chain chain;
    char name[CHAIN_NAME_MAX];
    chain_init(&builder, &chain, rules_value_chain(value, for_node_port, name));
    struct statement pick = {
        .kind = STATEMENT_DNAT,
        .set = for_node_port ? SET_NODE_ENDPOINTS : SET_ENDPOINTS,
        .number = value & VALUE_COUNT_MASK,
        .offset = value & VALUE_SHORTCUT ? SHORTCUT_SLOT_OFFSET : 0,
    };
    memcpy(pick.key, set_schema(pick.set)->key, sizeof(pick.key));
    if (value & VALUE_AFFINITY) {
        const struct statement remembered = {
            .kind = STATEMENT_DNAT, .set = SET_AFFINITY, .key = {FIELD_SADDR, FIELD_PROTOCOL, FIELD_VALUE}};
        bool is_shortcut = value & VALUE_SHORTCUT;
        if (for_node_port)
            RULE(
                &builder, NULL,
                LOOKUP_VALUE(is_shortcut ? SET_NODE_SHORTCUT_AFFINITY_IDS : SET_NODE_AFFINITY_IDS, NODE_PORT),
                remembered);
        else
            RULE(&builder, NULL,
                 LOOKUP_VALUE(is_shortcut ? SET_SHORTCUT_AFFINITY_IDS : SET_AFFINITY_IDS, FRONTEND),
                 remembered);
    }
    RULE(&builder, NULL, pick);
    RULE(&builder, NULL, SIMPLE(STATEMENT_DROP));
    return chain;
}

bool rules_is_reserved_pick(uint32_t value, bool for_node_port)
{
    uint32_t count = value & VALUE_COUNT_MASK;
    return !for_node_port && (value & (VALUE_AFFINITY | VALUE_SHORTCUT)) == 0 && value_is_pick(value) &&
           count <= RESERVED_PICKS;
}

static bool skip_word(const char **at, const char *word)
{
    size_t len = strlen(word);
    bool is_there = strncmp(*at, word, len) == 0;
    *at += is_there ? len : 0;
    return is_there;
}

uint32_t rules_parse_chain_name(const char *name, bool *ret_for_node_port, bool *ret_is_learn)
{
    const char *at = name;
    char again[CHAIN_NAME_MAX];
    bool is_learn = skip_word(&at, "learn-");
    bool for_node_port = !is_learn && skip_word(&at, "node-");
    uint32_t value = !is_learn && skip_word(&at, "shortcut-") ? VALUE_SHORTCUT : 0;
    if (!is_learn && skip_word(&at, "affine-"))
        value |= VALUE_AFFINITY;
    else if (!is_learn && !skip_word(&at, "pick-"))
        return 0;
    unsigned long number = strtoul(at, NULL, 10);
    if (number == 0 || number > (is_learn ? UINT32_MAX : VALUE_COUNT_MASK))
        return 0;
    value |= (uint32_t)number;
    if (is_learn)
        rules_learn_chain_name(value, again);
    if (strcmp(name, is_learn ? again : rules_value_chain(value, for_node_port, again)) != 0)
        return 0;
    *ret_for_node_port = for_node_port;
    *ret_is_learn = is_learn;
    return value;
}

void rules_learn_chain_name(uint32_t seconds, char name[CHAIN_NAME_MAX])
{
    snprintf(name, CHAIN_NAME_MAX, "learn-%u", seconds);
}

struct chain rules_build_learn(uint32_t seconds, struct arena *arena)
{
    struct builder builder = {.arena = arena};
    struct chain chain;
    char name[CHAIN_NAME_MAX];
    rules_learn_chain_name(seconds, name);
    chain_init(&builder, &chain, name);
    RULE(&builder, NULL, {.kind = STATEMENT_LEARN_AFFINITY, .set = SET_AFFINITY, .number = seconds});
    return chain;
}

uint64_t rule_fingerprint(const struct rule *rule, enum family family)
{
    struct text text = {0};
    rule_format(rule, family, &text);
    uint64_t hash = hash_bytes(0, text.data, text.len);
    text_done(&text);
    return hash;
}
