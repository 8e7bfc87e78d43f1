/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/packed.h"

#include "api/wire.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 21 /* of a revision, with the end */

/* malloc's own memory, not a slab's: objects live as long as the history needs them and come in every size,
 * and what a slab keeps for one size is lost to the others. */
struct packed {
    struct registry_object object;
    int64_t row;
    char text[]; /* namespace, name, resourceVersion with their ends; then the bytes */
};

static struct packed *packed_of(const struct registry_object *object)
{
    return (struct packed *)object;
}

static struct packed *allocate(enum api_kind kind, const char *namespace_, const char *name,
                               uint64_t revision, size_t len)
{
    char digits[DIGITS_MAX];
    size_t digits_len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, revision);
    size_t namespace_size = strlen(namespace_) + 1, name_size = strlen(name) + 1;
    size_t names = namespace_size + name_size + digits_len + 1;
    struct packed *packed = xmalloc(sizeof(*packed) + names + len);
    memcpy(packed->text, namespace_, namespace_size);
    memcpy(packed->text + namespace_size, name, name_size);
    memcpy(packed->text + namespace_size + name_size, digits, digits_len + 1);
    packed->object = (struct registry_object){
        .references = 1,
        .kind = kind,
        .revision = revision,
        .namespace_ = packed->text,
        .name = packed->text + namespace_size,
        .len = (uint32_t)len,
        .data = (const uint8_t *)packed->text + names,
    };
    packed->row = 0;
    return packed;
}

static char *revision_text(const struct packed *packed)
{
    return (char *)packed->object.name + strlen(packed->object.name) + 1;
}

int packed_new(struct registry_object **ret, enum api_kind kind, ProtobufCMessage *message, uint64_t revision,
               size_t max, struct err *err)
{
    assert(message->descriptor == api_kind_info(kind)->type);
    Meta__ObjectMeta *metadata = api_metadata(message);
    if (!metadata || !metadata->name || !*metadata->name)
        return err_set(err, EINVAL, "a %s without a name cannot be stored", api_kind_name(kind));
    char digits[DIGITS_MAX];
    char *before = metadata->resourceversion;
    snprintf(digits, sizeof(digits), "%" PRIu64, revision);
    metadata->resourceversion = digits;
    cleanup_with(text_done) struct text bytes = {0};
    wire_pack(message, &bytes);
    if (bytes.len > max) {
        metadata->resourceversion = before;
        return err_set(err, E2BIG, "%s %s%s%s takes %zu bytes; the most that is stored is %zu",
                       api_kind_name(kind), api_text(metadata->namespace_),
                       *api_text(metadata->namespace_) ? "/" : "", metadata->name, bytes.len, max);
    }
    struct packed *packed =
        allocate(kind, api_text(metadata->namespace_), metadata->name, revision, bytes.len);
    if (bytes.len)
        memcpy((uint8_t *)packed->object.data, bytes.data, bytes.len);
    metadata->resourceversion = revision_text(packed);
    *ret = &packed->object;
    return 0;
}

struct registry_object *packed_from_bytes(enum api_kind kind, const char *namespace_, const char *name,
                                          uint64_t revision, const void *bytes, size_t len)
{
    struct packed *packed = allocate(kind, namespace_, name, revision, len);
    if (len)
        memcpy((uint8_t *)packed->object.data, bytes, len);
    return &packed->object;
}

int64_t packed_row(const struct registry_object *object)
{
    return packed_of(object)->row;
}

void packed_set_row(struct registry_object *object, int64_t row)
{
    packed_of(object)->row = row;
}

size_t packed_size(const struct registry_object *object)
{
    return (size_t)(object->data - (const uint8_t *)object) + object->len;
}

const struct registry_object *registry_ref(const struct registry_object *object)
{
    ((struct registry_object *)object)->references++;
    return object;
}

void registry_unref(const struct registry_object *object)
{
    if (!object)
        return;
    assert(object->references > 0);
    if (--((struct registry_object *)object)->references == 0)
        free((struct registry_object *)object);
}

ProtobufCMessage *registry_decode(const struct registry_object *object, struct arena *arena)
{
    return wire_unpack_own(api_kind_info(object->kind)->type, object->data, object->len, arena, NULL);
}
