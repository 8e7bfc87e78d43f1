/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/manifests.h"

#include "api/documents.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/slab.h"
#include "base/text.h"
#include "sys/read_file.h"
#include "sys/watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

/* One for each object of the folder: there are twenty thousand of these on a large node. */
struct manifest_object {
    struct manifest_file *file;
    struct manifest_object *next; /* of the same file */
    uint64_t fingerprint;
    uint32_t seen; /* the reading that last met it */
    uint8_t kind;
    UT_hash_handle hh;
    char key[]; /* "Kind/namespace/name" */
};

struct manifest_file {
    struct manifest_object *objects;
    uint32_t refused;
    bool has_losers; /* it describes objects that other files own */
    bool is_present; /* met by the rescan under way */
    UT_hash_handle hh;
    char name[];
};

struct pending_file {
    UT_hash_handle hh;
    char name[];
};

struct named_kind {
    UT_hash_handle hh;
    char name[];
};

struct manifests {
    char *path;
    struct source_sink sink;
    struct source_status status;
    struct manifest_file *files;
    struct manifest_object *objects;
    struct named_kind *passed_over;
    struct folder_watch *watch;
    enum manifests_form form;
    uv_loop_t *loop;
    uv_timer_t retry;   /* the folder itself went away: look for it again */
    uv_check_t pending; /* runs once the events at hand are read */
    uv_idle_t unfinished;
    struct pending_file *pending_files; /* changed and not read yet */
    struct stat folder;                 /* whose objects we hold */
    bool needs_rescan, is_astray;
    uint32_t readings;
    unsigned open_handles; /* while closing */
};

/* The reading of one file. */
struct reading {
    struct manifests *manifests;
    struct manifest_file *file;
    bool is_torn; /* something could not be told apart: nothing may be taken away */
};

static void complain(struct manifests *manifests, bool is_refusal, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct manifests *manifests, bool is_refusal, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    manifests->sink.complain(manifests->sink.context, is_refusal, sentence);
}

static uint64_t fingerprint_of(const struct api_object *object)
{
    size_t size = protobuf_c_message_get_packed_size(object->message);
    cleanup_free uint8_t *bytes = xmalloc(size);
    protobuf_c_message_pack(object->message, bytes);
    return hash_bytes(0, bytes, size);
}

static size_t key_write(char *key, size_t room, const char *kind, const char *namespace_, const char *name)
{
    int len = snprintf(key, room, "%s/%s/%s", kind, namespace_, name);
    return len < (int)room ? (size_t)len : room - 1;
}

static struct manifest_object *find_object(struct manifests *manifests, const char *kind,
                                           const char *namespace_, const char *name)
{
    char key[1024];
    size_t len = key_write(key, sizeof(key), kind, namespace_, name);
    struct manifest_object *object;
    HASH_FIND(hh, manifests->objects, key, len, object);
    return object;
}

static struct manifest_object *add_object(struct manifests *manifests, struct manifest_file *file,
                                          const struct api_object *from)
{
    char key[1024];
    size_t len = key_write(key, sizeof(key), api_kind_name(from->kind), from->namespace_, from->name);
    struct manifest_object *object = slab_zalloc(sizeof(*object) + len + 1);
    memcpy(object->key, key, len);
    object->kind = (uint8_t)from->kind;
    object->file = file;
    object->next = file->objects;
    file->objects = object;
    HASH_ADD_KEYPTR(hh, manifests->objects, object->key, len, object);
    manifests->status.objects[from->kind]++;
    return object;
}

static void drop_object(struct manifests *manifests, struct manifest_object *object)
{
    cleanup_free char *kind = xstrdup(object->key);
    char *namespace_ = strchr(kind, '/') + 1, *name = strchr(namespace_, '/') + 1;
    name[-1] = '\0';
    manifests->sink.remove(manifests->sink.context, (enum api_kind)object->kind, namespace_, name);
    manifests->status.objects[object->kind]--;
    HASH_DEL(manifests->objects, object);
    slab_free(object);
}

static void name_passed_over(struct manifests *manifests, const struct document *document)
{
    struct named_kind *named;
    const char *kind = document->kind ? document->kind : "?";
    HASH_FIND_STR(manifests->passed_over, kind, named);
    if (named)
        return;
    named = xcalloc(1, sizeof(*named) + strlen(kind) + 1);
    strcpy(named->name, kind);
    HASH_ADD_KEYPTR(hh, manifests->passed_over, named->name, strlen(named->name), named);
    complain(manifests, false, "%s:%d:%d: objects of kind %s are not used here and are passed over",
             document->file, document->line, document->column, kind);
}

static void take_refused(struct reading *reading, const struct document *document)
{
    struct manifests *manifests = reading->manifests;
    struct manifest_object *last = NULL;
    bool is_identified = document->kind && document->name && document->namespace_;
    reading->file->refused++;
    if (is_identified)
        last = find_object(manifests, document->kind, document->namespace_, document->name);
    else
        reading->is_torn = true;
    if (last && last->file == reading->file)
        last->seen = manifests->readings;
    const char *consequence = last ? "; its last good state stays in force"
                              : !is_identified && reading->file->objects
                                  ? "; what this file said before stays in force"
                                  : "";
    if (is_identified)
        complain(manifests, true, "%s:%d:%d: %s %s%s%s is refused: %s%s", document->file, document->line,
                 document->column, document->kind, document->namespace_, *document->namespace_ ? "/" : "",
                 document->name, document->refusal, consequence);
    else
        complain(manifests, true, "%s:%d:%d: %s is refused: %s%s", document->file, document->line,
                 document->column, document->kind ? document->kind : "a document", document->refusal,
                 consequence);
}

/* Of two files that describe an object the one whose name sorts first has it, whenever it came: so the folder
 * alone decides, not its history. */
static void take_over(struct manifests *manifests, struct manifest_file *file, struct manifest_object *object)
{
    struct manifest_file *loser = object->file;
    struct manifest_object **at = &loser->objects;
    while (*at != object)
        at = &(*at)->next;
    *at = object->next;
    object->next = file->objects;
    object->file = file;
    object->seen = manifests->readings - 1;
    file->objects = object;
    loser->has_losers = true;
    loser->refused++;
    manifests->status.refused++;
    complain(manifests, true,
             "%s/%s: %s is refused from now on: %s describes it too and goes first by its name",
             manifests->path, loser->name, object->key, file->name);
}

static void take_document(void *context, const struct document *document)
{
    struct reading *reading = context;
    struct manifests *manifests = reading->manifests;
    for (size_t i = 0; i < document->warning_count; i++)
        complain(manifests, false, "%s:%d:%d: %s %s%s%s: %s", document->file, document->line,
                 document->column, document->kind ? document->kind : "object",
                 document->namespace_ ? document->namespace_ : "",
                 document->namespace_ && *document->namespace_ ? "/" : "",
                 document->name ? document->name : "", document->warnings[i]);
    if (document->passed_over) {
        name_passed_over(manifests, document);
        return;
    }
    if (!document->object) {
        take_refused(reading, document);
        return;
    }
    const struct api_object *from = document->object;
    struct manifest_object *object =
        find_object(manifests, api_kind_name(from->kind), from->namespace_, from->name);
    if (object && object->file != reading->file && strcmp(reading->file->name, object->file->name) < 0)
        take_over(manifests, reading->file, object);
    if (object && (object->file != reading->file || object->seen == manifests->readings)) {
        bool is_same_file = object->file == reading->file;
        reading->file->refused++;
        reading->file->has_losers = true;
        complain(manifests, true, "%s:%d:%d: %s %s%s%s is refused: %s describes it already", document->file,
                 document->line, document->column, document->kind, from->namespace_,
                 *from->namespace_ ? "/" : "", from->name, is_same_file ? "this file" : object->file->name);
        return;
    }
    uint64_t fingerprint = fingerprint_of(from);
    if (!object)
        object = add_object(manifests, reading->file, from);
    object->seen = manifests->readings;
    if (object->fingerprint == fingerprint)
        return;
    object->fingerprint = fingerprint;
    manifests->sink.put(manifests->sink.context, from);
}

/* Everything of the file that this reading did not meet. */
static bool drop_unseen(struct manifests *manifests, struct manifest_file *file)
{
    bool has_dropped = false;
    for (struct manifest_object **at = &file->objects; *at;) {
        struct manifest_object *object = *at;
        if (object->seen == manifests->readings) {
            at = &object->next;
            continue;
        }
        *at = object->next;
        drop_object(manifests, object);
        has_dropped = true;
    }
    return has_dropped;
}

static struct manifest_file *file_get(struct manifests *manifests, const char *name)
{
    struct manifest_file *file;
    HASH_FIND_STR(manifests->files, name, file);
    if (file)
        return file;
    file = xcalloc(1, sizeof(*file) + strlen(name) + 1);
    strcpy(file->name, name);
    HASH_ADD_KEYPTR(hh, manifests->files, file->name, strlen(file->name), file);
    return file;
}

static void forget_file(struct manifests *manifests, struct manifest_file *file)
{
    manifests->readings++;
    drop_unseen(manifests, file);
    manifests->status.refused -= file->refused;
    HASH_DEL(manifests->files, file);
    free(file);
}

/* Reads one file, new, changed or gone. True when it gave up objects that another file may describe too. */
static bool take_file(struct manifests *manifests, const char *name)
{
    char path[4096];
    struct err err;
    cleanup_free char *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof(path), "%s/%s", manifests->path, name);
    struct manifest_file *file = file_get(manifests, name);
    int code = read_file_whole(path, DOCUMENTS_FILE_MAX, &bytes, &len, &err);
    if (code == -ENOENT) {
        bool had_objects = file->objects != NULL;
        forget_file(manifests, file);
        return had_objects;
    }
    manifests->status.refused -= file->refused;
    file->refused = 0;
    file->has_losers = false;
    file->is_present = true;
    manifests->readings++;
    if (code < 0) {
        file->refused = 1;
        manifests->status.refused++;
        complain(manifests, true, "%s%s", err.text,
                 file->objects ? "; what it said before stays in force" : "");
        return false;
    }
    struct reading reading = {.manifests = manifests, .file = file};
    code = manifests->form == MANIFESTS_COMPLETE
               ? documents_read(path, bytes, len, take_document, &reading, &err)
               : documents_read_as_written(path, bytes, len, take_document, &reading, &err);
    if (code < 0)
        reading.is_torn = true;
    manifests->status.refused += file->refused;
    return !reading.is_torn && drop_unseen(manifests, file);
}

/* After objects were given up: files that had lost to their owner get another chance, in the order of their
 * names. */
static void retry_losers(struct manifests *manifests)
{
    for (struct manifest_file *file = manifests->files, *next; file; file = next) {
        next = file->hh.next;
        if (file->has_losers)
            take_file(manifests, file->name);
    }
}

static bool is_manifest(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int name_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int select_manifest(const struct dirent *entry)
{
    return is_manifest(entry->d_name);
}

static int read_folder(struct manifests *manifests, struct err *err)
{
    struct dirent **entries;
    int count = scandir(manifests->path, &entries, select_manifest, name_order);
    if (count < 0)
        return err_set(err, errno, "the folder %s cannot be read: %s", manifests->path, strerror(errno));
    for (struct manifest_file *file = manifests->files; file; file = file->hh.next)
        file->is_present = false;
    bool has_freed = false;
    for (int i = 0; i < count; i++) {
        has_freed |= take_file(manifests, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    for (struct manifest_file *file = manifests->files, *next; file; file = next) {
        next = file->hh.next;
        if (!file->is_present) {
            has_freed |= file->objects != NULL;
            forget_file(manifests, file);
        }
    }
    if (has_freed)
        retry_losers(manifests);
    return 0;
}

static void on_changed(void *context, const char *name);

/* The folder may be replaced as a whole: the old watch is deaf then. */
static int watch_folder(struct manifests *manifests, struct err *err)
{
    folder_watch_close(manifests->watch);
    manifests->watch = NULL;
    return folder_watch_open(&manifests->watch, manifests->loop, manifests->path, on_changed, manifests, err);
}

static void on_retry(uv_timer_t *timer)
{
    on_changed(timer->data, NULL);
}

static void drop_pending(struct manifests *manifests)
{
    struct pending_file *pending, *next;
    HASH_ITER (hh, manifests->pending_files, pending, next) {
        HASH_DEL(manifests->pending_files, pending);
        free(pending);
    }
}

/* A folder that went away, or that another and empty one took the place of (an unmounted file system, say),
 * is taken for an accident: what it said stays in force until there are files again. */
static int look_at_folder(struct manifests *manifests, bool *ret_is_same, struct err *err)
{
    struct stat info;
    struct dirent **entries = NULL;
    if (stat(manifests->path, &info) < 0)
        return err_set(err, errno, "the folder %s cannot be read: %s", manifests->path, strerror(errno));
    *ret_is_same = info.st_dev == manifests->folder.st_dev && info.st_ino == manifests->folder.st_ino;
    if (*ret_is_same)
        return 0;
    int count = scandir(manifests->path, &entries, select_manifest, NULL);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (count == 0 && manifests->objects)
        return err_set(err, ENOENT, "another folder, and an empty one, is at %s now", manifests->path);
    manifests->folder = info;
    return 0;
}

#define READ_BUDGET_NS (20 * 1000000ull) /* then the turn, the tools and the health pages have their go */

static void take_pending(struct manifests *manifests)
{
    uint64_t began_ns = uv_hrtime();
    bool has_freed = false;
    struct pending_file *pending, *next;
    HASH_ITER (hh, manifests->pending_files, pending, next) {
        if (uv_hrtime() - began_ns > READ_BUDGET_NS)
            break;
        has_freed |= take_file(manifests, pending->name);
        HASH_DEL(manifests->pending_files, pending);
        free(pending);
    }
    if (has_freed)
        retry_losers(manifests);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being there keeps the loop from sleeping while files are left to read */
}

static void on_settled(uv_check_t *check)
{
    struct manifests *manifests = check->data;
    struct err err;
    bool is_same = true;
    uv_check_stop(check);
    uv_idle_stop(&manifests->unfinished);
    int code = look_at_folder(manifests, &is_same, &err);
    if (code == 0 && (manifests->needs_rescan || !is_same)) {
        manifests->needs_rescan = false;
        drop_pending(manifests);
        code = watch_folder(manifests, &err);
        if (code == 0)
            code = read_folder(manifests, &err);
    }
    if (code < 0) {
        if (!manifests->is_astray)
            complain(manifests, true, "%s; what it said before stays in force", err.text);
        manifests->is_astray = true;
        drop_pending(manifests);
        manifests->needs_rescan = true;
        uv_timer_start(&manifests->retry, on_retry, 1000, 0);
        return;
    }
    manifests->is_astray = false;
    take_pending(manifests);
    if (manifests->pending_files) {
        uv_check_start(check, on_settled);
        uv_idle_start(&manifests->unfinished, on_idle);
    }
    manifests->status.generation++;
    manifests->sink.settled(manifests->sink.context);
}

/* Only notes the name: however often a file is written, it is read once for each time around the loop. */
static void on_changed(void *context, const char *name)
{
    struct manifests *manifests = context;
    struct pending_file *pending;
    /* Kubernetes mounts a ConfigMap as links through `..data`, which is exchanged as a whole. */
    if (!name || strcmp(name, "..data") == 0) {
        manifests->needs_rescan = true;
    } else if (!is_manifest(name)) {
        return;
    } else {
        HASH_FIND_STR(manifests->pending_files, name, pending);
        if (!pending) {
            pending = xcalloc(1, sizeof(*pending) + strlen(name) + 1);
            strcpy(pending->name, name);
            HASH_ADD_KEYPTR(hh, manifests->pending_files, pending->name, strlen(name), pending);
        }
    }
    uv_check_start(&manifests->pending, on_settled);
}

int manifests_open(struct manifests **ret, uv_loop_t *loop, const char *path, enum manifests_form form,
                   const struct source_sink *sink, struct err *err)
{
    struct manifests *manifests = xcalloc(1, sizeof(*manifests));
    *manifests = (struct manifests){.path = xstrdup(path), .sink = *sink, .form = form, .loop = loop};
    uv_check_init(loop, &manifests->pending);
    uv_timer_init(loop, &manifests->retry);
    uv_idle_init(loop, &manifests->unfinished);
    manifests->pending.data = manifests->retry.data = manifests->unfinished.data = manifests;
    /* Watch first: what changes while we read is read again. */
    bool is_same;
    int code = watch_folder(manifests, err);
    if (code == 0)
        code = look_at_folder(manifests, &is_same, err);
    if (code == 0)
        code = read_folder(manifests, err);
    if (code < 0) {
        manifests_close(manifests);
        return code;
    }
    manifests->status.generation++;
    *ret = manifests;
    return 0;
}

/* Of both handles, in whatever order libuv finishes them: they lie in this memory. */
static void on_closed(uv_handle_t *handle)
{
    struct manifests *manifests = handle->data;
    if (--manifests->open_handles > 0)
        return;
    struct manifest_object *object, *next_object;
    HASH_ITER (hh, manifests->objects, object, next_object) {
        HASH_DEL(manifests->objects, object);
        slab_free(object);
    }
    struct manifest_file *file, *next_file;
    HASH_ITER (hh, manifests->files, file, next_file) {
        HASH_DEL(manifests->files, file);
        free(file);
    }
    drop_pending(manifests);
    struct named_kind *kind, *next_kind;
    HASH_ITER (hh, manifests->passed_over, kind, next_kind) {
        HASH_DEL(manifests->passed_over, kind);
        free(kind);
    }
    free(manifests->path);
    free(manifests);
}

void manifests_close(struct manifests *manifests)
{
    if (!manifests)
        return;
    folder_watch_close(manifests->watch);
    uv_check_stop(&manifests->pending);
    manifests->open_handles = 3;
    uv_close((uv_handle_t *)&manifests->unfinished, on_closed);
    uv_close((uv_handle_t *)&manifests->pending, on_closed);
    uv_close((uv_handle_t *)&manifests->retry, on_closed);
}

const struct source_status *manifests_status(const struct manifests *manifests)
{
    return &manifests->status;
}
