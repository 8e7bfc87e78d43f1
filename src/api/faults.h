/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/path.h"
#include "api/tape.h"

#define FAULTS_MAX 100
#define FAULTS_BYTES_MAX ((size_t)1 << 20) /* of messages; the one that goes past it is kept whole */

/* One cause, as Status.details.causes has it. Everything lives in the arena of its faults. */
struct fault {
    const char *reason;   /* a CauseType: "FieldValueInvalid", "FieldValueRequired", ... */
    const char *field;    /* "spec.ports[0].port" */
    const char *message;  /* "Invalid value: 0: must be between 1 and 65535, inclusive" */
    const char *sentence; /* field, ": ", message */
};

/* What is wrong with an object, in the apiserver's words (k8s.io/apimachinery, pkg/util/validation/field):
 * "PATH: Invalid value: VALUE: DETAIL" and so on. Faults beyond the bounds are counted only. */
struct faults {
    struct arena *arena;
    const struct tape *tape; /* for the position of the first; may be NULL */
    struct fault list[FAULTS_MAX];
    size_t kept;  /* how many of list are set */
    size_t count; /* how many there were */
    size_t bytes;
    uint32_t line, column;
};

/* Empty, without a tape. */
void faults_init(struct faults *faults, struct arena *arena);
static inline size_t faults_kept(const struct faults *faults)
{
    return faults->kept;
}
/* Whether further ones are counted only, so that nobody needs to word them at length. */
static inline bool faults_full(const struct faults *faults)
{
    return faults->kept == FAULTS_MAX || faults->bytes > FAULTS_BYTES_MAX;
}
/* Forgets those beyond the first count. */
void faults_truncate(struct faults *faults, size_t count);

/* detail may be NULL. */
void fault_invalid(struct faults *faults, const struct path *path, const char *value, const char *detail);
void fault_invalid_number(struct faults *faults, const struct path *path, long long value,
                          const char *detail);
void fault_invalid_list(struct faults *faults, const struct path *path, char *const *values, size_t count,
                        const char *detail);
/* value is printed as it is: JSON, or `null`. */
void fault_invalid_raw(struct faults *faults, const struct path *path, const char *value, const char *detail);
void fault_required(struct faults *faults, const struct path *path, const char *detail);
void fault_forbidden(struct faults *faults, const struct path *path, const char *detail);
/* supported ends in NULL and is in the order that upstream prints, which is mostly the alphabet's. */
void fault_unsupported(struct faults *faults, const struct path *path, const char *value,
                       const char *const *supported);
void fault_duplicate(struct faults *faults, const struct path *path, const char *value);
/* Both print value as it is, for numbers and JSON. */
void fault_duplicate_raw(struct faults *faults, const struct path *path, const char *value);
void fault_duplicate_detailed(struct faults *faults, const struct path *path, const char *value,
                              const char *detail);
void fault_not_found(struct faults *faults, const struct path *path, const char *value, const char *detail);
void fault_too_many(struct faults *faults, const struct path *path, size_t actual, unsigned most);
void fault_too_long(struct faults *faults, const struct path *path, unsigned most_bytes);

/* An error of ours, "Internal error: WHAT", never of the input's. */
void fault_internal(struct faults *faults, const struct path *path, const char *what);

/* `a` or `[a, b]`, each sentence once. count must not be 0. */
const char *faults_format(const struct faults *faults);
