/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/program.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPLAINT_MAX 300

struct program {
    uv_process_t process;
    uv_pipe_t input, output, complaints;
    uv_timer_t timer;
    uv_write_t write;
    char *input_text, *name;
    unsigned handles;
    struct text text;
    size_t output_max;
    char complaint[COMPLAINT_MAX + 1];
    size_t complaint_len;
    bool has_exited, has_output, has_complaints, is_over;
    int64_t status;
    int signal;
    program_done_fn *done;
    void *context;
    char buffer[65536];
};

/* --- finding --- */

static bool is_program(const char *path)
{
    struct stat info;
    return access(path, X_OK) == 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool find_in(const char *folders, const char *name, char ret_path[PATH_MAX])
{
    for (const char *at = folders; *at;) {
        size_t len = strcspn(at, ":");
        if (len && (size_t)snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)len, at, name) < PATH_MAX &&
            is_program(ret_path))
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

bool program_find(const char *name, char ret_path[PATH_MAX])
{
    const char *path = getenv("PATH");
    return find_in(path ? path : "/usr/sbin:/sbin:/usr/bin:/bin", name, ret_path);
}

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct program *program = handle->data;
    if (--program->handles > 0)
        return;
    text_done(&program->text);
    free(program->input_text);
    free(program->name);
    free(program);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* The process handle stays until the program is dead, or it would be left as a zombie. */
static void finish(struct program *program)
{
    program->is_over = true;
    close_handle((uv_handle_t *)&program->input);
    close_handle((uv_handle_t *)&program->output);
    close_handle((uv_handle_t *)&program->complaints);
    close_handle((uv_handle_t *)&program->timer);
    if (program->has_exited)
        close_handle((uv_handle_t *)&program->process);
    else
        kill(-uv_process_get_pid(&program->process), SIGKILL);
}

void program_cancel(struct program *program)
{
    if (!program || program->is_over)
        return;
    finish(program);
    if (program->has_exited)
        return;
    pid_t pid = uv_process_get_pid(&program->process);
    close_handle((uv_handle_t *)&program->process);
    waitpid(pid, NULL, 0); /* nobody else will, and a killed program does not make us wait */
}

pid_t program_pid(const struct program *program)
{
    return uv_process_get_pid(&program->process);
}

/* In one line. iptables ends a line with a colon and says in the next what it was. */
static void join_complaints(char *complaint, struct text *ret)
{
    for (char *line; (line = strsep(&complaint, "\n"));) {
        line[strcspn(line, "\r")] = '\0';
        for (size_t len = strlen(line); len && line[len - 1] == ' ';)
            line[--len] = '\0';
        if (*line == '\0')
            continue;
        bool goes_on = ret->len && text_str(ret)[ret->len - 1] == ':';
        text_printf(ret, "%s%s", ret->len == 0 ? "" : goes_on ? " " : "; ", line);
    }
}

static void fail(struct program *program, int code, const char *what)
{
    struct err err;
    struct text complaint = {0};
    join_complaints(program->complaint, &complaint);
    err_set(&err, code, "%s %s%s%s", program->name, what, complaint.len ? ": " : "", text_str(&complaint));
    text_done(&complaint);
    finish(program);
    program->done(program->context, -code, &err, NULL);
}

/* All three have to come: what is still in the pipes at its exit is part of the answer. */
static void conclude(struct program *program)
{
    char what[64];
    if (program->is_over || !program->has_exited || !program->has_output || !program->has_complaints)
        return;
    if (program->signal || program->status) {
        if (program->signal)
            snprintf(what, sizeof(what), "was ended by signal %d", program->signal);
        else
            snprintf(what, sizeof(what), "failed with exit code %d", (int)program->status);
        fail(program, EIO, what);
        return;
    }
    const struct program_output output = {.text = text_str(&program->text), .len = program->text.len};
    finish(program);
    program->done(program->context, 0, NULL, &output);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct program *program = process->data;
    program->has_exited = true;
    program->status = status;
    program->signal = signal;
    if (program->is_over)
        close_handle((uv_handle_t *)process);
    else
        conclude(program);
}

static void on_timeout(uv_timer_t *timer)
{
    fail(timer->data, ETIMEDOUT, "takes too long and was killed");
}

/* --- what goes in and out --- */

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct program *program = handle->data;
    *ret = uv_buf_init(program->buffer, sizeof(program->buffer));
}

static void on_output(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct program *program = stream->data;
    if (len > 0) {
        text_add_bytes(&program->text, buffer->base, (size_t)len);
        if (program->text.len > program->output_max)
            fail(program, EFBIG, "says more than can be read");
    } else if (len < 0) {
        uv_read_stop(stream);
        program->has_output = true;
        conclude(program);
    }
}

static void on_complaints(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct program *program = stream->data;
    if (len > 0) {
        size_t room = COMPLAINT_MAX - program->complaint_len;
        size_t taken = (size_t)len < room ? (size_t)len : room;
        memcpy(program->complaint + program->complaint_len, buffer->base, taken);
        program->complaint_len += taken;
    } else if (len < 0) {
        uv_read_stop(stream);
        program->has_complaints = true;
        conclude(program);
    }
}

/* A program that does not read its input to the end says itself what it makes of that. */
static void on_written(uv_write_t *write, int status)
{
    (void)status;
    struct program *program = write->data;
    close_handle((uv_handle_t *)&program->input);
}

/* --- the beginning --- */

static int spawn(struct program *program, uv_loop_t *loop, const struct program_request *request)
{
    uv_stdio_container_t stdio[] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&program->input},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&program->output},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&program->complaints},
    };
    if (request->input_len == 0)
        stdio[0] = (uv_stdio_container_t){.flags = UV_IGNORE};
    if (request->passes_complaints)
        stdio[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO};
    uv_process_options_t options = {.exit_cb = on_exit_status,
                                    .file = request->path,
                                    .args = (char **)request->argv,
                                    .env = (char **)request->env,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = ARRAY_LEN(stdio),
                                    .stdio = stdio};
    return uv_spawn(loop, &program->process, &options);
}

static struct program *prepare(uv_loop_t *loop, const struct program_request *request)
{
    struct program *program = xcalloc(1, sizeof(*program));
    program->name = xstrdup(request->name ? request->name : request->argv[0]);
    program->input_text = xmalloc(request->input_len + 1);
    memcpy(program->input_text, request->input ? request->input : "", request->input_len);
    program->output_max = request->output_max;
    program->has_complaints = request->passes_complaints;
    program->done = request->done;
    program->context = request->context;
    program->handles = 5;
    program->process.data = program->input.data = program->output.data = program;
    program->complaints.data = program->timer.data = program->write.data = program;
    uv_timer_init(loop, &program->timer);
    uv_pipe_init(loop, &program->input, 0);
    uv_pipe_init(loop, &program->output, 0);
    uv_pipe_init(loop, &program->complaints, 0);
    return program;
}

int program_start(struct program **ret, uv_loop_t *loop, const struct program_request *request,
                  struct err *err)
{
    struct program *program = prepare(loop, request);
    int code = spawn(program, loop, request);
    if (code < 0) {
        err_set(err, -code, "%s cannot be started: %s", request->name ? request->name : request->path,
                uv_strerror(code));
        program->has_exited = true;
        finish(program);
        return code;
    }
    uv_buf_t buffer = uv_buf_init(program->input_text, (unsigned)request->input_len);
    uv_read_start((uv_stream_t *)&program->output, on_buffer, on_output);
    if (!request->passes_complaints)
        uv_read_start((uv_stream_t *)&program->complaints, on_buffer, on_complaints);
    if (request->input_len > 0)
        uv_write(&program->write, (uv_stream_t *)&program->input, &buffer, 1, on_written);
    uv_timer_start(&program->timer, on_timeout, request->timeout_ms, 0);
    *ret = program;
    return 0;
}
