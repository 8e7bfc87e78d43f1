/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "api/object.h"
#include "base/arena.h"
#include "base/text.h"

#include <jansson.h>

/* A refusal as the client gets it: metav1.Status (k8s.io/apimachinery/pkg/api/errors). Strings live in the
 * request's arena. */
struct status {
    unsigned code;      /* HTTP; 0: no refusal */
    const char *reason; /* "NotFound"; "" is left out */
    const char *message;
    const char *group, *kind, *name, *uid; /* details; kind is the plural resource, or the Kind for Invalid */
    const struct fault *causes;
    size_t cause_count;
    unsigned retry_after_seconds;
};

struct status_subject { /* what a request is about */
    const char *group, *plural, *kind, *name;
};

/* Each fills *ret, with upstream's reason and words. */
void status_not_found(struct status *ret, struct arena *arena, const struct status_subject *subject);
void status_already_exists(struct status *ret, struct arena *arena, const struct status_subject *subject);
void status_conflict(struct status *ret, struct arena *arena, const struct status_subject *subject,
                     const char *why);
void status_invalid(struct status *ret, struct arena *arena, const struct status_subject *subject,
                    const struct faults *faults);
void status_bad_request(struct status *ret, const char *message);
void status_forbidden(struct status *ret, struct arena *arena, const struct status_subject *subject,
                      const char *why);
void status_unauthorized(struct status *ret);
void status_expired(struct status *ret, const char *message);
void status_method_not_allowed(struct status *ret, struct arena *arena, const char *method, const char *what);
void status_generic(struct status *ret, unsigned code, const char *reason, const char *message);

/* The Status object; a new reference. code 0 gives status: Success. */
json_t *status_tree(const struct status *status);
