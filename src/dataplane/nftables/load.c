/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Full programming. One of four ways, each in force by a single transaction:
 * - build: there is no table of ours; what no packet meets yet is filled piece by piece, and the chains that
 * packets meet come with the last piece;
 * - compare: chains and sets are as they should be and elements are few; read them all, write the difference;
 * - refill: the same, but there are many; dumping a large set costs the kernel more than exchanging its
 * content;
 * - rewrite: chains or sets are missing, wrong or too small; everything is made anew.
 * The affinity map is kept in all of them. See docs/decisions/0003-adoption.md. */

#define COMPARE_MAX 20000 /* elements */
#define ADOPT_MAX 4096    /* elements that nobody needs any more */
#define SIZE_MIN 1024
/* Of a table that is being built, in one transaction: a quarter of a megabyte. All at once they would be the
 * most memory that the daemon ever takes, and twice, for the kernel copies the message. */
#define PIECE_ELEMENTS 4096

/* A wanted element by two hashes. */
struct fact {
    uint64_t identity, data;
    bool is_in_kernel;
};

struct loader {
    struct nftables *nftables;
    const struct dataplane_node *node;
    const struct entry *const *entries;
    size_t entry_count;
    uint32_t needed[FAMILY_COUNT][SET_COUNT];
    uint64_t total, adopted;
    struct kernel_table tables[FAMILY_COUNT];
    struct arena arena; /* the tables' */
    struct batch batch;
    struct fact *facts; /* compare: open addressing, a power of two of them */
    size_t fact_mask;
    bool cidrs_in_kernel[FAMILY_COUNT];
    uint32_t generation;             /* the kernel's right after our transaction, if nobody else wrote */
    struct dataplane_result *result; /* build: of the pieces so far, and how the last one went */
    struct err *err;
    int code;
};

typedef void loader_visit_fn(struct loader *loader, const struct element *element);

struct counted_context {
    struct loader *loader;
    loader_visit_fn *visit;
};

static void visit_counted(const struct element *element, void *context_)
{
    struct counted_context *context = context_;
    context->visit(context->loader, element);
}

/* Every element that shall be in the table, packet-filled ones aside. Rendered entry by entry: the whole is
 * never in memory at once. */
static void visit_wanted(struct loader *loader, loader_visit_fn *visit)
{
    struct nftables *nftables = loader->nftables;
    for (size_t i = 0; i < loader->entry_count; i++) {
        arena_reset(&nftables->scratch);
        struct element_list own = {.arena = &nftables->scratch};
        elements_build_own(loader->entries[i], &nftables->state.affinity_ids, &own);
        for (uint32_t e = 0; e < own.count; e++)
            visit(loader, &own.list[e]);
    }
    arena_reset(&nftables->scratch);
    struct element_list of_node = {.arena = &nftables->scratch};
    elements_build_node(loader->node, &of_node);
    for (uint32_t e = 0; e < of_node.count; e++)
        visit(loader, &of_node.list[e]);
    struct counted_context context = {.loader = loader, .visit = visit};
    state_visit_counted(&nftables->state, visit_counted, &context);
}

static void count_wanted(struct loader *loader, const struct element *element)
{
    loader->needed[element->family][element->set]++;
    loader->total++;
}

static void write_wanted(struct loader *loader, const struct element *element)
{
    batch_add_element(&loader->batch, element);
}

static void build_books(struct loader *loader)
{
    struct nftables *nftables = loader->nftables;
    state_done(&nftables->state);
    for (size_t i = 0; i < loader->entry_count; i++) {
        arena_reset(&nftables->scratch);
        struct element_list own = {.arena = &nftables->scratch}, shared = {.arena = &nftables->scratch};
        elements_build_own(loader->entries[i], &nftables->state.affinity_ids, &own);
        elements_build_shared(loader->entries[i], &shared);
        state_add_entry(&nftables->state, &own, &shared, NULL);
    }
    visit_wanted(loader, count_wanted);
}

/* A set of a known size is a plain hash table, twice as fast to fill as one that grows; the room doubles what
 * is needed now, and when that is used up the next load makes it anew. */
static uint32_t size_for(enum set_id set, uint32_t needed)
{
    const struct set_schema *schema = set_schema(set);
    if (schema->is_interval || schema->is_dynamic)
        return schema->size;
    uint32_t size = SIZE_MIN;
    while (size < needed * 2)
        size *= 2;
    return size;
}

static const struct kernel_chain *find_kernel_chain(const struct kernel_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->chain_count; i++)
        if (strcmp(table->chains[i].name, name) == 0)
            return &table->chains[i];
    return NULL;
}

static bool is_same_hook(const struct kernel_chain *found, const struct chain *chain)
{
    return found->hook == chain->hook && (chain->hook == HOOK_NONE || found->priority == chain->priority);
}

static bool chain_matches(const struct kernel_table *table, const struct chain *chain, enum family family)
{
    const struct kernel_chain *found = find_kernel_chain(table, chain->name);
    return found && is_same_hook(found, chain) && found->accepts && found->rule_count == chain->count &&
           found->fingerprint == chain_fingerprint(chain, family);
}

static bool is_needed_chain(const struct loader *loader, enum family family, const struct chain_list *fixed,
                            const char *name)
{
    for (unsigned i = 0; i < fixed->count; i++)
        if (strcmp(fixed->list[i].name, name) == 0)
            return true;
    for (const struct counted_chain *made = loader->nftables->state.chains; made; made = made->hh.next)
        if (made->key.family == (uint32_t)family && strcmp(made->key.name, name) == 0)
            return true;
    return false;
}

static bool sets_match(const struct loader *loader, enum family family)
{
    const struct kernel_table *table = &loader->tables[family];
    if (table->set_count != SET_COUNT)
        return false;
    for (uint32_t i = 0; i < table->set_count; i++) {
        const struct kernel_set *set = &table->sets[i];
        if (!set->is_ours ||
            (set->size && !set_schema(set->id)->is_dynamic &&
             set->size < loader->needed[family][set->id] + loader->needed[family][set->id] / 4))
            return false;
    }
    return true;
}

/* A generated chain is missing: it comes ahead of the elements that lead to it. */
static void write_chain_ahead(struct loader *loader, enum family family, const struct chain *chain)
{
    batch_add_chain(&loader->batch, family, chain);
    batch_add_rules(&loader->batch, family, chain);
}

/* Chains that nobody needs (any more) are taken into the books when they are of our making. */
static bool adopt_chains(struct loader *loader, enum family family, const struct chain_list *fixed)
{
    const struct kernel_table *table = &loader->tables[family];
    struct nftables *nftables = loader->nftables;
    for (uint32_t i = 0; i < table->chain_count; i++) {
        const char *name = table->chains[i].name;
        struct chain chain;
        if (is_needed_chain(loader, family, fixed, name))
            continue;
        if (!state_adopt_chain(&nftables->state, family, name, &nftables->scratch, &chain) ||
            !chain_matches(table, &chain, family))
            return false;
    }
    return true;
}

/* Sets, chains and rules are as they should be, but for generated chains: missing ones are written into the
 * batch, idle ones adopted. */
static bool structure_matches(struct loader *loader, enum family family)
{
    const struct kernel_table *table = &loader->tables[family];
    struct arena *scratch = &loader->nftables->scratch;
    if (!table->is_there || table->flags != 0 || !sets_match(loader, family))
        return false;
    arena_reset(scratch);
    struct chain_list fixed = rules_build_fixed(family, loader->node->view, scratch);
    for (unsigned i = 0; i < fixed.count; i++)
        if (!chain_matches(table, &fixed.list[i], family))
            return false;
    for (const struct counted_chain *made = loader->nftables->state.chains; made; made = made->hh.next) {
        if (made->key.family != (uint32_t)family)
            continue;
        struct chain chain = state_build_chain(made, scratch);
        if (!find_kernel_chain(table, chain.name))
            write_chain_ahead(loader, family, &chain);
        else if (!chain_matches(table, &chain, family))
            return false;
    }
    return adopt_chains(loader, family, &fixed);
}

/* A chain cannot be moved to another hook: one that has to goes first and is made anew. */
static bool can_stay(struct loader *loader, enum family family, const struct chain_list *fixed,
                     const struct kernel_chain *found)
{
    for (unsigned i = 0; i < fixed->count; i++)
        if (strcmp(fixed->list[i].name, found->name) == 0)
            return is_same_hook(found, &fixed->list[i]);
    for (const struct counted_chain *made = loader->nftables->state.chains; made; made = made->hh.next)
        if (made->key.family == (uint32_t)family && strcmp(made->key.name, found->name) == 0)
            return found->hook == HOOK_NONE;
    return false;
}

/* Takes everything out but the affinity map, in the order in which nothing points at what goes. */
static bool clear_table(struct loader *loader, enum family family, const struct chain_list *fixed)
{
    const struct kernel_table *table = &loader->tables[family];
    struct batch *batch = &loader->batch;
    bool keeps_affinity = false;
    if (!table->is_there)
        return false;
    batch_flush_rules(batch, family);
    for (uint32_t i = 0; i < table->set_count; i++) {
        const struct kernel_set *set = &table->sets[i];
        if (set->is_ours && set->id == SET_AFFINITY)
            keeps_affinity = true;
        else if (!set->is_anonymous)
            batch_delete_set(batch, family, set->name);
    }
    for (uint32_t i = 0; i < table->chain_count; i++)
        if (!can_stay(loader, family, fixed, &table->chains[i]))
            batch_delete_leftover_chain(batch, family, table->chains[i].name);
    return keeps_affinity;
}

/* Chains that packets meet, or all the others. */
static void write_fixed_chains(struct loader *loader, enum family family, const struct chain_list *fixed,
                               bool with_hook)
{
    struct batch *batch = &loader->batch;
    for (unsigned i = 0; i < fixed->count; i++)
        if ((fixed->list[i].hook != HOOK_NONE) == with_hook)
            batch_add_chain(batch, family, &fixed->list[i]);
    for (unsigned i = 0; i < fixed->count; i++)
        if ((fixed->list[i].hook != HOOK_NONE) == with_hook)
            batch_add_rules(batch, family, &fixed->list[i]);
}

/* All but the chains that packets meet. Rules come before elements: the kernel walks through a map that a
 * rule is bound to. */
static void write_structure(struct loader *loader, enum family family)
{
    struct nftables *nftables = loader->nftables;
    struct batch *batch = &loader->batch;
    arena_reset(&nftables->scratch);
    struct chain_list fixed = rules_build_fixed(family, loader->node->view, &nftables->scratch);
    bool keeps_affinity = clear_table(loader, family, &fixed);
    batch_add_table(batch, family);
    for (int set = 0; set < SET_COUNT; set++) {
        nftables->size[family][set] = size_for((enum set_id)set, loader->needed[family][set]);
        if (set != SET_AFFINITY || !keeps_affinity)
            batch_add_set(batch, family, (enum set_id)set, nftables->size[family][set]);
    }
    write_fixed_chains(loader, family, &fixed, false);
    for (const struct counted_chain *made = nftables->state.chains; made; made = made->hh.next) {
        if (made->key.family != (uint32_t)family)
            continue;
        struct chain chain = state_build_chain(made, &nftables->scratch);
        batch_add_chain(batch, family, &chain);
        batch_add_rules(batch, family, &chain);
    }
}

/* What brings the structure into force. */
static void write_hooks(struct loader *loader)
{
    struct arena *scratch = &loader->nftables->scratch;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        arena_reset(scratch);
        struct chain_list fixed = rules_build_fixed((enum family)family, loader->node->view, scratch);
        write_fixed_chains(loader, (enum family)family, &fixed, true);
    }
}

static int write_everything(struct loader *loader, struct dataplane_result *result, struct err *err)
{
    visit_wanted(loader, write_wanted);
    int code = kernel_generation(&loader->nftables->kernel, &loader->generation, err);
    if (code < 0)
        return code;
    loader->generation++;
    return nftables_commit(loader->nftables, &loader->batch, 0, loader->entries, loader->entry_count, result,
                           err);
}

static int rewrite(struct loader *loader, struct dataplane_result *result, struct err *err)
{
    batch_done(&loader->batch);
    batch_init(&loader->batch);
    for (int family = 0; family < FAMILY_COUNT; family++)
        write_structure(loader, (enum family)family);
    write_hooks(loader);
    return write_everything(loader, result, err);
}

static int commit_piece(struct loader *loader)
{
    int code = nftables_commit(loader->nftables, &loader->batch, 0, loader->entries, loader->entry_count,
                               loader->result, loader->err);
    batch_done(&loader->batch);
    batch_init(&loader->batch);
    return code;
}

static void write_piecewise(struct loader *loader, const struct element *element)
{
    if (loader->code < 0)
        return;
    batch_add_element(&loader->batch, element);
    if (loader->batch.element_adds == PIECE_ELEMENTS)
        loader->code = commit_piece(loader);
}

/* A table that is left without its hooks, by a failure or by our end, is found so by the next load, which
 * writes it anew. */
static int build(struct loader *loader, struct dataplane_result *result, struct err *err)
{
    uint32_t before = 0;
    loader->result = result;
    loader->err = err;
    batch_done(&loader->batch);
    batch_init(&loader->batch);
    int code = kernel_generation(&loader->nftables->kernel, &before, err);
    if (code < 0)
        return code;
    for (int family = 0; family < FAMILY_COUNT; family++)
        write_structure(loader, (enum family)family);
    visit_wanted(loader, write_piecewise);
    if (loader->code < 0)
        return loader->code;
    write_hooks(loader);
    code = commit_piece(loader);
    loader->generation = before + result->transactions;
    return code;
}

static void keep_sizes(struct loader *loader, enum family family)
{
    for (uint32_t i = 0; i < loader->tables[family].set_count; i++)
        loader->nftables->size[family][loader->tables[family].sets[i].id] =
            loader->tables[family].sets[i].size;
}

static uint64_t identity_of(const struct element *element)
{
    const uint32_t head[2] = {(uint32_t)element->family, (uint32_t)element->set};
    uint64_t hash = hash_bytes(hash_bytes(0, head, sizeof(head)), element->key, KEY_MAX);
    hash = hash_bytes(hash, element->key_end, KEY_MAX);
    return hash ? hash : 1;
}

static uint64_t data_of(const struct element *element)
{
    const struct verdict *verdict = &element->verdict;
    if (set_schema(element->set)->data == DATA_VERDICT)
        return hash_bytes(verdict->is_goto + 1u, verdict->chain, strlen(verdict->chain));
    return hash_bytes(0, element->data, DATA_MAX);
}

static struct fact *find_fact(const struct loader *loader, uint64_t identity)
{
    size_t at = identity & loader->fact_mask;
    while (loader->facts[at].identity && loader->facts[at].identity != identity)
        at = (at + 1) & loader->fact_mask;
    return &loader->facts[at];
}

static void note_wanted(struct loader *loader, const struct element *element)
{
    uint64_t identity = identity_of(element);
    *find_fact(loader, identity) = (struct fact){.identity = identity, .data = data_of(element)};
}

static void write_missing(struct loader *loader, const struct element *element)
{
    bool is_there = element->set == SET_SERVICE_CIDRS ? loader->cidrs_in_kernel[element->family]
                                                      : find_fact(loader, identity_of(element))->is_in_kernel;
    if (!is_there)
        batch_add_element(&loader->batch, element);
}

/* What may be on a packet's way is left to the collector. */
static bool adopt_element(struct loader *loader, const struct element *element)
{
    struct state *state = &loader->nftables->state;
    if (loader->adopted == ADOPT_MAX)
        return false; /* there is no more room among the facts */
    if (set_holds_slots(element->set))
        state_adopt_slot(state, element);
    else if (!state_adopt_value(state, element))
        return false;
    note_wanted(loader, element);
    find_fact(loader, identity_of(element))->is_in_kernel = true;
    loader->needed[element->family][element->set]++;
    loader->adopted++;
    return true;
}

static void compare_element(const struct element *element, void *context)
{
    struct loader *loader = context;
    struct fact *fact = find_fact(loader, identity_of(element));
    if (fact->identity && fact->data == data_of(element))
        fact->is_in_kernel = true;
    else if (fact->identity || !adopt_element(loader, element))
        batch_delete_element(&loader->batch, element);
}

/* The kernel shows a range of the single-key interval set as two bounds. They are few: when they are not
 * exactly the wanted ones the set is written anew. */
struct bounds {
    struct element_list wanted;
    enum family family;
    uint32_t seen, matched;
};

static void compare_bound(const struct element *bound, void *context)
{
    struct bounds *bounds = context;
    bounds->seen++;
    for (uint32_t i = 0; i < bounds->wanted.count; i++) {
        const struct element *range = &bounds->wanted.list[i];
        if (range->set != SET_SERVICE_CIDRS || range->family != bounds->family)
            continue;
        uint8_t key[KEY_MAX];
        unsigned len = set_key_len(SET_SERVICE_CIDRS, bounds->family);
        memcpy(key, bound->is_bound_behind ? range->key_end : range->key, sizeof(key));
        bool has_bound = !bound->is_bound_behind || key_increment(key, len);
        bounds->matched += has_bound && memcmp(bound->key, key, len) == 0;
    }
}

static int compare_service_cidrs(struct loader *loader, enum family family, struct err *err)
{
    struct nftables *nftables = loader->nftables;
    struct bounds bounds = {.wanted = {.arena = &nftables->scratch}, .family = family};
    uint32_t expected = 0;
    arena_reset(&nftables->scratch);
    elements_build_node(loader->node, &bounds.wanted);
    int code = readback_set(&nftables->kernel, family, SET_SERVICE_CIDRS, compare_bound, &bounds, err);
    for (uint32_t i = 0; i < bounds.wanted.count; i++) {
        struct element *range = &bounds.wanted.list[i];
        if (range->set == SET_SERVICE_CIDRS && range->family == family)
            expected += key_increment(range->key_end, set_key_len(SET_SERVICE_CIDRS, family)) ? 2 : 1;
    }
    bool is_right = bounds.seen == expected && bounds.matched == expected;
    if (code == 0 && !is_right)
        batch_flush_set(&loader->batch, family, SET_SERVICE_CIDRS);
    loader->cidrs_in_kernel[family] = is_right;
    return code;
}

static int read_everything(struct loader *loader, struct err *err)
{
    struct kernel *kernel = &loader->nftables->kernel;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        for (int set = 0; set < SET_COUNT; set++) {
            int code = 0;
            if (set == SET_SERVICE_CIDRS)
                code = compare_service_cidrs(loader, (enum family)family, err);
            else if (set != SET_AFFINITY)
                code =
                    readback_set(kernel, (enum family)family, (enum set_id)set, compare_element, loader, err);
            if (code < 0)
                return code;
        }
    }
    return 0;
}

static int compare(struct loader *loader, uint32_t generation, struct dataplane_result *result,
                   struct err *err)
{
    size_t room = 64;
    while (room < (loader->total + ADOPT_MAX) * 2)
        room *= 2;
    loader->facts = xcalloc(room, sizeof(*loader->facts));
    loader->fact_mask = room - 1;
    visit_wanted(loader, note_wanted);
    int code = read_everything(loader, err);
    if (code < 0)
        return code;
    visit_wanted(loader, write_missing);
    for (int family = 0; family < FAMILY_COUNT; family++)
        keep_sizes(loader, (enum family)family);
    /* The generation makes it an exchange: nobody wrote between our reading and this. */
    loader->generation = generation + !batch_is_empty(&loader->batch);
    return nftables_commit(loader->nftables, &loader->batch, generation, loader->entries, loader->entry_count,
                           result, err);
}

/* Only now: what a commit holds is counted as it happens, and this batch began from another table. */
static void count_elements(const struct loader *loader)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int set = 0; set < SET_COUNT; set++)
            loader->nftables->count[family][set] = loader->needed[family][set];
}

/* Chains, rules and sets stay as they are; all elements are exchanged. A packet on its way keeps the rules
 * that it began by and sees the sets of the moment, so it finds the old or the new element, never none. */
static int refill(struct loader *loader, struct dataplane_result *result, struct err *err)
{
    state_forget_slots(&loader->nftables->state);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        keep_sizes(loader, (enum family)family);
        for (int set = 0; set < SET_COUNT; set++)
            if (set != SET_AFFINITY)
                batch_flush_set(&loader->batch, (enum family)family, (enum set_id)set);
    }
    return write_everything(loader, result, err);
}

/* What structure_matches wrote; else nothing of it is used. */
static int commit_chains(struct loader *loader, uint32_t *generation, struct dataplane_result *result,
                         struct err *err)
{
    if (batch_is_empty(&loader->batch))
        return 0;
    int code = nftables_commit(loader->nftables, &loader->batch, *generation, loader->entries,
                               loader->entry_count, result, err);
    ++*generation;
    batch_done(&loader->batch);
    batch_init(&loader->batch);
    return code;
}

static int load(struct loader *loader, struct dataplane_result *result, struct err *err)
{
    struct nftables *nftables = loader->nftables;
    uint32_t generation = 0;
    build_books(loader);
    int code = kernel_generation(&nftables->kernel, &generation, err);
    bool is_sound = true;
    for (int family = 0; code == 0 && family < FAMILY_COUNT; family++) {
        code = readback_table(&nftables->kernel, (enum family)family, &loader->arena, &loader->tables[family],
                              err);
        is_sound = is_sound && code == 0 && structure_matches(loader, (enum family)family);
    }
    if (code == 0 && is_sound)
        code = commit_chains(loader, &generation, result, err);
    if (code == -ERESTART) { /* somebody wrote meanwhile, and what was read is out of date */
        is_sound = false;
        code = 0;
    }
    if (code < 0)
        return code;
    if (is_sound && loader->total <= COMPARE_MAX) {
        code = compare(loader, generation, result, err);
        /* Where others commit all the time comparing may never come to its end. */
        if (code != -ERESTART && code != -EINTR)
            return code;
        batch_done(&loader->batch);
        batch_init(&loader->batch);
    }
    if (is_sound)
        return refill(loader, result, err);
    bool is_first = !loader->tables[FAMILY_IPV4].is_there && !loader->tables[FAMILY_IPV6].is_there;
    return is_first ? build(loader, result, err) : rewrite(loader, result, err);
}

int nftables_load(struct dataplane *dataplane, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                  struct err *err)
{
    struct nftables *nftables = (struct nftables *)dataplane;
    struct loader loader = {.nftables = nftables, .node = node, .entries = entries, .entry_count = count};
    struct dataplane_result result = {.was_full = true};
    arena_init(&loader.arena);
    batch_init(&loader.batch);
    kernel_watch_leave(&nftables->kernel);
    kernel_watch_is_disturbed(&nftables->kernel); /* whatever it was, it is read back now */
    int code = load(&loader, &result, err);
    batch_done(&loader.batch);
    arena_done(&loader.arena);
    free(loader.facts);
    nftables->is_known = code == 0;
    if (code == 0)
        count_elements(&loader);
    uint32_t now = 0;
    if (code == 0)
        code = kernel_watch_join(&nftables->kernel, err);
    if (code == 0)
        code = kernel_generation(&nftables->kernel, &now, err);
    /* Somebody committed after us and before we listened. */
    result.was_disturbed = now != loader.generation;
    if (code == 0)
        code = nftables_prune_affinity(nftables, entries, count, &result, err);
    if (code == 0)
        *ret = result;
    return code;
}
