/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/numbers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int number_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* 200,000 names have a handful of equal hashes in 32 bits, and many in 18; the numbers are all different, and
 * stay. */
static void numbers_are_unique(void **state)
{
    enum { NAMES = 200000 };
    static const uint32_t maxima[] = {UINT32_MAX, (1 << 18) - 1};
    cleanup_free uint32_t *given = xcalloc(NAMES, sizeof(*given));
    for (size_t m = 0; m < ARRAY_LEN(maxima); m++) {
        struct numbers numbers = {0};
        size_t met = 0;
        for (unsigned i = 0; i < 2 * NAMES; i++) {
            char name[64];
            snprintf(name, sizeof(name), "ns/service-%u:http/TCP", i % NAMES);
            uint64_t hash = hash_bytes(0, name, strlen(name));
            uint32_t number = numbers_get(&numbers, name, hash ^ (hash >> 32), maxima[m]);
            assert_in_range(number, 1, maxima[m]);
            assert_true(i < NAMES || given[i % NAMES] == number);
            met += i < NAMES && number != ((uint32_t)(hash ^ (hash >> 32)) & maxima[m]);
            given[i % NAMES] = number;
        }
        assert_true(met > 0); /* else this test tests nothing */
        qsort(given, NAMES, sizeof(*given), number_order);
        for (unsigned i = 1; i < NAMES; i++)
            assert_true(given[i - 1] < given[i]);
        numbers_done(&numbers);
    }
}

static void the_search_goes_by_the_hash_and_around(void **state)
{
    static const struct {
        const char *name;
        uint64_t hash;
        uint32_t number;
    } cases[] = {
        {"a", 5, 5}, {"b", 5, 6},
        {"c", 6, 7}, {"d", 7, 1}, /* past the last, and 0 is nobody's */
        {"e", 0, 2}, {"f", 0xabc00000003, 3},
        {"a", 2, 5}, /* known, whatever its hash */
    };
    struct numbers numbers = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(numbers_get(&numbers, cases[i].name, cases[i].hash, 7), cases[i].number);
    numbers_done(&numbers);
    assert_int_equal(numbers_get(&numbers, "b", 5, 7), 5); /* all are forgotten */
    numbers_done(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_unique),
        cmocka_unit_test(the_search_goes_by_the_hash_and_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
