/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One thread has the writer and all watchers, so nothing but their bytes wakes it. What a watcher's event
 * cost this thread is in its time; the kernel's own stamp on the bytes, beside it, is without. */
#include "answer.h"
#include "api_bench.h"
#include "api_objects.h"
#include "base/cleanup.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SLICES "/apis/discovery.k8s.io/v1/endpointslices"
#define JSON "application/json"
#define PROTOBUF "application/vnd.kubernetes.protobuf"
/* Every fourth asks for what kube-proxy does. */
#define SELECTED_EACH 4
#define SELECTOR                                                                                             \
    "&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name%2C%21service.kubernetes.io%2Fheadless"
#define EVENT_LIMIT_NS ((int64_t)10 * 1000000000)
#define MARK_LEN (sizeof(OBJECT_MARK) - 1 + OBJECT_MARK_DIGITS)

struct watcher {
    struct client client;
    bool is_protobuf, is_selected;
    unsigned seen; /* the last mark */
    size_t bytes;
};

struct round {
    unsigned mark;
    int64_t sent_ns, answered_ns, real_offset_ns; /* from CLOCK_MONOTONIC to CLOCK_REALTIME */
    int64_t last_ns;                              /* the last watcher's event */
    unsigned waiting;                             /* watchers that have not seen it */
    bool is_answered;
};

struct figures {
    struct series sent_to_event, sent_to_socket, answer_to_event, sent_to_last, answer_to_last, answer;
    struct series json, protobuf, put, patch; /* parts of sent_to_event, and of answer */
};

struct run {
    const struct api_bench *bench;
    int epoll;
    struct client writer;
    struct watcher *watchers;
    struct round round;
    struct figures figures;
    uint64_t revision;
    int64_t opened_ns;
};

static int64_t clock_real(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- opening --- */

static int present_revision(struct run *run, struct err *err)
{
    struct client_request request = {"GET", SLICES "?limit=1", JSON, NULL, NULL};
    int code = client_ask(&run->writer, &request, 200, err);

    if (code < 0)
        return code;
    json_t *tree = json_loadb(run->writer.body.data, run->writer.body.len, 0, NULL);
    json_t *metadata = json_object_get(tree, "metadata");
    const char *revision = json_string_value(json_object_get(metadata, "resourceVersion"));
    run->revision = revision ? strtoull(revision, NULL, 10) : 0;
    json_decref(tree);
    return run->revision ? 0 : err_set(err, EPROTO, "the list of slices has no resourceVersion");
}

static int epoll_join(struct run *run, struct client *client, struct watcher *watcher, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watcher};

    client_be_impatient(client);
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        return err_set(err, errno, "epoll: %s", strerror(errno));
    return 0;
}

static int watcher_open(struct run *run, unsigned number, struct err *err)
{
    struct watcher *watcher = &run->watchers[number];
    cleanup_with(text_done) struct text path = {0};
    struct client_request request = {.method = "GET"};
    int code = client_open(&watcher->client, &run->bench->server, err);

    watcher->is_protobuf = number % 2;
    watcher->is_selected = number / 2 % SELECTED_EACH == 0;
    text_printf(&path, SLICES "?watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion=%llu%s",
                (unsigned long long)run->revision, watcher->is_selected ? SELECTOR : "");
    request.path = path.data;
    request.accept = watcher->is_protobuf ? PROTOBUF ";stream=watch" : JSON;
    if (code == 0)
        code = client_send(&watcher->client, &request, err);
    while (code == 0 && (watcher->client.reply.stage == REPLY_HEAD ||
                         (watcher->client.reply.status != 200 && watcher->client.reply.stage != REPLY_DONE)))
        code = client_read(&watcher->client, err);
    if (code == 0 && watcher->client.reply.status != 200)
        code = err_set(err, EPROTO, "watch %u: status %u: %.200s", number, watcher->client.reply.status,
                       text_str(&watcher->client.body));
    return code < 0 ? code : epoll_join(run, &watcher->client, watcher, err);
}

static int open_all(struct run *run, struct err *err)
{
    int code = client_open(&run->writer, &run->bench->server, err);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = run};

    if (code == 0)
        code = present_revision(run, err);
    int64_t begin_ns = clock_now();
    for (unsigned i = 0; i < run->bench->watchers && code == 0; i++)
        code = watcher_open(run, i, err);
    run->opened_ns = clock_now() - begin_ns;
    if (code == 0)
        code = epoll_join(run, &run->writer, NULL, err);
    if (code == 0 && epoll_ctl(run->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
        code = err_set(err, errno, "epoll: standard input has to be a pipe: %s", strerror(errno));
    return code;
}

/* --- events --- */

static void event_note(struct run *run, struct watcher *watcher)
{
    struct round *round = &run->round;
    struct figures *figures = &run->figures;
    int64_t now_ns = clock_now(), took_ns = now_ns - round->sent_ns;

    watcher->seen = round->mark;
    round->last_ns = now_ns;
    round->waiting--;
    series_add(&figures->sent_to_event, took_ns);
    series_add(watcher->is_protobuf ? &figures->protobuf : &figures->json, took_ns);
    series_add(&figures->sent_to_socket, watcher->client.arrived_ns - round->real_offset_ns - round->sent_ns);
    if (round->is_answered)
        series_add(&figures->answer_to_event, now_ns - round->answered_ns);
}

static unsigned mark_number(const char *at)
{
    char digits[OBJECT_MARK_DIGITS + 1] = {0};

    memcpy(digits, at, OBJECT_MARK_DIGITS);
    return (unsigned)strtoul(digits, NULL, 10);
}

/* Looks for the mark of this round; keeps what may be the first part of one. */
static void marks_find(struct run *run, struct watcher *watcher)
{
    struct text *body = &watcher->client.body;
    char *at = body->data, *end = at + body->len;

    while (end - at >= (ptrdiff_t)MARK_LEN &&
           (at = memmem(at, (size_t)(end - at), OBJECT_MARK, strlen(OBJECT_MARK)))) {
        if (end - at < (ptrdiff_t)MARK_LEN)
            break;
        at += strlen(OBJECT_MARK);
        if (run->round.mark && watcher->seen != run->round.mark && mark_number(at) == run->round.mark)
            event_note(run, watcher);
    }
    size_t kept = body->len < MARK_LEN ? body->len : MARK_LEN - 1;
    watcher->bytes += body->len - kept;
    memmove(body->data, end - kept, kept);
    body->len = kept;
}

static int watcher_pump(struct run *run, struct watcher *watcher, struct err *err)
{
    int code;

    while ((code = client_read(&watcher->client, err)) == 0) {
        if (watcher->client.body.len)
            marks_find(run, watcher);
        if (watcher->client.reply.stage == REPLY_DONE)
            return err_set(err, EPIPE, "the server ended a watch");
    }
    return code == -EAGAIN ? 0 : code;
}

static int writer_pump(struct run *run, struct err *err)
{
    int code;

    while ((code = client_read(&run->writer, err)) == 0)
        if (run->writer.reply.stage == REPLY_DONE && run->round.mark) {
            run->round.is_answered = true;
            run->round.answered_ns = clock_now();
        }
    if (run->round.is_answered && run->writer.reply.status != 200)
        return err_set(err, EPROTO, "write %u: status %u: %.200s", run->round.mark, run->writer.reply.status,
                       text_str(&run->writer.body));
    return code == -EAGAIN ? 0 : code;
}

/* Takes in what comes until the deadline, or in one wait. *ret_input: standard input has something to say. */
static int pump(struct run *run, int64_t deadline_ns, bool *ret_input, struct err *err)
{
    struct epoll_event events[256];
    int64_t left_ns = deadline_ns - clock_now();
    int count =
        epoll_wait(run->epoll, events, ARRAY_LEN(events), left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0);
    int code = 0;

    for (int i = 0; i < count && code == 0; i++) {
        if (events[i].data.ptr == run)
            *ret_input = true;
        else if (events[i].data.ptr)
            code = watcher_pump(run, events[i].data.ptr, err);
        else
            code = writer_pump(run, err);
    }
    return code;
}

static int wait_input(struct run *run, struct err *err)
{
    bool has_input = false;
    char word[64];
    int code = 0;

    while (code == 0 && !has_input)
        code = pump(run, clock_now() + EVENT_LIMIT_NS, &has_input, err);
    if (code == 0 && read(STDIN_FILENO, word, sizeof(word)) < 0)
        return err_set(err, errno, "standard input: %s", strerror(errno));
    return code;
}

/* --- writes --- */

static int write_send(struct run *run, struct err *err)
{
    struct round *round = &run->round;
    unsigned number = (unsigned)((uint64_t)round->mark * 7919 % run->bench->services);
    cleanup_with(text_done) struct text path = {0}, body = {0};
    bool is_patch = round->mark % 2;
    struct client_request request = {is_patch ? "PATCH" : "PUT", NULL, JSON,
                                     is_patch ? "application/merge-patch+json" : JSON, &body};

    object_slice_path(number, &path);
    request.path = path.data;
    if (is_patch)
        object_slice_patch(number, round->mark, &body);
    else
        object_slice(number, round->mark, &body);
    round->real_offset_ns = clock_real() - clock_now();
    round->sent_ns = clock_now();
    return client_send(&run->writer, &request, err);
}

static void round_note(struct run *run)
{
    const struct round *round = &run->round;
    struct figures *figures = &run->figures;
    int64_t answer_ns = round->answered_ns - round->sent_ns;

    series_add(&figures->answer, answer_ns);
    series_add(round->mark % 2 ? &figures->patch : &figures->put, answer_ns);
    series_add(&figures->sent_to_last, round->last_ns - round->sent_ns);
    series_add(&figures->answer_to_last, round->last_ns - round->answered_ns);
}

static int write_one(struct run *run, unsigned mark, struct err *err)
{
    struct round *round = &run->round;
    bool has_input = false;

    *round = (struct round){.mark = mark, .waiting = run->bench->watchers};
    int code = write_send(run, err);
    int64_t deadline_ns = round->sent_ns + EVENT_LIMIT_NS;
    while (code == 0 && (!round->is_answered || round->waiting)) {
        if (clock_now() >= deadline_ns)
            return err_set(err, ETIMEDOUT, "write %u: %s, and %u of %u watchers have not seen it after %d s",
                           mark, round->is_answered ? "answered" : "not answered", round->waiting,
                           run->bench->watchers, (int)(EVENT_LIMIT_NS / 1000000000));
        code = pump(run, deadline_ns, &has_input, err);
    }
    if (code == 0)
        round_note(run);
    int64_t next_ns = round->sent_ns + (int64_t)run->bench->space_ms * 1000000;
    while (code == 0 && clock_now() < next_ns)
        code = pump(run, next_ns, &has_input, err);
    return code;
}

/* --- figures --- */

static void figures_print(struct run *run)
{
    struct figures *figures = &run->figures;
    cleanup_with(text_done) struct text line = {0};
    const struct {
        const char *name;
        struct series *series;
    } rows[] = {
        {"sent_to_event", &figures->sent_to_event},
        {"sent_to_socket", &figures->sent_to_socket},
        {"answer_to_event", &figures->answer_to_event},
        {"sent_to_last", &figures->sent_to_last},
        {"answer_to_last", &figures->answer_to_last},
        {"answer", &figures->answer},
        {"answer_put", &figures->put},
        {"answer_patch", &figures->patch},
        {"sent_to_event_json", &figures->json},
        {"sent_to_event_protobuf", &figures->protobuf},
    };
    size_t bytes = 0;

    for (unsigned i = 0; i < run->bench->watchers; i++)
        bytes += run->watchers[i].bytes;
    text_printf(&line, "{\"watchers\": %u, \"writes\": %u, \"space_ms\": %u, \"event_bytes\": %zu",
                run->bench->watchers, run->bench->writes, run->bench->space_ms,
                bytes / (run->bench->watchers ? run->bench->watchers : 1) /
                    (run->bench->writes ? run->bench->writes : 1));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        text_add(&line, ", ");
        series_print(rows[i].name, rows[i].series, &line);
        series_done(rows[i].series);
    }
    printf("%s}\n", line.data);
    fflush(stdout);
}

static int carry_out(struct run *run, struct err *err)
{
    int code = open_all(run, err);

    if (code < 0)
        return code;
    printf("{\"watchers\": %u, \"open_ns\": %lld}\n", run->bench->watchers, (long long)run->opened_ns);
    fflush(stdout);
    code = wait_input(run, err);
    /* A mark that was used would change nothing, and nobody would be told. */
    unsigned first = (unsigned)(run->revision % 50000000) + 1;
    for (unsigned i = 0; i < run->bench->writes && code == 0; i++)
        code = write_one(run, first + i, err);
    run->round.mark = 0;
    if (code < 0)
        return code;
    figures_print(run);
    return wait_input(run, err);
}

int api_watch(const struct api_bench *bench, struct err *err)
{
    struct run run = {.bench = bench, .epoll = epoll_create1(EPOLL_CLOEXEC)};

    run.watchers = xcalloc(bench->watchers, sizeof(*run.watchers));
    int code = carry_out(&run, err);
    for (unsigned i = 0; i < bench->watchers; i++)
        client_close(&run.watchers[i].client);
    client_close(&run.writer);
    free(run.watchers);
    close(run.epoll);
    return code;
}
