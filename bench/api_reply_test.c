/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api_reply.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CHUNKED "HTTP/1.1 200 OK\r\nDate: now\r\ntransfer-encoding: chunked\r\n\r\n"

/* A reply in pieces of every length gives the same; what follows it is left alone. */
static void reads_replies(void **state)
{
    static const struct {
        const char *bytes, *body;
        unsigned status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200},
        {"HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", "", 404},
        {"HTTP/1.1 201 Created\r\n\r\n", "", 201},
        {CHUNKED "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", 200},
        {CHUNKED "1\r\n\n\r\n0\r\nLast: one\r\n\r\n", "\n", 200},
    };

    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        size_t len = strlen(rows[row].bytes);

        for (size_t piece = 1; piece <= len; piece++) {
            cleanup_with(text_done) struct text body = {0};
            struct reply reply = {0};
            struct err err;

            for (size_t at = 0; at < len; at += piece) {
                size_t given = len - at < piece ? len - at : piece;

                assert_int_equal(reply_take(&reply, rows[row].bytes + at, given, &body, &err), given);
            }
            assert_int_equal(reply.stage, REPLY_DONE);
            assert_int_equal(reply.status, rows[row].status);
            assert_string_equal(text_str(&body), rows[row].body);
            assert_int_equal(reply_take(&reply, "HTTP", 4, &body, &err), 0);
            text_done(&reply.line);
        }
    }
}

static void refuses_what_is_none(void **state)
{
    static const char *const rows[] = {
        "SSH-2.0-x\r\n",         "HTTP/1.0 200 OK\r\n", "HTTP/1.1 100 Continue\r\n",
        "HTTP/1.1 999 What\r\n", CHUNKED "xyz\r\n",     CHUNKED "3\r\nabc\r\n\r\n",
    };
    cleanup_with(text_done) struct text endless = {0}, body = {0};

    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct reply reply = {0};
        struct err err = {0};

        assert_int_equal(reply_take(&reply, rows[row], strlen(rows[row]), &body, &err), -EPROTO);
        assert_true(*err.text);
        text_done(&reply.line);
    }
    while (endless.len < 20000)
        text_add(&endless, "HTTP/1.1 200 ");
    struct reply reply = {0};
    struct err err;
    assert_int_equal(reply_take(&reply, endless.data, endless.len, &body, &err), -EPROTO);
    text_done(&reply.line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies),
        cmocka_unit_test(refuses_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
