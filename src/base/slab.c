/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/slab.h"

#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEP 8
#define SMALL_MAX 2048 /* larger pieces are malloc's */
#define CLASSES (SMALL_MAX / STEP + 1)
#define SLAB_SIZE ((size_t)64 * 1024)

/* Before each piece: which list it goes back to. 0: malloc's. */
struct head {
    uint64_t class;
};

struct free_piece {
    struct free_piece *next;
};

static struct free_piece *free_lists[CLASSES];
/* At the head of each slab, so that leak checkers find whose it is. */
struct slab {
    struct slab *next;
};

static struct slab *slabs;
static char *slab;
static size_t slab_left;

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static void *piece_of(struct head *head, uint64_t class)
{
    head->class = class;
    return head + 1;
}

void *slab_alloc(size_t size)
{
    size_t whole = size + sizeof(struct head);
    size_t class = (whole + STEP - 1) / STEP;
    if (whole > SMALL_MAX || IS_SANITIZED)
        return piece_of(xmalloc(whole), 0);
    struct free_piece *piece = free_lists[class];
    if (piece) {
        free_lists[class] = piece->next;
        return piece;
    }
    size_t room = class * STEP;
    if (slab_left < room) {
        struct slab *fresh = xmalloc(SLAB_SIZE);
        fresh->next = slabs;
        slabs = fresh;
        slab = (char *)fresh + STEP;
        slab_left = SLAB_SIZE - STEP;
    }
    struct head *head = (struct head *)slab;
    slab += room;
    slab_left -= room;
    return piece_of(head, class);
}

void *slab_zalloc(size_t size)
{
    return memset(slab_alloc(size), 0, size);
}

void slab_free(void *piece)
{
    if (!piece)
        return;
    struct head *head = (struct head *)piece - 1;
    if (head->class == 0) {
        free(head);
        return;
    }
    struct free_piece *freed = piece;
    freed->next = free_lists[head->class];
    free_lists[head->class] = freed;
}
