/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "store/test_objects.h"

#include <stdio.h>

#define SERVICE(name) TEST_SERVICE(name, "clusterIP: 10.96.0.1, ports: [{port: 80}]")
#define SLICE(name, service) TEST_SLICE(name, service, "IPv4", "{port: 8080}", "{addresses: [10.0.0.1]}")

/* Empties the dirty list; the names in its order. */
static void expect_dirty(struct store *store, const char *expected)
{
    struct text got = {0};
    struct service_record *record;
    uint32_t count = store->dirty_count;
    text_add(&got, "");
    while ((record = store_take_dirty(store))) {
        text_printf(&got, "%s%s", got.len ? " " : "", strchr(record->key, '/') + 1);
        count--;
        store_record_release(store, record);
    }
    assert_string_equal(text_str(&got), expected);
    assert_int_equal(count, 0);
    text_done(&got);
}

static void changes_make_dirty_once_and_in_order(void **state)
{
    struct store *store = store_new();
    expect_dirty(store, "");
    test_put(store, SERVICE("b") SERVICE("a") SLICE("s1", "a") SLICE("s2", "b"));
    expect_dirty(store, "b a");
    test_put(store, SLICE("s1", "a"));
    expect_dirty(store, "a");
    store_mark_all_dirty(store);
    store_mark_all_dirty(store);
    test_put(store, SERVICE("c"));
    expect_dirty(store, "b a c");
    assert_int_equal(store->service_changes, 3);
    assert_int_equal(store->endpoint_changes, 3);
    store_free(store);
}

static void slices_hang_on_the_service_that_they_name(void **state)
{
    struct store *store = test_store(SLICE("s2", "a") SLICE("s1", "a") SLICE("s3", "a"));
    struct service_record *record = test_record(store, "a");
    assert_null(record->service); /* slices may come first */
    assert_int_equal(record->slice_count, 3);
    for (uint32_t i = 0; i < 3; i++) /* sorted, whatever came first */
        assert_int_equal(record->slices[i]->name[1], '1' + (int)i);
    test_put(store, SERVICE("a"));
    expect_dirty(store, "a");
    /* Moving a slice to another service touches both. */
    test_put(store, SLICE("s2", "b"));
    expect_dirty(store, "a b");
    assert_int_equal(record->slice_count, 2);
    assert_int_equal(test_record(store, "b")->slice_count, 1);
    /* And without the label it is nobody's. */
    test_put(store,
             "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s2}\naddressType: IPv4\n"
             "endpoints: []\nports: []\n");
    expect_dirty(store, "b");
    assert_null(store_service_find(store, "default", "b")); /* nothing left of it */
    store_slice_remove(store, "default", "s1");
    expect_dirty(store, "a");
    store_slice_remove(store, "default", "s1");
    store_slice_remove(store, "elsewhere", "s3");
    expect_dirty(store, "");
    store_free(store);
}

static void records_go_when_nothing_holds_them(void **state)
{
    struct store *store = test_store(SERVICE("a") SLICE("s1", "a"));
    store_service_remove(store, "default", "a");
    store_service_remove(store, "default", "a");
    expect_dirty(store, "a");
    struct service_record *record = test_record(store, "a"); /* its slice is still there */
    store_slice_remove(store, "default", "s1");
    assert_ptr_equal(store_take_dirty(store), record);
    record->is_planned = true;
    store_record_release(store, record);
    assert_ptr_equal(test_record(store, "a"), record); /* its withdrawal is still planned */
    record->is_planned = false;
    store_mark_dirty(store, record);
    store_record_release(store, record);
    assert_ptr_equal(test_record(store, "a"), record);
    expect_dirty(store, "a");
    assert_null(store_service_find(store, "default", "a"));
    assert_int_equal(HASH_COUNT(store->services), 0);
    store_free(store);
}

#define TRIGGERED(name, service, family, time)                                                               \
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name ", labels: "              \
    "{kubernetes.io/service-name: " service "}, annotations: "                                               \
    "{endpoints.kubernetes.io/last-change-trigger-time: \"1970-01-01T00:00:0" time                           \
    "Z\"}}\naddressType: " family "\nendpoints: []\nports: []\n---\n"

/* "service time" of what is noted, the times in seconds. */
static void expect_triggers(const struct store *store, const char *expected)
{
    struct text got = {0};
    text_add(&got, "");
    for (uint32_t i = 0; i < store->trigger_count; i++)
        text_printf(&got, "%s %s %llu|", strchr(store->triggers[i].owner->key, '/') + 1,
                    family_name(store->triggers[i].family),
                    (unsigned long long)store->triggers[i].time_ns / 1000000000);
    assert_string_equal(text_str(&got), expected);
    text_done(&got);
}

/* pkg/proxy/endpointschangetracker.go, EndpointSliceUpdate. */
static void every_change_of_a_slice_is_a_trigger(void **state)
{
    struct store *store = test_store(SLICE("s0", "a"));
    expect_triggers(store, "");
    test_put(store, TRIGGERED("s1", "a", "IPv4", "1") TRIGGERED("s2", "a", "IPv6", "2")
                        TRIGGERED("s3", "b", "IPv4", "3") TRIGGERED("s1", "a", "IPv4", "4"));
    expect_triggers(store, "a IPv4 1|a IPv6 2|b IPv4 3|a IPv4 4|");
    /* What goes away says when it last changed, not when it went; its service's others are given up with it.
     */
    store_slice_remove(store, "default", "s0");
    expect_triggers(store, "a IPv6 2|b IPv4 3|");
    store_slice_remove(store, "default", "s0");
    store_slice_remove(store, "default", "s2");
    expect_triggers(store, "b IPv4 3|");
    /* Nobody's slice triggers nothing. */
    test_put(store, TRIGGERED("s4", "\"\"", "IPv4", "5"));
    expect_triggers(store, "b IPv4 3|");
    store_forget_triggers(store);
    expect_triggers(store, "");
    store_free(store);
}

static void namespaces_stay_apart(void **state)
{
    struct store *store = test_store(SERVICE(
        "a") "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: other}\nspec: {clusterIP: "
             "10.96.0.2, ports: [{port: 80}]}\n---\n" SLICE("s1", "a"));
    assert_int_equal(store_service_find(store, "default", "a")->slice_count, 1);
    assert_int_equal(store_service_find(store, "other", "a")->slice_count, 0);
    store_remove(store, API_SERVICE, "other", "a");
    assert_non_null(store_service_find(store, "default", "a")->service);
    assert_null(store_service_find(store, "other", "a")->service);
    store_free(store);
}

static void slices_that_no_proxy_reads_are_left_out(void **state)
{
#define HEADLESS                                                                                             \
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s1, labels: "                    \
    "{kubernetes.io/service-name: a, service.kubernetes.io/headless: ''}}\naddressType: IPv4\nendpoints: "   \
    "[]\n---\n"
    struct store *store = test_store(SERVICE("a") SLICE("s1", "a"));
    assert_int_equal(test_record(store, "a")->slice_count, 1);
    test_put(store, HEADLESS); /* it became headless: what it said before goes */
    assert_int_equal(test_record(store, "a")->slice_count, 0);
    test_put(store, TEST_SLICE("s2", "a", "FQDN", "{port: 80}", "{addresses: [a.test]}"));
    assert_int_equal(test_record(store, "a")->slice_count, 0);
    assert_null(store->slices);
    store_free(store);
}

static void other_kinds_leave_no_trace(void **state)
{
    struct store *store = test_store("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n---\n"
                                     "apiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n---\n"
                                     "apiVersion: v1\nkind: Endpoints\nmetadata: {name: e}\n");
    assert_null(store->services);
    assert_null(store->slices);
    store_remove(store, API_POD, "default", "p");
    assert_int_equal(store->dirty_count, 0);
    store_free(store);
}

static void nodes_and_cidrs_tell_that_they_changed(void **state)
{
    struct store *store = store_new();
    test_put(store, TEST_NODE("one", "", "", ""));
    assert_true(store->nodes_changed);
    store->nodes_changed = false;
    store_node_remove(store, "other");
    assert_false(store->nodes_changed);
    store_remove(store, API_NODE, "", "one");
    assert_true(store->nodes_changed);
    assert_null(store_node_find(store, "one"));
    test_put(store, TEST_SERVICE_CIDR("c", "10.96.0.0/16, 'fd00:96::/112'"));
    test_put(store, TEST_SERVICE_CIDR("c", "10.96.0.0/16"));
    assert_true(store->service_cidrs_changed);
    assert_int_equal(HASH_COUNT(store->service_cidrs), 1);
    assert_int_equal(store->service_cidrs->service_cidr->cidr_count, 1);
    store_remove(store, API_SERVICE_CIDR, "", "c");
    assert_null(store->service_cidrs);
    store_free(store);
}

#define KEYED(name) TEST_SERVICE(name, "clusterIP: 10.96.0.1, ports: [{port: 80}], topologyKeys: [rack, '*']")

static void labels_concern_the_services_that_go_by_them(void **state)
{
    struct store *store = test_store(SERVICE("a") KEYED("b") SERVICE("c") SLICE("s1", "d") KEYED("e"));
    expect_dirty(store, "a b c d e");
    store_mark_topology_dirty(store);
    expect_dirty(store, "b e");
    test_put(store, SERVICE("b") KEYED("c")); /* one no longer, one from now on */
    store_service_remove(store, "default", "e");
    store_service_remove(store, "default", "e");
    expect_dirty(store, "b c e");
    assert_int_equal(store->topology_service_count, 1);
    store_mark_topology_dirty(store);
    expect_dirty(store, "c");
    store_service_remove(store, "default", "c");
    assert_int_equal(store->topology_service_count, 0);
    store_free(store);
}

static void a_change_of_labels_is_told(void **state)
{
    static const struct {
        const char *label, *before, *after; /* documents; "": the node is not there */
        bool is_change;
    } cases[] = {
        {"as it was", TEST_NODE("one", "a: b, c: d", "", ""), TEST_NODE("one", "c: d, a: b", "", ""), false},
        {"addresses alone", TEST_NODE("one", "a: b", "", ""),
         TEST_NODE("one", "a: b", "podCIDR: 10.0.0.0/24", "{type: InternalIP, address: 192.0.2.1}"), false},
        {"another value", TEST_NODE("one", "a: b", "", ""), TEST_NODE("one", "a: c", "", ""), true},
        {"another key", TEST_NODE("one", "a: b", "", ""), TEST_NODE("one", "b: b", "", ""), true},
        {"one more", TEST_NODE("one", "a: b", "", ""), TEST_NODE("one", "a: b, b: b", "", ""), true},
        {"one less", TEST_NODE("one", "a: b, b: b", "", ""), TEST_NODE("one", "a: b", "", ""), true},
        {"it comes", "", TEST_NODE("one", "a: b", "", ""), true},
        {"it comes with none", "", TEST_NODE("one", "", "", ""), false},
        {"another comes", TEST_NODE("two", "a: b", "", ""), TEST_NODE("one", "a: b", "", ""), true},
        {"it goes", TEST_NODE("one", "a: b", "", ""), "", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store *store = test_store(cases[i].before);
        store->node_labels_changed = false;
        if (*cases[i].after)
            test_put(store, cases[i].after);
        else
            store_remove(store, API_NODE, "", "one");
        if (store->node_labels_changed != cases[i].is_change)
            fail_msg("%s: %d", cases[i].label, store->node_labels_changed);
        store_free(store);
    }
}

static void names_are_numbers(void **state)
{
    struct intern *names = intern_new();
    char name[16];
    assert_int_equal(intern_id(names, NULL), 0);
    assert_int_equal(intern_id(names, ""), 0);
    assert_string_equal(intern_text(names, 0), "");
    assert_int_equal(intern_find(names, "n0"), 0);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 200; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            assert_int_equal(intern_id(names, name), i + 1);
        }
    }
    assert_int_equal(intern_find(names, "n7"), 8);
    assert_string_equal(intern_text(names, 8), "n7");
    assert_string_equal(intern_text(names, 201), "");
    intern_free(names);
    intern_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_make_dirty_once_and_in_order),
        cmocka_unit_test(slices_hang_on_the_service_that_they_name),
        cmocka_unit_test(records_go_when_nothing_holds_them),
        cmocka_unit_test(every_change_of_a_slice_is_a_trigger),
        cmocka_unit_test(namespaces_stay_apart),
        cmocka_unit_test(slices_that_no_proxy_reads_are_left_out),
        cmocka_unit_test(other_kinds_leave_no_trace),
        cmocka_unit_test(nodes_and_cidrs_tell_that_they_changed),
        cmocka_unit_test(labels_concern_the_services_that_go_by_them),
        cmocka_unit_test(a_change_of_labels_is_told),
        cmocka_unit_test(names_are_numbers),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
