/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/selector.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NAME_WORDS                                                                                           \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " \
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                  \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define UNABLE "unable to parse requirement: "
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static Meta__StringEntry app = {.base = PROTOBUF_C_MESSAGE_INIT(&meta__string_entry__descriptor),
                                .key = (char *)"app",
                                .value = (char *)"web"};
static Meta__StringEntry tier = {.base = PROTOBUF_C_MESSAGE_INIT(&meta__string_entry__descriptor),
                                 .key = (char *)"example.com/tier",
                                 .value = (char *)"12"};
static Meta__StringEntry empty = {.base = PROTOBUF_C_MESSAGE_INIT(&meta__string_entry__descriptor),
                                  .key = (char *)"empty"};

static void test_label_matches(void **state)
{
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"", true},
        {" ", true},
        {"app=web", true},
        {"app==web", true},
        {"app = web , example.com/tier=12", true},
        {"app=db", false},
        {"app=web,missing=x", false},
        {"app!=db", true},
        {"app!=web", false},
        {"missing!=x", true},
        {"app", true},
        {"!app", false},
        {"! missing", true},
        {"missing", false},
        {"app in (db, web)", true},
        {"app in (db,x)", false},
        {"app notin (db,web)", false},
        {"missing notin (a)", true},
        {"missing in (a)", false},
        {"example.com/tier>11", true},
        {"example.com/tier>12", false},
        {"example.com/tier<13", true},
        {"app>1", false},
        {"missing<1", false},
        {"empty=", true},
        {"empty", true},
        {"empty in ()", true},
        {"empty in (a,)", true},
        {"empty in (,)", true},
        {"app in (a,,b)", false},
        {"app=,example.com/tier", false},
        {"in notin (in)", true},
        {"app in (in,notin,web)", true},
    };
    Meta__StringEntry *labels[] = {&app, &tier, &empty};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct selector *selector = NULL;
        struct err err = {""};
        if (label_selector_parse(cases[i].text, &arena, &selector, &err) < 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        if (label_selector_matches(selector, labels, ARRAY_LEN(labels)) != cases[i].matches)
            fail_msg("%s: is %smatched", cases[i].text, cases[i].matches ? "not " : "");
        arena_done(&arena);
    }
}

struct refusal {
    const char *text, *sentence;
};

static void test_label_refusals(void **state)
{
    static const struct refusal cases[] = {
        {"=", "found '=', expected: !, identifier, or 'end of string'"},
        {",a", "found ',', expected: !, identifier, or 'end of string'"},
        {"a,", "found '', expected: identifier after ','"},
        {"a,,b", "found ',', expected: identifier after ','"},
        {"a=b c", "found 'c', expected: ',' or 'end of string'"},
        {"a=b=c", "found '=', expected: ',' or 'end of string'"},
        {"!", UNABLE "found '', expected: identifier"},
        {"!!a", UNABLE "found '!', expected: identifier"},
        {"!a in (b)", "found 'in', expected: ',' or 'end of string'"},
        {"a b", UNABLE "found 'b', expected: in, notin, =, ==, !=, gt, lt"},
        {"a=(b)", UNABLE "found '(', expected: identifier"},
        {"a in b", UNABLE "found 'b' expected: '('"},
        {"a in (", UNABLE "found '', expected: ',', ')' or identifier"},
        {"a in (b", UNABLE "found '', expected: ',' or ')'"},
        {"a in (b c)", UNABLE "found 'c', expected: ',' or ')'"},
        {"a in (b,", UNABLE "found '', expected: ',', or identifier"},
        {"a in (b,=)", UNABLE "found '=', expected: ',', or identifier"},
        {"a b/=c", UNABLE "found 'b/', expected: in, notin, =, ==, !=, gt, lt"},
        {"-a=b", UNABLE "<nil>: Invalid value: \"-a\": name part " NAME_WORDS},
        {"a/=b", UNABLE "<nil>: Invalid value: \"a/\": name part must be non-empty; name part " NAME_WORDS},
        {"a>b",
         UNABLE "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"},
        {"a=" LONG, UNABLE "values[0][a]: Invalid value: \"" LONG "\": must be no more than 63 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct selector *selector = NULL;
        struct err err = {""};
        assert_int_equal(label_selector_parse(cases[i].text, &arena, &selector, &err), -EINVAL);
        if (strcmp(err.text, cases[i].sentence) != 0)
            fail_msg("%s\nis refused as\n%s\nnot\n%s", cases[i].text, err.text, cases[i].sentence);
        assert_null(selector);
        arena_done(&arena);
    }
}

static void test_label_value_index(void **state)
{
    /* Values are sorted before they are judged, so the index is not that of the text. */
    struct arena arena = {0};
    struct selector *selector = NULL;
    struct err err = {""};
    assert_int_equal(label_selector_parse("a in (z@, b, b)", &arena, &selector, &err), -EINVAL);
    assert_non_null(strstr(err.text, UNABLE "values[1][a]: Invalid value: \"z@\": a valid label must be"));
    arena_done(&arena);
}

static void test_too_long(void **state)
{
    struct arena arena = {0};
    struct selector *selector = NULL;
    struct err err = {""};
    struct text text = {0};
    for (int i = 0; i < 70000; i++)
        text_add(&text, "a");
    assert_int_equal(label_selector_parse(text.data, &arena, &selector, &err), -EINVAL);
    assert_int_equal(field_selector_parse(text.data, API_POD, &arena, &selector, &err), -EINVAL);
    assert_string_equal(err.text, "a selector may not be longer than 65536 bytes");
    text_done(&text);
    arena_done(&arena);
}

static Core__Pod *make_pod(void)
{
    static Meta__ObjectMeta metadata = META__OBJECT_META__INIT;
    static Core__PodSpec spec = CORE__POD_SPEC__INIT;
    static Core__PodIP address = CORE__POD_IP__INIT;
    static Core__PodIP *addresses[] = {&address};
    static Core__PodStatus status = CORE__POD_STATUS__INIT;
    static Core__Pod pod = CORE__POD__INIT;
    metadata.name = (char *)"p1";
    metadata.namespace_ = (char *)"default";
    spec.nodename = (char *)"n,1";
    spec.has_hostnetwork = spec.hostnetwork = true;
    address.ip = (char *)"10.1.0.1";
    status.podips = addresses;
    status.n_podips = 1;
    pod.metadata = &metadata;
    pod.spec = &spec;
    pod.status = &status;
    return &pod;
}

static void check_field(enum api_kind kind, const ProtobufCMessage *message, const char *text, bool matches)
{
    struct arena arena = {0};
    struct selector *selector = NULL;
    struct err err = {""};
    if (field_selector_parse(text, kind, &arena, &selector, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    if (field_selector_matches(selector, message) != matches)
        fail_msg("%s: is %smatched", text, matches ? "not " : "");
    arena_done(&arena);
}

static void test_field_matches(void **state)
{
    const ProtobufCMessage *pod = &make_pod()->base;
    check_field(API_POD, pod, "", true);
    check_field(API_POD, pod, ",,", true);
    check_field(API_POD, pod, "metadata.name=p1", true);
    check_field(API_POD, pod, "metadata.name==p1,metadata.namespace=default", true);
    check_field(API_POD, pod, "metadata.name!=p1", false);
    check_field(API_POD, pod, "metadata.name=p2", false);
    check_field(API_POD, pod, "spec.nodeName=n\\,1", true);
    check_field(API_POD, pod, "spec.host=n\\,1", true);
    check_field(API_POD, pod, "spec.nodeName=n\\=1", false);
    check_field(API_POD, pod, "spec.nodeName!=", true);
    check_field(API_POD, pod, "spec.hostNetwork=true", true);
    check_field(API_POD, pod, "status.podIP=10.1.0.1", true);
    check_field(API_POD, pod, "status.phase=", true);
    check_field(API_POD, pod, "status.podIPs=", true);

    static const Core__Node node = CORE__NODE__INIT;
    check_field(API_NODE, &node.base, "spec.unschedulable=false", true);
    check_field(API_NODE, &node.base, "spec.unschedulable=true", false);

    static Core__Event event = CORE__EVENT__INIT;
    event.reportingcomponent = (char *)"fairlead";
    check_field(API_EVENT, &event.base, "source=fairlead", true);
    check_field(API_EVENT, &event.base, "reportingController=fairlead,regarding.name=", true);

    /* Every label of every kind finds its place in the schema. */
    static const Core__Service service = CORE__SERVICE__INIT;
    check_field(API_SERVICE, &service.base, "spec.clusterIP=,spec.type=,metadata.name=", true);
    static const Core__Namespace namespace_ = CORE__NAMESPACE__INIT;
    check_field(API_NAMESPACE, &namespace_.base, "status.phase=,metadata.name=", true);
    check_field(
        API_EVENT, &event.base,
        "involvedObject.kind=,involvedObject.namespace=,involvedObject.uid=,involvedObject.apiVersion=,"
        "involvedObject.resourceVersion=,involvedObject.fieldPath=,reason=,type=,regarding.uid=",
        true);
    check_field(
        API_POD, pod,
        "spec.restartPolicy=,spec.schedulerName=,spec.serviceAccountName=,status.nominatedNodeName=", true);
}

static void test_field_refusals(void **state)
{
    static const struct {
        enum api_kind kind;
        const char *text, *sentence;
    } cases[] = {
        {API_POD, "spec.foo=1", "field label not supported: spec.foo"},
        {API_NODE, "metadata.namespace=a", "field label not supported: metadata.namespace"},
        {API_ENDPOINT_SLICE, "a=b",
         "\"a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""},
        {API_POD, "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"},
        {API_POD, "metadata.name=a,b", "invalid selector: 'metadata.name=a,b'; can't understand 'b'"},
        /* Terms are sorted before they are read. */
        {API_POD, "spec.b=\\x,a", "invalid selector: 'spec.b=\\x,a'; can't understand 'a'"},
        {API_POD, "metadata.name=a=b", "invalid field selector: unescaped character in value: 61"},
        {API_POD, "metadata.name=a\\b", "invalid field selector: invalid escape sequence: \\b"},
        {API_POD, "metadata.name=a\\\u00e9", "invalid field selector: invalid escape sequence: \\\u00e9"},
        {API_POD, "metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct selector *selector = NULL;
        struct err err = {""};
        assert_int_equal(field_selector_parse(cases[i].text, cases[i].kind, &arena, &selector, &err),
                         -EINVAL);
        assert_string_equal(err.text, cases[i].sentence);
        arena_done(&arena);
    }
}

static void test_field_name(void **state)
{
    static const struct {
        const char *text, *name;
    } cases[] = {{"metadata.name=a", "a"},
                 {"metadata.namespace=b,metadata.name=a", "a"},
                 {"metadata.name!=a", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct selector *selector = NULL;
        assert_int_equal(field_selector_parse(cases[i].text, API_SERVICE, &arena, &selector, NULL), 0);
        const char *name = field_selector_name(selector);
        assert_true(text_equal(name, cases[i].name));
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_matches),     cmocka_unit_test(test_label_refusals),
        cmocka_unit_test(test_label_value_index), cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_field_matches),     cmocka_unit_test(test_field_refusals),
        cmocka_unit_test(test_field_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
