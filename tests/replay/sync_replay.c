/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk (daemon/sync.c) turn by turn, with objects instead of a source and a recorder instead of a kernel.
 */
#include "daemon/sync.h"

#include "base/cleanup.h"
#include "recorder.h"
#include "store/test_objects.h"

#include <errno.h>

struct fixture {
    struct store *store;
    struct recorder recorder;
    struct options options;
    struct interface_addresses interfaces;
    struct address interface_list[2];
    struct sync sync;
    struct text reports;
    unsigned applied; /* changes told by the last turn */
};

static void on_report(void *context, const char *sentence)
{
    text_printf(&((struct fixture *)context)->reports, "%s\n", sentence);
}

/* Old entries are what the dataplane held before, new ones what it holds now: conntrack relies on it. */
static void on_applied(void *context, const struct dataplane_change *changes, size_t count)
{
    struct fixture *fixture = context;
    for (size_t i = 0; i < count; i++) {
        struct text old = {0}, next = {0};
        if (!changes[i].old && !changes[i].next)
            continue;
        const char *name = (changes[i].old ? changes[i].old : changes[i].next)->name;
        const char *before = recorder_find(fixture->recorder.before, name);
        const char *now = recorder_find(fixture->recorder.now, name);
        assert_int_equal(before != NULL, changes[i].old != NULL);
        assert_int_equal(now != NULL, changes[i].next != NULL);
        if (changes[i].old) {
            recorder_describe(changes[i].old, &old);
            assert_string_equal(old.data, before);
        }
        if (changes[i].next) {
            recorder_describe(changes[i].next, &next);
            assert_string_equal(next.data, now);
        }
        text_done(&old);
        text_done(&next);
    }
    fixture->applied = (unsigned)count;
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->store = store_new();
    recorder_init(&fixture->recorder);
    fixture->options = (struct options){.node_name = "here", .node_ports_on_primary = true};
    address_parse("192.0.2.1", &fixture->interface_list[0], NULL);
    address_parse("192.0.2.2", &fixture->interface_list[1], NULL);
    fixture->interfaces = (struct interface_addresses){.list = fixture->interface_list, .count = 1};
    sync_init(&fixture->sync, fixture->store, &fixture->recorder.base, &fixture->options,
              &fixture->interfaces);
    fixture->sync.report = on_report;
    fixture->sync.applied = on_applied;
    fixture->sync.context = fixture;
    fixture->sync.is_source_synced = true;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    sync_done(&fixture->sync);
    store_free(fixture->store);
    recorder_done(&fixture->recorder);
    text_done(&fixture->reports);
    free(fixture);
    return 0;
}

/* One turn; the calls that it made are exactly these. */
static struct sync_result turn(struct fixture *fixture, int code, const char *calls)
{
    struct sync_result result = {.changed = 77};
    struct err err = {0};
    fixture->applied = 0;
    assert_int_equal(sync_turn(&fixture->sync, &result, &err), code);
    assert_true(code == 0 || err.text[0]);
    assert_string_equal(fixture->recorder.calls.data, calls);
    if (code < 0)
        assert_false(result.did_program || result.changed);
    text_done(&fixture->recorder.calls);
    text_add(&fixture->recorder.calls, "");
    return result;
}

#define SERVICE(name, n) TEST_SERVICE(name, "clusterIP: 10.96.0." n ", ports: [{port: 80}]")
#define SLICE(service, n)                                                                                    \
    TEST_SLICE("s-" service, service, "IPv4", "{port: 8080}", "{addresses: [10.0.0." n "], nodeName: here}")
#define NODE_PORT(name, n, port)                                                                             \
    TEST_SERVICE(name, "type: NodePort, clusterIP: 10.96.0." n ", ports: [{port: 80, nodePort: " port "}]")

static void nothing_is_programmed_before_the_source_is_listed(void **state)
{
    struct fixture *fixture = *state;
    fixture->sync.is_source_synced = false;
    test_put(fixture->store, SERVICE("a", "1"));
    struct sync_result result = turn(fixture, 0, "");
    assert_false(result.did_program);
    test_put(fixture->store, SLICE("a", "1") SERVICE("b", "2"));
    turn(fixture, 0, "");
    assert_false(fixture->sync.is_programmed);
    fixture->sync.is_source_synced = true;
    result = turn(fixture, 0, "load a b; ");
    assert_true(result.did_program && result.was_full && fixture->sync.is_programmed);
    assert_int_equal(result.changed, 2);
    assert_int_equal(fixture->applied, 2);
}

static void the_first_turn_loads_even_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct sync_result result = turn(fixture, 0, "load; "); /* what an earlier life left behind has to go */
    assert_true(result.did_program && result.was_full);
    result = turn(fixture, 0, "");
    assert_false(result.did_program);
    assert_int_equal(fixture->sync.turns, 1);
}

static void a_turn_costs_what_changed(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1") SERVICE("b", "2") SERVICE("c", "3"));
    turn(fixture, 0, "load a b c; ");
    test_put(fixture->store, SLICE("b", "1"));
    struct sync_result result = turn(fixture, 0, "sync ~b; ");
    assert_false(result.was_full);
    assert_int_equal(result.changed, 1);
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/b"), "10.0.0.1:8080"));
    test_put(fixture->store, SLICE("b", "2") SLICE("b", "3") SERVICE("d", "4"));
    turn(fixture, 0, "sync ~b +d; ");
    store_service_remove(fixture->store, "default", "a");
    turn(fixture, 0, "sync -a; ");
    turn(fixture, 0, "");
    /* Slices without a Service make no entry; nor does what came and went between two turns. */
    test_put(fixture->store, SLICE("x", "9"));
    test_put(fixture->store, SERVICE("z", "9"));
    store_service_remove(fixture->store, "default", "z");
    assert_int_equal(sync_turn(&fixture->sync, &result, NULL), 0);
    assert_null(recorder_find(fixture->recorder.now, "default/z"));
    assert_null(store_service_find(fixture->store, "default", "z"));
    assert_null(recorder_find(fixture->recorder.now, "default/x"));
}

static void a_service_that_is_no_longer_proxied_is_withdrawn(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1"));
    turn(fixture, 0, "load a; ");
    test_put(fixture->store, TEST_SERVICE("a", "clusterIP: None"));
    turn(fixture, 0, "sync -a; ");
    test_put(fixture->store, SERVICE("a", "1"));
    turn(fixture, 0, "sync +a; ");
}

static void a_failure_leads_to_a_load_of_everything(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1") SLICE("a", "1") SERVICE("b", "2"));
    turn(fixture, 0, "load a b; ");
    fixture->recorder.failures[0] = fixture->recorder.failures[1] = -EIO;
    test_put(fixture->store, SLICE("a", "2"));
    turn(fixture, -EIO, "sync ~a; fail; ");
    assert_true(fixture->sync.needs_load && fixture->sync.is_programmed);
    assert_int_equal(fixture->applied, 0);
    assert_int_equal(fixture->sync.turns, 1);
    turn(fixture, -EIO, "load a b; fail; ");
    assert_int_equal(fixture->sync.failures, 2);
    /* More changes come while the kernel refuses. */
    test_put(fixture->store, SLICE("a", "3") SERVICE("c", "3"));
    store_service_remove(fixture->store, "default", "b");
    struct sync_result result = turn(fixture, 0, "load a c; ");
    assert_true(result.did_program && result.was_full);
    assert_int_equal(fixture->sync.failures, 0);
    assert_true(fixture->applied >= 3); /* a, b and c: on_applied has compared them with what was in force */
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "10.0.0.3:8080"));
    assert_null(store_service_find(fixture->store, "default", "b"));
    turn(fixture, 0, "");
    test_put(fixture->store, SLICE("c", "1"));
    turn(fixture, 0, "sync ~c; ");
}

static void a_failed_first_load_is_not_the_first_programming(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1"));
    fixture->recorder.failures[0] = -ENOMEM;
    turn(fixture, -ENOMEM, "load a; fail; ");
    assert_false(fixture->sync.is_programmed);
    turn(fixture, 0, "load a; ");
    assert_int_equal(fixture->applied, 1);
}

/* What a failed turn changed is told once it is in force, even when nothing else changes meanwhile: stale UDP
 * flows and health-check servers hang on it. */
static void a_failed_change_is_told_when_it_succeeds(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1") SLICE("a", "1") SERVICE("b", "2"));
    turn(fixture, 0, "load a b; ");
    fixture->recorder.failures[0] = -EIO;
    test_put(fixture->store, SLICE("a", "2"));
    turn(fixture, -EIO, "sync ~a; fail; ");
    turn(fixture, 0, "load a b; ");
    assert_int_equal(fixture->applied, 1);
}

static void full_sets_are_made_anew_in_the_same_turn(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, SERVICE("a", "1"));
    turn(fixture, 0, "load a; ");
    fixture->recorder.failures[0] = -EXFULL;
    test_put(fixture->store, SERVICE("b", "2"));
    struct sync_result result = turn(fixture, 0, "sync +b; fail; load a b; ");
    assert_true(result.did_program && result.was_full);
    assert_int_equal(fixture->sync.failures, 0);
    assert_int_equal(fixture->applied, 1);
    turn(fixture, 0, "");
}

static void the_delay_doubles_to_half_a_minute(void **state)
{
    static const unsigned expected[] = {100,  100,  200,   400,   800,   1600,
                                        3200, 6400, 12800, 25600, 30000, 30000};
    struct fixture *fixture = *state;
    for (unsigned failures = 0; failures < ARRAY_LEN(expected); failures++) {
        fixture->sync.failures = failures;
        assert_int_equal(sync_retry_delay_ms(&fixture->sync), expected[failures]);
    }
    fixture->sync.failures = UINT32_MAX;
    assert_int_equal(sync_retry_delay_ms(&fixture->sync), 30000);
}

static void a_frontend_passes_from_one_service_to_another(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, NODE_PORT("b", "2", "30080") SLICE("b", "2"));
    turn(fixture, 0, "load b; ");
    test_put(fixture->store, NODE_PORT("a", "1", "30080") SLICE("a", "1"));
    turn(fixture, 0, "sync +a ~b; "); /* both in one transaction */
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/b"), "shadowed 1"));
    assert_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "shadowed 1"));
    assert_string_equal(fixture->reports.data,
                        "Service default/b: node port 30080/TCP (IPv4) is served by Service "
                        "default/a, which has it too\n");
    assert_int_equal(fixture->sync.claims.shadowed, 1);
    store_service_remove(fixture->store, "default", "a");
    turn(fixture, 0, "sync -a ~b; ");
    assert_null(strstr(recorder_find(fixture->recorder.now, "default/b"), "shadowed 1"));
    assert_int_equal(fixture->sync.claims.shadowed, 0);
    /* All at once: three services, two of them in the same turn. */
    test_put(fixture->store, NODE_PORT("c", "3", "30080") NODE_PORT("a", "1", "30080"));
    turn(fixture, 0, "sync +c +a ~b; ");
    test_put(fixture->store, NODE_PORT("a", "1", "30081") NODE_PORT("b", "2", "30081"));
    turn(fixture, 0, "sync ~a ~b ~c; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/b"), "shadowed 1"));
    assert_null(strstr(recorder_find(fixture->recorder.now, "default/c"), "shadowed 1"));
}

/* A claim that moved while the kernel refused is where it should be afterwards. */
static void claims_survive_failures(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store, NODE_PORT("b", "2", "30080"));
    turn(fixture, 0, "load b; ");
    fixture->recorder.failures[0] = fixture->recorder.failures[1] = -EIO;
    test_put(fixture->store, NODE_PORT("a", "1", "30080"));
    turn(fixture, -EIO, "sync +a ~b; fail; ");
    store_service_remove(fixture->store, "default", "a");
    turn(fixture, -EIO, "load b; fail; ");
    turn(fixture, 0, "load b; ");
    assert_null(strstr(recorder_find(fixture->recorder.now, "default/b"), "shadowed 1"));
    assert_null(store_service_find(fixture->store, "default", "a"));
    assert_int_equal(fixture->sync.claims.shadowed, 0);
}

static void a_change_of_the_node_is_everybodys(void **state)
{
    struct fixture *fixture = *state;
    test_put(fixture->store,
             SERVICE("a", "1") TEST_SLICE(
                 "s-a", "a", "IPv4", "{port: 8080}",
                 "{addresses: [10.0.0.1], hints: {forZones: [{name: east}]}}, {addresses: [10.0.0.2], "
                 "hints: {forZones: [{name: west}]}}") NODE_PORT("b", "2", "30080"));
    turn(fixture, 0, "load a b; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "10.0.0.1:8080 10.0.0.2:8080"));
    assert_int_equal(fixture->recorder.node_port_addresses, 1);
    test_put(fixture->store, TEST_NODE("here", "topology.kubernetes.io/zone: west", "", ""));
    struct sync_result result = turn(fixture, 0, "load a b; ");
    assert_int_equal(result.changed, 2);
    assert_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "10.0.0.1:8080"));
    test_put(fixture->store, TEST_NODE("there", "", "", "{type: InternalIP, address: 192.0.2.77}"));
    turn(fixture, 0, ""); /* another node */
    fixture->interfaces.count = 2;
    turn(fixture, 0, "load a b; ");
    assert_int_equal(fixture->recorder.node_port_addresses, 2);
    test_put(fixture->store, TEST_SERVICE_CIDR("kubernetes", "10.96.0.0/16"));
    turn(fixture, 0, "load a b; ");
    store_node_remove(fixture->store, "here");
    turn(fixture, 0, "load a b; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "10.0.0.1:8080"));
    turn(fixture, 0, "");
}

/* Labels, of this node and of those where endpoints are, touch the services that have topology keys alone. */
static void a_change_of_labels_concerns_who_goes_by_them(void **state)
{
    struct fixture *fixture = *state;
#define NODE(name, labels) TEST_NODE(name, labels, "", "")
    test_put(fixture->store,
             TEST_SERVICE("a", "clusterIP: 10.96.0.1, ports: [{port: 80}], topologyKeys: [rack]") TEST_SLICE(
                 "s-a", "a", "IPv4", "{port: 8080}",
                 "{addresses: [10.0.0.1], nodeName: there}, {addresses: [10.0.0.2], nodeName: far}")
                 SERVICE("b", "2") SLICE("b", "3") NODE("here", "rack: r1") NODE("there", "rack: r1"));
    turn(fixture, 0, "load a b; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "[ 10.0.0.1:8080 ]"));
    test_put(fixture->store, NODE("far", "rack: r1")); /* another node comes */
    turn(fixture, 0, "sync ~a; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "10.0.0.1:8080 10.0.0.2:8080"));
    test_put(fixture->store, TEST_NODE("far", "rack: r1", "podCIDR: 10.0.1.0/24", ""));
    turn(fixture, 0, ""); /* nothing that a key could name */
    test_put(fixture->store, NODE("there", "rack: r2"));
    turn(fixture, 0, "sync ~a; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "[ 10.0.0.2:8080 ]"));
    test_put(fixture->store, NODE("here", "rack: r2")); /* this node itself moves */
    turn(fixture, 0, "sync ~a; ");
    assert_non_null(strstr(recorder_find(fixture->recorder.now, "default/a"), "[ 10.0.0.1:8080 ]"));
    store_node_remove(fixture->store, "there");
    turn(fixture, 0, "sync ~a; ");
    test_put(fixture->store, SERVICE("a", "1")); /* from now on it does not care */
    turn(fixture, 0, "sync ~a; ");
    test_put(fixture->store, NODE("there", "rack: r2"));
    turn(fixture, 0, "");
}

static void empty_local_sets_are_counted(void **state)
{
    struct fixture *fixture = *state;
#define LOCAL(name, n)                                                                                       \
    TEST_SERVICE(name, "clusterIP: 10.96.0." n ", internalTrafficPolicy: Local, ports: [{port: 80}]")
#define THERE(service)                                                                                       \
    TEST_SLICE("s-" service, service, "IPv4", "{port: 80}", "{addresses: [10.0.0.9], nodeName: x}")
    test_put(fixture->store, LOCAL("a", "1") THERE("a") LOCAL("b", "2") THERE("b"));
    turn(fixture, 0, "load a b; ");
    assert_int_equal(fixture->sync.empty_locals[FAMILY_IPV4][0], 2);
    test_put(fixture->store, SLICE("a", "1"));
    turn(fixture, 0, "sync ~a; ");
    assert_int_equal(fixture->sync.empty_locals[FAMILY_IPV4][0], 1);
    fixture->recorder.failures[0] = -EIO;
    store_service_remove(fixture->store, "default", "b");
    turn(fixture, -EIO, "sync -b; fail; ");
    turn(fixture, 0, "load a; ");
    assert_int_equal(fixture->sync.empty_locals[FAMILY_IPV4][0], 0);
    assert_int_equal(fixture->sync.empty_locals[FAMILY_IPV4][1], 0);
}

static void a_dry_run_plans_without_a_dataplane(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    test_put(fixture->store, SERVICE("a", "1") TEST_SERVICE("h", "clusterIP: None"));
    sync_plan_all(&fixture->sync);
    cleanup_free const struct entry **entries = sync_entries(&fixture->sync, &count);
    assert_int_equal(count, 1);
    assert_string_equal(entries[0]->name, "default/a");
    assert_string_equal(fixture->recorder.calls.data, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_programmed_before_the_source_is_listed),
        TEST(the_first_turn_loads_even_nothing),
        TEST(a_turn_costs_what_changed),
        TEST(a_service_that_is_no_longer_proxied_is_withdrawn),
        TEST(a_failure_leads_to_a_load_of_everything),
        TEST(a_failed_first_load_is_not_the_first_programming),
        TEST(a_failed_change_is_told_when_it_succeeds),
        TEST(full_sets_are_made_anew_in_the_same_turn),
        TEST(the_delay_doubles_to_half_a_minute),
        TEST(a_frontend_passes_from_one_service_to_another),
        TEST(claims_survive_failures),
        TEST(a_change_of_the_node_is_everybodys),
        TEST(a_change_of_labels_concerns_who_goes_by_them),
        TEST(empty_local_sets_are_counted),
        TEST(a_dry_run_plans_without_a_dataplane),
    };
    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
