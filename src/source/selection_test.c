/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/selection.h"

#include "base/cleanup.h"
#include "source/test_frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- a server that is a value: what it has and had, and how it answers --- */

#define ITEMS 12
#define LOG_MAX 20000

struct change {
    unsigned item;
    bool is_deletion, is_creation;
};

struct model {
    uint64_t seed;
    uint64_t revision, oldest;
    struct change log[LOG_MAX]; /* by revision */
    bool exists[ITEMS];
    bool streams, is_json, is_kind; /* is_kind: no faults any more */
};

/* What the sink has, and the newest version it was ever told of each name. */
struct world {
    struct model model;
    struct selection selection;
    struct source_sink sink;
    struct source_status status;
    uint64_t has[ITEMS], newest[ITEMS]; /* versions; 0: none */
    unsigned puts, removals, complaints;
    bool is_put_back; /* the model's history: versions come again */
    uint64_t now_ms;
    char said[512];
};

static uint64_t next_random(struct model *model)
{
    model->seed ^= model->seed << 13;
    model->seed ^= model->seed >> 7;
    model->seed ^= model->seed << 17;
    return model->seed >> 8;
}

static bool chance(struct model *model, unsigned percent)
{
    return !model->is_kind && next_random(model) % 100 < percent;
}

static void mutate(struct model *model)
{
    unsigned item = (unsigned)(next_random(model) % ITEMS);
    assert_true(model->revision + 1 < LOG_MAX);
    bool is_deletion = model->exists[item] && next_random(model) % 3 == 0;
    model->log[++model->revision] = (struct change){item, is_deletion, !model->exists[item]};
    model->exists[item] = !is_deletion;
}

/* The version of each item in the state of that revision; 0 where there is none. */
static void state_at(const struct model *model, uint64_t revision, uint64_t ret[ITEMS])
{
    memset(ret, 0, ITEMS * sizeof(*ret));
    for (uint64_t i = 1; i <= revision; i++)
        ret[model->log[i].item] = model->log[i].is_deletion ? 0 : i;
}

static const char *name_of(unsigned item)
{
    static char name[8];
    snprintf(name, sizeof(name), "n%u", item);
    return name;
}

static const char *value_of(uint64_t version)
{
    static char value[24];
    snprintf(value, sizeof(value), "v%" PRIu64, version);
    return value;
}

static bool parameter(const char *path, const char *key, char ret[64])
{
    const char *at = strstr(path, key);
    if (!at || (at[-1] != '?' && at[-1] != '&') || at[strlen(key)] != '=')
        return false;
    snprintf(ret, 64, "%.*s", (int)strcspn(at + strlen(key) + 1, "&"), at + strlen(key) + 1);
    return true;
}

static void add_changes(struct model *model, uint64_t from, uint64_t to, struct text *ret)
{
    for (uint64_t i = from + 1; i <= to; i++) {
        const struct change *change = &model->log[i];
        const char *type = change->is_deletion ? "DELETED" : change->is_creation ? "ADDED" : "MODIFIED";
        for (unsigned times = 1 + chance(model, 5); times > 0; times--)
            test_event(type, name_of(change->item), i, value_of(i), !model->is_json, ret);
        if (chance(model, 10))
            test_bookmark(i, false, !model->is_json, ret);
        if (chance(model, 1))
            test_frame("ADDED", "\x01garbage", 8, !model->is_json, ret);
    }
}

static unsigned refuse(struct model *model, unsigned code, const char *reason, const char *cause,
                       struct text *ret)
{
    test_status(code, reason, cause, 0, !model->is_json, ret);
    return code;
}

/* A server may lag behind, but not where it is asked without a version. */
static uint64_t seen_revision(struct model *model, const char *path)
{
    char value[64];
    bool may_lag = parameter(path, "resourceVersion", value) && model->revision > 5 && chance(model, 20);
    return model->revision - (may_lag ? next_random(model) % 5 : 0);
}

static unsigned answer_watch(struct model *model, const char *path, uint64_t asked, struct text *ret)
{
    char value[64];
    uint64_t at = seen_revision(model, path);
    if (parameter(path, "sendInitialEvents", value)) {
        if (!model->streams)
            return refuse(model, 422, "Invalid", NULL, ret);
        if (asked > at)
            return refuse(model, 504, "Timeout", "ResourceVersionTooLarge", ret);
        uint64_t state[ITEMS];
        uint64_t early = asked > 0 && !model->is_kind ? asked : at;
        state_at(model, early, state);
        for (unsigned i = 0; i < ITEMS; i++)
            if (state[i])
                test_event("ADDED", name_of(i), state[i], value_of(state[i]), !model->is_json, ret);
        add_changes(model, early, at, ret);
        test_bookmark(at, true, !model->is_json, ret);
    } else if (asked < model->oldest) {
        if (next_random(model) % 2)
            return refuse(model, 410, "Expired", NULL, ret);
        test_error_frame(410, "Expired", 0, !model->is_json, ret);
        return 200;
    } else {
        at = asked;
    }
    for (unsigned i = 0; i < next_random(model) % 20 && !model->is_kind; i++)
        mutate(model);
    add_changes(model, at, model->revision, ret);
    if (chance(model, 10))
        test_error_frame(chance(model, 50) ? 410 : 500, "InternalError", 0, !model->is_json, ret);
    return 200;
}

static unsigned answer_list(struct model *model, const char *path, uint64_t asked, struct text *ret)
{
    char value[64];
    uint64_t at = seen_revision(model, path);
    unsigned first = 0, limit = ITEMS + 1, count = 0;
    uint64_t state[ITEMS];
    if (parameter(path, "limit", value))
        limit = (unsigned)atoi(value);
    if (parameter(path, "continue", value)) {
        if (sscanf(value, "%" SCNu64 "-%u", &at, &first) != 2)
            return refuse(model, 400, "BadRequest", NULL, ret);
        if (at < model->oldest || chance(model, 5))
            return refuse(model, 410, "Expired", NULL, ret);
    }
    if (asked > at)
        return refuse(model, 504, "Timeout", "ResourceVersionTooLarge", ret);
    struct text items = {0};
    state_at(model, at, state);
    for (; first < ITEMS && count < limit; first++)
        if (state[first]) {
            if (model->is_json && count > 0)
                text_add(&items, ",");
            test_message(name_of(first), state[first], value_of(state[first]), false, !model->is_json, true,
                         &items);
            count++;
        }
    snprintf(value, sizeof(value), "%" PRIu64 "-%u", at, first);
    test_page(at, first < ITEMS ? value : "", &items, !model->is_json, ret);
    text_done(&items);
    return 200;
}

static unsigned answer(struct model *model, const char *path, struct text *ret)
{
    char value[64];
    static const unsigned faults[] = {429, 500, 503, 504, 401};
    uint64_t asked = parameter(path, "resourceVersion", value) ? strtoull(value, NULL, 10) : 0;
    if (chance(model, 10))
        return refuse(model, faults[next_random(model) % ARRAY_LEN(faults)], "Other", NULL, ret);
    if (parameter(path, "watch", value))
        return answer_watch(model, path, asked, ret);
    return answer_list(model, path, asked, ret);
}

/* --- the sink --- */

static void on_put(void *context, const struct api_object *object)
{
    struct world *world = context;
    const Core__ConfigMap *map = api_config_map(object);
    unsigned item = (unsigned)atoi(object->name + 1);
    uint64_t version = strtoull(map->metadata->resourceversion, NULL, 10);
    assert_true(item < ITEMS);
    assert_string_equal(object->namespace_, "default");
    assert_string_equal(map->data[0]->value, value_of(version));
    /* Each state once, and none after a newer one. */
    assert_true(version > world->newest[item] || world->is_put_back);
    world->has[item] = world->newest[item] = version;
    world->puts++;
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    struct world *world = context;
    unsigned item = (unsigned)atoi(name + 1);
    bool is_gone = false;
    assert_true(item < ITEMS && world->has[item] > 0);
    for (uint64_t i = world->has[item] + 1; i <= world->model.revision; i++)
        is_gone = is_gone || (world->model.log[i].item == item && world->model.log[i].is_deletion);
    assert_true(is_gone || world->is_put_back);
    world->has[item] = 0;
    world->removals++;
}

static void on_settled(void *context)
{
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    struct world *world = context;
    world->complaints++;
    snprintf(world->said, sizeof(world->said), "%s", sentence);
}

/* --- one call after another --- */

static const struct apiserver_selection all = {API_CONFIG_MAP, "", "", false};

static struct world *world_new(uint64_t seed, bool streams, bool is_json)
{
    struct world *world = xcalloc(1, sizeof(*world));
    world->model.seed = seed * 0x9e3779b97f4a7c15ULL + 1;
    world->model.streams = streams;
    world->model.is_json = is_json;
    world->sink = (struct source_sink){world, on_put, on_remove, on_settled, on_complaint};
    for (unsigned i = 0; i < 10; i++)
        mutate(&world->model);
    selection_init(&world->selection, &all, 3, is_json, &world->sink, &world->status);
    return world;
}

static void world_free(struct world *world)
{
    selection_done(&world->selection);
    free(world);
}

/* Feeds the answer in pieces of any size, cut anywhere if the model likes. */
static struct reflector_next deliver(struct world *world, unsigned status, const struct text *body)
{
    struct model *model = &world->model;
    struct http_call_headers headers = {status, model->is_json ? "application/json" : WIRE_PROTOBUF_TYPE, 0};
    bool is_cut = chance(model, 25);
    size_t len = is_cut ? next_random(model) % (body->len + 1) : body->len;
    bool goes_on = true;
    struct err err = {"cut"};
    world->now_ms += 10;
    selection_headers(&world->selection, &headers, world->now_ms);
    for (size_t at = 0; goes_on && at < len;) {
        size_t piece = 1 + next_random(model) % 700;
        piece = piece < len - at ? piece : len - at;
        cleanup_free char *copy = xmalloc(piece); /* of its own, so that reading behind it is seen */
        memcpy(copy, body->data + at, piece);
        goes_on = selection_data(&world->selection, copy, piece, world->now_ms);
        at += piece;
    }
    int code = !goes_on ? -ECANCELED : is_cut ? -ECONNRESET : 0;
    return selection_ended(&world->selection, code, &err, world->now_ms, next_random(model));
}

static struct reflector_next step(struct world *world)
{
    struct text path = {0}, body = {0};
    const char *accept;
    struct reflector_next next;
    struct err err = {"refused"};
    selection_begin(&world->selection, world->now_ms, next_random(&world->model), &path, &accept);
    if (chance(&world->model, 5))
        next = selection_ended(&world->selection, -ECONNREFUSED, &err, world->now_ms, 0);
    else
        next = deliver(world, answer(&world->model, text_str(&path), &body), &body);
    world->now_ms += next.wait_ms;
    text_done(&path);
    text_done(&body);
    return next;
}

static void check_equal(struct world *world)
{
    uint64_t state[ITEMS];
    uint32_t count = 0;
    state_at(&world->model, world->model.revision, state);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_int_equal(world->has[i], state[i]);
        count += state[i] > 0;
    }
    assert_int_equal(world->status.objects[API_CONFIG_MAP], count);
    assert_int_equal(world->status.refused, 0);
}

static void test_any_history_any_fault(void **state)
{
    unsigned puts = 0, removals = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct world *world = world_new(seed, seed % 3, seed % 2);
        for (unsigned i = 0; i < 150; i++) {
            step(world);
            if (next_random(&world->model) % 4 == 0)
                mutate(&world->model);
            if (next_random(&world->model) % 15 == 0)
                world->model.oldest = world->model.revision;
        }
        world->model.is_kind = true;
        for (unsigned i = 0; i < 16; i++)
            step(world);
        assert_int_equal(world->selection.reflector.call, REFLECTOR_WATCH);
        check_equal(world);
        puts += world->puts;
        removals += world->removals;
        world_free(world);
    }
    assert_true(puts > 10000 && removals > 1000);
}

/* A backup was restored: the same versions come again with other content, and all of it counts. */
static void test_history_put_back(void **state)
{
    struct world *world = world_new(7, true, false);
    world->model.is_kind = true;
    for (unsigned i = 0; i < 50; i++)
        mutate(&world->model);
    for (unsigned i = 0; i < 4; i++)
        step(world);
    check_equal(world);
    world->is_put_back = true;
    world->model.revision = 30;
    world->model.oldest = 20;
    struct text bookmark = {0}, path = {0};
    const char *accept;
    selection_begin(&world->selection, world->now_ms, 0, &path, &accept);
    test_bookmark(30, false, true, &bookmark);
    struct reflector_next next = deliver(world, 200, &bookmark);
    assert_true(next.is_failure && next.wait_ms >= 400);
    for (unsigned i = 0; i < 6; i++)
        step(world);
    check_equal(world);
    text_done(&bookmark);
    text_done(&path);
    world_free(world);
}

/* --- single faults --- */

static void begin(struct world *world, struct text *path)
{
    const char *accept;
    path->len = 0;
    selection_begin(&world->selection, world->now_ms, 0, path, &accept);
}

static void list_stream(struct world *world, struct text *path, struct text *body)
{
    world->model.is_kind = true;
    begin(world, path);
    assert_non_null(strstr(path->data, "sendInitialEvents=true"));
    test_event("ADDED", "n1", 5, "v5", true, body);
    test_event("ADDED", "n2", 6, "v6", true, body);
    test_bookmark(10, true, true, body);
}

/* A ConfigMap whose name can be read, and whose data cannot. */
static void add_broken(const char *type, const char *name, const char *version, struct text *ret)
{
    struct text raw = {0}, object = {0};
    text_printf(&raw, "%c%c%c%c%s%c%cdefault%c%c%s%c%c", 0x0a, 17, 0x0a, 2, name, 0x1a, 7, 0x32, 2, version,
                0x12, 0xff);
    wire_protobuf("v1", "ConfigMap", raw.data, raw.len, &object);
    test_frame(type, object.data, object.len, true, ret);
    text_done(&raw);
    text_done(&object);
}

/* An object that cannot be decoded is looked at twice, and then said once; its last good state stays, the
 * others go on. */
static void test_undecodable_object(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0}, body = {0};
    list_stream(world, &path, &body);
    add_broken("MODIFIED", "n1", "20", &body);
    test_event("MODIFIED", "n2", 21, "v21", true, &body);
    assert_true(deliver(world, 200, &body).wait_ms > 0);
    assert_non_null(strstr(world->said, "default/n1"));
    assert_int_equal(world->has[1], 5);
    assert_int_equal(world->status.refused, 0);
    begin(world, &path);
    assert_non_null(strstr(path.data, "sendInitialEvents=true"));
    body.len = 0;
    add_broken("ADDED", "n1", "20", &body);
    test_event("ADDED", "n2", 21, "v21", true, &body);
    test_bookmark(21, true, true, &body);
    /* No further look at one that is known. */
    add_broken("MODIFIED", "n1", "22", &body);
    test_event("MODIFIED", "n2", 23, "v23", true, &body);
    assert_int_equal(deliver(world, 200, &body).wait_ms, 0);
    assert_int_equal(world->complaints, 2);
    assert_int_equal(world->has[1], 5);
    assert_int_equal(world->has[2], 23);
    assert_int_equal(world->status.refused, 1);
    /* Well again. */
    begin(world, &path);
    assert_non_null(strstr(path.data, "resourceVersion=23"));
    body.len = 0;
    test_event("MODIFIED", "n1", 24, "v24", true, &body);
    deliver(world, 200, &body);
    assert_int_equal(world->has[1], 24);
    assert_int_equal(world->status.refused, 0);
    text_done(&path);
    text_done(&body);
    world_free(world);
}

/* What was harmed on its way is there after the second look, and until then no list was over. */
static void test_harmed_once(void **state)
{
    for (unsigned pages = 0; pages < 2; pages++) {
        struct world *world = world_new(1, !pages, false);
        struct text path = {0}, body = {0}, items = {0};
        world->model.is_kind = true;
        begin(world, &path);
        if (pages) {
            deliver(world, answer(&world->model, text_str(&path), &body), &body);
            begin(world, &path);
            body.len = 0;
            wire_add_field(&items, 2, "\x01", 1);
            test_page(world->model.revision, "", &items, true, &body);
        } else {
            add_broken("ADDED", "n1", "05", &body);
            test_frame("ADDED", "\x01", 1, true, &body);
            test_bookmark(world->model.revision, true, true, &body);
        }
        struct reflector_next next = deliver(world, 200, &body);
        assert_true(next.is_failure && next.wait_ms > 0);
        assert_false(selection_is_settled(&world->selection));
        for (unsigned i = 0; i < 5; i++)
            step(world);
        assert_true(selection_is_settled(&world->selection));
        check_equal(world);
        text_done(&path);
        text_done(&body);
        text_done(&items);
        world_free(world);
    }
}

/* Late and doubled events in the part of a stream that lists: the newest state counts. */
static void test_events_of_the_past(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0}, body = {0};
    world->model.is_kind = true;
    begin(world, &path);
    test_event("ADDED", "n1", 5, "v5", true, &body);
    test_event("DELETED", "n1", 4, "v3", true, &body);
    test_event("MODIFIED", "n1", 4, "v4", true, &body);
    test_event("ADDED", "n1", 5, "v5", true, &body);
    test_bookmark(10, true, true, &body);
    test_event("ADDED", "n2", 7, "v7", true, &body); /* deleted since, or it would have been listed */
    test_event("DELETED", "n3", 11, "v11", true, &body);
    deliver(world, 200, &body);
    assert_int_equal(world->puts, 1);
    assert_int_equal(world->removals, 0);
    assert_int_equal(world->has[1], 5);
    assert_int_equal(world->selection.reflector.version, 11);
    text_done(&path);
    text_done(&body);
    world_free(world);
}

/* A list with an object whose name cannot be read says nothing of what is gone; one in a watch leads to a
 * list. */
static void test_nameless_object(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0}, body = {0};
    list_stream(world, &path, &body);
    test_frame("ADDED", "\x01", 1, true, &body);
    struct reflector_next next = deliver(world, 200, &body);
    assert_true(next.is_failure && next.wait_ms > 0);
    body.len = 0;
    begin(world, &path);
    assert_non_null(strstr(path.data, "sendInitialEvents=true"));
    assert_non_null(strstr(path.data, "resourceVersion=10"));
    test_event("ADDED", "n1", 5, "v5", true, &body);
    test_frame("ADDED", "\x01", 1, true, &body);
    test_bookmark(12, true, true, &body);
    deliver(world, 200, &body);
    assert_int_equal(world->has[2], 6);
    assert_int_equal(world->selection.reflector.call, REFLECTOR_WATCH);
    text_done(&path);
    text_done(&body);
    world_free(world);
}

/* A complaint is said once for as long as it holds. */
static void test_outage_is_said_once(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0}, body = {0};
    struct err err = {"connection refused"};
    world->model.is_kind = true;
    for (unsigned i = 0; i < 5; i++) {
        begin(world, &path);
        struct reflector_next next = selection_ended(&world->selection, -ECONNREFUSED, &err, 0, 0);
        assert_true(next.doubts_server);
    }
    assert_int_equal(world->complaints, 1);
    assert_non_null(strstr(world->said, "connection refused"));
    list_stream(world, &path, &body);
    deliver(world, 200, &body);
    unsigned before = world->complaints;
    begin(world, &path);
    selection_ended(&world->selection, -ECONNREFUSED, &err, 0, 0);
    assert_int_equal(world->complaints, before + 1);
    text_done(&path);
    text_done(&body);
    world_free(world);
}

/* A refusal without a Status: its line of text is said, and other bytes are not. */
static void test_plain_refusal_is_said(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *part;
    } cases[] = {
        {"Client sent an HTTP request to an HTTPS server.\n", 48,
         "403: Client sent an HTTP request to an HTTPS server."},
        {"", 0, "403: (nothing)"},
        {"k8s\0x", 5, "403: (nothing)"},
        {"a\033[2Jb", 6, "403: (nothing)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *world = world_new(1, true, false);
        struct text path = {0};
        struct http_call_headers headers = {403, "text/plain", 0};
        begin(world, &path);
        selection_headers(&world->selection, &headers, 5);
        selection_data(&world->selection, cases[i].body, cases[i].len, 5);
        selection_ended(&world->selection, 0, NULL, 5, 0);
        if (!strstr(world->said, cases[i].part))
            fail_msg("row %zu: %s", i, world->said);
        text_done(&path);
        world_free(world);
    }
}

static void test_silent_stream_becomes_pages(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0};
    uint64_t wait_ms = 0;
    struct http_call_headers headers = {200, WIRE_PROTOBUF_TYPE, 0};
    begin(world, &path);
    selection_headers(&world->selection, &headers, 5);
    assert_false(selection_is_overdue(&world->selection, 5, &wait_ms));
    assert_int_equal(wait_ms, 30000);
    assert_true(selection_is_overdue(&world->selection, 30005, &wait_ms));
    assert_true(selection_ended(&world->selection, -ETIMEDOUT, NULL, 30005, 0).is_failure);
    begin(world, &path);
    assert_null(strstr(path.data, "sendInitialEvents"));
    assert_non_null(strstr(path.data, "limit=3&resourceVersion=0"));
    text_done(&path);
    world_free(world);
}

static void test_answer_of_another_type(void **state)
{
    struct world *world = world_new(1, true, false);
    struct text path = {0};
    struct http_call_headers headers = {200, "text/html", 0};
    begin(world, &path);
    selection_headers(&world->selection, &headers, 0);
    assert_false(selection_data(&world->selection, "<html>", 6, 0));
    assert_true(selection_ended(&world->selection, -ECANCELED, NULL, 0, 0).is_failure);
    assert_non_null(strstr(world->said, "text/html"));
    text_done(&path);
    world_free(world);
}

static void ignore_put(void *context, const struct api_object *object)
{
    assert_true(*object->name && object->message);
}

static void ignore_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
}

/* Answers with wrong bytes in them, by watches and by pages: nothing breaks, and it comes right in the end.
 */
static void test_corrupt_bytes(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world *world = world_new(seed, seed % 3, seed % 2);
        world->sink.put = ignore_put;
        world->sink.remove = ignore_remove;
        for (unsigned i = 0; i < 20; i++) {
            struct text path = {0}, body = {0};
            begin(world, &path);
            unsigned status = answer(&world->model, text_str(&path), &body);
            for (unsigned bytes = 1 + i % 4; bytes > 0 && body.len > 0; bytes--)
                body.data[next_random(&world->model) % body.len] = (char)next_random(&world->model);
            deliver(world, status, &body);
            text_done(&path);
            text_done(&body);
        }
        world->model.is_kind = true;
        for (unsigned i = 0; i < 16; i++)
            step(world);
        assert_int_equal(world->selection.reflector.call, REFLECTOR_WATCH);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_history_any_fault),
        cmocka_unit_test(test_history_put_back),
        cmocka_unit_test(test_undecodable_object),
        cmocka_unit_test(test_harmed_once),
        cmocka_unit_test(test_events_of_the_past),
        cmocka_unit_test(test_nameless_object),
        cmocka_unit_test(test_outage_is_said_once),
        cmocka_unit_test(test_plain_refusal_is_said),
        cmocka_unit_test(test_silent_stream_becomes_pages),
        cmocka_unit_test(test_answer_of_another_type),
        cmocka_unit_test(test_corrupt_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
