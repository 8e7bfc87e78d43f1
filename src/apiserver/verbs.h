/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/addresses.h"
#include "apiserver/negotiate.h"
#include "apiserver/request.h"
#include "apiserver/status.h"
#include "registry/registry.h"

#include <jansson.h>

/* The writing verbs over the registry, without HTTP: the API's requests and the folder of manifests both come
 * here. One write is one call: it is judged, allocated for, stored and durable when the call returns, or
 * nothing happened. */

/* What a verb works on. Time and randomness are handed in. */
struct world {
    struct registry *registry;
    struct allocator *allocator;
    int64_t (*now)(void *context); /* seconds since 1970 */
    uint64_t (*random)(void *context);
    void *context;
};

struct write_options {
    const char *manager;
    bool is_dry_run;
    bool is_forced;      /* apply: take conflicts over */
    bool keeps_metadata; /* a status write changes nothing but the status: for nodes, about themselves */
    enum field_validation field_validation;
};

struct outcome {
    struct status status;     /* code 0: done */
    unsigned code;            /* of the answer when done: 200, 201, 202 */
    ProtobufCMessage *object; /* as stored, in the arena; NULL: the answer is a Status of Success */
    const char **warnings;    /* for Warning headers; in the arena */
    size_t warning_count;
};
void outcome_warn(struct outcome *outcome, struct arena *arena, const char *sentence);

/* One request's worth of context; everything lives in the arena. */
struct write {
    const struct world *world;
    const struct target *target;
    const struct write_options *options;
    struct arena *arena;
    struct outcome *outcome;
    bool resets_owners; /* the client sent managedFields: [] */
    bool is_patch;      /* another uid is then a change of it, not a precondition */
};

/* Each fills write->outcome. Objects are as decoded: not defaulted yet. */
void verb_create(struct write *write, ProtobufCMessage *object);
void verb_update(struct write *write, ProtobufCMessage *object);
/* patch: the body as a tree (for apply, from YAML). */
void verb_patch(struct write *write, enum patch_type type, json_t *patch);

struct delete_options {
    int64_t grace_seconds;              /* -1: the kind's own */
    const char *uid, *resource_version; /* preconditions, "" for none */
    const char *propagation_policy;     /* "", Orphan, Background, Foreground */
};
/* Whether the policy is a known one; else 422. verb_delete asks by itself. */
bool verb_check_policy(struct write *write, const char *policy);
void verb_delete(struct write *write, const struct delete_options *options);
/* Removes what has been waiting only for its time (a pod's grace) or for its last finalizer. */
bool write_remove(struct write *write, const struct registry_object *object);
