/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "plan.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *line, struct arena *arena, struct plan_step *ret_step)
{
    struct err err;

    return plan_step_parse(arena_strdup(arena, line), arena, ret_step, &err);
}

static struct in_addr address(const char *text)
{
    struct in_addr result;

    assert_int_equal(inet_pton(AF_INET, text, &result), 1);
    return result;
}

static void test_whole_line(void **state)
{
    cleanup_with(arena_done) struct arena arena = {0};
    struct plan_step step;

    assert_int_equal(parse("kind=grow op=rename from=/a/b to=/c/d at=172.20.0.1:80 allowed=10.0.0.1,10.0.0.2 "
                           "must=10.0.0.2 probes=7 spread=many\n",
                           &arena, &step),
                     0);
    assert_string_equal(step.kind, "grow");
    assert_int_equal(step.op, PLAN_RENAME);
    assert_string_equal(step.from, "/a/b");
    assert_string_equal(step.to, "/c/d");
    assert_int_equal(step.at.sin_port, htons(80));
    assert_int_equal(step.at.sin_addr.s_addr, address("172.20.0.1").s_addr);
    assert_int_equal(step.allowed_count, 2);
    assert_int_equal(step.must.s_addr, step.allowed[1].s_addr);
    assert_int_equal(step.probes, 7);
    assert_int_equal(step.spread, PLAN_MANY);
}

static void test_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "kind=x",
        "kind=x at=1.2.3.4",
        "kind=x at=1.2.3.4:0",
        "kind=x at=1.2.3.4:99999",
        "kind=x at=1.2.3.4:80 op=delete",
        "kind=x at=1.2.3.4:80 op=rename to=/a",
        "kind=x at=1.2.3.4:80 op=unlink",
        "kind=x at=1.2.3.4:80 op=put to=/a",
        "kind=x at=1.2.3.4:80 op=put from=/a",
        "kind=x at=1.2.3.4:80 allowed=1.2.3",
        "kind=x at=1.2.3.4:80 must=none",
        "kind=x at=1.2.3.4:80 colour=red",
        "kind=x at=1.2.3.4:80 stray",
    };
    cleanup_with(arena_done) struct arena arena = {0};
    struct plan_step step;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_equal(parse(lines[i], &arena, &step), -EINVAL);
}

static void test_judge(void **state)
{
    cleanup_with(arena_done) struct arena arena = {0};
    struct plan_step step;
    struct plan_seen seen = {0};
    struct err err;

    assert_int_equal(parse("kind=x at=1.2.3.4:80 allowed=10.0.0.1,10.0.0.2 must=10.0.0.2", &arena, &step), 0);
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.1"), &err), 0);
    assert_false(plan_is_satisfied(&step, &seen));
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.2"), &err), 0);
    assert_true(plan_is_satisfied(&step, &seen));
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.3"), &err), -EINVAL);

    step.spread = PLAN_ONE;
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.2"), &err), -EINVAL);

    seen = (struct plan_seen){0};
    step.spread = PLAN_MANY;
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.2"), &err), 0);
    assert_false(plan_is_satisfied(&step, &seen));
    assert_int_equal(plan_judge(&step, &seen, address("10.0.0.1"), &err), 0);
    assert_true(plan_is_satisfied(&step, &seen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_line),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_judge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
