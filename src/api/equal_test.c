/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/equal.h"

#include "api/quantity.h"
#include "api/test_writes.h"
#include "base/cleanup.h"

static bool is_equal(enum api_kind kind, const char *a, const char *b)
{
    struct arena arena;
    arena_init(&arena);
    bool equal = message_equal(test_object(kind, a, &arena), test_object(kind, b, &arena));
    arena_done(&arena);
    return equal;
}

static void test_messages(void **state)
{
    static const struct {
        enum api_kind kind;
        const char *a, *b;
        bool is_equal;
    } cases[] = {
        {API_CONFIG_MAP, "{data: {a: b, c: d}}", "{data: {c: d, a: b}}", true},
        {API_CONFIG_MAP, "{data: {a: b}}", "{data: {a: c}}", false},
        {API_CONFIG_MAP, "{data: {a: b}}", "{data: {a: b, c: d}}", false},
        {API_CONFIG_MAP, "{data: {}}", "{}", true},
        {API_CONFIG_MAP, "{binaryData: {a: AAE=}}", "{binaryData: {a: AAI=}}", false},
        /* Pointers: what was given is not what was left out. */
        {API_CONFIG_MAP, "{immutable: false}", "{}", false},
        {API_CONFIG_MAP, "{metadata: {name: ''}}", "{}", true},
        {API_CONFIG_MAP, "{metadata: {generation: 0}}", "{}", true},
        {API_CONFIG_MAP, "{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [b, a]}}", false},
        {API_NODE, "{status: {capacity: {cpu: 1}}}", "{status: {capacity: {cpu: 1000m}}}", true},
        {API_NODE, "{status: {capacity: {cpu: 1}}}", "{status: {capacity: {cpu: 1001m}}}", false},
        {API_NODE, "{status: {}}", "{}", true},
        {API_POD, "{spec: {containers: [{name: c, resources: {}}]}}", "{spec: {containers: [{name: c}]}}",
         true},
        {API_POD, "{spec: {containers: [{name: c, securityContext: {}}]}}",
         "{spec: {containers: [{name: c}]}}", false},
        {API_POD, "{spec: {containers: [{name: c, securityContext: {runAsUser: 0}}]}}",
         "{spec: {containers: [{name: c, securityContext: {}}]}}", false},
        {API_ENDPOINT_SLICE, "{endpoints: [{nodeName: ''}]}", "{endpoints: [{}]}", false},
        {API_SERVICE, "{spec: {ports: [{port: 1, targetPort: 1}]}}",
         "{spec: {ports: [{port: 1, targetPort: a}]}}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (is_equal(cases[i].kind, cases[i].a, cases[i].b) != cases[i].is_equal ||
            is_equal(cases[i].kind, cases[i].b, cases[i].a) != cases[i].is_equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
}

static void test_quantities(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
        int64_t whole, billionths;
    } cases[] = {
        {"1", true, 1, 0},
        {"-1.5", true, -1, -500000000},
        {"+2", true, 2, 0},
        {".5", true, 0, 500000000},
        {"5.", true, 5, 0},
        {"100m", true, 0, 100000000},
        {"1n", true, 0, 1},
        {"1Ki", true, 1024, 0},
        {"1.5Gi", true, 1610612736, 0},
        {"2e3", true, 2000, 0},
        {"2E3", true, 2000, 0},
        {"1E", true, 1000000000000000000, 0},
        {"12e-1", true, 1, 200000000},
        /* What is too small rounds away from zero, what is too large stays at the bound. */
        {"0.0000000001", true, 0, 1},
        {"-0.1n", true, 0, -1},
        {"9223372036854775807", true, INT64_MAX, 0},
        {"1e100", true, INT64_MAX, 0},
        {"99999999999999999999999999Ei", true, INT64_MAX, 0},
        {"0e99999999999", true, 0, 0},
        {"", false, 0, 0},
        {".", false, 0, 0},
        {"-", false, 0, 0},
        {"1x", false, 0, 0},
        {"1.2.3", false, 0, 0},
        {"1e", false, 0, 0},
        {"1e+", false, 0, 0},
        {"Ki", false, 0, 0},
        {" 1", false, 0, 0},
        {"1 ", false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        __int128 value = 0;
        bool is_valid = quantity_parse(cases[i].text, &value);
        if (is_valid != cases[i].is_valid ||
            (is_valid && value != cases[i].whole * QUANTITY_ONE + cases[i].billionths))
            fail_msg("\"%s\"", cases[i].text);
    }
}

static void test_text_sets(void **state)
{
    static const char *const texts[] = {"b", NULL, "a", "b", "c"};
    struct arena arena;
    arena_init(&arena);
    struct text_set set = text_set_build(&arena, texts, ARRAY_LEN(texts)),
                    none = text_set_build(&arena, NULL, 0);
    assert_int_equal(text_set_find(&set, "b"), 0);
    assert_int_equal(text_set_find(&set, "a"), 2);
    assert_int_equal(text_set_find(&set, ""), 1);
    assert_int_equal(text_set_find(&set, "c"), 4);
    assert_false(text_set_has(&set, "d"));
    assert_false(text_set_has(&set, "aa"));
    assert_false(text_set_has(&none, "a"));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_text_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
