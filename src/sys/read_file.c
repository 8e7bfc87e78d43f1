/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/read_file.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int read_file_whole(const char *path, size_t most, char **ret, size_t *ret_len, struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0)
        return err_set(err, errno, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, EISDIR, "%s is not a file", path);
    if ((size_t)info.st_size > most)
        return err_set(err, EFBIG, "%s is larger than %zu MiB", path, most >> 20);
    cleanup_free char *bytes = xmalloc((size_t)info.st_size + 1);
    size_t len = 0;
    while (len < (size_t)info.st_size) {
        ssize_t got = read(fd, bytes + len, (size_t)info.st_size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, errno, "%s cannot be read: %s", path, strerror(errno));
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_len = len;
    *ret = steal_pointer(&bytes);
    return 0;
}
