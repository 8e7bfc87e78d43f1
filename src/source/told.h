/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a sink was told of one selection: names and versions, for the difference after a new list and against
 * doubled events. Some dozens of bytes an object beside its name. Start from {0}. */

#define TOLD_MAX 4000000 /* objects; more are refused */

struct told_entry {
    uint64_t version; /* resourceVersion as told last; 0: not known */
    uint32_t round;   /* the list that has shown it last */
    bool is_put;      /* the sink has it; false for one that was never usable */
    bool is_refused;  /* its newest state is unusable, and that was said */
    uint16_t name_at; /* in names */
    char names[];     /* namespace, NUL, name, NUL */
};

struct told {
    struct told_entry **slots; /* open addressing, linear; NULL where empty */
    size_t capacity, count;
};

static inline const char *told_name(const struct told_entry *entry)
{
    return entry->names + entry->name_at;
}
/* NULL when there is none; valid until it is removed. */
struct told_entry *told_get(const struct told *told, const char *namespace_, const char *name);
/* Gets it, or adds it with all else zero. NULL beyond TOLD_MAX, and for names above 512 bytes. */
struct told_entry *told_add(struct told *told, const char *namespace_, const char *name);
void told_remove(struct told *told, struct told_entry *entry);
/* Forgets which versions were told: the server's clock went back, and every object counts as new. */
void told_forget_versions(struct told *told);
/* What the list of this round has not shown: a heap array (free) of *ret_count borrowed entries. */
struct told_entry **told_unseen(const struct told *told, uint32_t round, size_t *ret_count);
void told_done(struct told *told);
