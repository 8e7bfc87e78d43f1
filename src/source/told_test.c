/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 500

/* Any order of adding and removing gives what a plain array says. */
static void test_against_an_array(void **state)
{
    struct told told = {0};
    uint64_t has[NAMES] = {0};
    size_t count = 0;
    srand(1);
    for (unsigned i = 1; i < 20000; i++) {
        unsigned number = (unsigned)rand() % NAMES;
        char name[16];
        snprintf(name, sizeof(name), "n%u", number / 2);
        const char *namespace_ = number % 2 ? "a" : "b";
        struct told_entry *entry = told_get(&told, namespace_, name);
        assert_int_equal(entry ? entry->version : 0, has[number]);
        if (rand() % 2) {
            count += !entry;
            entry = told_add(&told, namespace_, name);
            assert_string_equal(told_name(entry), name);
            assert_string_equal(entry->names, namespace_);
            entry->version = has[number] = i;
        } else if (entry) {
            told_remove(&told, entry);
            has[number] = 0;
            count--;
        }
        assert_int_equal(told.count, count);
    }
    told_forget_versions(&told);
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i / 2);
        const struct told_entry *entry = told_get(&told, i % 2 ? "a" : "b", name);
        assert_int_equal(entry != NULL, has[i] != 0);
        assert_int_equal(entry ? entry->version : 0, 0);
    }
    told_done(&told);
}

static void test_unseen(void **state)
{
    struct told told = {0};
    size_t count;
    assert_null(told_get(&told, "", "a"));
    told_add(&told, "", "a")->round = 1;
    told_add(&told, "", "b")->round = 2;
    told_add(&told, "b", "")->round = 2;
    struct told_entry **unseen = told_unseen(&told, 2, &count);
    assert_int_equal(count, 1);
    assert_string_equal(told_name(unseen[0]), "a");
    free(unseen);
    told_done(&told);
}

static void test_names_have_a_bound(void **state)
{
    struct told told = {0};
    char name[600];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_null(told_add(&told, "", name));
    assert_null(told_add(&told, name, ""));
    told_done(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_names_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
