/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/collect.h"

#include "apiserver/write.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define EVENT_LIFE_S 3600 /* kube-apiserver's --event-ttl */
#define RETRY_S 30
/* Each removal is one write to the disk; the loop has others to serve in between. */
#define REMOVALS_PER_TURN 16
#define TIMER_MAX_MS ((uint64_t)600 * 1000)

/* An object by its place; owned strings. */
struct place {
    enum api_kind kind;
    char *namespace_, *name;
};

/* Who names this uid in ownerReferences. */
struct owner {
    UT_hash_handle hh;
    struct place *dependents;
    size_t count;
    char uid[];
};

/* An object to be looked at when its time may have come. */
struct expiry {
    UT_hash_handle hh;
    struct place place;
    int64_t at;
    char key[];
};

struct collector {
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct world *world;
    uint64_t cursors[API_KIND_COUNT];
    struct owner *owners;
    struct expiry *expiries;
    int64_t next_expiry;   /* no expiry is earlier */
    struct place *pending; /* to be looked at again: being deleted, or an owner is gone */
    size_t pending_count, pending_capacity;
    void (*report)(void *context, const char *sentence);
    void *context;
};

static struct place place_make(enum api_kind kind, const char *namespace_, const char *name)
{
    return (struct place){kind, xstrdup(namespace_), xstrdup(name)};
}

static void place_done(struct place *place)
{
    free(place->namespace_);
    free(place->name);
}

static bool is_same_place(const struct place *place, const struct registry_object *object)
{
    return place->kind == object->kind && strcmp(place->namespace_, object->namespace_) == 0 &&
           strcmp(place->name, object->name) == 0;
}

static char *expiry_key(const struct registry_object *object)
{
    struct text key = {0};
    text_printf(&key, "%d/%s/%s", object->kind, object->namespace_, object->name);
    return key.data;
}

static void forget_expiry(struct collector *collector, struct expiry *expiry)
{
    HASH_DEL(collector->expiries, expiry);
    place_done(&expiry->place);
    free(expiry);
}

/* at INT64_MAX: nothing is expected of it any more. */
static void expect(struct collector *collector, const struct registry_object *object, int64_t at)
{
    cleanup_free char *key = expiry_key(object);
    struct expiry *expiry;
    HASH_FIND_STR(collector->expiries, key, expiry);
    if (expiry && at == INT64_MAX)
        forget_expiry(collector, expiry);
    if (at == INT64_MAX)
        return;
    if (!expiry) {
        expiry = xcalloc(1, sizeof(*expiry) + strlen(key) + 1);
        strcpy(expiry->key, key);
        expiry->place = place_make(object->kind, object->namespace_, object->name);
        HASH_ADD_STR(collector->expiries, key, expiry);
    }
    expiry->at = at;
    if (at < collector->next_expiry)
        collector->next_expiry = at;
}

static int64_t later(int64_t seconds, const Meta__Time *time)
{
    return time && time->seconds > seconds ? time->seconds : seconds;
}

/* A repeated Event lives on: what counts is its last write. */
static int64_t event_expiry(const Core__Event *event)
{
    const Meta__ObjectMeta *metadata = event->metadata;
    int64_t last = later(0, metadata->creationtimestamp);
    for (size_t i = 0; i < metadata->n_managedfields; i++)
        last = later(last, metadata->managedfields[i]->time);
    return last + EVENT_LIFE_S;
}

/* When the object goes by itself; INT64_MAX: never, as it is. */
static int64_t expiry_of(enum api_kind kind, const ProtobufCMessage *message)
{
    const Meta__ObjectMeta *metadata = api_metadata(message);
    if (metadata->deletiontimestamp && metadata->n_finalizers == 0 && kind != API_NAMESPACE)
        return metadata->deletiontimestamp->seconds;
    return kind == API_EVENT ? event_expiry((const Core__Event *)message) : INT64_MAX;
}

static void look_again(struct collector *collector, enum api_kind kind, const char *namespace_,
                       const char *name)
{
    if (collector->pending_count == collector->pending_capacity) {
        collector->pending_capacity = collector->pending_capacity ? collector->pending_capacity * 2 : 64;
        collector->pending =
            xrealloc(collector->pending, collector->pending_capacity * sizeof(*collector->pending));
    }
    collector->pending[collector->pending_count++] = place_make(kind, namespace_, name);
}

static void note_dependent(struct collector *collector, const char *uid, const struct registry_object *object)
{
    struct owner *owner;
    HASH_FIND_STR(collector->owners, uid, owner);
    if (!owner) {
        owner = xcalloc(1, sizeof(*owner) + strlen(uid) + 1);
        strcpy(owner->uid, uid);
        HASH_ADD_STR(collector->owners, uid, owner);
    }
    for (size_t i = 0; i < owner->count; i++)
        if (is_same_place(&owner->dependents[i], object))
            return;
    owner->dependents = xrealloc(owner->dependents, (owner->count + 1) * sizeof(*owner->dependents));
    owner->dependents[owner->count++] = place_make(object->kind, object->namespace_, object->name);
}

static void owner_free(struct collector *collector, struct owner *owner);

/* object names uid no longer. */
static void forget_dependent(struct collector *collector, const char *uid,
                             const struct registry_object *object)
{
    struct owner *owner;
    HASH_FIND_STR(collector->owners, uid, owner);
    for (size_t i = 0; owner && i < owner->count; i++) {
        if (!is_same_place(&owner->dependents[i], object))
            continue;
        place_done(&owner->dependents[i]);
        owner->dependents[i] = owner->dependents[--owner->count];
        break;
    }
    if (owner && owner->count == 0)
        owner_free(collector, owner);
}

static void owner_free(struct collector *collector, struct owner *owner)
{
    HASH_DEL(collector->owners, owner);
    for (size_t i = 0; i < owner->count; i++)
        place_done(&owner->dependents[i]);
    free(owner->dependents);
    free(owner);
}

/* Everything that named uid as an owner is to be judged anew. */
static void look_at_dependents(struct collector *collector, const char *uid, bool is_gone)
{
    struct owner *owner;
    HASH_FIND_STR(collector->owners, uid, owner);
    for (size_t i = 0; owner && i < owner->count; i++)
        look_again(collector, owner->dependents[i].kind, owner->dependents[i].namespace_,
                   owner->dependents[i].name);
    if (owner && is_gone)
        owner_free(collector, owner);
}

/* Owners of other kinds are never seen going. */
static bool is_kept_kind(const Meta__OwnerReference *owner)
{
    enum api_kind kind;
    return api_kind_find(api_text(owner->apiversion), api_text(owner->kind), &kind) == API_KIND_FOUND;
}

static void note_object(struct collector *collector, const struct registry_object *object,
                        struct arena *arena)
{
    const ProtobufCMessage *message = registry_decode(object, arena);
    const Meta__ObjectMeta *metadata = api_metadata(message);
    for (size_t i = 0; i < metadata->n_ownerreferences; i++)
        if (is_kept_kind(metadata->ownerreferences[i]))
            note_dependent(collector, api_text(metadata->ownerreferences[i]->uid), object);
    if (metadata->n_ownerreferences > 0 || metadata->deletiontimestamp)
        look_again(collector, object->kind, object->namespace_, object->name);
    expect(collector, object, expiry_of(object->kind, message));
}

static void note_event(struct collector *collector, const struct registry_event *event, struct arena *arena)
{
    if (event->previous) {
        const Meta__ObjectMeta *old = api_metadata(registry_decode(event->previous, arena));
        for (size_t i = 0; i < old->n_ownerreferences; i++)
            forget_dependent(collector, api_text(old->ownerreferences[i]->uid), event->object);
    }
    if (event->type != REGISTRY_DELETED) {
        note_object(collector, event->object, arena);
        return;
    }
    const Meta__ObjectMeta *metadata = api_metadata(registry_decode(event->object, arena));
    expect(collector, event->object, INT64_MAX);
    look_at_dependents(collector, api_text(metadata->uid), true);
    for (size_t i = 0; i < metadata->n_ownerreferences; i++) {
        const Meta__OwnerReference *owner = metadata->ownerreferences[i];
        enum api_kind kind;
        if (api_kind_find(api_text(owner->apiversion), api_text(owner->kind), &kind) == API_KIND_FOUND)
            look_again(collector, kind, api_kind_info(kind)->is_namespaced ? event->object->namespace_ : "",
                       api_text(owner->name));
    }
    if (*event->object->namespace_)
        look_again(collector, API_NAMESPACE, "", event->object->namespace_);
}

/* --- writing --- */

static const struct resource *resource_of(enum api_kind kind)
{
    for (size_t i = 0; i < resource_count; i++)
        if (resources[i].kind == kind)
            return &resources[i];
    return NULL;
}

static void complain(struct collector *collector, const struct outcome *outcome, const struct place *place)
{
    char sentence[512];
    if (outcome->status.code == 0 || outcome->status.code == 404 || !collector->report)
        return;
    snprintf(sentence, sizeof(sentence), "%s %s%s%s cannot be collected: %s", api_kind_name(place->kind),
             place->namespace_, *place->namespace_ ? "/" : "", place->name, outcome->status.message);
    collector->report(collector->context, sentence);
}

/* Returns whether that is settled, now or later by itself. */
static bool remove_object(struct collector *collector, const struct place *place, int64_t grace_seconds,
                          struct arena *arena)
{
    const struct target target = {resource_of(place->kind), place->namespace_, place->name, ""};
    const struct write_options options = {.manager = "fairlead"};
    const struct delete_options how = {grace_seconds, "", "", ""};
    struct outcome outcome = {0};
    struct write write = {collector->world, &target, &options, arena, &outcome};
    verb_delete(&write, &how);
    complain(collector, &outcome, place);
    return outcome.status.code == 0 || outcome.status.code == 404;
}

static void store_object(struct collector *collector, const struct place *place, ProtobufCMessage *message,
                         struct arena *arena)
{
    struct err err;
    struct outcome outcome = {0};
    if (registry_put(collector->world->registry, place->kind, message, NULL, &err) < 0)
        status_generic(&outcome.status, 500, "InternalError", arena_strdup(arena, err.text));
    complain(collector, &outcome, place);
}

/* Whether the owner is there: one of a kind that is not kept here is somebody else's business and counts as
 * there. */
static bool is_owner_there(const struct collector *collector, const Meta__OwnerReference *owner,
                           const char *namespace_, struct arena *arena)
{
    enum api_kind kind;
    if (api_kind_find(api_text(owner->apiversion), api_text(owner->kind), &kind) != API_KIND_FOUND)
        return true;
    /* What has no namespace cannot belong to what has one: nobody can tell, so nobody collects. */
    if (api_kind_info(kind)->is_namespaced && !*namespace_)
        return true;
    const struct registry_object *object =
        registry_get(collector->world->registry, kind, api_kind_info(kind)->is_namespaced ? namespace_ : "",
                     api_text(owner->name));
    if (!object)
        return false;
    return strcmp(api_text(api_metadata(registry_decode(object, arena))->uid), api_text(owner->uid)) == 0;
}

static bool is_orphaned(const struct collector *collector, const Meta__ObjectMeta *metadata,
                        struct arena *arena)
{
    for (size_t i = 0; i < metadata->n_ownerreferences; i++)
        if (is_owner_there(collector, metadata->ownerreferences[i], api_text(metadata->namespace_), arena))
            return false;
    return metadata->n_ownerreferences > 0;
}

static bool drop_finalizer(Meta__ObjectMeta *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->n_finalizers; i++) {
        if (strcmp(metadata->finalizers[i], name) == 0) {
            metadata->finalizers[i] = metadata->finalizers[--metadata->n_finalizers];
            return true;
        }
    }
    return false;
}

/* Orphan: the dependents forget this owner. Foreground: they go first; true when none is left. */
static bool settle_dependents(struct collector *collector, const char *uid, bool is_orphan,
                              struct arena *arena)
{
    struct owner *owner;
    bool is_settled = true;
    HASH_FIND_STR(collector->owners, uid, owner);
    for (size_t i = 0; owner && i < owner->count; i++) {
        const struct place *place = &owner->dependents[i];
        const struct registry_object *object =
            registry_get(collector->world->registry, place->kind, place->namespace_, place->name);
        ProtobufCMessage *message = object ? registry_decode(object, arena) : NULL;
        Meta__ObjectMeta *metadata = message ? api_metadata(message) : NULL;
        size_t kept = 0;
        bool blocks = false;
        for (size_t j = 0; metadata && j < metadata->n_ownerreferences; j++) {
            Meta__OwnerReference *reference = metadata->ownerreferences[j];
            if (strcmp(api_text(reference->uid), uid) != 0)
                metadata->ownerreferences[kept++] = reference;
            else
                blocks |= reference->blockownerdeletion;
        }
        if (!metadata || kept == metadata->n_ownerreferences)
            continue;
        metadata->n_ownerreferences = kept;
        if (is_orphan || kept > 0) {
            store_object(collector, place, message, arena);
        } else {
            is_settled &= !blocks;
            remove_object(collector, place, -1, arena);
        }
    }
    return is_settled;
}

/* An object that waits for its dependents. */
static void settle_finalizers(struct collector *collector, const struct place *place,
                              ProtobufCMessage *message, struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    const char *uid = api_text(metadata->uid);
    bool is_changed = false;
    for (size_t i = 0; i < metadata->n_finalizers; i++) {
        bool is_orphan = strcmp(metadata->finalizers[i], "orphan") == 0;
        if ((is_orphan || strcmp(metadata->finalizers[i], "foregroundDeletion") == 0) &&
            settle_dependents(collector, uid, is_orphan, arena)) {
            is_changed = drop_finalizer(metadata, is_orphan ? "orphan" : "foregroundDeletion");
            break;
        }
    }
    /* Without finalizers left it goes when its time is over: then it is looked at again. */
    if (is_changed)
        store_object(collector, place, message, arena);
}

/* Removes at most so many objects of one kind. Returns whether the kind is empty there; *left counts down. */
static bool empty_kind(struct collector *collector, enum api_kind kind, const char *namespace_, int *left)
{
    const struct registry_query query = {.kind = kind, .namespace_ = namespace_};
    const struct registry_object **list;
    size_t count, remaining;
    struct arena arena;
    if (registry_list(collector->world->registry, &query, 0, &list, &count, &remaining) < 0)
        return false;
    arena_init(&arena);
    for (size_t i = 0; i<count && * left> 0; i++) {
        const struct place there = {list[i]->kind, (char *)list[i]->namespace_, (char *)list[i]->name};
        if (!api_metadata(registry_decode(list[i], &arena))->deletiontimestamp) {
            remove_object(collector, &there, -1, &arena);
            (*left)--;
        }
        arena_reset(&arena);
    }
    arena_done(&arena);
    registry_list_free(list, count);
    return count == 0;
}

static void remove_namespace(struct collector *collector, const struct place *place, struct arena *arena)
{
    const struct target target = {resource_of(API_NAMESPACE), "", place->name, "finalize"};
    const struct write_options options = {.manager = "fairlead"};
    struct outcome outcome = {0};
    struct write write = {collector->world, &target, &options, arena, &outcome, false};
    const struct registry_object *object =
        registry_get(collector->world->registry, API_NAMESPACE, "", place->name);
    if (object)
        write_remove(&write, registry_ref(object));
    registry_unref(object);
    complain(collector, &outcome, place);
}

/* Everything in a terminating namespace goes, some at a time; when nothing is left, and nobody holds it, the
 * namespace itself. */
static void empty_namespace(struct collector *collector, const struct place *place,
                            const Meta__ObjectMeta *metadata, struct arena *arena)
{
    int left = REMOVALS_PER_TURN;
    bool is_empty = true;
    for (int kind = 0; kind < API_KIND_COUNT && left > 0; kind++)
        if (api_kind_info((enum api_kind)kind)->is_namespaced)
            is_empty &= empty_kind(collector, (enum api_kind)kind, place->name, &left);
    if (left == 0)
        look_again(collector, API_NAMESPACE, "", place->name);
    else if (is_empty && metadata->n_finalizers == 0)
        remove_namespace(collector, place, arena);
}

static void judge(struct collector *collector, const struct place *place, struct arena *arena)
{
    const struct registry_object *object =
        registry_get(collector->world->registry, place->kind, place->namespace_, place->name);
    if (!object)
        return;
    ProtobufCMessage *message = registry_decode(object, arena);
    Meta__ObjectMeta *metadata = api_metadata(message);
    if (metadata->deletiontimestamp && place->kind == API_NAMESPACE)
        empty_namespace(collector, place, metadata, arena);
    if (metadata->deletiontimestamp)
        settle_finalizers(collector, place, message, arena);
    else if (is_orphaned(collector, metadata, arena))
        remove_object(collector, place, -1, arena);
}

static void arm(struct collector *collector);

/* The object as it is now decides: it may be another one of the same name. Returns whether that is settled.
 */
static bool expire(struct collector *collector, const struct expiry *expiry, int64_t now, struct arena *arena)
{
    const struct place *place = &expiry->place;
    const struct registry_object *object =
        registry_get(collector->world->registry, place->kind, place->namespace_, place->name);
    return !object || expiry_of(place->kind, registry_decode(object, arena)) > now ||
           remove_object(collector, place, 0, arena);
}

static void on_timer(uv_timer_t *timer)
{
    struct collector *collector = timer->data;
    int64_t now = collector->world->now(collector->world->context);
    struct expiry *expiry, *next;
    struct arena arena;
    int left = REMOVALS_PER_TURN;
    arena_init(&arena);
    collector->next_expiry = INT64_MAX;
    HASH_ITER (hh, collector->expiries, expiry, next) {
        if (expiry->at <= now && left > 0) {
            left--;
            if (expire(collector, expiry, now, &arena)) {
                forget_expiry(collector, expiry);
                continue;
            }
            expiry->at = now + RETRY_S;
            arena_reset(&arena);
        }
        if (expiry->at < collector->next_expiry)
            collector->next_expiry = expiry->at;
    }
    arena_done(&arena);
    if (collector->pending_count)
        collector_pull(collector);
    else
        arm(collector);
}

static void arm(struct collector *collector)
{
    int64_t now = collector->world->now(collector->world->context), due = collector->next_expiry;
    uint64_t wait_ms = due <= now                                 ? 0
                       : due - now > (int64_t)TIMER_MAX_MS / 1000 ? TIMER_MAX_MS
                                                                  : (uint64_t)(due - now) * 1000;
    if (collector->pending_count)
        uv_timer_start(&collector->timer, on_timer, 0, 0);
    else if (due == INT64_MAX)
        uv_timer_stop(&collector->timer);
    else
        uv_timer_start(&collector->timer, on_timer, wait_ms, 0);
}

static void relist(struct collector *collector, enum api_kind kind, struct arena *arena)
{
    const struct registry_query query = {.kind = kind};
    const struct registry_object **list;
    size_t count, remaining;
    collector->cursors[kind] = registry_revision(collector->world->registry);
    if (registry_list(collector->world->registry, &query, 0, &list, &count, &remaining) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        note_object(collector, list[i], arena);
        arena_reset(arena);
    }
    registry_list_free(list, count);
}

static void follow(struct collector *collector, struct arena *arena)
{
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        struct registry_event *event;
        int code;
        while ((code = registry_next(collector->world->registry, &collector->cursors[kind],
                                     (enum api_kind)kind, &event)) > 0) {
            note_event(collector, event, arena);
            arena_reset(arena);
        }
        if (code < 0)
            relist(collector, (enum api_kind)kind, arena);
    }
}

void collector_pull(struct collector *collector)
{
    struct arena arena;
    arena_init(&arena);
    follow(collector, &arena);
    /* What is judged may be written, which is news again: then we are called again. */
    struct place *pending = collector->pending;
    size_t count = collector->pending_count;
    collector->pending = NULL;
    collector->pending_count = collector->pending_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        judge(collector, &pending[i], &arena);
        place_done(&pending[i]);
        arena_reset(&arena);
    }
    free(pending);
    arena_done(&arena);
    arm(collector);
}

struct collector *collector_new(uv_loop_t *loop, const struct world *world,
                                void (*report)(void *context, const char *sentence), void *context)
{
    struct collector *collector = xcalloc(1, sizeof(*collector));
    struct arena arena;
    *collector = (struct collector){
        .loop = loop, .world = world, .next_expiry = INT64_MAX, .report = report, .context = context};
    uv_timer_init(loop, &collector->timer);
    collector->timer.data = collector;
    arena_init(&arena);
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        relist(collector, (enum api_kind)kind, &arena);
    arena_done(&arena);
    collector_pull(collector);
    return collector;
}

static void on_closed(uv_handle_t *handle)
{
    struct collector *collector = handle->data;
    struct owner *owner, *next;
    HASH_ITER (hh, collector->owners, owner, next)
        owner_free(collector, owner);
    struct expiry *expiry, *next_expiry;
    HASH_ITER (hh, collector->expiries, expiry, next_expiry)
        forget_expiry(collector, expiry);
    for (size_t i = 0; i < collector->pending_count; i++)
        place_done(&collector->pending[i]);
    free(collector->pending);
    free(collector);
}

void collector_close(struct collector *collector)
{
    if (collector)
        uv_close((uv_handle_t *)&collector->timer, on_closed);
}
