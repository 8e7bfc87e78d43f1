/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/selection.h"

#include "api/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REFUSAL_MAX ((size_t)64 << 10)

void selection_init(struct selection *selection, const struct apiserver_selection *what, unsigned page,
                    bool prefers_json, const struct source_sink *sink, struct source_status *status)
{
    *selection = (struct selection){.sink = sink, .status = status, .kind = what->kind};
    reflector_init(&selection->reflector, what, page, prefers_json);
    arena_init(&selection->scratch);
}

void selection_done(struct selection *selection)
{
    reflector_done(&selection->reflector);
    told_done(&selection->told);
    pieces_done(&selection->pieces);
    arena_done(&selection->scratch);
    text_done(&selection->refusal);
    text_done(&selection->continue_);
}

/* Says it unless it was the last thing said. */
static void complain(struct selection *selection, bool is_refusal, const char *sentence)
{
    char whole[sizeof(selection->complaint)];
    snprintf(whole, sizeof(whole), "%s", sentence);
    if (strcmp(whole, selection->complaint) == 0)
        return;
    memcpy(selection->complaint, whole, sizeof(whole));
    selection->sink->complain(selection->sink->context, is_refusal, whole);
}

/* --- telling --- */

static void count_refused(struct selection *selection, struct told_entry *entry, bool is_refused)
{
    if (entry->is_refused != is_refused)
        selection->status->refused += is_refused ? 1 : -1U;
    entry->is_refused = is_refused;
}

static void take_back(struct selection *selection, struct told_entry *entry)
{
    count_refused(selection, entry, false);
    if (entry->is_put) {
        selection->sink->remove(selection->sink->context, selection->kind, entry->names, told_name(entry));
        selection->status->objects[selection->kind]--;
        selection->has_told = true;
    }
    told_remove(&selection->told, entry);
}

/* The last good state stays in force. Each object is complained of once, until it is well again. */
static void refuse(struct selection *selection, struct told_entry *entry, const char *fault)
{
    if (!entry->is_refused)
        selection->sink->complain(selection->sink->context, true, fault);
    count_refused(selection, entry, true);
}

static bool give_up(struct selection *selection, const char *sentence)
{
    selection->end.fault = REFLECTOR_GARBAGE;
    err_set(&selection->err, EPROTO, "%s", sentence);
    return false;
}

/* Something cannot be read. A watch is given up for it, a list at its end; whatever is the same in the next
 * list is passed over there. */
static bool doubt(struct selection *selection, const char *fault)
{
    selection->has_doubts = true;
    if (selection->reflector.call != REFLECTOR_WATCH)
        return true;
    selection->is_second_look = true;
    return give_up(selection, fault);
}

static bool put(struct selection *selection, const struct told_object *object)
{
    struct told_entry *entry = told_get(&selection->told, object->namespace_, object->name);
    uint32_t round = selection->reflector.round;
    if (!reflector_is_news(&selection->reflector, object->version, entry ? entry->version : 0)) {
        if (entry)
            entry->round = round;
        return true;
    }
    if (object->fault && !selection->is_second_look && !(entry && entry->is_refused))
        return doubt(selection, object->fault);
    reflector_note(&selection->reflector, object->version);
    entry = entry ? entry : told_add(&selection->told, object->namespace_, object->name);
    if (!entry) {
        complain(selection, true, "the server has more objects, or longer names, than can be held");
        return true;
    }
    entry->round = round;
    entry->version = object->version;
    if (object->fault) {
        refuse(selection, entry, object->fault);
        return true;
    }
    count_refused(selection, entry, false);
    selection->status->objects[selection->kind] += !entry->is_put;
    entry->is_put = true;
    selection->has_told = true;
    selection->sink->put(selection->sink->context, &(struct api_object){selection->kind, object->namespace_,
                                                                        object->name, object->message});
    return true;
}

/* A deletion says that nothing of the object is left that is not newer than it. */
static void handle_deletion(struct selection *selection, const struct told_object *object)
{
    struct told_entry *entry = told_get(&selection->told, object->namespace_, object->name);
    reflector_note(&selection->reflector, object->version);
    if (entry && (object->version == 0 || object->version >= entry->version))
        take_back(selection, entry);
}

static void sweep(struct selection *selection)
{
    size_t count;
    if (selection->has_nameless)
        return;
    struct told_entry **gone = told_unseen(&selection->told, selection->reflector.round, &count);
    for (size_t i = 0; i < count; i++)
        take_back(selection, gone[i]);
    free(gone);
}

/* --- pieces --- */

/* A list is whole; false when it is to be read again. */
static bool is_list_trusted(struct selection *selection)
{
    if (!selection->has_doubts)
        return true;
    selection->is_second_look = true;
    return give_up(selection, "a list has objects in it that cannot be read; it is read once more");
}

static bool follow(struct selection *selection, enum reflector_verdict verdict)
{
    switch (verdict) {
    case REFLECTOR_GO_ON:
    case REFLECTOR_NEXT:
        return true;
    case REFLECTOR_LISTED:
        sweep(selection);
        selection->is_second_look = false;
        if (!selection->has_nameless)
            *selection->complaint = '\0';
        return true;
    case REFLECTOR_TURNED_BACK:
        told_forget_versions(&selection->told);
        return give_up(selection, "the server's history begins anew: everything is read again");
    case REFLECTOR_AGAIN:
        return give_up(selection, "the server's answer has no version, or is older than what it said before");
    }
    return true;
}

/* What has no name is passed over in a list, at the second look, where the rest counts all the same; in a
 * watch nobody knows what was missed, and a list is to tell. */
static bool handle_nameless(struct selection *selection, const char *fault)
{
    if (!selection->is_second_look)
        return doubt(selection, fault);
    selection->has_nameless = true;
    complain(selection, true, fault);
    return true;
}

static bool handle_event(struct selection *selection, const struct decoded_event *event)
{
    const struct told_object *object = &event->object;
    if (event->fault)
        return handle_nameless(selection, event->fault);
    switch (event->type) {
    case EVENT_BOOKMARK:
        if (selection->reflector.call == REFLECTOR_STREAM && object->is_initial_end &&
            !is_list_trusted(selection))
            return false;
        return follow(selection, reflector_bookmark(&selection->reflector, object->version,
                                                    object->is_initial_end, selection->heard_ms));
    case EVENT_ERROR:
        selection->end.has_refusal = true;
        selection->end.refusal = event->refusal;
        if (event->refusal.code == 0)
            selection->end.refusal.code = 500;
        return false;
    case EVENT_UNKNOWN:
        return handle_nameless(selection, "an event of a watch is of no known type");
    case EVENT_ADDED:
    case EVENT_MODIFIED:
    case EVENT_DELETED:
        break;
    }
    if (!*object->name)
        return handle_nameless(selection, object->fault ? object->fault : "an object has no name");
    if (event->type == EVENT_DELETED)
        handle_deletion(selection, object);
    else if (!put(selection, object))
        return false;
    if (selection->reflector.has_progress && !selection->has_nameless)
        *selection->complaint = '\0';
    return true;
}

static bool handle_item(struct selection *selection, const struct told_object *object)
{
    if (!*object->name)
        return handle_nameless(selection, object->fault ? object->fault : "an object has no name");
    return put(selection, object);
}

static bool take(void *context, enum piece_kind kind, const uint8_t *bytes, size_t len)
{
    struct selection *selection = context;
    struct decoded_event event;
    struct told_object object;
    switch (kind) {
    case PIECE_EVENT:
        arena_reset(&selection->scratch);
        decode_event(selection->kind, selection->is_protobuf, bytes, len, &selection->scratch, &event);
        return handle_event(selection, &event);
    case PIECE_ITEM:
        arena_reset(&selection->scratch);
        decode_item(selection->kind, selection->is_protobuf, bytes, len, &selection->scratch, &object);
        return handle_item(selection, &object);
    case PIECE_METADATA:
        arena_reset(&selection->scratch);
        decode_place(selection->is_protobuf, bytes, len, &selection->scratch, &selection->place);
        selection->continue_.len = 0;
        text_add(&selection->continue_, selection->place.continue_);
        selection->place.continue_ = text_str(&selection->continue_);
        return true;
    }
    return true;
}

/* --- the call --- */

void selection_begin(struct selection *selection, uint64_t now_ms, uint64_t random, struct text *ret_path,
                     const char **ret_accept)
{
    uint32_t round = selection->reflector.round;
    reflector_begin(&selection->reflector, now_ms, random, ret_path, ret_accept);
    if (selection->reflector.round != round)
        selection->has_nameless = selection->has_doubts = false;
    selection->end = (struct reflector_end){0};
    selection->heard_ms = now_ms;
    selection->refusal.len = 0;
    selection->place = (struct list_place){.continue_ = ""};
    selection->retry_after_s = 0;
}

static enum pieces_form form_of(const struct selection *selection)
{
    if (selection->reflector.call == REFLECTOR_LIST)
        return selection->is_protobuf ? PIECES_LIST_PROTOBUF : PIECES_LIST_JSON;
    return selection->is_protobuf ? PIECES_WATCH_PROTOBUF : PIECES_WATCH_JSON;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

void selection_headers(struct selection *selection, const struct http_call_headers *headers, uint64_t now_ms)
{
    selection->heard_ms = now_ms;
    selection->end.status = headers->status;
    selection->end.has_refusal = headers->status != 200;
    selection->retry_after_s = headers->retry_after_s;
    selection->is_protobuf = has_prefix(headers->content_type, WIRE_PROTOBUF_TYPE);
    if (headers->status == 200 && !selection->is_protobuf &&
        !has_prefix(headers->content_type, "application/json")) {
        selection->end.fault = REFLECTOR_GARBAGE;
        err_set(&selection->err, EPROTO, "the server's answer is of type \"%s\"", headers->content_type);
    }
    pieces_begin(&selection->pieces, form_of(selection), PIECE_MAX, take, selection);
}

static bool keep_refusal(struct selection *selection, const char *bytes, size_t len)
{
    size_t room = REFUSAL_MAX - selection->refusal.len;
    text_add_bytes(&selection->refusal, bytes, len < room ? len : room);
    return len <= room;
}

bool selection_data(struct selection *selection, const char *bytes, size_t len, uint64_t now_ms)
{
    selection->heard_ms = now_ms;
    if (selection->end.fault)
        return false;
    if (selection->end.status != 200)
        return keep_refusal(selection, bytes, len);
    int code = pieces_feed(&selection->pieces, bytes, len, &selection->err);
    if (code < 0 && code != -ECANCELED)
        selection->end.fault = REFLECTOR_GARBAGE;
    return code == 0;
}

bool selection_is_overdue(struct selection *selection, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    uint64_t silence_ms = reflector_silence_ms(&selection->reflector);
    uint64_t due_ms = selection->reflector.limit_ms;
    bool is_silent = silence_ms && now_ms >= selection->heard_ms + silence_ms;
    if (silence_ms && selection->heard_ms + silence_ms < due_ms)
        due_ms = selection->heard_ms + silence_ms;
    if (now_ms < due_ms) {
        *ret_wait_ms = due_ms - now_ms;
        return false;
    }
    if (is_silent)
        selection->end.fault = REFLECTOR_STALLED;
    return true;
}

/* At the end of an answer that came whole: true when it was a page, and a good one. */
static bool finish_page(struct selection *selection)
{
    if (pieces_end(&selection->pieces, &selection->err) < 0) {
        selection->end.fault = REFLECTOR_GARBAGE;
        return false;
    }
    if (!*selection->place.continue_ && !is_list_trusted(selection))
        return false;
    return follow(selection, reflector_page(&selection->reflector, &selection->place));
}

static void read_refusal(struct selection *selection)
{
    struct reflector_end *end = &selection->end;
    if (end->status == 200)
        return;
    arena_reset(&selection->scratch);
    decode_refusal(selection->is_protobuf, (const uint8_t *)text_str(&selection->refusal),
                   selection->refusal.len, &selection->scratch, &end->refusal);
    end->refusal.code = end->status;
    end->refusal.is_expired = end->refusal.is_expired || end->status == 410;
    if (selection->retry_after_s)
        end->refusal.retry_after_s = selection->retry_after_s;
}

/* What is between, or a server that wanted TLS, says a line of plain text instead of a Status. */
static const char *words_of_refusal(struct selection *selection)
{
    const char *text = text_str(&selection->refusal);
    size_t len = strcspn(text, "\r\n");
    if (*selection->end.refusal.message)
        return selection->end.refusal.message;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return "(nothing)";
    bool is_text = len > 0 && strlen(text) == selection->refusal.len;
    return is_text ? arena_printf(&selection->scratch, "%.*s", len < 200 ? (int)len : 200, text)
                   : "(nothing)";
}

static void explain(struct selection *selection)
{
    char sentence[sizeof(selection->complaint)];
    const struct reflector_end *end = &selection->end;
    const char *what = api_kind_name(selection->kind);
    if (end->has_refusal)
        snprintf(sentence, sizeof(sentence), "cannot read every %s: the server answers %u: %s", what,
                 end->refusal.code, words_of_refusal(selection));
    else if (end->fault == REFLECTOR_STALLED)
        snprintf(sentence, sizeof(sentence), "cannot read every %s: the server has fallen silent", what);
    else
        snprintf(sentence, sizeof(sentence), "cannot read every %s: %s", what,
                 *selection->err.text ? selection->err.text : "the connection ended too early");
    complain(selection, false, sentence);
}

struct reflector_next selection_ended(struct selection *selection, int code, const struct err *err,
                                      uint64_t now_ms, uint64_t random)
{
    struct reflector_end *end = &selection->end;
    bool is_judged = end->fault || (end->has_refusal && end->status == 200);
    bool is_page = selection->reflector.call == REFLECTOR_LIST;
    if (!is_judged) {
        end->code = code;
        selection->err = err && code < 0 ? *err : (struct err){0};
        if (end->has_refusal)
            read_refusal(selection);
        else if (code == 0 && is_page && finish_page(selection))
            return (struct reflector_next){0};
        else if (code == 0 && !is_page && pieces_end(&selection->pieces, NULL) < 0)
            end->code = -ECONNRESET;
    }
    struct reflector_next next = reflector_ended(&selection->reflector, end, now_ms, random);
    if (next.is_failure)
        explain(selection);
    /* No list is under way. */
    end->status = 0;
    return next;
}
