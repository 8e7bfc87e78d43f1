/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Runs one program to its end on the loop, never waiting for it. */

struct program;

struct program_output {
    const char *text; /* what it wrote to its standard output, NUL-terminated */
    size_t len;
};

/* Once, from the loop. code 0: it ended with exit status 0 within its time; else -errno (-ETIMEDOUT: it was
 * killed; -EIO: any other end) and err says how it ended, with the first lines of what it wrote to its
 * standard error in one. output is borrowed for the call, and only valid for code 0. The program is freed
 * behind it.
 */
typedef void program_done_fn(void *context, int code, const struct err *err,
                             const struct program_output *output);

/* Looks for an executable file of that name in $PATH; without one in /usr/sbin, /sbin, /usr/bin and /bin. */
bool program_find(const char *name, char ret_path[PATH_MAX]);

/* Starts path with argv (NULL at its end; borrowed for the call; named in sentences by its first word, or by
 * the second where that is no option, as of one program that is many) in a session of its own, writes input
 * (copied) to its standard input, and reads its output, of which output_max bytes at most are taken. After
 * timeout_ms milliseconds it and what it started are killed. -errno and a sentence when it cannot be started:
 * then done is not called. SIGPIPE has to be ignored by the process. */
int program_start(struct program **ret, uv_loop_t *loop, const char *path, const char *const *argv,
                  const char *input, size_t input_len, size_t output_max, unsigned timeout_ms,
                  program_done_fn *done, void *context, struct err *err);
/* Its number while it runs, which is that of its session, too. */
pid_t program_pid(const struct program *program);
/* Kills it; done is not called any more. NULL is allowed. The memory goes with the next turns of the loop. */
void program_cancel(struct program *program);
