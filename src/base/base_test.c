/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void arena_keeps_what_it_gave(void **state)
{
    struct arena arena;
    arena_init(&arena);
    char *texts[1000];
    for (int i = 0; i < 1000; i++)
        texts[i] = arena_printf(&arena, "text %d", i);
    char *large = arena_alloc(&arena, 100000);
    assert_int_equal(large[99999], 0);
    for (int i = 0; i < 1000; i++) {
        char want[32];
        snprintf(want, sizeof(want), "text %d", i);
        assert_string_equal(texts[i], want);
        assert_int_equal((uintptr_t)texts[i] % _Alignof(max_align_t), 0);
    }
    arena_reset(&arena);
    assert_true(arena.total <= 32768);
    char *again = arena_alloc(&arena, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(again[i], 0);
    arena_done(&arena);
    assert_int_equal(arena.total, 0);
}

static void err_is_one_sentence(void **state)
{
    struct err err;
    assert_int_equal(err_set(&err, EINVAL, "port %d is out of range", 70000), -EINVAL);
    assert_int_equal(err_prefix(&err, -EINVAL, "spec.ports[%d]", 2), -EINVAL);
    assert_string_equal(err.text, "spec.ports[2]: port 70000 is out of range");
    assert_int_equal(err_set(NULL, ENOENT, "nobody listens"), -ENOENT);
}

static void text_grows(void **state)
{
    struct text text = {0};
    assert_string_equal(text_str(&text), "");
    for (int i = 0; i < 500; i++)
        text_printf(&text, "%d,", i);
    text_add(&text, "end");
    assert_true(strstr(text_str(&text), "499,end") != NULL);
    assert_int_equal(strlen(text_str(&text)), text.len);
    text_done(&text);
    assert_true(text_cmp(NULL, "") < 0);
    assert_true(text_equal(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_keeps_what_it_gave),
        cmocka_unit_test(err_is_one_sentence),
        cmocka_unit_test(text_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
