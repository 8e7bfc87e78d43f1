/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/sysctl.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int sysctl_open(const char *root, const char *path, int flags)
{
    char whole[PATH_MAX];
    if ((size_t)snprintf(whole, sizeof(whole), "%s%s", root, path) >= sizeof(whole)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(whole, flags | O_CLOEXEC);
}

static bool parse(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || isspace((unsigned char)*text))
        return false;
    end += strspn(end, " \t\n");
    *ret = value;
    return *end == '\0';
}

int sysctl_read(const char *root, const char *path, int64_t *ret, struct err *err)
{
    char text[64];
    cleanup_close int fd = sysctl_open(root, path, O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (len < 0)
        return err_set(err, errno, "%s cannot be read: %s", path, strerror(errno));
    text[len] = '\0';
    if (!parse(text, ret))
        return err_set(err, EINVAL, "%s holds something else than a number", path);
    return 0;
}

/* One write: the kernel takes each for a value of its own. */
static int sysctl_write(const char *root, const char *path, int64_t value, struct err *err)
{
    char text[32];
    size_t len = (size_t)snprintf(text, sizeof(text), "%" PRId64 "\n", value);
    cleanup_close int fd = sysctl_open(root, path, O_WRONLY);
    if (fd < 0 || write(fd, text, len) < 0)
        return err_set(err, errno, "%s cannot be set to %" PRId64 ": %s", path, value, strerror(errno));
    return 0;
}

int sysctl_ensure(const char *root, const char *path, int64_t value, enum sysctl_need need,
                  struct sysctl_change *ret, struct err *err)
{
    int64_t current;
    *ret = (struct sysctl_change){0};
    int code = sysctl_read(root, path, &current, err);
    if (code < 0)
        return code;
    if (need == SYSCTL_AT_LEAST ? current >= value : current == value)
        return 0;
    code = sysctl_write(root, path, value, err);
    if (code == 0)
        *ret = (struct sysctl_change){true, current};
    return code;
}
