/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"

#include "api/tape.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE(name) "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n"
#define SPEC "spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}\n"

/* Each document becomes one line: LINE:COLUMN KIND NAMESPACE/NAME then "ok", "over" or the refusal, then its
 * warnings. */
static void write_down(void *context, const struct document *document)
{
    struct text *log = context;
    text_printf(log, "%d:%d %s %s/%s %s", document->line, document->column,
                document->kind ? document->kind : "-", document->namespace_ ? document->namespace_ : "-",
                document->name ? document->name : "-",
                document->refusal       ? document->refusal
                : document->passed_over ? "over"
                                        : "ok");
    assert_int_equal(document->object != NULL, !document->refusal && !document->passed_over);
    for (size_t i = 0; i < document->warning_count; i++)
        text_printf(log, "; %s", document->warnings[i]);
    text_add(log, "\n");
}

static int read_text(const char *bytes, size_t len, struct text *log, struct err *err)
{
    /* A copy of the exact size lets the sanitizer see a read past the end. */
    char *copy = xmalloc(len);
    memcpy(copy, bytes, len);
    int status = documents_read("f", copy, len, write_down, log, err);
    free(copy);
    return status;
}

struct reading {
    const char *text;
    const char *log;
    int status;
};

static void check_readings(const struct reading *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text log = {0};
        struct err err = {0};
        int status = read_text(cases[i].text, strlen(cases[i].text), &log, &err);
        if (status != cases[i].status || strcmp(text_str(&log), cases[i].log) != 0)
            fail_msg("%s\ngave %d\n%s\nnot %d\n%s", cases[i].text, status, text_str(&log), cases[i].status,
                     cases[i].log);
        assert_int_equal(status != 0, err.text[0] != '\0');
        text_done(&log);
    }
}

static void test_streams(void **state)
{
    static const struct reading cases[] = {
        {"", "", 0},
        {"# only a comment\n", "", 0},
        {"---\n---\n# nothing\n---\nnull\n...\n", "", 0},
        {SERVICE("a") SPEC, "1:1 Service default/a ok\n", 0},
        {"\xef\xbb\xbf" SERVICE("a") SPEC, "1:1 Service default/a ok\n", 0},
        {"%YAML 1.1\n---\n" SERVICE("a") SPEC "---\n\n# two\n" SERVICE("b") SPEC,
         "3:1 Service default/a ok\n10:1 Service default/b ok\n", 0},
        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: ns}\nspec: [1, {a: b}]\n",
         "1:1 Deployment ns/d over\n", 0},
        {"apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: d}\n", "1:1 Service -/d over\n",
         0},
        {"apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: d}\n",
         "1:1 EndpointSlice -/d no matches for kind \"EndpointSlice\" in version "
         "\"discovery.k8s.io/v1beta1\"\n",
         0},
        /* What the document is may stand after its content. */
        {SPEC "metadata: {name: a, namespace: x}\nkind: Service\napiVersion: v1\n", "1:1 Service x/a ok\n",
         0},
        {"kind: Service\n", "1:1 Service -/- apiVersion not set\n", 0},
        {"apiVersion: v1\nmetadata: {name: q}\n", "1:1 - -/q kind not set\n", 0},
        {"ApiVersion: v1\nKind: Service\n", "1:1 - -/- [apiVersion not set, kind not set]\n", 0},
        {"a: b\n", "1:1 - -/- [apiVersion not set, kind not set]\n", 0},
        {"just words\n", "1:1 - -/- expected an object with apiVersion and kind\n", 0},
        {"- a\n- b\n", "1:1 - -/- expected an object with apiVersion and kind\n", 0},
        {"apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n", "1:1 Node /n1 ok\n", 0},
    };
    check_readings(cases, ARRAY_LEN(cases));
}

static void test_lists(void **state)
{
    static const struct reading cases[] = {
        {"apiVersion: v1\nkind: List\nitems:\n- "
         "apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n"
         "- apiVersion: v1\n  kind: Secret\n  metadata: {name: c}\n",
         "4:3 Namespace /a ok\n7:3 Secret -/c over\n", 0},
        /* kubectl's own order. */
        {"{\"apiVersion\": \"v1\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", "
         "\"metadata\": "
         "{\"name\": \"a\"}}], \"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"\"}}",
         "1:32 Namespace /a ok\n", 0},
        {"apiVersion: v1\nkind: NamespaceList\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]\n",
         "3:9 Namespace /a ok\n3:32 Namespace /b ok\n", 0},
        {"apiVersion: v1\nkind: List\nitems: []\n", "", 0},
        {"apiVersion: v1\nitems: [{metadata: {name: a}}]\nkind: NamespaceList\n",
         "2:9 - -/a [apiVersion not set, kind not set]\n", 0},
        {"apiVersion: v1\nkind: List\nitems: []\nitems: []\n", "1:1 List -/- items: the key is given twice\n",
         0},
        {"items: []\n", "1:1 - -/- [apiVersion not set, kind not set]\n", 0},
        {"apiVersion: v1\nitems: []\nkind: Pod\n", "1:1 Pod -/- kind \"Pod\" has no field \"items\"\n", 0},
        {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n",
         "3:9 List -/- a list cannot be an item of a list\n", 0},
        {"apiVersion: v1\nkind: List\nitems: [1, {apiVersion: v1, kind: Namespace, metadata: {name: a}}]\n",
         "3:9 - -/- expected an object with apiVersion and kind\n3:12 Namespace /a ok\n", 0},
    };
    check_readings(cases, ARRAY_LEN(cases));
}

static void test_types(void **state)
{
    static const struct reading cases[] = {
        {SERVICE("a") "spec:\n  clusterIP: 10.0.0.1\n  ports:\n  - port: http\n",
         "7:11 Service -/a spec.ports[0].port: expected an integer, found \"http\"\n", 0},
        {SERVICE("a") "spec: {clusterIP: 10}\n",
         "4:19 Service -/a spec.clusterIP: expected a string, found 10\n", 0},
        {SERVICE("a") "spec: {publishNotReadyAddresses: yes, clusterIP: None}\n",
         "1:1 Service default/a ok\n", 0},
        {SERVICE("a") "spec: {publishNotReadyAddresses: \"yes\"}\n",
         "4:34 Service -/a spec.publishNotReadyAddresses: expected a boolean, found \"yes\"\n", 0},
        {SERVICE("a") "spec: {selector: {app: on}}\n",
         "4:24 Service -/a spec.selector[app]: expected a string, found on, which "
         "YAML takes for a boolean: put it in quotes\n",
         0},
        {SERVICE("a") "spec: {selector: {on: a, 1: b}, clusterIP: None}\n", "1:1 Service default/a ok\n", 0},
        {SERVICE("a") "spec: [1]\n", "4:7 Service -/a spec: expected an object, found a list\n", 0},
        {SERVICE("a") "spec: {ports: {port: 80}}\n",
         "4:15 Service -/a spec.ports: expected a list, found an object\n", 0},
        {SERVICE("a") "spec: {ports: [null]}\n",
         "4:16 Service -/a spec.ports[0]: expected an object, found null\n", 0},
        {SERVICE("a") "spec: {ports: [{port: 99999999999}]}\n",
         "4:23 Service -/a spec.ports[0].port: expected a 32-bit integer, found 99999999999\n", 0},
        {SERVICE("a") "spec: {ports: [{port: 80, targetPort: true}]}\n",
         "4:39 Service -/a spec.ports[0].targetPort: expected an integer or a string, found true\n", 0},
        {SERVICE("a") "spec: {clusterIP: !!str 10, ports: [{port: 1}]}\n",
         "4:7 Service default/a Service \"a\" is invalid: spec.clusterIPs[0]: Invalid value: \"10\": must "
         "be a "
         "valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)\n",
         0},
        {SERVICE("a") "status: null\nspec: {clusterIP: None, selector: null, ports: null}\n",
         "1:1 Service default/a ok\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, creationTimestamp: soon}\n",
         "3:40 Namespace -/a metadata.creationTimestamp: expected an RFC 3339 time, found \"soon\"\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, creationTimestamp: 2024-02-29T12:34:56Z}\n",
         "1:1 Namespace /a ok\n", 0},
        {"apiVersion: v1\nkind: 5\n", "1:1 - -/- kind not set\n", 0},
    };
    check_readings(cases, ARRAY_LEN(cases));
}

static void test_unknown_and_duplicate(void **state)
{
    static const struct reading cases[] = {
        {SERVICE(
             "a") "spec:\n  clusterIP: None\n  foo: {bar: 1}\n  ports:\n  - {port: 80, prot: x}\nextra: 1\n",
         "1:1 Service default/a ok; unknown field \"spec.foo\" (line 6); unknown field "
         "\"spec.ports[0].prot\" (line "
         "8); unknown field \"extra\" (line 9)\n",
         0},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}], volumes: "
         "[]}\n",
         "1:1 Pod default/a ok\n", 0},
        {SERVICE("a") "spec: {clusterIP: None, clusterIP: None}\n",
         "4:25 Service -/a spec.clusterIP: the key is given twice, first on line 4\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {x: a}\n  labels: {y: b}\n",
         "6:3 Namespace -/a metadata.labels: the key is given twice, first on line 5\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    \"1\": a\n    1: b\n",
         "7:5 Namespace -/a metadata.labels[1]: the key is given twice, first on line 6\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {x: a, a: a, z: a, a: b}\n",
         "5:30 Namespace -/a metadata.labels[a]: the key is given twice, first on line 5\n", 0},
        {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\napiVersion: v1\n",
         "4:1 Namespace -/a apiVersion: the key is given twice, first on line 1\n", 0},
    };
    check_readings(cases, ARRAY_LEN(cases));
}

static void test_aliases(void **state)
{
    static const struct reading cases[] = {
        {"apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: &l {app: x}}\n"
         "spec: {clusterIP: None, selector: *l}\n",
         "1:1 Service default/a ok\n", 0},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: &l {app: x}}\n"
         "spec: {clusterIP: None, selector: {<<: *l, app: z}}\n",
         "1:1 Service default/a ok\n", 0},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: &l {app: x}, annotations: &m {<<: [*l, "
         "{b: c}]}}\n"
         "spec: {clusterIP: None, selector: {<<: {<<: *m}}}\n",
         "1:1 Service default/a ok\n", 0},
        {"x-base: &b {apiVersion: v1, kind: Namespace}\n<<: *b\nmetadata: {name: a}\n",
         "1:1 Namespace -/- refused\n", 0},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: &l {app: x}}\n"
         "spec: {clusterIP: None, selector: {<<: *l, b: c, b: d}}\n",
         "4:50 Service -/a spec.selector[b]: the key is given twice, first on line 4\n", 0},
        {"a: *nowhere\n", "1:4 - -/- alias \"nowhere\" has no anchor before it in this document\n", 0},
        {"a: &a [*a]\n", "1:8 - -/- alias \"a\" stands inside its own anchor\n", 0},
        {"a: {<<: 5}\napiVersion: v1\nkind: X\n", "1:9 - -/- \"<<\" wants a mapping or a list of mappings\n",
         0},
        {"apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- "
         "*a\n",
         "4:3 Namespace /a ok\n5:3 - -/- alias \"a\" has no anchor before it in this document\n", 0},
        {"a: !custom x\n", "1:4 - -/- tag \"!custom\" is not supported here\n", 0},
        {"a: !!int x\n", "1:4 - -/- tag \"tag:yaml.org,2002:int\" is not supported here\n", 0},
    };
    check_readings(cases, 3);
    check_readings(cases + 4, ARRAY_LEN(cases) - 4);
    struct reading root_merge = {cases[3].text, "1:1 Namespace /a ok; unknown field \"x-base\" (line 1)\n",
                                 0};
    check_readings(&root_merge, 1);
}

static void test_syntax(void **state)
{
    static const struct reading cases[] = {
        /* What came before is kept, and the end of the file is known to be bad. */
        {SERVICE("a") SPEC "---\na: [1\n---\n" SERVICE("b") SPEC,
         "1:1 Service default/a ok\n7:1 - -/- did not find expected ',' or ']' while parsing a flow sequence "
         "that "
         "begins on line 6\n",
         -EINVAL},
        {"a: b: c\n", "1:5 - -/- mapping values are not allowed in this context\n", -EINVAL},
        {"a:\n\t- b\n", NULL, -EINVAL},
        {"{\"apiVersion\": \"v1\", \"kind\": \"Namesp", NULL, -EINVAL},
        {"a: \"\x01\"\n", NULL, -EINVAL},
        {"a: b\n\xff\xfe\n", "2:1 - -/- the text is not UTF-8: invalid leading UTF-8 octet\n", -EINVAL},
        {"\xff\xfe"
         "a\0:\0",
         NULL, -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text log = {0};
        struct err err = {0};
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &log, &err), cases[i].status);
        if (cases[i].log)
            assert_string_equal(text_str(&log), cases[i].log);
        assert_true(log.len > 0 && err.text[0]);
        text_done(&log);
    }
    struct text log = {0};
    static const char with_nul[] = "a: b\n\0c: d\n";
    assert_int_equal(read_text(with_nul, sizeof(with_nul) - 1, &log, NULL), -EINVAL);
    assert_string_equal(text_str(&log), "2:1 - -/- a control character stands in the text\n");
    text_done(&log);
}

static void test_json(void **state)
{
    static const struct reading cases[] = {
        {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\n\t\t\"name\": "
         "\"a\"\n\t}\n}\n",
         "1:1 Namespace /a ok\n", 0},
        {"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"annotations\":"
         "{\"a\":\"\\ud83d\\ude00 \\u00e9 \\/ \\\\ud83d\"}}}",
         "1:1 Namespace /a ok\n", 0},
        {"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":5}}",
         "1:58 Namespace -/- metadata.name: expected a string, found 5\n", 0},
    };
    check_readings(cases, ARRAY_LEN(cases));
}

static void repeat(struct text *text, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        text_add(text, piece);
}

static void expect_log(const struct text *input, int status, const char *part)
{
    struct text log = {0};
    assert_int_equal(read_text(text_str(input), input->len, &log, NULL), status);
    if (!strstr(text_str(&log), part))
        fail_msg("%s\nlacks\n%s", text_str(&log), part);
    text_done(&log);
}

static void test_depth(void **state)
{
    struct text input = {0};
    text_add(&input, "apiVersion: v1\nkind: X\na: ");
    repeat(&input, "[", TAPE_DEPTH_MAX - 1);
    repeat(&input, "]", TAPE_DEPTH_MAX - 1);
    expect_log(&input, 0, "1:1 X -/- over\n");
    text_done(&input);
    text_add(&input, "a: ");
    repeat(&input, "[", 100);
    repeat(&input, "]", 100);
    text_add(&input, "\n---\n" SERVICE("a") SPEC);
    expect_log(&input, 0, "1:67 - -/- nested deeper than 64 levels\n3:1 Service default/a ok\n");
    text_done(&input);
    text_add(&input, "a: ");
    repeat(&input, "[", 100000);
    expect_log(&input, -EINVAL, "1:67 - -/- nested deeper than 64 levels\n");
    text_done(&input);
}

static void test_billion_laughs(void **state)
{
    struct text input = {0};
    text_add(&input, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int level = 1; level < 12; level++) {
        text_printf(&input, "l%d: &l%d [", level, level);
        for (int i = 0; i < 10; i++)
            text_printf(&input, "*l%d,", level - 1);
        text_add(&input, "]\n");
    }
    text_add(&input, "---\n" SERVICE("a") SPEC);
    expect_log(&input, 0, "more than 1000000 values, counting each alias with what it stands for\n");
    expect_log(&input, 0, "Service default/a ok\n");
    text_done(&input);
}

static void test_sizes(void **state)
{
    struct text input = {0};
    text_add(&input, "a: '");
    repeat(&input, "0123456789abcdef", ((size_t)17 << 20) / 16);
    text_add(&input, "'\n---\n" SERVICE("a") SPEC);
    expect_log(&input, 0, "1:4 - -/- the document is larger than 16 MiB\n3:1 Service default/a ok\n");
    text_done(&input);
    text_add(&input, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n");
    for (int i = 0; i < 100000; i++)
        text_printf(&input, "    k%d: v\n", i);
    expect_log(&input, 0, "metadata.annotations: Too long: may not be more than 262144 bytes\n");
    text_done(&input);
    assert_int_equal(documents_read("f", "", DOCUMENTS_FILE_MAX + 1, write_down, &input, NULL), -EINVAL);
    assert_string_equal(text_str(&input), "1:1 - -/- the file is larger than 256 MiB\n");
    text_done(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_types),          cmocka_unit_test(test_unknown_and_duplicate),
        cmocka_unit_test(test_aliases),        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_json),           cmocka_unit_test(test_depth),
        cmocka_unit_test(test_billion_laughs), cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
