/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* A region of memory with one lifetime: allocate at will, release everything at once.
 * Allocation never fails: out of memory aborts the process (the kernel goes on forwarding and a
 * restart adopts its state), so callers cap every size that comes from outside. */
struct arena {
    struct arena_chunk *chunks;
    size_t used;  /* bytes taken from the newest chunk */
    size_t total; /* bytes held, for limits and memory reports */
};

void arena_init(struct arena *arena);
/* Releases every chunk. Safe on a zeroed arena and after an earlier arena_done. */
void arena_done(struct arena *arena);
/* Forgets all content but keeps one chunk, for a scratch arena reused per event. */
void arena_reset(struct arena *arena);

/* Zeroed memory, aligned for any type. A size of 0 gives a valid unique pointer. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* malloc family that aborts when memory is out. Freed with free(). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
