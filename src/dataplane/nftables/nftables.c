/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include "dataplane/nftables/trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Promise: load and sync change what packets meet by transactions that happen whole or not at all. sync's
 * transaction (before it another one, when it needs chains that are not there yet) makes the new state
 * complete at once; slots that lost their last pointer are removed by a later
 * one (collect), because a packet that read the old count may be on its way to them. */

#define COLLECT_DELAY_MS 10

/* Which service wanted what the kernel refused. */
static const char *owner_of(const struct element *element, const struct entry *const *entries, size_t count)
{
    struct numbers ids = {0};
    struct arena arena;
    const char *name = NULL;
    arena_init(&arena);
    for (size_t i = 0; i < count && !name; i++) {
        arena_reset(&arena);
        struct element_list list = {.arena = &arena};
        elements_build_own(entries[i], &ids, &list);
        elements_build_shared(entries[i], &list);
        for (uint32_t e = 0; e < list.count && !name; e++)
            if (list.list[e].set == element->set && list.list[e].family == element->family &&
                memcmp(list.list[e].key, element->key, KEY_MAX) == 0)
                name = entries[i]->name;
    }
    numbers_done(&ids);
    arena_done(&arena);
    return name;
}

static int explain_refusal(const struct element *blamed, const struct entry *const *entries, size_t count,
                           int code, struct err *err)
{
    if (blamed->set == SET_COUNT)
        return code;
    struct text text = {0};
    element_format(blamed, &text);
    const char *owner = owner_of(blamed, entries, count);
    code = err_prefix(err, code, "%s%s, element %s of %s", owner ? "Service " : "table " TABLE_NAME,
                      owner ? owner : "", text_str(&text), set_schema(blamed->set)->name);
    text_done(&text);
    return code;
}

int nftables_commit(struct nftables *nftables, struct batch *batch, uint32_t generation,
                    const struct entry *const *entries, size_t count, struct dataplane_result *result,
                    struct err *err)
{
    struct element blamed;
    if (batch_is_empty(batch))
        return 0;
    if (++nftables->transactions == nftables->fail_at)
        batch_add_fault(batch);
    bool is_disturbed = false;
    int code = generation != 0 ? kernel_commit(&nftables->kernel, batch, generation, &blamed, err)
                               : kernel_commit_unheard(&nftables->kernel, batch, &blamed, &is_disturbed, err);
    result->was_disturbed |= is_disturbed;
    if (code < 0) {
        nftables->is_known = false;
        return explain_refusal(&blamed, entries, count, code, err);
    }
    result->transactions++;
    result->element_adds += batch->element_adds;
    result->element_deletes += batch->element_deletes;
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int set = 0; set < SET_COUNT; set++)
            nftables->count[family][set] += batch->growth[family][set];
    return 0;
}

static int probe(struct err *err)
{
    struct kernel kernel;
    uint32_t generation = 0;
    int code = kernel_open(&kernel, err);
    if (code == 0)
        code = kernel_generation(&kernel, &generation, err);
    if (code == 0) {
        code = trial_run(&kernel, err);
        kernel_close(&kernel);
        return code < 0 ? err_prefix(err, code, "nftables is not available") : 0;
    }
    kernel_close(&kernel);
    if (code == -EPERM)
        return err_set(
            err, EPERM,
            "nftables cannot be used: that takes root, or CAP_NET_ADMIN in this network namespace");
    if (code == -EINVAL || code == -EPROTONOSUPPORT) /* nfnetlink knows no such subsystem, or there is none */
        return err_set(err, ENOENT,
                       "nftables is not available: the kernel has no nf_tables (the module of that name)");
    return code < 0 ? err_prefix(err, code, "nftables is not available") : 0;
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    (void)owner; /* nothing takes longer than its call */
    struct nftables *nftables = xcalloc(1, sizeof(*nftables));
    nftables->base.ops = &nftables_dataplane;
    int code = kernel_open(&nftables->kernel, err);
    if (code < 0) {
        free(nftables);
        return code;
    }
    const char *fault = getenv("FAIRLEAD_FAULT");
    if (fault && strncmp(fault, "transaction:", strlen("transaction:")) == 0)
        nftables->fail_at = strtoul(fault + strlen("transaction:"), NULL, 10);
    *ret = &nftables->base;
    return 0;
}

static void close_(struct dataplane *dataplane)
{
    struct nftables *nftables = (struct nftables *)dataplane;
    state_done(&nftables->state);
    arena_done(&nftables->scratch);
    kernel_close(&nftables->kernel);
    free(nftables);
}

enum pass { PASS_OUT = 1, PASS_IN = 2 };

/* What other entries may need too, by key (slots) or counted, goes in an order over all changes: own elements
 * go first and come last, counted ones come first and go last. */
static void write_change(struct nftables *nftables, const struct dataplane_change *change, unsigned passes,
                         struct batch *batch)
{
    struct arena *arena = &nftables->scratch;
    struct state *state = &nftables->state;
    arena_reset(arena);
    struct element_list old_own = {.arena = arena}, old_shared = {.arena = arena};
    struct element_list own = {.arena = arena}, shared = {.arena = arena};
    elements_build_own(change->old, &state->affinity_ids, &old_own);
    elements_build_shared(change->old, &old_shared);
    elements_build_own(change->next, &state->affinity_ids, &own);
    elements_build_shared(change->next, &shared);
    if (passes & PASS_OUT) {
        state_add_entry(state, &own, &shared, batch);
        state_remove_own(state, &old_own, &own, batch);
    }
    if (passes & PASS_IN) {
        state_remove_entry(state, &old_own, &old_shared, batch);
        state_add_own(state, &old_own, &own, batch);
    }
}

static void write_changes(struct nftables *nftables, const struct dataplane_change *changes, size_t count,
                          struct batch *batch)
{
    if (count == 1) {
        write_change(nftables, changes, PASS_OUT | PASS_IN, batch);
        return;
    }
    for (size_t i = 0; i < count; i++)
        write_change(nftables, &changes[i], PASS_OUT, batch);
    for (size_t i = 0; i < count; i++)
        write_change(nftables, &changes[i], PASS_IN, batch);
}

/* A set made with a size takes no more than that. */
static bool has_room(const struct nftables *nftables, const struct batch *batch)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int set = 0; set < SET_COUNT; set++)
            if (nftables->size[family][set] && !set_schema((enum set_id)set)->is_dynamic &&
                nftables->count[family][set] + batch->growth[family][set] > nftables->size[family][set])
                return false;
    return true;
}

/* New chains go ahead, in a transaction of their own. A packet that began its way by the old generation
 * follows a fresh verdict by that generation's rules (nf_tables_core.c reads the generation once a packet,
 * the sets once a lookup), and a chain that came with the verdict has none there: the packet would fall
 * through, not translated. One transaction later the chain stands in both generations. */
static int commit_change(struct nftables *nftables, struct batch *batch, const struct entry *const *entries,
                         size_t count, struct dataplane_result *result, struct err *err)
{
    struct batch chains;
    batch_split_head(batch, &chains);
    int code = nftables_commit(nftables, &chains, 0, entries, count, result, err);
    if (code == 0)
        code = nftables_commit(nftables, batch, 0, entries, count, result, err);
    batch_done(&chains);
    return code;
}

static int sync_changes(struct nftables *nftables, const struct dataplane_change *changes, size_t count,
                        const struct entry **entries, struct dataplane_result *result, struct err *err)
{
    struct batch batch;
    size_t entry_count = 0;
    batch_init(&batch);
    write_changes(nftables, changes, count, &batch);
    for (size_t i = 0; i < count; i++)
        if (changes[i].next)
            entries[entry_count++] = changes[i].next;
    int code = 0;
    nftables->is_known = false;
    if (!has_room(nftables, &batch))
        code = err_set(err, EXFULL, "the table's sets have to grow");
    if (code == 0)
        code = commit_change(nftables, &batch, entries, entry_count, result, err);
    batch_done(&batch);
    nftables->is_known = code == 0;
    if (code < 0)
        return code;
    entry_count = 0;
    for (size_t i = 0; i < count; i++)
        if (nftables_may_lose_clients(&changes[i]))
            entries[entry_count++] = changes[i].next;
    return nftables_prune_affinity(nftables, entries, entry_count, result, err);
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    (void)node; /* a change of the node comes as a load */
    struct nftables *nftables = (struct nftables *)dataplane;
    struct dataplane_result result = {0};
    if (!nftables->is_known)
        return err_set(err, ESTALE, "what nf_tables holds is not known");
    const struct entry **entries = xcalloc(count, sizeof(*entries));
    int code = sync_changes(nftables, changes, count, entries, &result, err);
    free(entries);
    if (code == 0)
        *ret = result;
    return code;
}

static int collect_delay_ms(const struct dataplane *dataplane)
{
    const struct nftables *nftables = (const struct nftables *)dataplane;
    return nftables->is_known && state_has_garbage(&nftables->state) ? COLLECT_DELAY_MS : -1;
}

static int collect(struct dataplane *dataplane, struct dataplane_result *ret, struct err *err)
{
    struct nftables *nftables = (struct nftables *)dataplane;
    struct dataplane_result result = {0};
    struct batch batch;
    if (!nftables->is_known) { /* the books are ahead of the kernel: what they call unused may be in use */
        *ret = result;
        return 0;
    }
    batch_init(&batch);
    state_collect(&nftables->state, &batch);
    int code = nftables_commit(nftables, &batch, 0, NULL, 0, &result, err);
    batch_done(&batch);
    if (code == 0)
        *ret = result;
    return code;
}

static void count_elements(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context)
{
    const struct nftables *nftables = (const struct nftables *)dataplane;
    for (int set = 0; set < SET_COUNT; set++) {
        int64_t count = 0;
        for (int family = 0; family < FAMILY_COUNT; family++)
            count += nftables->count[family][set];
        if (set != SET_AFFINITY) /* filled by packets: not ours to count */
            visit(context, set_schema((enum set_id)set)->name, (uint64_t)count);
    }
}

static int watch_fd(const struct dataplane *dataplane)
{
    return ((const struct nftables *)dataplane)->kernel.watch_fd;
}

static bool is_disturbed(struct dataplane *dataplane)
{
    return kernel_watch_is_disturbed(&((struct nftables *)dataplane)->kernel);
}

/* Not being there is success. */
static int commit_removal(struct kernel *kernel, struct batch *batch, struct err *err)
{
    struct element blamed;
    int code = kernel_commit(kernel, batch, 0, &blamed, err);
    batch_done(batch);
    return code == -ENOENT ? 0 : code;
}

/* Another proxy may serve the same frontends already, behind our chains. For part of a millisecond within the
 * removal of a table its maps find nothing while its sets and rules are still there (seen with Linux 6.18): a
 * new connection would then pass for one to a port that no Service has, and be reset. So nobody is sent into
 * the table any more before it goes, and who is in it has left. */
static int stop_dispatch(struct kernel *kernel, enum family family, struct err *err)
{
    struct batch batch;
    batch_init(&batch);
    batch_flush_chain(&batch, family, "nat-prerouting");
    batch_flush_chain(&batch, family, "nat-output");
    return commit_removal(kernel, &batch, err);
}

static int cleanup(struct err *err)
{
    struct kernel kernel;
    int code = kernel_open(&kernel, err);
    for (int family = 0; code == 0 && family < FAMILY_COUNT; family++)
        code = stop_dispatch(&kernel, (enum family)family, err);
    usleep(COLLECT_DELAY_MS * 1000);
    for (int family = 0; code == 0 && family < FAMILY_COUNT; family++) {
        struct batch batch;
        batch_init(&batch);
        batch_delete_table(&batch, (enum family)family);
        code = commit_removal(&kernel, &batch, err);
    }
    kernel_close(&kernel);
    return code;
}

const struct dataplane_ops nftables_dataplane = {
    .name = "nftables",
    .probe = probe,
    .open = open_,
    .close = close_,
    .load = nftables_load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .collect = collect,
    .watch_fd = watch_fd,
    .is_disturbed = is_disturbed,
    .count_elements = count_elements,
    .render = nftables_render,
    .inspect = nftables_inspect,
    .cleanup = cleanup,
};
