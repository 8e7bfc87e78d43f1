/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/state.h"

#include "base/slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct counted_key key_of(const struct element *element)
{
    struct counted_key key = {.family = element->family, .set = element->set};
    memcpy(key.key, element->key, KEY_MAX);
    return key;
}

static struct element element_of(const struct counted_key *key)
{
    struct element element = {.family = (enum family)key->family, .set = (enum set_id)key->set};
    memcpy(element.key, key->key, set_key_len(element.set, element.family));
    if (set_schema(element.set)->data == DATA_VERDICT)
        element_set_verdict(&element);
    return element;
}

static unsigned key_size(const struct counted_key *key)
{
    return (unsigned)offsetof(struct counted_key, key) +
           set_key_len((enum set_id)key->set, (enum family)key->family);
}

static bool is_kept_for_packets(uint32_t set)
{
    return set_schema((enum set_id)set)->data == DATA_VERDICT;
}

struct chain state_build_chain(const struct counted_chain *counted, struct arena *arena)
{
    return counted->is_learn ? rules_build_learn(counted->value, arena)
                             : rules_build_pick(counted->value, counted->for_node_port, arena);
}

static void write_chain(const struct counted_chain *counted, struct batch *batch)
{
    struct arena arena;
    arena_init(&arena);
    struct chain chain = state_build_chain(counted, &arena);
    batch_add_chain(batch, (enum family)counted->key.family, &chain);
    batch_add_rules(batch, (enum family)counted->key.family, &chain);
    arena_done(&arena);
}

static struct counted_chain *find_chain(struct state *state, enum family family, const char *name)
{
    struct counted_chain probe = {0}, *found;
    probe.key.family = family;
    snprintf(probe.key.name, sizeof(probe.key.name), "%s", name);
    HASH_FIND(hh, state->chains, &probe.key, sizeof(probe.key), found);
    if (!found) {
        found = slab_zalloc(sizeof(*found));
        found->key = probe.key;
        HASH_ADD(hh, state->chains, key, sizeof(found->key), found);
    }
    return found;
}

static void use_chain(struct state *state, struct counted_chain *chain, struct batch *batch)
{
    chain->count++;
    if (chain->in_kernel)
        return;
    chain->in_kernel = true;
    if (batch)
        write_chain(chain, batch);
}

static void unuse_chain(struct state *state, struct counted_chain *chain)
{
    chain->is_old = false;
    if (--chain->count == 0)
        state->has_garbage = true;
}

/* Verdict elements hold their chain for as long as they are in the table, not only while they are counted. */
static struct counted_chain *pick_chain(struct state *state, const struct counted_key *key)
{
    uint32_t value;
    memcpy(&value, key->key, sizeof(value));
    if (set_is_source_verdicts((enum set_id)key->set) || !is_kept_for_packets(key->set) ||
        !value_is_pick(value))
        return NULL;
    char name[CHAIN_NAME_MAX];
    bool for_node_port = set_schema((enum set_id)key->set)->is_for_node_port;
    if (rules_is_reserved_pick(value, for_node_port))
        return NULL;
    struct counted_chain *chain =
        find_chain(state, (enum family)key->family, rules_value_chain(value, for_node_port, name));
    chain->value = value;
    chain->for_node_port = for_node_port;
    return chain;
}

static struct counted_chain *learn_chain(struct state *state, const struct element *element)
{
    struct counted_chain *chain = find_chain(state, element->family, element->verdict.chain);
    chain->value = (uint32_t)strtoul(element->verdict.chain + strlen("learn-"), NULL, 10);
    chain->is_learn = true;
    return chain;
}

/* Numbers are few and linger; the rest are many and go at once. */
static struct counted **table_of(struct state *state, const struct counted_key *key)
{
    return is_kept_for_packets(key->set) ? &state->values : &state->shared;
}

static void count_up(struct state *state, const struct element *element, struct batch *batch)
{
    struct counted_key key = key_of(element);
    struct counted **table = table_of(state, &key), *counted;
    unsigned len = key_size(&key);
    HASH_FIND(hh, *table, &key, len, counted);
    if (!counted) {
        counted = slab_zalloc(offsetof(struct counted, key) + len);
        memcpy(&counted->key, &key, len);
        HASH_ADD_KEYPTR(hh, *table, &counted->key, len, counted);
    }
    counted->count++;
    if (counted->in_kernel)
        return;
    counted->in_kernel = true;
    struct counted_chain *chain = pick_chain(state, &key);
    if (chain)
        use_chain(state, chain, batch);
    if (batch) {
        struct element fresh = element_of(&key);
        batch_add_element(batch, &fresh);
    }
}

static void count_down(struct state *state, const struct element *element, struct batch *batch)
{
    struct counted_key key = key_of(element);
    struct counted **table = table_of(state, &key), *counted;
    HASH_FIND(hh, *table, &key, key_size(&key), counted);
    if (!counted || --counted->count > 0)
        return;
    if (is_kept_for_packets(key.set)) {
        state->has_garbage = true;
        counted->is_old = false;
        return;
    }
    if (batch)
        batch_delete_element(batch, element);
    HASH_DEL(*table, counted);
    slab_free(counted);
}

typedef void count_fn(struct state *state, const struct element *element, struct batch *batch);

/* A number in a map needs its verdict wherever the rules look it up. */
static void count_value(struct state *state, const struct element *element, count_fn *count,
                        struct batch *batch)
{
    const struct set_schema *schema = set_schema(element->set);
    struct element verdict = {.family = element->family, .set = schema->verdicts};
    uint32_t value = element_value(element);
    memcpy(verdict.key, &value, sizeof(value));
    if (schema->verdicts)
        count(state, &verdict, batch);
    verdict.set = schema->source_verdicts;
    if (schema->source_verdicts)
        count(state, &verdict, batch);
}

static void free_counted(struct counted **table)
{
    struct counted *counted, *next;
    HASH_ITER (hh, *table, counted, next) {
        HASH_DEL(*table, counted);
        slab_free(counted);
    }
}

void state_done(struct state *state)
{
    free_counted(&state->values);
    free_counted(&state->shared);
    struct counted_chain *chain, *next_chain;
    HASH_ITER (hh, state->chains, chain, next_chain) {
        HASH_DEL(state->chains, chain);
        slab_free(chain);
    }
    state_forget_slots(state);
    numbers_done(&state->affinity_ids);
    *state = (struct state){0};
}

void state_add_entry(struct state *state, const struct element_list *own, const struct element_list *shared,
                     struct batch *batch)
{
    for (uint32_t i = 0; i < own->count; i++) {
        const struct element *element = &own->list[i];
        if (set_schema(element->set)->verdicts)
            count_value(state, element, count_up, batch);
        if (element->set == SET_AFFINITY_LEARNS)
            use_chain(state, learn_chain(state, element), batch);
    }
    for (uint32_t i = 0; i < shared->count; i++)
        count_up(state, &shared->list[i], batch);
}

void state_remove_entry(struct state *state, const struct element_list *own,
                        const struct element_list *shared, struct batch *batch)
{
    for (uint32_t i = 0; i < own->count; i++) {
        const struct element *element = &own->list[i];
        if (set_schema(element->set)->verdicts)
            count_value(state, element, count_down, batch);
        if (element->set == SET_AFFINITY_LEARNS)
            unuse_chain(state, learn_chain(state, element));
    }
    for (uint32_t i = 0; i < shared->count; i++)
        count_down(state, &shared->list[i], batch);
}

static void retire(struct state *state, const struct element *element)
{
    struct retired_slot *slot = slab_zalloc(sizeof(*slot));
    slot->key = key_of(element);
    HASH_ADD(hh, state->retired, key, sizeof(slot->key), slot);
}

/* True when the key waits for removal, and is taken off the list. */
static bool unretire(struct state *state, const struct element *element)
{
    if (!state->retired)
        return false;
    struct counted_key key = key_of(element);
    struct retired_slot *slot;
    HASH_FIND(hh, state->retired, &key, sizeof(key), slot);
    if (!slot)
        return false;
    HASH_DEL(state->retired, slot);
    slab_free(slot);
    return true;
}

void state_adopt_slot(struct state *state, const struct element *element)
{
    retire(state, element);
}

bool state_adopt_value(struct state *state, const struct element *element)
{
    struct counted_key key = key_of(element);
    struct element own = element_of(&key);
    if (!is_kept_for_packets(key.set) || element->set == SET_AFFINITY_LEARNS ||
        !element_same_data(&own, element))
        return false;
    struct counted_chain *chain = pick_chain(state, &key);
    if (chain && !chain->in_kernel)
        return false;
    struct counted *counted = slab_zalloc(offsetof(struct counted, key) + key_size(&key));
    memcpy(&counted->key, &key, key_size(&key));
    counted->in_kernel = state->has_garbage = true;
    HASH_ADD_KEYPTR(hh, state->values, &counted->key, key_size(&key), counted);
    if (chain)
        chain->count++;
    return true;
}

bool state_adopt_chain(struct state *state, enum family family, const char *name, struct arena *arena,
                       struct chain *ret)
{
    bool for_node_port, is_learn;
    uint32_t value = rules_parse_chain_name(name, &for_node_port, &is_learn);
    if (value == 0)
        return false;
    struct counted_chain *chain = find_chain(state, family, name);
    chain->value = value;
    chain->for_node_port = for_node_port;
    chain->is_learn = is_learn;
    chain->in_kernel = state->has_garbage = true;
    *ret = state_build_chain(chain, arena);
    return true;
}

void state_forget_slots(struct state *state)
{
    struct retired_slot *slot, *next;
    HASH_ITER (hh, state->retired, slot, next) {
        HASH_DEL(state->retired, slot);
        slab_free(slot);
    }
}

static void add_own(struct state *state, const struct element *element, struct batch *batch)
{
    if (set_holds_slots(element->set) && unretire(state, element))
        batch_delete_element(batch, element);
    batch_add_element(batch, element);
}

static void remove_own(struct state *state, const struct element *element, struct batch *batch)
{
    if (set_holds_slots(element->set))
        retire(state, element);
    else
        batch_delete_element(batch, element);
}

typedef void own_fn(struct state *state, const struct element *element, struct batch *batch);

static void rewrite_own(struct state *state, const struct element *element, struct batch *batch)
{
    (void)state;
    batch_delete_element(batch, element);
    batch_add_element(batch, element);
}

static void walk_own(struct state *state, const struct element_list *old, const struct element_list *next,
                     own_fn *gone, own_fn *come, own_fn *changed, struct batch *batch)
{
    uint32_t o = 0, n = 0;
    while (o < old->count || n < next->count) {
        int order = o == old->count ? 1 : n == next->count ? -1 : element_cmp(&old->list[o], &next->list[n]);
        if (order < 0 && gone)
            gone(state, &old->list[o], batch);
        if (order > 0 && come)
            come(state, &next->list[n], batch);
        if (order == 0 && changed && !element_same_data(&old->list[o], &next->list[n]))
            changed(state, &next->list[n], batch);
        o += order <= 0;
        n += order >= 0;
    }
}

void state_remove_own(struct state *state, const struct element_list *old, const struct element_list *next,
                      struct batch *batch)
{
    walk_own(state, old, next, remove_own, NULL, NULL, batch);
}

void state_add_own(struct state *state, const struct element_list *old, const struct element_list *next,
                   struct batch *batch)
{
    walk_own(state, old, next, NULL, add_own, rewrite_own, batch);
}

static void collect_slots(struct state *state, struct batch *batch)
{
    struct retired_slot *slot, *next;
    HASH_ITER (hh, state->retired, slot, next) {
        if (!slot->is_old) {
            slot->is_old = true;
            continue;
        }
        struct element element = element_of(&slot->key);
        batch_delete_element(batch, &element);
        HASH_DEL(state->retired, slot);
        slab_free(slot);
    }
}

/* True when it may go now; else it has grown old and comes up again. */
static bool has_waited(struct state *state, bool *is_old)
{
    if (*is_old)
        return true;
    *is_old = true;
    state->has_garbage = true;
    return false;
}

static void collect_values(struct state *state, struct batch *batch)
{
    struct counted *counted, *next;
    HASH_ITER (hh, state->values, counted, next) {
        if (counted->count > 0 || !has_waited(state, &counted->is_old))
            continue;
        struct element element = element_of(&counted->key);
        batch_delete_element(batch, &element);
        struct counted_chain *chain = pick_chain(state, &counted->key);
        /* Its verdict is what a packet had to pass, and that has waited. */
        if (chain)
            chain->is_old = --chain->count == 0;
        HASH_DEL(state->values, counted);
        slab_free(counted);
    }
}

static void collect_chains(struct state *state, struct batch *batch)
{
    struct counted_chain *chain, *next;
    HASH_ITER (hh, state->chains, chain, next) {
        if (chain->count > 0 || !has_waited(state, &chain->is_old))
            continue;
        batch_delete_chain(batch, (enum family)chain->key.family, chain->key.name);
        HASH_DEL(state->chains, chain);
        slab_free(chain);
    }
}

void state_collect(struct state *state, struct batch *batch)
{
    collect_slots(state, batch);
    if (!state->has_garbage)
        return;
    state->has_garbage = false;
    collect_values(state, batch);
    collect_chains(state, batch);
}

bool state_has_garbage(const struct state *state)
{
    return state->has_garbage || state->retired;
}

void state_visit_counted(const struct state *state, counted_visit_fn *visit, void *context)
{
    const struct counted *const tables[] = {state->values, state->shared};
    for (int i = 0; i < 2; i++) {
        for (const struct counted *counted = tables[i]; counted; counted = counted->hh.next) {
            struct element element = element_of(&counted->key);
            visit(&element, context);
        }
    }
}
