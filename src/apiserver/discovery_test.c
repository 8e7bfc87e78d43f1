/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/discovery.h"

#include "apiserver/accept.h"
#include "base/cleanup.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_accept(void **state)
{
    static const struct accept_offer offers[] = {
        {"application/json", NULL, NULL, NULL},
        {"application/json", "meta.k8s.io", "v1", "Table"},
        {"application/yaml", NULL, NULL, NULL},
    };
    static const struct {
        const char *accept;
        int index;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {"*/*", 0},
        {"application/*", 0},
        {"application/json", 0},
        {"Application/JSON ; charset=utf-8", 0},
        {"application/yaml", 2},
        {"application/yaml, application/json", 2},
        {"application/yaml;q=0.5, application/json", 0},
        {"*/*, application/yaml", 2},
        {"application/yaml;q=0", -1},
        {"text/html", -1},
        {"text/html, */*;q=0.1", 0},
        {"application/json;as=Table;v=v1;g=meta.k8s.io,application/"
         "json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
         1},
        {"application/json; as = Table ; g=meta.k8s.io; v=v1", 1},
        {"application/json;as=Table;v=v2;g=meta.k8s.io,application/json", 0},
        {"application/json;as=Table;v=v2;g=meta.k8s.io", -1},
        {"application/jso", -1},
        {"application", -1},
        {",,;;,=;q=,", -1},
        {"application/json;q=x", 0},
        {"application/json;q=0.1111111111111111111,application/yaml", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (accept_choose(cases[i].accept, offers, ARRAY_LEN(offers)) != cases[i].index)
            fail_msg("%s: not %d", cases[i].accept, cases[i].index);
    assert_int_equal(accept_choose(NULL, NULL, 0), -1);
}

static json_t *get(const char *path, const char *accept)
{
    struct discovery_answer answer = {0};
    if (!discovery_answer(path, accept, "192.0.2.1:6443", &answer))
        return NULL;
    assert_memory_equal(answer.content_type, "application/json", strlen("application/json"));
    json_t *tree = json_loads(text_str(&answer.body), 0, NULL);
    assert_non_null(tree);
    text_done(&answer.body);
    return tree;
}

/* The text at a path of keys and indexes, "groups/0/name". */
static const char *text_at(const json_t *tree, const char *path)
{
    char step[64];
    while (*path) {
        size_t len = strcspn(path, "/");
        snprintf(step, sizeof(step), "%.*s", (int)len, path);
        tree =
            json_is_array(tree) ? json_array_get(tree, strtoul(step, NULL, 10)) : json_object_get(tree, step);
        path += len + (path[len] == '/');
    }
    return json_is_string(tree) ? json_string_value(tree) : NULL;
}

static void test_find(void **state)
{
    assert_ptr_equal(resource_find("", "v1", "services")->kind, API_SERVICE);
    assert_int_equal(resource_find("discovery.k8s.io", "v1", "endpointslices")->kind, API_ENDPOINT_SLICE);
    assert_null(resource_find("", "v1", "endpointslices"));
    assert_null(resource_find("discovery.k8s.io", "v1beta1", "endpointslices"));
    assert_null(resource_find("", "v1", "service"));
    const struct resource *core = resource_find("", "v1", "events"),
                          *other = resource_find("events.k8s.io", "v1", "events");
    assert_int_equal(core->kind, other->kind);
    assert_ptr_not_equal(resource_type(core), resource_type(other));
    assert_ptr_equal(resource_type(core), api_kind_info(API_EVENT)->type);
    /* Every kind is served under its own group and version. */
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        const struct api_kind_info *info = api_kind_info((enum api_kind)kind);
        bool is_served = false;
        for (size_t i = 0; i < resource_count; i++) {
            if ((int)resources[i].kind != kind)
                continue;
            is_served |= strcmp(resources[i].group_version, api_kind_version((enum api_kind)kind)) == 0;
            assert_int_equal(resources[i].is_namespaced, info->is_namespaced);
        }
        assert_true(is_served);
    }
}

static void test_groups(void **state)
{
    json_t *tree = get("/api", NULL);
    assert_string_equal(text_at(tree, "versions/0"), "v1");
    assert_string_equal(text_at(tree, "serverAddressByClientCIDRs/0/serverAddress"), "192.0.2.1:6443");
    json_decref(tree);
    tree = get("/apis", "application/json, */*");
    assert_string_equal(text_at(tree, "kind"), "APIGroupList");
    assert_int_equal(json_array_size(json_object_get(tree, "groups")), 4);
    assert_string_equal(text_at(tree, "groups/3/preferredVersion/groupVersion"), "discovery.k8s.io/v1");
    json_decref(tree);
    tree = get("/apis/coordination.k8s.io", NULL);
    assert_string_equal(text_at(tree, "name"), "coordination.k8s.io");
    assert_string_equal(text_at(tree, "versions/0/version"), "v1");
    json_decref(tree);
    tree = get("/version", NULL);
    assert_string_equal(text_at(tree, "major"), KUBERNETES_MAJOR);
    assert_string_equal(text_at(tree, "gitVersion"), KUBERNETES_VERSION "+fairlead." FAIRLEAD_VERSION);
    json_decref(tree);
}

/* The entry of a resource in the list at path, borrowed from *tree. */
static const json_t *find_entry(json_t *tree, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(tree, "resources"), i,
                       entry) if (strcmp(json_string_value(json_object_get(entry, "name")), name) ==
                                  0) return entry;
    return NULL;
}

static void check_entry(json_t *tree, const char *name, const char *expected)
{
    json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (!json_equal(find_entry(tree, name), wanted)) {
        cleanup_free char *text = json_dumps(find_entry(tree, name), JSON_COMPACT);
        fail_msg("%s: %s\nnot\n%s", name, text ? text : "nothing", expected);
    }
    json_decref(wanted);
}

#define ALL_VERBS                                                                                            \
    "[\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"update\",\"watch\"]"

static void test_resources(void **state)
{
    /* The hashes are those of a real apiserver. */
    json_t *tree = get("/api/v1", NULL);
    assert_null(json_object_get(tree, "apiVersion"));
    check_entry(
        tree, "services",
        "{\"name\":\"services\",\"singularName\":\"service\",\"namespaced\":true,\"kind\":\"Service\","
        "\"verbs\":" ALL_VERBS
        ",\"shortNames\":[\"svc\"],\"categories\":[\"all\"],\"storageVersionHash\":\"0/CO1lhkEBI=\"}");
    check_entry(tree, "services/status",
                "{\"name\":\"services/"
                "status\",\"singularName\":\"\",\"namespaced\":true,\"kind\":\"Service\",\"verbs\":"
                "[\"get\",\"patch\",\"update\"]}");
    check_entry(
        tree, "namespaces",
        "{\"name\":\"namespaces\",\"singularName\":\"namespace\",\"namespaced\":false,\"kind\":\"Namespace\","
        "\"verbs\":[\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\",\"watch\"],\"shortNames\":["
        "\"ns\"],"
        "\"storageVersionHash\":\"Q3oi5N2YM8M=\"}");
    check_entry(
        tree, "namespaces/finalize",
        "{\"name\":\"namespaces/finalize\",\"singularName\":\"\",\"namespaced\":false,\"kind\":\"Namespace\","
        "\"verbs\":[\"update\"]}");
    json_decref(tree);
    tree = get("/apis/discovery.k8s.io/v1", NULL);
    assert_string_equal(text_at(tree, "apiVersion"), "v1");
    check_entry(
        tree, "endpointslices",
        "{\"name\":\"endpointslices\",\"singularName\":\"endpointslice\",\"namespaced\":true,\"kind\":"
        "\"EndpointSlice\",\"verbs\":" ALL_VERBS ",\"storageVersionHash\":\"qgS0xkrxYAI=\"}");
    json_decref(tree);
    tree = get("/apis/events.k8s.io/v1", NULL);
    assert_string_equal(text_at(tree, "resources/0/storageVersionHash"), "r2yiGXH7wu8=");
    json_decref(tree);
}

#define AGGREGATED(version) "application/json;g=apidiscovery.k8s.io;v=" version ";as=APIGroupDiscoveryList"

static void test_aggregated(void **state)
{
    struct discovery_answer answer = {0};
    assert_true(discovery_answer("/apis", AGGREGATED("v2") "," AGGREGATED("v2beta1") ",application/json", "",
                                 &answer));
    assert_string_equal(answer.content_type, AGGREGATED("v2"));
    assert_int_equal(strlen(answer.etag), 64);
    text_done(&answer.body);

    json_t *tree = get("/apis", AGGREGATED("v2beta1") ",application/json");
    assert_string_equal(text_at(tree, "apiVersion"), "apidiscovery.k8s.io/v2beta1");
    assert_string_equal(text_at(tree, "items/3/metadata/name"), "discovery.k8s.io");
    assert_string_equal(text_at(tree, "items/3/versions/0/resources/0/resource"), "endpointslices");
    assert_string_equal(text_at(tree, "items/3/versions/0/resources/0/scope"), "Namespaced");
    assert_string_equal(text_at(tree, "items/1/versions/0/resources/0/subresources/0/subresource"), "status");
    json_decref(tree);

    tree = get("/api", AGGREGATED("v2"));
    assert_int_equal(json_array_size(json_object_get(tree, "items")), 1);
    assert_null(text_at(tree, "items/0/metadata/name"));
    assert_string_equal(text_at(tree, "items/0/versions/0/resources/6/responseKind/kind"), "Service");
    assert_string_equal(text_at(tree, "items/0/versions/0/resources/6/shortNames/0"), "svc");
    json_decref(tree);
}

static void test_missing(void **state)
{
    static const char *const paths[] = {"",
                                        "/",
                                        "/apiss",
                                        "/api/v2",
                                        "/api/v1/services",
                                        "/apis/apps",
                                        "/apis/discovery.k8s.io/v1beta1",
                                        "/apis/v1",
                                        "/apis/discovery.k8s.io/v1/endpointslices",
                                        "/openapi",
                                        "/openapi/v3/apis/apps/v1",
                                        "/openapi/v3/api/v2",
                                        "/openapi/v3x",
                                        "/openapi/v3/api/v1/",
                                        "/openapi/v3/apis/discovery.k8s.io",
                                        "/versions"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (get(paths[i], NULL))
            fail_msg("%s: is there", paths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),    cmocka_unit_test(test_find),       cmocka_unit_test(test_groups),
        cmocka_unit_test(test_resources), cmocka_unit_test(test_aggregated), cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
