/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apiserver.h"

#include "source/selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SELECTIONS_MAX 64
#define SERVER_MAX 300
#define BATCH_MS 50     /* so long changes may be gathered while more of them keep coming */
#define SPACING_MS 20   /* from one settling to the next; the first after a pause is at once */
#define LISTING_MS 1000 /* so long changes wait while a list is under way */

/* A selection and its connection. */
struct reading {
    struct apiserver_source *source;
    struct selection selection;
    struct http_call *call;  /* NULL between calls */
    uv_timer_t timer;        /* the next call, or a look at the one under way */
    bool has_leave;          /* the bucket has given it a call */
    uint64_t throttled_ms;   /* for which it had to wait so long */
    char server[SERVER_MAX]; /* asked by the call */
};

struct apiserver_source {
    struct cluster *cluster;
    uv_loop_t *loop;
    struct source_sink sink;
    struct source_status status;
    void (*synced)(void *context);
    struct call_rate rate;
    uv_timer_t settle_timer;
    bool is_synced;
    bool has_told;       /* since settled was called last */
    bool has_news;       /* something came since the timer was set */
    uint64_t told_ms;    /* when the first of it was told */
    uint64_t settled_ms; /* when it was called */
    unsigned open_timers;
    struct apiserver_selection *what;
    size_t count;
    struct reading readings[];
};

static uint64_t random_number(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        number = uv_hrtime();
    return number;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct reading *reading, uint64_t wait_ms)
{
    uv_timer_start(&reading->timer, on_timer, wait_ms, 0);
}

/* --- settling: one call for all that is at hand --- */

static bool is_listing(const struct apiserver_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        if (selection_is_listing(&source->readings[i].selection))
            return true;
    return false;
}

static void settle(struct apiserver_source *source)
{
    uv_timer_stop(&source->settle_timer);
    source->has_told = false;
    source->settled_ms = uv_now(source->loop);
    source->status.generation++;
    source->sink.settled(source->sink.context);
}

/* The timer fires once in each turn of the loop: after a turn in which nothing came, everything at hand was
 * read. */
static void on_settle(uv_timer_t *timer)
{
    struct apiserver_source *source = timer->data;
    uint64_t now_ms = uv_now(source->loop), age_ms = now_ms - source->told_ms;
    bool has_news = source->has_news;
    source->has_news = false;
    if (is_listing(source) && age_ms < LISTING_MS)
        uv_timer_start(timer, on_settle, LISTING_MS - age_ms, 0);
    else if (now_ms < source->settled_ms + SPACING_MS)
        uv_timer_start(timer, on_settle, source->settled_ms + SPACING_MS - now_ms, 0);
    else if (has_news && age_ms < BATCH_MS)
        uv_timer_start(timer, on_settle, 0, 0);
    else
        settle(source);
}

static void note_told(struct apiserver_source *source, struct selection *selection)
{
    if (!selection->has_told)
        return;
    selection->has_told = false;
    source->has_news = true;
    if (source->has_told || !source->is_synced)
        return;
    source->has_told = true;
    source->told_ms = uv_now(source->loop);
    uv_timer_start(&source->settle_timer, on_settle, 0, 0);
}

/* After whatever came: the end of the first lists, or of a later one. */
static void look(struct reading *reading, bool was_listing)
{
    struct apiserver_source *source = reading->source;
    note_told(source, &reading->selection);
    if (source->is_synced) {
        if (was_listing && source->has_told && !is_listing(source))
            uv_timer_start(&source->settle_timer, on_settle, 0, 0);
        return;
    }
    for (size_t i = 0; i < source->count; i++)
        if (!selection_is_settled(&source->readings[i].selection))
            return;
    source->is_synced = true;
    source->synced(source->sink.context);
    settle(source);
}

/* --- calls --- */

static void on_headers(void *context, const struct http_call_headers *headers)
{
    struct reading *reading = context;
    selection_headers(&reading->selection, headers, uv_now(reading->source->loop));
}

static bool on_data(void *context, const char *bytes, size_t len)
{
    struct reading *reading = context;
    bool was_listing = selection_is_listing(&reading->selection);
    bool goes_on = selection_data(&reading->selection, bytes, len, uv_now(reading->source->loop));
    look(reading, was_listing);
    return goes_on;
}

static void finish(struct reading *reading, int code, const struct err *err)
{
    struct apiserver_source *source = reading->source;
    bool was_listing = selection_is_listing(&reading->selection);
    reading->call = NULL;
    struct reflector_next next =
        selection_ended(&reading->selection, code, err, uv_now(source->loop), random_number());
    if (next.is_unauthorized)
        cluster_unauthorized(source->cluster);
    /* Of several that find one server away the first alone moves on. */
    if (next.doubts_server && strcmp(cluster_server(source->cluster), reading->server) == 0)
        cluster_next(source->cluster);
    arm(reading, next.wait_ms);
    look(reading, was_listing);
}

static void on_ended(void *context, int code, const struct err *err)
{
    finish(context, code, err);
}

static void begin(struct reading *reading)
{
    static const struct http_call_ops ops = {on_headers, on_data, on_ended};
    struct apiserver_source *source = reading->source;
    struct text path = {0};
    struct cluster_request request = {.method = "GET"};
    struct err err = {0};
    uint64_t wait_ms;
    strncpy(reading->server, cluster_server(source->cluster), sizeof(reading->server) - 1);
    selection_begin(&reading->selection, uv_now(source->loop), random_number(), &path, &request.accept);
    request.path = text_str(&path);
    request.is_stream = reading->selection.reflector.call != REFLECTOR_LIST;
    request.throttled_ms = reading->throttled_ms;
    int code = cluster_call(source->cluster, &request, &ops, reading, &reading->call, &err);
    text_done(&path);
    if (code < 0)
        finish(reading, code, &err);
    else if (!selection_is_overdue(&reading->selection, uv_now(source->loop), &wait_ms))
        arm(reading, wait_ms);
}

static void on_timer(uv_timer_t *timer)
{
    struct reading *reading = timer->data;
    uint64_t now_ms = uv_now(reading->source->loop), wait_ms;
    if (reading->call) {
        if (!selection_is_overdue(&reading->selection, now_ms, &wait_ms)) {
            arm(reading, wait_ms);
            return;
        }
        http_call_cancel(reading->call);
        finish(reading, -ETIMEDOUT, NULL);
        return;
    }
    wait_ms = reading->has_leave ? 0 : call_rate_take(&reading->source->rate, now_ms);
    reading->throttled_ms = reading->has_leave ? reading->throttled_ms : wait_ms;
    reading->has_leave = wait_ms > 0;
    if (wait_ms > 0)
        arm(reading, wait_ms);
    else
        begin(reading);
}

/* --- the whole --- */

static void copy_selections(struct apiserver_source *source, const struct apiserver_source_options *options)
{
    source->what = xcalloc(options->selection_count, sizeof(*source->what));
    for (size_t i = 0; i < options->selection_count; i++) {
        struct apiserver_selection *what = &source->what[i];
        *what = options->selections[i];
        what->label_selector = xstrdup(api_text(what->label_selector));
        what->field_selector = xstrdup(api_text(what->field_selector));
    }
}

static void open_reading(struct apiserver_source *source, const struct apiserver_source_options *options,
                         size_t number)
{
    struct reading *reading = &source->readings[number];
    reading->source = source;
    selection_init(&reading->selection, &source->what[number], options->page, options->prefers_json,
                   &source->sink, &source->status);
    uv_timer_init(source->loop, &reading->timer);
    reading->timer.data = reading;
    source->open_timers++;
    arm(reading, 0);
}

int apiserver_source_open(struct apiserver_source **ret, struct cluster *cluster, uv_loop_t *loop,
                          const struct apiserver_source_options *options, const struct source_sink *sink,
                          void (*synced)(void *context), struct err *err)
{
    if (options->selection_count == 0 || options->selection_count > SELECTIONS_MAX)
        return err_set(err, EINVAL, "%zu selections are none, or more than %d", options->selection_count,
                       SELECTIONS_MAX);
    struct apiserver_source *source =
        xcalloc(1, sizeof(*source) + options->selection_count * sizeof(struct reading));
    source->cluster = cluster;
    source->loop = loop;
    source->sink = *sink;
    source->synced = synced;
    source->count = options->selection_count;
    call_rate_init(&source->rate, options->qps, options->burst);
    copy_selections(source, options);
    uv_timer_init(loop, &source->settle_timer);
    source->settle_timer.data = source;
    source->open_timers = 1;
    for (size_t i = 0; i < source->count; i++)
        open_reading(source, options, i);
    *ret = source;
    return 0;
}

static void release(struct apiserver_source *source)
{
    if (--source->open_timers == 0)
        free(source);
}

static void on_reading_closed(uv_handle_t *handle)
{
    release(((struct reading *)handle->data)->source);
}

static void on_settle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void apiserver_source_close(struct apiserver_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->count; i++) {
        struct reading *reading = &source->readings[i];
        if (reading->call)
            http_call_cancel(reading->call);
        selection_done(&reading->selection);
        free((char *)source->what[i].label_selector);
        free((char *)source->what[i].field_selector);
        uv_close((uv_handle_t *)&reading->timer, on_reading_closed);
    }
    free(source->what);
    uv_close((uv_handle_t *)&source->settle_timer, on_settle_closed);
}

const struct source_status *apiserver_source_status(const struct apiserver_source *source)
{
    return &source->status;
}
