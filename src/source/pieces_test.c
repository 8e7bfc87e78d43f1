/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/pieces.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "source/test_frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* What was cut out: a letter for the kind, then the bytes, then a bar. */
struct seen {
    struct text log;
    unsigned count, enough; /* enough: the piece at which no more is wanted; 0: never */
};

static bool take(void *context, enum piece_kind kind, const uint8_t *bytes, size_t len)
{
    struct seen *seen = context;
    text_printf(&seen->log, "%c", "EIM"[kind]);
    text_add_bytes(&seen->log, (const char *)bytes, len);
    text_add(&seen->log, "|");
    return ++seen->count != seen->enough;
}

/* Feeds it in runs of that length, each in memory of its own. Returns what feeding or ending came to. */
static int cut(enum pieces_form form, size_t max, const char *bytes, size_t len, size_t run, struct seen *ret)
{
    struct pieces pieces = {0};
    int code = 0;
    ret->log.len = ret->count = 0;
    pieces_begin(&pieces, form, max, take, ret);
    for (size_t at = 0; code == 0 && at < len; at += run) {
        size_t piece = run < len - at ? run : len - at;
        cleanup_free char *copy = xmalloc(piece);
        memcpy(copy, bytes + at, piece);
        code = pieces_feed(&pieces, copy, piece, NULL);
    }
    if (code == 0)
        code = pieces_end(&pieces, NULL);
    pieces_done(&pieces);
    return code;
}

/* However it is cut: the same pieces. */
static void check(enum pieces_form form, const char *bytes, size_t len, int code, const char *log,
                  size_t log_len)
{
    struct seen seen = {0};
    for (size_t run = 1; run <= len + 1; run = run < 40 ? run + 1 : 2 * run) {
        assert_int_equal(cut(form, 1000, bytes, len, run, &seen), code);
        assert_int_equal(seen.log.len, log_len);
        assert_memory_equal(text_str(&seen.log), log, log_len);
    }
    text_done(&seen.log);
}

#define CHECK(form, bytes, code, log) check(form, bytes, sizeof(bytes) - 1, code, log, sizeof(log) - 1)

static void test_frames(void **state)
{
    CHECK(PIECES_WATCH_PROTOBUF, "\0\0\0\3abc\0\0\0\0\0\0\0\1x", 0, "Eabc|E|Ex|");
    CHECK(PIECES_WATCH_PROTOBUF, "\0\0\0\3abc\0\0\0\2x", -EPROTO, "Eabc|");
    CHECK(PIECES_WATCH_PROTOBUF, "\0\0\0\3abc\0\0", -EPROTO, "Eabc|");
    CHECK(PIECES_WATCH_PROTOBUF, "\0\0\3\xe9x", -EMSGSIZE, "");
    CHECK(PIECES_WATCH_PROTOBUF, "\xff\xff\xff\xff", -EMSGSIZE, "");
}

static void test_lines(void **state)
{
    CHECK(PIECES_WATCH_JSON, "{\"a\":1}\n\n \n{}\n", 0, "E{\"a\":1}|E{}|");
    CHECK(PIECES_WATCH_JSON, "{}\n{\"a\"", -EPROTO, "E{}|");
    char line[1002];
    memset(line, 'x', sizeof(line));
    struct seen seen = {0};
    assert_int_equal(cut(PIECES_WATCH_JSON, 1000, line, sizeof(line), 7, &seen), -EMSGSIZE);
    text_done(&seen.log);
}

/* A list that kube-apiserver could send: type, contentType, and a field that nobody knows. */
#define LIST_BEGIN "k8s\0\x0a\x06\x0a\x02v1\x12\x00"
static void test_protobuf_list(void **state)
{
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x12\x0c\x0a\x03met\x12\x03one\x12\x00\x1a\x00\x22\x00", 0,
          "Mmet|Ione|I|");
    CHECK(PIECES_LIST_PROTOBUF,
          LIST_BEGIN "\x12\x12\x18\x96\x01\x0a\x01m\x25"
                     "abcd\x32\x02zz\x12\x01x",
          0, "Mm|Ix|");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x12\x0c\x0a\x03met\x12\x03on", -EPROTO, "Mmet|");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x12\x05\x12\x09", -EPROTO, "");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN, -EPROTO, "");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x1a\x01z\x12\x00", -EPROTO, "");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x12\x7f\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", -EPROTO,
          "");
    CHECK(PIECES_LIST_PROTOBUF, LIST_BEGIN "\x12\xff\x7f\x12\xe9\x07", -EMSGSIZE, "");
    CHECK(PIECES_LIST_PROTOBUF, "k8t\0", -EPROTO, "");
    CHECK(PIECES_LIST_PROTOBUF, "k8s\0\x0b", -EPROTO, "");
}

static void test_json_list(void **state)
{
    CHECK(PIECES_LIST_JSON,
          "{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"1\",\"items\":[3]},\"items\": [ "
          "{\"a\":\"]}\\\"{\"} ,\n{\"items\":[{}]}],\"x\":[1]}\n",
          0,
          "I{\"a\":\"]}\\\"{\"}|I{\"items\":[{}]}|M{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"1\","
          "\"items\":[3]},\"items\": [],\"x\":[1]}\n|");
    CHECK(PIECES_LIST_JSON, "{\"items\":null}", 0, "M{\"items\":null}|");
    CHECK(PIECES_LIST_JSON, "{\"items\":[{\"a\":1},{\"b\"", -EPROTO, "I{\"a\":1}|");
    CHECK(PIECES_LIST_JSON, "{\"items\":[1]}", -EPROTO, "");
    CHECK(PIECES_LIST_JSON, "{\"items\":[\"x\"]}", -EPROTO, "");
    CHECK(PIECES_LIST_JSON, "}", -EPROTO, "");
    CHECK(PIECES_LIST_JSON, "", -EPROTO, "");
    char deep[400];
    memset(deep, '[', sizeof(deep));
    check(PIECES_LIST_JSON, deep, sizeof(deep), -EPROTO, "", 0);
    memset(deep, 'x', sizeof(deep));
    memcpy(deep, "{\"items\":[{", 11);
    struct seen seen = {0};
    assert_int_equal(cut(PIECES_LIST_JSON, 100, deep, sizeof(deep), 9, &seen), -EMSGSIZE);
    text_done(&seen.log);
}

/* The taker has enough: nothing more comes. */
static void test_enough(void **state)
{
    struct seen seen = {.enough = 1};
    assert_int_equal(cut(PIECES_WATCH_PROTOBUF, 100, "\0\0\0\1a\0\0\0\1b", 10, 10, &seen), -ECANCELED);
    assert_string_equal(seen.log.data, "Ea|");
    text_done(&seen.log);
}

/* What our own writers make comes apart as it was put together. */
static void test_round_trip(void **state)
{
    for (unsigned is_protobuf = 0; is_protobuf < 2; is_protobuf++) {
        struct text items = {0}, page = {0};
        struct seen seen = {0};
        for (unsigned i = 0; i < 300; i++) {
            if (i > 0 && !is_protobuf)
                text_add(&items, ",");
            test_message("name", 10 + i, "value", false, is_protobuf, true, &items);
        }
        test_page(400, "more", &items, is_protobuf, &page);
        for (size_t run = 1; run < 5000; run = 3 * run + 1) {
            assert_int_equal(cut(is_protobuf ? PIECES_LIST_PROTOBUF : PIECES_LIST_JSON, PIECE_MAX, page.data,
                                 page.len, run, &seen),
                             0);
            assert_int_equal(seen.count, 301);
        }
        text_done(&items);
        text_done(&page);
        text_done(&seen.log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),    cmocka_unit_test(test_lines),  cmocka_unit_test(test_protobuf_list),
        cmocka_unit_test(test_json_list), cmocka_unit_test(test_enough), cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
