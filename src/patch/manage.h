/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* PURE. Who owns which field: metadata.managedFields and server-side apply (KEP-555; k8s.io/apimachinery
 * pkg/util/managedfields over sigs.k8s.io/structured-merge-diff). Trees are whole objects with apiVersion,
 * kind and metadata, in the form that wire_tree gives them: what Go always writes is there. */

struct manage_actor {
    const char *manager;     /* fieldManager, or the User-Agent up to its first "/"; "" counts as "unknown" */
    const char *api_version; /* of the request: "v1" */
    const char *subresource; /* "" for the object itself, "status" */
    const char *time;        /* RFC 3339 in UTC, whole seconds: now */
};

/* After a create (before NULL), an update or a patch by actor: writes after's metadata.managedFields, from
 * what the client sent there, else from before's: what actor changed or set becomes his, what changed is
 * nobody else's any more, and an entry keeps its time when its set did not change. after is what the client
 * asked for, decoded and defaulted, but without what the server fills in (addresses, ports, uid): nobody owns
 * that. Left out are metadata.name, namespace, uid, resourceVersion, generation, creationTimestamp, selfLink,
 * managedFields, apiVersion and kind, and what the strategy resets: a status write owns nothing in spec, any
 * other nothing in status. A client that sends managedFields [] or [{}] resets them: the caller keeps that in
 * after (a message cannot hold an empty list); nothing is tracked then until the first apply. Entries that
 * cannot be read count as none. At most 10 updaters stay; the oldest become "ancient-changes". */
void manage_update(json_t *before, json_t *after, const ProtobufCMessageDescriptor *type,
                   const struct manage_actor *actor);

struct manage_conflict {
    char *manager; /* "kubectl-edit" */
    char *field;   /* ".spec.ports[port=80,protocol=\"TCP\"].targetPort" */
    char *message; /* "conflict with \"kubectl-edit\" using v1" */
};
struct manage_conflicts { /* start from {0} */
    struct manage_conflict *list;
    size_t count;
    struct text message; /* "Apply failed with 1 conflict: conflict with ..." */
};

/* Server-side apply of config, which is what the client sent and nothing more, to live, or to nothing when
 * live is NULL. Sets *ret to the merged object with its managedFields, a new tree that is yet to be defaulted
 * and validated. With is_forced, fields of others are taken over. Fields that this manager owned by apply and
 * no longer names are removed unless somebody else owns them. When nothing but managedFields changes, no
 * entry gets a new time. 0, or leaves *ret alone and returns -EEXIST   conflicts: HTTP 409 Conflict;
 * ret_conflicts is filled (free it with manage_conflicts_done): its message, and each conflict one cause of
 * type FieldManagerConflict; -EBADMSG  HTTP 400 BadRequest, the sentence is the message; -EPROTO   config
 * does not fit the schema (unknown fields, wrong types, the same list item twice), or live's managedFields
 * cannot be read: upstream has no status for it: HTTP 500 without a reason. */
int manage_apply(json_t *live, json_t *config, const ProtobufCMessageDescriptor *type,
                 const struct manage_actor *actor, bool is_forced, json_t **ret,
                 struct manage_conflicts *ret_conflicts, struct err *err);
void manage_conflicts_done(struct manage_conflicts *conflicts);

/* To be called on the object as it would be stored: where after differs from before in nothing but the times
 * of managedFields, it takes back before's times, so that a write that changes nothing stays none. */
void manage_keep_times(json_t *before, json_t *after);
