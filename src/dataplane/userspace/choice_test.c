/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct address at(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return address;
}

/* The endpoints 10.0.0.N for each digit of names. */
static void set(struct choice *choice, const char *names, uint32_t affinity_seconds)
{
    struct backend list[9];
    struct backend_set set = {.count = (uint32_t)strlen(names), .list = list};
    for (uint32_t i = 0; i < set.count; i++) {
        char text[16];
        snprintf(text, sizeof(text), "10.0.0.%c", names[i]);
        list[i] = (struct backend){.address = at(text), .port = 80};
    }
    choice_set(choice, &set, affinity_seconds);
}

/* The digit of the endpoint that client gets; '-' for nobody. */
static char take(struct choice *choice, const char *client, uint64_t now_ms)
{
    struct address address = at(client);
    struct backend backend;
    char text[ADDRESS_TEXT_MAX];
    if (!choice_take(choice, &address, now_ms, &backend))
        return '-';
    address_format(&backend.address, text);
    return text[strlen(text) - 1];
}

static void expect_run(struct choice *choice, const char *expected)
{
    for (; *expected; expected++)
        assert_int_equal(take(choice, "192.0.2.1", 0), *expected);
}

static void test_turns(void **state)
{
    (void)state;
    struct choice choice = {0};
    expect_run(&choice, "-");
    set(&choice, "123", 0);
    expect_run(&choice, "1231");
    set(&choice, "31", 0); /* behind 1, where that is now */
    expect_run(&choice, "3131");
    set(&choice, "4", 0);
    expect_run(&choice, "44");
    set(&choice, "", 0);
    expect_run(&choice, "-");
    choice_done(&choice);
}

static void test_rounds(void **state)
{
    (void)state;
    struct choice choice = {0};
    char first[8] = "", round[8] = "";
    bool has_other_order = false;
    choice_roll(&choice, 20261122);
    set(&choice, "12345", 0);
    for (int i = 0; i < 20; i++) {
        bool is_there[6] = {false};
        for (int j = 0; j < 5; j++) {
            round[j] = take(&choice, "192.0.2.1", 0);
            assert_false(is_there[round[j] - '0']); /* once in a round */
            is_there[round[j] - '0'] = true;
        }
        if (i == 0)
            memcpy(first, round, sizeof(first));
        has_other_order |= strcmp(first, round) != 0;
    }
    assert_true(has_other_order);
    choice_done(&choice);
}

static void test_affinity(void **state)
{
    (void)state;
    struct choice choice = {0};
    set(&choice, "123", 10);
    assert_int_equal(take(&choice, "192.0.2.1", 0), '1');
    assert_int_equal(take(&choice, "fd00::1", 0), '2');
    assert_int_equal(take(&choice, "192.0.2.1", 9999), '1'); /* its time begins anew */
    assert_int_equal(take(&choice, "192.0.2.1", 19998), '1');
    assert_int_equal(take(&choice, "192.0.2.1", 29998), '3'); /* over at this very moment */
    assert_int_equal(HASH_COUNT(choice.clients), 1);          /* fd00::1 was forgotten, too */
    choice_done(&choice);
}

/* A shorter time is in force at once, for those who came before it, too. */
static void test_affinity_of_another_time(void **state)
{
    (void)state;
    struct choice choice = {0};
    set(&choice, "123", 600);
    assert_int_equal(take(&choice, "192.0.2.1", 0), '1');
    set(&choice, "123", 1);
    assert_int_equal(take(&choice, "192.0.2.1", 999), '1');
    assert_int_equal(take(&choice, "192.0.2.1", 1999), '2');
    choice_done(&choice);
}

/* Two ports of a service have the same endpoints in the same order. */
static void test_first_rounds_differ(void **state)
{
    (void)state;
    bool differ = false;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct choice choice = {0};
        choice_roll(&choice, seed * 7919);
        set(&choice, "12345", 0);
        differ |= take(&choice, "192.0.2.1", 0) != '1';
        choice_done(&choice);
    }
    assert_true(differ);
}

/* A change of something else does not begin a new round. */
static void test_same_endpoints_go_on(void **state)
{
    (void)state;
    struct choice choice = {0};
    bool is_there[6] = {false};
    choice_roll(&choice, 20261122);
    for (int i = 0; i < 5; i++) {
        set(&choice, i % 2 ? "12345" : "54321", 0);
        char taken = take(&choice, "192.0.2.1", 0);
        assert_false(is_there[taken - '0']);
        is_there[taken - '0'] = true;
    }
    choice_done(&choice);
}

static void test_affinity_ends(void **state)
{
    (void)state;
    struct choice choice = {0};
    struct address client = at("192.0.2.1");
    set(&choice, "12", 10);
    assert_int_equal(take(&choice, "192.0.2.1", 0), '1');
    set(&choice, "312", 10);
    assert_int_equal(take(&choice, "192.0.2.1", 0), '1'); /* stays although others came */
    choice_reset(&choice, &client);                       /* it did not answer */
    assert_int_equal(take(&choice, "192.0.2.1", 0), '2');
    set(&choice, "31", 10); /* 2 is gone */
    assert_int_not_equal(take(&choice, "192.0.2.1", 0), '2');
    set(&choice, "31", 0);
    assert_null(choice.clients);
    choice_done(&choice);
}

static void test_retry(void **state)
{
    (void)state;
    struct choice choice = {0};
    struct address client = at("192.0.2.1");
    struct backend first, tried;
    choice_roll(&choice, 7);
    set(&choice, "1234", 10);
    for (int start = 0; start < 9; start++) {
        bool is_tried[5] = {false};
        choice_reset(&choice, &client);
        assert_true(choice_take(&choice, &client, 0, &tried));
        for (int i = 0; i < 4; i++) {
            char text[ADDRESS_TEXT_MAX];
            address_format(&tried.address, text);
            assert_false(is_tried[text[7] - '0']);
            is_tried[text[7] - '0'] = true;
            first = tried;
            assert_true(choice_retry(&choice, &client, &first, 0, &tried));
        }
    }
    assert_int_equal(take(&choice, "192.0.2.1", 0), tried.address.bytes[15] + '0'); /* it is kept */
    choice_done(&choice);
}

static void test_many_clients(void **state)
{
    (void)state;
    struct choice choice = {0};
    struct backend backend;
    struct address client = at("10.0.0.0");
    set(&choice, "12", 10);
    for (uint32_t i = 0; i < CHOICE_CLIENTS_MAX + 10; i++) {
        memcpy(client.bytes + 12, &i, sizeof(i));
        assert_true(choice_take(&choice, &client, 0, &backend));
    }
    assert_int_equal(HASH_COUNT(choice.clients), CHOICE_CLIENTS_MAX);
    choice_done(&choice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_affinity_ends),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_affinity_of_another_time),
        cmocka_unit_test(test_first_rounds_differ),
        cmocka_unit_test(test_same_endpoints_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
