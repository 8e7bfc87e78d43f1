/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/request.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NAMED "/api/v1/namespaces/default/services/web"

/* wanted: "plural.group namespace name subresource", "-" for what is empty; NULL: no resource's path. */
static const struct {
    const char *path, *wanted;
} paths[] = {
    {"/api/v1/services", "services - - -"},
    {"/api/v1/namespaces/default/services", "services default - -"},
    {NAMED, "services default web -"},
    {NAMED "/status", "services default web status"},
    {"/api/v1/namespaces", "namespaces - - -"},
    {"/api/v1/namespaces/default", "namespaces - default -"},
    {"/api/v1/namespaces/default/status", "namespaces - default status"},
    {"/api/v1/namespaces/default/finalize", "namespaces - default finalize"},
    {"/api/v1/nodes/n1", "nodes - n1 -"},
    {"/api/v1/nodes/n1/status", "nodes - n1 status"},
    {"/api/v1/namespaces/default/pods/p/status", "pods default p status"},
    {"/api/v1/namespaces/default/events/e", "events default e -"},
    {"/apis/events.k8s.io/v1/namespaces/default/events/e", "events.events.k8s.io default e -"},
    {"/apis/discovery.k8s.io/v1/endpointslices", "endpointslices.discovery.k8s.io - - -"},
    {"/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/web-1",
     "endpointslices.discovery.k8s.io a web-1 -"},
    {"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1",
     "leases.coordination.k8s.io kube-node-lease n1 -"},
    {"/apis/networking.k8s.io/v1/servicecidrs/kubernetes", "servicecidrs.networking.k8s.io - kubernetes -"},
    /* A namespace, and objects in it, whose names are those of resources. */
    {"/api/v1/namespaces/services", "namespaces - services -"},
    {"/api/v1/namespaces/services/pods", "pods services - -"},
    {"/api/v1/namespaces/pods/pods/pods", "pods pods pods -"},
    /* What a name is made of is judged later. */
    {"/api/v1/namespaces/default/configmaps/Not A Name!", "configmaps default Not A Name! -"},
    {"/api/v1/namespaces/default/services/\xff", "services default \xff -"},
    /* One slash at the end is nothing. */
    {"/api/v1/services/", "services - - -"},
    {NAMED "/", "services default web -"},
    {NAMED "/status/", "services default web status"},
    {"/", NULL},
    {"", NULL},
    {"/api", NULL},
    {"/api/", NULL},
    {"/api/v1", NULL},
    {"/api/v1/", NULL},
    {"/apis/discovery.k8s.io/v1", NULL},
    {"//api/v1/services", NULL},
    {"/api//v1/services", NULL},
    {"/api/v1//services", NULL},
    {"/api/v1/services//", NULL},
    {"/api/v1/namespaces//services", NULL},
    {"/api/v1/namespaces/default/services//status", NULL},
    {NAMED "//", NULL},
    {"/api/v2/services", NULL},
    {"/api/v1beta1/services", NULL},
    {"/apis/v1/services", NULL},
    {"/apis/core/v1/services", NULL},
    {"/apis//v1/services", NULL},
    {"/API/v1/services", NULL},
    {"/api/v1/Services", NULL},
    {"/api/v1/service", NULL},
    {"/api/v1/svc", NULL},
    {"/api/v1/secrets", NULL},
    {"/api/v1/endpointslices", NULL},
    {"/apis/discovery.k8s.io/v1beta1/endpointslices", NULL},
    {"/apis/discovery.k8s.io/v1/services", NULL},
    /* An object of a namespaced kind without its namespace; a namespace where there is none. */
    {"/api/v1/services/web", NULL},
    {"/api/v1/pods/p/status", NULL},
    {"/api/v1/namespaces/default/nodes", NULL},
    {"/api/v1/namespaces/default/nodes/n1", NULL},
    {"/api/v1/namespaces/default/namespaces", NULL},
    {"/api/v1/namespaces/default/secrets", NULL},
    {"/apis/networking.k8s.io/v1/namespaces/default/servicecidrs", NULL},
    {NAMED "/proxy", NULL},
    {NAMED "/Status", NULL},
    {NAMED "/finalize", NULL},
    {NAMED "/status/more", NULL},
    {"/api/v1/namespaces/default/configmaps/a/status", NULL},
    {"/api/v1/namespaces/default/pods/p/log", NULL},
    {"/api/v1/namespaces/default/pods/p/exec", NULL},
    {"/api/v1/watch/services", NULL},
    {"/api/v1/namespaces/default/services/web/status/a/b/c/d/e/f", NULL},
    {"/a/b/c/d/e/f/g/h/i/j/k/l", NULL},
};

static void paths_name_resources(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct arena arena;
        struct target target;
        arena_init(&arena);
        const char *given = NULL;
        if (target_parse(paths[i].path, &arena, &target))
            given = arena_printf(
                &arena, "%s%s%s %s %s %s", target.resource->plural, *target.resource->group ? "." : "",
                target.resource->group, *target.namespace_ ? target.namespace_ : "-",
                *target.name ? target.name : "-", *target.subresource ? target.subresource : "-");
        if (!text_equal(given, paths[i].wanted))
            fail_msg("%s is \"%s\", not \"%s\"", paths[i].path, given ? given : "(none)",
                     paths[i].wanted ? paths[i].wanted : "(none)");
        arena_done(&arena);
    }
}

static void a_subject_has_all_names(void **state)
{
    struct arena arena;
    struct target target;
    arena_init(&arena);
    assert_true(target_parse("/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/web-1", &arena, &target));
    struct status_subject subject = target_subject(&target);
    assert_string_equal(subject.group, "discovery.k8s.io");
    assert_string_equal(subject.plural, "endpointslices");
    assert_string_equal(subject.kind, "EndpointSlice");
    assert_string_equal(subject.name, "web-1");
    arena_done(&arena);
}

/* --- queries --- */

static struct query parse(const char *raw, struct arena *arena)
{
    struct query query;
    struct status status = {0};
    if (!query_parse(raw, arena, &query, &status))
        fail_msg("%s: %s", raw, status.message);
    return query;
}

static void what_is_absent_has_upstreams_default(void **state)
{
    static const char *const queries[] = {"",        "&", "&&&",     "unknown=1",
                                          "unknown", "=", "Limit=3", "pretty=true"};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct query query = parse(queries[i], &arena);
        assert_string_equal(query.label_selector, "");
        assert_string_equal(query.field_selector, "");
        assert_string_equal(query.resource_version, "");
        assert_string_equal(query.resource_version_match, "");
        assert_string_equal(query.continue_, "");
        assert_string_equal(query.field_manager, "");
        assert_string_equal(query.propagation_policy, "");
        assert_string_equal(query.include_object, "Metadata");
        assert_int_equal(query.field_validation, FIELD_VALIDATION_WARN);
        assert_true(query.grace_seconds == -1);
        assert_true(query.limit == 0 && query.timeout_seconds == 0);
        assert_false(query.is_watch || query.allows_bookmarks || query.sends_initial_events ||
                     query.has_initial_events || query.is_dry_run || query.is_forced || query.has_force);
    }
    arena_done(&arena);
}

static void texts_are_unescaped(void **state)
{
    static const struct {
        const char *raw, *wanted; /* of labelSelector */
    } cases[] = {
        {"labelSelector=a%3Db", "a=b"},
        {"labelSelector=a=b", "a=b"},
        {"labelSelector=a%3db%2Cc+in+%28d%2Ce%29", "a=b,c in (d,e)"},
        {"label%53elector=a", "a"},
        {"labelSelector=a%2", "a%2"},
        {"labelSelector=a%", "a%"},
        {"labelSelector=%zz", "%zz"},
        {"labelSelector=%26b", "&b"},
        {"labelSelector=a&labelSelector=b", "b"},
        {"labelSelector", ""},
        {"labelSelector=", ""},
        {"labelSelector=%C3%A9", "\xc3\xa9"},
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (strcmp(parse(cases[i].raw, &arena).label_selector, cases[i].wanted) != 0)
            fail_msg("%s gave %s", cases[i].raw, parse(cases[i].raw, &arena).label_selector);
    /* A NUL would end the text for us alone. */
    assert_string_equal(parse("labelSelector=a%00b", &arena).label_selector, "a%00b");
    arena_done(&arena);
}

static void options_are_read(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct query query =
        parse("fieldSelector=metadata.name%3Dweb&resourceVersion=7&resourceVersionMatch=Exact&"
              "continue=abc&fieldManager=me&propagationPolicy=Orphan&includeObject=None",
              &arena);
    assert_string_equal(query.field_selector, "metadata.name=web");
    assert_string_equal(query.resource_version, "7");
    assert_string_equal(query.resource_version_match, "Exact");
    assert_string_equal(query.continue_, "abc");
    assert_string_equal(query.field_manager, "me");
    assert_string_equal(query.propagation_policy, "Orphan");
    assert_string_equal(query.include_object, "None");
    query = parse("watch=1&allowWatchBookmarks=true&sendInitialEvents=True&force=true", &arena);
    assert_true(query.is_watch && query.allows_bookmarks && query.sends_initial_events &&
                query.has_initial_events);
    assert_true(query.is_forced && query.has_force);
    query = parse("watch=false&allowWatchBookmarks=0&sendInitialEvents=FALSE&force=0", &arena);
    assert_false(query.is_watch || query.allows_bookmarks || query.sends_initial_events || query.is_forced);
    assert_true(query.has_initial_events && query.has_force);
    /* All but false and 0 is true. */
    assert_true(parse("watch", &arena).is_watch && parse("watch=", &arena).is_watch);
    assert_true(parse("watch=maybe", &arena).is_watch);
    assert_true(parse("limit=500", &arena).limit == 500);
    assert_true(parse("limit=0", &arena).limit == 0);
    assert_true(parse("limit=-3", &arena).limit == 0);
    assert_true(parse("limit=9223372036854775807", &arena).limit == INT64_MAX);
    assert_int_equal(parse("timeoutSeconds=300", &arena).timeout_seconds, 300);
    assert_int_equal(parse("timeoutSeconds=99999999999", &arena).timeout_seconds, 86400);
    assert_int_equal(parse("timeoutSeconds=-1", &arena).timeout_seconds, 0);
    assert_true(parse("gracePeriodSeconds=0", &arena).grace_seconds == 0);
    assert_true(parse("gracePeriodSeconds=30", &arena).grace_seconds == 30);
    assert_true(parse("gracePeriodSeconds=-7", &arena).grace_seconds == 1);
    arena_done(&arena);
}

static void malformed_numbers_are_refused(void **state)
{
    static const struct {
        const char *raw, *wanted;
    } cases[] = {
        {"limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"},
        {"limit=", "strconv.ParseInt: parsing \"\": invalid syntax"},
        {"limit", "strconv.ParseInt: parsing \"\": invalid syntax"},
        {"limit=1x", "strconv.ParseInt: parsing \"1x\": invalid syntax"},
        {"limit=%201", "strconv.ParseInt: parsing \" 1\": invalid syntax"},
        {"limit=99999999999999999999",
         "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"},
        {"watch=1&timeoutSeconds=soon", "strconv.ParseInt: parsing \"soon\": invalid syntax"},
        {"gracePeriodSeconds=1.5", "strconv.ParseInt: parsing \"1.5\": invalid syntax"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct query query;
        struct status status = {0};
        arena_init(&arena);
        if (query_parse(cases[i].raw, &arena, &query, &status))
            fail_msg("%s is accepted", cases[i].raw);
        assert_int_equal(status.code, 400);
        assert_string_equal(status.message, cases[i].wanted);
        arena_done(&arena);
    }
}

/* --- what upstream's validation of options says --- */

#define LIST "ListOptions.meta.k8s.io \"\" is invalid: "
#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

static void options_are_judged(void **state)
{
    static const struct {
        enum verb verb;
        const char *raw, *wanted; /* NULL: accepted */
    } cases[] = {
        {VERB_CREATE, "", NULL},
        {VERB_CREATE, "dryRun=&fieldValidation=&fieldManager=me", NULL},
        {VERB_CREATE, "fieldManager=" LONG LONG, NULL},
        {VERB_CREATE, "fieldValidation=Bogus",
         "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Bogus\": "
         "supported values: "
         "\"\", \"Ignore\", \"Strict\", \"Warn\""},
        {VERB_UPDATE, "fieldManager=" LONG LONG "x",
         "UpdateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"},
        {VERB_LIST, "limit=5&resourceVersion=3", NULL},
        {VERB_LIST, "resourceVersion=3&resourceVersionMatch=Exact", NULL},
        {VERB_LIST, "resourceVersion=0&resourceVersionMatch=NotOlderThan", NULL},
        {VERB_LIST, "resourceVersion=1&resourceVersionMatch=Bogus",
         LIST "resourceVersionMatch: Unsupported value: \"Bogus\": supported values: \"Exact\", "
              "\"NotOlderThan\", \"\""},
        {VERB_LIST, "resourceVersionMatch=Exact",
         LIST "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
              "provided"},
        {VERB_LIST, "resourceVersionMatch=Exact&resourceVersion=0",
         LIST "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for "
              "resourceVersion \"0\""},
        {VERB_LIST, "sendInitialEvents=true",
         LIST "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"},
        {VERB_WATCH, "watch=1", NULL},
        {VERB_WATCH, "watch=1&resourceVersion=7", NULL},
        {VERB_WATCH, "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", NULL},
        {VERB_WATCH, "watch=1&sendInitialEvents=true",
         LIST "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
              "NotOlderThan"},
        {VERB_WATCH, "watch=1&resourceVersion=1&resourceVersionMatch=Exact",
         LIST "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
              "sendInitialEvents "
              "is provided"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct status status = {0};
        arena_init(&arena);
        struct query query = parse(cases[i].raw, &arena);
        bool is_list = cases[i].verb == VERB_LIST || cases[i].verb == VERB_WATCH;
        bool is_good = is_list ? query_check_list(&query, &arena, &status)
                               : query_check_write(&query, cases[i].verb, &arena, &status);
        assert_int_equal(status.code, is_good ? 0 : 422);
        if (!text_equal(status.message, cases[i].wanted))
            fail_msg("%s: %s\nnot %s", cases[i].raw, status.message ? status.message : "(accepted)",
                     cases[i].wanted ? cases[i].wanted : "(accepted)");
        arena_done(&arena);
    }
}

static void an_unknown_dry_run_is_no_write(void **state)
{
    static const char *const raw[] = {"dryRun=all", "dryRun=true", "dryRun=All,All"};
    struct arena arena;
    struct status status = {0};
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(raw); i++) {
        struct query query = parse(raw[i], &arena);
        assert_false(query_check_write(&query, VERB_DELETE_COLLECTION, &arena, &status));
        assert_int_equal(status.code, 422);
        assert_string_equal(status.kind, "DeleteOptions");
        assert_string_equal(status.causes[0].field, "dryRun");
        assert_string_equal(status.causes[0].reason, "FieldValueNotSupported");
    }
    arena_done(&arena);
}

static void good_options_are_taken(void **state)
{
    static const char *const names[] = {"Warn", "Strict", "Ignore"};
    struct arena arena;
    struct status status = {0};
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct query query = parse(arena_printf(&arena, "fieldValidation=%s&dryRun=All", names[i]), &arena);
        assert_true(query_check_write(&query, VERB_CREATE, &arena, &status));
        assert_int_equal(query.field_validation, i);
        assert_true(query.is_dry_run);
    }
    struct query query = parse("", &arena);
    assert_true(query_check_write(&query, VERB_CREATE, &arena, &status));
    assert_int_equal(query.field_validation, FIELD_VALIDATION_WARN);
    assert_false(query.is_dry_run);
    arena_done(&arena);
}

/* --- verbs --- */

static void methods_are_verbs(void **state)
{
    static const struct {
        const char *method, *path, *query, *wanted; /* NULL: 405 */
    } cases[] = {
        {"GET", "/api/v1/services", "", "list"},
        {"GET", "/api/v1/services", "watch=true", "watch"},
        {"GET", "/api/v1/services", "watch=false", "list"},
        {"GET", "/api/v1/namespaces/default/services", "watch=1", "watch"},
        {"GET", NAMED, "", "get"},
        {"GET", NAMED "/status", "", "get"},
        {"GET", "/api/v1/namespaces/default", "", "get"},
        {"POST", "/api/v1/namespaces/default/services", "", "create"},
        {"POST", "/api/v1/namespaces", "", "create"},
        {"POST", "/api/v1/nodes", "", "create"},
        {"PUT", NAMED, "", "update"},
        {"PUT", NAMED "/status", "", "update"},
        {"PUT", "/api/v1/namespaces/default/finalize", "", "update"},
        {"PATCH", NAMED, "", "patch"},
        {"PATCH", NAMED "/status", "", "patch"},
        {"DELETE", NAMED, "", "delete"},
        {"DELETE", "/api/v1/namespaces/default/services", "", "deletecollection"},
        {"DELETE", "/api/v1/nodes", "", "deletecollection"},
        {"DELETE", "/api/v1/namespaces/default", "", "delete"},
        {"POST", "/api/v1/services", "", NULL},
        {"POST", NAMED, "", NULL},
        {"POST", NAMED "/status", "", NULL},
        {"POST", "/api/v1/nodes/n1", "", NULL},
        {"PUT", "/api/v1/services", "", NULL},
        {"PUT", "/api/v1/namespaces/default/services", "", NULL},
        {"PUT", "/api/v1/nodes", "", NULL},
        {"PATCH", "/api/v1/namespaces/default/services", "", NULL},
        {"PATCH", "/api/v1/namespaces/default/finalize", "", NULL},
        {"GET", "/api/v1/namespaces/default/finalize", "", NULL},
        {"DELETE", "/api/v1/services", "", NULL},
        {"DELETE", NAMED "/status", "", NULL},
        {"DELETE", "/api/v1/namespaces/default/finalize", "", NULL},
        {"DELETE", "/api/v1/namespaces", "", NULL},
        {"HEAD", NAMED, "", NULL},
        {"OPTIONS", NAMED, "", NULL},
        {"CONNECT", NAMED, "", NULL},
        {"get", NAMED, "", NULL},
        {"", NAMED, "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct target target;
        enum verb verb;
        arena_init(&arena);
        struct query query = parse(cases[i].query, &arena);
        assert_true(target_parse(cases[i].path, &arena, &target));
        bool is_known = verb_parse(cases[i].method, &target, &query, &verb);
        if (!text_equal(is_known ? verb_name(verb) : NULL, cases[i].wanted))
            fail_msg("%s %s is %s", cases[i].method, cases[i].path, is_known ? verb_name(verb) : "none");
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_resources),
        cmocka_unit_test(a_subject_has_all_names),
        cmocka_unit_test(what_is_absent_has_upstreams_default),
        cmocka_unit_test(texts_are_unescaped),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(malformed_numbers_are_refused),
        cmocka_unit_test(options_are_judged),
        cmocka_unit_test(an_unknown_dry_run_is_no_write),
        cmocka_unit_test(good_options_are_taken),
        cmocka_unit_test(methods_are_verbs),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
