/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sync.h"

#include "base/cleanup.h"
#include "base/slab.h"
#include "forwarding/describe.h"

#include <errno.h>
#include <string.h>

void sync_init(struct sync *sync, struct store *store, struct dataplane *dataplane,
               const struct options *options, const struct interface_addresses *interfaces)
{
    *sync = (struct sync){.store = store,
                          .dataplane = dataplane,
                          .options = options,
                          .interfaces = interfaces,
                          .needs_load = true};
    node_build(options, store, interfaces, &sync->node);
}

void sync_done(struct sync *sync)
{
    claims_done(&sync->claims);
    node_done(&sync->node);
    arena_done(&sync->scratch);
    free(sync->planned);
}

/* The node is an input of every entry and of the table's rules: its change is everybody's. Labels, of this
 * node and of those where endpoints are, concern the services that go by them. */
static void refresh_node(struct sync *sync)
{
    struct node_facts fresh;
    node_build(sync->options, sync->store, sync->interfaces, &fresh);
    bool is_same = node_is_same(&fresh, &sync->node);
    node_done(&sync->node);
    sync->node = fresh;
    sync->node.dataplane.view = &sync->node.view;
    if (sync->store->node_labels_changed)
        store_mark_topology_dirty(sync->store);
    sync->store->node_labels_changed = false;
    if (is_same)
        return;
    sync->needs_load = true;
    store_mark_all_dirty(sync->store);
}

static void on_claim_moved(void *context, const char *owner)
{
    struct sync *sync = context;
    struct service_record *record;
    HASH_FIND(hh, sync->store->services, owner, strlen(owner), record);
    if (record)
        store_mark_dirty(sync->store, record);
}

static void on_claim_lost(void *context, const struct frontend *frontend, const char *owner,
                          const char *winner)
{
    struct sync *sync = context;
    char sentence[1024];
    if (!sync->report)
        return;
    struct text address = {0};
    describe_frontend_address(frontend, &address);
    snprintf(sentence, sizeof(sentence), "Service %s: %s %s is served by Service %s, which has it too", owner,
             frontend_kind_name(frontend->kind), text_str(&address), winner);
    text_done(&address);
    sync->report(sync->context, sentence);
}

static void remember_planned(struct sync *sync, struct service_record *record)
{
    if (sync->planned_count == sync->planned_capacity) {
        sync->planned_capacity = sync->planned_capacity ? sync->planned_capacity * 2 : 64;
        sync->planned = xrealloc(sync->planned, sync->planned_capacity * sizeof(*sync->planned));
    }
    sync->planned[sync->planned_count++] = record;
    record->is_planned = true;
}

/* One service, whole, from its own inputs. A service that loses or wins a frontend by it comes up again. */
static void plan(struct sync *sync, struct service_record *record)
{
    struct entry *before = record->is_planned ? record->planned : record->entry;
    arena_reset(&sync->scratch);
    struct entry *next =
        entry_build(record->service, record->slices, record->slice_count, &sync->node.view, &sync->scratch);
    entry_keep_slots(record->entry, next, &sync->scratch);
    claims_update(&sync->claims, record->key, before, next, on_claim_moved, on_claim_lost, sync);
    if (record->is_planned)
        slab_free(before);
    else
        remember_planned(sync, record);
    record->planned = next;
}

const struct entry **sync_entries(const struct sync *sync, size_t *ret_count)
{
    size_t count = 0;
    const struct entry **entries = xcalloc(HASH_COUNT(sync->store->services), sizeof(*entries));
    for (const struct service_record *record = sync->store->services; record; record = record->hh.next) {
        const struct entry *entry = record->is_planned ? record->planned : record->entry;
        if (entry)
            entries[count++] = entry;
    }
    *ret_count = count;
    return entries;
}

static int load(struct sync *sync, struct dataplane_result *ret, struct err *err)
{
    size_t count;
    cleanup_free const struct entry **entries = sync_entries(sync, &count);
    return sync->dataplane->ops->load(sync->dataplane, &sync->node.dataplane, entries, count, ret, err);
}

static struct dataplane_change *planned_changes(const struct sync *sync)
{
    struct dataplane_change *changes = xcalloc(sync->planned_count, sizeof(*changes));
    for (size_t i = 0; i < sync->planned_count; i++)
        changes[i] =
            (struct dataplane_change){.old = sync->planned[i]->entry, .next = sync->planned[i]->planned};
    return changes;
}

static int apply(struct sync *sync, struct dataplane_result *ret, struct err *err)
{
    cleanup_free struct dataplane_change *changes = planned_changes(sync);
    int code = -EXFULL;
    sync->is_load = sync->needs_load;
    sync->needs_load = false;
    if (!sync->is_load)
        code = sync->dataplane->ops->sync(sync->dataplane, &sync->node.dataplane, changes,
                                          sync->planned_count, ret, err);
    /* EXFULL: the table's sets are full and are made anew, larger, in one load. */
    if (code == -EXFULL)
        code = load(sync, ret, err);
    return code;
}

static void count_empty_locals(struct sync *sync, const struct entry *entry, int step)
{
    for (int family = 0; entry && family < FAMILY_COUNT; family++) {
        sync->empty_locals[family][0] += (uint64_t)(step * entry->has_empty_internal_local[family]);
        sync->empty_locals[family][1] += (uint64_t)(step * entry->has_empty_external_local[family]);
    }
}

/* What was planned is in force. After a failure it stays planned, so that the turn that succeeds at last
 * knows what was in force before: conntrack has to forget the difference. */
static void settle(struct sync *sync)
{
    for (size_t i = 0; i < sync->planned_count; i++) {
        struct service_record *record = sync->planned[i];
        count_empty_locals(sync, record->entry, -1);
        count_empty_locals(sync, record->planned, 1);
        slab_free(record->entry);
        record->entry = record->planned;
        record->planned = NULL;
        record->is_planned = false;
        store_record_release(sync->store, record);
    }
    sync->planned_count = 0;
}

void sync_plan_all(struct sync *sync)
{
    struct service_record *record;
    refresh_node(sync);
    while ((record = store_take_dirty(sync->store)))
        plan(sync, record);
}

int sync_finish(struct sync *sync, int code, const struct dataplane_result *dataplane,
                struct sync_result *ret)
{
    sync->is_under_way = false;
    sync->failures = code < 0 ? sync->failures + 1 : 0;
    sync->needs_load |= code < 0;
    *ret = (struct sync_result){0};
    if (code < 0)
        return code;
    *ret = (struct sync_result){.did_program = true,
                                .was_full = sync->is_load || dataplane->was_full,
                                .changed = (uint32_t)sync->planned_count,
                                .dataplane = *dataplane};
    if (sync->applied) {
        cleanup_free struct dataplane_change *changes = planned_changes(sync);
        sync->applied(sync->context, changes, sync->planned_count);
    }
    settle(sync);
    sync->is_programmed = true;
    sync->turns++;
    return 0;
}

int sync_turn(struct sync *sync, struct sync_result *ret, struct err *err)
{
    struct dataplane_result result = {0};
    *ret = (struct sync_result){0};
    if (!sync->is_source_synced || sync->is_under_way)
        return 0;
    sync_plan_all(sync);
    if (sync->planned_count == 0 && !sync->needs_load)
        return 0;
    int code = apply(sync, &result, err);
    if (code == -EINPROGRESS) {
        sync->is_under_way = true;
        return 0;
    }
    return sync_finish(sync, code, &result, ret);
}

unsigned sync_retry_delay_ms(const struct sync *sync)
{
    unsigned doublings = sync->failures > 0 ? sync->failures - 1 : 0;
    return doublings >= 9 ? 30000 : 100u << doublings;
}
