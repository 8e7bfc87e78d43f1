/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/quantity_form.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What k8s.io/apimachinery prints again after reading; NULL for what it refuses. */
static const struct {
    const char *text, *form;
} cases[] = {
    {"0", "0"},
    {"0Ki", "0"},
    {"000", "0"},
    {"-0", "0"},
    {"1", "1"},
    {"0.5", "500m"},
    {"-0.5", "-500m"},
    {".5", "500m"},
    {"0.1", "100m"},
    {"1.5", "1500m"},
    {"1500m", "1500m"},
    {"1000m", "1"},
    {"100m", "100m"},
    {"1000", "1k"},
    {"1024", "1024"},
    {"1000k", "1M"},
    {"1200k", "1200k"},
    {"1500000", "1500k"},
    {"0.001", "1m"},
    {"0.0001", "100u"},
    {"0.0000000001", "1n"},
    {"1e3", "1e3"},
    {"1E3", "1E3"},
    {"10e3", "10e3"},
    {"1e4", "10e3"},
    {"1000e3", "1e6"},
    {"1.5e3", "1500"},
    {"1e-3", "1e-3"},
    {"1024Ki", "1Mi"},
    {"1025Ki", "1025Ki"},
    {"8Ki", "8Ki"},
    {"1.5Gi", "1536Mi"},
    {"2048Mi", "2Gi"},
    {"0.5Ki", "512"},
    {"0.5Mi", "512Ki"},
    {"1.0005Ki", "1024512m"},
    {"16Gi", "16Gi"},
    {"2.665Ei", "3072535809777247191040m"},
    {"-1024Ki", "-1Mi"},
    {"8Ei", "9223372036854775807"},
    {"4k", "4k"},
    {"+5", "+5"},
    {"123456789012345678901234567890", "123456789012345678901234567890"},
    {"1e99999999999999999999", "1e99999999999999999999"},
    {"", NULL},
    {"-", NULL},
    {".", NULL},
    {"x", NULL},
    {"1 ", NULL},
    {" 1", NULL},
    {"1kk", NULL},
    {"1ki", NULL},
    {"1mi", NULL},
    {"1e", NULL},
    {"1e1.5", NULL},
    {"1.2.3", NULL},
    {"1-", NULL},
};

static void test_forms(void **state)
{
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *form = NULL, *again = NULL;
        bool is_quantity = quantity_form(cases[i].text, &arena, &form);
        if (is_quantity != (cases[i].form != NULL) || (form && strcmp(form, cases[i].form) != 0))
            fail_msg("%s gave %s, not %s", cases[i].text, form ? form : "nothing",
                     cases[i].form ? cases[i].form : "nothing");
        if (!form)
            continue;
        assert_true(quantity_form(form, &arena, &again));
        assert_string_equal(form, again);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
