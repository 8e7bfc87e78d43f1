/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/status.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct status_subject service = {
    .group = "", .plural = "services", .kind = "Service", .name = "web"};
static const struct status_subject slice = {
    .group = "discovery.k8s.io", .plural = "endpointslices", .kind = "EndpointSlice", .name = "web-1"};

/* expected is a JSON text without the parts that every refusal has. */
static void check(const struct status *status, const char *expected)
{
    json_t *tree = status_tree(status), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    json_object_set_new(wanted, "kind", json_string("Status"));
    json_object_set_new(wanted, "apiVersion", json_string("v1"));
    json_object_set_new(wanted, "metadata", json_object());
    json_object_set_new(wanted, "status", json_string(status->code ? "Failure" : "Success"));
    if (!json_equal(tree, wanted)) {
        cleanup_free char *text = json_dumps(tree, JSON_COMPACT);
        fail_msg("%s\nnot\n%s", text, expected);
    }
    json_decref(tree);
    json_decref(wanted);
}

static void test_refusals(void **state)
{
    struct arena arena = {0};
    struct status status;
    status_not_found(&status, &arena, &service);
    check(&status, "{\"message\":\"services \\\"web\\\" not found\",\"reason\":\"NotFound\",\"code\":404,"
                   "\"details\":{\"name\":\"web\",\"kind\":\"services\"}}");
    status_already_exists(&status, &arena, &slice);
    check(&status,
          "{\"message\":\"endpointslices.discovery.k8s.io \\\"web-1\\\" already exists\",\"reason\":"
          "\"AlreadyExists\",\"code\":409,\"details\":{\"name\":\"web-1\",\"group\":\"discovery.k8s.io\","
          "\"kind\":\"endpointslices\"}}");
    status_conflict(&status, &arena, &service, "the object has been modified");
    check(&status,
          "{\"message\":\"Operation cannot be fulfilled on services \\\"web\\\": the object has been "
          "modified\","
          "\"reason\":\"Conflict\",\"code\":409,\"details\":{\"name\":\"web\",\"kind\":\"services\"}}");
    status_forbidden(&status, &arena, &service, "no");
    check(&status,
          "{\"message\":\"services \\\"web\\\" is forbidden: no\",\"reason\":\"Forbidden\",\"code\":403,"
          "\"details\":{\"name\":\"web\",\"kind\":\"services\"}}");
    status_forbidden(&status, &arena, &(struct status_subject){"", "services", "Service", ""}, "no");
    assert_string_equal(status.message, "services is forbidden: no");
    status_forbidden(&status, &arena, &(struct status_subject){"", "", "", ""}, "no");
    check(&status, "{\"message\":\"forbidden: no\",\"reason\":\"Forbidden\",\"code\":403,\"details\":{}}");
    status_unauthorized(&status);
    check(&status, "{\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}");
    status_expired(&status, "too old resource version: 1 (2)");
    check(&status, "{\"message\":\"too old resource version: 1 (2)\",\"reason\":\"Expired\",\"code\":410}");
    status_bad_request(&status, "what?");
    check(&status, "{\"message\":\"what?\",\"reason\":\"BadRequest\",\"code\":400}");
    status_method_not_allowed(&status, &arena, "create", "services");
    check(&status,
          "{\"message\":\"create is not supported on resources of kind \\\"services\\\"\",\"reason\":"
          "\"MethodNotAllowed\",\"code\":405}");
    arena_done(&arena);
}

static void test_invalid(void **state)
{
    struct arena arena = {0};
    struct faults faults;
    struct status status;
    faults_init(&faults, &arena);
    status_invalid(&status, &arena, &slice, &faults);
    check(&status,
          "{\"message\":\"EndpointSlice.discovery.k8s.io \\\"web-1\\\" is invalid\",\"reason\":\"Invalid\","
          "\"code\":422,\"details\":{\"name\":\"web-1\",\"group\":\"discovery.k8s.io\",\"kind\":"
          "\"EndpointSlice\"}}");
    fault_required(&faults, path_field(NULL, "addressType"), NULL);
    status_invalid(&status, &arena, &slice, &faults);
    fault_forbidden(&faults, path_field(NULL, "late"), NULL); /* the status keeps what it was made of */
    check(
        &status,
        "{\"message\":\"EndpointSlice.discovery.k8s.io \\\"web-1\\\" is invalid: addressType: Required "
        "value\","
        "\"reason\":\"Invalid\",\"code\":422,\"details\":{\"name\":\"web-1\",\"group\":\"discovery.k8s.io\","
        "\"kind\":\"EndpointSlice\",\"causes\":[{\"reason\":\"FieldValueRequired\",\"message\":"
        "\"Required value\",\"field\":\"addressType\"}]}}");
    arena_done(&arena);
}

static void test_others(void **state)
{
    struct status status = {.retry_after_seconds = 3};
    check(&status, "{\"details\":{\"retryAfterSeconds\":3}}");
    status_bad_request(&status, "not UTF-8: \xff\xc3.");
    check(&status, "{\"message\":\"not UTF-8: ??.\",\"reason\":\"BadRequest\",\"code\":400}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
