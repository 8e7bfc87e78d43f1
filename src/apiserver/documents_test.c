/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/apiserver.h"
#include "apiserver/auth.h"
#include "apiserver/test_world.h"
#include "sys/test_client.h"

#include <stdio.h>

/* The whole server on the loopback: documents about it, who may read them, and what the door says. */

struct fixture {
    struct test_world *world;
    uv_loop_t loop;
    struct apiserver *server;
    struct socket_address address;
    char folder[64], tokens[80];
    struct text answer;
};

#define ADMIN "Authorization: Bearer admin-token\r\n"
#define KNOWN "Authorization: Bearer bob-token\r\n"

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct err err;
    void *world;
    test_world_setup(&world);
    fixture->world = world;
    uv_loop_init(&fixture->loop);
    snprintf(fixture->folder, sizeof(fixture->folder), "%.40s/fairlead-door-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->tokens, sizeof(fixture->tokens), "%s/tokens.csv", fixture->folder);
    assert_int_equal(tokens_append(fixture->tokens, "admin-token", "admin", "system:masters", &err), 0);
    assert_int_equal(tokens_append(fixture->tokens, "bob-token", "bob", "staff", &err), 0);
    struct socket_address any = {0};
    address_parse("127.0.0.1", &any.address, NULL);
    const struct apiserver_config config = {.world = &fixture->world->world,
                                            .addresses = &any,
                                            .address_count = 1,
                                            .tokens_path = fixture->tokens};
    if (apiserver_open(&fixture->server, &fixture->loop, &config, &err) < 0)
        fail_msg("%s", err.text);
    fixture->address = any;
    fixture->address.port = apiserver_port(fixture->server);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *world = fixture->world;
    apiserver_close(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    unlink(fixture->tokens);
    rmdir(fixture->folder);
    text_done(&fixture->answer);
    free(fixture);
    return test_world_teardown(&world);
}
#define TEST_SERVED(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* headers: whole lines. The answer's code. */
static int ask(struct fixture *fixture, const char *method, const char *path, const char *headers,
               const char *body)
{
    struct text request = {0};
    text_done(&fixture->answer);
    text_printf(&request, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s", method, path, headers);
    if (body)
        text_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    text_printf(&request, "\r\n%s", body ? body : "");
    if (!test_exchange(&fixture->loop, &fixture->address, text_str(&request), &fixture->answer))
        fail_msg("%s %s: no answer", method, path);
    text_done(&request);
    return atoi(text_str(&fixture->answer) + strlen("HTTP/1.1 "));
}

static int get(struct fixture *fixture, const char *path, const char *headers)
{
    return ask(fixture, "GET", path, headers, NULL);
}

static void expect_body(struct fixture *fixture, const char *wanted)
{
    const char *body = test_body(&fixture->answer);
    json_t *tree = json_loads(body, 0, NULL);
    test_expect(tree, wanted, body);
    json_decref(tree);
}

static void expect_header(struct fixture *fixture, const char *line)
{
    if (!strstr(text_str(&fixture->answer), line))
        fail_msg("%s is not in\n%s", line, text_str(&fixture->answer));
}

static void probes_answer_everybody(void **state)
{
    static const char *const probes[] = {"/healthz", "/livez", "/readyz"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        assert_int_equal(get(fixture, probes[i], ""), 200);
        assert_string_equal(test_body(&fixture->answer), "ok");
    }
    assert_int_equal(get(fixture, "/readyz?verbose", ""), 200);
    assert_non_null(strstr(test_body(&fixture->answer), "readyz check passed\n"));
    assert_int_equal(get(fixture, "/version", ""), 200);
    expect_body(fixture, "{major: '1'}");
    assert_int_equal(get(fixture, "/healthz", "Authorization: Bearer wrong\r\n"), 401);
}

static void documents_are_for_those_who_are_known(void **state)
{
    static const struct {
        const char *path;
        int stranger, known;
    } cases[] = {
        {"/api", 403, 200},
        {"/api/v1", 403, 200},
        {"/apis", 403, 200},
        {"/apis/discovery.k8s.io/v1", 403, 200},
        {"/openapi/v2", 403, 200},
        {"/openapi/v3", 403, 200},
        {"/apis/apiextensions.k8s.io/v1/customresourcedefinitions", 403, 200},
        {"/apis/nowhere.example.com/v1", 403, 404},
        {"/nowhere", 403, 404},
        {"/api/v1/services", 403, 403},
        {"/api/v1/secrets", 403, 404},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int stranger = get(fixture, cases[i].path, "");
        int known = get(fixture, cases[i].path, KNOWN);
        if (stranger != cases[i].stranger || known != cases[i].known)
            fail_msg("%s: %d for a stranger, %d for one who is known", cases[i].path, stranger, known);
    }
    get(fixture, "/nowhere", "");
    expect_body(fixture, "{reason: Forbidden, message: 'forbidden: User \"system:anonymous\" cannot get path "
                         "\"/nowhere\"', details: {}}");
    get(fixture, "/nowhere", KNOWN);
    expect_body(fixture,
                "{reason: NotFound, message: the server could not find the requested resource, code: 404}");
    get(fixture, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", KNOWN);
    expect_body(fixture, "{kind: CustomResourceDefinitionList, items: []}");
}

static void documents_are_cached_by_their_tag(void **state)
{
    struct fixture *fixture = *state;
    char header[128], tag[80];
    assert_int_equal(get(fixture, "/openapi/v2", ADMIN), 200);
    const char *at = strstr(text_str(&fixture->answer), "\r\nETag: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\r\nETag: %79s", tag), 1);
    expect_header(fixture, "\r\nVary: Accept");
    snprintf(header, sizeof(header), ADMIN "If-None-Match: %s\r\n", tag);
    assert_int_equal(get(fixture, "/openapi/v2", header), 304);
    assert_string_equal(test_body(&fixture->answer), "");
    assert_int_equal(get(fixture, "/openapi/v2", ADMIN "If-None-Match: \"other\"\r\n"), 200);
    assert_int_equal(get(fixture, "/openapi/v3", header), 200);
}

static void documents_are_read_alone(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask(fixture, "POST", "/version", ADMIN, "{}"), 405);
    assert_int_equal(ask(fixture, "DELETE", "/api/v1", ADMIN, NULL), 405);
    assert_int_equal(ask(fixture, "PUT", "/openapi/v2", ADMIN, "{}"), 405);
    assert_int_equal(ask(fixture, "DELETE", "/api/v1", "", NULL), 403);
}

/* --- the door --- */

static void the_door_knows_its_people(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/api/v1/services", ADMIN), 200);
    assert_int_equal(get(fixture, "/api/v1/services", "Authorization: bearer   admin-token\r\n"), 200);
    assert_int_equal(get(fixture, "/api/v1/services", "Authorization: Bearer none\r\n"), 401);
    expect_body(fixture, "{status: Failure, message: Unauthorized, reason: Unauthorized, code: 401}");
    expect_header(fixture, "\r\nWWW-Authenticate: ");
    assert_int_equal(get(fixture, "/api/v1/services", "Authorization: Bearer \r\n"), 401);
    assert_int_equal(get(fixture, "/api/v1/services", "Authorization: Basic YWRtaW46eA==\r\n"), 401);
    assert_int_equal(get(fixture, "/api/v1/services", KNOWN), 403);
    expect_body(
        fixture,
        "{message: 'services is forbidden: User \"bob\" cannot list resource \"services\" in API group \"\" "
        "at the cluster scope'}");
    assert_int_equal(get(fixture, "/api/v1/services", ""), 403);
    expect_header(fixture, "\r\nCache-Control: no-cache, private");
}

static void refusals_come_in_upstreams_order(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/api/v1/services?limit=x", ADMIN), 400);
    assert_int_equal(ask(fixture, "PUT", "/api/v1/services", ADMIN, "{}"), 405);
    expect_body(fixture, "{reason: MethodNotAllowed}");
    assert_int_equal(ask(fixture, "DELETE", "/api/v1/namespaces", ADMIN, NULL), 405);
    assert_int_equal(get(fixture, "/api/v1/services", ADMIN "Accept: text/html\r\n"), 406);
    assert_int_equal(ask(fixture, "POST", TEST_CORE "configmaps", ADMIN "Content-Type: text/plain\r\n", "{}"),
                     415);
    assert_int_equal(
        ask(fixture, "PATCH", TEST_CORE "configmaps/a", ADMIN "Content-Type: application/json\r\n", "{}"),
        415);
    assert_int_equal(get(fixture, "/api/v1/services?sendInitialEvents=true", ADMIN), 422);
    assert_int_equal(ask(fixture, "POST", TEST_CORE "configmaps?dryRun=Some", ADMIN, "{}"), 422);
    struct apiserver_counters counters = apiserver_counters(fixture->server);
    assert_int_equal(counters.requests, 8);
    assert_int_equal(counters.refused, 8);
}

static void writes_go_through(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask(fixture, "POST", TEST_CORE "configmaps",
                         ADMIN
                         "User-Agent: kubectl/v1.32.3 (linux/amd64)\r\nContent-Type: application/json\r\n",
                         "{\"metadata\":{\"name\":\"a\"},\"data\":{\"j\":\"v\"},\"odd\":1}"),
                     201);
    expect_header(fixture, "\r\nWarning: 299 - \"unknown field \\\"odd\\\"\"\r\n");
    assert_int_equal(ask(fixture, "PATCH", TEST_CORE "configmaps/a",
                         ADMIN "User-Agent: kubectl/v1.32.3 (linux/amd64)\r\nContent-Type: "
                               "application/merge-patch+json\r\n",
                         "{\"data\":{\"k\":\"v\"}}"),
                     200);
    expect_body(fixture, "{data: {k: v}, metadata: {managedFields: [{manager: kubectl}]}}");
    assert_int_equal(ask(fixture, "PATCH", TEST_CORE "configmaps/b?fieldManager=me",
                         ADMIN "Content-Type: application/apply-patch+yaml\r\n",
                         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"),
                     201);
    assert_int_equal(get(fixture, TEST_CORE "endpoints", ADMIN), 200);
    expect_header(fixture,
                  "\r\nWarning: 299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 "
                  "EndpointSlice\"\r\n");
    assert_int_equal(ask(fixture, "DELETE", TEST_CORE "configmaps/a", ADMIN, NULL), 200);
    expect_body(fixture, "{kind: Status, status: Success, details: {name: a, kind: configmaps}, code: null}");
}

static void collections_are_deleted(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 4; i++)
        test_do(
            fixture->world, "POST " TEST_CORE "configmaps",
            arena_printf(&fixture->world->arena, "{metadata: {name: m%d, labels: {parity: p%d}}}", i, i % 2));
    test_do(fixture->world, "POST /api/v1/namespaces/kube-system/configmaps", "{metadata: {name: other}}");
    assert_int_equal(ask(fixture, "DELETE", TEST_CORE "configmaps?dryRun=All", ADMIN, NULL), 200);
    assert_int_equal(ask(fixture, "DELETE", TEST_CORE "configmaps?labelSelector=parity%3Dp1", ADMIN, NULL),
                     200);
    expect_body(fixture, "{kind: ConfigMapList, items: [{metadata: {name: m1}}, {metadata: {name: m3}}]}");
    assert_int_equal(registry_count(fixture->world->world.registry, API_CONFIG_MAP), 3);
    assert_int_equal(
        ask(fixture, "DELETE", TEST_CORE "configmaps", ADMIN, "{\"preconditions\":{\"uid\":\"x\"}}"), 409);
    assert_int_equal(ask(fixture, "DELETE", TEST_CORE "configmaps", ADMIN, NULL), 200);
    assert_int_equal(registry_count(fixture->world->world.registry, API_CONFIG_MAP), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_SERVED(probes_answer_everybody),
        TEST_SERVED(documents_are_for_those_who_are_known),
        TEST_SERVED(documents_are_cached_by_their_tag),
        TEST_SERVED(documents_are_read_alone),
        TEST_SERVED(the_door_knows_its_people),
        TEST_SERVED(refusals_come_in_upstreams_order),
        TEST_SERVED(writes_go_through),
        TEST_SERVED(collections_are_deleted),
    };
    return cmocka_run_group_tests_name("documents", tests, NULL, NULL);
}
