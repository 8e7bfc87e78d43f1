/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/write_file.h"

#include "base/cleanup.h"
#include "sys/read_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned files_in(const char *dir)
{
    unsigned count = 0;
    DIR *entries = opendir(dir);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

static void replaces_in_one_step(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char dir[64], path[80], want[160];
    struct stat before, after;
    struct err err;
    cleanup_free char *content = NULL;
    size_t len;
    snprintf(dir, sizeof(dir), "%s/fairlead-write-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
    umask(077);
    assert_int_equal(write_file_whole(path, 0644, "first, and longer", 17, &err), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0644);
    assert_int_equal(write_file_whole(path, 0600, "second", 6, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0600);
    /* Another file under the old name: who had it open reads on in the old. */
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_int_equal(read_file_whole(path, 100, &content, &len, &err), 0);
    assert_int_equal(len, 6);
    assert_memory_equal(content, "second", 6);
    assert_int_equal(files_in(dir), 1);

    /* A folder in the way: nothing is left behind. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(write_file_whole(path, 0644, "x", 1, &err), -EISDIR);
    snprintf(want, sizeof(want), "%s cannot be written: Is a directory", path);
    assert_string_equal(err.text, want);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(write_file_whole(path, 0644, "x", 1, &err), -ENOENT);
    snprintf(want, sizeof(want), "%s cannot be written: No such file or directory", path);
    assert_string_equal(err.text, want);
}

/* As `--write-config-to /dev/stdout` is meant: nothing of /dev is replaced. */
static void writes_into_what_is_no_file(void **state)
{
    char dir[] = "/tmp/fairlead-write-XXXXXX", fifo[64], link[64], target[64], got[8] = "";
    struct stat there;
    struct err err;
    assert_non_null(mkdtemp(dir));
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    snprintf(link, sizeof(link), "%s/link", dir);
    snprintf(target, sizeof(target), "%s/target", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    cleanup_close int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_int_equal(write_file_whole(fifo, 0644, "piped", 5, &err), 0);
    assert_int_equal(read(reader, got, sizeof(got)), 5);
    assert_string_equal(got, "piped");
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(write_file_whole(link, 0644, "long one", 8, &err), 0);
    assert_int_equal(write_file_whole(link, 0644, "linked", 6, &err), 0);
    assert_int_equal(lstat(link, &there), 0);
    assert_true(S_ISLNK(there.st_mode));
    assert_int_equal(lstat(target, &there), 0);
    assert_int_equal(there.st_size, 6);
    assert_int_equal(files_in(dir), 3);
    assert_int_equal(unlink(fifo) | unlink(link) | unlink(target) | rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replaces_in_one_step),
                                       cmocka_unit_test(writes_into_what_is_no_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
