/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apiserver_decode.h"

#include "source/test_frames.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void decode(bool is_protobuf, const struct text *frame, struct arena *arena, struct decoded_event *ret)
{
    size_t prefix = is_protobuf ? 4 : 0;
    decode_event(API_CONFIG_MAP, is_protobuf, (const uint8_t *)frame->data + prefix, frame->len - prefix,
                 arena, ret);
}

/* The same in both forms. */
static void test_refusals(void **state)
{
    for (unsigned is_protobuf = 0; is_protobuf < 2; is_protobuf++) {
        struct arena arena;
        struct text body = {0};
        struct refusal refusal;
        struct decoded_event event;
        arena_init(&arena);
        test_status(504, "Timeout", "ResourceVersionTooLarge", 9, is_protobuf, &body);
        decode_refusal(is_protobuf, (const uint8_t *)body.data, body.len, &arena, &refusal);
        assert_int_equal(refusal.code, 504);
        assert_string_equal(refusal.reason, "Timeout");
        assert_string_equal(refusal.message, "no");
        assert_int_equal(refusal.retry_after_s, 9);
        assert_true(refusal.is_too_large && !refusal.is_expired);
        body.len = 0;
        test_error_frame(410, "Gone", 0, is_protobuf, &body);
        decode(is_protobuf, &body, &arena, &event);
        assert_int_equal(event.type, EVENT_ERROR);
        assert_int_equal(event.refusal.code, 410);
        assert_true(event.refusal.is_expired && !event.refusal.is_too_large);
        /* What a proxy in between says. */
        decode_refusal(is_protobuf, (const uint8_t *)"<html>", 6, &arena, &refusal);
        assert_int_equal(refusal.code, 0);
        assert_string_equal(refusal.message, "");
        text_done(&body);
        arena_done(&arena);
    }
}

static void test_events(void **state)
{
    for (unsigned is_protobuf = 0; is_protobuf < 2; is_protobuf++) {
        struct arena arena;
        struct text frame = {0};
        struct decoded_event event;
        arena_init(&arena);
        test_event("DELETED", "web", 77, "x", is_protobuf, &frame);
        decode(is_protobuf, &frame, &arena, &event);
        assert_int_equal(event.type, EVENT_DELETED);
        assert_null(event.fault);
        assert_string_equal(event.object.namespace_, "default");
        assert_string_equal(event.object.name, "web");
        assert_int_equal(event.object.version, 77);
        assert_false(event.object.is_initial_end);
        frame.len = 0;
        test_bookmark(78, true, is_protobuf, &frame);
        decode(is_protobuf, &frame, &arena, &event);
        assert_int_equal(event.type, EVENT_BOOKMARK);
        assert_true(event.object.is_initial_end && event.object.version == 78);
        /* Half a frame is none. */
        frame.len -= 9;
        decode(is_protobuf, &frame, &arena, &event);
        assert_non_null(event.fault);
        text_done(&frame);
        arena_done(&arena);
    }
}

/* An object of another kind, and one whose type is wrong somewhere: its name is known all the same. */
static void test_unusable_objects(void **state)
{
    static const char foreign[] = "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Secret\",\"metadata\":{}}}";
    static const char wrong[] =
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\","
        "\"namespace\":\"b\",\"resourceVersion\":\"5\"},\"data\":7}}";
    struct arena arena;
    struct decoded_event event;
    arena_init(&arena);
    decode_event(API_CONFIG_MAP, false, (const uint8_t *)foreign, strlen(foreign), &arena, &event);
    assert_non_null(strstr(event.fault, "\"Secret\""));
    decode_event(API_CONFIG_MAP, false, (const uint8_t *)wrong, strlen(wrong), &arena, &event);
    assert_null(event.fault);
    assert_null(event.object.message);
    assert_non_null(strstr(event.object.fault, "ConfigMap \"b/a\" cannot be read: data"));
    assert_int_equal(event.object.version, 5);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_unusable_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
