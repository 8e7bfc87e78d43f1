/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/topology.h"

#include "base/cleanup.h"
#include "store/test_objects.h"

#define HOST "kubernetes.io/hostname"
#define ZONE "topology.kubernetes.io/zone"
#define ZONE_BETA "failure-domain.beta.kubernetes.io/zone"
#define REGION "topology.kubernetes.io/region"
#define REGION_BETA "failure-domain.beta.kubernetes.io/region"
#define NODE(name, labels) TEST_NODE(name, labels, "", "")
#define THERE(labels) NODE("there", labels)
/* The one endpoint, on the node "there" unless its words say more. */
#define ENDPOINT(words) TEST_SLICE("s1", "web", "IPv4", "{port: 80}", "{addresses: [10.0.0.1]" words "}")

/* Same text, or both NULL. */
static void expect(const char *label, const char *got, const char *expected)
{
    if (!got != !expected || (got && strcmp(got, expected) != 0))
        fail_msg("%s: \"%s\", expected \"%s\"", label, got ? got : "(none)", expected ? expected : "(none)");
}

static void this_nodes_value_is_its_objects_label(void **state)
{
    static const struct {
        const char *label, *objects, *key, *expected;
    } cases[] = {
        {"a label", NODE("here", "rack: r1"), "rack", "r1"},
        {"among many", NODE("here", "z: '1', a: '2', m: '3', " HOST ": h, b: '4'"), "m", "3"},
        {"the host name is a label too", NODE("here", HOST ": h"), HOST, "h"},
        {"and without it not known", NODE("here", "rack: r1"), HOST, NULL},
        {"an empty value is a value", NODE("here", "rack: ''"), "rack", ""},
        {"no such label", NODE("here", "rack: r1"), "rac", NULL},
        {"no label at all", NODE("here", ""), "rack", NULL},
        {"another node's do not count", THERE("rack: r1"), "rack", NULL},
        {"a zone's old name", NODE("here", ZONE_BETA ": a"), ZONE, "a"},
        {"asked for by the old name", NODE("here", ZONE ": a"), ZONE_BETA, "a"},
        {"the name asked for goes first", NODE("here", ZONE ": a, " ZONE_BETA ": b"), ZONE_BETA, "b"},
        {"a region's", NODE("here", REGION_BETA ": eu"), REGION, "eu"},
        {"and back", NODE("here", REGION ": eu"), REGION_BETA, "eu"},
        {"a zone is no region", NODE("here", ZONE ": a, " ZONE_BETA ": a"), REGION, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store *store = test_store(cases[i].objects);
        const struct node_view node = {.name = intern_id(store->names, "here"), .store = store};
        expect(cases[i].label, topology_of_node(&node, cases[i].key), cases[i].expected);
        store_free(store);
    }
}

static void an_endpoints_value_has_four_sources(void **state)
{
#define ON_THERE ", nodeName: there"
#define SAYS(entries) ", deprecatedTopology: {" entries "}"
    static const struct {
        const char *label, *objects, *key, *expected;
    } cases[] = {
        {"the host name is the node's name, whatever the label", ENDPOINT(ON_THERE) THERE(HOST ": other"),
         HOST, "there"},
        {"also before what the slice says", ENDPOINT(ON_THERE SAYS(HOST ": x")), HOST, "there"},
        {"which serves when there is no name", ENDPOINT(SAYS(HOST ": x")), HOST, "x"},
        {"no name at all", ENDPOINT(""), HOST, NULL},
        {"the zone is the endpoint's", ENDPOINT(", zone: a" ON_THERE) THERE(ZONE ": b"), ZONE, "a"},
        {"under both names", ENDPOINT(", zone: a" ON_THERE) THERE(ZONE_BETA ": b"), ZONE_BETA, "a"},
        {"also before what the slice says", ENDPOINT(", zone: a" SAYS(ZONE ": b")), ZONE, "a"},
        {"which serves when there is no zone", ENDPOINT(SAYS(ZONE ": b")), ZONE, "b"},
        {"by its old name too", ENDPOINT(SAYS(ZONE_BETA ": b")), ZONE, "b"},
        {"else it is the node's", ENDPOINT(ON_THERE) THERE(ZONE ": b"), ZONE, "b"},
        {"by its old name too", ENDPOINT(ON_THERE) THERE(ZONE_BETA ": b"), ZONE, "b"},
        {"the slice goes before the node", ENDPOINT(ON_THERE SAYS("rack: r1")) THERE("rack: r2"), "rack",
         "r1"},
        {"several entries", ENDPOINT(SAYS("a: b, rack: r1, b: rack")), "rack", "r1"},
        {"a value is no key", ENDPOINT(SAYS("a: rack, rack: a")), "rack", "a"},
        {"a value alone is no key", ENDPOINT(SAYS("a: rack, b: c")) NODE("x", "rack: r1"), "rack", NULL},
        {"the slice says something else", ENDPOINT(ON_THERE SAYS("a: b")) THERE("rack: r2"), "rack", "r2"},
        {"a region by its old name", ENDPOINT(SAYS(REGION_BETA ": eu")), REGION, "eu"},
        {"a region of the node", ENDPOINT(ON_THERE) THERE(REGION_BETA ": eu"), REGION, "eu"},
        {"an empty value is a value", ENDPOINT(SAYS("rack: ''")), "rack", ""},
        {"the node is not known", ENDPOINT(ON_THERE), "rack", NULL},
        {"the endpoint names no node", ENDPOINT("") THERE("rack: r1"), "rack", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store *store = test_store(cases[i].objects);
        const struct node_view node = {.name = intern_id(store->names, "here"), .store = store};
        const struct slice *slice = test_record(store, "web")->slices[0];
        expect(cases[i].label, topology_of_endpoint(&node, slice, &slice->endpoints[0], cases[i].key),
               cases[i].expected);
        store_free(store);
    }
}

/* Only some endpoints of the slice say something, and one is left out of the compact form. */
static void endpoints_keep_their_own_entries(void **state)
{
    static const char *const expected[] = {NULL, "r2", NULL, "r4"};
    struct store *store = test_store(TEST_SLICE(
        "s1", "web", "IPv4", "{port: 80}",
        "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], deprecatedTopology: {rack: r2, row: a}}, "
        "{addresses: [10.0.0.3], deprecatedTopology: {row: b}, hints: {forZones: [{name: r3}]}}, "
        "{addresses: [10.0.0.4], deprecatedTopology: {rack: r4}}"));
    const struct node_view node = {.store = store};
    const struct slice *slice = test_record(store, "web")->slices[0];
    assert_int_equal(sizeof(struct endpoint), 32);
    for (uint32_t i = 0; i < ARRAY_LEN(expected); i++)
        expect("rack", topology_of_endpoint(&node, slice, &slice->endpoints[i], "rack"), expected[i]);
    expect("row", topology_of_endpoint(&node, slice, &slice->endpoints[2], "row"), "b");
    assert_int_equal(slice_list_count(slice, slice_hints(slice, &slice->endpoints[2]).zones), 1);
    test_put(store,
             ENDPOINT(", nodeName: there, zone: a, deprecatedTopology: {" HOST ": there, " ZONE ": a}"));
    assert_null(test_record(store, "web")->slices[0]->topologies); /* nothing that its fields do not say */
    store_free(store);
}

static void without_a_store_nothing_is_known(void **state)
{
    struct store *store = test_store(ENDPOINT(", nodeName: there, zone: a") NODE("here", "rack: r1"));
    const struct slice *slice = test_record(store, "web")->slices[0];
    const struct node_view alone = {.name = intern_id(store->names, "here")};
    const struct node_view nameless = {.store = store};
    assert_null(topology_of_node(&alone, "rack"));
    assert_null(topology_of_node(&nameless, "rack"));
    assert_null(topology_of_endpoint(&alone, slice, &slice->endpoints[0], ZONE));
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_nodes_value_is_its_objects_label),
        cmocka_unit_test(an_endpoints_value_has_four_sources),
        cmocka_unit_test(endpoints_keep_their_own_entries),
        cmocka_unit_test(without_a_store_nothing_is_known),
    };
    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
