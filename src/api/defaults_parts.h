/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

#include <string.h>

/* What the files of defaulting share; see defaults.h. */

/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

static inline bool is_text(const char *value, const char *wanted)
{
    return strcmp(api_text(value), wanted) == 0;
}
static inline bool is_unset(const char *value)
{
    return !value || !*value;
}
/* A message with nothing in it. */
void *default_new(struct arena *arena, const ProtobufCMessageDescriptor *type);
void default_text(char **where, const char *value);
/* Sets a number that was not given (0 counts as given). */
#define default_number(message, field, number)                                                               \
    do {                                                                                                     \
        if (!(message)->has_##field) {                                                                       \
            (message)->has_##field = true;                                                                   \
            (message)->field = (number);                                                                     \
        }                                                                                                    \
    } while (0)

void default_pod(Core__Pod *pod, struct arena *arena);
void default_volume(Core__Volume *volume, struct arena *arena);
/* Always for the tag latest or none, else IfNotPresent. */
const char *default_pull_policy(const char *image);
void default_field_reference(Core__ObjectFieldSelector *reference);
