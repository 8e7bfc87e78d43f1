/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/event_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS 60000

static const struct event starting = {
    .reason = "Starting",
    .action = "Start",
    .note = "",
    .regarding = {"v1", "Node", "", "n1"},
};
static const struct event failed = {
    .is_warning = true,
    .reason = "Failed",
    .action = "Listen",
    .note = "port 5 is \"taken\"",
    .regarding = {"v1", "Service", "shop", "web"},
};

static struct event_time at(uint64_t ms)
{
    return (struct event_time){1700000000123456789 + (int64_t)ms * 1000000, ms};
}

static int open_book(void **state)
{
    *state = event_book_new("kube-proxy", "kube-proxy-n1");
    return 0;
}

static int close_book(void **state)
{
    event_book_free(*state);
    return 0;
}

/* What is due: "POST path body", or the time until then. */
static void expect(struct event_book *book, uint64_t ms, const char *method, const char *path,
                   const char *body)
{
    struct event_write write;
    uint64_t wait_ms;
    assert_true(event_book_next(book, at(ms), &write, &wait_ms));
    assert_string_equal(write.method, method);
    assert_string_equal(write.path, path);
    assert_string_equal(write.body, body);
}

static void expect_wait(struct event_book *book, uint64_t ms, uint64_t wanted_ms)
{
    struct event_write write;
    uint64_t wait_ms = 0;
    assert_false(event_book_next(book, at(ms), &write, &wait_ms));
    assert_true(wait_ms == wanted_ms);
}

static void ended(struct event_book *book, uint64_t ms, unsigned status, enum event_outcome outcome)
{
    const char *what;
    assert_int_equal(event_book_ended(book, status, 0, at(ms), 0, &what), outcome);
    assert_non_null(strstr(what, " of "));
}

#define NODE_PATH "/apis/events.k8s.io/v1/namespaces/default/events"
#define NODE_BODY                                                                                            \
    "{\"apiVersion\":\"events.k8s.io/"                                                                       \
    "v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"n1.17979cfe3d85cd15\","                                \
    "\"namespace\":\"default\"},\"eventTime\":\"2023-11-14T22:13:20.123456Z\",\"reportingController\":"      \
    "\"kube-proxy\",\"reportingInstance\":\"kube-proxy-n1\",\"action\":\"Start\",\"reason\":\"Starting\","   \
    "\"regarding\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\"},\"note\":\"\",\"type\":"        \
    "\"Normal\"}"

static void one_event_is_created_once(void **state)
{
    struct event_book *book = *state;
    expect_wait(book, 0, UINT64_MAX);
    assert_true(event_book_post(book, &starting, at(0)));
    expect(book, 0, "POST", NODE_PATH, NODE_BODY);
    ended(book, 10, 201, EVENT_WRITTEN);
    expect_wait(book, 10, 6 * MINUTE_MS - 10);
    expect_wait(book, 6 * MINUTE_MS, UINT64_MAX); /* forgotten: the next is another event */
    assert_true(event_book_post(book, &starting, at(7 * MINUTE_MS)));
    struct event_write write;
    uint64_t wait_ms;
    assert_true(event_book_next(book, at(7 * MINUTE_MS), &write, &wait_ms));
    assert_string_equal(write.method, "POST");
}

static void what_is_about_an_object_stands_in_its_namespace(void **state)
{
    struct event_book *book = *state;
    struct event_write write;
    uint64_t wait_ms;
    assert_true(event_book_post(book, &failed, at(0)));
    assert_true(event_book_next(book, at(0), &write, &wait_ms));
    assert_string_equal(write.path, "/apis/events.k8s.io/v1/namespaces/shop/events");
    assert_string_equal(write.content_type, "application/json");
    assert_non_null(strstr(write.body, "\"type\":\"Warning\""));
    assert_non_null(strstr(write.body, "\"name\":\"web\",\"namespace\":\"shop\""));
    assert_non_null(strstr(write.body, "\"note\":\"port 5 is \\\"taken\\\"\""));
    ended(book, 1, 404, EVENT_REFUSED); /* the namespace is going */
    expect_wait(book, 2, UINT64_MAX);
}

#define SERIES_PATH NODE_PATH "/n1.17979cfe3d85cd15"

static void equal_events_become_a_series(void **state)
{
    struct event_book *book = *state;
    event_book_post(book, &starting, at(0));
    expect(book, 0, "POST", NODE_PATH, NODE_BODY);
    ended(book, 0, 201, EVENT_WRITTEN);
    event_book_post(book, &starting, at(1000));
    expect(book, 1000, "PATCH", SERIES_PATH,
           "{\"series\":{\"count\":2,\"lastObservedTime\":\"2023-11-14T22:13:21.123456Z\"}}");
    ended(book, 1000, 200, EVENT_WRITTEN);
    for (uint64_t ms = 2000; ms <= 100000; ms += 1000) /* are counted here alone */
        event_book_post(book, &starting, at(ms));
    expect_wait(book, 100000, 6 * MINUTE_MS);
    expect(book, 100000 + 6 * MINUTE_MS, "PATCH", SERIES_PATH,
           "{\"series\":{\"count\":101,\"lastObservedTime\":\"2023-11-14T22:15:00.123456Z\"}}");
    ended(book, 100000 + 6 * MINUTE_MS, 200, EVENT_WRITTEN);
    expect_wait(book, 100000 + 6 * MINUTE_MS, UINT64_MAX);
}

static void a_series_that_goes_on_is_written_each_half_hour(void **state)
{
    struct event_book *book = *state;
    event_book_post(book, &starting, at(0));
    expect(book, 0, "POST", NODE_PATH, NODE_BODY);
    event_book_post(book, &starting, at(0)); /* while the first is under way */
    ended(book, 0, 201, EVENT_WRITTEN);
    expect(book, 0, "PATCH", SERIES_PATH,
           "{\"series\":{\"count\":2,\"lastObservedTime\":\"2023-11-14T22:13:20.123456Z\"}}");
    ended(book, 0, 200, EVENT_WRITTEN);
    for (uint64_t ms = MINUTE_MS; ms <= 29 * MINUTE_MS; ms += MINUTE_MS)
        event_book_post(book, &starting, at(ms));
    expect_wait(book, 29 * MINUTE_MS, MINUTE_MS);
    expect(book, 30 * MINUTE_MS, "PATCH", SERIES_PATH,
           "{\"series\":{\"count\":31,\"lastObservedTime\":\"2023-11-14T22:42:20.123456Z\"}}");
}

static void a_series_whose_event_is_gone_is_created_anew(void **state)
{
    struct event_book *book = *state;
    struct event_write write;
    uint64_t wait_ms;
    event_book_post(book, &starting, at(0));
    expect(book, 0, "POST", NODE_PATH, NODE_BODY);
    ended(book, 0, 201, EVENT_WRITTEN);
    event_book_post(book, &starting, at(0));
    assert_true(event_book_next(book, at(0), &write, &wait_ms));
    ended(book, 0, 404, EVENT_RETRIED);
    assert_true(event_book_next(book, at(0), &write, &wait_ms));
    assert_string_equal(write.method, "POST");
    assert_non_null(strstr(write.body, "\"series\":{\"count\":2,"));
    ended(book, 0, 409, EVENT_WRITTEN); /* somebody has it after all */
    assert_true(event_book_next(book, at(0), &write, &wait_ms));
    assert_string_equal(write.method, "PATCH");
}

static void a_server_that_cannot_make_up_its_mind_is_given_up(void **state)
{
    struct event_book *book = *state;
    struct event_write write;
    uint64_t wait_ms;
    unsigned calls = 0;
    event_book_post(book, &starting, at(0));
    event_book_post(book, &starting, at(0));
    while (calls < 100 && event_book_next(book, at(0), &write, &wait_ms))
        event_book_ended(book, *write.method == 'P' && write.method[1] == 'O' ? 409 : 404, 0, at(calls++), 0,
                         NULL);
    assert_in_range(calls, 3, 2 * EVENT_TRIES_MAX);
}

static void a_server_that_is_away_is_asked_again_for_a_while(void **state)
{
    static const unsigned statuses[] = {0, 401, 429, 500, 503};
    struct event_book *book = *state;
    uint64_t ms = 0;
    event_book_post(book, &starting, at(0));
    for (unsigned tries = 1; tries < EVENT_TRIES_MAX; tries++) {
        expect(book, ms, "POST", NODE_PATH, NODE_BODY);
        ended(book, ms, statuses[tries % 5], EVENT_RETRIED);
        event_book_post(book, &failed, at(ms));
        expect_wait(book, ms, EVENT_RETRY_MS);
        ms += EVENT_RETRY_MS;
    }
    expect(book, ms, "POST", NODE_PATH, NODE_BODY);
    ended(book, ms, 0, EVENT_GIVEN_UP);
    expect_wait(book, ms, EVENT_RETRY_MS);
    struct event_write write;
    uint64_t wait_ms;
    assert_true(event_book_next(book, at(ms + EVENT_RETRY_MS), &write, &wait_ms));
    assert_int_equal(event_book_ended(book, 429, 60, at(ms), 0, NULL), EVENT_RETRIED);
    expect_wait(book, ms, 60000);
}

static void what_is_refused_is_forgotten(void **state)
{
    static const struct {
        unsigned status;
        enum event_outcome outcome;
    } cases[] = {{403, EVENT_REFUSED}, {422, EVENT_REFUSED}, {404, EVENT_ABSENT}, {409, EVENT_WRITTEN}};
    struct event_book *book = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event event = starting;
        struct event_write write;
        uint64_t wait_ms;
        char name[8];
        snprintf(name, sizeof(name), "n%zu", i);
        event.regarding.name = name;
        event_book_post(book, &event, at(0));
        assert_true(event_book_next(book, at(0), &write, &wait_ms));
        ended(book, 0, cases[i].status, cases[i].outcome);
    }
    expect_wait(book, 0, 6 * MINUTE_MS); /* the last one alone is remembered */
}

static void it_has_an_end(void **state)
{
    struct event_book *book = *state;
    char name[16], note[3000];
    struct event event = starting;
    struct event_write write;
    uint64_t wait_ms;
    event.regarding.name = name;
    event.note = note;
    note[0] = 'x'; /* so that byte 1024 is in the middle of a character */
    for (size_t i = 1; i < sizeof(note); i++)
        note[i] = (char)(i % 2 ? 0xc3 : 0xa9);
    note[sizeof(note) - 1] = '\0';
    for (int i = 0; i < EVENT_BOOK_MAX; i++) {
        snprintf(name, sizeof(name), i ? "n%d" : "A_%d", i);
        assert_true(event_book_post(book, &event, at(0)));
    }
    snprintf(name, sizeof(name), "more");
    assert_false(event_book_post(book, &event, at(0)));
    snprintf(name, sizeof(name), "n5");
    assert_true(event_book_post(book, &event, at(0)));
    assert_true(event_book_next(book, at(0), &write, &wait_ms));
    assert_non_null(strstr(write.body, "\"name\":\"event.17979cfe3d85cd15\"")); /* A_0 is no name */
    const char *from = strstr(write.body, "\"note\":\"");
    assert_int_equal(strcspn(from + 8, "\""), 1023);
    ended(book, 0, 201, EVENT_WRITTEN);
}

int main(void)
{
#define WITH_BOOK(test) cmocka_unit_test_setup_teardown(test, open_book, close_book)
    const struct CMUnitTest tests[] = {
        WITH_BOOK(one_event_is_created_once),
        WITH_BOOK(what_is_about_an_object_stands_in_its_namespace),
        WITH_BOOK(equal_events_become_a_series),
        WITH_BOOK(a_series_that_goes_on_is_written_each_half_hour),
        WITH_BOOK(a_series_whose_event_is_gone_is_created_anew),
        WITH_BOOK(a_server_that_cannot_make_up_its_mind_is_given_up),
        WITH_BOOK(a_server_that_is_away_is_asked_again_for_a_while),
        WITH_BOOK(what_is_refused_is_forgotten),
        WITH_BOOK(it_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
