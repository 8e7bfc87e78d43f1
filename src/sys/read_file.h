/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stddef.h>

/* The whole of a regular file of at most most bytes; *ret is the caller's to free(). -errno and a sentence
 * that names the file. */
int read_file_whole(const char *path, size_t most, char **ret, size_t *ret_len, struct err *err);
