/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/present.h"
#include "apiserver/verbs.h"

/* The reading verbs. */

/* Which objects a list or a watch wants; lives in the arena. */
struct sieve {
    enum api_kind kind;
    const char *namespace_;           /* "" for all */
    const char *name;                 /* by metadata.name, or the path's; "" for all */
    struct selector *labels, *fields; /* NULL: all */
};
/* false: *ret_status says what is wrong with a selector (400). */
bool sieve_parse(const struct target *target, const struct query *query, struct arena *arena,
                 struct sieve *ret, struct status *ret_status);
/* Decodes no more of the object than the selectors ask for, into scratch. */
bool sieve_passes(const struct sieve *sieve, const struct registry_object *object, struct arena *scratch);
/* Whether objects are chosen by what is in them, and not by their names alone. */
bool sieve_has_selectors(const struct sieve *sieve);

/* Each writes its answer, or sets *ret_status. */
bool read_get(const struct world *world, const struct target *target, const struct presentation *how,
              struct arena *arena, struct text *ret, struct status *ret_status);
bool read_list(const struct world *world, const struct target *target, const struct query *query,
               const struct presentation *how, struct arena *arena, struct text *ret,
               struct status *ret_status);
/* Whether the registry has come so far; else 504, for a list or a watch that may not be older than that. */
bool read_is_reached(const struct registry *registry, uint64_t revision, struct arena *arena,
                     struct status *ret_status);
/* "" is 0; false: 400. */
bool read_revision(const char *text, uint64_t *ret, struct arena *arena, struct status *ret_status);
/* The selected objects now, referenced, for registry_list_free; for a watch's beginning and deletecollection.
 */
void read_selected(const struct registry *registry, const struct sieve *sieve,
                   const struct registry_object ***ret, size_t *ret_count);
