/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/selector.h"

/* What label and field selectors have in common, inside selector*.c. */

/* More than any URL that the server takes. */
#define SELECTOR_MAX ((size_t)64 * 1024)

enum operator{
    OPERATOR_IN,
    OPERATOR_NOT_IN,
    OPERATOR_EXISTS,
    OPERATOR_MISSING,
    OPERATOR_ABOVE,
    OPERATOR_BELOW
};

#define STEPS_MAX 3
/* Where in a message a value is: the fields to go through, of a list its first item. */
struct place {
    const ProtobufCFieldDescriptor *steps[STEPS_MAX];
    size_t count;
};

struct requirement {
    struct requirement *next;
    const char *key; /* a label, or the name of a field */
    enum operator operator_;
    const char **values;
    size_t value_count;
    struct place place, fallback; /* fields: fallback counts where place has nothing */
};

struct selector {
    struct requirement *first, **last;
};

struct selector *selector_new(struct arena *arena);
/* Appends an empty one. */
struct requirement *selector_add(struct selector *selector, struct arena *arena);
/* For qsort and bsearch over strings. */
int selector_compare(const void *a, const void *b);
