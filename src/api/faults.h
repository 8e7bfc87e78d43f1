/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/path.h"
#include "api/tape.h"

#define FAULTS_MAX 100

/* What is wrong with an object, in the apiserver's words (k8s.io/apimachinery, pkg/util/validation/field):
 * "PATH: Invalid value: VALUE: DETAIL" and so on. Sentences beyond FAULTS_MAX are counted only. */
struct faults {
    struct arena *arena;
    const struct tape *tape; /* for the position of the first; may be NULL */
    const char *sentences[FAULTS_MAX];
    size_t count;
    uint32_t line, column;
};

/* detail may be NULL. */
void fault_invalid(struct faults *faults, const struct path *path, const char *value, const char *detail);
void fault_invalid_number(struct faults *faults, const struct path *path, long long value,
                          const char *detail);
void fault_invalid_list(struct faults *faults, const struct path *path, char *const *values, size_t count,
                        const char *detail);
void fault_required(struct faults *faults, const struct path *path, const char *detail);
void fault_forbidden(struct faults *faults, const struct path *path, const char *detail);
/* supported ends in NULL and is sorted, as upstream prints it. */
void fault_unsupported(struct faults *faults, const struct path *path, const char *value,
                       const char *const *supported);
void fault_duplicate(struct faults *faults, const struct path *path, const char *value);
/* value is printed as it is, for numbers and JSON. */
void fault_duplicate_raw(struct faults *faults, const struct path *path, const char *value);
void fault_too_many(struct faults *faults, const struct path *path, size_t actual, unsigned most);
void fault_too_long(struct faults *faults, const struct path *path, unsigned most_bytes);

/* `a` or `[a, b]`, each sentence once. count must not be 0. */
const char *faults_format(const struct faults *faults);
