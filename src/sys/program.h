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

/* Borrowed for the call of program_start; what is left out is 0. */
struct program_request {
    const char *name;                     /* in sentences; NULL: argv's first word */
    const char *path;                     /* without a slash in it, it is looked for in $PATH of env */
    const char *const *argv, *const *env; /* NULL at their ends; no env: that of this process */
    const char *input;                    /* for its standard input; copied */
    size_t input_len;
    size_t output_max;      /* bytes that are taken of its standard output */
    unsigned timeout_ms;    /* after that it and what it started are killed */
    bool passes_complaints; /* its standard error is ours, and no part of sentences */
    program_done_fn *done;
    void *context;
};

/* Starts it in a session of its own. -errno and a sentence when it cannot be started: then done is not
 * called. SIGPIPE has to be ignored by the process where there is input. */
int program_start(struct program **ret, uv_loop_t *loop, const struct program_request *request,
                  struct err *err);
/* Its number while it runs, which is that of its session, too. */
pid_t program_pid(const struct program *program);
/* Kills it; done is not called any more. NULL is allowed. The memory goes with the next turns of the loop. */
void program_cancel(struct program *program);
