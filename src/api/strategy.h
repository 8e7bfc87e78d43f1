/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

/* PURE. What each kind does on its way into a registry beside defaulting and validation: kubernetes
 * pkg/registry/<group>/<kind>/strategy.go and k8s.io/apiserver pkg/registry/rest, 1.36. The order of a write
 * is defaults_request, strategy_prepare_*, validate_*, strategy_warnings. Messages are defaulted. What a
 * message gets from old it borrows, so old must live as long as the message; additions live in the arena. */

/* Clears what a client may not set (uid, creationTimestamp, deletionTimestamp, status) and sets what a new
 * object begins with. metadata.name is there, generated where it had to be; the caller gives uid and
 * creationTimestamp afterwards. */
void strategy_prepare_create(enum api_kind kind, ProtobufCMessage *message, struct arena *arena);
/* Keeps status, generation, timestamps and (where the client gave none) uid and resourceVersion of old;
 * counts generation up where the kind has one and its specification changed. A Service's addresses and
 * ports are the business of services_prepare (apiserver). */
void strategy_prepare_update(enum api_kind kind, ProtobufCMessage *message, const ProtobufCMessage *old,
                             struct arena *arena);
/* Keeps everything of old that a write to the status subresource may not change. Most kinds let it change
 * labels and annotations. Kinds without that subresource: as strategy_prepare_update. */
void strategy_prepare_status_update(enum api_kind kind, ProtobufCMessage *message,
                                    const ProtobufCMessage *old, struct arena *arena);

/* Whether a PUT makes the object that is not there. */
bool strategy_allows_create_on_update(enum api_kind kind);
/* Whether a PUT without resourceVersion replaces whatever is there; otherwise it is invalid:
 * `metadata.resourceVersion: Invalid value: 0: must be specified for an update`. */
bool strategy_allows_unconditional_update(enum api_kind kind);
/* Whether /status is served. */
bool strategy_has_status(enum api_kind kind);
/* Whether an object of this kind waits for its grace period when it is deleted: Pods alone. */
bool strategy_is_graceful(enum api_kind kind);
/* For how many seconds: requested, or when that is NULL what the object says; 0: delete at once. */
int64_t strategy_grace_seconds(enum api_kind kind, const ProtobufCMessage *message, const int64_t *requested);

#define STRATEGY_WARNINGS_MAX 32

/* Values of the header Warning, in the arena. Those beyond the bound are left out. */
struct strategy_warnings {
    const char *list[STRATEGY_WARNINGS_MAX];
    size_t count;
};

/* What the apiserver warns of after a create (old is NULL) or an update that was accepted, and after a write
 * to /status. *ret is set from scratch. */
void strategy_warnings(enum api_kind kind, const ProtobufCMessage *message, const ProtobufCMessage *old,
                       struct arena *arena, struct strategy_warnings *ret);
void strategy_status_warnings(enum api_kind kind, const ProtobufCMessage *message, struct arena *arena,
                              struct strategy_warnings *ret);
/* What it warns of at every request for the kind, reads included; NULL for none. */
const char *strategy_deprecation(enum api_kind kind);
