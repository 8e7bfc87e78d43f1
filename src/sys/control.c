/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/control.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <utlist.h>

/* One write to the kernel at a time, so that a large reply lets the rest of the loop in between. */
#define CHUNK (256 * 1024)

struct session {
    struct control_server *server;
    struct session *prev, *next;
    uv_pipe_t pipe;
    uv_timer_t timer;
    int handles_open;
    bool is_replying;
    struct text request, reply;
    size_t sent;
    char first_line[sizeof(struct err) + 16];
    uv_write_t write;
};

struct control_server {
    uv_pipe_t pipe;
    char *path;
    dev_t device; /* of the socket file that we made */
    ino_t inode;
    struct session *sessions;
    unsigned session_count;
    unsigned request_timeout_ms, stall_timeout_ms;
    control_handler_fn *handler;
    void *context;
    char buffer[16 * 1024]; /* for reads; empty between callbacks */
};

static void on_session_handle_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    if (--session->handles_open > 0)
        return;
    text_done(&session->request);
    text_done(&session->reply);
    free(session);
}

static void session_close(struct session *session)
{
    if (uv_is_closing((uv_handle_t *)&session->pipe))
        return;
    DL_DELETE(session->server->sessions, session);
    session->server->session_count--;
    uv_close((uv_handle_t *)&session->pipe, on_session_handle_closed);
    uv_close((uv_handle_t *)&session->timer, on_session_handle_closed);
}

static void on_timeout(uv_timer_t *timer);
static void on_written(uv_write_t *write, int status);

static void reply_send(struct session *session, const char *head)
{
    size_t left = session->reply.len - session->sent;
    size_t len = left < CHUNK ? left : CHUNK;
    uv_buf_t buffers[2] = {uv_buf_init((char *)head, (unsigned)strlen(head)),
                           uv_buf_init((char *)text_str(&session->reply) + session->sent, (unsigned)len)};
    unsigned first = buffers[0].len > 0 ? 0 : 1, end = len > 0 ? 2 : 1;
    session->sent += len;
    uv_timer_start(&session->timer, on_timeout, session->server->stall_timeout_ms, 0);
    if (uv_write(&session->write, (uv_stream_t *)&session->pipe, buffers + first, end - first, on_written) <
        0)
        session_close(session);
}

static void on_written(uv_write_t *write, int status)
{
    struct session *session = write->data;
    if (uv_is_closing((uv_handle_t *)&session->pipe))
        return;
    if (status < 0 || session->sent == session->reply.len)
        session_close(session);
    else
        reply_send(session, "");
}

static void reply_start(struct session *session, const struct err *failure)
{
    session->is_replying = true;
    uv_read_stop((uv_stream_t *)&session->pipe);
    text_done(&session->request);
    if (failure)
        snprintf(session->first_line, sizeof(session->first_line), "error: %s", failure->text);
    else
        snprintf(session->first_line, sizeof(session->first_line), "ok");
    for (char *c = session->first_line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    strcat(session->first_line, "\n");
    reply_send(session, session->first_line);
}

static void on_timeout(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct err late;
    if (session->is_replying) {
        session_close(session);
        return;
    }
    err_set(&late, ETIMEDOUT, "the request did not end within %u ms", session->server->request_timeout_ms);
    reply_start(session, &late);
}

/* Cuts the request into argv, which points into it. Returns argc or -EINVAL. */
static int request_split(struct text *request, char *argv[CONTROL_ARGUMENTS_MAX + 1], struct err *err)
{
    int argc = 0;
    if (request->len == 0)
        return err_set(err, EINVAL, "the request is empty");
    if (request->data[request->len - 1] != '\0')
        return err_set(err, EINVAL, "the request does not end with a NUL byte");
    for (size_t at = 0; at < request->len; at += strlen(request->data + at) + 1) {
        if (argc == CONTROL_ARGUMENTS_MAX)
            return err_set(err, EINVAL, "the request has more than %d arguments", CONTROL_ARGUMENTS_MAX);
        argv[argc++] = request->data + at;
    }
    argv[argc] = NULL;
    return argc;
}

static void request_handle(struct session *session)
{
    struct err err = {""};
    char *argv[CONTROL_ARGUMENTS_MAX + 1];
    int argc = request_split(&session->request, argv, &err);
    int code = argc;
    if (argc > 0)
        code = session->server->handler(session->server->context, argc, argv, &session->reply, &err);
    reply_start(session, code < 0 ? &err : NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct session *session = handle->data;
    *ret = uv_buf_init(session->server->buffer, sizeof(session->server->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct session *session = stream->data;
    struct err err;
    if (len == 0)
        return;
    if (len == UV_EOF) {
        request_handle(session);
    } else if (len < 0) {
        session_close(session);
    } else if (session->request.len + (size_t)len > CONTROL_REQUEST_MAX) {
        err_set(&err, E2BIG, "the request is longer than %d bytes", CONTROL_REQUEST_MAX);
        reply_start(session, &err);
    } else {
        text_add_bytes(&session->request, buffer->base, (size_t)len);
    }
}

static int peer_check(struct session *session, struct err *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&session->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return err_set(err, EACCES, "the peer's user is unknown");
    if (peer.uid != 0 && peer.uid != geteuid())
        return err_set(err, EACCES, "user %u may not use the control socket: root and user %u may",
                       (unsigned)peer.uid, (unsigned)geteuid());
    if (session->server->session_count > CONTROL_SESSIONS_MAX)
        return err_set(err, EBUSY, "%d control sessions are open already", CONTROL_SESSIONS_MAX);
    return 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct control_server *server = stream->data;
    if (status < 0)
        return;
    struct session *session = xcalloc(1, sizeof(*session));
    session->server = server;
    session->write.data = session->pipe.data = session->timer.data = session;
    session->handles_open = 2;
    uv_pipe_init(stream->loop, &session->pipe, 0);
    uv_timer_init(stream->loop, &session->timer);
    DL_APPEND(server->sessions, session);
    server->session_count++;
    struct err err;
    if (uv_accept(stream, (uv_stream_t *)&session->pipe) < 0) {
        session_close(session);
    } else if (peer_check(session, &err) < 0) {
        reply_start(session, &err);
    } else {
        uv_timer_start(&session->timer, on_timeout, server->request_timeout_ms, 0);
        uv_read_start((uv_stream_t *)&session->pipe, on_alloc, on_read);
    }
}

static int address_fill(struct sockaddr_un *ret, const char *path, struct err *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof(ret->sun_path))
        return err_set(err, ENAMETOOLONG, "\"%.128s\" cannot be a socket's path: 1 to %zu bytes can", path,
                       sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

#define LOCK_TRIES 200
#define LOCK_WAIT_US 10000

/* Opens the socket's folder, made if missing, and locks it against a second daemon that starts now. Closing
 * the descriptor unlocks. */
static int folder_lock(const char *path, struct err *err)
{
    cleanup_free char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    const char *name = slash ? folder : ".";
    if (mkdir(name, 0700) < 0 && errno != EEXIST) {
        int code = errno;
        return err_set(err, code, "cannot create %s for the control socket: %s", name, strerror(code));
    }
    cleanup_close int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int code = errno;
        return err_set(err, code, "cannot open %s for the control socket: %s", name, strerror(code));
    }
    /* Other daemons may have their sockets in the same folder: each holds the lock for a moment only. */
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (tries == LOCK_TRIES)
            return err_set(err, EADDRINUSE, "the folder of %s stays locked by somebody else", path);
        usleep(LOCK_WAIT_US);
    }
    return steal_fd(&fd);
}

/* Removes the socket of a daemon that died. Whatever else lies there is left alone. */
static int stale_remove(const char *path, const struct sockaddr_un *address, struct err *err)
{
    struct stat status;
    if (lstat(path, &status) < 0 && errno == ENOENT)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return err_set(err, EEXIST, "%s exists and is not a socket", path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, errno, "cannot open a socket: %s", strerror(errno));
    /* EAGAIN is a queue that is full: somebody owns it. */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return err_set(err, EADDRINUSE, "another fairlead daemon answers at %s", path);
    if (errno != ECONNREFUSED && errno != ENOENT) {
        int code = errno;
        return err_set(err, code, "cannot tell whether a daemon owns %s: %s", path, strerror(code));
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        int code = errno;
        return err_set(err, code, "cannot remove the old control socket %s: %s", path, strerror(code));
    }
    return 0;
}

static int socket_open(const char *path, struct err *err)
{
    struct sockaddr_un address;
    int code = address_fill(&address, path, err);
    if (code < 0)
        return code;
    cleanup_close int lock = folder_lock(path, err);
    if (lock < 0)
        return lock;
    code = stale_remove(path, &address, err);
    if (code < 0)
        return code;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the mode that the socket has when it is bound (net/unix/af_unix.c, unix_bind_bsd), so
     * there is no moment in which others could connect. */
    if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, CONTROL_SESSIONS_MAX) < 0) {
        code = errno;
        return err_set(err, code, "cannot listen at %s: %s", path, strerror(code));
    }
    return steal_fd(&fd);
}

static void on_server_closed(uv_handle_t *handle)
{
    struct control_server *server = handle->data;
    free(server->path);
    free(server);
}

void control_close(struct control_server *server)
{
    if (!server)
        return;
    struct session *session, *next;
    DL_FOREACH_SAFE(server->sessions, session, next)
    session_close(session);
    struct stat status;
    if (lstat(server->path, &status) == 0 && status.st_dev == server->device &&
        status.st_ino == server->inode)
        unlink(server->path);
    uv_close((uv_handle_t *)&server->pipe, on_server_closed);
}

int control_listen(struct control_server **ret, uv_loop_t *loop, const char *path,
                   control_handler_fn *handler, void *context, struct err *err)
{
    cleanup_close int fd = socket_open(path, err);
    if (fd < 0)
        return fd;
    signal(SIGPIPE, SIG_IGN);
    struct control_server *server = xcalloc(1, sizeof(*server));
    struct stat status = {0};
    lstat(path, &status);
    server->path = xstrdup(path);
    server->device = status.st_dev;
    server->inode = status.st_ino;
    server->handler = handler;
    server->context = context;
    server->pipe.data = server;
    control_set_timeouts(server, CONTROL_REQUEST_TIMEOUT_MS, CONTROL_STALL_TIMEOUT_MS);
    uv_pipe_init(loop, &server->pipe, 0);
    int code = uv_pipe_open(&server->pipe, fd);
    if (code == 0) {
        steal_fd(&fd);
        code = uv_listen((uv_stream_t *)&server->pipe, CONTROL_SESSIONS_MAX, on_connection);
    }
    if (code < 0) {
        control_close(server);
        return err_set(err, -code, "cannot listen at %s: %s", path, uv_strerror(code));
    }
    *ret = server;
    return 0;
}

void control_set_timeouts(struct control_server *server, unsigned request_ms, unsigned stall_ms)
{
    server->request_timeout_ms = request_ms;
    server->stall_timeout_ms = stall_ms;
}

/* --- the client --- */

static int client_connect(const char *path, struct err *err)
{
    struct sockaddr_un address;
    int code = address_fill(&address, path, err);
    if (code < 0)
        return code;
    struct timeval patience = {.tv_sec = CONTROL_STALL_TIMEOUT_MS / 1000};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        code = errno;
        return err_set(err, code, "no fairlead daemon answers at %s: %s", path, strerror(code));
    }
    return steal_fd(&fd);
}

/* A daemon that turns us away may close before it has read everything; its sentence is still to be read, so a
 * failing send ends the sending and no more. */
static void request_send(int fd, const struct text *request)
{
    size_t sent = 0;
    while (sent < request->len) {
        ssize_t len = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
        if (len < 0 && errno != EINTR)
            break;
        sent += len > 0 ? (size_t)len : 0;
    }
    shutdown(fd, SHUT_WR);
}

/* Reads until the end; the first line, of at most an err's size, goes to line and the rest to out. */
static int reply_receive(int fd, struct text *line, FILE *out)
{
    char buffer[64 * 1024];
    bool has_line = false;
    while (true) {
        ssize_t len = recv(fd, buffer, sizeof(buffer), 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == ECONNRESET && has_line)
            return 0;
        if (len < 0)
            return -errno;
        if (len == 0)
            return 0;
        size_t start = 0;
        if (!has_line) {
            char *end = memchr(buffer, '\n', (size_t)len);
            has_line = end != NULL;
            start = end ? (size_t)(end - buffer) + 1 : (size_t)len;
            text_add_bytes(line, buffer, end ? start - 1 : start);
            if (line->len > 2 * sizeof(struct err))
                return -EPROTO;
        }
        if (fwrite(buffer + start, 1, (size_t)len - start, out) < (size_t)len - start)
            return -EIO;
    }
}

static int reply_judge(const char *path, const char *line, int code, struct err *err)
{
    static const char failure[] = "error: ";
    if (code == -EAGAIN)
        return err_set(err, ETIMEDOUT, "the fairlead daemon at %s gives no answer", path);
    if (code == -EIO)
        return err_set(err, EIO, "cannot write the daemon's reply: %s", strerror(EIO));
    if (code < 0)
        return err_set(err, -code, "cannot read the reply of the fairlead daemon at %s: %s", path,
                       strerror(-code));
    if (strncmp(line, failure, strlen(failure)) == 0)
        return err_set(err, EREMOTEIO, "%s", line + strlen(failure));
    if (strcmp(line, "ok") != 0)
        return err_set(err, EPROTO, "what answers at %s is not a fairlead daemon", path);
    return 0;
}

int control_call(const char *path, int argc, char *const *argv, FILE *out, struct err *err)
{
    cleanup_with(text_done) struct text request = {0};
    cleanup_with(text_done) struct text line = {0};
    for (int i = 0; i < argc; i++)
        text_add_bytes(&request, argv[i], strlen(argv[i]) + 1);
    if (argc < 1 || argc > CONTROL_ARGUMENTS_MAX || request.len > CONTROL_REQUEST_MAX)
        return err_set(err, E2BIG, "a request has 1 to %d arguments of %d bytes in all",
                       CONTROL_ARGUMENTS_MAX, CONTROL_REQUEST_MAX);
    cleanup_close int fd = client_connect(path, err);
    if (fd < 0)
        return fd;
    request_send(fd, &request);
    int code = reply_receive(fd, &line, out);
    if (code == 0 && fflush(out) != 0)
        code = -EIO;
    return reply_judge(path, text_str(&line), code, err);
}
