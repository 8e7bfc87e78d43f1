/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_first_write_waits_for_nothing(void **state)
{
    const struct pace pace = {0};
    assert_int_equal(pace_delay_ms(&pace, 0, 1000), 0);
    assert_int_equal(pace_delay_ms(&pace, 7, 86400000), 0);
}

static void the_next_waits_for_what_is_left(void **state)
{
    static const struct {
        uint64_t wrote_ms, now_ms, min_ms, delay_ms;
    } cases[] = {
        {500, 500, 1000, 1000}, {500, 501, 1000, 999}, {500, 1499, 1000, 1}, {500, 1500, 1000, 0},
        {500, 9000, 1000, 0},   {500, 500, 0, 0},      {0, 10, 1000, 990},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct pace pace = {0};
        pace_note(&pace, cases[i].wrote_ms);
        assert_int_equal(pace_delay_ms(&pace, cases[i].now_ms, cases[i].min_ms), cases[i].delay_ms);
    }
}

/* A change each 10 ms for ten seconds: whoever waits as long as he is told writes once a second. */
static void many_changes_are_few_writes(void **state)
{
    struct pace pace = {0};
    unsigned writes = 0;
    for (uint64_t now_ms = 0; now_ms < 10000; now_ms += 10) {
        if (pace_delay_ms(&pace, now_ms, 1000) > 0)
            continue;
        pace_note(&pace, now_ms);
        writes++;
    }
    assert_int_equal(writes, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_write_waits_for_nothing),
        cmocka_unit_test(the_next_waits_for_what_is_left),
        cmocka_unit_test(many_changes_are_few_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
