/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Makes or replaces a file in one step: whoever reads it, also after a power cut, finds the old content or
 * all of the new. mode is the file's, whatever the umask. What is there and is no regular
 * file stays and is written into: a link, a device, a pipe (/dev/stdout). -errno and a sentence that names
 * the file. */
int write_file_whole(const char *path, mode_t mode, const char *bytes, size_t len, struct err *err);
