/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/scalar.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The expected readings are those of sigs.k8s.io/yaml 1.4. */
static void test_resolve(void **state)
{
    static const struct {
        const char *text;
        enum scalar_type type;
        long long value; /* boolean, integer, or whole real */
    } cases[] = {
        {"", SCALAR_NULL, 0},
        {"~", SCALAR_NULL, 0},
        {"null", SCALAR_NULL, 0},
        {"nUll", SCALAR_STRING, 0},
        {"yes", SCALAR_BOOLEAN, 1},
        {"No", SCALAR_BOOLEAN, 0},
        {"on", SCALAR_BOOLEAN, 1},
        {"OFF", SCALAR_BOOLEAN, 0},
        {"y", SCALAR_BOOLEAN, 1},
        {"N", SCALAR_BOOLEAN, 0},
        {"true", SCALAR_BOOLEAN, 1},
        {"tRue", SCALAR_STRING, 0},
        {"None", SCALAR_STRING, 0},
        {"TCP", SCALAR_STRING, 0},
        {"80", SCALAR_INTEGER, 80},
        {"-1", SCALAR_INTEGER, -1},
        {"+5", SCALAR_INTEGER, 5},
        {"0x1F", SCALAR_INTEGER, 31},
        {"017", SCALAR_INTEGER, 15},
        {"0o17", SCALAR_INTEGER, 15},
        {"0b101", SCALAR_INTEGER, 5},
        {"1_000", SCALAR_INTEGER, 1000},
        {"08", SCALAR_REAL, 8},
        {"80.0", SCALAR_REAL, 80},
        {"1e3", SCALAR_REAL, 1000},
        {".5", SCALAR_REAL, 0},
        {"1.", SCALAR_REAL, 1},
        {"10.0.0.1", SCALAR_STRING, 0},
        {"fd00::1", SCALAR_STRING, 0},
        {"12:30", SCALAR_STRING, 0},
        {"2001-01-01", SCALAR_STRING, 0},
        {"1.2.3", SCALAR_STRING, 0},
        {".", SCALAR_STRING, 0},
        {"-", SCALAR_STRING, 0},
        {".inf", SCALAR_REAL, 0},
        {"-.INF", SCALAR_REAL, 0},
        {".nan", SCALAR_REAL, 0},
        {"<<", SCALAR_MERGE, 0},
        {"0x", SCALAR_STRING, 0},
        {"1e", SCALAR_STRING, 0},
        {"0xg", SCALAR_STRING, 0},
        {"http", SCALAR_STRING, 0},
        {"9223372036854775807", SCALAR_INTEGER, 9223372036854775807LL},
        {"9223372036854775808", SCALAR_REAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scalar scalar = scalar_resolve(cases[i].text, strlen(cases[i].text));
        if (scalar.type != cases[i].type)
            fail_msg("\"%s\" has type %d, not %d", cases[i].text, scalar.type, cases[i].type);
        long long value = scalar.type == SCALAR_BOOLEAN ? scalar.boolean : scalar.integer;
        if (value != cases[i].value)
            fail_msg("\"%s\" is %lld, not %lld", cases[i].text, value, cases[i].value);
    }
}

static void test_time(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
        long long seconds;
        const char *formatted;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, 0, "1970-01-01T00:00:00Z"},
        {"2024-02-29T12:34:56Z", true, 1709210096, "2024-02-29T12:34:56Z"},
        {"2024-02-29T12:34:56.789+02:00", true, 1709202896, "2024-02-29T10:34:56Z"},
        {"0346-01-01T00:00:00+01:00", true, -51248509200, "0345-12-31T23:00:00Z"},
        {"0000-01-01T00:00:00+01:00", false, 0, NULL},
        {"9999-12-31T23:59:59-01:00", false, 0, NULL},
        {"2023-02-29T12:34:56Z", false, 0, NULL},
        {"2024-02-29 12:34:56Z", false, 0, NULL},
        {"2024-02-29T12:34:56", false, 0, NULL},
        {"2024-02-29T24:00:00Z", false, 0, NULL},
        {"2024-02-29T12:34:56.Z", false, 0, NULL},
        {"2024-02-29T12:34:56Zx", false, 0, NULL},
        {"", false, 0, NULL},
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t seconds = 0;
        int32_t nanos = 0;
        assert_int_equal(time_parse(cases[i].text, &seconds, &nanos), cases[i].is_valid);
        assert_int_equal(seconds, cases[i].seconds);
        if (cases[i].is_valid)
            assert_string_equal(time_format(seconds, &arena), cases[i].formatted);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
