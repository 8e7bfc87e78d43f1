/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/endpoint_counts.h"

#include "base/slab.h"
#include "base/text.h"
#include "store/store.h"
#include "store/test_objects.h"

#include <stdlib.h>

#define HERE(address, more) "{addresses: [" address "], nodeName: here, zone: east" more "},"
#define THERE(address, more) "{addresses: [" address "], nodeName: there, zone: west" more "},"
#define UNREADY ", conditions: {ready: false, serving: false}"
#define TERMINATING ", conditions: {ready: false, serving: true, terminating: true}"
#define DYING ", conditions: {ready: false, serving: false, terminating: true}"
#define FOR(zone) ", hints: {forZones: [{name: " zone "}]}"
#define WEB(more) TEST_SERVICE("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]" more)
#define LOCAL_OUTSIDE                                                                                        \
    TEST_SERVICE("web", "type: NodePort, externalTrafficPolicy: Local, clusterIP: 10.96.0.1, "               \
                        "ports: [{port: 80, nodePort: 30080}]")
#define SLICE(name, endpoints) TEST_SLICE(name, "web", "IPv4", "{port: 8080}", endpoints)

static const struct {
    const char *why, *yaml, *counts; /* all ready serving terminating local used */
} cases[] = {
    {"nobody", WEB(""), "0 0 0 0 0 0"},
    {"here and there", WEB("") SLICE("s", HERE("10.0.0.1", "") THERE("10.0.0.2", "") THERE("10.0.0.3", "")),
     "3 3 3 0 1 3"},
    {"each condition; only the ready are used",
     WEB("") SLICE("s", HERE("10.0.0.1", "") HERE("10.0.0.2", UNREADY) HERE("10.0.0.3", TERMINATING)
                            HERE("10.0.0.4", DYING) THERE("10.0.0.5", "")),
     "5 2 3 2 1 2"},
    {"those that serve while they terminate, when nobody is ready",
     WEB("") SLICE("s", HERE("10.0.0.3", TERMINATING) THERE("10.0.0.4", DYING)), "2 0 1 2 0 1"},
    {"hints", WEB("") SLICE("s", HERE("10.0.0.1", FOR("east")) THERE("10.0.0.2", FOR("west"))),
     "2 2 2 0 1 1"},
    {"internalTrafficPolicy Local",
     WEB(", internalTrafficPolicy: Local") SLICE("s", HERE("10.0.0.1", "") THERE("10.0.0.2", "")),
     "2 2 2 0 1 1"},
    {"internalTrafficPolicy Local without anybody",
     WEB(", internalTrafficPolicy: Local") SLICE("s", THERE("10.0.0.2", "")), "1 1 1 0 0 0"},
    {"externalTrafficPolicy Local narrows only what comes from outside",
     LOCAL_OUTSIDE SLICE("s", HERE("10.0.0.1", "") THERE("10.0.0.2", "")), "2 2 2 0 1 2"},
    {"with both policies Local this node's own pods still go anywhere by the node port",
     TEST_SERVICE("web", "type: NodePort, externalTrafficPolicy: Local, internalTrafficPolicy: Local, "
                         "clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]")
         SLICE("s", HERE("10.0.0.1", "") THERE("10.0.0.2", "")),
     "2 2 2 0 1 2"},
    {"an address in two slices is one endpoint",
     WEB("") SLICE("s1", HERE("10.0.0.1", UNREADY) THERE("10.0.0.2", "")) SLICE("s2", HERE("10.0.0.1", "")),
     "2 2 2 0 1 2"},
    {"a port that the slice lacks is nowhere to go",
     WEB("") TEST_SLICE("s", "web", "IPv4", "{name: other, port: 8080}", HERE("10.0.0.1", "")),
     "1 1 1 0 1 0"},
    {"two ports with an endpoint each",
     TEST_SERVICE("web", "clusterIP: 10.96.0.1, ports: [{name: a, port: 80}, {name: b, port: 81}]")
         TEST_SLICE("s1", "web", "IPv4", "{name: a, port: 1}", HERE("10.0.0.1", "") HERE("10.0.0.3", ""))
             TEST_SLICE("s2", "web", "IPv4", "{name: b, port: 2}",
                        THERE("10.0.0.2", "") HERE("10.0.0.3", "")),
     "3 3 3 0 2 3"},
    {"the other family's are not counted",
     WEB("") SLICE("s4", HERE("10.0.0.1", ""))
         TEST_SLICE("s6", "web", "IPv6", "{port: 8080}", "{addresses: [\"fd00::1\"]}"),
     "1 1 1 0 1 1"},
};

enum proxied { PROXIED, NOT_PROXIED, SHADOWED };

static void count(const struct store *store, struct text *ret, enum proxied proxied)
{
    const struct node_view node = {.name = intern_find(store->names, "here"),
                                   .zone = intern_find(store->names, "east"),
                                   .store = store,
                                   .has_family = {true, true}};
    const struct service_record *record = test_record(store, "web");
    struct arena scratch = {0};
    struct entry *entry = proxied == NOT_PROXIED ? NULL
                                                 : entry_build(record->service, record->slices,
                                                               record->slice_count, &node, &scratch);
    for (uint32_t i = 0; proxied == SHADOWED && i < entry->frontend_count; i++)
        entry->frontends[i].is_shadowed = true;
    struct endpoint_counts counts =
        endpoint_counts_of(record->slices, record->slice_count, entry, FAMILY_IPV4, &node, &scratch);
    text_printf(ret, "%u %u %u %u %u %u", counts.all, counts.ready, counts.serving, counts.terminating,
                counts.local, counts.used);
    slab_free(entry);
    arena_done(&scratch);
}

static void test_counts(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store *store = test_store(cases[i].yaml);
        struct text text = {0};
        count(store, &text, PROXIED);
        if (!text_equal(text_str(&text), cases[i].counts))
            fail_msg("%s: %s, not %s", cases[i].why, text_str(&text), cases[i].counts);
        text_done(&text);
        store_free(store);
    }
}

/* Another proxy's Service, and one all of whose frontends another Service has. */
static void test_not_proxied(void **state)
{
    struct store *store = test_store(cases[1].yaml);
    struct text text = {0};
    count(store, &text, NOT_PROXIED);
    text_add(&text, "; ");
    count(store, &text, SHADOWED);
    assert_string_equal(text_str(&text), "3 3 3 0 1 0; 3 3 3 0 1 0");
    text_done(&text);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_not_proxied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
