/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

/* PURE. What an apiserver sends, piece by piece (pieces.h), in protobuf or in JSON, as values. Everything
 * lives in the arena given; nothing points into the bytes. */

/* metav1.Status, as far as a client goes by it. */
struct refusal {
    unsigned code; /* HTTP; 0 when it does not say */
    const char *reason, *message;
    unsigned retry_after_s;
    bool is_expired; /* 410, Gone or Expired: the version is compacted away */
    bool
        is_too_large; /* the version is one that the server has not reached (cause ResourceVersionTooLarge) */
};

enum event_type { EVENT_ADDED, EVENT_MODIFIED, EVENT_DELETED, EVENT_BOOKMARK, EVENT_ERROR, EVENT_UNKNOWN };

struct told_object {
    const char *namespace_,
        *name;           /* "" for cluster-scoped kinds; name is "" when not even that can be read */
    uint64_t version;    /* resourceVersion; 0 when it is no number */
    bool is_initial_end; /* the annotation k8s.io/initial-events-end (KEP-3157) */
    const ProtobufCMessage *message; /* decoded and defaulted; NULL when fault is set */
    const char *fault;               /* one sentence */
};

struct decoded_event {
    enum event_type type;
    struct told_object object; /* of all types but ERROR and UNKNOWN */
    struct refusal refusal;    /* of ERROR */
    const char *fault;         /* the frame itself cannot be read */
};

struct list_place {
    uint64_t version;      /* 0 when it is no number */
    const char *continue_; /* "" at the end */
};

/* resourceVersion as a number, as kube-apiserver's are (KEP-5504); 0 for anything else. */
uint64_t decode_version(const char *text);
/* An item of a list: without envelope, apiVersion and kind. */
void decode_item(enum api_kind kind, bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                 struct told_object *ret);
/* A frame of a watch: meta.v1.WatchEvent. */
void decode_event(enum api_kind kind, bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                  struct decoded_event *ret);
void decode_place(bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                  struct list_place *ret);
/* The body of an answer that is none of 200; what is no Status gives code 0 and no words. */
void decode_refusal(bool is_protobuf, const uint8_t *bytes, size_t len, struct arena *arena,
                    struct refusal *ret);
