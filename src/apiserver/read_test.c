/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/test_world.h"

#include "api/base64.h"

/* Reading, as a kube-apiserver 1.36 answers it. */

#define MAPS TEST_CORE "configmaps"

static void make_maps(struct test_world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        test_do(world, "POST " MAPS,
                arena_printf(&world->arena, "{metadata: {name: m%02u, labels: {parity: %s}}}", i,
                             i % 2 ? "odd" : "even"));
}

/* The names of the last list, "m00 m01". */
static void expect_names(struct test_world *world, const char *wanted)
{
    struct text names = {0};
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(world->tree, "items"), i, item)
        text_printf(&names, "%s%s", i ? " " : "",
                    json_string_value(json_object_get(json_object_get(item, "metadata"), "name")));
    if (strcmp(text_str(&names), wanted) != 0)
        fail_msg("%s\nnot %s", text_str(&names), wanted);
    text_done(&names);
}

static void expect_list(struct test_world *world, const char *request, const char *wanted)
{
    test_do(world, arena_printf(&world->arena, "GET %s", request), NULL);
    expect_names(world, wanted);
}

static void lists_are_ordered_and_bounded_by_namespace(void **state)
{
    struct test_world *world = *state;
    test_do(world, "POST /api/v1/namespaces/kube-system/configmaps", "{metadata: {name: z}}");
    test_do(world, "POST " MAPS, "{metadata: {name: b}}");
    test_do(world, "POST " MAPS, "{metadata: {name: a}}");
    test_do(world, "POST " MAPS, "{metadata: {name: a.b}}");
    expect_list(world, MAPS, "a a.b b");
    test_expect(world->tree,
                "{kind: ConfigMapList, apiVersion: v1, metadata: {resourceVersion: '8', continue: null, "
                "remainingItemCount: null}}",
                "the list");
    assert_null(json_object_get(json_array_get(json_object_get(world->tree, "items"), 0), "kind"));
    expect_list(world, "/api/v1/configmaps", "a a.b b z");
    expect_list(world, "/api/v1/namespaces/nowhere/configmaps", "");
    expect_list(world, "/api/v1/pods", "");
    assert_true(json_is_array(json_object_get(world->tree, "items")));
}

static void selectors_sift(void **state)
{
    static const struct {
        const char *query, *wanted;
    } cases[] = {
        {"labelSelector=parity%3Dodd", "m01 m03"},
        {"labelSelector=parity%20in%20(odd,even)", "m00 m01 m02 m03"},
        {"labelSelector=parity!%3Dodd", "m00 m02"},
        {"labelSelector=!parity", ""},
        {"labelSelector=none", ""},
        {"labelSelector=", "m00 m01 m02 m03"},
        {"fieldSelector=metadata.name%3Dm02", "m02"},
        {"fieldSelector=metadata.name!%3Dm02", "m00 m01 m03"},
        {"fieldSelector=metadata.namespace%3Ddefault", "m00 m01 m02 m03"},
        {"fieldSelector=metadata.namespace%3Dother", ""},
        {"fieldSelector=metadata.name%3Dm02&labelSelector=parity%3Dodd", ""},
        {"fieldSelector=metadata.name%3Dm01&labelSelector=parity%3Dodd", "m01"},
    };
    static const struct test_step refused[] = {
        {"GET " MAPS "?labelSelector=a%20b", NULL,
         "400 BadRequest unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt", 0,
         NULL},
        {"GET " MAPS "?fieldSelector=a", NULL, "400 BadRequest invalid selector: 'a'; can't understand 'a'",
         0, NULL},
        {"GET " MAPS "?fieldSelector=spec.foo%3Da", NULL,
         "400 BadRequest \"spec.foo\" is not a known field selector: only \"metadata.name\", "
         "\"metadata.namespace\"",
         0, NULL},
    };
    struct test_world *world = *state;
    make_maps(world, 4);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_list(world, arena_printf(&world->arena, MAPS "?%s", cases[i].query), cases[i].wanted);
    TEST_STEPS(world, refused);
}

static void fields_of_their_kind_select(void **state)
{
    struct test_world *world = *state;
    test_do(world, "POST " TEST_CORE "pods",
            "{metadata: {name: p1}, spec: {nodeName: node1, containers: [{name: c, image: i}]}}");
    test_do(world, "POST " TEST_CORE "pods",
            "{metadata: {name: p2}, spec: {containers: [{name: c, image: i}]}}");
    expect_list(world, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode1", "p1");
    expect_list(world, "/api/v1/pods?fieldSelector=spec.nodeName%3D,status.phase%3DPending", "p2");
    test_do(world, "POST " TEST_CORE "services",
            "{metadata: {name: s}, spec: {type: NodePort, clusterIP: 10.96.0.3, ports: [{port: 1}]}}");
    expect_list(world, "/api/v1/services?fieldSelector=spec.type%3DNodePort", "s");
    expect_list(world, "/api/v1/services?fieldSelector=spec.clusterIP%3DNone", "");
}

/* --- pages --- */

/* A page that goes on at continue ("" at first). */
static const char *page(struct test_world *world, const char *continue_, const char *more)
{
    test_do(world, arena_printf(&world->arena, "GET " MAPS "?limit=2&continue=%s%s", continue_, more), NULL);
    return arena_strdup(&world->arena, test_metadata(world, "continue"));
}

static void pages_show_one_moment(void **state)
{
    struct test_world *world = *state;
    make_maps(world, 5);
    const char *next = page(world, "", "");
    expect_names(world, "m00 m01");
    test_expect(world->tree, "{metadata: {resourceVersion: '9', remainingItemCount: 3}}", "the first page");
    /* Meanwhile one goes, one comes and one changes: later pages know nothing of it. */
    test_do(world, "DELETE " MAPS "/m02", NULL);
    test_do(world, "POST " MAPS, "{metadata: {name: m015}}");
    test_do(world, "MERGE " MAPS "/m03", "{data: {k: v}}");
    next = page(world, next, "");
    expect_names(world, "m02 m03");
    test_expect(world->tree,
                "{metadata: {resourceVersion: '9', remainingItemCount: 1}, items: [{}, {data: null}]}",
                "the second page");
    test_do(world, "DELETE " MAPS "/m04", NULL);
    next = page(world, next, "");
    expect_names(world, "m04");
    test_expect(world->tree, "{metadata: {resourceVersion: '9', continue: null, remainingItemCount: null}}",
                "the last page");
    assert_string_equal(next, "");
    page(world, "", "");
    expect_names(world, "m00 m01");
    expect_list(world, MAPS "?limit=500", "m00 m01 m015 m03");
    test_expect(world->tree, "{metadata: {continue: null, remainingItemCount: null}}", "all of it");
    expect_list(world, MAPS "?limit=4", "m00 m01 m015 m03");
    test_expect(world->tree, "{metadata: {continue: null, remainingItemCount: null}}", "all of it");
}

/* How many more there are nobody counts for a selector (ListMeta.remainingItemCount). */
static void pages_of_a_selection(void **state)
{
    struct test_world *world = *state;
    make_maps(world, 7);
    const char *next = page(world, "", "&labelSelector=parity%3Deven");
    expect_names(world, "m00 m02");
    test_expect(world->tree, "{metadata: {remainingItemCount: null}}", "the first page");
    next = page(world, next, "&labelSelector=parity%3Deven");
    expect_names(world, "m04 m06");
    assert_string_equal(next, "");
}

static void pages_over_namespaces(void **state)
{
    struct test_world *world = *state;
    test_do(world, "POST /api/v1/namespaces/kube-system/configmaps", "{metadata: {name: a}}");
    make_maps(world, 2);
    test_do(world, "GET /api/v1/configmaps?limit=1", NULL);
    expect_names(world, "m00");
    for (const char *const *name = (const char *const[]){"m01", "a", NULL}; *name; name++) {
        const char *next = arena_strdup(&world->arena, test_metadata(world, "continue"));
        test_do(world, arena_printf(&world->arena, "GET /api/v1/configmaps?limit=1&continue=%s", next), NULL);
        expect_names(world, *name);
    }
    assert_string_equal(test_metadata(world, "continue"), "");
}

static const char *token_of(struct test_world *world, const char *json)
{
    struct text token = {0};
    base64_add(&token, (const uint8_t *)json, strlen(json));
    const char *copy = arena_strdup(&world->arena, text_str(&token));
    text_done(&token);
    return copy;
}

static void foreign_tokens_are_refused(void **state)
{
    struct test_world *world = *state;
    const char *const tokens[] = {
        "abc",
        "%ff",
        "=",
        token_of(world, "7"),
        token_of(world, "{}"),
        token_of(world, "{\"rv\":5,\"namespace\":\"default\"}"),
        token_of(world, "{\"rv\":-1,\"namespace\":\"default\",\"name\":\"a\"}"),
        token_of(world, "{\"rv\":\"5\",\"namespace\":\"default\",\"name\":\"a\"}"),
        token_of(world, "{\"v\":\"meta.k8s.io/v1\",\"rv\":5,\"start\":\"a\"}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        test_ask(world, arena_printf(&world->arena, "GET " MAPS "?continue=%s", tokens[i]), NULL);
        if (strncmp(world->answer, "400 BadRequest continue key is not valid", 40) != 0)
            fail_msg("%s gave %s", tokens[i], world->answer);
    }
    make_maps(world, 3);
    const char *next = page(world, "", "");
    test_ask(world, arena_printf(&world->arena, "GET " MAPS "?resourceVersion=5&continue=%s", next), NULL);
    assert_string_equal(world->answer,
                        "400 BadRequest specifying resource version is not allowed when using continue");
    test_ask(world,
             arena_printf(&world->arena, "GET " MAPS "?continue=%s",
                          token_of(world, "{\"rv\":999,\"namespace\":\"default\",\"name\":\"a\"}")),
             NULL);
    assert_int_equal(*world->answer, '4');
}

/* --- resourceVersion: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions --- */

static void old_versions_are_shown_when_asked_for(void **state)
{
    static const struct {
        const char *query, *wanted, *revision;
    } cases[] = {
        {"", "m00 m01 m02", "7"},
        {"resourceVersion=0", "m00 m01 m02", "7"},
        {"resourceVersion=5", "m00 m01 m02", "7"},
        {"resourceVersion=5&resourceVersionMatch=NotOlderThan", "m00 m01 m02", "7"},
        {"resourceVersion=0&resourceVersionMatch=NotOlderThan", "m00 m01 m02", "7"},
        {"resourceVersion=5&resourceVersionMatch=Exact", "m00", "5"},
        {"resourceVersion=6&resourceVersionMatch=Exact&labelSelector=parity%3Dodd", "m01", "6"},
        {"resourceVersion=7&resourceVersionMatch=Exact", "m00 m01 m02", "7"},
        {"resourceVersion=6&limit=5", "m00 m01", "6"},
        {"resourceVersion=0&limit=5", "m00 m01 m02", "7"},
        {"resourceVersion=5&resourceVersionMatch=NotOlderThan&limit=5", "m00 m01 m02", "7"},
    };
    static const struct test_step refused[] = {
        {"GET " MAPS "?resourceVersion=x", NULL,
         "400 BadRequest invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: "
         "parsing "
         "\"x\": invalid syntax",
         0, NULL},
        {"GET " MAPS "?resourceVersion=-1", NULL,
         "400 BadRequest invalid resource version: resourceVersion: Invalid value: \"-1\": "
         "strconv.ParseUint: parsing "
         "\"-1\": invalid syntax",
         0, NULL},
        {"GET " MAPS "?resourceVersion=999", NULL,
         "504 Timeout Timeout: Too large resource version: 999, current: 7", 0,
         "{details: {retryAfterSeconds: 1, causes: [{reason: ResourceVersionTooLarge, message: Too large "
         "resource "
         "version}]}}"},
    };
    struct test_world *world = *state;
    make_maps(world, 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_list(world, arena_printf(&world->arena, MAPS "?%s", cases[i].query), cases[i].wanted);
        assert_string_equal(test_metadata(world, "resourceVersion"), cases[i].revision);
    }
    TEST_STEPS(world, refused);
}

static void the_past_is_forgotten(void **state)
{
    struct test_world *world = *state;
    make_maps(world, 3);
    const char *next = page(world, "", "");
    for (int i = 0; i < TEST_HISTORY + 10; i++)
        test_do(world, "MERGE " MAPS "/m00", arena_printf(&world->arena, "{data: {k: '%d'}}", i));
    const struct test_step steps[] = {
        {arena_printf(&world->arena, "GET " MAPS "?limit=2&continue=%s", next), NULL,
         "410 Expired The provided continue parameter is too old to display a consistent list result. You "
         "must start a "
         "new list without the continue parameter.",
         0, NULL},
        {"GET " MAPS "?resourceVersion=6&resourceVersionMatch=Exact", NULL,
         "410 Expired The resourceVersion for the provided list is too old.", 0, NULL},
        {"GET " MAPS "?resourceVersion=6&resourceVersionMatch=NotOlderThan", NULL, "200", 0, NULL},
    };
    TEST_STEPS(world, steps);
}

static void one_object_is_got(void **state)
{
    static const struct test_step steps[] = {
        {"GET " MAPS "/m00", NULL, "200", 0, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m00}}"},
        {"GET " MAPS "/m99", NULL, "404 NotFound configmaps \"m99\" not found", 0, NULL},
        {"GET /api/v1/namespaces/other/configmaps/m00", NULL, "404 NotFound configmaps \"m00\" not found", 0,
         NULL},
        {"GET /api/v1/namespaces/default", NULL, "200", 0, "{kind: Namespace}"},
        {"GET /api/v1/namespaces/default/status", NULL, "200", 0, "{kind: Namespace}"},
        {"GET " MAPS "/Not%20a%20name", NULL, "404 NotFound configmaps \"Not%20a%20name\" not found", 0,
         NULL},
    };
    struct test_world *world = *state;
    make_maps(world, 1);
    TEST_STEPS(world, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(lists_are_ordered_and_bounded_by_namespace),
        TEST_IN_WORLD(selectors_sift),
        TEST_IN_WORLD(fields_of_their_kind_select),
        TEST_IN_WORLD(pages_show_one_moment),
        TEST_IN_WORLD(pages_of_a_selection),
        TEST_IN_WORLD(pages_over_namespaces),
        TEST_IN_WORLD(foreign_tokens_are_refused),
        TEST_IN_WORLD(old_versions_are_shown_when_asked_for),
        TEST_IN_WORLD(the_past_is_forgotten),
        TEST_IN_WORLD(one_object_is_got),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
