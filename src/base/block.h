/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>

/* For objects that are one heap block with their lists and strings inside: the same packing code runs twice,
 * once with data NULL to measure, once to fill. */
struct block {
    char *data;
    size_t used;
};

/* Copies size bytes behind what is there, aligned to 8, and returns the copy; while measuring, returns NULL
 * and only counts. */
void *block_copy(struct block *block, const void *from, size_t size);
/* The string with its end; NULL as "". */
char *block_strdup(struct block *block, const char *text);
/* Between the two runs: takes the measured room (slab_free later). */
void block_allocate(struct block *block);
