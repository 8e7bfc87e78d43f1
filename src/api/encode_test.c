/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"

#include "api/documents.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct texts {
    struct text yaml, json;
    unsigned count;
};

static void write_both(void *context, const struct document *document)
{
    struct texts *texts = context;
    if (document->refusal)
        fail_msg("%d:%d: %s", document->line, document->column, document->refusal);
    assert_int_equal(document->warning_count, 0);
    assert_non_null(document->object);
    encode_yaml(document->object, &texts->yaml);
    encode_json(document->object, &texts->json);
    texts->count++;
}

static struct texts read_texts(const char *bytes)
{
    struct texts texts = {0};
    struct err err;
    if (documents_read("f", bytes, strlen(bytes), write_both, &texts, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(texts.count, 1);
    return texts;
}

static void texts_done(struct texts *texts)
{
    text_done(&texts->yaml);
    text_done(&texts->json);
}

/* Both forms of the object, and the forms of what each of them reads back as, are the same. */
static void check_round_trip(const char *bytes)
{
    cleanup_with(texts_done) struct texts first = read_texts(bytes);
    cleanup_with(texts_done) struct texts from_yaml = read_texts(text_str(&first.yaml));
    cleanup_with(texts_done) struct texts from_json = read_texts(text_str(&first.json));
    assert_string_equal(text_str(&first.yaml), text_str(&from_yaml.yaml));
    assert_string_equal(text_str(&first.yaml), text_str(&from_json.yaml));
    assert_string_equal(text_str(&first.json), text_str(&from_yaml.json));
    assert_string_equal(text_str(&first.json), text_str(&from_json.json));
}

static void test_round_trip(void **state)
{
    static const char *const cases[] = {
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {b: c, \"yes\": \"no\", n: \"1\"}}\n"
        "spec: {type: LoadBalancer, clusterIP: fd00::1, externalTrafficPolicy: Local, healthCheckNodePort: "
        "30000,\n"
        "  sessionAffinity: ClientIP, loadBalancerSourceRanges: [10.0.0.0/8, 'fd00::/8'],\n"
        "  ports: [{name: a, port: 80, targetPort: web}, {name: b, port: 80, protocol: UDP, nodePort: "
        "30001}]}\n"
        "status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ports: [{port: 80, protocol: TCP}]}, {hostname: "
        "x.y}]}}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {clusterIP: None, trafficDistribution: PreferClose, topologyKeys: [a/b, '*'], "
        "selector: {app: \"true\"}}\n",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-b.c}\naddressType: IPv6\n"
        "endpoints:\n- addresses: ['fd00::1', \"2001:db8::1\"]\n  conditions: {ready: false}\n"
        "  hints: {forZones: [{name: z}], forNodes: [{name: n1}]}\n  nodeName: n1\n"
        "- addresses: [fd00::2]\n  deprecatedTopology: {a: b}\nports: [{port: 1}, {name: p, protocol: "
        "SCTP}]\n",
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{notReadyAddresses: [{ip: "
        "10.0.0.1}], "
        "ports: [{port: 1}]}]\n",
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1, creationTimestamp: 2024-02-29T12:34:56Z}\n"
        "spec: {podCIDRs: [10.0.0.0/24], unschedulable: true, taints: [{key: a, effect: NoSchedule}]}\n"
        "status: {allocatable: {cpu: 4, memory: 1.5Gi}, addresses: [{type: InternalIP, address: "
        "10.0.0.9}]}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, ports: "
        "[{containerPort: "
        "80}]}]}\nstatus: {podIPs: [{ip: 10.0.0.1}]}\n",
        "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: r}\n"
        "spec: {cidrs: [10.96.0.0/12, 'fd00::/108']}\n",
        /* Strings that a careless writer would spoil. */
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n"
        "    a: \"\\x85\\u2028\\u2029\\ufeff\\x7f\\t\\n\\r \\\\ \\\" \\x01 \xc3\xa9 \xf0\x9f\x98\x80\"\n"
        "    b: ' leading'\n    c: \"0o17\"\n    d: \"12:30:45\"\n    e: \"2024-01-01\"\n    f: \"null\"\n   "
        " g: \"~\"\n"
        "    h: \"- x\"\n    i: \"a: b\"\n    j: \"a #b\"\n    k: \"1e3\"\n    l: \".5\"\n    m: \"=\"\n    "
        "o: '{}'\n"
        "    p: \"a:\"\n    q: |\n      two\n      lines\n    y: \"y\"\n    z: \"1_0\"\n",
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  managedFields:\n  - manager: kubectl\n    "
        "operation: Update\n    time: "
        "'2024-02-29T12:34:56Z'\n    fieldsType: FieldsV1\n    fieldsV1: {'f:metadata': {'f:labels': {.: {}, "
        "'f:a': [1, -2.5, true, null, x]}}}\n  ownerReferences: [{apiVersion: v1, kind: X, name: x, uid: u, "
        "controller: true}]\n  finalizers: [kubernetes]\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_round_trip(cases[i]);
}

static void test_forms(void **state)
{
    cleanup_with(texts_done) struct texts texts =
        read_texts("kind: Service\napiVersion: v1\nspec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}\n"
                   "metadata: {name: web, labels: {b: \"1\", a: x}}\n");
    assert_string_equal(text_str(&texts.yaml), "apiVersion: v1\n"
                                               "kind: Service\n"
                                               "metadata:\n"
                                               "  name: web\n"
                                               "  namespace: default\n"
                                               "  labels:\n"
                                               "    a: x\n"
                                               "    b: \"1\"\n"
                                               "spec:\n"
                                               "  ports:\n"
                                               "  - protocol: TCP\n"
                                               "    port: 80\n"
                                               "    targetPort: 80\n"
                                               "  clusterIP: 10.0.0.1\n"
                                               "  type: ClusterIP\n"
                                               "  sessionAffinity: None\n"
                                               "  ipFamilyPolicy: SingleStack\n"
                                               "  clusterIPs:\n"
                                               "  - 10.0.0.1\n"
                                               "  ipFamilies:\n"
                                               "  - IPv4\n"
                                               "  internalTrafficPolicy: Cluster\n");
    assert_string_equal(
        text_str(&texts.json),
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\",\"namespace\":"
        "\"default\",\"labels\":{\"a\":\"x\",\"b\":\"1\"}},\"spec\":{\"ports\":[{\"protocol\":\"TCP\","
        "\"port\":80,\"targetPort\":80}],\"clusterIP\":\"10.0.0.1\",\"type\":\"ClusterIP\","
        "\"sessionAffinity\":\"None\",\"ipFamilyPolicy\":\"SingleStack\",\"clusterIPs\":[\"10.0.0.1\"],"
        "\"ipFamilies\":[\"IPv4\"],\"internalTrafficPolicy\":\"Cluster\"}}");
}

/* Readers of other versions of YAML must see strings too, and pairs of surrogates are one character. */
static void test_strings(void **state)
{
    static const struct {
        const char *written, *yaml;
    } cases[] = {
        {"\"12:30:45\"", "\"12:30:45\""},
        {"\"2024-01-01\"", "\"2024-01-01\""},
        {"\"1_0\"", "\"1_0\""},
        {"\"y\"", "\"y\""},
        {"\"a b\"", "\"a b\""},
        {"\"10.0.0.1\"", "10.0.0.1"},
        {"\"a:b\"", "a:b"},
        {"\"a:\"", "\"a:\""},
        {"\"\\u2028\"", "\"\\u2028\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\\\ud83d\"", "\"\\\\ud83d\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text input = {0}, line = {0};
        text_printf(&input, "{apiVersion: v1, kind: Namespace, metadata: {name: a, annotations: {k: %s}}}",
                    cases[i].written);
        text_printf(&line, "    k: %s\n", cases[i].yaml);
        cleanup_with(texts_done) struct texts texts = read_texts(text_str(&input));
        if (!strstr(text_str(&texts.yaml), text_str(&line)))
            fail_msg("%s lacks %s", text_str(&texts.yaml), text_str(&line));
        text_done(&input);
        text_done(&line);
    }
}

/* The wire form of the same structs: what a client of an apiserver reads. */
static void repack(void *context, const struct document *document)
{
    const ProtobufCMessage *message = document->object->message;
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *wire = xmalloc(len);
    assert_int_equal(protobuf_c_message_pack(message, wire), len);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, len, wire);
    assert_non_null(copy);
    struct api_object again = *document->object;
    again.message = copy;
    struct text before = {0}, after = {0};
    encode_json(document->object, &before);
    encode_json(&again, &after);
    assert_string_equal(text_str(&before), text_str(&after));
    text_done(&before);
    text_done(&after);
    protobuf_c_message_free_unpacked(copy, NULL);
    free(wire);
    ++*(int *)context;
}

static void test_wire(void **state)
{
    static const char input[] =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {b: c}}\nspec: {clusterIP: 10.0.0.1, "
        "ports: "
        "[{port: 80, targetPort: web}]}\n---\napiVersion: discovery.k8s.io/v1\nkind: "
        "EndpointSlice\nmetadata: {name: "
        "a, creationTimestamp: 2024-02-29T12:34:56Z}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.2], "
        "conditions: {ready: false}}]\n";
    int count = 0;
    assert_int_equal(documents_read("f", input, strlen(input), repack, &count, NULL), 0);
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
