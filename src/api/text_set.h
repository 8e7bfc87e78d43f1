/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdbool.h>

/* Texts to look up by value: a sorted array, for lists whose length comes from outside. The texts are
 * borrowed. */
struct text_set {
    struct text_set_item *items;
    size_t count;
};

/* NULL counts as "". The memory is the arena's. */
struct text_set text_set_build(struct arena *arena, const char *const *texts, size_t count);
/* The place of the first text that equals this one, count when there is none. */
size_t text_set_find(const struct text_set *set, const char *text);
static inline bool text_set_has(const struct text_set *set, const char *text)
{
    return text_set_find(set, text) < set->count;
}
