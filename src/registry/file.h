/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The registry's SQLite file: a row for each object, found by its number alone, and the revision of the last
 * removal, which no row would tell. This process has it for itself. Codes and sentences are those of
 * registry.h. */
struct registry_file;

struct registry_row {
    int64_t row; /* from 1 */
    const char *kind, *namespace_, *name;
    uint64_t revision;
    const void *data;
    size_t len;
};

/* Makes it when it is missing. A file that is refused is left as it was. */
int registry_file_open(struct registry_file **ret, const char *path, struct err *err);
void registry_file_close(struct registry_file *file);

/* Every row, borrowed for the call; visit's failure ends it. *ret_removal is the revision of the last
 * removal, or 0. */
typedef int registry_row_fn(void *context, const struct registry_row *row, struct err *err);
int registry_file_read(struct registry_file *file, registry_row_fn *visit, void *context,
                       uint64_t *ret_removal, struct err *err);

/* What was read is right: from now on closing writes the log back. Before, it leaves everything as it is. */
void registry_file_accept(struct registry_file *file);

/* One transaction: begin, any of put and remove and removal, commit; durable when commit returns 0. After any
 * failure (-EIO, -ENOSPC) it is undone, and nothing but the next begin may follow. */
int registry_file_begin(struct registry_file *file, struct err *err);
int registry_file_put(struct registry_file *file, const struct registry_row *row, struct err *err);
int registry_file_remove(struct registry_file *file, int64_t row, struct err *err);
int registry_file_set_removal(struct registry_file *file, uint64_t revision, struct err *err);
int registry_file_commit(struct registry_file *file, struct err *err);

/* Bytes on the disk, the write-ahead log with them. */
size_t registry_file_bytes(const struct registry_file *file);
