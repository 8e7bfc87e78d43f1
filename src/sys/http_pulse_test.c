/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "sys/test_http_client.h"

#define PULSE_MS 300

static void use_pulses(struct fixture *fixture)
{
    struct http_client_options options = usual();
    options.connect_timeout_ms = options.dead_after_ms = DEAF_MS;
    options.pulse_path = "/alive";
    options.pulse_after_ms = PULSE_MS;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
}

/* A watch with a first word, from a peer of ours: its connection. */
static int begin_raw(struct seen *seen, struct fixture *fixture, unsigned short port)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none;\r\n";
    char url[256];
    struct text request = {0};
    raw_url("http", port, url);
    const struct http_call_request call = {.method = "GET", .url = url, .authorization = "Bearer it"};
    seen->fixture = fixture;
    assert_int_equal(http_call_start(fixture->client, &call, &ops, seen, &seen->call, NULL), 0);
    int fd = accept_raw(fixture);
    assert_true(test_receive(&fixture->loop, fd, &request, "\r\n\r\n", WAIT_MS));
    assert_true(test_send(fd, reply, strlen(reply)));
    assert_true(turn_until_text(fixture, &seen->body, "one;"));
    text_done(&request);
    return fd;
}

static void silence_is_no_death(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    char url[256];
    url_of(fixture, "/watch", true, url);
    text_add(&fixture->stream->next, "one;");
    use_pulses(fixture);
    get(&seen, fixture, url, 0);
    assert_true(turn_until_text(fixture, &seen.body, "one;"));
    /* The watch's own answer is the first. */
    assert_true(turn_until(fixture, &fixture->answered[200], 3, 4 * (PULSE_MS + DEAF_MS)));
    assert_int_equal(seen.ended, 0);
    text_add(&fixture->stream->next, "two;");
    http_stream_wake(fixture->stream->stream);
    assert_true(turn_until_text(fixture, &seen.body, "two;"));
    http_call_cancel(seen.call);
    text_done(&seen.body);
}

/* What comes is pulse enough; and a call with a time of its own needs none. */
static void asks_in_silence_alone(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0}, limited = {0};
    char url[256];
    url_of(fixture, "/watch", true, url);
    use_pulses(fixture);
    get(&seen, fixture, url, 0);
    for (int i = 0; i < 12; i++) {
        text_add(&fixture->stream->next, "more;");
        if (fixture->stream->stream)
            http_stream_wake(fixture->stream->stream);
        test_turn(&fixture->loop, PULSE_MS / 4);
    }
    assert_int_equal(fixture->answered[200], 1);
    http_call_cancel(seen.call);
    fixture->stream++;
    text_add(&fixture->stream->next, "one;");
    get(&limited, fixture, url, 10 * PULSE_MS);
    test_turn(&fixture->loop, 3 * PULSE_MS);
    assert_int_equal(fixture->answered[200], 2);
    http_call_cancel(limited.call);
    text_done(&seen.body);
    text_done(&limited.body);
}

/* Every watch of a server that has died ends; the one of another server does not. */
static void ends_the_dead(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0}, second = {0}, other = {0};
    struct text request = {0};
    char url[256];
    use_pulses(fixture);
    unsigned short port = listen_raw(fixture);
    cleanup_close int one = begin_raw(&first, fixture, port);
    cleanup_close int two = begin_raw(&second, fixture, port);
    assert_true(one >= 0 && two >= 0);
    url_of(fixture, "/watch", true, url);
    text_add(&fixture->stream->next, "one;");
    get(&other, fixture, url, 0);
    assert_true(turn_until_text(fixture, &other.body, "one;"));
    long long begin = test_now_ms();
    cleanup_close int pulse = accept_raw(fixture);
    assert_true(test_receive(&fixture->loop, pulse, &request, "\r\n\r\n", WAIT_MS));
    assert_non_null(strstr(text_str(&request), "GET /alive HTTP"));
    assert_non_null(strstr(text_str(&request), "Authorization: Bearer it"));
    assert_int_equal(first.ended + second.ended, 0);
    assert_true(turn_until(fixture, &first.ended, 1, WAIT_MS));
    assert_true(turn_until(fixture, &second.ended, 1, WAIT_MS));
    assert_in_range(test_now_ms() - begin, DEAF_MS - 10, PULSE_MS + PULSE_MS / 3 + DEAF_MS + 2000);
    assert_int_equal(first.code, -ETIMEDOUT);
    assert_int_equal(second.code, -ETIMEDOUT);
    assert_non_null(strstr(first.err.text, "the connection is dead"));
    assert_int_equal(other.ended, 0);
    http_call_cancel(other.call);
    text_done(&first.body);
    text_done(&second.body);
    text_done(&other.body);
    text_done(&request);
}

/* The kernel still greets, and the program does nothing: TLS does not begin. */
static void ends_what_hangs_in_greeting(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    char url[256];
    use_pulses(fixture);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/watch", listen_raw(fixture));
    text_add(&fixture->stream->next, "one;");
    get(&seen, fixture, url, 0);
    cleanup_close int fd = accept_raw(fixture);
    struct socket_address to = http_server_address(fixture->server);
    cleanup_close int onwards = test_connect(&to);
    carry(fixture, fd, onwards, &seen.headers);
    assert_int_equal(seen.status, 200);
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_int_equal(seen.code, -ETIMEDOUT);
    text_done(&seen.body);
}

/* Something else came from the server while the pulse was unanswered, or nothing can be said of it. */
static void is_careful(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct text request = {0};
    use_pulses(fixture);
    unsigned short port = listen_raw(fixture);
    cleanup_close int fd = begin_raw(&seen, fixture, port);
    cleanup_close int pulse = accept_raw(fixture);
    assert_true(test_receive(&fixture->loop, pulse, &request, "\r\n\r\n", WAIT_MS));
    test_turn(&fixture->loop, 50);
    assert_true(test_send(fd, "4\r\ntwo;\r\n", 9));
    assert_true(turn_until_text(fixture, &seen.body, "two;"));
    test_turn(&fixture->loop, DEAF_MS);
    assert_int_equal(seen.ended, 0);
    /* Nobody takes new connections any more; that is not what this one lives by. */
    close(fixture->listener);
    fixture->listener = -1;
    test_turn(&fixture->loop, 2 * (PULSE_MS + PULSE_MS / 3) + DEAF_MS);
    assert_int_equal(seen.ended, 0);
    assert_true(fixture->answered[0] >= 2);
    http_call_cancel(seen.call);
    text_done(&seen.body);
    text_done(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(silence_is_no_death, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_in_silence_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_the_dead, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_what_hangs_in_greeting, setup, teardown),
        cmocka_unit_test_setup_teardown(is_careful, setup, teardown),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
