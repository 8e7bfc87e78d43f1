/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/body.h"

#include "apiserver/test_world.h"

/* Bodies of requests: what a client sent, or why it is refused. */

static const struct write_options lenient = {.manager = "test"};
static const struct write_options strict = {.manager = "test", .field_validation = FIELD_VALIDATION_STRICT};

/* Everything that one request's body needs. */
struct reading {
    struct arena arena;
    struct target target;
    struct outcome outcome;
    struct write write;
    struct text body;
};

static void begin(struct reading *reading, const char *path, const struct write_options *options,
                  const char *body, size_t len)
{
    *reading = (struct reading){0};
    arena_init(&reading->arena);
    assert_true(target_parse(path, &reading->arena, &reading->target));
    reading->write = (struct write){.target = &reading->target,
                                    .options = options,
                                    .arena = &reading->arena,
                                    .outcome = &reading->outcome};
    text_add_bytes(&reading->body, body, len);
}

static void end(struct reading *reading)
{
    text_done(&reading->body);
    arena_done(&reading->arena);
}

/* wanted: NULL when the body is good; what ends in "..." is the beginning of the sentence. */
static void expect(const struct reading *reading, bool is_good, const char *wanted)
{
    const char *given = is_good ? NULL : reading->outcome.status.message;
    const char *dots = wanted ? strstr(wanted, "...") : NULL;
    assert_int_equal(reading->outcome.status.code, is_good ? 0 : 400);
    bool is_same = dots && !dots[3] ? given && strncmp(given, wanted, (size_t)(dots - wanted)) == 0
                                    : text_equal(given, wanted);
    if (!is_same)
        fail_msg("%s\ngave %s\nnot %s", text_str(&reading->body), given ? given : "(accepted)",
                 wanted ? wanted : "(accepted)");
}

#define UNRECOGNIZED "the object provided is unrecognized (must be of type ConfigMap): "
#define HANDLED "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: "

static void objects_in_json_and_yaml(void **state)
{
    static const struct {
        enum media media;
        const struct write_options *options;
        const char *body, *wanted;
    } cases[] = {
        {MEDIA_JSON, &lenient, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"v\"}}", NULL},
        {MEDIA_JSON, &strict, " {} ", NULL},
        {MEDIA_JSON, &lenient, "{\"odd\":1}", NULL},
        {MEDIA_JSON, &strict, "{\"odd\":1}", HANDLED "strict decoding error: unknown field \"odd\""},
        {MEDIA_JSON, &lenient, "",
         UNRECOGNIZED "couldn't get version/kind; json parse error: unexpected end of JSON input"},
        {MEDIA_JSON, &lenient, "{\"data\":",
         UNRECOGNIZED "couldn't get version/kind; json parse error: unexpected end of JSON input"},
        {MEDIA_JSON, &lenient, "{data: {}}", UNRECOGNIZED "couldn't get version/kind; json parse error: ..."},
        {MEDIA_JSON, &lenient, "{}{}", UNRECOGNIZED "couldn't get version/kind; json parse error: ..."},
        {MEDIA_JSON, &lenient, "[]", UNRECOGNIZED "couldn't get version/kind; json parse error: ..."},
        {MEDIA_JSON, &lenient, "7", UNRECOGNIZED "couldn't get version/kind; json parse error: ..."},
        {MEDIA_JSON, &lenient, "null", NULL},
        {MEDIA_JSON, &lenient, "{\"data\":{\"k\":7}}",
         HANDLED "json: cannot unmarshal number into Go struct field "
                 "ConfigMap.data of type string"},
        {MEDIA_JSON, &lenient, "{\"data\":{\"k\":\"\\u0000\"}}", UNRECOGNIZED "..."},
        {MEDIA_JSON, &lenient, "{\"data\":{\"k\":\"\xff\"}}", UNRECOGNIZED "..."},
        {MEDIA_JSON, &lenient, "{\"kind\":\"Pod\"}",
         "Pod in version \"v1\" cannot be handled as a ConfigMap: ..."},
        {MEDIA_JSON, &lenient, "{\"apiVersion\":\"v2\"}", "..."},
        {MEDIA_YAML, &lenient, "apiVersion: v1\nkind: ConfigMap\ndata:\n  k: v\n", NULL},
        {MEDIA_YAML, &lenient, "{data: {k: v}}", NULL},
        {MEDIA_YAML, &lenient, "data: {k: v", UNRECOGNIZED "error converting YAML to JSON: ..."},
        {MEDIA_YAML, &lenient, "data: *none", UNRECOGNIZED "error converting YAML to JSON: ..."},
        {MEDIA_YAML, &lenient, "- a\n", UNRECOGNIZED "..."},
        {MEDIA_YAML, &strict, "odd: 1", HANDLED "strict decoding error: unknown field \"odd\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reading reading;
        ProtobufCMessage *object = NULL;
        begin(&reading, TEST_CORE "configmaps", cases[i].options, cases[i].body, strlen(cases[i].body));
        bool is_good = body_object(&reading.write, cases[i].media, &reading.body, &object);
        expect(&reading, is_good, cases[i].wanted);
        assert_true(is_good == (object != NULL));
        if (is_good)
            assert_ptr_equal(object->descriptor, &core__config_map__descriptor);
        end(&reading);
    }
}

static void depth_is_bounded(void **state)
{
    static const enum media medias[] = {MEDIA_JSON, MEDIA_YAML};
    for (size_t i = 0; i < ARRAY_LEN(medias); i++) {
        struct reading reading;
        struct text deep = {0};
        ProtobufCMessage *object;
        for (int j = 0; j < 100000; j++)
            text_add(&deep, "{\"a\":");
        begin(&reading, TEST_CORE "configmaps", &lenient, text_str(&deep), deep.len);
        assert_false(body_object(&reading.write, medias[i], &reading.body, &object));
        assert_int_equal(reading.outcome.status.code, 400);
        end(&reading);
        text_done(&deep);
    }
}

static void a_reset_of_owners_is_noted(void **state)
{
    static const struct {
        const char *body;
        bool resets;
    } cases[] = {
        {"{}", false},
        {"{metadata: {managedFields: []}}", true},
        {"{metadata: {managedFields: null}}", false},
        {"{metadata: {managedFields: [{manager: me, operation: Update}]}}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reading reading;
        ProtobufCMessage *object;
        begin(&reading, TEST_CORE "configmaps", &lenient, cases[i].body, strlen(cases[i].body));
        assert_true(body_object(&reading.write, MEDIA_YAML, &reading.body, &object));
        if (reading.write.resets_owners != cases[i].resets)
            fail_msg("%s", cases[i].body);
        end(&reading);
    }
}

/* --- protobuf --- */

static void pack(const char *yaml, const char *version, const char *kind, struct text *ret)
{
    struct arena arena;
    struct decode_result result;
    struct text raw = {0};
    arena_init(&arena);
    json_t *tree = test_yaml(yaml);
    wire_decode_tree(tree, &core__config_map__descriptor, &arena, &result);
    assert_null(result.refusal);
    wire_pack(result.message, &raw);
    wire_protobuf(version, kind, text_str(&raw), raw.len, ret);
    json_decref(tree);
    text_done(&raw);
    arena_done(&arena);
}

static void objects_in_protobuf(void **state)
{
    static const struct {
        const char *version, *kind, *wanted;
    } cases[] = {
        {"v1", "ConfigMap", NULL},
        {"", "", NULL},
        {"v1", "Pod", "Pod in version \"v1\" cannot be handled as a ConfigMap: ..."},
        {"v7", "ConfigMap", "..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text bytes = {0};
        struct reading reading;
        ProtobufCMessage *object = NULL;
        pack("{metadata: {name: a}, data: {k: v}}", cases[i].version, cases[i].kind, &bytes);
        begin(&reading, TEST_CORE "configmaps", &strict, bytes.data, bytes.len);
        bool is_good = body_object(&reading.write, MEDIA_PROTOBUF, &reading.body, &object);
        expect(&reading, is_good, cases[i].wanted);
        if (is_good)
            assert_string_equal(api_metadata(object)->name, "a");
        end(&reading);
        text_done(&bytes);
    }
}

/* Cut anywhere, and with any byte changed: refused or read, never more. */
static void broken_protobuf_is_refused(void **state)
{
    struct text bytes = {0};
    struct reading reading;
    ProtobufCMessage *object;
    pack("{metadata: {name: a, labels: {a: b}}, data: {k: v}, binaryData: {x: AAEC}}", "v1", "ConfigMap",
         &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        begin(&reading, TEST_CORE "configmaps", &lenient, bytes.data, len);
        if (!body_object(&reading.write, MEDIA_PROTOBUF, &reading.body, &object))
            assert_int_equal(reading.outcome.status.code, 400);
        else
            assert_true(len >= 4); /* the magic number alone is an empty object */
        end(&reading);
    }
    for (size_t i = 0; i < bytes.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            begin(&reading, TEST_CORE "configmaps", &lenient, bytes.data, bytes.len);
            reading.body.data[i] = (char)(reading.body.data[i] ^ (1 << bit));
            if (!body_object(&reading.write, MEDIA_PROTOBUF, &reading.body, &object))
                assert_int_equal(reading.outcome.status.code, 400);
            end(&reading);
        }
    }
    begin(&reading, TEST_CORE "configmaps", &lenient, "{\"metadata\":{}}", 15);
    assert_false(body_object(&reading.write, MEDIA_PROTOBUF, &reading.body, &object));
    end(&reading);
    text_done(&bytes);
}

/* --- patches and options --- */

static void patches_are_trees(void **state)
{
    static const struct {
        enum patch_type type;
        const char *body, *wanted;
    } cases[] = {
        {PATCH_JSON, "[{\"op\":\"remove\",\"path\":\"/a\"}]", NULL},
        {PATCH_MERGE, "{\"a\":null}", NULL},
        {PATCH_STRATEGIC, "{}", NULL},
        {PATCH_APPLY, "{\"kind\":\"ConfigMap\"}", NULL},
        {PATCH_APPLY, "kind: ConfigMap\n", NULL},
        {PATCH_STRATEGIC, "{\"spec\":", "unexpected end of JSON input"},
        {PATCH_MERGE, "{\"spec\":", "error decoding patch: unexpected end of JSON input"},
        {PATCH_JSON, "", "error decoding patch: unexpected end of JSON input"},
        {PATCH_MERGE, "a: b", "error decoding patch: ..."},
        {PATCH_APPLY, "{a: b", "error decoding YAML: ..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reading reading;
        json_t *patch = NULL;
        begin(&reading, TEST_CORE "configmaps/a", &lenient, cases[i].body, strlen(cases[i].body));
        bool is_good = body_patch(&reading.write, cases[i].type, &reading.body, &patch);
        expect(&reading, is_good, cases[i].wanted);
        assert_true(is_good == (patch != NULL));
        json_decref(patch);
        end(&reading);
    }
}

/* "GRACE UID VERSION POLICY" and " dry" */
static const char *describe(const struct delete_options *options, bool is_dry_run, struct arena *arena)
{
    return arena_printf(
        arena, "%" PRId64 " %s %s %s%s", options->grace_seconds, *options->uid ? options->uid : "-",
        *options->resource_version ? options->resource_version : "-",
        *options->propagation_policy ? options->propagation_policy : "-", is_dry_run ? " dry" : "");
}

/* The same in protobuf, from the fields of meta.v1.DeleteOptions (generated.proto). */
static void delete_options_in_protobuf_are_read(void **state)
{
    static const char raw[] = "\x08\x05" /* gracePeriodSeconds = 1 */
                              "\x12\x06\n\x01u\x12\x01"
                              "7" /* preconditions = 2 {uid = 1, resourceVersion = 2} */
                              "\x22\x06"
                              "Orphan" /* propagationPolicy = 4 */
                              "\x2a\x03"
                              "All"; /* dryRun = 5 */
    struct text bytes = {0};
    struct reading reading;
    struct delete_options options = {30, "", "", "Background"};
    bool is_dry_run = false;
    wire_protobuf("v1", "DeleteOptions", raw, sizeof(raw) - 1, &bytes);
    begin(&reading, TEST_CORE "configmaps/a", &lenient, bytes.data, bytes.len);
    assert_true(body_delete_options(&reading.write, MEDIA_PROTOBUF, &reading.body, &options, &is_dry_run));
    assert_string_equal(describe(&options, is_dry_run, &reading.arena), "5 u 7 Orphan dry");
    end(&reading);
    for (size_t len = 1; len < bytes.len; len++) {
        begin(&reading, TEST_CORE "configmaps/a", &lenient, bytes.data, len);
        if (!body_delete_options(&reading.write, MEDIA_PROTOBUF, &reading.body, &options, &is_dry_run))
            assert_int_equal(reading.outcome.status.code, 400);
        end(&reading);
    }
    text_done(&bytes);
}

static void delete_options_are_judged(void **state)
{
    static const char *const bodies[] = {"{\"dryRun\":[\"Some\"]}", "{\"dryRun\":[\"All\",\"Some\"]}",
                                         "{\"orphanDependents\":true,\"propagationPolicy\":\"Orphan\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct reading reading;
        struct delete_options options = {30, "", "", ""};
        bool is_dry_run = false;
        begin(&reading, TEST_CORE "configmaps/a", &lenient, bodies[i], strlen(bodies[i]));
        assert_false(body_delete_options(&reading.write, MEDIA_JSON, &reading.body, &options, &is_dry_run));
        assert_int_equal(reading.outcome.status.code, 422);
        assert_string_equal(reading.outcome.status.kind, "DeleteOptions");
        assert_false(is_dry_run);
        end(&reading);
    }
}

static void delete_options_are_read(void **state)
{
    static const struct {
        const char *body, *wanted;
    } cases[] = {
        {"", "30 - - Background"},
        {"{}", "30 - - Background"},
        {"{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":5}", "5 - - Background"},
        {"{\"gracePeriodSeconds\":0}", "0 - - Background"},
        {"{\"gracePeriodSeconds\":-5}", "1 - - Background"},
        {"{\"propagationPolicy\":\"Orphan\"}", "30 - - Orphan"},
        {"{\"orphanDependents\":true}", "30 - - Orphan"},
        {"{\"orphanDependents\":false}", "30 - - Background"},
        {"{\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"7\"}}", "30 u 7 Background"},
        {"{\"dryRun\":[\"All\"]}", "30 - - Background dry"},
        {"{\"dryRun\":[]}", "30 - - Background"},
    };
    static const char *const bad[] = {"{",   "{\"gracePeriodSeconds\":", "{\"gracePeriodSeconds\":\"5\"}",
                                      "[7]", "{\"dryRun\":\"All\"}",     "{\"preconditions\":7}"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reading reading;
        struct delete_options options = {30, "", "", "Background"};
        bool is_dry_run = false;
        begin(&reading, TEST_CORE "configmaps/a", &lenient, cases[i].body, strlen(cases[i].body));
        assert_true(body_delete_options(&reading.write, MEDIA_JSON, &reading.body, &options, &is_dry_run));
        assert_string_equal(describe(&options, is_dry_run, &reading.arena), cases[i].wanted);
        end(&reading);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct reading reading;
        struct delete_options options = {30, "", "", ""};
        bool is_dry_run = false;
        begin(&reading, TEST_CORE "configmaps/a", &lenient, bad[i], strlen(bad[i]));
        assert_false(body_delete_options(&reading.write, MEDIA_JSON, &reading.body, &options, &is_dry_run));
        assert_int_equal(reading.outcome.status.code, 400);
        end(&reading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_in_json_and_yaml),   cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_reset_of_owners_is_noted), cmocka_unit_test(objects_in_protobuf),
        cmocka_unit_test(broken_protobuf_is_refused), cmocka_unit_test(patches_are_trees),
        cmocka_unit_test(delete_options_are_read),    cmocka_unit_test(delete_options_in_protobuf_are_read),
        cmocka_unit_test(delete_options_are_judged),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
