/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <uv.h>

/* Watches one folder through inotify(7): a file counts as changed when its writer closes it, when it is moved
 * in or out, or deleted; never in the middle of a write. (libuv's own file watching reports every write.) */
struct folder_watch;

/* name is the file's name within the folder; NULL when events were lost and everything has to be looked at.
 */
typedef void folder_changed_fn(void *context, const char *name);

int folder_watch_open(struct folder_watch **ret, uv_loop_t *loop, const char *path,
                      folder_changed_fn *changed, void *context, struct err *err);
/* The memory goes when the loop next turns. NULL is allowed. */
void folder_watch_close(struct folder_watch *watch);
