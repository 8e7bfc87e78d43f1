/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/events.h"

#include "base/cleanup.h"
#include "source/reflector.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define CALL_MS 10000
#define NS_PER_SECOND 1000000000

struct events {
    struct cluster *cluster;
    uv_loop_t *loop;
    struct event_book *book;
    struct call_rate rate;
    uv_timer_t timer;
    struct http_call *call; /* NULL: none is under way */
    struct http_call_headers answer;
    bool has_leave; /* the bucket has given the next write */
    bool is_off, is_full;
    unsigned refused; /* the status that was complained of last */
    void (*complain)(void *context, const char *sentence);
    void *context;
};

static struct event_time now_of(const struct events *events)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct event_time){(int64_t)wall.tv_sec * NS_PER_SECOND + wall.tv_nsec, uv_now(events->loop)};
}

static uint64_t random_number(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        number = uv_hrtime();
    return number;
}

__attribute__((format(printf, 2, 3))) static void say(struct events *events, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    events->complain(events->context, sentence);
}

/* --- one write after the other --- */

static void on_timer(uv_timer_t *timer);

static void look(struct events *events, uint64_t wait_ms)
{
    if (!events->call && !events->is_off && wait_ms != UINT64_MAX)
        uv_timer_start(&events->timer, on_timer, wait_ms, 0);
}

static void finish(struct events *events, unsigned status)
{
    const char *what;
    enum event_outcome outcome = event_book_ended(events->book, status, events->answer.retry_after_s,
                                                  now_of(events), random_number(), &what);
    events->call = NULL;
    if (status == 401)
        cluster_unauthorized(events->cluster);
    if (outcome == EVENT_ABSENT) {
        events->is_off = true;
        say(events, "the apiserver has no events (%s: status %u), none are told from now on", what, status);
    } else if (outcome == EVENT_GIVEN_UP) {
        say(events, "event %s could not be written (status %u), it is forgotten", what, status);
    } else if (outcome == EVENT_REFUSED && events->refused != status) {
        events->refused = status;
        say(events, "the apiserver refused event %s with status %u", what, status);
    } else if (outcome == EVENT_WRITTEN) {
        events->refused = 0;
        events->is_full = false;
    }
    look(events, 0);
}

static void on_headers(void *context, const struct http_call_headers *headers)
{
    struct events *events = context;
    events->answer.status = headers->status;
    events->answer.retry_after_s = headers->retry_after_s;
}

static void on_ended(void *context, int code, const struct err *err)
{
    struct events *events = context;
    (void)err;
    finish(events, code < 0 ? 0 : events->answer.status);
}

static void begin(struct events *events, const struct event_write *write)
{
    static const struct http_call_ops ops = {on_headers, NULL, on_ended};
    const struct cluster_request request = {
        .method = write->method,
        .path = write->path,
        .accept = "application/json",
        .content_type = write->content_type,
        .body = write->body,
        .body_len = strlen(write->body),
        .timeout_ms = CALL_MS,
    };
    struct err err;
    events->answer = (struct http_call_headers){0};
    if (cluster_call(events->cluster, &request, &ops, events, &events->call, &err) < 0)
        finish(events, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct events *events = timer->data;
    struct event_write write;
    uint64_t wait_ms;
    if (!event_book_next(events->book, now_of(events), &write, &wait_ms)) {
        look(events, wait_ms);
        return;
    }
    wait_ms = events->has_leave ? 0 : call_rate_take(&events->rate, uv_now(events->loop));
    events->has_leave = wait_ms > 0;
    if (wait_ms > 0)
        look(events, wait_ms);
    else
        begin(events, &write);
}

/* --- the whole --- */

struct events *events_open(struct cluster *cluster, uv_loop_t *loop, const char *controller,
                           const char *instance, void (*complain)(void *context, const char *sentence),
                           void *context)
{
    struct events *events = xcalloc(1, sizeof(*events));
    events->cluster = cluster;
    events->loop = loop;
    events->book = event_book_new(controller, instance);
    events->complain = complain;
    events->context = context;
    call_rate_init(&events->rate, 0, 0);
    uv_timer_init(loop, &events->timer);
    events->timer.data = events;
    return events;
}

void events_post(struct events *events, const struct event *event)
{
    if (!events || events->is_off)
        return;
    bool is_kept = event_book_post(events->book, event, now_of(events));
    if (!is_kept && !events->is_full)
        say(events, "more events than can be told: %s is the first that is forgotten (%d are kept)",
            event->reason, EVENT_BOOK_MAX);
    events->is_full = !is_kept;
    look(events, 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void events_close(struct events *events)
{
    if (!events)
        return;
    if (events->call)
        http_call_cancel(events->call);
    event_book_free(events->book);
    uv_close((uv_handle_t *)&events->timer, on_closed);
}
