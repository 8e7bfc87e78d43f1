/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "recorder.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "forwarding/describe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void forget(struct holding **list)
{
    struct holding *holding, *next;
    HASH_ITER (hh, *list, holding, next) {
        HASH_DEL(*list, holding);
        free(holding->text);
        free(holding);
    }
}

static void hold(struct holding **list, const char *name, const char *text)
{
    struct holding *holding;
    HASH_FIND_STR(*list, name, holding);
    if (!holding && text) {
        holding = xcalloc(1, sizeof(*holding) + strlen(name) + 1);
        strcpy(holding->name, name);
        HASH_ADD_KEYPTR(hh, *list, holding->name, strlen(name), holding);
    } else if (holding) {
        free(holding->text);
        holding->text = NULL;
    }
    if (text) {
        holding->text = xstrdup(text);
    } else if (holding) {
        HASH_DEL(*list, holding);
        free(holding);
    }
}

static void hold_entry(struct recorder *recorder, const struct entry *entry)
{
    struct text text = {0};
    recorder_describe(entry, &text);
    hold(&recorder->now, entry->name, text.data);
    text_done(&text);
}

static void remember_before(struct recorder *recorder)
{
    forget(&recorder->before);
    for (const struct holding *at = recorder->now; at; at = at->hh.next)
        hold(&recorder->before, at->name, at->text);
}

const char *recorder_find(const struct holding *list, const char *name)
{
    struct holding *holding;
    HASH_FIND_STR(list, name, holding);
    return holding ? holding->text : NULL;
}

static int backend_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address) + sizeof(uint16_t));
}

static void describe_set(const struct backend_set *set, struct text *ret)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    struct backend *sorted = xcalloc(set->count, sizeof(*sorted));
    memcpy(sorted, set->list, set->count * sizeof(*sorted));
    qsort(sorted, set->count, sizeof(*sorted), backend_order);
    text_add(ret, " [");
    for (uint32_t i = 0; i < set->count; i++) {
        const struct socket_address socket = {sorted[i].address, sorted[i].port};
        text_printf(ret, " %s", socket_address_format(&socket, text));
    }
    text_add(ret, " ]");
    free(sorted);
}

static void describe_addresses(const char *label, const struct address *list, uint32_t count,
                               struct text *ret)
{
    char text[ADDRESS_TEXT_MAX];
    text_printf(ret, "%s", label);
    for (uint32_t i = 0; i < count; i++)
        text_printf(ret, " %s", address_format(&list[i], text));
    text_add(ret, "\n");
}

void recorder_describe(const struct entry *entry, struct text *ret)
{
    char text[PREFIX_TEXT_MAX];
    for (uint32_t i = 0; i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        describe_frontend_address(frontend, ret);
        text_printf(ret, " of %s: kind %d verdict %d masquerade %d ranged %d shadowed %d affinity %u",
                    entry->port_names[frontend->port_index], frontend->kind, frontend->verdict,
                    frontend->masquerade, frontend->is_source_ranged, frontend->is_shadowed,
                    frontend->affinity_seconds);
        describe_set(frontend->backends, ret);
        if (frontend->short_circuits)
            describe_set(frontend->shortcut, ret);
        text_add(ret, "\n");
    }
    for (uint32_t i = 0; i < entry->serving_count; i++) {
        text_printf(ret, "serving %u %s", entry->serving[i].port_index,
                    family_name(entry->serving[i].family));
        describe_set(&entry->serving[i].backends, ret);
        text_add(ret, "\n");
    }
    describe_addresses("cluster IPs", entry->cluster_ips, entry->cluster_ip_count, ret);
    describe_addresses("hairpins", entry->hairpins, entry->hairpin_count, ret);
    for (uint32_t i = 0; i < entry->source_range_count; i++)
        text_printf(ret, "from %s\n", prefix_format(&entry->source_ranges[i], text));
    text_printf(ret, "health %u: %u, %u\n", entry->health_check_node_port,
                entry->local_endpoint_count[FAMILY_IPV4], entry->local_endpoint_count[FAMILY_IPV6]);
}

static int next_failure(struct recorder *recorder, struct err *err)
{
    int code = recorder->failures[0];
    if (code == 0)
        return 0;
    memmove(recorder->failures, recorder->failures + 1, sizeof(recorder->failures) - sizeof(int));
    recorder->failures[ARRAY_LEN(recorder->failures) - 1] = 0;
    text_add(&recorder->calls, "fail; ");
    return err_set(err, -code, "the recorder was told to refuse");
}

static int name_order(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->name, (*(const struct entry *const *)b)->name);
}

static const char *bare_name(const struct entry *entry)
{
    return strchr(entry->name, '/') + 1;
}

/* What a dataplane may rely on: the node's facts are whole and each service comes once. */
static void take_node(struct recorder *recorder, const struct dataplane_node *node)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < node->node_port_address_count; i++)
        set += address_is_set(&node->node_port_addresses[i]);
    for (uint32_t i = 0; i < node->service_cidr_count; i++)
        assert_true(address_is_set(&node->service_cidrs[i].address));
    assert_non_null(node->view);
    recorder->node_port_addresses = set;
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct recorder *recorder = (struct recorder *)dataplane;
    const struct entry **sorted = xcalloc(count, sizeof(*sorted));
    memcpy(sorted, entries, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), name_order);
    text_add(&recorder->calls, "load");
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name) != 0);
        text_printf(&recorder->calls, " %s", bare_name(sorted[i]));
    }
    text_add(&recorder->calls, "; ");
    free(sorted);
    take_node(recorder, node);
    int code = next_failure(recorder, err);
    if (code < 0)
        return code;
    remember_before(recorder);
    forget(&recorder->now);
    for (size_t i = 0; i < count; i++)
        hold_entry(recorder, entries[i]);
    *ret = (struct dataplane_result){.was_full = true, .transactions = 1};
    return 0;
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct recorder *recorder = (struct recorder *)dataplane;
    text_add(&recorder->calls, "sync");
    for (size_t i = 0; i < count; i++)
        text_printf(&recorder->calls, " %c%s",
                    !changes[i].old   ? '+'
                    : changes[i].next ? '~'
                                      : '-',
                    changes[i].old || changes[i].next
                        ? bare_name(changes[i].old ? changes[i].old : changes[i].next)
                        : "?");
    text_add(&recorder->calls, "; ");
    take_node(recorder, node);
    int code = next_failure(recorder, err);
    if (code < 0)
        return code;
    remember_before(recorder);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].next)
            hold_entry(recorder, changes[i].next);
        else if (changes[i].old)
            hold(&recorder->now, changes[i].old->name, NULL);
    }
    *ret = (struct dataplane_result){.transactions = 1};
    return 0;
}

static const struct dataplane_ops recorder_ops = {.name = "recorder", .load = load, .sync = sync_};

void recorder_init(struct recorder *recorder)
{
    *recorder = (struct recorder){.base = {.ops = &recorder_ops}};
    text_add(&recorder->calls, "");
}

void recorder_done(struct recorder *recorder)
{
    forget(&recorder->now);
    forget(&recorder->before);
    text_done(&recorder->calls);
}
