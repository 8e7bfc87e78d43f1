/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/zpages.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const paths[] = {"/configz", "/metrics"};
static const struct statusz facts = {"kube-proxy", 1732215000, 1732222263, "0.1", "1.36", paths, 2};

static void expect_statusz(const char *accept, unsigned status, const char *type, const char *part)
{
    struct zpage page = statusz_answer(&facts, accept);
    assert_int_equal(page.status, status);
    assert_string_equal(page.content_type, type);
    if (!strstr(text_str(&page.body), part))
        fail_msg("no %s in %s", part, text_str(&page.body));
    bool is_old = accept && strstr(accept, "v1alpha1");
    assert_true(is_old == (page.warning != NULL));
    text_done(&page.body);
}

#define PLAIN "text/plain; charset=utf-8"

static void statusz_in_every_form(void **state)
{
    expect_statusz(NULL, 200, PLAIN, "\nUp: 2 hr 01 min 03 sec\n");
    expect_statusz("", 200, PLAIN, "\nStarted: Thu Nov 21 18:50:00 UTC 2024\n");
    expect_statusz("*/*", 200, PLAIN, "\nEmulation version: 1.36\nPaths: /configz /metrics\n");
    expect_statusz("text/plain", 200, PLAIN, "kube-proxy statusz\n");
    expect_statusz("application/yaml;as=Statusz;v=v1beta1;g=config.k8s.io", 200,
                   "application/yaml;g=config.k8s.io;v=v1beta1;as=Statusz", "emulationVersion: \"1.36\"\n");
    expect_statusz("application/json;as=Statusz;v=v1alpha1;g=config.k8s.io", 200,
                   "application/json;g=config.k8s.io;v=v1alpha1;as=Statusz", "config.k8s.io/v1alpha1");
    static const char *const refused[] = {
        "application/json",
        "application/vnd.kubernetes.protobuf",
        "application/json;as=Statusz;v=v2;g=config.k8s.io",
        "application/json;as=Flagz;v=v1beta1;g=config.k8s.io",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect_statusz(refused[i], 406, "application/json", "\"reason\": \"NotAcceptable\"");
}

static void statusz_as_an_object(void **state)
{
    struct zpage page = statusz_answer(&facts, "application/json;as=Statusz;v=v1beta1;g=config.k8s.io");
    json_t *tree = json_loads(text_str(&page.body), 0, NULL);
    json_t *want =
        json_pack("{s:s, s:s, s:{s:s}, s:s, s:i, s:s, s:s, s:s, s:[s,s]}", "kind", "Statusz", "apiVersion",
                  "config.k8s.io/v1beta1", "metadata", "name", "kube-proxy", "startTime",
                  "2024-11-21T18:50:00Z", "uptimeSeconds", 7263, "goVersion", "", "binaryVersion", "0.1",
                  "emulationVersion", "1.36", "paths", "/configz", "/metrics");
    assert_true(json_equal(tree, want));
    json_decref(tree);
    json_decref(want);
    text_done(&page.body);
}

static void flags_are_sorted(void **state)
{
    struct flagz_entry entries[] = {{"v", "0"}, {"config", ""}, {"bind-address", "::"}};
    struct zpage page = flagz_answer("kube-proxy", entries, 3, NULL);
    assert_non_null(strstr(text_str(&page.body), "\nbind-address=::\nconfig=\nv=0\n"));
    text_done(&page.body);
    page = flagz_answer("kube-proxy", entries, 3, "application/json;as=Flagz;v=v1beta1;g=config.k8s.io");
    json_t *tree = json_loads(text_str(&page.body), 0, NULL);
    json_t *want = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s}}", "kind", "Flagz", "apiVersion",
                             "config.k8s.io/v1beta1", "metadata", "name", "kube-proxy", "flags", "v", "0",
                             "config", "", "bind-address", "::");
    assert_true(json_equal(tree, want));
    json_decref(tree);
    json_decref(want);
    text_done(&page.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statusz_in_every_form),
        cmocka_unit_test(statusz_as_an_object),
        cmocka_unit_test(flags_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
