/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/sysctl.h"

#include "base/cleanup.h"
#include "sys/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBER "/number"

static int make_root(void **state)
{
    static char root[64];
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof(root), "%s/fairlead-sysctl-XXXXXX", tmp ? tmp : "/tmp");
    *state = mkdtemp(root);
    return *state ? 0 : -1;
}

static int remove_root(void **state)
{
    char path[80];
    snprintf(path, sizeof(path), "%s%s", (char *)*state, NUMBER);
    unlink(path);
    return rmdir(*state);
}

static void put(const char *root, const char *content)
{
    char path[80];
    struct err err;
    snprintf(path, sizeof(path), "%s%s", root, NUMBER);
    assert_int_equal(write_file_whole(path, 0644, content, strlen(content), &err), 0);
}

static int64_t number_in(const char *root)
{
    int64_t value = -1;
    struct err err;
    assert_int_equal(sysctl_read(root, NUMBER, &value, &err), 0);
    return value;
}

static void reads_one_number(void **state)
{
    static const char *const bad[] = {"", "\n", "4\t5\n", "x1\n", "1x\n", " 1\n", "99999999999999999999\n"};
    int64_t value;
    struct err err;
    put(*state, "262144\n");
    assert_int_equal(number_in(*state), 262144);
    put(*state, "-7");
    assert_int_equal(number_in(*state), -7);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put(*state, bad[i]);
        assert_int_equal(sysctl_read(*state, NUMBER, &value, &err), -EINVAL);
        assert_string_equal(err.text, NUMBER " holds something else than a number");
    }
}

/* Whether it is written shows in the file's time, set back before. */
static bool is_written(const char *root, int64_t value, enum sysctl_need need, struct sysctl_change *ret)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[80];
    struct stat after;
    struct err err;
    snprintf(path, sizeof(path), "%s%s", root, NUMBER);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(sysctl_ensure(root, NUMBER, value, need, ret, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    return after.st_mtim.tv_sec != 1000;
}

static void writes_what_differs(void **state)
{
    struct sysctl_change change;
    put(*state, "100\n");
    assert_false(is_written(*state, 100, SYSCTL_EXACTLY, &change));
    assert_false(change.is_changed);
    assert_false(is_written(*state, 99, SYSCTL_AT_LEAST, &change));
    assert_false(change.is_changed);
    assert_true(is_written(*state, 199, SYSCTL_EXACTLY, &change));
    assert_true(change.is_changed);
    assert_int_equal(change.before, 100);
    assert_int_equal(number_in(*state), 199);
    assert_true(is_written(*state, 200, SYSCTL_AT_LEAST, &change));
    assert_int_equal(change.before, 199);
    assert_int_equal(number_in(*state), 200);
}

static void names_what_cannot_be(void **state)
{
    struct sysctl_change change = {true, 5};
    struct err err;
    assert_int_equal(sysctl_ensure(*state, "/none", 1, SYSCTL_EXACTLY, &change, &err), -ENOENT);
    assert_string_equal(err.text, "/none cannot be read: No such file or directory");
    assert_false(change.is_changed);
    /* The kernel's own sysctl that nobody may write; the value that it has is no failure. */
    const char *fixed = "/proc/sys/kernel/cap_last_cap";
    int64_t value;
    assert_int_equal(sysctl_read("", fixed, &value, &err), 0);
    assert_int_equal(sysctl_ensure("", fixed, value, SYSCTL_EXACTLY, &change, &err), 0);
    assert_true(sysctl_ensure("", fixed, value + 1, SYSCTL_EXACTLY, &change, &err) < 0);
    assert_non_null(strstr(err.text, "/proc/sys/kernel/cap_last_cap cannot be set to "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_one_number, make_root, remove_root),
        cmocka_unit_test_setup_teardown(writes_what_differs, make_root, remove_root),
        cmocka_unit_test_setup_teardown(names_what_cannot_be, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
