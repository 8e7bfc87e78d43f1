/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/negotiate.h"
#include "apiserver/request.h"
#include "base/text.h"
#include "registry/registry.h"

/* PURE. Objects, lists and watch events as bytes, in the form that was negotiated. */

struct presentation {
    struct accepted accepted;
    const struct resource *resource;
    const char *include_object; /* of tables: "Metadata", "Object", "None" */
    int64_t now;
};

/* One object. object is the stored form of message where there is one, else NULL. */
void present_object(const struct presentation *how, const ProtobufCMessage *message,
                    const struct registry_object *object, struct text *ret);

struct list_metadata {
    uint64_t revision;
    const char *continue_; /* "" at the end */
    int64_t remaining;     /* -1: not said */
};
/* A whole list. Each object is decoded by itself, so that memory is that of one and of the text. */
void present_list(const struct presentation *how, const struct registry_object *const *list, size_t count,
                  const struct list_metadata *metadata, struct text *ret);

/* One frame of a watch. type is "ADDED" and so on; of message and object one may be NULL. has_columns: a
 * table's column definitions go with it. */
void present_event(const struct presentation *how, const char *type, const ProtobufCMessage *message,
                   const struct registry_object *object, bool has_columns, struct text *ret);
/* "initial-events-end" annotates the bookmark that ends the initial events (KEP-3157). */
void present_bookmark(const struct presentation *how, uint64_t revision, bool is_initial_events_end,
                      struct text *ret);
/* An ERROR frame with a Status. */
void present_error(const struct presentation *how, const struct status *status, struct text *ret);
