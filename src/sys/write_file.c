/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/write_file.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

/* The new name lasts once its folder is on the disk. */
static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    cleanup_with(text_done) struct text folder = {0};
    text_add_bytes(&folder, slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    cleanup_close int fd = open(folder.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static bool write_into(const char *path, mode_t mode, const char *bytes, size_t len)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    return fd >= 0 && write_all(fd, bytes, len);
}

static int refuse(const char *path, int code, struct err *err)
{
    return err_set(err, code, "%s cannot be written: %s", path, strerror(code));
}

int write_file_whole(const char *path, mode_t mode, const char *bytes, size_t len, struct err *err)
{
    struct stat there;
    if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return write_into(path, mode, bytes, len) ? 0 : refuse(path, errno, err);
    cleanup_with(text_done) struct text draft = {0};
    text_printf(&draft, "%s.XXXXXX", path);
    cleanup_close int fd = mkostemp(draft.data, O_CLOEXEC);
    if (fd < 0)
        return refuse(path, errno, err);
    if (write_all(fd, bytes, len) && fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
        rename(draft.data, path) == 0 && sync_folder_of(path))
        return 0;
    int code = errno;
    unlink(draft.data);
    return refuse(path, code, err);
}
