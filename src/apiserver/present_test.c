/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/present.h"

#include "api/wire_format.h"
#include "apiserver/block_yaml.h"
#include "apiserver/face.h"
#include "apiserver/test_world.h"

#define MAPS TEST_CORE "configmaps"
#define PROTOBUF "application/vnd.kubernetes.protobuf"
#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io"
#define PARTIAL "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"

static void make_two(struct test_world *world)
{
    test_do(world, "POST " MAPS,
            "{metadata: {name: a, labels: {x: 'true'}}, data: {k: 'line\nline', e: ''}}");
    test_do(world, "POST " MAPS, "{metadata: {name: b}, data: {only: one}}");
}

static const struct registry_object *stored(struct test_world *world, const char *name)
{
    return registry_get(world->world.registry, API_CONFIG_MAP, "default", name);
}

static struct presentation how(const char *accept, const char *group, const char *version, const char *plural)
{
    struct presentation ret = {.resource = resource_find(group, version, plural),
                               .include_object = "Metadata",
                               .now = TEST_NOW + 90};
    assert_non_null(ret.resource);
    assert_true(accept_parse(accept, true, &ret.accepted));
    return ret;
}

static void expect_json(const struct text *text, const char *wanted)
{
    json_t *tree = json_loadb(text_str(text), text->len, 0, NULL);
    test_expect(tree, wanted, text_str(text));
    json_decref(tree);
}

/* --- JSON and YAML --- */

static void objects_in_json_are_one_line(void **state)
{
    struct test_world *world = *state;
    make_two(world);
    test_do(world, "GET " MAPS "/b", NULL);
    const char *text = text_str(&world->body);
    const char *start = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\"";
    assert_int_equal(strncmp(text, start, strlen(start)), 0);
    assert_null(strchr(text, '\n'));
}

static void yaml_says_the_same(void **state)
{
    static const char *const requests[] = {"GET " MAPS "/a", "GET " MAPS, "GET /api/v1/namespaces"};
    struct test_world *world = *state;
    make_two(world);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        world->accept = "application/json";
        test_do(world, requests[i], NULL);
        json_t *plain = json_incref(world->tree);
        world->accept = "application/yaml";
        test_do(world, requests[i], NULL);
        assert_null(world->tree);
        json_t *tree = test_yaml(text_str(&world->body));
        assert_true(json_equal(tree, plain));
        json_decref(tree);
        json_decref(plain);
    }
    world->accept = NULL;
}

static void blocks_are_written_as_people_do(void **state)
{
    static const struct {
        const char *json, *wanted;
    } cases[] = {
        {"{\"a\":1,\"b\":[{\"c\":\"d\"},2.5],\"e\":{},\"f\":[],\"g\":null,\"h\":true,\"i\":false}",
         "a: 1\nb:\n- c: d\n- 2.5\ne: {}\nf: []\ng: null\nh: true\ni: false\n"},
        /* What YAML would read as something else is quoted. */
        {"{\"a\":\"true\",\"b\":\"1\",\"c\":\"\",\"d\":\"null\",\"e\":\"1e3\",\"f\":\"~\",\"g\":\"yes\","
         "\"h\":\"x: y\"}",
         "a: \"true\"\nb: \"1\"\nc: \"\"\nd: \"null\"\ne: \"1e3\"\nf: \"~\"\ng: \"yes\"\nh: 'x: y'\n"},
        {"{\"1\":\"a\",\"on\":\"b\"}", "\"1\": a\n\"on\": b\n"},
        {"{\"a\":-9223372036854775808}", "a: -9223372036854775808\n"},
        {"{\"a\":\"\\u00e9 \\u20ac\"}", "a: \xc3\xa9 \xe2\x82\xac\n"},
        {"7", "7\n"},
        {"no JSON", "no JSON"},
        {"{\"a\":", "{\"a\":"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text text = {0};
        text_add(&text, "#");
        block_yaml_from_json(cases[i].json, strlen(cases[i].json), &text);
        if (strcmp(text_str(&text) + 1, cases[i].wanted) != 0)
            fail_msg("%s gave\n%s", cases[i].json, text_str(&text));
        text_done(&text);
    }
}

static void whatever_is_written_in_yaml_is_read_again(void **state)
{
    static const char *const strings[] = {" ",
                                          "a ",
                                          " a",
                                          "-",
                                          "- a",
                                          "#",
                                          "a #b",
                                          "a\nb",
                                          "a\n",
                                          "\n",
                                          "\ta",
                                          "'",
                                          "\"",
                                          "a: b",
                                          "a:",
                                          "{",
                                          "[a]",
                                          "*a",
                                          "&a",
                                          "!a",
                                          "%a",
                                          "@a",
                                          "`a",
                                          "|",
                                          ">",
                                          "0x1f",
                                          "0b1",
                                          "1_000",
                                          "1:30",
                                          ".inf",
                                          "2023-11-14",
                                          "<<",
                                          "=",
                                          "No",
                                          "\xc2\x85",
                                          "\xe2\x80\xa8",
                                          "\xf0\x9f\x98\x80",
                                          "a\\nb",
                                          "\x7f",
                                          "\x01"};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        struct text yaml = {0};
        json_t *tree = json_pack("{s:s,s:[s]}", "key", strings[i], "list", strings[i]);
        json_object_set_new(tree, strings[i], json_string("value"));
        cleanup_free char *json = json_dumps(tree, 0);
        block_yaml_from_json(json, strlen(json), &yaml);
        json_t *again = test_yaml(text_str(&yaml));
        if (!json_equal(again, tree))
            fail_msg("%s became\n%s", json, text_str(&yaml));
        json_decref(again);
        json_decref(tree);
        text_done(&yaml);
    }
}

/* --- tables and metadata --- */

static void tables_have_columns_and_rows(void **state)
{
    struct test_world *world = *state;
    make_two(world);
    world->accept = TABLE;
    world->now += 90;
    test_do(world, "GET " MAPS, NULL);
    test_expect(
        world->tree,
        "{kind: Table, apiVersion: meta.k8s.io/v1, metadata: {resourceVersion: '6'}, columnDefinitions: "
        "[{name: "
        "Name, type: string, format: name, priority: 0}, {name: Data}, {name: Age}], rows: [{cells: [a, 2, "
        "90s], "
        "object: {kind: PartialObjectMetadata, apiVersion: meta.k8s.io/v1, metadata: {name: a, namespace: "
        "default}, data: null}}, {cells: [b, 1, 90s]}]}",
        "the table of a list");
    test_do(world, "GET " MAPS "?includeObject=None", NULL);
    test_expect(world->tree, "{rows: [{cells: [a, 2, 90s], object: null}, {}]}", "a table without objects");
    test_do(world, "GET " MAPS "?includeObject=Object", NULL);
    test_expect(world->tree, "{rows: [{object: {kind: ConfigMap, apiVersion: v1, data: {e: ''}}}, {}]}",
                "a table with objects");
    test_do(world, "GET " MAPS "/b", NULL);
    test_expect(
        world->tree,
        "{kind: Table, metadata: {resourceVersion: '6'}, columnDefinitions: [{name: Name}, {}, {}], rows: "
        "[{cells: [b, 1, 90s]}]}",
        "the table of one");
    test_do(world, "POST " MAPS, "{metadata: {name: c}}");
    test_expect(world->tree, "{kind: Table, rows: [{cells: [c, 0, 0s]}]}", "the table of a write");
    test_do(world, "GET " MAPS "?limit=1", NULL);
    test_expect(world->tree, "{kind: Table, metadata: {remainingItemCount: 2}, rows: [{}]}", "a page");
    assert_true(*test_metadata(world, "continue"));
    test_do(world, "GET /api/v1/namespaces/nowhere/configmaps", NULL);
    test_expect(world->tree, "{kind: Table, columnDefinitions: [{}, {}, {}], rows: []}", "an empty table");
    world->accept = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
    test_do(world, "GET " MAPS, NULL);
    test_expect(world->tree, "{kind: Table, apiVersion: meta.k8s.io/v1beta1}", "the older table");
}

static void metadata_goes_alone(void **state)
{
    struct test_world *world = *state;
    make_two(world);
    world->accept = PARTIAL;
    test_do(world, "GET " MAPS "/a", NULL);
    test_expect(
        world->tree,
        "{kind: PartialObjectMetadata, apiVersion: meta.k8s.io/v1, metadata: {name: a, labels: {x: 'true'}}, "
        "data: null}",
        "the metadata of one");
    test_do(world, "GET " MAPS "?limit=1", NULL);
    test_expect(
        world->tree,
        "{kind: PartialObjectMetadataList, apiVersion: meta.k8s.io/v1, metadata: {resourceVersion: '6', "
        "remainingItemCount: 1}, items: [{kind: PartialObjectMetadata, metadata: {name: a}, data: null}]}",
        "the metadata of a list");
}

/* --- protobuf --- */

static void open_envelope(const void *bytes, size_t len, struct arena *arena, const char *version,
                          const char *kind, struct wire_envelope *ret)
{
    struct err err;
    if (wire_protobuf_open(bytes, len, arena, ret, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(ret->api_version, version);
    assert_string_equal(ret->kind, kind);
}

static void expect_message(struct test_world *world, const ProtobufCMessageDescriptor *type,
                           const uint8_t *bytes, size_t len, const char *wanted)
{
    struct err err;
    ProtobufCMessage *message = wire_unpack(type, bytes, len, &world->arena, &err);
    if (!message)
        fail_msg("%s", err.text);
    json_t *tree = wire_tree_of(message);
    test_expect(tree, wanted, "a message");
    json_decref(tree);
}

/* The next field, which is of that number and has a length. */
static struct wire_item next_item(struct wire_reader *reader, unsigned number)
{
    struct wire_item item;
    bool is_bad = false;
    assert_true(wire_next(reader, &item, &is_bad));
    assert_int_equal(item.number, number);
    assert_int_equal(item.type, WIRE_LENGTH);
    return item;
}

static void expect_text(struct wire_reader *reader, unsigned number, const char *wanted)
{
    struct wire_item item = next_item(reader, number);
    assert_int_equal(item.len, strlen(wanted));
    assert_memory_equal(item.bytes, wanted, item.len);
}

static void objects_in_protobuf_can_be_read_again(void **state)
{
    struct test_world *world = *state;
    struct wire_envelope envelope;
    world->accept = PROTOBUF;
    test_do(world, "POST " MAPS, "{metadata: {name: a}, data: {k: v}}");
    open_envelope(world->body.data, world->body.len, &world->arena, "v1", "ConfigMap", &envelope);
    expect_message(world, &core__config_map__descriptor, envelope.raw, envelope.len,
                   "{metadata: {name: a, resourceVersion: '5'}, data: {k: v}}");
    test_do(world, "GET " MAPS "/a", NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "v1", "ConfigMap", &envelope);
    /* What is stored goes as it is. */
    assert_int_equal(envelope.len, stored(world, "a")->len);
    assert_memory_equal(envelope.raw, stored(world, "a")->data, envelope.len);
}

static void lists_in_protobuf_can_be_read_again(void **state)
{
    struct test_world *world = *state;
    struct wire_envelope envelope;
    make_two(world);
    world->accept = PROTOBUF;
    test_do(world, "GET " MAPS "?limit=1", NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "v1", "ConfigMapList", &envelope);
    struct wire_reader reader = {envelope.raw, envelope.raw + envelope.len};
    struct wire_item item = next_item(&reader, 1);
    expect_message(world, &meta__list_meta__descriptor, item.bytes, item.len,
                   "{resourceVersion: '6', remainingItemCount: 1}");
    item = next_item(&reader, 2);
    expect_message(world, &core__config_map__descriptor, item.bytes, item.len,
                   "{metadata: {name: a}, data: {e: ''}}");
    assert_true(reader.at == reader.end);
    test_do(world, "GET " MAPS, NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "v1", "ConfigMapList", &envelope);
    reader = (struct wire_reader){envelope.raw, envelope.raw + envelope.len};
    item = next_item(&reader, 1);
    expect_message(world, &meta__list_meta__descriptor, item.bytes, item.len,
                   "{resourceVersion: '6', continue: null, remainingItemCount: null}");
    next_item(&reader, 2);
    item = next_item(&reader, 2);
    expect_message(world, &core__config_map__descriptor, item.bytes, item.len, "{metadata: {name: b}}");
    assert_true(reader.at == reader.end);
    test_do(world, "GET /api/v1/pods", NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "v1", "PodList", &envelope);
    reader = (struct wire_reader){envelope.raw, envelope.raw + envelope.len};
    next_item(&reader, 1);
    assert_true(reader.at == reader.end);
}

/* --- the two faces of an Event --- */

static void events_show_two_faces(void **state)
{
    struct test_world *world = *state;
    struct wire_envelope envelope;
    test_do(world, "POST " TEST_CORE "events",
            "{metadata: {name: e}, involvedObject: {kind: Pod, namespace: default, name: p}, reason: "
            "Started, message: "
            "it runs, type: Normal, source: {component: me}, count: 3}");
    test_do(world, "GET /apis/events.k8s.io/v1/namespaces/default/events/e", NULL);
    test_expect(
        world->tree,
        "{apiVersion: events.k8s.io/v1, kind: Event, regarding: {kind: Pod, name: p}, note: it runs, reason: "
        "Started, deprecatedCount: 3, deprecatedSource: {component: me}, involvedObject: null, message: "
        "null}",
        "the newer face");
    test_do(world, "GET /apis/events.k8s.io/v1/events", NULL);
    test_expect(world->tree,
                "{apiVersion: events.k8s.io/v1, kind: EventList, items: [{note: it runs, message: null}]}",
                "the list of newer faces");
    test_do(world, "GET " TEST_CORE "events", NULL);
    test_expect(world->tree, "{apiVersion: v1, kind: EventList, items: [{message: it runs, note: null}]}",
                "the list of older faces");
    world->accept = PROTOBUF;
    test_do(world, "GET /apis/events.k8s.io/v1/namespaces/default/events/e", NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "events.k8s.io/v1", "Event", &envelope);
    expect_message(world, resource_type(resource_find("events.k8s.io", "v1", "events")), envelope.raw,
                   envelope.len, "{metadata: {name: e}, regarding: {kind: Pod}, note: it runs}");
    test_do(world, "GET /apis/events.k8s.io/v1/events", NULL);
    open_envelope(world->body.data, world->body.len, &world->arena, "events.k8s.io/v1", "EventList",
                  &envelope);
    struct wire_reader reader = {envelope.raw, envelope.raw + envelope.len};
    next_item(&reader, 1);
    struct wire_item item = next_item(&reader, 2);
    expect_message(world, resource_type(resource_find("events.k8s.io", "v1", "events")), item.bytes, item.len,
                   "{note: it runs}");
    world->accept = NULL;
    test_do(
        world, "POST /apis/events.k8s.io/v1/namespaces/default/events",
        "{metadata: {name: f}, eventTime: '2023-11-14T22:13:20.123456Z', reportingController: example.com/c, "
        "reportingInstance: i, action: Started, reason: Started, type: Normal, regarding: {kind: Pod, "
        "namespace: "
        "default, name: p}, note: it runs}");
    test_expect(world->tree,
                "{apiVersion: events.k8s.io/v1, note: it runs, eventTime: '2023-11-14T22:13:20.123456Z'}",
                "what was sent");
    test_do(world, "GET " TEST_CORE "events/f", NULL);
    test_expect(
        world->tree,
        "{apiVersion: v1, message: it runs, involvedObject: {kind: Pod}, reportingComponent: example.com/c}",
        "what is stored");
}

/* --- frames of a watch --- */

static void frames_in_json_are_lines(void **state)
{
    struct test_world *world = *state;
    struct presentation plain = how(NULL, "", "v1", "configmaps"), table = how(TABLE, "", "v1", "configmaps");
    struct presentation partial = how(PARTIAL, "", "v1", "configmaps");
    struct text text = {0};
    make_two(world);
    present_event(&plain, "ADDED", NULL, stored(world, "a"), true, &text);
    present_event(&plain, "MODIFIED", NULL, stored(world, "b"), false, &text);
    char *second = strchr(text_str(&text), '\n') + 1;
    assert_string_equal(strchr(second, '\n'), "\n");
    assert_int_equal(strncmp(text_str(&text), "{\"type\":\"ADDED\",\"object\":{", 26), 0);
    json_t *tree = json_loads(second, 0, NULL);
    test_expect(tree, "{type: MODIFIED, object: {kind: ConfigMap, apiVersion: v1, metadata: {name: b}}}",
                second);
    json_decref(tree);
    text_done(&text);
    present_event(&table, "ADDED", NULL, stored(world, "a"), true, &text);
    expect_json(
        &text,
        "{type: ADDED, object: {kind: Table, metadata: {resourceVersion: '5'}, columnDefinitions: [{name: "
        "Name}, {}, {}], rows: [{cells: [a, 2, 90s]}]}}");
    text_done(&text);
    present_event(&table, "DELETED", NULL, stored(world, "a"), false, &text);
    expect_json(&text, "{type: DELETED, object: {kind: Table, columnDefinitions: null, rows: [{}]}}");
    text_done(&text);
    present_event(&partial, "ADDED", NULL, stored(world, "a"), true, &text);
    expect_json(&text,
                "{type: ADDED, object: {kind: PartialObjectMetadata, metadata: {name: a}, data: null}}");
    text_done(&text);
}

/* Opens the frame at the beginning of text; the object's envelope is open then. */
static void open_frame(const struct text *text, const char *type, struct arena *arena, const char *version,
                       const char *kind, struct wire_envelope *ret)
{
    const uint8_t *bytes = (const uint8_t *)text->data;
    assert_true(text->len > 4);
    size_t len = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    assert_int_equal(len, text->len - 4);
    struct wire_reader reader = {bytes + 4, bytes + 4 + len};
    expect_text(&reader, 1, type);
    struct wire_item object = next_item(&reader, 2);
    assert_true(reader.at == reader.end);
    reader = (struct wire_reader){object.bytes, object.bytes + object.len};
    struct wire_item raw = next_item(&reader, 1);
    assert_true(reader.at == reader.end);
    open_envelope(raw.bytes, raw.len, arena, version, kind, ret);
}

static void frames_in_protobuf_can_be_read_again(void **state)
{
    struct test_world *world = *state;
    struct presentation protobuf = how(PROTOBUF, "", "v1", "configmaps");
    struct wire_envelope envelope;
    struct text text = {0};
    make_two(world);
    present_event(&protobuf, "ADDED", NULL, stored(world, "a"), true, &text);
    open_frame(&text, "ADDED", &world->arena, "v1", "ConfigMap", &envelope);
    assert_int_equal(envelope.len, stored(world, "a")->len);
    assert_memory_equal(envelope.raw, stored(world, "a")->data, envelope.len);
    text_done(&text);
    /* More than two bytes of length. */
    char *large = arena_alloc(&world->arena, 70001);
    memset(large, 'x', 70000);
    test_do(world, "POST " MAPS, arena_printf(&world->arena, "{metadata: {name: c}, data: {k: %s}}", large));
    present_event(&protobuf, "DELETED", NULL, stored(world, "c"), true, &text);
    assert_int_equal(text.data[1], 1);
    open_frame(&text, "DELETED", &world->arena, "v1", "ConfigMap", &envelope);
    assert_int_equal(envelope.len, stored(world, "c")->len);
    text_done(&text);
}

static void bookmarks_have_a_revision_alone(void **state)
{
    struct test_world *world = *state;
    struct text text = {0};
    struct wire_envelope envelope;
    for (size_t i = 0; i < resource_count; i++) {
        struct presentation each = {.resource = &resources[i], .include_object = "Metadata", .now = TEST_NOW};
        present_bookmark(&each, 77, false, &text);
        json_t *tree = json_loads(text_str(&text), 0, NULL);
        test_expect(
            tree,
            "{type: BOOKMARK, object: {metadata: {resourceVersion: '77', annotations: null, name: null}}}",
            text_str(&text));
        json_t *object = json_object_get(tree, "object");
        assert_string_equal(json_string_value(json_object_get(object, "kind")),
                            api_kind_name(resources[i].kind));
        assert_string_equal(json_string_value(json_object_get(object, "apiVersion")),
                            resources[i].group_version);
        json_decref(tree);
        text_done(&text);
    }
    struct presentation plain = how(NULL, "", "v1", "configmaps"), table = how(TABLE, "", "v1", "configmaps");
    struct presentation partial = how(PARTIAL, "", "v1", "configmaps"),
                        protobuf = how(PROTOBUF, "", "v1", "configmaps");
    present_bookmark(&plain, 78, true, &text);
    expect_json(
        &text,
        "{object: {metadata: {resourceVersion: '78', annotations: {k8s.io/initial-events-end: 'true'}}}}");
    text_done(&text);
    present_bookmark(&table, 79, true, &text);
    expect_json(
        &text,
        "{type: BOOKMARK, object: {kind: Table, metadata: {resourceVersion: '79'}, rows: [{object: {kind: "
        "PartialObjectMetadata, metadata: {resourceVersion: '79', annotations: "
        "{k8s.io/initial-events-end: 'true'}}}}]}}");
    text_done(&text);
    present_bookmark(&partial, 80, false, &text);
    expect_json(&text, "{object: {kind: PartialObjectMetadata, metadata: {resourceVersion: '80'}}}");
    text_done(&text);
    present_bookmark(&protobuf, 81, true, &text);
    open_frame(&text, "BOOKMARK", &world->arena, "v1", "ConfigMap", &envelope);
    expect_message(
        world, &core__config_map__descriptor, envelope.raw, envelope.len,
        "{metadata: {resourceVersion: '81', annotations: {k8s.io/initial-events-end: 'true'}}, data: null}");
    text_done(&text);
}

/* A client of protobuf reads a Status in protobuf or does not learn that it has to list again. */
static void errors_end_a_watch_in_its_own_form(void **state)
{
    static const struct fault cause = {
        .reason = "ResourceVersionTooLarge", .message = "Too large", .field = "f"};
    static const uint8_t gone[] =
        "\n\0\x12\7Failure\x1a\1m\"\1E0\x9a\3"; /* as kube-apiserver 1.36 sends it */
    struct test_world *world = *state;
    struct status status = {.code = 410, .reason = "E", .message = "m"};
    struct presentation plain = how(NULL, "", "v1", "configmaps"),
                        protobuf = how(PROTOBUF, "", "v1", "configmaps");
    struct wire_envelope envelope;
    struct text text = {0};
    present_error(&plain, &status, &text);
    assert_string_equal(
        text_str(&text),
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
        "\"status\":\"Failure\",\"message\":\"m\",\"reason\":\"E\",\"code\":410}}\n");
    text_done(&text);
    present_error(&protobuf, &status, &text);
    open_frame(&text, "ERROR", &world->arena, "v1", "Status", &envelope);
    assert_int_equal(envelope.len, sizeof(gone) - 1);
    assert_memory_equal(envelope.raw, gone, envelope.len);
    text_done(&text);
    status = (struct status){.code = 504,
                             .reason = "Timeout",
                             .message = "m",
                             .name = "n",
                             .kind = "k",
                             .causes = &cause,
                             .cause_count = 1,
                             .retry_after_seconds = 300};
    present_error(&protobuf, &status, &text);
    open_frame(&text, "ERROR", &world->arena, "v1", "Status", &envelope);
    struct wire_reader reader = {envelope.raw, envelope.raw + envelope.len};
    expect_text(&reader, 1, "");
    expect_text(&reader, 2, "Failure");
    expect_text(&reader, 3, "m");
    expect_text(&reader, 4, "Timeout");
    struct wire_item details = next_item(&reader, 5), code;
    bool is_bad = false;
    assert_true(wire_next(&reader, &code, &is_bad) && code.number == 6 && code.value == 504);
    assert_true(reader.at == reader.end);
    reader = (struct wire_reader){details.bytes, details.bytes + details.len};
    expect_text(&reader, 1, "n");
    expect_text(&reader, 3, "k");
    expect_text(&reader, 4, "\n\x17ResourceVersionTooLarge\x12\tToo large\x1a\1f");
    assert_true(wire_next(&reader, &code, &is_bad) && code.number == 5 && code.value == 300);
    assert_true(reader.at == reader.end);
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_WORLD(objects_in_json_are_one_line),
        TEST_IN_WORLD(yaml_says_the_same),
        cmocka_unit_test(blocks_are_written_as_people_do),
        cmocka_unit_test(whatever_is_written_in_yaml_is_read_again),
        TEST_IN_WORLD(tables_have_columns_and_rows),
        TEST_IN_WORLD(metadata_goes_alone),
        TEST_IN_WORLD(objects_in_protobuf_can_be_read_again),
        TEST_IN_WORLD(lists_in_protobuf_can_be_read_again),
        TEST_IN_WORLD(events_show_two_faces),
        TEST_IN_WORLD(frames_in_json_are_lines),
        TEST_IN_WORLD(frames_in_protobuf_can_be_read_again),
        TEST_IN_WORLD(bookmarks_have_a_revision_alone),
        TEST_IN_WORLD(errors_end_a_watch_in_its_own_form),
    };
    return cmocka_run_group_tests_name("present", tests, NULL, NULL);
}
