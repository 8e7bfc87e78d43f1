/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/negotiate.h"

#include "apiserver/accept.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TABLE ";as=Table;v=v1;g=meta.k8s.io"
#define TABLE_BETA ";as=Table;v=v1beta1;g=meta.k8s.io"
#define JSON "application/json"
#define YAML "application/yaml"
#define PROTOBUF "application/vnd.kubernetes.protobuf"
#define PARTIAL ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
#define PARTIAL_LIST ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

static const char *describe(bool is_good, const struct accepted *accepted)
{
    static const char *const names[3][3] = {{"json", "json table", "json metadata"},
                                            {"yaml", "yaml table", "yaml metadata"},
                                            {"protobuf", "protobuf table", "protobuf metadata"}};
    if (!is_good)
        return "none";
    return accepted->is_table_v1beta1 ? "json table v1beta1" : names[accepted->media][accepted->form];
}

static const struct {
    const char *header, *wanted, *wanted_plain; /* the latter where tables make no sense; NULL: the same */
} wishes[] = {
    {NULL, "json", NULL},
    {"", "json", NULL},
    {"*/*", "json", NULL},
    {JSON, "json", NULL},
    {YAML, "yaml", NULL},
    {PROTOBUF, "protobuf", NULL},
    /* kubectl 1.20, 1.32 and 1.36: get; get -o yaml; describe and others of client-go. */
    {JSON TABLE "," JSON TABLE_BETA "," JSON, "json table", "json"},
    {JSON ", */*", "json", NULL},
    {PROTOBUF "," JSON, "protobuf", NULL},
    /* client-go 1.32 and later over protobuf, metadata informers, kubectl drain. */
    {PROTOBUF PARTIAL "," JSON PARTIAL "," JSON, "json metadata", "json"},
    {PROTOBUF PARTIAL_LIST "," JSON PARTIAL_LIST "," JSON, "json metadata", "json"},
    {JSON TABLE_BETA, "json table v1beta1", "none"},
    {YAML TABLE, "yaml table", "none"},
    {JSON ";g=meta.k8s.io;v=v1;as=Table", "json table", "none"},
    {"application/json; as=Table ;v=v1 ; g=meta.k8s.io", "json table", "none"},
    {"*/*" TABLE, "json table", "none"},
    {JSON PARTIAL, "json metadata", "none"},
    {JSON PARTIAL_LIST, "json metadata", "none"},
    /* Kinds that nobody can make of it are passed over. */
    {JSON ";as=Table;v=v2;g=meta.k8s.io", "none", NULL},
    {JSON ";as=Table;v=v2;g=meta.k8s.io," YAML, "yaml", NULL},
    {JSON ";as=Odd;v=v1;g=meta.k8s.io", "none", NULL},
    {JSON ";as=Table;v=v1;g=example.com", "none", NULL},
    {JSON ";as=Table", "none", NULL},
    {PROTOBUF TABLE, "none", NULL},
    {PROTOBUF TABLE "," JSON, "json", NULL},
    /* Weights: RFC 9110, 12.4.2. */
    {YAML ";q=0.9," JSON ";q=0.5", "yaml", NULL},
    {JSON ";q=0.5, " YAML, "yaml", NULL},
    {JSON ";q=0.5, " YAML ";q=0.50", "json", NULL},
    {JSON ";q=0.001," YAML ";q=0", "json", NULL},
    {YAML ";q=0", "none", NULL},
    {"*/*;q=0.1," YAML ";q=0.2", "yaml", NULL},
    {"*/*," YAML, "yaml", NULL},
    {"text/html,*/*;q=0.1", "json", NULL},
    {JSON TABLE ";q=0.4," PROTOBUF ";q=0.6", "protobuf", NULL},
    {JSON ";q=5," YAML, "json", NULL},
    {"application/*", "json", NULL},
    {"text/*," YAML, "yaml", NULL},
    /* Parameters of other names say nothing. */
    {JSON ";charset=utf-8", "json", NULL},
    {JSON ";stream=watch", "json", NULL},
    {PROTOBUF ";stream=watch", "protobuf", NULL},
    {"APPLICATION/JSON", "json", NULL},
    {"text/html", "none", NULL},
    {"application/xml", "none", NULL},
    {"application/cbor", "none", NULL},
    {"application/jsonx", "none", NULL},
    {"application/jso", "none", NULL},
    {"application", "none", NULL},
    {"/", "none", NULL},
    {";;;", "none", NULL},
    {",,", "none", NULL},
    {",," YAML, "yaml", NULL},
    {JSON ";as=", "json", NULL},
    {JSON ";=;q", "json", NULL},
};

static void clients_get_what_they_want_most(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
        const char *plain = wishes[i].wanted_plain ? wishes[i].wanted_plain : wishes[i].wanted;
        struct accepted accepted;
        bool is_good = accept_parse(wishes[i].header, true, &accepted);
        if (strcmp(describe(is_good, &accepted), wishes[i].wanted) != 0)
            fail_msg("%s gave %s, not %s", wishes[i].header, describe(is_good, &accepted), wishes[i].wanted);
        is_good = accept_parse(wishes[i].header, false, &accepted);
        if (strcmp(describe(is_good, &accepted), plain) != 0)
            fail_msg("%s gave %s, not %s, where forms make no sense", wishes[i].header,
                     describe(is_good, &accepted), plain);
    }
}

static void a_long_header_ends_somewhere(void **state)
{
    struct text header = {0};
    struct accepted accepted;
    for (int i = 0; i < 63; i++)
        text_add(&header, "a/b,");
    text_add(&header, YAML);
    assert_true(accept_parse(text_str(&header), true, &accepted));
    assert_int_equal(accepted.media, MEDIA_YAML);
    text_done(&header);
    for (int i = 0; i < 64; i++)
        text_add(&header, "a/b,");
    text_add(&header, YAML);
    assert_false(accept_parse(text_str(&header), true, &accepted));
    text_done(&header);
}

static void without_offers_there_is_no_answer(void **state)
{
    static const struct accept_offer offers[] = {{"text/plain", NULL, NULL, NULL}};
    assert_int_equal(accept_choose(NULL, offers, 0), -1);
    assert_int_equal(accept_choose("*/*", offers, 0), -1);
    assert_int_equal(accept_choose("text/*", offers, 1), 0);
}

static void bodies_have_types(void **state)
{
    static const struct {
        const char *header;
        int wanted; /* -1: 415 */
    } cases[] = {
        {NULL, MEDIA_JSON},
        {"", MEDIA_JSON},
        {JSON, MEDIA_JSON},
        {JSON "; charset=utf-8", MEDIA_JSON},
        {" " JSON ";charset=utf-8", MEDIA_JSON},
        {"Application/Json", MEDIA_JSON},
        {YAML, MEDIA_YAML},
        {PROTOBUF, MEDIA_PROTOBUF},
        {"text/plain", -1},
        {"application/x-www-form-urlencoded", -1},
        {"application/json-patch+json", -1},
        {"*/*", -1},
        {";", -1},
        {"json", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        enum media media;
        arena_init(&arena);
        bool is_good = content_type_parse(cases[i].header, &arena, &media);
        if ((is_good ? (int)media : -1) != cases[i].wanted)
            fail_msg("%s gave %d", cases[i].header, is_good ? (int)media : -1);
        arena_done(&arena);
    }
}

static void patches_have_types(void **state)
{
    static const struct {
        const char *header;
        int wanted; /* -1: 415 */
    } cases[] = {
        {"application/json-patch+json", PATCH_JSON},
        {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
        {"application/apply-patch+yaml", PATCH_APPLY},
        {"application/apply-patch+yaml; charset=utf-8", PATCH_APPLY},
        {"Application/Merge-Patch+Json", PATCH_MERGE},
        {NULL, -1},
        {"", -1},
        {JSON, -1},
        {"application/apply-patch+json", -1},
        {"application/apply-patch+cbor", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        enum patch_type type;
        arena_init(&arena);
        bool is_good = patch_type_parse(cases[i].header, &arena, &type);
        if ((is_good ? (int)type : -1) != cases[i].wanted)
            fail_msg("%s gave %d", cases[i].header, is_good ? (int)type : -1);
        arena_done(&arena);
    }
}

static void answers_say_what_they_are(void **state)
{
    assert_string_equal(media_type(MEDIA_JSON, false), JSON);
    assert_string_equal(media_type(MEDIA_JSON, true), JSON);
    assert_string_equal(media_type(MEDIA_YAML, false), YAML);
    assert_string_equal(media_type(MEDIA_PROTOBUF, false), PROTOBUF);
    assert_string_equal(media_type(MEDIA_PROTOBUF, true), PROTOBUF ";stream=watch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_get_what_they_want_most),
        cmocka_unit_test(a_long_header_ends_somewhere),
        cmocka_unit_test(without_offers_there_is_no_answer),
        cmocka_unit_test(bodies_have_types),
        cmocka_unit_test(patches_have_types),
        cmocka_unit_test(answers_say_what_they_are),
    };
    return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
