/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/event_book.h"

#include "api/names.h"
#include "api/scalar.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define EVENTS_PATH "/apis/events.k8s.io/v1/namespaces/"
#define NOTE_MAX 1024
#define NS_PER_SECOND 1000000000

/* Equal events, of which the first became the object. */
struct record {
    UT_hash_handle hh;
    char *key;
    struct event event; /* its texts are the record's own */
    char *name;
    struct event_time first, last;
    uint64_t written_ms;
    unsigned count, written, sent; /* so many there were, the server knows, it was told of just now */
    unsigned tries;
    bool is_created;
};

struct event_book {
    char *controller, *instance;
    struct record *records, *current; /* current: the one whose write is under way */
    uint64_t not_before_ms;
    struct text path, body, what;
};

struct event_book *event_book_new(const char *controller, const char *instance)
{
    struct event_book *book = xcalloc(1, sizeof(*book));
    book->controller = xstrdup(controller);
    book->instance = xstrdup(instance);
    return book;
}

static void forget(struct event_book *book, struct record *record)
{
    HASH_DEL(book->records, record);
    free(record->key);
    free(record->name);
    free((char *)record->event.reason);
    free((char *)record->event.action);
    free((char *)record->event.note);
    free((char *)record->event.regarding.api_version);
    free((char *)record->event.regarding.kind);
    free((char *)record->event.regarding.namespace);
    free((char *)record->event.regarding.name);
    free(record);
}

void event_book_free(struct event_book *book)
{
    struct record *record, *next;
    if (!book)
        return;
    HASH_ITER (hh, book->records, record, next)
        forget(book, record);
    text_done(&book->path);
    text_done(&book->body);
    text_done(&book->what);
    free(book->controller);
    free(book->instance);
    free(book);
}

/* --- what is said --- */

static void add_key(const struct event *event, struct text *key)
{
    const struct event_subject *about = &event->regarding;
    text_printf(key, "%d\n%s\n%s\n%s\n%s\n%s\n%s", event->is_warning, event->reason, event->action,
                about->api_version, about->kind, about->namespace, about->name);
}

/* The object's name and the moment. An event's name follows the rules of all names, and not every kind's do.
 */
static char *name_of(const struct event *event, struct event_time now)
{
    const char *details[NAME_DETAILS_MAX];
    struct text name = {0};
    text_printf(&name, "%s.%" PRIx64, event->regarding.name, (uint64_t)now.wall_ns);
    if (dns_subdomain_rule(text_str(&name), details) > 0) {
        text_done(&name);
        text_printf(&name, "event.%" PRIx64, (uint64_t)now.wall_ns);
    }
    return name.data;
}

/* Cut where a character begins. */
static char *note_of(const char *note)
{
    char *kept = xstrdup(note);
    size_t len = strlen(note);
    if (len > NOTE_MAX)
        for (len = NOTE_MAX; ((unsigned char)note[len] & 0xc0) == 0x80; len--)
            ;
    kept[len] = '\0';
    return kept;
}

bool event_book_post(struct event_book *book, const struct event *event, struct event_time now)
{
    struct text key = {0};
    struct record *record;
    add_key(event, &key);
    HASH_FIND(hh, book->records, key.data, key.len, record);
    if (record) {
        text_done(&key);
        record->count++;
        record->last = now;
        return true;
    }
    if (HASH_COUNT(book->records) >= EVENT_BOOK_MAX) {
        text_done(&key);
        return false;
    }
    size_t key_len = key.len;
    record = xcalloc(1, sizeof(*record));
    *record = (struct record){.key = key.data, .count = 1, .first = now, .last = now};
    record->name = name_of(event, now);
    record->event = (struct event){
        .is_warning = event->is_warning,
        .reason = xstrdup(event->reason),
        .action = xstrdup(event->action),
        .note = note_of(event->note),
        .regarding = {.api_version = xstrdup(event->regarding.api_version),
                      .kind = xstrdup(event->regarding.kind),
                      .namespace = xstrdup(event->regarding.namespace),
                      .name = xstrdup(event->regarding.name)},
    };
    HASH_ADD_KEYPTR(hh, book->records, record->key, key_len, record);
    return true;
}

/* --- what is due --- */

/* When the server has to hear of it again; UINT64_MAX: it knows everything. */
static uint64_t due_ms(const struct record *record)
{
    if (!record->is_created || (record->written == 1 && record->count > 1))
        return 0;
    if (record->count == record->written)
        return UINT64_MAX;
    uint64_t over_ms = record->last.ms + EVENT_OVER_MS, refresh_ms = record->written_ms + EVENT_REFRESH_MS;
    return over_ms < refresh_ms ? over_ms : refresh_ms;
}

static const char *event_namespace(const struct record *record)
{
    return *record->event.regarding.namespace ? record->event.regarding.namespace : "default";
}

static json_t *time_tree(struct event_time time)
{
    char text[TIME_TEXT_MAX];
    return json_string(
        time_put_micros(time.wall_ns / NS_PER_SECOND, (int32_t)(time.wall_ns % NS_PER_SECOND), text));
}

static json_t *series_tree(const struct record *record)
{
    return json_pack("{s:i, s:o}", "count", (int)record->count, "lastObservedTime", time_tree(record->last));
}

static json_t *subject_tree(const struct event_subject *about)
{
    json_t *tree = json_pack("{s:s, s:s, s:s}", "apiVersion", about->api_version, "kind", about->kind, "name",
                             about->name);
    if (*about->namespace)
        json_object_set_new(tree, "namespace", json_string(about->namespace));
    return tree;
}

static json_t *event_tree(const struct event_book *book, const struct record *record)
{
    const struct event *event = &record->event;
    json_t *tree =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "apiVersion",
                  "events.k8s.io/v1", "kind", "Event", "metadata", "name", record->name, "namespace",
                  event_namespace(record), "eventTime", time_tree(record->first), "reportingController",
                  book->controller, "reportingInstance", book->instance, "action", event->action, "reason",
                  event->reason, "regarding", subject_tree(&event->regarding), "note", event->note, "type",
                  event->is_warning ? "Warning" : "Normal");
    if (tree && record->count > 1)
        json_object_set_new(tree, "series", series_tree(record));
    return tree;
}

/* false for what is no UTF-8, which no server would take. */
static bool put_write(struct event_book *book, struct record *record, struct event_write *ret)
{
    json_t *tree =
        record->is_created ? json_pack("{s:o}", "series", series_tree(record)) : event_tree(book, record);
    char *body = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
    json_decref(tree);
    text_done(&book->path);
    text_done(&book->body);
    text_printf(&book->path, EVENTS_PATH "%s/events", event_namespace(record));
    if (record->is_created)
        text_printf(&book->path, "/%s", record->name);
    text_add(&book->body, body ? body : "");
    free(body);
    *ret = (struct event_write){
        .method = record->is_created ? "PATCH" : "POST",
        .path = text_str(&book->path),
        .content_type = record->is_created ? "application/merge-patch+json" : "application/json",
        .body = text_str(&book->body),
    };
    return book->body.len > 0;
}

bool event_book_next(struct event_book *book, struct event_time now, struct event_write *ret,
                     uint64_t *ret_wait_ms)
{
    struct record *record, *next;
    uint64_t soonest_ms = UINT64_MAX;
    HASH_ITER (hh, book->records, record, next) {
        uint64_t over_ms = record->last.ms + EVENT_OVER_MS, at_ms = due_ms(record);
        if (at_ms == UINT64_MAX && over_ms <= now.ms) {
            forget(book, record);
            continue;
        }
        if (at_ms > now.ms || book->not_before_ms > now.ms) {
            at_ms = at_ms < over_ms ? at_ms : over_ms;
            at_ms = at_ms > book->not_before_ms ? at_ms : book->not_before_ms;
            soonest_ms = at_ms < soonest_ms ? at_ms : soonest_ms;
            continue;
        }
        if (!put_write(book, record, ret)) {
            forget(book, record);
            continue;
        }
        record->sent = record->count;
        book->current = record;
        return true;
    }
    *ret_wait_ms = soonest_ms == UINT64_MAX ? UINT64_MAX : soonest_ms - now.ms;
    return false;
}

/* --- what became of it --- */

static void note_written(struct record *record, struct event_time now)
{
    record->is_created = true;
    record->written = record->sent;
    record->written_ms = now.ms;
    record->tries = 0;
}

static enum event_outcome try_again(struct event_book *book, struct record *record)
{
    if (++record->tries < EVENT_TRIES_MAX)
        return EVENT_RETRIED;
    forget(book, record);
    return EVENT_GIVEN_UP;
}

static void wait_for_server(struct event_book *book, unsigned retry_after_s, struct event_time now,
                            uint64_t random)
{
    uint64_t wait_ms = EVENT_RETRY_MS + random % (EVENT_RETRY_MS / 4),
             least_ms = (uint64_t)retry_after_s * 1000;
    book->not_before_ms = now.ms + (wait_ms > least_ms ? wait_ms : least_ms);
}

static bool is_away(unsigned status)
{
    return status == 0 || status == 401 || status == 408 || status == 429 || status >= 500;
}

enum event_outcome event_book_ended(struct event_book *book, unsigned status, unsigned retry_after_s,
                                    struct event_time now, uint64_t random, const char **ret_what)
{
    struct record *record = steal_pointer(&book->current);
    bool is_cluster_wide = !*record->event.regarding.namespace;
    text_done(&book->what);
    text_printf(&book->what, "%s of %s %s", record->event.reason, record->event.regarding.kind,
                record->event.regarding.name);
    if (ret_what)
        *ret_what = text_str(&book->what);
    if (status >= 200 && status < 300) {
        note_written(record, now);
        return EVENT_WRITTEN;
    }
    if (is_away(status)) {
        wait_for_server(book, retry_after_s, now, random);
        return try_again(book, record);
    }
    if (status == 404 && record->is_created) { /* it was kept for so long only */
        record->is_created = false;
        return try_again(book, record);
    }
    if (status == 409 && !record->is_created) { /* ours, of a try whose answer was lost */
        record->is_created = true;
        record->written = 1;
        record->written_ms = now.ms;
        return EVENT_WRITTEN;
    }
    forget(book, record);
    return status == 404 && is_cluster_wide ? EVENT_ABSENT : EVENT_REFUSED;
}
