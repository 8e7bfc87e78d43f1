/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define PIECE_MAX ((size_t)64 * 1024)
#define BOOKMARK_MS 60000
/* kube-apiserver's --min-request-timeout: between this and twice as long. */
#define TIMEOUT_MIN_S 1800

enum stage { STAGE_INITIAL, STAGE_INITIAL_END, STAGE_LIVE, STAGE_ENDING };

struct watch {
    struct watches *watches;
    struct watch *prev, *next;
    struct http_stream *stream;
    struct arena arena; /* what the sieve and the presentation point at */
    struct sieve sieve;
    struct presentation how;
    enum stage stage;
    const struct registry_object **initial; /* what was there at the beginning, still to be sent */
    size_t initial_count, initial_at;
    uint64_t cursor;
    uint64_t ends_ms, bookmark_ms; /* by the loop's clock; bookmark_ms 0: none wanted */
    bool has_columns_sent, sends_initial_end;
};

struct watches {
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct world *world;
    struct watch *list;
    unsigned count;
};

/* What the watchers of one event share: its frame in JSON and in protobuf. */
struct cache {
    struct text frames[2];
};

void watch_cache_free(void *cache)
{
    struct cache *frames = cache;
    if (!frames)
        return;
    text_done(&frames->frames[0]);
    text_done(&frames->frames[1]);
    free(frames);
}

static const char *const type_names[] = {"ADDED", "MODIFIED", "DELETED"};

static void add_event(struct watch *watch, enum registry_event_type type,
                      const struct registry_object *object, struct text *out)
{
    watch->how.now = watch->watches->world->now(watch->watches->world->context);
    present_event(&watch->how, type_names[type], NULL, object, !watch->has_columns_sent, out);
    watch->has_columns_sent = true;
}

/* The plain forms are made once for all watchers. */
static void add_shared(struct watch *watch, struct registry_event *event, struct text *out)
{
    /* Of the two faces of an Event only the stored one is shared. */
    bool is_own_face = resource_type(watch->how.resource) == api_kind_info(event->object->kind)->type;
    bool is_shareable =
        watch->how.accepted.form == FORM_OBJECT && watch->how.accepted.media != MEDIA_YAML && is_own_face;
    if (!is_shareable) {
        add_event(watch, event->type, event->object, out);
        return;
    }
    struct cache *cache = event->cache;
    if (!cache)
        event->cache = cache = xcalloc(1, sizeof(*cache));
    struct text *frame = &cache->frames[watch->how.accepted.media == MEDIA_PROTOBUF];
    if (frame->len == 0) {
        add_event(watch, event->type, event->object, frame);
        registry_note_cache(watch->watches->world->registry, event, frame->len);
    }
    text_add_bytes(out, frame->data, frame->len);
}

/* An object that leaves the selection is DELETED for this watcher: its last selected state, at the event's
 * revision. */
static void add_departure(struct watch *watch, const struct registry_event *event, struct text *out)
{
    struct arena arena;
    arena_init(&arena);
    ProtobufCMessage *message = registry_decode(event->previous, &arena);
    api_metadata(message)->resourceversion = arena_printf(&arena, "%" PRIu64, event->revision);
    watch->how.now = watch->watches->world->now(watch->watches->world->context);
    present_event(&watch->how, type_names[REGISTRY_DELETED], message, NULL, !watch->has_columns_sent, out);
    watch->has_columns_sent = true;
    arena_done(&arena);
}

static void handle_event(struct watch *watch, struct registry_event *event, struct text *out)
{
    struct arena arena;
    arena_init(&arena);
    bool is_in = sieve_passes(&watch->sieve, event->object, &arena);
    bool was_in = event->previous && sieve_passes(&watch->sieve, event->previous, &arena);
    arena_done(&arena);
    if (event->type == REGISTRY_DELETED ? is_in || was_in
                                        : is_in && (was_in || event->type == REGISTRY_ADDED))
        add_shared(watch, event, out);
    else if (is_in)
        add_event(watch, REGISTRY_ADDED, event->object, out);
    else if (was_in)
        add_departure(watch, event, out);
}

static void expire(struct watch *watch, struct text *out)
{
    struct status status = {0};
    struct registry *registry = watch->watches->world->registry;
    status_expired(&status, arena_printf(&watch->arena, "too old resource version: %" PRIu64 " (%" PRIu64 ")",
                                         watch->cursor, registry_oldest(registry)));
    present_error(&watch->how, &status, out);
    watch->stage = STAGE_ENDING;
}

static void pull_initial(struct watch *watch, struct text *out)
{
    while (watch->initial_at < watch->initial_count && out->len < PIECE_MAX) {
        const struct registry_object *object = watch->initial[watch->initial_at++];
        add_event(watch, REGISTRY_ADDED, object, out);
    }
    if (watch->initial_at < watch->initial_count)
        return;
    registry_list_free(watch->initial, watch->initial_count);
    watch->initial = NULL;
    if (watch->sends_initial_end)
        present_bookmark(&watch->how, watch->cursor, true, out);
    watch->stage = STAGE_LIVE;
}

static void pull_live(struct watch *watch, struct text *out)
{
    struct registry_event *event;
    int code = 1;
    while (out->len < PIECE_MAX && (code = registry_next(watch->watches->world->registry, &watch->cursor,
                                                         watch->sieve.kind, &event)) > 0)
        handle_event(watch, event, out);
    if (code < 0)
        expire(watch, out);
}

static void arm(struct watches *watches);

static enum http_stream_state pull(void *context, struct text *out)
{
    struct watch *watch = context;
    uint64_t now_ms = uv_now(watch->watches->loop);
    if (watch->stage == STAGE_ENDING || now_ms >= watch->ends_ms)
        return HTTP_STREAM_END;
    if (watch->stage == STAGE_INITIAL)
        pull_initial(watch, out);
    if (watch->stage == STAGE_LIVE && out->len < PIECE_MAX)
        pull_live(watch, out);
    if (watch->stage == STAGE_LIVE && watch->bookmark_ms && now_ms >= watch->bookmark_ms) {
        present_bookmark(&watch->how, watch->cursor, false, out);
        watch->bookmark_ms = now_ms + BOOKMARK_MS;
        arm(watch->watches);
    }
    return out->len > 0 ? HTTP_STREAM_MORE : HTTP_STREAM_WAIT;
}

static void closed(void *context)
{
    struct watch *watch = context;
    struct watches *watches = watch->watches;
    DL_DELETE(watches->list, watch);
    watches->count--;
    if (watch->initial)
        registry_list_free(watch->initial, watch->initial_count);
    arena_done(&watch->arena);
    free(watch);
    arm(watches);
}

static void on_timer(uv_timer_t *timer)
{
    struct watches *watches = timer->data;
    uint64_t now_ms = uv_now(watches->loop);
    struct watch *watch;
    DL_FOREACH (watches->list, watch) {
        if (now_ms >= watch->ends_ms || (watch->bookmark_ms && now_ms >= watch->bookmark_ms))
            http_stream_wake(watch->stream);
    }
    /* The pulls that follow set new times; until then there is no hurry. */
    uv_timer_start(timer, on_timer, 1000, 0);
}

/* One timer for the first end or bookmark that is due; none without watches. */
static void arm(struct watches *watches)
{
    uint64_t due = UINT64_MAX, now_ms = uv_now(watches->loop);
    const struct watch *watch;
    if (uv_is_closing((uv_handle_t *)&watches->timer))
        return;
    DL_FOREACH (watches->list, watch) {
        due = watch->ends_ms < due ? watch->ends_ms : due;
        if (watch->bookmark_ms && watch->bookmark_ms < due)
            due = watch->bookmark_ms;
    }
    if (due == UINT64_MAX)
        uv_timer_stop(&watches->timer);
    else
        uv_timer_start(&watches->timer, on_timer, due > now_ms ? due - now_ms : 0, 0);
}

struct watches *watches_new(uv_loop_t *loop, const struct world *world)
{
    struct watches *watches = xcalloc(1, sizeof(*watches));
    watches->loop = loop;
    watches->world = world;
    uv_timer_init(loop, &watches->timer);
    watches->timer.data = watches;
    return watches;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watches_close(struct watches *watches)
{
    if (watches)
        uv_close((uv_handle_t *)&watches->timer, on_closed);
}

void watches_wake(struct watches *watches)
{
    struct watch *watch;
    DL_FOREACH (watches->list, watch)
        http_stream_wake(watch->stream);
}

unsigned watches_count(const struct watches *watches)
{
    return watches->count;
}

/* Without a resourceVersion, or with 0, a watch begins with what there is; so it does by sendInitialEvents
 * (KEP-3157). */
static void begin_at(struct watch *watch, const struct query *query, uint64_t revision)
{
    struct registry *registry = watch->watches->world->registry;
    bool is_anywhere = revision == 0;
    watch->stage = STAGE_LIVE;
    watch->cursor = revision;
    if (query->has_initial_events ? !query->sends_initial_events : !is_anywhere) {
        if (is_anywhere)
            watch->cursor = registry_revision(registry);
        return;
    }
    watch->cursor = registry_revision(registry);
    read_selected(registry, &watch->sieve, &watch->initial, &watch->initial_count);
    watch->sends_initial_end = query->sends_initial_events && query->allows_bookmarks;
    watch->stage = STAGE_INITIAL;
}

bool watch_begin(struct watches *watches, const struct http_request *request, const struct target *target,
                 const struct query *query, const struct presentation *how, struct arena *arena,
                 struct status *ret_status)
{
    static const struct http_stream_ops ops = {pull, closed};
    uint64_t revision;
    struct watch *watch = xcalloc(1, sizeof(*watch));
    struct query own = *query;
    struct target at = *target;
    arena_init(&watch->arena);
    at.namespace_ = arena_strdup(&watch->arena, target->namespace_);
    at.name = arena_strdup(&watch->arena, target->name);
    own.label_selector = arena_strdup(&watch->arena, query->label_selector);
    own.field_selector = arena_strdup(&watch->arena, query->field_selector);
    watch->watches = watches;
    watch->how = *how;
    watch->how.include_object = arena_strdup(&watch->arena, how->include_object);
    bool is_good = read_revision(query->resource_version, &revision, &watch->arena, ret_status) &&
                   (!query->sends_initial_events ||
                    read_is_reached(watches->world->registry, revision, &watch->arena, ret_status)) &&
                   sieve_parse(&at, &own, &watch->arena, &watch->sieve, ret_status);
    watch->stream = is_good ? http_stream_begin(request, &ops, watch) : NULL;
    if (!watch->stream) {
        if (is_good)
            status_generic(ret_status, 429, "TooManyRequests",
                           "too many watches are open, please try again later");
        ret_status->retry_after_seconds = is_good;
        ret_status->message = arena_strdup(arena, ret_status->message);
        arena_done(&watch->arena);
        free(watch);
        return false;
    }
    uint64_t now_ms = uv_now(watches->loop);
    uint64_t spread = watches->world->random(watches->world->context) % TIMEOUT_MIN_S;
    watch->ends_ms =
        now_ms + 1000 * (query->timeout_seconds ? query->timeout_seconds : TIMEOUT_MIN_S + spread);
    watch->bookmark_ms = query->allows_bookmarks ? now_ms + BOOKMARK_MS : 0;
    begin_at(watch, query, revision);
    DL_APPEND(watches->list, watch);
    watches->count++;
    arm(watches);
    return true;
}
