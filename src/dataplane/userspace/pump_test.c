/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/pump.h"

#include "dataplane/userspace/test_sockets.h"

#include <signal.h>

/* left and right are the far ends of what the pump has. */
struct line {
    int left, right;
    int near; /* the pump's own, towards left */
    struct pump *pump;
    int ends, resets;
};

struct world {
    uv_loop_t loop;
    struct pump_pipes pipes;
    int listener;
};

static void on_done(void *context, bool is_reset)
{
    struct line *line = context;
    line->ends++;
    line->resets += is_reset;
    line->pump = NULL;
}

static int accept_one(const struct world *world)
{
    int fd;
    do
        fd = accept4(world->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && errno == EAGAIN);
    assert_true(fd >= 0);
    return fd;
}

static void line_open(struct world *world, struct line *ret)
{
    int fds[2];
    *ret = (struct line){0};
    ret->left = connected_socket(SOCK_STREAM, port_of_socket(world->listener));
    fds[0] = accept_one(world);
    ret->right = connected_socket(SOCK_STREAM, port_of_socket(world->listener));
    fds[1] = accept_one(world);
    ret->near = fds[0];
    assert_int_equal(pump_start(&ret->pump, &world->loop, &world->pipes, fds, on_done, ret), 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&world->loop);
    world->listener = bound_socket(SOCK_STREAM);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    pump_pipes_done(&world->pipes);
    close(world->listener);
    free(world);
    return 0;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void until_end(struct world *world, const struct line *line)
{
    for (int i = 0; i < 50000 && !line->ends; i++)
        turn(&world->loop);
    assert_int_equal(line->ends, 1);
}

/* One side has said all, and still hears all that the other has to say. */
static void half_close(struct world *world, bool is_left_first)
{
    struct line line;
    line_open(world, &line);
    int first = is_left_first ? line.left : line.right, last = is_left_first ? line.right : line.left;
    say(first, "question");
    shutdown(first, SHUT_WR);
    expect_text(&world->loop, last, "question");
    expect_text(&world->loop, last, "");
    say(last, "answer");
    expect_text(&world->loop, first, "answer");
    say(last, "more");
    close(last);
    expect_text(&world->loop, first, "more");
    expect_text(&world->loop, first, "");
    until_end(world, &line);
    assert_int_equal(line.resets, 0);
    close(first);
}

static void test_half_close(void **state)
{
    half_close(*state, true);
    half_close(*state, false);
}

/* Fills one side until the kernel takes no more, though the loop runs; every byte says its place. */
static size_t fill(struct world *world, int fd)
{
    static unsigned char block[65536];
    size_t total = 0;
    for (int refused = 0; refused < 200;) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (unsigned char)((total + i) * 131 >> 7);
        ssize_t count = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        assert_true(count > 0 || errno == EAGAIN);
        refused = count > 0 ? 0 : refused + 1;
        total += count > 0 ? (size_t)count : 0;
        turn(&world->loop);
        assert_true(total < 256u << 20);
    }
    return total;
}

static int wake_ups(struct world *world);

static void slow_reader(struct world *world, struct line *line)
{
    static unsigned char block[65536];
    size_t total = fill(world, line->left), seen = 0;
    assert_true(wake_ups(world) < 10);
    shutdown(line->left, SHUT_WR);
    say(line->right, "the other way is free");
    expect_text(&world->loop, line->left, "the other way is free");
    for (ssize_t count; (count = receive(&world->loop, line->right, block, sizeof(block))) > 0;)
        for (ssize_t i = 0; i < count; i++, seen++)
            if (block[i] != (unsigned char)(seen * 131 >> 7))
                fail_msg("byte %zu is another", seen);
    assert_int_equal(seen, total);
    close(line->right);
    until_end(world, line);
    assert_int_equal(line->resets, 0);
    close(line->left);
}

static void test_slow_reader(void **state)
{
    struct line line;
    line_open(*state, &line);
    slow_reader(*state, &line);
}

static void test_reset(void **state)
{
    struct world *world = *state;
    struct line line;
    char byte;
    line_open(world, &line);
    say(line.left, "x");
    expect_text(&world->loop, line.right, "x");
    cut_socket(line.left);
    assert_int_equal(receive(&world->loop, line.right, &byte, 1), -ECONNRESET);
    until_end(world, &line);
    assert_int_equal(line.resets, 1);
    close(line.right);
}

/* The side that has said all is not read from any more, and yet is heard when it is cut off. */
static void test_reset_after_half_close(void **state)
{
    struct world *world = *state;
    struct line line;
    char byte;
    line_open(world, &line);
    shutdown(line.left, SHUT_WR);
    expect_text(&world->loop, line.right, "");
    cut_socket(line.left);
    assert_int_equal(receive(&world->loop, line.right, &byte, 1), 0); /* its end, again */
    until_end(world, &line);
    assert_int_equal(line.resets, 1);
    close(line.right);
}

static void test_cancel(void **state)
{
    struct world *world = *state;
    struct line line;
    char byte;
    line_open(world, &line);
    pump_cancel(line.pump);
    assert_int_equal(receive(&world->loop, line.left, &byte, 1), -ECONNRESET);
    assert_int_equal(receive(&world->loop, line.right, &byte, 1), -ECONNRESET);
    assert_int_equal(line.ends, 0);
    close(line.left);
    close(line.right);
}

static void on_prepare(uv_prepare_t *prepare)
{
    ++*(int *)prepare->data;
}

static void on_time(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* How often the loop wakes while nothing happens. */
static int wake_ups(struct world *world)
{
    int count = 0;
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_prepare_init(&world->loop, &prepare);
    uv_timer_init(&world->loop, &timer);
    prepare.data = &count;
    uv_prepare_start(&prepare, on_prepare);
    uv_timer_start(&timer, on_time, 50, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    return count;
}

static void test_sleeps_while_it_waits(void **state)
{
    struct world *world = *state;
    static char block[4096];
    const int tiny = 4096;
    const size_t few = 24;
    struct line line;
    line_open(world, &line);
    setsockopt(line.left, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny));
    setsockopt(line.near, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny));
    assert_true(wake_ups(world) < 10);
    shutdown(line.left, SHUT_WR);
    expect_text(&world->loop, line.right, "");
    assert_true(wake_ups(world) < 10); /* one side is over */
    /* More than the left side takes, and less than what waits in front of the pump. */
    for (size_t sent = 0; sent < few * sizeof(block);) {
        ssize_t some = send(line.right, block, sizeof(block), MSG_NOSIGNAL);
        sent += some > 0 ? (size_t)some : 0;
        turn(&world->loop);
    }
    shutdown(line.right, SHUT_WR);
    for (int i = 0; i < 100; i++)
        turn(&world->loop);
    assert_true(wake_ups(world) < 10); /* both are, and one does not read what is under way */
    cut_socket(line.left);
    until_end(world, &line);
    close(line.right);
}

/* No descriptor is left for a pipe: everything arrives, slow readers included, and nothing spins. */
static void test_without_descriptors(void **state)
{
    struct world *world = *state;
    struct rlimit limit, none;
    struct line line;
    line_open(world, &line);
    turn(&world->loop); /* it has what it needs itself */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    slow_reader(world, &line);
    assert_null(world->pipes.spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_thousands(void **state)
{
    struct world *world = *state;
    uint64_t most = raise_descriptor_limit();
    int count = most >= 20000 ? 3000 : (int)(most / 6);
    struct line *lines = calloc((size_t)count, sizeof(*lines));
    for (int i = 0; i < count; i++)
        line_open(world, &lines[i]);
    for (int i = 0; i < count; i++)
        say(lines[i].left, "to the right");
    for (int i = 0; i < count; i++)
        expect_text(&world->loop, lines[i].right, "to the right");
    assert_true(world->pipes.count <= 64); /* who waits has none */
    for (int i = 0; i < count; i++)
        say(lines[i].right, "to the left");
    for (int i = 0; i < count; i++) {
        expect_text(&world->loop, lines[i].left, "to the left");
        close(lines[i].left);
        close(lines[i].right);
    }
    for (int i = 0; i < count; i++)
        until_end(world, &lines[i]);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_half_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset_after_half_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sleeps_while_it_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thousands, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
