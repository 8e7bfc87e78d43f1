/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/select.h"

#include "base/text.h"
#include "store/test_objects.h"

/* The node under test is "here"; its zone is "a" unless a case says otherwise. */

#define CLUSTER "clusterIP: 10.96.0.1, ports: [{port: 80}]"
#define INTERNAL_LOCAL CLUSTER ", internalTrafficPolicy: Local"
#define NODE_PORT "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]"
#define EXTERNAL_LOCAL NODE_PORT ", externalTrafficPolicy: Local"
#define BOTH_LOCAL EXTERNAL_LOCAL ", internalTrafficPolicy: Local"

#define WEB "{port: 8080}"
#define SLICE(endpoints) TEST_SLICE("s1", "web", "IPv4", WEB, endpoints)
#define READY(n, node) "{addresses: [10.0.0." #n "], nodeName: " node "},"
#define UNREADY(n, node) "{addresses: [10.0.0." #n "], nodeName: " node ", conditions: {ready: false}},"
#define DRAINING(n, node)                                                                                    \
    "{addresses: [10.0.0." #n "], nodeName: " node                                                           \
    ", conditions: {ready: false, serving: true, terminating: true}},"
#define DEAD(n, node)                                                                                        \
    "{addresses: [10.0.0." #n "], nodeName: " node                                                           \
    ", conditions: {ready: false, serving: false, terminating: true}},"
#define IN_ZONE(n, zones) "{addresses: [10.0.0." #n "], hints: {forZones: [" zones "]}},"
#define FOR_NODE(n, nodes) "{addresses: [10.0.0." #n "], hints: {forNodes: [" nodes "]}},"
#define NAMED(name) "{name: " name "}"

static const char *hint_word(enum hint_mode hints)
{
    static const char *const words[] = {"node",    "zone",     "absent", "incomplete",
                                        "unknown", "unserved", "none",   "passed"};
    return words[hints];
}

static const char *topology_word(enum topology_mode topology)
{
    static const char *const words[] = {"unused", "matched", "any", "unserved"};
    return words[topology];
}

/* What a case expects, in one line: "cluster 1 2; local 1; hints absent; any". Endpoints by their last byte
 * (and port where it is not 8080). */
static void add_set(const struct selection *selection, bool local, struct text *ret)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        if (!verdict_is_in(local ? candidate->in_local : candidate->in_cluster))
            continue;
        text_printf(ret, " %u", candidate->endpoint->address.bytes[15]);
        if (candidate->port != 8080)
            text_printf(ret, ":%u", candidate->port);
        count++;
    }
    assert_int_equal(count, local ? selection->local_count : selection->cluster_count);
}

static void format(const struct selection *selection, struct text *ret)
{
    text_add(ret, "cluster");
    add_set(selection, false, ret);
    text_add(ret, "; local");
    add_set(selection, true, ret);
    text_printf(ret, "; hints %s;%s", hint_word(selection->hints), selection->has_any ? " any" : " nobody");
    if (selection->topology != TOPOLOGY_UNUSED)
        text_printf(ret, "; key %u %s", selection->topology_key, topology_word(selection->topology));
}

struct selecting {
    const char *label, *spec, *slices, *expected;
    const char *zone;  /* NULL: "a"; "": the node has none */
    const char *nodes; /* Node objects, for topology keys; may be NULL */
};

static void check(const struct selecting *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct selecting *at = &cases[i];
        struct text yaml = {0}, got = {0};
        struct arena arena;
        arena_init(&arena);
        text_printf(&yaml, TEST_SERVICE("web", "%s") "%s%s", at->spec, at->slices,
                    at->nodes ? at->nodes : "");
        struct store *store = test_store(yaml.data);
        const struct service_record *record = test_record(store, "web");
        const struct node_view node = {.name = intern_id(store->names, "here"),
                                       .zone = intern_id(store->names, at->zone ? at->zone : "a"),
                                       .store = store,
                                       .has_family = {true, true}};
        format(selection_build(record->service, &record->service->ports[0], FAMILY_IPV4, record->slices,
                               record->slice_count, &node, &arena),
               &got);
        if (strcmp(at->expected, got.data) != 0)
            fail_msg("%s\n  expected %s\n  got      %s", at->label, at->expected, got.data);
        text_done(&yaml);
        text_done(&got);
        arena_done(&arena);
        store_free(store);
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static void policies_choose_sets(void **state)
{
    static const struct selecting cases[] = {
        {"no slice at all", CLUSTER, "", "cluster; local; hints none; nobody"},
        {"cluster alone: no local set is made", CLUSTER, SLICE(READY(1, "here") READY(2, "there")),
         "cluster 1 2; local; hints absent; any"},
        {"iTP Local, nothing external: no cluster set is made", INTERNAL_LOCAL,
         SLICE(READY(1, "here") READY(2, "there")), "cluster; local 1; hints absent; any"},
        {"iTP Local with nobody here drops: somebody is elsewhere", INTERNAL_LOCAL, SLICE(READY(2, "there")),
         "cluster; local; hints absent; any"},
        {"iTP Local with a node port needs both", NODE_PORT ", internalTrafficPolicy: Local",
         SLICE(READY(1, "here") READY(2, "there")), "cluster 1 2; local 1; hints absent; any"},
        {"eTP Local", EXTERNAL_LOCAL, SLICE(READY(1, "here") READY(2, "there")),
         "cluster 1 2; local 1; hints absent; any"},
        {"both Local", BOTH_LOCAL, SLICE(READY(1, "here") READY(2, "there")),
         "cluster 1 2; local 1; hints absent; any"},
        {"an endpoint without a node is not local", EXTERNAL_LOCAL, SLICE("{addresses: [10.0.0.1]}"),
         "cluster 1; local; hints absent; any"},
    };
    CHECK(cases);
}

static void conditions_choose_endpoints(void **state)
{
    static const struct selecting cases[] = {
        {"not ready is out", CLUSTER, SLICE(READY(1, "here") UNREADY(2, "here")),
         "cluster 1; local; hints absent; any"},
        {"nobody ready, nobody draining: as if there were none", CLUSTER, SLICE(UNREADY(1, "here")),
         "cluster; local; hints none; nobody"},
        {"draining is out while somebody is ready", CLUSTER, SLICE(READY(1, "here") DRAINING(2, "here")),
         "cluster 1; local; hints absent; any"},
        {"draining serves when nobody is ready", CLUSTER,
         SLICE(UNREADY(1, "here") DRAINING(2, "here") DRAINING(3, "there") DEAD(4, "here")),
         "cluster 2 3; local; hints none; any"},
        {"terminating and not serving never", CLUSTER, SLICE(DEAD(1, "here")),
         "cluster; local; hints none; nobody"},
        {"local falls back by itself: a remote ready one does not help", EXTERNAL_LOCAL,
         SLICE(READY(1, "there") DRAINING(2, "here")), "cluster 1; local 2; hints absent; any"},
        {"local ready goes before local draining", EXTERNAL_LOCAL,
         SLICE(READY(1, "here") DRAINING(2, "here")), "cluster 1; local 1; hints absent; any"},
        {"draining elsewhere alone: Local drops, Cluster uses it", EXTERNAL_LOCAL,
         SLICE(DRAINING(1, "there")), "cluster 1; local; hints none; any"},
        {"unset conditions mean ready and serving", CLUSTER, SLICE("{addresses: [10.0.0.1], conditions: {}}"),
         "cluster 1; local; hints absent; any"},
        {"unset serving of a draining endpoint means serving", CLUSTER,
         SLICE("{addresses: [10.0.0.1], conditions: {ready: false, terminating: true}}"),
         "cluster 1; local; hints none; any"},
        {"publishNotReadyAddresses: the slice says ready even when terminating", CLUSTER,
         SLICE("{addresses: [10.0.0.1], conditions: {ready: true, serving: false, terminating: true}}"),
         "cluster 1; local; hints absent; any"},
    };
    CHECK(cases);
}

static void zone_hints_narrow(void **state)
{
#define A NAMED("a")
#define B NAMED("b")
    static const struct selecting cases[] = {
        {"ours", CLUSTER, SLICE(IN_ZONE(1, A) IN_ZONE(2, B)), "cluster 1; local; hints zone; any"},
        {"an endpoint for several zones", CLUSTER, SLICE(IN_ZONE(1, B "," A) IN_ZONE(2, B)),
         "cluster 1; local; hints zone; any"},
        {"one ready endpoint without a hint: none is followed", CLUSTER,
         SLICE(IN_ZONE(1, A) IN_ZONE(2, B) READY(3, "there")), "cluster 1 2 3; local; hints incomplete; any"},
        {"one without a hint that is not ready does not count", CLUSTER,
         SLICE(IN_ZONE(1, A) IN_ZONE(2, B) UNREADY(3, "there")), "cluster 1; local; hints zone; any"},
        {"no hint for our zone", CLUSTER, SLICE(IN_ZONE(1, B) IN_ZONE(2, B)),
         "cluster 1 2; local; hints unserved; any"},
        {"the node has no zone", CLUSTER, SLICE(IN_ZONE(1, A) IN_ZONE(2, B)),
         "cluster 1 2; local; hints unknown; any", .zone = ""},
        {"draining ones are used whatever their hints say", CLUSTER,
         SLICE("{addresses: [10.0.0.1], conditions: {ready: false, terminating: true}, hints: {forZones: [" B
               "]}}"),
         "cluster 1; local; hints none; any"},
        {"our zone's only endpoint is not ready: the hints name nobody here", CLUSTER,
         SLICE(IN_ZONE(1, B) "{addresses: [10.0.0.2], conditions: {ready: false}, hints: {forZones: [" A
                             "]}}"),
         "cluster 1; local; hints unserved; any"},
        {"Local takes no notice of hints", EXTERNAL_LOCAL,
         SLICE(IN_ZONE(1, A) "{addresses: [10.0.0.2], nodeName: here, hints: {forZones: [" B "]}}"),
         "cluster 1; local 2; hints zone; any"},
    };
    CHECK(cases);
}

static void node_hints_go_first(void **state)
{
#define HERE NAMED("here")
#define THERE NAMED("there")
#define BOTH_HINTS(n, node, zone)                                                                            \
    "{addresses: [10.0.0." #n "], hints: {forNodes: [" node "], forZones: [" zone "]}},"
    static const struct selecting cases[] = {
        {"ours", CLUSTER, SLICE(FOR_NODE(1, HERE) FOR_NODE(2, THERE)), "cluster 1; local; hints node; any"},
        {"incomplete ones fall to the zone", CLUSTER,
         SLICE(BOTH_HINTS(1, HERE, A) BOTH_HINTS(2, THERE, A) IN_ZONE(3, B)),
         "cluster 1 2; local; hints zone; any"},
        {"none for us falls to the zone", CLUSTER, SLICE(BOTH_HINTS(1, THERE, A) BOTH_HINTS(2, THERE, B)),
         "cluster 1; local; hints zone; any"},
        {"none for us and no zone hints: all", CLUSTER, SLICE(FOR_NODE(1, THERE) FOR_NODE(2, THERE)),
         "cluster 1 2; local; hints absent; any"},
        {"they need no zone of the node", CLUSTER, SLICE(BOTH_HINTS(1, HERE, A) BOTH_HINTS(2, THERE, B)),
         "cluster 1; local; hints node; any", .zone = ""},
    };
    CHECK(cases);
}

#define HOST "kubernetes.io/hostname"
#define ZONE "topology.kubernetes.io/zone"
#define KEYS(keys) CLUSTER ", topologyKeys: [" keys "]"
#define NODE(name, labels) TEST_NODE(name, labels, "", "")
#define SELF NODE("here", HOST ": here, " ZONE ": a, rack: r1")
#define AT(n, node, zone) "{addresses: [10.0.0." #n "], nodeName: " node ", zone: " zone "},"

/* KEP-536; section D of the catalogue. */
static void topology_keys_are_tried_in_order(void **state)
{
#define THREE SLICE(AT(1, "here", "a") AT(2, "there", "a") AT(3, "far", "b"))
#define ELSEWHERE SLICE(AT(2, "there", "a") AT(3, "far", "b"))
#define FAR SLICE(AT(3, "far", "b") AT(4, "far", "c"))
#define USUAL KEYS(HOST ", " ZONE ", '*'")
    static const struct selecting cases[] = {
        {"the node's own endpoint goes first", USUAL, THREE,
         "cluster 1; local; hints passed; any; key 0 matched", NULL, SELF},
        {"then the zone's", USUAL, ELSEWHERE, "cluster 2; local; hints passed; any; key 1 matched", NULL,
         SELF},
        {"then all", USUAL, FAR, "cluster 3 4; local; hints passed; any; key 2 any", NULL, SELF},
        {"the order is the Service's", KEYS(ZONE ", " HOST), THREE,
         "cluster 1 2; local; hints passed; any; key 0 matched", NULL, SELF},
        {"no key matches: nobody, though there are some", KEYS(HOST ", " ZONE), FAR,
         "cluster; local; hints passed; any; key 2 unserved", NULL, SELF},
        {"all at once", KEYS("'*'"), THREE, "cluster 1 2 3; local; hints passed; any; key 0 any", NULL, SELF},
        {"a label that this node lacks is passed over", KEYS("row, " HOST), THREE,
         "cluster 1; local; hints passed; any; key 1 matched", NULL, SELF},
        {"any label of the endpoints' nodes", KEYS("rack"), ELSEWHERE,
         "cluster 3; local; hints passed; any; key 0 matched", NULL,
         SELF NODE("there", "rack: r2") NODE("far", "rack: r1")},
        {"an endpoint without the label matches no value", KEYS("rack"), ELSEWHERE,
         "cluster; local; hints passed; any; key 1 unserved", NULL,
         SELF NODE("there", "other: r1") NODE("far", "")},
        {"labels unknown, with *", USUAL, THREE, "cluster 1 2 3; local; hints passed; any; key 2 any", NULL,
         NODE("there", ZONE ": a")},
        {"labels unknown, without", KEYS(HOST ", " ZONE), THREE,
         "cluster; local; hints passed; any; key 2 unserved", NULL, NULL},
        {"no endpoint at all", USUAL, "", "cluster; local; hints passed; nobody; key 2 any", NULL, SELF},
        {"no endpoint at all, and no *", KEYS(HOST), "",
         "cluster; local; hints passed; nobody; key 1 unserved", NULL, SELF},
    };
    CHECK(cases);
}

static void topology_keys_meet_the_other_rules(void **state)
{
#define KEYED_PORT(keys) NODE_PORT ", topologyKeys: [" keys "]"
    static const struct selecting cases[] = {
        {"they go before hints", KEYS(ZONE),
         SLICE("{addresses: [10.0.0.1], zone: a, hints: {forZones: [" B
               "]}}, {addresses: [10.0.0.2], zone: b, hints: {forZones: [" A "]}}"),
         "cluster 1; local; hints passed; any; key 0 matched", NULL, SELF},
        {"hints do not narrow what * lets in", KEYS("'*'"), SLICE(IN_ZONE(1, A) IN_ZONE(2, B)),
         "cluster 1 2; local; hints passed; any; key 0 any", NULL, SELF},
        {"an endpoint that is not ready makes no key match", KEYS(HOST ", '*'"),
         SLICE(UNREADY(1, "here") READY(2, "there")), "cluster 2; local; hints passed; any; key 1 any", NULL,
         SELF},
        {"nor does a draining one while somebody is ready", KEYS(HOST),
         SLICE(DRAINING(1, "here") READY(2, "there")), "cluster; local; hints passed; any; key 1 unserved",
         NULL, SELF},
        {"draining ones follow the keys when nobody is ready", KEYS(HOST ", '*'"),
         SLICE(DRAINING(1, "here") DRAINING(2, "there")),
         "cluster 1; local; hints passed; any; key 0 matched", NULL, SELF},
        {"they do not widen or narrow the policy Local", KEYS(HOST) ", internalTrafficPolicy: Local",
         SLICE(READY(2, "there")), "cluster; local; hints passed; any; key 1 unserved", NULL, SELF},
        {"internal Local beside a node port", KEYED_PORT(ZONE) ", internalTrafficPolicy: Local",
         SLICE(AT(1, "here", "b") AT(2, "there", "a")),
         "cluster 2; local 1; hints passed; any; key 0 matched", NULL, SELF},
        {"no keys, as ever", CLUSTER, SLICE(AT(1, "here", "a") AT(2, "there", "b")),
         "cluster 1 2; local; hints absent; any", NULL, SELF},
    };
    CHECK(cases);
}

/* Validation refuses the pair; an object from elsewhere may have it all the same. */
static void external_local_switches_topology_keys_off(void **state)
{
    struct store *store =
        test_store(TEST_SERVICE("web", EXTERNAL_LOCAL) SLICE(READY(1, "here") READY(2, "there")) SELF);
    const struct service_record *record = test_record(store, "web");
    const char *const keys[] = {HOST};
    struct service service = *record->service;
    const struct node_view node = {
        .name = intern_id(store->names, "here"), .store = store, .has_family = {true, true}};
    struct text got = {0};
    struct arena arena;
    arena_init(&arena);
    service.topology_keys = keys;
    service.topology_key_count = 1;
    format(selection_build(&service, &service.ports[0], FAMILY_IPV4, record->slices, record->slice_count,
                           &node, &arena),
           &got);
    assert_string_equal(got.data, "cluster 1 2; local 1; hints absent; any");
    text_done(&got);
    arena_done(&arena);
    store_free(store);
}

static void ports_match_by_name_and_protocol(void **state)
{
#define NAMED_PORT "clusterIP: 10.96.0.1, ports: [{name: web, port: 80, targetPort: http}]"
    static const struct selecting cases[] = {
        {"by name", NAMED_PORT,
         TEST_SLICE("s1", "web", "IPv4", "{name: web, port: 8080}, {name: admin, port: 9000}",
                    READY(1, "here")),
         "cluster 1; local; hints absent; any"},
        {"another name", NAMED_PORT,
         TEST_SLICE("s1", "web", "IPv4", "{name: other, port: 8080}", READY(1, "h")),
         "cluster; local; hints none; nobody"},
        {"another protocol", NAMED_PORT,
         TEST_SLICE("s1", "web", "IPv4", "{name: web, port: 8080, protocol: UDP}", READY(1, "here")),
         "cluster; local; hints none; nobody"},
        {"a port without a number is not served", CLUSTER,
         TEST_SLICE("s1", "web", "IPv4", "{}", READY(1, "h")), "cluster; local; hints none; nobody"},
        {"a named port whose number differs by slice", NAMED_PORT,
         TEST_SLICE("s1", "web", "IPv4", "{name: web, port: 8080}", READY(1, "here"))
             TEST_SLICE("s2", "web", "IPv4", "{name: web, port: 8081}", READY(2, "here")),
         "cluster 1 2:8081; local; hints absent; any"},
        {"the other family's slices", CLUSTER,
         TEST_SLICE("s1", "web", "IPv6", WEB, "{addresses: ['fd00::1']}") SLICE(READY(1, "here")),
         "cluster 1; local; hints absent; any"},
        {"another Service's slice", CLUSTER, TEST_SLICE("s1", "other", "IPv4", WEB, READY(1, "here")),
         "cluster; local; hints none; nobody"},
        {"the first of several addresses alone", CLUSTER, SLICE("{addresses: [10.0.0.1, 10.0.0.2]}"),
         "cluster 1; local; hints absent; any"},
    };
    CHECK(cases);
}

static void reused_addresses_appear_once(void **state)
{
#define FIRST(endpoints) TEST_SLICE("s1", "web", "IPv4", WEB, endpoints)
#define SECOND(endpoints) TEST_SLICE("s2", "web", "IPv4", WEB, endpoints)
    static const struct selecting cases[] = {
        {"ready then draining: the draining one never replaces", CLUSTER,
         FIRST(READY(1, "here")) SECOND(DRAINING(1, "there")), "cluster 1; local; hints absent; any"},
        {"draining then ready: the ready one replaces", CLUSTER,
         FIRST(DRAINING(1, "there")) SECOND(READY(1, "here")), "cluster 1; local; hints absent; any"},
        {"the one that stays says where it is", EXTERNAL_LOCAL,
         FIRST(DRAINING(1, "there")) SECOND(READY(1, "here")), "cluster 1; local 1; hints absent; any"},
        {"and the other way round", EXTERNAL_LOCAL, FIRST(READY(1, "there")) SECOND(DRAINING(1, "here")),
         "cluster 1; local; hints absent; any"},
        {"two that are not terminating: the later one", CLUSTER,
         FIRST(READY(1, "here")) SECOND(UNREADY(1, "here")), "cluster; local; hints none; nobody"},
        {"the same address with another port is another endpoint", CLUSTER,
         FIRST(READY(1, "here")) TEST_SLICE("s2", "web", "IPv4", "{port: 8081}", READY(1, "here")),
         "cluster 1 1:8081; local; hints absent; any"},
        {"the slices' order does not show", CLUSTER, SECOND(READY(3, "h") READY(1, "h")) FIRST(READY(2, "h")),
         "cluster 1 2 3; local; hints absent; any"},
    };
    CHECK(cases);
}

/* More than the insertion sort's sixteen, in a scrambled order and each twice: the stable merge. */
static void many_endpoints_stay_sorted_and_single(void **state)
{
    struct text endpoints = {0};
    for (unsigned i = 0; i < 400; i++)
        text_printf(&endpoints, "{addresses: [10.0.%u.%u], nodeName: n%u, conditions: {ready: %s}},",
                    i * 77 % 200 / 100, i * 77 % 200 % 100, i, i < 200 ? "false" : "true");
    struct text yaml = {0};
    struct arena arena;
    arena_init(&arena);
    text_printf(&yaml, TEST_SERVICE("web", CLUSTER) SLICE("%s"), endpoints.data);
    struct store *store = test_store(yaml.data);
    const struct service_record *record = test_record(store, "web");
    const struct node_view node = {.has_family = {true, true}};
    const struct selection *selection =
        selection_build(record->service, &record->service->ports[0], FAMILY_IPV4, record->slices,
                        record->slice_count, &node, &arena);
    assert_int_equal(selection->count, 200);
    assert_int_equal(selection->cluster_count, 200); /* the later of each pair is the ready one */
    for (uint32_t i = 1; i < selection->count; i++)
        assert_true(address_cmp(&selection->candidates[i - 1].endpoint->address,
                                &selection->candidates[i].endpoint->address) < 0);
    arena_done(&arena);
    store_free(store);
    text_done(&yaml);
    text_done(&endpoints);
}

/* Why an endpoint is out, which explain tells. */
static void verdicts_give_the_reason(void **state)
{
    struct store *store = test_store(TEST_SERVICE("web", EXTERNAL_LOCAL) SLICE(
        "{addresses: [10.0.0.1], nodeName: here, hints: {forZones: [" A
        "]}}, {addresses: [10.0.0.2], nodeName: "
        "there, hints: {forZones: [" B "]}}," UNREADY(3, "here") DRAINING(4, "here") DEAD(5, "there")));
    static const enum endpoint_verdict expected[][2] = {
        {ENDPOINT_IN, ENDPOINT_IN},
        {ENDPOINT_OTHER_ZONE, ENDPOINT_NOT_LOCAL},
        {ENDPOINT_NOT_READY, ENDPOINT_NOT_READY},
        {ENDPOINT_TERMINATING_UNUSED, ENDPOINT_TERMINATING_UNUSED},
        {ENDPOINT_NOT_SERVING, ENDPOINT_NOT_LOCAL},
    };
    struct arena arena;
    arena_init(&arena);
    const struct service_record *record = test_record(store, "web");
    const struct node_view node = {.name = intern_id(store->names, "here"),
                                   .zone = intern_id(store->names, "a"),
                                   .has_family = {true, true}};
    const struct selection *selection =
        selection_build(record->service, &record->service->ports[0], FAMILY_IPV4, record->slices,
                        record->slice_count, &node, &arena);
    assert_int_equal(selection->count, 5);
    assert_int_equal(selection->local_ready_count, 1);
    for (uint32_t i = 0; i < selection->count; i++) {
        assert_int_equal(selection->candidates[i].in_cluster, expected[i][0]);
        assert_int_equal(selection->candidates[i].in_local, expected[i][1]);
    }
    arena_done(&arena);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_choose_sets),
        cmocka_unit_test(conditions_choose_endpoints),
        cmocka_unit_test(zone_hints_narrow),
        cmocka_unit_test(node_hints_go_first),
        cmocka_unit_test(topology_keys_are_tried_in_order),
        cmocka_unit_test(topology_keys_meet_the_other_rules),
        cmocka_unit_test(external_local_switches_topology_keys_off),
        cmocka_unit_test(ports_match_by_name_and_protocol),
        cmocka_unit_test(reused_addresses_appear_once),
        cmocka_unit_test(many_endpoints_stay_sorted_and_single),
        cmocka_unit_test(verdicts_give_the_reason),
    };
    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
