/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/control.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "sys/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define DUMP_SIZE (100u * 1024 * 1024)

struct fixture {
    uv_loop_t loop;
    char folder[64], path[96];
    struct control_server *server;
    unsigned handled;
};

/* "dump" is large, "fail" fails, all else is echoed with its number of arguments. */
static int echo(void *context, int argc, char *const *argv, struct text *reply, struct err *err)
{
    struct fixture *fixture = context;
    fixture->handled++;
    if (strcmp(argv[0], "fail") == 0) {
        text_add(reply, "more words\n");
        return err_set(err, ENOENT, "no such thing:\n%s", argc > 1 ? argv[1] : "");
    }
    if (strcmp(argv[0], "dump") == 0) {
        char *block = xcalloc(1, DUMP_SIZE);
        memset(block, 'd', DUMP_SIZE);
        *reply = (struct text){.data = block, .len = DUMP_SIZE, .capacity = DUMP_SIZE};
        return 0;
    }
    text_printf(reply, "%d", argc);
    for (int i = 0; i < argc; i++)
        text_printf(reply, " [%s]", argv[i]);
    assert_null(argv[argc]);
    return 0;
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct err err;
    uv_loop_init(&fixture->loop);
    strcpy(fixture->folder, "/tmp/control-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof(fixture->path), "%s/run/control", fixture->folder);
    if (control_listen(&fixture->server, &fixture->loop, fixture->path, echo, fixture, &err) < 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    control_close(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    char run[96];
    snprintf(run, sizeof(run), "%s/run", fixture->folder);
    assert_int_equal(rmdir(run), 0);
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

struct call {
    const char *path;
    int argc;
    char *const *argv;
    char *out;
    size_t out_len;
    int code;
    struct err err;
    int is_done;
};

static void call_thread(void *context)
{
    struct call *call = context;
    FILE *out = open_memstream(&call->out, &call->out_len);
    call->code = control_call(call->path, call->argc, call->argv, out, &call->err);
    fclose(out);
    __atomic_store_n(&call->is_done, 1, __ATOMIC_SEQ_CST);
}

/* The blocking client on a thread, the daemon's loop here. */
static void call_run(struct fixture *fixture, struct call *call, int argc, char *const *argv)
{
    uv_thread_t thread;
    *call = (struct call){.path = fixture->path, .argc = argc, .argv = argv};
    uv_thread_create(&thread, call_thread, call);
    while (!__atomic_load_n(&call->is_done, __ATOMIC_SEQ_CST)) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(100);
    }
    uv_thread_join(&thread);
}

static void carries_a_request_and_its_reply(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    char *const argv[] = {"status", "", "two words\nand a line"};
    call_run(fixture, &call, 3, argv);
    assert_int_equal(call.code, 0);
    assert_string_equal(call.out, "3 [status] [] [two words\nand a line]");
    free(call.out);

    char *const failing[] = {"fail", "x"};
    call_run(fixture, &call, 2, failing);
    assert_int_equal(call.code, -EREMOTEIO);
    assert_string_equal(call.err.text, "no such thing: x");
    assert_string_equal(call.out, "more words\n");
    free(call.out);

    char *many[65];
    for (int i = 0; i < 65; i++)
        many[i] = "a";
    call_run(fixture, &call, 64, many);
    assert_int_equal(call.code, 0);
    free(call.out);
    call_run(fixture, &call, 65, many);
    assert_int_equal(call.code, -E2BIG);
    free(call.out);
}

static void streams_a_large_reply(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    char *const argv[] = {"dump"};
    call_run(fixture, &call, 1, argv);
    assert_int_equal(call.code, 0);
    assert_int_equal(call.out_len, DUMP_SIZE);
    assert_true(call.out[0] == 'd' && call.out[DUMP_SIZE - 1] == 'd');
    free(call.out);
}

/* A connected raw client. */
static int raw_connect(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, fixture->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static void turns_away_garbage(void **state)
{
    struct fixture *fixture = *state;
    struct text many = {0}, large = {0};
    for (int i = 0; i < 65; i++)
        text_add_bytes(&many, "a", 2);
    while (large.len <= CONTROL_REQUEST_MAX)
        text_add_bytes(&large, "\xff\xfe garbage\n", 11);
    const struct {
        const char *bytes;
        size_t len;
        const char *reply;
    } cases[] = {
        {"", 0, "error: the request is empty\n"},
        {"status", 6, "error: the request does not end with a NUL byte\n"},
        {"GET / HTTP/1.1\r\n\r\n", 18, "error: the request does not end with a NUL byte\n"},
        {many.data, many.len, "error: the request has more than 64 arguments\n"},
        {large.data, large.len, "error: the request is longer than 65536 bytes\n"},
        {"\0", 1, "ok\n1 []"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text reply = {0};
        int fd = raw_connect(fixture);
        assert_true(test_send(fd, cases[i].bytes, cases[i].len));
        shutdown(fd, SHUT_WR);
        assert_true(test_receive(&fixture->loop, fd, &reply, NULL, 2000));
        assert_string_equal(text_str(&reply), cases[i].reply);
        close(fd);
        text_done(&reply);
    }
    assert_int_equal(fixture->handled, 1);
    text_done(&many);
    text_done(&large);
}

static void ends_half_requests(void **state)
{
    struct fixture *fixture = *state;
    struct text reply = {0};
    control_set_timeouts(fixture->server, 100, 100);
    int fd = raw_connect(fixture);
    assert_true(test_send(fd, "status", 7));
    assert_true(test_receive(&fixture->loop, fd, &reply, NULL, 2000));
    assert_string_equal(reply.data, "error: the request did not end within 100 ms\n");
    close(fd);
    text_done(&reply);
    for (int i = 0; i < 10; i++) {
        fd = raw_connect(fixture);
        assert_true(test_send(fd, "dump", 5));
        if (i % 2)
            shutdown(fd, SHUT_WR);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        close(fd);
    }
    test_turn(&fixture->loop, 200);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
}

static void a_reader_that_stalls_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct text reply = {0};
    control_set_timeouts(fixture->server, 100, 200);
    int fd = raw_connect(fixture);
    assert_true(test_send(fd, "dump", 5));
    shutdown(fd, SHUT_WR);
    test_turn(&fixture->loop, 100);
    long long start = test_now_ms();
    int other = raw_connect(fixture);
    assert_true(test_send(other, "quick", 6));
    shutdown(other, SHUT_WR);
    assert_true(test_receive(&fixture->loop, other, &reply, NULL, 2000));
    assert_true(test_now_ms() - start < 150);
    assert_string_equal(reply.data, "ok\n1 [quick]");
    close(other);
    text_done(&reply);
    test_turn(&fixture->loop, 300);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
    assert_true(test_receive(&fixture->loop, fd, &reply, NULL, 5000));
    assert_true(reply.len < DUMP_SIZE / 2);
    text_done(&reply);
    close(fd);
}

static void many_sessions_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    int fds[CONTROL_SESSIONS_MAX];
    struct text reply = {0};
    for (int i = 0; i < CONTROL_SESSIONS_MAX; i++) {
        fds[i] = raw_connect(fixture);
        assert_true(fds[i] >= 0);
        test_turn(&fixture->loop, 1);
    }
    int fd = raw_connect(fixture);
    assert_true(test_receive(&fixture->loop, fd, &reply, NULL, 2000));
    assert_string_equal(reply.data, "error: 32 control sessions are open already\n");
    close(fd);
    text_done(&reply);
    for (int i = 0; i < CONTROL_SESSIONS_MAX; i++)
        close(fds[i]);
    test_turn(&fixture->loop, 20);
    struct call call;
    char *const argv[] = {"again"};
    call_run(fixture, &call, 1, argv);
    assert_int_equal(call.code, 0);
    free(call.out);
}

static void the_file_is_ours_alone(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    char folder[96];
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    snprintf(folder, sizeof(folder), "%s/run", fixture->folder);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void another_user_is_turned_away(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip();
    char folder[96];
    snprintf(folder, sizeof(folder), "%s/run", fixture->folder);
    chmod(fixture->folder, 0755);
    chmod(folder, 0755);
    chmod(fixture->path, 0666);
    pid_t child = fork();
    if (child == 0) {
        if (setresuid(65534, 65534, 65534) < 0)
            _exit(99);
        struct err err = {""};
        char *const argv[] = {"status"};
        int code = control_call(fixture->path, 1, argv, stdout, &err);
        bool is_right =
            code == -EREMOTEIO &&
            strcmp(err.text, "user 65534 may not use the control socket: root and user 0 may") == 0;
        if (!is_right)
            fprintf(stderr, "%d %s\n", code, err.text);
        _exit(is_right ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0)
        test_turn(&fixture->loop, 1);
    assert_int_equal(status, 0);
    assert_int_equal(fixture->handled, 0);
}

static void a_dead_daemon_gives_way_and_a_live_one_does_not(void **state)
{
    struct fixture *fixture = *state;
    struct control_server *second = NULL;
    struct err err;
    char want[256];
    assert_int_equal(control_listen(&second, &fixture->loop, fixture->path, echo, fixture, &err),
                     -EADDRINUSE);
    snprintf(want, sizeof(want), "another fairlead daemon answers at %s", fixture->path);
    assert_string_equal(err.text, want);

    char stale[96];
    snprintf(stale, sizeof(stale), "%s/stale", fixture->folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, stale);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
    assert_int_equal(control_listen(&second, &fixture->loop, stale, echo, fixture, &err), 0);
    control_close(second);
    assert_int_equal(access(stale, F_OK), -1);

    FILE *file = fopen(stale, "w");
    fclose(file);
    assert_int_equal(control_listen(&second, &fixture->loop, stale, echo, fixture, &err), -EEXIST);
    snprintf(want, sizeof(want), "%s exists and is not a socket", stale);
    assert_string_equal(err.text, want);
    assert_int_equal(unlink(stale), 0);

    char *const argv[] = {"status"};
    assert_int_equal(control_call(stale, 1, argv, stdout, &err), -ENOENT);
    snprintf(want, sizeof(want), "no fairlead daemon answers at %s: No such file or directory", stale);
    assert_string_equal(err.text, want);

    char deep[128], longest[200];
    snprintf(deep, sizeof(deep), "%s/a/b", stale);
    assert_int_equal(control_listen(&second, &fixture->loop, deep, echo, fixture, &err), -ENOENT);
    memset(longest, 'l', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(control_listen(&second, &fixture->loop, longest, echo, fixture, &err), -ENAMETOOLONG);
}

/* What a client says of a socket behind which something else sits. */
static void a_stranger_is_not_believed(void **state)
{
    static const struct {
        const char *reply;
        int code;
    } cases[] = {{"HTTP/1.1 200 OK\r\n\r\n", -EPROTO}, {"", -EPROTO}, {"ok", 0}, {"error: no\n", -EREMOTEIO}};
    struct fixture *fixture = *state;
    char path[96], *const argv[] = {"status"};
    snprintf(path, sizeof(path), "%s/other", fixture->folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct call call = {.path = path, .argc = 1, .argv = argv};
        uv_thread_t thread;
        uv_thread_create(&thread, call_thread, &call);
        int fd = accept(listener, NULL, NULL);
        char request[64];
        while (recv(fd, request, sizeof(request), 0) > 0)
            continue;
        assert_true(test_send(fd, cases[i].reply, strlen(cases[i].reply)));
        close(fd);
        uv_thread_join(&thread);
        assert_int_equal(call.code, cases[i].code);
        free(call.out);
    }
    close(listener);
    unlink(path);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(carries_a_request_and_its_reply),
        TEST(streams_a_large_reply),
        TEST(turns_away_garbage),
        TEST(ends_half_requests),
        TEST(a_reader_that_stalls_is_dropped),
        TEST(many_sessions_are_bounded),
        TEST(the_file_is_ours_alone),
        TEST(another_user_is_turned_away),
        TEST(a_dead_daemon_gives_way_and_a_live_one_does_not),
        TEST(a_stranger_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
