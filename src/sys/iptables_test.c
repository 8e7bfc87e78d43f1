/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/iptables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A link as the packages make it, to a program of that name. */
static struct iptables_backend backend_of(const char *program)
{
    char folder[] = "/tmp/iptables-test-XXXXXX", target[64], link_path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(target, sizeof(target), "%s/%s", folder, program);
    snprintf(link_path, sizeof(link_path), "%s/iptables-restore", folder);
    FILE *file = fopen(target, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(symlink(program, link_path), 0);
    struct iptables_backend backend = iptables_backend_of(link_path);
    unlink(link_path);
    unlink(target);
    rmdir(folder);
    return backend;
}

static void backends(void **state)
{
    static const struct {
        const char *program;
        bool is_nft, is_legacy;
    } cases[] = {
        {"xtables-nft-multi", true, false},
        {"xtables-legacy-multi", false, true},
        {"xtables-multi", false, true},
        {"wrapper.sh", true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct iptables_backend backend = backend_of(cases[i].program);
        assert_int_equal(backend.may_be_nft, cases[i].is_nft);
        assert_int_equal(backend.may_be_legacy, cases[i].is_legacy);
    }
}

/* Of a script nobody can say what it does. */
static void script_is_not_judged(void **state)
{
    struct err err;
    assert_int_equal(iptables_check("/nonexistent/iptables-restore", &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends),
        cmocka_unit_test(script_is_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
