/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"

#include <stddef.h>
#include <stdint.h>

/* What every source (the folder of manifests; later an apiserver or the registry) tells, and to whom. Objects
 * are decoded, defaulted and valid; they are borrowed for the call. */
struct source_sink {
    void *context;
    void (*put)(void *context, const struct api_object *object);
    void (*remove)(void *context, enum api_kind kind, const char *namespace_, const char *name);
    /* After each group of changes that belong together. */
    void (*settled)(void *context);
    /* One sentence for people about input that was refused or looks wrong. */
    void (*complain)(void *context, bool is_refusal, const char *sentence);
};

struct source_status {
    uint64_t generation; /* groups of changes seen */
    uint32_t objects[API_KIND_COUNT];
    uint32_t refused; /* documents refused, now */
};
