/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/wire.h"

#include "api/event.h"
#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

struct object {
    enum api_kind kind;
    ProtobufCMessage *message;
};

static struct object read_object(const char *yaml)
{
    struct err err = {0};
    struct object object;
    struct decode_result result;
    json_t *tree = wire_tree_from_yaml(yaml, strlen(yaml), &err);
    if (!tree)
        fail_msg("%s: %s", yaml, err.text);
    assert_int_equal(api_kind_find(json_string_value(json_object_get(tree, "apiVersion")),
                                   json_string_value(json_object_get(tree, "kind")), &object.kind),
                     API_KIND_FOUND);
    wire_decode_tree(tree, api_kind_info(object.kind)->type, &arena, &result);
    json_decref(tree);
    if (!result.message || result.warning_count)
        fail_msg("%s: %s", yaml, result.message ? result.warnings[0] : result.refusal);
    object.message = result.message;
    return object;
}

static const char *json_of(enum api_kind kind, const ProtobufCMessage *message)
{
    struct text text = {0};
    wire_json(kind, message, &text);
    const char *copy = arena_strdup(&arena, text_str(&text));
    text_done(&text);
    return copy;
}

static const struct {
    const char *yaml, *json; /* json from its third field on */
} forms[] = {
    /* What upstream writes always, and what it leaves out. */
    {"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, nodePort: 0}], "
     "externalIPs: [], clusterIP: ''}}",
     "\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":0}]},\"status\":{"
     "\"loadBalancer\":{}}}"},
    {"{apiVersion: v1, kind: Service, metadata: {labels: {b: '1', a: ''}}, spec: {sessionAffinityConfig: {}, "
     "allocateLoadBalancerNodePorts: false, publishNotReadyAddresses: false, loadBalancerClass: ''}}",
     "\"metadata\":{\"labels\":{\"a\":\"\",\"b\":\"1\"}},\"spec\":{\"sessionAffinityConfig\":{},"
     "\"allocateLoadBalancerNodePorts\":false,\"loadBalancerClass\":\"\"},\"status\":{\"loadBalancer\":{}}}"},
    {"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, ports: [{name: '', port: "
     "0}]}",
     "\"metadata\":{},\"endpoints\":null,\"ports\":[{\"name\":\"\",\"port\":0}],\"addressType\":\"IPv4\"}"},
    {"{apiVersion: v1, kind: Pod, spec: {containers: [{name: c, resources: {limits: {memory: 1024Ki, cpu: "
     "0.5}}}], "
     "terminationGracePeriodSeconds: 0, volumes: [{name: v, emptyDir: {}}, {name: w, configMap: {name: m}}], "
     "securityContext: {supplementalGroups: [1, 3000000000]}}, "
     "status: {conditions: [{type: Ready, status: 'True'}]}}",
     "\"metadata\":{},\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}},{\"name\":\"w\",\"configMap\":{"
     "\"name\":\"m\"}}],\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"500m\","
     "\"memory\":"
     "\"1Mi\"}}}],\"terminationGracePeriodSeconds\":0,\"securityContext\":{\"supplementalGroups\":[1,"
     "3000000000]}},"
     "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,"
     "\"lastTransitionTime\":null}]}}"},
    {"{apiVersion: coordination.k8s.io/v1, kind: Lease, spec: {renewTime: '2024-02-29T12:34:56.789012Z', "
     "acquireTime: '1970-01-01T00:00:00.000000Z', leaseDurationSeconds: 40}}",
     "\"metadata\":{},\"spec\":{\"leaseDurationSeconds\":40,\"acquireTime\":\"1970-01-01T00:00:00.000000Z\","
     "\"renewTime\":\"2024-02-29T12:34:56.789012Z\"}}"},
    {"{apiVersion: v1, kind: ConfigMap, data: {k: \"q\\\"\\\\\\n\\x01\\u2028\"}, binaryData: {b: AAH/, a: "
     "''}, "
     "immutable: true}",
     "\"metadata\":{},\"data\":{\"k\":\"q\\\"\\\\\\n\\u0001\xe2\x80\xa8\"},\"binaryData\":{\"a\":\"\",\"b\":"
     "\"AAH/\"},\"immutable\":true}"},
    {"{apiVersion: v1, kind: Event, involvedObject: {}, firstTimestamp: null}",
     "\"metadata\":{},\"involvedObject\":{},\"source\":{},\"firstTimestamp\":null,\"lastTimestamp\":null,"
     "\"eventTime\":null,\"reportingComponent\":\"\",\"reportingInstance\":\"\"}"},
    {"{apiVersion: v1, kind: Namespace, metadata: {managedFields: [{fieldsV1: {f:a: {.: {}}}}]}}",
     "\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:a\":{\".\":{}}}}]},\"spec\":{},\"status\":{}}"},
};

/* YAML, tree, message, JSON and protobuf: each way round the same object. */
static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct object object = read_object(forms[i].yaml);
        const char *json = json_of(object.kind, object.message);
        struct text wanted = {0}, packed = {0}, again = {0};
        text_printf(&wanted, "{\"apiVersion\":\"%s\",\"kind\":\"%s\",%s", api_kind_version(object.kind),
                    api_kind_name(object.kind), forms[i].json);
        assert_string_equal(json, text_str(&wanted));
        json_t *tree = wire_tree(object.kind, object.message);
        char *dumped = json_dumps(tree, JSON_COMPACT);
        assert_string_equal(dumped, json);
        wire_pack(object.message, &packed);
        struct err err = {0};
        ProtobufCMessage *copy = wire_unpack(object.message->descriptor, (const uint8_t *)text_str(&packed),
                                             packed.len, &arena, &err);
        if (!copy)
            fail_msg("%s", err.text);
        assert_string_equal(json_of(object.kind, copy), json);
        wire_pack(copy, &again);
        assert_int_equal(again.len, packed.len);
        assert_memory_equal(text_str(&again), text_str(&packed), packed.len);
        copy = wire_unpack_own(object.message->descriptor, (const uint8_t *)text_str(&packed), packed.len,
                               &arena, &err);
        assert_non_null(copy);
        assert_string_equal(json_of(object.kind, copy), json);
        json_decref(tree);
        free(dumped);
        text_done(&wanted);
        text_done(&packed);
        text_done(&again);
    }
}

/* Bytes as k8s.io/api's own marshaller makes them. */
static void test_bytes(void **state)
{
    static const uint8_t pod[] = {
        0x12, 0x18,                                    /* spec */
        0x0a, 0x09, 0x0a, 0x01, 'a', 0x12, 0x04, 0x12, /* volumes: name, volumeSource */
        0x02, 0x0a, 0x00,                              /* emptyDir: medium "" */
        0x12, 0x0b, 0x0a, 0x01, 'c', 0x52, 0x06, 0x0a, /* containers: livenessProbe */
        0x04, 0x22, 0x02, 0x08, 0x50};                 /* handler: grpc: port 80 */
    struct err err = {0};
    ProtobufCMessage *message = wire_unpack(&core__pod__descriptor, pod, sizeof(pod), &arena, &err);
    if (!message)
        fail_msg("%s", err.text);
    assert_string_equal(
        json_of(API_POD, message),
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{},\"spec\":{\"volumes\":[{\"name\":"
        "\"a\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"c\",\"resources\":{},"
        "\"livenessProbe\":{\"grpc\":{\"port\":80,\"service\":null}}}]},\"status\":{}}");
    struct text packed = {0};
    wire_pack(message, &packed);
    /* The empty medium means nothing and is left out; metadata, resources and status are always there. */
    static const uint8_t wanted[] = {0x0a, 0x00, 0x12, 0x18, 0x0a, 0x07, 0x0a, 0x01, 'a',  0x12,
                                     0x02, 0x12, 0x00, 0x12, 0x0d, 0x0a, 0x01, 'c',  0x42, 0x00,
                                     0x52, 0x06, 0x0a, 0x04, 0x22, 0x02, 0x08, 0x50, 0x1a, 0x00};
    assert_int_equal(packed.len, sizeof(wanted));
    assert_memory_equal(text_str(&packed), wanted, sizeof(wanted));
    text_done(&packed);
}

/* Objects that mean the same have the same bytes: what has not changed is recognised by them. */
static void test_equal_bytes(void **state)
{
    static const char *const pairs[][2] = {
        {"{apiVersion: v1, kind: Service, metadata: {name: a, labels: {a: '1', b: '2'}}, spec: {ports: "
         "[{port: 1}]}}",
         "{apiVersion: v1, kind: Service, metadata: {labels: {b: '2', a: '1'}, name: a, selfLink: '', "
         "finalizers: []}, "
         "spec: {clusterIP: '', ports: [{targetPort: 0, port: 1, nodePort: 0}]}, status: {loadBalancer: "
         "{}}}"},
        {"{apiVersion: v1, kind: Pod, spec: {containers: [{name: c}]}}",
         "{apiVersion: v1, kind: Pod, metadata: {creationTimestamp: null}, spec: {containers: [{name: c, "
         "resources: "
         "{}}]}, status: {}}"},
        {"{apiVersion: v1, kind: Node}", "{apiVersion: v1, kind: Node, metadata: {}, spec: {}, status: "
                                         "{daemonEndpoints: {kubeletEndpoint: {Port: 0}}, "
                                         "nodeInfo: {machineID: ''}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct text packed[2] = {0};
        for (unsigned j = 0; j < 2; j++)
            wire_pack(read_object(pairs[i][j]).message, &packed[j]);
        assert_int_equal(packed[0].len, packed[1].len);
        assert_memory_equal(text_str(&packed[0]), text_str(&packed[1]), packed[0].len);
        text_done(&packed[0]);
        text_done(&packed[1]);
    }
}

/* Zeros that Go packs although nobody gave them, entries out of order, numbers packed together. */
static void test_foreign_habits(void **state)
{
    static const uint8_t service[] = {
        0x0a, 0x20,                                    /* metadata */
        0x5a, 0x06, 0x0a, 0x01, 'c',  0x12, 0x01, '1', /* labels: c 1 */
        0x5a, 0x06, 0x0a, 0x01, 'b',  0x12, 0x01, '2', /* b 2 */
        0x5a, 0x06, 0x0a, 0x01, 'c',  0x12, 0x01, '3', /* c 3: wins */
        0x5a, 0x06, 0x0a, 0x01, 'a',  0x12, 0x01, '4', /* a 4 */
        0x12, 0x0f,                                    /* spec */
        0x0a, 0x08, 0x0a, 0x00, 0x18, 0x50, 0x28, 0x00,
        0x32, 0x00,                   /* ports: name, 80, nodePort 0, appProtocol */
        0x60, 0x00, 0xa0, 0x01, 0x00, /* healthCheckNodePort 0, allocateLoadBalancerNodePorts false */
    };
    static const uint8_t groups[] = {0x12, 0x06, 0x72, 0x04, 0x22, 0x02, 0x01, 0x02};
    struct err err = {0};
    ProtobufCMessage *message =
        wire_unpack(&core__service__descriptor, service, sizeof(service), &arena, &err);
    if (!message)
        fail_msg("%s", err.text);
    const Core__Service *unpacked = (const Core__Service *)message;
    assert_false(unpacked->spec->has_healthchecknodeport);
    assert_false(unpacked->spec->ports[0]->has_nodeport);
    assert_null(unpacked->spec->ports[0]->name);
    assert_string_equal(unpacked->spec->ports[0]->appprotocol, "");
    assert_true(unpacked->spec->has_allocateloadbalancernodeports);
    assert_int_equal(unpacked->metadata->n_labels, 3);
    assert_string_equal(unpacked->metadata->labels[0]->key, "a");
    assert_string_equal(unpacked->metadata->labels[1]->key, "b");
    assert_string_equal(unpacked->metadata->labels[2]->value, "3");
    message = wire_unpack(&core__pod__descriptor, groups, sizeof(groups), &arena, &err);
    if (!message)
        fail_msg("%s", err.text);
    assert_int_equal(((const Core__Pod *)message)->spec->securitycontext->n_supplementalgroups, 2);
}

static void test_unpack_faults(void **state)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *bytes;
        size_t len;
        const char *fault;
    } cases[] = {
        {&core__service__descriptor, "\x0a\x05\x0a", 3, "Service: no protobuf, or cut off"},
        {&core__service__descriptor, "\x0b", 1, "Service: no protobuf, or cut off"},
        {&core__service__descriptor, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11,
         "Service: no protobuf, or cut off"},
        {&core__service__descriptor, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
         "Service: no protobuf, or cut off"},
        {&core__service__descriptor, "\x00\x00", 2, "Service: no protobuf, or cut off"},
        {&core__service__descriptor, "\x08\x01", 2, "Service.metadata: of another type"},
        {&meta__object_meta__descriptor,
         "\x0a\x03"
         "a\0b",
         5, "ObjectMeta.name: no UTF-8, or with a NUL inside"},
        {&meta__object_meta__descriptor, "\x0a\x02\xc0\x80", 4,
         "ObjectMeta.name: no UTF-8, or with a NUL inside"},
        {&meta__object_meta__descriptor, "\x0a\x03\xed\xa0\x80", 5,
         "ObjectMeta.name: no UTF-8, or with a NUL inside"},
        {&meta__object_meta__descriptor, "\x0a\x02\xc3", 3, "ObjectMeta: no protobuf, or cut off"},
        {&meta__object_meta__descriptor, "\x0a\x01\xc3", 3,
         "ObjectMeta.name: no UTF-8, or with a NUL inside"},
        {&core__resource_requirements__descriptor,
         "\x0a\x0a\x0a\x01"
         "a\x12\x05\x0a\x03"
         "abc",
         12, "Quantity: no quantity"},
        {&meta__managed_fields_entry__descriptor, "\x3a\x05\x0a\x03{x}", 7, "FieldsV1: no JSON object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        assert_null(wire_unpack(cases[i].type, (const uint8_t *)cases[i].bytes, cases[i].len, &arena, &err));
        assert_string_equal(err.text, cases[i].fault);
    }
}

static void test_reader_sees_no_managers(void **state)
{
    struct err err = {0};
    /* name "a", managedFields with something that is no JSON, generation 5 */
    static const uint8_t bytes[] = "\x0a\x01"
                                   "a\x8a\x01\x07\x3a\x05\x0a\x03{x}\x38\x05";
    const size_t len = sizeof(bytes) - 1;
    assert_null(wire_unpack(&meta__object_meta__descriptor, bytes, len, &arena, &err));
    const Meta__ObjectMeta *metadata = (const Meta__ObjectMeta *)wire_unpack_for_reader(
        &meta__object_meta__descriptor, bytes, len, &arena, &err);
    assert_non_null(metadata);
    assert_string_equal(metadata->name, "a");
    assert_int_equal(metadata->generation, 5);
    assert_int_equal(metadata->n_managedfields, 0);
}

/* Two bytes of input make a container of several hundred. */
static void test_unpack_bound(void **state)
{
    struct text spec = {0}, pod = {0};
    for (unsigned i = 0; i < 400000; i++)
        text_add_bytes(&spec, "\x12\0", 2);
    wire_add_field(&pod, 2, spec.data, spec.len);
    struct err err = {0};
    assert_null(wire_unpack(&core__pod__descriptor, (const uint8_t *)pod.data, pod.len, &arena, &err));
    assert_non_null(strstr(err.text, "takes more than 64 MiB"));
    assert_true(arena.total < 2 * WIRE_UNPACK_MAX);
    text_done(&spec);
    text_done(&pod);
}

/* Whatever the bytes are, they are read or refused, and what was read can be written. */
static void test_unpack_noise(void **state)
{
    struct object object = read_object(forms[3].yaml);
    struct text packed = {0};
    unsigned seed = 1;
    wire_pack(object.message, &packed);
    for (size_t len = 0; len <= packed.len; len++) {
        arena_reset(&arena);
        /* A copy of its own, so that a sanitizer sees a step over its end. */
        cleanup_free uint8_t *bytes = xmalloc(len);
        memcpy(bytes, text_str(&packed), len);
        wire_unpack(&core__pod__descriptor, bytes, len, &arena, NULL);
        for (unsigned round = 0; round < 20 && len > 0; round++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % len] ^= (uint8_t)(1u << (seed >> 28 & 7));
            ProtobufCMessage *message = wire_unpack(&core__pod__descriptor, bytes, len, &arena, NULL);
            json_t *tree = message ? wire_tree(API_POD, message) : NULL;
            if (message)
                assert_non_null(tree);
            json_decref(tree);
            wire_unpack_own(&core__pod__descriptor, bytes, len, &arena, NULL);
        }
    }
    text_done(&packed);
}

static void test_envelope(void **state)
{
    struct text text = {0};
    struct wire_envelope envelope;
    struct err err = {0};
    wire_protobuf("v1", "Service", "xyz", 3, &text);
    assert_int_equal(text.len, 4 + 2 + 4 + 9 + 5);
    assert_memory_equal(text_str(&text), "k8s\0\x0a\x0d\x0a\x02v1\x12\x07Service\x12\x03xyz", text.len);
    assert_int_equal(wire_protobuf_open(text_str(&text), text.len, &arena, &envelope, &err), 0);
    assert_string_equal(envelope.api_version, "v1");
    assert_string_equal(envelope.kind, "Service");
    assert_int_equal(envelope.len, 3);
    assert_memory_equal(envelope.raw, "xyz", 3);
    assert_int_equal(wire_protobuf_open("k8s\0", 4, &arena, &envelope, &err), 0);
    assert_string_equal(envelope.kind, "");
    assert_int_equal(envelope.len, 0);
    assert_int_equal(wire_protobuf_open("k8s", 3, &arena, &envelope, &err), -EINVAL);
    assert_int_equal(wire_protobuf_open("{}{}", 4, &arena, &envelope, &err), -EINVAL);
    assert_string_equal(err.text,
                        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 "
                        "0]");
    for (size_t len = 4; len < text.len; len++)
        assert_int_equal(wire_protobuf_open(text_str(&text), len, &arena, &envelope, &err),
                         len == 4 || len == 19 ? 0 : -EINVAL);
    text_done(&text);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *yaml, *refusal, *upstream;
    } cases[] = {
        {"spec: {ports: [{port: 80}, {port: http}]}",
         "spec.ports[1].port: expected an integer, found \"http\"",
         "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32"},
        {"spec: {ports: [{port: 99999999999}]}",
         "spec.ports[0].port: expected a 32-bit integer, found 99999999999",
         "json: cannot unmarshal number 99999999999 into Go struct field ServicePort.spec.ports.port of type "
         "int32"},
        {"spec: {externalIPs: a}", "spec.externalIPs: expected a list, found \"a\"",
         "json: cannot unmarshal string into Go struct field ServiceSpec.spec.externalIPs of type []string"},
        {"spec: {externalIPs: [1]}", "spec.externalIPs[0]: expected a string, found 1",
         "json: cannot unmarshal number into Go struct field ServiceSpec.spec.externalIPs of type string"},
        {"spec: []", "spec: expected an object, found a list",
         "json: cannot unmarshal array into Go struct field Service.spec of type v1.ServiceSpec"},
        {"spec: {selector: {a: true}}", "spec.selector[a]: expected a string, found true",
         "json: cannot unmarshal bool into Go struct field ServiceSpec.spec.selector of type string"},
        {"spec: {selector: 1}", "spec.selector: expected an object, found 1",
         "json: cannot unmarshal number into Go struct field ServiceSpec.spec.selector of type "
         "map[string]string"},
        {"spec: {ports: [{targetPort: true}]}",
         "spec.ports[0].targetPort: expected an integer or a string, found true",
         "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32"},
        {"metadata: {uid: 1}", "metadata.uid: expected a string, found 1",
         "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.uid of type types.UID"},
        {"metadata: {creationTimestamp: now}",
         "metadata.creationTimestamp: expected an RFC 3339 time, found \"now\"",
         "parsing time \"now\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"now\" as \"2006\""},
        {"[]", "expected an object, found a list",
         "json: cannot unmarshal array into Go value of type v1.Service"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct decode_result result;
        json_t *tree = wire_tree_from_yaml(cases[i].yaml, strlen(cases[i].yaml), NULL);
        assert_non_null(tree);
        wire_decode_tree(tree, &core__service__descriptor, &arena, &result);
        json_decref(tree);
        assert_null(result.message);
        assert_string_equal(result.refusal, cases[i].refusal);
        assert_string_equal(result.upstream, cases[i].upstream);
        assert_int_equal(result.line, 0);
    }
}

static void test_unknown_fields(void **state)
{
    static const char yaml[] =
        "{apiVersion: v1, kind: Service, metadata: {lables: {}}, spec: {ports: [{prot: 1}]}}";
    struct decode_result result;
    json_t *tree = wire_tree_from_yaml(yaml, strlen(yaml), NULL);
    wire_decode_tree(tree, &core__service__descriptor, &arena, &result);
    json_decref(tree);
    assert_non_null(result.message);
    assert_int_equal(result.warning_count, 2);
    assert_string_equal(result.warnings[0], "unknown field \"metadata.lables\"");
    assert_string_equal(result.warnings[1], "unknown field \"spec.ports[0].prot\"");
}

static json_t *nested(unsigned depth)
{
    json_t *tree = json_object();
    for (unsigned i = 1; i < depth; i++)
        tree = json_pack("{s: o}", "spec", tree);
    return tree;
}

static void test_tree_bounds(void **state)
{
    struct decode_result result;
    json_t *tree = nested(2000);
    wire_decode_tree(tree, &core__service__descriptor, &arena, &result);
    assert_string_equal(result.refusal, "nested deeper than 64 levels");
    json_decref(tree);
    tree = json_pack("{s: {s: s%}}", "metadata", "name", "a\0b", 3);
    wire_decode_tree(tree, &core__service__descriptor, &arena, &result);
    assert_string_equal(result.refusal, "a value contains a NUL character");
    json_decref(tree);
}

static void test_yaml(void **state)
{
    static const struct {
        const char *yaml, *json, *fault;
    } cases[] = {
        {"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: yes}\n",
         "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":{\"e\":true,\"b\":1}}", NULL},
        {"{\"a\": [1, 2.5, null, \"\\ud83d\\ude00\"]}", "{\"a\":[1,2.5,null,\"\xf0\x9f\x98\x80\"]}", NULL},
        {"---\n80: 0x10\ntrue: ''\n", "{\"80\":16,\"true\":\"\"}", NULL},
        {"a: 1\na: 2\n", NULL, "line 2: key \"a\" already set in map"},
        {"a: [\n", NULL, "line 2: did not find expected node content"},
        {"", NULL, "there is no document"},
        {"a: .inf\n", NULL, "line 1: JSON has no number that is not finite"},
        {"a: !foo b\n", NULL, "line 1: tag \"!foo\" is not supported here"},
        {"a: *x\n", NULL, "line 1: alias \"x\" has no anchor before it in this document"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        json_t *tree = wire_tree_from_yaml(cases[i].yaml, strlen(cases[i].yaml), &err);
        cleanup_free char *json = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
        json_decref(tree);
        assert_int_equal(text_cmp(json, cases[i].json), 0);
        assert_string_equal(err.text, cases[i].fault ? cases[i].fault : "");
    }
}

static void test_event_faces(void **state)
{
    struct object object = read_object(
        "{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Pod}, message: m, reason: "
        "R, count: "
        "3, source: {component: c}, reportingComponent: rc, reportingInstance: ri, type: Normal, action: "
        "Act, "
        "firstTimestamp: '2024-01-01T00:00:00Z', lastTimestamp: '2024-01-02T00:00:00Z', related: {name: r}, "
        "eventTime: '2024-01-01T00:00:00.000001Z', series: {count: 2, lastObservedTime: "
        "'2024-01-01T00:00:00.000002Z'}}");
    Events__Event *face = event_from_core((const Core__Event *)object.message, &arena);
    struct text text = {0};
    wire_json_as("events.k8s.io/v1", "Event", &face->base, &text);
    assert_string_equal(
        text_str(&text),
        "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"},\"eventTime\":"
        "\"2024-01-01T00:00:00.000001Z\",\"series\":{\"count\":2,\"lastObservedTime\":"
        "\"2024-01-01T00:00:00.000002Z\"},\"reportingController\":\"rc\",\"reportingInstance\":\"ri\","
        "\"action\":"
        "\"Act\",\"reason\":\"R\",\"regarding\":{\"kind\":\"Pod\"},\"related\":{\"name\":\"r\"},\"note\":"
        "\"m\","
        "\"type\":\"Normal\",\"deprecatedSource\":{\"component\":\"c\"},\"deprecatedFirstTimestamp\":"
        "\"2024-01-01T00:00:00Z\",\"deprecatedLastTimestamp\":\"2024-01-02T00:00:00Z\",\"deprecatedCount\":"
        "3}");
    text_done(&text);
    Core__Event *back = event_to_core(face, &arena);
    assert_string_equal(json_of(API_EVENT, &back->base), json_of(API_EVENT, object.message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_equal_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_habits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpack_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader_sees_no_managers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpack_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpack_noise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_envelope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tree_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_yaml, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_event_faces, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
