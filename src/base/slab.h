/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>

/* malloc for what lives long: stored objects, entries, records. They lie packed together, apart from the
 * short-lived pieces of parsing, which then find their own small piece of the heap still in the processor's
 * caches. (Mixed, a change of one object on a large store spends most of its time in cache misses of malloc.)
 *
 * Zeroed on request only. Aligned to 8. Memory of small pieces is kept for the next ones, not given back to
 * the system. Running out aborts. One thread. Under AddressSanitizer every piece is malloc's own, so that it
 * sees misuse. */
void *slab_alloc(size_t size);
void *slab_zalloc(size_t size);
/* NULL is allowed. */
void slab_free(void *piece);

static inline void cleanup_slab_(void *where)
{
    slab_free(*(void **)where);
}
#define cleanup_slab __attribute__((cleanup(cleanup_slab_)))
