/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/places.h"

#include "base/arena.h"
#include "base/text.h"
#include "store/test_objects.h"

#include <stdio.h>
#include <stdlib.h>

static const char objects[] = TEST_NODE(
    "here", "topology.kubernetes.io/zone: east", "podCIDRs: [10.244.1.0/24, \"fd00:1::/64\"]",
    "{type: InternalIP, address: 172.18.0.11}, {type: InternalIP, address: \"fd00:18::11\"}")
    TEST_NODE("there", "topology.kubernetes.io/zone: west", "podCIDRs: [10.244.2.0/24]",
              "{type: InternalIP, address: 172.18.0.12}")
        TEST_NODE("nowhere", "a: b", "podCIDRs: [10.244.3.0/24]", "{type: InternalIP, address: 172.18.0.13}")
            TEST_SLICE("web-4", "web", "IPv4", "{port: 8080}",
                       "{addresses: [10.244.1.5], nodeName: here, zone: north}, {addresses: [10.244.1.6], "
                       "nodeName: there},"
                       "{addresses: [10.9.9.9]}, {addresses: [10.244.2.7], nodeName: unheard}")
                TEST_SLICE("more-4", "more", "IPv4", "{port: 80}",
                           "{addresses: [10.9.9.9], zone: south}, {addresses: [10.244.1.5], zone: west}")
                    TEST_SLICE("web-6", "web", "IPv6", "{port: 8080}",
                               "{addresses: [\"fd00:1::5\"], zone: west}");

/* "" for a known place without a zone, NULL for an unknown one. */
static const char *zone_of(const struct places *places, const struct store *store, const char *text)
{
    struct address address;
    uint32_t zone = 99;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return places_find(places, &address, &zone) ? intern_text(store->names, zone) : NULL;
}

static void test_places(void **state)
{
    static const struct {
        const char *why, *address, *zone;
    } cases[] = {
        {"an endpoint's own zone goes before its node's, and before what a later slice says", "10.244.1.5",
         "north"},
        {"an endpoint without a zone is where its node is, not where its range is", "10.244.1.6", "west"},
        {"a zone that only one of two slices tells", "10.9.9.9", "south"},
        {"an endpoint on a node that nobody knows has no zone", "10.244.2.7", ""},
        {"IPv6 endpoint", "fd00:1::5", "west"},
        {"a pod that is nobody's endpoint", "10.244.2.200", "west"},
        {"the first address of a range", "10.244.2.0", "west"},
        {"the last", "10.244.2.255", "west"},
        {"beyond the ranges", "10.244.4.0", NULL},
        {"before them", "10.244.0.255", NULL},
        {"IPv6 range", "fd00:1::1:1", "east"},
        {"beyond the IPv6 range", "fd00:1:0:1::", NULL},
        {"a node without a zone", "10.244.3.1", ""},
        {"a node's address", "172.18.0.12", "west"},
        {"IPv6 node address", "fd00:18::11", "east"},
        {"an address of this node alone", "192.0.2.1", "east"},
        {"a stranger", "192.0.2.2", NULL},
        {"a stranger of IPv6", "2001:db8::1", NULL},
    };
    struct store *store = test_store(objects);
    struct node_view view = {.store = store, .zone = intern_id(store->names, "east")};
    struct address own;
    assert_int_equal(address_parse("192.0.2.1", &own, NULL), 0);
    struct places *places = places_new(&view, &own, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *zone = zone_of(places, store, cases[i].address);
        if (!text_equal(zone, cases[i].zone))
            fail_msg("%s: %s is in \"%s\", not in \"%s\"", cases[i].why, cases[i].address,
                     zone ? zone : "(unknown)", cases[i].zone ? cases[i].zone : "(unknown)");
    }
    places_free(places);
    store_free(store);
}

/* Nothing at all, and enough to meet in the table. */
static void test_sizes(void **state)
{
    struct store *store = test_store("");
    const struct node_view view = {.store = store, .zone = intern_id(store->names, "east")};
    struct places *places = places_new(&view, NULL, 0);
    assert_null(zone_of(places, store, "10.0.0.1"));
    places_free(places);
    places_free(NULL);
    for (uint32_t count = 1; count < 3000; count = count * 3 + 1) {
        struct address *own = xcalloc(count, sizeof(*own));
        for (uint32_t i = 0; i < count; i++)
            own[i] = address_from_wire(FAMILY_IPV4, (uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i});
        places = places_new(&view, own, count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t zone = 0;
            assert_true(places_find(places, &own[i], &zone));
            assert_int_equal(zone, view.zone);
        }
        assert_null(zone_of(places, store, "10.1.0.1"));
        places_free(places);
        free(own);
    }
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
