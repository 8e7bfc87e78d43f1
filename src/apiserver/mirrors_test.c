/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/mirrors.h"

#include "apiserver/mirror.h"
#include "apiserver/test_world.h"

/* EndpointSlices of Services that bring their own Endpoints. What a slice looks like is tested with mirror.h.
 */

#define ENDPOINTS "{metadata: {name: web}, subsets: [{addresses: [{ip: 10.1.0.1}], ports: [{port: 80}]}]}"
#define SERVICE "{metadata: {name: web}, spec: {ports: [{port: 80}]}}"

static void note_report(void *context, const char *sentence)
{
    text_printf(context, "%s\n", sentence);
}

/* The addresses in the slices of default, in order: "10.1.0.1 10.1.0.2". */
static void expect_addresses(struct test_world *world, struct mirrors *mirrors, const char *wanted)
{
    struct text addresses = {0};
    json_t *item, *endpoint;
    size_t i, j;
    mirrors_pull(mirrors);
    test_do(world, "GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices", NULL);
    json_array_foreach(json_object_get(world->tree, "items"), i, item)
    {
        test_expect(
            item,
            "{metadata: {labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: "
            "" MIRROR_CONTROLLER "}, ownerReferences: [{kind: Endpoints, name: web}]}}",
            "a slice");
        json_array_foreach(json_object_get(item, "endpoints"), j, endpoint)
            text_printf(&addresses, "%s%s", addresses.len ? " " : "",
                        json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0)));
    }
    assert_string_equal(text_str(&addresses), wanted);
    text_done(&addresses);
}

static void slices_follow_their_endpoints(void **state)
{
    struct test_world *world = *state;
    struct text reports = {0};
    struct mirrors *mirrors = mirrors_new(&world->world, note_report, &reports);
    test_do(world, "POST " TEST_CORE "endpoints", ENDPOINTS);
    expect_addresses(world, mirrors, "");
    test_do(world, "POST " TEST_CORE "services", SERVICE);
    expect_addresses(world, mirrors, "10.1.0.1");
    uint64_t revision = registry_revision(world->world.registry);
    mirrors_pull(mirrors);
    mirrors_pull(mirrors);
    assert_int_equal(registry_revision(world->world.registry), revision);
    test_do(world, "MERGE " TEST_CORE "endpoints/web",
            "{subsets: [{addresses: [{ip: 10.1.0.2}, {ip: 10.1.0.3}], ports: [{port: 80}]}]}");
    expect_addresses(world, mirrors, "10.1.0.2 10.1.0.3");
    /* With a selector somebody else makes the slices. */
    test_do(world, "MERGE " TEST_CORE "services/web", "{spec: {selector: {a: b}}}");
    expect_addresses(world, mirrors, "");
    test_do(world, "MERGE " TEST_CORE "services/web", "{spec: {selector: null}}");
    expect_addresses(world, mirrors, "10.1.0.2 10.1.0.3");
    assert_string_equal(text_str(&reports), "");
    mirrors_free(mirrors);
}

static void what_is_there_at_the_start_is_mirrored(void **state)
{
    struct test_world *world = *state;
    struct text reports = {0};
    test_do(world, "POST " TEST_CORE "services", SERVICE);
    test_do(world, "POST " TEST_CORE "endpoints", ENDPOINTS);
    struct mirrors *mirrors = mirrors_new(&world->world, note_report, &reports);
    expect_addresses(world, mirrors, "10.1.0.1");
    mirrors_free(mirrors);
    /* The next one finds its work done. */
    uint64_t revision = registry_revision(world->world.registry);
    mirrors = mirrors_new(&world->world, note_report, &reports);
    mirrors_pull(mirrors);
    assert_int_equal(registry_revision(world->world.registry), revision);
    assert_string_equal(text_str(&reports), "");
    mirrors_free(mirrors);
}

static void being_left_behind_is_made_up_for(void **state)
{
    struct test_world *world = *state;
    struct text reports = {0};
    struct mirrors *mirrors = mirrors_new(&world->world, note_report, &reports);
    test_do(world, "POST " TEST_CORE "services", SERVICE);
    test_do(world, "POST " TEST_CORE "endpoints", ENDPOINTS);
    for (int i = 0; i < TEST_HISTORY + 10; i++)
        test_do(world, "MERGE /api/v1/namespaces/default",
                arena_printf(&world->arena, "{metadata: {labels: {a: v%d}}}", i));
    expect_addresses(world, mirrors, "10.1.0.1");
    assert_string_equal(text_str(&reports), "");
    mirrors_free(mirrors);
}

static void what_cannot_be_written_is_reported(void **state)
{
    struct test_world *world = *state;
    struct text reports = {0};
    struct mirrors *mirrors = mirrors_new(&world->world, note_report, &reports);
    test_do(world, "POST /api/v1/namespaces", "{metadata: {name: shop}}");
    test_do(world, "POST /api/v1/namespaces/shop/services", SERVICE);
    test_do(world, "POST /api/v1/namespaces/shop/endpoints", ENDPOINTS);
    test_do(world, "DELETE /api/v1/namespaces/shop", NULL);
    mirrors_pull(mirrors);
    assert_non_null(strstr(text_str(&reports), "Endpoints shop/web cannot be mirrored: "));
    assert_non_null(strstr(text_str(&reports), "because it is being terminated"));
    text_done(&reports);
    mirrors_free(mirrors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(slices_follow_their_endpoints),
        TEST_IN_WORLD(what_is_there_at_the_start_is_mirrored),
        TEST_IN_WORLD(being_left_behind_is_made_up_for),
        TEST_IN_WORLD(what_cannot_be_written_is_reported),
    };
    return cmocka_run_group_tests_name("mirrors", tests, NULL, NULL);
}
