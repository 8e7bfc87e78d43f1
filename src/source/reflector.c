/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/reflector.h"

#include "base/arena.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MIN_MS 800
#define STEP_MAX_MS 30000
#define HEALTHY_MS 60000 /* after a watch of this length an error is the first again */
#define SHORT_WATCH_MS 1000
#define WATCH_MIN_S 300 /* and up to twice as long */
#define OVERTIME_MS 30000
#define SILENCE_MS 30000
/* Servers send a bookmark each minute (KEP-956): where two of them stay out, this watch is stuck, though its
 * server lives (http_client.h asks that). A new watch costs little. */
#define WATCH_SILENCE_MS 150000
#define LIST_MAX_MS 600000
#define RETRY_AFTER_MAX_S 600
#define ABSENT_MS 600000
#define STREAM_FAILURES_MAX 3
#define WATCH_FAILURES_MAX 5

static const char *const plurals[API_KIND_COUNT] = {[API_SERVICE] = "services",
                                                    [API_ENDPOINT_SLICE] = "endpointslices",
                                                    [API_ENDPOINTS] = "endpoints",
                                                    [API_NODE] = "nodes",
                                                    [API_POD] = "pods",
                                                    [API_NAMESPACE] = "namespaces",
                                                    [API_SERVICE_CIDR] = "servicecidrs",
                                                    [API_CONFIG_MAP] = "configmaps",
                                                    [API_EVENT] = "events",
                                                    [API_LEASE] = "leases"};

void reflector_init(struct reflector *reflector, const struct apiserver_selection *selection, unsigned page,
                    bool prefers_json)
{
    *reflector =
        (struct reflector){.selection = selection, .page = page ? page : 500, .wants_json = prefers_json};
}

void reflector_done(struct reflector *reflector)
{
    free(reflector->continue_);
    reflector->continue_ = NULL;
}

/* --- the call --- */

static void add_escaped(struct text *path, const char *value)
{
    for (; *value; value++) {
        bool is_plain = (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') ||
                        (*value >= '0' && *value <= '9') || strchr("-_.~", *value);
        text_printf(path, is_plain ? "%c" : "%%%02X", (unsigned char)*value);
    }
}

static void add_parameter(struct text *path, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    text_printf(path, "%s%s=", strchr(text_str(path), '?') ? "&" : "?", key);
    add_escaped(path, value);
}

static void add_number(struct text *path, const char *key, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    add_parameter(path, key, digits);
}

static void add_resource(const struct reflector *reflector, struct text *path)
{
    const struct api_kind_info *info = api_kind_info(reflector->selection->kind);
    if (*info->group)
        text_printf(path, "/apis/%s/%s/%s", info->group, info->version, plurals[reflector->selection->kind]);
    else
        text_printf(path, "/api/%s/%s", info->version, plurals[reflector->selection->kind]);
    add_parameter(path, "labelSelector", reflector->selection->label_selector);
    add_parameter(path, "fieldSelector", reflector->selection->field_selector);
}

static void add_watch(struct reflector *reflector, uint64_t now_ms, uint64_t random, struct text *path)
{
    uint64_t timeout_s = WATCH_MIN_S + random % (WATCH_MIN_S + 1);
    add_parameter(path, "watch", "true");
    add_parameter(path, "allowWatchBookmarks", "true");
    add_number(path, "timeoutSeconds", timeout_s);
    reflector->limit_ms = now_ms + timeout_s * 1000 + OVERTIME_MS;
}

/* A stream without a version is as consistent as a list without one. */
static void add_stream(struct reflector *reflector, struct text *path)
{
    add_parameter(path, "sendInitialEvents", "true");
    add_parameter(path, "resourceVersionMatch", "NotOlderThan");
    if (!reflector->is_consistent && reflector->newest > 0)
        add_number(path, "resourceVersion", reflector->newest);
}

/* Any state will do for the first list; a continued page has the version in its token. */
static void add_page(struct reflector *reflector, struct text *path)
{
    if (!reflector->is_whole)
        add_number(path, "limit", reflector->page);
    if (reflector->continue_) {
        add_parameter(path, "continue", reflector->continue_);
    } else if (!reflector->is_consistent) {
        add_number(path, "resourceVersion", reflector->newest);
        if (reflector->newest > 0)
            add_parameter(path, "resourceVersionMatch", "NotOlderThan");
    }
}

void reflector_begin(struct reflector *reflector, uint64_t now_ms, uint64_t random, struct text *ret_path,
                     const char **ret_accept)
{
    reflector->began_ms = now_ms;
    reflector->limit_ms = now_ms + LIST_MAX_MS;
    reflector->has_progress = false;
    if (reflector->call == REFLECTOR_STREAM && reflector->refuses_streams)
        reflector->call = REFLECTOR_LIST;
    if (reflector->call != REFLECTOR_WATCH && !reflector->continue_) {
        reflector->round++;
        reflector->list_version = reflector->list_newest = 0;
    }
    add_resource(reflector, ret_path);
    switch (reflector->call) {
    case REFLECTOR_STREAM:
        add_watch(reflector, now_ms, random, ret_path);
        add_stream(reflector, ret_path);
        break;
    case REFLECTOR_LIST:
        add_page(reflector, ret_path);
        break;
    case REFLECTOR_WATCH:
        add_watch(reflector, now_ms, random, ret_path);
        add_number(ret_path, "resourceVersion", reflector->version);
        break;
    }
    *ret_accept = reflector->wants_json || reflector->refuses_protobuf
                      ? "application/json"
                      : "application/vnd.kubernetes.protobuf,application/json";
}

uint64_t reflector_silence_ms(const struct reflector *reflector)
{
    return reflector->call == REFLECTOR_WATCH ? WATCH_SILENCE_MS : SILENCE_MS;
}

/* --- what comes --- */

bool reflector_is_news(const struct reflector *reflector, uint64_t version, uint64_t told)
{
    if (version == 0)
        return true;
    /* An object that is not known may be one that was deleted since. */
    return told == 0 && reflector->call == REFLECTOR_WATCH ? version > reflector->version : version > told;
}

static void raise_to(uint64_t *where, uint64_t version)
{
    if (version > *where)
        *where = version;
}

void reflector_note(struct reflector *reflector, uint64_t version)
{
    if (reflector->call != REFLECTOR_WATCH) {
        raise_to(&reflector->list_newest, version);
    } else if (version > reflector->version) {
        reflector->version = reflector->newest = version;
        reflector->has_progress = true;
    }
}

/* The list is over, and shows the state of this version. */
static enum reflector_verdict conclude(struct reflector *reflector, uint64_t version)
{
    bool was_consistent = reflector->is_consistent;
    if (version == 0)
        return REFLECTOR_AGAIN;
    if (version < reflector->newest) {
        reflector->is_consistent = true;
        if (!was_consistent)
            return REFLECTOR_AGAIN;
        reflector->newest = reflector->list_newest = reflector->list_version = 0;
        return REFLECTOR_TURNED_BACK;
    }
    reflector->version = reflector->newest = version;
    reflector->is_listed = true;
    reflector->is_absent = reflector->is_consistent = reflector->is_whole = false;
    reflector->stream_failures = reflector->watch_failures = 0;
    /* The server does its work again, unless its watches expire as soon as they begin. */
    if (reflector->expirations < 2)
        reflector->step_ms = 0;
    reflector->has_progress = false;
    reflector->call = REFLECTOR_WATCH;
    return REFLECTOR_LISTED;
}

enum reflector_verdict reflector_bookmark(struct reflector *reflector, uint64_t version, bool is_initial_end,
                                          uint64_t now_ms)
{
    if (reflector->call == REFLECTOR_STREAM) {
        reflector->began_ms = now_ms;
        return is_initial_end ? conclude(reflector, version) : REFLECTOR_GO_ON;
    }
    if (version == 0)
        return REFLECTOR_GO_ON;
    if (version < reflector->version)
        return REFLECTOR_AGAIN;
    reflector_note(reflector, version);
    return REFLECTOR_GO_ON;
}

enum reflector_verdict reflector_page(struct reflector *reflector, const struct list_place *place)
{
    free(reflector->continue_);
    reflector->continue_ = NULL;
    if (reflector->list_version == 0)
        reflector->list_version = place->version;
    if (!*place->continue_)
        return conclude(reflector, reflector->list_version);
    /* A list of another moment than its first page would lose what moved in between. */
    if (place->version != reflector->list_version || place->version == 0)
        return REFLECTOR_AGAIN;
    reflector->continue_ = xstrdup(place->continue_);
    return REFLECTOR_NEXT;
}

/* --- how it ends --- */

static uint64_t back_off(struct reflector *reflector, const struct reflector_end *end, uint64_t random)
{
    uint64_t step = reflector->step_ms ? 2 * reflector->step_ms : STEP_MIN_MS;
    uint64_t after_s = end->has_refusal ? end->refusal.retry_after_s : 0;
    reflector->step_ms = step < STEP_MAX_MS ? step : STEP_MAX_MS;
    uint64_t wait_ms = reflector->step_ms / 2 + random % (reflector->step_ms / 2 + 1);
    if (after_s > RETRY_AFTER_MAX_S)
        after_s = RETRY_AFTER_MAX_S;
    /* Later than asked for, by something of its own, so that not everybody comes at once. */
    return after_s > 0 ? after_s * 1000 + wait_ms / 4 : wait_ms;
}

static void list_anew(struct reflector *reflector)
{
    if (reflector->call != REFLECTOR_WATCH) {
        raise_to(&reflector->newest, reflector->list_newest);
        raise_to(&reflector->newest, reflector->list_version);
    }
    reflector_done(reflector);
    reflector->call = REFLECTOR_STREAM;
}

/* Back to the beginning of the list; a stream that never comes to its end is not tried for ever. */
static void again(struct reflector *reflector, const struct reflector_end *end)
{
    bool is_stream = reflector->call == REFLECTOR_STREAM;
    if (is_stream && end->status == 200 &&
        (end->fault == REFLECTOR_STALLED || ++reflector->stream_failures >= STREAM_FAILURES_MAX)) {
        reflector->refuses_streams = true;
        reflector->stream_failures = 0;
    }
    list_anew(reflector);
}

/* The version that was asked for cannot be had. */
static void lose_version(struct reflector *reflector, const struct refusal *refusal)
{
    if (reflector->call == REFLECTOR_LIST && reflector->continue_)
        reflector->is_whole = true;
    else if (reflector->call != REFLECTOR_WATCH || refusal->is_too_large)
        reflector->is_consistent = true;
    list_anew(reflector);
}

/* What the server does not know of, and can do without. True when the call may be repeated at once. */
static bool concede(struct reflector *reflector, unsigned status)
{
    if ((status == 406 || status == 415) && !reflector->refuses_protobuf && !reflector->wants_json) {
        reflector->refuses_protobuf = true;
        return true;
    }
    if ((status == 400 || status == 422) && reflector->call == REFLECTOR_STREAM) {
        reflector->refuses_streams = true;
        return true;
    }
    return false;
}

static void handle_refusal(struct reflector *reflector, const struct reflector_end *end,
                           struct reflector_next *next)
{
    unsigned status = end->refusal.code ? end->refusal.code : end->status;
    bool is_list = reflector->call != REFLECTOR_WATCH;
    next->is_failure = true;
    next->is_unauthorized = status == 401;
    next->doubts_server = status == 502 || status == 503;
    if (end->refusal.is_expired || end->refusal.is_too_large) {
        /* For a watch it is what happens to anybody who was away for long. */
        next->is_failure = is_list;
        lose_version(reflector, &end->refusal);
    } else if (status == 400 || status == 422) {
        /* A server that does not know resourceVersionMatch can still list. */
        reflector->is_consistent = reflector->is_consistent || reflector->call == REFLECTOR_LIST;
        list_anew(reflector);
    } else if (is_list || (status != 429 && ++reflector->watch_failures >= WATCH_FAILURES_MAX)) {
        reflector->watch_failures = 0;
        again(reflector, end);
    }
}

/* True when the call came to a good end, though perhaps an early one. */
static bool is_good(const struct reflector *reflector, const struct reflector_end *end, uint64_t lasted_ms)
{
    return reflector->call == REFLECTOR_WATCH && end->code == 0 && !end->has_refusal && !end->fault &&
           (reflector->has_progress || lasted_ms >= SHORT_WATCH_MS);
}

struct reflector_next reflector_ended(struct reflector *reflector, const struct reflector_end *end,
                                      uint64_t now_ms, uint64_t random)
{
    struct reflector_next next = {0};
    uint64_t lasted_ms = now_ms - reflector->began_ms;
    bool is_watch = reflector->call == REFLECTOR_WATCH;
    unsigned status = end->has_refusal && end->refusal.code ? end->refusal.code : end->status;
    bool is_healthy = lasted_ms >= HEALTHY_MS && end->status == 200;
    if (is_watch && (is_healthy || (reflector->has_progress && !end->has_refusal && !end->fault)))
        reflector->step_ms = reflector->watch_failures = reflector->expirations = 0;
    if (is_good(reflector, end, lasted_ms))
        return next;
    if (end->has_refusal && reflector->selection->is_optional && !reflector->is_listed &&
        (status == 403 || status == 404)) {
        reflector->is_absent = true;
        list_anew(reflector);
        next.wait_ms = ABSENT_MS + random % ABSENT_MS;
        return next;
    }
    if (end->has_refusal && concede(reflector, status))
        return next;
    /* What happens to anybody who was away for long is no failure: the list is due at once. Twice in a row is
     * one. */
    if (is_watch && end->has_refusal && end->refusal.is_expired && ++reflector->expirations < 2) {
        lose_version(reflector, &end->refusal);
        return next;
    }
    /* A watch that is cut once goes on elsewhere, without a word. */
    next.is_failure = !is_watch || end->status == 0 || end->fault || reflector->step_ms > 0;
    if (end->has_refusal)
        handle_refusal(reflector, end, &next);
    else if (!is_watch || end->fault == REFLECTOR_GARBAGE)
        again(reflector, end);
    /* A pulse has found the connection dead. */
    if (end->code == -ETIMEDOUT && !end->has_refusal)
        next.doubts_server = true;
    if (end->status == 0 && !end->has_refusal) {
        next.doubts_server = true;
        /* It may come back as another version. */
        reflector->refuses_streams = reflector->refuses_protobuf = false;
    }
    next.wait_ms = back_off(reflector, end, random);
    return next;
}

/* --- the bucket --- */

void call_rate_init(struct call_rate *rate, double qps, unsigned burst)
{
    *rate = (struct call_rate){0};
    if (qps < 0)
        return;
    rate->interval_ms = 1000 / (qps > 0 ? qps : 5);
    rate->burst_ms = rate->interval_ms * (burst ? burst : 10);
}

uint64_t call_rate_take(struct call_rate *rate, uint64_t now_ms)
{
    double now = (double)now_ms;
    if (rate->interval_ms == 0)
        return 0;
    rate->next_ms = (rate->next_ms > now ? rate->next_ms : now) + rate->interval_ms;
    double wait = rate->next_ms - rate->burst_ms - now;
    return wait > 0 ? (uint64_t)wait + 1 : 0;
}
