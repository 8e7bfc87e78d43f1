/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/gather.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "sys/attributes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A socket that is none: what waits, and what answers mean, needs no kernel. */
static int setup(void **state)
{
    static struct gather gather;
    gather = (struct gather){.fd = -1};
    *state = &gather;
    return 0;
}

static int teardown(void **state)
{
    gather_close(*state);
    return 0;
}

static void add(struct gather *gather, uint16_t type, const char *text)
{
    struct nlmsghdr *message = gather_message(gather, type, NLM_F_CREATE);
    mnl_attr_put_strz(message, 1, text);
}

static void test_messages_wait_in_order(void **state)
{
    struct gather *gather = *state;
    const struct nlattr *a[2];
    assert_null(gather_next(gather, NULL));
    for (uint16_t i = 0; i < 100; i++)
        add(gather, (uint16_t)(16 + i), i % 2 ? "odd" : "even number");
    const struct nlmsghdr *message = NULL;
    for (uint16_t i = 0; i < 100; i++) {
        message = gather_next(gather, message);
        assert_non_null(message);
        assert_int_equal(message->nlmsg_type, 16 + i);
        assert_int_equal(message->nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE);
        assert_int_equal(message->nlmsg_seq, i + 1);
        attributes_of(message, 0, a, ARRAY_LEN(a));
        assert_string_equal(attribute_text(a[1]), i % 2 ? "odd" : "even number");
    }
    assert_null(gather_next(gather, message));
}

/* --- what the kernel answers --- */

static size_t put_answer(char *at, uint32_t sequence, int code)
{
    struct nlmsghdr *answer = mnl_nlmsg_put_header(at);
    answer->nlmsg_type = NLMSG_ERROR;
    answer->nlmsg_seq = sequence;
    struct nlmsgerr *error = mnl_nlmsg_put_extra_header(answer, sizeof(*error));
    error->error = code;
    return answer->nlmsg_len;
}

/* EEXIST is as it should be, EBUSY another attempt's affair, all else a refusal. */
static enum gather_verdict judge(struct nlmsghdr *message, int code)
{
    return code == -EEXIST ? GATHER_FINE : code == -EBUSY ? GATHER_AGAIN : GATHER_REFUSED;
}

/* Answers to messages 1 to 3, by their codes. */
static int answer(struct gather *gather, const int codes[3], struct gather_failure *ret)
{
    char bytes[256];
    size_t len = 0;
    for (uint32_t i = 0; i < 3; i++)
        len += put_answer(bytes + len, i + 1, codes[i]);
    return gather_parse_answers(gather, bytes, len, judge, ret);
}

static void test_first_refusal_counts(void **state)
{
    static const struct {
        int codes[3], code;
        uint32_t blamed;
    } cases[] = {
        {{0, 0, 0}, 0, 0},
        {{-EEXIST, -EEXIST, -EEXIST}, 0, 0},
        {{-EEXIST, -ENOENT, -EPERM}, -ENOENT, 2},
        {{0, 0, -EPERM}, -EPERM, 3},
        {{-EPERM, -EBUSY, -ENOENT}, -EPERM, 1}, /* behind what comes again nothing counts yet */
        {{0, -EBUSY, -ENOENT}, 0, 0},
        {{-4352, 0, 0}, -4352, 1}, /* beyond the range of errno, as ip_set's are */
    };
    struct gather *gather = *state;
    for (int i = 0; i < 3; i++)
        add(gather, 16, "anything");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gather_failure failure;
        assert_int_equal(answer(gather, cases[i].codes, &failure), cases[i].code);
        assert_int_equal(failure.code, cases[i].code);
        assert_int_equal(failure.has_message, cases[i].blamed != 0);
        if (cases[i].blamed)
            assert_int_equal(failure.message.nlmsg_seq, cases[i].blamed);
    }
}

static void test_answers_to_others(void **state)
{
    struct gather *gather = *state;
    struct gather_failure failure;
    char bytes[256];
    add(gather, 16, "anything");
    size_t len = put_answer(bytes, 7, -EPERM);
    assert_int_equal(gather_parse_answers(gather, bytes, len, judge, &failure), 0);
    len += put_answer(bytes + len, 1, -ENOENT);
    assert_int_equal(gather_parse_answers(gather, bytes, len, judge, &failure), -ENOENT);
    assert_int_equal(gather_parse_answers(gather, bytes, len - 1, judge, &failure), 0); /* half of one */
}

/* What cannot be sent is the socket's failure, and is gone. */
static void test_no_socket(void **state)
{
    struct gather *gather = *state;
    struct gather_failure failure;
    add(gather, 16, "anything");
    assert_int_equal(gather_flush(gather, judge, &failure), -EBADF);
    assert_false(failure.has_message);
    assert_null(gather_next(gather, NULL));
    assert_int_equal(gather_flush(gather, judge, &failure), 0);
}

static void test_cut_answer(void **state)
{
    char bytes[64];
    size_t whole = put_answer(bytes, 1, 0);
    for (size_t len = 0; len <= whole; len++) {
        struct answer cut = {.bytes = xmalloc(len ? len : 1), .len = len};
        memcpy(cut.bytes, bytes, len);
        const struct nlmsghdr *message = answer_next(&cut, NULL);
        assert_int_equal(message != NULL, len == whole);
        if (message)
            assert_null(answer_next(&cut, message));
        free(cut.bytes);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_messages_wait_in_order),
        CASE(test_first_refusal_counts),
        CASE(test_answers_to_others),
        CASE(test_no_socket),
        CASE(test_cut_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
