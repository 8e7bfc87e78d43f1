/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/fields.h"

/* What the schema says of a place inside an object: a field, an item of a list, an entry of a map. */

/* What JSON may hold in a scalar. ANY: a number or a string (Time, IntOrString, Quantity), FREE: anything at
 * all. */
enum place_scalar { PLACE_STRING, PLACE_NUMBER, PLACE_BOOLEAN, PLACE_ANY, PLACE_FREE };

struct place {
    enum api_shape shape;
    enum place_scalar scalar; /* of a scalar, or of what a list or a map holds */
    const ProtobufCMessageDescriptor
        *type;                     /* of a struct, or of a list's items when they are structs; or NULL */
    const struct api_field *rules; /* of the field, NULL for the root, an item and an entry */
    bool is_root;                  /* has apiVersion and kind beside its fields */
    bool is_atomic;                /* owned and replaced as one */
};

/* A whole object. */
void place_root(const ProtobufCMessageDescriptor *type, struct place *ret);
/* What stands under a key of a struct or a map; false when a struct has no such field. */
bool place_field(const struct place *place, const char *name, struct place *ret);
/* What a list holds. An item of a list with the marker atomic is owned as one. */
void place_item(const struct place *list, struct place *ret);
