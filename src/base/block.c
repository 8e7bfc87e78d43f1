/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/block.h"

#include "base/slab.h"

#include <string.h>

void *block_copy(struct block *block, const void *from, size_t size)
{
    size_t at = (block->used + 7) & ~(size_t)7;
    block->used = at + size;
    if (!block->data)
        return NULL;
    if (size)
        memcpy(block->data + at, from, size);
    return block->data + at;
}

char *block_strdup(struct block *block, const char *text)
{
    const char *source = text ? text : "";
    size_t size = strlen(source) + 1;
    size_t at = block->used;
    block->used = at + size;
    if (!block->data)
        return NULL;
    return memcpy(block->data + at, source, size);
}

void block_allocate(struct block *block)
{
    block->data = slab_alloc(block->used);
    block->used = 0;
}
