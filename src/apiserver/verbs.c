/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/verbs.h"

#include "api/defaults.h"
#include "api/strategy.h"
#include "apiserver/write.h"

#include <string.h>

static enum api_kind kind_of(const struct write *write)
{
    return write->target->resource->kind;
}

bool write_settle_namespace(struct write *write, ProtobufCMessage *object)
{
    Meta__ObjectMeta *metadata = api_metadata(object);
    const char *given = api_text(metadata->namespace_), *expected = write->target->namespace_;
    if (*given && *expected && strcmp(given, expected) != 0) {
        status_bad_request(&write->outcome->status,
                           "the namespace of the provided object does not match the namespace sent on the "
                           "request");
        return false;
    }
    metadata->namespace_ = *expected ? arena_strdup(write->arena, expected) : NULL;
    return true;
}

void verb_create(struct write *write, ProtobufCMessage *object)
{
    defaults_request(kind_of(write), object, write->arena);
    if (write_settle_namespace(write, object) && write_own_fields(write, NULL, object))
        write_create(write, object);
}

bool write_check_name(struct write *write, const ProtobufCMessage *object)
{
    const char *given = api_text(api_metadata(object)->name);
    if (strcmp(given, write->target->name) == 0)
        return true;
    status_bad_request(&write->outcome->status,
                       *given ? arena_printf(write->arena,
                                             "the name of the object (%s) does not match the name on the URL "
                                             "(%s)",
                                             given, write->target->name)
                              : arena_printf(write->arena,
                                             "the name of the object (%s based on URL) was undeterminable: "
                                             "name must be provided",
                                             write->target->name));
    return false;
}

static void create_by_update(struct write *write, ProtobufCMessage *object)
{
    Meta__ObjectMeta *metadata = api_metadata(object);
    metadata->resourceversion = NULL;
    /* Who names a uid means an object that is gone. */
    if (*api_text(metadata->uid))
        write_refuse_conflict(write,
                              arena_printf(write->arena,
                                           "Precondition failed: UID in precondition: %s, UID in object "
                                           "meta: ",
                                           metadata->uid));
    else if (write_own_fields(write, NULL, object))
        write_create(write, object);
}

void verb_update(struct write *write, ProtobufCMessage *object)
{
    enum api_kind kind = kind_of(write);
    const struct target *target = write->target;
    defaults_request(kind, object, write->arena);
    if (!write_settle_namespace(write, object) || !write_check_name(write, object))
        return;
    const struct registry_object *before =
        registry_get(write->world->registry, kind, target->namespace_, target->name);
    if (!before && !*target->subresource && strategy_allows_create_on_update(kind)) {
        create_by_update(write, object);
        return;
    }
    if (!before) {
        write_find(write);
        return;
    }
    registry_ref(before);
    ProtobufCMessage *old = registry_decode(before, write->arena);
    /* All but the status is a finalizer's to change. */
    if (strcmp(target->subresource, "finalize") == 0)
        ((Core__Namespace *)object)->status = ((Core__Namespace *)old)->status;
    if (write_own_fields(write, old, object))
        write_update(write, before, object);
    registry_unref(before);
}
