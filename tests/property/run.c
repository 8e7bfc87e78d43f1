/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run.h"

#include "base/cleanup.h"
#include "dataplane/nftables/nftables.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool enter_namespace(void)
{
    struct err err = {0};
    if (unshare(CLONE_NEWNET) < 0) {
        printf("skipped: no new network namespace here: %s\n", strerror(errno));
        return false;
    }
    if (nftables_dataplane.probe(&err) < 0) {
        printf("skipped: %s\n", err.text);
        return false;
    }
    return true;
}

static void must(int code, const struct err *err)
{
    if (code >= 0)
        return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

void run_init(struct run *run, struct world *world)
{
    struct err err = {0};
    *run = (struct run){.world = world,
                        .store = store_new(),
                        .options = {.node_name = WORLD_NODE, .local_detect = LOCAL_DETECT_CIDR}};
    run->options.has_cluster_cidr[FAMILY_IPV4] = true;
    prefix_parse("10.0.0.0/16", &run->options.cluster_cidr[FAMILY_IPV4], NULL);
    must(nftables_dataplane.open(&run->dataplane, &(struct dataplane_owner){0}, &err), &err);
    must(kernel_open(&run->kernel, &err), &err);
    sync_init(&run->sync, run->store, run->dataplane, &run->options, &world->interfaces);
    run->sync.is_source_synced = true;
}

static void close_all(struct run *run)
{
    sync_done(&run->sync);
    run->dataplane->ops->close(run->dataplane);
    kernel_close(&run->kernel);
    store_free(run->store);
}

void run_restart(struct run *run)
{
    struct world *world = run->world;
    close_all(run);
    run_init(run, world);
    world_fill(world, run->store);
}

void run_done(struct run *run)
{
    struct err err = {0};
    close_all(run);
    must(nftables_dataplane.cleanup(&err), &err);
}

void run_inject_failure(struct run *run, unsigned skip)
{
    struct nftables *nftables = (struct nftables *)run->dataplane;
    nftables->fail_at = nftables->transactions + 1 + skip;
}

void run_forget_failure(struct run *run)
{
    ((struct nftables *)run->dataplane)->fail_at = 0;
}

bool run_collect_all(struct run *run, struct err *err)
{
    for (int i = 0; i < 5; i++) {
        struct dataplane_result result;
        if (run->dataplane->ops->collect_delay_ms(run->dataplane) < 0)
            return true;
        if (run->dataplane->ops->collect(run->dataplane, &result, err) < 0)
            return false;
    }
    err_set(err, EAGAIN, "collect never comes to an end");
    return false;
}

static int element_order(const void *a, const void *b)
{
    return element_cmp(a, b);
}

static void sort_unique(struct element_list *list)
{
    uint32_t kept = 0;
    if (list->count > 1)
        qsort(list->list, list->count, sizeof(*list->list), element_order);
    for (uint32_t i = 0; i < list->count; i++)
        if (kept == 0 || element_cmp(&list->list[kept - 1], &list->list[i]) != 0)
            list->list[kept++] = list->list[i];
    list->count = kept;
}

static void add_verdict(struct element_list *wanted, const struct element *value, enum set_id set)
{
    struct element verdict = {.family = value->family, .set = set};
    memcpy(verdict.key, value->data, sizeof(uint32_t));
    element_set_verdict(&verdict);
    if (set != 0)
        element_list_add(wanted, &verdict);
}

static void build_wanted(struct run *run, struct element_list *wanted)
{
    size_t count;
    struct numbers ids = {0};
    cleanup_free const struct entry **entries = sync_entries(&run->sync, &count);
    for (size_t i = 0; i < count; i++) {
        struct element_list own = {.arena = wanted->arena};
        elements_build_own(entries[i], &ids, &own);
        for (uint32_t e = 0; e < own.count; e++) {
            element_list_add(wanted, &own.list[e]);
            add_verdict(wanted, &own.list[e], set_schema(own.list[e].set)->verdicts);
            add_verdict(wanted, &own.list[e], set_schema(own.list[e].set)->source_verdicts);
        }
        elements_build_shared(entries[i], wanted);
    }
    struct element_list of_node = {.arena = wanted->arena};
    elements_build_node(&run->sync.node.dataplane, &of_node);
    for (uint32_t e = 0; e < of_node.count; e++)
        element_list_add(wanted, &of_node.list[e]);
    sort_unique(wanted);
    numbers_done(&ids);
}

struct client_check {
    struct run *run;
    struct numbers ids;
    struct text *words;
    bool is_wrong;
};

static bool has_backend(const struct backend_set *set, const struct element *client)
{
    size_t len;
    for (uint32_t i = 0; set && i < set->count; i++) {
        uint16_t port_be = (uint16_t)(set->list[i].port << 8 | set->list[i].port >> 8);
        const uint8_t *wire = address_wire(&set->list[i].address, &len);
        if (len == field_len(FIELD_DADDR, client->family) && memcmp(wire, client->data, len) == 0 &&
            memcmp(&port_be, client->data + len, sizeof(port_be)) == 0)
            return true;
    }
    return false;
}

static void check_client(const struct element *client, void *context)
{
    struct client_check *check = context;
    uint32_t id;
    size_t count;
    memcpy(&id, client->key + field_len(FIELD_SADDR, client->family) + 4, sizeof(id));
    cleanup_free const struct entry **entries = sync_entries(&check->run->sync, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_mine = false, has = false;
        for (uint32_t f = 0; f < entries[i]->frontend_count; f++) {
            const struct frontend *frontend = &entries[i]->frontends[f];
            if (!frontend->affinity_seconds || frontend->family != client->family)
                continue;
            if (affinity_id(&check->ids, entries[i], frontend, false) == id) {
                is_mine = true;
                has |= has_backend(frontend_set(frontend), client);
            }
            if (frontend->short_circuits && affinity_id(&check->ids, entries[i], frontend, true) == id) {
                is_mine = true;
                has |= has_backend(frontend->shortcut, client);
            }
        }
        if (is_mine && !has && !check->is_wrong) {
            check->is_wrong = true;
            text_printf(check->words,
                        "a client of %s sticks to an endpoint that is gone: ", entries[i]->name);
            element_format(client, check->words);
        }
    }
}

static bool has_lost_clients(struct run *run, struct text *words)
{
    struct client_check check = {.run = run, .words = words};
    struct err err = {0};
    for (int family = 0; family < FAMILY_COUNT; family++) {
        int code = readback_set(&run->kernel, (enum family)family, SET_AFFINITY, check_client, &check, &err);
        if (code != -ENOENT)
            must(code, &err);
    }
    numbers_done(&check.ids);
    return check.is_wrong;
}

bool run_is_wrong(struct run *run, bool is_settled, struct text *words)
{
    struct snapshot snapshot;
    struct err err = {0};
    must(snapshot_take(&snapshot, &run->kernel, &err), &err);
    bool is_wrong = snapshot_has_gap(&snapshot, words);
    if (!is_wrong && is_settled) {
        struct element_list wanted = {.arena = &snapshot.arena};
        build_wanted(run, &wanted);
        is_wrong = snapshot_differs_from_wanted(&snapshot, &wanted, words) || has_lost_clients(run, words);
    }
    snapshot_done(&snapshot);
    return is_wrong;
}

static int write_batch(struct run *run, struct batch *batch)
{
    struct element blamed;
    struct err err = {0};
    int code = kernel_commit(&run->kernel, batch, 0, &blamed, &err);
    batch_done(batch);
    return code;
}

bool run_add_client(struct run *run, struct dice *dice)
{
    size_t count, len;
    struct numbers ids = {0};
    bool is_added = false;
    cleanup_free const struct entry **entries = sync_entries(&run->sync, &count);
    for (unsigned attempts = 0; count && attempts < 20 && !is_added; attempts++) {
        const struct entry *entry = entries[dice_below(dice, (uint32_t)count)];
        if (entry->frontend_count == 0)
            continue;
        const struct frontend *frontend = &entry->frontends[dice_below(dice, entry->frontend_count)];
        const struct backend_set *set = frontend_set(frontend);
        if (!set || set->count == 0 || frontend->affinity_seconds == 0)
            continue;
        const struct backend *backend = &set->list[dice_below(dice, set->count)];
        uint32_t id = affinity_id(&ids, entry, frontend, false);
        uint32_t client_address = dice_below(dice, 50);
        unsigned address_len = field_len(FIELD_SADDR, frontend->family);
        uint16_t port_be = (uint16_t)(backend->port << 8 | backend->port >> 8);
        struct element client = {.family = frontend->family, .set = SET_AFFINITY};
        memcpy(client.key, &client_address, sizeof(client_address));
        client.key[address_len] = frontend->protocol;
        memcpy(client.key + address_len + 4, &id, sizeof(id));
        memcpy(client.data, address_wire(&backend->address, &len), address_len);
        memcpy(client.data + address_len, &port_be, sizeof(port_be));
        struct batch batch;
        batch_init(&batch);
        batch_add_element(&batch, &client);
        is_added = write_batch(run, &batch) == 0;
    }
    numbers_done(&ids);
    return is_added;
}

static void count_client(const struct element *element, void *context)
{
    (void)element;
    ++*(uint32_t *)context;
}

uint32_t run_count_clients(struct run *run, enum family family)
{
    uint32_t count = 0;
    struct err err = {0};
    must(readback_set(&run->kernel, family, SET_AFFINITY, count_client, &count, &err), &err);
    return count;
}

static void damage_element(struct dice *dice, const struct element *any, struct batch *batch, bool replaces)
{
    struct element element = *any;
    enum set_data data = set_schema(element.set)->data;
    if (element.set == SET_SERVICE_CIDRS)
        return; /* read back as bounds, which nobody can delete one by one */
    batch_delete_element(batch, &element);
    if (!replaces || data == DATA_NONE || data == DATA_VERDICT)
        return;
    element.data[dice_below(dice, 4)] ^= (uint8_t)(1 + dice_below(dice, 3));
    batch_add_element(batch, &element);
}

static void write_damage(struct dice *dice, const struct snapshot *snapshot, struct batch *batch)
{
    const struct element *any = &snapshot->elements.list[dice_below(dice, snapshot->elements.count)];
    struct chain chain = {.name = "foreign"};
    struct element stray = {.family = any->family,
                            .set = dice_one_in(dice, 2) ? SET_HAIRPIN : SET_NODE_ENDPOINTS};
    stray.key[0] = (uint8_t)dice_below(dice, 255);
    uint32_t kind = dice_below(dice, 13);
    if (kind == 0)
        batch_delete_table(batch, any->family);
    else if (kind == 1)
        batch_flush_rules(batch, any->family);
    else if (kind == 2)
        batch_add_chain(batch, any->family, &chain);
    else if (kind == 3)
        batch_add_element(batch, &stray);
    else if (kind < 6)
        batch_flush_set(batch, any->family, any->set);
    else
        damage_element(dice, any, batch, kind < 9);
}

bool run_damage(struct run *run, struct dice *dice)
{
    struct snapshot snapshot;
    struct err err = {0};
    struct batch batch;
    must(snapshot_take(&snapshot, &run->kernel, &err), &err);
    batch_init(&batch);
    if (snapshot.elements.count)
        write_damage(dice, &snapshot, &batch);
    bool is_done = !batch_is_empty(&batch) && write_batch(run, &batch) == 0;
    batch_done(&batch);
    snapshot_done(&snapshot);
    return is_done;
}
