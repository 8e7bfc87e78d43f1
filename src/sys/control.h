/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stddef.h>
#include <stdio.h>
#include <uv.h>

/* The control socket: how `fairlead status`, `dump` and the like ask the running daemon. A request is a list
 * of strings, each ended by NUL, ended as a whole by shutdown of the client's sending side. The reply is a
 * line, "ok" or "error: SENTENCE", then free text until the daemon closes. */

#define CONTROL_REQUEST_MAX (64 * 1024) /* bytes, NULs included */
#define CONTROL_ARGUMENTS_MAX 64
#define CONTROL_SESSIONS_MAX 32
#define CONTROL_REQUEST_TIMEOUT_MS 5000
#define CONTROL_STALL_TIMEOUT_MS 30000

/* Answers one request at once. argc is 1..CONTROL_ARGUMENTS_MAX; argv ends with NULL. Returns 0, or -errno
 * with the sentence; reply is the free text in both cases and is taken over. */
typedef int control_handler_fn(void *context, int argc, char *const *argv, struct text *reply,
                               struct err *err);

struct control_server;

/* Listens at path with mode 0600; makes its folder (0700) where that is missing; replaces the socket of a
 * daemon that died and refuses (-EADDRINUSE) where one still answers. Peers other than root and our own user
 * are turned away (SO_PEERCRED, unix(7)). Ignores SIGPIPE for the whole process: libuv's writes raise it.
 * -errno and a sentence. */
int control_listen(struct control_server **ret, uv_loop_t *loop, const char *path,
                   control_handler_fn *handler, void *context, struct err *err);
/* Removes the socket file and ends every session; the memory goes when the loop next turns. NULL is allowed.
 */
void control_close(struct control_server *server);
/* How long a request may take to arrive, and a reply may stay without a byte taken by its reader. */
void control_set_timeouts(struct control_server *server, unsigned request_ms, unsigned stall_ms);

/* Blocking client: sends the strings, writes the reply's free text to out. -EREMOTEIO with the daemon's own
 * sentence where it answers "error"; another -errno with ours where no daemon answers or the talk breaks. */
int control_call(const char *path, int argc, char *const *argv, FILE *out, struct err *err);
