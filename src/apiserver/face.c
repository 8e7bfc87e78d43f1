/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/face.h"

#include "api/event.h"
#include "api/wire.h"

/* Event alone has two. */
static bool is_other_face(const struct resource *resource)
{
    return resource_type(resource) != api_kind_info(resource->kind)->type;
}

const ProtobufCMessage *face_shown(const struct resource *resource, const ProtobufCMessage *stored,
                                   struct arena *arena)
{
    if (!is_other_face(resource) || stored->descriptor == resource_type(resource))
        return stored;
    return &event_from_core((const Core__Event *)stored, arena)->base;
}

ProtobufCMessage *face_stored(const struct resource *resource, ProtobufCMessage *shown, struct arena *arena)
{
    if (!is_other_face(resource))
        return shown;
    return &event_to_core((const Events__Event *)shown, arena)->base;
}

json_t *face_tree(const struct resource *resource, const ProtobufCMessage *stored, struct arena *arena)
{
    return wire_tree_as(resource->group_version, api_kind_name(resource->kind),
                        face_shown(resource, stored, arena));
}
